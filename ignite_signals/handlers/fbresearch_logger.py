"""FBResearchLogger: lines on the console that tell how far a training is, as in the programs of FAIR."""

from __future__ import annotations

import logging
import reprlib
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from math import ceil
from numbers import Real
from typing import TYPE_CHECKING, Any

import torch

from ignite_signals.distributed import get_rank
from ignite_signals.engine import Events
from ignite_signals.engine.callables import check_callable
from ignite_signals.engine.events import FilteredEvent
from ignite_signals.engine.filters import Every
from ignite_signals.engine.integers import integer
from ignite_signals.engine.signals import RemovableEventHandle
from ignite_signals.handlers.base_logger import check_names
from ignite_signals.handlers.checks import check_engine
from ignite_signals.handlers.logged_values import flattened
from ignite_signals.handlers.param_scheduler.base import check_groups
from ignite_signals.handlers.timing import Timer

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from ignite_signals.engine import Engine, State

__all__ = ["FBResearchLogger"]

_MEGABYTE = 1024 * 1024


class FBResearchLogger:
    """Say with a `logging.Logger`, at every so many iterations, how far a run is, what came out and how long it takes.

    The lines are made, and values read, only where they are written: by the first process, and where the level of the
    logger is INFO or below. Times are measured in the iterations that are written, and are averages over the epoch.

    Args:
        logger: says the lines; `ignite_signals.utils.setup_logger` makes one.
        delimiter: what stands between the parts of a line.
        show_output: also show what the step returned.

    Raises:
        TypeError: `logger` is no `logging.Logger`, or the delimiter no string.

    >>> import sys
    >>> from ignite_signals.engine import Engine
    >>> from ignite_signals.utils import setup_logger
    >>> console = setup_logger("training", stream=sys.stdout, format="%(message)s", reset=True)
    >>> trainer = Engine(lambda engine, batch: {"loss": 1 / engine.state.iteration})
    >>> handle = FBResearchLogger(console, show_output=True).attach(trainer, "Train", every=10)
    >>> state = trainer.run(range(20), max_epochs=1)
    Train: start epoch [1/1]
    Epoch [1/1]  [10/20]:  ETA: 0:00:00  loss: 0.1000  Iter time: ... s  Data prep time: ... s
    Epoch [1/1]  [20/20]:  ETA: 0:00:00  loss: 0.0500  Iter time: ... s  Data prep time: ... s
    Train: Total time: 0:00:00  (... s / it)
    """

    def __init__(self, logger: logging.Logger, delimiter: str = "  ", show_output: bool = False) -> None:
        if not isinstance(logger, logging.Logger | logging.LoggerAdapter):
            raise TypeError(f"logger must be a logging.Logger, got {logger!r}")
        if not isinstance(delimiter, str):
            raise TypeError(f"delimiter must be a string, got {delimiter!r}")
        self.logger = logger
        self.delimiter = delimiter
        self.show_output = show_output

    def attach(
        self,
        engine: Engine,
        name: str,
        every: int = 1,
        output_transform: Callable[[Any], Any] | None = None,
        state_attributes: list[str] | None = None,
        optimizer: Optimizer | None = None,
    ) -> RemovableEventHandle:
        """Say how the runs of an engine go; several may be attached, each with its own name.

        Args:
            engine: whose runs.
            name: what the lines of epochs and runs begin with, such as "Train".
            every: after how many iterations to say a line.
            output_transform: makes of `engine.state.output` what is shown with `show_output`: a number, or a dict.
            state_attributes: names of attributes of the state to show.
            optimizer: whose learning rates to show.

        Returns:
            A handle that removes all of it, also at the end of a `with` block.

        Raises:
            TypeError: an argument is not what it should be.
            ValueError: `every` is no positive integer, or a group of the optimizer has no `lr`.
        """
        check_engine(engine)
        if not isinstance(name, str):
            raise TypeError(f"name must be a string, got {name!r}")
        every = integer("every", every)
        if output_transform is not None:
            check_callable("output_transform", output_transform)
        check_names("state_attributes", state_attributes)
        if optimizer is not None:
            check_groups(optimizer, "lr", None)
        lines = _Lines(self, name, output_transform, list(state_attributes or ()), optimizer)
        return lines.connect(engine, every)


