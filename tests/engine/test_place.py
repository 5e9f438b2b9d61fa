"""A state that was saved at any event leads to the run that would have gone on from there."""

from __future__ import annotations

import contextlib
import io
import pickle
import re
import warnings
from collections import OrderedDict
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from ignite_signals.engine import DeterministicEngine, Engine, Events
from ignite_signals.testing import EventRecorder
from support.copying import every_copy

SAVED_AT = (
    Events.STARTED,
    Events.EPOCH_STARTED,
    Events.ITERATION_COMPLETED,
    Events.EPOCH_COMPLETED,
    Events.COMPLETED,
)
TICK = "tick"


class Unsized:
    """Batches whose number is not known before they have ended."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(list(self.batches))


class Cut(NamedTuple):
    """Where an epoch is ended before its time: at which iteration, by whom and how."""

    iteration: int
    by: str
    skip: bool


class Plan(NamedTuple):
    """A run: the kind of engine and of data, how many batches, the limits, and what cuts its epochs."""

    engine: type[Engine]
    kind: str
    batches: int
    limits: dict[str, int]
    cuts: tuple[Cut, ...]


def data_of(plan):
    if plan.kind == "loader":
        return DataLoader(torch.arange(2 * plan.batches), batch_size=2, shuffle=True)
    return {"none": None, "list": list(range(plan.batches)), "unsized": Unsized(range(plan.batches))}[plan.kind]


def through_a_file(saved):
    """Return what comes back of a state that was written as a checkpoint is."""
    file = io.BytesIO()
    torch.save(saved, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def cut_epoch(engine, cuts, by):
    for cut in cuts:
        if cut.iteration == engine.state.iteration and cut.by == by:
            engine.terminate_epoch(cut.skip)


class Program:
    """What a training program makes anew each time that it is started."""

    def __init__(self, plan):
        self.plan = plan
        self.batches: list[Any] = []
        self.ticks: list[Any] = []
        self.outputs: list[Any] = []
        self.engine = plan.engine(self.step)
        self.engine.state.seed = 3
        self.engine.register_events(TICK)
        self.engine.add_event_handler(TICK, self.tick)
        self.engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: self.outputs.append(engine.state.output))
        for event, by in ((Events.ITERATION_STARTED, "started"), (Events.ITERATION_COMPLETED, "completed")):
            self.engine.add_event_handler(event, partial(cut_epoch, cuts=plan.cuts, by=by))

    def step(self, engine, batch):
        drawn = torch.rand(()).item() if isinstance(engine, DeterministicEngine) else None
        self.batches.append((batch.tolist() if isinstance(batch, torch.Tensor) else batch, drawn))
        if engine.state.iteration % 2:
            engine.fire_event(TICK)
        cut_epoch(engine, self.plan.cuts, "step")
        return engine.state.iteration

    def tick(self, engine):
        self.ticks.append(engine.state.tick)

    def run(self):
        with EventRecorder(self.engine) as self.recorder:
            self.engine.run(data_of(self.plan), **self.plan.limits)
        return self.end()

    def end(self):
        state = self.engine.state
        return state.epoch, state.iteration, state.epoch_length, state.max_epochs, state.max_iters, state.tick


class Moment(NamedTuple):
    """A save: at which event, its state, and what was to come."""

    event: Any
    saved: Any
    sequence: list[tuple[str, int, int]]
    batches: list[Any]
    ticks: list[int]
    outputs: list[Any]


def straight_run(plan):
    """Run without a stop; return how it ended, and all moments at which a checkpoint might be saved."""
    program, kept = Program(plan), []

    class Saver:
        """Called after all others, as a checkpoint is."""

        priority = -200

        def __call__(self, engine):
            told = len(program.recorder), len(program.batches), len(program.ticks), len(program.outputs)
            kept.append((engine.last_event_name, engine.state_dict(), told))

    saver = Saver()
    for event in SAVED_AT:
        program.engine.add_event_handler(event, saver)
    end = program.run()
    return end, [
        Moment(
            event,
            through_a_file(saved),
            program.recorder.sequence[told[0] :],
            program.batches[told[1] :],
            program.ticks[told[2] :],
            program.outputs[told[3] :],
        )
        for event, saved, told in kept
    ]


def resumed_run(plan, saved):
    program = Program(plan)
    program.engine.load_state_dict(saved)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "nothing to run")
        end = program.run()
    return end, program


def still_to_come(sequence, kind):
    """Return a sequence of events without those that a list that is iterated anew has fewer of."""
    return [each for each in sequence if kind is DeterministicEngine or each[0] != "dataloader_stop_iteration"]


def announced_again(moment):
    """Return how many events a run that goes on announces again."""
    return 1 if moment.event in (Events.STARTED, Events.EPOCH_COMPLETED) else 2


def check(plan):
    """Compare the run that goes on from each moment with the one that was never stopped; return the moments."""
    end, moments = straight_run(plan)
    for moment in moments:
        resumed_end, program = resumed_run(plan, moment.saved)
        resumed = still_to_come(program.recorder.sequence, plan.engine)
        expected = still_to_come(moment.sequence, plan.engine)
        if resumed:
            assert "started" == resumed[0][0]
            assert expected == resumed[announced_again(moment) :], moment.saved
        else:  # it was done: nothing but the end of the run was to be told
            assert {name for name, *_ in expected} <= {"completed"}, moment.saved
            resumed_end = (end[0], *resumed_end[1:])  # a loaded state counts the epochs that are complete
        assert (end, moment.ticks, moment.outputs) == (resumed_end, program.ticks, program.outputs), moment.saved
        assert len(moment.batches) == len(program.batches)
        assert plan.engine is Engine or moment.batches == program.batches, moment.saved
        assert program.engine.state_dict().get("place") == final_place(plan, moments)
    return moments


def final_place(plan, moments):
    return moments[-1].saved.get("place")


limits = st.one_of(
    st.builds(dict, max_epochs=st.integers(1, 4)),
    st.builds(dict, max_iters=st.integers(1, 12)),
)
cut = st.builds(Cut, st.integers(1, 9), st.sampled_from(["started", "step", "completed"]), st.booleans())


@st.composite
def plans(draw, engine, kinds):
    kind, batches = draw(st.sampled_from(kinds)), draw(st.integers(1, 4))
    asked = draw(limits)
    if kind == "none" or draw(st.booleans()):
        asked = asked | {"epoch_length": draw(st.integers(1, 5))}
    return Plan(engine, kind, batches, asked, tuple(draw(st.lists(cut, max_size=2))))


@given(plan=plans(Engine, ["none", "list"]))
@settings(max_examples=60, deadline=None)
def test_a_resumed_engine_sends_the_events_that_were_to_come(plan):
    """Whatever the lengths and limits and whichever epochs are cut, from each event on nothing is lost or doubled."""
    assert check(plan)


@given(plan=plans(DeterministicEngine, ["none", "list", "loader", "unsized"]))
@settings(max_examples=60, deadline=None)
def test_a_resumed_deterministic_engine_sends_them_for_the_batches_that_were_to_come(plan):
    """The batches, their order and the random numbers are those of the run that went on, too."""
    assert check(plan)


# Where it is saved


def saved_at(event, count, data=(0, 1, 2), step=lambda engine, batch: None, **limits):
    """Return what a run saves at one occurrence of an event, after all others have heard it."""
    engine, saved = Engine(step), []
    save = partial(lambda engine, kept: kept.append(through_a_file(engine.state_dict())), kept=saved)
    engine.signal(event(once=count)).connect(save, weak=False, priority=-200)
    engine.run(data, **(limits or {"max_epochs": 3}))
    return saved[0]


@pytest.mark.parametrize(
    ("event", "count"),
    [
        (Events.STARTED, 1),
        (Events.EPOCH_STARTED, 2),
        (Events.ITERATION_COMPLETED, 1),
        (Events.ITERATION_COMPLETED, 5),
        (Events.EPOCH_COMPLETED, 1),
        (Events.EPOCH_COMPLETED, 3),
        (Events.COMPLETED, 1),
    ],
    ids=str,
)
def test_a_place_that_the_iteration_tells_is_not_saved(event, count):
    """Then the state dict is what PyTorch-Ignite's engine has and takes."""
    assert {"epoch_length", "iteration", "max_epochs"} == saved_at(event, count).keys()


