"""State is what a run knows: where it is, what it was asked for, and what the user added.

The fields lie in slots, because the run loop writes them on every iteration; a base without slots
gives every instance room for attributes of the user's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Number
from typing import TYPE_CHECKING, Any

import attrs

from ignite_signals.engine.events import Event, EventEnum, Events, FilteredEvent, signal_name

__all__ = ["State", "StopReason"]


class StopReason(str):
    """Say why the last run ended; equal to the plain word, and it names the receiver that asked.

    One of `"completed"`, `"terminated"`, `"interrupted"`, `"failed"` and `"exhausted"` (the data
    had no more batches).

    >>> reason = StopReason("terminated", by="check_loss (train.py:12)")
    >>> reason == "terminated", reason.by
    (True, 'check_loss (train.py:12)')
    >>> reason
    'terminated' by check_loss (train.py:12)
    """

    by: str | None

    def __new__(cls, word: str, by: str | None = None) -> StopReason:
        reason = super().__new__(cls, word)
        reason.by = by
        return reason

    def __getnewargs__(self) -> tuple[str, str | None]:  # type: ignore[override]  # str has one argument
        return str(self), self.by

    def __repr__(self) -> str:
        return super().__repr__() + (f" by {self.by}" if self.by else "")


class _Count:
    """Give a count as an attribute of the state: to read it, and to set it by hand.

    A descriptor for each name, because a `__getattr__` or a `__setattr__` would slow down every
    attribute of the state. An attribute of the user's own with the name of a count, which is not an
    integer or belongs to a state without such a count, stays what it is.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, state: State | None, owner: type[State]) -> Any:
        if state is None:
            return self
        if self._name in state.__dict__:
            return state.__dict__[self._name]
        if self._name in state.counters:
            return state.counters[self._name]
        raise AttributeError(f"{owner.__name__} has no attribute {self._name!r}", name=self._name, obj=state)

    def __set__(self, state: State, value: Any) -> None:
        if self._name in state.counters and isinstance(value, int) and not isinstance(value, bool):
            state.counters[self._name] = value
            state.__dict__.pop(self._name, None)
        else:
            state.__dict__[self._name] = value

    def __delete__(self, state: State) -> None:
        if self._name not in state.__dict__:
            raise AttributeError(f"{self._name!r} is a count of {type(state).__name__} and cannot be deleted")
        del state.__dict__[self._name]


class _Open:
    """Leave room for attributes that users add."""

    if TYPE_CHECKING:  # at run time either would slow down every attribute

        def __getattr__(self, name: str) -> Any: ...

        def __setattr__(self, name: str, value: Any) -> None: ...


@attrs.define(init=False, repr=False, eq=False, getstate_setstate=False)
class State(_Open):
    """Hold the progress and the results of an engine's runs.

    Any keyword becomes an attribute, and attributes may be added at any time.

    >>> state = State(epoch=2, rank=0)
    >>> state.best_loss = 0.25
    >>> state.epoch, state.rank, state.best_loss
    (2, 0, 0.25)
    """

    iteration: int = 0
    epoch: int = 0
    epoch_length: int | None = None
    max_epochs: int | None = None
    max_iters: int | None = None
    batch: Any = None
    output: Any = None
    metrics: dict[str, Any] = attrs.Factory(dict)
    dataloader: Iterable[Any] | None = None
    seed: int | None = None
    # Seconds that the last epoch and the last run took, under the names of Events.
    times: dict[str, float | None] = attrs.Factory(lambda: {"EPOCH_COMPLETED": None, "COMPLETED": None})
    # How often each event that counts its own occurrences has occurred.
    counters: dict[str, int] = attrs.Factory(dict)
    stop_reason: StopReason | None = None

    def __init__(self, **attributes: Any) -> None:
        fields = {field.name for field in attrs.fields(type(self))}
        self.__attrs_init__(**{name: attributes.pop(name) for name in fields & attributes.keys()})
        for name, value in attributes.items():
            setattr(self, name, value)

    def get_event_attrib_value(self, event_name: Event | FilteredEvent) -> int:
        """Return what an event counts by, as it is now: under Ignite's name, for functions that tell a global step.

        STARTED and COMPLETED count epochs here, as in Ignite; their filters count their occurrences.

        Args:
            event_name: the event, with or without a filter.

        Raises:
            TypeError: it is no event.
            ValueError: the state does not know what it counts by, as with an event of `event_to_attr`.

        >>> State(epoch=2, iteration=10).get_event_attrib_value(Events.ITERATION_COMPLETED(every=5))
        10
        """
        event = event_name.event if isinstance(event_name, FilteredEvent) else event_name
        if not isinstance(event, EventEnum | str):
            raise TypeError(f"event_name must be an event, got {event_name!r}")
        counter = "epoch" if event in (Events.STARTED, Events.COMPLETED) else getattr(event, "counter", None)
        if counter is not None:
            return int(getattr(self, counter))
        name = signal_name(event)
        if isinstance(event, Events):  # a state by itself has no counts yet
            return self.counters.get(name, 0)
        if name not in self.counters:
            raise ValueError(
                f"event_name must be an event whose count the state knows, got {event_name!r}: "
                "read the attribute that you gave as event_to_attr, or engine.signal(event).counter"
            )
        return self.counters[name]

    def __repr__(self) -> str:
        fields = {field.name: getattr(self, field.name) for field in attrs.fields(type(self))}
        lines = [f"    {name}: {_brief(value)}" for name, value in (fields | self.__dict__).items()]
        return "\n".join([f"{type(self).__name__}:", *lines])


def _brief(value: object) -> str:
    if value is None or isinstance(value, Number | str | bool | StopReason):
        return repr(value)
    if isinstance(value, dict) and all(isinstance(number, Number | None) for number in value.values()):
        return repr(value)
    return f"<{type(value).__qualname__}>"


def add_counter(state: State, name: str) -> None:
    """Start a count at 0, unless the state has it, and make it an attribute."""
    if name.isidentifier() and not hasattr(State, name):
        setattr(State, name, _Count(name))
    state.counters.setdefault(name, 0)
    if type(vars(state).get(name)) is int:  # assigned before there was the count
        state.counters[name] = vars(state).pop(name)


def advance(state: State, name: str) -> int:
    """Count one more occurrence, and return the count."""
    count = state.counters[name] = state.counters.get(name, 0) + 1
    return count
