"""Schedulers are tried out without touching an optimizer: on stand-ins, and on copies of the schedulers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from ignite_signals.engine import Engine

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from ignite_signals.handlers.param_scheduler.base import BaseParamScheduler

__all__ = ["copies", "new_optimizer", "stand_in"]

S = TypeVar("S", bound="BaseParamScheduler")


def new_optimizer(name: str, index: int | None = None) -> Optimizer:
    """Return an optimizer that has a parameter, in as many groups as it takes to have the one at an index."""
    number = 1 if index is None else index + 1 if index >= 0 else -index
    optimizer = torch.optim.SGD([{"params": [torch.zeros(1)]} for _ in range(number)], lr=0.1)
    for group in optimizer.param_groups:
        group.setdefault(name, 0.0)
    return optimizer


def stand_in(optimizer: Any) -> Any:
    """Return an optimizer of the same class and with the same values, which may be set without being set in the other.

    What it optimizes, and what it knows of that, are those of the other: copied, they may not fit into the memory.
    """
    kind: Any = type(optimizer)
    twin = kind.__new__(kind)
    vars(twin).update(vars(optimizer))
    twin.param_groups = [{key: _own(key, value) for key, value in group.items()} for group in optimizer.param_groups]
    twin._opt_called = True  # or torch's schedulers would warn of steps that the optimizer has not made
    return twin


def _own(key: str, value: Any) -> Any:
    return value.detach().clone() if key != "params" and isinstance(value, Tensor) else value


def copies(schedulers: Sequence[S]) -> list[S]:
    """Copy schedulers, and torch's that they stand on, onto stand-ins of their optimizers, without their history."""
    memo: dict[int, Any] = {}
    for scheduler in schedulers:
        for part in scheduler.parts():
            _spare(part, memo)
    return copy.deepcopy(list(schedulers), memo)


def _spare(scheduler: BaseParamScheduler, memo: dict[int, Any]) -> None:
    """Say what stands for a part of a scheduler that is not to be copied with it."""
    memo[id(scheduler.history)] = type(scheduler.history)()
    for name, value in vars(scheduler).items():
        if isinstance(value, Engine | nn.Module):
            memo[id(value)] = value
        elif name == "optimizer" and id(value) not in memo:
            memo[id(value)] = stand_in(value)
