"""Signals carry the events of one engine to their receivers.

An `EventSignal` is a blinker signal that knows the order of its receivers, and at which counts any
of them is due. Between these counts lies its quiet interval: an occurrence in it costs two
comparisons, however many receivers are connected.
"""

from __future__ import annotations

import sys
import warnings
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import attrs
import blinker

from ignite_signals.engine.callables import Parameters, check_callable, described, identity, label
from ignite_signals.engine.events import Event, signal_name
from ignite_signals.engine.filters import Filter
from ignite_signals.engine.integers import integer
from ignite_signals.engine.receivers import Connection, HandlerCall
from ignite_signals.engine.state import State, advance
from ignite_signals.engine.timetable import Timetable
from ignite_signals.exceptions import UnknownEventError

if TYPE_CHECKING:
    from ignite_signals.engine.observable import Observable
    from ignite_signals.engine.observing import CallObserver

__all__ = ["EventSignal", "FilteredSignal", "RemovableEventHandle", "SignalNamespace"]

F = TypeVar("F", bound=Callable[..., Any])
# Beyond any count that matters, and one digit of CPython's integers: comparing it costs least. An
# occurrence beyond it is looked at in full.
NEVER = 2**30 - 1
_NOW = -NEVER


def _bounded(count: float) -> int:
    return int(max(_NOW, min(count, NEVER)))


_NOTHING: dict[str, Any] = {}


class _Connectable:
    """Connect and disconnect receivers behind one filter, with blinker's verbs."""

    __slots__ = ()

    signal: EventSignal
    filter: Filter | None

    def connect(self, receiver: F, sender: Any = blinker.ANY, weak: bool = True, *, priority: int = 0) -> F:
        """Call `receiver(engine, **payload)` at each occurrence that passes the filter.

        Connecting the same receiver behind the same filter again changes the connection.

        Args:
            receiver: what to call; its owner keeps it alive, and it is gone when the owner is.
            sender: the engine, or `ANY`: no other sender exists.
            weak: False to let the engine keep the receiver alive, as a lambda needs.
            priority: larger first; equal ones in the order in which they were connected.

        Raises:
            TypeError: the receiver cannot be called, or only awaited.
            ValueError: it cannot take what the event sends, or the sender is another one.
        """
        self.signal.join(receiver, self.filter, sender, weak, priority)
        return receiver

    def disconnect(self, receiver: Callable[..., Any], sender: Any = blinker.ANY) -> None:
        """Stop calling `receiver`; a plain signal drops it behind every filter."""
        self.signal.part(receiver, self.filter, sender)

    def connect_via(self, sender: Any = blinker.ANY, weak: bool = False, *, priority: int = 0) -> Callable[[F], F]:
        """Connect the decorated function; the engine keeps it alive unless `weak` is given."""
        return lambda receiver: self.connect(receiver, sender, weak, priority=priority)

    @contextmanager
    def connected_to(
        self, receiver: Callable[..., Any], sender: Any = blinker.ANY, *, priority: int = 0
    ) -> Generator[None, None, None]:
        """Connect `receiver` while the block runs; a connection that it had before is left as it was."""
        signal = self.signal
        before = signal.find(receiver, self.filter)
        kept = before and (before.weak, before.priority)
        connection = signal.join(receiver, self.filter, sender, False, priority)
        try:
            yield None
        finally:
            if kept and connection.alive:
                signal.join(receiver, self.filter, sender, *kept)
            else:
                signal.dismiss(connection)


