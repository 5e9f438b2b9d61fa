"""CosineSimilarity: how well directions agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals.metrics.mean import MeanOverSamples
from ignite_signals.metrics.metric import unchanged

__all__ = ["CosineSimilarity"]

# Of a million float32 entries torch's norm is wrong in the fifth digit, as it adds up one by one.
_LONG = 2**16


class CosineSimilarity(MeanOverSamples):
    """Average the cosine of the angle between prediction and target, from -1 to 1.

    The value is `1 / N * sum_i x_i . y_i / (max(|x_i|, eps) max(|y_i|, eps))`, as in
    `torch.nn.functional.cosine_similarity`. `y_pred` and `y` are of one shape, `(N, ...)`; each sample is taken as
    one vector.

    Args:
        eps: what a vector's length is at least, so that zeros give 0 and not NaN.
        output_transform: makes `(y_pred, y)` of `engine.state.output`.
        device: where to sum; by default where the predictions are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` or `y` is no tensor of real numbers, or `eps` no number.
        ValueError: their shapes differ, or are not `(N, ...)`; `eps` is negative.
        NotComputableError: `compute` was called before any sample was seen.

    >>> similarity = CosineSimilarity()
    >>> similarity.update((torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[3.0, 0.0], [1.0, 0.0]])))
    >>> similarity.compute()
    0.5
    """

    _accumulates_by: ClassVar[tuple[str, ...] | None] = (*(MeanOverSamples._accumulates_by or ()), "eps")

    def __init__(
        self,
        eps: float = 1e-8,
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        if isinstance(eps, bool) or not isinstance(eps, int | float):
            raise TypeError(f"eps must be a number, got {eps!r}")
        if not eps >= 0:
            raise ValueError(f"eps must not be negative, got {eps!r}")
        self.eps = eps
        super().__init__(output_transform, device=device, skip_unrolling=skip_unrolling)

    def _summed(self, y_pred: Tensor, y: Tensor) -> Tensor:
        if y_pred.ndim != 2:
            y_pred, y = self._vectors(y_pred), self._vectors(y)
        if y_pred.dtype != y.dtype:
            y_pred, y = y_pred.double(), y.double()
        norm = torch.linalg.vector_norm if y_pred.shape[1] <= _LONG else _long_norm
        lengths = norm(y_pred, dim=1).clamp_min_(self.eps).mul_(norm(y, dim=1).clamp_min_(self.eps))
        products: Tensor = torch.linalg.vecdot(y_pred, y)
        return products.div_(lengths).sum()

    def _vectors(self, values: Tensor) -> Tensor:
        if values.ndim < 2:
            raise ValueError(
                f"y_pred and y must be of shape (N, ...) with two dimensions at least for {type(self).__name__}, "
                f"got {tuple(values.shape)}; choose them with output_transform"
            )
        return values.flatten(start_dim=1)


def _long_norm(vectors: Tensor, dim: int) -> Tensor:
    return (vectors * vectors).sum(dim=dim).sqrt_()
