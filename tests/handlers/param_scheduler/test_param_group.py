"""ParamGroupScheduler calls several schedulers as one."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from torch.optim.lr_scheduler import StepLR

from ignite_signals.engine import Engine
from ignite_signals.handlers.param_scheduler import (
    CosineAnnealingScheduler,
    LinearCyclicalScheduler,
    LRScheduler,
    ParamGroupScheduler,
    PiecewiseLinear,
)
from support.copying import every_copy
from support.schedules import called, optimizer, rates, through_file


def of(sgd: Any, **arguments: Any) -> ParamGroupScheduler:
    base = LinearCyclicalScheduler(sgd, "lr", 0.0, 0.5, 4, param_group_index=0)
    head = CosineAnnealingScheduler(sgd, "lr", 0.0, 1.0, 6, param_group_index=1)
    return ParamGroupScheduler([base, head], **arguments)


def test_each_group_has_its_own_schedule():
    """All of them move at one call."""
    base = called(LinearCyclicalScheduler(optimizer(), "lr", 0.0, 0.5, 4), 300)
    head = called(CosineAnnealingScheduler(optimizer(), "lr", 0.0, 1.0, 6), 300)
    assert list(map(list, zip(base, head, strict=True))) == called(of(optimizer(0.1, 0.2)), 300)


def test_groups_may_be_of_several_parameters_and_optimizers():
    """As for the two networks of a GAN."""
    one, other = optimizer(0.1, momentum=0.9), optimizer(0.2)
    ParamGroupScheduler(
        [
            PiecewiseLinear(one, "lr", [(0, 1)]),
            PiecewiseLinear(one, "momentum", [(0, 2)]),
            LRScheduler(StepLR(other, 1)),
        ]
    )(None)
    assert ([1.0], [2.0], [0.2]) == (rates(one), rates(one, "momentum"), rates(other))


def test_get_param_tells_the_values_that_the_next_call_sets():
    """One for each scheduler."""
    scheduler = of(optimizer(0.1, 0.2))
    called(scheduler, 3)
    told = scheduler.get_param()
    assert [told] == called(scheduler, 1)


def test_a_history_is_kept_under_each_name():
    """As in PyTorch-Ignite."""
    ignite = pytest.importorskip("ignite.handlers.param_scheduler")
    engine, theirs = Engine(lambda engine, batch: None), Engine(lambda engine, batch: None)
    scheduler, names = of(optimizer(0.1, 0.2), names=["base", "head"], save_history=True), ["base", "head"]
    sgd = optimizer(0.1, 0.2)
    base = ignite.LinearCyclicalScheduler(sgd, "lr", 0.0, 0.5, 4, param_group_index=0)
    head = ignite.CosineAnnealingScheduler(sgd, "lr", 0.0, 1.0, 6, param_group_index=1)
    other = ignite.ParamGroupScheduler([base, head], names, save_history=True)
    for _ in range(10):
        scheduler(engine)
        other(theirs)
    for name in names:
        assert theirs.state.param_history[name] == [
            [pytest.approx(value)] for [value] in engine.state.param_history[name]
        ]


def test_schedulers_of_one_name_have_one_history():
    """An entry for each event, with the values of all of them."""
    engine = Engine(lambda engine, batch: None)
    scheduler = of(optimizer(0.1, 0.2), save_history=True)
    for _ in range(2):
        scheduler(engine)
    assert {"lr": [[0.0, 0.0], [0.25, pytest.approx(0.067, abs=1e-3)]]} == engine.state.param_history


def test_a_state_is_taken_up_at_every_count():
    """The rest of the values is the same."""
    expected = called(of(optimizer(0.1, 0.2)), 30)
    for count in range(30):
        before, after = of(optimizer(0.1, 0.2)), of(optimizer(0.1, 0.2))
        called(before, count)
        after.load_state_dict(through_file(before.state_dict()))
        assert expected[count:] == called(after, 30 - count)


def test_ignites_state_is_taken_up():
    """It has the states of the schedulers alone."""
    ignite = pytest.importorskip("ignite.handlers.param_scheduler")
    sgd = optimizer(0.1, 0.2)
    base = ignite.LinearCyclicalScheduler(sgd, "lr", 0.0, 0.5, 4, param_group_index=0)
    head = ignite.CosineAnnealingScheduler(sgd, "lr", 0.0, 1.0, 6, param_group_index=1)
    theirs, ours = ignite.ParamGroupScheduler([base, head]), of(optimizer(0.1, 0.2))
    called(theirs, 7)
    ours.load_state_dict(theirs.state_dict())
    expected = [pytest.approx(values, abs=1e-12) for values in called(theirs, 9)]
    assert expected == called(ours, 9)


def test_simulating_leaves_everything_as_it_was():
    """And gives a value for each scheduler."""
    ignite = pytest.importorskip("ignite.handlers.param_scheduler")
    sgd = optimizer(0.1, 0.2)
    scheduler = of(sgd)
    called(scheduler, 3)
    before = copy.deepcopy((scheduler.state_dict(), sgd.state_dict()))
    rows = ParamGroupScheduler.simulate_values(5, schedulers=of(sgd).schedulers)
    ParamGroupScheduler.simulate_values(5, schedulers=scheduler.schedulers, names=["a", "b"], save_history=True)
    assert before == (scheduler.state_dict(), sgd.state_dict())
    base = ignite.LinearCyclicalScheduler(sgd, "lr", 0.0, 0.5, 4, param_group_index=0)
    head = ignite.CosineAnnealingScheduler(sgd, "lr", 0.0, 1.0, 6, param_group_index=1)
    assert ignite.ParamGroupScheduler.simulate_values(4, [base, head]) == [pytest.approx(row) for row in rows[:4]]


def test_plotting_draws_a_line_for_each_scheduler():
    """Under its name, or that of its parameter and group."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    figure = pyplot.figure()
    schedulers = of(optimizer(0.1, 0.2)).schedulers
    labels = [
        [line.get_label() for line in ParamGroupScheduler.plot_values(5, schedulers=schedulers, **names)]
        for names in ({}, {"names": ["base", "head"]})
    ]
    assert [["lr/0", "lr/1"], ["base", "head"]] == labels
    pyplot.close(figure)