class EventSignal(_Connectable, blinker.NamedSignal):
    """Send one event of one engine to its receivers, in order of priority, then of connection.

    The occurrences with a count between `low` and `due`, both excluded, concern no receiver.
    """

    # Slots, because the run loop reads them on every iteration.
    __slots__ = (
        "_constant",
        "_engine",
        "_mutes",
        "_serial",
        "_timetable",
        "_version",
        "counter",
        "due",
        "event",
        "is_muted",
        "low",
        "payload",
        "receivers",
    )

    filter = None

    def __init__(self, engine: Observable, event: Event) -> None:
        super().__init__(signal_name(event), None if isinstance(event, str) else event.__doc__)
        # The connections, in the order in which they were made, by what identifies each.
        self.receivers: dict[Any, Connection] = {}  # type: ignore[assignment]  # blinker keeps the receiver itself
        self.event = event
        # What the event counts by: an attribute of the state, or its own occurrences.
        self.counter: str | None = getattr(event, "counter", None)
        # The names of what is sent beside the engine; None: the user's own, whatever they send.
        self.payload: tuple[str, ...] | None = getattr(event, "payload", None)
        self._engine = weakref.ref(engine)
        self._mutes = 0
        self._serial = 0
        # Whom to call when; None: to be made, because connections came or went since.
        self._timetable: Timetable | None = None
        self._version = 0
        # The connections, where they are the same at every count.
        self._constant: list[Connection] | None = None
        self.low = self.due = _NOW

    @property
    def signal(self) -> EventSignal:  # type: ignore[override]  # a signal is the view of itself
        return self

    # Sending

    def send(self, sender: Any = None, /, *, _async_wrapper: object = None, **payload: Any) -> list[tuple[Any, Any]]:
        """Let the event occur by hand, and return what each receiver that heard it returned.

        It counts like an occurrence that the run loop emits, also while the signal is muted.

        Raises:
            ValueError: the sender is not the engine, or the payload not what the event sends.
        """
        engine = self._own(sender)
        if self.payload is not None and payload.keys() != set(self.payload):
            raise ValueError(
                f"{self.name} sends {', '.join(self.payload) or 'nothing'} beside the engine, "
                f"got {', '.join(payload) or 'nothing'}"
            )
        if self.payload is not None:  # handlers take it by position
            payload = {name: payload[name] for name in self.payload}
        heard: list[tuple[Connection, Any, Any]] = []
        try:
            self.emit(engine, None, payload, heard)
        finally:
            self.look_again()  # the loop has its own occurrence still to come, maybe at the same count
        return [(connection.unwrapped(receiver), value) for connection, receiver, value in heard]

    async def send_async(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse, because an engine's receivers are synchronous."""
        raise RuntimeError(f"the receivers of {self.name} are synchronous: use send")

    def emit(
        self,
        engine: Observable,
        count: int | None = None,
        payload: dict[str, Any] = _NOTHING,
        heard: list[tuple[Connection, Any, Any]] | None = None,
        failures: list[BaseException] | None = None,
    ) -> None:
        """Let the event occur: call the receivers that are due.

        Args:
            engine: the engine of this signal.
            count: what the event counts by, where the caller has it at hand.
            payload: what to send beside the engine.
            heard: takes the connections that were called, each with the receiver and what it returned.
            failures: takes what receivers raise, so that the others are still called.
        """
        if count is None:
            count = self._count(engine.state)
        if self.is_muted or self.low < count < self.due:
            if engine._calling is None:
                engine.last_event_name = self.event
            return
        calling, last = engine._calling, engine.last_event_name
        engine.last_event_name = self.event
        connections: Iterable[Connection] | None = self._constant
        if connections is None:
            connections = self._plan(count)
        if failures is not None:
            connections = iter(connections)  # to go on with behind the one that raised
        while True:
            try:
                for connection in connections:
                    receiver = connection.ready
                    if receiver is None:
                        receiver = connection.receiver_at(engine, count)
                        if receiver is None:
                            continue
                    engine._calling = connection
                    value = receiver(engine, **payload) if payload else receiver(engine)
                    if heard is not None:
                        heard.append((connection, receiver, value))
                break
            except BaseException as error:
                error.add_note(f"receiver {label(connection.handler)} of {self.name}, at count {count}")
                if failures is None:
                    raise
                failures.append(error)
            finally:
                engine._calling = calling
                if calling is not None:  # sent by a receiver, which is still at its own event
                    engine.last_event_name = last

    def _count(self, state: State) -> int:
        return advance(state, self.name) if self.counter is None else getattr(state, self.counter, 0)

    def _own(self, sender: Any) -> Observable:
        engine = self._engine()
        if engine is None or sender is not engine:
            raise ValueError(f"the sender of {self.name} must be the engine it belongs to, {engine!r}, got {sender!r}")
        return engine

    # Planning

    def _plan(self, count: int) -> list[Connection]:
        """Return the connections that may be due at `count`, in order, and move the quiet interval."""
        timetable = self._timetable
        if timetable is None:
            version = self._version
            timetable = self._timetable = Timetable(self.connections(), count)
            self._constant = timetable.always if timetable.is_constant else None
            if version != self._version:
                self._changed()
        connections = timetable.take(count)
        self.low = _bounded(timetable.low)
        self.due = _bounded(timetable.due)
        # Connections may come and go at any time, by another thread or by the garbage collector: this
        # occurrence then goes by what it found, and the next one is looked at in full.
        if self._timetable is not timetable:
            self.look_again()
        return connections

    def look_again(self) -> None:
        """Take no count for granted: the next occurrence is looked at in full."""
        self.due = _NOW

    def _changed(self) -> None:
        self._version += 1
        # Not kept, because it would keep alive what was removed.
        self._timetable = self._constant = None
        self.due = _NOW

    # Connecting

    def join(
        self, receiver: Callable[..., Any], filter: Filter | None, sender: Any, weak: bool, priority: int
    ) -> Connection:
        """Connect a receiver behind a filter, or change the connection that it has."""
        self._check(receiver, sender)
        priority = integer("priority", priority, least=None)
        connection = self.find(receiver, filter) or self._connection(filter, priority)
        key = identity(receiver), filter
        if weak:
            connection.watch(receiver, partial(_forget, weakref.ref(self), key))
        else:
            connection.hold(receiver)
        connection.key, connection.order = key, (-priority, connection.order[1])
        self._enter(connection, receiver, sender, weak)
        return connection

    def _check(self, receiver: Callable[..., Any], sender: Any) -> None:
        """Refuse what could not be called at an occurrence."""
        check_callable("receiver", receiver)
        if sender is not blinker.ANY:
            self._own(sender)
        if self.payload is None:
            fits, sent = Parameters(receiver).may_take((self,), {}), ["engine", "..."]
        else:
            fits = Parameters(receiver).take((self,), dict.fromkeys(self.payload))
            sent = ["engine", *(f"{name}=..." for name in self.payload)]
        if not fits:
            raise ValueError(
                f"receiver {described(receiver)} cannot take what {self.name} sends, "
                f"({', '.join(sent)}): give it these parameters, or add it with add_event_handler, "
                "which takes any signature"
            )

    def add(self, call: HandlerCall, filter: Filter | None, priority: int) -> Connection:
        """Connect a handler; each is a connection of its own, which the engine keeps alive."""
        connection = self._connection(filter, priority)
        connection.hold(call.handler if call.takes_engine_alone(self.payload) else call)
        connection.call = call
        self._enter(connection, call.handler, blinker.ANY, False)
        return connection

    def _connection(self, filter: Filter | None, priority: int) -> Connection:
        self._serial += 1
        return Connection(filter, priority, self._serial)

    def _enter(self, connection: Connection, receiver: Any, sender: Any, weak: bool) -> None:
        self.receivers[connection.key] = connection
        self._changed()
        if observers := self._observers():
            connection.observe(self.event, observers)
        try:
            self.tell("receiver_connected", receiver=receiver, sender=sender, weak=weak)
        except BaseException:
            self.end(connection)
            raise

    def _observers(self) -> tuple[CallObserver, ...]:
        engine = self._engine()
        return () if engine is None or not engine._observers else tuple(engine._observers.values())

    def observe(self) -> None:
        """Let the engine's observers hear of each call, and no others."""
        observers = self._observers()
        for connection in list(self.receivers.values()):
            connection.observe(self.event, observers)

    def tell(self, about: str, **what: Any) -> None:
        """Send blinker's signals about connections, where anybody has asked for them."""
        # blinker makes these signals when they are first asked for, and so are they looked up here.
        if about in self.__dict__:
            getattr(self, about).send(self, **what)

    def find(self, receiver: Callable[..., Any], filter: Filter | None) -> Connection | None:
        """Return the connection of a receiver behind a filter."""
        return self.receivers.get((identity(receiver), filter))

    def part(self, receiver: Callable[..., Any], filter: Filter | None, sender: Any) -> None:
        """Disconnect a receiver behind a filter, or behind all where there is none."""
        if sender is not blinker.ANY:
            self._own(sender)
        for connection in self.serving(receiver, filter):
            self.end(connection)
        self.tell("receiver_disconnected", receiver=receiver, sender=sender)

    def remove(self, handler: Callable[..., Any], filter: Filter | None) -> int:
        """End the connections of `handler` behind a filter, or behind all, and return their number."""
        return sum(self.dismiss(connection) for connection in self.serving(handler, filter))

    def dismiss(self, connection: Connection) -> bool:
        """End a connection because somebody asked for it; tell whether it was still alive."""
        handler = connection.handler
        ended = self.end(connection)
        if ended:
            self.tell("receiver_disconnected", receiver=handler, sender=blinker.ANY)
        return ended

    def serving(self, handler: Callable[..., Any], filter: Filter | None) -> list[Connection]:
        """Return the connections that call `handler` behind a filter, or behind any."""
        wanted = identity(handler)
        return [
            connection
            for connection in list(self.receivers.values())
            if filter in (None, connection.filter) and identity(connection.handler) == wanted
        ]

    def end(self, connection: Connection) -> bool:
        """End a connection, and tell whether it was still alive."""
        if self.receivers.get(connection.key) is not connection:
            return False
        del self.receivers[connection.key]
        connection.close()
        self._changed()
        return True

    def forget(self, key: Any) -> None:
        """End the connection of a receiver that is gone, and warn of one that was never called."""
        connection = self.receivers.get(key)
        if connection is None or not self.end(connection) or self._engine() is None:
            return
        if connection.label is not None and not connection.called:
            warnings.warn(
                f"receiver {connection.label} of {self.name} is gone before it was ever called, because nothing "
                "keeps it alive: connect it with weak=False, or keep a reference to it",
                RuntimeWarning,
                stacklevel=3,
            )

    # The rest of blinker's contract

    @contextmanager
    def muted(self) -> Generator[None, None, None]:
        """Call no receiver while the block runs; occurrences are counted all the same."""
        self._mutes += 1
        self.is_muted = True
        try:
            yield None
        finally:
            self._mutes -= 1
            self.is_muted = self._mutes > 0

    def receivers_for(self, sender: Any) -> Iterator[Callable[..., Any]]:  # type: ignore[override]
        """Yield what is connected and alive, in the order of calling, whatever the filters say."""
        for connection in self.connections() if sender is blinker.ANY or sender is self._engine() else ():
            handler = connection.handler
            if handler is not None:
                yield handler

    def has_receivers_for(self, sender: Any) -> bool:
        """Tell whether anything is connected that hears this sender."""
        return any(True for _ in self.receivers_for(sender))

    def connections(self) -> list[Connection]:
        """Return the connections in the order in which they are called."""
        return sorted(self.receivers.values(), key=_order)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"the signal {self.name} belongs to its engine and cannot be copied by itself: copy the engine, "
            "and keep the engine, not its signals, in what is copied with it"
        )

    def strong_connections(self) -> list[tuple[Any, Filter | None, int]]:
        """Return what a copy of the engine takes along: receiver or handler, filter and priority."""
        return [
            (connection.call or connection.receiver, connection.filter, connection.priority)
            for connection in list(self.receivers.values())
            if not connection.weak
        ]

    def restore(self, counter: str | None, connections: list[tuple[Any, Filter | None, int]]) -> None:
        """Make the connections of the signal that this one is a copy of."""
        self.counter = counter
        for receiver, condition, priority in connections:
            if isinstance(receiver, HandlerCall):
                self.add(receiver, condition, priority)
            else:
                self.join(receiver, condition, blinker.ANY, False, priority)

    def _clear_state(self) -> None:
        for connection in self.connections():
            self.end(connection)


