"""Preemption stops a run in order at a signal; the signals of these tests are real ones.

Run as a program, this file plays the scenarios in which a process ends: each in a fork of one process that has
imported torch, which takes seconds.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
import io
import itertools
import json
import logging
import logging.handlers
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from signal import SIGINT, SIGTERM, SIGUSR1
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from ignite_signals.engine import DeterministicEngine, Engine, Events, State
from ignite_signals.handlers import Preemption
from ignite_signals.testing import EventRecorder

CAUGHT = (SIGTERM, SIGINT, SIGUSR1)
COMPLETE = ("iteration_completed", "epoch_completed")
Sequence = list[tuple[str, int, int]]


@pytest.fixture(autouse=True)
def log_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test get the messages of another."""
    monkeypatch.setattr("_thread.start_new_thread", lambda function, args: function(*args))


@pytest.fixture(autouse=True)
def handlers_as_before() -> Iterator[None]:
    """Look after each test whether the handlers of signals are those that were there before it."""
    before = handlers()
    yield
    after = handlers()
    for number, handler in zip(CAUGHT, before, strict=True):
        signal.signal(number, handler)
    assert before == after


def handlers() -> list[Any]:
    return [signal.getsignal(number) for number in CAUGHT]


def nothing(engine: Engine, batch: Any) -> None:
    """Be a step that does nothing."""


class Saving:
    """Note where a run is saved."""

    def __init__(self) -> None:
        self.places: list[tuple[str, int, int]] = []

    def __call__(self, engine: Engine) -> None:
        event: Any = engine.last_event_name
        self.places.append((event.value, engine.state.epoch, engine.state.iteration))


def send_at(engine: Engine, moment: int, number: int = SIGTERM) -> None:
    """Send a signal at the so-manieth event, from 0, in a receiver of it."""
    moments = itertools.count()

    def hear(engine: Engine, **payload: Any) -> None:
        if next(moments) == moment:
            signal.raise_signal(number)

    for event in Events:
        engine.signal(event).connect(hear, weak=False)


def preempted(
    moment: int | None = None, number: int = SIGTERM, step: Any = nothing, data: Any = (0, 1), **limits: Any
) -> tuple[State, Sequence, list[tuple[str, int, int]], Preemption]:
    """Run with a signal at an event; return the state, the events, where it was saved, and the handler."""
    engine, saving = Engine(step), Saving()
    preemption = Preemption(saving)
    preemption.attach(engine)
    with EventRecorder(engine) as recorder:
        if moment is not None:
            send_at(engine, moment, number)
        state = engine.run(data, **(limits or {"max_epochs": 2}))
    return state, recorder.sequence, saving.places, preemption


PLAIN = preempted()[1]
LAST = len(PLAIN) - 1


def safe_point(moment: int, plain: Sequence = PLAIN) -> int:
    """Return the first event, from a moment on, after which the state is complete."""
    return next(number for number in range(moment, len(plain)) if plain[number][0] in COMPLETE)


# The moments at which a signal may come


@pytest.mark.parametrize("number", CAUGHT)
@pytest.mark.parametrize("moment", range(LAST - 1), ids=lambda moment: "{}-{}-{}".format(*PLAIN[moment]))
def test_a_signal_at_an_event_stops_the_run_at_the_next_safe_point(moment: int, number: signal.Signals) -> None:
    """The iteration or the epoch is completed, the state is saved once, and TERMINATE is the last event."""
    state, sequence, saved, preemption = preempted(moment, number)
    stop = safe_point(moment)

    assert [*PLAIN[: stop + 1], ("terminate", *PLAIN[stop][1:])] == sequence
    assert [PLAIN[stop]] == saved
    assert f"'terminated' by Preemption ({number.name})" == repr(state.stop_reason)
    assert (number, 128 + number) == (preemption.signal, preemption.exit_code)


@pytest.mark.parametrize("moment", [LAST - 1, LAST], ids=["epoch_completed", "completed"])
def test_a_run_that_is_done_ends_as_it_would_have(moment: int) -> None:
    """At the end of the last epoch and at COMPLETED there is nothing left to stop: it is saved and completes."""
    state, sequence, saved, preemption = preempted(moment)

    assert (PLAIN, [PLAIN[moment]]) == (sequence, saved)
    assert ("completed", 143) == (state.stop_reason, preemption.exit_code)


def test_a_run_without_a_signal_is_left_alone() -> None:
    """Nothing is saved, and the program exits with 0."""
    state, sequence, saved, preemption = preempted()

    assert (PLAIN, []) == (sequence, saved)
    assert ("completed", None, 0) == (state.stop_reason, preemption.signal, preemption.exit_code)


