"""A progress bar shows where a run is, seldom enough to cost nothing, and leaves the screen as it should."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import re
import subprocess
import sys
import types
import warnings
import weakref
from itertools import pairwise
from time import monotonic
from typing import ClassVar

import pytest
import torch
import tqdm
import tqdm.auto

from ignite_signals.engine import BackpropEvents, Engine, EventEnum, Events
from ignite_signals.exceptions import UnknownEventError
from ignite_signals.handlers.progress import line, screen
from ignite_signals.handlers.tqdm_logger import ProgressBar

# What the tests are about: the words of tqdm's are tqdm's own.
SHORT = "{desc}[{n_fmt}/{total_fmt}]{postfix}"


class Own(EventEnum):
    TICKED = "ticked"
    PHASE_ENDED = "phase_ended"
    TOKENS_SEEN = "tokens_seen"


class Terminal(io.StringIO):
    """A stand-in for stderr that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """A stand-in for both clocks, this package's and tqdm's."""

    def __init__(self) -> None:
        self.now = 1.7e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(line, "monotonic", clock)
    monkeypatch.setattr("tqdm.std.time", clock)
    return clock


@pytest.fixture(autouse=True)
def _no_line_is_left():
    """After each test, no bar is open that the next one would find."""
    yield
    if open_bars():
        gc.collect()
    assert [] == open_bars()


def open_bars() -> list[tqdm.tqdm]:
    return [bar for bar in getattr(tqdm.tqdm, "_instances", []) if not bar.disable]


def drawn(file: io.StringIO) -> list[str]:
    """Return what was drawn, one after the other, without movements of the cursor."""
    parts = re.split(r"[\r\n]|\x1b\[A", file.getvalue())
    return [part.strip() for part in parts if part.strip()]


def lasting(file: io.StringIO) -> list[str]:
    """Return the lines that are left on the screen, of bars that do not stand below others."""
    left = [text.rsplit("\r", 1)[-1].strip() for text in file.getvalue().split("\n")]
    return [text for text in left if text]


def trainer_of(step=lambda engine, batch: batch) -> Engine:
    return Engine(step)


def watched(engine, file=None, bar_format=SHORT, **arguments):
    """Attach a bar that writes into a file; the arguments are those of the bar, then those of `attach`."""
    file = file or io.StringIO()
    attaching = {"metric_names", "output_transform", "event_name", "closing_event_name", "state_attributes"}
    given = {name: arguments.pop(name) for name in attaching & arguments.keys()}
    bar = ProgressBar(bar_format=bar_format, file=file, **arguments)
    handle = bar.attach(engine, **given)
    return types.SimpleNamespace(bar=bar, file=file, handle=handle)


def raised(function, *arguments, **named):
    with pytest.raises((TypeError, ValueError)) as info:
        function(*arguments, **named)
    return type(info.value), str(info.value)


# What is shown


def test_each_epoch_has_a_line_that_stays_if_it_is_to_persist():
    """Each epoch begins at 0 and ends at its length."""
    trainer = trainer_of()
    file = watched(trainer, persist=True).file
    trainer.run(range(4), max_epochs=3)
    assert ["Epoch [1/3]: [4/4]", "Epoch [2/3]: [4/4]", "Epoch [3/3]: [4/4]"] == lasting(file)
    assert "Epoch [1/3]: [0/4]" == drawn(file)[0]


def test_a_bar_that_does_not_persist_is_erased():
    """By default the screen is as it was before, once the run is over."""
    trainer = trainer_of()
    file = watched(trainer).file
    trainer.run(range(4), max_epochs=3)
    assert [] == lasting(file)
    assert "\n" not in file.getvalue()
    assert "Epoch [1/3]: [0/4]" == drawn(file)[0]


@pytest.mark.parametrize(
    ("desc", "epochs", "shown"),
    [
        (None, 1, "Iteration: [2/2]"),
        (None, 2, "Epoch [2/2]: [2/2]"),
        ("Fit", 1, "Fit: [2/2]"),
        ("Fit", 2, "Fit [2/2]: [2/2]"),
    ],
)
def test_the_description_tells_the_epoch_where_there_are_several(desc, epochs, shown):
    """One epoch needs no number."""
    trainer = trainer_of()
    file = watched(trainer, desc=desc, persist=True).file
    trainer.run(range(2), max_epochs=epochs)
    assert shown == lasting(file)[-1]


@pytest.mark.parametrize("max_iters", [3, 4])
def test_a_limit_of_iterations_tells_how_many_epochs_there_are(max_iters):
    """The last one may be cut short."""
    trainer = trainer_of()
    file = watched(trainer, persist=True).file
    trainer.run(range(2), max_iters=max_iters)
    assert ["Epoch [1/2]: [2/2]", f"Epoch [2/2]: [{max_iters - 2}/2]"] == lasting(file)


CASES = {
    "plain": ({}, {}),
    "desc": ({"desc": "Training"}, {}),
    "output": ({}, {"output_transform": lambda output: {"a": output, "b": [output, 2]}}),
    "scalar": ({}, {"output_transform": lambda output: output}),
    "tensors": ({}, {"output_transform": lambda output: {"v": torch.tensor([1.5, 2.0]), "s": torch.tensor(0.25)}}),
    "metrics": ({}, {"metric_names": ["m"]}),
    "all": ({}, {"metric_names": "all", "state_attributes": ["alpha", "name"]}),
    "tqdm": ({"bar_format": None}, {}),
    "epochs": ({}, {"event_name": "EPOCH_COMPLETED", "closing_event_name": "COMPLETED"}),
    "starts": ({}, {"event_name": "EPOCH_STARTED", "closing_event_name": "COMPLETED"}),
    "iteration started": ({}, {"event_name": "ITERATION_STARTED"}),
}


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_the_lines_that_stay_are_those_of_ignite(case, epochs):
    """For the same program the last state reads the same, apart from the times."""
    ignite = pytest.importorskip("ignite.engine")
    peer = pytest.importorskip("ignite.handlers.tqdm_logger")

    def lines(engine_of, events, bar_of):
        engine, file = engine_of(lambda engine, batch: batch / 4), io.StringIO()
        engine.state.alpha, engine.state.name = 0.125, "fast"
        engine.add_event_handler(events.ITERATION_STARTED, lambda e: e.state.metrics.update(m=torch.tensor(0.5), n=3))
        made, attached = CASES[case]
        attached = {
            name: getattr(events, value) if name.endswith("event_name") else value for name, value in attached.items()
        }
        bar_of(persist=True, file=file, **made).attach(engine, **attached)
        engine.run([1, 2, 3], max_epochs=epochs)
        return [re.sub(r"\d\d:\d\d|<\?|[\d.?]+ ?(it/s|s/it)", "*", text).replace("<", "") for text in lasting(file)]

    ours = lines(Engine, Events, ProgressBar)
    assert lines(ignite.Engine, ignite.Events, peer.ProgressBar) == ours
    assert ours


