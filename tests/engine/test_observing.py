"""Observers hear of each call of a receiver, and whatever else a run does is as without them."""

from __future__ import annotations

import copy
import datetime
import gc
import pickle
import threading
import traceback
import warnings
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.engine import Engine, EventEnum, Events, Observation, Predicate, ReceiverCall
from ignite_signals.testing import EventRecorder


class Custom(EventEnum):
    MADE = "made"


class Noting:
    """Note the calls of receivers, by name."""

    def __init__(self, log=None, name=None):
        self.log = [] if log is None else log
        self.name = name

    def note(self, *what):
        self.log.append(what if self.name is None else (self.name, *what))

    def call_started(self, call):
        self.note("begin", name_of(call.handler), getattr(call.event, "value", call.event), call.count)

    def call_ended(self, call, error):
        self.note("end", name_of(call.handler), *([] if error is None else [repr(error)]))


class Owner:
    """What owns a handler."""

    def method(self, engine):
        return "method"


def name_of(handler):
    return getattr(handler, "__name__", type(handler).__name__)


def hear(engine):
    return "heard"


def other(engine):
    return "other"


def make_engine(step=lambda engine, batch: batch):
    engine = Engine(step)
    engine.register_events(Custom.MADE)
    return engine


@pytest.fixture
def engine():
    return make_engine()


@pytest.fixture
def made(engine):
    return engine.signal(Custom.MADE)


@pytest.fixture
def noting():
    return Noting()


HEARD = [("begin", "hear", "made", 1), ("end", "hear")]

# Whom it hears of.


def test_a_call_is_heard_to_begin_and_to_end(engine, made, noting):
    """An observer hears of a receiver before and after it is called."""
    made.connect(lambda engine: noting.note("called"), weak=False)
    with engine.observe_calls(noting):
        made.send(engine)
    assert [("begin", "<lambda>", "made", 1), ("called",), ("end", "<lambda>")] == noting.log


def test_a_call_tells_what_is_called_and_when(engine):
    """The engine, the event, its count and the user's callable; the same object at both ends."""
    calls = []

    class Keeping:
        def call_started(self, call):
            calls.append(call)

        def call_ended(self, call, error):
            calls.append(call)

    engine.add_event_handler(Events.ITERATION_COMPLETED(every=2), hear)
    with engine.observe_calls(Keeping()):
        engine.run(range(3))
    begun, ended = calls
    assert begun is ended
    assert isinstance(begun, ReceiverCall)
    assert (engine, Events.ITERATION_COMPLETED, 2, hear) == (begun.engine, begun.event, begun.count, begun.handler)


def test_a_handler_with_arguments_is_the_one_that_the_user_gave(engine, made, noting):
    """The wrapper that passes arguments on is not seen."""
    engine.add_event_handler(Custom.MADE, print, "of", "arguments", end="")
    with engine.observe_calls(noting):
        engine.fire_event(Custom.MADE)
    assert [("begin", "print", "made", 1), ("end", "print")] == noting.log


@pytest.mark.parametrize("weak", [True, False], ids=["weak", "strong"])
def test_weak_and_strong_receivers_are_heard(engine, made, noting, weak):
    """It does not matter who keeps a receiver alive."""
    owner = Owner()
    made.connect(owner.method, weak=weak)
    with engine.observe_calls(noting):
        made.send(engine)
    assert [("begin", "method", "made", 1), ("end", "method")] == noting.log


def test_a_weak_receiver_still_goes_with_its_owner(engine, made, noting):
    """Nothing that observing keeps holds a receiver's owner."""
    owner = Owner()
    made.connect(owner.method)
    with engine.observe_calls(noting):
        made.send(engine)
        alive = weakref.ref(owner)
        del owner
        assert alive() is None
        made.send(engine)
    assert 2 == len(noting.log)


@pytest.mark.parametrize(
    "event",
    [
        Custom.MADE(every=2),
        Custom.MADE(event_filter=lambda engine, count: count % 2 == 0),
        Custom.MADE(once=[2, 4]),
    ],
    ids=["every", "predicate", "once"],
)
def test_what_a_filter_keeps_back_is_not_heard(engine, made, noting, event):
    """Of a filtered receiver, what is called is heard and nothing else."""
    engine.add_event_handler(event, hear)
    with engine.observe_calls(noting):
        for _ in range(5):
            made.send(engine)
    assert [("begin", "hear", "made", 2), ("end", "hear"), ("begin", "hear", "made", 4), ("end", "hear")] == noting.log


