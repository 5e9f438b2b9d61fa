"""A run stops where it is asked to, in order, and an interrupted one goes on as if nothing had been."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import pickle
import signal
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals import engine as ours
from ignite_signals.engine import Engine, Events, StopReason
from ignite_signals.testing import EventRecorder

LIMITS = {"max_epochs": 2}
MOVING = [Events.ITERATION_STARTED, Events.ITERATION_COMPLETED, Events.EPOCH_STARTED, Events.EPOCH_COMPLETED]


class Unsized:
    """Data that can be iterated again and again, but does not tell its length."""

    def __init__(self, n) -> None:
        self.n = n

    def __iter__(self):
        return iter(range(self.n))


class Moments:
    """Hear every event of an engine, number the occurrences from 0, and act at some of them."""

    def __init__(self, engine, act, *chosen) -> None:
        self.act, self.chosen, self.number = act, chosen, -1
        for event in Events:
            engine.signal(event).connect(self.hear, weak=False)

    def hear(self, engine, **payload):
        self.number += 1
        if self.number in self.chosen:
            self.act(engine)


def echo(engine, batch):
    return batch


def run_with(act, *moments, data=(0, 1), **limits):
    """Run with `act` done at these events; return the engine and the sequence."""
    engine = Engine(echo)
    with EventRecorder(engine) as recorder:
        Moments(engine, act, *moments)
        engine.run(data, **(limits or LIMITS))
    return engine, recorder.sequence


PLAIN = run_with(None)[1]
OVER = len(PLAIN) - 1  # the moment of COMPLETED
BEFORE_THE_END = range(OVER)
NAMED = {moment: f"{moment}-{name}-{epoch}-{iteration}" for moment, (name, epoch, iteration) in enumerate(PLAIN)}


def at_each(moments):
    return pytest.mark.parametrize("moment", moments, ids=NAMED.get)


def at(moment, *names):
    """Return events that are sent where the plain run has got to at a moment."""
    return [(name, *PLAIN[moment][1:]) for name in names]


def epoch(number, iteration):
    """Return the events of an epoch over two fresh batches."""
    events = [("epoch_started", number, iteration)]
    for done in (iteration, iteration + 1):
        events += [(f"get_batch_{end}", number, done) for end in ("started", "completed")]
        events += [(f"iteration_{end}", number, done + 1) for end in ("started", "completed")]
    return [*events, ("epoch_completed", number, iteration + 2)]


# terminate


@at_each(BEFORE_THE_END)
def test_terminate_ends_the_run_after_the_event_it_was_called_at(moment):
    """Whatever the event, TERMINATE and COMPLETED follow it at once."""
    engine, sequence = run_with(Engine.terminate, moment)
    assert PLAIN[: moment + 1] + at(moment, "terminate", "completed") == sequence
    assert "terminated" == engine.state.stop_reason


@at_each(BEFORE_THE_END)
def test_terminate_may_leave_out_completed(moment):
    """With `skip_completed` TERMINATE is the last event."""
    engine, sequence = run_with(lambda engine: engine.terminate(skip_completed=True), moment)
    assert PLAIN[: moment + 1] + at(moment, "terminate") == sequence
    assert ("terminated", "skip_completed") == (engine.state.stop_reason, engine.should_terminate)


def test_terminate_gives_up_the_rest_of_the_epoch():
    """No epoch is completed by it, neither the current one nor a later one."""
    engine, sequence = run_with(Engine.terminate, 5)
    assert "epoch_completed" not in [name for name, *_ in sequence]
    assert (1, 1) == (engine.state.epoch, engine.state.iteration)


# terminate_epoch


@at_each(range(2, OVER))
@pytest.mark.parametrize("skip", [False, True], ids=["", "skip"])
def test_terminate_epoch_ends_the_epoch_after_the_event_it_was_called_at(moment, skip):
    """The epoch ends there, the next starts on fresh data; when the epoch is over nothing is left to end."""
    engine, sequence = run_with(lambda engine: engine.terminate_epoch(skip_epoch_completed=skip), moment)
    name, number, iteration = PLAIN[moment]
    if name == "epoch_completed":
        assert PLAIN == sequence
    else:
        ending = at(moment, "terminate_single_epoch", *([] if skip else ["epoch_completed"]))
        rest = epoch(2, iteration) if number == 1 else []
        end = ("completed", 2, (rest or ending)[-1][2])
        assert [*PLAIN[: moment + 1], *ending, *rest, end] == sequence
    assert "completed" == engine.state.stop_reason


def test_terminate_epoch_at_epoch_started_ends_that_epoch():
    """The epoch that has just started has no iteration."""
    _, sequence = run_with(Engine.terminate_epoch, 1)
    ended = [(name, 1, 0) for name in ("epoch_started", "terminate_single_epoch", "epoch_completed")]
    assert [("started", 0, 0), *ended, *epoch(2, 0), ("completed", 2, 2)] == sequence


def test_terminate_epoch_at_started_is_an_error():
    """No epoch has started there; the error says where to call it, and leaves the run."""
    engine = Engine(echo)
    engine.add_event_handler(Events.STARTED, Engine.terminate_epoch)
    said = "terminate_epoch must be called in an epoch, not at STARTED: call it at EPOCH_STARTED"
    with EventRecorder(engine) as recorder, pytest.raises(RuntimeError, match=said):
        engine.run([0, 1], **LIMITS)
    assert [("started", 0, 0), ("exception_raised", 0, 0)] == recorder.sequence


@at_each(range(1, 10))
def test_terminate_epoch_tells_how_many_batches_were_taken(moment):
    """TERMINATE_SINGLE_EPOCH sends `iter_counter`: how many iterations of the epoch have begun."""
    engine = Engine(echo)
    with EventRecorder(engine, events=[Events.TERMINATE_SINGLE_EPOCH]) as recorder:
        Moments(engine, Engine.terminate_epoch, moment)
        engine.run([0, 1], **LIMITS)
    assert [{"iter_counter": PLAIN[moment][2]}] == [record.payload for record in recorder]


@pytest.mark.parametrize("limits", [{"max_iters": 5}, {"max_epochs": 2, "epoch_length": 3}], ids=str)
def test_epochs_that_were_cut_count_as_the_limit_says(limits):
    """`max_iters` counts iterations, so that more epochs make up for it; `max_epochs` counts epochs."""
    engine, _ = run_with(Engine.terminate_epoch, 5, data=range(3), **limits)
    assert ((3, 5) if "max_iters" in limits else (2, 4)) == (engine.state.epoch, engine.state.iteration)


@pytest.mark.parametrize(
    "request_made", [Engine.terminate, Engine.terminate_epoch, Engine.interrupt], ids=lambda verb: verb.__name__
)
@pytest.mark.parametrize("data", [[0, 1, 2], Unsized(3), None], ids=["sized", "unsized", "none"])
def test_a_request_of_the_step_is_heeded_after_its_iteration(request_made, data):
    """ITERATION_COMPLETED of that iteration is still sent, then the request is heeded."""

    def step(engine, batch):
        if engine.state.iteration == 2:
            request_made(engine)

    engine = Engine(step)
    with EventRecorder(engine) as recorder:
        engine.run(data, epoch_length=3)
    event = {"terminate_epoch": "terminate_single_epoch"}.get(request_made.__name__, request_made.__name__)
    heeded = recorder.sequence.index((event, 1, 2))
    assert ("iteration_completed", 1, 2) == recorder.sequence[heeded - 1]


# interrupt


@at_each(BEFORE_THE_END)
def test_interrupt_pauses_the_run_and_the_next_goes_on_with_the_very_next_event(moment):
    """Both parts together are the uninterrupted run, with INTERRUPT where it paused."""
    engine = Engine(echo)
    Moments(engine, Engine.interrupt, moment)
    data = [0, 1]
    with EventRecorder(engine) as recorder:
        state = engine.run(data, **LIMITS)
        assert PLAIN[: moment + 1] + at(moment, "interrupt") == recorder.sequence
        assert ("interrupted", False) == (state.stop_reason, engine.should_interrupt)
        recorder.clear()
        assert state is engine.run(data, **LIMITS)
    assert PLAIN[moment + 1 :] == recorder.sequence
    assert "completed" == state.stop_reason


@given(
    n=st.integers(1, 4),
    epoch_length=st.none() | st.integers(1, 5),
    limits=st.sampled_from([{"max_epochs": 1}, {"max_epochs": 3}, {"max_iters": 1}, {"max_iters": 7}]),
    kind=st.sampled_from([list, iter, Unsized, None]),
    moments=st.sets(st.integers(0, 60), max_size=8),
    again=st.booleans(),
)
@settings(max_examples=200, deadline=None)
@pytest.mark.filterwarnings("ignore:the data has no more batches")
def test_an_interrupted_and_resumed_run_equals_an_uninterrupted_one(n, epoch_length, limits, kind, moments, again):
    """For any data, any limits and any moments: the same events, batches and outputs, and the same end."""

    def play(chosen):
        data = Unsized(n) if kind is Unsized else None if kind is None else kind(range(n))
        arguments = {"data": data, **limits, "epoch_length": epoch_length or (n if kind is None else None)}
        batches = []
        engine = Engine(lambda engine, batch: batches.append(batch) or batch)
        with EventRecorder(engine) as recorder:
            Moments(engine, Engine.interrupt, *chosen)
            state = engine.run(**arguments)
            while state.stop_reason == "interrupted":
                engine.run(**arguments) if again else engine.run()
        sequence = [event for event in recorder.sequence if event[0] != "interrupt"]
        return sequence, batches, state.output, state.stop_reason, state.epoch_length

    assert play(()) == play(moments)


@given(
    n=st.integers(1, 5),
    limits=st.sampled_from([{"max_epochs": 3}, {"max_iters": 10}]),
    iterations=st.sets(st.integers(1, 15), max_size=5),
    every=st.integers(1, 6),
    none=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_pauses_are_not_heard_by_receivers_that_wait(n, limits, iterations, every, none):
    """Where the step interrupts and receivers are behind filters, they are called as in an uninterrupted run."""

    def play(chosen):
        heard = []
        left = set(chosen)

        def step(engine, batch):
            if engine.state.iteration in left:
                left.discard(engine.state.iteration)
                engine.interrupt()

        engine = Engine(step)
        for event in (Events.GET_BATCH_STARTED, Events.GET_BATCH_COMPLETED, *MOVING):
            engine.add_event_handler(
                event(every=every), lambda engine: heard.append((engine.last_event_name.name, engine.state.iteration))
            )
        data = None if none else range(n)
        parts = 1
        while engine.run(data, **limits, epoch_length=n).stop_reason == "interrupted":
            parts += 1
        assert len([iteration for iteration in chosen if iteration <= engine.state.iteration]) + 1 == parts
        return heard, engine.state.epoch, engine.state.iteration, engine.state.counters | {"interrupt": 0}

    assert play(()) == play(iterations)


@at_each(BEFORE_THE_END)
def test_a_receiver_that_is_connected_in_the_pause_hears_the_rest(moment):
    """Whatever the moment of the pause, a receiver that came in it hears all later events and no earlier one."""
    engine, data = Engine(echo), [0, 1]
    moments = Moments(engine, Engine.interrupt, moment)
    engine.run(data, **LIMITS)
    for event in Events:
        engine.signal(event).disconnect(moments.hear)
    with EventRecorder(engine) as recorder:
        engine.run(data, **LIMITS)
    assert PLAIN[moment + 1 :] == recorder.sequence


def test_an_evaluator_may_pause_while_the_trainer_goes_on():
    """Interrupted inside a handler of the trainer, the evaluator goes on in the trainer's next epoch."""
    trainer, evaluator = Engine(echo), Engine(lambda engine, batch: engine.interrupt() if batch == 1 else None)
    data, seen = [0, 1, 2], []

    @trainer.on(Events.EPOCH_COMPLETED)
    def evaluate(engine):
        state = evaluator.run(data)
        seen.append((str(state.stop_reason), state.iteration))

    assert "completed" == trainer.run([0], max_epochs=3).stop_reason
    assert [("interrupted", 2), ("completed", 3), ("interrupted", 2)] == seen


