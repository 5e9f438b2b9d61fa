"""Several processes measure one run: before a value is computed, they add up what each has seen.

Each process goes on with its own state afterwards, so that a value can be computed more than once.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Number
from typing import Any, TypeVar

import torch
from torch import Tensor

from ignite_signals import distributed
from ignite_signals.distributed.reduction import folded

__all__ = ["agreed", "alike", "reinit__is_reduced", "sync_all_reduce"]

C = TypeVar("C", bound=Callable[..., Any])

OPERATIONS = ("SUM", "PRODUCT", "MIN", "MAX")


def sync_all_reduce(*attributes: str) -> Callable[[C], C]:
    """Decorate `compute`, or what it calls, so that it sees the attributes of all processes reduced.

    Args:
        attributes: names of attributes that are numbers or tensors, each alone or with its
            operation, `"name:MAX"`: SUM, which is the default, PRODUCT, MIN or MAX. A process that
            has seen nothing may have None, or a tensor without dimensions.

    Raises:
        TypeError: it is used without names.
        ValueError: there is no such operation.

    >>> from ignite_signals.metrics import Metric
    >>> class Largest(Metric):
    ...     required_output_keys = None
    ...
    ...     def reset(self):
    ...         self.largest = torch.tensor(float("-inf"))
    ...
    ...     def update(self, output):
    ...         self.largest = torch.maximum(self.largest, output.max())
    ...
    ...     @sync_all_reduce("largest:MAX")
    ...     def compute(self):
    ...         return self.largest.item()
    """
    if attributes and callable(attributes[0]):
        raise TypeError('sync_all_reduce must be called with names of attributes, as in @sync_all_reduce("_sum")')
    reductions = dict(_parsed(attribute) for attribute in attributes)

    def decorate(compute: C) -> C:
        @functools.wraps(compute)
        def computing(self: Any, *args: Any, **kwargs: Any) -> Any:
            with agreed(self, reductions):
                return compute(self, *args, **kwargs)

        return computing  # type: ignore[return-value]  # of the same signature

    return decorate


def _parsed(attribute: str) -> tuple[str, str]:
    name, _, operation = attribute.partition(":")
    operation = operation or "SUM"
    if operation not in OPERATIONS:
        raise ValueError(f"the operation in {attribute!r} must be one of {', '.join(OPERATIONS)}, got {operation!r}")
    return name, operation


def reinit__is_reduced(func: C) -> C:
    """Decorate `reset` and `update` of a metric that was written for PyTorch-Ignite.

    Ignite needs it, because there a value that was reduced stays reduced. Here each process keeps
    its own state, so the method is returned as it is.
    """
    return func


@contextmanager
def agreed(metric: Any, reductions: Mapping[str, str]) -> Generator[None, None, None]:
    """Let a metric's attributes be those of all processes together, while the block runs.

    Raises:
        AttributeError: the metric lacks an attribute, whether there are other processes or not.
        TypeError: an attribute is neither a number nor a tensor.
        ValueError: tensors of several processes do not fit together; on every process.
    """
    if missing := [name for name in reductions if not hasattr(metric, name)]:
        raise AttributeError(f"{type(metric).__name__} has no attributes {missing}, which sync_all_reduce names")
    agreed_before: frozenset[str] = vars(metric).get(_AGREED, frozenset())
    own = {name: getattr(metric, name) for name in reductions if name not in agreed_before}
    if distributed.get_world_size() == 1 or not own:
        yield
        return
    _set(metric, {**_reduced(type(metric).__name__, own, reductions), _AGREED: agreed_before | own.keys()})
    try:
        yield
    finally:
        _set(metric, {**own, _AGREED: agreed_before})


# Which attributes a method that calls this one has made agree already: adding them up again would be wrong.
_AGREED = "_agreed_attributes"


def _set(metric: Any, attributes: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        setattr(metric, name, value)


_ALIKE: ContextVar[bool] = ContextVar("alike", default=False)


@contextmanager
def alike(updated: bool = True) -> Generator[None, None, None]:
    """Take it that all processes have updated: what they reduce has one form, and nobody needs to ask.

    To ask means to wait, which a value that is written at every iteration must not.
    """
    token = _ALIKE.set(updated)
    try:
        yield
    finally:
        _ALIKE.reset(token)


def _reduced(metric: str, own: Mapping[str, Any], reductions: Mapping[str, str]) -> dict[str, Any]:
    if _ALIKE.get():
        return {name: distributed.all_reduce(_as_tensor(value, own), reductions[name]) for name, value in own.items()}
    forms = distributed.all_gather({name: _form(metric, name, value) for name, value in own.items()})
    return {name: _reduce(metric, name, own[name], reductions[name], [form[name] for form in forms]) for name in own}


def _as_tensor(value: Any, own: Mapping[str, Any]) -> Tensor:
    if isinstance(value, Tensor):
        return value
    device = next((other.device for other in own.values() if isinstance(other, Tensor)), None)
    dtype = torch.float64 if isinstance(value, float) else None
    return torch.full((), value, dtype=dtype, device=device)  # a fill, where `torch.tensor` would be a copy that waits


def _form(metric: str, name: str, value: Any) -> Any:
    """Return what the other processes must know of a value: a number itself, a tensor's shape and type."""
    if isinstance(value, Tensor):
        return (tuple(value.shape), value.dtype)
    if value is None or isinstance(value, Number):
        return value
    # Not raised here: the other processes wait for this one.
    return TypeError(f"{name} of {metric} must be a number or a tensor to be reduced, got {value!r}")


def _reduce(metric: str, name: str, value: Any, operation: str, forms: list[Any]) -> Any:
    for form in forms:
        if isinstance(form, TypeError):
            raise form
    tensors = [form for form in forms if isinstance(form, tuple)]
    if not tensors:
        numbers = [form for form in forms if form is not None]
        return folded(numbers, operation) if numbers else None
    dtype = functools.reduce(torch.promote_types, (dtype for _, dtype in tensors))
    shape = _common_shape(metric, name, [shape for shape, _ in tensors])
    if value is None:
        value = torch.full(shape, _neutral(operation, dtype), dtype=dtype)
    return distributed.all_reduce(torch.as_tensor(value).to(dtype).expand(shape), operation)


def _common_shape(metric: str, name: str, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    found = {shape for shape in shapes if shape} or {()}
    if len(found) > 1:
        raise ValueError(f"{name} of {metric} must be of one shape on all processes, got {shapes}")
    return found.pop()


def _neutral(operation: str, dtype: torch.dtype) -> Any:
    """Return what changes nothing when it is reduced with other values."""
    if operation in ("SUM", "PRODUCT"):
        return 0 if operation == "SUM" else 1
    if dtype == torch.bool:
        return operation == "MIN"
    if dtype.is_floating_point:
        return math.inf if operation == "MIN" else -math.inf
    return torch.iinfo(dtype).max if operation == "MIN" else torch.iinfo(dtype).min
