"""Fbeta: precision and recall as one number."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import torch
from torch import Tensor

from ignite_signals.metrics.class_counts import ClassCounts
from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.metrics_lambda import MetricsLambda
from ignite_signals.metrics.precision import Precision
from ignite_signals.metrics.recall import Recall

__all__ = ["Fbeta"]


def Fbeta(  # noqa: N802  # a metric by its name
    beta: float,
    average: bool = True,
    precision: Precision | None = None,
    recall: Recall | None = None,
    output_transform: Callable[[Any], Any] | None = None,
    device: str | torch.device | None = None,
) -> MetricsLambda:
    """Measure the weighted harmonic mean of precision and recall.

    The value is `(1 + beta ** 2) * P * R / (beta ** 2 * P + R)`, and 0 where both are 0; recall counts
    `beta` times as much as precision. It takes what `Precision` and `Recall` take, which are updated
    once for both if they have the same settings.

    Args:
        beta: how much more recall counts than precision, positive.
        average: take the mean over the classes; otherwise the value is a tensor of shape `(C,)`. Of binary data
            it is the number of class 1 either way, unless `precision` and `recall` have `average=None`.
        precision: a precision with `average=False` or None; by default one with the settings of `recall`.
        recall: a recall with `average=False` or None; by default one with the settings of `precision`.
        output_transform: makes `(y_pred, y)` of `engine.state.output`, where neither of the two is passed.
        device: where to count, where neither of the two is passed; by default where the predictions are.

    Raises:
        TypeError: `precision` or `recall` is something else.
        ValueError: `beta` is not positive; `precision` or `recall` is averaged, or was passed together with
            `output_transform` or `device`.

    The formula is that of C. J. van Rijsbergen, Information Retrieval, 2nd edition, 1979, chapter 7.

    >>> import torch
    >>> f1 = Fbeta(1)
    >>> f1.update((torch.eye(3)[[0, 0, 1, 0]], torch.tensor([0, 1, 1, 0])))
    >>> round(f1.compute(), 4)
    0.4889
    """
    if not (isinstance(beta, int | float) and beta > 0 and math.isfinite(beta)):
        raise ValueError(f"beta must be a positive number, got {beta!r}")
    _check("precision", precision, Precision, output_transform, device)
    _check("recall", recall, Recall, output_transform, device)
    settings = _settings(precision if recall is None else recall, output_transform, device)
    return MetricsLambda(
        _Score(beta, bool(average)),
        Precision(**settings) if precision is None else precision,
        Recall(**settings) if recall is None else recall,
    )


def _check(name: str, metric: Any, kind: type[Any], output_transform: Any, device: Any) -> None:
    if metric is None:
        return
    if not isinstance(metric, kind):
        raise TypeError(f"{name} must be a {kind.__name__}, got {metric!r}")
    if metric._average:
        raise ValueError(f"{name} must have average=False or average=None, got average={metric._average!r}")
    for argument, value in (("output_transform", output_transform), ("device", device)):
        if value is not None:
            raise ValueError(f"{argument} must not be passed together with {name}, got {value!r}; pass it to {name}")


def _settings(metric: ClassCounts | None, output_transform: Any, device: Any) -> dict[str, Any]:
    if metric is None:
        return {"output_transform": output_transform or unchanged, "device": device}
    return {
        "output_transform": metric._output_transform,
        "average": metric._average,
        "is_multilabel": metric._is_multilabel,
        "device": None if metric._follows_values else metric._device,
        "skip_unrolling": metric._skip_unrolling,
    }


# A value, not a closure, so that the metric can be pickled.
@attrs.frozen
class _Score:
    beta: float
    average: bool

    __name__ = "fbeta"

    def __call__(self, precision: Tensor | float, recall: Tensor | float) -> Tensor | float:
        precision, recall = (torch.as_tensor(value, dtype=_dtype(value)) for value in (precision, recall))
        if precision.shape != recall.shape:
            raise ValueError(
                "precision and recall must have one number of classes for Fbeta, "
                f"got {tuple(precision.shape)} and {tuple(recall.shape)}; give both the same average"
            )
        weight = self.beta**2
        below = weight * precision + recall
        score = (1 + weight) * precision * recall / below.masked_fill(below == 0, 1)
        if self.average:
            score = score.mean()
        # From a CPU a number is read without a wait.
        return score.item() if score.ndim == 0 and score.is_cpu else score


def _dtype(value: Tensor | float) -> torch.dtype:
    return value.dtype if isinstance(value, Tensor) else torch.float64
