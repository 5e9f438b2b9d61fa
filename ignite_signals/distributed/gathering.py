"""Gathering: every process gets what all have, in the order of their ranks."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

import torch
import torch.distributed as dist
from torch import Tensor

from ignite_signals.distributed.groups import Group, exchange_group, gather_objects, is_outside
from ignite_signals.distributed.world import carrier

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = ["all_gather", "all_gather_tensors_with_shapes", "as_seen", "gather_uneven", "size_in_bytes"]

# What the other ranks must know of a tensor to receive it.
Header: TypeAlias = tuple[tuple[int, ...], torch.dtype]
T = TypeVar("T")


@overload
def all_gather(tensor: Tensor, group: Group = None) -> Tensor: ...  # type: ignore[overload-overlap]  # a list otherwise


@overload
def all_gather(tensor: T, group: Group = None) -> list[T]: ...


def all_gather(tensor: Any, group: Group = None) -> Any:
    """Gather what every process has.

    Tensors are joined along their first dimension and must have one shape; where they differ,
    `gather_uneven` gathers them. That they agree is looked at first, as a backend that receives another size
    than it expects ends the process.

    Args:
        tensor: a tensor of shape `(n, ...)` or `()`, or any object that can be pickled, such as a number or a string.
        group: what `new_group` returned, or a list of ranks, which every process must pass; by default all.

    Returns:
        a tensor of shape `(world size * n, ...)`, or `(world size,)` for `()`, detached, on the device of `tensor`;
        a list for any other object. A process outside of the group gets `tensor` back.

    Raises:
        ValueError: the tensors differ in shape or type; on every rank.
        TypeError: some ranks have a tensor and others have none, on every rank; or `group` is no group.

    >>> all_gather(torch.tensor([1, 2]))
    tensor([1, 2])
    >>> all_gather("a")
    ['a']
    """
    if is_outside(group):
        return tensor
    members = exchange_group(group)
    if members is None:
        return _gathered_alone(tensor)
    if not isinstance(tensor, Tensor):
        values = gather_objects((None, tensor), members)
        _check_equal([header for header, _ in values])
        return [value for _, value in values]
    headers = [header for header, _ in gather_objects((_header(tensor), None), members)]
    _check_equal(headers)
    parts = _exchange(tensor, headers, members)
    return torch.stack(parts) if tensor.ndim == 0 else torch.cat(parts)


def _gathered_alone(tensor: Any) -> Any:
    if not isinstance(tensor, Tensor):
        return [tensor]
    tensor = tensor.detach() if tensor.requires_grad else tensor
    return tensor.unsqueeze(0) if tensor.ndim == 0 else tensor


def _check_equal(headers: Sequence[Header | None]) -> None:
    if len(set(headers)) == 1:
        return
    have = ", ".join("no tensor" if header is None else f"{header[1]} of shape {header[0]}" for header in headers)
    if None in headers:
        raise TypeError(f"tensor must be a tensor on every rank or on none, got {have}, in the order of the ranks")
    raise ValueError(
        f"tensor must have one shape and dtype on every rank, got {have}, in the order of the ranks; "
        "gather_uneven gathers tensors that differ"
    )


def all_gather_tensors_with_shapes(
    tensor: Tensor, shapes: Sequence[Sequence[int]], group: Group = None
) -> list[Tensor]:
    """Gather tensors that differ in shape, where every rank knows all shapes.

    It needs one exchange less than `gather_uneven`.

    Args:
        tensor: this rank's tensor; all ranks' have one dtype.
        shapes: the shapes of the tensors of all ranks in the group, in the order of the ranks.
        group: what `new_group` returned, or a list of ranks, which every process must pass; by default all.

    Returns:
        the tensors in the order of the ranks, detached, on the device of `tensor`; that tensor alone on a
        process outside of the group.

    Raises:
        ValueError: there are not as many shapes as ranks, or this rank's is not the shape of `tensor`.

    >>> all_gather_tensors_with_shapes(torch.ones(2, 1), [(2, 1)])
    [tensor([[1.],
            [1.]])]
    """
    members = exchange_group(group)
    if members is None:
        return [tensor]
    headers = [(tuple(int(size) for size in shape), tensor.dtype) for shape in shapes]
    if len(headers) != dist.get_world_size(members):
        raise ValueError(f"shapes must have one shape of each of {dist.get_world_size(members)} ranks, got {shapes!r}")
    mine, _ = headers[dist.get_rank(members)]
    if mine != tuple(tensor.shape):
        raise ValueError(f"shapes must say {tuple(tensor.shape)}, the shape of tensor, for this rank, got {mine}")
    return _exchange(tensor, headers, members)


def gather_uneven(tensor: Tensor | None, group: Group = None) -> list[Tensor]:
    """Gather the tensors of those ranks that have one, whatever their shapes.

    Ranks see different numbers of examples, and some may see none; they take part with None.

    Args:
        tensor: this rank's tensor, of any shape and dtype, or None.
        group: what `new_group` returned, or a list of ranks, which every process must pass; by default all.

    Returns:
        the tensors that are there, in the order of the ranks, each in its shape and all in the dtype that
        theirs promote to, detached, on the device of `tensor`; for None on that which `device` says. A process
        outside of the group gets its own alone.

    Raises:
        TypeError: `tensor` is neither a tensor nor None.

    >>> gather_uneven(torch.tensor([1.0, 2.0]))
    [tensor([1., 2.])]
    >>> gather_uneven(None)
    []
    """
    if not (tensor is None or isinstance(tensor, Tensor)):
        raise TypeError(f"tensor must be a tensor or None, got {tensor!r} of type {type(tensor).__name__}")
    members = exchange_group(group)
    if members is None:
        return [] if tensor is None else [tensor]
    headers = gather_objects(None if tensor is None else _header(tensor), members)
    parts = _exchange(tensor, headers, members)
    dtypes = [part.dtype for part in parts]
    return [part.to(functools.reduce(torch.promote_types, dtypes)) for part in parts]


def _header(tensor: Tensor) -> Header:
    return tuple(tensor.shape), tensor.dtype


def size_in_bytes(shape: Sequence[int], dtype: torch.dtype) -> int:
    """Return how many bytes the elements of such a tensor take."""
    return math.prod(shape) * dtype.itemsize


def as_seen(buffer: Tensor, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """View the first bytes of a buffer as a tensor.

    Bytes are what is sent, because every backend can move them, and not every dtype.
    """
    return buffer[: size_in_bytes(shape, dtype)].view(dtype).view(tuple(shape))


def _exchange(tensor: Tensor | None, headers: Sequence[Header | None], group: ProcessGroup) -> list[Tensor]:
    """Return the tensors of the ranks that have a header; all must know the same headers."""
    device = carrier(group)
    longest = max(size_in_bytes(*header) if header else 0 for header in headers)
    mine = torch.zeros(longest, dtype=torch.uint8, device=device)
    received = [torch.empty_like(mine) for _ in headers]
    if tensor is not None:
        as_seen(mine, *_header(tensor)).copy_(tensor.detach())
    if longest:
        dist.all_gather(received, mine, group=group)
    home = device if tensor is None else tensor.device
    pairs = zip(received, headers, strict=True)
    return [as_seen(buffer, *header).to(home) for buffer, header in pairs if header is not None]