def test_after_the_last_iteration_of_an_epoch_its_end_is_to_come():
    """The epoch is complete when its EPOCH_COMPLETED was sent, which a resumed run does."""
    saved = saved_at(Events.ITERATION_COMPLETED, 6)
    assert {"epochs": 1, "taken": 3} == saved["place"]
    engine = Engine(nothing)
    engine.load_state_dict(saved)
    with EventRecorder(engine) as recorder:
        engine.run([0, 1, 2])
    assert [
        ("started", 1, 6),
        ("epoch_started", 2, 6),
        ("epoch_completed", 2, 6),
        ("epoch_started", 3, 6),
        ("get_batch_started", 3, 6),
    ] == recorder.sequence[:5]


@pytest.mark.parametrize("limits", [{"max_epochs": 2}, {"max_iters": 6}], ids=str)
@pytest.mark.parametrize("again", [True, False], ids=["with its limit", "without"])
def test_after_the_very_last_iteration_the_ends_are_to_come(limits, again):
    """With either limit, whether or not the program asks for it again, the step is not called."""
    engine = Engine(lambda engine, batch: pytest.fail("all iterations are made"))
    engine.load_state_dict(saved_at(Events.ITERATION_COMPLETED, 6, **limits))
    with EventRecorder(engine) as recorder:
        state = engine.run([0, 1, 2], **(limits if again else {}))
    assert ["started", "epoch_started", "epoch_completed", "completed"] == recorder.names
    assert (2, 6, "completed") == (state.epoch, state.iteration, state.stop_reason)


