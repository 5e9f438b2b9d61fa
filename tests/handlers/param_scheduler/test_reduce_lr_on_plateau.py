"""ReduceLROnPlateauScheduler makes the learning rate smaller when a metric does not improve."""

from __future__ import annotations

import copy
import gc
import io
import math
import pickle
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ignite_signals.engine import Engine, Events
from ignite_signals.handlers.param_scheduler.reduce_lr_on_plateau import ReduceLROnPlateauScheduler


def an_optimizer(*rates: float) -> Optimizer:
    """Return an optimizer with a group for each rate."""
    return SGD([{"params": [torch.zeros(1)], "lr": rate} for rate in rates or (0.1,)])


def nothing(engine: Engine, batch: Any) -> None:
    """Do nothing, as a step."""


class Training:
    """A trainer whose evaluator has one loss after the other, and a scheduler that looks at them."""

    def __init__(self, optimizer: Optimizer, losses: Any, with_trainer: bool = True, **arguments: Any) -> None:
        self.optimizer, self.losses = optimizer, losses
        self.trainer, self.evaluator = Engine(nothing), Engine(self.evaluate)
        self.scheduler = ReduceLROnPlateauScheduler(
            optimizer, "loss", self.trainer if with_trainer else None, save_history=True, **arguments
        )
        self.evaluator.add_event_handler(Events.COMPLETED, self.scheduler)
        self.trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: self.evaluator.run([0]))

    def evaluate(self, engine: Engine, batch: Any) -> None:
        engine.state.metrics["loss"] = self.losses[self.trainer.state.epoch - 1]

    def parts(self, with_trainer: bool) -> list[Any]:
        """Return what is to be saved."""
        return [self.trainer, self.optimizer, *([] if with_trainer else [self.scheduler])]

    def run(self, epochs: int | None = None) -> list[Any]:
        history: list[Any] = self.trainer.run([0], max_epochs=epochs or len(self.losses)).param_history["lr"]
        return history


def torchs_own(losses: list[Any], *rates: float, **arguments: Any) -> list[list[float]]:
    """Return the rates after each step of torch's scheduler."""
    optimizer, seen = an_optimizer(*rates), []
    scheduler = ReduceLROnPlateau(optimizer, **arguments)
    for loss in losses:
        scheduler.step(loss)
        seen.append([group["lr"] for group in optimizer.param_groups])
    return seen


LOSSES = [abs(math.sin(n * n)) + 1 / (1 + n) for n in range(300)]
arguments = st.fixed_dictionaries(
    {},
    optional={
        "mode": st.sampled_from(["min", "max"]),
        "factor": st.floats(0.1, 0.9),
        "patience": st.integers(0, 3),
        "threshold": st.floats(0, 1),
        "threshold_mode": st.sampled_from(["rel", "abs"]),
        "cooldown": st.integers(0, 3),
        "min_lr": st.floats(0, 0.05),
        "eps": st.floats(0, 0.01),
    },
)


@settings(deadline=None)
@given(st.lists(st.floats(-10, 10) | st.just(math.nan) | st.just(math.inf), min_size=1), arguments)
def test_gives_torchs_rates(losses: list[float], given_arguments: dict[str, Any]) -> None:
    """Whatever the metrics and the arguments, each rate is the one of torch's scheduler."""
    simulated = ReduceLROnPlateauScheduler.simulate_values(len(losses), losses, 0.1, **given_arguments)

    assert [[n, *rates] for n, rates in enumerate(torchs_own(losses, 0.1, **given_arguments))] == simulated


def test_gives_torchs_rates_over_hundreds_of_evaluations() -> None:
    """Attached to an evaluator, all groups get torch's rates, and the trainer's state their history."""
    history = Training(an_optimizer(0.1, 0.5), LOSSES, patience=5, factor=0.9).run()

    assert torchs_own(LOSSES, 0.1, 0.5, patience=5, factor=0.9) == history
    assert len({lr for lr, _ in history}) > 10


