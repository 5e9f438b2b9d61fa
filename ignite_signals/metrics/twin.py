"""A twin of a metric: the same settings, an accumulation of its own."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator, Mapping, Set
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch import Tensor, nn

from ignite_signals.engine import Engine
from ignite_signals.metrics.arithmetic import Arithmetic

if TYPE_CHECKING:
    from ignite_signals.metrics.metric import Metric

__all__ = ["twin"]

M = TypeVar("M", bound="Metric")

_ATOMS = (str, bytes, int, float, complex, type(None), FunctionType, BuiltinFunctionType, torch.dtype, torch.device)
# Somebody else's, which a metric only uses; a model may be large.
_SHARED = (nn.Parameter, torch.optim.Optimizer, torch.Generator, Engine, ModuleType, type)
# What belongs to an attachment, and not to what a metric measures.
_OF_AN_ATTACHMENT = ("twin_of", "home", "_is_loaded", "_refused", "_unread_keys")


def twin(metric: M) -> M:
    """Return a metric that measures the same and shares nothing that changes.

    A metric that reads another one's value needs this, so that the other can be attached elsewhere:
    resetting the twin leaves the original alone. Functions, models and their parameters, optimizers
    and engines stay shared, and so does what the class names in `shared_by_twins`; whatever else the
    metric holds is copied.

    Raises:
        TypeError: it holds something that cannot be copied.

    >>> from ignite_signals.metrics import Average
    >>> original = Average()
    >>> other = twin(original)
    >>> other.update(3.0)
    >>> original.num_examples
    0
    """
    memo: dict[int, Any] = {}
    metrics = [found for found in _walked(metric, memo, set()) if isinstance(found, Arithmetic)]
    try:
        other = copy.deepcopy(metric, memo)
    except Exception as error:
        raise TypeError(
            f"{metric!r} cannot be copied for a further attachment: {error}; name what cannot be copied in its "
            "shared_by_twins, or attach another object"
        ) from error
    # The ones inside first: a metric may begin with what these have.
    for original in reversed(metrics):
        made = cast("Metric | None", memo.get(id(original)))
        if made is None:  # held in a way that its holder does not copy
            continue
        for name in _OF_AN_ATTACHMENT:
            vars(made).pop(name, None)
        made.renew()
    return other


def _walked(value: Any, memo: dict[int, Any], seen: set[int]) -> Iterator[Any]:
    """Yield all that a metric holds, and enter into `memo` what is not for `deepcopy` to copy."""
    if id(value) in seen or isinstance(value, _ATOMS):
        return
    seen.add(id(value))
    if _is_shared(value):
        memo[id(value)] = value
    elif isinstance(value, Tensor):
        memo[id(value)] = value.detach().clone()  # `deepcopy` refuses one that has a history
    else:
        yield value
        for part in _parts(value, memo):
            yield from _walked(part, memo, seen)


def _is_shared(value: Any) -> bool:
    if isinstance(value, nn.Module):
        return not _accumulates(value)
    if isinstance(value, MethodType):  # a function like any other, unless it is a metric's
        return not isinstance(value.__self__, Arithmetic)
    return isinstance(value, _SHARED)


def _accumulates(module: nn.Module) -> bool:
    """Tell whether a module is a metric of torchmetrics, which is one to be reset."""
    return callable(getattr(module, "reset", None)) and callable(getattr(module, "compute", None))


def _parts(value: Any, memo: dict[int, Any]) -> list[Any]:
    """Return what a value holds; of a metric, what it shares with its twins goes into `memo` instead."""
    if isinstance(value, MethodType):
        return [value.__self__]
    if isinstance(value, partial):
        return [value.func, *value.args, *value.keywords.values()]
    items = list(value.values()) if isinstance(value, Mapping) else value
    parts = list(items) if isinstance(items, list | tuple | Set | deque) else []
    attributes = {**{name: getattr(value, name) for name in _slots(value)}, **getattr(value, "__dict__", {})}
    if isinstance(value, Arithmetic):  # every metric is one, and nothing else
        transform = attributes.get("_output_transform")
        own = isinstance(transform, MethodType) and transform.__self__ is value
        for name in (*cast("Metric", value).shared_by_twins, *(() if own else ("_output_transform",))):
            if name in attributes:
                shared = attributes.pop(name)
                memo[id(shared)] = shared
    return [*parts, *attributes.values()]


def _slots(value: Any) -> list[str]:
    named = [getattr(base, "__slots__", ()) for base in type(value).__mro__]
    names = [name for slots in named for name in ((slots,) if isinstance(slots, str) else slots)]
    return [name for name in names if not name.startswith("__") and hasattr(value, name)]
