"""What waits for a complete state is called once, after all receivers of the event that completes it."""

from __future__ import annotations

import contextlib
import copy
import itertools
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ignite_signals.engine import DeterministicEngine, Engine, Events
from ignite_signals.testing import EventRecorder

COMPLETE = ("iteration_completed", "epoch_completed")


def echo(engine: Engine, batch: Any) -> Any:
    return batch


class Places:
    """Note at which events a function is called."""

    def __init__(self) -> None:
        self.places: list[tuple[str, int, int]] = []

    def __call__(self, engine: Engine) -> None:
        event: Any = engine.last_event_name
        self.places.append((event.value, engine.state.epoch, engine.state.iteration))


def at(engine: Engine, moment: int, act: Callable[[Engine], Any]) -> None:
    """Act in a receiver of the so-manieth event, from 0."""
    moments = itertools.count()

    def hear(engine: Engine, **payload: Any) -> None:
        if next(moments) == moment:
            act(engine)

    for event in Events:
        engine.signal(event).connect(hear, weak=False)


def run_with(
    moment: int, act: Callable[[Engine], Any], epochs: int = 2, batches: int = 2
) -> list[tuple[str, int, int]]:
    """Run with something done at an event, and return the events."""
    engine = Engine(echo)
    with EventRecorder(engine) as recorder:
        at(engine, moment, act)
        engine.run(range(batches), max_epochs=epochs)
    return recorder.sequence


@given(st.integers(1, 3), st.integers(1, 3), st.data())
def test_it_is_called_at_the_next_complete_state(epochs: int, batches: int, data: st.DataObject) -> None:
    """Whenever it is asked for: once, at the next end of an iteration or epoch or of the run; no event changes."""
    plain = run_with(-1, echo_nothing, epochs, batches)
    moment, places = data.draw(st.integers(0, len(plain) - 1)), Places()
    sequence = run_with(moment, lambda engine: engine.call_when_complete(places), epochs, batches)

    assert plain == sequence
    assert [next((event for event in plain[moment:] if event[0] in COMPLETE), plain[-1])] == places.places


def echo_nothing(engine: Engine) -> None:
    """Act in no way."""


def test_the_step_may_ask() -> None:
    """Its own iteration is the one that is waited for, and its output is there."""
    engine = Engine(
        lambda engine, batch: engine.call_when_complete(lambda engine: seen.append(engine.state.output)) or batch
    )
    seen: list[Any] = []
    engine.run("abc")

    assert ["a", "b", "c"] == seen


def test_all_receivers_are_called_before() -> None:
    """Also those that come after who asked, and those of an evaluation that one of them runs."""
    trainer, evaluator = Engine(echo), Engine(echo)
    calls: list[str] = []
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED, lambda: trainer.call_when_complete(lambda _: calls.append("called"))
    )
    evaluator.add_event_handler(Events.COMPLETED, lambda: calls.append("evaluated"))
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([0]))
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: calls.append("last receiver"))
    trainer.run([0])

    assert ["evaluated", "last receiver", "called"] == calls


def test_an_event_of_another_engine_completes_nothing() -> None:
    """An evaluator's iterations are no safe point of the trainer's."""
    trainer, evaluator, places = (
        Engine(echo),
        Engine(lambda engine, batch: trainer.call_when_complete(places)),
        Places(),
    )
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda: evaluator.run([0]))
    trainer.run([0])

    assert [("iteration_completed", 1, 1)] == places.places


def test_several_functions_are_called_in_the_order_in_which_they_were_asked_for() -> None:
    """Each once, though one is there twice or asks for another."""
    engine, calls = Engine(echo), []

    def first(engine: Engine) -> None:
        calls.append(1)
        engine.call_when_complete(third)

    def second(engine: Engine) -> None:
        calls.append(2)

    def third(engine: Engine) -> None:
        calls.append(3)

    @engine.on(Events.STARTED)
    def ask(engine: Engine) -> None:
        for function in (first, second, second):
            engine.call_when_complete(function)

    engine.run([0, 1])

    assert [1, 2, 2, 3] == calls


