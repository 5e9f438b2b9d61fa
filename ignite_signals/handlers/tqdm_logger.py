"""ProgressBar: how far a run is, on a line of the terminal or in a notebook."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from ignite_signals.distributed import get_rank
from ignite_signals.engine import Events
from ignite_signals.engine.events import split
from ignite_signals.handlers.checks import check_engine
from ignite_signals.handlers.progress.course import Course
from ignite_signals.handlers.progress.line import FORMAT, ProgressLine, hide_finished
from ignite_signals.handlers.progress.screen import check_drawing, text_tqdm, tqdm_class
from ignite_signals.handlers.progress.values import Values

if TYPE_CHECKING:
    from ignite_signals.engine import Engine
    from ignite_signals.engine.events import Event, FilteredEvent
    from ignite_signals.engine.signals import EventSignal, RemovableEventHandle

__all__ = ["ProgressBar"]

# The events that may be followed or close a line, in the order in which a run sends them.
_ORDER = (
    *(Events.STARTED, Events.EPOCH_STARTED, Events.GET_BATCH_STARTED, Events.GET_BATCH_COMPLETED),
    *(Events.ITERATION_STARTED, Events.ITERATION_COMPLETED, Events.EPOCH_COMPLETED, Events.COMPLETED),
)


class ProgressBar:
    """Show how far a run is, on a line of the terminal or in a notebook, with tqdm.

    A line is drawn at most every tenth of a second, and its last state where it stays. What it shows is read then only:
    no other iteration waits for the device. It is drawn where somebody can see it: by the first of several processes,
    in a terminal, in a notebook, or in a file of your own.

    Args:
        persist: leave the line when it is closed, rather than erase it.
        bar_format: what is on the line, in tqdm's words; None for tqdm's own format.
        tqdm_kwargs: passed on to tqdm: `desc`, what the line begins with; `file`; `mininterval`, the seconds from one
            drawing to the next; `total`, a length that the engine does not know; `disable`, False to show the line in
            every process and without a terminal, True never to show it.

    Raises:
        ModuleNotFoundError: tqdm is not installed; the extra `progress` brings it.
        TypeError: an argument is none of tqdm's, or one that the engine knows.
        TypeError, ValueError: tqdm cannot draw with its value.

    >>> import io
    >>> from ignite_signals.engine import Engine
    >>> trainer = Engine(lambda engine, batch: 1 / batch)
    >>> with io.StringIO() as file:
    ...     bar = ProgressBar(persist=True, bar_format="{desc}[{n_fmt}/{total_fmt}]{postfix}", file=file)
    ...     handle = bar.attach(trainer, output_transform=lambda loss: {"loss": loss})
    ...     state = trainer.run([1, 2, 4])
    ...     print(file.getvalue().split("\\r")[-1].strip())  # each drawing is written over the one before
    Iteration: [3/3], loss=0.25
    """

    def __init__(self, persist: bool = False, bar_format: str | None = FORMAT, **tqdm_kwargs: Any) -> None:
        _check_names(tqdm_kwargs)
        check_drawing({"bar_format": bar_format} | tqdm_kwargs)
        self.persist = persist
        self.bar_format = bar_format
        self.tqdm_kwargs = tqdm_kwargs
        # Weak, because it is the engines that keep them.
        self.lines: weakref.WeakSet[ProgressLine] = weakref.WeakSet()

    def attach(
        self,
        engine: Engine,
        metric_names: str | Sequence[str] | None = None,
        output_transform: Callable[[Any], Any] | None = None,
        event_name: Event | FilteredEvent = Events.ITERATION_COMPLETED,
        closing_event_name: Event = Events.EPOCH_COMPLETED,
        state_attributes: Sequence[str] | None = None,
    ) -> RemovableEventHandle:
        """Show the progress of an engine; each call makes a line of its own.

        Values may be numbers, strings, tensors of at most one dimension, and dicts, tuples and lists of these, whose
        keys and indices are added to the name: `loss_0`.

        Args:
            engine: whose progress.
            metric_names: the metrics to show, or "all". One that has no value yet is left out.
            output_transform: makes of `engine.state.output` what to show, a dict of names and values, or a value with
                the name `output`.
            event_name: what to count: iterations, behind a filter or not; epochs; or an event of your own.
            closing_event_name: when to close the line. `Events.COMPLETED` makes it one for the whole run.
            state_attributes: the attributes of `engine.state` to show.

        Returns:
            A handle that removes the line.

        Raises:
            TypeError: an argument is not what it must be.
            UnknownEventError: an event is not registered.
            ValueError: the event does not count towards a length, or the line would be closed before it.

        >>> from ignite_signals.engine import Engine
        >>> trainer = Engine(lambda engine, batch: batch)
        >>> epochs = ProgressBar(desc="Training")
        >>> handle = epochs.attach(trainer, event_name=Events.EPOCH_COMPLETED, closing_event_name=Events.COMPLETED)
        >>> epochs.attach(trainer, event_name=Events.STARTED)
        Traceback (most recent call last):
        ValueError: event_name must be an event that counts towards a length..., got Events.STARTED
        """
        check_engine(engine)
        followed = _followed(engine, event_name)
        closing = _closing(engine, followed, closing_event_name)
        values = Values(metric_names, output_transform, state_attributes)
        course = Course(followed.name, closing.name, self.tqdm_kwargs.get("total"), self.tqdm_kwargs.get("desc"))
        return ProgressLine(self, course, values).connect(engine, event_name)

    @property
    def pbar(self) -> Any:
        """The tqdm object of a line that is on the screen, or None."""
        return next((line.bar for line in self.lines if line.bar is not None), None)

    def log_message(self, message: str) -> None:
        """Write a message above the lines, which stay whole.

        It goes to the bar's `file`, by default to stdout, also where there is no terminal. Of several processes the
        first writes, or all with `disable=False`.

        >>> ProgressBar().log_message("the rate is halved")
        the rate is halved
        """
        if get_rank() == 0 or self.tqdm_kwargs.get("disable") is False:
            tqdm_class(self.tqdm_kwargs).write(str(message), file=self.tqdm_kwargs.get("file"))
            hide_finished()  # tqdm has drawn them, too

    def close(self) -> None:
        """Close what is on the screen."""
        for line in list(self.lines):
            line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        # An open file belongs to this process: a copy writes to stderr.
        kwargs = {name: value for name, value in self.tqdm_kwargs.items() if name != "file"}
        return {"persist": self.persist, "bar_format": self.bar_format, "tqdm_kwargs": kwargs}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.lines = weakref.WeakSet()

    def __repr__(self) -> str:
        given = {"persist": self.persist, "bar_format": self.bar_format} | self.tqdm_kwargs
        defaults = {"persist": False, "bar_format": FORMAT}
        changed = [f"{name}={value!r}" for name, value in given.items() if value != defaults.get(name, ...)]
        return f"{type(self).__name__}({', '.join(changed)})"


def _followed(engine: Engine, event: Any) -> EventSignal:
    """Return the signal of the event that a line follows."""
    events = split(event)
    if len(events) > 1:
        raise ValueError(f"event_name must be one event, got {event!r}: attach a bar for each")
    signal = engine.signal(events[0][0])
    if isinstance(signal.event, Events) and signal.counter is None:
        raise ValueError(
            "event_name must be an event that counts towards a length, such as ITERATION_COMPLETED,"
            f" EPOCH_COMPLETED or one of your own, got {event!r}"
        )
    return signal


def _closing(engine: Engine, followed: EventSignal, event: Any) -> EventSignal:
    """Return the signal of the event that closes a line."""
    events = split(event)
    if len(events) > 1 or events[0][1] is not None:
        raise ValueError(f"closing_event_name must be one event without a filter, got {event!r}")
    signal = engine.signal(events[0][0])
    if signal is followed or (isinstance(signal.event, Events) and not _comes_after(followed.event, signal.event)):
        raise ValueError(
            f"closing_event_name must be an event that comes after event_name, {followed.event!r}, got {event!r};"
            " Events.COMPLETED closes the bar at the end of the run"
        )
    return signal


def _comes_after(followed: Event, closing: Events) -> bool:
    if isinstance(followed, Events):
        return closing in _ORDER and _ORDER.index(followed) < _ORDER.index(closing)
    return closing in (Events.EPOCH_COMPLETED, Events.COMPLETED)


def _check_names(kwargs: Mapping[str, Any]) -> None:
    """Refuse what tqdm does not know or the engine does, before a run has begun."""
    known = inspect.signature(text_tqdm().__init__).parameters.keys() | {"display"}
    for name in kwargs:
        if name in ("iterable", "leave", "initial", "gui"):
            instead = "persist=True leaves the line" if name == "leave" else "the engine knows it"
            raise TypeError(f"tqdm_kwargs must not have {name!r}, got {kwargs[name]!r}: {instead}")
        if name not in known - {"self", "kwargs"}:
            raise TypeError(f"tqdm_kwargs must be arguments of tqdm.tqdm, got {name}={kwargs[name]!r}")
