"""Schedulers are tried out on copies, which neither move them nor touch an optimizer."""

from __future__ import annotations

import copy
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Sequence
from types import MethodType
from typing import Any, TypeVar
from weakref import WeakSet

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler as TorchScheduler

from ignite_signals.handlers.param_scheduler.base import BaseParamScheduler
from ignite_signals.handlers.param_scheduler.history import History
from ignite_signals.handlers.param_scheduler.schedules import Chain
from ignite_signals.handlers.param_scheduler.stand_in import stand_in

__all__ = ["copies"]

S = TypeVar("S", bound=BaseParamScheduler | TorchScheduler)

_DICTS = (dict, OrderedDict, defaultdict, Counter)
_LISTS = (list, deque)


def copies(schedulers: Sequence[S]) -> list[S]:
    """Copy schedulers, and those that they are made of, onto stand-ins of their optimizers, without their history.

    Containers are copied too, because schedulers change them. All else is shared: a function of a `LambdaLR` may be a
    method, of a program that has the model, the data and open files.
    """
    memo: dict[int, Any] = {}
    return [_copied(scheduler, memo) for scheduler in schedulers]


def _copied(value: Any, memo: dict[int, Any]) -> Any:
    """Return the copy of a value, or the value itself where it is shared."""
    if id(value) in memo:
        return memo[id(value)]
    if isinstance(value, BaseParamScheduler | TorchScheduler):
        return _scheduler(value, memo)
    if isinstance(value, Optimizer):
        return _optimizer(value, memo)
    if isinstance(value, Chain):
        chain = memo[id(value)] = copy.copy(value)
        chain.parts = _copied(value.parts, memo)
        return chain
    if isinstance(value, History | WeakSet):
        return type(value)()
    if isinstance(value, MethodType) and id(value.__self__) in memo:  # a scheduler's own
        return MethodType(value.__func__, memo[id(value.__self__)])
    if isinstance(value, Tensor) and not isinstance(value, nn.Parameter) and value.numel() == 1:
        return value.detach().clone()  # a rate, which may be changed in place
    return _container(value, memo)


def _scheduler(scheduler: Any, memo: dict[int, Any]) -> Any:
    kind: Any = type(scheduler)
    twin = memo[id(scheduler)] = kind.__new__(kind)
    if hasattr(scheduler, "optimizer"):
        _optimizer(scheduler.optimizer, memo)  # first, and whatever it is: any object with groups may be one
    vars(twin).update({name: _copied(value, memo) for name, value in vars(scheduler).items()})
    return twin


def _optimizer(optimizer: Any, memo: dict[int, Any]) -> Any:
    if id(optimizer) not in memo:
        twin = memo[id(optimizer)] = stand_in(optimizer)
        memo[id(optimizer.param_groups)] = twin.param_groups
        for group, own in zip(optimizer.param_groups, twin.param_groups, strict=True):
            memo[id(group)] = own
    return memo[id(optimizer)]


def _container(value: Any, memo: dict[int, Any]) -> Any:
    if type(value) in _DICTS:
        mapping = memo[id(value)] = copy.copy(value)
        for key, each in value.items():
            mapping[key] = _copied(each, memo)
        return mapping
    if type(value) in _LISTS:
        items = memo[id(value)] = copy.copy(value)
        for index, each in enumerate(value):
            items[index] = _copied(each, memo)
        return items
    if type(value) is tuple:
        return tuple(_copied(each, memo) for each in value)
    return set(value) if type(value) is set else value