def test_it_may_be_asked_for_before_the_run() -> None:
    """By a context that surrounds it, for instance by a signal that comes there: the first iteration completes it."""
    engine, places = Engine(echo), Places()

    @contextlib.contextmanager
    def asking(engine: Engine) -> Iterator[None]:
        engine.call_when_complete(places)
        yield

    engine.surround_runs(asking)
    engine.run([0, 1])

    assert [("iteration_completed", 1, 1)] == places.places


def test_another_thread_may_ask() -> None:
    """It is called in the thread of the run."""
    engine, threads = Engine(echo), []

    @engine.on(Events.ITERATION_STARTED(once=2))
    def ask(engine: Engine) -> None:
        function = lambda engine: threads.append((threading.get_ident(), engine.state.iteration))  # noqa: E731
        thread = threading.Thread(target=engine.call_when_complete, args=(function,))
        thread.start()
        thread.join()

    engine.run([0, 1, 2])

    assert [(threading.get_ident(), 2)] == threads


def test_a_thread_that_asks_again_and_again_is_heard_each_time() -> None:
    """None of many requests, from a thread that does not wait for the run, is lost."""
    engine, calls, asked, go_on = Engine(echo), [], 2000, threading.Event()

    def ask() -> None:
        for _ in range(asked):
            engine.call_when_complete(calls.append)
        go_on.set()

    thread = threading.Thread(target=ask)
    engine.add_event_handler(Events.STARTED, thread.start)
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: engine.terminate() if go_on.is_set() else None)
    engine.run(itertools.count(), epoch_length=10**6)
    thread.join()

    assert asked == len(calls)


@pytest.mark.parametrize("where", ["step", "batch"])
def test_a_signal_handler_may_ask(where: str) -> None:
    """The iteration that it stopped is completed first."""
    places = Places()

    def batches() -> Iterator[int]:
        yield 0
        if where == "batch":
            signal.raise_signal(signal.SIGUSR1)
        yield 1
        yield 2

    def step(engine: Engine, batch: int) -> None:
        if where == "step" and batch == 1:
            signal.raise_signal(signal.SIGUSR1)

    engine = Engine(step)
    before = signal.signal(signal.SIGUSR1, lambda number, frame: engine.call_when_complete(places))
    engine.run(batches(), epoch_length=3)
    signal.signal(signal.SIGUSR1, before)

    assert [("iteration_completed", 1, 2)] == places.places


@pytest.mark.parametrize("event", ["iteration_completed", "epoch_completed"])
def test_it_may_end_the_run(event: str) -> None:
    """What it asks for is heeded at once, and told to be of whom it says."""
    engine = Engine(echo)
    engine.signal(event).connect(
        lambda engine: engine.call_when_complete(lambda engine: engine.terminate(skip_completed=True, by="me")),
        weak=False,
    )
    with EventRecorder(engine) as recorder:
        state = engine.run([0, 1], max_epochs=2)

    assert [event, "terminate"] == recorder.names[-2:]
    assert ("'terminated' by me", state.iteration) == (
        repr(state.stop_reason),
        1 if event == "iteration_completed" else 2,
    )


def test_it_may_pause_the_run() -> None:
    """The run goes on after the complete state, and does not call it again."""
    engine, places = Engine(echo), Places()

    def pause(engine: Engine) -> None:
        places(engine)
        engine.interrupt()

    engine.add_event_handler(Events.ITERATION_STARTED(once=1), lambda: engine.call_when_complete(pause))
    first = str(engine.run([0, 1]).stop_reason)
    second = str(engine.run([0, 1]).stop_reason)

    assert ("interrupted", "completed", [("iteration_completed", 1, 1)]) == (first, second, places.places)


