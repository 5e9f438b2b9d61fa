"""Tables: how the results of profilers are printed and written, in Ignite's form."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

__all__ = ["basic_table", "handlers_table", "write_csv"]

# Those that the printed table shows, in its order.
_SHOWN = ("STARTED", "EPOCH_STARTED", "ITERATION_STARTED", "ITERATION_COMPLETED", "EPOCH_COMPLETED", "COMPLETED")
_HEADING = """
 ----------------------------------------------------
| Time profiling stats (in seconds):                 |
 ----------------------------------------------------
total  |  min/index  |  max/index  |  mean  |  std
"""


def basic_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Draw what `BasicTimeProfiler.get_results` returns."""
    times, names = results["event_handlers_stats"], results["event_handlers_names"]
    blocks = [
        ("Processing function:", results["processing_stats"]),
        ("Dataflow:", results["dataflow_stats"]),
        ("Event handlers:", {"total": times["total_time"]}),
        *((f"- Events.{event}: {names[f'{event}_names']}", times[event]) for event in _SHOWN),
    ]
    return "\n".join([_HEADING, *(f"{title}\n{_statistics(values)}\n" for title, values in blocks)])


def _statistics(values: Mapping[str, Any]) -> str:
    return " | ".join(map(_statistic, values.values()))


def _statistic(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value[0]:.5f}/{value[1]}" if isinstance(value, tuple) else f"{value:.5f}"


_COLUMNS = ("Handler", "Event Name", "Total(s)", "Min(s)/IDX", "Max(s)/IDX", "Mean(s)", "Std(s)")


def handlers_table(results: Sequence[Sequence[Any]]) -> str:
    """Draw what `HandlersTimeProfiler.get_results` returns."""
    *handlers, total, processing, dataflow = results
    widths = [*(max(len(row[column]) for row in results) + 4 for column in (0, 1)), *[14] * 5]
    rule = _line("-" * width for width in widths)
    return "\n".join(
        [
            *("", rule, _row(_COLUMNS, widths), rule),
            *(_row(row, widths) for row in handlers),
            *(rule, _row(total, widths), rule),
            *(_summary(row) for row in (processing, dataflow)),
            "",
        ]
    )


def _line(cells: Iterable[str]) -> str:
    return "".join(f"{cell}  " for cell in cells)


def _row(values: Sequence[Any], widths: Sequence[int]) -> str:
    texts = ["/".join(map(str, value)) if isinstance(value, tuple) else str(value) for value in values]
    return _line(
        text.ljust(width) if column < 2 else text.rjust(width)
        for column, (text, width) in enumerate(zip(texts, widths, strict=True))
    )


def _summary(row: Sequence[Any]) -> str:
    name, _, total, least, greatest, mean, std = row
    extremes = (
        f"{name}/index: {_seconds(value)}/{index}"
        for name, (value, index) in zip(("min", "max"), (least, greatest), strict=True)
    )
    parts = ", ".join([*extremes, f"mean: {_seconds(mean)}", f"std: {_seconds(std)}"])
    return f"{name} took total {_seconds(total)} [{parts}]"


def _seconds(value: Any) -> str:
    """Return a number with its unit, and a word without."""
    return value if isinstance(value, str) else f"{value}s"


def write_csv(output_path: str | PathLike[str], header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table as comma-separated values."""
    try:
        with Path(output_path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)
    except OSError as error:
        error.add_note(f"output_path must be a file that can be written, got {str(output_path)!r}")
        raise
