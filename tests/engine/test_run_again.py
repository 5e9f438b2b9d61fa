"""An engine that runs again starts anew when it is done, and goes on from its state when it is not."""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import pickle
import warnings
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals import engine as ours
from ignite_signals.engine import Engine, EventEnum, Events, State
from ignite_signals.testing import EventRecorder

DATA = [0, 1, 2]
MILESTONES = [
    Events.STARTED,
    Events.EPOCH_STARTED,
    Events.ITERATION_COMPLETED,
    Events.EPOCH_COMPLETED,
    Events.COMPLETED,
]


class Mine(EventEnum):
    """Events of a user's own."""

    FIRST = "first"
    SECOND = "second"


def echo(engine, batch):
    return batch


def milestones(engine, data=DATA, **limits):
    """Run, and return the sequence of the milestones."""
    with EventRecorder(engine, events=MILESTONES) as recorder:
        engine.run(data, **limits)
    return recorder.sequence


def epochs(first, last, iteration=None, taken=0, length=3):
    """Return the milestones of a run from one epoch to another, of which the first may have begun."""
    iteration = (first - 1) * length + taken if iteration is None else iteration
    sequence = [("started", first - 1, iteration)]
    for epoch in range(first, last + 1):
        sequence.append(("epoch_started", epoch, iteration))
        for _ in range(length - taken):
            iteration += 1
            sequence.append(("iteration_completed", epoch, iteration))
        sequence.append(("epoch_completed", epoch, iteration))
        taken = 0
    return [*sequence, ("completed", last, iteration)]


def once(engine, event, count, act):
    """Act at one count of an event, and never again."""
    heard = []

    def at_the_first(engine):
        if not heard:
            heard.append(True)
            act(engine)

    engine.add_event_handler(event(once=count), at_the_first)


def fail(engine):
    raise ArithmeticError


def broken_off(act, event=Events.ITERATION_COMPLETED, count=2, data=DATA, **limits):
    """Return an engine whose first run ended by `act` at an event, and its state."""
    engine = Engine(echo)
    once(engine, event, count, act)
    try:
        engine.run(data, **(limits or {"max_epochs": 3}))
    except ArithmeticError:
        assert act is fail
    return engine


# Done


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"max_epochs": 2}, {"max_epochs": 2}, epochs(1, 2)),
        ({"max_epochs": 2}, {"max_epochs": 1}, epochs(1, 1)),
        ({"max_epochs": 2}, {}, epochs(1, 1)),
        ({}, {"max_epochs": 1}, epochs(1, 1)),
        ({"max_epochs": 2}, {"max_epochs": 4}, epochs(3, 4)),
        ({"max_epochs": 2}, {"max_iters": 3}, epochs(1, 1)),
        ({"max_epochs": 2}, {"max_iters": 9}, epochs(1, 3)),
        ({"max_iters": 6}, {"max_iters": 6}, epochs(1, 2)),
        ({"max_iters": 6}, {"max_iters": 3}, epochs(1, 1)),
        ({"max_iters": 6}, {"max_iters": 12}, epochs(3, 4)),
        ({"max_iters": 6}, {"max_epochs": 4}, epochs(1, 4)),
        ({"max_iters": 6}, {}, epochs(1, 1)),
    ],
    ids=str,
)
def test_an_engine_that_is_done_starts_anew_unless_a_larger_limit_extends_the_run(first, second, expected):
    """Done, it takes whatever limits it is given; a larger one of the same unit goes on where it ended."""
    engine = Engine(echo)
    engine.run(DATA, **first)
    assert expected == milestones(engine, **second)
    assert "completed" == engine.state.stop_reason


