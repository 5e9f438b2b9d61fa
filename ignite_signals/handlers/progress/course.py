"""How far a run is: what a progress bar counts, from where, and to which length."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ignite_signals.engine import Events

if TYPE_CHECKING:
    from ignite_signals.engine import Engine

__all__ = ["Course"]


class Course:
    """Count an event on the way from where a line begins to where it is closed.

    Args:
        event: the name of the signal that is counted.
        closing: the name of the signal that closes the line.
        total: the length, where the user gives it.
        desc: what the line begins with, where the user says it.
    """

    def __init__(self, event: str, closing: str, total: float | None, desc: str | None) -> None:
        self.event, self.closing = event, closing
        self._given, self._desc = total, desc
        # The count at which the line is at 0; None where it is not known.
        self._base: int | None = None

    @property
    def is_of_run(self) -> bool:
        """Whether the line is one for the whole run."""
        return self.closing == str(Events.COMPLETED.value)

    @property
    def closes_with_epoch(self) -> bool:
        """Whether an epoch's end closes the line."""
        return self.closing == str(Events.EPOCH_COMPLETED.value)

    def begins_with_epoch(self, engine: Engine) -> bool:
        """Tell whether the line begins anew with each epoch."""
        return self.closes_with_epoch or (self._counts(engine, "iteration") and not self.is_of_run)

    def begin(self, engine: Engine) -> None:
        """Find where 0 is, as an epoch or a run begins or goes on."""
        count = _count(engine, self.event)
        if not self._goes_by_itself(engine):
            of_epoch = self._counts(engine, "iteration") and self.begins_with_epoch(engine)
            self._base = count - engine.epoch_position if of_epoch else 0
        elif not (engine.epoch_position if self.begins_with_epoch(engine) else engine.state.iteration):
            self._base = count

    def begin_phase(self, engine: Engine) -> None:
        """Count from here, after an event of the user's own has closed the line."""
        if self._goes_by_itself(engine):
            self._base = _count(engine, self.event)

    def n(self, engine: Engine) -> int:
        """Return how far the line is."""
        count = _count(engine, self.event)
        if self._base is None:
            self._base = self._base_inside(engine, count)
        if count < self._base:  # it was set by hand
            self._base = 0
        return count - self._base

    def total(self, engine: Engine) -> float | None:
        """Return how far it will be, or None where that is unknown."""
        state = engine.state
        if self._given is not None or self._goes_by_itself(engine):
            return None if self._given == math.inf else self._given
        if self._counts(engine, "epoch"):
            return _epochs(engine)
        if self.begins_with_epoch(engine):
            return state.epoch_length
        if state.max_iters is None and state.epoch_length and state.max_epochs:
            return state.epoch_length * state.max_epochs
        return state.max_iters

    def desc(self, engine: Engine) -> str:
        """Return what the line begins with: "Epoch [2/5]: ", or "Iteration: " where there is one epoch."""
        desc, epochs = self._desc or self._default_desc(engine), _epochs(engine) or 0
        return f"{desc} [{engine.state.epoch}/{epochs}]: " if self.closes_with_epoch and epochs > 1 else f"{desc}: "

    def _default_desc(self, engine: Engine) -> str:
        if self._goes_by_itself(engine):
            return self.event
        over_epochs = self.is_of_run and self._counts(engine, "iteration")
        return "Iteration" if over_epochs or _epochs(engine) == 1 else "Epoch"

    def _counts(self, engine: Engine, counter: str) -> bool:
        return engine.signals[self.event].counter == counter

    def _goes_by_itself(self, engine: Engine) -> bool:
        """Tell whether the count is neither that of iterations nor of epochs, and goes on from run to run."""
        return engine.signals[self.event].counter not in ("iteration", "epoch")

    def _base_inside(self, engine: Engine, count: int) -> int:
        """Return where 0 was if that was not seen, as if all epochs were of one length."""
        total = self.total(engine)
        if not (count and total and self.begins_with_epoch(engine)) or self._counts(engine, "epoch"):
            return 0
        return int((count - 1) // total * total)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_base": None}


def _count(engine: Engine, event: str) -> int:
    """Return what an event counts by, as it is now."""
    counter, state = engine.signals[event].counter, engine.state
    return int(state.counters.get(event, 0) if counter is None else getattr(state, counter, 0))


def _epochs(engine: Engine) -> int | None:
    """Return how many epochs the run has, the last of which `max_iters` may cut short."""
    state = engine.state
    if state.max_epochs is None and state.max_iters and state.epoch_length:
        return math.ceil(state.max_iters / state.epoch_length)
    return state.max_epochs
