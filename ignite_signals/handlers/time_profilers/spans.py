"""Spans: what goes on at a time, one thing inside another, and how much of it is each one's own."""

from __future__ import annotations

import threading
from time import perf_counter
from typing import Any

__all__ = ["Spans"]

# What a span is: what goes on, the seconds of what lay inside, which are not counted here again, and its begin.
_WHAT, _INNER, _BEGAN = range(3)


class Spans(threading.local):
    """Measure what goes on in each thread: the seconds from begin to end, less what was measured inside.

    So each second is counted once. A span whose end is never told ends with the one around it, or with the next one
    that is begun alone.
    """

    def __init__(self) -> None:
        self._stack: list[list[Any]] = []

    def begin(self, what: object) -> None:
        """Measure something from now on."""
        self._stack.append([what, 0.0, perf_counter()])

    def begin_alone(self, what: str) -> None:
        """Measure a part of a run, of which there is one at a time, from now on."""
        self.drop_parts()
        self.begin(what)

    def drop_parts(self) -> None:
        """Forget a part of a run whose end has not come; what was measured inside remains counted."""
        while self._stack and isinstance(self._stack[-1][_WHAT], str):
            self._leave()

    def end_part(self, what: str) -> float | None:
        """Return the seconds of a part of a run that ends now; None where it is not what goes on."""
        return self.end(what) if self._stack and self._stack[-1][_WHAT] is what else None

    def end(self, what: object) -> float | None:
        """Return the seconds of something that ends now; None where it has not begun."""
        now, stack = perf_counter(), self._stack
        if not stack:
            return None
        if stack[-1][_WHAT] is not what:  # which it nearly always is
            if not any(span[_WHAT] is what for span in stack):
                return None
            while stack[-1][_WHAT] is not what:
                self._leave()
        _, inner, began = stack.pop()
        if stack:
            stack[-1][_INNER] += now - began
        return float(now - began - inner)

    def _leave(self) -> None:
        left = self._stack.pop()
        if self._stack:
            self._stack[-1][_INNER] += left[_INNER]