@pytest.mark.parametrize("iteration", [1, 2, 3, 4])
def test_a_signal_in_the_step_completes_its_iteration(iteration: int) -> None:
    """The step that is under way is the last one, and its output is there to be saved."""

    def step(engine: Engine, batch: int) -> int:
        if engine.state.iteration == iteration:
            signal.raise_signal(SIGTERM)
        return batch

    state, _, saved, _ = preempted(step=step)

    assert [("iteration_completed", (iteration + 1) // 2, iteration)] == saved
    assert ("terminated", iteration, (iteration - 1) % 2) == (state.stop_reason, state.iteration, state.output)


def test_a_signal_while_a_batch_is_fetched_completes_its_iteration() -> None:
    """The batch that is fetched is used."""

    def batches() -> Iterator[int]:
        yield 0
        signal.raise_signal(SIGTERM)
        yield 1
        yield 2

    state, _, saved, _ = preempted(data=batches(), epoch_length=3)

    assert ("terminated", 2) == (state.stop_reason, state.iteration)
    assert [("iteration_completed", 1, 2)] == saved


@pytest.mark.parametrize("max_iters", [3, 4])
@pytest.mark.parametrize("event", ["iteration_started", "iteration_completed"])
def test_the_last_iteration_of_max_iters_ends_the_run_as_it_would_have(max_iters: int, event: str) -> None:
    """The limit is reached, inside of an epoch or at its end, so what is to come is the end of the run."""
    plain = preempted(max_iters=max_iters)[1]
    state, sequence, saved, _ = preempted(plain.index((event, 2, max_iters)), max_iters=max_iters)

    assert (plain, "completed") == (sequence, state.stop_reason)
    assert [("iteration_completed", 2, max_iters)] == saved


@pytest.mark.parametrize("max_epochs", [1, 2])
def test_data_that_ends_early_ends_the_run_as_it_would_have(max_epochs: int) -> None:
    """A signal while the data is found to be exhausted does not change why the run ends."""

    def batches() -> Iterator[int]:
        yield 0
        signal.raise_signal(SIGTERM)

    with pytest.warns(UserWarning, match="no more batches"):
        state, sequence, saved, preemption = preempted(data=batches(), epoch_length=3, max_epochs=max_epochs)

    assert ("exhausted", [("epoch_completed", 1, 1)], 143) == (state.stop_reason, saved, preemption.exit_code)
    assert ("completed", 1, 1) == sequence[-1]


def test_a_run_that_somebody_ends_is_ended_by_them() -> None:
    """A signal does not take a termination from who asked for it; COMPLETED is sent, and the state is saved."""
    engine, saving = Engine(nothing), Saving()
    Preemption(saving).attach(engine)

    @engine.on(Events.EPOCH_COMPLETED)
    def stop_early(engine: Engine) -> None:
        engine.terminate()
        signal.raise_signal(SIGTERM)

    with EventRecorder(engine) as recorder:
        state = engine.run([0], max_epochs=5)

    assert (["epoch_completed", "terminate", "completed"], 1) == (recorder.names[-3:], len(saving.places))
    assert "stop_early" in str(state.stop_reason and state.stop_reason.by)


def test_the_end_of_the_run_is_a_moment_too() -> None:
    """A signal when the last event is over, but not what surrounds the run, is saved for."""
    engine, saving = Engine(nothing), Saving()
    Preemption(saving).attach(engine)

    @contextlib.contextmanager
    def surroundings(engine: Engine) -> Iterator[None]:
        yield
        signal.raise_signal(SIGTERM)

    engine.surround_runs(surroundings)
    state = engine.run([0])

    assert ("completed", [("completed", 1, 1)]) == (state.stop_reason, saving.places)
    assert not engine.should_terminate


def test_without_save_the_run_stops_all_the_same() -> None:
    """To save is then the program's own business."""
    engine = Engine(lambda engine, batch: signal.raise_signal(SIGTERM))
    Preemption().attach(engine)

    assert (1, "terminated") == (engine.run([0, 1]).iteration, engine.state.stop_reason)


def test_a_save_that_fails_ends_the_run_with_its_exception() -> None:
    """Nothing is hidden: the exception is announced as any other, says where it was, and leaves `run`."""
    engine = Engine(lambda engine, batch: signal.raise_signal(SIGTERM))

    def save(engine: Engine) -> None:
        raise OSError("the disk is full")

    preemption = Preemption(save)
    preemption.attach(engine)
    with EventRecorder(engine) as recorder, pytest.raises(OSError, match="full") as caught:
        engine.run([0, 1])

    assert "in save, which Preemption called because of SIGTERM" in caught.value.__notes__
    assert ("exception_raised", "failed", 143) == (recorder.names[-1], engine.state.stop_reason, preemption.exit_code)


def test_a_save_that_fails_after_the_last_event_is_not_hidden() -> None:
    """Its exception leaves `run` too."""
    engine = Engine(nothing)
    engine.signal(Events.COMPLETED).connect(lambda engine: signal.raise_signal(SIGTERM), weak=False)

    def save(engine: Engine) -> None:
        raise OSError("the disk is full")

    Preemption(save).attach(engine)
    with pytest.raises(OSError, match="full") as caught:
        engine.run([0])

    assert "in save, which Preemption called because of SIGTERM" in caught.value.__notes__


def test_a_run_that_fails_after_the_signal_is_not_saved() -> None:
    """In the middle of an iteration there is no state to save; the signal is known all the same."""
    engine, saving = Engine(nothing), Saving()
    preemption = Preemption(saving)
    preemption.attach(engine)

    def fail(engine: Engine, batch: int) -> None:
        signal.raise_signal(SIGTERM)
        raise StopIteration("no more")

    engine._process_function = fail
    with pytest.raises(StopIteration, match="no more"):
        engine.run([0])
    engine.add_event_handler(Events.EXCEPTION_RAISED, lambda engine, error: None)
    dealt_with = engine.run([0])

    assert ("failed", [], 143) == (dealt_with.stop_reason, saving.places, preemption.exit_code)


# Interrupted runs, runs inside runs, runs one after the other


def test_a_run_that_is_interrupted_first_stops_when_it_has_gone_on() -> None:
    """The signal is not forgotten: the next safe point lies in the next call of `run`."""
    engine, saving = Engine(nothing), Saving()
    preemption = Preemption(saving)
    preemption.attach(engine)

    @engine.on(Events.ITERATION_STARTED(once=2))
    def pause(engine: Engine) -> None:
        signal.raise_signal(SIGTERM)
        engine.interrupt()

    first = str(engine.run([0, 1, 2]).stop_reason), saving.places[:], preemption.exit_code
    second = str(engine.run([0, 1, 2]).stop_reason), saving.places, preemption.exit_code

    assert (("interrupted", [], 143), ("terminated", [("iteration_completed", 1, 2)], 143)) == (first, second)


def test_a_run_that_goes_on_is_watched_as_well() -> None:
    """It sends no STARTED, yet a signal stops it, and between its parts the handlers are put back."""
    engine, saving = Engine(nothing), Saving()
    Preemption(saving).attach(engine)
    before, between = handlers(), []
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=1), Engine.interrupt)
    engine.run([0, 1, 2, 3])
    between = handlers()
    engine.add_event_handler(Events.ITERATION_STARTED(once=3), lambda: signal.raise_signal(SIGTERM))
    state = engine.run()

    assert before == between
    assert ("terminated", [("iteration_completed", 1, 3)]) == (state.stop_reason, saving.places)


