"""MaximumAbsoluteError: the largest absolute error."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.regression.base import Regression

__all__ = ["MaximumAbsoluteError"]


class MaximumAbsoluteError(Regression):
    """Find the largest absolute error.

    The value is `max |y - y_pred|`; `y_pred` and `y` are of shape `(N,)` or `(N, 1)`.

    The formula is that of Botchkarev, "Performance Metrics (Error Measures) in Machine Learning Regression,
    Forecasting and Prognostics", 2018, https://arxiv.org/abs/1809.03006.

    Args:
        output_transform: makes `(y_pred, y)` of `engine.state.output`.
        device: where to sum; by default where the predictions are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` or `y` is no tensor, or a complex one.
        ValueError: their shapes do not fit.
        NotComputableError: `compute` was called before any sample was seen.

    >>> import torch
    >>> metric = MaximumAbsoluteError()
    >>> metric.update((torch.tensor([1.0, 3.0, 4.0]), torch.tensor([1.0, 2.0, 8.0])))
    >>> metric.compute()
    4.0
    """

    _reductions: ClassVar[dict[str, str]] = {"_largest": "MAX", "_num_examples": "SUM"}

    _largest: Tensor

    def _create(self, device: torch.device, values: Tensor) -> None:
        self._largest = torch.zeros((), dtype=sum_dtype(device), device=device)

    def _accumulate(self, y_pred: Tensor, y: Tensor) -> None:
        if not self._placed:
            self._place(y)
        torch.maximum(self._largest, self._home((y - y_pred).abs_().amax()), out=self._largest)

    def _value(self) -> Tensor:
        return self._largest
