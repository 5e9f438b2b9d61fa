"""Schedules turn a count into a value, and nothing else: how far a training is, into a learning rate.

All of them are made of two things: a `Ramp` from one value to another, and a `Chain` that finds the part which a
count lies in. A cycle is a ramp, cycles are a chain of them, and so are milestones, a warm-up and what follows it.
Only a `Decay` needs neither: it multiplies.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

import attrs

__all__ = [
    "Chain",
    "Cycle",
    "Cycles",
    "Decay",
    "Milestones",
    "Ramp",
    "Schedule",
    "cosine",
    "exponential",
    "linear",
    "there_and_back",
]

# From the share of a ramp that lies behind, 0 to 1, to the share of the way from its start to its end.
Shape = Callable[[float], float]
P = TypeVar("P", covariant=True)


class Schedule(Protocol):
    """What gives a value for each count from 0 on."""

    def __call__(self, count: int, /) -> float:
        """Return the value at a count."""


def linear(share: float) -> float:
    """Go at a steady pace."""
    return share


def cosine(share: float) -> float:
    """Begin and end slowly, as half a period of a cosine does (Loshchilov & Hutter, arXiv:1608.03983)."""
    return (1 - math.cos(math.pi * share)) / 2


def there_and_back(share: float) -> float:
    """Be at the end half-way, and at the start again at last (Smith, arXiv:1506.01186)."""
    return 1 - abs(2 * share - 1)


@attrs.frozen
class Ramp:
    """Go from one value to another in a number of counts, and stay there.

    Both values are met exactly, and no value between them leaves their range.

    >>> [Ramp(0.0, 1.0, 4)(count) for count in range(6)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """

    start: float
    end: float
    length: int
    shape: Shape = linear

    def __call__(self, count: int, /) -> float:
        share = count / self.length if count < self.length else 1.0
        if self.shape is not linear:
            share = self.shape(share)
        if share == 1.0:
            return self.end
        value = self.start + (self.end - self.start) * share
        # Roundings may lead beyond the end.
        return value if (value < self.end) is (self.start < self.end) else self.end


@attrs.frozen
class exponential:  # noqa: N801  # a shape, which depends on the values
    """Go by equal factors: a shape for a ramp whose values have the same sign.

    >>> [round(Ramp(1.0, 1000.0, 3, exponential(1.0, 1000.0))(count)) for count in range(4)]
    [1, 10, 100, 1000]
    """

    start: float
    end: float

    def __call__(self, share: float) -> float:
        if self.start == self.end:
            return share
        ratio = self.end / self.start
        return float((ratio**share - 1) / (ratio - 1))


class Chain(Generic[P]):
    """Find the part that a count lies in, of parts that follow one another.

    Only the part of the last count is kept, so a chain may be endless. Counts that rise, as those of a training do,
    cost a comparison each; one that lies before that part is sought from the beginning.

    Args:
        parts: pairs of a length and a part; they may be endless, and are iterated anew to go back. One that has no
            length is passed over, and the last one goes on for ever.

    >>> chain = Chain([(3, "warm-up"), (5, "training")])
    >>> chain.locate(2), chain.locate(3), chain.locate(100)
    (('warm-up', 2), ('training', 0), ('training', 97))
    """

    def __init__(self, parts: Iterable[tuple[int, P]]) -> None:
        self.parts = parts
        self._forget()

    def _forget(self) -> None:
        self._coming: Iterator[tuple[int, P]] | None = None
        # From which count on the present part reaches, and to before which one.
        self._begin = self._end = 0

    def locate(self, count: int) -> tuple[P, int]:
        """Return the part that a count lies in, and the count within that part."""
        if not self._begin <= count < self._end:
            self._seek(count)
        return self._part, count - self._begin

    def __call__(self: Chain[Schedule], count: int, /) -> float:
        """Return the value at a count, of parts that are schedules."""
        if not self._begin <= count < self._end:  # as `locate`, without the price of a call
            self._seek(count)
        return self._part(count - self._begin)

    def begin(self, number: int) -> int:
        """Return the count at which a part begins."""
        return sum(length for length, _ in itertools.islice(self.parts, number))

    def _seek(self, count: int) -> None:
        if self._coming is None or count < self._begin:
            self._begin = self._end = 0
            self._coming = iter(self.parts)
        for length, part in self._coming:
            self._part = part
            self._begin, self._end = self._end, self._end + length
            if count < self._end:
                return
        self._end = sys.maxsize

    def __getstate__(self) -> dict[str, Any]:
        return {"parts": self.parts}  # an iterator cannot be copied, and is soon made again

    def __setstate__(self, copied: dict[str, Any]) -> None:
        self.parts = copied["parts"]
        self._forget()


@attrs.frozen
class Cycle:
    """One of some cycles: a ramp, and where there is one, a warm-up to the start of the next cycle.

    Args:
        number: how many cycles were before.
        ramp: goes from the cycle's start to its end.
        warm_up: goes from there to the next cycle's start.
    """

    number: int
    ramp: Ramp
    warm_up: Ramp

    def __call__(self, count: int, /) -> float:
        beyond = count - self.ramp.length
        return self.ramp(count) if beyond < 0 else self.warm_up(beyond)


@attrs.frozen
class Cycles:
    """The parts of a chain that repeats a cycle, each time changed by factors.

    Args:
        start, end: the values of the first cycle's ramp.
        size: its length.
        shape: the ramps' shape.
        size_mult, start_mult, end_mult: what to multiply with, from one cycle to the next. A size is rounded down,
            but not to 0.
        warm_up: how many counts lead from the first cycle's end to the next one's start; multiplied as the size is.

    >>> chain = Chain(Cycles(0.0, 1.0, 4, there_and_back, end_mult=0.5))
    >>> [chain(count) for count in range(9)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5, 0.25, 0.0]
    """

    start: float
    end: float
    size: int
    shape: Shape = linear
    size_mult: float = 1.0
    start_mult: float = 1.0
    end_mult: float = 1.0
    warm_up: int = 0

    def __iter__(self) -> Iterator[tuple[int, Cycle]]:
        start, end, size, warm_up = self.start, self.end, self.size, self.warm_up
        number = 0
        while True:
            next_start = start * self.start_mult
            cycle = Cycle(number, Ramp(start, end, size, self.shape), Ramp(end, next_start, warm_up))
            yield size + warm_up, cycle
            start, end, number = next_start, end * self.end_mult, number + 1
            size, warm_up = max(1, int(size * self.size_mult)), int(warm_up * self.size_mult)


@attrs.frozen
class Milestones:
    """The parts of a chain that goes straight from one milestone to the next, and stays at the last one's value.

    >>> chain = Chain(Milestones([(1, 0.0), (3, 1.0)]))
    >>> [chain(count) for count in range(5)]
    [0.0, 0.0, 0.5, 1.0, 1.0]
    """

    counts_and_values: Sequence[tuple[int, float]]

    def __iter__(self) -> Iterator[tuple[int, Ramp]]:
        begin, start = 0, self.counts_and_values[0][1]
        for count, value in self.counts_and_values:
            yield count - begin, Ramp(start, value, count - begin)
            begin, start = count, value
        yield 1, Ramp(start, start, 1)


@attrs.frozen
class Decay:
    """Multiply a value with a factor, as often as a function says for a count; by default at each.

    >>> [Decay(8.0, 0.5)(count) for count in range(4)], [Decay(8.0, 0.5, lambda count: count // 2)(3)]
    ([8.0, 4.0, 2.0, 1.0], [4.0])
    """

    start: float
    factor: float
    times: Callable[[int], int] | None = None

    def __call__(self, count: int, /) -> float:
        return self.start * self.factor ** (count if self.times is None else self.times(count))
