"""The base of the metrics that look at the first k items of each user, for several k at once."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics.contingency import check_real
from ignite_signals.metrics.device_value import as_tensor_by
from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.pairs import float_pair
from ignite_signals.metrics.streaming import Streaming

__all__ = ["AtCutoffs"]


class AtCutoffs(Streaming):
    """Average a quantity of each user, for each of several k.

    Args:
        top_k: how many of the first items to look at: a positive integer, or several.
        ignore_zero_hits: leave out users to whom nothing is relevant, instead of counting them as 0.
        output_transform: makes `(y_pred, y)` of `engine.state.output`, of shape `(users, items)`.
        device: where to sum; by default where the scores are.
        skip_unrolling: give lists to `update` as they are.
    """

    _reductions: ClassVar[dict[str, str]] = {
        "_sum": "SUM",
        "_num_users": "SUM",
        "_num_invalid": "SUM",
        "_num_examples": "SUM",
    }
    _accumulates_by: ClassVar[tuple[str, ...] | None] = (
        *(Streaming._accumulates_by or ()),
        "_take_in",
        "top_k",
        "ignore_zero_hits",
    )

    _sum: Tensor
    _num_users: Tensor
    _num_invalid: Tensor

    def __init__(
        self,
        top_k: int | Sequence[int],
        ignore_zero_hits: bool = True,
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        self.top_k = _sorted_cutoffs(top_k)
        self.ignore_zero_hits = ignore_zero_hits
        super().__init__(output_transform, device=device, skip_unrolling=skip_unrolling)

    def _create(self, device: torch.device, values: Tensor) -> None:
        self._num_users = torch.zeros((), dtype=torch.int64, device=device)
        self._num_invalid = torch.zeros((), dtype=torch.int64, device=device)

    def load_state_dict(self, state_dict: Any) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            TypeError: `state_dict` is not a mapping.
            ValueError: it lacks a key, or is that of a metric with another number of `top_k`.
        """
        sums = state_dict.get("_sum") if isinstance(state_dict, Mapping) else None
        if sums is not None and len(sums) != len(self.top_k):
            raise ValueError(
                f"state_dict must be that of a {type(self).__name__} with the same top_k, and have {len(self.top_k)} "
                f"sums, got {len(sums)}"
            )
        super().load_state_dict(state_dict)

    def update(self, output: Any) -> None:
        """Take in `(y_pred, y)`.

        Raises:
            TypeError: `output` is not a pair of real tensors.
            ValueError: their shapes do not fit.
        """
        y_pred, y = float_pair(self, output)
        check_real(self, y_pred, y)
        self._check_shape(y_pred)
        if not self._placed:
            self._place(y_pred)
        if not self._follows_values:
            y_pred, y = y_pred.to(self._device), y.to(self._device)
        self._take_in(y_pred, y)
        self._num_examples += len(y)

    def _check_shape(self, values: Tensor) -> None:
        if values.ndim != 2 or values.shape[1] == 0:
            raise ValueError(
                f"y_pred and y must be of shape (users, items) for {type(self).__name__}, got {tuple(values.shape)}"
            )

    @abstractmethod
    def _take_in(self, y_pred: Tensor, y: Tensor) -> None:
        """Add what the users of a batch give to the state."""

    def _value(self) -> Tensor:
        return self._sum.to(sum_dtype(self._sum.device)) / self._num_users

    def _bad_input(self) -> Tensor:
        return self._num_invalid > 0

    @as_tensor_by(Streaming._unread)
    def compute(self) -> list[float]:
        """Return the mean over the users for each k, in the order of `top_k`, which is sorted.

        Raises:
            NotComputableError: nothing was seen, or nobody to whom anything is relevant.
            ValueError: values were seen that the metric does not take.
        """
        means: list[float] = super().compute().tolist()
        if math.isnan(means[0]):
            raise NotComputableError(
                f"{type(self).__name__} has seen no user to whom an item is relevant; "
                "ignore_zero_hits=False counts such users as 0"
            )
        return means


def _sorted_cutoffs(top_k: Any) -> list[int]:
    cutoffs = [top_k] if isinstance(top_k, int) else top_k
    if not isinstance(cutoffs, Sequence) or not cutoffs or not all(_is_positive(k) for k in cutoffs):
        raise ValueError(f"top_k must be a positive integer, or a list of them, got {top_k!r}")
    return sorted(cutoffs)


def _is_positive(k: Any) -> bool:
    return isinstance(k, int) and not isinstance(k, bool) and k > 0
