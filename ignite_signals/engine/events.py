"""Events are the named moments of a run.

An event is declared once, as a member of an `EventEnum`: its name, the counter that it counts by,
what it sends beside the engine, and one line of documentation. Two events are equal only if they
are the same member. Calling one with a filter gives a `FilteredEvent`, `|` an `EventsList`; both
are new values, the event itself never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from difflib import get_close_matches
from enum import Enum, EnumType
from typing import Any, TypeAlias

import attrs

from ignite_signals.engine.filters import Filter, Or, filter_from

__all__ = ["CallableEventWithFilter", "Event", "EventEnum", "Events", "EventsList", "FilteredEvent"]


class _Combinable:
    """Give `a | b` to events, filtered events and lists of them."""

    __slots__ = ()

    def __or__(self, other: Any) -> EventsList:
        if not isinstance(other, _Combinable):
            return NotImplemented
        return EventsList(self, other)  # type: ignore[arg-type]  # the three kinds are all there are


class _EventMeta(EnumType):
    def __getattr__(cls, name: str) -> Any:
        known = list(cls.__members__)
        close = get_close_matches(name, known, n=1)
        hint = f", did you mean {close[0]}?" if close else f": it has {', '.join(known)}"
        raise AttributeError(f"{cls.__name__} has no event {name}{hint}", name=name, obj=cls)


class EventEnum(_Combinable, Enum, metaclass=_EventMeta):
    """Declare events: subclass it, one member an event, and register them with an engine.

    A member's value is the name of its signal. It counts its own occurrences unless a counter of
    the state (`"iteration"`, `"epoch"`) stands behind the name.

    >>> class BackwardEvents(EventEnum):
    ...     BACKWARD_STARTED = "backward_started"
    ...     BACKWARD_COMPLETED = "backward_completed"
    >>> BackwardEvents.BACKWARD_STARTED(every=5)
    BackwardEvents.BACKWARD_STARTED(Every(5))
    """

    counter: str | None
    payload: tuple[str, ...] | None

    def __new__(
        cls, name: str, counter: str | None = None, payload: tuple[str, ...] | None = None, doc: str = ""
    ) -> EventEnum:
        if not isinstance(name, str) or not name:
            raise TypeError(f"an event's value must be the name of its signal, a non-empty str, got {name!r}")
        if counter is not None and (not isinstance(counter, str) or not counter.isidentifier()):
            raise TypeError(
                f"the counter of event {name!r} must be the name of an attribute of the state, got {counter!r}"
            )
        if payload is not None and (not isinstance(payload, tuple) or not all(isinstance(key, str) for key in payload)):
            raise TypeError(f"the payload of event {name!r} must be a tuple of names, got {payload!r}")
        member = object.__new__(cls)
        member._value_ = name
        member.counter = counter
        member.payload = payload
        member.__doc__ = doc or f"Sent at {cls.__name__}, {name}."
        return member

    def __init_subclass__(cls) -> None:
        for name, member in cls.__members__.items():
            if name != member.name:  # Enum would make the one an alias of the other
                raise ValueError(f"{cls.__name__}.{name} must not have the signal name of {member!r}, {member.value!r}")

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[Any]) -> str:
        return name.lower()  # so that auto() works

    def __call__(
        self,
        event_filter: Filter | Callable[[Any, int], object] | None = None,
        every: int | timedelta | None = None,
        once: int | Iterable[int] | None = None,
        before: int | None = None,
        after: int | None = None,
    ) -> FilteredEvent:
        """Return this event with a filter on its count.

        Args:
            event_filter: a `Filter`, or a function of `(engine, count)` that says whether to pass.
            every: every that many counts, or every time that this much time has passed.
            once: at this count, or at these.
            before: below this count.
            after: above this count.

        `every`, `before` and `after` go together, nothing else does.

        Raises:
            ValueError: the keywords conflict, or one is not a positive integer.

        >>> Events.ITERATION_COMPLETED(every=5, after=8, before=25)
        Events.ITERATION_COMPLETED(Every(5, start=9) & Before(25))
        """
        return FilteredEvent(self, filter_from(event_filter, every, once, before, after))

    @property
    def registers_itself(self) -> bool:
        """Whether every engine knows the event, without `register_events`; a subclass may say so."""
        return False

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    __str__ = __repr__


class Events(EventEnum):
    """Name the moments of every run, in the order in which a run reaches them.

    The members are the events that every engine has; the page on events has the table.
    """

    STARTED = "started", None, (), "A run starts, or goes on after it was left."
    EPOCH_STARTED = "epoch_started", "epoch", (), "An epoch starts; `state.epoch` says which."
    GET_BATCH_STARTED = "get_batch_started", "iteration", (), "The next batch is about to be fetched."
    DATALOADER_STOP_ITERATION = (
        *("dataloader_stop_iteration", None, ()),
        "The data has no more batches and is about to be iterated anew.",
    )
    GET_BATCH_COMPLETED = "get_batch_completed", "iteration", (), "`state.batch` holds a new batch."
    ITERATION_STARTED = "iteration_started", "iteration", (), "The step is about to be called on `state.batch`."
    ITERATION_COMPLETED = "iteration_completed", "iteration", (), "`state.output` holds what the step returned."
    TERMINATE_SINGLE_EPOCH = (
        *("terminate_single_epoch", None, ("iter_counter",)),
        "`terminate_epoch` is heeded; `iter_counter` batches of the epoch were taken.",
    )
    EPOCH_COMPLETED = "epoch_completed", "epoch", (), "An epoch ended, in full or cut short."
    INTERRUPT = "interrupt", None, (), "`interrupt` is heeded: the run is about to pause."
    TERMINATE = "terminate", None, (), "`terminate` is heeded: the run is about to end."
    EXCEPTION_RAISED = "exception_raised", None, ("exception",), "The run ends with `exception`."
    COMPLETED = "completed", None, (), "The run ended."


Event: TypeAlias = EventEnum | str


@attrs.frozen(repr=False)
class FilteredEvent(_Combinable):
    """Pair an event with a filter; `Events.X(every=5)` makes one.

    >>> Events.EPOCH_COMPLETED(every=5) == Events.EPOCH_COMPLETED(every=5)
    True
    """

    event: Event
    filter: Filter = attrs.field()

    @filter.validator
    def _check(self, _: object, value: object) -> None:
        if not isinstance(value, Filter):
            raise TypeError(f"filter must be a Filter, such as Every(5), got {value!r}")
        if type(value).__hash__ is None:
            raise TypeError(f"filter must be hashable, got {value!r}: declare {type(value).__name__} with attrs.frozen")

    @property
    def name(self) -> str:
        """The event's name."""
        return self.event if isinstance(self.event, str) else self.event.name

    @property
    def value(self) -> str:
        """The name of the event's signal."""
        return signal_name(self.event)

    def __repr__(self) -> str:
        return f"{self.event!r}({self.filter!r})"