def test_it_may_end_the_epoch() -> None:
    """The next epoch is on fresh data."""
    engine = Engine(echo)
    engine.add_event_handler(
        Events.ITERATION_STARTED(once=1), lambda: engine.call_when_complete(Engine.terminate_epoch)
    )

    assert (2, 4) == (engine.run([0, 1, 2], max_epochs=2).epoch, engine.state.iteration)


@pytest.mark.parametrize("ends", ["terminate", "interrupt", "terminate_epoch"])
def test_it_comes_before_other_requests(ends: str) -> None:
    """When the iteration is complete it is called, whatever else was asked for at the same time."""
    engine, places = Engine(echo), Places()

    @engine.on(Events.ITERATION_COMPLETED(once=2))
    def ask(engine: Engine) -> None:
        getattr(engine, ends)()
        engine.call_when_complete(places)

    engine.run([0, 1, 2], max_epochs=2)

    assert 1 == len(places.places)
    assert 2 == places.places[0][2]


@pytest.mark.parametrize("event", [Events.STARTED, Events.EPOCH_STARTED, Events.GET_BATCH_STARTED])
def test_a_run_that_is_terminated_before_calls_it_at_its_end(event: Events) -> None:
    """After TERMINATE and COMPLETED."""
    engine, places = Engine(echo), Places()

    @engine.on(event)
    def ask(engine: Engine) -> None:
        engine.call_when_complete(places)
        engine.terminate()

    engine.run([0, 1])

    assert ["completed"] == [name for name, *_ in places.places]


def test_an_interrupted_run_calls_it_when_it_has_gone_on() -> None:
    """Where the run pauses nothing is complete, so it waits for the next call of `run`."""
    engine, places = Engine(echo), Places()

    @engine.on(Events.ITERATION_STARTED(once=2))
    def ask(engine: Engine) -> None:
        engine.call_when_complete(places)
        engine.interrupt()

    engine.run([0, 1, 2])
    paused = places.places[:]
    engine.run([0, 1, 2])

    assert ([], [("iteration_completed", 1, 2)]) == (paused, places.places)


@pytest.mark.parametrize("kind", [Engine, DeterministicEngine])
def test_a_run_that_fails_forgets_it(kind: type[Engine]) -> None:
    """Neither this run nor the next one calls it."""
    engine, places = kind(echo), Places()

    @engine.on(Events.ITERATION_STARTED(once=2))
    def fail(engine: Engine) -> None:
        engine.call_when_complete(places)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        engine.run([0, 1, 2], max_epochs=2)
    state = engine.run([0, 1, 2])

    assert ("completed", []) == (state.stop_reason, places.places)


def test_a_reset_forgets_it() -> None:
    """An engine that starts anew owes nothing to an interrupted run."""
    engine, places = Engine(echo), Places()
    engine.add_event_handler(Events.ITERATION_STARTED(once=1), Engine.interrupt)
    engine.add_event_handler(Events.ITERATION_STARTED(once=1), lambda: engine.call_when_complete(places))
    engine.run([0, 1])
    engine.reset()
    engine.run([0, 1])

    assert [] == places.places


@pytest.mark.parametrize("event", ["iteration_completed", "epoch_completed"])
def test_a_function_that_raises_fails_the_run(event: str) -> None:
    """It is announced as any other exception; functions after it are not called."""
    engine, places = Engine(echo), Places()

    def fail(engine: Engine) -> None:
        raise ValueError("no")

    @engine.on(Events(event))
    def ask(engine: Engine) -> None:
        engine.call_when_complete(fail)
        engine.call_when_complete(places)

    with EventRecorder(engine) as recorder, pytest.raises(ValueError, match="no") as caught:
        engine.run([0, 1])

    assert ([event, "exception_raised"], "failed", []) == (recorder.names[-2:], engine.state.stop_reason, places.places)
    assert ["at epoch 1, iteration"] == [note[:21] for note in caught.value.__notes__]


