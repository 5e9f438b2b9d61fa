"""global_step_from_engine tells how far another engine is."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from typing import Any

import pytest

from ignite_signals.engine import Engine, EventEnum, Events
from ignite_signals.handlers import global_step_from_engine


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