def test_attach_sets_the_values_of_each_iteration():
    """Before its step."""
    sgd, seen = optimizer(0.1, 0.2), []
    engine = Engine(lambda engine, batch: seen.append(rates(sgd)))
    of(sgd).attach(engine)
    engine.run([0] * 2)
    assert [[0.0, 0.0], [0.25, pytest.approx(0.067, abs=1e-3)]] == seen
    assert ["ParamGroupScheduler:lr"] == list(engine.state_dict()["attached"])


@every_copy
def test_a_copy_goes_on(copied):
    """With schedulers and an optimizer of its own."""
    scheduler = of(optimizer(0.1, 0.2))
    called(scheduler, 3)
    assert called(copied(scheduler), 5) == called(scheduler, 5)


def test_repr_shows_the_schedulers():
    """With their counts."""
    scheduler = ParamGroupScheduler([PiecewiseLinear(optimizer(), "lr", [(0, 1)], param_group_index=0)])
    called(scheduler, 2)
    part = "PiecewiseLinear('lr', milestones_values=[(0, 1.0)], param_group_index=0, count=2)"
    assert f"ParamGroupScheduler('lr', schedulers=[{part}], count=2)" == repr(scheduler)


SGD = optimizer(0.1, 0.2)
A, B = of(SGD).schedulers
MESSAGES: dict[str, tuple[type[Exception], dict[str, Any]]] = {
    "schedulers must be a list or tuple of parameter schedulers, got 5": (TypeError, {"schedulers": 5}),
    "schedulers must be at least 1, got []": (ValueError, {"schedulers": []}),
    "schedulers[1] must be a parameter scheduler of an optimizer, got 7": (TypeError, {"schedulers": [A, 7]}),
    "names must be a list or tuple of names of schedulers, got 'ab'": (
        TypeError,
        {"schedulers": [A, B], "names": "ab"},
    ),
    "names must be strings, got 1": (ValueError, {"schedulers": [A, B], "names": ["a", 1]}),
    "names must be as many as the 2 schedulers, got 1: ['a']": (ValueError, {"schedulers": [A, B], "names": ["a"]}),
}


@pytest.mark.parametrize("message", MESSAGES)
def test_wrong_arguments_are_refused(message):
    """The error names the argument and the value."""
    error, arguments = MESSAGES[message]
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        ParamGroupScheduler(**arguments)


def test_states_of_other_names_are_refused():
    """The error names both, and nothing is changed."""
    scheduler = of(SGD, names=["base", "head"])
    message = "state_dict['schedulers'] must have the states of ['base', 'head'], got those of ['lr', 'lr']"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        scheduler.load_state_dict(of(SGD).state_dict())
