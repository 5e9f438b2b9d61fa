"""MultiLabelConfusionMatrix: for each label, how often it was predicted and how often it was there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals.metrics.contingency import check_counts, checked_num_classes
from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.output import parts
from ignite_signals.metrics.streaming import Streaming

__all__ = ["MultiLabelConfusionMatrix"]

_TYPES = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)


class MultiLabelConfusionMatrix(Streaming):
    """Count the true and false negatives and positives of each label.

    `y_pred` and `y` are zeros and ones of shape `(N, C, ...)`, of an integer type or bool. The value is of shape
    `(C, 2, 2)`; for a label `c` it holds

    - `[c, 0, 0]` true negatives, `[c, 0, 1]` false positives,
    - `[c, 1, 0]` false negatives, `[c, 1, 1]` true positives.

    Args:
        num_classes: C, the number of labels, at least 2.
        output_transform: makes `(y_pred, y)` of `engine.state.output`; the place to round probabilities.
        device: where to count; by default where the predictions are.
        normalized: divide the four of each label by their sum; then the value is float64, else int64.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` or `y` is no tensor.
        ValueError: shapes or types do not fit; or, when it is computed, values were not 0 and 1.
        NotComputableError: `compute` was called before any sample was seen.

    >>> matrix = MultiLabelConfusionMatrix(num_classes=2)
    >>> matrix.update((torch.tensor([[1, 1], [0, 1], [1, 0]]), torch.tensor([[1, 0], [0, 1], [0, 1]])))
    >>> matrix.compute()
    tensor([[[1, 1],
             [0, 1]],
    <BLANKLINE>
            [[0, 1],
             [1, 1]]])
    """

    _reductions: ClassVar[dict[str, str]] = {"_counts": "SUM", "_num_examples": "SUM"}
    _accumulates_by: ClassVar[tuple[str, ...] | None] = (*(Streaming._accumulates_by or ()), "num_classes")

    # For each label 4 x 4: the target and the prediction, each below 0, 0, 1 or above 1.
    _counts: Tensor

    def __init__(
        self,
        num_classes: int,
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
        normalized: bool = False,
        skip_unrolling: bool = False,
    ) -> None:
        self.num_classes = checked_num_classes(num_classes)
        self.normalized = normalized
        super().__init__(output_transform, device=device, skip_unrolling=skip_unrolling)

    def _place(self, values: Tensor) -> None:
        super()._place(values)
        # Where the counts of each label begin: those of a 0 that was predicted as 0. In 32 bits as
        # all indices: the fewer bytes, the faster.
        self._begins = torch.arange(5, 16 * self.num_classes, 16, dtype=torch.int32, device=values.device)

    def _create(self, device: torch.device, values: Tensor) -> None:
        self._counts = torch.zeros(16 * self.num_classes, dtype=torch.int64, device=device)

    def load_state_dict(self, state_dict: Any) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            TypeError: `state_dict` is not a mapping.
            ValueError: it lacks a key, or is that of a metric with another `num_classes`.
        """
        check_counts(self, state_dict, 16 * self.num_classes)
        super().load_state_dict(state_dict)

    def update(self, output: Any) -> None:
        """Take in `(y_pred, y)`.

        Raises:
            TypeError: `output` is not a pair of tensors.
            ValueError: their shapes or types do not fit.
        """
        y_pred, y = self._checked(output)
        if not self._placed:
            self._place(y_pred)
        begins = self._begins if y.ndim == 2 else self._begins.view(-1, *(1,) * (y.ndim - 2))
        index = torch.add(_value_bin(y_pred), _value_bin(y), alpha=4).add_(begins).flatten()
        if not self._follows_values:
            index = index.to(self._device)
        self._counts.index_add_(0, index, torch.ones_like(index, dtype=torch.int64))
        self._num_examples += len(y)

    def _checked(self, output: Any) -> tuple[Tensor, Tensor]:
        y_pred, y = parts(self, output, "(y_pred, y)", (2,))
        if not (isinstance(y_pred, Tensor) and isinstance(y, Tensor)):
            raise TypeError(
                f"y_pred and y must be tensors for {type(self).__name__}, got {type(y_pred).__name__} and "
                f"{type(y).__name__}; convert them with output_transform"
            )
        if y_pred.dtype not in _TYPES or y.dtype not in _TYPES:
            raise ValueError(
                f"y_pred and y must be of an integer type or bool for {type(self).__name__}, got {y_pred.dtype} and "
                f"{y.dtype}; round and convert them with output_transform"
            )
        if y_pred.shape != y.shape or y.ndim < 2 or y.shape[1] != self.num_classes:
            raise ValueError(
                f"y_pred and y must be of shape (N, {self.num_classes}, ...) for {type(self).__name__}"
                f"(num_classes={self.num_classes}), got {tuple(y_pred.shape)} and {tuple(y.shape)}"
            )
        return y_pred, y

    def _bins(self) -> Tensor:
        return self._counts.view(self.num_classes, 4, 4)

    def _value(self) -> Tensor:
        matrix = self._bins()[:, 1:3, 1:3]
        if not self.normalized:
            return matrix.clone()
        matrix = matrix.to(sum_dtype(matrix.device))
        return matrix / matrix.sum(dim=(1, 2), keepdim=True)

    def _bad_input(self) -> Tensor:
        return self._bins()[:, 1:3, 1:3].sum() != self._counts.sum()

    def _complaint(self) -> str:
        return (
            f"y_pred and y must be zeros and ones for {type(self).__name__}, got other values; "
            "round and convert them with output_transform"
        )


def _value_bin(values: Tensor) -> Tensor:
    """Return -1 for what is below 0, 0, 1, and 2 for what is above 1."""
    if values.dtype == torch.bool:
        return values.int()
    # A lower bound of -1 means nothing to an unsigned type.
    return (values.clamp(max=2) if values.dtype == torch.uint8 else values.clamp(-1, 2)).int()