def test_a_predicate_is_asked_once_at_each_occurrence(engine, made, noting):
    """Observing asks no filter again."""
    asked = []
    made_when = engine.signal(Custom.MADE(event_filter=lambda engine, count: bool(asked.append(count)) or count == 2))
    made_when.connect(hear)
    with engine.observe_calls(noting):
        for _ in range(3):
            made.send(engine)
    assert [1, 2, 3] == asked
    assert 2 == len(noting.log)


def test_a_predicate_that_fires_an_event_does_not_mix_them_up(engine, made, noting):
    """A call is of the event whose receiver is called, whatever was sent while a filter was asked."""
    engine.register_events("asked")
    condition = Predicate(lambda engine, count: engine.fire_event("asked") is None)
    engine.add_event_handler(Custom.MADE(event_filter=condition), hear)
    with engine.observe_calls(noting):
        made.send(engine)
    assert HEARD == noting.log


def test_timed_filters_restart_as_without(engine, made, noting, monkeypatch):
    """A clock that belongs to a connection is neither read nor moved by observers."""
    now = [0.0]
    monkeypatch.setattr("ignite_signals.engine.receivers.time.monotonic", lambda: now[0])
    engine.add_event_handler(Custom.MADE(every=datetime.timedelta(seconds=10)), hear)
    with engine.observe_calls(noting):
        for seconds in (5, 10, 15, 20, 25):
            now[0] = seconds
            made.send(engine)
    assert [2, 4] == [entry[3] for entry in noting.log if entry[0] == "begin"]


def test_receivers_are_heard_in_the_order_of_their_priority(engine, made, noting):
    """The order of calling is that of the priorities."""
    made.connect(hear)
    made.connect(other, priority=1)
    with engine.observe_calls(noting):
        made.send(engine)
    assert ["other", "other", "hear", "hear"] == [entry[1] for entry in noting.log]


def test_receivers_that_come_later_are_heard(engine, made, noting):
    """Who is connected after the observer is observed too, also at an event that is registered later."""
    with engine.observe_calls(noting):
        made.connect(hear)
        engine.register_events("later")
        engine.add_event_handler("later", other)
        made.send(engine)
        engine.fire_event("later")
    assert [*HEARD, ("begin", "other", "later", 1), ("end", "other")] == noting.log


def test_a_muted_signal_is_quiet(engine, made, noting):
    """What is not called is not heard, and counted all the same."""
    made.connect(hear)
    with engine.observe_calls(noting):
        with made.muted():
            made.send(engine)
        assert [] == noting.log
        made.send(engine)
    assert 2 == noting.log[0][3]


def test_a_receiver_may_be_connected_again(engine, made, noting):
    """A connection that is changed, from weak to strong or back, stays observed."""
    owner = Owner()
    with engine.observe_calls(noting):
        for weak in (True, False, True):
            made.connect(owner.method, weak=weak)
            made.send(engine)
    assert [1, 2, 3] == [entry[3] for entry in noting.log if entry[0] == "begin"]


def test_a_run_is_heard_from_its_first_event_to_its_last(engine, noting):
    """Each receiver of a run is heard, in order."""
    for event in Events:
        engine.add_event_handler(event, hear)
    with engine.observe_calls(noting):
        engine.run([0])
    assert [
        *("started", "epoch_started", "get_batch_started", "get_batch_completed", "iteration_started"),
        *("iteration_completed", "epoch_completed", "completed"),
    ] == [entry[2] for entry in noting.log if entry[0] == "begin"]


def test_an_engine_that_runs_inside_is_not_heard(noting):
    """An observer hears the receivers of its own engine, between which others may run."""
    trainer, evaluator = make_engine(), make_engine()
    evaluator.add_event_handler(Events.COMPLETED, other)
    trainer.add_event_handler(Events.COMPLETED, lambda: evaluator.run([0]))
    with trainer.observe_calls(noting):
        trainer.run([0])
    assert ["<lambda>", "<lambda>"] == [entry[1] for entry in noting.log]


