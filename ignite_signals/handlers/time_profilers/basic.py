"""BasicTimeProfiler: what the data, the step and the handlers of each event take."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

from ignite_signals.engine import Events
from ignite_signals.handlers.time_profilers.names import told_apart
from ignite_signals.handlers.time_profilers.series import Series
from ignite_signals.handlers.time_profilers.tables import basic_table, write_csv
from ignite_signals.handlers.time_profilers.time_profiler import DATAFLOW, LAST, PROCESSING, TimeProfiler

if TYPE_CHECKING:
    from ignite_signals.engine import Engine, ReceiverCall
    from ignite_signals.engine.events import Event

__all__ = ["BasicTimeProfiler"]

_OF_A_RUN = (Events.STARTED, Events.COMPLETED)
_OF_AN_EPOCH = (Events.EPOCH_STARTED, Events.EPOCH_COMPLETED)
_OF_AN_ITERATION = (
    *(Events.ITERATION_STARTED, Events.ITERATION_COMPLETED),
    *(Events.GET_BATCH_STARTED, Events.GET_BATCH_COMPLETED),
)
# These belong to the iteration that is to come.
_BEFORE_THE_ITERATION = (Events.GET_BATCH_STARTED, Events.GET_BATCH_COMPLETED)


class BasicTimeProfiler(TimeProfiler):
    """Measure what the data, the step and the handlers of each event take.

    Dataflow is the time from the last handler of GET_BATCH_STARTED to the first one of GET_BATCH_COMPLETED,
    processing that from the last handler of ITERATION_STARTED to the first one of ITERATION_COMPLETED: the step. The
    time of an event is that of its handlers' calls, all together. Each second is counted once.

    A run that starts anew is measured anew; one that goes on adds to what was measured. Only the engine that the
    profiler is attached to is measured: the time of an evaluator is that of the handler that runs it.

    The clock is `time.perf_counter()`. A GPU works on while the program goes on, so there the step's time is that of
    handing the work over, and whoever waits for a result first (a handler that reads the loss, say) has the time of
    the work in its own. Let the step end with `torch.cuda.synchronize()` to have it in the step's.

    Args:
        keep_times: keep each single time, 64 bytes an iteration, for `write_results`. False: memory does not grow.

    Attributes:
        events_to_ignore: events whose handlers are not measured by themselves; nor are those of events of your own.
            They count for where they are called.

    >>> from ignite_signals.engine import Engine
    >>> trainer = Engine(lambda engine, batch: sum(range(1000)))
    >>> profiler = BasicTimeProfiler()
    >>> with profiler.attach(trainer):
    ...     state = trainer.run(range(10), max_epochs=3)
    >>> results = profiler.get_results()
    >>> list(results)
    ['processing_stats', 'dataflow_stats', 'event_handlers_stats', 'event_handlers_names']
    >>> list(results["processing_stats"])
    ['total', 'min/index', 'max/index', 'mean', 'std']
    """

    events_to_ignore = (
        *(Events.EXCEPTION_RAISED, Events.TERMINATE, Events.TERMINATE_SINGLE_EPOCH),
        *(Events.DATALOADER_STOP_ITERATION, Events.INTERRUPT),
    )

    def _begin(self) -> None:
        super()._begin()
        self._events: dict[Events, Series] = {event: Series() for event in Events if event not in self.events_to_ignore}
        # What the handlers of events that are under way have taken.
        self._sums: dict[Event, float] = {}
        self._rows = _Rows()

    def _receivers(self) -> Iterator[tuple[Events, Callable[..., Any], int]]:
        for event in Events:
            if event not in (*self.events_to_ignore, Events.GET_BATCH_STARTED, Events.ITERATION_STARTED):
                yield event, self._event_ended, LAST
        yield from super()._receivers()

    def _fetch_started(self, engine: Engine) -> None:
        self._event_ended(engine)
        super()._fetch_started(engine)

    def _step_started(self, engine: Engine) -> None:
        self._event_ended(engine)
        super()._step_started(engine)

    def _measures(self, event: Event) -> bool:
        return event in self._events

    def _take_part(self, engine: Engine, part: str, seconds: float) -> None:
        iteration = engine.state.iteration + (part == DATAFLOW)
        self._parts[part].add(seconds, iteration - 1)
        if self._keep_times:
            self._rows.add(part, seconds, iteration)

    def _take_call(self, call: ReceiverCall, seconds: float, error: BaseException | None) -> None:
        self._handler(call.event, call.handler)
        self._sums[call.event] = self._sums.get(call.event, 0.0) + seconds
        if error is not None:  # no other receiver is called
            self._end_event(call.engine, call.event)

    def _event_ended(self, engine: Engine) -> None:
        self._end_event(engine, engine.last_event_name)

    def _end_event(self, engine: Any, event: Any) -> None:
        self._has_measured = True
        seconds, state = self._sums.pop(event, 0.0), engine.state
        if event in _OF_AN_ITERATION:
            iteration = state.iteration + (event in _BEFORE_THE_ITERATION)
            self._events[event].add(seconds, iteration - 1)
            if self._keep_times:
                self._rows.end_event(event, seconds, iteration, state.epoch)
        else:
            self._events[event].add(seconds, state.epoch - 1 if event in _OF_AN_EPOCH else None)
            if self._keep_times and event in _OF_AN_EPOCH:
                self._rows.end_epoch_event(event, seconds, state.epoch)

    # Results

    def get_results(self) -> dict[str, dict[str, Any]]:
        """Return the statistics of what was measured, also in the middle of a run.

        The total of each in seconds; of two or more the smallest and the largest with the index of their iteration or
        epoch, counted from 0, the mean and the standard deviation.

        Raises:
            RuntimeError: nothing is measured yet.
        """
        self._check_measured()
        self._list_handlers(self._attached_to())
        return {
            "processing_stats": _statistics(self._parts[PROCESSING]),
            "dataflow_stats": _statistics(self._parts[DATAFLOW]),
            "event_handlers_stats": {
                **{event.name: _statistics(times) for event, times in self._events.items()},
                "total_time": sum(times.total for times in self._events.values()),
            },
            "event_handlers_names": {f"{event.name}_names": self._names_at(event) for event in self._events},
        }

    def _names_at(self, event: Event) -> list[str]:
        return told_apart((each.name, each.label) for each in self._handlers.get(event, {}).values())

    def write_results(self, output_path: str | PathLike[str]) -> None:
        """Write the times of each iteration to a CSV file, a row for each that has begun.

        Of the events of the epoch and of the run, each row has what they took in its epoch and in the run; 0 where
        they have not come.

        Args:
            output_path: the file, which is overwritten.

        Raises:
            OSError: the file cannot be written.
            RuntimeError: nothing is measured yet, or the times were not kept.
        """
        self._check_kept(output_path)
        write_csv(output_path, _HEADER, self._table())

    def _table(self) -> Iterator[list[float]]:
        run = [self._events[event].total for event in _OF_A_RUN]
        for epoch, iteration, processing, dataflow, *events in self._rows:
            of_epoch = self._rows.epochs.get(int(epoch), {})
            epochs = [of_epoch.get(event, 0.0) for event in _OF_AN_EPOCH]
            yield [int(epoch), int(iteration), processing, dataflow, *run, *epochs, *events]

    @staticmethod
    def print_results(results: Mapping[str, Mapping[str, Any]]) -> str:
        """Print what `get_results` returned, and return the text.

        Args:
            results: the statistics.
        """
        text = basic_table(results)
        print(text)  # noqa: T201  # which is what it is for
        return text


def _statistics(times: Series) -> dict[str, Any]:
    if not times.count:
        return {"total": "not yet triggered"}
    if times.count == 1:
        return {"total": times.total}
    return {
        "total": times.total,
        "min/index": times.least,
        "max/index": times.greatest,
        "mean": times.mean,
        "std": times.std,
    }


_HEADER = [
    *("epoch", "iteration", "processing_stats", "dataflow_stats"),
    *(f"Event_{event.name}" for event in (*_OF_A_RUN, *_OF_AN_EPOCH, *_OF_AN_ITERATION)),
]
# Where in a row each time is, behind the epoch and the iteration.
_PLACES: dict[Any, int] = {what: place for place, what in enumerate((PROCESSING, DATAFLOW, *_OF_AN_ITERATION), 2)}
_WIDTH = 2 + len(_PLACES)


class _Rows:
    """The times of each iteration: a row of numbers for each."""

    def __init__(self) -> None:
        self._ended = array("d")
        self._row = [0.0] * _WIDTH
        # What the handlers of an epoch's own events took.
        self.epochs: dict[int, dict[Event, float]] = {}

    def add(self, what: object, seconds: float, iteration: int) -> None:
        """Add a time to the row of an iteration, which is the last one or the next one."""
        if self._row[1] not in (0.0, iteration):
            self._end_row()
        self._row[_PLACES[what]] += seconds

    def end_event(self, event: Event, seconds: float, iteration: int, epoch: int) -> None:
        self.add(event, seconds, iteration)
        if event not in _BEFORE_THE_ITERATION:  # now there is such an iteration
            self._row[:2] = epoch, iteration
        if event is Events.ITERATION_COMPLETED:
            self._end_row()

    def _end_row(self) -> None:
        self._ended.extend(self._row)
        self._row = [0.0] * _WIDTH

    def end_epoch_event(self, event: Event, seconds: float, epoch: int) -> None:
        times = self.epochs.setdefault(epoch, {})
        times[event] = times.get(event, 0.0) + seconds

    def __iter__(self) -> Iterator[list[float]]:
        for start in range(0, len(self._ended), _WIDTH):
            yield self._ended[start : start + _WIDTH].tolist()
        if self._row[1]:  # its iteration has begun
            yield self._row
