"""A timetable says which connections of a signal are due at which count.

Connections that may hear any occurrence are always due. The others are grouped by their filter, and
the groups lie in a heap by the next count at which their filter can pass. So an occurrence costs
what is due, not what is connected.
"""

from __future__ import annotations

import heapq
import math
from itertools import chain

from ignite_signals.engine.filters import Filter
from ignite_signals.engine.receivers import Connection

__all__ = ["Timetable"]


class Timetable:
    """Plan the connections of a signal, from a count on.

    A timetable knows its connections for good: when one comes or goes, the signal makes another.
    The lists it hands out are never changed, so a send that has begun can go on with its own.

    Args:
        connections: in the order in which they are called.
        count: the first count that will be asked for.

    Attributes:
        always: the connections that are due at every count.
        low, due: no connection is due at the counts between, both excluded.
    """

    __slots__ = ("_groups", "_heap", "_taken", "_taken_at", "always", "due", "low")

    def __init__(self, connections: list[Connection], count: int) -> None:
        self.always: list[Connection] = []
        self._groups: dict[Filter, list[Connection]] = {}
        for connection in connections:
            if connection.filter is None or connection.filter.is_dense():
                self.always.append(connection)
            else:
                self._groups.setdefault(connection.filter, []).append(connection)
        self._restart(count)

    @property
    def is_constant(self) -> bool:
        """Whether the same connections, and any at all, are due at every count."""
        return bool(self.always) and not self._groups

    def _restart(self, count: int) -> None:
        # The index keeps the heap from comparing filters.
        self._heap = [
            (condition.next(count - 1), index, condition, connections)
            for index, (condition, connections) in enumerate(self._groups.items())
        ]
        heapq.heapify(self._heap)
        self._taken_at: float = -math.inf
        self._taken: list[Connection] = []

    def take(self, count: int) -> list[Connection]:
        """Return the connections that may be due at `count`, in the order of calling.

        Those behind a filter that is not exact have to ask it. Counts need not go up; where one
        comes again, the same connections are due again.
        """
        if count == self._taken_at:
            return self._taken
        if count < self._taken_at:
            self._restart(count)
        due = self._due_groups(count)
        self._taken_at = count
        self._taken = due[0] if len(due) == 1 else sorted(chain.from_iterable(due), key=lambda each: each.order)
        self.low = count if self._taken else count - 1
        self.due = -math.inf if self.always else self._heap[0][0] if self._heap else math.inf
        return self._taken

    def _due_groups(self, count: int) -> list[list[Connection]]:
        heap = self._heap
        due = [self.always] if self.always else []
        while heap and heap[0][0] <= count:
            planned, index, condition, connections = heap[0]
            heapq.heapreplace(heap, (condition.next(count), index, condition, connections))
            if planned == count or not condition.is_exact() or condition.passes(count):
                due.append(connections)
        return due