@pytest.mark.parametrize("weak", [True, False], ids=["weak", "strong"])
def test_an_observer_does_not_hear_its_own_methods(engine, made, weak):
    """One that listens too is not told of itself, but of others, and they are told of it."""

    class Listening(Noting):
        def listen(self, engine):
            self.log.append("listened")

    log = []
    first, second = Listening(log, "first"), Noting(log, "second")
    made.connect(first.listen, weak=weak)
    engine.add_event_handler(Custom.MADE, first.listen)
    with engine.observe_calls(first):
        made.send(engine)
        assert ["listened"] * 2 == log
        log.clear()
        with engine.observe_calls(second):
            made.send(engine)
    assert [("second", "begin", "listen", "made", 2), "listened", ("second", "end", "listen")] * 2 == log


def test_one_observer_may_hear_several_engines(noting):
    """Calls of an engine inside another lie between the ends of the call that runs it."""
    trainer, evaluator = make_engine(), make_engine()
    evaluator.add_event_handler(Events.COMPLETED, other)

    @trainer.on(Events.EPOCH_COMPLETED)
    def evaluate():
        evaluator.run([0])

    with trainer.observe_calls(noting), evaluator.observe_calls(noting):
        trainer.run([0])
    assert [
        *(("begin", "evaluate", "epoch_completed", 1), ("begin", "other", "completed", 1)),
        *(("end", "other"), ("end", "evaluate")),
    ] == noting.log


def test_an_event_that_a_receiver_fires_lies_inside(engine, noting):
    """The calls that a receiver causes begin after its own and end before."""
    engine.add_event_handler(Custom.MADE, hear)
    engine.add_event_handler(Events.COMPLETED, lambda engine: engine.fire_event(Custom.MADE))
    with engine.observe_calls(noting):
        engine.run([0])
    assert [("begin", "<lambda>", "completed", 1), *HEARD, ("end", "<lambda>")] == noting.log


# When it comes and goes.


def test_nothing_is_heard_after_the_end(engine, made, noting):
    """An observation ends with its block, or when it is removed; twice is no error."""
    made.connect(hear)
    handle = engine.observe_calls(noting)
    made.send(engine)
    handle.remove()
    handle.remove()
    made.send(engine)
    assert HEARD == noting.log


def test_an_observation_that_has_ended_leaves_nothing_behind(engine, made, noting):
    """Connections are as if nobody had ever observed."""
    made.connect(hear, weak=False)
    [connection] = made.connections()
    with engine.observe_calls(noting):
        assert connection.ready is None
    assert hear is connection.ready
    alive = weakref.ref(noting)
    noting.log = None
    assert connection.observed is None
    assert alive() is noting


def test_who_is_connected_later_in_the_same_send_waits(engine, made, noting):
    """Observing does not change that a receiver connected during a send waits for the next."""

    def connect(engine):
        made.connect(hear)

    made.connect(connect)
    with engine.observe_calls(noting):
        made.send(engine)
        assert ["connect", "connect"] == [entry[1] for entry in noting.log]
        made.send(engine)
    assert ["connect", "connect", "hear", "hear"] == [entry[1] for entry in noting.log[2:]]


def test_who_is_disconnected_during_a_send_is_not_heard(engine, made, noting):
    """Observing does not change that a receiver disconnected during a send is called no more."""

    def disconnect(engine):
        made.disconnect(hear)

    made.connect(disconnect)
    made.connect(hear)
    with engine.observe_calls(noting):
        made.send(engine)
    assert ["disconnect", "disconnect"] == [entry[1] for entry in noting.log]


def test_a_receiver_that_disconnects_itself_is_heard_to_the_end(engine, made, noting):
    """A call that has begun also ends."""

    def leave(engine):
        made.disconnect(leave)

    made.connect(leave)
    with engine.observe_calls(noting):
        made.send(engine)
        made.send(engine)
    assert [("begin", "leave", "made", 1), ("end", "leave")] == noting.log


def test_an_observer_that_comes_during_a_send_hears_the_receivers_that_follow(engine, made, noting):
    """Not the one that is being called, which it has not heard begin."""

    def begin(engine):
        engine.observe_calls(noting)

    made.connect(begin)
    made.connect(hear)
    made.send(engine)
    assert HEARD == noting.log


