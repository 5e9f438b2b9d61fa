"""TimeLimit: end a run in time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from ignite_signals.engine import Events
from ignite_signals.handlers.checks import check_engine
from ignite_signals.handlers.timing import is_duration

if TYPE_CHECKING:
    from ignite_signals.engine import Engine
    from ignite_signals.engine.events import Event, EventsList, FilteredEvent

    Listenable: TypeAlias = Event | FilteredEvent | EventsList

__all__ = ["TimeLimit"]


class TimeLimit:
    """End the run at the first look after a number of seconds.

    The time counts from when the handler is made, so that what is done before the training counts too. What was used
    is saved by `state_dict`, and a resumed training has what is left. Where each session has a limit of its own, as
    on a cluster, give `across_resumes=False`.

    Args:
        limit_sec: the limit in seconds; eight hours by default.
        across_resumes: False to let `load_state_dict` leave the time as it is.
        clock: returns the time in seconds; a program's tests may give their own.

    Raises:
        ValueError: `limit_sec` is no positive finite number.
        TypeError: `clock` is not callable.

    >>> from ignite_signals.engine import Engine, Events
    >>> hours = iter(range(100))
    >>> limit = TimeLimit(3 * 3600, clock=lambda: 3600.0 * next(hours))
    >>> trainer = Engine(lambda engine, batch: None)
    >>> handle = trainer.add_event_handler(Events.ITERATION_COMPLETED, limit)
    >>> state = trainer.run(range(10))
    >>> state.iteration, str(state.stop_reason)
    (4, 'terminated')
    """

    def __init__(
        self,
        limit_sec: float = 28800,
        *,
        across_resumes: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not is_duration(limit_sec) or not limit_sec:
            raise ValueError(f"limit_sec must be a positive number of seconds, got {limit_sec!r}")
        if not callable(clock):
            raise TypeError(f"clock must be callable, got {clock!r}")
        self.limit_sec = limit_sec
        self._across_resumes = across_resumes
        self._clock = clock
        self.logger = logging.getLogger(f"{__name__}.{type(self).__qualname__}")
        self.reset()

    def attach(self, engine: Engine, event: Listenable = Events.ITERATION_COMPLETED) -> None:
        """Look at the clock at an event of an engine, and end that engine's run.

        Raises:
            TypeError: `engine` is no engine.
        """
        check_engine(engine)
        engine.add_event_handler(event, self)

    def __call__(self, engine: Engine) -> None:
        """Look at the clock, and ask the engine to terminate if the time is up."""
        used = self.elapsed()
        if used > self.limit_sec:
            self.logger.info("%.1f s used of %s s, the run ends", used, self.limit_sec)
            engine.terminate(by=type(self).__name__)

    def elapsed(self) -> float:
        """Return the seconds that were used, those before a resume included."""
        return self._used_before + self._clock() - self._started_at

    def reset(self) -> None:
        """Let the whole limit start anew."""
        self._start(0.0)

    def state_dict(self) -> dict[str, float]:
        """Return the seconds that were used."""
        return {"elapsed": float(self.elapsed())}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from the seconds that were used when the state was saved.

        Raises:
            TypeError: it is not a mapping.
            ValueError: `elapsed` is missing, or no finite number of at least 0; nothing was changed.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict must be a mapping, as TimeLimit.state_dict() returns, got {state_dict!r}")
        if not is_duration(state_dict.get("elapsed")):
            raise ValueError(f"state_dict must have the seconds used as 'elapsed', got {dict(state_dict)!r}")
        if self._across_resumes:
            self._start(float(state_dict["elapsed"]))

    def _start(self, used_before: float) -> None:
        self._used_before, self._started_at = used_before, self._clock()

    def __getstate__(self) -> dict[str, Any]:
        # A reading of the clock means nothing in another process.
        kept = {name: value for name, value in vars(self).items() if name != "_started_at"}
        return kept | {"_used_before": self.elapsed()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._started_at = self._clock()
