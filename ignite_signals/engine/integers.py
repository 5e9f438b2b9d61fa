"""Integers from users: numpy's are welcome, booleans are a mistake."""

from __future__ import annotations

import operator
import reprlib

__all__ = ["integer"]


def integer(argument: str, value: object, least: int = 1) -> int:
    """Return `value` as an int of at least `least`.

    Raises:
        ValueError: it is not one; the error names the argument and the value.

    >>> integer("every", 5)
    5
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # the TypeError is the answer
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        kind = "a positive integer" if least == 1 else f"an integer of at least {least}"
        raise ValueError(f"{argument} must be {kind}, got {reprlib.repr(value)}")
    return number