def nested(evaluator: Engine, trainer: Engine) -> list[tuple[str, str, int]]:
    """Run a trainer that evaluates at each epoch, and return the events of both."""
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([0, 1]))
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: order.append("epoch handled"))
    order: list[str] = []
    with EventRecorder(trainer=trainer, evaluator=evaluator) as recorder:
        trainer.run([0], max_epochs=3)
    assert ["epoch handled"] == order
    return [(record.engine, record.event, record.iteration) for record in recorder]


@pytest.mark.parametrize("shared", [False, True], ids=["", "attached to the evaluator too"])
def test_an_evaluation_is_finished_first(shared: bool) -> None:
    """A signal in the evaluator stops the trainer when all receivers of its EPOCH_COMPLETED have been called."""
    trainer, saving = Engine(nothing), Saving()
    evaluator = Engine(lambda engine, batch: signal.raise_signal(SIGTERM) if batch == 0 else None)
    preemption = Preemption(saving)
    for engine in (trainer, evaluator) if shared else (trainer,):
        preemption.attach(engine)
    events = nested(evaluator, trainer)

    assert [("evaluator", "epoch_completed", 2), ("evaluator", "completed", 2), ("trainer", "terminate", 1)] == events[
        -3:
    ]
    assert ([("epoch_completed", 1, 1)], 143) == (saving.places, preemption.exit_code)


def test_an_evaluator_with_its_own_preemption_stops_too() -> None:
    """Both runs are told of the signal, and each stops at its own next safe point."""
    evaluator, trainer = Engine(lambda engine, batch: signal.raise_signal(SIGTERM)), Engine(nothing)
    inner, outer = Preemption(Saving()), Preemption(Saving())
    inner.attach(evaluator)
    outer.attach(trainer)
    events = nested(evaluator, trainer)

    assert [("evaluator", "iteration_completed", 1), ("evaluator", "terminate", 1)] == events[-3:-1]
    assert ("trainer", "terminate", 1) == events[-1]
    assert (143, 143) == (inner.exit_code, outer.exit_code)
    assert ([("iteration_completed", 1, 1)], [("epoch_completed", 1, 1)]) == (inner.save.places, outer.save.places)  # type: ignore[union-attr]


def test_the_handlers_of_an_inner_run_give_way_to_those_of_the_outer_one() -> None:
    """After an evaluation the trainer's handlers are there again."""
    trainer, evaluator = Engine(nothing), Engine(nothing)
    Preemption().attach(trainer)
    Preemption().attach(evaluator)
    seen: list[list[Any]] = []
    evaluator.add_event_handler(Events.STARTED, lambda: seen.append(handlers()))

    @trainer.on(Events.EPOCH_COMPLETED)
    def evaluate() -> None:
        seen.append(handlers())
        evaluator.run([0])
        seen.append(handlers())

    trainer.run([0])
    of_trainer, of_evaluator, after = seen

    assert of_trainer == after
    assert [False] * 3 == [one == other for one, other in zip(of_trainer, of_evaluator, strict=True)]


