"""The base of the metrics that are a mean over samples, or are computed from one."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals.metrics.pairs import float_pair
from ignite_signals.metrics.streaming import Streaming

__all__ = ["MeanOverSamples"]


class MeanOverSamples(Streaming):
    """Sum a quantity of each sample, in float64; a subclass says which, and what to make of the mean.

    Args:
        output_transform: makes `(y_pred, y)` of `engine.state.output`.
        device: where to sum; by default where the predictions are.
        skip_unrolling: give lists to `update` as they are.
    """

    _reductions: ClassVar[dict[str, str]] = {"_sum": "SUM", "_num_examples": "SUM"}
    _accumulates_by: ClassVar[tuple[str, ...] | None] = (*(Streaming._accumulates_by or ()), "_summed")

    _sum: Tensor

    def _create(self, device: torch.device, values: Tensor) -> None:
        self._sum = torch.zeros((), dtype=sum_dtype(device), device=device)

    def update(self, output: Any) -> None:
        """Take in `(y_pred, y)`.

        Raises:
            TypeError: `output` is not a pair of tensors.
            ValueError: their shapes do not fit.
        """
        y_pred, y = float_pair(self, output)
        if not self._placed:
            self._place(y_pred)
        total = self._summed(y_pred, y)
        self._sum += total if self._follows_values else total.to(self._device)
        self._num_examples += y_pred.shape[0]

    @abstractmethod
    def _summed(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Return the quantity summed over a batch, a tensor of shape `()`."""

    def _value(self) -> Tensor:
        return self._sum / self._num_examples


def sum_dtype(device: torch.device) -> torch.dtype:
    """Return the type to sum in: of many float32 values a float32 sum loses the small ones.

    >>> sum_dtype(torch.device("cpu"))
    torch.float64
    """
    return torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64
