"""Checks of what handlers are attached to, and under which name."""

from __future__ import annotations

from keyword import iskeyword

import attrs

from ignite_signals.engine import Engine

__all__ = ["check_engine", "check_name"]


def check_engine(engine: object, argument: str = "engine") -> None:
    """Refuse what is no engine, before anything is attached.

    Raises:
        TypeError: it is none; the error names the argument and the value.
    """
    if not isinstance(engine, Engine):
        raise TypeError(f"{argument} must be an Engine, got {engine!r}")


def check_name(name: object, engine: Engine, *replaceable: str) -> None:
    """Refuse a name under which a handler cannot give a value to an engine's state.

    The run loop reads the state's own fields and counts, so a value in their place would break it.

    Args:
        name: the attribute's name.
        engine: whose state gets it.
        replaceable: fields of the state that the handler may write to.

    Raises:
        ValueError: it is no identifier, or the state's own; the error names the value.

    >>> check_name("output", Engine(lambda engine, batch: None), "output")
    """
    if not (isinstance(name, str) and name.isidentifier() and not iskeyword(name)):
        raise ValueError(f"name must be the name of an attribute of engine.state, got {name!r}")
    if name.startswith("__") or (name in _own_names(engine) and name not in replaceable):
        raise ValueError(f"name must not be what engine.state has of its own, got {name!r}; choose another one")


def _own_names(engine: Engine) -> set[str | None]:
    fields = {field.name for field in attrs.fields(type(engine.state))}
    return fields | engine.state.counters.keys() | {signal.counter for signal in engine.signals.all()}