def test_a_second_signal_reaches_through_nested_runs() -> None:
    """The inner handler gives it to the outer one, for which it is the second too."""
    trainer, steps = Engine(nothing), []

    def step(engine: Engine, batch: int) -> None:
        signal.raise_signal(SIGINT)
        signal.raise_signal(SIGINT)
        steps.append(batch)

    evaluator = Engine(step)
    Preemption().attach(trainer)
    Preemption().attach(evaluator)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([0]))
    with pytest.raises(KeyboardInterrupt):
        trainer.run([0])

    assert [] == steps


def test_the_next_run_forgets_the_signal_of_the_last_one() -> None:
    """The exit code is that of the last run, of whichever engine."""
    first, second = Engine(lambda engine, batch: signal.raise_signal(SIGTERM)), Engine(nothing)
    preemption = Preemption()
    preemption.attach(first)
    preemption.attach(second)
    codes = []
    for engine in (first, second, first):
        engine.run([0, 1])
        codes.append(preemption.exit_code)

    assert [143, 0, 143] == codes


# What was there before


@pytest.mark.parametrize("ending", ["completed", "terminated", "interrupted", "failed"])
def test_what_was_there_before_is_put_back_however_the_run_ends(ending: str) -> None:
    """The very same handlers are there again: functions, the default action, and no action."""

    def mine(number: int, frame: Any) -> None:
        """Be a handler of the user's own."""

    def step(engine: Engine, batch: int) -> None:
        seen.append(handlers())
        if ending == "failed":
            raise ValueError("no")
        if ending != "completed":
            getattr(engine, {"terminated": "terminate", "interrupted": "interrupt"}[ending])()

    seen: list[list[Any]] = []
    originals = handlers()
    for number, handler in zip(CAUGHT, (mine, signal.SIG_IGN, signal.SIG_DFL), strict=True):
        signal.signal(number, handler)
    engine = Engine(step)
    Preemption().attach(engine)
    with contextlib.suppress(ValueError):
        engine.run([0, 1])
    after = handlers()
    for number, handler in zip(CAUGHT, originals, strict=True):
        signal.signal(number, handler)

    assert [mine, signal.SIG_IGN, signal.SIG_DFL] == after
    assert ending == engine.state.stop_reason
    assert not {mine, signal.SIG_IGN, signal.SIG_DFL} & set(seen[0])


def test_between_runs_signals_do_what_they_did() -> None:
    """Handlers are installed only while a run is on."""
    engine = Engine(nothing)
    Preemption().attach(engine)
    before = handlers()
    engine.run([0])

    assert before == handlers()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(SIGINT)


def test_a_handler_that_was_installed_during_the_run_stays() -> None:
    """What somebody else has put there since is theirs; ours, which it may call, does what was there before."""
    engine, called = Engine(nothing), []
    Preemption().attach(engine)
    before = signal.signal(SIGUSR1, lambda number, frame: called.append("before"))

    @engine.on(Events.STARTED)
    def install() -> None:
        replaced: Any = signal.getsignal(SIGUSR1)
        signal.signal(SIGUSR1, lambda number, frame: (called.append("theirs"), replaced(number, frame)))

    engine.run([0])
    signal.raise_signal(SIGUSR1)
    signal.signal(SIGUSR1, before)

    assert ["theirs", "before"] == called


def test_a_handler_that_only_c_code_can_put_back_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal is not caught, with a warning that points to the caller; the others are."""
    installed: list[int] = []
    get, put = signal.getsignal, signal.signal
    monkeypatch.setattr(signal, "getsignal", lambda number: None if number == SIGUSR1 else get(number))
    monkeypatch.setattr(signal, "signal", lambda number, handler: (installed.append(number), put(number, handler))[1])
    engine = Engine(nothing)
    Preemption().attach(engine)
    with pytest.warns(UserWarning, match="SIGUSR1 has a handler that only C code can put back") as caught:
        engine.run([0])
    monkeypatch.undo()

    assert (__file__, [SIGTERM, SIGINT] * 2) == (caught[0].filename, installed)


def in_a_thread(function: Callable[..., Any], *args: Any) -> None:
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()


@pytest.mark.parametrize("kind", [Engine, DeterministicEngine])
def test_a_run_in_another_thread_runs_without(kind: type[Engine]) -> None:
    """Python handles signals in the main thread alone; a warning says so, where `run` was called."""
    engine, before = kind(lambda engine, batch: handlers()), handlers()
    Preemption().attach(engine)
    with pytest.warns(UserWarning, match="main thread alone: this run cannot be preempted") as caught:
        in_a_thread(engine.run, [0])

    assert ("completed", before) == (engine.state.stop_reason, engine.state.output)
    assert [threading.__file__] == [warning.filename for warning in caught]


def test_a_signal_while_handlers_are_installed_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A KeyboardInterrupt from before SIGINT is caught ends the run, and what is caught already is put back."""
    engine, put, before = Engine(nothing), signal.signal, handlers()
    Preemption().attach(engine)

    def installing(number: int, handler: Any) -> Any:
        if number == SIGINT and handler is not before[1]:
            monkeypatch.undo()
            raise KeyboardInterrupt
        return put(number, handler)

    monkeypatch.setattr(signal, "signal", installing)
    with pytest.raises(KeyboardInterrupt):
        engine.run([0])

    assert before == handlers()
    assert "completed" == engine.run([0]).stop_reason