@pytest.mark.parametrize("limits", [{"max_epochs": 2}, {"max_iters": 6}], ids=str)
def test_a_state_that_was_saved_at_the_end_is_done(limits):
    """All that was to be told was told, so that nothing is run."""
    for event, count in ((Events.EPOCH_COMPLETED, 2), (Events.COMPLETED, 1)):
        engine = Engine(nothing)
        engine.load_state_dict(saved_at(event, count, **limits))
        with EventRecorder(engine) as recorder, pytest.warns(UserWarning, match="nothing to run"):
            engine.run([0, 1, 2], **limits)
        assert [] == recorder.names


def test_a_run_whose_last_iteration_cuts_an_epoch_is_done():
    """`max_iters` inside of an epoch leaves no epoch to be completed."""
    engine = Engine(nothing)
    engine.load_state_dict(saved_at(Events.ITERATION_COMPLETED, 5, max_iters=5))
    with EventRecorder(engine) as recorder, pytest.warns(UserWarning, match="nothing to run"):
        engine.run([0, 1, 2], max_iters=5)
    assert [] == recorder.names


def test_a_larger_limit_extends_a_run_whose_last_epoch_is_to_be_completed():
    """That epoch is completed first."""
    engine = Engine(nothing)
    engine.load_state_dict(saved_at(Events.ITERATION_COMPLETED, 6, max_iters=6))
    with EventRecorder(engine, events=[Events.EPOCH_COMPLETED, Events.ITERATION_COMPLETED]) as recorder:
        engine.run([0, 1, 2], max_iters=7)
    assert [("epoch_completed", 2, 6), ("iteration_completed", 3, 7)] == recorder.sequence


def test_a_run_that_failed_at_its_last_iteration_starts_anew_in_memory():
    """As any run that has reached its limit: only a state that was loaded is completed."""
    engine, failures = Engine(nothing), iter([ArithmeticError()])

    @engine.on(Events.ITERATION_COMPLETED(once=6))
    def fail(engine):
        for error in failures:
            raise error

    with pytest.raises(ArithmeticError):
        engine.run([0, 1, 2], max_iters=6)
    with EventRecorder(engine, events=[Events.STARTED, Events.ITERATION_COMPLETED]) as recorder:
        engine.run([0, 1, 2], max_iters=6)
    assert [("started", 0, 0), ("iteration_completed", 1, 1)] == recorder.sequence[:2]


