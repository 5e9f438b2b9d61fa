"""Series: what a table says of many times, without keeping them."""

from __future__ import annotations

import math
from array import array

__all__ = ["Series"]


class Series:
    """Take times as they come, and know their number, total, extremes, mean and standard deviation.

    Mean and deviation are moved along with each value (Welford, 1962), so that memory does not grow and nothing is
    lost where the times are many and close to each other.

    Args:
        keep: keep each time too, in `values`.

    Attributes:
        count: how many there were.
        total: their sum.
        least: the smallest one, and its index; of equal ones the first.
        greatest: the largest one, likewise.
        mean: the mean, 0 where there were none.
        values: the times in order, or None.

    >>> series = Series()
    >>> for seconds in (2.0, 1.0, 3.0):
    ...     series.add(seconds)
    >>> series.total, series.least, series.greatest, series.mean, series.std
    (6.0, (1.0, 1), (3.0, 2), 2.0, 1.0)
    """

    __slots__ = ("_squares", "count", "greatest", "least", "mean", "total", "values")

    def __init__(self, keep: bool = False) -> None:
        self.count = 0
        self.total = self.mean = self._squares = 0.0
        self.least, self.greatest = (math.inf, 0), (-math.inf, 0)
        self.values: array[float] | None = array("d") if keep else None

    def add(self, seconds: float, index: int | None = None) -> None:
        """Take one more; its index is its place in the series, unless another one is given."""
        index = self.count if index is None else index
        self.count += 1
        self.total += seconds
        if seconds < self.least[0]:
            self.least = seconds, index
        if seconds > self.greatest[0]:
            self.greatest = seconds, index
        off = seconds - self.mean
        self.mean += off / self.count
        self._squares += off * (seconds - self.mean)
        if self.values is not None:
            self.values.append(seconds)

    @property
    def std(self) -> float:
        """The standard deviation of a sample (divided by one less than their number); of fewer than two, none."""
        return math.sqrt(self._squares / (self.count - 1)) if self.count > 1 else math.nan
