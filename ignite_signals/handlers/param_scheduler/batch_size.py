"""BatchSizeScheduler: change the size of the batches while a model is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ignite_signals.engine import Events
from ignite_signals.engine.callables import check_callable
from ignite_signals.engine.integers import integer
from ignite_signals.handlers.checks import brief
from ignite_signals.handlers.param_scheduler.base import BaseParamScheduler

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from ignite_signals.engine import Engine
    from ignite_signals.engine.observable import AnyEvent

__all__ = ["BatchSizeScheduler"]


class BatchSizeScheduler(BaseParamScheduler):
    """Give the batch sampler of a `DataLoader` its next batch size at each call.

    Larger batches late in a training do what a smaller learning rate does, in fewer steps. `len(dataloader)` follows;
    `dataloader.batch_size`, which torch lets nobody set, does not: read `dataloader.batch_sampler.batch_size`.

    An epoch keeps its number of iterations, so with larger batches it has more than one pass over the data. For epochs
    that are passes, set `engine.state.epoch_length = len(dataloader)` in a handler of `EPOCH_STARTED` after this one.
    A size that is set in the midst of a pass counts at once or from the next pass on, depending on `drop_last`, on the
    batches that workers have fetched before, and on the engine: a `DeterministicEngine` draws all batches of a pass at
    its beginning.

    Args:
        dataloader: one that makes batches by a batch sampler. Its workers and its shuffling stay as they are.
        scheduler_fn: returns the batch size for a count, from 0 on. It is asked for the last size again when a state
            is loaded, so it should go by the count alone.
        save_history: also append the sizes to `engine.state.param_history["batch_size"]`.

    Attributes:
        dataloader: as given.
        scheduler_fn: as given.

    Raises:
        TypeError: `dataloader` has no batch sampler to set the size of, or `scheduler_fn` is not callable.
        ValueError: when called, `scheduler_fn` has returned no positive integer.

    >>> from torch.utils.data import DataLoader
    >>> from ignite_signals.engine import Engine
    >>> loader = DataLoader(range(8), batch_size=2)
    >>> trainer = Engine(lambda engine, batch: print(engine.state.epoch, batch.tolist()))
    >>> BatchSizeScheduler(loader, lambda count: 2 + 2 * count).attach(trainer)
    >>> @trainer.on(Events.EPOCH_STARTED)
    ... def set_length(engine):
    ...     engine.state.epoch_length = len(loader)
    >>> state = trainer.run(loader, max_epochs=2)
    1 [0, 1]
    1 [2, 3]
    1 [4, 5]
    1 [6, 7]
    2 [0, 1, 2, 3]
    2 [4, 5, 6, 7]

    Source: Smith, Kindermans, Ying and Le, "Don't decay the learning rate, increase the batch size",
    https://arxiv.org/abs/1711.00489
    """

    def __init__(
        self, dataloader: DataLoader[Any], scheduler_fn: Callable[[int], int], save_history: bool = False
    ) -> None:
        if not any(True for _ in _samplers(dataloader)):
            raise TypeError(
                f"dataloader must be a DataLoader with a batch sampler that has a batch_size, got "
                f"{brief(dataloader)}; give the DataLoader a batch_size"
            )
        check_callable("scheduler_fn", scheduler_fn)
        super().__init__("batch_size", save_history)
        self.dataloader = dataloader
        self.scheduler_fn = scheduler_fn

    def attach(self, engine: Engine, event: AnyEvent = Events.EPOCH_STARTED) -> None:
        """Set the next size at an event, as `engine.add_event_handler(event, scheduler)` does.

        A history that is loaded is put into the engine's state at once then, not by the next call only.
        """
        self._attach(engine, event)

    def get_param(self) -> int:
        """Return the size at `event_index`."""
        return self._size(self.event_index)

    def _size(self, count: int) -> int:
        return integer(f"what scheduler_fn returns for {count}", self.scheduler_fn(count))

    def _move(self, engine: Engine | None) -> int:
        size = self.get_param()
        self._set(size)
        self.count += 1
        return size

    def _set(self, value: int) -> None:
        for sampler in _samplers(self.dataloader):
            sampler.batch_size = value

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where a schedule was, with the batch size that it had set last."""
        super().load_state_dict(state_dict)
        if self.event_index:
            self._set(self._size(self.event_index - 1))

    @classmethod
    def simulate_values(cls, num_events: int, **scheduler_kwargs: Any) -> list[list[int]]:
        """Return pairs of a count and the batch size at it, `num_events` of them, without a training.

        Args:
            num_events: how many.
            scheduler_kwargs: `scheduler_fn`; a data loader is not needed, and stays as it is.

        Raises:
            TypeError: there is no `scheduler_fn`, or it is not callable.

        >>> BatchSizeScheduler.simulate_values(3, scheduler_fn=lambda count: 10 + 10 * count)
        [[0, 10], [1, 20], [2, 30]]
        """
        return super().simulate_values(num_events, **{"dataloader": _StandIn(), **scheduler_kwargs})


def _samplers(loader: Any) -> Iterator[Any]:
    """Yield the batch samplers that have a size, each of which may stand around another one."""
    sampler = getattr(loader, "batch_sampler", None)
    while sampler is not None:
        if isinstance(getattr(sampler, "batch_size", None), int):
            yield sampler
        sampler = getattr(sampler, "batch_sampler", None)


class _StandIn:
    """Stand for a data loader."""

    def __init__(self) -> None:
        self.batch_sampler = SimpleNamespace(batch_size=1)
