"""Hold the helpers that PyTorch-Ignite's users import from `utils`, and nothing else."""

from __future__ import annotations

import copy
import logging
import operator
import random
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, TextIO

import torch
from torch import Tensor

__all__ = ["apply_to_tensor", "apply_to_type", "convert_tensor", "manual_seed", "setup_logger", "to_onehot"]


def convert_tensor(x: Any, device: str | torch.device | None = None, non_blocking: bool = False) -> Any:
    """Move every tensor of a nested batch to a device.

    Strings and bytes pass through, so that a batch may carry its file names.

    Args:
        x: a tensor, or mappings and sequences of them, nested as you like.
        device: where to; None leaves the tensors where they are.
        non_blocking: do not wait for a copy from pinned memory to a GPU.

    Raises:
        TypeError: `x` holds something else than tensors, strings, mappings and sequences.

    >>> convert_tensor({"x": torch.zeros(2), "name": "a.png"}, device="meta")["x"].device
    device(type='meta')
    """

    def move(tensor: Tensor) -> Tensor:
        return tensor if device is None else tensor.to(device=device, non_blocking=non_blocking)

    return apply_to_tensor(x, move)


def apply_to_tensor(x: Any, func: Callable[[Tensor], Any]) -> Any:
    """Apply a function to every tensor of a nested batch.

    Args:
        x: a tensor, or mappings and sequences of them, nested as you like; strings pass through.
        func: what to call on each tensor.

    Raises:
        TypeError: `x` holds something else than tensors, strings, mappings and sequences.

    >>> apply_to_tensor([torch.tensor(1), {"b": torch.tensor(2)}], lambda tensor: tensor.item())
    [1, {'b': 2}]
    """
    return apply_to_type(x, Tensor, func)


def apply_to_type(x: Any, input_type: type | tuple[type, ...], func: Callable[[Any], Any]) -> Any:
    """Apply a function to every object of a type in a nested structure.

    The structure keeps its types: a named tuple comes back as that named tuple, a `defaultdict`
    with its default.

    Args:
        x: an object of `input_type`, or mappings and sequences of them; strings pass through.
        input_type: one type or a tuple of types.
        func: what to call on each object.

    Raises:
        TypeError: `x` holds something else than `input_type`, strings, mappings and sequences.

    >>> apply_to_type({"a": [1, 2]}, int, lambda n: n * 10)
    {'a': [10, 20]}
    """
    if isinstance(x, input_type):
        return func(x)
    if isinstance(x, str | bytes):
        return x
    if isinstance(x, Mapping):
        return _mapping_like(x, {k: apply_to_type(v, input_type, func) for k, v in x.items()})
    if isinstance(x, Sequence):
        return _sequence_like(x, [apply_to_type(item, input_type, func) for item in x])
    raise TypeError(f"x must hold {_names(input_type)}, or mappings and sequences of that; found {x!r}")


def _mapping_like(x: Mapping[Any, Any], items: dict[Any, Any]) -> Any:
    if type(x) is dict:
        return items
    if isinstance(x, MutableMapping):
        # A copy keeps what a constructor call would lose, such as the factory of a defaultdict.
        like = copy.copy(x)
        like.update(items)
        return like
    return type(x)(items)  # type: ignore[call-arg]  # as every immutable mapping in use takes one


def _sequence_like(x: Sequence[Any], items: list[Any]) -> Any:
    if hasattr(x, "_fields"):  # a named tuple takes its fields one by one
        return type(x)(*items)
    return items if type(x) is list else type(x)(items)  # type: ignore[call-arg]


def _names(types: type | tuple[type, ...]) -> str:
    return " or ".join(t.__name__ for t in (types if isinstance(types, tuple) else (types,)))


