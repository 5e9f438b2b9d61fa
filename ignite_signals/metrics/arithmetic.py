"""Arithmetic, indexing and a tensor's attributes, on metrics: each makes a metric of metrics.

`2 * p * r / (p + r)` computes what the expression says of the values that `p` and `r` have when the
window closes.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from numbers import Number
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ignite_signals.metrics.metrics_lambda import MetricsLambda

__all__ = ["Arithmetic"]


class Arithmetic:
    """Give a metric the operators, the indexing and the attributes of the value that it will have."""

    def __add__(self, other: Any) -> MetricsLambda:
        return _of(operator.add, self, other)

    def __radd__(self, other: Any) -> MetricsLambda:
        return _of(operator.add, other, self)

    def __sub__(self, other: Any) -> MetricsLambda:
        return _of(operator.sub, self, other)

    def __rsub__(self, other: Any) -> MetricsLambda:
        return _of(operator.sub, other, self)

    def __mul__(self, other: Any) -> MetricsLambda:
        return _of(operator.mul, self, other)

    def __rmul__(self, other: Any) -> MetricsLambda:
        return _of(operator.mul, other, self)

    def __truediv__(self, other: Any) -> MetricsLambda:
        return _of(operator.truediv, self, other)

    def __rtruediv__(self, other: Any) -> MetricsLambda:
        return _of(operator.truediv, other, self)

    def __floordiv__(self, other: Any) -> MetricsLambda:
        return _of(operator.floordiv, self, other)

    def __rfloordiv__(self, other: Any) -> MetricsLambda:
        return _of(operator.floordiv, other, self)

    def __mod__(self, other: Any) -> MetricsLambda:
        return _of(operator.mod, self, other)

    def __rmod__(self, other: Any) -> MetricsLambda:
        return _of(operator.mod, other, self)

    def __pow__(self, other: Any) -> MetricsLambda:
        return _of(operator.pow, self, other)

    def __rpow__(self, other: Any) -> MetricsLambda:
        return _of(operator.pow, other, self)

    def __matmul__(self, other: Any) -> MetricsLambda:
        return _of(operator.matmul, self, other)

    def __rmatmul__(self, other: Any) -> MetricsLambda:
        return _of(operator.matmul, other, self)

    def __neg__(self) -> MetricsLambda:
        return _of(operator.neg, self)

    def __abs__(self) -> MetricsLambda:
        return _of(operator.abs, self)

    def __getitem__(self, index: Any) -> MetricsLambda:
        return _lambda(operator.getitem, self, index)

    # Without this, `__getitem__` would make every metric a sequence without an end.
    __iter__ = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(Tensor, name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}, and nor has a tensor")
        if callable(getattr(Tensor, name)):
            return partial(_lambda, Method(name), self)
        return _lambda(Attribute(name), self)


class Operator:
    """Apply an operator to values as tensors do: a division by 0 is an infinity or NaN, no exception."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__name__: str = function.__name__

    def __call__(self, *operands: Any) -> Any:
        first, *others = operands
        return self.function(_tensor(first), *others)


class Method:
    """Call a tensor's method by its name."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(_tensor(value), self.__name__)(*args, **kwargs)


class Attribute:
    """Read a tensor's attribute by its name."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, value: Any) -> Any:
        return getattr(_tensor(value), self.__name__)


def _tensor(value: Any) -> Any:
    # In float64, as Python's own numbers are.
    return torch.tensor(value, dtype=torch.float64) if isinstance(value, Number) else value


def _of(function: Callable[..., Any], *operands: Any) -> MetricsLambda:
    if any(operand is None or isinstance(operand, Mapping | Sequence) for operand in operands):
        return cast("MetricsLambda", NotImplemented)  # so that Python says that the operator is not supported
    return _lambda(Operator(function), *operands)


def _lambda(function: Callable[..., Any], *args: Any, **kwargs: Any) -> MetricsLambda:
    from ignite_signals.metrics.metrics_lambda import MetricsLambda  # it is a metric itself

    return MetricsLambda(function, *args, **kwargs)
