"""A line follows one engine: when it is opened, drawn, closed, and shown again above another."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from ignite_signals.engine import Events
from ignite_signals.engine.signals import RemovableEventHandle
from ignite_signals.handlers.progress.course import Course
from ignite_signals.handlers.progress.screen import fitting, is_wanted, tqdm_class
from ignite_signals.handlers.progress.values import Values

if TYPE_CHECKING:
    from ignite_signals.engine import Engine
    from ignite_signals.engine.events import Event, FilteredEvent
    from ignite_signals.handlers.tqdm_logger import ProgressBar

__all__ = ["FORMAT", "ProgressLine", "hide_finished"]

FORMAT = "{desc}[{n_fmt}/{total_fmt}] {percentage:3.0f}%|{bar}{postfix} [{elapsed}<{remaining}]"
# In its place where the length is unknown: there is no share and no end to wait for, but a rate.
_FORMAT_WITHOUT_LENGTH = "{desc}[{n_fmt}/{total_fmt}]{postfix} [{elapsed}, {rate_fmt}]"
_INTERVAL = 0.1  # seconds from one drawing to the next, as in tqdm
# Too short to be seen beside the time of day, but enough to keep tqdm from drawing a bar when it is made.
_NO_DELAY = 1e-9
# Loggers come after the handlers of the user's own. But a line is closed before these, so that what they print does
# not stand in it: at its closing event once the metrics are computed, which is at 100, at the end of a run at once.
_DRAWING, _CLOSING, _ENDING = -100, 50, 1000


class _Look(NamedTuple):
    """What a drawing shows."""

    n: int
    total: float | None
    desc: str
    postfix: str | None  # None: what is there already
    age: float  # seconds since the line began


class ProgressLine:
    """Follow one engine on one line.

    The line is open from its beginning until its last state is drawn or given up. tqdm's object is there as long as
    something of it is on the screen: a run that is over before anybody could see it makes none.
    """

    __slots__ = (
        *("__weakref__", "_began", "_course", "_due", "_final", "_from", "_interval", "_is_open"),
        *("_is_first", "_left_at", "_owner", "_started", "_values", "_was_short", "bar"),
    )

    def __init__(self, owner: ProgressBar, course: Course, values: Values) -> None:
        self.__setstate__((owner, course, values))

    def __getstate__(self) -> tuple[ProgressBar, Course, Values]:
        return self._owner, self._course, self._values

    def __setstate__(self, settings: tuple[ProgressBar, Course, Values]) -> None:
        self._owner, self._course, self._values = settings
        self._owner.lines.add(self)
        self.bar: Any = None
        # When to draw next, inf for never.
        self._interval, self._due = _INTERVAL, -math.inf
        # When the run started, and whether the last one was over sooner than a line is drawn twice.
        self._started, self._was_short, self._is_first = 0.0, False, False
        # Where the line was as it began, and when that was; and where it was as it was closed.
        self._from, self._began, self._left_at = 0, 0.0, 0
        self._is_open = False
        # The last state of an epoch, where it may be shown again.
        self._final: _Look | None = None

    # What listens

    def connect(self, engine: Engine, event: Event | FilteredEvent) -> RemovableEventHandle:
        """Listen to the event that is followed, and to those that open and close the line."""
        course, closing = self._course, engine.signals[self._course.closing].event
        of_epoch, known = course.begins_with_epoch(engine), engine.signals[course.event].payload == ()
        ends = [Events.TERMINATE, Events.INTERRUPT, *([] if course.is_of_run else [Events.COMPLETED])]
        wanted: list[tuple[Any, Callable[..., None], int]] = [
            (Events.STARTED, self.start if of_epoch else self.start_and_open, _DRAWING),
            *((started, self.open, _DRAWING) for started in [Events.EPOCH_STARTED] * of_epoch),
            (event, self.advance if known else self.advance_by, _DRAWING),
            (closing, self.finish, _CLOSING),
            *((end, self.end, _ENDING) for end in ends),
            (Events.EXCEPTION_RAISED, self.fail, _ENDING),
        ]
        return RemovableEventHandle.joined([_connected(engine, *each) for each in wanted])

    def advance(self, engine: Engine) -> None:
        """Draw the line if it is time to: nothing else is done at an iteration."""
        if monotonic() >= self._due:
            self._draw(engine)

    def advance_by(self, engine: Engine, **_: Any) -> None:
        """Do the same at an event of the user's own, whatever it sends."""
        self.advance(engine)

    def start(self, engine: Engine) -> None:
        """Take note of a new run, which may be seen where the last one was not.

        Where the last one was over at once, as some evaluations are, this one is given time to be over, too.
        """
        self.close()
        self._started, self._is_first = monotonic(), True
        if self._due == math.inf:
            self._due = -math.inf
        elif self._was_short:
            self._due = self._started + 2 * self._interval

    def start_and_open(self, engine: Engine) -> None:
        """Do so, and open the line."""
        self.start(engine)
        self.open(engine)

    def open(self, engine: Engine) -> None:
        """Begin the line, at 0 or where the run goes on, so that it is there while the first batch is on its way.

        The first line of a run may be drawn one interval before its time; those of further epochs only when it is
        time, or short epochs would never be drawn where they have values.
        """
        self.close()
        self._course.begin(engine)
        self._begin(engine)
        early, self._is_first = self._interval if self._is_first else 0.0, False
        if self._began >= self._due - early:
            self._draw(engine, reads=False)

    def finish(self, engine: Engine, **_: Any) -> None:
        """Close the line, with its last state if it stays: to draw what is erased at once would help nobody."""
        if self._has_news(engine) and (self.bar is not None or self._is_to_stay()):
            final = self._look(engine)
            self._leave(engine, final)
            if self._course.closes_with_epoch and not self._owner.persist:
                self._final = final
                _LINES[self] = True
            self._values.warn_of_missing(engine)
        if not (self._course.closes_with_epoch or self._course.is_of_run):
            self._course.begin_phase(engine)
            self._leave(engine)

    def end(self, engine: Engine) -> None:
        """Close the line of a run that ends or pauses; if it stays, it shows how far the run came."""
        self._end(engine, reads=True)

    def fail(self, engine: Engine, exception: BaseException) -> None:
        """Do the same without reading values, which could raise once more."""
        self._end(engine, reads=False)

    def _end(self, engine: Engine, reads: bool) -> None:
        self._leave(engine, self._look(engine, reads) if self._has_news(engine) and self._is_to_stay() else None)
        self.close()

    def _has_news(self, engine: Engine) -> bool:
        """Tell whether the last state is still to be drawn; a run that goes on after a pause does not open the line."""
        return self._is_open or self._course.n(engine) != self._left_at

    def _leave(self, engine: Engine, final: _Look | None = None) -> None:
        """Close the line until it begins anew; what stays of it is drawn once."""
        if final is not None and self._owner.persist and (bar := self._prepared(final)) is not None:
            bar.n, bar.last_print_t = final.n, bar.start_t + final.age
        self._is_open, self._left_at = False, self._course.n(engine)
        self._was_short = monotonic() - self._started < self._interval
        self._close_bar()

    def close(self) -> None:
        """Close the line for good."""
        self._is_open = False
        self._close_bar()
        self._final = None
        _LINES.pop(self, None)

    # Drawing

    def _begin(self, engine: Engine) -> None:
        self._is_open, self._from, self._began = True, self._course.n(engine), monotonic()

    def _is_to_stay(self) -> bool:
        return self._owner.persist and self._due < math.inf and is_wanted(self._owner.tqdm_kwargs)

    def _draw(self, engine: Engine, reads: bool = True) -> None:
        """Draw the line as it is, or find out that nobody would see it."""
        if self.bar is not None or is_wanted(self._owner.tqdm_kwargs):
            self._show(self._look(engine, reads))
        else:
            self._due = math.inf

    def _look(self, engine: Engine, reads: bool = True) -> _Look:
        if not self._is_open:
            self._begin(engine)
        course, postfix = self._course, self._values.text(engine) if reads else None
        return _Look(course.n(engine), course.total(engine), course.desc(engine), postfix, monotonic() - self._began)

    def _show(self, look: _Look) -> None:
        if self.bar is None:
            _show_finished(self)
        bar = self._prepared(look)
        if bar is not None:
            bar.update(look.n - bar.n)
            # What was drawn before its time is made up for.
            self._due = max(self._due, monotonic()) + self._interval

    def _prepared(self, look: _Look) -> Any:
        """Return tqdm's object with all to show but the progress; None where nobody would see it."""
        if self.bar is not None and self.bar.total != look.total:  # a length has been found, or moved
            self._drop_bar()
        if self.bar is None:
            self.bar = self._new_bar(look)
        bar = self.bar
        if bar is not None:
            bar.desc = look.desc
            if look.postfix:
                bar.postfix = fitting(look.postfix, bar, look.n)
        return bar

    def _new_bar(self, look: _Look) -> Any:
        owner, given = self._owner, self._owner.tqdm_kwargs
        own_format = FORMAT if look.total else _FORMAT_WITHOUT_LENGTH
        kwargs = given | {
            "total": look.total,
            "initial": self._from,
            "leave": owner.persist,
            "bar_format": own_format if owner.bar_format == FORMAT else owner.bar_format,
            "delay": given.get("delay") or _NO_DELAY,
        }
        bar = tqdm_class(given)(**kwargs)
        if bar.disable:  # as TQDM_DISABLE in the environment says
            self._due = math.inf
            return None
        if not (given.get("delay") or bar.gui):  # a notebook's shows itself after the delay
            bar.delay = 0
        # When to draw is not tqdm's to say; and the rate is that of the line.
        self._interval, bar.mininterval, bar.miniters, bar.dynamic_miniters = bar.mininterval, 0, 0, False
        bar.start_t -= look.age
        bar.last_print_t -= look.age
        _LINES.setdefault(self, False)
        return bar

    def _close_bar(self) -> None:
        bar = self.bar
        if bar is not None and bar.leave:
            self.bar = None
            with bar.external_write_mode(file=bar.fp):  # other lines make room, and come back below this one
                bar.close()
        elif bar is not None:
            self._drop_bar()
        if bar is not None:
            hide_finished()

    def _drop_bar(self) -> None:
        bar, self.bar = self.bar, None
        bar.leave = False
        bar.total = bar.n  # a notebook would take it for a failure, and keep it
        bar.close()


# The lines that have been drawn, and whether each is that of an epoch that is over. Such a line is erased, because
# others may print; while an evaluation inside has a line, it is shown again above that.
_LINES: weakref.WeakKeyDictionary[ProgressLine, bool] = weakref.WeakKeyDictionary()


def _show_finished(inner: ProgressLine) -> None:
    """Draw the lines of epochs that are over, above the one that begins inside of them."""
    for line, is_finished in list(_LINES.items()):
        if is_finished and line is not inner and line.bar is None and line._final is not None:
            line._show(line._final)


def hide_finished() -> None:
    """Erase the lines of epochs that are over, unless one stands below them that is not."""
    lines = list(_LINES.items())
    if not any(line.bar is not None and not is_finished for line, is_finished in lines):
        for line, is_finished in lines:
            if is_finished and line.bar is not None:
                line._drop_bar()


def _connected(engine: Engine, event: Any, receiver: Callable[..., None], priority: int) -> RemovableEventHandle:
    view = engine.signal(event)
    view.connect(receiver, weak=False, priority=priority)
    connection = view.signal.find(receiver, view.filter)
    assert connection is not None
    return RemovableEventHandle([(view.signal, connection)])
