"""What all schedulers of an optimizer's parameter have in common."""

from __future__ import annotations

import copy
import re
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ignite_signals.engine import Engine, Events
from ignite_signals.handlers.param_scheduler import (
    BaseParamScheduler,
    BatchSizeScheduler,
    ConcatScheduler,
    LinearCyclicalScheduler,
    LRScheduler,
    ParamGroupScheduler,
    ParamScheduler,
    PiecewiseLinear,
    ReduceLROnPlateauScheduler,
    create_lr_scheduler_with_warmup,
)
from support.copying import every_copy
from support.schedules import called, optimizer, rates

RAMP = [(0, 0.0), (10, 1.0)]


class Hyperbola(ParamScheduler):
    """A schedule of a user."""

    def get_param(self) -> float:
        return 1 / (1 + self.event_index)


class PerGroup(ParamScheduler):
    def get_param(self) -> list[float]:
        return [0.1 * self.event_index, 0.2 * self.event_index]


def nothing(engine: Engine, batch: Any) -> None:
    """Do nothing, as a step."""


def test_a_schedule_of_ones_own_is_five_lines():
    """`get_param` goes by `event_index`."""
    assert [1, 1 / 2, 1 / 3, 1 / 4] == called(Hyperbola(optimizer(), "lr"), 4)
    assert [[0, 1.0], [1, 0.5]] == Hyperbola.simulate_values(2, param_name="lr")


def test_a_schedule_of_nothing_can_be_simulated():
    """One that sets nothing says so when it is called."""
    own = type("Own", (BaseParamScheduler,), {"get_param": lambda self: self.event_index**2})
    assert [[0, 0], [1, 1], [2, 4]] == own.simulate_values(3, param_name="size")
    assert "Own('size', count=0)" == repr(own("size"))
    with pytest.raises(NotImplementedError, match=r"^Own must define __call__, which sets the next value$"):
        own("size")(None)


def test_repr_shows_the_parameter_and_the_count():
    """Of a schedule of one's own, too."""
    scheduler = Hyperbola(optimizer(), "lr")
    called(scheduler, 3)
    assert "Hyperbola('lr', count=3)" == repr(scheduler)


def test_get_param_tells_what_the_next_call_sets():
    """And changes nothing."""
    scheduler = PiecewiseLinear(optimizer(), "lr", RAMP)
    called(scheduler, 3)
    assert [0.3, 0.3, 3] == pytest.approx([scheduler.get_param(), scheduler.get_param(), scheduler.count])


def test_every_group_is_set_by_default():
    """Also one that is added later."""
    sgd = optimizer(0.1, 0.2)
    scheduler = PiecewiseLinear(sgd, "lr", RAMP)
    scheduler(None)
    sgd.add_param_group({"params": [torch.zeros(1)], "lr": 7.0})
    scheduler(None)
    assert [0.1] * 3 == rates(sgd)


@pytest.mark.parametrize(("index", "expected"), [(0, [0.0, 0.2]), (1, [0.1, 0.0]), (-1, [0.1, 0.0])])
def test_one_group_is_set_where_it_is_given(index, expected):
    """The others stay."""
    sgd = optimizer(0.1, 0.2)
    PiecewiseLinear(sgd, "lr", RAMP, param_group_index=index)(None)
    assert expected == rates(sgd)


def test_a_list_has_a_value_for_each_group():
    """In the order of the groups."""
    sgd = optimizer(0.1, 0.2)
    assert [[0.0, 0.0], [0.1, 0.2]] == called(PerGroup(sgd, "lr"), 2)


@pytest.mark.parametrize("name", ["momentum", "weight_decay"])
def test_other_parameters_are_set_too(name):
    """Not only learning rates."""
    sgd = optimizer(0.1, momentum=0.9)
    scheduler = PiecewiseLinear(sgd, name, RAMP)
    assert [0.0, 0.1, 0.2] == pytest.approx(called(scheduler, 3, name))
    assert [0.1] == rates(sgd)


def test_a_tensor_stays_the_same_tensor():
    """Compiled and captured steps read it; the history has numbers, not the tensor."""
    adam = torch.optim.Adam([torch.zeros(1)], lr=torch.tensor(0.5), capturable=True)
    tensor = adam.param_groups[0]["lr"]
    scheduler = PiecewiseLinear(adam, "lr", RAMP, save_history=True)
    engine = Engine(nothing)
    for _ in range(3):
        scheduler(engine)
    assert tensor is adam.param_groups[0]["lr"]
    assert 0.2 == pytest.approx(tensor.item())
    assert {"lr": [[0.0], [0.1], [0.2]]} == engine.state.param_history


