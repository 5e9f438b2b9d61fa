"""Names: what tables call a handler, and which handlers share a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from functools import partial
from types import MethodType
from typing import Any

__all__ = ["kind_of", "name_of", "told_apart"]


def name_of(handler: Any) -> str:
    """Return the name of a handler: where it is defined and what it is called.

    A method is that of its object's class, which may have inherited it.

    >>> from ignite_signals.metrics import Accuracy
    >>> name_of(Accuracy().completed), name_of(partial(name_of, print)), name_of(Counter())
    ('Accuracy.completed', 'partial(name_of)', 'Counter')
    """
    if isinstance(handler, partial):
        return f"partial({name_of(handler.func)})"
    if isinstance(handler, MethodType) and not isinstance(handler.__self__, type):
        return f"{type(handler.__self__).__qualname__}.{getattr(handler, '__name__', '(method)')}"
    return str(getattr(handler, "__qualname__", type(handler).__name__))


def kind_of(handler: Any) -> Hashable:
    """Return what handlers of one row have in common: the name, and where the code is.

    So a lambda that is made anew in each epoch stays one row, and two of different lines are two. Plain values, which
    keep no handler alive.
    """
    inner = handler
    while isinstance(inner, partial):
        inner = inner.func
    code = getattr(getattr(inner, "__func__", inner), "__code__", None)
    return name_of(handler), getattr(code, "co_filename", None), getattr(code, "co_firstlineno", None)


def told_apart(handlers: Iterable[tuple[str, str]]) -> list[str]:
    """Return a name for each row, given its name and its label; file and line are added to names that are not unique.

    >>> told_apart([("f", "f (a.py:1)"), ("f", "f (a.py:9)"), ("g", "g (a.py:2)")])
    ['f (a.py:1)', 'f (a.py:9)', 'g']
    """
    rows = list(handlers)
    often = Counter(name for name, _ in rows)
    return [f"{name} {place_of(text)}".rstrip() if often[name] > 1 else name for name, text in rows]


def place_of(text: str) -> str:
    """Return the file and the line of a label, in parentheses; nothing where it has none.

    >>> place_of("partial(f) (a.py:1)"), place_of("print")
    ('(a.py:1)', '')
    """
    _, space, place = text.rpartition(" ")
    return place if space else ""