def test_a_loaded_place_is_saved_again_before_it_is_moved():
    """What a program saves that was loaded and not run, or is at STARTED, is what it loaded."""
    saved = saved_at(Events.ITERATION_COMPLETED, 6)
    engine, kept = Engine(nothing), []
    engine.load_state_dict(saved)
    assert saved == engine.state_dict()
    engine.add_event_handler(Events.STARTED, lambda engine: kept.append(engine.state_dict()))
    engine.run([0, 1, 2])
    assert [saved] == kept


def test_what_surrounds_a_run_finds_the_place_of_that_run():
    """Not that of the last one, which was terminated inside of an epoch."""
    engine, kept = Engine(nothing), []
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), Engine.terminate)
    engine.run([0, 1, 2], max_epochs=1)
    engine.surround_runs(lambda engine: kept.append(engine.state_dict()) or contextlib.nullcontext())
    engine.run([0, 1, 2], max_epochs=1)
    assert [{"epoch_length": 3, "iteration": 0, "max_epochs": 1}] == kept


def cut_at(iteration, **limits):
    """Return a step that ends the epoch at an iteration."""
    return lambda engine, batch: engine.terminate_epoch(**limits) if engine.state.iteration == iteration else None


def test_a_requested_end_of_an_epoch_is_saved():
    """It is heeded in the run that goes on, which says how many iterations the epoch had."""
    saved = saved_at(Events.ITERATION_COMPLETED, 5, step=cut_at(5))
    assert {"epochs": 1, "taken": 2, "terminate_epoch": True} == saved["place"]
    engine = Engine(nothing)
    engine.load_state_dict(saved)
    assert saved == engine.state_dict()
    with EventRecorder(engine) as recorder:
        engine.run([0, 1, 2])
    assert ["started", "epoch_started", "terminate_single_epoch", "epoch_completed"] == recorder.names[:4]
    assert {"iter_counter": 2} == recorder.records[2].payload
    assert (3, 8) == (engine.state.epoch, engine.state.iteration)


def test_a_requested_end_may_skip_epoch_completed():
    """As it was asked for."""
    engine = Engine(nothing)
    engine.load_state_dict(saved_at(Events.ITERATION_COMPLETED, 5, step=cut_at(5, skip_epoch_completed=True)))
    with EventRecorder(engine) as recorder:
        engine.run([0, 1, 2])
    assert ["started", "epoch_started", "terminate_single_epoch", "epoch_started"] == recorder.names[:4]


def test_an_epoch_that_was_cut_short_stays_complete():
    """Its iterations are fewer than the others', which the iteration alone does not tell."""
    saved = saved_at(Events.EPOCH_COMPLETED, 1, step=cut_at(2))
    assert {"epochs": 1, "taken": 0} == saved["place"]
    engine = Engine(nothing)
    engine.load_state_dict(saved)
    assert (1, 2) == (engine.state.epoch, engine.state.iteration)
    engine.run([0, 1, 2])
    assert (3, 8) == (engine.state.epoch, engine.state.iteration)


def test_a_first_epoch_of_unknown_length_that_was_cut_stays_complete():
    """Also where the data of the resumed run tells its length."""
    saved = saved_at(Events.EPOCH_COMPLETED, 1, data=Unsized([0, 1, 2]), step=cut_at(2))
    assert (None, {"epochs": 1, "taken": 0}) == (saved["epoch_length"], saved["place"])
    engine = Engine(nothing)
    engine.load_state_dict(saved)
    engine.run([0, 1, 2])
    assert (3, 8) == (engine.state.epoch, engine.state.iteration)


# The output


class Output(NamedTuple):
    """What a step may return."""

    loss: float
    name: str


class Word(str):
    """A string of a class of its own."""

    __slots__ = ()


