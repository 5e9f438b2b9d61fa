"""What a trial changes is put back as it was: in place, to the bit, whatever a state dict leaves out."""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ignite_signals.engine import Engine
from ignite_signals.handlers.as_before import AsBefore


class Holding(nn.Module):
    """A model of the user's own that holds one value."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


def weight() -> Tensor:
    return torch.arange(6.0).reshape(2, 3)


def grown(holding: Holding) -> None:
    holding.value.append(4)


CHANGES: dict[str, tuple[Callable[[], Any], Callable[[Holding], Any]]] = {
    "a tensor written to": (weight, lambda holding: holding.value.mul_(2)),
    "a tensor of integers": (lambda: torch.arange(3), lambda holding: holding.value.add_(2)),
    "a complex tensor": (lambda: torch.ones(2, dtype=torch.cfloat), lambda holding: holding.value.add_(2)),
    "a tensor in half precision": (lambda: torch.ones(2, dtype=torch.bfloat16), lambda holding: holding.value.add_(2)),
    "a sparse tensor": (lambda: weight().to_sparse(), lambda holding: holding.value.mul_(2)),
    "an expanded tensor": (lambda: torch.zeros(1).expand(4), lambda holding: holding.value[:1].fill_(2.0)),
    "a view": (lambda: weight()[:, 1], lambda holding: holding.value.fill_(2.0)),
    "a NaN": (lambda: torch.tensor([float("nan"), 1.0]), lambda holding: holding.value.fill_(2.0)),
    "an empty tensor": (lambda: torch.empty(0), lambda holding: setattr(holding, "value", torch.ones(1))),
    "a parameter": (lambda: nn.Parameter(weight()), lambda holding: holding.value.data.mul_(2)),
    "a parameter with other memory": (
        lambda: nn.Parameter(weight()),
        lambda holding: setattr(holding.value, "data", torch.zeros(2, 3)),
    ),
    "a parameter of another shape": (
        lambda: nn.Parameter(weight()),
        lambda holding: setattr(holding.value, "data", torch.zeros(7)),
    ),
    "a gradient that was not there": (
        lambda: nn.Parameter(weight()),
        lambda holding: holding.value.sum().backward(),
    ),
    "a frozen parameter": (lambda: nn.Parameter(weight()), lambda holding: holding.value.requires_grad_(False)),
    "a tensor in a graph": (
        lambda: weight().clone(),
        lambda holding: holding.value.mul_(torch.ones(3, requires_grad=True)),
    ),
    "an attribute": (lambda: 1, lambda holding: setattr(holding, "value", 2)),
    "an attribute that was not there": (lambda: 1, lambda holding: setattr(holding, "other", 2)),
    "an attribute that is gone": (lambda: 1, lambda holding: delattr(holding, "value")),
    "a list": (lambda: [1, 2], grown),
    "a list of tensors": (lambda: [weight()], lambda holding: holding.value[0].add_(1)),
    "a tuple of tensors": (lambda: (weight(),), lambda holding: holding.value[0].add_(1)),
    "a deque": (lambda: deque([1], maxlen=3), grown),
    "a set": (lambda: {1, 2}, lambda holding: holding.value.add(3)),
    "a dict": (lambda: defaultdict(list, {1: [2]}), lambda holding: holding.value[1].append(3)),
    "the order of a dict": (lambda: {1: 2, 3: 4}, lambda holding: holding.value.update({1: holding.value.pop(1)})),
    "a module": (lambda: nn.Linear(2, 1), lambda holding: holding.value.eval().weight.data.zero_()),
    "a module in a list": (lambda: [nn.BatchNorm1d(2)], lambda holding: holding.value[0](torch.randn(4, 2))),
    "a buffer that is not saved": (
        lambda: nn.Linear(2, 1),
        lambda holding: holding.value.register_buffer("new", torch.ones(1), persistent=False),
    ),
    "a source of numbers of torch": (
        lambda: torch.Generator().manual_seed(1),
        lambda holding: torch.rand(1, generator=holding.value),
    ),
    "a source of numbers of Python": (lambda: random.Random(1), lambda holding: holding.value.random()),
    "a source of numbers of NumPy": (lambda: np.random.default_rng(1), lambda holding: holding.value.random()),
    "an older one of NumPy": (lambda: np.random.RandomState(1), lambda holding: holding.value.rand()),
}


def told(value: Any) -> Any:
    """Tell all that may change, of which objects it is made, and their order."""
    if isinstance(value, Tensor):
        grad = value.grad if value.is_leaf else None
        content = value.detach().to_dense()
        numbers = content.contiguous().reshape(-1).view(torch.uint8).tolist() if content.numel() else []
        return id(value), tuple(value.shape), numbers, value.requires_grad, value.is_leaf, told(grad)
    if isinstance(value, nn.Module):
        return id(value), told(vars(value))
    if isinstance(value, dict):
        return id(value), [(key, told(each)) for key, each in value.items()]
    if isinstance(value, list | tuple | deque | set):
        return id(value), [told(each) for each in value]
    if isinstance(value, torch.Generator):
        return value.get_state().tolist()
    if isinstance(value, random.Random):
        return value.getstate()
    if isinstance(value, np.random.Generator):
        return str(value.bit_generator.state)
    return str(value.get_state()) if isinstance(value, np.random.RandomState) else value


@pytest.mark.parametrize("case", CHANGES)
def test_puts_back_what_was_changed(case):
    """The very objects have their values again."""
    make, change = CHANGES[case]
    holding = Holding(make())
    before, as_before = told(holding), AsBefore([holding])
    change(holding)
    assert before != told(holding)
    as_before.put_back()
    assert before == told(holding)


def test_puts_back_the_random_numbers():
    """Those of Python, NumPy and torch go on as if none had been drawn."""
    as_before = AsBefore()
    first = [random.random(), np.random.rand(), torch.rand(1).item()]
    as_before.put_back()
    assert first == [random.random(), np.random.rand(), torch.rand(1).item()]


def test_puts_back_what_the_optimizer_keeps():
    """States that come or go, options of groups, groups that are added."""
    parameters = [nn.Parameter(weight()), nn.Parameter(weight())]
    optimizer = torch.optim.Adam(parameters[:1], lr=0.1)
    as_before = AsBefore([optimizer])
    optimizer.add_param_group({"params": parameters[1:]})
    for parameter in parameters:
        parameter.grad = torch.ones(2, 3)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 7.0
    as_before.put_back()
    assert ({}, [0.1]) == (dict(optimizer.state), [group["lr"] for group in optimizer.param_groups])
    assert torch.equal(weight(), parameters[0])


def test_keeps_the_precision_of_states():
    """A state in another dtype than that of its parameter, which loading would cast, stays to the bit."""
    parameter = nn.Parameter(weight().bfloat16())
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    master = torch.tensor([1.0009765625])
    optimizer.state[parameter]["master"] = master
    as_before = AsBefore([optimizer])
    master.mul_(3)
    as_before.put_back()
    assert optimizer.state[parameter]["master"] is master
    assert torch.tensor([1.0009765625]) == master


def test_puts_back_a_gradient_that_was_there():
    """Gradients that are summed up, or set to zero in place, are those of before."""
    parameter = nn.Parameter(weight())
    parameter.grad = gradient = torch.ones(2, 3)
    as_before = AsBefore([nn.ParameterList([parameter])])
    gradient.zero_()
    parameter.grad = None
    as_before.put_back()
    assert parameter.grad is gradient
    assert torch.equal(torch.ones(2, 3), gradient)


def test_leaves_torchs_own_wrappers_alone():
    """What torch's modules keep beside parameters, buffers and mode is theirs."""
    wrapper = nn.DataParallel(nn.Linear(2, 1))
    as_before = AsBefore([wrapper])
    wrapper.private = 1
    wrapper.eval()
    as_before.put_back()
    assert (1, True) == (wrapper.private, wrapper.training)