def test_a_pair_is_not_replaced_by_a_number():
    """Adam would fail at its next step."""
    adam = torch.optim.Adam([torch.zeros(1)])
    message = "param_name must name a number, got 'betas', which is (0.9, 0.999); 0.0 cannot replace it"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        PiecewiseLinear(adam, "betas", RAMP)(None)
    assert (0.9, 0.999) == adam.param_groups[0]["betas"]


def test_a_pair_is_replaced_by_a_pair():
    """By a schedule of one's own."""
    adam = torch.optim.Adam([torch.zeros(1)])
    pairs = type("Betas", (ParamScheduler,), {"get_param": lambda self: (0.5, 0.999)})
    pairs(adam, "betas")(None)
    assert (0.5, 0.999) == adam.param_groups[0]["betas"]


def test_what_has_groups_is_an_optimizer():
    """Also a wrapper of another library."""
    wrapper = SimpleNamespace(param_groups=[{"lr": 0.1}])
    assert [0.0, 0.1] == called(PiecewiseLinear(wrapper, "lr", RAMP), 2)


KNOWN = "'lr', 'momentum', 'dampening', 'weight_decay', 'nesterov', 'maximize', 'foreach', 'differentiable', 'fused'"
MESSAGES = {
    "param_group_index must be the index of one of the optimizer's 1 parameter groups, 0 to 0, got 1": (
        ValueError,
        {"param_group_index": 1},
    ),
    "param_group_index must be the index of one of the optimizer's 1 parameter groups, 0 to 0, got -2": (
        ValueError,
        {"param_group_index": -2},
    ),
    "param_group_index must be an integer, got '0'": (ValueError, {"param_group_index": "0"}),
    "param_group_index must be an integer, got True": (ValueError, {"param_group_index": True}),
    f"param_name must be a parameter of the optimizer's groups, got 'rate'; there are {KNOWN}": (
        ValueError,
        {"param_name": "rate"},
    ),
    "param_name must be the name of a parameter, got 5": (TypeError, {"param_name": 5}),
    "param_name must be the name of a parameter, got ''": (TypeError, {"param_name": ""}),
    "optimizer must have param_groups, as torch.optim.Optimizer does, got 'sgd'": (TypeError, {"optimizer": "sgd"}),
}


@pytest.mark.parametrize("message", MESSAGES)
def test_wrong_arguments_are_refused(message):
    """The error names the argument and the value."""
    error, wrong = MESSAGES[message]
    arguments = {"optimizer": optimizer(), "param_name": "lr", "milestones_values": RAMP} | wrong
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        PiecewiseLinear(**arguments)


def test_a_list_of_another_length_is_refused():
    """The error names the class, the number and the values."""
    message = "PerGroup.get_param must return one value for each of 1 parameter groups, got [0.0, 0.0]"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        PerGroup(optimizer(), "lr")(None)


def test_only_an_engine_is_attached_to():
    """The error names the value."""
    with pytest.raises(TypeError, match=r"^engine must be an Engine, got 5$"):
        PiecewiseLinear(optimizer(), "lr", RAMP).attach(5)


def test_attach_sets_each_iteration_s_value_before_its_step():
    """The step of the first iteration has the first value."""
    sgd, seen = optimizer(), []
    engine = Engine(lambda engine, batch: seen.append(rates(sgd)))
    PiecewiseLinear(sgd, "lr", RAMP).attach(engine)
    engine.run(range(3))
    assert [[0.0], [0.1], [0.2]] == seen


def test_attach_takes_any_event():
    """Also a filtered one."""
    sgd, seen = optimizer(), []
    engine = Engine(lambda engine, batch: seen.append(rates(sgd)[0]))
    PiecewiseLinear(sgd, "lr", RAMP).attach(engine, Events.ITERATION_STARTED(every=2))
    engine.run(range(5))
    assert [0.1, 0.0, 0.0, 0.1, 0.1] == seen


def test_simulating_leaves_the_given_optimizer_alone():
    """Values are set in a stand-in, which has its groups."""
    sgd = optimizer(0.1, 0.2)
    before = copy.deepcopy(sgd.state_dict())
    rows = PerGroup.simulate_values(2, optimizer=sgd, param_name="lr", save_history=True)
    assert [[0, 0.0], [1, 0.1]] == rows
    assert before == sgd.state_dict()


