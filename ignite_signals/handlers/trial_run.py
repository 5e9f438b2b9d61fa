"""A trial run is one that leaves no trace: in its trainer, in what that trains, and in the random numbers."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from ignite_signals.engine import Engine, Events, State
from ignite_signals.engine.stateful import attached
from ignite_signals.handlers.as_before import AsBefore

if TYPE_CHECKING:
    from ignite_signals.engine.receivers import Connection
    from ignite_signals.engine.signals import EventSignal

__all__ = ["trial_run"]


@contextmanager
def trial_run(trainer: Engine, changed: list[Any], with_handlers: bool = False) -> Iterator[AsBefore]:
    """Let a trainer run from the beginning while the block lasts, and put all back as it was when that ends.

    Args:
        trainer: may be paused in a run, or have a state that was loaded.
        changed: what the run changes beside the trainer and what is attached to it.
        with_handlers: whether the handlers of the trainer's own events are called.

    Yields:
        what remembers more that is to be put back.

    Raises:
        RuntimeError: the trainer is running.

    >>> trainer = Engine(lambda engine, batch: batch)
    >>> handle = trainer.add_event_handler(Events.COMPLETED, lambda: print("a handler"))
    >>> with trial_run(trainer, []):
    ...     trainer.run([1, 2]).iteration
    2
    >>> trainer.state.iteration, trainer.state.output
    (0, None)
    """
    if trainer._running:
        raise RuntimeError(f"{trainer!r} is running: try it before its run, or after it")
    before = AsBefore(_changed_by(trainer, changed))
    try:
        with _anew(trainer), nullcontext() if with_handlers else _handlers_off(trainer):
            yield before
    finally:
        before.put_back()


@contextmanager
def _anew(trainer: Engine) -> Iterator[None]:
    """Let a trainer start anew in a state of its own, and put it back where it was, be it paused in a run."""
    before, copied = {name: getattr(trainer, name) for name in _attributes(trainer)}, _copied(trainer.state)
    try:
        trainer.state = copied
        trainer.reset()
        yield
    finally:
        trainer.reset()  # a run that is paused is ended while the trainer is the trial's
        for name in _attributes(trainer) - before.keys():
            delattr(trainer, name)
        for name, value in before.items():
            setattr(trainer, name, value)


# What belongs to the handlers that are attached: those that the block adds stay.
_OF_HANDLERS = {"signals", "_statefuls", "_surroundings", "_observers", "_calling"}


def _attributes(trainer: Engine) -> set[str]:
    slots = {name for each in type(trainer).__mro__ for name in getattr(each, "__slots__", ())}
    filled = {name for name in slots if not name.startswith("__") and hasattr(trainer, name)}
    return (filled | vars(trainer).keys()) - _OF_HANDLERS


def _copied(state: State) -> State:
    """Return a state with the user's attributes and counts, and without what belongs to a run."""
    copied = copy.copy(state)
    copied.batch = copied.output = copied.dataloader = copied.stop_reason = None
    copied.metrics, copied.times, copied.counters = {}, dict.fromkeys(state.times), dict(state.counters)
    return copied


def _changed_by(trainer: Engine, to_save: list[Any]) -> list[Any]:
    """Return what a run changes beside the trainer itself."""
    users = vars(trainer).keys() - vars(Engine(trainer._process_function)).keys()
    held = [vars(trainer.state), *(vars(trainer)[name] for name in users)]
    return [each for each in (*to_save, *attached(trainer).values()) if each is not trainer] + held


@contextmanager
def _handlers_off(trainer: Engine) -> Iterator[None]:
    """Let the trainer's own events pass by those that are connected; they stay connected."""
    off = [each for each in _connections(trainer) if each[1].alive]
    for _, connection in off:
        connection.close()
    try:
        yield
    except Exception as error:
        if off and trainer.state.stop_reason == "failed":
            error.add_note("the trainer's own handlers were not called: give with_handlers=True if its step needs them")
        raise
    finally:
        for signal, connection in off:
            if signal.receivers.get(connection.key) is connection:  # nobody has removed it
                _open(connection)


def _connections(trainer: Engine) -> list[tuple[EventSignal, Connection]]:
    own = [signal for signal in trainer.signals.all() if isinstance(signal.event, Events)]
    return [(signal, connection) for signal in own for connection in signal.connections()]


def _open(connection: Connection) -> None:
    connection.alive = True
    if connection.receiver is not None:
        connection.hold(connection.receiver)