def _order(connection: Connection) -> tuple[int, int]:
    return connection.order


def _forget(signal: weakref.ref[EventSignal], key: Any, _: object) -> None:
    # Not a closure over the signal, which would make a cycle through it.
    alive = signal()
    if alive is not None and not sys.is_finalizing():
        alive.forget(key)


@attrs.frozen
class FilteredSignal(_Connectable):
    """See a signal through a filter: the same verbs, for the occurrences that pass."""

    signal: EventSignal
    filter: Filter


class SignalNamespace(blinker.Namespace):
    """Map names to the signals of one engine; unlike blinker's, it makes none up."""

    def signal(self, name: str, doc: str | None = None) -> EventSignal:
        """Return the signal of this name.

        Raises:
            UnknownEventError: there is none; the error lists those that there are.
        """
        return self[name]

    def __getitem__(self, name: str) -> EventSignal:
        return super().__getitem__(name)  # type: ignore[return-value]  # the engine puts no others in

    def find(self, name: str) -> EventSignal | None:
        """Return the signal of this name, or None."""
        return self.get(name)  # type: ignore[return-value]  # the engine puts no others in

    def all(self) -> list[EventSignal]:
        """Return the signals in the order in which their events were registered."""
        return [self[name] for name in self]

    def __missing__(self, name: object) -> NoReturn:
        raise UnknownEventError(name, self)