def test_a_run_may_fail_after_it_went_on():
    """A resumed run announces its exception once, is no longer paused, and goes on when it is run again."""

    def step(engine, batch):
        if engine.state.iteration == 1:
            engine.interrupt()
        if engine.state.iteration == 2:
            raise ArithmeticError

    engine = Engine(step)
    engine.run([0, 1, 2], **LIMITS)
    with EventRecorder(engine) as recorder, pytest.raises(ArithmeticError):
        engine.run()
    assert [("iteration_started", 1, 2), ("exception_raised", 1, 2)] == recorder.sequence[-2:]
    with EventRecorder(engine) as recorder:
        state = engine.run([0, 1, 2])
    assert [("started", 0, 2), ("epoch_started", 1, 2)] == recorder.sequence[:2]
    assert ("completed", 6) == (state.stop_reason, state.iteration)


def test_interrupted_at_every_event_the_run_is_the_same():
    """A run that pauses at each of its events sends them all the same."""
    engine, data = Engine(echo), [0, 1]
    plain = [event for event in Events if event is not Events.INTERRUPT]
    with EventRecorder(engine, events=plain) as recorder:
        for event in plain:
            engine.add_event_handler(event, Engine.interrupt)
        while engine.run(data, **LIMITS).stop_reason == "interrupted":
            assert Events.INTERRUPT is engine.last_event_name
    assert PLAIN == recorder.sequence


