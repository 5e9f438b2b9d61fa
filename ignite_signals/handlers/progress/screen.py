"""Where a progress bar is drawn, and whether anybody sees it."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from threading import RLock
from typing import Any
from weakref import WeakSet

from ignite_signals.distributed import get_rank
from ignite_signals.extras import extra

__all__ = ["check_drawing", "fitting", "is_wanted", "text_tqdm", "tqdm_class"]


def text_tqdm() -> Any:
    """Return the class of tqdm's bars that are made of characters."""
    return extra("tqdm", "progress", "ProgressBar").tqdm


def tqdm_class(kwargs: Mapping[str, Any]) -> Any:
    """Return the class of tqdm's bars: a notebook's has widgets, and cannot write to a file."""
    if _has_own_file(kwargs):
        return text_tqdm()
    return extra("tqdm.auto", "progress", "ProgressBar").tqdm


def _has_own_file(kwargs: Mapping[str, Any]) -> bool:
    """Tell whether the user has opened a file for the bar."""
    streams = (None, sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return not any(kwargs.get("file") is stream for stream in streams)


def is_wanted(kwargs: Mapping[str, Any]) -> bool:
    """Tell whether somebody is to see a bar of this process."""
    if kwargs.get("disable") is not None:
        return not kwargs["disable"]
    return get_rank() == 0 and (_has_own_file(kwargs) or _in_notebook() or _is_terminal(kwargs.get("file")))


def _is_terminal(file: Any) -> bool:
    file = sys.stderr if file is None else file
    try:
        return bool(file.isatty())
    except (AttributeError, ValueError):  # it has no such method, or is closed
        return False


def _in_notebook() -> bool:
    """Tell whether the process is a notebook's, whose output is no terminal but shows bars."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and bool("IPKernelApp" in shell.config)


def check_drawing(kwargs: Mapping[str, Any]) -> None:
    """Refuse values with which tqdm cannot draw, before a run has begun."""
    file = kwargs.get("file")
    if file is not None and not callable(getattr(file, "write", None)):
        raise TypeError(f"file must be a text file that is open for writing, got {file!r}")
    untried = ("file", "write_bytes", "disable", "display")  # where to draw, and whether
    drawn = {name: value for name, value in kwargs.items() if name not in untried}
    if _fault(drawn) is None:
        return
    for name, value in drawn.items():
        if (fault := _fault({name: value})) is not None:
            kind = TypeError if isinstance(fault, TypeError) else ValueError
            raise kind(f"{name} must be a value that tqdm can draw with, got {value!r}: {fault!r}") from fault
    raise ValueError(f"these arguments must be such that tqdm can draw with them together, got {drawn!r}")


def _fault(kwargs: Mapping[str, Any]) -> Exception | None:
    """Draw a bar that nobody sees and that no other bar or thread knows of, and return what went wrong."""

    class Trial(text_tqdm()):  # type: ignore[misc]  # it has no types
        _instances, _lock, monitor_interval = WeakSet[Any](), RLock(), 0

        def __del__(self) -> None:
            """Leave it: half of one cannot be closed."""

    given = {"total": 2, "mininterval": 0, "miniters": 1} | dict(kwargs)
    try:
        bar = Trial(file=io.StringIO(), disable=False, **given)
        bar.update(1)
        bar.close()
    except Exception as error:  # noqa: BLE001  # whatever tqdm says to such values
        return error
    return None


def fitting(text: str, bar: Any, n: int) -> str:
    """Return the values cut so that the line fits into the terminal with a bar of five columns and the times."""
    known = bar.format_dict
    if not isinstance(known["ncols"], int) or not known["ncols"]:
        return text
    length = extra("tqdm.utils", "progress", "ProgressBar").disp_len
    excess = length(bar.format_meter(**known | {"n": n, "postfix": text, "ncols": None})) - known["ncols"]
    if "{bar" in (known["bar_format"] or "{bar}"):
        excess -= 5  # it has ten where the width is not known
    mark = "..." if known["ascii"] is True else "\N{HORIZONTAL ELLIPSIS}"
    return text if excess <= 0 else text[: max(0, len(text) - excess - len(mark))] + mark
