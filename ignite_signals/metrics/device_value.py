"""A metric's value without a wait for the device.

`Metric.compute` returns a Python number where a user expects one, and reading a number from a GPU
waits until the GPU is there. A value that is written at every iteration must not do that, so a
metric may name, beside `compute`, the method that gives the same value as a tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from ignite_signals.metrics.sync import alike

if TYPE_CHECKING:
    from ignite_signals.metrics.metric import Metric

__all__ = ["as_tensor_by", "device_value"]

C = TypeVar("C", bound=Callable[..., Any])

# Kept by the `compute` function, not by a name on the class: a subclass that overrides `compute`
# must not have its parent's tensor reported.
_AS_TENSOR: WeakKeyDictionary[Callable[..., Any], Callable[[Any], Any]] = WeakKeyDictionary()


def as_tensor_by(tensor_method: Callable[[Any], Any]) -> Callable[[C], C]:
    """Decorate `compute` with the method that returns the same value as a tensor, unread.

    >>> class Half:
    ...     def _half(self):
    ...         return torch.tensor(0.5)
    ...
    ...     @as_tensor_by(_half)
    ...     def compute(self):
    ...         return self._half().item()
    >>> import torch
    >>> Half().compute(), device_value(Half())
    (0.5, tensor(0.5000))
    """

    def register(compute: C) -> C:
        _AS_TENSOR[compute] = tensor_method
        return compute

    return register


def device_value(metric: Metric) -> Any:
    """Return a metric's value, as a tensor on its device where the metric can give that."""
    compute = getattr(metric.compute, "__func__", metric.compute)
    tensor_method = _AS_TENSOR.get(compute)
    if tensor_method is None:
        with alike(False):
            return metric.compute()
    with alike():
        return tensor_method(metric)