def test_receivers_of_the_same_event_are_all_called_before_the_run_pauses():
    """An event is not cut in two: those who come after the one that asks hear it too, once."""
    engine, heard = Engine(echo), []
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=1), Engine.interrupt)
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=1), lambda: heard.append("later"))
    engine.run([0, 1])
    assert ["later"] == heard
    engine.run()
    assert ["later"] == heard


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (Events.STARTED, [0, 1, 2, 3, 4, 5]),
        (Events.GET_BATCH_STARTED(once=1), "aABCAB"),
        (Events.GET_BATCH_COMPLETED(once=1), "abABCA"),
        (Events.ITERATION_STARTED(once=2), "abABCA"),
        (Events.ITERATION_COMPLETED(once=2), "abABCA"),
        (Events.EPOCH_COMPLETED(once=1), "abcABC"),
        (Events.EPOCH_STARTED(once=2), "abcABC"),
        (Events.DATALOADER_STOP_ITERATION, "abcABC"),
    ],
    ids=str,
)
def test_an_interrupted_engine_given_other_data_takes_the_next_batch_from_it(moment, expected):
    """The batch that was fetched already is used, the next one is the first of the other data."""
    expected = "ABCABC" if moment is Events.STARTED else expected
    taken = []
    engine = Engine(lambda engine, batch: taken.append(batch))
    with engine.add_event_handler(moment, Engine.interrupt):
        engine.run("abc", **LIMITS)
    state = engine.run("ABC", **LIMITS)
    assert list(expected) == taken
    assert (2, 6, "completed") == (state.epoch, state.iteration, state.stop_reason)


