"""What both profilers do: time the fetching of each batch, each step, and each call of a receiver."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator
from os import PathLike
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Self

import attrs
import blinker

from ignite_signals.engine import Events
from ignite_signals.engine.callables import label
from ignite_signals.handlers.checks import check_engine
from ignite_signals.handlers.time_profilers.names import kind_of, name_of
from ignite_signals.handlers.time_profilers.series import Series
from ignite_signals.handlers.time_profilers.spans import Spans

if TYPE_CHECKING:
    from ignite_signals.engine import Engine, Observation, ReceiverCall
    from ignite_signals.engine.events import Event

__all__ = ["DATAFLOW", "PROCESSING", "HandlerTimes", "TimeProfiler"]

# Before and after all other receivers, so that nothing of theirs lies in what is measured between events.
FIRST, LAST = 2**62, -(2**62)
PROCESSING, DATAFLOW = "processing", "dataflow"


@attrs.define(eq=False)
class HandlerTimes:
    """A handler at an event: its name, its name with file and line, and what its calls took."""

    name: str
    label: str
    times: Series


class TimeProfiler(ABC):
    """Measure an engine's runs by what its events and its receivers' calls tell.

    Args:
        keep_times: keep each single time, for `write_results`. False: memory does not grow with the run.
    """

    def __init__(self, keep_times: bool = True) -> None:
        self._keep_times = keep_times
        self._set_detached()
        self._begin()

    def _set_detached(self) -> None:
        self._engine: weakref.ref[Engine] | None = None
        self._observation: Observation | None = None
        # What goes on right now.
        self._spans = Spans()

    def _begin(self) -> None:
        """Forget what was measured."""
        self._has_measured = False
        self._parts = {part: Series(self._keep_times) for part in (PROCESSING, DATAFLOW)}
        self._handlers: dict[Event, dict[Hashable, HandlerTimes]] = {}
        self._plain_functions: dict[Hashable, HandlerTimes] = {}

    # Attaching

    def attach(self, engine: Engine) -> Self:
        """Measure an engine's runs from now on; what was measured before is forgotten.

        Args:
            engine: whose runs to measure. It keeps the profiler.

        Returns:
            the profiler, which is detached at the end of a `with` block.

        Raises:
            TypeError: `engine` is no engine.
            ValueError: the profiler is attached already.
        """
        check_engine(engine)
        if (other := self._attached_to()) is not None:
            raise ValueError(
                f"engine must be the only one that a {type(self).__name__} is attached to, got {engine!r}, and it "
                f"measures {other!r}: call detach() before, or make another profiler"
            )
        self._begin()
        self._engine = weakref.ref(engine)
        for event, receiver, priority in self._receivers():
            # Weakly, so that a copy of the engine does not take half a profiler along.
            engine.signal(event).connect(receiver, priority=priority)
        self._observation = engine.observe_calls(self)
        return self

    def detach(self) -> None:
        """Measure no more; do nothing where the profiler is not attached. The results stay."""
        engine = self._attached_to()
        if engine is not None and self._observation is not None:
            self._observation.remove()
            for event, receiver, _ in self._receivers():
                engine.signal(event).disconnect(receiver)
        self._set_detached()

    def _attached_to(self) -> Engine | None:
        return None if self._engine is None else self._engine()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

    def __getstate__(self) -> dict[str, Any]:
        """Copy the results; a copy is attached to nothing."""
        of_this_one = ("_engine", "_observation", "_spans", "_plain_functions")
        return {name: each for name, each in vars(self).items() if name not in of_this_one}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._set_detached()
        vars(self).update(state)
        self._plain_functions = {}

    # Measuring

    def _receivers(self) -> Iterator[tuple[Events, Callable[..., Any], int]]:
        """Yield what to connect to which event, with its priority."""
        yield Events.STARTED, self._run_started, FIRST
        yield Events.GET_BATCH_STARTED, self._fetch_started, LAST
        yield Events.GET_BATCH_COMPLETED, self._fetch_ended, FIRST
        yield Events.ITERATION_STARTED, self._step_started, LAST
        yield Events.ITERATION_COMPLETED, self._step_ended, FIRST
        yield Events.INTERRUPT, self._run_paused, FIRST

    def _run_started(self, engine: Engine) -> None:
        if engine.state.iteration == 0:  # a run that goes on adds to what was measured
            self._begin()
        self._has_measured = True
        self._list_handlers(engine)

    def _fetch_started(self, engine: Engine) -> None:
        self._spans.begin_alone(DATAFLOW)

    def _fetch_ended(self, engine: Engine) -> None:
        self._end_part(engine, DATAFLOW)

    def _step_started(self, engine: Engine) -> None:
        self._spans.begin_alone(PROCESSING)

    def _step_ended(self, engine: Engine) -> None:
        self._end_part(engine, PROCESSING)

    def _run_paused(self, engine: Engine) -> None:
        # Nothing tells when it goes on. What was about to be measured would have the pause in it.
        self._spans.drop_parts()

    def _end_part(self, engine: Engine, part: str) -> None:
        seconds = self._spans.end_part(part)
        if seconds is not None:
            self._has_measured = True
            self._take_part(engine, part, seconds)

    def call_started(self, call: ReceiverCall, /) -> None:
        """Begin to measure a call, unless it is another profiler's."""
        if not _is_own(call.handler) and self._measures(call.event):
            self._spans.begin(call)

    def call_ended(self, call: ReceiverCall, error: BaseException | None, /) -> None:
        """Take what the call took, less what was measured inside of it."""
        if _is_own(call.handler):
            return
        seconds = self._spans.end(call)
        if seconds is not None:
            self._has_measured = True
            self._take_call(call, seconds, error)

    def _measures(self, event: Event) -> bool:
        """Tell whether the calls at an event are measured by themselves."""
        return True

    @abstractmethod
    def _take_part(self, engine: Engine, part: str, seconds: float) -> None:
        """Take what an iteration's data or step took."""

    @abstractmethod
    def _take_call(self, call: ReceiverCall, seconds: float, error: BaseException | None) -> None:
        """Take what a call took."""

    # Handlers

    def _handler(self, event: Event, handler: Callable[..., Any]) -> HandlerTimes:
        # A plain function is told by its code and its name at once; to find the names of others takes longer.
        plain = (event, handler.__code__, handler.__qualname__) if type(handler) is FunctionType else None
        found = self._plain_functions.get(plain)
        if found is None:
            known, kind = self._handlers.setdefault(event, {}), kind_of(handler)
            found = known.get(kind)
            if found is None:
                found = known[kind] = HandlerTimes(name_of(handler), label(handler), Series(self._keep_times))
            if plain is not None:
                self._plain_functions[plain] = found
        return found

    def _list_handlers(self, engine: Engine | None) -> None:
        """Take note of who listens, so that those that are never called are known too."""
        for signal in [] if engine is None else engine.signals.all():
            self._handlers.setdefault(signal.event, {})
            for handler in signal.receivers_for(blinker.ANY):
                if not _is_own(handler):
                    self._handler(signal.event, handler)

    # Results

    def _check_measured(self) -> None:
        if not self._has_measured:
            name = type(self).__name__
            raise RuntimeError(f"nothing is measured yet: attach the {name} to an engine, and run the engine")

    def _check_kept(self, output_path: str | PathLike[str]) -> None:
        self._check_measured()
        if not self._keep_times:
            name = type(self).__name__
            raise RuntimeError(
                f"the single times were not kept, so they cannot be written to {output_path!r}: make the profiler "
                f"with {name}(keep_times=True)"
            )


def _is_own(handler: Callable[..., Any]) -> bool:
    return type(handler) is MethodType and isinstance(handler.__self__, TimeProfiler)
