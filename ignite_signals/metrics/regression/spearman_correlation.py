"""SpearmanRankCorrelation: the correlation of the ranks of predictions and targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.regression.all_outputs import AllOutputs
from ignite_signals.metrics.regression.ranks import mean_ranks

__all__ = ["SpearmanRankCorrelation"]


class SpearmanRankCorrelation(AllOutputs):
    """Keep all outputs, and measure how far targets rise with predictions, from -1 to 1.

    The value is the Pearson correlation of the ranks, where equal values share the mean of theirs; `y_pred` and `y` are
    of shape `(N,)` or `(N, 1)`. Where one of them is constant, it is NaN. Memory grows with the data. The source is
    Spearman, "The Proof and Measurement of Association between Two Things", 1904, https://doi.org/10.2307/1412159.

    Args:
        output_transform: makes `(y_pred, y)` of `engine.state.output`.
        check_compute_fn: taken since PyTorch-Ignite takes it; there is nothing to check.
        device: where to keep the outputs; by default where they are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` or `y` is no tensor, or a complex one.
        ValueError: their shapes do not fit.
        NotComputableError: `compute` was called before any sample was seen.

    >>> import torch
    >>> metric = SpearmanRankCorrelation()
    >>> metric.update((torch.tensor([0.5, 2.8, 1.9, 1.3]), torch.tensor([0.0, 1.0, 2.0, 3.0])))
    >>> metric.compute()
    0.2
    """

    def __init__(
        self,
        output_transform: Callable[[Any], Any] = unchanged,
        check_compute_fn: bool = True,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        super().__init__(output_transform, device=device, skip_unrolling=skip_unrolling)

    def _value(self, y_pred: Tensor, y: Tensor) -> Tensor:
        # The mean of all ranks is known, and exact.
        centre = (len(y) + 1) / 2
        a, b = mean_ranks(y_pred) - centre, mean_ranks(y) - centre
        correlation = (a.dot(b) / (a.dot(a) * b.dot(b)).sqrt()).clamp(-1, 1)
        return correlation.masked_fill(y_pred.isnan().any() | y.isnan().any(), torch.nan)
