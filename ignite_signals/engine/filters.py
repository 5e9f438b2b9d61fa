"""Filters decide from an event's count whether a receiver hears this occurrence.

A filter is a value: immutable, hashable, printable, equal to another one that says the same. It
answers two questions. `passes(count)` is the decision itself. `next(count)` is a promise that
makes the decision cheap: the smallest count above `count` at which the filter can pass, so that a
signal need not ask before.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs

from ignite_signals.engine.callables import Parameters, described, identity, is_async, label
from ignite_signals.engine.integers import integer

if TYPE_CHECKING:
    from ignite_signals.engine.observable import Observable

__all__ = ["After", "And", "Before", "Every", "Filter", "Not", "Once", "Or", "Predicate", "filter_from"]


class Filter(ABC):
    """Decide whether a receiver hears an occurrence; combine filters with `&`, `|` and `~`.

    >>> Every(5) & After(100) | Once(1)
    Every(5) & After(100) | Once(1)
    >>> [count for count in range(1, 30) if (Every(5) & After(8)).passes(count)]
    [10, 15, 20, 25]
    """

    __slots__ = ()

    @abstractmethod
    def passes(self, count: int, engine: Observable | None = None, elapsed: float = 0.0) -> bool:
        """Tell whether the occurrence with this count is heard.

        `elapsed` is the time in seconds since the connection was made or last called.
        """

    def next(self, count: int) -> float:
        """Return the smallest count above `count` at which the filter can pass, `inf` for never."""
        return count + 1

    def next_miss(self, count: int) -> float:
        """Return the smallest count above `count` at which the filter can fail to pass."""
        return count + 1

    def is_exact(self) -> bool:
        """Tell whether the filter passes wherever `next` says that it can, so that it need not be asked."""
        return False

    def is_dense(self) -> bool:
        """Tell whether the filter can pass at any count, so that there is nothing to plan."""
        return False

    def is_timed(self) -> bool:
        """Tell whether the decision depends on the time since the connection's last call."""
        return False

    def __and__(self, other: Filter) -> Filter:
        return And((*_operands(self, And), *_operands(other, And))) if _is_filter(other) else NotImplemented

    def __or__(self, other: Filter) -> Filter:
        return Or((*_operands(self, Or), *_operands(other, Or))) if _is_filter(other) else NotImplemented

    def __invert__(self) -> Filter:
        return self.operand if isinstance(self, Not) else Not(self)


def _is_filter(value: object) -> bool:
    return isinstance(value, Filter)


def _operands(value: Filter, kind: type[And] | type[Or]) -> tuple[Filter, ...]:
    return value.operands if isinstance(value, kind) else (value,)


def _before(value: object) -> int:
    return integer("before", value)


def _after(value: object) -> int:
    return integer("after", value, 0)


def _period(value: object) -> int | timedelta:
    if isinstance(value, timedelta):
        if value <= timedelta(0):
            raise ValueError(f"every must be a positive timedelta, got {value!r}")
        return value
    return integer("every", value)


def _start(value: object) -> int | None:
    return None if value is None else integer("start", value)


@attrs.frozen(repr=False)
class Every(Filter):
    """Pass at every `period`-th count, or once that much time has passed.

    The first count that passes is `start`, by default the period itself; count 0 never passes. A
    `timedelta` is measured since the connection was made or last called, whichever is later.

    >>> [count for count in range(30) if Every(10).passes(count)]
    [10, 20]
    >>> [count for count in range(30) if Every(10, start=3).passes(count)]
    [3, 13, 23]
    """

    period: int | timedelta = attrs.field(converter=_period)
    start: int | None = attrs.field(default=None, converter=_start)

    def __attrs_post_init__(self) -> None:
        if self.is_timed() and self.start is not None:
            raise ValueError(f"start must be left out where every is a timedelta, got {self.start!r}")
        if self.start == self.period:
            object.__setattr__(self, "start", None)  # Every(5, start=5) and Every(5) are one value

    def passes(self, count: int, engine: Observable | None = None, elapsed: float = 0.0) -> bool:
        if isinstance(self.period, timedelta):
            return elapsed >= self.period.total_seconds()
        start = self.start or self.period
        return count >= start and (count - start) % self.period == 0

    def next(self, count: int) -> float:
        if isinstance(self.period, timedelta):
            return count + 1
        start = self.start or self.period
        return start if count < start else count + self.period - (count - start) % self.period

    def is_exact(self) -> bool:
        return not self.is_timed()

    def is_dense(self) -> bool:
        return self.is_timed()

    def is_timed(self) -> bool:
        return isinstance(self.period, timedelta)

    def __repr__(self) -> str:
        return f"Every({self.period!r})" if self.start is None else f"Every({self.period!r}, start={self.start})"