def test_an_exception_of_a_function_may_be_dealt_with() -> None:
    """A handler of EXCEPTION_RAISED does, as with any other; the run has failed, and the next one goes on."""
    engine = Engine(echo)

    def fail(engine: Engine) -> None:
        raise StopIteration("no")

    engine.add_event_handler(Events.EXCEPTION_RAISED, lambda engine, error: None)
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), lambda: engine.call_when_complete(fail))
    first = str(engine.run([0, 1, 2], max_epochs=2).stop_reason), engine.state.iteration
    second = str(engine.run([0, 1, 2]).stop_reason), engine.state.iteration

    assert (("failed", 2), ("completed", 6)) == (first, second)


def test_a_function_that_raises_after_the_last_event_is_not_hidden() -> None:
    """Its exception leaves `run`, and the engine can run again."""
    engine = Engine(echo)

    def fail(engine: Engine) -> None:
        raise ValueError("no")

    handle = engine.add_event_handler(Events.COMPLETED, lambda: engine.call_when_complete(fail))
    with pytest.raises(ValueError, match="no"):
        engine.run([0])
    handle.remove()

    assert "completed" == engine.run([0]).stop_reason


def test_asked_for_when_the_run_is_over_it_is_forgotten_by_the_next_one() -> None:
    """Between runs there is no iteration under way."""
    engine, places = Engine(echo), Places()
    engine.run([0])
    engine.call_when_complete(places)
    engine.run([0])

    assert [] == places.places


def test_a_muted_event_completes_the_iteration_too() -> None:
    """Its receivers are not called, but the iteration is complete."""
    engine, places = Engine(lambda engine, batch: engine.call_when_complete(places)), Places()
    with engine.signal(Events.ITERATION_COMPLETED).muted():
        engine.run([0])

    assert [("iteration_completed", 1, 1)] == places.places


def test_an_event_that_is_sent_by_hand_completes_nothing() -> None:
    """Only the run loop knows that an iteration is complete."""
    engine, places = Engine(echo), Places()

    @engine.on(Events.EPOCH_STARTED)
    def send(engine: Engine) -> None:
        engine.call_when_complete(places)
        engine.fire_event(Events.ITERATION_COMPLETED)

    engine.run([0])

    assert [("iteration_completed", 1, 1)] == places.places


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda engine: pickle.loads(pickle.dumps(engine))])
def test_a_copy_calls_nothing(copied: Callable[[Engine], Engine]) -> None:
    """What waits belongs to the run of the original."""
    engine, places = Engine(echo), Places()
    engine.add_event_handler(Events.ITERATION_STARTED(once=1), Engine.interrupt)
    engine.run([0, 1])
    engine.call_when_complete(places)
    other = copied(engine)
    other.run([0, 1])
    of_copy = places.places[:]
    engine.run([0, 1])

    assert ([], [("iteration_completed", 1, 1)]) == (of_copy, places.places)


@pytest.mark.parametrize("strange", [None, "save", 1])
def test_what_cannot_be_called_is_refused(strange: Any) -> None:
    """At once, and not when the iteration is complete."""
    with pytest.raises(TypeError, match="function must be"):
        Engine(echo).call_when_complete(strange)


def test_a_function_may_ask_for_itself_again() -> None:
    """It is then called once at each complete state, the end of the run included."""
    engine, calls = Engine(echo), list[int]()

    def again(engine: Engine) -> None:
        calls.append(engine.state.iteration)
        engine.call_when_complete(again)

    engine.add_event_handler(Events.STARTED, lambda: engine.call_when_complete(again))
    engine.run([0, 1, 2])
    assert [1, 2, 3, 3, 3] == calls


def test_a_function_that_raises_after_the_last_event_fails_the_run() -> None:
    """EXCEPTION_RAISED is sent, and the stop reason tells."""
    engine = Engine(echo)

    def fail(engine: Engine) -> None:
        raise OSError("disk full")

    engine.add_event_handler(Events.COMPLETED, lambda: engine.call_when_complete(fail))
    with EventRecorder(engine) as recorder, pytest.raises(OSError, match="disk full"):
        engine.run([0])
    assert ("exception_raised", "failed") == (recorder.names[-1], engine.state.stop_reason)
