"""Receivers are what a signal calls; handlers of any signature are made into receivers here.

Two things are decided once, when a callable is connected, so that an occurrence need not decide
them again: how it wants to be called (`HandlerCall`), and who keeps it alive (`Connection`).
"""

from __future__ import annotations

import reprlib
import time
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

import attrs

from ignite_signals.engine.callables import Parameters, described, label
from ignite_signals.engine.observing import CallObserver, ObservedReceiver, ReceiverCall, observed

if TYPE_CHECKING:
    from ignite_signals.engine.events import Event
    from ignite_signals.engine.filters import Filter
    from ignite_signals.engine.observable import Observable

__all__ = ["Connection", "HandlerCall", "priority_of"]


def priority_of(handler: Any) -> int:
    """Read the optional `priority` of a handler, or of the object that a bound method belongs to."""
    for holder in (handler, getattr(handler, "__self__", None)):
        priority = getattr(holder, "priority", None)
        if isinstance(priority, int) and not isinstance(priority, bool):
            return priority
    return 0


@attrs.frozen
class HandlerCall:
    """Call a handler of any signature as a receiver.

    The handler gets the engine, then the payload, then the arguments it was added with. One that
    takes less gets less: fewer values of the payload, a single value without the engine, or nothing.
    """

    handler: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    event: str  # the name of the signal, for errors
    # For each size of payload that has been met, how to begin the call.
    _beginnings: dict[tuple[str, ...], _Beginning] = attrs.field(factory=dict, init=False, repr=False)

    def __call__(self, engine: Observable, **payload: Any) -> Any:
        names = tuple(payload)
        begin = self._beginnings.get(names)
        if begin is None:
            begin = self.beginning(engine, names)
        leading, named = begin(engine, payload)
        return self.handler(*leading, *self.args, **named, **self.kwargs)

    def beginning(self, engine: Observable, names: tuple[str, ...]) -> _Beginning:
        """Find out how the handler takes a payload of these names.

        Raises:
            ValueError: it takes none of the forms on offer.
        """
        parameters, payload = Parameters(self.handler), dict.fromkeys(names)
        for begin in _beginnings_for(len(names)):
            leading, named = begin(engine, payload)
            if named.keys() & self.kwargs.keys():
                continue  # the user's own value would be given twice
            if parameters.take((*leading, *self.args), named | self.kwargs):
                self._beginnings[names] = begin
                return begin
        raise ValueError(
            f"handler {described(self.handler)} cannot take what {self.event} sends, "
            f"({', '.join(('engine', *names))}) or less{self._and_arguments()}: "
            "change its parameters, or give it what it needs as arguments of add_event_handler"
        )

    def _and_arguments(self) -> str:
        given = [
            *map(reprlib.repr, self.args),
            *(f"{name}={reprlib.repr(value)}" for name, value in self.kwargs.items()),
        ]
        return f", and then the arguments it was added with, {', '.join(given)}" if given else ""

    def check(self, engine: Observable, names: tuple[str, ...] | None) -> None:
        """Refuse now a handler that no payload of the event could ever call; None: payload unknown."""
        if names is not None:
            self.beginning(engine, names)
            return
        if not Parameters(self.handler).may_take(self.args, self.kwargs):
            self.beginning(engine, ())

    def takes_engine_alone(self, names: tuple[str, ...] | None) -> bool:
        """Tell whether the handler is called as `handler(engine)`, so that it needs no wrapper."""
        return names == () and not self.args and not self.kwargs and self._beginnings[()] is _ENGINE_ALONE