def endless_list():
    """Return a list that is in itself."""
    entries = [0.5]
    entries.append(entries)
    return entries


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (3, 3),
        (0.5, 0.5),
        (True, True),
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.int64(5), 5),
        (torch.tensor(0.5), torch.tensor(0.5)),
        (torch.tensor([7]), torch.tensor([7])),
        (torch.tensor(0.5, requires_grad=True), torch.tensor(0.5)),
        (torch.arange(10_000)[5], torch.tensor(5)),
        ([0.5], [0.5]),
        ({"loss": 0.5}, {"loss": 0.5}),
        ({"loss": torch.tensor(0.5), 3: ("a", [None])}, {"loss": torch.tensor(0.5), 3: ("a", [None])}),
        ({"loss": 0.5, "y_pred": torch.zeros(4, 2), (1, 2): 3}, {"loss": 0.5}),
        ({"loss": 0.5, "text": "x" * 2000, "model": object(), "norm": 2}, {"loss": 0.5, "norm": 2}),
        (OrderedDict(loss=0.5), {"loss": 0.5}),
        ((np.float64(0.5), "a", None), (0.5, "a", None)),
        (Output(0.5, "a"), (0.5, "a")),
        (Word("text"), "text"),
        ("text", "text"),
        ("", ""),
        ([], []),
        (None, None),
        (torch.arange(2), None),
        (torch.zeros(0), None),
        ((torch.tensor(0.5), torch.arange(2)), None),
        ([object()], None),
        (object(), None),
        ("x" * 2000, None),
        ([0.5] * 2000, None),
        (endless_list(), None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_the_end_of_an_epoch_tells_of_the_output_if_that_is_small(output, expected):
    """A few numbers, strings and tensors of one element are in the state, by themselves; all else is not."""
    saved = saved_at(Events.ITERATION_COMPLETED, 3, step=lambda engine, batch: output)
    engine, outputs = Engine(nothing), []
    engine.load_state_dict(saved)
    engine.add_event_handler(Events.EPOCH_COMPLETED(once=1), lambda engine: outputs.append(engine.state.output))
    engine.run([0, 1, 2])
    assert (type(expected), repr(expected)) == (type(outputs[0]), repr(outputs[0]))
    assert 10_000 > len(pickle.dumps(saved))


def test_an_output_that_is_a_dict_outlives_a_stop():
    """A handler of the epoch's end that looks into it finds it in a resumed run, too."""
    saved = saved_at(Events.ITERATION_COMPLETED, 6, step=lambda engine, batch: {"loss": engine.state.iteration})
    engine, losses = Engine(lambda engine, batch: {"loss": engine.state.iteration}), []
    engine.load_state_dict(saved)
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: losses.append(engine.state.output["loss"]))
    engine.run([0, 1, 2])
    assert [6, 9] == losses


# What is no place of its own


def test_the_length_of_an_epoch_is_what_one_pass_gave():
    """An Engine's data begins anew in a run that goes on: what came before is no part of the length."""
    saved = saved_at(Events.ITERATION_COMPLETED, 3, data=Unsized(range(5)))
    engine, ends = Engine(nothing), []
    engine.load_state_dict(saved)
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: ends.append(engine.state.iteration))
    engine.run(Unsized(range(5)))
    assert ([8, 13, 18], 5) == (ends, engine.state.epoch_length)


@pytest.mark.parametrize("kind", [Engine, DeterministicEngine])
def test_an_iterator_that_goes_on_gives_the_length_of_both_parts(kind):
    """In the same process it is not given again what it gave before a failure."""
    engine, failures = kind(nothing), iter([ArithmeticError()])

    @engine.on(Events.ITERATION_COMPLETED(once=3))
    def fail(engine):
        for error in failures:
            raise error

    data = iter(range(5))
    with pytest.raises(ArithmeticError):
        engine.run(data, max_iters=5)
    with pytest.warns(UserWarning, match="no more batches after 5 iterations"):
        engine.run(data, max_iters=7)
    assert (5, 5) == (engine.state.iteration, engine.state.epoch_length)


