"""The base of the metrics that look at every threshold which a score may have to pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from ignite_signals.metrics.epoch_metric import EpochMetric
from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.metric import unchanged

__all__ = ["Counts", "OverThresholds", "counts_at_thresholds"]


class Counts(NamedTuple):
    """How many a classifier takes for positive that are not, and that are, at falling thresholds.

    Each is of shape `(number of different scores,)`; a sample counts if its score is at least the threshold.
    """

    false_positives: Tensor
    true_positives: Tensor
    thresholds: Tensor

    @property
    def positives(self) -> Tensor:
        """How many samples are positive: at the lowest threshold all are taken for that."""
        return self.true_positives[-1]

    @property
    def negatives(self) -> Tensor:
        """How many samples are negative."""
        return self.false_positives[-1]

    @property
    def ratio_type(self) -> torch.dtype:
        """The type for ratios of the counts."""
        return sum_dtype(self.thresholds.device)


def counts_at_thresholds(scores: Tensor, y: Tensor) -> Counts:
    """Count at each different score; samples that share one pass it together.

    Args:
        scores: `(N,)`, N at least 1.
        y: `(N,)` zeros and ones.

    >>> counts = counts_at_thresholds(torch.tensor([0.1, 0.8, 0.8, 0.4]), torch.tensor([0, 1, 0, 1]))
    >>> counts.false_positives, counts.true_positives
    (tensor([1, 1, 2]), tensor([1, 2, 2]))
    """
    scores, order = scores.sort(descending=True)
    differs_from_next = torch.ones_like(scores, dtype=torch.bool)
    differs_from_next[:-1] = scores[:-1] != scores[1:]
    passing = differs_from_next.nonzero().squeeze(1)
    true_positives = (y[order] != 0).cumsum(0)[passing]
    return Counts(passing + 1 - true_positives, true_positives, scores[passing])


class OverThresholds(EpochMetric):
    """Keep all outputs, scores and targets: memory grows with the data.

    Args:
        compute_fn: called with the scores and the targets of a window.
        output_transform: makes `(y_pred, y)` of `engine.state.output`: scores, and zeros and ones of the same shape.
        check_compute_fn: call `compute_fn` with the first batch of a window too. This waits for the device.
        device: where to keep the outputs; by default where they are.
        skip_unrolling: give lists to `update` as they are.
    """

    # Not by `_check_pair`: some take binary outputs alone, and these they keep like the others. So a group
    # keeps the outputs once for all of them, and each has to check again what it computes of.
    _accumulates_by: ClassVar[tuple[str, ...] | None] = ("_compute_fn_to_check", "_checked_shape", "_arranged")
    _binary_alone = False

    def __init__(
        self,
        compute_fn: Callable[[Tensor, Tensor], Any],
        output_transform: Callable[[Any], Any] = unchanged,
        check_compute_fn: bool = False,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        super().__init__(compute_fn, output_transform, check_compute_fn, device, skip_unrolling)

    def _check_pair(self, y_pred: Tensor, y: Tensor) -> None:
        if y_pred.is_complex() or y.is_complex():
            raise TypeError(f"y_pred and y must be real for {type(self).__name__}, got {y_pred.dtype} and {y.dtype}")
        if y_pred.shape != y.shape:
            raise ValueError(
                f"y_pred and y must be of one shape for {type(self).__name__}, got {tuple(y_pred.shape)} and "
                f"{tuple(y.shape)}; choose the scores of the positive class, or make y one-hot, with output_transform"
            )
        if self._binary_alone and y.ndim != 1:
            raise ValueError(
                f"y_pred and y must be of shape (N,) or (N, 1) for {type(self).__name__}, got {tuple(y.shape)}; "
                "choose a class with output_transform"
            )

    def _check_values(self, y_pred: Tensor, y: Tensor) -> None:
        if not ((y == 0) | (y == 1)).all():
            raise ValueError(f"y must hold zeros and ones for {type(self).__name__}, got other values")
        if not y_pred.isfinite().all():
            raise ValueError(
                f"y_pred must hold finite scores for {type(self).__name__}, got NaN or infinity; "
                "replace them with output_transform"
            )

    def compute(self) -> Any:
        """Return what `compute_fn` returns for all outputs.

        Raises:
            NotComputableError: nothing was seen.
            ValueError: a target was neither 0 nor 1, or a score not finite.
        """
        y_pred, y = self._all()
        self._check_pair(y_pred, y)
        self._check_values(y_pred, y)
        return self.compute_fn(y_pred, y)