def test_values_are_shown_in_the_order_of_metrics_output_and_state():
    """Each kind adds to the line, and what a run does not have yet is left out."""
    trainer = trainer_of(lambda engine, batch: {"loss": torch.tensor(0.5), "parts": (1, torch.tensor([2.0, 3.0]))})
    trainer.state.rate = 0.1
    shown = {"metric_names": "all", "output_transform": lambda output: output, "state_attributes": ["rate"]}
    file = watched(trainer, persist=True, **shown).file
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: engine.state.metrics.update(accuracy=0.75))
    trainer.run([0])
    assert "Iteration: [0/1]" == drawn(file)[0]
    assert "Iteration: [1/1], accuracy=0.75, loss=0.5, parts_0=1, parts_1_0=2, parts_1_1=3, rate=0.1" == drawn(file)[-1]


def test_the_last_state_has_the_metrics_of_the_epoch():
    """A metric that is computed when the epoch is over is on the line that stays."""
    trainer = trainer_of()

    def compute(engine):
        engine.state.metrics["accuracy"] = 0.5

    compute.priority = 100  # as the package's metrics have
    trainer.add_event_handler(Events.EPOCH_COMPLETED, compute)
    file = watched(trainer, metric_names=["accuracy"], persist=True).file
    trainer.run([0, 1])
    assert ["Iteration: [2/2], accuracy=0.5"] == lasting(file)


def test_a_name_that_is_never_found_is_warned_of_once():
    """A misspelled metric is told when the line closes, not at each drawing."""
    trainer = trainer_of()
    watched(trainer, metric_names=["acuracy"], state_attributes=["alfa"])
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: engine.state.metrics.update(accuracy=1))
    with pytest.warns(
        UserWarning, match=r"ProgressBar: (metric_names has 'acuracy'|state_attributes has 'alfa')"
    ) as caught:
        trainer.run([0, 1], max_epochs=3)
    assert 2 == len(caught)
    assert __file__ == caught[0].filename


def test_a_value_that_does_not_fit_on_a_line_is_warned_of_once():
    """A matrix is named, and left out."""
    trainer = trainer_of(lambda engine, batch: {"loss": 1, "weights": torch.ones(2, 3)})
    file = watched(trainer, output_transform=lambda output: output, persist=True).file
    with pytest.warns(
        UserWarning, match=r"cannot show 'weights', a Tensor of shape \(2, 3\): choose a number"
    ) as caught:
        trainer.run([0, 1], max_epochs=2)
    assert 1 == len(caught)
    assert "Epoch [2/2]: [2/2], loss=1" == drawn(file)[-1]


def test_values_that_are_too_long_leave_room_for_the_bar_and_the_times(clock):
    """The line is as wide as the terminal, and ends with the times."""
    trainer = trainer_of(lambda engine, batch: {f"a_long_name_{index}": index for index in range(9)})
    made = ProgressBar().bar_format
    file = watched(
        trainer, bar_format=made, ascii=False, ncols=70, persist=True, output_transform=lambda output: output
    ).file
    trainer.run(range(3))
    [left] = lasting(file)
    assert 70 == len(left)
    assert left.startswith("Iteration: [3/3] 100%|█████, a_long_name_0=0, ")
    assert left.endswith("… [00:00<?]")


# What is counted


@pytest.mark.parametrize(
    "event", ["GET_BATCH_STARTED", "GET_BATCH_COMPLETED", "ITERATION_STARTED", "ITERATION_COMPLETED"]
)
def test_every_event_of_an_iteration_counts_the_iterations(event, clock):
    """The line is drawn there, and full at the end."""
    trainer = trainer_of()
    file = watched(trainer, event_name=Events[event], persist=True).file
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: setattr(clock, "now", clock.now + 1))
    trainer.run(range(3), max_epochs=2)
    assert ["Epoch [1/2]: [3/3]", "Epoch [2/2]: [3/3]"] == lasting(file)
    assert "Epoch [1/2]: [2/3]" in drawn(file)


def test_epochs_are_counted_over_the_run(clock):
    """One line for the whole run, in steps of an epoch."""
    trainer = trainer_of()
    file = watched(trainer, event_name=Events.EPOCH_COMPLETED, closing_event_name=Events.COMPLETED, persist=True).file
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda: setattr(clock, "now", clock.now + 1))
    trainer.run(range(2), max_epochs=3)
    assert [f"Epoch: [{n}/3]" for n in (0, 1, 2, 3, 3)] == drawn(file)
    assert ["Epoch: [3/3]"] == lasting(file)


def test_iterations_can_be_counted_over_the_run():
    """With COMPLETED as the closing event there is one line with all iterations."""
    trainer = trainer_of()
    file = watched(trainer, closing_event_name=Events.COMPLETED, persist=True).file
    trainer.run(range(4), max_epochs=3)
    assert ["Iteration: [12/12]"] == lasting(file)


def test_a_filtered_event_draws_only_where_it_passes(clock):
    """The count is that of the event without its filter, and full at the end."""
    trainer = trainer_of()
    trainer.add_event_handler(Events.ITERATION_STARTED, lambda: setattr(clock, "now", clock.now + 1))
    file = watched(trainer, event_name=Events.ITERATION_COMPLETED(every=4), persist=True).file
    trainer.run(range(10))
    assert [0, 4, 8, 10] == list(dict.fromkeys(int(re.search(r"\[(\d+)/10", text)[1]) for text in drawn(file)))


