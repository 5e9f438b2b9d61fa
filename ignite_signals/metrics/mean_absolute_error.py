"""MeanAbsoluteError: the mean of the absolute differences."""

from __future__ import annotations

from torch import Tensor

from ignite_signals.metrics.mean import MeanOverSamples

__all__ = ["MeanAbsoluteError"]


class MeanAbsoluteError(MeanOverSamples):
    """Average the absolute error over the samples, summed over a sample's entries.

    The value is `1 / N * sum |y - y_pred|` for N samples; `y_pred` and `y` are of one shape, `(N, ...)`.

    Args:
        output_transform: makes `(y_pred, y)` of `engine.state.output`.
        device: where to sum; by default where the predictions are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` or `y` is no tensor.
        ValueError: their shapes do not fit.
        NotComputableError: `compute` was called before any sample was seen.

    >>> import torch
    >>> error = MeanAbsoluteError()
    >>> error.update((torch.tensor([1.0, 2.0]), torch.tensor([1.0, 5.0])))
    >>> error.compute()
    1.5
    """

    def _summed(self, y_pred: Tensor, y: Tensor) -> Tensor:
        return (y_pred - y).abs_().sum()
