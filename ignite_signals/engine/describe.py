"""Descriptions of an engine for people: who listens to what, in the order of calling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ignite_signals.engine.receivers import label

if TYPE_CHECKING:
    from ignite_signals.engine.engine import Engine
    from ignite_signals.engine.receivers import Connection
    from ignite_signals.engine.signals import EventSignal

__all__ = ["describe", "summary"]


def describe(engine: Engine) -> str:
    """Return a table of all receivers: priority, receiver, filter, owner and source line."""
    lines = [_headline(engine)]
    for signal in _heard(engine):
        counted = "its own occurrences" if signal.counter is None else signal.counter
        lines += [f"{signal.name}, counted by {counted}"]
        lines += _aligned([_row(connection) for connection in signal.connections()])
    return "\n".join(lines)


def summary(engine: Engine) -> str:
    """Return one line for each signal that has receivers."""
    lines = [f"  {signal.name}: {', '.join(map(_brief, signal.connections()))}" for signal in _heard(engine)]
    return "\n".join([_headline(engine), *lines])


def _headline(engine: Engine) -> str:
    state = engine.state
    limit = f"{state.max_iters} iterations" if state.max_iters else f"{state.max_epochs or '?'} epochs"
    progress = f"at epoch {state.epoch}, iteration {state.iteration} of {limit}" if state.epoch else "not run yet"
    return f"{engine!r}, {progress}" + (f", {state.stop_reason!s}" if state.stop_reason else "")


def _heard(engine: Engine) -> list[EventSignal]:
    return [engine.signals[name] for name in engine.signals if engine.signals[name].receivers]


def _row(connection: Connection) -> tuple[str, ...]:
    name, _, place = _label(connection).partition(" (")
    condition = "" if connection.filter is None else repr(connection.filter)
    return str(connection.priority), name, condition, "weak" if connection.weak else "strong", place.rstrip(")")


def _brief(connection: Connection) -> str:
    name = _label(connection).partition(" (")[0]
    return name if connection.filter is None else f"{name} at {connection.filter!r}"


def _label(connection: Connection) -> str:
    handler = connection.handler
    return "(gone)" if handler is None else label(handler)


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        ("  " + "  ".join([row[0].rjust(widths[0]), *map(str.ljust, row[1:], widths[1:])])).rstrip() for row in rows
    ]
