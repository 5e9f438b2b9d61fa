"""Stand-ins of optimizers, whose values may be set without a training being touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch.optim import Optimizer

__all__ = ["new_optimizer", "stand_in"]


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
