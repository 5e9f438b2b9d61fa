"""GeometricMeanRelativeAbsoluteError: the geometric mean of the errors, relative to those of the mean."""

from __future__ import annotations

from torch import Tensor

from ignite_signals.metrics.regression.all_outputs import AllOutputs, deviations, exact

__all__ = ["GeometricMeanRelativeAbsoluteError"]


class GeometricMeanRelativeAbsoluteError(AllOutputs):
    """Keep all outputs, and take the geometric mean of the absolute errors relative to those of the mean target.

    The value is `exp(1 / N * sum ln(|y - y_pred| / |y - mean(y)|))`, and so 0 if one prediction is exact; `y_pred` and
    `y` are of shape `(N,)` or `(N, 1)`. The mean of all targets is known at the end alone, so memory
    grows with the data.

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
    >>> metric = GeometricMeanRelativeAbsoluteError()
    >>> metric.update((torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0.0, 3.0, 9.0])))
    >>> round(metric.compute(), 4)
    0.63
    """

    def _value(self, y_pred: Tensor, y: Tensor) -> Tensor:
        y_pred, y = exact(y_pred), exact(y)
        return ((y - y_pred).abs_() / deviations(y).abs_()).log_().mean().exp()
