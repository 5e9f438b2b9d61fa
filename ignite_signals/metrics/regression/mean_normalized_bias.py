"""MeanNormalizedBias: the mean of the errors, each relative to its target."""

from __future__ import annotations

from torch import Tensor

from ignite_signals.metrics.regression.base import RelativeToTargets

__all__ = ["MeanNormalizedBias"]


class MeanNormalizedBias(RelativeToTargets):
    """Average the errors, with their signs, each relative to its target.

    The value is `1 / N * sum (y - y_pred) / y`; `y_pred` and `y` are of shape `(N,)` or `(N, 1)`.

    The formula is that of Botchkarev, "Performance Metrics (Error Measures) in Machine Learning Regression,
    Forecasting and Prognostics", 2018, https://arxiv.org/abs/1809.03006.

    Args:
        output_transform: makes `(y_pred, y)` of `engine.state.output`.
        device: where to sum; by default where the predictions are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` or `y` is no tensor, or a complex one.
        ValueError: their shapes do not fit, or, told by `compute`, a target is 0.
        NotComputableError: `compute` was called before any sample was seen.

    >>> import torch
    >>> metric = MeanNormalizedBias()
    >>> metric.update((torch.tensor([1.0, 3.0]), torch.tensor([1.0, 2.0])))
    >>> metric.compute()
    -0.25
    """

    def _summed(self, y_pred: Tensor, y: Tensor) -> Tensor:
        # Terms of both signs cancel: a float32 sum would leave too few digits.
        return (y - y_pred).div_(y).sum(dtype=self._sum.dtype)