def test_other_data_helps_an_interrupted_run_that_had_none_left():
    """Interrupted when the data was exhausted, the run goes on with the batches of other data."""
    engine = Engine(echo)
    engine.add_event_handler(Events.EPOCH_COMPLETED(once=1), Engine.interrupt)
    with pytest.warns(UserWarning, match="no more batches"):
        engine.run(iter("ab"), max_epochs=2, epoch_length=3)
    state = engine.run("xyz")
    assert (2, 5, "completed") == (state.epoch, state.iteration, state.stop_reason)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"max_epochs": 1}, "max_epochs must be at least the epoch of the run that goes on, 2, got 1: give more, or"),
        ({"max_iters": 9}, "max_iters=9 cannot limit a run that goes on and has max_epochs=3: give max_epochs, or"),
        ({"epoch_length": 5}, "epoch_length must stay 2 in a run that goes on, got 5: leave it out, or"),
        ({"data": [], "max_epochs": 9}, "data must not be empty, got the list"),
    ],
    ids=str,
)
def test_an_interrupted_run_refuses_limits_that_it_cannot_keep(arguments, said):
    """The error names argument, value and remedy; nothing is sent or changed, and the run can still go on."""
    engine, _ = run_with(Engine.interrupt, 12, max_epochs=3)
    assert 2 == engine.state.epoch
    before = repr(engine.state)
    with EventRecorder(engine) as recorder, pytest.raises(ValueError, match="^" + said):
        engine.run(**arguments)
    assert [] == recorder.sequence
    assert before == repr(engine.state)
    assert (3, 6) == (engine.run().epoch, engine.state.iteration)


@pytest.mark.parametrize(("max_epochs", "end"), [(2, (2, 4)), (3, (3, 6)), (4, (4, 8))])
def test_an_interrupted_run_may_be_given_another_limit(max_epochs, end):
    """Going on, the run takes a larger limit, or one that the epoch has not passed."""
    engine, _ = run_with(Engine.interrupt, 12, max_epochs=3)
    state = engine.run(max_epochs=max_epochs)
    assert end == (state.epoch, state.iteration)


def test_an_interrupted_engine_that_is_dropped_emits_nothing_more():
    """Neither an event nor an exception comes from a run that nobody goes on with."""
    heard = []

    def step(engine, batch):
        engine.interrupt()

    for moment in range(4):
        engine = Engine(step)
        for event in Events:
            engine.add_event_handler(event, heard.append)
        Moments(engine, Engine.interrupt, moment)
        engine.run([0, 1])
        heard.clear()
        del engine
        gc.collect()
        assert [] == heard


@pytest.mark.parametrize(
    "give_up",
    [
        Engine.reset,
        lambda engine: setattr(engine.state, "max_epochs", None),
        lambda engine: engine.load_state_dict({"epoch": 0, "max_epochs": 2, "epoch_length": 2}),
        lambda engine: setattr(engine, "state", type(engine.state)()),
    ],
    ids=["reset", "max_epochs", "load", "state"],
)
@at_each([0, 1, 4, 8, 12])
def test_an_interrupted_run_that_is_given_up_starts_anew(give_up, moment):
    """Giving up emits nothing, and the next run is a whole one."""
    engine, _ = run_with(Engine.interrupt, moment)
    with EventRecorder(engine) as recorder:
        give_up(engine)
        assert [] == recorder.sequence
        engine.run([0, 1], max_epochs=2)
    assert PLAIN == recorder.sequence


