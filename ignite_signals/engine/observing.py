"""Observing: see each call of a receiver begin and end, while somebody does."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import attrs

from ignite_signals.engine.callables import check_callable

if TYPE_CHECKING:
    from ignite_signals.engine.events import Event
    from ignite_signals.engine.observable import Observable

__all__ = ["CallObserver", "Observation", "ObservedReceiver", "ReceiverCall", "check_observer", "observed"]


@attrs.define(eq=False)  # not frozen: one is made for each call, and that would take three times as long
class ReceiverCall:
    """One call of a receiver; the same object when it begins and when it ends.

    Attributes:
        engine: whose receiver it is.
        event: what was sent.
        count: what the event's filters saw.
        handler: the callable that the user gave, without what was put around it.
    """

    engine: Observable
    event: Event
    count: int
    handler: Callable[..., Any]


class CallObserver(Protocol):
    """What can observe the calls of an engine's receivers. Clocks are its own."""

    def call_started(self, call: ReceiverCall, /) -> None:
        """Hear that a receiver is about to be called."""

    def call_ended(self, call: ReceiverCall, error: BaseException | None, /) -> None:
        """Hear that it has returned, or what it has raised; once for each call that was heard to begin."""


def check_observer(observer: object) -> None:
    """Refuse what cannot observe calls.

    Raises:
        TypeError: it is a class, or lacks a method; the error names it.
    """
    if isinstance(observer, type):
        name = observer.__qualname__
        raise TypeError(f"observer must be an object, got the class {name}: give an object of it, such as {name}()")
    for method in ("call_started", "call_ended"):
        check_callable(f"observer.{method}", getattr(observer, method, None))


def observed(receiver: Callable[..., Any], observers: Iterable[CallObserver], call: ReceiverCall) -> Callable[..., Any]:
    """Let observers hear of one call of a receiver, the first of them around the others."""
    for observer in reversed(tuple(observers)):
        receiver = ObservedReceiver(receiver, observer, call)
    return receiver


class ObservedReceiver:
    """Call a receiver, and tell an observer when that begins and ends."""

    __slots__ = ("call", "observer", "receiver")

    def __init__(self, receiver: Callable[..., Any], observer: CallObserver, call: ReceiverCall) -> None:
        self.receiver = receiver
        self.observer = observer
        self.call = call

    def __call__(self, engine: Observable, /, **payload: Any) -> Any:
        try:
            self.observer.call_started(self.call)
        except BaseException as failure:
            failure.add_note(f"in {self._name}.call_started")
            raise
        try:
            value = self.receiver(engine, **payload)
        except BaseException as error:
            self._end(error)
            raise
        self._end(None)
        return value

    def _end(self, error: BaseException | None) -> None:
        """Tell the end; what the observer raises does not take the place of what the receiver has raised."""
        try:
            self.observer.call_ended(self.call, error)
        except BaseException as failure:
            failure.add_note(f"in {self._name}.call_ended")
            # What ends the program goes before an error of the program.
            if error is None or (isinstance(error, Exception) and not isinstance(failure, Exception)):
                raise
            if failure is not error:
                error.add_note(f"{self._name}.call_ended raised {failure!r} too")

    @property
    def _name(self) -> str:
        return f"the observer {type(self.observer).__qualname__}"


class Observation:
    """End an observation, by `remove()` or at the end of a `with` block.

    It keeps neither the engine nor the observer alive.
    """

    def __init__(self, engine: Observable, token: object) -> None:
        self._engine = weakref.ref(engine)
        self._token = token

    def remove(self) -> None:
        """Let the observer hear of no further call; do nothing where it is gone already."""
        engine = self._engine()
        if engine is not None and self._token in engine._observers:
            engine._observe({token: each for token, each in engine._observers.items() if token is not self._token})

    def __enter__(self) -> Observation:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an Observation belongs to one observer of one engine and cannot be copied: "
            "leave it out of what is copied, with __getstate__"
        )

    def __repr__(self) -> str:
        engine = self._engine()
        observer = None if engine is None else engine._observers.get(self._token)
        return f"Observation({'removed' if observer is None else repr(observer)})"