def test_an_observer_that_goes_during_a_send_hears_the_end_of_the_call(engine, made, noting):
    """What has begun also ends, and no other call is heard."""
    handle = engine.observe_calls(noting)

    def end(engine):
        handle.remove()

    made.connect(end)
    made.connect(hear)
    made.send(engine)
    assert [("begin", "end", "made", 1), ("end", "end")] == noting.log


def test_a_receiver_may_observe_what_it_causes(engine, made, noting):
    """A block inside a receiver hears what lies in it, and nothing around."""

    def watch(engine):
        with engine.observe_calls(noting):
            made.send(engine)

    engine.add_event_handler(Events.COMPLETED, watch)
    engine.add_event_handler(Events.COMPLETED, other)
    made.connect(hear)
    engine.run([0])
    assert HEARD == noting.log


def test_an_observation_may_come_and_go_in_the_middle_of_a_run(engine, noting):
    """The run loop notices, also where a receiver is called at every iteration."""
    handles = []

    def switch(engine):
        if engine.state.iteration == 3:
            handles.append(engine.observe_calls(noting))
        elif handles:
            handles.pop().remove()

    engine.add_event_handler(Events.ITERATION_STARTED, switch)
    engine.add_event_handler(Events.ITERATION_COMPLETED, hear)
    engine.run(range(6))
    assert [("begin", "hear", "iteration_completed", 3), ("end", "hear")] == noting.log[:2]
    assert ["switch", "switch"] == [entry[1] for entry in noting.log[2:]]


def test_another_thread_may_observe(engine, noting):
    """What another thread begins holds from the next call on."""
    engine.add_event_handler(Events.ITERATION_COMPLETED, hear)

    def step(engine, batch):
        if batch == 2:
            observing = threading.Thread(target=lambda: engine.observe_calls(noting))
            observing.start()
            observing.join()

    engine._process_function = step
    engine.run(range(4))
    assert [3, 4] == [entry[3] for entry in noting.log if entry[0] == "begin"]


# Several.


def test_the_first_of_several_is_around_the_others(engine, made):
    """They hear a call begin in the order in which they came, and end in the reverse order."""
    log = []
    made.connect(lambda engine: log.append("called"), weak=False)
    with engine.observe_calls(Noting(log, "first")), engine.observe_calls(Noting(log, "second")):
        made.send(engine)
    assert [("first", "begin"), ("second", "begin"), "called", ("second", "end"), ("first", "end")] == [
        entry if isinstance(entry, str) else entry[:2] for entry in log
    ]


def test_several_hear_the_same_call(engine, made):
    """All that hear a call are given one object."""
    calls = []

    class Keeping:
        def call_started(self, call):
            calls.append(call)

        def call_ended(self, call, error):
            calls.append(call)

    made.connect(hear)
    with engine.observe_calls(Keeping()), engine.observe_calls(Keeping()):
        assert [(hear, "heard")] == made.send(engine)
    assert 4 == len(calls)
    assert 1 == len(set(map(id, calls)))


def test_one_of_several_may_go(engine, made):
    """The others go on, whichever goes."""
    log = []
    made.connect(hear)
    first, _, third = [engine.observe_calls(Noting(log, name)) for name in "abc"]
    first.remove()
    third.remove()
    made.send(engine)
    assert ["b", "b"] == [entry[0] for entry in log]


def test_observers_are_told_apart_by_identity(engine, made):
    """Observers that are equal, and have no hash, are two."""

    class Equal(Noting):
        __hash__ = None

        def __eq__(self, other):
            return True

    log = []
    made.connect(hear)
    with engine.observe_calls(Equal(log, "first")):
        with engine.observe_calls(Equal(log, "second")):
            made.send(engine)
        made.send(engine)
    assert ["first", "second", "second", "first", "first", "first"] == [entry[0] for entry in log]


# Errors.


def test_what_a_receiver_raises_is_heard_and_raised(engine, made, noting):
    """An observer hears of the very exception, which goes on its way."""
    error = ValueError("no")
    heard = []

    def fail(engine):
        raise error

    made.connect(fail)
    noting.call_ended = lambda call, raised: heard.append(raised)
    with engine.observe_calls(noting), pytest.raises(ValueError, match="no") as caught:
        made.send(engine)
    assert error is caught.value
    assert [error] == heard