def test_an_event_of_the_users_own_counts_its_firings():
    """Its length is what the user says; each epoch counts from 0."""

    def step(engine, batch):
        engine.fire_event(Own.TICKED, what=batch)  # whatever it sends

    trainer = trainer_of(step)
    trainer.register_events(*Own)
    file = watched(trainer, event_name=Own.TICKED, total=4, persist=True).file
    trainer.run(range(4), max_epochs=2)
    assert ["ticked [1/2]: [4/4]", "ticked [2/2]: [4/4]"] == lasting(file)


def test_a_count_that_the_user_moves_is_followed(clock):
    """The attribute that stands behind the event is what the line shows, also when it is set back."""

    def step(engine, batch):
        clock.now += 1
        engine.state.tokens += batch
        engine.fire_event(Own.TOKENS_SEEN)

    trainer = trainer_of(step)
    trainer.register_events(Own.TOKENS_SEEN, event_to_attr={Own.TOKENS_SEEN: "tokens"})
    file = watched(
        trainer, event_name=Own.TOKENS_SEEN, closing_event_name=Events.COMPLETED, desc="Tokens", total=60, persist=True
    ).file
    trainer.run([10, 20, 30])
    assert [0, 10, 30, 60] == list(dict.fromkeys(int(re.search(r"\[(\d+)/60", text)[1]) for text in drawn(file)))
    trainer.add_event_handler(Events.STARTED, lambda engine: setattr(engine.state, "tokens", 0))
    trainer.run([10, 20])
    assert ["Tokens: [60/60]", "Tokens: [30/60]"] == lasting(file)


def test_an_event_of_the_users_own_can_close_a_line():
    """Each phase has a line, wherever epochs begin and end."""

    def step(engine, batch):
        engine.fire_event(Own.TICKED)
        if batch % 3 == 2:
            engine.fire_event(Own.PHASE_ENDED)

    trainer = trainer_of(step)
    trainer.register_events(*Own)
    file = watched(
        trainer, event_name=Own.TICKED, closing_event_name=Own.PHASE_ENDED, total=3, desc="Phase", persist=True
    ).file
    trainer.run(range(6))
    assert ["Phase: [3/3]", "Phase: [3/3]"] == lasting(file)


def test_the_steps_of_an_optimizer_are_counted():
    """An event that the package adds is one like the user's own: its length has to be said."""
    trainer = trainer_of(lambda engine, batch: engine.fire_event(BackpropEvents.OPTIM_STEP_COMPLETED))
    trainer.register_events(*BackpropEvents)
    file = watched(trainer, event_name=BackpropEvents.OPTIM_STEP_COMPLETED, persist=True).file
    trainer.run(range(3))
    assert ["optim_step_completed: [3/?]"] == lasting(file)


@pytest.mark.parametrize(
    "event",
    [Events.STARTED, Events.COMPLETED, Events.EXCEPTION_RAISED, Events.TERMINATE, Events.DATALOADER_STOP_ITERATION],
)
def test_an_event_that_counts_towards_no_length_is_refused(event):
    """The error names the argument, the value and what to give instead."""
    trainer = trainer_of()
    kind, text = raised(ProgressBar().attach, trainer, event_name=event)
    assert kind is ValueError
    assert text == (
        "event_name must be an event that counts towards a length, such as ITERATION_COMPLETED, EPOCH_COMPLETED or "
        f"one of your own, got {event!r}"
    )
    assert not any(signal.receivers for signal in trainer.signals.all())


@pytest.mark.parametrize(
    ("event", "closing"),
    [
        (Events.EPOCH_COMPLETED, Events.EPOCH_COMPLETED),
        (Events.EPOCH_COMPLETED, Events.ITERATION_COMPLETED),
        (Events.ITERATION_COMPLETED, Events.STARTED),
        (Events.ITERATION_COMPLETED, Events.TERMINATE),
        (Own.TICKED, Events.ITERATION_COMPLETED),
        (Own.TICKED, Own.TICKED),
    ],
)
def test_a_closing_event_that_does_not_come_after_is_refused(event, closing):
    """The error has both events, and the one that always works."""
    trainer = trainer_of()
    trainer.register_events(*Own)
    kind, text = raised(ProgressBar().attach, trainer, event_name=event, closing_event_name=closing)
    assert kind is ValueError
    assert text.startswith(
        f"closing_event_name must be an event that comes after event_name, {event!r}, got {closing!r}; Events.COMPLETED"
    )


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        (
            {"closing_event_name": Events.EPOCH_COMPLETED(every=2)},
            ValueError,
            "closing_event_name must be one event without",
        ),
        (
            {"event_name": Events.EPOCH_STARTED | Events.EPOCH_COMPLETED},
            ValueError,
            "event_name must be one event, got",
        ),
        ({"event_name": Own.TICKED}, UnknownEventError, "unknown event Own.TICKED"),
        ({"metric_names": "loss"}, TypeError, "metric_names must be a list of names or \"all\", got 'loss'"),
        ({"metric_names": [1]}, TypeError, 'metric_names must be a list of names or "all", got [1]'),
        ({"state_attributes": "alpha"}, TypeError, "state_attributes must be a list of names, got 'alpha'"),
        ({"output_transform": 3}, TypeError, "output_transform must be"),
    ],
)
def test_bad_arguments_of_attach_are_named(arguments, kind, text):
    """Nothing is attached then."""
    trainer = trainer_of()
    got, message = raised(ProgressBar().attach, trainer, **arguments)
    assert kind is got
    assert message.startswith(text)
    assert not any(signal.receivers for signal in trainer.signals.all())


