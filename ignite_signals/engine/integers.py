"""Integers from users: numpy's are welcome, booleans are a mistake."""

from __future__ import annotations

import operator
import reprlib
from typing import SupportsIndex

__all__ = ["integer"]


def integer(argument: str, value: object, least: int | None = 1) -> int:
    """Return `value` as an int of at least `least`; None: of any size.

    Raises:
        ValueError: it is not one; the error names the argument and the value.

    >>> integer("every", 5)
    5
    """
    number = operator.index(value) if isinstance(value, SupportsIndex) and not isinstance(value, bool) else None
    if number is None or (least is not None and number < least):
        kinds = {None: "an integer", 1: "a positive integer"}
        kind = kinds.get(least, f"an integer of at least {least}")
        raise ValueError(f"{argument} must be {kind}, got {reprlib.repr(value)}")
    return number
