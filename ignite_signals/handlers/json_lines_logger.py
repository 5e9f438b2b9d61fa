"""JSONLinesLogger: values of a training in a file with a JSON object on each line."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from typing import Any

from ignite_signals.engine.integers import integer
from ignite_signals.handlers.base_logger import BaseLogger
from ignite_signals.handlers.line_file import LineFile
from ignite_signals.handlers.logged_series import series_of
from ignite_signals.handlers.logged_values import Plain, plain

__all__ = ["JSONLinesLogger"]

# JSON has no such numbers, and strict readers refuse them. As strings they tell which of them it was.
_STRINGS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_NUMBERS = {string: float(number) for number, string in _STRINGS.items()}


class JSONLinesLogger(BaseLogger):
    """Append values to a file, a JSON object for each moment: `{"step": 5, "time": 1700000000.0, "values": {...}}`.

    All that is logged at one moment stands on one line, and so is there as a whole or not at all. NaN and infinities
    are the strings "NaN", "Infinity" and "-Infinity", so that each line is valid JSON. A process that is killed loses
    at most the line that it writes; power that fails may take the last seconds. A training that goes on appends.

    Args:
        path: the file; its folder is made where it is missing.

    Raises:
        TypeError: it is no path.
        ValueError, OSError: it is another kind of file, or cannot be written to; before the training begins.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, JSONLinesLogger(f"{folder}/log.jsonl") as logger:
    ...     logger.log({"training": {"loss": 0.5, "epoch": 1}}, step=10)
    ...     logger.log({"training": {"loss": float("nan")}}, step=20)
    ...     JSONLinesLogger.read(f"{folder}/log.jsonl")
    {'training/loss': {10: 0.5, 20: nan}, 'training/epoch': {10: 1}}
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self._file = LineFile(path, '{"step": ', self.is_active)
        self.path = self._file.path

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Write a line with all the values."""
        if self.is_active and (found := plain(values)):
            strict = {name: _strict(value) for name, value in found.items()}
            entry = {"step": integer("step", step, least=None), "time": round(time.time(), 3), "values": strict}
            self._file.append([json.dumps(entry, allow_nan=False)])

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    @staticmethod
    def read(path: str | os.PathLike[str]) -> dict[str, dict[int, Plain]]:
        """Return each name's values by step. See `newest` for steps that go back."""
        return series_of(path, _parsed)


def _strict(value: Plain) -> Plain:
    return _STRINGS[str(float(value))] if isinstance(value, float) and not math.isfinite(value) else value


def _parsed(line: str) -> list[tuple[str, int, Plain]]:
    entry = json.loads(line)
    return [(name, entry["step"], _NUMBERS.get(value, value)) for name, value in entry["values"].items()]