def test_only_an_engine_has_progress():
    """Anything else is refused with its value."""
    assert (TypeError, "engine must be an Engine, got 'engine'") == raised(ProgressBar().attach, "engine")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"descr": "Fit"}, "tqdm_kwargs must be arguments of tqdm.tqdm, got descr='Fit'"),
        ({"leave": True}, "tqdm_kwargs must not have 'leave', got True: persist=True leaves the line"),
        ({"initial": 3}, "tqdm_kwargs must not have 'initial', got 3: the engine knows it"),
    ],
)
def test_bad_arguments_of_tqdm_are_named_at_once(arguments, text):
    """They are not found out when the run draws for the first time."""
    assert (TypeError, text) == raised(ProgressBar, **arguments)


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"bar_format": "{nope}"}, ValueError, "bar_format must be a value .*, got '{nope}': KeyError"),
        ({"bar_format": "{n"}, ValueError, "bar_format must be a value that tqdm can draw with, got '{n': ValueError"),
        ({"bar_format": 3}, ValueError, "bar_format must be a value that tqdm can draw with, got 3: "),
        ({"mininterval": "x"}, TypeError, "mininterval must be a value that tqdm can draw with, got 'x': TypeError"),
        ({"ncols": "x", "unit": "batch"}, TypeError, "ncols must be a value that tqdm can draw with, got 'x': TypeE"),
        ({"nrows": "x"}, TypeError, "nrows must be a value that tqdm can draw with, got 'x': TypeError"),
        ({"file": "/x/y"}, TypeError, "file must be a text file that is open for writing, got '/x/y'"),
        (
            {"bar_format": "{unit_divisor:d}", "unit_divisor": "x"},
            ValueError,
            "these arguments must be such that tqdm can draw with them together, got .*'unit_divisor': 'x'",
        ),
    ],
)
def test_values_that_tqdm_cannot_draw_with_are_named_at_once(arguments, kind, text):
    """They do not end a run that has begun, and leave no bar behind."""
    with pytest.raises(kind, match=text):
        ProgressBar(**arguments)
    assert [] == open_bars()


def test_values_that_tqdm_draws_with_only_together_are_no_fault():
    """A format may ask for what another argument has."""
    trainer = trainer_of()
    file = watched(trainer, bar_format="{postfix[0]} {n}", postfix=["so far"], persist=True).file
    trainer.run(range(3))
    assert ["so far 3"] == lasting(file)


def test_the_extra_is_named_where_tqdm_is_missing(monkeypatch):
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"needs tqdm, which is not installed: pip install 'ignite_signals\[progress\]'"
    ):
        ProgressBar()


# When it is drawn


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.03, 0.1, 0.5])
def test_a_line_is_redrawn_at_most_every_tenth_of_a_second(seconds, clock):
    """Whatever the speed; the last state comes in addition where it stays."""
    trainer = trainer_of(lambda engine, batch: setattr(clock, "now", clock.now + seconds))
    times = []

    class File(io.StringIO):
        def write(self, text):
            times.extend([clock.now] * ("/1000]" in text))
            return super().write(text)

    file = watched(trainer, File(), persist=True).file
    trainer.run(range(1000))
    assert "Iteration: [1000/1000]" == drawn(file)[-1]
    *times, _ = times
    assert all(after - before > 0.0999 for before, after in pairwise(times))
    assert len(times) - 1 <= seconds * 1000 / 0.1
    assert len(times) - 1 >= min(999, seconds * 1000 / (0.1 + 2 * seconds)) - 1


def test_a_slow_iteration_after_many_fast_ones_is_drawn_at_once(clock):
    """What was fast does not put off what is slow."""
    trainer = trainer_of(lambda engine, batch: setattr(clock, "now", clock.now + (1e-5 if batch < 20_000 else 5)))
    file = watched(trainer).file
    trainer.run(range(20_003))
    assert [f"Iteration: [{n}/20003]" for n in (20_001, 20_002, 20_003)] == drawn(file)[-3:]


class Counting(io.StringIO):
    """A file that counts what is drawn on it, and keeps nothing."""

    drawings = 0

    def write(self, text):
        self.drawings += "/" in text
        return len(text)


def drawings_of_fast(events, epochs, **arguments):
    """Return how often the lines of a trainer and its evaluator are drawn, and the tenths of a second that it took."""
    trainer, evaluator, file = trainer_of(), trainer_of(), Counting()
    bar = ProgressBar(bar_format=SHORT, file=file, **arguments)
    bar.attach(trainer)
    if events is not None:
        bar.attach(evaluator)
        trainer.add_event_handler(events, lambda: evaluator.run(range(10)))
    began = monotonic()
    trainer.run(range(100), max_epochs=epochs)
    return file.drawings, (monotonic() - began) * 10


@pytest.mark.parametrize(
    ("events", "epochs"), [(None, 6000), (Events.EPOCH_COMPLETED, 1000), (Events.ITERATION_COMPLETED(every=20), 400)]
)
def test_fast_epochs_and_evaluations_are_drawn_as_seldom_as_fast_iterations(events, epochs):
    """By the real clock: one drawing a tenth of a second, and the first ones of both lines."""
    drawings, tenths = drawings_of_fast(events, epochs)
    assert 1 <= drawings <= tenths + 5


@pytest.mark.parametrize("engines", [1, 2])
def test_a_line_that_stays_is_drawn_once_as_it_closes(engines):
    """Fast epochs have a line each, as was asked for, and no drawing beside that but one a tenth of a second."""
    drawings, tenths = drawings_of_fast(Events.EPOCH_COMPLETED if engines > 1 else None, 300, persist=True)
    assert engines * 300 <= drawings <= engines * (300 + tenths + 2)


def test_short_epochs_are_drawn_where_there_is_something_to_see(clock):
    """The first line is there at once; those after it wait for their time, or they would all show nothing done."""
    trainer = trainer_of(lambda engine, batch: setattr(clock, "now", clock.now + batch))
    file = watched(trainer).file
    trainer.run([0.05, 0.07], max_epochs=2)
    assert ["Epoch [1/2]: [0/2]", "Epoch [1/2]: [2/2]", "Epoch [2/2]: [2/2]"] == drawn(file)


