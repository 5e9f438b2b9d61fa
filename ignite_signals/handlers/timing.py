"""Timer: how long something takes, between any two events of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias

from ignite_signals.engine import Events
from ignite_signals.engine.integers import integer
from ignite_signals.handlers.checks import check_engine

if TYPE_CHECKING:
    from ignite_signals.engine import Engine
    from ignite_signals.engine.events import Event, EventsList, FilteredEvent

    Listenable: TypeAlias = Event | FilteredEvent | EventsList

__all__ = ["Timer"]


class Timer:
    """Measure time in seconds, by hand or between events of an engine.

    A new timer runs. `pause` and `resume` leave out what should not count; `step` counts what an
    average is taken over. It reads the clock of this process and does not wait for a GPU's work.

    A run that goes on, after a stop or from a loaded state, adds to the time that it had; what lies between two
    processes does not count.

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

        Where some of them share an event, it starts first, then pauses, resumes and steps.

        Args:
            engine: whose events to listen to.
            start: sets the timer to zero and lets it run. Where it announces a run, or an epoch, that goes on, the
                timer goes on too: at once, or where `resume` is given, from that event on.
            pause: stops it.
            resume: lets it go on.
            step: counts a step, for the average.

        Returns:
            the timer.

        Raises:
            TypeError: `engine` is no engine.

        >>> from ignite_signals.engine import Engine
        >>> trainer = Engine(lambda engine, batch: None)
        >>> waiting, fetched = Timer(average=True), Events.GET_BATCH_COMPLETED
        >>> timer = waiting.attach(trainer, resume=Events.GET_BATCH_STARTED, pause=fetched, step=fetched)
        >>> state = trainer.run(range(10))
        >>> timer.step_count, timer.value() < 1  # seconds that a step waited for its batch
        (10, True)
        """
        check_engine(engine)
        engine.add_event_handler(start, self._start, waits=resume is not None)
        engine.add_event_handler(pause, self.pause)
        if resume is not None:
            engine.add_event_handler(resume, self.resume)
        if step is not None:
            engine.add_event_handler(step, self.step)
        return self

    def reset(self, *_: object) -> Timer:
        """Set the time and the steps to zero and let the timer run."""
        self._started_at = perf_counter()
        self.total = 0.0
        self.step_count = 0
        self.running = True
        # Whether a run has started it since then.
        self._was_started = False
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
        total = self._measured()
        return total / max(self.step_count, 1) if self._average else total

    def state_dict(self) -> dict[str, Any]:
        """Return the seconds measured up to now and the number of steps."""
        return {"total": self._measured(), "step_count": self.step_count}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from the seconds and steps that were saved; a timer that runs keeps running.

        Raises:
            TypeError: it is not a mapping.
            ValueError: a key is missing, or the value of one is no time or no count; nothing was changed.
        """
        total, steps = _checked(state_dict)
        self.total, self.step_count = total, steps
        self._started_at, self._was_started = perf_counter(), False

    def _start(self, engine: Engine, waits: bool) -> None:
        """Begin at zero, or go on where the run does; `waits` for another event to let it run then."""
        if not _goes_on(engine):
            self.reset()
        elif not self._was_started:  # what lay before belongs to no run
            self._started_at, self.running = perf_counter(), not waits
        elif not waits:
            self.resume()
        self._was_started = True

    def _measured(self) -> float:
        return self.total + (self._elapsed() if self.running else 0.0)

    def _elapsed(self) -> float:
        return perf_counter() - self._started_at

    def __getstate__(self) -> dict[str, Any]:
        # A reading of the clock means nothing in another process.
        kept = {name: value for name, value in vars(self).items() if name != "_started_at"}
        return kept | {"total": self._measured()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._started_at = perf_counter()


def _goes_on(engine: Engine) -> bool:
    """Tell whether the present event announces a run or an epoch that was begun before."""
    if engine.last_event_name is Events.STARTED:
        return engine.state.iteration > 0
    return engine.last_event_name is Events.EPOCH_STARTED and engine.epoch_position > 0


def _checked(saved: Mapping[str, Any]) -> tuple[float, int]:
    if not isinstance(saved, Mapping):
        raise TypeError(f"state_dict must be a mapping, as Timer.state_dict() returns, got {saved!r}")
    if missing := [key for key in ("total", "step_count") if key not in saved]:
        raise ValueError(f"state_dict must have the keys {', '.join(map(repr, missing))}, got {list(saved)}")
    if not is_duration(saved["total"]):
        raise ValueError(f"state_dict['total'] must be a number of seconds of at least 0, got {saved['total']!r}")
    return float(saved["total"]), integer("state_dict['step_count']", saved["step_count"], 0)


def is_duration(value: object) -> bool:
    """Tell whether a value is a finite number of seconds, not negative."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return 0 <= float(value) < math.inf
    except OverflowError:
        return False
