"""Descriptions of an engine for people: who listens to what, in the order of calling."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING

from ignite_signals.engine.callables import label

if TYPE_CHECKING:
    from ignite_signals.engine.engine import Engine
    from ignite_signals.engine.receivers import Connection, HandlerCall
    from ignite_signals.engine.signals import EventSignal

__all__ = ["describe", "summary"]

_MOST_NAMES = 5  # to a line of the summary; the description has all


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
    lines = [f"  {signal.name}: {_names(signal.connections())}" for signal in _heard(engine)]
    return "\n".join([_headline(engine), *lines])


def _headline(engine: Engine) -> str:
    state = engine.state
    if not state.epoch:
        return f"{engine!r}, not run yet"
    epoch = f"epoch {state.epoch}" + (f" of {state.max_epochs}" if state.max_epochs else "")
    iteration = f"iteration {state.iteration}" + (f" of {state.max_iters}" if state.max_iters else "")
    return ", ".join([repr(engine), epoch, iteration, *([str(state.stop_reason)] if state.stop_reason else [])])


def _heard(engine: Engine) -> list[EventSignal]:
    return [signal for signal in engine.signals.all() if signal.receivers]


def _names(connections: list[Connection]) -> str:
    shown = [_brief(connection) for connection in connections[:_MOST_NAMES]]
    more = len(connections) - len(shown)
    return ", ".join([*shown, f"and {more} more"] if more else shown)


def _row(connection: Connection) -> tuple[str, ...]:
    name, _, place = _label(connection).partition(" (")
    name += _arguments(connection.call)
    condition = "" if connection.filter is None else repr(connection.filter)
    return str(connection.priority), name, condition, "weak" if connection.weak else "strong", place.rstrip(")")


def _arguments(call: HandlerCall | None) -> str:
    """Show what a handler was added with, which tells it from itself added once more."""
    if call is None or not (call.args or call.kwargs):
        return ""
    named = [f"{name}={reprlib.repr(value)}" for name, value in call.kwargs.items()]
    return f"({', '.join([*map(reprlib.repr, call.args), *named])})"


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
