"""Gradients that are summed over several iterations are part of the state of a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

__all__ = ["AccumulatedGradients"]


class AccumulatedGradients:
    """Save the gradients between two steps of the optimizer, and give them back.

    Args:
        optimizer: whose parameters they are of.

    Attributes:
        is_under_way: whether there are gradients that the next step of the optimizer will use, and which are saved.

    >>> import torch
    >>> weight = torch.ones(1, requires_grad=True)
    >>> gradients = AccumulatedGradients(torch.optim.SGD([weight], lr=0.1))
    >>> (3 * weight).backward()
    >>> gradients.state_dict()
    {'gradients': None}
    >>> gradients.is_under_way = True
    >>> gradients.state_dict()
    {'gradients': [tensor([3.])]}
    """

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer
        self.is_under_way = False

    def state_dict(self) -> dict[str, Any]:
        """Return copies of the gradients in the order of the parameters; None where there is nothing to go on with."""
        if not self.is_under_way:
            return {"gradients": None}
        gradients = (parameter.grad for parameter in self._parameters())
        return {"gradients": [None if each is None else each.detach().clone() for each in gradients]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Give the parameters the gradients that were saved.

        Raises:
            TypeError: it is not a mapping.
            ValueError: there are no gradients, or those of other parameters; nothing was changed.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict must be a mapping, got {state_dict!r}")
        if "gradients" not in state_dict:
            raise ValueError(f"state_dict must have 'gradients', got {list(state_dict)}")
        gradients = state_dict["gradients"]
        if gradients is None:
            self.is_under_way = False
            return
        parameters = self._parameters()
        shapes = [None if each is None else tuple(each.shape) for each in gradients]
        own = [tuple(each.shape) for each in parameters]
        if len(own) != len(shapes) or any(shape not in (None, mine) for shape, mine in zip(shapes, own, strict=True)):
            raise ValueError(f"state_dict['gradients'] must be of parameters of the shapes {own}, got {shapes}")
        self.is_under_way = True
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = None if gradient is None else gradient.detach().to(parameter.device, copy=True)

    def _parameters(self) -> list[Tensor]:
        groups = getattr(self.optimizer, "param_groups", ())
        return [parameter for group in groups for parameter in group["params"]]
