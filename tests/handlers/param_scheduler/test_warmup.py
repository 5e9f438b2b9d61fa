"""A warm-up leads a learning rate to where a schedule begins."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from ignite_signals.engine import Engine, Events
from ignite_signals.handlers import param_scheduler as ours
from ignite_signals.handlers.param_scheduler import (
    ConcatScheduler,
    CosineAnnealingScheduler,
    LinearCyclicalScheduler,
    LRScheduler,
    ParamGroupScheduler,
    PiecewiseLinear,
    ReduceLROnPlateauScheduler,
    create_lr_scheduler_with_warmup,
)
from support.schedules import called, optimizer, rates

# Each begins at 0.5, where the optimizer is.
KINDS = {
    "linear": lambda sgd: LinearCyclicalScheduler(sgd, "lr", 0.5, 1.0, 8),
    "cosine": lambda sgd: CosineAnnealingScheduler(sgd, "lr", 0.5, 0.0, 8),
    "piecewise": lambda sgd: PiecewiseLinear(sgd, "lr", [(2, 0.5), (9, 0.1)]),
    "concatenated": lambda sgd: ConcatScheduler([KINDS["linear"](sgd), KINDS["cosine"](sgd)], [5]),
    "group": lambda sgd: ParamGroupScheduler([KINDS["cosine"](sgd)]),
    "warmed up": lambda sgd: create_lr_scheduler_with_warmup(KINDS["cosine"](sgd), 0.5, 4, 0.1),
    "StepLR": lambda sgd: StepLR(sgd, 3, 0.5),
    "ExponentialLR": lambda sgd: ExponentialLR(sgd, 0.9),
    "CosineAnnealingLR": lambda sgd: CosineAnnealingLR(sgd, 20),
    "wrapped": lambda sgd: LRScheduler(ExponentialLR(sgd, 0.9)),
}


def alone(kind: str, number: int) -> list[float]:
    scheduler = KINDS[kind](optimizer(0.5))
    is_torchs = isinstance(scheduler, torch.optim.lr_scheduler.LRScheduler)
    return called(LRScheduler(scheduler) if is_torchs else scheduler, number)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("duration", [2, 3, 20])
def test_the_last_value_of_the_warm_up_is_the_first_of_the_schedule(kind, duration):
    """Before each kind of schedule, over hundreds of events."""
    scheduler = create_lr_scheduler_with_warmup(KINDS[kind](optimizer(0.5)), 0.0, duration)
    ramp = [0.5 * count / (duration - 1) for count in range(duration - 1)]
    assert ramp + alone(kind, 300) == pytest.approx(called(scheduler, 299 + duration), abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_warm_up_to_another_value_comes_before_the_whole_schedule(kind):
    """Its last value is set once, then the first one of the schedule."""
    scheduler = create_lr_scheduler_with_warmup(KINDS[kind](optimizer(0.5)), 0.1, 5, 0.9)
    assert [0.1, 0.3, 0.5, 0.7, 0.9, *alone(kind, 50)] == pytest.approx(called(scheduler, 55), abs=1e-12)


@pytest.mark.parametrize("name", ["ExponentialLR", "cosine", "piecewise"])
@pytest.mark.parametrize("duration", [2, 3, 20])
@pytest.mark.parametrize("end", [None, 0.5, 0.9])
def test_values_are_ignites(name, duration, end):
    """With one group, where PyTorch-Ignite's comparison of the two values is not led astray by a rounding."""
    ignite = pytest.importorskip("ignite.handlers.param_scheduler")

    def make(module: Any) -> tuple[Any, list[Any]]:
        sgd, simulated = optimizer(0.5), [None] * 40
        kinds = {
            "ExponentialLR": lambda: ExponentialLR(sgd, 0.9),
            "cosine": lambda: module.CosineAnnealingScheduler(sgd, "lr", 0.5, 0.0, 8),
            "piecewise": lambda: module.PiecewiseLinear(sgd, "lr", [(2, 0.5), (9, 0.1)]),
        }
        scheduler = module.create_lr_scheduler_with_warmup(
            kinds[name](), 0.0, duration, end, output_simulated_values=simulated
        )
        return called(scheduler, 100), simulated

    (expected, simulated), (values, rows) = make(ignite), make(ours)
    assert expected == pytest.approx(values, abs=1e-12)
    assert simulated == [pytest.approx(row, abs=1e-12) for row in rows]


def test_it_is_torchs_warm_up():
    """`LinearLR` and then `CosineAnnealingLR`, by `SequentialLR`."""
    sgd = optimizer(0.5)
    parts = [LinearLR(sgd, 0.1, total_iters=10), CosineAnnealingLR(sgd, 100)]
    sequence, expected = SequentialLR(sgd, parts, milestones=[10]), []
    for _ in range(110):
        expected += rates(sgd)
        sgd.step()
        sequence.step()
    scheduler = create_lr_scheduler_with_warmup(CosineAnnealingLR(optimizer(0.5), 100), 0.05, 11)
    assert expected == pytest.approx(called(scheduler, 110), abs=1e-12)


def test_each_group_is_warmed_up_to_its_own_rate():
    """And goes on from there."""
    scheduler = create_lr_scheduler_with_warmup(ExponentialLR(optimizer(0.1, 0.5), 0.5), 0.0, 3)
    expected = [[0.0, 0.0], [0.05, 0.25], [0.1, 0.5], [0.05, 0.25], [0.025, 0.125]]
    assert expected == [pytest.approx(values) for values in called(scheduler, 5)]


