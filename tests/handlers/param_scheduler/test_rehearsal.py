"""Schedules are tried out without touching an optimizer."""

from __future__ import annotations

import copy
import threading
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR, StepLR
from torch.optim.lr_scheduler import LRScheduler as TorchScheduler

from ignite_signals.engine import Engine
from ignite_signals.handlers.param_scheduler import (
    ConcatScheduler,
    LRScheduler,
    PiecewiseLinear,
    create_lr_scheduler_with_warmup,
)
from ignite_signals.handlers.param_scheduler.rehearsal import copies
from ignite_signals.handlers.param_scheduler.stand_in import stand_in
from support.schedules import called, optimizer, rates


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


class Program:
    """A usual shape of a training: an object with the model, open files, and a method that is a schedule."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # nothing copies this
        self.epoch = 0
        self.optimizer = optimizer()
        self.schedule = LambdaLR(self.optimizer, self.factor)

    def factor(self, step: int) -> float:
        return 0.5**step


class Called(Program):
    """One that is called itself, so that torch takes its attributes for the state of a function."""

    def __call__(self, step: int) -> float:
        return self.factor(step)

    def __init__(self) -> None:
        super().__init__()
        self.schedule = LambdaLR(self.optimizer, self)


@pytest.mark.parametrize("kind", [Program, Called])
def test_a_program_is_not_copied_with_its_schedule(kind):
    """By a warm-up, by get_param, and by a simulation; nor is it set back."""
    program = kind()
    program.epoch = 5
    scheduler = create_lr_scheduler_with_warmup(
        program.schedule, 0.0, 3, output_simulated_values=(values := [None] * 5)
    )
    assert [0.0, 0.05, 0.1, 0.05, 0.025] == [value for _, value in values]
    assert [0.0] == scheduler.get_param()
    assert [0.0, 0.05, 0.1, 0.05, 0.025] == called(scheduler, 5)
    handler = LRScheduler(kind().schedule)
    assert [0.1, 0.05] == [value for _, value in LRScheduler.simulate_values(2, handler.lr_scheduler)]
    assert (0.1, 0, 5) == (handler.get_param(), handler.lr_scheduler.last_epoch, program.epoch)


def test_containers_and_what_a_scheduler_is_made_of_are_copied():
    """As a rehearsal changes them; methods of the scheduler itself are those of its copy."""

    class Own(TorchScheduler):
        def __init__(self, sgd: Any) -> None:
            self.lists, self.sets, self.groups = {"a": [1], "b": deque([2])}, {3}, sgd.param_groups
            self.rate, self.factor, self.big = torch.tensor(0.5), self.half, torch.zeros(2)
            self.pair = (self.lists, [4])
            super().__init__(sgd)

        def half(self) -> float:
            return self.last_epoch / 2

        def get_lr(self) -> list[float]:
            self.lists["a"].append(1)
            self.lists["b"].append(1)
            self.sets.add(self.last_epoch)
            self.rate.mul_(0.5)
            return [self.factor()]

    sgd = optimizer()
    own = Own(sgd)
    [twin] = copies([own])
    before = copy.deepcopy((own.lists, own.sets, own.rate, rates(sgd), own.last_epoch))
    twin._step_count = 2
    twin.step()
    assert before == (own.lists, own.sets, own.rate, rates(sgd), own.last_epoch)
    assert ([0.5], 1) == (rates(twin.optimizer), twin.last_epoch)
    assert (True, True, True) == (
        twin.groups is twin.optimizer.param_groups,
        twin.big is own.big,
        twin.pair[0] is twin.lists,
    )
