"""What was set is kept in the engine's state, and comes back after a resume."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ignite_signals.engine import Engine, Events, State
from ignite_signals.handlers.param_scheduler import (
    ConcatScheduler,
    LinearCyclicalScheduler,
    PiecewiseLinear,
    ReduceLROnPlateauScheduler,
)
from support.copying import every_copy
from support.schedules import optimizer, through_file

RAMP = [(0, 0.0), (10, 1.0)]


def nothing(engine: Engine, batch: Any) -> None:
    """Do nothing, as a step."""


def trained(iterations: int, *indices: int | None, saved: Any = None) -> Engine:
    """Run an engine with a scheduler for each group index, that keep their history."""
    engine, sgd = Engine(nothing), optimizer(0.1, 0.2)
    for index in indices or (None,):
        PiecewiseLinear(sgd, "lr", RAMP, save_history=True, param_group_index=index).attach(engine)
    if saved is not None:
        engine.load_state_dict(saved)
    engine.run([0] * 9, max_iters=iterations)
    return engine


def test_the_format_is_ignites():
    """A list of the values of the groups for each event, under the parameter's name or another."""
    ignite = pytest.importorskip("ignite.handlers.param_scheduler")
    histories = []
    for module in (ignite, None):
        engine, cls = Engine(nothing), PiecewiseLinear if module is None else module.PiecewiseLinear
        scheduler = cls(optimizer(0.1, 0.2), "lr", RAMP, save_history=True)
        scheduler(engine)
        scheduler(engine, "rate")
        scheduler(engine)
        histories.append(engine.state.param_history)
    expected, history = histories
    assert expected == history


def test_none_is_kept_by_default():
    """Nor saved."""
    engine, scheduler = Engine(nothing), PiecewiseLinear(optimizer(), "lr", RAMP)
    scheduler(engine)
    assert not hasattr(engine.state, "param_history")
    assert {"event_index": 1} == scheduler.state_dict()


@pytest.mark.parametrize("indices", [(), (0, 1)], ids=["one scheduler", "two of one name"])
@pytest.mark.parametrize("done", range(1, 8))
def test_it_goes_on_after_a_resume(indices, done):
    """In a new process, after any iteration."""
    expected = trained(8, *indices).state.param_history
    saved = through_file(trained(done, *indices).state_dict())
    assert expected == trained(8, *indices, saved=saved).state.param_history


@pytest.mark.parametrize("indices", [(), (0, 1)], ids=["one scheduler", "two of one name"])
def test_it_goes_back_where_a_state_is_loaded_into_an_engine_that_ran(indices):
    """What came after the save is gone."""
    expected, saved = trained(8, *indices).state.param_history, trained(3, *indices).state_dict()
    engine = trained(6, *indices)
    engine.load_state_dict(saved)
    engine.run([0] * 9, max_iters=8)
    assert expected == engine.state.param_history


def test_it_comes_back_with_an_epoch_that_is_gone_on_with():
    """Though the epoch is the last one, in which no value follows."""

    def make() -> Engine:
        engine = Engine(nothing)
        PiecewiseLinear(optimizer(), "lr", RAMP, save_history=True).attach(engine, Events.EPOCH_STARTED)
        return engine

    engine = make()
    engine.run([0] * 3, max_iters=5)
    other = make()
    other.load_state_dict(engine.state_dict())
    other.run([0] * 3, max_iters=6)
    assert {"lr": [[0.0], [0.1]]} == other.state.param_history


def test_a_saved_history_is_not_the_kept_one():
    """A state does not change after it was taken."""
    engine = trained(3)
    saved = engine.state_dict()
    before = copy.deepcopy(saved)
    engine.run([0] * 9, max_iters=6)
    assert before == saved


def test_a_state_without_a_history_leaves_it():
    """Such as PyTorch-Ignite's."""
    engine, scheduler = Engine(nothing), PiecewiseLinear(optimizer(), "lr", RAMP, save_history=True)
    scheduler(engine)
    scheduler.load_state_dict({"event_index": 5})
    scheduler(engine)
    assert {"lr": [[0.0], [0.5]]} == engine.state.param_history