# A second signal


@pytest.mark.parametrize("first", CAUGHT)
def test_a_second_signal_calls_the_handler_that_was_there_before(first: signal.Signals) -> None:
    """Ctrl-C raises KeyboardInterrupt at once, whatever came first; nothing is saved."""
    engine, saving, steps = Engine(nothing), Saving(), []

    def step(engine: Engine, batch: int) -> None:
        signal.raise_signal(first)
        signal.raise_signal(SIGINT)
        steps.append(batch)

    engine._process_function = step
    preemption = Preemption(saving)
    preemption.attach(engine)
    with pytest.raises(KeyboardInterrupt):
        engine.run([0])

    assert ([], [], first) == (steps, saving.places, preemption.signal)


def test_a_handler_that_goes_on_lets_the_run_stop_in_order() -> None:
    """The handler of before is called at each further signal; the first one still stops the run."""
    engine, saving, called = Engine(nothing), Saving(), []
    Preemption(saving).attach(engine)
    before = signal.signal(SIGUSR1, lambda number, frame: called.append(number))

    @engine.on(Events.ITERATION_STARTED(once=2))
    def send() -> None:
        for _ in range(3):
            signal.raise_signal(SIGUSR1)

    state = engine.run([0, 1, 2])
    signal.signal(SIGUSR1, before)

    assert ([SIGUSR1, SIGUSR1], 2, "terminated") == (called, state.iteration, state.stop_reason)
    assert [("iteration_completed", 1, 2)] == saving.places


# Saved and resumed


def trained(batches: int, limits: dict[str, int], moment: int | None = None, saved: io.BytesIO | None = None) -> Any:
    """Train with a signal at a moment; return the state, what every iteration and epoch saw, and what was saved."""
    torch.manual_seed(3)
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    moments, seen, files = itertools.count(), [], []

    def pass_by(*_: Any, **__: Any) -> None:
        if next(moments) == moment:
            signal.raise_signal(SIGTERM)

    def collate(samples: list[Any]) -> torch.Tensor:
        pass_by()
        return torch.stack(samples) + torch.rand(())

    def step(engine: Engine, batch: torch.Tensor) -> float:
        pass_by()
        optimizer.zero_grad()
        loss = (model(batch[:, None]) - torch.rand(())).square().mean()
        loss.backward()
        pass_by()
        optimizer.step()
        seen.append((engine.state.iteration, batch.tolist(), loss.item()))
        return loss.item()

    def save(engine: Engine) -> None:
        files.append(io.BytesIO())
        states = {"engine": engine.state_dict(), "model": model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(states, files[-1])

    engine = DeterministicEngine(step)
    engine.state.seed = 11
    for event in Events:
        engine.signal(event).connect(pass_by, weak=False)
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: seen.append(("epoch", engine.state.epoch, torch.rand(()))))
    engine.add_event_handler(Events.COMPLETED, lambda: seen.append("completed"))
    Preemption(save).attach(engine)
    if saved is not None:
        saved.seek(0)
        states = torch.load(saved)
        model.load_state_dict(states["model"])
        optimizer.load_state_dict(states["optimizer"])
        engine.load_state_dict(states["engine"])
    data = DataLoader(torch.arange(2.0 * batches), batch_size=2, shuffle=True, collate_fn=collate)
    state = engine.run(data, **limits)
    return (
        state,
        [*seen, *model.state_dict().values()][: None if state.stop_reason == "completed" else -2],
        files,
        next(moments),
    )


@functools.cache
def straight(batches: int, limit: str, limited: int) -> tuple[list[Any], int]:
    _, seen, _, moments = trained(batches, {limit: limited})
    return seen, moments


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 4), st.sampled_from([("max_epochs", 3), ("max_epochs", 1), ("max_iters", 7)]))
def test_a_run_that_is_preempted_and_resumed_is_one_that_was_never_stopped(
    data: st.DataObject, batches: int, limit: tuple[str, int]
) -> None:
    """Whenever the signal comes: the batches, losses, epochs, random numbers and weights are the same."""
    expected, moments = straight(batches, *limit)
    state, seen, files, _ = trained(batches, dict([limit]), data.draw(st.integers(0, moments - 1)))
    if state.stop_reason == "terminated":
        seen += trained(batches, dict([limit]), saved=files[0])[1]

    assert 1 == len(files)
    assert expected == seen


# What it says, bad input, copies


