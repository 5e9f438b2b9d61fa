"""NDCG: how much of what the best order of a user's items is worth theirs is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ignite_signals.metrics.constants import constants
from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.rec_sys.cutoffs import AtCutoffs

__all__ = ["NDCG"]

_GAIN_FUNCTIONS = ("exp_rank", "linear_rank")


class NDCG(AtCutoffs):
    r"""Measure the normalized discounted cumulative gain of the k best scored items, averaged over users.

    A user's value is DCG / IDCG, where DCG is the sum of `gain(relevance) / log2(i + 1)` over the items at the
    ranks i from 1 to k, and IDCG that of the best order; it is 0 where IDCG is 0. Items of the same score
    share the mean of their gains, as if averaged over their orders, so that the order of the columns is worth
    nothing. The value for `gain_function="linear_rank"` is that of `sklearn.metrics.ndcg_score`.

    Args:
        top_k: how many of the first items to look at: a positive integer, or several. Where there are fewer
            items, all count.
        ignore_zero_hits: leave out users to whom nothing is relevant, instead of counting them as 0.
        relevance_threshold: the relevance from which an item is relevant; others gain nothing.
        gain_function: "exp_rank" for `2 ** relevance - 1`, or "linear_rank" for the relevance itself.
        output_transform: makes `(y_pred, y)` of `engine.state.output`: scores of shape `(users, items)`,
            and relevances, binary or graded, of the same shape.
        device: where to sum; by default where the scores are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` or `y` is no real tensor.
        ValueError: `top_k` holds none or others than positive integers; `gain_function` is neither of the
            two; the shapes do not fit; told by `compute`: a score is NaN, or a gain not finite.
        NotComputableError: `compute` was called before any user was seen, or one to whom an item is relevant.

    Sources: K. Järvelin and J. Kekäläinen, *Cumulated gain-based evaluation of IR techniques*, ACM TOIS 20,
    2002; for ties F. McSherry and M. Najork, *Computing information retrieval performance measures
    efficiently in the presence of tied scores*, ECIR 2008.

    >>> ndcg = NDCG(top_k=[1, 2, 4])
    >>> ndcg.update((torch.tensor([[4.0, 2.0, 3.0, 1.0]]), torch.tensor([[0.0, 0.0, 1.0, 1.0]])))
    >>> [round(value, 4) for value in ndcg.compute()]
    [0.0, 0.3869, 0.6509]
    """

    _accumulates_by: ClassVar[tuple[str, ...] | None] = (
        *(AtCutoffs._accumulates_by or ()),
        "relevance_threshold",
        "gain_function",
    )

    def __init__(
        self,
        top_k: int | Sequence[int],
        ignore_zero_hits: bool = True,
        relevance_threshold: float = 1.0,
        gain_function: Literal["exp_rank", "linear_rank"] = "exp_rank",
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        if gain_function not in _GAIN_FUNCTIONS:
            raise ValueError(f"gain_function must be one of {_GAIN_FUNCTIONS}, got {gain_function!r}")
        self.relevance_threshold = relevance_threshold
        self.gain_function = gain_function
        super().__init__(top_k, ignore_zero_hits, output_transform, device, skip_unrolling)

    def _place(self, values: Tensor) -> None:
        super()._place(values)
        device, dtype = self._sum.device, self._sum.dtype
        ranks = torch.arange(1, self.top_k[-1] + 1, device=device).unsqueeze(1)
        # A column for each k, 0 beyond it: one product gives the sums for all of them.
        self._discounts = (ranks <= constants(self.top_k, device)) / torch.log2(ranks.to(dtype) + 1)

    def _create(self, device: torch.device, values: Tensor) -> None:
        super()._create(device, values)
        self._sum = torch.zeros(len(self.top_k), dtype=sum_dtype(device), device=device)

    def _take_in(self, y_pred: Tensor, y: Tensor) -> None:
        count = min(self.top_k[-1], y.shape[1])
        discounts = self._discounts.narrow(0, 0, count)
        scores, order = y_pred.topk(count, dim=1)
        best = y.topk(count, dim=1).values
        gains = self._shared(self._gains(y.gather(1, order)), scores, y_pred, y)
        ideal = self._gains(best) @ discounts
        self._sum += torch.where(ideal > 0, gains @ discounts / ideal, 0.0).sum(dim=0)
        largest = best.select(1, 0)
        self._num_users += (largest >= self.relevance_threshold).sum() if self.ignore_zero_hits else len(y)
        # NaN stands first; a gain times 0 is NaN where it is not finite.
        self._num_invalid += (scores.select(1, 0) + self._gain(largest) * 0).isnan().sum()

    def _shared(self, gains: Tensor, scores: Tensor, y_pred: Tensor, y: Tensor) -> Tensor:
        """Return the first items' gains, where each has the mean of all items of the same score."""
        others = scores.shape[1] - 1
        group = torch.zeros_like(scores, dtype=torch.int64)
        differs = scores.narrow(1, 1, others) != scores.narrow(1, 0, others)
        torch.cumsum(differs, 1, out=group.narrow(1, 1, others))
        totals = torch.zeros_like(gains).scatter_add_(1, group, gains)
        sizes = torch.zeros_like(gains).scatter_add_(1, group, gains.new_ones(()).expand_as(gains))
        # There may be items of the lowest score that are not among the first.
        lowest, last = y_pred == scores.narrow(1, others, 1), group.narrow(1, others, 1)
        totals.scatter_(1, last, (self._gains(y) * lowest).sum(dim=1, keepdim=True))
        sizes.scatter_(1, last, lowest.sum(dim=1, keepdim=True).to(sizes.dtype))
        return totals.gather(1, group) / sizes.gather(1, group)

    def _gain(self, y: Tensor) -> Tensor:
        y = y.to(self._sum.dtype)
        return y.exp2().sub_(1) if self.gain_function == "exp_rank" else y

    def _gains(self, y: Tensor) -> Tensor:
        return torch.where(y >= self.relevance_threshold, self._gain(y), 0.0)

    def _complaint(self) -> str:
        return (
            f"y_pred must hold no NaN for {type(self).__name__}, and y relevances of a finite gain, got others; "
            "replace them with output_transform"
        )
