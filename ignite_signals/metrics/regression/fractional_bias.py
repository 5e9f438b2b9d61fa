"""FractionalBias: the mean of the errors, each relative to its pair."""

from __future__ import annotations

from torch import Tensor

from ignite_signals.metrics.regression.base import ALMOST_0, MeanOfErrors

__all__ = ["FractionalBias"]


class FractionalBias(MeanOfErrors):
    """Average the errors, with their signs, each relative to the mean of its pair.

    The value is `1 / N * sum 2 (y - y_pred) / (y + y_pred)`; `y_pred` and `y` are of shape `(N,)` or `(N, 1)`. A pair
    of zeros adds 0; any other pair that sums to 0 has no such quotient, and adds what is beyond all others.

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
    >>> metric = FractionalBias()
    >>> metric.update((torch.tensor([1.0, 3.0, 4.0]), torch.tensor([1.0, 2.0, 8.0])))
    >>> round(metric.compute(), 4)
    0.0889
    """

    def _summed(self, y_pred: Tensor, y: Tensor) -> Tensor:
        # Terms of both signs cancel: a float32 sum would leave too few digits.
        return (y - y_pred).div_((y + y_pred).add_(ALMOST_0)).sum(dtype=self._sum.dtype)

    def _value(self) -> Tensor:
        return 2 * super()._value()
