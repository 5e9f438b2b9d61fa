"""HitRate: the share of the users who find something among their first items."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ignite_signals.metrics.constants import constants
from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.rec_sys.cutoffs import AtCutoffs

__all__ = ["HitRate"]


class HitRate(AtCutoffs):
    """Measure the share of the users to whom an item among their k best scored is relevant.

    A user counts once, however many of the k items are relevant. An item that is not relevant comes before
    one of the same score that is, so that scores without an order gain nothing; so does one whose score is NaN.

    Args:
        top_k: how many of the first items to look at: a positive integer, or several.
        ignore_zero_hits: leave out users to whom nothing is relevant, instead of counting them as a miss.
        output_transform: makes `(y_pred, y)` of `engine.state.output`: scores of shape `(users, items)`,
            and zeros and ones of the same shape, 1 where an item is relevant.
        device: where to count; by default where the scores are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` or `y` is no real tensor.
        ValueError: `top_k` holds none or others than positive integers; the shapes do not fit, or there are
            fewer items than `top_k` says; told by `compute`: a target is neither 0 nor 1.
        NotComputableError: `compute` was called before any user was seen, or one to whom an item is relevant.

    >>> hit_rate = HitRate(top_k=[1, 2])
    >>> y_pred = torch.tensor([[4.0, 2.0, 3.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
    >>> hit_rate.update((y_pred, torch.tensor([[0, 0, 1, 1], [0, 0, 0, 1]])))
    >>> hit_rate.compute()
    [0.5, 1.0]
    """

    def __init__(
        self,
        top_k: int | Sequence[int] = 1,
        ignore_zero_hits: bool = True,
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        super().__init__(top_k, ignore_zero_hits, output_transform, device, skip_unrolling)

    def _place(self, values: Tensor) -> None:
        super()._place(values)
        self._cutoffs = constants(self.top_k, self._num_users.device)

    def _create(self, device: torch.device, values: Tensor) -> None:
        super()._create(device, values)
        self._sum = torch.zeros(len(self.top_k), dtype=torch.int64, device=device)

    def _check_shape(self, values: Tensor) -> None:
        super()._check_shape(values)
        if values.shape[1] < self.top_k[-1]:
            raise ValueError(
                f"top_k must be at most the number of items for {type(self).__name__}, which is {values.shape[1]}, "
                f"got {self.top_k}"
            )

    def _take_in(self, y_pred: Tensor, y: Tensor) -> None:
        relevant = y > 0
        best = torch.where(relevant, y_pred, -math.inf).amax(dim=1, keepdim=True)
        # Of how many items a user sees before the first relevant one; of all, if there is none.
        after = (y_pred < best).logical_or_(relevant).count_nonzero(dim=1)
        before = (y.shape[1] - after).unsqueeze(1)
        self._sum += (before < self._cutoffs).sum(dim=0)
        self._num_users += (y.amax(dim=1) > 0).sum() if self.ignore_zero_hits else len(y)
        # Only 0 and 1 are their own squares.
        self._num_invalid += torch.addcmul(y, y, y, value=-1).count_nonzero()

    def _complaint(self) -> str:
        return f"y must hold zeros and ones for {type(self).__name__}, 1 where an item is relevant, got other values"