@pytest.mark.parametrize("with_trainer", [True, False])
@pytest.mark.parametrize("cut", [1, 7, 50, 150])
def test_goes_on_exactly_after_a_resume(cut: int, with_trainer: bool) -> None:
    """What it waits for is saved with the trainer, or by itself where it does not know one."""
    arguments: Any = {"patience": 5, "factor": 0.9, "cooldown": 2}
    first, second = (Training(an_optimizer(), LOSSES, with_trainer, **arguments) for _ in range(2))
    first.trainer.run([0], max_epochs=cut)
    file = io.BytesIO()
    torch.save([each.state_dict() for each in first.parts(with_trainer)], file)
    file.seek(0)
    for part, saved in zip(second.parts(with_trainer), torch.load(file, weights_only=True), strict=True):
        part.load_state_dict(saved)
    second.trainer.run([0], max_epochs=len(LOSSES))
    last = second.trainer if with_trainer else second.evaluator

    assert torchs_own(LOSSES, 0.1, **arguments) == last.state.param_history["lr"]


def test_sets_one_group_alone() -> None:
    """The rates of other groups stay, whatever min_lr is."""
    optimizer = an_optimizer(0.1, 0.2, 0.4)
    history = Training(optimizer, [1.0] * 4, patience=0, factor=0.5, param_group_index=1, min_lr=0.06).run()

    assert [[0.2], [0.1], [0.06], [0.06]] == history
    assert [0.1, 0.06, 0.4] == [group["lr"] for group in optimizer.param_groups]


def test_a_rate_that_is_a_tensor_stays_the_same_tensor() -> None:
    """A compiled optimizer reads its rates from tensors; one that is not to be set keeps its value, too."""
    groups = [{"params": [torch.zeros(1)], "lr": torch.tensor(0.5)} for _ in range(2)]
    optimizer = Adam(groups, foreach=False)
    rates = [group["lr"] for group in optimizer.param_groups]
    Training(optimizer, [1.0, 1.0], patience=0, factor=0.5, param_group_index=0).run()

    assert [True, True] == [group["lr"] is rate for group, rate in zip(optimizer.param_groups, rates, strict=True)]
    assert [0.25, 0.5] == [rate.item() for rate in rates]


@pytest.mark.parametrize("nan", [math.nan, torch.tensor(math.nan)])
def test_nan_is_no_improvement(nan: Any) -> None:
    """It is waited for as for any value that is not better, and what comes after it is compared with the best one."""
    history = Training(an_optimizer(1.0), [0.5, nan, nan, 0.4, nan], patience=1, factor=0.5).run()

    assert [[1.0], [1.0], [0.5], [0.5], [0.5]] == history


def test_nan_is_never_the_best() -> None:
    """A first NaN is improved on by any number."""
    training = Training(an_optimizer(1.0), [math.nan, 7.0, 8.0], patience=1)
    training.run()

    assert 7.0 == training.scheduler.scheduler.best


@pytest.mark.parametrize("number", [torch.tensor(0.5), torch.tensor([0.5])])
def test_takes_tensors_of_one_element(number: Any) -> None:
    """As metrics may be."""
    training = Training(an_optimizer(), [number])
    training.run()

    assert 0.5 == training.scheduler.scheduler.best


def test_keeps_the_history_where_it_is_called_without_a_trainer() -> None:
    """The rates are in the state of the engine that has the metric, then."""
    training = Training(an_optimizer(1.0), [1.0, 1.0], with_trainer=False, patience=0)
    training.trainer.run([0], max_epochs=2)

    assert [[1.0], [0.1]] == training.evaluator.state.param_history["lr"]
    assert not hasattr(training.trainer.state, "param_history")


def test_does_not_keep_the_trainer_alive() -> None:
    """The trainer runs the evaluator that the scheduler belongs to: to hold it would be a cycle."""
    evaluator, trainer = Engine(nothing), Engine(nothing)
    scheduler = ReduceLROnPlateauScheduler(an_optimizer(), "loss", trainer)
    evaluator.add_event_handler(Events.COMPLETED, scheduler)
    gone = weakref.ref(trainer)
    gc.disable()
    try:
        del trainer
        is_gone = gone() is None
    finally:
        gc.enable()

    assert is_gone
    assert scheduler.trainer is None


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_copy_goes_on_with_the_copied_trainer(copied: Any) -> None:
    """Copied together, the copy sets the rates of the copied optimizer and is saved with the copied trainer."""
    optimizer, trainer = an_optimizer(1.0), Engine(nothing)
    scheduler = ReduceLROnPlateauScheduler(optimizer, "loss", trainer, patience=0, save_history=True)
    evaluator = Engine(nothing)
    evaluator.state.metrics["loss"] = 1.0
    scheduler(evaluator)
    twin, its_trainer, its_optimizer = copied((scheduler, trainer, optimizer))
    twin(evaluator)

    assert (0.1, 1.0) == (its_optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["lr"])
    assert ["ReduceLROnPlateauScheduler:lr"] == list(its_trainer.state_dict()["attached"])
    assert twin.trainer is its_trainer
    assert [[1.0], [0.1]] == its_trainer.state.param_history["lr"]


