"""An observable has signals, and handlers that are called when these are sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar, overload

from ignite_signals.engine.callables import check_callable, label
from ignite_signals.engine.events import Event, EventEnum, Events, EventsList, FilteredEvent, signal_name, split
from ignite_signals.engine.observing import CallObserver, Observation, check_observer
from ignite_signals.engine.receivers import Connection, HandlerCall, priority_of
from ignite_signals.engine.signals import EventSignal, FilteredSignal, RemovableEventHandle, SignalNamespace
from ignite_signals.engine.state import State, add_counter
from ignite_signals.exceptions import UnknownEventError

__all__ = ["Observable"]

F = TypeVar("F", bound=Callable[..., Any])
AnyEvent: TypeAlias = Event | FilteredEvent | EventsList


class Observable:
    """Register events, let them occur, and connect handlers to them; what an `Engine` is beside its run.

    Attributes:
        signals: the signals by name, a `blinker.Namespace`.
        state: holds the counts of the events.
        last_event_name: the event that was sent last.
    """

    # The run loop and the signals use these on every iteration; subclasses and users have the dict.
    __slots__ = ("__dict__", "__weakref__", "_calling", "last_event_name", "state")

    signals: SignalNamespace
    state: State
    last_event_name: Event | None
    # The connection that is being called.
    _calling: Connection | None
    # Who hears of each call of a receiver, by what the handle of each holds; replaced, never changed.
    _observers: Mapping[object, CallObserver] = MappingProxyType({})

    def register_events(self, *event_names: Event, event_to_attr: Mapping[Any, str] | None = None) -> None:
        """Add events of your own: members of an `EventEnum`, or strings.

        Args:
            event_names: the events; one that is registered already stays as it is.
            event_to_attr: for each event that shall not count its own occurrences, the attribute of
                the state that is its count, an integer, which you move.

        Raises:
            TypeError: an event is neither a member of an `EventEnum` nor a str.
            ValueError: another event has the same signal name.

        >>> from ignite_signals import Engine, EventEnum
        >>> class Backward(EventEnum):
        ...     BACKWARD_STARTED = "backward_started"
        >>> engine = Engine(lambda engine, batch: engine.fire_event(Backward.BACKWARD_STARTED))
        >>> engine.register_events(*Backward)
        >>> engine.run(range(7)).backward_started
        7
        """
        if event_to_attr is not None and not isinstance(event_to_attr, Mapping):
            raise ValueError(f"event_to_attr must map events to names of attributes, got {event_to_attr!r}")
        counters = event_to_attr or {}
        strays = [event for event in counters if event not in event_names]
        if strays:
            raise ValueError(f"event_to_attr must map events among event_names, got {strays} besides")
        names = {signal.name: signal.event for signal in self.signals.all()}
        for event in event_names:  # all are looked at before any is registered
            self._check_event(event, names, counters.get(event) if isinstance(event, EventEnum | str) else None)
        for event in event_names:
            signal = self._registered(event)
            if event in counters:
                signal.counter = counters[event]
                self.state.counters.pop(signal.name, None)
        self._zero_new_counters()

    def _check_event(self, event: object, names: dict[str, Event], attribute: object) -> None:
        if not isinstance(event, EventEnum | str) or not event:
            raise TypeError(
                f"event_names must be members of an EventEnum or strings, got {event!r}; "
                "unpack a class or a list of events: register_events(*MyEvents)"
            )
        known = names.setdefault(signal_name(event), event)
        if known != event:
            raise ValueError(
                f"{event!r} cannot be registered: its signal would be {signal_name(event)!r}, which is that of "
                f"{known!r}; give it another name"
            )
        if attribute is None:
            return
        if not isinstance(attribute, str) or not attribute.isidentifier():
            raise ValueError(f"event_to_attr must give names of attributes, got {attribute!r} for {event!r}")
        if isinstance(event, Events) and attribute != event.counter:
            raise ValueError(f"event_to_attr takes events of your own, got the built-in {event!r}")

    def _registered(self, event: Event) -> EventSignal:
        signal = self.signals.find(signal_name(event))
        if signal is None:
            signal = self.signals[signal_name(event)] = EventSignal(self, event)
        return signal

    def _zero_new_counters(self) -> None:
        """Give every event a count in the state, which may be new."""
        for signal in self.signals.all():
            if signal.counter is None:
                add_counter(self.state, signal.name)
            elif not hasattr(self.state, signal.counter):
                setattr(self.state, signal.counter, 0)

    def has_registered_events(self, event: Event) -> bool:
        """Tell whether this engine has the event."""
        return self._find(event) is not None

    @overload
    def signal(self, event: Event) -> EventSignal: ...

    @overload
    def signal(self, event: FilteredEvent) -> FilteredSignal: ...

    def signal(self, event: Event | FilteredEvent) -> EventSignal | FilteredSignal:
        """Return the signal of an event; of a filtered event, the signal seen through the filter.

        Raises:
            UnknownEventError: the event is not registered.

        >>> from ignite_signals import Engine, Events
        >>> engine = Engine(lambda engine, batch: None)
        >>> engine.signal(Events.COMPLETED) is engine.signals["completed"]
        True
        """
        if isinstance(event, EventsList):
            raise TypeError(f"signal takes one event, got {event!r}: connect to each, or use add_event_handler")
        [(plain, condition)] = split(event)
        signal = self._signal(plain)
        return signal if condition is None else FilteredSignal(signal, condition)

    def _signal(self, event: Event) -> EventSignal:
        signal = self._find(event)
        if signal is None:
            raise UnknownEventError(event, self.signals)
        return signal

    def _find(self, event: object) -> EventSignal | None:
        if not isinstance(event, EventEnum | str):
            return None
        signal = self.signals.find(signal_name(event))
        if signal is None and isinstance(event, EventEnum) and event.registers_itself:
            self.register_events(event)
            signal = self.signals.find(signal_name(event))
        # A member of another EventEnum with the name of a signal is not the event of that signal.
        return signal if signal is not None and (signal.event is event or isinstance(event, str)) else None

    def add_event_handler(
        self, event_name: AnyEvent, handler: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> RemovableEventHandle:
        """Call `handler` at an event; the engine keeps it alive.

        The handler is called with the engine, what the event sends, and `args` and `kwargs`; one
        that takes less is called with less. Larger values of its `priority`, an optional attribute
        of the handler or of the object whose method it is, come first.

        Args:
            event_name: an event, filtered or not, or several joined by `|`.
            handler: any callable that is not async.
            args, kwargs: passed on at every call.

        Returns:
            A handle that removes the handler, also at the end of a `with` block.

        Raises:
            TypeError: the handler cannot be called, or only awaited.
            ValueError: the handler cannot take what the event sends.
            UnknownEventError: the event is not registered.

        >>> from ignite_signals import Engine, Events
        >>> engine = Engine(lambda engine, batch: None)
        >>> def report(engine, title):
        ...     print(title, engine.state.iteration)
        >>> with engine.add_event_handler(Events.COMPLETED, report, "iterations:"):
        ...     state = engine.run(["a batch", "another"])
        iterations: 2
        """
        check_callable("handler", handler)
        wanted = [(self._signal(event), condition) for event, condition in split(event_name)]
        calls = [HandlerCall(handler, args, kwargs, signal.name) for signal, _ in wanted]
        for call, (signal, _) in zip(calls, wanted, strict=True):
            call.check(self, signal.payload)
        priority = priority_of(handler)
        return RemovableEventHandle(
            [
                (signal, signal.add(call, condition, priority))
                for call, (signal, condition) in zip(calls, wanted, strict=True)
            ]
        )

    def on(self, event_name: AnyEvent, *args: Any, **kwargs: Any) -> Callable[[F], F]:
        """Decorate a function to make it a handler, as `add_event_handler` does."""
        for event, _ in split(event_name):  # a mistake should not wait for the function
            self._signal(event)

        def decorator(handler: F) -> F:
            self.add_event_handler(event_name, handler, *args, **kwargs)
            return handler

        return decorator

    def remove_event_handler(self, handler: Callable[..., Any], event_name: AnyEvent) -> None:
        """Remove a handler from an event: with a plain event behind any filter, else behind that one.

        Raises:
            UnknownEventError: the event is not registered.
            ValueError: the event does not have this handler.
        """
        if not sum(self._signal(event).remove(handler, condition) for event, condition in split(event_name)):
            raise ValueError(f"handler {label(handler)} is not attached to {event_name!r}; print(engine) shows what is")

    def has_event_handler(self, handler: Callable[..., Any], event_name: AnyEvent | None = None) -> bool:
        """Tell whether an event, or any event, has this handler."""
        if event_name is None:
            return any(signal.serving(handler, None) for signal in self.signals.all())
        return any(
            self.has_registered_events(event) and self._signal(event).serving(handler, condition)
            for event, condition in split(event_name)
        )

    def fire_event(self, event_name: Event, /, **payload: Any) -> None:
        """Let an event occur: send its signal, with a payload of your own.

        Raises:
            TypeError: the event has a filter, which is for those who listen.
            UnknownEventError: the event is not registered.
            ValueError: a built-in event does not send such a payload.
        """
        if isinstance(event_name, FilteredEvent | EventsList):
            raise TypeError(f"fire_event takes an event without a filter, got {event_name!r}: fire each event itself")
        self._signal(event_name).send(self, **payload)

    def observe_calls(self, observer: CallObserver) -> Observation:
        """Let an observer hear of each call of a receiver, when it begins and when it ends.

        For what measures or draws a run: it sees all receivers, whoever connected them and whenever, and changes
        nothing. Only of its own methods, where these are receivers too, it does not hear. While nobody observes, calls
        are made as if this did not exist. A copy of the engine is not observed.

        Each call that an observer hears begin it also hears end, even if its observation ends in between. Of several
        observers, the first is the first to hear a call begin and the last to hear it end. What an observer raises is
        raised by the call, with a note that names it; where the receiver has raised too, that is what is raised, and
        the note tells of the observer.

        Args:
            observer: an object with `call_started(call)` and `call_ended(call, error)`; a `ReceiverCall` tells the
                engine, the event, its count and the handler. The engine keeps it.

        Returns:
            a handle that ends the observation, also at the end of a `with` block.

        Raises:
            TypeError: the observer lacks one of the two, or is a class.
            ValueError: it observes this engine already.

        >>> from ignite_signals import Engine, Events
        >>> class Names:
        ...     def call_started(self, call):
        ...         print(call.handler.__name__, "at", call.event.value, call.count)
        ...     def call_ended(self, call, error):
        ...         print("done" if error is None else error)
        >>> engine = Engine(lambda engine, batch: None)
        >>> @engine.on(Events.ITERATION_COMPLETED(every=2))
        ... def show(engine):
        ...     print("showing")
        >>> with engine.observe_calls(Names()):
        ...     state = engine.run(range(3))
        show at iteration_completed 2
        showing
        done
        """
        check_observer(observer)
        if any(observer is known for known in self._observers.values()):
            raise ValueError(f"observer must be given once, got {observer!r} again for {self!r}")
        token = object()
        self._observe({**self._observers, token: observer})
        return Observation(self, token)

    def _observe(self, observers: Mapping[object, CallObserver]) -> None:
        self._observers = observers
        for signal in self.signals.all():
            signal.observe()
