"""MeanPairwiseDistance: the mean distance between a predicted vector and its target."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.linalg import vector_norm

from ignite_signals.metrics.mean import MeanOverSamples
from ignite_signals.metrics.metric import unchanged

__all__ = ["MeanPairwiseDistance"]


class MeanPairwiseDistance(MeanOverSamples):
    """Average over the samples the distance between the predicted vector and the target.

    The value is `1 / N * sum ||y_pred - y + eps||_p` for N samples, as `torch.nn.PairwiseDistance` has it; `y_pred`
    and `y` are of one shape, `(N, ..., D)`, and the distances of a sample with several vectors are summed. In shape
    `(N,)` each sample is a vector of one entry.

    Args:
        p: the degree of the norm, above 0; 2 is the Euclidean distance, `math.inf` the largest difference.
        eps: what is added to each difference, as in PyTorch.
        output_transform: makes `(y_pred, y)` of `engine.state.output`.
        device: where to sum; by default where the predictions are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` or `y` is no tensor.
        ValueError: their shapes do not fit, `p` is not above 0, or `eps` is not finite.
        NotComputableError: `compute` was called before any sample was seen.

    >>> metric = MeanPairwiseDistance()
    >>> metric.update((torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[3.0, 4.0], [1.0, 2.0]])))
    >>> round(metric.compute(), 4)
    3.0
    """

    _accumulates_by: ClassVar[tuple[str, ...] | None] = (*(MeanOverSamples._accumulates_by or ()), "_p", "_eps")

    _shift: Tensor  # eps, where the values are

    def __init__(
        self,
        p: float = 2,
        eps: float = 1e-6,
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        if not (isinstance(p, int | float) and p > 0):
            raise ValueError(f"p must be a number above 0, got {p!r}")
        if not (isinstance(eps, int | float) and math.isfinite(eps)):
            raise ValueError(f"eps must be a finite number, got {eps!r}")
        self._p = float(p)
        self._eps = float(eps)
        super().__init__(output_transform, device=device, skip_unrolling=skip_unrolling)

    def _place(self, values: Tensor) -> None:
        super()._place(values)
        # To add a tensor takes half as long as to add a number.
        self._shift = torch.full((), self._eps, dtype=values.dtype, device=values.device)

    def _summed(self, y_pred: Tensor, y: Tensor) -> Tensor:
        if y.ndim == 1:
            y_pred, y = y_pred.unsqueeze(1), y.unsqueeze(1)
        # In place, this passes through less memory than PyTorch's own function.
        norms: Tensor = vector_norm((y_pred - y).add_(self._shift), self._p, -1)
        return norms.sum()
