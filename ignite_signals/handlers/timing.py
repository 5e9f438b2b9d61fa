"""Timer: how long something takes, between any two events of a run."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias

from ignite_signals.engine import Events

if TYPE_CHECKING:
    from ignite_signals.engine import Engine
    from ignite_signals.engine.events import Event, EventsList, FilteredEvent

    Listenable: TypeAlias = Event | FilteredEvent | EventsList

__all__ = ["Timer"]


class Timer:
    """Measure time in seconds, by hand or between events of an engine.

    A new timer runs. `pause` and `resume` leave out what should not count; `step` counts what an
    average is taken over. It reads the clock of this process and does not wait for a GPU's work.

    Args:
        average: let `value` return the time per step.

    Attributes:
        total: the seconds measured up to the last `pause`.
        step_count: how often `step` was called since the last `reset`.
        running: whether the timer runs.

    >>> timer = Timer(average=True)
    >>> for _ in range(4):
    ...     timer.resume()
    ...     work = sum(range(1000))
    ...     timer.pause()
    ...     timer.step()
    >>> timer.step_count, timer.value() == timer.total / 4
    (4, True)
    """

    def __init__(self, average: bool = False) -> None:
        self._average = average
        self.reset()

    def attach(
        self,
        engine: Engine,
        start: Listenable = Events.STARTED,
        pause: Listenable = Events.COMPLETED,
        resume: Listenable | None = None,
        step: Listenable | None = None,
    ) -> Timer:
        """Let an engine's events start, pause, resume and step the timer.

        Where two of them share an event, it resets first, then resumes, pauses and steps.

        Args:
            engine: whose events to listen to.
            start: sets the timer to zero and lets it run.
            pause: stops it.
            resume: lets it go on.
            step: counts a step, for the average.

        Returns:
            the timer.

        >>> from ignite_signals.engine import Engine
        >>> trainer = Engine(lambda engine, batch: None)
        >>> waiting, fetched = Timer(average=True), Events.GET_BATCH_COMPLETED
        >>> timer = waiting.attach(trainer, resume=Events.GET_BATCH_STARTED, pause=fetched, step=fetched)
        >>> state = trainer.run(range(10))
        >>> timer.step_count, timer.value() < 1  # seconds that a step waited for its batch
        (10, True)
        """
        engine.add_event_handler(start, self.reset)
        if resume is not None:
            engine.add_event_handler(resume, self.resume)
        engine.add_event_handler(pause, self.pause)
        if step is not None:
            engine.add_event_handler(step, self.step)
        return self

    def reset(self, *_: object) -> Timer:
        """Set the time and the steps to zero and let the timer run."""
        self._started_at = perf_counter()
        self.total = 0.0
        self.step_count = 0
        self.running = True
        return self

    def pause(self, *_: object) -> None:
        """Stop the timer and keep what it measured."""
        if self.running:
            self.total += self._elapsed()
            self.running = False

    def resume(self, *_: object) -> None:
        """Let a stopped timer go on."""
        if not self.running:
            self.running = True
            self._started_at = perf_counter()

    def step(self, *_: object) -> None:
        """Count one step more."""
        self.step_count += 1

    def value(self) -> float:
        """Return the seconds measured; per step where the timer averages, with at least one step."""
        total = self.total + (self._elapsed() if self.running else 0.0)
        return total / max(self.step_count, 1) if self._average else total

    def _elapsed(self) -> float:
        return perf_counter() - self._started_at
