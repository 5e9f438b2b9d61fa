"""AveragePrecision: precision over all thresholds, weighted by what each adds to recall."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.thresholds import OverThresholds, counts_at_thresholds

__all__ = ["AveragePrecision"]


class AveragePrecision(OverThresholds):
    """Keep all outputs to measure their average precision: memory grows with the data.

    The value is `sum (R_n - R_(n-1)) P_n` over the falling thresholds, with the precision `P_n` and the recall
    `R_n` at the n-th, and is that of `sklearn.metrics.average_precision_score`. With several labels it is the
    mean of theirs (`average="macro"`).

    Where no sample is positive, recall is not defined: the value is 0, as in scikit-learn, and a warning says so.

    Args:
        output_transform: makes `(y_pred, y)` of `engine.state.output`: scores, probabilities or not, of shape
            `(N,)`, `(N, 1)` or `(N, L)` for L labels, and zeros and ones of the same shape.
        check_compute_fn: compute the value of the first batch of a window too. This waits for the device.
        device: where to keep the outputs; by default where they are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` or `y` is no tensor of real numbers.
        ValueError: their shapes do not fit, or change; told by `compute`: a target is neither 0 nor 1, or a
            score is not finite.
        NotComputableError: `compute` was called before any sample was seen.

    Source: `scikit-learn's user guide
    <https://scikit-learn.org/stable/modules/model_evaluation.html#precision-recall-and-f-measures>`_.

    >>> average_precision = AveragePrecision()
    >>> y_pred = torch.tensor([[0.79, 0.21], [0.30, 0.70], [0.46, 0.54], [0.16, 0.84]])
    >>> average_precision.update((y_pred, torch.tensor([[1, 1], [1, 1], [0, 1], [0, 1]])))
    >>> round(average_precision.compute(), 4)
    0.9167
    """

    def __init__(
        self,
        output_transform: Callable[[Any], Any] = unchanged,
        check_compute_fn: bool = False,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        super().__init__(average_precision, output_transform, check_compute_fn, device, skip_unrolling)


def average_precision(y_pred: Tensor, y: Tensor) -> float:
    """Return the average precision of scores `(N,)`, or the mean of those of the columns of `(N, L)`."""
    y_pred, y = y_pred.reshape(len(y), -1), y.reshape(len(y), -1)
    if missing := (y != 0).any(0).logical_not().nonzero().squeeze(1).tolist():
        where = f" for the labels {missing}" if y.shape[1] > 1 else ""
        warnings.warn(f"AveragePrecision is 0{where}: no sample in y is positive", stacklevel=2)
    labels = zip(y_pred.unbind(1), y.unbind(1), strict=True)
    return float(torch.stack([average_precision_of_one_label(*label) for label in labels]).mean())


def average_precision_of_one_label(scores: Tensor, y: Tensor) -> Tensor:
    """Return the average precision of scores `(N,)`, a tensor without dimensions; 0 where no sample is positive."""
    counts = counts_at_thresholds(scores, y)
    found = counts.true_positives.to(counts.ratio_type)
    precision = found / (counts.true_positives + counts.false_positives)
    return (found.diff(prepend=found.new_zeros(1)) * precision).sum() / counts.positives.clamp(min=1)