def test_each_group_goes_back_to_its_own_rate_from_one_for_all():
    """Torch's scheduler makes each rate of the one that it finds."""
    scheduler = create_lr_scheduler_with_warmup(ExponentialLR(optimizer(0.1, 0.5), 0.5), 0.0, 2, 1.0)
    expected = [[0.0, 0.0], [1.0, 1.0], [0.1, 0.5], [0.05, 0.25]]
    assert expected == [pytest.approx(values) for values in called(scheduler, 4)]


def test_only_the_groups_of_the_schedule_are_warmed_up():
    """Another scheduler may see to the others."""
    sgd = optimizer(0.1, 0.5)
    schedule = CosineAnnealingScheduler(sgd, "lr", 0.5, 0.0, 8, param_group_index=1)
    called(create_lr_scheduler_with_warmup(schedule, 0.0, 3), 2)
    assert [0.1, 0.25] == rates(sgd)


def test_other_parameters_are_warmed_up_too():
    """Such as the momentum."""
    sgd = optimizer(0.1, momentum=0.8)
    schedule = PiecewiseLinear(sgd, "momentum", [(0, 0.8), (4, 0.9)])
    assert [0.0, 0.4, 0.8, 0.825] == pytest.approx(
        called(create_lr_scheduler_with_warmup(schedule, 0.0, 3), 4, "momentum")
    )


def test_a_plateau_is_waited_for_after_the_warm_up():
    """The scheduler that goes by a metric is called, and only then."""
    sgd, seen = optimizer(0.8), []
    plateau = ReduceLROnPlateauScheduler(sgd, "loss", factor=0.5, patience=0)
    trainer = Engine(lambda engine, batch: seen.append(rates(sgd)[0]))
    trainer.add_event_handler(Events.STARTED, lambda: trainer.state.metrics.update(loss=1.0))
    create_lr_scheduler_with_warmup(plateau, 0.0, 5).attach(trainer)
    trainer.run([0] * 8)
    assert [0.0, 0.2, 0.4, 0.6, 0.8, 0.8, 0.4, 0.2] == pytest.approx(seen)


def test_making_and_simulating_one_changes_nothing():
    """Neither the optimizer nor the scheduler."""
    sgd = optimizer(0.5)
    schedule = ExponentialLR(sgd, 0.9)
    before = dict(schedule.state_dict()), rates(sgd)
    simulated = [None] * 30
    scheduler = create_lr_scheduler_with_warmup(schedule, 0.0, 4, output_simulated_values=simulated)
    assert before == (schedule.state_dict(), rates(sgd))
    assert [[count, value] for count, value in enumerate(called(scheduler, 30))] == simulated


def test_one_cycle_is_warmed_up_to_its_beginning():
    """Torch's schedulers may begin elsewhere than at the rate that the optimizer was made with."""
    scheduler = create_lr_scheduler_with_warmup(
        OneCycleLR(optimizer(0.5, momentum=0.9), max_lr=1.0, total_steps=50), 0.0, 3
    )
    assert [0.0, 0.02, 0.04] == pytest.approx(called(scheduler, 3))


def test_a_history_has_one_entry_an_event():
    """With the value of each group, before and after."""
    engine = Engine(lambda engine, batch: None)
    scheduler = create_lr_scheduler_with_warmup(ExponentialLR(optimizer(0.1, 0.5), 0.5), 0.0, 3, save_history=True)
    for _ in range(4):
        scheduler(engine)
    assert [[0.0, 0.0], [0.05, 0.25], [0.1, 0.5], [0.05, 0.25]] == [
        pytest.approx(values) for values in engine.state.param_history["lr"]
    ]


def test_iterations_and_then_epochs():
    """A warm-up in iterations before a schedule of epochs, by one list of events."""
    sgd, seen = optimizer(0.1), []
    trainer = Engine(lambda engine, batch: seen.append(rates(sgd)[0]))
    scheduler = create_lr_scheduler_with_warmup(ExponentialLR(sgd, 0.5), 0.0, 5)
    in_warmup = Events.ITERATION_STARTED(event_filter=lambda engine, event: event <= 5)
    after = Events.EPOCH_STARTED(event_filter=lambda engine, event: event > 1 + 5 / 8)
    trainer.add_event_handler(in_warmup | after, scheduler)
    trainer.run(range(8), max_epochs=3)
    assert [0.0, 0.025, 0.05, 0.075, *[0.1] * 4, *[0.05] * 8, *[0.025] * 8] == pytest.approx(seen)


MESSAGES: dict[str, tuple[type[Exception], dict[str, Any]]] = {
    "lr_scheduler must be a parameter scheduler or one of torch's, got 5": (TypeError, {"lr_scheduler": 5}),
    "warmup_duration must be an integer of at least 2, got 1": (ValueError, {"warmup_duration": 1}),
    "warmup_duration must be an integer of at least 2, got 2.5": (ValueError, {"warmup_duration": 2.5}),
    "warmup_start_value must be a finite number, got nan": (ValueError, {"warmup_start_value": float("nan")}),
    "warmup_end_value must be a finite number, got '1'": (ValueError, {"warmup_end_value": "1"}),
    "output_simulated_values must be a list, got 9": (TypeError, {"output_simulated_values": 9}),
    "lr_scheduler must be a scheduler that needs no metric, got a ReduceLROnPlateau; use ReduceLROnPlateauScheduler, "
    "which takes its arguments": (TypeError, {"lr_scheduler": ReduceLROnPlateau(optimizer())}),
}


@pytest.mark.parametrize("message", MESSAGES)
def test_wrong_arguments_are_refused(message):
    """The error names the argument and the value."""
    error, wrong = MESSAGES[message]
    arguments = {"lr_scheduler": StepLR(optimizer(), 3), "warmup_start_value": 0.0, "warmup_duration": 3} | wrong
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        create_lr_scheduler_with_warmup(**arguments)
