"""global_step_from_engine tells how far another engine is; training_step, how far the training is."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.engine import Engine, EventEnum, Events
from ignite_signals.handlers import global_step_from_engine
from ignite_signals.handlers.global_step import training_step


class Custom(EventEnum):
    """Events of the user's own."""

    SAVED = "saved"
    SENT = "sent"


def nothing(engine: Engine, batch: Any) -> None:
    """Do nothing, as a step."""


def trained(epochs: int = 2, iterations: int = 3) -> Engine:
    """Return a trainer that has run."""
    trainer = Engine(nothing)
    trainer.run(range(iterations), max_epochs=epochs)
    return trainer


def test_counts_by_the_event_it_is_called_with() -> None:
    """An event of epochs gives the trainer's epoch, one of iterations its iteration."""
    trainer, evaluator = trained(), Engine(nothing)
    step = global_step_from_engine(trainer)

    assert [2, 6, 2] == [
        step(evaluator, event) for event in (Events.EPOCH_COMPLETED, Events.ITERATION_STARTED, Events.COMPLETED)
    ]


def test_counts_by_the_event_it_was_made_with() -> None:
    """A given event, filtered or not, takes the place of the one that occurs."""
    trainer, evaluator = trained(), Engine(nothing)
    for event in (Events.ITERATION_COMPLETED, Events.ITERATION_COMPLETED(every=2)):
        assert 6 == global_step_from_engine(trainer, event)(evaluator, Events.EPOCH_COMPLETED)


def test_takes_the_state_as_it_is_when_it_is_called() -> None:
    """The step moves with the trainer."""
    trainer, evaluator = Engine(nothing), Engine(nothing)
    step, seen = global_step_from_engine(trainer), []
    evaluator.add_event_handler(Events.COMPLETED, lambda engine: seen.append(step(engine, Events.COMPLETED)))
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([0]))
    trainer.run([0], max_epochs=3)

    assert [1, 2, 3] == seen


@pytest.mark.parametrize(("fallback", "expected"), [("epoch", 2), ("iteration", 6)])
def test_any_other_event_takes_the_fallback(fallback: str, expected: int) -> None:
    """An event that the trainer does not know, or that counts itself, gives an attribute of choice."""
    trainer, evaluator = trained(), Engine(nothing)
    trainer.register_events(Custom.SENT)
    step = global_step_from_engine(trainer, fallback_attr=fallback)

    assert [expected] * 4 == [step(evaluator, e) for e in (Events.TERMINATE, Custom.SAVED, Custom.SENT, "unknown")]


def test_an_event_may_count_by_an_attribute_of_the_users_own() -> None:
    """event_to_attr names what to take."""
    trainer = trained()
    trainer.register_events(Custom.SAVED, event_to_attr={Custom.SAVED: "samples"})
    trainer.state.samples = 640

    assert 640 == global_step_from_engine(trainer)(None, Custom.SAVED)


@pytest.mark.parametrize("name", [event.name for event in Events])
@pytest.mark.parametrize("fallback", ["epoch", "iteration"])
def test_gives_the_step_that_ignite_gives(name: str, fallback: str) -> None:
    """Each built-in event gives PyTorch-Ignite's step."""
    ignite, ignite_engine = pytest.importorskip("ignite.handlers"), pytest.importorskip("ignite.engine")
    peer = ignite_engine.Engine(nothing)
    peer.run(range(3), max_epochs=2)
    trainer = trained()
    expected = ignite.global_step_from_engine(peer, fallback_attr=fallback)(peer, ignite_engine.Events[name])

    assert expected == global_step_from_engine(trainer, fallback_attr=fallback)(trainer, Events[name])


def test_keeps_no_engine_alive() -> None:
    """A trainer whose own handler has the function is freed by reference counting; a later call says so."""
    gc.disable()
    try:
        trainer = trained()
        step = global_step_from_engine(trainer)
        trainer.add_event_handler(Events.COMPLETED, lambda engine: step(engine, Events.COMPLETED))
        gone = weakref.ref(trainer)
        del trainer

        assert gone() is None
        with pytest.raises(RuntimeError, match="the engine given to global_step_from_engine is gone: keep it"):
            step(None, Events.COMPLETED)
    finally:
        gc.enable()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_a_copy_asks_the_copy_of_the_engine(copied: Any) -> None:
    """Copied with its engine, the function tells how far the copy is."""
    trainer = trained()
    other, step = copied((trainer, global_step_from_engine(trainer)))
    other.run(range(3), max_epochs=5)

    assert (5, 2) == (step(None, Events.COMPLETED), trainer.state.epoch)


