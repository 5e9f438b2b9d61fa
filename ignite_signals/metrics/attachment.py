"""An attachment is a metric on one engine with one usage: what accumulates there, and what is connected for it.

Which attachments there are is read from the engine's connections: whoever owns the connected methods
accumulates. A metric only remembers the engine that it accumulates for itself.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ignite_signals.engine import Events
from ignite_signals.metrics.twin import twin
from ignite_signals.metrics.usage import MetricUsage, UsageEvent

if TYPE_CHECKING:
    from ignite_signals.engine import Engine
    from ignite_signals.metrics.metric import Metric

__all__ = ["EVERY_ITERATION", "Home", "accumulator", "attach", "detach"]

# At these a value is written so often that reading it from the device would slow the run down.
EVERY_ITERATION = frozenset(
    {
        Events.GET_BATCH_STARTED,
        Events.GET_BATCH_COMPLETED,
        Events.ITERATION_STARTED,
        Events.ITERATION_COMPLETED,
    }
)


class Home:
    """The engine that a metric itself accumulates for; further attachments have twins.

    A copy does not know whether the engine was copied with it, and is taken to be in use.
    """

    def __init__(self, engine: Engine | None = None) -> None:
        self._engine = None if engine is None else weakref.ref(engine)

    def is_left_by(self, metric: Metric) -> bool:
        """Tell whether the metric accumulates for no engine any more."""
        if self._engine is None:
            return False
        engine = self._engine()
        return engine is None or not engine.has_event_handler(metric.completed)

    def __reduce__(self) -> tuple[type[Home], tuple[()]]:
        return Home, ()


def attach(metric: Metric, engine: Engine, name: str, usage: MetricUsage) -> None:
    """Connect what accumulates for a metric, and write its value under a name."""
    for event in (usage.STARTED, usage.ITERATION_COMPLETED, usage.COMPLETED):
        engine.signal(event)  # an event that the engine has not is told before anything is connected
    _warn_of_another(engine, usage.COMPLETED, name)
    accumulating = accumulator(metric, engine, usage)
    if accumulating is None:
        accumulating = _new_accumulator(metric, engine)
        accumulating.state_name = name
        for event, handler in _starting(accumulating, usage):
            engine.add_event_handler(event, handler)
    for event, handler in _writing(accumulating, usage):
        engine.add_event_handler(event, handler, name)


def _writing(accumulating: Metric, usage: MetricUsage) -> list[tuple[UsageEvent, Callable[..., Any]]]:
    """Return what an attachment connects under each of its names."""
    events = [Events.EPOCH_COMPLETED, Events.COMPLETED] if _is_unread(usage) else []
    return [(usage.COMPLETED, accumulating.completed), *((event, accumulating.settled) for event in events)]


def _is_unread(usage: MetricUsage) -> bool:
    """Tell whether values are written so often that they are not read at once."""
    return getattr(usage.COMPLETED, "event", usage.COMPLETED) in EVERY_ITERATION


def _starting(accumulating: Metric, usage: MetricUsage) -> list[tuple[UsageEvent, Callable[..., Any]]]:
    """Return what an attachment connects once."""
    forgetting = [(Events.STARTED, accumulating.forget_refused)] if _is_unread(usage) else []
    return [*forgetting, *accumulating.handlers(usage)]


def _connected(accumulating: Metric, usage: MetricUsage) -> list[tuple[UsageEvent, Callable[..., Any]]]:
    return [*_starting(accumulating, usage), *_writing(accumulating, usage)]


def detach(metric: Metric, engine: Engine, usage: MetricUsage) -> None:
    """Disconnect what accumulates for a metric on an engine with a usage; other attachments stay."""
    accumulating = accumulator(metric, engine, usage)
    if accumulating is None:
        return
    for event, handler in _connected(accumulating, usage):
        engine.remove_event_handler(handler, event)
    accumulating.forget_refused()


def accumulator(metric: Metric, engine: Engine, usage: MetricUsage) -> Metric | None:
    """Return what accumulates for a metric on an engine with a usage: the metric, a twin, or None."""
    for candidate, _ in _writers(engine, usage.COMPLETED):
        if (candidate is metric or candidate.twin_of is metric) and _is_attached(candidate, engine, usage):
            return candidate
    return None


def _writers(engine: Engine, event: UsageEvent) -> Iterator[tuple[Metric, tuple[Any, ...]]]:
    """Yield the metrics that write their value at an event, each with the arguments of its handler."""
    for connection in engine.signal(event).signal.connections():
        owner: Any = getattr(connection.handler, "__self__", None)
        if hasattr(type(owner), "twin_of") and connection.handler == owner.completed:
            yield owner, connection.call.args if connection.call is not None else ()


def _warn_of_another(engine: Engine, event: UsageEvent, name: str) -> None:
    for writer, names in _writers(engine, event):
        if name in names:
            warnings.warn(
                f"name {name!r} is written by {writer!r} already at this event, so that one value replaces the other; "
                "attach one of the two under another name",
                UserWarning,
                stacklevel=4,
            )


def _is_attached(accumulating: Metric, engine: Engine, usage: MetricUsage) -> bool:
    return all(_is_connected(engine, event, handler) for event, handler in _connected(accumulating, usage))


def _is_connected(engine: Engine, event: UsageEvent, handler: Any) -> bool:
    """Tell whether the engine calls a handler at precisely this event, filter included."""
    view = engine.signal(event)
    return any(connection.filter == view.filter for connection in view.signal.serving(handler, None))


def _new_accumulator(metric: Metric, engine: Engine) -> Metric:
    home = metric.home
    if (home is None or home.is_left_by(metric)) and not engine.has_event_handler(metric.completed):
        metric.home = Home(engine)
        return metric
    other = twin(metric)
    other.twin_of = metric.twin_of or metric
    return other
