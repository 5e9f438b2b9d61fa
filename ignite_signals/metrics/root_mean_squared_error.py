"""RootMeanSquaredError: the mean squared error in the unit of the values."""

from __future__ import annotations

from torch import Tensor

from ignite_signals.metrics.mean_squared_error import MeanSquaredError

__all__ = ["RootMeanSquaredError"]


class RootMeanSquaredError(MeanSquaredError):
    """Take the root of the mean squared error over the samples, in the unit of the values.

    The value is `sqrt(1 / N * sum (y - y_pred) ** 2)` for N samples.

    Args:
        output_transform: makes `(y_pred, y)` of `engine.state.output`.
        device: where to sum; by default where the predictions are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` or `y` is no tensor.
        ValueError: their shapes do not fit.
        NotComputableError: `compute` was called before any sample was seen.

    >>> import torch
    >>> error = RootMeanSquaredError()
    >>> error.update((torch.tensor([1.0, 2.0]), torch.tensor([1.0, 6.0])))
    >>> round(error.compute(), 4)
    2.8284
    """

    def _value(self) -> Tensor:
        return super()._value().sqrt()
