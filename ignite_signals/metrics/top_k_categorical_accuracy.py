"""TopKCategoricalAccuracy: how often the right class is among the k that are predicted first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals.metrics.accuracy import ShareOfRight
from ignite_signals.metrics.classification import Case, class_indices
from ignite_signals.metrics.metric import unchanged

__all__ = ["TopKCategoricalAccuracy"]


class TopKCategoricalAccuracy(ShareOfRight):
    """Measure the share of samples whose class is among the k with the largest scores.

    Of classes with equal scores in half precision or integers, where they are common, the later one goes first, as in
    scikit-learn's `top_k_accuracy_score
    <https://scikit-learn.org/stable/modules/generated/sklearn.metrics.top_k_accuracy_score.html>`_;
    in float32 and float64 any of them may, as in `torch.topk`.

    Args:
        k: how many classes may go first, from 1 to the number of classes.
        output_transform: makes `(y_pred, y)` of `engine.state.output`, `(N, C, ...)` scores and `(N, ...)` classes.
        device: where to count; by default where the predictions are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `k` is not an int, or `y_pred` or `y` no real tensor.
        ValueError: `k` is not positive, or above the number of classes; shapes do not fit, or the number of classes
            changed; or, told by `compute`, since `update` does not wait for the device, classes were not in [0, C).
        NotComputableError: `compute` was called before any sample was seen.

    >>> accuracy = TopKCategoricalAccuracy(k=2)
    >>> y_pred = torch.tensor([[0.7, 0.2, 0.1], [0.2, 0.3, 0.5]])
    >>> accuracy.update((y_pred, torch.tensor([1, 0])))
    >>> accuracy.compute()
    0.5
    """

    _accumulates_by: ClassVar[tuple[str, ...] | None] = (*(ShareOfRight._accumulates_by or ()), "_k")

    def __init__(
        self,
        k: int = 5,
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        if isinstance(k, bool) or not isinstance(k, int):
            raise TypeError(f"k must be an int, got {k!r}")
        if k < 1:
            raise ValueError(f"k must be positive, got {k}")
        self._k = k
        super().__init__(output_transform, device=device, skip_unrolling=skip_unrolling)

    def _look_at(self, y_pred: Tensor, y: Tensor) -> Case:
        case = super()._look_at(y_pred, y)
        kind, num_classes = case
        if kind != "multiclass":
            raise ValueError(
                f"y_pred must be of shape (N, C, ...) and y of shape (N, ...) for {type(self).__name__}, "
                f"got {tuple(y_pred.shape)} and {tuple(y.shape)}; choose them with output_transform"
            )
        if self._k > num_classes:
            raise ValueError(
                f"k of {type(self).__name__} must be at most the number of classes {num_classes}, got {self._k}"
            )
        # In half precision and integers, equal scores are common: there it matters which goes first.
        self._by_sorting = y_pred.dtype in (torch.float32, torch.float64) and self._batch_size < 128
        self._indices = torch.arange(num_classes, device=y_pred.device).view(-1, *[1] * (y.ndim - 1))
        return case

    def _num_right(self, y_pred: Tensor, y: Tensor, case: Case) -> Tensor:
        indices = class_indices(y)
        self._see(indices)
        y = indices.unsqueeze(1)
        if self._by_sorting:
            return torch.count_nonzero(y_pred.topk(self._k, dim=1, sorted=False)[1] == y)
        # To count the classes that do not go before the target's takes a fraction of the time of `topk` for many
        # samples, and settles what equal scores mean. It is one of them itself, unless its score is NaN.
        score = y_pred.gather(1, y.clamp(0, case.num_classes - 1))  # what is no class must not index into memory
        behind = y_pred == score
        behind &= self._indices <= y
        behind |= y_pred < score
        return torch.count_nonzero(behind.sum(dim=1, dtype=torch.int32) > case.num_classes - self._k)