def test_simulating_takes_any_group_without_an_optimizer():
    """The stand-in has as many."""
    arguments = {"param_name": "momentum", "milestones_values": RAMP}
    expected = [[0, 0.0], [1, 0.1]]
    for index in (None, 0, 2, -3):
        assert expected == PiecewiseLinear.simulate_values(2, param_group_index=index, **arguments)


@pytest.mark.parametrize("number", [0, -1, 2.5, "3"])
def test_simulating_needs_a_number(number):
    """The error names it."""
    with pytest.raises(ValueError, match=f"^num_events must be a positive integer, got {re.escape(repr(number))}$"):
        PiecewiseLinear.simulate_values(number, param_name="lr", milestones_values=RAMP)


def test_plotting_draws_the_simulated_values():
    """On the current axes, under the parameter's name."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    figure = pyplot.figure()
    [line] = PiecewiseLinear.plot_values(3, param_name="momentum", milestones_values=RAMP)
    assert ([0, 1, 2], [0.0, 0.1, 0.2]) == (list(line.get_xdata()), pytest.approx(list(line.get_ydata())))
    axes = figure.axes[0]
    assert ("events", "value", "momentum") == (axes.get_xlabel(), axes.get_ylabel(), line.get_label())
    pyplot.close(figure)


@every_copy
def test_an_engine_is_copied_with_its_optimizer(copied):
    """The scheduler of the copy sets the copy's optimizer, and only that."""
    engine, sgd = Engine(nothing), optimizer()
    PiecewiseLinear(sgd, "lr", RAMP).attach(engine)
    engine.run([0])
    other, others_sgd = copied((engine, sgd))
    other.run([0] * 3)
    assert ([0.0], [0.3]) == (rates(sgd), pytest.approx(rates(others_sgd)))


def test_the_state_is_named_by_the_parameter_and_the_group():
    """So that the states of two schedulers are told apart in an engine's."""
    engine, sgd = Engine(nothing), optimizer(0.1, 0.2, momentum=0.9)
    for arguments in ({"param_name": "momentum"}, {"param_name": "lr", "param_group_index": 1}):
        PiecewiseLinear(sgd, milestones_values=RAMP, **arguments).attach(engine)
    assert ["PiecewiseLinear:momentum", "PiecewiseLinear:lr/1"] == list(engine.state_dict()["attached"])


def test_an_engine_does_not_live_longer_by_its_scheduler():
    """Nor does a scheduler with a history make a cycle."""
    import gc
    import weakref

    sgd = optimizer()
    scheduler = LinearCyclicalScheduler(sgd, "lr", 0.0, 1.0, 4, save_history=True)
    engine = Engine(nothing)
    scheduler.attach(engine)
    engine.run([0] * 3)
    gone = weakref.ref(engine)
    gc.disable()
    try:
        del engine
        assert None is gone()
    finally:
        gc.enable()


def test_a_name_with_more_than_a_parameter_is_told_how_to_choose_a_group():
    """As loggers and histories may call it."""
    with pytest.raises(ValueError, match=r"got 'lr \(base\)'.*param_group_index.*ParamGroupScheduler\(names=\.\.\.\)$"):
        PiecewiseLinear(optimizer(), "lr (base)", [(0, 1.0)])


@pytest.mark.parametrize(
    "make",
    [
        lambda large: PiecewiseLinear(large, "lr", [(0, 1.0)]),
        lambda large: PiecewiseLinear(optimizer(), large, [(0, 1.0)]),
        lambda large: PiecewiseLinear(optimizer(), "lr", large),
        lambda large: PiecewiseLinear(optimizer(), "lr", [(0, large)]),
        lambda large: ConcatScheduler(large, [1]),
        lambda large: ParamGroupScheduler([PiecewiseLinear(optimizer(), "lr", [(0, 1.0)])], names=large),
        lambda large: BatchSizeScheduler(large, int),
        lambda large: LRScheduler(large),
        lambda large: ReduceLROnPlateauScheduler(optimizer(), large),
        lambda large: create_lr_scheduler_with_warmup(large, 0.0, 3),
        lambda large: PiecewiseLinear(optimizer(), "lr", [(0, 1.0)]).load_state_dict(large),
    ],
)
def test_an_error_shows_the_beginning_of_a_large_value(make):
    """Parameters of a model have thousands of numbers."""
    with pytest.raises((TypeError, ValueError)) as caught:
        make([torch.zeros(100, 100)] * 100)
    assert len(str(caught.value)) < 300