@pytest.mark.parametrize("seconds", [0.002, 0.006, 0.012])
def test_the_values_of_short_epochs_are_seen(seconds, clock):
    """However long an epoch is, most drawings have values."""
    trainer = trainer_of(lambda engine, batch: setattr(clock, "now", clock.now + seconds) or 0.5)
    file = io.StringIO()
    ProgressBar(bar_format=SHORT + "{postfix}", file=file).attach(trainer, output_transform=lambda loss: {"loss": loss})
    trainer.run(range(10), max_epochs=30)
    shown = drawn(file)
    assert len(shown) >= 10 * 30 * seconds / 0.1 / 2
    assert len([line for line in shown if "loss=0.5" in line]) >= len(shown) - 1


def test_an_evaluation_that_is_over_at_once_is_not_drawn_again(clock):
    """One that took its time is drawn as soon as it begins."""
    evaluator = trainer_of(lambda engine, batch: setattr(clock, "now", clock.now + batch))
    counts, file = [], watched(evaluator).file
    for seconds in (0.01, 0.01, 1, 1):
        clock.now += 10
        evaluator.run([seconds, 0])
        counts.append(len(drawn(file)))
    assert [1, 1, 2, 4] == counts


def test_the_interval_is_the_users_to_choose(clock):
    """A log file may want a line a minute."""
    trainer = trainer_of(lambda engine, batch: setattr(clock, "now", clock.now + 1))
    file = watched(trainer, mininterval=60).file
    trainer.run(range(600))
    assert 10 <= len(drawn(file)) <= 13


class Counted:
    """A value that knows how often it was made a number, as a tensor of the GPU would wait for it."""

    read = 0

    def item(self):
        Counted.read += 1
        return 0.5


def test_values_are_read_only_when_they_are_drawn(clock):
    """No other iteration waits for the device."""
    Counted.read = 0
    transformed = []
    trainer = trainer_of(lambda engine, batch: setattr(clock, "now", clock.now + 0.001) or Counted())
    trainer.add_event_handler(Events.STARTED, lambda engine: engine.state.metrics.update(loss=Counted()))
    file = watched(
        trainer,
        persist=True,
        metric_names=["loss"],
        output_transform=lambda output: transformed.append(output) or output,
    ).file
    trainer.run(range(1000))
    assert "Iteration: [1000/1000], loss=0.5, output=0.5" == drawn(file)[-1]
    assert 9 <= len(transformed) <= 12
    assert 2 * len(transformed) == Counted.read


def test_values_are_not_read_where_nobody_sees_them():
    """A silent bar costs no waiting at all."""
    trainer = trainer_of(lambda engine, batch: Counted())
    ProgressBar().attach(trainer, output_transform=lambda output: pytest.fail("was read"))
    assert 10 == trainer.run(range(10)).iteration


# Runs that go on, are cut short, or have no length


def test_the_rate_is_that_of_this_process(clock):
    """A run that goes on at 900 of 1000 does not claim to have done 900 in no time."""
    trainer = trainer_of(lambda engine, batch: setattr(clock, "now", clock.now + 1))
    trainer.load_state_dict({"epoch_length": 1000, "max_epochs": 1, "iteration": 900})
    file = watched(trainer, bar_format="{n_fmt}/{total_fmt} {elapsed}<{remaining} {rate_fmt}").file
    trainer.run(range(1000))
    assert "900/1000 00:00<? ?it/s" == drawn(file)[0]
    assert "901/1000 00:01<01:39  1.00it/s" == drawn(file)[1]
    assert drawn(file)[-1].startswith("1000/1000 01:40<00:00")


@pytest.mark.parametrize(
    ("arguments", "first", "lines"),
    [
        ({}, "Epoch [3/4]: [2/5]", ["Epoch [3/4]: [5/5]", "Epoch [4/4]: [5/5]"]),
        ({"closing_event_name": Events.COMPLETED}, "Iteration: [12/20]", ["Iteration: [20/20]"]),
        (
            {"event_name": Events.EPOCH_COMPLETED, "closing_event_name": Events.COMPLETED},
            "Epoch: [2/4]",
            ["Epoch: [4/4]"],
        ),
    ],
)
def test_a_loaded_run_starts_at_the_right_place(arguments, first, lines):
    """In the middle of an epoch and of the training."""
    trainer = trainer_of()
    trainer.load_state_dict({"epoch_length": 5, "max_epochs": 4, "iteration": 12})
    file = watched(trainer, persist=True, **arguments).file
    trainer.run(range(5))
    assert first == drawn(file)[0]
    assert lines == lasting(file)


def test_a_loaded_count_of_the_users_own_goes_on():
    """What counts itself is saved with the run, and an epoch's length says where in it the run is."""

    def made():
        trainer = trainer_of(lambda engine, batch: engine.fire_event(Own.TICKED))
        trainer.register_events(*Own)
        return trainer

    trainer = made()
    trainer.run(range(5), max_iters=7)
    saved = trainer.state_dict()
    epochs, run = made(), made()
    for engine in (epochs, run):
        engine.load_state_dict(saved)
    ticks = {"event_name": Own.TICKED, "desc": "T", "persist": True}
    of_epoch = watched(epochs, total=5, **ticks).file
    of_run = watched(run, total=10, closing_event_name=Events.COMPLETED, **ticks).file
    epochs.run(range(5), max_iters=10)
    run.run(range(5), max_iters=10)
    assert ("T [2/2]: [2/5]", "T [2/2]: [5/5]") == (drawn(of_epoch)[0], drawn(of_epoch)[-1])
    assert ("T: [7/10]", "T: [10/10]") == (drawn(of_run)[0], drawn(of_run)[-1])


def test_an_unknown_length_is_found():
    """Data without a length shows how many there were, then how many there are."""
    trainer = trainer_of()
    file = watched(trainer, bar_format=ProgressBar().bar_format, ascii=False, persist=True).file
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the iterator is exhausted after its first epoch
        trainer.run(iter(range(3)))
    assert "Epoch" not in file.getvalue()
    assert re.fullmatch(r"Iteration: \[0/\?\] \[00:00, +\?it/s\]", drawn(file)[0])
    assert ["Iteration: [3/3] 100%|██████████ [00:00<00:00]"] == lasting(file)


