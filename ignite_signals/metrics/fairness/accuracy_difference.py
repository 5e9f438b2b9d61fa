"""SubgroupAccuracyDifference: how much better some subgroups are predicted than others."""

from __future__ import annotations

from torch import Tensor

from ignite_signals.metrics.classification import Case, class_indices
from ignite_signals.metrics.fairness.outcomes import RateDifference
from ignite_signals.metrics.mean import sum_dtype

__all__ = ["SubgroupAccuracyDifference"]


class SubgroupAccuracyDifference(RateDifference):
    """Measure the largest difference of the accuracies of two subgroups.

    It is 0 where a prediction is as often right for each of them, which is called overall accuracy equality
    (Verma and Rubin 2018, https://doi.org/10.1145/3194770.3194776). Groups without a sample do not take
    part, nor do samples of none of the groups.

    Args:
        groups: the labels of the groups, numbers, each once.
        is_multilabel: each of the C entries is a label of its own.
        output_transform: makes `(y_pred, y, group_labels)` of `engine.state.output`: the first two as `Accuracy`
            takes them, and a label for each sample, of shape `(N,)`.
        device: where to count; by default where the predictions are.

    Raises:
        TypeError: a group is no number, or a part of an output no tensor.
        ValueError: `groups` is empty or holds one twice; shapes do not fit; or, when it is computed, targets were not
            in `[0, C)`, or binary or multilabel values not 0 and 1.
        NotComputableError: `compute` was called before samples of two groups were seen.

    >>> import torch
    >>> difference = SubgroupAccuracyDifference(groups=[0, 1])
    >>> y_pred, y = torch.eye(2)[[0, 1, 0, 1]], torch.tensor([0, 1, 1, 1])
    >>> difference.update((y_pred, y, torch.tensor([0, 0, 1, 1])))
    >>> difference.compute()
    0.5
    """

    def _outcome_shape(self, case: Case) -> tuple[int, ...]:
        return (4,)  # wrong, right, and each of them for values that are refused

    def _outcomes(self, case: Case, y_pred: Tensor, y: Tensor) -> Tensor:
        if case.kind == "multiclass":
            predicted, y = y_pred.max(dim=1).indices, class_indices(y)
            refused = y.clamp(0, case.num_classes - 1) != y
        else:
            predicted = y_pred.reshape(y.shape)
            refused = _is_not_0_or_1(predicted) | _is_not_0_or_1(y)
        right = predicted == y
        if case.kind == "multilabel":
            right, refused = right.all(dim=1), refused.any(dim=1)
        return right.long().add_(refused, alpha=2)

    def _rates(self, counts: Tensor) -> Tensor:
        counts = counts.to(sum_dtype(counts.device))
        return counts[:, 1:2] / counts.sum(dim=1, keepdim=True)

    def _bad_input(self) -> Tensor:
        return self._counts[:, 2:].sum() != 0

    def _complaint(self) -> str:
        return (
            f"y must be in [0, C) for {type(self).__name__}, and y_pred and y zeros and ones where they are binary or "
            "multilabel, got other values; round probabilities with output_transform"
        )


def _is_not_0_or_1(values: Tensor) -> Tensor:
    return (values != 0) != (values == 1)