def failing(engine):
    raise ValueError("of the receiver")


class Failing(Noting):
    """Raise when a call begins, or when it ends."""

    def __init__(self, when, error, log=None):
        super().__init__(log, "failing")
        self.when, self.error = when, error

    def call_started(self, call):
        super().call_started(call)
        if self.when == "begin":
            raise self.error

    def call_ended(self, call, error):
        super().call_ended(call, error)
        if self.when == "end":
            raise self.error


@pytest.mark.parametrize(("when", "method"), [("begin", "call_started"), ("end", "call_ended")])
def test_what_an_observer_raises_is_raised_with_a_note_that_names_it(engine, made, when, method):
    """An observer's mistake is not hidden, and says whose it is."""
    made.connect(hear)
    with engine.observe_calls(Failing(when, KeyError("k"))), pytest.raises(KeyError) as caught:
        made.send(engine)
    assert f"in the observer Failing.{method}" == caught.value.__notes__[0]
    assert "receiver hear" in caught.value.__notes__[1]


def test_a_call_that_an_observer_refuses_is_not_made(engine, made):
    """The others hear that it has ended, by which error; who refused it hears no end."""
    log = []
    made.connect(lambda engine: log.append("called"), weak=False)
    with (
        engine.observe_calls(Noting(log, "first")),
        engine.observe_calls(Failing("begin", KeyError("k"), log)),
        engine.observe_calls(Noting(log, "third")),
        pytest.raises(KeyError),
    ):
        made.send(engine)
    assert [("first", "begin"), ("failing", "begin"), ("first", "end", "<lambda>", "KeyError('k')")] == [
        entry[:2] if entry[1] == "begin" else entry for entry in log
    ]


def test_an_observer_that_fails_at_the_end_keeps_it_from_no_other(engine, made):
    """Each that heard a call begin hears it end."""
    log = []
    made.connect(hear)
    with (
        engine.observe_calls(Noting(log, "first")),
        engine.observe_calls(Failing("end", KeyError("k"), log)),
        engine.observe_calls(Noting(log, "third")),
        pytest.raises(KeyError),
    ):
        made.send(engine)
    assert [("third", "end", "hear"), ("failing", "end", "hear"), ("first", "end", "hear", "KeyError('k')")] == log[3:]


def test_an_observer_s_error_does_not_take_the_place_of_the_receiver_s(engine, made):
    """The receiver's exception leaves, with a note of the other one."""
    made.connect(failing)
    with engine.observe_calls(Failing("end", KeyError("k"))), pytest.raises(ValueError, match="receiver") as caught:
        made.send(engine)
    assert "the observer Failing.call_ended raised KeyError('k') too" == caught.value.__notes__[0]
    assert "receiver failing" in caught.value.__notes__[1]


def test_what_ends_the_program_goes_before_an_error(engine, made):
    """Ctrl-C while an observer is told of an error is not lost, nor is the error."""
    made.connect(failing)
    with engine.observe_calls(Failing("end", KeyboardInterrupt())), pytest.raises(KeyboardInterrupt) as caught:
        made.send(engine)
    assert isinstance(caught.value.__context__, ValueError)