def test_what_is_asked_for_in_the_pause_is_heeded_when_the_run_goes_on():
    """A request made between the parts of a run stands: the next event is the last before it is heeded."""
    engine, _ = run_with(Engine.interrupt, 5)
    engine.terminate()
    with EventRecorder(engine) as recorder:
        state = engine.run()
    assert ["terminate", "completed"] == [name for name, *_ in recorder.sequence][-2:]
    assert len(recorder) <= 3
    assert "terminated" == state.stop_reason


# More than one request


VERBS = {"terminate": Engine.terminate, "terminate_epoch": Engine.terminate_epoch, "interrupt": Engine.interrupt}


def all_of(*names):
    def ask(engine):
        for name in names:
            VERBS[name](engine)

    return ask


@at_each([1, 2, 4, 5, 12])
@pytest.mark.parametrize("order", list(itertools.permutations(VERBS)), ids="-".join)
def test_terminate_wins_over_the_others(order, moment):
    """Asked for all three at once, in any order, the run ends and nothing is left of the others."""
    engine, sequence = run_with(all_of(*order), moment)
    assert run_with(Engine.terminate, moment)[1] == sequence
    assert "terminated" == engine.state.stop_reason


@at_each([0, 10])
def test_terminate_wins_over_interrupt_outside_an_epoch(moment):
    """Also at STARTED and at EPOCH_COMPLETED the run ends instead of pausing."""
    _, sequence = run_with(all_of("interrupt", "terminate"), moment)
    assert run_with(Engine.terminate, moment)[1] == sequence


@at_each([1, 2, 4, 5, 12])
@pytest.mark.parametrize("order", [("terminate_epoch", "interrupt"), ("interrupt", "terminate_epoch")], ids="-".join)
def test_terminate_epoch_wins_over_interrupt(order, moment):
    """The epoch is ended first; the pause does not change what is sent."""
    engine, data = Engine(echo), [0, 1]
    with EventRecorder(engine) as recorder:
        Moments(engine, all_of(*order), moment)
        while engine.run(data, **LIMITS).stop_reason == "interrupted":
            pass
    names = [name for name, *_ in recorder.sequence]
    if "interrupt" in names:
        assert names.index("terminate_single_epoch") < names.index("interrupt")
    sequence = [event for event in recorder.sequence if event[0] != "interrupt"]
    assert run_with(Engine.terminate_epoch, moment)[1] == sequence


@at_each([1, 3, 5])
def test_a_receiver_of_interrupt_may_ask_for_the_end_instead_of_a_pause(moment):
    """Terminate wins over the interrupt that is being heeded."""
    engine = Engine(echo)
    engine.add_event_handler(Events.INTERRUPT, Engine.terminate)
    with EventRecorder(engine) as recorder:
        Moments(engine, Engine.interrupt, moment)
        engine.run([0, 1], **LIMITS)
    expected = run_with(Engine.terminate, moment)[1]
    assert [*expected[: moment + 1], *at(moment, "interrupt"), *expected[moment + 1 :]] == recorder.sequence


def test_an_epoch_s_end_asked_for_by_a_receiver_of_interrupt_waits_for_the_pause():
    """INTERRUPT has announced a pause, so the run pauses; the epoch ends when it goes on."""
    engine = Engine(lambda engine, batch: engine.interrupt() if batch == 0 else None)
    engine.add_event_handler(Events.INTERRUPT, Engine.terminate_epoch)
    with EventRecorder(engine) as recorder:
        assert "interrupted" == engine.run([0, 1, 2], epoch_length=3).stop_reason
        recorder.clear()
        assert "completed" == engine.run().stop_reason
    names = ["get_batch_started", "terminate_single_epoch", "epoch_completed", "completed"]
    assert names == [name for name in recorder.names if name != "get_batch_completed"]


def test_a_receiver_of_interrupt_may_take_the_request_for_heeded():
    """Setting `should_interrupt` to False where it is being heeded does no harm: the run pauses."""
    engine = Engine(lambda engine, batch: engine.interrupt() if batch == 0 else None)
    engine.add_event_handler(Events.INTERRUPT, lambda engine: setattr(engine, "should_interrupt", False))
    assert "interrupted" == engine.run([0, 1]).stop_reason
    assert ("completed", 2) == (engine.run().stop_reason, engine.state.iteration)


@pytest.mark.parametrize(
    ("verb", "rest"),
    [
        ("terminate", [("terminate", 1, 1), ("completed", 1, 1)]),
        ("terminate_epoch", [("epoch_completed", 1, 1), *epoch(2, 1), ("completed", 2, 3)]),
        ("interrupt", [("interrupt", 1, 1)]),
    ],
)
def test_a_receiver_of_terminate_single_epoch_may_ask_for_more(verb, rest):
    """Terminate and interrupt are heeded there as anywhere, terminate_epoch has nothing left to do."""
    engine = Engine(echo)
    engine.signal(Events.TERMINATE_SINGLE_EPOCH).connect(lambda engine, iter_counter: VERBS[verb](engine), weak=False)
    with EventRecorder(engine) as recorder:
        Moments(engine, Engine.terminate_epoch, 5)
        engine.run([0, 1], **LIMITS)
    assert [*PLAIN[:6], ("terminate_single_epoch", 1, 1), *rest] == recorder.sequence


