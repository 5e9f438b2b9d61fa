"""HandlersTimeProfiler: what the data, the step and each handler take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeAlias

from ignite_signals.handlers.time_profilers.names import told_apart
from ignite_signals.handlers.time_profilers.series import Series
from ignite_signals.handlers.time_profilers.tables import handlers_table, write_csv
from ignite_signals.handlers.time_profilers.time_profiler import DATAFLOW, PROCESSING, TimeProfiler

if TYPE_CHECKING:
    from ignite_signals.engine import Engine, ReceiverCall

__all__ = ["HandlersTimeProfiler"]

Cell: TypeAlias = str | float | tuple[str | float, str | int]


class HandlersTimeProfiler(TimeProfiler):
    """Measure what the data, the step and each handler take, at events of your own too.

    Processing is the step's time and dataflow that of fetching a batch, as `BasicTimeProfiler` has them, with the same
    clock and the same to be known about a GPU. A handler's time is that of its own calls. Each second is counted
    once: where a step or a handler fires an event, the time of that event's handlers is theirs.

    Handlers of the same name and code share a row, as the methods of two metrics of one class do. Where two rows of an
    event would have the same name, file and line are added.

    A run that starts anew is measured anew; one that goes on adds to what was measured.

    Args:
        keep_times: keep each single time, 8 bytes a call and 16 an iteration, for `write_results`. False: memory does
            not grow.

    >>> from ignite_signals.engine import Engine, Events
    >>> trainer = Engine(lambda engine, batch: sum(range(1000)))
    >>> @trainer.on(Events.EPOCH_COMPLETED(every=2))
    ... def validate():
    ...     pass
    >>> profiler = HandlersTimeProfiler()
    >>> with profiler.attach(trainer):
    ...     state = trainer.run(range(10), max_epochs=3)
    >>> [row[:2] for row in profiler.get_results()]
    [['validate', 'EPOCH_COMPLETED'], ['Total', ''], ['Processing', 'None'], ['Dataflow', 'None']]
    """

    def _take_part(self, engine: Engine, part: str, seconds: float) -> None:
        self._parts[part].add(seconds)

    def _take_call(self, call: ReceiverCall, seconds: float, error: BaseException | None) -> None:
        self._handler(call.event, call.handler).times.add(seconds)

    def get_results(self) -> list[list[Cell]]:
        """Return a row for each handler at each event, and rows for all of them, the step and the data.

        A row has the handler, the event, and in seconds, rounded to five digits: the total, the smallest and the
        largest with the index of the call, counted from 0, the mean and the standard deviation.

        Raises:
            RuntimeError: nothing is measured yet.
        """
        self._check_measured()
        self._list_handlers(self._attached_to())
        rows = list(self._by_handler())
        total = round(sum(times.total for _, _, times in rows), 5)
        return [
            *([name, event, *_statistics(times)] for name, event, times in rows),
            ["Total", "", total, "", "", "", ""],
            ["Processing", "None", *_statistics(self._parts[PROCESSING])],
            ["Dataflow", "None", *_statistics(self._parts[DATAFLOW])],
        ]

    def _by_handler(self) -> Iterator[tuple[str, str, Series]]:
        for event, handlers in self._handlers.items():
            names = told_apart((each.name, each.label) for each in handlers.values())
            for name, each in zip(names, handlers.values(), strict=True):
                yield name, event if isinstance(event, str) else event.name, each.times

    def write_results(self, output_path: str | PathLike[str]) -> None:
        """Write each single time to a CSV file: a column for the step, the data and each handler at each event.

        Row by row stand the first calls, the second ones and so on, with 0 where there were fewer.

        Args:
            output_path: the file, which is overwritten.

        Raises:
            OSError: the file cannot be written.
            RuntimeError: nothing is measured yet, or the times were not kept.
        """
        self._check_kept(output_path)
        self._list_handlers(self._attached_to())
        columns = {"processing_stats": self._parts[PROCESSING], "dataflow_stats": self._parts[DATAFLOW]}
        columns |= {f"{name} ({event})": times for name, event, times in self._by_handler()}
        calls = zip_longest(*(times.values or () for times in columns.values()), fillvalue=0.0)
        write_csv(output_path, ["#", *columns], ([number, *times] for number, times in enumerate(calls, 1)))

    @staticmethod
    def print_results(results: Sequence[Sequence[Any]]) -> str:
        """Print what `get_results` returned, and return the text.

        Args:
            results: the rows.

        Raises:
            ValueError: there are none, not even those of the whole run.
        """
        if not results:
            raise ValueError(f"results must be what get_results() returned, got {results!r}")
        text = handlers_table(results)
        print(text)  # noqa: T201  # which is what it is for
        return text


def _statistics(times: Series) -> list[Cell]:
    if not times.count:
        return ["not triggered", ("None", "None"), ("None", "None"), "None", "None"]
    extremes = [(round(seconds, 5), index) for seconds, index in (times.least, times.greatest)]
    std: Cell = round(times.std, 5) if times.count > 1 else "None"
    return [round(times.total, 5), *extremes, round(times.mean, 5), std]
