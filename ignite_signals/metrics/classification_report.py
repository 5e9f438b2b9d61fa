"""ClassificationReport: precision, recall and F-score of each class, and their means."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Literal

import attrs
import torch
from torch import Tensor

from ignite_signals.metrics.fbeta import Fbeta
from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.metrics_lambda import MetricsLambda
from ignite_signals.metrics.precision import Precision
from ignite_signals.metrics.recall import Recall

__all__ = ["ClassificationReport"]


def ClassificationReport(  # noqa: N802  # a metric by its name
    beta: float = 1,
    output_dict: bool = False,
    output_transform: Callable[[Any], Any] = unchanged,
    device: str | torch.device | None = None,
    is_multilabel: bool = False,
    labels: Sequence[str] | None = None,
    metrics_result_mode: Literal["flatten", "named", "both"] = "both",
) -> MetricsLambda:
    """Report precision, recall and F-score of each class, and their means over the classes.

    The value is a dict from each class's label, and from "macro avg", to a dict of "precision",
    "recall" and "f1-score", or its JSON. It is made of numbers that are read, so the device is waited
    for where it is computed; an update does not wait. Binary data has the classes 0 and 1.

    Args:
        beta: how much more recall counts than precision in the F-score, which is named by it.
        output_dict: return the dict, not its JSON.
        output_transform: makes `(y_pred, y)` of `engine.state.output`, as `Precision` takes them.
        device: where to count; by default where the predictions are.
        is_multilabel: each of the C entries is a label of its own.
        labels: the names of the classes, in their order; by default their indices.
        metrics_result_mode: what becomes of the dict in `engine.state.metrics`, as in `Metric`.

    Raises:
        ValueError: `beta` is not positive, `labels` are not distinct, or, told by `compute`, not one for each class.
        NotComputableError: `compute` was called before any sample was seen.

    It resembles that of scikit-learn, `classification_report
    <https://scikit-learn.org/stable/modules/generated/sklearn.metrics.classification_report.html>`_.

    >>> import torch
    >>> report = ClassificationReport(output_dict=True, labels=["cat", "dog"])
    >>> report.update((torch.eye(2)[[0, 1, 1, 1]], torch.tensor([0, 1, 1, 0])))
    >>> value = report.compute()
    >>> list(value)
    ['cat', 'dog', 'macro avg']
    >>> value["cat"]
    {'precision': 1.0, 'recall': 0.5, 'f1-score': 0.6666666666666666}
    """
    labels = None if labels is None else tuple(labels)
    if labels is not None and len(set(labels)) < len(labels):
        raise ValueError(f"labels must be distinct, got {labels}")
    precision, recall = (
        kind(output_transform, average=None, is_multilabel=is_multilabel, device=device) for kind in (Precision, Recall)
    )
    score = Fbeta(beta, average=False, precision=precision, recall=recall)  # type: ignore[arg-type]
    report = _Report(f"f{beta}-score", bool(output_dict), labels)
    return MetricsLambda(report, precision, recall, score, metrics_result_mode=metrics_result_mode)


# A value, not a closure, so that the metric can be pickled.
@attrs.frozen
class _Report:
    score_name: str
    output_dict: bool
    labels: tuple[str, ...] | None

    __name__ = "report"

    def __call__(self, precision: Tensor, recall: Tensor, score: Tensor) -> dict[str, dict[str, float]] | str:
        values = torch.stack((precision, recall, score))
        columns = torch.cat((values, values.mean(dim=1, keepdim=True)), dim=1).T.tolist()
        keys = ("precision", "recall", self.score_name)
        report = {
            label: dict(zip(keys, column, strict=True))
            for label, column in zip((*self._labels(len(precision)), "macro avg"), columns, strict=True)
        }
        return report if self.output_dict else json.dumps(report)

    def _labels(self, num_classes: int) -> Sequence[str]:
        if self.labels is None:
            return [str(index) for index in range(num_classes)]
        if len(self.labels) != num_classes:
            raise ValueError(
                f"labels must name each of the {num_classes} classes for ClassificationReport, "
                f"got {len(self.labels)}: {self.labels}"
            )
        return self.labels