# Any requests at all


ACTS = [
    ("terminate", False),
    ("terminate", True),
    ("terminate_epoch", False),
    ("terminate_epoch", True),
    ("interrupt",),
]
PLACES = [event.name for event in (*MOVING, Events.GET_BATCH_STARTED, Events.GET_BATCH_COMPLETED)]


def follow(library, script, data, limits):
    """Run until nothing is left, making the requests of a script; return all that happened."""
    log, left = [], dict(script)
    engine = library.Engine(lambda engine, batch: batch)
    occurrences = dict.fromkeys(PLACES, 0)
    for event in library.Events:

        def hear(engine, *_, name=event.name, iter_counter=None):
            log.append((name, engine.state.epoch, engine.state.iteration))
            if name in PLACES:
                occurrences[name] += 1
            if act := left.pop((name, occurrences.get(name)), None):
                getattr(engine, act[0])(*act[1:])

        if event.name != "EXCEPTION_RAISED":
            engine.add_event_handler(event, hear)
    paused = True
    while paused:
        engine.run(data, **limits)
        paused = engine.last_event_name.name == "INTERRUPT"
        log.append("returned")
    return log


@given(
    script=st.dictionaries(st.tuples(st.sampled_from(PLACES), st.integers(1, 6)), st.sampled_from(ACTS), max_size=4),
    data=st.sampled_from([[0], [0, 1, 2], Unsized(2), None]),
    limits=st.fixed_dictionaries({"max_epochs": st.integers(1, 3), "epoch_length": st.integers(1, 4)}),
)
@settings(max_examples=150, deadline=None)
def test_any_requests_give_the_events_that_ignite_gives(script, data, limits):
    """Whatever is asked for, as often as one likes, the events up to the end are the same, and so are the pauses."""
    peer = pytest.importorskip("ignite.engine")
    logging.getLogger("ignite").setLevel(logging.CRITICAL)
    # Ignite refuses to end an epoch that has just started.
    script = {at: act for at, act in script.items() if (at[0], act[0]) != ("EPOCH_STARTED", "terminate_epoch")}
    assert follow(peer, script, data, limits) == follow(ours, script, data, limits)


# When there is nothing to stop


@pytest.mark.parametrize("verb", VERBS)
def test_a_request_made_at_completed_is_forgotten(verb):
    """The run is over there, and the next run is not touched by it."""
    engine = Engine(echo)
    engine.add_event_handler(Events.COMPLETED, VERBS[verb])
    for _ in range(2):
        with EventRecorder(engine) as recorder:
            state = engine.run([0, 1], **LIMITS)
        assert PLAIN == recorder.sequence
        assert "completed" == state.stop_reason
        assert (False, False) == (engine.should_terminate, engine.should_interrupt)


@pytest.mark.parametrize("verb", VERBS)
def test_a_request_made_at_terminate_is_forgotten(verb):
    """TERMINATE is the end of the run: what is asked for there changes nothing."""
    engine = Engine(echo)
    engine.add_event_handler(Events.TERMINATE, VERBS[verb])
    with EventRecorder(engine) as recorder:
        Moments(engine, Engine.terminate, 5)
        state = engine.run([0, 1], **LIMITS)
    assert PLAIN[:6] + at(5, "terminate", "completed") == recorder.sequence
    assert "terminated" == state.stop_reason


@pytest.mark.parametrize("verb", VERBS)
def test_a_request_made_at_exception_raised_is_forgotten(verb):
    """A run that failed is over; the next one goes on as if nothing had been asked for."""
    engine = Engine(lambda engine, batch: 1 / batch)
    engine.add_event_handler(Events.EXCEPTION_RAISED, lambda engine, error: VERBS[verb](engine))
    assert "failed" == engine.run([1, 0, 1, 1]).stop_reason
    with EventRecorder(engine) as recorder:
        assert "completed" == Engine.run(engine.reset() or engine, [1, 1], max_epochs=1).stop_reason
    assert not {"terminate", "terminate_single_epoch", "interrupt"} & {name for name, *_ in recorder.sequence}


@pytest.mark.parametrize("verb", VERBS)
def test_a_request_made_before_a_run_is_forgotten(verb):
    """An engine that does not run has nothing to stop."""
    engine = Engine(echo)
    VERBS[verb](engine)
    with EventRecorder(engine) as recorder:
        engine.run([0, 1], **LIMITS)
    assert PLAIN == recorder.sequence