def test_a_copy_without_engine_has_none() -> None:
    """What asks an engine that is gone can be copied."""
    step = copy.deepcopy(global_step_from_engine(trained()))

    with pytest.raises(RuntimeError, match="is gone"):
        step(None, Events.COMPLETED)


def test_says_whose_step_it_tells() -> None:
    """The engine can be asked for while it is there."""
    trainer = trained()
    step: Any = global_step_from_engine(trainer)
    before = step.engine
    assert trainer is before

    del trainer, before

    assert step.engine is None


def test_refuses_what_has_no_step() -> None:
    """Wrong arguments are named."""
    with pytest.raises(TypeError, match="engine must be an Engine, got 3"):
        global_step_from_engine(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="fallback_attr must be the name of an attribute of the state, got 3"):
        global_step_from_engine(trained(), fallback_attr=3)  # type: ignore[arg-type]


# The step of a training


EVENTS = (
    Events.STARTED,
    Events.EPOCH_STARTED,
    Events.GET_BATCH_STARTED,
    Events.GET_BATCH_COMPLETED,
    Events.ITERATION_STARTED,
    Events.ITERATION_COMPLETED,
    Events.EPOCH_COMPLETED,
    Events.COMPLETED,
)
moments = st.tuples(st.sampled_from(EVENTS), st.integers(1, 3))


@attrs.frozen
class Program:
    """Which engines run where in each other, what is logged when, and where the training is killed."""

    epochs: int
    length: int
    validated: list[tuple[Events, int]]
    checked: list[tuple[Events, int]]
    logged: list[tuple[str, tuple[Events, int]]]
    known: frozenset[str]
    killed_at: int | None


programs = st.builds(
    Program,
    epochs=st.integers(1, 4),
    length=st.integers(1, 4),
    validated=st.lists(moments, min_size=1, max_size=2, unique=True),
    checked=st.lists(moments, max_size=2, unique=True),
    logged=st.lists(st.tuples(st.sampled_from(["trainer", "evaluator", "inner"]), moments), min_size=1, max_size=6),
    known=st.frozensets(st.sampled_from(["evaluator", "inner"])),
    killed_at=st.none() | st.integers(1, 10),
)


class Killed(Exception):  # noqa: N818  # it is none, but the end of the process
    """End the process."""


def performed(program: Program, lives: list[list[tuple[int, int]]], state: dict[str, Any] | None = None) -> None:
    """Run it, from the state or from the beginning, and log the step and the trainer's iteration, in each life."""
    log: list[tuple[int, int]] = []
    lives.append(log)
    engines = {name: Engine(nothing) for name in ("trainer", "evaluator", "inner")}
    trainer, evaluator, inner = engines.values()
    known = {trainer, *(engines[name] for name in program.known)}
    for event, every in program.validated:
        trainer.add_event_handler(event(every=every), lambda: evaluator.run(range(3)))
    for event, every in program.checked:
        evaluator.add_event_handler(event(every=every), lambda: inner.run(range(2), max_epochs=2))
    for name, (event, every) in program.logged:

        def write(engine: Engine) -> None:
            log.append((training_step(engine, known), trainer.state.iteration))

        engines[name].add_event_handler(event(every=every), write)
    if state is not None:
        trainer.load_state_dict(state)
    elif program.killed_at is not None:

        def kill() -> None:
            raise Killed

        trainer.add_event_handler(Events.ITERATION_STARTED(once=program.killed_at), kill)
    try:
        trainer.run(range(program.length), max_epochs=program.epochs)
    except Killed:
        state = {"iteration": max(trainer.state.iteration - 1, 0)} | {
            "epoch_length": program.length,
            "max_epochs": program.epochs,
        }
        performed(program, lives, state)
        return
    if evaluator.outer is trainer:
        evaluator.run(range(5))  # by itself, after the training


@settings(max_examples=150, deadline=None)
@given(programs)
def test_the_steps_of_a_training_never_go_back(program: Program) -> None:
    """Whatever runs inside of what and is logged at which event, also where the training was killed and resumed."""
    lives: list[list[tuple[int, int]]] = []
    performed(program, lives)
    for log in lives:
        steps = [step for step, _ in log]
        assert sorted(steps) == steps
        assert [iteration for _, iteration in log] == steps