def test_puts_back_a_scaler():
    """One that has not been used is as new."""
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    before, as_before = scaler.state_dict(), AsBefore([scaler])
    parameter = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    scaler.scale(parameter.sum() * float("inf")).backward()
    scaler.step(optimizer)
    scaler.update()
    assert before != scaler.state_dict()
    as_before.put_back()
    assert (before, None) == (scaler.state_dict(), scaler._scale)


def test_puts_back_an_engine():
    """Engines that are listed are exactly where they were."""
    engine = Engine(lambda engine, batch: batch)
    as_before = AsBefore([engine])
    engine.run([1, 2])
    as_before.put_back()
    assert (0, None, None) == (engine.state.iteration, engine.state.output, engine.state.stop_reason)


class Slotted:
    """Tell the state by a dict alone, or not at all."""

    __slots__ = ("error", "value")

    def __init__(self, value: Any, error: Exception | None = None) -> None:
        self.value, self.error = value, error

    def state_dict(self) -> Any:
        if self.error is not None:
            raise self.error
        return {"value": self.value}

    def load_state_dict(self, state: Any) -> None:
        self.value = state["value"]


@pytest.mark.parametrize(
    "values",
    [(1, 2), (torch.ones(2), torch.zeros(2)), ([1], [1, 2]), ({"a": 1}, {"b": 1}), (np.zeros(2), np.ones(2))],
    ids=str,
)
def test_loads_a_state_that_nothing_else_tells(values):
    """An object without attributes gets its state by `load_state_dict`."""
    slotted = Slotted(values[0])
    as_before = AsBefore([slotted])
    slotted.value = values[1]
    as_before.put_back()
    assert told(values[0])[1:] == told(slotted.value)[1:] if not isinstance(values[0], int) else 1 == slotted.value


