"""PearsonCorrelation: how far predictions and targets lie on a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.regression.moments import Moments

__all__ = ["PearsonCorrelation"]


class PearsonCorrelation(Moments):
    """Measure how far predictions and targets lie on a line, from -1 to 1.

    The value is `s(y_pred, y) / max(sqrt(s(y_pred, y_pred) * s(y, y)), eps)` with
    `s(a, b) = sum (a - mean(a)) * (b - mean(b))`; `y_pred` and `y` are of shape `(N,)` or `(N, 1)`. Where one of
    them is constant, it is 0. A mean far above the spread costs no digits.

    Args:
        eps: what the denominator is at least, so that it is not 0.
        output_transform: makes `(y_pred, y)` of `engine.state.output`.
        device: where to sum; by default where the predictions are. Outputs are copied there.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` or `y` is no tensor, or a complex one.
        ValueError: their shapes do not fit, or `eps` is negative or no number.
        NotComputableError: `compute` was called before any sample was seen.

    >>> import torch
    >>> metric = PearsonCorrelation()
    >>> metric.update((torch.tensor([1.0, 3.0, 4.0]), torch.tensor([1.0, 2.0, 8.0])))
    >>> round(metric.compute(), 4)
    0.8358
    """

    def __init__(
        self,
        eps: float = 1e-8,
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        if not (isinstance(eps, int | float) and eps >= 0):
            raise ValueError(f"eps must be a number of at least 0, got {eps!r}")
        self.eps = eps
        super().__init__(output_transform, device=device, skip_unrolling=skip_unrolling)

    def _accumulate(self, y_pred: Tensor, y: Tensor) -> None:
        values = self._home(torch.stack((y_pred, y)))
        if not self._placed:
            self._place(values)
        values = values.to(self._pivot.dtype).sub_(self._pivot.unsqueeze(1))
        self._sums += values.sum(1)
        self._products.addmm_(values, values.T)

    def _value(self) -> Tensor:
        products = self._about_mean()
        spread = products.diagonal().clamp_min(0).sqrt().prod()
        return (products[0, 1] / spread.clamp_min(self.eps)).clamp(-1, 1)
