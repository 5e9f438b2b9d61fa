"""The state of an optimizer is for one of its class, whose parameters have the same shapes."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
import torch
from torch import nn

from ignite_signals.handlers import loading

# LBFGS takes a closure, and one group only; SparseAdam takes sparse gradients; Muon matrices.
CLASSES = ["ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "LBFGS", "Muon", "NAdam", "RAdam"]
CLASSES = [each for each in [*CLASSES, "RMSprop", "Rprop", "SGD", "SparseAdam"] if hasattr(torch.optim, each)]
OPTIONS = {
    "momentum": ("SGD", {"momentum": 0.9}),
    "momentum of RMSprop": ("RMSprop", {"momentum": 0.9, "centered": True}),
    "amsgrad": ("Adam", {"amsgrad": True}),
}


def made(name: str, width: int = 2, **options: Any) -> torch.optim.Optimizer:
    kind: Any = getattr(torch.optim, name)
    return kind([nn.Parameter(torch.ones(width, 3)), nn.Parameter(torch.ones(3, width))], lr=0.1, **options)


def step(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            gradient = torch.ones_like(parameter)
            parameter.grad = gradient.to_sparse() if "SparseAdam" in type(optimizer).__name__ else gradient
    optimizer.step(lambda: 1.0)
    return optimizer


def load(optimizer: torch.optim.Optimizer, state: Any) -> None:
    loading.load({"optimizer": optimizer, "other": nn.ReLU()}, {"optimizer": copy.deepcopy(state), "other": {}})


def refusal(optimizer: torch.optim.Optimizer, state: Any) -> str | None:
    """Return the error of loading, after which nothing has changed; None where there is none."""
    before = copy.deepcopy(optimizer.state_dict())
    try:
        load(optimizer, state)
    except ValueError as error:
        assert str(before) == str(optimizer.state_dict())
        return str(error)
    return None


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(CLASSES, 2)))
def test_what_loads_into_another_class_takes_the_next_step(one, other):
    """A state that an optimizer could not go on from is refused, whether it has gone some steps or none."""
    saved = step(made(one)).state_dict()
    for target in (made(other), step(made(other))):
        if (message := refusal(target, saved)) is None:
            assert step(target)
        else:
            assert "build the optimizer as it was when it was saved" in message


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (
            "Adam",
            "SGD",
            "got a group of 'optimizer' that lacks 'momentum', 'dampening' and has 'betas', 'eps', 'amsgrad', ",
        ),
        ("SGD", "Adam", "that lacks 'betas', 'eps' and has 'momentum', 'dampening', 'nesterov' that Adam does not"),
        (
            "Adam",
            "Adamax",
            (
                "got 'step', 'exp_avg', 'exp_avg_sq' for parameter 0 of 'optimizer', but Adamax needs 'exp_inf'; "
                "build the optimizer as it was when it was saved"
            ),
        ),
    ],
)
def test_a_state_of_another_class_is_refused(one, other, message):
    """The error says what does not fit."""
    assert message in str(refusal(made(other), step(made(one)).state_dict()))


@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in CLASSES), *OPTIONS.values()])
@pytest.mark.parametrize("scheduler", [None, "StepLR", "OneCycleLR"])
def test_a_state_of_the_class_itself_loads(name, options, scheduler):
    """One of an older version, too, whose groups lack the options that this version fills in; and with a scheduler."""
    optimizer = made(name, **options)
    if scheduler == "StepLR":
        torch.optim.lr_scheduler.StepLR(optimizer, 3)
    elif scheduler and {"momentum", "betas"} & optimizer.param_groups[0].keys():
        torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, 9)
    saved = copy.deepcopy(step(optimizer).state_dict())
    for key in ("foreach", "maximize", "fused", "capturable", "differentiable", "decoupled_weight_decay"):
        known = name not in ("LBFGS", "Muon", "SparseAdam", "Adafactor") and (name, key) != ("AdamW", "fused")
        for group in saved["param_groups"] if known else ():
            group.pop(key, None)
    target = made(name, **options)
    assert refusal(target, saved) is None
    assert step(target)


@pytest.mark.parametrize(
    ("name", "options", "key"),
    [
        ("ASGD", {}, "ax"),
        ("Adadelta", {}, "square_avg"),
        ("Adadelta", {}, "acc_delta"),
        ("Adagrad", {}, "sum"),
        ("Adam", {}, "exp_avg"),
        ("AdamW", {}, "exp_avg_sq"),
        ("Adam", {"amsgrad": True}, "max_exp_avg_sq"),
        ("AdamW", {"amsgrad": True}, "max_exp_avg_sq"),
        ("Adamax", {}, "exp_inf"),
        ("NAdam", {}, "exp_avg_sq"),
        ("RAdam", {}, "exp_avg_sq"),
        ("RMSprop", {"momentum": 0.9}, "momentum_buffer"),
        ("RMSprop", {"centered": True}, "grad_avg"),
        ("Rprop", {}, "prev"),
        ("Rprop", {}, "step_size"),
        ("SGD", {"momentum": 0.9}, "momentum_buffer"),
        ("SparseAdam", {}, "exp_avg"),
    ],
)
def test_each_tensor_must_have_the_shape_of_its_parameter(name, options, key):
    """The error names tensor, parameter and shapes; that of the second parameter counts like that of the first."""
    saved = copy.deepcopy(step(made(name, **options)).state_dict())
    saved["state"][1][key] = torch.ones(1)
    expected = (
        f"checkpoint must be of an optimizer of such parameters, got {key!r} for parameter 1 of 'optimizer' with shape "
        "(1,), not (3, 2); build the optimizer as it was when it was saved"
    )
    assert expected == refusal(made(name, **options), saved)


@pytest.mark.parametrize("name", [each for each in CLASSES if each not in ("Adafactor", "LBFGS", "SGD", "Muon")])
def test_a_state_for_parameters_of_other_shapes_is_refused(name):
    """So is that of the same layers with another width."""
    assert "with shape (2, 3), not (4, 3)" in str(refusal(made(name, 4), step(made(name, 2)).state_dict()))


def test_a_state_may_be_loaded_twice():
    """Loading adds an option to the defaults of some optimizers, which their groups do not have."""
    target, saved = made("SparseAdam"), step(made("SparseAdam")).state_dict()
    assert [None, None] == [refusal(target, saved), refusal(target, saved)]


def test_a_state_before_the_first_step_loads():
    """Nothing is kept for a parameter yet, or for one without a gradient."""
    saved = step(made("Adam")).state_dict()
    saved["state"] = {1: saved["state"][1]}
    target = made("Adam")
    assert (None, [1]) == (refusal(target, saved), list(target.state_dict()["state"]))
    assert refusal(target, made("Adam").state_dict()) is None


def test_parameters_without_a_shape_are_let_alone():
    """A lazy parameter gets its shape with the first batch."""
    lazy = nn.LazyLinear(2)
    optimizer = torch.optim.SGD(nn.Linear(3, 2).parameters(), momentum=0.9)
    saved = step(optimizer).state_dict()
    target = torch.optim.SGD(lazy.parameters(), momentum=0.9)
    load(target, saved)
    assert (2, 3) == target.state[lazy.weight]["momentum_buffer"].shape


class Projected(torch.optim.Adam):
    """Keep averages of another shape than the parameter has."""

    def step(self, closure: Any = None) -> None:
        for parameter in self.param_groups[0]["params"]:
            self.state[parameter].update(step=torch.tensor(1.0), exp_avg=torch.zeros(1))


class Same(torch.optim.Adam):
    """Step as Adam does."""


class Odd(torch.optim.Optimizer):
    """Have options of its own, and give them to groups that lack them where told to."""

    def __init__(self, parameters: Any, **options: Any) -> None:
        super().__init__(parameters, options)


class Filling(Odd):
    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["new"] = group.pop("old", 1)


def test_an_optimizer_with_a_step_of_its_own_keeps_what_it_likes():
    """A class that steps in its own way may keep other tensors, and in other shapes; one that does not, may not."""
    saved = step(Projected([nn.Parameter(torch.ones(2, 3))])).state_dict()
    assert refusal(Projected([nn.Parameter(torch.ones(2, 3))]), saved) is None
    assert "Adam needs 'exp_avg_sq'" in str(refusal(Same([nn.Parameter(torch.ones(2, 3))]), saved))


def test_options_of_older_versions():
    """A state that lacks an option loads, with a scheduler's too; not one with another option in its place."""

    def parameters() -> list[nn.Parameter]:
        return [nn.Parameter(torch.ones(1))]

    old = Odd(parameters(), old=1).state_dict()
    old["param_groups"][0]["initial_lr"] = 1.0
    assert refusal(Odd(parameters(), old=1, new=2), old) is None
    assert refusal(Odd(parameters()), old) is None
    assert "lacks 'new' and has 'old' that Odd does not know" in str(refusal(Odd(parameters(), new=2), old))
    filling = Filling(parameters(), new=2)
    assert refusal(filling, old) is None
    assert 1 == filling.param_groups[0]["new"]