@given(limits=st.lists(st.integers(1, 5), min_size=2, max_size=4, unique=True).map(sorted), n=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_a_run_extended_step_by_step_equals_one_run(limits, n):
    """Whatever the limits on the way, the events in the epochs are those of a run to the last of them."""
    engine, data = Engine(echo), range(n)
    parts = [milestones(engine, data, max_epochs=limit) for limit in limits]
    inner = [event for part in parts for event in part[1:-1]]
    assert epochs(1, limits[-1], length=n)[1:-1] == inner


@given(limits=st.lists(st.integers(1, 9), min_size=2, max_size=4, unique=True).map(sorted), n=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_a_run_extended_by_iterations_counts_every_iteration_once(limits, n):
    """However often `max_iters` is raised, each iteration is run once, and the batches go with them."""
    engine = Engine(echo)
    with EventRecorder(engine, events=[Events.ITERATION_COMPLETED]) as recorder:
        for limit in limits:
            engine.run(range(n), max_iters=limit)
    assert list(range(1, limits[-1] + 1)) == [record.iteration for record in recorder]


def test_a_new_start_takes_the_length_of_the_new_data():
    """Nothing of the last run's data is left in the next."""
    engine = Engine(echo)
    engine.run(DATA)
    assert epochs(1, 1, length=5) == milestones(engine, range(5), max_epochs=1)
    assert epochs(1, 1, length=4) == milestones(engine, DATA, epoch_length=4)


def test_an_extended_run_has_whole_epochs_after_one_that_was_cut():
    """How many iterations a cut epoch had does not move the epochs that come after it."""
    engine = broken_off(Engine.terminate_epoch, max_epochs=2)
    assert (2, 5) == (engine.state.epoch, engine.state.iteration)
    assert epochs(3, 4, iteration=5) == milestones(engine, max_epochs=4)


def test_a_new_start_has_fresh_metrics():
    """What one evaluation returned is not overwritten by the next."""
    evaluator = Engine(echo)
    evaluator.add_event_handler(Events.COMPLETED, lambda engine: engine.state.metrics.update(last=engine.state.output))
    kept = [evaluator.run(data).metrics for data in ([1], [2], [3])]
    assert [{"last": 1}, {"last": 2}, {"last": 3}] == kept


@pytest.mark.parametrize(
    ("engine", "limits"),
    [
        (broken_off(Engine.interrupt), {}),
        (broken_off(Engine.terminate), {}),
        (broken_off(fail), {}),
        (broken_off(lambda engine: None), {"max_epochs": 5}),
    ],
    ids=["interrupted", "terminated", "failed", "extended"],
)
def test_a_run_that_goes_on_keeps_its_metrics(engine, limits):
    """Only a new start has a new dict."""
    metrics = engine.state.metrics
    assert metrics is engine.run(DATA, **limits).metrics


def test_a_new_start_forgets_batch_and_output():
    """At STARTED nothing is left of what the last run saw."""
    engine, seen = Engine(echo), []
    engine.add_event_handler(Events.STARTED, lambda engine: seen.append((engine.state.batch, engine.state.output)))
    engine.run(DATA)
    engine.run(DATA)
    assert [(None, None)] * 2 == seen


# Not done


@pytest.mark.parametrize("limits", [{}, {"max_epochs": 3}, {"max_epochs": 5}], ids=str)
def test_a_terminated_engine_goes_on_with_the_next_epoch(limits):
    """The epoch that was cut is given up; the run goes on to its limit, or a larger one."""
    engine = broken_off(Engine.terminate)
    assert epochs(2, limits.get("max_epochs", 3), iteration=2) == milestones(engine, **limits)


@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize("event", [Events.ITERATION_STARTED, Events.ITERATION_COMPLETED])
def test_a_failed_engine_goes_on_with_the_next_iteration_of_its_epoch(count, event):
    """The iteration that failed is counted; the epoch is entered again and completed."""
    engine = broken_off(fail, event, count)
    number, taken = divmod(count, 3)
    assert epochs(number + 1, 3, taken=taken) == milestones(engine)


@given(n=st.integers(1, 4), failing=st.sets(st.integers(1, 12), max_size=6))
@settings(max_examples=60, deadline=None)
def test_however_often_a_run_fails_each_iteration_is_run_once(n, failing):
    """Run again and again, an engine that fails at any iterations but the last epoch's does what it was asked for."""
    limit = max(failing, default=0) // n + 2
    started = []
    left = set(failing)

    def step(engine, batch):
        started.append(engine.state.iteration)
        if engine.state.iteration in left:
            left.discard(engine.state.iteration)
            raise ArithmeticError

    engine = Engine(step)
    while engine.state.stop_reason != "completed":
        with contextlib.suppress(ArithmeticError):
            engine.run(range(n), max_epochs=limit)
    assert list(range(1, n * limit + 1)) == started
    assert limit == engine.state.epoch


@pytest.mark.parametrize("event", [Events.ITERATION_STARTED, Events.ITERATION_COMPLETED])
@pytest.mark.parametrize("copied", [False, True])
def test_a_failure_in_the_last_iteration_of_an_epoch_costs_no_iteration_too_many(event, copied):
    """All batches of that epoch were taken, so that none is left to take when the run goes on."""
    engine = broken_off(fail, event, 3)
    if copied:
        state, engine = engine.state_dict(), Engine(echo)
        engine.load_state_dict(state)
    sequence = milestones(engine)
    assert (3, 9) == (engine.state.epoch, engine.state.iteration)
    assert [4, 5, 6, 7, 8, 9] == [iteration for name, _, iteration in sequence if name == "iteration_completed"]


@pytest.mark.parametrize("act", [fail, Engine.terminate], ids=["failed", "terminated"])
@pytest.mark.parametrize("event", [Events.EPOCH_STARTED, Events.EPOCH_COMPLETED])
def test_what_broke_off_between_two_epochs_goes_on_there(act, event):
    """An epoch that had not begun is run whole, one that had ended is not run again."""
    engine = broken_off(act, event, 2)
    iterations = [iteration for name, _, iteration in milestones(engine) if name == "iteration_completed"]
    expected = {Events.EPOCH_STARTED: 4, Events.EPOCH_COMPLETED: 7}[event]
    assert expected == iterations[0]
    assert "completed" == engine.state.stop_reason


@pytest.mark.parametrize("act", [fail, Engine.terminate], ids=["failed", "terminated"])
def test_an_engine_that_broke_off_at_started_runs_everything(act):
    """Nothing had been done, so that nothing is missing."""
    engine = broken_off(act, Events.STARTED, 1)
    assert epochs(1, 3) == milestones(engine)


@pytest.mark.parametrize("act", [fail, Engine.terminate], ids=["failed", "terminated"])
def test_an_engine_that_broke_off_in_its_last_epoch_counts_as_done(act):
    """The state has reached all epochs, so that the next run starts anew, as Ignite's rule says."""
    engine = broken_off(act, Events.ITERATION_COMPLETED, 8)
    assert epochs(1, 3) == milestones(engine, max_epochs=3)


@pytest.mark.parametrize("act", [Engine.interrupt, Engine.terminate, fail], ids=["interrupted", "terminated", "failed"])
@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (
            {"max_epochs": 1},
            "max_epochs must be at least the epoch of the run that goes on, 2, got 1: give more, or call reset()",
        ),
        (
            {"max_iters": 20},
            "max_iters=20 cannot limit a run that goes on and has max_epochs=3: give max_epochs, or call reset()",
        ),
        ({"epoch_length": 4}, "epoch_length must stay 3 in a run that goes on, got 4: leave it out, or call reset()"),
    ],
    ids=str,
)
def test_limits_that_a_run_cannot_go_on_with_are_refused(act, limits, said):
    """The error names argument, value and remedy, nothing ran before, and the remedy works."""
    engine = broken_off(act, count=5)
    before = repr(engine.state)
    with EventRecorder(engine) as recorder, pytest.raises(ValueError, match="run that goes on") as raised:
        engine.run(DATA, **limits)
    assert str(raised.value).startswith(said)
    assert ([], before) == (recorder.sequence, repr(engine.state))
    engine.reset()
    assert ("completed", 1) == (engine.run(DATA, max_epochs=1).stop_reason, engine.state.epoch)