def to_onehot(indices: Tensor, num_classes: int) -> Tensor:
    """Turn class indices into one-hot indicators.

    It works in TorchScript too.

    Args:
        indices: integers in `[0, num_classes)` of shape `(N, ...)`.
        num_classes: the number of classes.

    Returns:
        zeros and ones of type uint8 and shape `(N, num_classes, ...)`, on the device of `indices`.

    Raises:
        TypeError: `indices` are not integers.
        ValueError: `indices` have no dimension.
        RuntimeError: an index is out of range.

    >>> to_onehot(torch.tensor([0, 2]), num_classes=3)
    tensor([[1, 0, 0],
            [0, 0, 1]], dtype=torch.uint8)
    """
    if indices.is_floating_point():
        raise TypeError(f"indices must be integers, got {indices.dtype}; convert them with .long()")
    if indices.dim() == 0:
        raise ValueError("indices must have a first dimension for the batch, got none; unsqueeze them")
    shape = list(indices.shape)
    shape.insert(1, num_classes)
    onehot = torch.zeros(shape, dtype=torch.uint8, device=indices.device)
    return onehot.scatter_(1, indices.long().unsqueeze(1), 1)


def manual_seed(seed: int) -> None:
    """Seed the generators of `random`, `torch` (all devices) and, where it is installed, NumPy.

    Args:
        seed: an integer in `[0, 2**32)`, the range that NumPy takes.

    Raises:
        ValueError: `seed` is outside of that range; nothing has been seeded then.

    >>> manual_seed(7)
    >>> first = torch.rand(3)
    >>> manual_seed(7)
    >>> bool((first == torch.rand(3)).all())
    True
    """
    seed = _checked_seed(seed)
    random.seed(seed)
    torch.manual_seed(seed)
    try:
        import numpy as np
    except ImportError:
        return
    np.random.seed(seed)


def _checked_seed(seed: int) -> int:
    try:
        number = operator.index(seed)
    except TypeError as error:
        raise TypeError(f"seed must be an integer, got {seed!r}") from error
    if not 0 <= number < 2**32:
        raise ValueError(f"seed must be in [0, 2**32), got {seed!r}")
    return number


def setup_logger(
    name: str | None = "ignite_signals",
    level: int = logging.INFO,
    stream: TextIO | None = None,
    format: str = "%(asctime)s %(name)s %(levelname)s: %(message)s",
    filepath: str | None = None,
    distributed_rank: int | None = None,
    reset: bool = False,
    encoding: str | None = "utf-8",
) -> logging.Logger:
    """Give a logger a stream, a format and, if wanted, a file.

    Only the process of rank 0 writes, so that many processes do not say everything many times. A
    logger that has handlers already is returned as it is.

    Args:
        name: the logger's name; None is the root logger.
        level: the least level that is written.
        stream: where to; None is `sys.stderr`.
        format: the format of a line.
        filepath: a file to write to as well.
        distributed_rank: this process's rank; None asks `torch.distributed`.
        reset: set an existing logger up anew.
        encoding: the file's encoding.

    >>> import sys
    >>> logger = setup_logger("train", stream=sys.stdout, format="%(name)s: %(message)s", reset=True)
    >>> logger.info("epoch 1")
    train: epoch 1
    """
    logger = logging.getLogger(name)
    if _is_set_up(logger) and not reset:
        return logger
    _clear(logger)
    logger.propagate = False
    if (_rank() if distributed_rank is None else distributed_rank) > 0:
        logger.addHandler(logging.NullHandler())
        return logger
    logger.setLevel(level)
    _add(logger, logging.StreamHandler(stream), format)
    if filepath is not None:
        _add(logger, logging.FileHandler(filepath, encoding=encoding), format)
    return logger


def _is_set_up(logger: logging.Logger) -> bool:
    return any(not isinstance(handler, logging.NullHandler) for handler in logger.handlers)


def _clear(logger: logging.Logger) -> None:
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def _add(logger: logging.Logger, handler: logging.Handler, format: str) -> None:
    handler.setLevel(logger.level)
    handler.setFormatter(logging.Formatter(format))
    logger.addHandler(handler)


def _rank() -> int:
    distributed = torch.distributed
    return distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0
