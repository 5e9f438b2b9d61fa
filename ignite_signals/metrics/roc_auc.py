"""ROC_AUC and RocCurve: true and false positive rates over all thresholds."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.thresholds import Counts, OverThresholds, counts_at_thresholds

__all__ = ["ROC_AUC", "RocCurve"]


class ROC_AUC(OverThresholds):  # noqa: N801 - PyTorch-Ignite's name
    """Keep all outputs to measure the area under the receiver operating characteristic: memory grows with the data.

    The area is the probability that a positive sample has a higher score than a negative one, where equal
    scores count half. It is counted exactly, and is that of `sklearn.metrics.roc_auc_score`. With several
    labels it is the mean of their areas (`average="macro"`).

    Where all samples are of one class the area is not defined: it is NaN, as in scikit-learn, and a warning says so.

    Args:
        output_transform: makes `(y_pred, y)` of `engine.state.output`: scores, probabilities or not, of shape
            `(N,)`, `(N, 1)` or `(N, L)` for L labels, and zeros and ones of the same shape.
        check_compute_fn: compute the area of the first batch of a window too. This waits for the device.
        device: where to keep the outputs; by default where they are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` or `y` is no tensor of real numbers.
        ValueError: their shapes do not fit, or change; told by `compute`: a target is neither 0 nor 1, or a
            score is not finite.
        NotComputableError: `compute` was called before any sample was seen.

    Source: J. A. Hanley and B. J. McNeil, *The meaning and use of the area under a receiver operating
    characteristic (ROC) curve*, Radiology 143, 1982.

    >>> area = ROC_AUC()
    >>> area.update((torch.tensor([0.05, 0.6, 0.7, 0.99]), torch.tensor([0, 0, 1, 0])))
    >>> area.compute()
    0.6666666666666666
    """

    def __init__(
        self,
        output_transform: Callable[[Any], Any] = unchanged,
        check_compute_fn: bool = False,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        super().__init__(roc_auc, output_transform, check_compute_fn, device, skip_unrolling)


class RocCurve(OverThresholds):
    """Keep all outputs to draw the receiver operating characteristic: memory grows with the data.

    The value is `(fpr, tpr, thresholds)` as `sklearn.metrics.roc_curve` gives it, in float64 on the device
    of the outputs: the share of the negatives and of the positives whose scores reach each threshold, from
    infinity down. Points within a straight line are left out.

    Where no sample is negative (or positive), `fpr` (or `tpr`) is NaN, as in scikit-learn, and a warning says so.

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

    Source: T. Fawcett, *An introduction to ROC analysis*, Pattern Recognition Letters 27, 2006.

    >>> curve = RocCurve()
    >>> curve.update((torch.tensor([0.2, 0.6, 0.7, 0.9]), torch.tensor([0, 0, 1, 0])))
    >>> fpr, tpr, thresholds = curve.compute()
    >>> fpr, tpr
    (tensor([0.0000, 0.3333, 0.3333, 1.0000], dtype=torch.float64), tensor([0., 0., 1., 1.], dtype=torch.float64))
    """

    _binary_alone = True

    def __init__(
        self,
        output_transform: Callable[[Any], Any] = unchanged,
        check_compute_fn: bool = False,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        super().__init__(roc_curve, output_transform, check_compute_fn, device, skip_unrolling)


def roc_auc(y_pred: Tensor, y: Tensor) -> float:
    """Return the area under the curve of scores `(N,)`, or the mean of those of the columns of `(N, L)`."""
    if y.ndim == 2:
        areas = [_area(scores, label) for scores, label in zip(y_pred.unbind(1), y.unbind(1), strict=True)]
        undefined = [index for index, area in enumerate(areas) if math.isnan(area)]
        where = f" for the labels {undefined}"
    else:
        areas = [_area(y_pred, y)]
        undefined, where = [0] if math.isnan(areas[0]) else [], ""
    if undefined:
        warnings.warn(f"ROC_AUC is NaN: y holds one class only{where}, where the area is not defined", stacklevel=2)
    return sum(areas) / len(areas)


def _area(scores: Tensor, y: Tensor) -> float:
    counts = counts_at_thresholds(scores, y)
    wins, positives, negatives = torch.stack([_wins(counts), counts.positives, counts.negatives]).tolist()
    return wins / (2 * positives * negatives) if positives and negatives else math.nan


def _wins(counts: Counts) -> Tensor:
    """Return for how many pairs of a positive and a negative the former has the higher score, twice, ties once."""
    lost = counts.true_positives.new_zeros(1)
    passed = torch.cat([lost, counts.true_positives])
    passing = counts.false_positives.diff(prepend=lost)
    return (passing * (passed[1:] + passed[:-1])).sum()


def roc_curve(y_pred: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the false positive rates, the true positive rates and the thresholds of scores `(N,)`."""
    counts = _corners(counts_at_thresholds(y_pred, y))
    fpr = _rate(counts.false_positives, counts.ratio_type, "fpr", "negative")
    tpr = _rate(counts.true_positives, counts.ratio_type, "tpr", "positive")
    infinity = torch.full((1,), math.inf, dtype=counts.ratio_type, device=y_pred.device)
    return fpr, tpr, torch.cat([infinity, counts.thresholds.to(counts.ratio_type)])


def _corners(counts: Counts) -> Counts:
    """Leave out the points at which the curve goes straight on."""
    if len(counts.thresholds) < 3:
        return counts
    corner = torch.ones_like(counts.thresholds, dtype=torch.bool)
    corner[1:-1] = (counts.false_positives.diff(n=2) != 0) | (counts.true_positives.diff(n=2) != 0)
    return Counts(*(values[corner] for values in counts))


def _rate(counts: Tensor, dtype: torch.dtype, name: str, kind: str) -> Tensor:
    counts = torch.cat([counts.new_zeros(1), counts])
    if counts[-1] == 0:
        warnings.warn(f"{name} of RocCurve is NaN: no sample in y is {kind}", stacklevel=3)
        return torch.full_like(counts, math.nan, dtype=dtype)
    return counts.to(dtype) / counts[-1]
