"""Event files: what TensorBoard reads, and what earlier processes have left in a folder of them."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple

import attrs

from ignite_signals.extras import extra

__all__ = ["Past", "Point", "events", "past"]

# A record is its length, a checksum of that, the data, and a checksum of them.
_HEADER, _CHECKSUM = struct.Struct("<QI"), 4


class Point(NamedTuple):
    """A value that was written: in which file, in which of its events, at which step, its name, and a scalar itself."""

    path: Path
    number: int
    step: int
    tag: str
    value: float


@attrs.define
class Past:
    """What TensorBoard shows of a folder when a training goes on from a step, in the order of writing.

    Attributes:
        kept: what belongs to the training up to the step.
        dead: what was written of iterations that come again.
    """

    kept: list[Point] = attrs.field(factory=list)
    dead: list[Point] = attrs.field(factory=list)

    def add(self, points: list[Point], kept: int) -> None:
        """Add what a process wrote, of which so many points belong to the training."""
        self.kept += points[:kept]
        self.dead += points[kept:]

    def purge(self, step: int) -> None:
        """Forget what is not shown, because a restart was marked at a step."""
        self.kept = [point for point in self.kept if point.step < step]
        self.dead = [point for point in self.dead if point.step < step]

    @property
    def last(self) -> dict[str, tuple[int, float]]:
        """Each name's last step and value."""
        return {point.tag: (point.step, point.value) for point in self.kept}

    @property
    def mark(self) -> int | None:
        """The step at which the mark of a restart hides all that is dead; None where nothing is.

        Where it hides what is kept, too, it hides everything: written again, all of it is in the order that it had.
        """
        first = min((point.step for point in self.dead), default=None)
        if first is None or all(point.step < first for point in self.kept):
            return first
        return min(point.step for point in [*self.kept, *self.dead])

    def hidden(self) -> Iterator[Any]:
        """Yield the events that are kept, but hidden by the mark: they are to be written again."""
        mark = self.mark
        wanted = {(each.path, each.number) for each in self.kept if mark is not None and each.step >= mark}
        for path in sorted({path for path, _ in wanted}):
            yield from (event for number, event in enumerate(events(path)) if (path, number) in wanted)


def past(folder: str | Path, step: int, curves: Iterable[str], own: str | Path | None = None) -> Past:
    """Look what a folder has, for a training that goes on from an iteration.

    Which values are of later iterations is not told by their steps alone: a program may count samples, or epochs. It is
    told by the order of writing, for each process by itself, see `_count_kept`.

    Args:
        folder: of event files; what is in folders inside of it belongs to other runs.
        step: the iteration; at 0 the training begins anew, and nothing of an earlier one is kept.
        curves: beginnings of the names that are known to lie at the training's iterations.
        own: the file that this process writes, if it has not trained yet: all in it is kept.

    >>> past("no such folder", 80, ["training/"])
    Past(kept=[], dead=[])
    """
    known, found = tuple(curves), Past()
    for path in sorted(Path(folder).glob("*tfevents*")):
        for restart, points in _stretches(path):
            if restart is not None:
                found.purge(restart)
            found.add(points, len(points) if path == own else _count_kept(points, step, known))
    return found


def _count_kept(points: list[Point], step: int, curves: tuple[str, ...]) -> int:
    """Return how many of a process's points, which are in the order of writing, belong to a training up to a step.

    The training was at the step, or before it, when the last value at a step so low was written to a curve that lies at
    iterations. Up to there all belong to it. Afterwards the first higher step begins what is dead. A process without
    such a curve, which tests a model for example, has written nothing of the training.
    """
    known = {point.tag for point in points if point.tag.startswith(curves)}
    beyond = {point.tag for point in points if point.step > step}
    if step == 0:
        return 0 if known & beyond else len(points)
    if not known:
        return len(points)
    clock = known & beyond or known  # a name whose steps stay low may count epochs, though its beginning is known
    here = max((place for place, each in enumerate(points, 1) if each.tag in clock and each.step <= step), default=0)
    ahead = {point.tag for point in points[:here] if point.step > step}  # of samples, for example
    later = (place for place in range(here, len(points)) if points[place].step > step)
    return next((place for place in later if points[place].tag not in ahead), len(points))


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


def _stretches(path: Path) -> Iterator[tuple[int | None, list[Point]]]:
    """Yield the points of a file up to the first mark of a restart, and those after each, with its step."""
    restart: int | None = None
    points: list[Point] = []
    for number, event in enumerate(events(path)):
        if _is_restart(event):
            yield restart, points
            restart, points = event.step, []
        points += [Point(path, number, event.step, intern(each.tag), each.simple_value) for each in event.summary.value]
    yield restart, points


def _is_restart(event: Any) -> bool:
    return bool(event.HasField("session_log") and event.session_log.status == event.session_log.START)
