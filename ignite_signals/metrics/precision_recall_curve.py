"""PrecisionRecallCurve: precision and recall over all thresholds."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.thresholds import OverThresholds, counts_at_thresholds

__all__ = ["PrecisionRecallCurve"]


class PrecisionRecallCurve(OverThresholds):
    """Keep all outputs to draw precision over recall: memory grows with the data.

    The value is `(precision, recall, thresholds)` as `sklearn.metrics.precision_recall_curve` gives it, in
    float64 on the device of the outputs: what holds if the scores that reach a threshold are taken for
    positive, from the lowest threshold up. At the end stand a precision of 1 and a recall of 0, which
    have no threshold.

    Where no sample is positive, recall is 1 at each threshold, as in scikit-learn, and a warning says so.

    Args:
        output_transform: makes `(y_pred, y)` of `engine.state.output`: scores, probabilities or not, of shape
            `(N,)` or `(N, 1)`, and zeros and ones of the same shape.
        check_compute_fn: compute the curve of the first batch of a window too. This waits for the device.
        device: where to keep the outputs; by default where they are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` or `y` is no tensor of real numbers.
        ValueError: their shapes do not fit; told by `compute`: a target is neither 0 nor 1, or a score is not finite.
        NotComputableError: `compute` was called before any sample was seen.

    Source: V. Raghavan, P. Bollmann and G. S. Jung, *A critical investigation of recall and precision as
    measures of retrieval system performance*, ACM TOIS 7, 1989.

    >>> curve = PrecisionRecallCurve()
    >>> curve.update((torch.tensor([0.2, 0.6, 0.7, 0.9]), torch.tensor([0, 0, 1, 1])))
    >>> precision, recall, thresholds = curve.compute()
    >>> precision.tolist(), recall.tolist()
    ([0.5, 0.6666666666666666, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.5, 0.0])
    """

    _binary_alone = True

    def __init__(
        self,
        output_transform: Callable[[Any], Any] = unchanged,
        check_compute_fn: bool = False,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        super().__init__(precision_recall_curve, output_transform, check_compute_fn, device, skip_unrolling)


def precision_recall_curve(y_pred: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the precisions, the recalls and the rising thresholds of scores `(N,)`."""
    counts = counts_at_thresholds(y_pred, y)
    found = counts.true_positives.to(counts.ratio_type)
    precision = found / (counts.true_positives + counts.false_positives)
    if counts.positives == 0:
        warnings.warn("recall of PrecisionRecallCurve is 1: no sample in y is positive", stacklevel=2)
        recall = torch.ones_like(found)
    else:
        recall = found / counts.positives
    precision = torch.cat([precision.flip(0), precision.new_ones(1)])
    recall = torch.cat([recall.flip(0), recall.new_zeros(1)])
    return precision, recall, counts.thresholds.to(counts.ratio_type).flip(0)