@pytest.mark.parametrize("act", [Engine.terminate, fail], ids=["terminated", "failed"])
def test_max_iters_below_the_iteration_is_refused_where_the_run_goes_on(act):
    """Iterations that were done cannot be undone; with max_epochs the unit does not fit."""
    engine = broken_off(act, count=5, max_iters=9)
    with pytest.raises(ValueError, match="max_iters must be at least the iteration of the run that goes on, 5, got 4"):
        engine.run(DATA, max_iters=4)
    with pytest.raises(ValueError, match="max_epochs=7 cannot limit a run that goes on and has max_iters=9"):
        engine.run(DATA, max_epochs=7)
    assert 9 == engine.run(DATA).iteration


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"data": []}, ValueError, "data must not be empty, got the list"),
        ({"data": 5}, TypeError, "data must be iterable, .*got 5"),
        ({"data": DATA, "max_epochs": 0}, ValueError, "max_epochs must be a positive integer, got 0"),
    ],
    ids=str,
)
@pytest.mark.parametrize("act", [Engine.interrupt, Engine.terminate, fail], ids=["interrupted", "terminated", "failed"])
def test_bad_data_is_refused_before_a_run_goes_on(act, arguments, error, said):
    """Neither the state nor its limits are changed by a run that is refused."""
    engine = broken_off(act)
    before = repr(engine.state)
    with EventRecorder(engine) as recorder, pytest.raises(error, match=said):
        engine.run(**({"max_epochs": 9} | arguments))
    assert ([], before) == (recorder.sequence, repr(engine.state))
    assert 3 == engine.run(DATA).epoch


def test_an_exhausted_run_goes_on_with_other_data():
    """It was not done, and goes on from its state when there are batches again."""
    engine = Engine(echo)
    with pytest.warns(UserWarning, match="after 4 iterations of 9"):
        engine.run(iter(range(4)), max_epochs=3, epoch_length=3)
    assert ("exhausted", 2, 4) == (engine.state.stop_reason, engine.state.epoch, engine.state.iteration)
    assert epochs(3, 3, iteration=4) == milestones(engine)


