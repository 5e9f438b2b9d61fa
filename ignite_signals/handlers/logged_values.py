"""The values of a log: what is nested is given names, and what is no number or string is left out."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any, TypeAlias

from ignite_signals.engine.limits import stack_level

__all__ = ["Plain", "flattened", "plain"]

Plain: TypeAlias = bool | int | float | str


def flattened(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the plain values inside of a value, each with its name.

    >>> import torch
    >>> dict(flattened("test", {"loss": torch.tensor(0.5), "recall": [1, {"dog": 0.25}]}))
    {'test/loss': 0.5, 'test/recall/0': 1, 'test/recall/1/dog': 0.25}
    """
    dimensions = getattr(value, "ndim", None)  # of tensors, and of numpy's arrays and scalars
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, (list, tuple)) or dimensions == 1:
        parts = dict(enumerate(_read(name, value, "tolist") if dimensions else value)).items()
    else:
        yield name, _read(name, value, "item") if dimensions == 0 else value
        return
    for key, part in parts:
        yield from flattened(f"{name}/{key}" if name else str(key), part)


def _read(name: str, value: Any, how: str) -> Any:
    try:
        return getattr(value, how)()
    except Exception as error:
        error.add_note(f"when the value of {name!r} was read, to be logged")
        raise


def plain(values: Mapping[str, Any]) -> dict[str, Plain]:
    """Return what a line of text can hold, by name; warn of the rest, which is no reason to end a training.

    >>> plain({"training": {"loss": 0.5, "recall": [0.25, None]}, "lr": True})
    {'training/loss': 0.5, 'training/recall/0': 0.25, 'lr': True}
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"values must be a mapping of names to values, got {values!r}")
    named = {name: value for name, value in flattened("", values) if value is not None}
    return {name: value for name, each in named.items() if (value := _plain(name, each)) is not None}


def _plain(name: str, value: Any) -> Plain | None:
    if isinstance(value, Plain):
        return value
    if isinstance(value, Real):
        return float(value)
    what = f"{type(value).__name__} of shape {tuple(value.shape)}" if hasattr(value, "shape") else repr(value)
    warnings.warn(
        f"{name!r} is not logged, being no number or string but a {what}: log its mean, say, or its parts by name",
        stacklevel=stack_level(),
    )
    return None