def test_get_param_tells_the_rates_as_they_are() -> None:
    """A number for one group, a list for several."""
    one = ReduceLROnPlateauScheduler(an_optimizer(0.3), "loss").get_param()
    two = ReduceLROnPlateauScheduler(an_optimizer(0.3, 0.2), "loss").get_param()

    assert (0.3, [0.3, 0.2]) == (one, two)


def test_simulates_for_one_of_several_groups() -> None:
    """An optimizer with as many groups stands in."""
    simulated = ReduceLROnPlateauScheduler.simulate_values(3, [1, 1, 1], 1.0, patience=0, param_group_index=2)

    assert [[0, 1.0], [1, 0.1], [2, pytest.approx(0.01)]] == simulated


def test_plots_what_it_simulates() -> None:
    """plot_values draws the rates."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    [line] = ReduceLROnPlateauScheduler.plot_values(3, metric_values=[1, 1, 1], init_lr=1.0, patience=0, factor=0.5)
    pyplot.close("all")

    assert [1.0, 0.5, 0.25] == list(line.get_ydata())


@pytest.mark.parametrize("given_arguments", [{}, {"patience": 0}, {"mode": "max", "patience": 1, "factor": 0.5}])
def test_simulates_what_ignite_does(given_arguments: dict[str, Any]) -> None:
    """The pairs are PyTorch-Ignite's."""
    ignite = pytest.importorskip("ignite.handlers.param_scheduler").ReduceLROnPlateauScheduler
    theirs = ignite.simulate_values(40, LOSSES[:40], 0.1, **given_arguments)

    assert theirs == ReduceLROnPlateauScheduler.simulate_values(40, LOSSES[:40], 0.1, **given_arguments)


def test_takes_the_state_that_ignite_saves() -> None:
    """The best metric and what it waits for go on here."""
    ignite = pytest.importorskip("ignite.handlers.param_scheduler").ReduceLROnPlateauScheduler
    theirs = ignite(an_optimizer(), "loss", patience=3)
    evaluator = pytest.importorskip("ignite.engine").Engine(nothing)
    for loss in (0.5, 0.6, 0.7):
        evaluator.state.metrics = {"loss": loss}
        theirs(evaluator)
    scheduler = ReduceLROnPlateauScheduler(an_optimizer(), "loss", patience=3)
    scheduler.load_state_dict(theirs.state_dict())

    assert (0.5, 2, 3) == (scheduler.scheduler.best, scheduler.scheduler.num_bad_epochs, scheduler.event_index)


class Strange:
    def __repr__(self) -> str:
        return "Strange()"


def make(**given_arguments: Any) -> ReduceLROnPlateauScheduler:
    """Return a scheduler, of these arguments and others that are right."""
    return ReduceLROnPlateauScheduler(**{"optimizer": an_optimizer(), "metric_name": "loss", **given_arguments})