# Forgetting


@pytest.mark.parametrize(
    "forget",
    [
        Engine.reset,
        lambda engine: setattr(engine.state, "max_epochs", None),
        lambda engine: setattr(engine, "state", State()),
    ],
    ids=["reset", "max_epochs", "state"],
)
@pytest.mark.parametrize(
    "act",
    [Engine.interrupt, Engine.terminate, fail, lambda engine: None],
    ids=["interrupted", "terminated", "failed", "done"],
)
def test_progress_can_be_forgotten(forget, act):
    """After `reset()`, `state.max_epochs = None` or with a new state, the next run is a whole one."""
    engine = broken_off(act)
    forget(engine)
    assert epochs(1, 2) == milestones(engine, max_epochs=2)


@pytest.mark.parametrize("forget", [Engine.reset, lambda engine: setattr(engine.state, "max_epochs", None)])
def test_a_loaded_state_can_be_forgotten(forget):
    """What was loaded as done does not keep the engine from starting anew."""
    engine = Engine(echo)
    engine.load_state_dict({"epoch": 2, "max_epochs": 2, "epoch_length": 3})
    forget(engine)
    assert epochs(1, 2) == milestones(engine, max_epochs=2)


def test_reset_keeps_handlers_and_counts():
    """It forgets the progress and nothing else."""
    engine = Engine(lambda engine, batch: engine.fire_event(Mine.FIRST))
    engine.register_events(*Mine)
    calls = []
    engine.add_event_handler(Events.COMPLETED, lambda: calls.append(1))
    engine.run(DATA)
    engine.reset()
    assert (0, 0, None, None, None) == tuple(
        getattr(engine.state, name) for name in ("epoch", "iteration", "max_epochs", "max_iters", "epoch_length")
    )
    assert (3, 1) == (engine.state.first, engine.state.completed)
    engine.run(DATA)
    assert [1, 1] == calls


def test_reset_lets_go_of_an_interrupted_run_at_once():
    """The iterator over its data, which may hold workers, is not kept until the next run; nor are requests."""

    def batches():
        yield from DATA

    data = batches()
    gone = weakref.ref(data)
    engine = Engine(echo)
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=1), Engine.interrupt)
    engine.run(data, epoch_length=3)
    engine.terminate()
    engine.state.dataloader = None
    del data
    assert gone() is not None
    engine.reset()
    assert (None, False) == (gone(), engine.should_terminate)


def test_reset_is_refused_in_a_run():
    """The error says what to do instead."""
    engine = Engine(lambda engine, batch: engine.reset())
    with pytest.raises(RuntimeError, match=r"is running: call terminate\(\) and reset it after the run"):
        engine.run(DATA)
    assert (1, 1, 1) == (engine.state.epoch, engine.state.iteration, engine.state.max_epochs)


# Another state


@pytest.mark.parametrize(
    "act",
    [None, Engine.interrupt, Engine.terminate, fail, lambda engine: None],
    ids=["fresh", "interrupted", "terminated", "failed", "done"],
)
@pytest.mark.parametrize("taken", [0, 2])
def test_a_replaced_state_is_what_the_next_run_goes_by(act, taken):
    """Whatever the engine did before, it goes on from the state that it is given."""
    engine = Engine(echo) if act is None else broken_off(act)
    engine.state = State(epoch=1, iteration=3 + taken, max_epochs=3, epoch_length=3, best=0.5)
    assert epochs(2, 3, taken=taken) == milestones(engine)
    assert 0.5 == engine.state.best


def test_counts_start_anew_with_a_new_state():
    """Counts belong to the state; filters go by those of the state that the engine has."""
    engine, heard = Engine(echo), []
    engine.add_event_handler(Events.COMPLETED(every=2), lambda engine: heard.append(engine.state.completed))
    for _ in range(3):
        engine.run(DATA)
    engine.state = State()
    for _ in range(2):
        engine.run(DATA)
    assert [2, 2] == heard


def test_counts_go_on_from_run_to_run():
    """Only epoch and iteration start anew: every second evaluation is every second run."""
    engine, heard = Engine(echo), []
    engine.add_event_handler(Events.COMPLETED(every=2), lambda engine: heard.append(engine.state.completed))
    for _ in range(5):
        engine.run(DATA)
    assert [2, 4] == heard
    assert (5, 1, 3) == (engine.state.started, engine.state.epoch, engine.state.iteration)


# Like Ignite


