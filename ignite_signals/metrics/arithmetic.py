"""Arithmetic, indexing and a tensor's attributes, on metrics: each makes a metric of metrics.

`2 * p * r / (p + r)` computes what the expression says of the values that `p` and `r` have when the
window closes.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
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

    # Without this, an array would multiply each of its entries with the metric.
    __array_ufunc__ = None

    def __getattr__(self, name: str) -> Any:
        if not _is_of_tensors(name):
            raise AttributeError(_without(self, name))
        if inspect.getattr_static(type(self), name, None) is not None:  # a property that has failed
            raise AttributeError(f"{name} of {type(self).__name__} reads an attribute that is not there")
        if callable(getattr(Tensor, name)):
            return MethodOf(name, self)
        return _lambda(Attribute(name), self)


# A value has no use for these: they change it, or tell where it is.
_NOT_OF_VALUES = frozenset({"backward", "data", "device", "grad", "grad_fn", "numpy", "requires_grad", "retain_grad"})


def _is_of_tensors(name: str) -> bool:
    return not (name.startswith("_") or name.endswith("_") or name in _NOT_OF_VALUES) and hasattr(Tensor, name)


def _without(metric: Any, name: str) -> str:
    message = f"{type(metric).__name__!r} object has no attribute {name!r}, and nor has a value"
    if "_output_transform" in vars(metric):
        return message
    return f"{message}; has its __init__ called super().__init__(), after it has set what reset needs?"


class MethodOf:
    """A tensor's method, to be called: the metric of what it returns."""

    def __init__(self, name: str, metric: Any) -> None:
        self.name, self.metric = name, metric

    def __call__(self, *args: Any, **kwargs: Any) -> MetricsLambda:
        return _lambda(Method(self.name), self.metric, *args, **kwargs)

    def __repr__(self) -> str:
        return f"<method {self.name} of the value of {self.metric!r}>"


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
