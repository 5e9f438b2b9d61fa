"""MeanAveragePrecision: the average precision of each class, and their mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor

from ignite_signals.metrics.average_precision import average_precision_of_one_label
from ignite_signals.metrics.epoch_metric import EpochMetric
from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.pairs import wide
from ignite_signals.metrics.thresholds import counts_at_thresholds

__all__ = ["MeanAveragePrecision"]

ClassMean: TypeAlias = Literal["micro", "macro", "weighted"] | None

_CLASS_MEANS = (None, "micro", "macro", "weighted")


class MeanAveragePrecision(EpochMetric):
    """Keep all outputs to measure the average precision of each class, and their mean: memory grows with the data.

    A class's average precision is `sum (r_k - r_(k-1)) P_k` over recall thresholds `r_k`, with the precision `P_k`
    at the highest score threshold at which recall reaches `r_k`. Where no recall thresholds are given they are the
    recalls that occur, which is the average precision of scikit-learn. It is 0 for a class without a sample.

    The kind of classification is told by the shapes, for N samples:

    - binary: `y_pred` `(N, ...)` or `(N, 1, ...)` scores, and `y` `(N, ...)` zeros and ones; the value is a number;
    - multiclass: `(N, C, ...)` scores of the classes, and `(N, ...)` classes, each against the rest;
    - multilabel, if `is_multilabel`: `(N, L, ...)` scores, and `(N, L, ...)` zeros and ones.

    Args:
        rec_thresholds: recall thresholds from 0 to 1, in any order; by default the recalls that occur.
        class_mean: what is made of the classes; a binary output has but one.

            - None: their values, a tensor of shape `(C,)`;
            - "macro": their mean;
            - "weighted": their mean, weighted by how many samples are of each class, or have the label;
            - "micro": the average precision of all entries together, each class's against one threshold.
        is_multilabel: each of the columns is a label of its own.
        output_transform: makes `(y_pred, y)` of `engine.state.output`.
        device: where to keep the outputs; by default where they are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `rec_thresholds` is no sequence of numbers, nor a tensor of one dimension; `y_pred` or `y` is no
            tensor; `y_pred` is not of a floating-point type.
        ValueError: `rec_thresholds` is empty or beyond [0, 1]; `class_mean` is none of the four; the shapes do not
            fit, or change; told by `compute`: a target is no class, or neither 0 nor 1, or a score is not finite.
        NotComputableError: `compute` was called before any sample was seen.

    Source: C. D. Manning, P. Raghavan and H. Schütze, *Introduction to Information Retrieval*, 2008, chapter 8.4.

    >>> mean_average_precision = MeanAveragePrecision()
    >>> y_pred = torch.tensor([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.5, 0.2, 0.3]])
    >>> mean_average_precision.update((y_pred, torch.tensor([0, 1, 2])))
    >>> mean_average_precision.compute()
    1.0
    """

    _accumulates_by: ClassVar[tuple[str, ...] | None] = (*(EpochMetric._accumulates_by or ()), "_is_multilabel")

    def __init__(
        self,
        rec_thresholds: Sequence[float] | Tensor | None = None,
        class_mean: ClassMean = "macro",
        is_multilabel: bool = False,
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        if class_mean not in _CLASS_MEANS:
            raise ValueError(f"class_mean must be one of {_CLASS_MEANS}, got {class_mean!r}")
        thresholds = None if rec_thresholds is None else _sorted_thresholds(rec_thresholds)
        compute_fn = partial(mean_average_precision, rec_thresholds=thresholds, class_mean=class_mean)
        self._is_multilabel = is_multilabel
        super().__init__(compute_fn, output_transform, False, device, skip_unrolling)

    def _checked_shape(self, values: Any) -> Tensor:
        if not isinstance(values, Tensor):
            raise TypeError(
                f"y_pred and y must be tensors for {type(self).__name__}, got a {type(values).__name__}; "
                "convert them with output_transform"
            )
        return values

    def _check_pair(self, y_pred: Tensor, y: Tensor) -> None:
        if not y_pred.is_floating_point() or y.is_complex():
            raise TypeError(
                f"y_pred must be scores of a floating-point type for {type(self).__name__}, and y real, "
                f"got {y_pred.dtype} and {y.dtype}"
            )
        if self._is_multilabel:
            fits, wanted = y_pred.shape == y.shape and y.ndim > 1, "both must be of shape (N, L, ...)"
        else:
            fits = y.ndim > 0 and y_pred.shape in (y.shape, y.shape[:1] + y_pred.shape[1:2] + y.shape[1:])
            wanted = "y_pred must be of shape (N, C, ...) and y of (N, ...), or both of one shape (N, ...)"
        if not fits:
            raise ValueError(
                f"{wanted} for {type(self).__name__}, got {tuple(y_pred.shape)} and {tuple(y.shape)}; "
                "choose them with output_transform"
            )

    def _arranged(self, y_pred: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(M, C)` or `(M,)` scores, and `(M, L)` or `(M,)` targets."""
        if self._is_multilabel:
            return _rows(y_pred), _rows(y)
        multiclass = y_pred.ndim > y.ndim and y_pred.shape[1] > 1
        return _rows(y_pred) if multiclass else y_pred.flatten(), y.flatten()

    def compute(self) -> float | Tensor:
        """Return the mean over the classes, or a tensor of their values where `class_mean` is None.

        Raises:
            NotComputableError: nothing was seen.
            ValueError: a target was no class, or neither 0 nor 1, or a score not finite.
        """
        y_pred, y = self._all()
        self._check_values(y_pred, y)
        value: float | Tensor = self.compute_fn(y_pred, y)
        return value

    def _check_values(self, y_pred: Tensor, y: Tensor) -> None:
        if y_pred.ndim > y.ndim:
            right, wanted = (
                (y >= 0) & (y < y_pred.shape[1]) & (y == y.long()),
                f"classes from 0 to {y_pred.shape[1] - 1}",
            )
        else:
            right, wanted = (y == 0) | (y == 1), "zeros and ones"
        if not right.all():
            raise ValueError(f"y must hold {wanted} for {type(self).__name__}, got other values")
        if not y_pred.isfinite().all():
            raise ValueError(
                f"y_pred must hold finite scores for {type(self).__name__}, got NaN or infinity; "
                "replace them with output_transform"
            )


