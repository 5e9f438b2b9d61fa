"""GeometricMeanAbsoluteError: the geometric mean of the absolute errors."""

from __future__ import annotations

from torch import Tensor

from ignite_signals.metrics.regression.base import MeanOfErrors

__all__ = ["GeometricMeanAbsoluteError"]


FEW = 1024


class GeometricMeanAbsoluteError(MeanOfErrors):
    """Take the geometric mean of the absolute errors.

    The value is `exp(1 / N * sum ln |y - y_pred|)`, and so 0 if one prediction is exact; `y_pred` and `y` are of shape
    `(N,)` or `(N, 1)`.

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
    >>> metric = GeometricMeanAbsoluteError()
    >>> metric.update((torch.tensor([1.0, 3.0]), torch.tensor([3.0, 11.0])))
    >>> metric.compute()
    4.0
    """

    def _summed(self, y_pred: Tensor, y: Tensor) -> Tensor:
        errors = (y - y_pred).abs_()
        # The rounding of a logarithm is a relative error of the value: float32 needs many, to average it out.
        return (errors if errors.numel() > FEW else errors.to(self._sum.dtype)).log_().sum()

    def _value(self) -> Tensor:
        return super()._value().exp()
