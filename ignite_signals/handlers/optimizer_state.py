"""The state of an optimizer is for one of its class, whose parameters have the same shapes.

`torch.optim` compares numbers of groups and parameters only: a wrong state would be found by the next step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

__all__ = ["check_optimizer_state"]

# What the optimizers of torch keep for each parameter, in its shape, whenever they keep anything for it.
_KEPT: dict[str, tuple[str, ...]] = {
    "ASGD": ("ax",),
    "Adadelta": ("square_avg", "acc_delta"),
    "Adagrad": ("sum",),
    "Adam": ("exp_avg", "exp_avg_sq"),
    "AdamW": ("exp_avg", "exp_avg_sq"),
    "Adamax": ("exp_avg", "exp_inf"),
    "Muon": ("momentum_buffer",),
    "NAdam": ("exp_avg", "exp_avg_sq"),
    "RAdam": ("exp_avg", "exp_avg_sq"),
    "RMSprop": ("square_avg",),
    "Rprop": ("prev", "step_size"),
    "SGD": (),
    "SparseAdam": ("exp_avg", "exp_avg_sq"),
}
# What they keep for some options.
_OPTIONAL = {
    "Adam": ("max_exp_avg_sq",),
    "AdamW": ("max_exp_avg_sq",),
    "RMSprop": ("momentum_buffer", "grad_avg"),
    "SGD": ("momentum_buffer",),
}
# What they keep as a number.
_NUMBERS = {"NAdam": ("mu_product",)}
# What a group has of schedulers and of named parameters, whatever the optimizer.
_OF_OTHERS = {"param_names", "initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum", "swa_lr"}
_REMEDY = "build the optimizer as it was when it was saved"


def check_optimizer_state(name: str, optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """Refuse the state of an optimizer of another class, with other groups, or of parameters of other shapes.

    An optimizer that loads in a way of its own is let alone, and so are the shapes of what one keeps that is not
    torch's: they may differ from those of the parameters on purpose.

    Raises:
        ValueError: the next step would fail, or be wrong.
    """
    if type(optimizer).load_state_dict is not Optimizer.load_state_dict or (
        optimizer._optimizer_load_state_dict_pre_hooks
    ):
        return
    _check_sizes(name, optimizer, state)
    kind = _kind(optimizer)
    _check_keys(name, kind, optimizer, state)
    if kind is not None:
        for number, parameter, saved in _by_parameter(optimizer, state):
            _check_kept(f"for parameter {number} of {name!r}", kind, parameter, saved)


def _check_sizes(name: str, optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    try:
        sizes = [len(group["params"]) for group in state["param_groups"]]
        state["state"].keys()
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"checkpoint[{name!r}] must be the state of an optimizer, got the keys {_shown(state)}"
        ) from error
    own = [len(group["params"]) for group in optimizer.param_groups]
    if own != sizes:
        raise ValueError(
            f"checkpoint must be of such an optimizer, got groups of {sizes} parameters for {name!r}, not {own}; "
            f"{_REMEDY}"
        )


def _check_keys(name: str, kind: str | None, optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """Refuse groups that lack options; of a class that is not torch's, only if they have others in their place.

    Such a class may do without what an older version of it did not have. Too many come of schedulers, for example.
    """
    if not type(optimizer).__setstate__.__module__.startswith("torch."):
        return  # it may fill in what is missing
    for own, group in zip(optimizer.param_groups, state["param_groups"], strict=True):
        filled_in = _filled_in(optimizer, group)
        missing = [key for key in own if key in optimizer.defaults and key not in filled_in]
        surplus = [key for key in group if key not in own and key not in _OF_OTHERS]
        if missing and (kind or surplus):
            raise ValueError(
                f"checkpoint must be of such an optimizer, got a group of {name!r} that lacks {_shown(missing)} and "
                f"has {_shown(surplus)} that {type(optimizer).__name__} does not know; {_REMEDY}"
            )


def _filled_in(optimizer: Optimizer, group: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a group as it would be when it is loaded, with what the class gives those of older versions."""
    trial = object.__new__(type(optimizer))
    vars(trial).update(vars(optimizer) | {"defaults": dict(optimizer.defaults)})
    loaded = {**group, "params": []}
    type(optimizer).__setstate__(trial, {"state": {}, "param_groups": [loaded]})
    return loaded


def _kind(optimizer: Optimizer) -> str | None:
    """Return which of torch's optimizers makes the steps; None: one that is not known."""
    kind = type(optimizer)
    for method in ("step", "_init_group"):
        if not getattr(kind, method, kind.step).__module__.startswith("torch.optim"):
            return None
    names = (each.__name__ for each in kind.__mro__ if each.__module__.startswith("torch.optim"))
    return next((name for name in names if name in _KEPT), None)


def _by_parameter(optimizer: Optimizer, state: Mapping[str, Any]) -> Iterator[tuple[Any, Tensor, Mapping[str, Any]]]:
    """Yield the parameters that something is kept for, with their numbers and that."""
    numbers = chain.from_iterable(group["params"] for group in state["param_groups"])
    parameters = chain.from_iterable(group["params"] for group in optimizer.param_groups)
    for number, parameter in zip(numbers, parameters, strict=True):
        saved = state["state"].get(number)
        if isinstance(saved, Mapping) and saved and not nn.parameter.is_lazy(parameter):
            yield number, parameter, saved


def _check_kept(where: str, kind: str, parameter: Tensor, saved: Mapping[str, Any]) -> None:
    missing = [key for key in (*_KEPT[kind], *_NUMBERS.get(kind, ())) if key not in saved]
    if missing:
        raise ValueError(
            f"checkpoint must be of such an optimizer, got {_shown(saved)} {where}, but {kind} needs "
            f"{_shown(missing)}; {_REMEDY}"
        )
    for key in (*_KEPT[kind], *_OPTIONAL.get(kind, ())):
        kept = saved.get(key)
        if isinstance(kept, Tensor) and kept.shape != parameter.shape:
            raise ValueError(
                f"checkpoint must be of an optimizer of such parameters, got {key!r} {where} with shape "
                f"{tuple(kept.shape)}, not {tuple(parameter.shape)}; {_REMEDY}"
            )


def _shown(keys: Any) -> str:
    return ", ".join(map(repr, keys)) or "nothing"
