"""ManhattanDistance: the sum of the absolute errors."""

from __future__ import annotations

from torch import Tensor

from ignite_signals.metrics.regression.base import SumOfErrors

__all__ = ["ManhattanDistance"]


class ManhattanDistance(SumOfErrors):
    """Sum the absolute errors of all samples.

    The value is `sum |y - y_pred|`; `y_pred` and `y` are of shape `(N,)` or `(N, 1)`.

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
    >>> metric = ManhattanDistance()
    >>> metric.update((torch.tensor([1.0, 3.0, 4.0]), torch.tensor([1.0, 2.0, 8.0])))
    >>> metric.compute()
    5.0
    """

    def _summed(self, y_pred: Tensor, y: Tensor) -> Tensor:
        return (y - y_pred).abs_().sum()
