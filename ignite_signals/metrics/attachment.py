"""An attachment is a metric on one engine with one usage: what accumulates there, and what is connected for it.

Nothing is kept beside the engine's own connections: whoever owns the connected methods accumulates.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ignite_signals.metrics.twin import twin
from ignite_signals.metrics.usage import MetricUsage, UsageEvent

if TYPE_CHECKING:
    from ignite_signals.engine import Engine
    from ignite_signals.metrics.metric import Metric

__all__ = ["accumulator", "attach", "detach"]

# The engine that a metric itself accumulates for, and the metric that a twin stands for. Not
# attributes, so that a metric can be pickled and holds on to no engine.
_HOMES: weakref.WeakKeyDictionary[Metric, weakref.ref[Engine]] = weakref.WeakKeyDictionary()


def attach(metric: Metric, engine: Engine, name: str, usage: MetricUsage) -> None:
    """Connect what accumulates for a metric, and write its value under a name."""
    accumulating = accumulator(metric, engine, usage)
    if accumulating is None:
        accumulating = _new_accumulator(metric, engine)
        for event, handler in accumulating.handlers(usage):
            engine.add_event_handler(event, handler)
    engine.add_event_handler(usage.COMPLETED, accumulating.completed, name)


def detach(metric: Metric, engine: Engine, usage: MetricUsage) -> None:
    """Disconnect what accumulates for a metric on an engine with a usage; other attachments stay."""
    accumulating = accumulator(metric, engine, usage)
    if accumulating is None:
        return
    for event, handler in _connected(accumulating, usage):
        engine.remove_event_handler(handler, event)


def accumulator(metric: Metric, engine: Engine, usage: MetricUsage) -> Metric | None:
    """Return what accumulates for a metric on an engine with a usage: the metric, a twin, or None."""
    for candidate in _writing(engine, usage.COMPLETED):
        if metric in (candidate, candidate.twin_of) and _is_attached(candidate, engine, usage):
            return candidate
    return None


def _writing(engine: Engine, event: UsageEvent) -> Iterator[Metric]:
    """Yield the metrics that write their value at an event."""
    for connection in engine.signal(event).signal.connections():
        owner: Any = getattr(connection.handler, "__self__", None)
        if hasattr(type(owner), "twin_of") and connection.handler == owner.completed:
            yield owner


def _is_attached(accumulating: Metric, engine: Engine, usage: MetricUsage) -> bool:
    return all(_is_connected(engine, event, handler) for event, handler in _connected(accumulating, usage))


def _connected(accumulating: Metric, usage: MetricUsage) -> list[tuple[UsageEvent, Callable[..., Any]]]:
    return [*accumulating.handlers(usage), (usage.COMPLETED, accumulating.completed)]


def _is_connected(engine: Engine, event: UsageEvent, handler: Any) -> bool:
    """Tell whether the engine calls a handler at precisely this event, filter included."""
    view = engine.signal(event)
    return any(connection.filter == view.filter for connection in view.signal.serving(handler, None))


def _new_accumulator(metric: Metric, engine: Engine) -> Metric:
    home = _HOMES.get(metric, lambda: None)()
    if any(where is not None and where.has_event_handler(metric.completed) for where in (home, engine)):
        other = twin(metric)
        other.twin_of = metric.twin_of or metric
        return other
    _HOMES[metric] = weakref.ref(engine)
    return metric
