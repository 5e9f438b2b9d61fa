"""Schedules are tried out without touching an optimizer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch.optim.lr_scheduler import StepLR

from ignite_signals.engine import Engine
from ignite_signals.handlers.param_scheduler import ConcatScheduler, PiecewiseLinear
from ignite_signals.handlers.param_scheduler.rehearsal import copies, stand_in
from support.schedules import optimizer, rates


def test_a_stand_in_has_the_groups_and_its_own_values():
    """It optimizes the same tensors, which are not copied, and is of the same class."""
    adam = torch.optim.Adam([torch.zeros(1)], lr=torch.tensor(0.5), capturable=True)
    twin = stand_in(adam)
    assert adam.param_groups[0]["params"] is twin.param_groups[0]["params"]
    twin.param_groups[0]["lr"].fill_(1.0)
    twin.param_groups[0]["eps"] = 1.0
    assert (torch.optim.Adam, 0.5, 1e-8) == (type(twin), rates(adam)[0], adam.param_groups[0]["eps"])


def test_a_stand_in_of_a_wrapper_is_one_too():
    """Of any object with groups."""
    wrapper = SimpleNamespace(param_groups=[{"lr": 0.1}], other=1)
    twin = stand_in(wrapper)
    twin.param_groups[0]["lr"] = 0.5
    assert (0.1, 1) == (wrapper.param_groups[0]["lr"], twin.other)


def test_a_stand_in_leaves_no_trace():
    """The optimizer has the attributes that it had."""
    sgd = optimizer()
    StepLR(sgd, 3)
    before = dict(vars(sgd))
    stand_in(sgd)
    assert before == vars(sgd)


def test_copies_share_one_stand_in_and_what_is_large():
    """Engines and models that a scheduler refers to are not copied, nor is its history."""

    class Aware(PiecewiseLinear):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.model, self.trainer = torch.nn.Linear(1, 1), Engine(lambda engine, batch: None)

    sgd = optimizer()
    first, second = (Aware(sgd, "lr", [(0, 1.0)], save_history=True) for _ in range(2))
    first(first.trainer)
    one, other = copies([first, second])
    assert one.optimizer is other.optimizer
    assert one.optimizer is not sgd
    assert (first.model, first.trainer, 1) == (one.model, one.trainer, one.count)
    assert {} == one.history.state_dict()


def test_copies_of_what_is_made_of_parts_stand_on_the_same_optimizer():
    """The whole and its parts, and torch's schedulers in them."""
    sgd = optimizer()
    parts = [PiecewiseLinear(sgd, "lr", [(0, 1.0)]) for _ in range(2)]
    [whole] = copies([ConcatScheduler(parts, [1])])
    assert 1 == len({id(part.optimizer) for part in whole.parts()} - {id(sgd)})
