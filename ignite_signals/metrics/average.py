"""Average: the arithmetic mean of one variable."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ignite_signals.metrics.averaging import Averaging
from ignite_signals.metrics.device_value import as_tensor_by
from ignite_signals.metrics.streaming import Streaming

__all__ = ["Average"]


class Average(Averaging):
    """Average a number or a tensor, entry by entry.

    A number counts as one sample, and so does a tensor of at most one dimension; a tensor of more
    dimensions is a batch of `shape[0]` samples, and the mean is of shape `shape[1:]`.

    Args:
        output_transform: makes a number or a tensor of `engine.state.output`.
        device: where to sum, in float64; by default where the outputs are.
        skip_unrolling: give lists to `update` as they are.

    Attributes:
        accumulator: the sum so far, which goes on changing; clone it to keep it.
        num_examples: how many samples were seen.

    Raises:
        TypeError: an output is neither a number nor a tensor.
        ValueError: the shape of an output does not fit those before.
        NotComputableError: `compute` was called before anything was seen.

    >>> import torch
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

    def _term(self, output: Tensor, batch: bool) -> Tensor:
        if not batch:
            return output
        return output.sum(0) if output.is_complex() else output.sum(0, dtype=self.accumulator.dtype)

    def _number_term(self, number: Any) -> Any:
        return number

    def _value(self) -> Tensor:
        return self.accumulator / self.num_examples

    @as_tensor_by(Streaming._unread)
    def compute(self) -> Tensor:
        """Return the mean, a tensor; without dimensions where the outputs had none.

        Raises:
            NotComputableError: nothing was seen.
        """
        mean: Tensor = self._unread()
        return mean