def test_the_first_signal_is_answered_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Who sent it is told what will happen, and how to have it otherwise."""
    preempted(3, SIGINT)
    [record] = [record for record in caplog.records if record.levelno == logging.WARNING]

    assert (
        "SIGINT: Engine(nothing) stops when its iteration is complete; a second signal stops at once"
        == record.getMessage()
    )


def test_a_signal_that_comes_inside_of_logging_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """The warning is given by a thread of its own, as the main one may be inside of a lock of a logging handler."""
    monkeypatch.undo()
    logger, given = logging.getLogger("ignite_signals.handlers.preemption"), threading.Event()

    class Waiting(queue.Queue[Any]):
        def _put(self, item: Any) -> None:  # with the queue's lock held, which is none that a thread can take twice
            super()._put(item)
            if "first" in item.getMessage():
                signal.raise_signal(SIGTERM)
            else:
                given.set()

    handler = logging.handlers.QueueHandler(Waiting())
    logger.addHandler(handler)
    engine = Engine(lambda engine, batch: logger.warning("first"))
    Preemption().attach(engine)
    state = engine.run([0, 1])
    answered = given.wait(30)
    logger.removeHandler(handler)

    assert (True, "terminated", 1) == (answered, state.stop_reason, state.iteration)


def test_no_thread_for_the_warning_does_not_fail_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process at its limit of threads stops in order all the same."""

    def refuse(function: Any, args: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("_thread.start_new_thread", refuse)

    assert "terminated" == preempted(3)[0].stop_reason


@pytest.mark.parametrize("strange", [0, -1, 1000, signal.SIGKILL, signal.SIGSTOP])
def test_a_signal_that_cannot_be_caught_is_refused(strange: int) -> None:
    """When the handler is made, with the name of the argument and the value."""
    with pytest.raises(ValueError, match=f"signals must hold signals.*{getattr(strange, 'name', strange)}"):
        Preemption(signals=[SIGTERM, strange])


@pytest.mark.parametrize("strange", [SIGTERM, ["SIGTERM"], [None], [True], [15.0]])
def test_signals_that_are_no_signals_are_refused(strange: Any) -> None:
    """A single signal is no collection, and a name no signal."""
    with pytest.raises(TypeError, match="signals must"):
        Preemption(signals=strange)


def test_no_signals_are_refused() -> None:
    """With none it would do nothing."""
    with pytest.raises(ValueError, match="signals must have at least one"):
        Preemption(signals=())


def test_a_signal_may_be_given_as_a_number_and_twice() -> None:
    """Each is caught once, and signals that are not given are not caught."""
    engine = Engine(lambda engine, batch: handlers()[1])
    preemption = Preemption(signals=iter([15, SIGTERM, SIGUSR1]))
    preemption.attach(engine)

    assert (SIGTERM, SIGUSR1) == preemption.signals
    assert signal.getsignal(SIGINT) is engine.run([0]).output


@pytest.mark.parametrize(
    ("save", "error"), [("checkpoint", TypeError), (lambda: None, ValueError), (lambda engine, name: None, ValueError)]
)
def test_a_save_that_could_not_be_called_is_refused(save: Any, error: type[Exception]) -> None:
    """When the handler is made, not when the signal has come."""
    with pytest.raises(error, match="save must"):
        Preemption(save)


def test_it_is_attached_to_an_engine_once() -> None:
    """A second time is refused; another engine, or another Preemption, is not."""
    engine, preemption = Engine(nothing), Preemption()
    preemption.attach(engine)
    preemption.attach(Engine(nothing))
    Preemption().attach(engine)
    with pytest.raises(
        ValueError, match=r"engine must be one that this Preemption is not attached to.*Engine\(nothing"
    ):
        preemption.attach(engine)

    assert "completed" == engine.run([0]).stop_reason


def test_it_is_attached_to_engines_only() -> None:
    """Anything else is refused at once."""
    with pytest.raises(TypeError, match="engine must be an Engine, got 1"):
        Preemption().attach(1)  # type: ignore[arg-type]


def note_saved(engine: Engine) -> None:
    engine.state.saved = engine.state.iteration


def send_term(engine: Engine, batch: Any) -> None:
    signal.raise_signal(SIGTERM)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda engine: pickle.loads(pickle.dumps(engine))])
def test_a_copy_of_the_engine_is_preempted_too(copied: Callable[[Engine], Engine]) -> None:
    """It has a Preemption of its own; the original's knows nothing of it."""
    engine, preemption = Engine(send_term), Preemption(note_saved)
    preemption.attach(engine)
    state = copied(engine).run([0, 1])

    assert ("terminated", 1, None) == (state.stop_reason, state.saved, preemption.signal)


def test_a_copy_that_is_made_during_a_run_is_in_none() -> None:
    """It catches signals in the runs that it is attached to."""
    engine, preemption, copies = Engine(nothing), Preemption(), []
    preemption.attach(engine)
    engine.add_event_handler(Events.STARTED, lambda: copies.append(copy.deepcopy(preemption)))
    engine.run([0])
    other = Engine(send_term)
    copies[0].attach(other)

    assert ("terminated", 143) == (other.run([0, 1]).stop_reason, copies[0].exit_code)


def test_it_keeps_no_engine_alive() -> None:
    """An engine is gone with its last reference, without the garbage collector, also after a signal."""
    preemption = Preemption()
    preemption.logger.disabled = True  # pytest keeps what is logged
    gc.collect()
    gc.disable()
    try:
        engine = Engine(send_term)
        preemption.attach(engine)
        engine.run([0, 1])
        gone = weakref.ref(engine)
        del engine
        assert gone() is None
    finally:
        preemption.logger.disabled = False
        gc.enable()


