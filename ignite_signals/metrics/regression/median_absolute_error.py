"""MedianAbsoluteError: the median of the absolute errors."""

from __future__ import annotations

from torch import Tensor

from ignite_signals.metrics.regression.all_outputs import AllOutputs, exact, median

__all__ = ["MedianAbsoluteError"]


class MedianAbsoluteError(AllOutputs):
    """Keep all outputs, and take the median of the absolute errors.

    The value is `median |y - y_pred|`, of an even number of samples the mean of the two in the middle; `y_pred` and
    `y` are of shape `(N,)` or `(N, 1)`. Memory grows with the data. A NaN among the errors makes the value NaN.

    The formula is that of Botchkarev, "Performance Metrics (Error Measures) in Machine Learning Regression,
    Forecasting and Prognostics", 2018, https://arxiv.org/abs/1809.03006.

    Args:
        output_transform: makes `(y_pred, y)` of `engine.state.output`.
        device: where to keep the outputs; by default where they are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` or `y` is no tensor, or a complex one.
        ValueError: their shapes do not fit.
        NotComputableError: `compute` was called before any sample was seen.

    >>> import torch
    >>> metric = MedianAbsoluteError()
    >>> metric.update((torch.tensor([1.0, 3.0, 4.0]), torch.tensor([1.0, 2.0, 8.0])))
    >>> metric.compute()
    1.0
    """

    def _value(self, y_pred: Tensor, y: Tensor) -> Tensor:
        return median((exact(y) - exact(y_pred)).abs_())
