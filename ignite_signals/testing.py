"""Record what runs do, to compare whole sequences of events in tests, or to look at a run.

Nothing here is needed to run an engine.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from ignite_signals.engine import Engine
from ignite_signals.engine.events import Event, FilteredEvent
from ignite_signals.engine.signals import EventSignal, FilteredSignal

__all__ = ["EventRecorder", "Record"]

_FIRST = 2**31  # before any other receiver, so that a record is there when the others are called


@attrs.frozen
class Record:
    """Hold one occurrence of an event.

    Attributes:
        engine: the name under which the engine is recorded.
        event: the name of the event's signal.
        epoch: of the engine's state at the time.
        iteration: likewise.
        count: what the event's filters saw.
        payload: what was sent beside the engine.
        time: when it was, by `time.perf_counter()`; it does not count for equality.
    """

    engine: str
    event: str
    epoch: int
    iteration: int
    count: int
    payload: Mapping[str, Any] = attrs.field(factory=dict)
    time: float = attrs.field(default=0.0, eq=False, repr=False)


class EventRecorder:
    """Record the events of engines, in the order in which they occur.

    A recorder hears an event before any other receiver. It listens until `stop()` is called, or
    until its `with` block ends; records are kept.

    Args:
        engine: an engine, recorded as `"engine"`.
        events: which events to record, filtered or not; all that are registered by default.
        engines: more engines, each under the name that it shall have in the records.

    >>> from ignite_signals import Engine
    >>> engine = Engine(lambda engine, batch: None)
    >>> with EventRecorder(engine) as recorder:
    ...     state = engine.run(["batch"])
    >>> recorder.names[:4]
    ['started', 'epoch_started', 'get_batch_started', 'get_batch_completed']
    >>> recorder.sequence[-2:]
    [('epoch_completed', 1, 1), ('completed', 1, 1)]
    >>> recorder.records[-1]
    Record(engine='engine', event='completed', epoch=1, iteration=1, count=1, payload={})
    """

    def __init__(
        self, engine: Engine | None = None, *, events: Iterable[Event | FilteredEvent] | None = None, **engines: Engine
    ) -> None:
        self.records: list[Record] = []
        named = ({} if engine is None else {"engine": engine}) | engines
        for name, value in named.items():
            if not isinstance(value, Engine):
                raise TypeError(f"{name} must be an Engine, got {value!r}")
        if not named:
            raise ValueError("EventRecorder needs an engine: EventRecorder(engine), or EventRecorder(trainer=trainer)")
        wanted = None if events is None else list(events)
        self._listeners: list[tuple[EventSignal | FilteredSignal, _Listener]] = [
            (signal, _Listener(self.records, name, signal.signal))
            for name, recorded in named.items()
            for signal in (recorded.signal(event) for event in (recorded.signals if wanted is None else wanted))
        ]
        for signal, listener in self._listeners:
            signal.connect(listener, weak=False, priority=_FIRST)

    @property
    def names(self) -> list[str]:
        """The names of the events."""
        return [record.event for record in self.records]

    @property
    def sequence(self) -> list[tuple[str, int, int]]:
        """The events as tuples of name, epoch and iteration."""
        return [(record.event, record.epoch, record.iteration) for record in self.records]

    def clear(self) -> None:
        """Forget what was recorded, and go on."""
        self.records.clear()

    def stop(self) -> None:
        """Listen no more."""
        for signal, listener in self._listeners:
            signal.disconnect(listener)

    def __enter__(self) -> EventRecorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        return f"EventRecorder({len(self.records)} records)"


class _Listener:
    def __init__(self, records: list[Record], name: str, signal: EventSignal) -> None:
        self._records = records
        self._name = name
        self._event = signal.name  # not the signal, whose engine keeps this listener alive

    def __call__(self, engine: Engine, **payload: Any) -> None:
        state = engine.state
        counter = engine.signals[self._event].counter
        count = state.counters[self._event] if counter is None else getattr(state, counter, 0)
        self._records.append(
            Record(self._name, self._event, state.epoch, state.iteration, count, payload, time=time.perf_counter())
        )
