"""Checks of what schedulers are given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ignite_signals.handlers.checks import brief

__all__ = ["finite", "sequence"]


def finite(argument: str, value: Any) -> float:
    """Return a number, also one of numpy or of a tensor, as a float.

    Raises:
        ValueError: it is none, or NaN or infinite; the error names the argument and the value.

    >>> finite("start_value", 1)
    1.0
    """
    try:
        number = math.nan if isinstance(value, bool | str | bytes) else float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{argument} must be a finite number, got {brief(value)}")
    return number


def sequence(argument: str, value: Any, of: str) -> Sequence[Any]:
    """Return a list or the like, as it is.

    Raises:
        TypeError: it is none; the error names the argument and the value.

    >>> sequence("durations", [10, 20], "integers")
    [10, 20]
    """
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise TypeError(f"{argument} must be a list or tuple of {of}, got {brief(value)}")
    return value