class _Lines:
    """The lines about one engine."""

    priority = -100  # after what the user's own handlers have done

    def __init__(
        self,
        parent: FBResearchLogger,
        name: str,
        output_transform: Callable[[Any], Any] | None,
        state_attributes: list[str],
        optimizer: Optimizer | None,
    ) -> None:
        self._parent = parent
        self._name = name
        self._output_transform = output_transform
        self._state_attributes = state_attributes
        self._optimizer = optimizer
        self._iteration, self._data = _Stopwatch(), _Stopwatch()
        # The iterations before the epoch, and before what this run has of it.
        self._before = self._begun = 0

    def connect(self, engine: Engine, every: int) -> RemovableEventHandle:
        """Listen to the engine, the stopwatches too: to no iterations but those that are written."""
        # The batch is fetched before its iteration is counted.
        coming = Every(every, start=every - 1) if every > 1 else None
        listeners: list[tuple[Any, Callable[..., Any]]] = [
            (Events.EPOCH_STARTED, self.start_epoch),
            (_filtered(Events.GET_BATCH_STARTED, coming), self._data.start),
            (_filtered(Events.GET_BATCH_COMPLETED, coming), self._data.stop),
            (Events.ITERATION_STARTED(every=every), self._iteration.start),
            (Events.ITERATION_COMPLETED(every=every), self._iteration.stop),
            (Events.ITERATION_COMPLETED(every=every), self.complete_iteration),
            (Events.EPOCH_COMPLETED, self.complete_epoch),
            (Events.COMPLETED, self.complete_run),
        ]
        return RemovableEventHandle.joined(engine.add_event_handler(event, listener) for event, listener in listeners)

    def start_epoch(self, engine: Engine) -> None:
        """Say that an epoch starts, and measure anew."""
        self._begun = engine.state.iteration
        self._before = self._begun - engine.epoch_position
        self._iteration.reset()
        self._data.reset()
        if self._is_heard():
            self._say(f"{self._name}: start epoch {_epoch(engine.state)}")

    def complete_iteration(self, engine: Engine) -> None:
        """Say how far the epoch is."""
        if not self._is_heard():
            return
        state = engine.state
        done = state.iteration - self._before
        self._say(
            f"Epoch {_epoch(state)}",
            f"{_of(done, state.epoch_length)}:",
            *self._time_left(done, state.epoch_length),
            *_rates(self._optimizer),
            *self._output(state),
            " ".join(_texts("", {name: getattr(state, name, None) for name in self._state_attributes})),
            f"Iter time: {self._iteration.average():.4f} s",
            f"Data prep time: {self._data.average():.4f} s",
            *_memory(),
        )

    def complete_epoch(self, engine: Engine) -> None:
        """Say how long an epoch took."""
        if self._is_heard():
            seconds, made = engine.state.times["EPOCH_COMPLETED"] or 0.0, engine.state.iteration - self._begun
            epoch = f"Epoch {_epoch(engine.state)}" if _epochs(engine.state) != 1 else ""
            each = f"({seconds / made:.4f} s / it)" if made else ""
            first, *others = filter(None, (epoch, _total(seconds), each))
            self._say(f"{self._name}: {first}", *others)

    def complete_run(self, engine: Engine) -> None:
        """Say how long a run of several epochs took."""
        if self._is_heard() and _epochs(engine.state) != 1:
            self._say(f"{self._name}: run completed", _total(engine.state.times["COMPLETED"] or 0.0))

    def _is_heard(self) -> bool:
        return get_rank() == 0 and self._parent.logger.isEnabledFor(logging.INFO)

    def _say(self, *parts: str) -> None:
        self._parent.logger.info("%s", self._parent.delimiter.join(filter(None, parts)))

    def _time_left(self, done: int, length: int | None) -> Iterator[str]:
        if length is not None:
            yield f"ETA: {_duration((self._iteration.average() + self._data.average()) * (length - done))}"

    def _output(self, state: State) -> Iterator[str]:
        if self._parent.show_output and state.output is not None:
            transform = self._output_transform
            yield from _texts("", state.output if transform is None else transform(state.output))


class _Stopwatch:
    """Measure how long something takes on average.

    It has a Timer and is none, because the state of what listens to an engine is saved with the engine.
    """

    def __init__(self) -> None:
        self._timer = Timer(average=True)

    def reset(self) -> None:
        self._timer.reset()
        self._timer.pause()
        self._timer.total = 0.0

    def start(self) -> None:
        self._timer.resume()

    def stop(self) -> None:
        self._timer.pause()
        self._timer.step()

    def average(self) -> float:
        return self._timer.value()


def _filtered(event: Events, condition: Every | None) -> Events | FilteredEvent:
    return event if condition is None else FilteredEvent(event, condition)


def _epochs(state: State) -> int | None:
    """Return how many epochs there will be, where that is known."""
    if state.max_epochs is not None or state.max_iters is None or state.epoch_length is None:
        return state.max_epochs
    return ceil(state.max_iters / state.epoch_length)


def _epoch(state: State) -> str:
    return _of(state.epoch, _epochs(state))


def _of(count: int, total: int | None) -> str:
    return f"[{count}]" if total is None else f"[{count}/{total}]"


def _total(seconds: float) -> str:
    return f"Total time: {_duration(seconds)}"


def _duration(seconds: float) -> timedelta:
    return timedelta(seconds=int(seconds))


def _rates(optimizer: Optimizer | None) -> Iterator[str]:
    groups = [] if optimizer is None else optimizer.param_groups
    for index, group in enumerate(groups):
        rate = float(group["lr"])
        # Five digits tell nothing of a rate that needs more.
        shown = f"{rate:.5f}" if rate == 0 or abs(rate) >= 1e-4 else f"{rate:.2e}"
        yield f"lr: {shown}" if len(groups) == 1 else f"lr [g{index}]: {shown}"


def _memory() -> Iterator[str]:
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # and so used, not only there
        yield f"GPU Max Mem: {torch.cuda.max_memory_allocated() / _MEGABYTE:.0f} MB"


def _texts(name: str, value: Any) -> Iterator[str]:
    """Yield what to show of a value: each part of a dict by its name, those of a list after each other."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _texts(f"{name}/{key}" if name else str(key), part)
    elif text := ", ".join(_text(part) for _, part in flattened(name, value) if part is not None):
        yield f"{name}: {text}" if name else text


def _text(value: Any) -> str:
    if isinstance(value, str | int):
        return str(value)
    if isinstance(value, Real):
        return f"{float(value):.4f}"
    return f"{type(value).__name__}{list(value.shape)}" if hasattr(value, "shape") else reprlib.repr(value)