def play_ignite_or_ours(library, act, count, first, second):
    log = []
    engine = library.Engine(lambda engine, batch: batch)
    asked = []

    def ask(engine):
        if not asked and engine.state.iteration == count:
            asked.append(True)
            getattr(engine, act)()

    for event in MILESTONES:

        def record(engine, name=event.name):
            log.append((name, engine.state.epoch, engine.state.iteration))

        engine.add_event_handler(getattr(library.Events, event.name), record)
    engine.add_event_handler(library.Events.ITERATION_COMPLETED, ask)
    for limits in (first, second):
        engine.run(DATA, **limits)
        log.append("returned")
    return log


@pytest.mark.parametrize("act", ["terminate", "interrupt"])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        *itertools.product([{"max_epochs": 2}], [{}, {"max_epochs": 2}, {"max_epochs": 4}]),
        *itertools.product([{"max_iters": 5}], [{}, {"max_iters": 5}, {"max_iters": 8}]),
    ],
    ids=str,
)
def test_running_again_gives_the_milestones_that_ignite_gives(act, first, second):
    """Whatever ended the first run, the second one begins and ends where Ignite's does."""
    peer = pytest.importorskip("ignite.engine")
    logging.getLogger("ignite").setLevel(logging.CRITICAL)
    # Where max_iters ended the first run inside an epoch, Ignite begins another epoch; here that one is completed.
    for count in (1, 2, 3, 4, 5, *([] if second == {"max_iters": 8} else [None])):
        assert play_ignite_or_ours(peer, act, count, first, second) == play_ignite_or_ours(
            ours, act, count, first, second
        ), count


# State dicts