def test_a_length_of_several_epochs_is_found():
    """The second epoch knows it from its beginning."""
    trainer = trainer_of()
    file = watched(trainer, persist=True).file

    class Stream:
        def __iter__(self):
            return iter(range(3))

    trainer.run(Stream(), max_epochs=2)
    assert "Epoch [1/2]: [0/?]" == drawn(file)[0]
    assert ["Epoch [1/2]: [3/3]", "Epoch [2/2]: [3/3]"] == lasting(file)


def test_an_epoch_that_is_cut_short_says_where():
    """And the next one begins at 0."""
    trainer = trainer_of(lambda engine, batch: engine.terminate_epoch() if engine.state.iteration == 2 else None)
    file = watched(trainer, persist=True).file
    trainer.run(range(4), max_epochs=2)
    assert ["Epoch [1/2]: [2/4]", "Epoch [2/2]: [4/4]"] == lasting(file)


@pytest.mark.parametrize("persist", [False, True])
@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("closing", [Events.EPOCH_COMPLETED, Events.COMPLETED])
def test_a_terminated_run_closes_its_line_once(persist, skip, closing, capsys):
    """Before the handlers of the user's own can print, and a second run has a line of its own."""
    trainer = trainer_of(lambda engine, batch: engine.terminate(skip) if engine.state.iteration == 2 else None)
    bar = ProgressBar(persist=persist, bar_format=SHORT, desc="Fit", disable=False)
    bar.attach(trainer, closing_event_name=closing)
    trainer.add_event_handler(Events.TERMINATE, lambda: sys.stderr.write("stopped\n") if bar.pbar is None else None)
    trainer.run(range(4))
    file = io.StringIO(capsys.readouterr().err)
    assert (["Fit: [2/4]"] * persist) + ["stopped"] == lasting(file)
    assert bar.pbar is None


def test_an_interrupted_run_goes_on_on_a_new_line():
    """It goes on where it was, without the beginning of an epoch."""
    trainer = trainer_of(lambda engine, batch: engine.interrupt() if engine.state.iteration == 2 else None)
    file = watched(trainer, persist=True).file
    trainer.run(range(4))
    assert ["Iteration: [2/4]"] == lasting(file)
    trainer.run()
    assert ["Iteration: [2/4]", "Iteration: [4/4]"] == lasting(file)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("persist", [False, True])
def test_an_exception_closes_the_line(error, persist):
    """What is printed next begins on a line of its own."""

    def step(engine, batch):
        if batch == 2:
            raise error
        return batch

    trainer = trainer_of(step)
    watch = watched(trainer, persist=persist)
    with pytest.raises(error):
        trainer.run(range(4))
    assert ["Iteration: [3/4]"] * persist == lasting(watch.file)
    assert watch.file.getvalue().endswith("\n" if persist else "\r")
    assert watch.bar.pbar is None


def test_values_are_not_read_after_an_exception():
    """An output that cannot be read does not hide what the run died of, nor a second time what it was."""
    trainer = trainer_of()
    watch = watched(trainer, output_transform=lambda output: output["loss"], persist=True)
    with pytest.raises(TypeError, match="not subscriptable") as info:
        trainer.run([1, 2])
    assert info.value.__context__ is None
    assert ["Iteration: [2/2]"] == lasting(watch.file)


def test_a_second_run_starts_afresh():
    """An engine that is run again counts from 0 again."""
    evaluator = trainer_of()
    file = watched(evaluator, persist=True).file
    for _ in range(3):
        evaluator.run(range(2))
    assert ["Iteration: [2/2]"] * 3 == lasting(file)


def test_a_bar_can_be_attached_while_the_engine_runs():
    """It follows from there on."""
    trainer, file = trainer_of(), io.StringIO()
    bar = ProgressBar(persist=True, bar_format=SHORT, file=file)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=7), lambda engine: bar.attach(engine))
    trainer.run(range(5), max_epochs=2)
    assert "Epoch [2/2]: [3/5]" == drawn(file)[0]
    assert ["Epoch [2/2]: [5/5]"] == lasting(file)


# Several lines


def screen_after(text: str, rows: int = 6) -> list[str]:
    """Return what a terminal shows after it was sent a text."""
    lines, row, column = [""] * rows, 0, 0
    for piece in re.findall(r"\x1b\[A|\r|\n|[^\r\n\x1b]+", text):
        if piece == "\r":
            column = 0
        elif piece == "\n":
            row, column = row + 1, 0
        elif piece == "\x1b[A":
            row -= 1
        else:
            lines[row] = lines[row][:column].ljust(column) + piece + lines[row][column + len(piece) :]
            column += len(piece)
    return [line.rstrip() for line in lines if line.strip()]


@pytest.mark.parametrize(
    ("event", "above"),
    [(Events.ITERATION_COMPLETED(every=2), "Epoch [1/2]: [1/2]"), (Events.EPOCH_COMPLETED, "Epoch [1/2]: [2/2]")],
)
def test_the_bar_of_an_evaluator_stands_below_that_of_its_trainer(event, above, clock):
    """Both are seen during the evaluation, also of an epoch that is over; after it the trainer's goes on alone."""
    trainer, evaluator, file, seen = trainer_of(), trainer_of(), io.StringIO(), []

    def look(engine):
        seen.append(screen_after(file.getvalue()))
        clock.now += 1

    ProgressBar(bar_format=SHORT, file=file).attach(trainer)
    ProgressBar(bar_format=SHORT, file=file, desc="Validation").attach(evaluator)
    for engine in (trainer, evaluator):
        engine.add_event_handler(Events.ITERATION_STARTED, look)
    trainer.add_event_handler(event, lambda: evaluator.run(range(2)))
    trainer.run(range(2), max_epochs=2)
    assert [
        ["Epoch [1/2]: [0/2]"],
        ["Epoch [1/2]: [1/2]"],
        [above, "Validation: [0/2]"],
        [above, "Validation: [1/2]"],
        ["Epoch [2/2]: [1/2]"],
    ] == [*seen[:4], seen[5]]
    assert [] == screen_after(file.getvalue())


