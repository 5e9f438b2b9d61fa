"""Limits say how long a run lasts: what `run` was asked for, and whether the state has reached it."""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Iterable
from typing import Any

from ignite_signals.engine.integers import integer
from ignite_signals.engine.state import State

__all__ = [
    "check_data",
    "check_extension",
    "check_limits",
    "data_length",
    "exhaustion",
    "extend",
    "is_done",
    "reaches_further",
    "stack_level",
]


def check_limits(
    max_epochs: object, max_iters: object, epoch_length: object
) -> tuple[int | None, int | None, int | None]:
    """Return the limits as integers; refuse those that are none, or that exclude each other."""
    given = {"max_epochs": max_epochs, "max_iters": max_iters, "epoch_length": epoch_length}
    epochs, iterations, length = (None if value is None else integer(name, value) for name, value in given.items())
    if epochs is not None and iterations is not None:
        raise ValueError(
            f"max_epochs and max_iters exclude each other, got max_epochs={epochs} and max_iters={iterations}: "
            "leave one out"
        )
    return epochs, iterations, length


def check_data(data: Iterable[Any] | None, epoch_length: int | None) -> None:
    """Refuse data that a run cannot iterate, and no data where nothing else tells an epoch's length."""
    if data is None:
        if epoch_length is None:
            raise ValueError("epoch_length must be given when data is None: nothing else tells how long an epoch is")
    elif not hasattr(type(data), "__iter__") and not hasattr(type(data), "__getitem__"):
        raise TypeError(f"data must be iterable, as a list or a DataLoader is, got {reprlib.repr(data)}")
    elif data_length(data) == 0:
        raise ValueError(f"data must not be empty, got the {type(data).__name__} {data!r} of length 0")


def data_length(data: Iterable[Any] | None) -> int | None:
    """Return the number of batches, or None where the data does not tell."""
    try:
        return len(data)  # type: ignore[arg-type]  # the TypeError is the answer
    except TypeError:  # no __len__, or a DataLoader over an iterable data set
        return None


def is_done(state: State) -> bool:
    """Tell whether the state has reached its limit."""
    if state.max_iters is not None:
        return state.iteration >= state.max_iters
    return state.max_epochs is not None and state.epoch >= state.max_epochs


def reaches_further(state: State, max_epochs: int | None, max_iters: int | None) -> bool:
    """Tell whether a limit that is asked for lies beyond what the state has done, in the same unit."""
    if max_iters is not None:
        return state.max_iters is not None and max_iters > state.iteration
    return max_epochs is not None and state.max_epochs is not None and max_epochs > state.epoch


def check_extension(state: State, max_epochs: int | None, max_iters: int | None, epoch_length: int | None) -> None:
    """Refuse limits that a run which goes on cannot keep."""
    asked = [("max_epochs", max_epochs, "epoch"), ("max_iters", max_iters, "iteration")]
    for name, limit, counter in asked:
        if limit is None:
            continue
        if getattr(state, name) is None:
            other = "max_iters" if name == "max_epochs" else "max_epochs"
            raise ValueError(
                f"{name}={limit} cannot limit a run that goes on and has {other}={getattr(state, other)}: "
                f"give {other}, or call reset() to start anew"
            )
        if limit < getattr(state, counter):
            raise ValueError(
                f"{name} must be at least the {counter} of the run that goes on, {getattr(state, counter)}, "
                f"got {limit}: give more, or call reset() to start anew"
            )
    if epoch_length is not None and state.epoch_length not in (None, epoch_length):
        raise ValueError(
            f"epoch_length must stay {state.epoch_length} in a run that goes on, got {epoch_length}: "
            "leave it out, or call reset() to start anew"
        )


def extend(state: State, max_epochs: int | None, max_iters: int | None) -> None:
    """Set the limits that a run goes on to."""
    state.max_epochs = max_epochs or state.max_epochs
    state.max_iters = max_iters or state.max_iters


def exhaustion(state: State) -> str:
    """Say how far a run came whose data has no more batches."""
    if state.max_iters is not None:
        asked = f"{state.max_iters}"
    elif state.epoch_length is None:
        asked = f"max_epochs={state.max_epochs} epochs"
    else:
        asked = f"{(state.max_epochs or 1) * state.epoch_length} (max_epochs={state.max_epochs}"
        asked += f", epoch_length={state.epoch_length})"
    return (
        f"the data has no more batches after {state.iteration} iterations of {asked}: the run ends here; "
        "give data that can be iterated anew, as a list or a DataLoader can, or ask for less"
    )


def stack_level() -> int:
    """Return the `stacklevel` at which a warning points to the caller's code outside the package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("ignite_signals."):
        level, frame = level + 1, frame.f_back
    return level
