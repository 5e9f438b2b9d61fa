"""R2Score: the share of the targets' variance that the predictions explain."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from ignite_signals.metrics.regression.moments import Moments

__all__ = ["R2Score"]


MANY = 16384


class R2Score(Moments):
    """Measure the share of the targets' variance that the predictions explain, at most 1.

    The value is `1 - sum (y - y_pred) ** 2 / sum (y - mean(y)) ** 2`, the coefficient of determination; `y_pred` and
    `y` are of shape `(N,)` or `(N, 1)`. A mean far above the spread costs no digits. As in scikit-learn, the value for
    constant targets is 1 if all predictions are exact, else 0, and that of one sample is NaN.

    Args:
        output_transform: makes `(y_pred, y)` of `engine.state.output`.
        device: where to sum; by default where the predictions are. Targets are copied there.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` or `y` is no tensor, or a complex one.
        ValueError: their shapes do not fit.
        NotComputableError: `compute` was called before any sample was seen.

    >>> import torch
    >>> metric = R2Score()
    >>> metric.update((torch.tensor([1.0, 3.0, 4.0]), torch.tensor([1.0, 2.0, 6.0])))
    >>> round(metric.compute(), 4)
    0.6429
    """

    _reductions: ClassVar[dict[str, str]] = {**Moments._reductions, "_squared_errors": "SUM"}

    _squared_errors: Tensor

    def _create(self, device: torch.device, values: Tensor) -> None:
        super()._create(device, values)
        self._squared_errors = self._sums.new_zeros(())

    def _accumulate(self, y_pred: Tensor, y: Tensor) -> None:
        if not self._placed:
            self._place(y.unsqueeze(0))
        targets = (y if self._follows_values else y.to(self._device)) - self._pivot  # in float64
        self._sums += targets.sum()
        self._products += targets.dot(targets)
        errors = y - y_pred
        # A dot product saves a pass, but in float32 it loses digits where there are many.
        squares = errors.dot(errors) if errors.numel() <= MANY else errors.square_().sum()
        self._squared_errors += squares if self._follows_values else squares.to(self._device)

    def _value(self) -> Tensor:
        errors, variation = self._squared_errors, self._about_mean()[0, 0]
        unexplained = torch.where(variation == 0, errors.sign(), errors / variation)
        single = torch.as_tensor(self._num_examples == 1, device=errors.device)
        return (1 - unexplained).masked_fill(single, math.nan)