def test_what_handlers_print_when_an_epoch_is_over_stands_on_lines_of_its_own(capsys):
    """Also after an evaluation that had a line."""
    trainer, evaluator = trainer_of(), trainer_of()
    ProgressBar(bar_format=SHORT, disable=False).attach(trainer)
    ProgressBar(bar_format=SHORT, disable=False, desc="Validation").attach(evaluator)

    @trainer.on(Events.EPOCH_COMPLETED)
    def report(engine):
        evaluator.run(range(3))
        sys.stderr.write(f"epoch {engine.state.epoch}\n")

    trainer.add_event_handler(Events.COMPLETED, lambda: sys.stderr.write("done\n"))
    trainer.run(range(3), max_epochs=2)
    assert ["epoch 1", "epoch 2", "done"] == screen_after(capsys.readouterr().err)


def test_an_evaluators_line_that_stays_is_above_the_trainers(clock):
    """The trainer's line comes back below it, at once."""
    trainer, evaluator, file, seen = trainer_of(), trainer_of(), io.StringIO(), []
    ProgressBar(bar_format=SHORT, file=file).attach(trainer)
    ProgressBar(bar_format=SHORT, file=file, desc="Validation", persist=True).attach(evaluator)

    @trainer.on(Events.ITERATION_COMPLETED(once=2))
    def evaluate(engine):
        clock.now += 1
        evaluator.run(range(3))
        seen.append(screen_after(file.getvalue()))

    trainer.run(range(4))
    assert [["Validation: [3/3]", "Iteration: [0/4]"]] == seen
    assert ["Validation: [3/3]"] == screen_after(file.getvalue())


def test_one_bar_may_be_attached_to_several_engines():
    """Each has a line of its own, with the same settings."""
    trainer, evaluator, file = trainer_of(), trainer_of(), io.StringIO()
    bar = ProgressBar(bar_format=SHORT, file=file, persist=True)
    bar.attach(trainer)
    bar.attach(evaluator)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run(range(3)))
    trainer.run(range(2), max_epochs=2)
    assert ["Epoch [1/2]: [2/2]", "Iteration: [3/3]", "Epoch [2/2]: [2/2]", "Iteration: [3/3]"] == lasting(file)


def test_messages_stand_above_the_lines(clock):
    """They do not break them, and the line is there again at once."""
    trainer, file, seen = trainer_of(), io.StringIO(), []
    bar = ProgressBar(bar_format=SHORT, file=file)
    bar.attach(trainer)

    @trainer.on(Events.ITERATION_COMPLETED)
    def report(engine):
        bar.log_message(f"message {engine.state.iteration}")
        seen.append(screen_after(file.getvalue()))

    @trainer.on(Events.EPOCH_COMPLETED)
    def end(engine):
        bar.log_message("epoch over")
        seen.append(screen_after(file.getvalue()))

    trainer.run(range(2))
    assert [
        ["message 1", "Iteration: [0/2]"],
        ["message 1", "message 2", "Iteration: [0/2]"],
        ["message 1", "message 2", "epoch over"],
    ] == seen


def test_messages_go_to_stdout_where_there_is_no_bar(capsys):
    """A log has the messages, and no bars."""
    trainer, bar = trainer_of(), ProgressBar()
    bar.attach(trainer)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: bar.log_message(engine.state.epoch))
    trainer.run(range(2), max_epochs=2)
    assert ("1\n2\n", "") == capsys.readouterr()


# Who sees it


@pytest.mark.parametrize(
    ("arguments", "rank", "terminal", "shown"),
    [
        ({}, 0, True, True),
        ({}, 0, False, False),
        ({}, 1, True, False),
        ({"disable": None}, 0, False, False),
        ({"disable": False}, 0, False, True),
        ({"disable": False}, 1, False, True),
        ({"disable": True}, 0, True, False),
    ],
)
def test_the_bar_is_shown_in_a_terminal_of_the_first_process(arguments, rank, terminal, shown, monkeypatch):
    """Or where it is asked for."""
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(screen, "get_rank", lambda: rank)
    trainer = trainer_of()
    ProgressBar(persist=True, **arguments).attach(trainer)
    trainer.run(range(3))
    assert shown == ("3/3" in stream.getvalue())
    assert shown == bool(stream.getvalue())


def test_stdout_that_is_no_terminal_is_silent(capsys):
    """To say which of the streams is not to ask for bars in a log."""
    trainer = trainer_of()
    ProgressBar(file=sys.stdout).attach(trainer)
    trainer.run(range(3))
    assert ("", "") == capsys.readouterr()


def test_a_file_of_the_users_own_is_written_to_by_the_first_process(tmp_path, monkeypatch):
    """Whoever opens a file for the bar wants it there."""
    with (tmp_path / "log").open("w", encoding="utf-8") as file:
        for rank in (0, 1):
            monkeypatch.setattr(screen, "get_rank", lambda rank=rank: rank)
            trainer = trainer_of()
            ProgressBar(file=file, persist=True, desc=f"rank {rank}").attach(trainer)
            trainer.run(range(3))
    written = (tmp_path / "log").read_text(encoding="utf-8")
    assert "rank 0: [3/3] 100%" in written
    assert "rank 1" not in written


def test_other_processes_write_no_messages(capsys, monkeypatch):
    """What eight processes say once each is said once."""
    monkeypatch.setattr("ignite_signals.handlers.tqdm_logger.get_rank", lambda: 3)
    ProgressBar().log_message("one of many")
    ProgressBar(disable=False).log_message("asked for")
    assert "asked for\n" == capsys.readouterr().out


