"""CSVLogger: values of a training in a file of comma-separated values, which any program reads."""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Mapping
from typing import Any

from ignite_signals.engine.integers import integer
from ignite_signals.handlers.base_logger import BaseLogger
from ignite_signals.handlers.line_file import LineFile
from ignite_signals.handlers.logged_series import cells_of, series_of
from ignite_signals.handlers.logged_values import Plain, plain

__all__ = ["CSVLogger"]

_HEADER = "step,name,value,time\n"


class CSVLogger(BaseLogger):
    """Append values to a CSV file, a line for each: `step,name,value,time`.

    Long, because a name that comes up in mid-training would change the columns of a wide table. A process that is
    killed loses lines of the step that it writes at most; a power cut, maybe seconds. A resumed training appends.

    Args:
        path: the file; its folder is made where it is missing.

    Raises:
        TypeError: it is no path.
        ValueError, OSError: it is a file with other columns, or cannot be written to; before the training begins.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, CSVLogger(f"{folder}/log.csv") as logger:
    ...     logger.log({"training": {"loss": 0.5, "epoch": 1}}, step=10)
    ...     CSVLogger.read(f"{folder}/log.csv")
    {'training/loss': {10: 0.5}, 'training/epoch': {10: 1}}
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self._file = LineFile(path, _HEADER, self.is_active)
        self.path = self._file.path

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Write a line for each value; a bool is 1 or 0, and a line break in a string a space."""
        if self.is_active:
            now, step = f"{time.time():.3f}", integer("step", step, least=None)
            self._file.append(_row(step, name, value, now) for name, value in plain(values).items())

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    @staticmethod
    def read(path: str | os.PathLike[str]) -> dict[str, dict[int, Plain]]:
        """Return each name's values by step; what looks like a number is one. See `newest` for steps that go back."""
        return series_of(path, _parsed)


def _row(*cells: Plain) -> str:
    one_line = (" ".join(cell.splitlines()) if isinstance(cell, str) else +cell for cell in cells)  # and +True is 1
    csv.writer(row := io.StringIO(), lineterminator="").writerow(one_line)
    return row.getvalue()


def _parsed(line: str) -> list[tuple[str, int, Plain]]:
    step, name, value, _ = cells_of(line)
    return [] if line == _HEADER else [(name, int(step), _number(value))]


def _number(text: str) -> Plain:
    try:
        return int(text) if text.lstrip("-").isdecimal() else float(text)
    except ValueError:
        return text
