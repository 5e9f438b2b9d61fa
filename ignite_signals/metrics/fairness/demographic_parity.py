"""SelectionRate and DemographicParityDifference: how often each class is predicted, and for whom."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ignite_signals.metrics.classification import Case
from ignite_signals.metrics.contingency import bin_of_label
from ignite_signals.metrics.fairness.outcomes import OutcomeCounts, RateDifference
from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.output import parts

__all__ = ["DemographicParityDifference", "SelectionRate"]


class _Selections(OutcomeCounts):
    """Count what was predicted, whatever the target."""

    def _outcome_shape(self, case: Case) -> tuple[int, ...]:
        # A largest score is always that of a class. Binary and multilabel values may be below 0 or above 1.
        return (case.num_classes,) if case.kind == "multiclass" else (case.num_classes, 4)

    def _outcomes(self, case: Case, y_pred: Tensor, y: Tensor) -> Tensor:
        if case.kind == "multiclass":
            return y_pred.max(dim=1).indices
        outcomes = bin_of_label(y_pred, 2) + 1
        if case.kind == "multilabel":
            begins = torch.arange(0, 4 * case.num_classes, 4, device=y_pred.device)
            outcomes += begins.view(-1, *(1,) * (y_pred.ndim - 2))
        return outcomes

    def _rates(self, counts: Tensor) -> Tensor:
        counts = counts.to(sum_dtype(counts.device))
        if counts.ndim == 3:  # without what is refused
            counts = counts[..., 1:3]
            if counts.shape[1] > 1:
                return counts[..., 1] / counts.sum(dim=-1)
            counts = counts.squeeze(1)
        return counts / counts.sum(dim=1, keepdim=True)

    def _bad_input(self) -> Tensor | None:
        return self._counts[..., ::3].sum() != 0 if self._counts.ndim == 3 else None

    def _complaint(self) -> str:
        return (
            f"y_pred must hold zeros and ones for {type(self).__name__} where it is binary or multilabel, got other "
            "values; round probabilities with output_transform"
        )


class SelectionRate(_Selections):
    """Measure how often each class is predicted.

    The value is a tensor, float64: of multiclass scores `(N, C, ...)` the share of each class, of shape `(C,)`; of
    binary zeros and ones `(N, ...)` the shares of 0 and 1; of multilabel ones `(N, C, ...)` the share of samples
    with each label, of shape `(C,)`.

    Args:
        output_transform: makes `(y_pred, y)` of `engine.state.output`; of `y` only the shape matters.
        is_multilabel: each of the C entries is a label of its own.
        device: where to count; by default where the predictions are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` or `y` is no tensor.
        ValueError: shapes do not fit; or, when it is computed, binary or multilabel predictions were not 0 and 1.
        NotComputableError: `compute` was called before any sample was seen.

    >>> rate = SelectionRate()
    >>> rate.update((torch.eye(2)[[0, 1, 1, 1]], torch.tensor([0, 0, 1, 1])))
    >>> rate.compute()
    tensor([0.2500, 0.7500], dtype=torch.float64)
    """

    def update(self, output: Any) -> None:
        """Take in `(y_pred, y)`.

        Raises:
            TypeError: `output` is not a pair of tensors.
            ValueError: their shapes do not fit.
        """
        y_pred, y = parts(self, output, "(y_pred, y)", (2,))
        self._count(y_pred, y)

    def _value(self) -> Tensor:
        return self._rates(self._counts).squeeze(0)


class DemographicParityDifference(_Selections, RateDifference):
    """Measure the largest difference of the selection rates of two subgroups.

    It is 0 where each class is predicted as often for each of them, which is called demographic or statistical parity
    (Verma and Rubin 2018, https://doi.org/10.1145/3194770.3194776). Groups without a sample do not take
    part, nor do samples of none of the groups.

    Args:
        groups: the labels of the groups, numbers, each once.
        is_multilabel: each of the C entries is a label of its own.
        output_transform: makes `(y_pred, y, group_labels)` of `engine.state.output`: the first two as `SelectionRate`
            takes them, and a label for each sample, of shape `(N,)`.
        device: where to count; by default where the predictions are.

    Raises:
        TypeError: a group is no number, or a part of an output no tensor.
        ValueError: `groups` is empty or holds one twice; shapes do not fit; or, when it is computed, binary or
            multilabel predictions were not 0 and 1.
        NotComputableError: `compute` was called before samples of two groups were seen.

    >>> difference = DemographicParityDifference(groups=[0, 1])
    >>> y_pred, y = torch.eye(2)[[1, 1, 0, 1]], torch.tensor([1, 1, 0, 0])
    >>> difference.update((y_pred, y, torch.tensor([0, 0, 1, 1])))
    >>> difference.compute()
    0.5
    """
