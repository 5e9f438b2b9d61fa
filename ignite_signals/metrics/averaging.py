"""The base of the averages of one variable: a sum of terms, one for each sample."""

from __future__ import annotations

import operator
from abc import abstractmethod
from collections.abc import Callable
from numbers import Number, Real
from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.variable_accumulation import VariableAccumulation, refused

__all__ = ["Averaging"]


class Averaging(VariableAccumulation):
    """Sum a term of each sample, in float64 and in place; a subclass says which, and what to make of the mean.

    Args:
        output_transform: makes a number or a tensor of `engine.state.output`.
        device: where to sum; by default where the outputs are.
        skip_unrolling: give lists to `update` as they are.

    Attributes:
        accumulator: the sum so far, which goes on changing; clone it to keep it.
        num_examples: how many samples were seen.
    """

    _accumulates_by: ClassVar[tuple[str, ...] | None] = (*(VariableAccumulation._accumulates_by or ()), "_term")

    def __init__(
        self,
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        super().__init__(operator.add, output_transform, device=device, skip_unrolling=skip_unrolling)

    def _create(self, device: torch.device, values: Tensor) -> None:
        dtype = torch.complex128 if values.is_complex() else sum_dtype(device)
        shape = values.shape[1:] if values.ndim > 1 else values.shape
        self.accumulator = torch.zeros(shape, dtype=dtype, device=device)

    def update(self, output: Any) -> None:
        """Take in a number or a tensor.

        Raises:
            TypeError: `output` is neither.
            ValueError: its shape does not fit that of the outputs before.
        """
        samples = 1
        if isinstance(output, Tensor):
            if not self._placed:
                self._place(output)
            if output.requires_grad:
                output = output.detach()
            if not self._follows_values:
                output = output.to(self._device)
            batch = output.ndim > 1
            if batch:
                samples = output.shape[0]
            term = self._term(output, batch)
        else:
            term = self._number_term(self._number(output))
        try:
            self.accumulator += term
        except RuntimeError:  # a term of another shape, type or device than those before
            self.accumulator = self._joined(torch.as_tensor(term))
        self.num_examples += samples

    @abstractmethod
    def _term(self, output: Tensor, batch: bool) -> Tensor:
        """Return what a sample adds to the sum, or what a batch of them adds together."""

    @abstractmethod
    def _number_term(self, number: Any) -> Any:
        """Return what a number adds to the sum."""

    def _number(self, output: Any) -> Any:
        if type(output) is float and self._placed:  # what most are
            return output
        if not isinstance(output, Number):
            raise refused(self, output)
        value: Any = output
        number = float(value) if isinstance(output, Real) else complex(value)
        if not self._placed:
            self._place(torch.as_tensor(number))
        return number

    def _joined(self, term: Tensor) -> Tensor:
        try:
            torch.broadcast_shapes(self.accumulator.shape, term.shape)  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise ValueError(
                f"a sample must be of shape {tuple(self.accumulator.shape)}, as those before, for "
                f"{type(self).__name__}, got {tuple(term.shape)}; choose one with output_transform"
            ) from error
        dtype = torch.promote_types(self.accumulator.dtype, term.dtype)
        return self.accumulator.to(term.device) + term.to(dtype)
