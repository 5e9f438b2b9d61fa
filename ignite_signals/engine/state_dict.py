"""A state dict holds what an engine needs to go on: PyTorch-Ignite's keys, and what a run has come to.

It is plain data and tensors, so that `torch.load` takes it with `weights_only`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ignite_signals.engine.events import Events
from ignite_signals.engine.integers import integer
from ignite_signals.engine.place import epochs_and_batches
from ignite_signals.engine.stateful import states

if TYPE_CHECKING:
    from ignite_signals.engine.saveable import Saveable

__all__ = ["load_state_dict", "state_dict"]


def state_dict(engine: Saveable) -> dict[str, Any]:
    """Return the state dict of an engine."""
    state = engine.state
    limit = "max_epochs" if state.max_iters is None else "max_iters"
    saved = {"epoch_length": state.epoch_length, "iteration": state.iteration, limit: getattr(state, limit)}
    counts = {name: _read(engine, name, attribute) for name, attribute in _custom_counters(engine).items()}
    if counts:
        saved["counters"] = counts
    saved |= _place(engine)
    metrics = _plain(state.metrics)
    if metrics:
        saved["metrics"] = metrics
    attached = states(engine)
    if attached:
        saved["attached"] = attached
    return saved | {key: getattr(state, key) for key in engine.state_dict_user_keys}


def _place(engine: Saveable) -> dict[str, Any]:
    """Return where the run is, unless that can be told from the iteration.

    It cannot after an epoch that was cut short, or is about to be, in a first epoch of unknown length, and where the
    last iteration of an epoch is complete but the epoch is not. The end of the epoch may be about to tell of the
    output, if that is small.
    """
    state = engine.state
    epochs, taken = engine.place()
    ending = engine.is_ending_epoch()
    if (epochs, taken) == epochs_and_batches(state.iteration, state.epoch_length) and not ending:
        return {}
    place: dict[str, Any] = {"epochs": epochs, "taken": taken}
    if ending:
        place["terminate_epoch"] = ending
    output = _small(state.output)
    if output is not None:
        place["output"] = output
    return {"place": place}


# How many values and characters an output may have to be saved, and how deep it may be nested.
_MOST, _DEEPEST = 1000, 8


class _NotSmall(Exception):  # noqa: N818  # not an error, but the way out of what is nested
    """Say that a value is not to be saved."""


def _small(output: Any) -> Any:
    """Return an output as plain data if it is small, else None.

    Small are numbers, strings, tensors of one element, and dicts, lists and tuples of not too many of these. A dict is
    saved without the entries that are not small; a list or tuple without one of its places would be another.
    """
    try:
        return _within(output, [_MOST], _DEEPEST)
    except _NotSmall:
        return None


def _within(value: Any, left: list[int], depth: int) -> Any:
    """Return a value as plain data, and take what it has off what is left."""
    size = len(value) if isinstance(value, str) else 1
    if size > left[0] or not depth:
        raise _NotSmall
    left[0] -= size
    if isinstance(value, dict):
        return dict(_entries(value, left, depth - 1))
    if isinstance(value, list | tuple):  # a named tuple too, but torch.load knows only plain ones
        places = (_within(each, left, depth - 1) for each in value)
        return list(places) if isinstance(value, list) else tuple(places)
    plain = None if isinstance(value, Tensor) and value.numel() != 1 else _plain(value)
    if plain is None and value is not None:
        raise _NotSmall
    return plain


def _entries(values: dict[Any, Any], left: list[int], depth: int) -> Iterator[tuple[Any, Any]]:
    for key, value in values.items():
        with contextlib.suppress(_NotSmall):
            if isinstance(key, str | int):
                yield _within(key, left, depth), _within(value, left, depth)


def _plain(value: Any) -> Any:
    """Return a number, a string, a tensor or a dict of such as what `torch.load` takes for safe; None for all else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # of no class of its own
    if isinstance(value, Integral):  # numpy's too
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if type(value) is Tensor:  # a copy, as with a view all that it is a view of would be saved
        return value.detach().clone()
    if isinstance(value, dict):
        plain = {key: _plain(entry) for key, entry in value.items() if isinstance(key, str)}
        return {key: entry for key, entry in plain.items() if entry is not None}
    return None


