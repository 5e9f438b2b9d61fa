"""The base of the metrics that compare one prediction with one target, sample by sample."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.pairs import float_pair
from ignite_signals.metrics.streaming import Streaming

__all__ = ["ALMOST_0", "MeanOfErrors", "Regression", "RelativeToTargets", "SumOfErrors", "flat_pair"]

# Added to a denominator that may be 0, it makes 0 of 0 / 0, and changes none that is larger than 1e-22.
ALMOST_0 = 1e-30


def flat_pair(metric: object, output: Any) -> tuple[Tensor, Tensor]:
    """Return `(y_pred, y)`, of shape `(N,)` or `(N, 1)`, as two tensors of shape `(N,)` and of one type.

    They are in float32 or, where that is not exact, in float64, and without their gradients.

    Raises:
        TypeError: `output` is not a pair of tensors, or they are complex.
        ValueError: their shapes do not fit.

    >>> flat_pair("", (torch.zeros(2, 1), torch.ones(2, 1)))
    (tensor([0., 0.]), tensor([1., 1.]))
    """
    try:
        y_pred, y = output
        # What most outputs are is told by the fewest questions: this stands before every update.
        if (
            type(output) is tuple
            and y_pred.dtype is y.dtype is torch.float32
            and y.ndim == 1
            and y_pred.shape == y.shape
            and not (y_pred.requires_grad or y.requires_grad)
        ):
            return y_pred, y
    except (TypeError, ValueError, AttributeError):
        pass
    y_pred, y = float_pair(metric, output)
    if y_pred.is_complex() or y.is_complex():
        raise TypeError(
            f"y_pred and y must be real for {type(metric).__name__}, got {y_pred.dtype} and {y.dtype}; "
            "choose their parts with output_transform"
        )
    if y.ndim != 1 and y.shape[1:] != (1,):
        raise ValueError(
            f"y_pred and y must be of shape (N,) or (N, 1) for {type(metric).__name__}, got {tuple(y.shape)}; "
            "choose one value for each sample with output_transform"
        )
    if y_pred.dtype is not y.dtype:
        y_pred, y = y_pred.double(), y.double()
    return y_pred.reshape(-1), y.reshape(-1)


class Regression(Streaming):
    """Accumulate predictions and targets, of shape `(N,)` or `(N, 1)` both; a subclass says what of them."""

    _accumulates_by: ClassVar[tuple[str, ...] | None] = (*(Streaming._accumulates_by or ()), "_accumulate")

    def update(self, output: Any) -> None:
        """Take in `(y_pred, y)`.

        Raises:
            TypeError: `output` is not a pair of tensors, or they are complex.
            ValueError: their shapes do not fit.
        """
        y_pred, y = flat_pair(self, output)
        if samples := y.numel():  # of none there is no first, nor a largest
            self._accumulate(y_pred, y)
            self._num_examples += samples

    @abstractmethod
    def _accumulate(self, y_pred: Tensor, y: Tensor) -> None:
        """Place the state if it is not, and take in a batch of shape `(N,)`, of one type and not empty."""

    def _home(self, values: Tensor) -> Tensor:
        """Return what a batch adds on the device of the state."""
        return values if self._follows_values else values.to(self._device)


class SumOfErrors(Regression):
    """Sum a quantity of each sample, in float64; a subclass says which."""

    _reductions: ClassVar[dict[str, str]] = {"_sum": "SUM", "_num_examples": "SUM"}
    _accumulates_by: ClassVar[tuple[str, ...] | None] = (*(Regression._accumulates_by or ()), "_summed")

    _sum: Tensor

    def _create(self, device: torch.device, values: Tensor) -> None:
        self._sum = torch.zeros((), dtype=sum_dtype(device), device=device)

    def _accumulate(self, y_pred: Tensor, y: Tensor) -> None:
        if not self._placed:
            self._place(y)
        total = self._summed(y_pred, y)
        self._sum += total if self._follows_values else total.to(self._device)

    @abstractmethod
    def _summed(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Return the quantity summed over a batch, a tensor of shape `()`."""

    def _value(self) -> Tensor:
        return self._sum


class MeanOfErrors(SumOfErrors):
    """Average a quantity of each sample; a subclass says which."""

    def _value(self) -> Tensor:
        return self._sum / self._num_examples


class RelativeToTargets(MeanOfErrors):
    """Average what is divided by each sample's target, of which none may be 0."""

    _reductions: ClassVar[dict[str, str]] = {"_sum": "SUM", "_num_examples": "SUM", "_smallest": "MIN"}

    _smallest: Tensor  # of the targets' absolute values: 0 if there is a 0, which nobody has read yet

    def _create(self, device: torch.device, values: Tensor) -> None:
        super()._create(device, values)
        self._smallest = torch.full_like(self._sum, math.inf)

    def _accumulate(self, y_pred: Tensor, y: Tensor) -> None:
        super()._accumulate(y_pred, y)
        torch.minimum(self._smallest, self._home(y.abs().amin()), out=self._smallest)

    def _bad_input(self) -> Tensor:
        return self._smallest == 0

    def _complaint(self) -> str:
        return (
            f"y must not be 0 for {type(self).__name__}, which divides by it, got a target of 0; "
            "leave such samples out with output_transform"
        )
