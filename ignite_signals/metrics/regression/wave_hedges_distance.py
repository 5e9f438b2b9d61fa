"""WaveHedgesDistance: the sum of the absolute errors, each relative to the larger value."""

from __future__ import annotations

import torch
from torch import Tensor

from ignite_signals.metrics.regression.base import ALMOST_0, SumOfErrors

__all__ = ["WaveHedgesDistance"]


class WaveHedgesDistance(SumOfErrors):
    """Sum the absolute errors of all samples, each relative to the larger value of its pair.

    The value is `sum |y - y_pred| / max(y, y_pred)`; `y_pred` and `y` are of shape `(N,)` or `(N, 1)`. It is meant for
    values that are not negative. A pair of zeros adds 0.

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
    >>> metric = WaveHedgesDistance()
    >>> metric.update((torch.tensor([1.0, 3.0, 4.0]), torch.tensor([1.0, 2.0, 8.0])))
    >>> round(metric.compute(), 4)
    0.8333
    """

    def _summed(self, y_pred: Tensor, y: Tensor) -> Tensor:
        return (y - y_pred).abs_().div_(torch.maximum(y, y_pred).add_(ALMOST_0)).sum()
