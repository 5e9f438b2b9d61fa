"""A state dict holds what an engine needs to go on: PyTorch-Ignite's keys, and the custom counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ignite_signals.engine.events import Events
from ignite_signals.engine.integers import integer

if TYPE_CHECKING:
    from ignite_signals.engine.engine import Engine

__all__ = ["load_state_dict", "state_dict"]


def state_dict(engine: Engine) -> dict[str, Any]:
    """Return the state dict of an engine."""
    state = engine.state
    limit = "max_epochs" if state.max_iters is None else "max_iters"
    saved = {"epoch_length": state.epoch_length, "iteration": state.iteration, limit: getattr(state, limit)}
    counts = {name: _read(engine, name, attribute) for name, attribute in _custom_counters(engine).items()}
    if counts:
        saved["counters"] = counts
    return saved | {key: getattr(state, key) for key in engine.state_dict_user_keys}


def load_state_dict(engine: Engine, saved: Mapping[str, Any]) -> None:
    """Set an engine's state from a state dict, all of it or nothing."""
    limit, counter = _checked(engine, saved)
    state, length = engine.state, saved["epoch_length"]
    state.epoch_length = length = None if length is None else int(length)
    state.max_epochs = state.max_iters = None
    setattr(state, limit, None if saved[limit] is None else int(saved[limit]))
    done = int(saved[counter])
    state.iteration = done if counter == "iteration" else done * (length or 0)
    state.epoch = done if counter == "epoch" else done // length if length else 0
    _load_counts(engine, saved.get("counters", {}))
    for key in engine.state_dict_user_keys:
        setattr(state, key, saved[key])


def _load_counts(engine: Engine, counts: Mapping[str, int]) -> None:
    """Set the counts of custom events; one that is absent is 0."""
    attributes: dict[str, int] = {}
    for name, attribute in _custom_counters(engine).items():
        if attribute is None:
            engine.state.counters[name] = int(counts.get(name, 0))
        else:  # several events may count by one attribute
            attributes[attribute] = int(counts.get(name, attributes.get(attribute, 0)))
    for attribute, count in attributes.items():
        setattr(engine.state, attribute, count)


def _custom_counters(engine: Engine) -> dict[str, str | None]:
    """Return the custom events that do not count by epoch or iteration, with the attribute they count by."""
    return {
        signal.name: signal.counter
        for signal in engine.signals.all()
        if not isinstance(signal.event, Events) and signal.counter not in ("epoch", "iteration")
    }


def _read(engine: Engine, name: str, attribute: str | None) -> int:
    state = engine.state
    return state.counters.get(name, 0) if attribute is None else getattr(state, attribute, 0)


def _checked(engine: Engine, saved: Mapping[str, Any]) -> tuple[str, str]:
    """Return the key of the limit and that of the counter, of a state dict that holds all it must."""
    if not isinstance(saved, Mapping):
        raise TypeError(f"state_dict must be a mapping, as engine.state_dict() returns, got {saved!r}")
    missing = [key for key in ("epoch_length", *engine.state_dict_user_keys) if key not in saved]
    if missing:
        raise ValueError(f"state_dict must have the keys {', '.join(map(repr, missing))}, got {list(saved)}")
    _check_counts(saved.get("counters", {}))
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


def _one_of(saved: Mapping[str, Any], one: str, other: str) -> str:
    found = [key for key in (one, other) if key in saved]
    if len(found) != 1:
        raise ValueError(
            f"state_dict must have exactly one of {one!r} and {other!r}, got {' and '.join(found) or 'neither'}"
        )
    return found[0]