def nested(*engines: Engine, epochs: int = 2) -> None:
    """Run engines inside of each other, the first one outermost."""
    outer, *inner = engines
    with outer.add_event_handler(Events.EPOCH_COMPLETED, lambda: inner and nested(*inner, epochs=1)):
        outer.run(range(3), max_epochs=epochs)


@pytest.mark.parametrize("known", [(), (0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)])
def test_the_trainer_is_found_from_any_engine_that_the_logger_knows(known: tuple[int, ...]) -> None:
    """Where it is attached to evaluators alone, and where they run in each other."""
    engines = [Engine(nothing) for _ in range(3)]
    nested(*engines)

    assert [6, 6, 6] == [training_step(engine, {engines[index] for index in known}) for engine in engines]


def test_a_trainer_inside_of_another_engine_has_its_own_steps() -> None:
    """A search runs trainers; unless the logger is attached to the search too, each training has its steps."""
    search, trainer, evaluator = (Engine(nothing) for _ in range(3))
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run(range(9)))
    steps: list[tuple[int, ...]] = []
    for engine in (trainer, evaluator):
        engine.add_event_handler(
            Events.EPOCH_COMPLETED,
            lambda engine: steps.append(
                tuple(training_step(engine, known) for known in ({trainer}, {trainer, evaluator}, {search, trainer}))
            ),
        )
    search.add_event_handler(Events.ITERATION_STARTED, lambda: trainer.run(range(3), max_epochs=2))
    search.run(range(2))

    assert [(step, step, trial) for trial in (1, 2) for step in (3, 3, 6, 6)] == steps


@pytest.mark.parametrize("limits", [{}, {"max_epochs": 1}, {"max_iters": 3}, {"max_iters": 4}])
def test_an_evaluator_is_known_by_its_single_pass(limits: dict[str, int]) -> None:
    """However its limit is given: an epoch, or as many iterations as an epoch has or less."""
    trainer, evaluator = Engine(nothing), Engine(nothing)
    trainer.add_event_handler(Events.COMPLETED, lambda: evaluator.run(range(4), **limits))
    trainer.run(range(7))

    assert 7 == training_step(evaluator, {evaluator})


def test_an_evaluator_over_data_of_unknown_length_makes_a_single_pass() -> None:
    """A few batches of an iterator, at each of which its length is not known yet."""
    trainer, evaluator, steps = Engine(nothing), Engine(nothing), []
    evaluator.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: steps.append(training_step(engine, {engine}))
    )
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run(iter(range(4)), max_iters=2))
    trainer.run(range(7), max_epochs=2)

    assert [7, 7, 14, 14] == steps


def test_a_trainer_of_one_epoch_inside_of_another_engine_is_like_an_evaluator() -> None:
    """Its own steps are asked for."""
    search, trainer, steps = Engine(nothing), Engine(nothing), []
    own = global_step_from_engine(trainer, Events.ITERATION_COMPLETED)
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: steps.append((training_step(engine, {engine}), own(engine, None)))
    )
    search.add_event_handler(Events.ITERATION_COMPLETED, lambda: trainer.run(range(2)))
    search.run(range(2))

    assert [(1, 1), (1, 2), (2, 1), (2, 2)] == steps


def test_two_trainings_share_an_evaluator() -> None:
    """It lies at the iteration of the one that runs it, or ran it last."""
    evaluator, steps = Engine(nothing), []
    evaluator.add_event_handler(Events.COMPLETED, lambda engine: steps.append(training_step(engine)))
    trainers = [Engine(nothing), Engine(nothing)]
    for trainer, length in zip(trainers, (5, 2), strict=True):
        trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run(range(9)))
        trainer.run(range(length), max_epochs=2)
        evaluator.run(range(4))

    assert [5, 10, 10, 2, 4, 4] == steps


def test_an_engine_by_itself_has_its_own_steps() -> None:
    """One that never ran inside of another, before and after its run."""
    engine = Engine(nothing)
    before = training_step(engine, {engine})
    engine.run(range(3))

    assert (0, 3, 3) == (before, training_step(engine), training_step(engine, {engine}))


def test_engines_that_ran_in_each_other_both_ways_have_an_end() -> None:
    """The way outwards is gone once."""
    one, other = Engine(nothing), Engine(nothing)
    nested(one, other)
    nested(other, one)

    assert training_step(one) in (one.state.iteration, other.state.iteration)