@given(
    n=st.integers(1, 4),
    max_epochs=st.integers(1, 4),
    where=st.integers(0, 15),
    as_epoch=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_a_loaded_state_goes_on_where_it_was_saved(n, max_epochs, where, as_epoch):
    """For any length and any moment, another engine runs what is missing, and nothing twice."""
    done = where % (n * max_epochs)
    if as_epoch:
        done -= done % n
    saved = {"epoch_length": n, "max_epochs": max_epochs, **({"epoch": done // n} if as_epoch else {"iteration": done})}
    engine = Engine(echo)
    engine.load_state_dict(saved)
    assert epochs(done // n + 1, max_epochs, taken=done % n, length=n) == milestones(engine, range(n))


def test_a_state_saved_in_mid_run_is_taken_up_by_another_engine():
    """What a handler saves is what the other engine goes on from; both end alike."""
    engine, saved = Engine(echo), []
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=4), lambda engine: saved.append(engine.state_dict()))
    engine.run(DATA, max_epochs=3)
    assert [{"epoch_length": 3, "iteration": 4, "max_epochs": 3}] == saved
    other = Engine(echo)
    other.load_state_dict(saved[0])
    assert epochs(2, 3, taken=1) == milestones(other)
    assert engine.state_dict() == other.state_dict()


def test_a_run_to_max_iters_is_saved_and_loaded():
    """The limit is saved in its own unit."""
    engine, other = broken_off(Engine.terminate, max_iters=7), Engine(echo)
    saved = engine.state_dict()
    assert {"epoch_length": 3, "iteration": 2, "max_iters": 7} == saved
    other.load_state_dict(saved)
    state = other.run(DATA)
    assert (7, 7, None) == (state.iteration, state.max_iters, state.max_epochs)


def test_the_state_of_an_interrupted_run_is_saved_and_loaded():
    """An interrupted run goes on in another process from what was saved."""
    engine, other = broken_off(Engine.interrupt, count=4), Engine(echo)
    other.load_state_dict(pickle.loads(pickle.dumps(engine.state_dict())))
    assert epochs(2, 3, taken=1) == milestones(other)


@pytest.mark.parametrize("saved", [{"epoch": 2}, {"iteration": 6}], ids=str)
def test_a_state_that_is_loaded_as_done_runs_nothing_and_says_so(saved):
    """It neither trains from zero nor ends in silence; the warning says what to do."""
    engine = Engine(echo)
    engine.load_state_dict({"max_epochs": 2, "epoch_length": 3} | saved)
    with EventRecorder(engine) as recorder, pytest.warns(UserWarning, match="nothing to run") as caught:
        state = engine.run(DATA, max_epochs=2)
    assert ([], 2, 6, "completed") == (recorder.sequence, state.epoch, state.iteration, state.stop_reason)
    message = str(caught[0].message)
    for said in ("epoch 2", "iteration 6", "larger max_epochs", "reset()"):
        assert said in message
    assert __file__ == caught[0].filename


def test_a_state_that_is_loaded_as_done_can_be_extended():
    """With a larger limit the run goes on behind what was done."""
    engine = Engine(echo)
    engine.load_state_dict({"epoch": 2, "max_epochs": 2, "epoch_length": 3})
    assert epochs(3, 4) == milestones(engine, max_epochs=4)
    assert epochs(1, 1) == milestones(engine)


def test_the_state_of_an_engine_that_never_ran_starts_anew():
    """There is no progress in it, so that nothing is done and nothing is missing."""
    engine = Engine(echo)
    engine.load_state_dict(Engine(echo).state_dict())
    assert epochs(1, 2) == milestones(engine, max_epochs=2)


def test_the_state_of_a_run_without_a_known_length_is_loaded():
    """Where the length of an epoch is not known, the iteration is; the data tells the length."""
    engine = Engine(echo)
    engine.load_state_dict({"epoch_length": None, "iteration": 4, "max_iters": 6})
    state = engine.run(DATA)
    assert (6, 3) == (state.iteration, state.epoch_length)


def custom(engine):
    engine.register_events(*Mine, event_to_attr={Mine.SECOND: "seconds"})
    return engine


def test_counts_of_custom_events_are_saved_and_restored():
    """Counts of the engine's own and counts that the user moves; those of built-in events are not."""
    engine, other = custom(Engine(echo)), custom(Engine(echo))
    for _ in range(3):
        engine.fire_event(Mine.FIRST)
    engine.state.seconds = 5
    engine.run(DATA)
    saved = engine.state_dict()
    assert {"first": 3, "second": 5} == saved["counters"]
    other.load_state_dict(saved)
    assert (3, 5) == (other.state.first, other.state.seconds)
    heard = []
    other.add_event_handler(Mine.FIRST(every=2), lambda engine: heard.append(engine.state.first))
    other.fire_event(Mine.FIRST)
    assert [4] == heard
    assert "counters" not in Engine(echo).state_dict()


def test_a_count_that_is_absent_is_zero():
    """A state dict of before the event was there, or of Ignite, has no count for it."""
    engine = custom(Engine(echo))
    engine.fire_event(Mine.FIRST)
    engine.state.first = 7
    engine.state.seconds = 5
    engine.load_state_dict({"epoch": 1, "max_epochs": 2, "epoch_length": 3})
    assert (0, 0) == (engine.state.first, engine.state.seconds)
    engine.load_state_dict({"epoch": 1, "max_epochs": 2, "epoch_length": 3, "counters": {"second": 4, "gone": 9}})
    assert (0, 4) == (engine.state.first, engine.state.seconds)


def test_user_keys_are_saved_and_restored():
    """Attributes named in `state_dict_user_keys` go along."""
    engine, other = Engine(echo), Engine(echo)
    for each in (engine, other):
        each.state_dict_user_keys += ["alpha", "beta"]
    engine.state.alpha, engine.state.beta = 0.5, [1]
    engine.run(DATA)
    saved = engine.state_dict()
    assert {"epoch_length": 3, "iteration": 3, "max_epochs": 1, "alpha": 0.5, "beta": [1]} == saved
    other.load_state_dict(saved)
    assert (0.5, [1], 1) == (other.state.alpha, other.state.beta, other.state.epoch)


def test_metrics_that_are_plain_data_are_saved_and_restored():
    """A handler of the resumed run may read what an earlier epoch has written; what is no plain data stays behind."""
    metrics = {
        "loss": 0.5,
        "count": 3,
        "best": True,
        "name": "a",
        "by class": {"0": 0.25, "1": [1]},
        "precise": np.float64(0.5),
        "short": np.float32(0.25),
        "matrix": torch.eye(2),
        "one": torch.arange(9)[4],
        "array": np.ones(2),
        "list": [1],
        "model": torch.nn.ReLU(),
        "none": None,
    }
    engine, other = Engine(echo), Engine(echo)
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: engine.state.metrics.update(metrics))
    engine.run(DATA, max_epochs=2)
    file = io.BytesIO()
    torch.save(engine.state_dict(), file)
    assert 4000 > len(file.getvalue())
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    restored = other.state.metrics
    torch.testing.assert_close(torch.eye(2), restored.pop("matrix"), rtol=0, atol=0)
    assert repr(torch.tensor(4)) == repr(restored.pop("one"))
    assert {
        "loss": 0.5,
        "count": 3,
        "best": True,
        "name": "a",
        "by class": {"0": 0.25},
        "precise": 0.5,
        "short": 0.25,
    } == restored
    assert {float} == {type(restored[name]) for name in ("precise", "short")}


def test_metrics_that_were_saved_do_not_move():
    """What was saved is a copy, and so is what was loaded; a state dict without any leaves those that there are."""
    engine, other = Engine(echo), Engine(echo)
    engine.state.metrics["value"] = torch.zeros(2)
    saved = engine.state_dict()
    engine.state.metrics["value"] += 1
    assert [0, 0] == saved["metrics"]["value"].tolist()
    other.load_state_dict(saved)
    other.state.metrics["more"] = 1
    assert ["value"] == list(saved["metrics"])
    other.load_state_dict({"epoch_length": 3, "iteration": 3, "max_epochs": 2})
    assert ["value", "more"] == list(other.state.metrics)
    assert "metrics" not in Engine(echo).state_dict()


def test_a_handler_of_the_resumed_run_finds_the_metrics_of_the_run_before():
    """Also where only the end of an epoch is to come, at which no metric of an iteration is written."""

    def program():
        engine, seen = Engine(echo), []
        engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: engine.state.metrics.update(last=seen))
        engine.add_event_handler(Events.ITERATION_COMPLETED(every=2), write)
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: seen.append(engine.state.metrics["loss"]))
        return engine, seen

    def write(engine):
        engine.state.metrics["loss"] = engine.state.iteration / 8

    (straight, expected), saved = program(), []
    straight.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: saved.append(engine.state_dict()))
    straight.run(DATA, max_epochs=3)
    assert [0.25, 0.75, 1.0] == expected
    for done, state in enumerate(saved, 1):
        resumed, seen = program()
        resumed.load_state_dict(state)
        resumed.run(DATA)
        assert expected[(done - 1) // 3 :] == seen


GOOD = {"epoch_length": 3, "max_epochs": 5, "iteration": 4, "alpha": 1}


def without(*keys, **more):
    return {key: value for key, value in GOOD.items() if key not in keys} | more


@pytest.mark.parametrize(
    ("saved", "error", "said"),
    [
        (5, TypeError, "state_dict must be a mapping, as engine.state_dict() returns, got 5"),
        (None, TypeError, "state_dict must be a mapping"),
        ([("epoch", 3)], TypeError, "state_dict must be a mapping"),
        ({}, ValueError, "state_dict must have the keys 'epoch_length', 'alpha', got []"),
        (without("alpha"), ValueError, "state_dict must have the keys 'alpha', got"),
        (without("epoch_length"), ValueError, "state_dict must have the keys 'epoch_length', got"),
        (
            without("max_epochs"),
            ValueError,
            "state_dict must have exactly one of 'max_epochs' and 'max_iters', got neither",
        ),
        (without("iteration"), ValueError, "state_dict must have exactly one of 'iteration' and 'epoch', got neither"),
        (
            without(max_iters=9),
            ValueError,
            "state_dict must have exactly one of 'max_epochs' and 'max_iters', got max_epochs and max_iters",
        ),
        (
            without(epoch=1),
            ValueError,
            "state_dict must have exactly one of 'iteration' and 'epoch', got iteration and epoch",
        ),
        (without(iteration=-1), ValueError, "state_dict['iteration'] must be an integer of at least 0, got -1"),
        (without(iteration=None), ValueError, "state_dict['iteration'] must be an integer of at least 0, got None"),
        (without("iteration", epoch="2"), ValueError, "state_dict['epoch'] must be an integer of at least 0, got '2'"),
        (without(epoch_length=0), ValueError, "state_dict['epoch_length'] must be a positive integer, got 0"),
        (without(max_epochs=True), ValueError, "state_dict['max_epochs'] must be a positive integer, got True"),
        (
            without("max_epochs", max_iters=1.5),
            ValueError,
            "state_dict['max_iters'] must be a positive integer, got 1.5",
        ),
        (
            without("iteration", epoch=1, epoch_length=None),
            ValueError,
            "state_dict['epoch_length'] must be an integer where 'epoch' is given, got None",
        ),
        (without(attached=5), TypeError, "state_dict['attached'] must map names to states, got 5"),
        (without(metrics=5), TypeError, "state_dict['metrics'] must map names to values, got 5"),
        (without(place=5), ValueError, "state_dict['place'] must have the keys 'epochs' and 'taken', got 5"),
        (without(counters=5), (TypeError, ValueError), "state_dict['counters']"),
        (without(counters={"first": "a"}), (TypeError, ValueError), "state_dict['counters']"),
        (without(counters={"first": -1}), (TypeError, ValueError), "state_dict['counters']"),
        (without(counters={"first": 1, "second": None}), (TypeError, ValueError), "state_dict['counters']"),
    ],
    ids=str,
)
def test_a_bad_state_dict_is_refused_as_a_whole(saved, error, said):
    """The error names key and value, and of a dict that is refused nothing is taken up."""
    engine = custom(Engine(echo))
    engine.state_dict_user_keys.append("alpha")
    engine.state.alpha = 3
    engine.run(DATA)
    before = repr(engine.state), engine.state_dict()
    with pytest.raises(error) as raised:
        engine.load_state_dict(saved)
    assert str(raised.value).startswith(said)
    assert before == (repr(engine.state), engine.state_dict())
    engine.load_state_dict(GOOD | {"counters": {}})
    assert (4, 1) == (engine.state.iteration, engine.state.alpha)


def test_loading_gives_up_an_interrupted_run():
    """What was loaded counts, not what was paused; nothing is emitted by that."""
    engine = broken_off(Engine.interrupt, count=5)
    with EventRecorder(engine) as recorder:
        engine.load_state_dict({"epoch": 1, "max_epochs": 2, "epoch_length": 3})
    assert [] == recorder.sequence
    assert epochs(2, 2) == milestones(engine)


def test_a_loaded_state_keeps_to_its_unit():
    """A limit in another unit, or another length of the epoch, is refused while there is a way to go."""
    engine = Engine(echo)
    engine.load_state_dict({"epoch": 1, "max_epochs": 2, "epoch_length": 3})
    for limits in ({"max_iters": 9}, {"epoch_length": 5}):
        with pytest.raises(ValueError, match="run that goes on"):
            engine.run(DATA, **limits)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert epochs(2, 2) == milestones(engine)


# What goes on agrees with what was never stopped


@pytest.mark.parametrize("again", ["in memory", "loaded"])
def test_a_run_that_max_iters_ended_inside_an_epoch_is_extended_to_complete_it(again):
    """The epochs of both parts are those of a run that had the larger limit at once."""
    engine, data = Engine(echo), range(5)
    engine.run(data, max_iters=3)
    if again == "loaded":
        saved = engine.state_dict()
        engine = Engine(echo)
        engine.load_state_dict(saved)
    with EventRecorder(engine, events=[Events.EPOCH_STARTED, Events.EPOCH_COMPLETED]) as recorder:
        engine.run(data, max_iters=8)
    assert [("epoch_started", 1, 3), ("epoch_completed", 1, 5), ("epoch_started", 2, 5)] == recorder.sequence
    assert (2, 8) == (engine.state.epoch, engine.state.iteration)


def test_a_loaded_iteration_finds_its_epoch_once_the_length_is_known():
    """A state that was saved before the length of an epoch was known makes no iteration too many."""
    engine = Engine(echo)
    engine.load_state_dict({"iteration": 7, "max_epochs": 5, "epoch_length": None})
    engine.run(range(5))
    assert (5, 25) == (engine.state.epoch, engine.state.iteration)


def test_a_state_may_be_loaded_at_started():
    """A handler of STARTED that loads a state decides where the run begins."""
    engine = Engine(echo)
    saved = {"iteration": 4, "max_epochs": 3, "epoch_length": 3}
    engine.add_event_handler(Events.STARTED, lambda engine: engine.load_state_dict(saved))
    with EventRecorder(engine, events=[Events.EPOCH_STARTED, Events.EPOCH_COMPLETED]) as recorder:
        engine.run(range(3))
    assert [("epoch_started", 2, 4), ("epoch_completed", 2, 6), ("epoch_started", 3, 6)] == recorder.sequence[:3]
    assert 9 == engine.state.iteration


def test_a_state_cannot_be_loaded_in_mid_run():
    """Beyond STARTED the loop has its place in the data, which a state dict does not tell."""
    engine = Engine(echo)
    saved = {"iteration": 4, "max_epochs": 3, "epoch_length": 3}
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: engine.load_state_dict(saved))
    with pytest.raises(RuntimeError, match="is running: load a state before the run, or at STARTED"):
        engine.run(range(3))
    assert 1 == engine.state.iteration


def test_events_that_share_an_attribute_restore_its_count():
    """An event whose count was not saved leaves that of its neighbour alone."""
    engine = Engine(echo)
    engine.register_events("a", "b", event_to_attr={"a": "tokens", "b": "tokens"})
    engine.load_state_dict({"iteration": 0, "max_epochs": 1, "epoch_length": 3, "counters": {"a": 7}})
    assert 7 == engine.state.tokens


def test_a_state_dict_may_hold_integers_of_numpy():
    """They are kept as Python's."""
    engine = Engine(echo)
    engine.load_state_dict({"iteration": np.int64(3), "max_epochs": np.int64(2), "epoch_length": 3})
    assert (3, 2, int) == (engine.state.iteration, engine.state.max_epochs, type(engine.state.iteration))