def load_state_dict(engine: Saveable, saved: Mapping[str, Any]) -> int:
    """Set an engine's own state from a state dict, all of it or nothing, and return how many batches its epoch had."""
    limit, counter = _checked(engine, saved)
    state, length = engine.state, saved["epoch_length"]
    state.epoch_length = length = None if length is None else int(length)
    state.max_epochs = state.max_iters = None
    setattr(state, limit, None if saved[limit] is None else int(saved[limit]))
    done = int(saved[counter])
    state.iteration = done if counter == "iteration" else done * (length or 0)
    place = saved.get("place", {})
    state.epoch, taken = (done, 0) if counter == "epoch" else epochs_and_batches(done, length)
    state.epoch, taken = int(place.get("epochs", state.epoch)), int(place.get("taken", taken))
    state.output = place.get("output", state.output)
    if "metrics" in saved:
        state.metrics = dict(saved["metrics"])
    _load_counts(engine, saved.get("counters", {}))
    for key in engine.state_dict_user_keys:
        setattr(state, key, saved[key])
    return taken


def _load_counts(engine: Saveable, counts: Mapping[str, int]) -> None:
    """Set the counts of custom events; one that is absent is 0."""
    attributes: dict[str, int] = {}
    for name, attribute in _custom_counters(engine).items():
        if attribute is None:
            engine.state.counters[name] = int(counts.get(name, 0))
        else:  # several events may count by one attribute
            attributes[attribute] = int(counts.get(name, attributes.get(attribute, 0)))
    for attribute, count in attributes.items():
        setattr(engine.state, attribute, count)


def _custom_counters(engine: Saveable) -> dict[str, str | None]:
    """Return the custom events that do not count by epoch or iteration, with the attribute they count by."""
    return {
        signal.name: signal.counter
        for signal in engine.signals.all()
        if not isinstance(signal.event, Events) and signal.counter not in ("epoch", "iteration")
    }


def _read(engine: Saveable, name: str, attribute: str | None) -> int:
    state = engine.state
    return state.counters.get(name, 0) if attribute is None else getattr(state, attribute, 0)


def _checked(engine: Saveable, saved: Mapping[str, Any]) -> tuple[str, str]:
    """Return the key of the limit and that of the counter, of a state dict that holds all it must."""
    if not isinstance(saved, Mapping):
        raise TypeError(f"state_dict must be a mapping, as engine.state_dict() returns, got {saved!r}")
    missing = [key for key in ("epoch_length", *engine.state_dict_user_keys) if key not in saved]
    if missing:
        raise ValueError(f"state_dict must have the keys {', '.join(map(repr, missing))}, got {list(saved)}")
    _check_counts(saved.get("counters", {}))
    _check_place(saved.get("place"))
    for key, values in (("attached", "states"), ("metrics", "values")):
        if not isinstance(saved.get(key, {}), Mapping):
            raise TypeError(f"state_dict[{key!r}] must map names to {values}, got {saved[key]!r}")
    limit = _one_of(saved, "max_epochs", "max_iters")
    counter = _one_of(saved, "iteration", "epoch")
    for key, least in (("epoch_length", 1), (limit, 1)):
        if saved[key] is not None:
            integer(f"state_dict[{key!r}]", saved[key], least)
    integer(f"state_dict[{counter!r}]", saved[counter], 0)
    if counter == "epoch" and saved["epoch_length"] is None:
        raise ValueError(
            "state_dict['epoch_length'] must be an integer where 'epoch' is given, got None: "
            "without it the iteration is unknown"
        )
    return limit, counter


def _check_counts(counts: object) -> None:
    if not isinstance(counts, Mapping):
        raise TypeError(f"state_dict['counters'] must map names of events to counts, got {counts!r}")
    for name, count in counts.items():
        integer(f"state_dict['counters'][{name!r}]", count, 0)


def _check_place(place: Any) -> None:
    if place is None:
        return
    if not isinstance(place, Mapping) or {"epochs", "taken"} - place.keys():
        raise ValueError(f"state_dict['place'] must have the keys 'epochs' and 'taken', got {place!r}")
    for key in ("epochs", "taken"):
        integer(f"state_dict['place'][{key!r}]", place[key], 0)
    ending = place.get("terminate_epoch", True)
    if ending is not True and ending != "skip_epoch_completed":
        raise ValueError(
            f"state_dict['place']['terminate_epoch'] must be True or 'skip_epoch_completed', got {ending!r}"
        )


def _one_of(saved: Mapping[str, Any], one: str, other: str) -> str:
    found = [key for key in (one, other) if key in saved]
    if len(found) != 1:
        raise ValueError(
            f"state_dict must have exactly one of {one!r} and {other!r}, got {' and '.join(found) or 'neither'}"
        )
    return found[0]
