"""VariableAccumulation: a number or a tensor, accumulated with an operation of the user's."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Number
from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.output import described
from ignite_signals.metrics.streaming import Streaming

__all__ = ["VariableAccumulation", "refused"]


class VariableAccumulation(Streaming):
    """Accumulate a number or a tensor with an operation of yours.

    A number counts as one sample, and so does a tensor of at most one dimension; a tensor of more
    dimensions is a batch of `shape[0]` samples. Several processes add up their accumulators and
    their numbers of samples.

    Args:
        op: called with `(accumulator, output)`, returns the new accumulator; tensors come in float64.
        output_transform: makes a number or a tensor of `engine.state.output`.
        device: where to accumulate; by default where the outputs are.
        skip_unrolling: give lists to `update` as they are.

    Attributes:
        accumulator: what `op` returned last, 0 before.
        num_examples: how many samples were seen.

    Raises:
        TypeError: `op` is not callable, or an output neither a number nor a tensor.
        NotComputableError: `compute` was called before anything was seen.

    >>> squares = VariableAccumulation(lambda accumulator, x: accumulator + x * x)
    >>> squares.update(2)
    >>> squares.update(torch.tensor(0.5))
    >>> squares.compute()
    (tensor(4.2500, dtype=torch.float64), 2)
    """

    required_output_keys = None
    _reductions: ClassVar[dict[str, str]] = {"accumulator": "SUM", "num_examples": "SUM"}
    _accumulates_by: ClassVar[tuple[str, ...] | None] = (*(Streaming._accumulates_by or ()), "_operation")

    accumulator: Tensor
    num_examples: int
    _wide_dtype: torch.dtype

    def __init__(
        self,
        op: Callable[[Tensor, Any], Tensor],
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        if not callable(op):
            raise TypeError(f"op must be callable, got {op!r}")
        self._op = op
        super().__init__(output_transform, device=device, skip_unrolling=skip_unrolling)

    @property
    def _operation(self) -> tuple[Callable[[Tensor, Any], Tensor]]:
        return (self._op,)  # in a tuple, since two methods of one class may belong to different objects

    @property
    def _num_examples(self) -> int:  # type: ignore[override]  # here it has a public name
        return self.num_examples

    def reset(self) -> None:
        """Forget what was seen."""
        self.accumulator = torch.zeros((), dtype=sum_dtype(self._device), device=self._device)
        self.num_examples = 0
        self._placed = False

    def _create(self, device: torch.device, values: Tensor) -> None:
        # Moved, not made anew: a subclass may start from another value.
        exact = self.accumulator.dtype == torch.float64
        dtype = sum_dtype(device) if exact else self.accumulator.dtype
        self.accumulator = self.accumulator.to(device=device, dtype=dtype)

    def _place(self, values: Tensor) -> None:
        super()._place(values)
        self._wide_dtype = sum_dtype(self.accumulator.device)

    def update(self, output: Any) -> None:
        """Take in a number or a tensor.

        Raises:
            TypeError: `output` is neither.
        """
        samples = 1
        if isinstance(output, Tensor):
            if not self._placed:
                self._place(output)
            output = self._widened(output)
            if output.ndim > 1:
                samples = output.shape[0]
        elif not isinstance(output, Number):
            raise refused(self, output)
        self.accumulator = self._op(self.accumulator, output)
        self.num_examples += samples

    def _widened(self, output: Tensor) -> Tensor:
        if output.requires_grad:
            output = output.detach()
        if not self._follows_values:
            output = output.to(self._device)
        if output.dtype is self._wide_dtype or output.is_complex():
            return output
        return output.to(self._wide_dtype)

    def _value(self) -> Any:
        return self.accumulator, self.num_examples


def refused(metric: object, output: object) -> TypeError:
    """Return the error for what is neither a number nor a tensor."""
    return TypeError(
        f"output must be a number or a tensor for {type(metric).__name__}, got {described(output)}; "
        "choose one with output_transform"
    )
