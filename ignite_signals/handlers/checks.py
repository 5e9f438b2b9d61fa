"""Checks of what handlers are attached to, and under which name."""

from __future__ import annotations

import reprlib
from keyword import iskeyword

import attrs

from ignite_signals.engine import Engine

__all__ = ["brief", "check_engine", "check_name"]

_MOST = 100  # characters of a value in an error
_SHORT = reprlib.Repr()
_SHORT.maxother = _SHORT.maxstring = _MOST


def check_engine(engine: object, argument: str = "engine") -> None:
    """Refuse what is no engine, before anything is attached.

    Raises:
        TypeError: it is none; the error names the argument and the value.
    """
    if not isinstance(engine, Engine):
        raise TypeError(f"{argument} must be an Engine, got {brief(engine)}")


def brief(value: object) -> str:
    """Return a value's `repr` for an error: on one line, and cut where it is long, as that of a model is.

    >>> brief("lr"), brief(list(range(1000)))
    ("'lr'", '[0, 1, 2, 3, 4, 5, ...]')
    """
    try:
        line = " ".join(_SHORT.repr(value).split())
    except Exception:  # noqa: BLE001  # whatever a class of the user's own raises, another error is being made
        line = object.__repr__(value)
    return line if len(line) <= _MOST else f"{line[: _MOST - 3]}..."


def check_name(name: object, engine: Engine, *replaceable: str, argument: str = "name") -> None:
    """Refuse a name under which a handler cannot give a value to an engine's state.

    The run loop reads the state's own fields and counts, so a value in their place would break it.

    Args:
        name: the attribute's name.
        engine: whose state gets it.
        replaceable: fields of the state that the handler may write to.
        argument: what the name was given as, for the error.

    Raises:
        ValueError: it is no identifier, or the state's own; the error names the argument and the value.

    >>> check_name("output", Engine(lambda engine, batch: None), "output")
    """
    if not (isinstance(name, str) and name.isidentifier() and not iskeyword(name)):
        raise ValueError(f"{argument} must be the name of an attribute of engine.state, got {name!r}")
    if name.startswith("__") or (name in _own_names(engine) and name not in replaceable):
        raise ValueError(f"{argument} must not be what engine.state has of its own, got {name!r}; choose another one")


def _own_names(engine: Engine) -> set[str | None]:
    fields = {field.name for field in attrs.fields(type(engine.state))}
    return fields | engine.state.counters.keys() | {signal.counter for signal in engine.signals.all()}