def test_a_history_of_another_kind_is_refused():
    """The error names it, and nothing is changed."""
    scheduler = PiecewiseLinear(optimizer(), "lr", RAMP, save_history=True)
    with pytest.raises(TypeError, match=r"^state_dict\['param_history'\] must map names to lists, got 5$"):
        scheduler.load_state_dict({"event_index": 5, "param_history": 5})
    assert 0 == scheduler.count


def test_a_new_state_has_a_new_history():
    """What was kept in the one before is not its business."""
    engine, scheduler = Engine(nothing), PiecewiseLinear(optimizer(), "lr", RAMP, save_history=True)
    scheduler(engine)
    engine.state = State()
    scheduler(engine)
    assert {"lr": [[0.1]]} == engine.state.param_history


@every_copy
def test_a_copied_engine_has_its_own(copied):
    """Both go on by themselves, and what is saved is what is kept."""
    engine = trained(2)
    other = copied(engine)
    other.run([0] * 9, max_iters=4)
    assert (2, 4) == (len(engine.state.param_history["lr"]), len(other.state.param_history["lr"]))
    [state] = other.state_dict()["attached"].values()
    assert other.state.param_history == state["param_history"]


def test_a_concatenation_saves_its_history_once():
    """Its parts keep none."""
    engine, sgd = Engine(nothing), optimizer()
    parts = [LinearCyclicalScheduler(sgd, "lr", 0.0, 1.0, 4, save_history=True) for _ in range(2)]
    scheduler = ConcatScheduler(parts, [2], save_history=True)
    for _ in range(4):
        scheduler(engine)
    state = scheduler.state_dict()
    assert {"lr": [[0.0], [0.5], [0.0], [0.5]]} == state["param_history"] == engine.state.param_history
    assert [{"event_index", "cycle"}] * 2 == [set(part) for part in state["schedulers"]]


@pytest.mark.parametrize("attach_first", [True, False])
def test_it_is_back_when_a_finished_training_is_loaded(attach_first):
    """Though nothing is called any more."""
    expected, saved = trained(9).state.param_history, through_file(trained(9).state_dict())
    engine, scheduler = Engine(nothing), PiecewiseLinear(optimizer(0.1, 0.2), "lr", RAMP, save_history=True)
    if attach_first:
        scheduler.attach(engine)
        engine.load_state_dict(saved)
    else:
        scheduler.load_state_dict(next(iter(saved["attached"].values())))
        scheduler.attach(engine)
    assert expected == engine.state.param_history
    assert 9 == len(expected["lr"])


def test_that_of_a_plateau_is_back_in_its_trainer():
    """Not in the engine of the metric, to which the scheduler is attached."""
    saved = {"event_index": 1, "param_history": {"lr": [[0.1]]}, "scheduler": {"best": 1.0, "num_bad_epochs": 0}}
    trainer, evaluator = Engine(nothing), Engine(nothing)
    scheduler = ReduceLROnPlateauScheduler(optimizer(), "loss", trainer, save_history=True)
    scheduler.attach(evaluator, Events.COMPLETED)
    scheduler.load_state_dict(saved)
    assert ({"lr": [[0.1]]}, False) == (trainer.state.param_history, hasattr(evaluator.state, "param_history"))


@pytest.mark.parametrize("times", [1, 2])
def test_it_is_back_once_however_often_it_is_loaded(times):
    """The last state counts."""
    expected, saved = trained(9).state.param_history, [trained(done).state_dict() for done in (2, 5)]
    engine = Engine(nothing)
    PiecewiseLinear(optimizer(0.1, 0.2), "lr", RAMP, save_history=True).attach(engine)
    for state in saved[-times:]:
        engine.load_state_dict(state)
    engine.run([0] * 9, max_iters=9)
    assert expected == engine.state.param_history
