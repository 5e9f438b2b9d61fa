"""Broadcasting: every process gets what one has."""

from __future__ import annotations

from numbers import Number
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ignite_signals.distributed.gathering import as_seen, size_in_bytes
from ignite_signals.distributed.groups import exchange_group, on_carrier
from ignite_signals.distributed.world import carrier, checked_rank, get_rank

__all__ = ["broadcast"]


def broadcast(tensor: Any, src: int = 0, safe_mode: bool = False) -> Any:
    """Give every process what one of them has.

    The shape, type and exact value are those of the source, whatever the others passed.

    Args:
        tensor: a tensor, number, string or path; on the ranks that are not the source a placeholder of such a type.
        src: the rank of the source.
        safe_mode: the ranks that are not the source may pass anything, such as None.

    Returns:
        the source's value. A tensor is a new one on the ranks that are not the source, on the device of the
        tensor that they passed, else on that which `device` says; the source gets its own back.

    Raises:
        TypeError: `tensor` is of another type.
        ValueError: `src` is outside of the world; `tensor` is None on the source, or elsewhere without `safe_mode`.

    >>> broadcast(0.1)
    0.1
    """
    _check(tensor, checked_rank("src", src), safe_mode)
    group = exchange_group(None)
    if group is None:
        return tensor
    is_source, device = get_rank() == src, carrier(group)
    message = [_announced(tensor) if is_source else None]
    with on_carrier(group):
        dist.broadcast_object_list(message, src=src, device=device)
    value, header = message[0] or (None, None)
    if header is None:
        return value
    buffer = torch.empty(size_in_bytes(*header), dtype=torch.uint8, device=device)
    if is_source:
        as_seen(buffer, *header).copy_(tensor.detach())
    if buffer.numel():
        dist.broadcast(buffer, src=src)
    home = tensor.device if isinstance(tensor, Tensor) else device
    return tensor if is_source else as_seen(buffer, *header).to(home)


def _check(tensor: object, src: int, safe_mode: bool) -> None:
    if get_rank() != src and safe_mode:
        return
    if tensor is None and get_rank() == src:
        raise ValueError(f"tensor must not be None on the source, rank {src}")
    if tensor is None:
        raise ValueError(f"tensor must not be None on rank {get_rank()}; pass safe_mode=True on every rank to allow it")
    if not isinstance(tensor, Tensor | Number | str | Path):
        raise TypeError(
            f"tensor must be a tensor, number, string or path, got {tensor!r} of type {type(tensor).__name__}"
        )


def _announced(tensor: Any) -> tuple[Any, tuple[tuple[int, ...], torch.dtype] | None]:
    """Return the value if it is small, and what a tensor's receivers must know before it comes."""
    return (None, (tuple(tensor.shape), tensor.dtype)) if isinstance(tensor, Tensor) else (tensor, None)
