"""Kept: the list of the checkpoints that are kept, and what makes room for a new one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from ignite_signals.engine.integers import integer
from ignite_signals.handlers.scores import is_finite, number

__all__ = ["Item", "Kept"]


@attrs.frozen
class Item:
    """A checkpoint that is kept: how good it is, by its score or else its step, and its file."""

    priority: float
    filename: str


@attrs.define
class Kept:
    """Know which checkpoints are kept, which new one is wanted, and which old ones it supersedes.

    Without scores every checkpoint is wanted, and the newest are kept; with scores the best.

    >>> kept = Kept(n_saved=1, scored=True)
    >>> kept.add(Item(0.5, "a.pt"))
    >>> kept.wants(Item(0.4, "b.pt")), kept.wants(Item(0.6, "b.pt"))
    (False, True)
    >>> kept.add(Item(0.6, "b.pt"))
    >>> kept.superseded()
    [Item(priority=0.5, filename='a.pt')]
    """

    # How many to keep; None for all.
    n_saved: int | None = attrs.field(default=1)
    scored: bool = False
    # Whether a score is good enough that equals one which has to go.
    greater_or_equal: bool = False
    # In the order in which they were saved. Replaced, never changed, so that a list can be gone back to.
    items: list[Item] = attrs.field(factory=list)

    @n_saved.validator
    def _check(self, _: object, value: object) -> None:
        if value is not None:
            integer("n_saved", value)

    def ranked(self) -> list[Item]:
        """Return the items, the best or the newest last."""
        return sorted(self.items, key=lambda item: item.priority) if self.scored else self.items

    def wants(self, item: Item) -> bool:
        """Tell whether there is room, or the new one is better than what it would take the place of."""
        rival = self._rival(item) if self.scored else None
        if rival is None:
            return True
        return item.priority > rival.priority or (self.greater_or_equal and item.priority == rival.priority)

    def _rival(self, item: Item) -> Item | None:
        """Return whose place a new one would take: that of the same file, or else the worst."""
        for each in self.items:
            if each.filename == item.filename:
                return each
        if self.n_saved is None or len(self.items) < self.n_saved:
            return None
        return self.ranked()[-self.n_saved]

    def add(self, item: Item) -> None:
        """Take a new one in; what it supersedes stays until it is dropped."""
        self.items = [*(each for each in self.items if each.filename != item.filename), item]

    def superseded(self) -> list[Item]:
        """Return what is too much."""
        return [] if self.n_saved is None else self.ranked()[: -self.n_saved]

    def drop(self, gone: Iterable[Item]) -> None:
        """Forget what was removed."""
        gone = list(gone)
        self.items = [each for each in self.items if each not in gone]

    def state(self) -> list[tuple[float, str]]:
        """Return pairs of the score or step and the file name."""
        return [(item.priority, item.filename) for item in self.items]

    def load(self, saved: Any, is_there: Callable[[str], bool]) -> None:
        """Take up such pairs, less those whose file is not there any more.

        Raises:
            TypeError: they are none.
        """
        try:
            items = [Item(_rank(priority), str(filename)) for priority, filename in saved]
        except (TypeError, ValueError) as error:
            raise TypeError(f"state_dict['saved'] must be pairs of a number and a file name, got {saved!r}") from error
        self.items = [item for item in items if is_there(item.filename)]


def _rank(priority: Any) -> float:
    """Return a priority; one that is not finite, which other programs save, is worse than all others."""
    plain = number("priority must be", priority)
    return plain if is_finite(plain) else -math.inf
