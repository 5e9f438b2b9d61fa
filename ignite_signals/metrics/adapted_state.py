"""What a metric of torchmetrics has seen: read, set, and joined with that of other processes.

torchmetrics' own `state_dict` leaves out how often a metric was updated and what wrappers remember,
and its exchange between processes hangs where they have kept different numbers of outputs.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from ignite_signals import distributed

__all__ = ["State", "attributes", "joined", "metrics_in", "on_device", "restore", "snapshot"]

# The path of each metric in a metric, "" for itself, with the attributes to save.
State: TypeAlias = dict[str, dict[str, Any]]

# Values and settings of torchmetrics.Metric and nn.Module that are derived, or say nothing of what was seen.
_NOT_SEEN = frozenset(
    {
        "_buffers",
        "_cache",
        "_computed",
        "_defaults",
        "_forward_cache",
        "_is_synced",
        "_modules",
        "_parameters",
        "_persistent",
        "_reductions",
        "training",
    }
)
_PLAIN = (bool, bytes, float, int, str, type(None))


def torchmetrics() -> Any:
    """Return torchmetrics where somebody has imported it, else None; who has a metric of it has."""
    return sys.modules.get("torchmetrics")


def metrics_in(metric: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield a metric or collection itself, and those that it is made of, each with its path."""
    kinds = (torchmetrics().Metric, torchmetrics().MetricCollection)
    return ((path, module) for path, module in metric.named_modules() if isinstance(module, kinds))


def attributes(metric: nn.Module) -> State:
    """Return a copy of whatever may change by an update: numbers, strings and tensors, alone or in containers."""
    return {
        path: {
            name: _copied(value)
            for name, value in vars(module).items()
            if name not in _NOT_SEEN and (name in _states(module) or _is_plain(value))
        }
        for path, module in metrics_in(metric)
    }


def snapshot(metric: nn.Module, initial: State) -> State:
    """Return a copy of what a metric has seen: its states, and the other attributes that are not as in the beginning.

    Settings do not change, so they are not part of it.
    """
    modules = dict(metrics_in(metric))
    return {
        path: {
            name: value
            for name, value in now.items()
            if name in _states(modules[path]) or not _is_same(value, initial[path].get(name, initial))
        }
        for path, now in attributes(metric).items()
    }


def restore(metric: nn.Module, state: Mapping[str, Mapping[str, Any]]) -> None:
    """Set what `snapshot` returned in a metric that has seen nothing.

    Raises:
        ValueError: it is that of another metric.
    """
    modules = dict(metrics_in(metric))
    if set(modules) != set(state):
        raise ValueError(f"the parts of the metric must be {sorted(modules)}, got {sorted(state)}")
    for path, module in modules.items():
        if missing := [name for name in _states(module) if name in vars(module) and name not in state[path]]:
            raise ValueError(f"the state of {type(module).__name__} must have {missing}, got {list(state[path])}")
    for path, module in modules.items():
        # Not by setattr, as some of torchmetrics' classes pass that on to other metrics.
        vars(module).update(_copied(dict(state[path])))


def _states(module: Any) -> Mapping[str, Any]:
    defaults: Mapping[str, Any] = vars(module).get("_defaults", {})
    return defaults


def _is_plain(value: Any) -> bool:
    if isinstance(value, Tensor):
        return not isinstance(value, nn.Parameter)
    if type(value) in (list, tuple):
        return all(_is_plain(item) for item in value)
    if type(value) is dict:
        return all(_is_plain(item) for item in (*value, *value.values()))
    return type(value) in _PLAIN


def _copied(value: Any) -> Any:
    return _mapped(lambda tensor: tensor.detach().clone(), value)


def on_device(device: torch.device | str, value: Any) -> Any:
    """Return a value with its tensors, in containers too, on a device."""
    return _mapped(lambda tensor: tensor.to(device), value)


def _mapped(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    if isinstance(value, Tensor):
        return function(value)
    if type(value) in (list, tuple):
        return type(value)(_mapped(function, item) for item in value)
    if type(value) is dict:
        return {key: _mapped(function, item) for key, item in value.items()}
    return value


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one.cpu(), other.cpu())
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_is_same(one[key], other[key]) for key in one)
    return bool(one == other)


@contextmanager
def joined(metric: nn.Module) -> Generator[None, None, None]:
    """Let a metric compute of what all processes have seen, while the block runs.

    torchmetrics says when: at the same moments on all processes, each metric gathers the others' states. Here it
    does so in one exchange, so that the processes need not have kept as many outputs as each other, nor any.
    """
    metrics = [module for _, module in metrics_in(metric) if isinstance(module, torchmetrics().Metric)]
    several = distributed.get_world_size() > 1
    joining = [module for module in metrics if several and _exchanges_as_usual(module)]
    for module in joining:
        vars(module)["_sync_dist"] = partial(_join, module)
    if several:
        for module in metrics:
            # A value that one process has kept since the last time, and another not, would make one wait for ever.
            module._computed = None
    try:
        with _no_warning_without_update(metrics):
            yield
    finally:
        for module in joining:
            del vars(module)["_sync_dist"]


def _exchanges_as_usual(module: Any) -> bool:
    if module.dist_sync_fn is not None:
        return False
    own = type(module)._sync_dist
    # The one metric of torchmetrics that has its own way only needs it for states that are no tensors.
    return own is torchmetrics().Metric._sync_dist or own.__module__.startswith("torchmetrics.detection.")


def _join(module: Any, dist_sync_fn: object = None, process_group: Any = None) -> None:
    """Set the states of a metric to those of all processes, as `torchmetrics.Metric._sync_dist` would."""
    own = {name: getattr(module, name) for name in module._reductions}
    seen = module._update_count > 0 or not all(_is_same(own[name], module._defaults[name]) for name in own)
    group = process_group or module.process_group
    gathered = distributed.all_gather((seen, on_device("cpu", own)), group)
    states = [state for seen, state in gathered if seen]
    for name, reduction in module._reductions.items():
        if states:
            vars(module)[name] = on_device(module.device, _reduced([state[name] for state in states], reduction))


def _reduced(values: Sequence[Any], reduction: Callable[[Any], Any] | None) -> Any:
    if len(values) == 1:
        return values[0]
    if all(isinstance(value, Tensor) for value in values):
        together: Any = torch.stack(list(values))
    else:
        together = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return together if reduction is None or not len(together) else reduction(together)


@contextmanager
def _no_warning_without_update(metrics: Sequence[Any]) -> Generator[None, None, None]:
    """Silence torchmetrics' warning of a metric without an update, where other processes may have it."""
    if all(metric._update_count for metric in metrics):
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"The ``compute`` method of metric \w+\s+was called before", UserWarning)
        yield
