"""An engine tells who listens to what, in the order of calling."""

from __future__ import annotations

import functools
import gc

import pytest

from ignite_signals.engine import After, Engine, EventEnum, Events, Every


class Mine(EventEnum):
    """An event of a user's own."""

    SAVED = "saved"


def echo(engine, batch):
    return batch


def report(engine):
    """A receiver with a name and a line."""


def scaled(engine, factor):
    """A handler with an argument of its own."""


class Logger:
    """An object with handlers."""

    priority = -100

    def log(self, engine):
        """A method that listens."""

    def __call__(self, engine):
        """The object itself may listen, too."""


def line_of(function):
    return f"test_describe.py:{function.__code__.co_firstlineno}"


def table(engine):
    """Return what `describe` shows: for each event the words of its rows."""
    events, rows = {}, None
    for line in engine.describe().splitlines()[1:]:
        if line.startswith(" "):
            rows.append(line.split())
        else:
            events[line.partition(",")[0]] = rows = []
    return events


def test_describe_shows_every_receiver_in_the_order_of_calling():
    """Priority, name, filter, owner and source line, event by event."""
    engine, logger = Engine(echo), Logger()
    engine.add_event_handler(Events.ITERATION_COMPLETED(every=50), logger.log)
    engine.add_event_handler(Events.ITERATION_COMPLETED, scaled, 2)
    engine.signal(Events.ITERATION_COMPLETED(once=3)).connect(report, priority=7)
    engine.signal(Events.COMPLETED).connect(logger, weak=False)
    assert {
        "iteration_completed": [
            ["7", "report", "Once(3)", "weak", line_of(report)],
            ["0", "scaled(2)", "strong", line_of(scaled)],
            ["-100", "Logger.log", "Every(50)", "strong", line_of(Logger.log)],
        ],
        "completed": [["0", "Logger", "strong", line_of(Logger.__call__)]],
    } == table(engine)


def test_describe_says_what_an_event_counts_by():
    """Epoch, iteration, an attribute of the user's, or its own occurrences."""
    engine = Engine(echo)
    engine.register_events(Mine.SAVED, "loaded", event_to_attr={Mine.SAVED: "saves"})
    for event in (Events.STARTED, Events.EPOCH_COMPLETED, Events.ITERATION_STARTED, Mine.SAVED, "loaded"):
        engine.add_event_handler(event, report)
    headings = [line for line in engine.describe().splitlines()[1:] if not line.startswith(" ")]
    assert [
        "started, counted by its own occurrences",
        "iteration_started, counted by iteration",
        "epoch_completed, counted by epoch",
        "saved, counted by saves",
        "loaded, counted by its own occurrences",
    ] == headings


def test_events_that_nobody_hears_are_left_out():
    """An engine without receivers has one line."""
    assert f"{Engine(echo)!r}, not run yet" == Engine(echo).describe() == str(Engine(echo))


@pytest.mark.parametrize(
    ("handler", "name"),
    [
        (report, "report"),
        (functools.partial(scaled, factor=3), "partial(scaled)"),
        (Logger().log, "Logger.log"),
        (Logger(), "Logger"),
        (print, "print"),
        (lambda: None, "<lambda>"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_kind_of_callable_has_a_name(handler, name):
    """The user's callable is shown, not what the engine has put around it."""
    engine = Engine(echo)
    engine.add_event_handler(Events.STARTED, handler)
    [row] = table(engine)["started"]
    assert row[1].endswith(name)


def test_filters_are_shown_as_they_are_written():
    """A combined filter reads as the expression that makes it."""
    engine = Engine(echo)
    condition = Every(5) & After(100)
    engine.add_event_handler(Events.EPOCH_COMPLETED(condition), report)
    assert repr(condition) in engine.describe()
    assert repr(condition) in str(engine)


def test_a_receiver_that_is_gone_is_not_shown():
    """With its owner the connection goes, and the event is heard by nobody."""
    engine, logger = Engine(echo), Logger()
    engine.signal(Events.STARTED).connect(logger.log)
    assert "Logger.log" in engine.describe()
    del logger
    gc.collect()
    assert {} == table(engine)


def test_print_is_shorter():
    """One line for each event that is heard."""
    engine, logger = Engine(echo), Logger()
    engine.add_event_handler(Events.ITERATION_COMPLETED(every=50), logger.log)
    engine.add_event_handler(Events.ITERATION_COMPLETED, report)
    engine.add_event_handler(Events.COMPLETED, report)
    assert [
        "Engine(echo), not run yet",
        "  iteration_completed: report, Logger.log at Every(50)",
        "  completed: report",
    ] == str(engine).splitlines()
    assert len(str(engine)) < len(engine.describe())


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_epochs": 3}, "Engine(echo), epoch 3 of 3, iteration 6, completed"),
        ({"max_iters": 5}, "Engine(echo), epoch 3, iteration 5 of 5, completed"),
    ],
    ids=str,
)
def test_the_first_line_says_how_far_the_engine_is(limits, said):
    """Epoch, iteration, limit, and why the last run ended."""
    engine = Engine(echo)
    engine.run([0, 1], **limits)
    assert said == engine.describe() == str(engine)


def test_the_first_line_tells_of_a_run_that_goes_on():
    """Described by its own handler, the engine has no reason to have stopped."""
    engine, seen = Engine(echo), []
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), lambda engine: seen.append(str(engine)))
    engine.run([0, 1], max_epochs=2)
    assert "Engine(echo), epoch 1 of 2, iteration 2" == seen[0].splitlines()[0]


def test_the_repr_names_class_and_step():
    """Short enough for a line of a log."""

    class Trainer(Engine):
        pass

    class Step:
        def __call__(self, engine, batch):
            return batch

    assert ("Engine(echo)", "Trainer(Step)") == (repr(Engine(echo)), repr(Trainer(Step())))


def test_a_crowd_is_counted_in_the_summary():
    """A signal's line stays readable; the description has them all."""
    engine = Engine(echo)
    for _ in range(100):
        engine.add_event_handler(Events.STARTED, report)
    assert "  started: report, report, report, report, report, and 95 more" == str(engine).splitlines()[1]
    assert 102 == len(engine.describe().splitlines())
