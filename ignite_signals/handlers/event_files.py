"""Event files: what TensorBoard reads, and what earlier processes have left in a folder of them."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs

from ignite_signals.extras import extra

__all__ = ["Written", "events", "written"]

# A record is its length, a checksum of that, the data, and a checksum of them.
_HEADER, _CHECKSUM = struct.Struct("<QI"), 4


@attrs.frozen
class Written:
    """What a folder of event files has, for a training that goes on from an iteration.

    Attributes:
        last: the step of each name's last value, of those before `end`.
        end: the step from which on all values are of later iterations than that one.
        is_beyond: whether there is any such value.
    """

    last: dict[str, int]
    end: int
    is_beyond: bool


def written(folder: str | Path, step: int, uncounted: Iterable[str] = ()) -> Written:
    """Look what a folder has, for a training that goes on from an iteration.

    Which values are of later iterations is not told by their steps alone: a program may count samples, or epochs. A
    value that was written before another whose step is at most that iteration is taken for an earlier one.

    Args:
        folder: of event files; what is in folders inside of it belongs to other runs.
        step: the iteration.
        uncounted: beginnings of names whose steps lag behind the iterations, such as epochs.

    >>> written("no such folder", 80)
    Written(last={}, end=81, is_beyond=False)
    """
    lagging = tuple(uncounted)
    steps: dict[str, list[int]] = {}
    highest = end = step
    for event in _in_order(folder):
        if _is_restart(event):
            highest = min(highest, max(step, event.step - 1))
            steps = {name: [each for each in there if each < event.step] for name, there in steps.items()}
            continue
        for value in event.summary.value:
            steps.setdefault(value.tag, []).append(event.step)
            highest = max(highest, event.step)
            if event.step <= step and not value.tag.startswith(lagging):
                end = highest
    last = {name: next((each for each in reversed(there) if each <= end), None) for name, there in steps.items()}
    return Written({name: each for name, each in last.items() if each is not None}, end + 1, highest > end)


def events(path: str | Path) -> Iterator[Any]:
    """Yield the events of a file, up to where it is damaged or was not written to its end.

    Unlike TensorBoard's own reader it looks at no checksums, which in Python alone would take most of the time.
    """
    damaged = extra("google.protobuf.message", "tensorboard", "events").DecodeError
    event = extra("tensorboard.compat.proto.event_pb2", "tensorboard", "events").Event
    with Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        while len(header := file.read(_HEADER.size)) == _HEADER.size:
            length, _ = _HEADER.unpack(header)
            if file.tell() + length + _CHECKSUM > size:
                return
            try:
                yield event.FromString(file.read(length))
            except damaged:
                return
            file.seek(_CHECKSUM, os.SEEK_CUR)


def _in_order(folder: str | Path) -> Iterator[Any]:
    """Yield the events of a folder in the order in which TensorBoard reads them."""
    for path in sorted(Path(folder).glob("*tfevents*")):
        yield from events(path)


def _is_restart(event: Any) -> bool:
    return bool(event.HasField("session_log") and event.session_log.status == event.session_log.START)
