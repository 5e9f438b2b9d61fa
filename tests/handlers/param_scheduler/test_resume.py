"""A training that goes on from a saved state has the values of one that never stopped."""

from __future__ import annotations

from typing import Any

import pytest
from torch.optim.lr_scheduler import ExponentialLR

from ignite_signals.engine import DeterministicEngine, Engine, Events
from ignite_signals.handlers.param_scheduler import (
    ConcatScheduler,
    CosineAnnealingScheduler,
    LinearCyclicalScheduler,
    LRScheduler,
    ParamGroupScheduler,
    PiecewiseLinear,
    create_lr_scheduler_with_warmup,
)
from support.schedules import Training, optimizer


def cosine(sgd: Any, **arguments: Any) -> CosineAnnealingScheduler:
    return CosineAnnealingScheduler(sgd, "lr", 1.0, 0.1, 5, 1.5, 0.9, 0.8, 2, **arguments)


SCHEDULERS = {
    "linear": lambda sgd: LinearCyclicalScheduler(sgd, "lr", 0.0, 1.0, 6, end_value_mult=0.5),
    "cosine": cosine,
    "piecewise": lambda sgd: PiecewiseLinear(sgd, "lr", [(2, 0.5), (7, 0.1), (7, 0.3), (11, 0.0)]),
    "concatenated": lambda sgd: ConcatScheduler([cosine(sgd), LRScheduler(ExponentialLR(sgd, 0.9))], [5]),
    "concatenated twice": lambda sgd: ConcatScheduler([cosine(sgd), SCHEDULERS["concatenated"](sgd)], [3]),
    "groups": lambda sgd: ParamGroupScheduler([cosine(sgd, param_group_index=0), cosine(sgd, param_group_index=1)]),
    "warm-up": lambda sgd: create_lr_scheduler_with_warmup(ExponentialLR(sgd, 0.9), 0.0, 4),
}


def early(engine: Engine, count: int) -> bool:
    return count <= 6


def late(engine: Engine, count: int) -> bool:
    return count > 2


EVENTS = {
    "ITERATION_STARTED": Events.ITERATION_STARTED,
    "ITERATION_COMPLETED": Events.ITERATION_COMPLETED,
    "GET_BATCH_COMPLETED": Events.GET_BATCH_COMPLETED,
    "EPOCH_STARTED": Events.EPOCH_STARTED,
    "EPOCH_COMPLETED": Events.EPOCH_COMPLETED,
    "every third iteration": Events.ITERATION_STARTED(every=3),
    "every second epoch": Events.EPOCH_STARTED(every=2),
    "iterations, then epochs": Events.ITERATION_STARTED(event_filter=early) | Events.EPOCH_STARTED(event_filter=late),
    "iterations and epochs": Events.ITERATION_COMPLETED | Events.EPOCH_STARTED,
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
@pytest.mark.parametrize("make", SCHEDULERS.values(), ids=SCHEDULERS)
def test_values_are_those_of_an_undisturbed_run(make, event):
    """Saved at every iteration, within an epoch and at its end, and taken up by new objects."""
    straight = Training(make, event, 0.5, 0.7)
    expected = straight.run()
    assert 16 == len(expected)
    for done, state in enumerate(straight.states, start=1):
        resumed = Training(make, event, 0.5, 0.7)
        resumed.load(state)
        assert expected[done:] == (resumed.run(max_epochs=4) if done < 16 else [])


def test_values_are_those_of_an_undisturbed_run_of_a_deterministic_engine():
    """Which knows its place in the data too."""
    make, event = SCHEDULERS["cosine"], Events.EPOCH_STARTED
    straight = Training(make, event, 0.5, 0.7, engine=DeterministicEngine)
    expected = straight.run()
    for done, state in enumerate(straight.states[:-1], start=1):
        resumed = Training(make, event, 0.5, 0.7, engine=DeterministicEngine)
        resumed.load(state)
        assert expected[done:] == resumed.run()


@pytest.mark.parametrize("stop", range(1, 16))
@pytest.mark.parametrize("event", [Events.ITERATION_STARTED, Events.EPOCH_STARTED])
def test_an_interrupted_run_goes_on(event, stop):
    """In the same process."""
    make = SCHEDULERS["cosine"]
    expected = Training(make, event, 0.5).run()
    training = Training(make, event, 0.5)
    training.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=stop), training.trainer.interrupt)
    training.run()
    assert stop == len(training.seen)
    training.trainer.run()
    assert expected == training.seen


@pytest.mark.parametrize("event", [Events.ITERATION_COMPLETED, Events.EPOCH_STARTED])
def test_a_run_that_failed_in_an_epoch_goes_on(event):
    """Its epoch is announced again, and the scheduler does not advance for that."""
    make = SCHEDULERS["piecewise"]
    expected = Training(make, event, 0.5).run()
    training = Training(make, event, 0.5)

    @training.trainer.on(Events.ITERATION_COMPLETED(once=6))
    def fail() -> None:
        raise RuntimeError("failed")

    with pytest.raises(RuntimeError, match="failed"):
        training.run()
    training.trainer.run(range(4))
    # It failed before the iteration was noted.
    assert expected[:5] + expected[6:] == training.seen


def test_a_scheduler_that_is_new_begins_in_an_epoch_that_is_gone_on_with():
    """It was added for the rest of a training, which is in the midst of an epoch."""
    sgd = optimizer(0.5)
    trainer = Engine(lambda engine, batch: None)
    trainer.load_state_dict({"iteration": 6, "epoch_length": 4, "max_epochs": 4})
    scheduler = PiecewiseLinear(sgd, "lr", [(0, 0.0), (10, 1.0)], save_history=True)
    scheduler.attach(trainer, Events.EPOCH_STARTED)
    trainer.run(range(4))
    assert [[0.0], [0.1], [0.2]] == trainer.state.param_history["lr"]