class RemovableEventHandle:
    """Remove what `add_event_handler` added, by `remove()` or at the end of a `with` block.

    It keeps neither the engine nor the handler alive.
    """

    def __init__(self, added: list[tuple[EventSignal, Connection]]) -> None:
        self._added = [(weakref.ref(signal), weakref.ref(connection)) for signal, connection in added]

    @classmethod
    def joined(cls, handles: Iterable[RemovableEventHandle]) -> RemovableEventHandle:
        """Return one handle that removes what several would."""
        joined = cls([])
        joined._added = [added for handle in handles for added in handle._added]
        return joined

    def remove(self) -> None:
        """Remove the handler; do nothing where it is gone already."""
        for signal, connection in self._added:
            found, wanted = signal(), connection()
            if found is not None and wanted is not None:
                found.dismiss(wanted)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a RemovableEventHandle belongs to one connection of one engine and cannot be copied: "
            "leave it out of what is copied, with __getstate__"
        )

    def __enter__(self) -> RemovableEventHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def __repr__(self) -> str:
        live = [
            f"{label(wanted.handler)} at {found.name}"
            for signal, connection in self._added
            if (found := signal()) is not None and (wanted := connection()) is not None and wanted.alive
        ]
        return f"RemovableEventHandle({', '.join(live) or 'removed'})"
