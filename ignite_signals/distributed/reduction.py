"""Reduction: every process gets the sum, the largest, ... of what all have."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from numbers import Number
from typing import TYPE_CHECKING, Any, TypeVar, overload

import torch
import torch.distributed as dist
from torch import Tensor

from ignite_signals.distributed.gathering import all_gather
from ignite_signals.distributed.groups import Group, exchange_group, gather_objects
from ignite_signals.distributed.world import carrier

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = ["all_reduce"]

N = TypeVar("N", bound=complex)

_FOLDS: dict[str, Callable[[Any, Any], Any]] = {
    "SUM": operator.add,
    "PRODUCT": operator.mul,
    "MIN": min,
    "MAX": max,
    "AND": operator.and_,
    "OR": operator.or_,
}
# A bool stays a bool: a sum says whether any is true, as nccl has it, a product whether all are.
_FOLDS_OF_BOOLS = dict.fromkeys(("SUM", "MAX", "OR"), "MAX") | dict.fromkeys(("PRODUCT", "MIN", "AND"), "MIN")
# No backend reduces the integers; not each version of gloo the halves, which are more exact this way, too.
_WIDER = {
    torch.bool: torch.uint8,
    torch.int16: torch.int32,
    torch.uint16: torch.int32,
    torch.uint32: torch.int64,
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
}


@overload
def all_reduce(tensor: Tensor, op: str = "SUM", group: Group = None) -> Tensor: ...


@overload
def all_reduce(tensor: N, op: str = "SUM", group: Group = None) -> N: ...


def all_reduce(tensor: Any, op: str = "SUM", group: Group = None) -> Any:
    """Reduce what all processes have to one value, which each of them gets.

    The tensor that was given is never changed. Numbers may be an integer on one rank and a float on another.

    Args:
        tensor: a tensor, of one shape and dtype on every rank (this is not looked at, so that no device is waited
            for), or a number. Bools stay bools: their sum says whether any is true, their product whether all are.
        op: SUM, PRODUCT, MIN, MAX, or for integers and bools, bit by bit, AND and OR.
        group: what `new_group` returned, or a list of ranks, which every process must pass; by default all.

    Returns:
        the reduced value in the dtype, or number type, of `tensor`, detached and on its device. Where there is
        one process, and outside of the group, `tensor` itself.

    Raises:
        TypeError: `tensor` is neither a tensor nor a number, or AND and OR are asked of a float.
        ValueError: `op` is none of those.

    >>> all_reduce(torch.tensor([1.0, 2.0]), "MAX")
    tensor([1., 2.])
    >>> all_reduce(3)
    3
    """
    _check(tensor, op)
    members = exchange_group(group)
    if members is None:
        return tensor
    return _of_tensors(tensor, op, members) if isinstance(tensor, Tensor) else _of_numbers(tensor, op, members)


def _check(tensor: object, op: str) -> None:
    if not isinstance(tensor, Tensor | Number):
        raise TypeError(f"tensor must be a tensor or a number, got {tensor!r} of type {type(tensor).__name__}")
    if op not in _FOLDS:
        raise ValueError(f"op must be one of {', '.join(_FOLDS)}, got {op!r}")
    if op in ("AND", "OR") and not _is_integral(tensor):
        kind = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        raise TypeError(f"tensor must have integers or bools for the op {op}, got {kind}; compare or convert it first")


def _is_integral(tensor: Any) -> bool:
    if isinstance(tensor, Tensor):
        return not (tensor.is_floating_point() or tensor.is_complex())
    return hasattr(tensor, "__and__")


def _of_numbers(number: Any, op: str, group: ProcessGroup) -> Any:
    return folded(gather_objects(number, group), op)


def folded(numbers: Sequence[Any], op: str) -> Any:
    """Return one number of those of all processes, as `all_reduce` does.

    >>> folded([1, 2, 3], "MAX"), folded([True, True], "SUM")
    (3, True)
    """
    only_bools = all(isinstance(n, bool) for n in numbers)
    return functools.reduce(_FOLDS[_FOLDS_OF_BOOLS[op] if only_bools else op], numbers)


def _of_tensors(tensor: Tensor, op: str, group: ProcessGroup) -> Tensor:
    if tensor.dtype is torch.bool:  # as bytes, whose sum over 256 ranks would be 0
        op = _FOLDS_OF_BOOLS[op]
    elif op in ("AND", "OR"):  # nccl has neither
        rows: Tensor = all_gather(tensor.unsqueeze(0), group)
        return functools.reduce(_FOLDS[op], rows.unbind())
    dtype = _WIDER.get(tensor.dtype, tensor.dtype)
    carried = torch.empty(tensor.shape, dtype=dtype, device=carrier(group)).copy_(tensor.detach())
    nans = carried.isnan() if op in ("MIN", "MAX") and dtype.is_floating_point else None
    dist.all_reduce(carried, op=getattr(dist.ReduceOp, op), group=group)
    if nans is not None:
        _spread_nans(carried, nans, group)
    return carried.to(device=tensor.device, dtype=tensor.dtype)


def _spread_nans(reduced: Tensor, nans: Tensor, group: ProcessGroup) -> None:
    """Make NaN of the entries that are NaN on any rank, as torch's own minimum and maximum do.

    The backends compare with `<`, so that the order of the ranks would decide whether a NaN stays.
    """
    flags = nans.to(torch.uint8)
    dist.all_reduce(flags, op=dist.ReduceOp.MAX, group=group)
    reduced.masked_fill_(flags.bool(), math.nan)
