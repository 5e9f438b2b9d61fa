"""A twin of a metric: the same settings, an accumulation of its own."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Set
from functools import partial
from types import MethodType, ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch import Tensor, nn

from ignite_signals.engine import Engine
from ignite_signals.metrics.arithmetic import Arithmetic

if TYPE_CHECKING:
    from ignite_signals.metrics.metric import Metric

__all__ = ["twin"]

M = TypeVar("M", bound="Metric")


def twin(metric: M) -> M:
    """Return a metric that measures the same and shares nothing that changes.

    A metric that reads another one's value needs this, so that the other can be attached elsewhere:
    resetting the twin leaves the original alone. Functions, models and their parameters, optimizers
    and engines stay shared, and so does what the class names in `shared_by_twins`; whatever else the
    metric holds is copied.

    >>> from ignite_signals.metrics import Average
    >>> original = Average()
    >>> other = twin(original)
    >>> other.update(3.0)
    >>> original.num_examples
    0
    """
    other = copy.copy(metric)
    for name in ("twin_of", "home", "_is_loaded"):
        vars(other).pop(name, None)
    for name, value in vars(other).items():
        if name in metric.shared_by_twins:
            continue
        vars(other)[name] = _bound_to(other, value) if _is_method_of(metric, value) else _separate(value)
    other.reset()
    return other


def _is_method_of(metric: Metric, value: Any) -> bool:
    return isinstance(value, MethodType) and value.__self__ is metric


def _bound_to(metric: Metric, method: MethodType) -> MethodType:
    return MethodType(method.__func__, metric)


def _separate(value: Any) -> Any:
    if isinstance(value, Arithmetic):  # every metric is one, and nothing else
        return twin(cast("Metric", value))
    if _is_shared(value):
        return value
    if isinstance(value, Tensor):
        return value.detach().clone()
    if type(value) in (list, tuple):
        return type(value)(_separate(item) for item in value)
    if type(value) is dict:
        return {key: _separate(item) for key, item in value.items()}
    return _copied(value)


def _is_shared(value: Any) -> bool:
    """Tell whether an object is somebody else's: a model, say, which may be large, and is only used."""
    if isinstance(value, nn.Module):
        return not _accumulates(value)
    shared = (nn.Parameter, partial, torch.optim.Optimizer, torch.Generator, Engine, ModuleType, MethodType, type)
    return isinstance(value, shared)


def _accumulates(module: nn.Module) -> bool:
    """Tell whether a module is a metric of torchmetrics, which is one to be reset."""
    return callable(getattr(module, "reset", None)) and callable(getattr(module, "compute", None))


def _copied(value: Any) -> Any:
    try:
        return copy.deepcopy(value, {id(shared): shared for shared in _shared_in(value, set())})
    except Exception:  # noqa: BLE001  # what cannot be copied, such as an open file, can only be shared
        return value


def _shared_in(value: Any, seen: set[int]) -> Iterator[Any]:
    """Yield what stays shared of an object's attributes and items."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if _is_shared(value):
        yield value
        return
    items = list(value.values()) if isinstance(value, Mapping) else value
    parts = list(items) if isinstance(items, list | tuple | Set) else []
    for part in [*parts, *getattr(value, "__dict__", {}).values()]:
        yield from _shared_in(part, seen)