def test_a_terminated_run_leaves_nothing_behind_for_the_next():
    """`should_terminate` tells of the last run until the next one starts."""
    engine, _ = run_with(Engine.terminate, 12)
    assert engine.should_terminate is True
    state = engine.run([0, 1], max_epochs=5)
    assert ("completed", False) == (state.stop_reason, engine.should_terminate)


# Who asked


def loss_is_nan(engine):
    """A receiver with a name."""
    engine.terminate()


class Guard:
    """An object whose method asks."""

    def check(self, engine):
        engine.interrupt()


def test_the_stop_reason_is_the_word_and_names_the_receiver_that_asked():
    """It equals the plain word, and `.by` says which receiver asked, and where it is defined."""
    engine = Engine(echo)
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), loss_is_nan)
    reason = engine.run(range(3)).stop_reason
    line = loss_is_nan.__code__.co_firstlineno
    assert f"loss_is_nan (test_stopping.py:{line})" == reason.by
    assert f"'terminated' by {reason.by}" == repr(reason)
    assert "terminated" == reason == str(reason)


def test_the_stop_reason_names_the_method_that_interrupted():
    """A bound method, connected to the signal, is named by class and method."""
    engine, guard = Engine(echo), Guard()
    engine.signal(Events.GET_BATCH_STARTED).connect(guard.check)
    reason = engine.run(range(3)).stop_reason
    assert "interrupted" == reason
    assert reason.by.startswith("Guard.check (test_stopping.py:")


def test_the_stop_reason_names_the_receiver_whose_nested_run_asked():
    """Where an evaluator's receiver stops the trainer, the trainer's receiver that ran the evaluator asked."""
    trainer, evaluator = Engine(echo), Engine(echo)
    evaluator.add_event_handler(Events.COMPLETED, lambda: trainer.terminate())

    @trainer.on(Events.EPOCH_COMPLETED)
    def evaluate(engine):
        evaluator.run([0])

    reason = trainer.run([0], max_epochs=3).stop_reason
    assert ("terminated", True) == (reason, "evaluate" in reason.by)
    assert ("completed", None) == (evaluator.state.stop_reason, evaluator.state.stop_reason.by)


@pytest.mark.parametrize("data", [[0, 1], [0, 0]], ids=["completed", "step"])
def test_nobody_is_named_where_no_receiver_asked(data):
    """A run that completes, or that the step ends, has nobody to name."""
    engine = Engine(lambda engine, batch: engine.terminate() if engine.state.iteration > 1 and not batch else None)
    reason = engine.run(data).stop_reason
    assert (("completed" if data[1] else "terminated"), None) == (reason, reason.by)


def test_a_stop_reason_survives_copying():
    """Pickled, it is the same word by the same receiver."""
    reason = pickle.loads(pickle.dumps(StopReason("terminated", by="me")))
    assert ("terminated", "me") == (reason, reason.by)


# should_...


@pytest.mark.parametrize(
    ("attribute", "value", "act"),
    [
        ("should_terminate", True, Engine.terminate),
        ("should_terminate", "skip_completed", lambda engine: engine.terminate(skip_completed=True)),
        ("should_terminate_single_epoch", True, Engine.terminate_epoch),
        (
            "should_terminate_single_epoch",
            "skip_epoch_completed",
            lambda engine: engine.terminate_epoch(skip_epoch_completed=True),
        ),
        ("should_interrupt", True, Engine.interrupt),
    ],
)
@at_each([1, 5])
def test_a_request_can_be_read_and_set_as_an_attribute(attribute, value, act, moment):
    """Setting the attribute asks as the verb does; the attribute tells what was asked for."""
    seen = []

    def ask_and_look(engine):
        act(engine)
        seen.append(getattr(engine, attribute))

    by_verb = run_with(ask_and_look, moment)[1]
    assert [value] == seen
    assert by_verb == run_with(lambda engine: setattr(engine, attribute, value), moment)[1]


@pytest.mark.parametrize("attribute", ["should_terminate", "should_terminate_single_epoch", "should_interrupt"])
def test_a_request_can_be_taken_back(attribute):
    """Set to False before the event is over, the attribute takes the request back."""

    def ask_and_take_back(engine):
        setattr(engine, attribute, True)
        setattr(engine, attribute, False)

    assert PLAIN == run_with(ask_and_take_back, 5)[1]


def test_ending_an_epoch_that_is_over_does_nothing_however_it_is_asked_for():
    """Set as an attribute at EPOCH_COMPLETED, too, the request does not reach the next epoch."""
    engine, sequence = run_with(lambda engine: setattr(engine, "should_terminate_single_epoch", True), 10)
    assert PLAIN == sequence
    assert engine.should_terminate_single_epoch is False


# From outside