def test_an_object_that_cannot_tell_its_state_is_refused():
    """Where nothing else is known of it, its error is raised; attributes are enough otherwise."""
    with pytest.raises(ZeroDivisionError):
        AsBefore([Slotted(1, ZeroDivisionError())])

    class Open(Slotted):
        pass

    shown = Open(1, ZeroDivisionError())
    shown.note = "before"
    as_before = AsBefore([shown])
    shown.note = "after"
    as_before.put_back()
    assert "before" == shown.note


def test_remembers_more_later():
    """What is added is put back as it was then, and what was there as it was first."""
    first, second = Holding(torch.zeros(1)), Holding(torch.zeros(1))
    as_before = AsBefore([first])
    first.value.add_(1)
    second.value.add_(1)
    as_before.remember([first, second])
    first.value.add_(1)
    second.value.add_(1)
    as_before.put_back()
    assert [0.0, 1.0] == [first.value.item(), second.value.item()]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda first, second: None, False),
        (lambda first, second: first.data.add_(0), False),
        (lambda first, second: second.data.add_(1), True),
        (lambda first, second: setattr(second, "data", weight()), False),
        (lambda first, second: setattr(second, "data", torch.ones(1)), True),
        (lambda first, second: setattr(first, "grad", torch.ones(2, 3)), False),
    ],
)
def test_tells_whether_values_have_changed(change, expected):
    """Values count, not gradients, nor in which memory they are."""
    first, second, other = (nn.Parameter(weight()) for _ in range(3))
    as_before = AsBefore([nn.ParameterList([first, other])])
    as_before.remember([nn.ParameterList([second])])
    change(first, second)
    other.data.add_(1)
    assert expected == as_before.has_changed([first, second])


def test_puts_back_random_numbers_where_something_fails():
    """The error is raised, and the numbers go on as before all the same."""
    slotted = Slotted(1)
    as_before, first = AsBefore([slotted]), torch.rand(1)
    slotted.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        as_before.put_back()
    assert first == torch.rand(1)
