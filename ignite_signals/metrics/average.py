"""Average: the arithmetic mean of one variable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics.accumulation import VariableAccumulation
from ignite_signals.metrics.metric import unchanged

__all__ = ["Average"]


class Average(VariableAccumulation):
    """Average a number or a tensor, entry by entry.

    A number counts as one sample, and so does a tensor of at most one dimension; a tensor of more
    dimensions is a batch of `shape[0]` samples, and the mean is of shape `shape[1:]`.

    Args:
        output_transform: makes a number or a tensor of `engine.state.output`.
        device: where to sum; by default where the outputs are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: an output is neither a number nor a tensor.
        NotComputableError: `compute` was called before anything was seen.

    >>> average = Average()
    >>> average.update(torch.tensor([[1.0, 10.0], [3.0, 30.0]]))
    >>> average.compute()
    tensor([ 2., 20.], dtype=torch.float64)
    >>> from ignite_signals.engine import Engine
    >>> trainer = Engine(lambda engine, batch: batch)
    >>> Average().attach(trainer, "loss")
    >>> trainer.run([0.5, 1.5]).metrics
    {'loss': 1.0}
    """

    def __init__(
        self,
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        super().__init__(_add, output_transform, device=device, skip_unrolling=skip_unrolling)

    def compute(self) -> Tensor:
        """Return the mean; without dimensions where the outputs had none.

        Raises:
            NotComputableError: nothing was seen.
        """
        if self.num_examples == 0:
            raise NotComputableError("Average has seen no example: it must be updated before it is computed")
        return self.accumulator / self.num_examples


def _add(total: Tensor, output: Any) -> Tensor:
    return total + (output.sum(dim=0) if isinstance(output, Tensor) and output.ndim > 1 else output)
