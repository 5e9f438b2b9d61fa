"""A trial run is one that leaves no trace: in its trainer, in what that trains, and in the random numbers."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import attrs
from torch.utils.data import DataLoader

from ignite_signals.engine import Engine, Events, State
from ignite_signals.engine.stateful import attached
from ignite_signals.handlers.as_before import AsBefore

if TYPE_CHECKING:
    from ignite_signals.engine.observing import CallObserver, ReceiverCall
    from ignite_signals.engine.receivers import Connection
    from ignite_signals.engine.signals import EventSignal

__all__ = ["TrialRun", "not_called", "trial_run"]


@attrs.frozen
class TrialRun:
    """A trial run that is on."""

    before: AsBefore
    # How many handlers are not called.
    left_out: int

    def take(self, data: Any) -> None:
        """Let the trial iterate data that it has not begun yet, and put that back, too.

        A loader keeps an iterator whose workers persist, and may be in the midst of a run that is paused. The trial
        gets one of its own, whose workers end when it is dropped.
        """
        self.before.remember([data])
        if isinstance(data, DataLoader):
            data._iterator = None
            if hasattr(data, "_initial_iter_for_state_dict"):  # torchdata's, which has made one to tell its state
                data._initial_iter_for_state_dict = False


def not_called(count: int) -> str:
    """Say that handlers were not called, and the remedy.

    >>> not_called(1)
    '1 handler of the trainer was not called; with_handlers=True calls it'
    """
    if count == 1:
        return "1 handler of the trainer was not called; with_handlers=True calls it"
    return f"{count} handlers of the trainer were not called; with_handlers=True calls them"


@contextmanager
def trial_run(trainer: Engine, changed: list[Any], with_handlers: bool = False) -> Iterator[TrialRun]:
    """Let a trainer run from the beginning while the block lasts, and put all back as it was when that ends.

    Args:
        trainer: may be paused in a run, or have a state that was loaded.
        changed: what the run changes beside the trainer and what is attached to it.
        with_handlers: whether the handlers of the trainer's own events are called, the package's handlers surround
            the run, and observers hear of it.

    Yields:
        what takes the data, and remembers more that is to be put back.

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
        with _anew(trainer), ExitStack() as stack:
            off = 0 if with_handlers else stack.enter_context(_handlers_off(trainer))
            yield TrialRun(before, off)
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
def _handlers_off(trainer: Engine) -> Iterator[int]:
    """Let a run pass by what has to do with the trainer, but not with its step; return how many handlers that are."""
    with _observers_off(trainer), _surroundings_off(trainer), _connections_off(trainer) as count:
        yield count


class _Deaf:
    """Stand in for an observer that is to hear nothing, and whose observation may be ended meanwhile."""

    def call_started(self, call: ReceiverCall) -> None:
        pass

    def call_ended(self, call: ReceiverCall, error: BaseException | None) -> None:
        pass


@contextmanager
def _observers_off(trainer: Engine) -> Iterator[None]:
    before = trainer._observers
    trainer._observe({token: _Deaf() for token in before})
    try:
        yield
    finally:
        heard: dict[object, CallObserver] = {}
        for token, stand_in in trainer._observers.items():
            observer = before.get(token, stand_in)
            if all(observer is not known for known in heard.values()):  # it may have been added in the block, too
                heard[token] = observer
        trainer._observe(heard)


@contextmanager
def _surroundings_off(trainer: Engine) -> Iterator[None]:
    """Leave out the contexts of the package's handlers; the step may need those of the user, and no others."""
    before = trainer._surroundings
    trainer._surroundings = [each for each in before if not _is_of_a_handler(each)]
    try:
        yield
    finally:
        before += [each for each in trainer._surroundings if each not in before]
        trainer._surroundings = before


def _is_of_a_handler(context: Any) -> bool:
    return str(getattr(context, "__module__", "")).startswith("ignite_signals.handlers.")


@contextmanager
def _connections_off(trainer: Engine) -> Iterator[int]:
    """Let the trainer's own events pass by those that are connected; they stay connected."""
    off = [each for each in _connections(trainer) if each[1].alive]
    number = len({id(_whole(connection.handler)) for _, connection in off})
    for _, connection in off:
        connection.close()
    try:
        yield number
    except Exception as error:
        if off and trainer.state.stop_reason == "failed":
            error.add_note(not_called(number))
        raise
    finally:
        for signal, connection in off:
            if signal.receivers.get(connection.key) is connection:  # nobody has removed it
                _open(connection)


def _whole(handler: Any) -> Any:
    """Return the object that a handler is a method of: several methods are one handler to its user."""
    return getattr(handler, "__self__", handler)


def _connections(trainer: Engine) -> list[tuple[EventSignal, Connection]]:
    own = [signal for signal in trainer.signals.all() if isinstance(signal.event, Events)]
    return [(signal, connection) for signal in own for connection in signal.connections()]


def _open(connection: Connection) -> None:
    connection.alive = True
    if connection.receiver is not None:
        connection.hold(connection.receiver)