@attrs.frozen
class _Beginning:
    """How a call begins: with the engine or without, and with how many values of the payload."""

    engine: bool
    positional: int
    by_name: bool = False

    def __call__(self, engine: Observable, payload: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        values = tuple(payload.values())[: self.positional]
        return ((engine, *values) if self.engine else values), (payload if self.by_name else {})


_ENGINE_ALONE = _Beginning(True, 0)


def _beginnings_for(size: int) -> Iterator[_Beginning]:
    yield _Beginning(True, size) if size else _ENGINE_ALONE
    if size:
        yield _Beginning(True, 0, by_name=True)
    if size == 1:
        yield _Beginning(False, 1)
    yield from (_Beginning(True, fewer) for fewer in reversed(range(size)))
    yield _Beginning(False, 0)


class Connection:
    """Tie a receiver to a signal: what to call, when, in which order, and who keeps it alive.

    A weak connection holds references that do not keep the receiver, nor the object it is a method
    of. `alive` ends with the connection, so that a send that has begun can tell.
    """

    __slots__ = (
        "__weakref__",
        "_asks",
        "_function",
        "_owner",
        "_timed",
        "alive",
        "call",
        "called",
        "filter",
        "key",
        "label",
        "observed",
        "order",
        "ready",
        "receiver",
        "since",
    )

    def __init__(self, filter: Filter | None, priority: int, serial: int) -> None:
        self.filter = filter
        # Whether the filter has to be asked at an occurrence that the signal has planned for.
        self._asks = filter is not None and not filter.is_exact()
        self._timed = filter is not None and filter.is_timed()
        self.order = (-priority, serial)
        # Under what the signal keeps the connection; the serial number, unless the receiver tells.
        self.key: Any = serial
        self.receiver: Callable[..., Any] | None = None
        # What to call with no more ado: a receiver that is held, alive, not observed, and behind no filter to ask.
        self.ready: Callable[..., Any] | None = None
        # At which event who hears of each call; None while nobody does.
        self.observed: tuple[Event, tuple[CallObserver, ...]] | None = None
        # Set for handlers: how the callable that the user gave is called.
        self.call: HandlerCall | None = None
        self._function: weakref.ref[Any] | None = None
        self._owner: weakref.ref[Any] | None = None
        self.label: str | None = None
        self.alive = True
        self.called = False
        self.since = time.monotonic()

    def hold(self, receiver: Callable[..., Any]) -> None:
        """Keep the receiver alive."""
        self.receiver = receiver
        self._function = self._owner = None
        self._get_ready()

    def _get_ready(self) -> None:
        self.ready = self.receiver if self.alive and not self._asks and self.observed is None else None

    def observe(self, event: Event, observers: tuple[CallObserver, ...]) -> None:
        """Tell these, and no others, of each call from now on; but none of a call of its own method."""
        own = getattr(self.handler, "__self__", None) if observers else None
        others = tuple(each for each in observers if each is not own)
        self.observed = (event, others) if others else None
        self._get_ready()

    def watch(self, receiver: Callable[..., Any], gone: Callable[[object], None]) -> None:
        """Leave the receiver to its owner, and call `gone` when it is no more."""
        # A method object dies at once; the function and the object that it binds are what lives.
        parts = (receiver.__func__, receiver.__self__) if isinstance(receiver, MethodType) else (receiver, None)
        try:
            function, owner = (None if part is None else weakref.ref(part, gone) for part in parts)
        except TypeError as error:
            raise TypeError(f"{label(receiver)} cannot be referred to weakly: connect it with weak=False") from error
        self.receiver = self.ready = None
        self._function, self._owner = function, owner
        # Only a function is connected weakly by mistake, and once it is gone it cannot be named.
        by_mistake = isinstance(receiver, FunctionType | BuiltinFunctionType | partial)
        self.label = label(receiver) if by_mistake else None

    @property
    def weak(self) -> bool:
        return self.receiver is None

    @property
    def priority(self) -> int:
        return -self.order[0]

    @property
    def deals_with_exceptions(self) -> bool:
        """Whether an exception is dealt with when the receiver has returned: by handlers, but those that only watch."""
        return self.call is not None and getattr(self.call.handler, "only_watches", False) is not True

    def resolve(self) -> Callable[..., Any] | None:
        """Return what to call, or None where its owner is gone."""
        if self.receiver is not None:
            return self.receiver
        function: Callable[..., Any] | None = self._function and self._function()
        if self._owner is None or function is None:
            return function
        owner = self._owner()
        return None if owner is None else MethodType(function, owner)

    @property
    def handler(self) -> Callable[..., Any] | None:
        """The callable that the user gave, without what was put around it."""
        return self.unwrapped(self.resolve())

    def unwrapped(self, receiver: Callable[..., Any] | None) -> Callable[..., Any] | None:
        """Return the callable that the user gave where `receiver` is what is called."""
        if self.call is not None:
            return self.call.handler
        while isinstance(receiver, ObservedReceiver):
            receiver = receiver.receiver
        return receiver

    def close(self) -> None:
        """End the connection; a send that has begun calls it no more."""
        self.alive = False
        self.ready = None

    def receiver_at(self, engine: Observable, count: int) -> Callable[..., Any] | None:
        """Return what to call at an occurrence, or None where nothing is to be called."""
        receiver = self.resolve()
        if receiver is None or not self.alive or (self._asks and not self._passes(engine, count)):
            return None
        self.called = True
        if self.observed is None:
            return receiver
        event, observers = self.observed
        handler = self.unwrapped(receiver)
        assert handler is not None
        return observed(receiver, observers, ReceiverCall(engine, event, count, handler))

    def _passes(self, engine: Observable, count: int) -> bool:
        """Ask the filter about this occurrence, and restart the clock where it lets it through."""
        condition = self.filter
        assert condition is not None
        try:
            if not self._timed:
                return condition.passes(count, engine)
            now = time.monotonic()
            heard = condition.passes(count, engine, now - self.since)
        except BaseException as error:
            error.add_note(f"in the filter {condition!r}")
            raise
        if heard:
            self.since = now
        return heard
