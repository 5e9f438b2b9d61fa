"""Truncated backpropagation through time: train a recurrent model on sequences too long to unroll.

A sequence is cut into chunks along time. The model carries its hidden state from chunk to chunk,
the gradient stops at the cut.
"""

from __future__ import annotations

from typing import Any

import attrs
import torch
from torch import Tensor, nn

from ignite_signals.engine.engine import Engine
from ignite_signals.engine.events import EventEnum
from ignite_signals.engine.steps import (
    BatchStep,
    Device,
    LossFunction,
    PrepareBatch,
    has,
    is_function,
    is_positive,
    to_device,
)
from ignite_signals.utils import apply_to_tensor

__all__ = ["Tbptt_Events", "create_supervised_tbptt_trainer"]


class Tbptt_Events(EventEnum):  # noqa: N801  # PyTorch-Ignite's name
    """Name the moments of every chunk; each counts its own occurrences over the whole run.

    >>> Tbptt_Events.TIME_ITERATION_COMPLETED(every=100)
    Tbptt_Events.TIME_ITERATION_COMPLETED(Every(100))
    """

    TIME_ITERATION_STARTED = (
        "time_iteration_started",
        None,
        (),
        "The model is about to be trained on a chunk.",
    )
    TIME_ITERATION_COMPLETED = (
        *("time_iteration_completed", None, ()),
        "The model was trained on a chunk; `state.output` holds the chunk's loss.",
    )


def _is_dimension(_: Any, field: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{field.name} must be the integer index of the time dimension, got {value!r}")


@attrs.frozen(kw_only=True, eq=False, repr=False)
class TruncatedTraining(BatchStep):
    """Train the model on one batch of sequences, chunk after chunk."""

    optimizer: torch.optim.Optimizer = attrs.field(validator=has("step", "zero_grad", like="torch.optim.SGD"))
    loss_fn: LossFunction = attrs.field(validator=is_function)
    tbtt_step: int = attrs.field(validator=is_positive)
    dim: int = attrs.field(validator=_is_dimension)

    def __call__(self, engine: Engine, batch: Any) -> Tensor:
        x, y = self.prepared(batch)
        self.check_lengths(x, y)
        hidden, losses = None, []
        for x_chunk, y_chunk in zip(self.chunks(x), self.chunks(y), strict=True):
            engine.fire_event(Tbptt_Events.TIME_ITERATION_STARTED)
            hidden, loss = self.train_on(x_chunk, y_chunk, hidden)
            losses.append(loss)
            engine.state.output = loss
            engine.fire_event(Tbptt_Events.TIME_ITERATION_COMPLETED)
        return torch.stack(losses).mean()

    def train_on(self, x: Tensor, y: Tensor, hidden: Any) -> tuple[Any, Tensor]:
        self.model.train()
        self.optimizer.zero_grad()
        y_pred, hidden = self.model(x) if hidden is None else self.model(x, apply_to_tensor(hidden, Tensor.detach))
        loss = self.loss_fn(y_pred, y)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return hidden, loss.detach()

    def chunks(self, sequence: Tensor) -> tuple[Tensor, ...]:
        chunks: tuple[Tensor, ...] = sequence.split(self.tbtt_step, dim=self.dim)  # type: ignore[no-untyped-call]
        return chunks

    def check_lengths(self, x: Tensor, y: Tensor) -> None:
        if x.size(self.dim) != y.size(self.dim):
            raise ValueError(
                f"x and y must be equally long along dim={self.dim}, got shapes {tuple(x.shape)} and "
                f"{tuple(y.shape)}; put time at the same dimension of both, with prepare_batch if need be"
            )


def create_supervised_tbptt_trainer(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_fn: LossFunction,
    tbtt_step: int,
    dim: int = 0,
    device: Device = None,
    non_blocking: bool = False,
    prepare_batch: PrepareBatch = to_device,
) -> Engine:
    """Return an engine that trains a recurrent model by truncated backpropagation through time.

    Each iteration takes a batch of whole sequences and cuts it into chunks of `tbtt_step` time
    steps, the last of which may be shorter. On each chunk the optimizer steps once; the hidden
    state goes on to the next chunk without its graph, so that memory and time of a backward pass
    stay those of one chunk. Each batch starts without a hidden state.

    The engine has the events of `Tbptt_Events` beside its own. When TIME_ITERATION_COMPLETED is
    sent, `engine.state.output` is the chunk's loss; when ITERATION_COMPLETED is, the mean over the
    chunks. Both are detached tensors of shape `()` that nobody has waited for.

    Args:
        model: called as `model(x)` on the first chunk and `model(x, hidden)` on the others, returns
            `(y_pred, hidden)`; the hidden state may be nested. Move it before the optimizer is made.
        optimizer: what updates it.
        loss_fn: called as `loss_fn(y_pred, y)` on a chunk, returns a tensor of shape `()`.
        tbtt_step: the number of time steps of a chunk.
        dim: the dimension of `x` and `y` that is time.
        device: where the batches go; None leaves them where they are.
        non_blocking: do not wait for a copy from pinned memory to a GPU.
        prepare_batch: called as `prepare_batch(batch, device=device, non_blocking=non_blocking)`,
            returns the pair `(x, y)`; by default the batch is that pair.

    Raises:
        TypeError: an argument is not callable, or lacks a method that the step calls.
        ValueError: `tbtt_step` is not a positive integer, or `device` no device; in a run, the
            sequences of `x` and `y` differ in length.

    The method is described in Williams and Peng, "An efficient gradient-based algorithm for on-line
    training of recurrent network trajectories", Neural Computation 2(4), 1990.

    >>> class Recurrent(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.gru = nn.GRU(input_size=2, hidden_size=1)
    ...
    ...     def forward(self, x, hidden=None):
    ...         return self.gru(x, hidden)
    >>> model = Recurrent()
    >>> sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> trainer = create_supervised_tbptt_trainer(model, sgd, nn.functional.mse_loss, tbtt_step=4)
    >>> @trainer.on(Tbptt_Events.TIME_ITERATION_COMPLETED(every=2))
    ... def show(engine):
    ...     print("chunk", engine.state.time_iteration_completed)
    >>> state = trainer.run([(torch.zeros(10, 3, 2), torch.zeros(10, 3, 1))], max_epochs=2)
    chunk 2
    chunk 4
    chunk 6
    """
    step = TruncatedTraining(
        model=model,
        optimizer=optimizer,
        loss_fn=loss_fn,
        tbtt_step=tbtt_step,
        dim=dim,
        device=device,
        non_blocking=non_blocking,
        prepare_batch=prepare_batch,
    )
    trainer = Engine(step)
    trainer.register_events(*Tbptt_Events)
    return trainer
