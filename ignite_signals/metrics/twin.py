"""A twin of a metric: the same settings, an accumulation of its own."""

from __future__ import annotations

import copy
from collections import deque
from types import MethodType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from torch import Tensor
from torch.nn import Parameter

from ignite_signals.metrics.arithmetic import Arithmetic

if TYPE_CHECKING:
    from ignite_signals.metrics.metric import Metric

__all__ = ["twin"]

M = TypeVar("M", bound="Metric")


def twin(metric: M) -> M:
    """Return a metric that measures the same and shares nothing that changes.

    A metric that reads another one's value needs this, so that the other can be attached elsewhere:
    resetting the twin leaves the original alone. Functions, modules and their parameters stay
    shared, as a deep copy's would not.

    >>> from ignite_signals.metrics import Average
    >>> original = Average()
    >>> other = twin(original)
    >>> other.update(3.0)
    >>> original.num_examples
    0
    """
    other = copy.copy(metric)
    vars(other).pop("twin_of", None)
    for name, value in vars(other).items():
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
    if isinstance(value, Tensor) and not isinstance(value, Parameter):
        return value.detach().clone()
    if type(value) in (list, tuple):
        return type(value)(_separate(item) for item in value)
    if type(value) is dict:
        return {key: _separate(item) for key, item in value.items()}
    return copy.copy(value) if isinstance(value, set | deque) else value