@pytest.mark.parametrize(("verb", "word"), [("terminate", "terminated"), ("interrupt", "interrupted")])
def test_another_thread_may_stop_the_run(verb, word):
    """A run over endless data ends when another thread asks for it, and names nobody."""
    engine = Engine(lambda engine, batch: time.sleep(0.0005))
    timer = threading.Timer(0.02, VERBS[verb], (engine,))
    engine.add_event_handler(Events.STARTED, timer.start)
    reason = engine.run(itertools.count(), epoch_length=10**6).stop_reason
    timer.join()
    assert (word, None) == (reason, reason.by)
    assert engine.state.iteration > 0


def test_another_thread_may_end_the_epoch():
    """A request that comes while the step runs is heeded after that iteration."""

    def step(engine, batch):
        if engine.state.iteration == 2:
            thread = threading.Thread(target=engine.terminate_epoch)
            thread.start()
            thread.join()

    engine = Engine(step)
    with EventRecorder(engine, events=[Events.TERMINATE_SINGLE_EPOCH]) as recorder:
        state = engine.run(itertools.count(), epoch_length=5, max_epochs=2)
    assert [("terminate_single_epoch", 1, 2)] == recorder.sequence
    assert (2, 7) == (state.epoch, state.iteration)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("when", "last"),
    [
        ("iter", ("get_batch_started", 1, 0)),
        ("first", ("get_batch_completed", 1, 0)),
        ("second", ("get_batch_completed", 1, 1)),
    ],
)
def test_a_request_of_the_data_is_heeded_at_the_next_event(verb, when, last):
    """The data may stop the run, when it is iterated or makes a batch; no iteration begins after that."""
    engine = Engine(echo)

    class Data:
        def __iter__(self):
            return self.batches() if when != "iter" else self.ask_and_return([7, 8])

        def ask_and_return(self, batches):
            VERBS[verb](engine)
            return iter(batches)

        def batches(self):
            for number in ("first", "second"):
                if number == when:
                    VERBS[verb](engine)
                yield number

    with EventRecorder(engine) as recorder:
        engine.run(Data())
    event = {"terminate_epoch": "terminate_single_epoch"}.get(verb, verb)
    heeded = recorder.names.index(event)
    assert [last, (event, *last[1:])] == recorder.sequence[heeded - 1 : heeded + 1]


@pytest.mark.parametrize("verb", ["terminate", "interrupt"])
def test_a_request_of_the_data_at_its_end_is_heeded(verb):
    """What the data asks for when it has no more batches is heeded after the epoch, which it ends."""
    engine = Engine(echo)

    def batches():
        yield 0
        VERBS[verb](engine)

    with EventRecorder(engine) as recorder:
        engine.run(batches())
    assert ["epoch_completed", verb] == [name for name in recorder.names if name != "completed"][-2:]


def test_a_run_in_another_thread_names_its_receivers():
    """Who asked is told of the thread that runs the engine, whichever it is."""
    engine = Engine(echo)
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), loss_is_nan)
    thread = threading.Thread(target=engine.run, args=(range(5),))
    thread.start()
    thread.join()
    assert "terminated" == engine.state.stop_reason
    assert engine.state.stop_reason.by.startswith("loss_is_nan ")


@pytest.fixture
def on_signal():
    """Install a handler of a signal of the operating system for the length of a test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield signal.signal
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("verb", "word"), [("terminate", "terminated"), ("interrupt", "interrupted")])
def test_a_signal_handler_may_stop_the_run(on_signal, number, verb, word):
    """A signal of the operating system that comes in the third step stops the run after that iteration."""
    came = threading.Event()

    def step(engine, batch):
        if engine.state.iteration == 3:
            os.kill(os.getpid(), number)
            deadline = time.monotonic() + 5
            while not came.is_set() and time.monotonic() < deadline:
                time.sleep(0.001)

    engine = Engine(step)
    on_signal(number, lambda *_: (VERBS[verb](engine), came.set()))
    with EventRecorder(engine) as recorder:
        state = engine.run(itertools.count(), epoch_length=10)
    heeded = [(name, 1, 3) for name in ("iteration_completed", verb, *(["completed"] if verb == "terminate" else []))]
    assert heeded == recorder.sequence[-len(heeded) :]
    assert word == state.stop_reason


def test_an_uncaught_sigint_fails_the_run(on_signal):
    """Python's own handler of SIGINT raises KeyboardInterrupt, which is announced and leaves the run."""
    on_signal(signal.SIGINT, signal.default_int_handler)

    def step(engine, batch):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    engine = Engine(step)
    with EventRecorder(engine, events=[Events.EXCEPTION_RAISED]) as recorder, pytest.raises(KeyboardInterrupt):
        engine.run([0])
    assert [("exception_raised", 1, 1)] == recorder.sequence
    assert "failed" == engine.state.stop_reason
