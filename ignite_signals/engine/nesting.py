"""Nesting: which engine's run another engine runs inside of, as an evaluator does inside of a trainer."""

from __future__ import annotations

import weakref
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from ignite_signals.engine.engine import Engine

__all__ = ["enter", "leave"]

# The innermost engine that runs, in each thread or task.
_innermost: ContextVar[Engine | None] = ContextVar("innermost engine", default=None)
Outside: TypeAlias = "Token[Engine | None]"


def enter(engine: Engine) -> Outside:
    """Let an engine, whose run begins, be the innermost one, and know the one around; return what `leave` takes.

    Two functions and no context manager, which would cost a short evaluation more than all the rest of this.
    """
    around = _innermost.get()
    if around is not None:
        engine._outer = weakref.ref(around)
    return _innermost.set(engine)


def leave(outside: Outside) -> None:
    """Let the engine around be the innermost one again."""
    _innermost.reset(outside)