def test_an_observer_may_raise_the_receiver_s_own_exception(engine, made):
    """It is raised as itself, and said to be nobody else's."""

    class Raising(Noting):
        def call_ended(self, call, error):
            raise error

    made.connect(failing)
    with engine.observe_calls(Raising()), pytest.raises(ValueError, match="receiver") as caught:
        made.send(engine)
    assert not any("too" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("when", ["begin", "end"])
def test_receivers_of_an_exception_are_all_called_whatever_an_observer_does(engine, when):
    """An observer's error at EXCEPTION_RAISED is one of its receiver's; the run's own is its context."""
    called = []
    engine._process_function = lambda engine, batch: 1 / 0
    engine.add_event_handler(Events.EXCEPTION_RAISED, lambda engine, error: called.append("first"))
    engine.add_event_handler(Events.EXCEPTION_RAISED, lambda engine, error: called.append("second"))
    with engine.observe_calls(Failing(when, KeyError("k"))), pytest.raises(KeyError) as caught:
        engine.run([0])
    assert isinstance(caught.value.__context__, ZeroDivisionError)
    assert ([] if when == "begin" else ["first", "second"]) == called


def test_an_exception_that_a_handler_deals_with_is_dealt_with(engine, noting):
    """Who is called at EXCEPTION_RAISED decides as without an observer."""
    engine._process_function = lambda engine, batch: 1 / 0

    def deal(engine, error):
        return None

    engine.add_event_handler(Events.EXCEPTION_RAISED, deal)
    with engine.observe_calls(noting):
        assert "failed" == engine.run([0]).stop_reason
    assert [("begin", "deal", "exception_raised", 1), ("end", "deal")] == noting.log


def test_a_receiver_of_an_exception_that_only_watches_does_not_deal_with_it(engine, noting):
    """A connected receiver lets the exception go on, observed or not."""
    engine._process_function = lambda engine, batch: 1 / 0
    receiver = engine.signal(Events.EXCEPTION_RAISED).connect(lambda engine, exception: None, weak=False)
    with engine.observe_calls(noting), pytest.raises(ZeroDivisionError):
        engine.run([0])
    assert receiver is not None
    assert 2 == len(noting.log)


def test_an_error_of_a_receiver_of_exceptions_is_heard(engine, noting):
    """What it raises is told to the observer and raised."""
    engine._process_function = lambda engine, batch: 1 / 0

    def fail(engine, error):
        raise KeyError("k")

    engine.add_event_handler(Events.EXCEPTION_RAISED, fail)
    with engine.observe_calls(noting), pytest.raises(KeyError):
        engine.run([0])
    assert ("end", "fail", "KeyError('k')") == noting.log[-1]


def test_an_error_s_traceback_keeps_no_frame_of_observing_alive(engine, made, noting):
    """An exception that was observed is freed by reference counting alone."""

    class TraceableError(Exception):  # a built-in one cannot be referred to weakly
        pass

    def fail(engine):
        raise TraceableError

    made.connect(fail)
    noting.call_ended = lambda call, error: None
    gc.collect()
    gc.disable()
    try:
        with engine.observe_calls(noting):
            try:
                made.send(engine)
            except TraceableError as error:
                alive = weakref.ref(error)
        assert alive() is None
    finally:
        gc.enable()


# What it leaves as it is.


def test_send_returns_the_user_s_callables(engine, made, noting):
    """What an observer is told through is not seen."""
    owner = Owner()
    made.connect(hear)
    made.connect(owner.method)
    engine.add_event_handler(Custom.MADE, other)
    before = made.send(engine)
    with engine.observe_calls(noting), engine.observe_calls(Noting()):
        assert before == made.send(engine)
    assert [(hear, "heard"), (owner.method, "method"), (other, "other")] == before


@pytest.mark.parametrize("name", ["self", "engine", "call", "payload", "receiver"])
def test_a_payload_may_have_any_names(engine, noting, name):
    """The names of a payload are the user's, also those that observing uses itself."""
    got = []
    engine.register_events("sent")

    def receive(sender, /, **payload):
        got.append(payload)

    engine.signals["sent"].connect(receive)
    with engine.observe_calls(noting), engine.observe_calls(Noting()):
        engine.signals["sent"].emit(engine, None, {name: 1})
    assert [{name: 1}] == got


def test_error_notes_are_as_without(engine, made, noting):
    """A receiver's error says where it was raised, and no more."""
    made.connect(failing)

    def notes():
        with pytest.raises(ValueError, match="receiver") as caught:
            made.send(engine)
        return [note.partition(", at")[0] for note in caught.value.__notes__]

    before = notes()
    with engine.observe_calls(noting):
        assert before == notes()


def test_who_listens_is_described_as_without(engine, made, noting):
    """An observer is no receiver."""
    made.connect(hear)
    engine.add_event_handler(Events.COMPLETED(every=2), print, "it")
    before = engine.describe(), str(engine)
    with engine.observe_calls(noting):
        assert before == (engine.describe(), str(engine))
        assert engine.has_event_handler(hear, Custom.MADE)
        assert [hear] == list(made.receivers_for(engine))


def test_why_a_run_ended_is_told_as_without(engine, noting):
    """The receiver that asked is named, not what it was called through."""

    def stop(engine):
        engine.terminate()

    engine.add_event_handler(Events.ITERATION_COMPLETED, stop)
    before = engine.run(range(3)).stop_reason
    with engine.observe_calls(noting):
        after = engine.run(range(3)).stop_reason
    assert ("terminated", before.by) == (after, after.by)
    assert "stop" in after.by


def test_a_handler_is_removed_as_without(engine, made, noting):
    """Handles, `remove_event_handler` and `disconnect` find what is observed."""
    with engine.observe_calls(noting):
        handle = engine.add_event_handler(Custom.MADE, hear)
        handle.remove()
        engine.add_event_handler(Custom.MADE, hear)
        engine.remove_event_handler(hear, Custom.MADE)
        made.connect(hear)
        made.disconnect(hear)
        made.send(engine)
    assert [] == noting.log


def test_a_receiver_that_was_only_heard_by_observers_counts_as_called(engine, made, noting):
    """The warning of a receiver that dies uncalled does not come where it was called."""
    receiver = made.connect(lambda engine: None)
    with engine.observe_calls(noting):
        made.send(engine)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del receiver
        noting.log.clear()
    assert [] == made.send(engine)


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_is_not_observed(noting, copied):
    """A copy's handlers are called unheard, and the original is observed as before."""
    engine = Engine(print_nothing)
    engine.add_event_handler(Events.COMPLETED, hear)
    with engine.observe_calls(noting):
        copied(engine).run([0])
        assert [] == noting.log
        engine.run([0])
    assert 2 == len(noting.log)


def print_nothing(engine, batch):
    return None


def test_a_copy_can_be_observed(noting):
    """A copy is an engine like any other."""
    engine = Engine(print_nothing)
    engine.add_event_handler(Events.COMPLETED, hear)
    with engine.observe_calls(Noting()):
        twin = copy.deepcopy(engine)
    with twin.observe_calls(noting):
        twin.run([0])
    assert 2 == len(noting.log)


def test_the_handle_cannot_be_copied(engine, noting):
    """It belongs to one engine, and says so."""
    with engine.observe_calls(noting) as handle, pytest.raises(TypeError, match="an Observation belongs to one"):
        pickle.dumps(handle)
    assert isinstance(handle, Observation)


# Who keeps what.


def test_the_engine_keeps_its_observers(engine, made):
    """An observer that nobody else keeps hears on, until its observation ends; then it is let go."""
    log = []
    noting = Noting(log)
    made.connect(hear)
    handle = engine.observe_calls(noting)
    alive = weakref.ref(noting)
    del noting
    made.send(engine)
    assert HEARD == log
    handle.remove()
    assert alive() is None


def test_an_observed_engine_is_freed_at_once(noting):
    """Neither the observer, the handle nor a receiver makes a cycle with the engine, also after a run."""
    gc.collect()
    gc.disable()
    try:
        engine = make_engine()
        owner = Owner()
        engine.signal(Events.ITERATION_COMPLETED).connect(owner.method)
        engine.add_event_handler(Events.COMPLETED(every=2), hear)
        noting.handle = engine.observe_calls(noting)
        engine.run([0])
        alive = weakref.ref(engine)
        del engine
        assert alive() is None
    finally:
        gc.enable()
    noting.handle.remove()
    assert "Observation(removed)" == repr(noting.handle)


def test_an_observer_that_keeps_its_handle_makes_no_cycle(engine):
    """The handle keeps neither the engine nor the observer."""
    gc.collect()
    gc.disable()
    try:
        noting = Noting()
        noting.handle = engine.observe_calls(noting)
        noting.handle.remove()
        alive = weakref.ref(noting)
        del noting
        assert alive() is None
    finally:
        gc.enable()


def test_observing_a_thousand_times_leaves_nothing_behind(engine, made):
    """Observers that have gone are not looked at."""
    made.connect(hear)
    for _ in range(1000):
        with engine.observe_calls(Noting()):
            pass
    assert 0 == len(engine._observers)


def test_the_handle_shows_whom_it_lets_observe(engine, noting):
    """Its repr names the observer, or says that it is gone."""
    with engine.observe_calls(noting) as handle:
        assert f"Observation({noting!r})" == repr(handle)
    assert "Observation(removed)" == repr(handle)


# Bad input.


def test_an_observer_must_have_both_methods(engine):
    """The error names the one that is missing."""

    class Half:
        def call_started(self, call):
            """Hear."""

    with pytest.raises(TypeError, match=r"observer\.call_ended must be callable, got None"):
        engine.observe_calls(Half())
    with pytest.raises(TypeError, match=r"observer\.call_started must be callable, got None"):
        engine.observe_calls(print)


def test_an_observer_must_be_an_object(engine):
    """A class in its place is a mistake, and is told how to mend it."""
    with pytest.raises(TypeError, match=r"got the class Noting: give an object of it, such as Noting\(\)"):
        engine.observe_calls(Noting)


def test_an_observer_must_not_be_async(engine):
    """Its methods are called, not awaited."""

    class Async(Noting):
        async def call_ended(self, call, error):
            """Hear."""

    with pytest.raises(TypeError, match=r"observer\.call_ended must be a plain function"):
        engine.observe_calls(Async())


def test_an_observer_is_given_once(engine, noting):
    """The same one twice would hear each call twice."""
    with engine.observe_calls(noting), pytest.raises(ValueError, match="observer must be given once"):
        engine.observe_calls(noting)
    with engine.observe_calls(noting):
        assert 1 == len(engine._observers)


# Whole runs.

ACTIONS = ["nothing", "terminate", "terminate_epoch", "interrupt", "fail", "connect", "disconnect", "fire", "recount"]


def act(engine, action, extra):
    """Do to a run what receivers do."""
    if action in ("terminate", "terminate_epoch", "interrupt"):
        getattr(engine, action)()
    elif action == "fail":
        raise ValueError("asked to")
    elif action == "connect":
        engine.signal(Events.ITERATION_COMPLETED(every=2)).connect(extra)
    elif action == "disconnect":
        engine.signal(Events.ITERATION_COMPLETED).disconnect(extra)
    elif action == "fire":
        engine.fire_event(Custom.MADE)
    elif action == "recount":
        engine.state.iteration += 1


def sequence_of(plan, observers):
    """Return the whole sequence of a run, and of going on once, with what was raised and heard."""
    engine, heard = make_engine(), []

    def extra(engine):
        heard.append(("extra", engine.state.iteration))

    for event, every, count, action in plan:

        def receive(engine, *, event=event, count=count, action=action, **payload):
            heard.append((event.name, engine.last_event_name, engine.state.iteration, sorted(payload)))
            if len(heard) % count == 0:
                act(engine, action, extra)

        engine.signal(event if every is None else event(every=every)).connect(receive, weak=False)
    with EventRecorder(engine) as recorder:
        observations = [engine.observe_calls(each) for each in observers]
        for _ in range(2):
            try:
                heard.append(str(engine.run(range(3), max_epochs=2).stop_reason))
            except Exception as error:  # whatever it is, it must be the same
                heard.append([repr(error), *(note.partition(" at 0x")[0] for note in error.__notes__)])
        for each in observations:
            each.remove()
    return [repr(record) for record in recorder], heard, engine.last_event_name, engine.state.counters


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([event for event in Events if event is not Events.STARTED]),
            st.none() | st.integers(1, 3),
            st.integers(1, 7),
            st.sampled_from(ACTIONS),
        ),
        max_size=5,
    )
)
def test_a_run_is_the_same_with_and_without_observers(plan):
    """Whatever receivers do, each event, error, note and count is as without observers, and each call ends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log = []
        expected = sequence_of(plan, [])
        observed = sequence_of(plan, [Noting(log, "first"), Noting(log, "second")])
    assert expected == observed
    begun = []
    for who, what, *_ in log:
        if what == "begin":
            begun.append(who)
        else:
            assert who == begun.pop()
    assert [] == begun


def test_an_unobserved_call_passes_nothing_of_observing(engine, made):
    """While nobody observes, a receiver is called by the signal itself, also after an observation has ended."""
    frames = []

    def look(engine):
        stack = traceback.extract_stack()
        frames.append([frame.name for frame in stack if "ignite_signals" in frame.filename])

    owner = Owner()
    made.connect(look)
    made.connect(owner.method)
    engine.signal(Custom.MADE(event_filter=lambda engine, count: True)).connect(look)
    with engine.observe_calls(Noting()):
        made.send(engine)
    assert [["send", "emit", "__call__"]] * 2 == frames
    frames.clear()
    made.send(engine)
    assert [["send", "emit"]] * 2 == frames