CallableEventWithFilter = FilteredEvent
"""PyTorch-Ignite's name for `FilteredEvent`."""


class EventsList(_Combinable):
    """Hold several events to attach one handler to all of them; `a | b` makes one.

    An event that stands in it more than once stands in it once, behind any of its filters, so that
    a handler is called once for each occurrence.

    >>> Events.STARTED | Events.COMPLETED
    Events.STARTED | Events.COMPLETED
    >>> Events.EPOCH_STARTED(every=2) | Events.EPOCH_STARTED(every=3)
    Events.EPOCH_STARTED(Every(2) | Every(3))
    """

    __slots__ = ("_filters",)

    def __init__(self, *events: EventEnum | FilteredEvent | EventsList) -> None:
        self._filters: dict[Event, Filter | None] = {}
        for event in events:
            for plain, condition in split(event):
                known = self._filters.setdefault(plain, condition)
                self._filters[plain] = known and condition and _either(known, condition)

    def __iter__(self) -> Iterator[EventEnum | FilteredEvent]:
        for event, condition in self._filters.items():
            yield event if condition is None else FilteredEvent(event, condition)  # type: ignore[misc]

    def __len__(self) -> int:
        return len(self._filters)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EventsList) and self._filters == other._filters

    def __hash__(self) -> int:
        return hash(frozenset(self._filters.items()))

    def __repr__(self) -> str:
        return " | ".join(map(repr, self))


def _either(one: Filter, other: Filter) -> Filter:
    known = one.operands if isinstance(one, Or) else (one,)
    return one if other in known else one | other


def signal_name(event: Event) -> str:
    """Return the name of an event's signal."""
    return event if isinstance(event, str) else str(event.value)


def split(event: object) -> list[tuple[Event, Filter | None]]:
    """Return the plain events that `event` stands for, each with its filter."""
    if isinstance(event, EventsList):
        return list(event._filters.items())
    if isinstance(event, FilteredEvent):
        return [(event.event, event.filter)]
    if isinstance(event, EventEnum | str):
        return [(event, None)]
    raise TypeError(
        f"an event must be a member of Events or of an EventEnum, or a registered str, got {event!r}{_origin(event)}"
    )


def _origin(event: object) -> str:
    """Say where another library's event is from, whose name may be that of ours."""
    return f" of the module {type(event).__module__}" if isinstance(event, Enum) else ""