def test_nothing_is_connected_to_the_engine() -> None:
    """Without a signal an iteration costs what it did: no event has a receiver."""
    engine = Engine(nothing)
    Preemption().attach(engine)

    assert 0 == sum(len(signal.receivers) for signal in engine.signals.all())


# Processes that end. Each scenario is played by a process of its own, which is the leader of a group.


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")


SCENARIOS: dict[str, Callable[[], Any]] = {}


def scenario(function: Callable[[], Any]) -> Callable[[], Any]:
    SCENARIOS[function.__name__] = function
    return function


def run_and_send(*numbers: int, save: Callable[[Engine], Any] | None = None) -> None:
    """Send signals in the step, and exit as a program would."""
    pending = list(numbers)

    def step(engine: Engine, batch: int) -> None:
        while pending:
            signal.raise_signal(pending.pop(0))
        say("step", engine.state.iteration)

    engine = Engine(step)
    preemption = Preemption(save or (lambda engine: say("saved")))
    preemption.attach(engine)
    say(repr(engine.run([0, 1]).stop_reason))
    sys.exit(preemption.exit_code)


for name, sent in {
    "no_signal": (),
    "term": (SIGTERM,),
    "interrupt": (SIGINT,),
    "user": (SIGUSR1,),
    "term_twice": (SIGTERM, SIGTERM),
    "user_twice": (SIGUSR1, SIGUSR1),
    "interrupt_and_term": (SIGINT, SIGTERM),
    "term_and_interrupt": (SIGTERM, SIGINT),
}.items():
    SCENARIOS[name] = functools.partial(run_and_send, *sent)


@scenario
def ignored_twice() -> None:
    signal.signal(SIGINT, signal.SIG_IGN)
    run_and_send(SIGINT, SIGINT)


@scenario
def during_save() -> None:
    def save(engine: Engine) -> None:
        say("saving")
        signal.raise_signal(SIGTERM)
        say("saved")

    run_and_send(SIGTERM, save=save)