def test_who_the_process_is_may_be_told_after_the_bar_is_attached(monkeypatch):
    """The process group may be made when the run starts."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    trainer = trainer_of()
    ProgressBar(persist=True).attach(trainer)
    monkeypatch.setattr(screen, "get_rank", lambda: 1)
    trainer.run(range(3))
    assert "" == stream.getvalue()
    monkeypatch.setattr(screen, "get_rank", lambda: 0)
    trainer.run(range(3))
    assert "3/3" in stream.getvalue()


def test_the_environment_can_silence_it():
    """TQDM_DISABLE does, as for every bar of tqdm."""
    program = (
        "from ignite_signals.engine import Engine\n"
        "from ignite_signals.handlers.tqdm_logger import ProgressBar\n"
        "import io; file = io.StringIO(); engine = Engine(lambda engine, batch: None)\n"
        "ProgressBar(file=file, persist=True).attach(engine); engine.run(range(3)); print(repr(file.getvalue()))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], env={"TQDM_DISABLE": "1"}, capture_output=True, text=True, check=True
    )
    assert "''\n" == ended.stdout


class Widget(tqdm.tqdm):
    """A stand-in for the bar of a notebook: it is displayed, and one that is short of its total is a failure."""

    made: ClassVar[list] = []

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs, gui=True)
        self.shown, self.failed, self.hidden = [], False, False
        Widget.made.append(self)

    def display(self, *_, **__):
        self.shown.append((self.desc, self.n, self.total, self.postfix))

    def clear(self, *_, **__):
        pass

    def close(self):
        if not self.disable:
            super().close()
            self.failed, self.hidden = bool(self.total and self.n < self.total), not self.leave


def test_in_a_notebook_the_bar_is_a_widget(monkeypatch, clock):
    """Though its output is no terminal."""
    ipython = types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace(config={"IPKernelApp": {}}))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setattr(tqdm.auto, "tqdm", Widget)
    monkeypatch.setattr(Widget, "made", [])

    def step(engine, batch):
        clock.now += 1
        return engine.terminate() if engine.state.iteration == 5 else 0.5

    trainer = trainer_of(step)
    ProgressBar().attach(trainer, output_transform=lambda output: {"loss": output})
    trainer.run(range(4), max_epochs=3)
    first, second = Widget.made
    assert [("Epoch [1/3]: ", 0, 4, None), ("Epoch [1/3]: ", 1, 4, "loss=0.5")] == first.shown[:2]
    assert [(False, True)] * 2 == [(bar.failed, bar.hidden) for bar in (first, second)]


def test_a_terminal_of_ipython_is_a_terminal(monkeypatch):
    """IPython alone does not make a notebook."""
    ipython = types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace(config={}))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert not screen.is_wanted({"file": sys.__stdout__}) or sys.__stdout__.isatty()
    ipython.get_ipython = lambda: None
    assert not screen.is_wanted({"file": sys.__stdout__}) or sys.__stdout__.isatty()


# Keeping


def test_the_engine_keeps_the_bar_and_the_bar_not_the_engine():
    """No cycle: an engine without its user is gone."""
    gc.collect()
    gc.disable()
    try:
        trainer = trainer_of()
        watch = watched(trainer)
        trainer.run(range(3))
        gone = weakref.ref(trainer)
        del trainer
        assert gone() is None
        assert [] == list(watch.bar.lines)
    finally:
        gc.enable()


def test_a_bar_that_is_removed_is_erased():
    """The handle removes all that was connected."""
    trainer = trainer_of()
    watch = watched(trainer)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=2), watch.handle.remove)
    trainer.run(range(4), max_epochs=2)
    assert not any(signal.receivers for signal in trainer.signals.all() if signal.name != "iteration_completed")
    assert [] == screen_after(watch.file.getvalue())


def test_a_bar_can_be_attached_in_a_with_block():
    """Outside of it the engine is as it was."""
    trainer, file = trainer_of(), io.StringIO()
    with ProgressBar(file=file, persist=True, bar_format=SHORT).attach(trainer):
        trainer.run(range(2))
    trainer.run(range(3))
    assert ["Iteration: [2/2]"] == lasting(file)


def test_a_bar_can_be_closed_by_hand():
    """As other loggers can, also by a `with` block."""
    trainer = trainer_of(lambda engine, batch: watch.bar.close() if batch == 1 else seen.append(watch.bar.pbar))
    seen, watch = [], watched(trainer)
    with watch.bar as bar:
        trainer.run(range(2))
    assert bar.pbar is None
    assert [0] == [each.initial for each in seen]


def test_copies_of_an_engine_have_a_bar_of_their_own():
    """A copy's bar writes to stderr, since a file cannot be copied."""
    trainer = Engine(step)
    watch = watched(trainer, persist=True, desc="Fit")
    trainer.run(range(2))
    for copied in (copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer))):
        [bar] = {
            connection.receiver.__self__._owner
            for connection in copied.signals["iteration_completed"].receivers.values()
        }
        assert bar is not watch.bar
        assert {"desc": "Fit"} == bar.tqdm_kwargs
        assert 1 == len(bar.lines)
        bar.tqdm_kwargs["file"] = io.StringIO()
        copied.run(range(3))
        assert ["Fit: [3/3]"] == lasting(bar.tqdm_kwargs["file"])
    assert ["Fit: [2/2]"] == lasting(watch.file)


def step(engine, batch):
    return batch


def test_it_says_what_it_is():
    """The repr has what is not the default."""
    assert "ProgressBar()" == repr(ProgressBar())
    assert "ProgressBar(persist=True, desc='Fit')" == repr(ProgressBar(persist=True, desc="Fit"))


def test_bars_come_after_the_handlers_of_the_users_own():
    """At an iteration; but what closes a line comes before them and after the metrics."""
    trainer = trainer_of()
    watched(trainer)
    priorities = {
        signal.name: [connection.priority for connection in signal.connections()] for signal in trainer.signals.all()
    }
    assert [-100] == priorities["iteration_completed"] == priorities["epoch_started"]
    assert [50] == priorities["epoch_completed"]
    assert [1000] == priorities["completed"] == priorities["exception_raised"]


def test_a_bar_deals_with_no_exception():
    """It watches: the exception leaves the run."""
    trainer = trainer_of(lambda engine, batch: 1 / 0)
    watched(trainer)
    with pytest.raises(ZeroDivisionError):
        trainer.run([0])
