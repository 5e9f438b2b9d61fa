"""Accumulation of one variable, the parent of the averages."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Number
from typing import Any

import torch
from torch import Tensor

from ignite_signals.metrics.metric import Metric, unchanged

__all__ = ["VariableAccumulation"]


class VariableAccumulation(Metric):
    """Accumulate a number or a tensor with an operation of yours.

    A number counts as one sample, and so does a tensor of at most one dimension; a tensor of more
    dimensions is a batch of `shape[0]` samples.

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

    >>> total = VariableAccumulation(lambda accumulator, x: accumulator + x)
    >>> total.update(2)
    >>> total.update(torch.tensor(0.5))
    >>> total.compute()
    (tensor(2.5000, dtype=torch.float64), 2)
    """

    required_output_keys = None
    _state_dict_all_req_keys = ("accumulator", "num_examples")

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

    def reset(self) -> None:
        """Forget what was seen."""
        self.accumulator = torch.zeros((), dtype=self._float, device=self._device)
        self.num_examples = 0

    def update(self, output: Any) -> None:
        """Take in a number or a tensor."""
        if isinstance(output, Tensor):
            output = self._widened(self._moved(output.detach()))
            self.num_examples += output.shape[0] if output.ndim > 1 else 1
        elif isinstance(output, Number):
            self.num_examples += 1
        else:
            raise TypeError(
                f"output must be a number or a tensor for {type(self).__name__}, got {output!r}; "
                "choose one with output_transform"
            )
        self.accumulator = self._op(self.accumulator, output)

    def _widened(self, output: Tensor) -> Tensor:
        return output if output.is_complex() else output.to(self._float)

    def compute(self) -> Any:
        """Return the accumulator and the number of samples."""
        return self.accumulator, self.num_examples
