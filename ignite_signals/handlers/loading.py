"""Loading gives a checkpoint's states to the objects that they are of, or changes none of them."""

from __future__ import annotations

import inspect
import os
import reprlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from ignite_signals.handlers import checkpoint_file
from ignite_signals.handlers.checks import brief
from ignite_signals.handlers.optimizer_state import check_optimizer_state
from ignite_signals.handlers.putting_back import Remembered

__all__ = ["check_objects", "load", "lookup", "unwrapped"]

# Batch normalisation adds a count that old files lack; whatever else replaces this may take any keys.
_KNOWN_LOADERS = (nn.Module._load_from_state_dict, _NormBase._load_from_state_dict)


def unwrapped(stateful: Any) -> Any:
    """Return the model that a parallel one holds, so that keys do not begin with `module.`."""
    return stateful.module if isinstance(stateful, DataParallel | DistributedDataParallel) else stateful


def check_objects(argument: str, objects: Any, method: str) -> None:
    """Refuse what is no mapping from names to objects with a method.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(objects, Mapping):
        raise TypeError(f"{argument} must map names to objects, as {{'model': model}} does, got {brief(objects)}")
    for name, stateful in objects.items():
        if isinstance(stateful, type) or not callable(getattr(stateful, method, None)):
            raise TypeError(f"{argument}[{name!r}] must have a method {method}, got {brief(stateful)}")


def load(to_load: Mapping[str, Any], checkpoint: Any, **kwargs: Any) -> None:
    """Give the objects their states, or leave all as it is; `Checkpoint.load_objects` tells the rest.

    Models and optimizers are looked at before anything is changed, and loaded last. What goes before them refuses of
    its own accord; then all that was loaded until then is put back. The exceptions: a model that loads in a way of its
    own, whose errors nobody can foresee, and what cannot tell its state, which the notes of the error name.
    """
    check_objects("to_load", to_load, "load_state_dict")
    if isinstance(checkpoint, str | os.PathLike):
        path = Path(checkpoint).expanduser()
        read = checkpoint_file.read(path)
        try:
            return load(to_load, read, **kwargs)
        except Exception as error:
            error.add_note(f"while {path} was loaded")
            raise
    if not isinstance(checkpoint, Mapping):
        raise TypeError(f"checkpoint must be a path or a mapping of states, got {reprlib.repr(checkpoint)}")
    states = lookup(to_load, checkpoint)
    own = {name: unwrapped(stateful) for name, stateful in to_load.items()}
    for name, stateful in own.items():
        _check(name, stateful, states[name], kwargs)
    _give_all(own, states, kwargs)
    return None


def lookup(to_load: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the states of objects by name; a checkpoint of a single object may be its state itself.

    Raises:
        ValueError: one is missing.
    """
    if len(to_load) == 1 and not to_load.keys() <= checkpoint.keys():
        return dict.fromkeys(to_load, checkpoint)
    if missing := [name for name in to_load if name not in checkpoint]:
        raise ValueError(f"checkpoint must have the states of {missing}, got those of {list(checkpoint)}")
    return checkpoint


def _give_all(own: Mapping[str, Any], states: Mapping[str, Any], kwargs: Mapping[str, Any]) -> None:
    """Let the objects take up their states, and put them back where one refuses, of all but models and optimizers."""
    before: dict[str, Remembered] = {}
    try:
        for name in sorted(own, key=lambda name: _turn(own[name])):
            if _turn(own[name]) < _LAST:
                before[name] = Remembered(own[name])
            _give(name, own[name], states[name], kwargs)
    except BaseException as error:
        for name, remembered in reversed(before.items()):
            for failure in remembered.put_back():
                error.add_note(f"in {name!r}, {failure}")
        raise


_LAST = 2


def _turn(stateful: Any) -> int:
    """Return when an object is loaded: what is looked at before goes last, and a loader, not put back, before it."""
    return _LAST if isinstance(stateful, nn.Module | Optimizer) else int(isinstance(stateful, DataLoader))


def _give(name: str, stateful: Any, state: Any, kwargs: Mapping[str, Any]) -> None:
    """Let an object take up its state."""
    try:
        stateful.load_state_dict(state, **(kwargs if isinstance(stateful, nn.Module) else {}))
    except Exception as error:
        error.add_note(f"while {name!r} was loaded; give the object that the checkpoint was made of")
        raise


def _check(name: str, stateful: Any, state: Any, kwargs: Mapping[str, Any]) -> None:
    """Refuse a state that an object would refuse, which may be in the middle."""
    if not isinstance(stateful, nn.Module | Optimizer):
        return
    if not isinstance(state, Mapping):
        raise TypeError(f"checkpoint[{name!r}] must be a mapping, as state_dict() returns, got {reprlib.repr(state)}")
    if isinstance(stateful, Optimizer):
        check_optimizer_state(name, stateful, state)
        return
    arguments = inspect.signature(stateful.load_state_dict).bind(state, **kwargs).arguments
    if _takes_its_own_keys(stateful):
        own = stateful.state_dict()
        if arguments.get("strict", True):
            _check_keys(name, own, state)
        _check_shapes(name, own, state)


def _takes_its_own_keys(model: nn.Module) -> bool:
    """Tell whether nothing changes the keys or the shapes of a state while a model loads it."""
    if type(model).load_state_dict is not nn.Module.load_state_dict:
        return False
    return all(
        type(module)._load_from_state_dict in _KNOWN_LOADERS
        and not (module._load_state_dict_pre_hooks or module._load_state_dict_post_hooks or module._state_dict_hooks)
        for module in model.modules()
    )


def _check_keys(name: str, own: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in state if key not in own]
    if missing or unexpected:
        raise ValueError(
            f"checkpoint must be of such a model, got a state of {name!r} that lacks {_shown(missing)} and has "
            f"{_shown(unexpected)} too much; build the model as it was when it was saved, or give strict=False"
        )


def _shown(keys: Iterable[Any]) -> str:
    first, *others = [repr(key) for key in keys] or ["nothing"]
    return ", ".join([first, *others[:3]]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")


def _check_shapes(name: str, own: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    for key, tensor in own.items():
        if not isinstance(tensor, Tensor) or key not in state:
            continue
        saved = state[key]
        if not isinstance(saved, Tensor):
            raise TypeError(f"checkpoint[{name!r}][{key!r}] must be a tensor, got {reprlib.repr(saved)}")
        if tensor.shape != saved.shape and not (tensor.dim() == 0 and saved.shape == (1,)):  # as old files have it
            raise ValueError(
                f"checkpoint must be of a model of this shape, got {key!r} of {name!r} with shape "
                f"{tuple(saved.shape)}, not {tuple(tensor.shape)}; build the model as it was when it was saved"
            )
