"""KendallRankCorrelation: how far predictions and targets order the samples alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.regression.all_outputs import AllOutputs, exact
from ignite_signals.metrics.regression.ranks import dense_ranks, inversions, tied_pairs

__all__ = ["KendallRankCorrelation"]


class KendallRankCorrelation(AllOutputs):
    """Keep all outputs, and measure how far predictions and targets order the samples alike, from -1 to 1.

    Of the pairs of samples, C are in the same order by `y_pred` and by `y`, and D in the opposite one; T and U
    are tied in `y_pred` alone and in `y` alone. The value is

    - tau-b: `(C - D) / sqrt((C + D + T) * (C + D + U))`;
    - tau-c: `2 * (C - D) / (N ** 2 * (m - 1) / m)`, with m the smaller number of different values.

    `y_pred` and `y` are of shape `(N,)` or `(N, 1)`. Where one of them is constant, the value is NaN. Memory grows with
    the data, and computing takes O(N log(N)^2) time. The source is Kendall, "The Treatment of Ties in Ranking
    Problems", 1945, https://doi.org/10.1093/biomet/33.3.239.

    Args:
        variant: "b" or "c".
        output_transform: makes `(y_pred, y)` of `engine.state.output`.
        check_compute_fn: taken since PyTorch-Ignite takes it; there is nothing to check.
        device: where to keep the outputs; by default where they are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` or `y` is no tensor, or a complex one.
        ValueError: their shapes do not fit, or there is no such variant.
        NotComputableError: `compute` was called before any sample was seen.

    >>> import torch
    >>> metric = KendallRankCorrelation()
    >>> metric.update((torch.tensor([0.5, 2.8, 1.9, 1.3]), torch.tensor([0.0, 1.0, 2.0, 3.0])))
    >>> metric.compute()
    0.0
    """

    def __init__(
        self,
        variant: Literal["b", "c"] = "b",
        output_transform: Callable[[Any], Any] = unchanged,
        check_compute_fn: bool = True,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        if variant not in ("b", "c"):
            raise ValueError(f"variant must be 'b' or 'c', got {variant!r}")
        self._variant = variant
        super().__init__(output_transform, device=device, skip_unrolling=skip_unrolling)

    def _value(self, y_pred: Tensor, y: Tensor) -> Tensor:
        (x_ranks, x_counts), (y_ranks, y_counts) = dense_ranks(y_pred), dense_ranks(y)
        both, both_counts = dense_ranks(x_ranks * len(y_counts) + y_ranks)
        # Sorted by predictions, and tied ones by targets, a pair is discordant if its targets are inverted.
        discordant = inversions(y_ranks[both.argsort()])
        pairs = len(y) * (len(y) - 1) // 2
        x_untied, y_untied = pairs - tied_pairs(x_counts), pairs - tied_pairs(y_counts)
        difference = x_untied + y_untied - pairs + tied_pairs(both_counts) - 2 * discordant
        if self._variant == "b":
            scale = exact(x_untied).sqrt() * exact(y_untied).sqrt()
        else:
            classes = min(len(x_counts), len(y_counts))
            scale = torch.full_like(exact(difference), len(y) ** 2 / 2 * (classes - 1) / classes)
        tau = (exact(difference) / scale).clamp(-1, 1)
        return tau.masked_fill(y_pred.isnan().any() | y.isnan().any(), torch.nan)
