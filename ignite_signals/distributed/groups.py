"""Groups: which processes exchange something with each other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

import torch
import torch.distributed as dist

from ignite_signals.distributed.world import carrier, get_world_size, initialized

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = ["Group", "exchange_group", "gather_objects", "is_outside", "new_group", "on_carrier"]

# What users pass: a group, the ranks of one, what new_group gave to a rank outside of it, or None for all.
Group: TypeAlias = "ProcessGroup | Sequence[int] | int | None"

# The groups that were named by their ranks, of each world: making one is slow, and torch keeps it until the world ends.
_by_ranks: WeakKeyDictionary[ProcessGroup, dict[tuple[int, ...], Any]] = WeakKeyDictionary()


def new_group(ranks: Sequence[int], **kwargs: Any) -> Any:
    """Make a group of some of the processes, to exchange something among them alone.

    Every process must call it, also those outside of the group.

    Args:
        ranks: the processes' ranks.
        kwargs: passed to `torch.distributed.new_group`, such as `backend` and `timeout`.

    Returns:
        what the argument `group` of the other functions takes; with one process the ranks.

    Raises:
        TypeError: `ranks` are not integers in a list or tuple.
        ValueError: `ranks` is empty, or one is outside of the world.

    >>> new_group([0])
    [0]
    """
    _check_types("ranks", ranks)
    if not initialized():
        return ranks
    size = get_world_size()
    if not ranks or any(not 0 <= rank < size for rank in ranks):
        raise ValueError(f"ranks must be in [0, {size}), as there are {size} process(es), got {ranks!r}")
    return dist.new_group(sorted(set(ranks)), **kwargs)


def _check_types(name: str, ranks: object) -> None:
    if not isinstance(ranks, list | tuple) or not all(isinstance(rank, int) for rank in ranks):
        raise TypeError(f"{name} must be a list of integers, got {ranks!r}")


def exchange_group(group: Group) -> ProcessGroup | None:
    """Return the group in which this process exchanges something, or None where it is alone.

    Alone are one process, a process outside of the group, and the only one in it.

    Raises:
        TypeError: `group` is something else than a group, a list of ranks or None.
    """
    if not initialized():
        return None
    found = _named(group)
    if _has_not_this_process(found):
        return None
    if not isinstance(found, dist.ProcessGroup):
        raise TypeError(f"group must be what new_group returned, a list of ranks or None, got {group!r}")
    return found if dist.get_world_size(found) > 1 else None


def is_outside(group: Group) -> bool:
    """Tell whether this process is none of the group's."""
    return initialized() and _has_not_this_process(_named(group))


def _has_not_this_process(found: Any) -> bool:
    # What torch gives to the processes that are not in a new group.
    return bool(found == dist.GroupMember.NON_GROUP_MEMBER)


def _named(group: Group) -> Any:
    if group is None:
        return dist.group.WORLD
    if not isinstance(group, list | tuple):
        return group
    _check_types("group", group)
    key = tuple(sorted(set(group)))
    assert dist.group.WORLD is not None
    known = _by_ranks.setdefault(dist.group.WORLD, {})
    if key not in known:
        known[key] = new_group(key)
    return known[key]


def gather_objects(value: Any, group: ProcessGroup) -> list[Any]:
    """Return the values that the processes of a group have, in the order of their ranks."""
    values: list[Any] = [None] * dist.get_world_size(group)
    with on_carrier(group):
        dist.all_gather_object(values, value, group=group)
    return values


def on_carrier(group: ProcessGroup) -> AbstractContextManager[Any]:
    """Make the group's device the current one, as torch sends objects by that."""
    device = carrier(group)
    if device.type == "cpu":
        return nullcontext()
    guard: AbstractContextManager[Any] = getattr(torch, device.type).device(device)
    return guard
