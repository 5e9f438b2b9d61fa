"""MedianAbsolutePercentageError: the median of the absolute errors in percent of the targets."""

from __future__ import annotations

from torch import Tensor

from ignite_signals.metrics.regression.all_outputs import AllOutputs, exact, median

__all__ = ["MedianAbsolutePercentageError"]


class MedianAbsolutePercentageError(AllOutputs):
    """Keep all outputs, and take the median of the absolute errors in percent of their targets.

    The value is `100 * median(|y - y_pred| / |y|)`, of an even number of samples the mean of the two in the middle;
    `y_pred` and `y` are of shape `(N,)` or `(N, 1)`. Memory grows with the data. A target of 0 has an infinite error,
    or NaN where the prediction is 0 too, which makes the value NaN.

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
    >>> metric = MedianAbsolutePercentageError()
    >>> metric.update((torch.tensor([1.0, 3.0, 4.0]), torch.tensor([1.0, 2.0, 8.0])))
    >>> metric.compute()
    50.0
    """

    def _value(self, y_pred: Tensor, y: Tensor) -> Tensor:
        y_pred, y = exact(y_pred), exact(y)
        return 100 * median((y - y_pred).div_(y).abs_())