@pytest.mark.parametrize(
    ("given_arguments", "kind", "message"),
    [
        ({"metric_name": 3}, TypeError, "metric_name must be the name of a metric, got 3"),
        ({"metric_name": ""}, TypeError, "metric_name must be the name of a metric, got ''"),
        ({"trainer": Strange()}, TypeError, "trainer must be an Engine, got Strange()"),
        (
            {"optimizer": Strange()},
            TypeError,
            "optimizer must have param_groups, as torch.optim.Optimizer does, got Strange()",
        ),
        (
            {"factor": 2},
            ValueError,
            "factor must be less than 1, got 2: the rate is multiplied with it, to be smaller",
        ),
        ({"factor": "a"}, ValueError, "factor must be a finite number, got 'a'"),
        ({"mode": "mn"}, ValueError, "mode must be 'min' or 'max', got 'mn'"),
        ({"threshold_mode": "a"}, ValueError, "threshold_mode must be 'rel' or 'abs', got 'a'"),
        (
            {"min_lr": [0.1] * 5},
            ValueError,
            "min_lr must be a number or have one for each of 1 parameter groups, got [0.1, 0.1, 0.1, 0.1, 0.1]",
        ),
        (
            {"optimizer": SimpleNamespace(param_groups=[{"lr": 0.1}])},
            TypeError,
            "optimizer must be a torch.optim.Optimizer, got namespace(param_groups=[{'lr': 0.1}])",
        ),
    ],
)
def test_refuses_what_it_cannot_use(given_arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
    """The error names the argument and the value."""
    with pytest.raises(kind) as caught:
        make(**given_arguments)

    assert message == str(caught.value)


def test_refuses_a_group_that_the_optimizer_lacks() -> None:
    """The error names the index."""
    with pytest.raises(ValueError, match=r"param_group_index must be .*, got 2"):
        ReduceLROnPlateauScheduler(an_optimizer(0.1, 0.2), "loss", param_group_index=2)


MISSING = (
    "metric_name must be a metric of Engine(nothing), got 'loss'; there are {}: attach the metric, and this scheduler "
    "to an event at which it is computed"
)


@pytest.mark.parametrize(
    ("metrics", "kind", "message"),
    [
        ({"accuracy": 0.5, "f1": 0.2}, ValueError, MISSING.format("'accuracy', 'f1'")),
        ({}, ValueError, MISSING.format("none")),
        ({"loss": "low"}, TypeError, "state.metrics['loss'] must be a number, got 'low'"),
        ({"loss": None}, TypeError, "state.metrics['loss'] must be a number, got None"),
        ({"loss": torch.zeros(2)}, TypeError, "state.metrics['loss'] must be a number, got tensor([0., 0.])"),
    ],
)
def test_refuses_a_metric_that_is_none(metrics: dict[str, Any], kind: type[Exception], message: str) -> None:
    """The error names the known metrics or the value, and nothing is counted."""
    scheduler, engine = ReduceLROnPlateauScheduler(an_optimizer(), "loss"), Engine(nothing)
    engine.state.metrics = metrics
    with pytest.raises(kind) as caught:
        scheduler(engine)

    assert message == str(caught.value)
    assert (0, 0) == (scheduler.event_index, scheduler.scheduler.last_epoch)


@pytest.mark.parametrize(
    ("saved", "kind", "message"),
    [
        ([], TypeError, "state_dict must be a mapping, as ReduceLROnPlateauScheduler.state_dict() returns, got []"),
        ({"event_index": 1}, ValueError, "state_dict must have 'scheduler', got ['event_index']"),
        (
            {"event_index": 1, "scheduler": 5},
            TypeError,
            "state_dict['scheduler'] must be the state of a ReduceLROnPlateau, got 5",
        ),
        (
            {"event_index": 1, "scheduler": {"best": 1}},
            ValueError,
            "state_dict['scheduler'] must be of a ReduceLROnPlateau, got ['best'] without 'num_bad_epochs'",
        ),
    ],
)
def test_refuses_a_state_that_is_none(saved: Any, kind: type[Exception], message: str) -> None:
    """The error says what is missing, and nothing is changed."""
    scheduler = ReduceLROnPlateauScheduler(an_optimizer(), "loss")
    before = copy.deepcopy(scheduler.state_dict())
    with pytest.raises(kind) as caught:
        scheduler.load_state_dict(saved)

    assert message == str(caught.value)
    assert before == scheduler.state_dict()


@pytest.mark.parametrize(
    ("number", "metrics", "message"),
    [
        (3, [1.0], "metric_values must be num_events numbers, 3, got 1"),
        (0, [], "num_events must be a positive integer, got 0"),
    ],
)
def test_refuses_to_simulate_without_a_metric_for_each_event(number: int, metrics: list[float], message: str) -> None:
    """There must be as many metrics as events."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the message is compared as a whole
        ReduceLROnPlateauScheduler.simulate_values(number, metrics, 0.1)

    assert message == str(caught.value)


def test_shows_the_name_of_the_metric() -> None:
    """repr tells what it looks at."""
    assert repr(make()).startswith("ReduceLROnPlateauScheduler('lr', metric_name='loss'")