@pytest.mark.parametrize(("event", "at"), [(Events.ITERATION_COMPLETED, 3), (Events.EPOCH_COMPLETED, 1)], ids=str)
def test_other_data_than_that_of_the_loaded_state_is_told_of(event, at, caplog):
    """The length of its epochs stays, and a warning has both numbers."""
    engine = Engine(nothing)
    engine.load_state_dict(saved_at(event, at))
    engine.run([0, 1, 2, 3])
    assert [
        "Engine(nothing) goes on with 3 iterations an epoch, as its loaded state says, and the data has 4 batches"
    ] == [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert 9 == engine.state.iteration


@pytest.mark.parametrize(
    ("data", "limits"), [([0, 1, 2], {}), ([0, 1, 2, 3], {"epoch_length": 3}), (Unsized(range(4)), {})], ids=str
)
def test_what_fits_the_loaded_state_is_not_told_of(data, limits, caplog):
    """Neither where the length is the same, nor where it is asked for or unknown."""
    engine = Engine(nothing)
    engine.load_state_dict(saved_at(Events.ITERATION_COMPLETED, 4))
    engine.run(data, **limits)
    assert [] == [record for record in caplog.records if record.levelname == "WARNING"]


def test_a_run_in_memory_goes_on_with_other_data_in_silence(caplog):
    """Only a state that was loaded may have met the wrong data by mistake."""
    engine = Engine(nothing)
    engine.run([0, 1, 2])
    assert 6 == engine.run([0, 1, 2, 3], max_epochs=2).iteration
    assert [] == [record for record in caplog.records if record.levelname == "WARNING"]


# What is no place


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (5, "state_dict['place'] must have the keys 'epochs' and 'taken', got 5"),
        ({}, "state_dict['place'] must have the keys 'epochs' and 'taken', got {}"),
        ({"epochs": 1}, "state_dict['place'] must have the keys 'epochs' and 'taken', got {'epochs': 1}"),
        ({"epochs": -1, "taken": 0}, "state_dict['place']['epochs'] must be an integer of at least 0, got -1"),
        ({"epochs": 1, "taken": 0.5}, "state_dict['place']['taken'] must be an integer of at least 0, got 0.5"),
        (
            {"epochs": 1, "taken": 0, "terminate_epoch": 5},
            "state_dict['place']['terminate_epoch'] must be True or 'skip_epoch_completed', got 5",
        ),
    ],
    ids=str,
)
def test_a_bad_place_is_refused(place, said):
    """With what it is, before anything is changed."""
    engine = Engine(nothing)
    with pytest.raises(ValueError, match="^" + re.escape(said)):
        engine.load_state_dict({"epoch_length": 3, "iteration": 3, "max_epochs": 2, "place": place})
    assert 0 == engine.state.iteration


@every_copy
def test_a_copy_is_at_the_same_place(copied):
    """Of an engine that was loaded, and of one that has run."""
    for step in (nothing, cut_at(6)):
        saved = saved_at(Events.ITERATION_COMPLETED, 6, step=step)
        engine = Engine(nothing)
        engine.load_state_dict(saved)
        assert saved == copied(engine).state_dict()
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=8), Engine.terminate_epoch)
    engine.add_event_handler(Events.EPOCH_COMPLETED(once=3), Engine.terminate)
    engine.run([0, 1, 2])
    assert {"epochs": 3, "taken": 0} == engine.state_dict()["place"]
    assert engine.state_dict() == copied(engine).state_dict()


def nothing(engine, batch):
    pass


def test_an_epoch_whose_end_is_to_come_keeps_it_when_the_run_is_ended_at_its_start() -> None:
    """Loaded after its last iteration, terminated at STARTED and run again, the epoch is completed then."""
    states: list[Any] = []
    engine = Engine(lambda engine, batch: None)
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=6), lambda: states.append(engine.state_dict()))
    engine.run(range(3), max_epochs=4)

    resumed, ended = Engine(lambda engine, batch: None), list[tuple[int, int]]()
    resumed.load_state_dict(states[0])
    resumed.add_event_handler(
        Events.EPOCH_COMPLETED, lambda: ended.append((resumed.state.epoch, resumed.state.iteration))
    )
    with resumed.add_event_handler(Events.STARTED, lambda: resumed.terminate()):
        resumed.run(range(3))
    resumed.run(range(3))
    assert [(2, 6), (3, 9), (4, 12)] == ended