@attrs.frozen(init=False, repr=False)
class Once(Filter):
    """Pass at one count, or at each of several.

    >>> [count for count in range(30) if Once(1, 20).passes(count)]
    [1, 20]
    """

    counts: tuple[int, ...]

    def __init__(self, *counts: int | Iterable[int]) -> None:
        flat = [n for count in counts for n in _listed(count)]
        if not flat:
            raise ValueError(f"once must be a positive integer or a list of them, got {list(counts)!r}")
        self.__attrs_init__(tuple(sorted({integer("once", n) for n in flat})))

    def passes(self, count: int, engine: Observable | None = None, elapsed: float = 0.0) -> bool:
        return self.next(count - 1) == count

    def next(self, count: int) -> float:
        index = bisect_right(self.counts, count)
        return self.counts[index] if index < len(self.counts) else math.inf

    def is_exact(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"Once({', '.join(map(str, self.counts))})"


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, Iterable) and not isinstance(value, str) else (value,)


@attrs.frozen(repr=False)
class Before(Filter):
    """Pass while the count is below `bound`."""

    bound: int = attrs.field(converter=_before)

    def passes(self, count: int, engine: Observable | None = None, elapsed: float = 0.0) -> bool:
        return count < self.bound

    def next(self, count: int) -> float:
        return count + 1 if count + 1 < self.bound else math.inf

    def next_miss(self, count: int) -> float:
        return max(count + 1, self.bound)

    def is_exact(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"Before({self.bound})"


@attrs.frozen(repr=False)
class After(Filter):
    """Pass once the count is above `bound`."""

    bound: int = attrs.field(converter=_after)

    def passes(self, count: int, engine: Observable | None = None, elapsed: float = 0.0) -> bool:
        return count > self.bound

    def next(self, count: int) -> float:
        return max(count, self.bound) + 1

    def next_miss(self, count: int) -> float:
        return count + 1 if count < self.bound else math.inf

    def is_exact(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"After({self.bound})"


@attrs.frozen(repr=False)
class Predicate(Filter):
    """Pass where `function(engine, count)` is true.

    Nothing is known of a function, so it is called at every occurrence.

    >>> Predicate(lambda engine, count: count in (1, 2, 5, 10)).passes(5)
    True
    """

    # Known by identity: what it does cannot be compared, and it need not be hashable.
    function: Callable[[Any, int], object] = attrs.field(eq=identity)

    @function.validator
    def _check(self, _: object, function: object) -> None:
        if not callable(function):
            raise TypeError(
                f"event_filter must be a callable or a Filter, got {function!r}; a number goes by every= or once="
            )
        if is_async(function):
            raise TypeError(f"event_filter must be a plain function, got the async {label(function)}")
        if not Parameters(function).take((None, 1), {}):
            raise ValueError(
                f"event_filter must take (engine, count), got {described(function)}: give it these two parameters"
            )

    def passes(self, count: int, engine: Observable | None = None, elapsed: float = 0.0) -> bool:
        return bool(self.function(engine, count))

    def is_dense(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"Predicate({getattr(self.function, '__qualname__', repr(self.function))})"


@attrs.frozen(repr=False)
class And(Filter):
    """Pass where every operand passes; each sees the same count."""

    operands: tuple[Filter, ...]

    def passes(self, count: int, engine: Observable | None = None, elapsed: float = 0.0) -> bool:
        return all(operand.passes(count, engine, elapsed) for operand in self.operands)

    def next(self, count: int) -> float:
        return max(operand.next(count) for operand in self.operands)

    def next_miss(self, count: int) -> float:
        return min(operand.next_miss(count) for operand in self.operands)

    def is_dense(self) -> bool:
        return all(operand.is_dense() for operand in self.operands)

    def is_timed(self) -> bool:
        return any(operand.is_timed() for operand in self.operands)

    def __repr__(self) -> str:
        return " & ".join(f"({op!r})" if isinstance(op, Or) else repr(op) for op in self.operands)


@attrs.frozen(repr=False)
class Or(Filter):
    """Pass where any operand passes; each sees the same count."""

    operands: tuple[Filter, ...]

    def passes(self, count: int, engine: Observable | None = None, elapsed: float = 0.0) -> bool:
        return any(operand.passes(count, engine, elapsed) for operand in self.operands)

    def next(self, count: int) -> float:
        return min(operand.next(count) for operand in self.operands)

    def next_miss(self, count: int) -> float:
        return max(operand.next_miss(count) for operand in self.operands)

    def is_exact(self) -> bool:
        return all(operand.is_exact() for operand in self.operands)

    def is_dense(self) -> bool:
        return any(operand.is_dense() for operand in self.operands)

    def is_timed(self) -> bool:
        return any(operand.is_timed() for operand in self.operands)

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.operands))


@attrs.frozen(repr=False)
class Not(Filter):
    """Pass where the operand does not."""

    operand: Filter

    def passes(self, count: int, engine: Observable | None = None, elapsed: float = 0.0) -> bool:
        return not self.operand.passes(count, engine, elapsed)

    def next(self, count: int) -> float:
        return self.operand.next_miss(count)

    def next_miss(self, count: int) -> float:
        return self.operand.next(count)

    def is_dense(self) -> bool:
        return self.operand.is_dense()

    def is_timed(self) -> bool:
        return self.operand.is_timed()

    def __repr__(self) -> str:
        return f"~({self.operand!r})" if isinstance(self.operand, And | Or) else f"~{self.operand!r}"


def filter_from(
    event_filter: Filter | Callable[[Any, int], object] | None = None,
    every: int | timedelta | None = None,
    once: int | Iterable[int] | None = None,
    before: int | None = None,
    after: int | None = None,
) -> Filter:
    """Build the filter that the keywords of `Events.X(...)` describe.

    `every`, `before` and `after` may be combined, and then share a phase: the first count after
    `after` passes, and every `every`-th from there on.

    >>> filter_from(every=5, after=8, before=25)
    Every(5, start=9) & Before(25)
    """
    bounded = (every, before, after) != (None, None, None)
    given = (event_filter is not None) + (once is not None) + bounded
    if given != 1:
        raise ValueError(
            "an event takes one of event_filter, once, or any of every, before and after together; got "
            + (_shown(event_filter=event_filter, every=every, once=once, before=before, after=after) or "none")
        )
    if event_filter is not None:
        return event_filter if isinstance(event_filter, Filter) else Predicate(event_filter)
    if once is not None:
        return Once(*_listed(once))
    return _bounded(every, before, after)


def _bounded(every: int | timedelta | None, before: int | None, after: int | None) -> Filter:
    if after is not None and before is not None and before <= after + 1:
        raise ValueError(f"before must leave a count above after, got after={after!r} and before={before!r}")
    parts: list[Filter] = []
    phase = every is not None and not isinstance(every, timedelta) and after is not None
    if every is not None:
        parts.append(Every(every, start=After(after).bound + 1) if phase else Every(every))
    if after is not None and not phase:
        parts.append(After(after))
    if before is not None:
        parts.append(Before(before))
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _shown(**arguments: object) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items() if value is not None)
