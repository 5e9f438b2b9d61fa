"""FractionalAbsoluteError: the mean of the absolute errors, each relative to its pair."""

from __future__ import annotations

from torch import Tensor

from ignite_signals.metrics.regression.canberra_metric import CanberraMetric

__all__ = ["FractionalAbsoluteError"]


class FractionalAbsoluteError(CanberraMetric):
    """Average the absolute errors, each relative to the mean size of its pair.

    The value is `1 / N * sum 2 |y - y_pred| / (|y| + |y_pred|)`; `y_pred` and `y` are of shape `(N,)` or `(N, 1)`.
    A pair of zeros, which has no error, adds 0.

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
    >>> metric = FractionalAbsoluteError()
    >>> metric.update((torch.tensor([1.0, 3.0, 4.0]), torch.tensor([1.0, 2.0, 8.0])))
    >>> round(metric.compute(), 4)
    0.3556
    """

    def _value(self) -> Tensor:
        return 2 * self._sum / self._num_examples