def fork_and_send(*numbers: int) -> None:
    """Send signals to a child of the step that is a fork; say how it ended, and how the run did."""

    def step(engine: Engine, batch: int) -> None:
        child = os.fork()
        if not child:
            for number in numbers:
                signal.raise_signal(number)
            os._exit(7)
        say("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    engine = Engine(step)
    Preemption(lambda engine: say("saved")).attach(engine)
    say(repr(engine.run([0]).stop_reason))


for name, sent in {
    "child_term": (SIGTERM,),
    "child_interrupt": (SIGINT,),
    "child_user": (SIGUSR1,),
    "child_user_twice": (SIGUSR1, SIGUSR1),
}.items():
    SCENARIOS[name] = functools.partial(fork_and_send, *sent)


class Slow(torch.utils.data.Dataset[torch.Tensor]):
    """Data whose loading takes so long that a signal comes while it is fetched."""

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> torch.Tensor:
        time.sleep(0.05)
        return torch.tensor(index)


def leave_signals_to_the_trainer(worker: int) -> None:
    for number in CAUGHT:
        signal.signal(number, lambda number, frame: signal.signal(number, signal.SIG_DFL))


def run_with_workers(number: int, worker_init_fn: Any = None) -> None:
    """Send a signal to all processes of the group while the workers load."""

    def step(engine: Engine, batch: torch.Tensor) -> None:
        if engine.state.iteration == 3:
            threading.Timer(0.02, os.killpg, (0, number)).start()

    engine = Engine(step)
    preemption = Preemption(lambda engine: say("saved", repr(engine.last_event_name)))
    preemption.attach(engine)
    state = engine.run(DataLoader(Slow(), batch_size=4, num_workers=2, worker_init_fn=worker_init_fn))
    say(repr(state.stop_reason), state.iteration < 10)
    sys.exit(preemption.exit_code)


SCENARIOS["workers_interrupt"] = lambda: run_with_workers(SIGINT)
SCENARIOS["workers_user"] = lambda: run_with_workers(SIGUSR1)
SCENARIOS["workers_term"] = lambda: run_with_workers(SIGTERM, leave_signals_to_the_trainer)


def play(name: str) -> tuple[int, str]:
    """Play a scenario in a fork; return the exit code, or minus the signal, and what it printed."""
    with tempfile.TemporaryFile("w+") as printed:
        process = os.fork()
        if not process:
            os.setsid()
            os.dup2(printed.fileno(), 1)
            os.dup2(printed.fileno(), 2)
            sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115  # the last thing it has
            logging.basicConfig()
            os._exit(exit_code_of(SCENARIOS[name]))
        status = os.waitpid(process, 0)[1]
        printed.seek(0)
        return os.waitstatus_to_exitcode(status), printed.read()


def exit_code_of(program: Callable[[], Any]) -> int:
    try:
        program()
    except SystemExit as end:
        return int(str(end.code))
    except BaseException as error:
        say(type(error).__name__)
        return 99
    return 0


@pytest.fixture(scope="module")
def played() -> dict[str, tuple[int, str]]:
    """What became of each scenario."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    output = subprocess.run(
        [sys.executable, __file__], env=environment, stdout=subprocess.PIPE, timeout=300, check=True
    )
    return {name: (code, printed) for name, (code, printed) in json.loads(output.stdout).items()}


def without_warning(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if "a second signal stops at once" not in line]


@pytest.mark.parametrize(
    ("name", "number"), [("term", SIGTERM), ("interrupt", SIGINT), ("user", SIGUSR1), ("no_signal", None)]
)
def test_a_program_exits_with_the_signal(
    played: dict[str, tuple[int, str]], name: str, number: signal.Signals | None
) -> None:
    """It exits with 128 plus the signal as the exit code tells it to, and with 0 where none came."""
    lines = ["step 1", "step 2", "'completed'"]
    if number is not None:
        lines = ["step 1", "saved", f"'terminated' by Preemption ({number.name})"]
    code, printed = played[name]

    assert (lines, 0 if number is None else 128 + number) == (without_warning(printed), code)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("term_twice", SIGTERM),
        ("user_twice", SIGUSR1),
        ("interrupt_and_term", SIGTERM),
        ("ignored_twice", SIGINT),
    ],
)
def test_a_second_signal_kills_the_process(
    played: dict[str, tuple[int, str]], name: str, number: signal.Signals
) -> None:
    """By the default action, also where the signal was ignored before: no step more, and nothing is saved."""
    code, printed = played[name]

    assert ([], -number) == (without_warning(printed), code)


def test_a_second_signal_may_be_ctrl_c(played: dict[str, tuple[int, str]]) -> None:
    """Then it is a KeyboardInterrupt, which the program may catch."""
    code, printed = played["term_and_interrupt"]

    assert (["KeyboardInterrupt"], 99) == (without_warning(printed), code)


def test_a_second_signal_does_not_wait_for_the_save(played: dict[str, tuple[int, str]]) -> None:
    """At once means also while it is saved; whoever saves must not leave half a file as if it were one."""
    code, printed = played["during_save"]

    assert (["step 1", "saving"], -SIGTERM) == (without_warning(printed), code)


@pytest.mark.parametrize(
    ("name", "code"),
    [("child_term", -SIGTERM), ("child_interrupt", 7), ("child_user", 7), ("child_user_twice", -SIGUSR1)],
)
def test_a_child_does_not_act_on_its_parent_s_engine(played: dict[str, tuple[int, str]], name: str, code: int) -> None:
    """SIGTERM ends it as its parent means it to; what is sent to a whole group is left to the parent, once."""
    assert (0, f"child {code}\n'completed'\n") == played[name]


@pytest.mark.parametrize(
    ("name", "number"), [("workers_interrupt", SIGINT), ("workers_user", SIGUSR1), ("workers_term", SIGTERM)]
)
def test_a_signal_to_all_processes_leaves_the_workers_of_a_data_loader_to_their_work(
    played: dict[str, tuple[int, str]], name: str, number: signal.Signals
) -> None:
    """The run stops in order; at SIGTERM only with workers that let the first one pass, because torch kills them."""
    code, printed = played[name]
    lines = ["saved Events.ITERATION_COMPLETED", f"'terminated' by Preemption ({number.name}) True"]

    assert (lines, 128 + number) == (without_warning(printed), code)


if __name__ == "__main__":
    torch.set_num_threads(1)
    say(json.dumps({name: play(name) for name in SCENARIOS}))


class Sending(logging.Handler):
    """Send a signal when the log has a word."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self.word = word

    def emit(self, record: logging.LogRecord) -> None:
        if self.word in record.getMessage():
            signal.raise_signal(SIGTERM)


@pytest.mark.parametrize(
    ("word", "reason", "iteration"), [("runs from", "terminated", 1), ("completed at", "completed", 3)]
)
def test_a_signal_before_the_first_event_or_after_the_last_is_not_lost(
    word: str, reason: str, iteration: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run stops when its first iteration is complete, or is saved when it is over."""
    engine, saved = Engine(nothing), list[int]()
    Preemption(lambda engine: saved.append(engine.state.iteration)).attach(engine)
    monkeypatch.setattr(engine, "logger", logging.Logger("of this engine", logging.INFO))
    engine.logger.addHandler(Sending(word))
    state = engine.run([0, 1, 2])
    assert (reason, iteration, [iteration]) == (state.stop_reason, state.iteration, saved)


def test_a_signal_with_terminate_epoch_saves_when_the_epoch_is_over() -> None:
    """A resumed run does not go on with an epoch that was to be cut short."""

    def run(send: bool, saved: Any = None) -> tuple[list[Any], list[Any]]:
        seen, states = list[Any](), list[Any]()
        engine = Engine(lambda engine, batch: seen.append((engine.state.epoch, batch)))

        @engine.on(Events.ITERATION_COMPLETED(once=2))
        def cut_short(engine: Engine) -> None:
            engine.terminate_epoch()
            if send:
                signal.raise_signal(SIGTERM)

        Preemption(lambda engine: states.append(engine.state_dict())).attach(engine)
        if saved is not None:
            engine.load_state_dict(saved)
        engine.run([0, 1, 2], max_epochs=2)
        return seen, states

    straight, _ = run(False)
    first, [state] = run(True)
    rest, _ = run(False, state)
    assert straight == first + rest