def mean_average_precision(
    y_pred: Tensor, y: Tensor, rec_thresholds: Tensor | None = None, class_mean: ClassMean = "macro"
) -> float | Tensor:
    """Return the mean over the classes, or with None their values.

    Args:
        y_pred: `(N,)` or `(N, C)` scores.
        y: `(N,)` classes, or zeros and ones in the shape of `y_pred`.
        rec_thresholds: rising recall thresholds.
        class_mean: how to take the mean.
    """
    if y_pred.ndim > y.ndim:
        y = y.unsqueeze(1) == torch.arange(y_pred.shape[1], device=y.device)
    if y.ndim == 1 or class_mean == "micro":
        return float(_of_one_class(y_pred.flatten(), y.flatten(), rec_thresholds))
    classes = zip(y_pred.unbind(1), y.unbind(1), strict=True)
    values = torch.stack([_of_one_class(scores, label, rec_thresholds) for scores, label in classes])
    if class_mean is None:
        return values
    if class_mean == "weighted":
        support = y.sum(0)
        return float((support * values).sum() / support.sum().clamp(min=1))
    return float(values.mean())


def _of_one_class(scores: Tensor, y: Tensor, rec_thresholds: Tensor | None) -> Tensor:
    if rec_thresholds is None:
        return average_precision_of_one_label(scores, y)
    counts = counts_at_thresholds(scores, y)
    found = counts.true_positives.to(counts.ratio_type)
    precision = found / (counts.true_positives + counts.false_positives)
    # In the thresholds' type, so that a tenth of the positives reaches a float32's 0.1, which is above 0.1.
    rec_thresholds = rec_thresholds.to(scores.device)
    recall = (found / counts.positives.clamp(min=1)).to(rec_thresholds.dtype)
    reached = torch.searchsorted(recall, rec_thresholds).clamp(max=len(recall) - 1)
    steps = rec_thresholds.to(found.dtype).diff(prepend=found.new_zeros(1))
    return (steps * precision[reached]).sum()


def _rows(values: Tensor) -> Tensor:
    """Return `(N, C, ...)` values as `(M, C)`."""
    return values if values.ndim == 2 else values.movedim(1, -1).reshape(-1, values.shape[1])


def _sorted_thresholds(thresholds: Any) -> Tensor:
    dtype = wide(thresholds).dtype if isinstance(thresholds, Tensor) else torch.float64
    values = thresholds.tolist() if isinstance(thresholds, Tensor) else thresholds
    if not isinstance(values, Sequence) or not all(isinstance(value, int | float) for value in values):
        raise TypeError(f"rec_thresholds must be a sequence of floats or a tensor of one dimension, got {thresholds!r}")
    if not values or not all(0 <= value <= 1 for value in values):
        raise ValueError(f"rec_thresholds must be numbers from 0 to 1, one at least, got {values}")
    return torch.tensor(sorted(values), dtype=dtype)
