"""Reading a log back: series of values by step, of which a training that was resumed has each once."""

from __future__ import annotations

import csv
import math
import os
import reprlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

__all__ = ["cells_of", "newest", "series_of"]

# A name, a step and a value.
Entry: TypeAlias = tuple[str, int, Any]


def series_of(path: str | os.PathLike[str], parse: Callable[[str], Iterable[Entry]]) -> dict[str, dict[int, Any]]:
    """Return the series of values by step that a log holds; see `newest`.

    Args:
        path: the file, which may be written to meanwhile: what follows its last whole line is left out.
        parse: returns the entries of a line.

    Raises:
        ValueError: a line is none of such a log.
    """
    return newest(_entries(path, parse))


def _entries(path: str | os.PathLike[str], parse: Callable[[str], Iterable[Entry]]) -> Iterator[Entry]:
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                found = list(parse(line.decode()))
            except (ValueError, TypeError, LookupError, csv.Error) as error:
                shown = f"{os.fspath(path)!r}, whose line {number} is {reprlib.repr(line)}"
                raise ValueError(f"path must be a log as this logger writes it, got {shown}") from error
            yield from found


def cells_of(line: str) -> list[str]:
    """Return the cells of a line of CSV, of any length; the standard library's reader has a limit, for all the process.

    >>> cells_of('20,"loss, of all",0.5,')
    ['20', 'loss, of all', '0.5', '']
    """
    limit = csv.field_size_limit()
    try:
        csv.field_size_limit(max(limit, len(line)))
        [cells] = csv.reader([line])
    finally:
        csv.field_size_limit(limit)
    return cells


def newest(entries: Iterable[Entry]) -> dict[str, dict[int, Any]]:
    """Return series of values by step, from what was written, in that order.

    The steps of a training never go back. Where they do, it was killed and goes on from a checkpoint, or is run anew:
    what was there from that step on is forgotten, under all names. Where some names count something else, epochs beside
    iterations for example, each name is looked at by itself.

    >>> newest([("loss", 10, 0.5), ("loss", 20, 0.4), ("loss", 25, 0.3), ("loss", 20, 0.4), ("loss", 30, 0.2)])
    {'loss': {10: 0.5, 20: 0.4, 30: 0.2}}
    """
    entries = list(entries)
    together = _count_the_same(entries)
    found: dict[str, dict[int, Any]] = {}
    before: float = -math.inf
    for name, step, value in entries:
        series = found.setdefault(name, {})
        for each in found.values() if together and step < before else (series,):
            _forget(each, step)
        series[step], before = value, step
    return {name: series for name, series in found.items() if series}


def _count_the_same(entries: Iterable[Entry]) -> bool:
    """Tell whether all names have the same steps: then these never go back but for a name that had been there."""
    last: dict[str, int] = {}
    before: float = -math.inf
    for name, step, _ in entries:
        if step < before and last.get(name, -math.inf) < step:
            return False
        last[name] = before = step
    return True


def _forget(series: dict[int, Any], step: int) -> None:
    """Drop what lies at a step or after it."""
    while series and next(reversed(series)) >= step:
        series.popitem()
