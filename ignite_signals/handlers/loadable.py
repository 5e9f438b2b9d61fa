"""A checkpoint holds tensors and plain data, which `torch.load(weights_only=True)` takes: nothing else is written."""

from __future__ import annotations

import io
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["check_loadable", "check_options"]

_CONTAINERS = (dict, OrderedDict, list, tuple)


def check_loadable(checkpoint: Any, options: Mapping[str, Any]) -> None:
    """Refuse what loading would refuse, before a file is touched.

    Args:
        checkpoint: what is to be saved.
        options: for `torch.save`.

    Raises:
        TypeError: it names what cannot be loaded and where that is.

    >>> check_loadable({"model": {"weight": torch.ones(2)}, "epoch": 3}, {})
    >>> check_loadable({"range": range(3)}, {})
    Traceback (most recent call last):
    ...
    TypeError: checkpoint must hold tensors and plain data, got range at checkpoint['range']: loading would refuse ...
    """
    error = _failure(checkpoint, options)
    if error is None:
        return
    place, part = _culprit(checkpoint, options, "checkpoint", set())
    raise TypeError(
        f"checkpoint must hold tensors and plain data, got {_kind(part)} at {place}: loading would refuse it, because "
        "it might run code; let state_dict() return plain data"
    ) from error


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse arguments of `torch.save` with which no file could be loaded, or verified.

    Raises:
        TypeError: `torch.save` does not take one.
        ValueError: it writes what `weights_only` does not load, or no archive.
    """
    if not options.get("_use_new_zipfile_serialization", True):
        raise ValueError("_use_new_zipfile_serialization must be True, got False: a checksum needs an archive")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the pickle protocol, before it fails
        error = _failure({"text": "", "bytes": b"\0", "list": [1]}, options)
    if isinstance(error, TypeError):
        raise error
    if error is not None:
        raise ValueError(
            f"kwargs must let torch.save write what weights_only loads, got {dict(options)!r}: leave them out"
        ) from error


def _failure(value: Any, options: Mapping[str, Any]) -> Exception | None:
    """Return why something cannot be saved and loaded."""
    buffer = io.BytesIO()
    try:
        torch.save(_outline(value, {}), buffer, **options)
        buffer.seek(0)
        torch.load(buffer, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  # pickling calls code of any class
        return error
    return None


def _outline(value: Any, outlines: dict[int, Any]) -> Any:
    """Return the same without plain tensors, which always load; so the check costs no time for their numbers.

    Args:
        outlines: of the containers that were met before, by identity.
    """
    kind = type(value)
    if kind in (Tensor, nn.Parameter):
        return value if vars(value) else None
    if kind not in _CONTAINERS:
        return value
    if id(value) in outlines:
        return outlines[id(value)]
    if kind is tuple:
        return tuple(_outline(part, outlines) for part in value)
    made = outlines[id(value)] = kind()
    if kind is list:
        made.extend(_outline(part, outlines) for part in value)
    else:
        made.update((key, _outline(part, outlines)) for key, part in value.items())
    if kind is OrderedDict:
        vars(made).update(vars(value))  # a model's state dict has `_metadata`
    return made


def _culprit(value: Any, options: Mapping[str, Any], place: str, within: set[int]) -> tuple[str, Any]:
    """Return the innermost part that cannot be loaded, and where it is."""
    for where, part in _parts(value, place):
        if id(part) not in within and _failure(part, options) is not None:
            return _culprit(part, options, where, within | {id(value)})
    return place, value


def _parts(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield f"a key of {place}", key
            yield f"{place}[{key!r}]", part
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield f"{place}[{index}]", part
    elif isinstance(value, set):
        for part in value:
            yield f"an element of {place}", part


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
