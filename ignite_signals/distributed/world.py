"""The world: this process's rank among all, and the device that it works on.

It is looked up at each call, since a process group may be made and destroyed at any time.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = [
    "backend",
    "carrier",
    "check_is_integer",
    "checked_rank",
    "device",
    "get_rank",
    "get_world_size",
    "initialized",
]

# They move tensors of the CPU, those of a GPU not at all or not in every operation.
CPU_BACKENDS = ("gloo", "mpi", "fake")


def initialized() -> bool:
    """Tell whether there is a world, that is, whether `torch.distributed` has its process group."""
    return dist.is_available() and dist.is_initialized()


def backend() -> str | None:
    """Return what moves the tensors, such as `"nccl"` or `"gloo"`; None with one process.

    >>> print(backend())
    None
    """
    return dist.get_backend() if initialized() else None


def get_rank() -> int:
    """Return this process's number among all, from 0; 0 with one process.

    >>> get_rank()
    0
    """
    return dist.get_rank() if initialized() else 0


def get_world_size() -> int:
    """Return the number of processes; 1 where there is no process group.

    >>> get_world_size()
    1
    """
    return dist.get_world_size() if initialized() else 1


def device() -> torch.device:
    """Return the device that this process should work on.

    With nccl it is this process's GPU, with gloo the CPU; with one process a GPU, where there is one.

    >>> torch.ones(2).to(device()).sum().item()
    2.0
    """
    return carrier(dist.group.WORLD) if initialized() else torch.device(_accelerator_of_one_process())


def _accelerator_of_one_process() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def carrier(group: ProcessGroup | None) -> torch.device:
    """Return the device whose tensors a group moves.

    There is one for the group, not one for each tensor: all ranks must choose the same, also a rank whose
    tensor lies elsewhere and one that has no tensor.
    """
    # A group with several backends says "cpu:gloo,cuda:nccl", one with gloo alone "cpu:gloo,cuda:gloo".
    pairs = [pair.split(":") for pair in dist.get_backend_config(group).split(",")]
    for kind in [kind for kind, name in pairs if kind != "cpu" and name not in CPU_BACKENDS]:
        if getattr(torch, kind).is_available():
            return _device_of_rank(kind)
    return torch.device("cpu")


def _device_of_rank(kind: str) -> torch.device:
    bound: torch.device | None = dist.group.WORLD.bound_device_id if dist.group.WORLD else None
    if bound is not None:  # as init_process_group(device_id=...) was told
        return bound
    module = getattr(torch, kind)
    chosen = module.current_device()
    if not chosen:
        # 0 is also what it is before anybody chose. Asking the other ranks for their hostnames is no way to tell:
        # those that have chosen would not take part. Modulo, as each process may be shown its own GPU alone.
        chosen = int(os.environ.get("LOCAL_RANK", get_rank())) % module.device_count()
    return torch.device(kind, chosen)


def checked_rank(name: str, rank: int, size: int | None = None) -> int:
    """Return a rank that an argument named, if there is such a process.

    One process alone is whichever was meant, so that what was written for several runs with it, too.

    Raises:
        TypeError: it is no integer.
        ValueError: it is outside of `[0, size)`; by default the size is that of the world.
    """
    check_is_integer(name, rank)
    if size is None and get_world_size() == 1 and rank >= 0:
        return 0
    size = get_world_size() if size is None else size
    if not 0 <= rank < size:
        raise ValueError(f"{name} must be in [0, {size}), as there are {size} process(es), got {rank}")
    return rank


def check_is_integer(name: str, rank: object) -> None:
    """Raise a TypeError for what cannot be a rank."""
    if not isinstance(rank, int) or isinstance(rank, bool):
        raise TypeError(f"{name} must be an integer, got {rank!r}")
