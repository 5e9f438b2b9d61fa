"""Nodes: the machines, and which processes run on each.

torchrun tells each process its place; without torchrun the hostnames tell it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch.distributed as dist

from ignite_signals.distributed.groups import gather_objects
from ignite_signals.distributed.world import get_rank, initialized

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = ["get_local_rank", "get_nnodes", "get_node_rank", "get_nproc_per_node", "hostname"]

# The hostname of every rank, of each world: gathered once, forgotten with the world.
_hostnames: WeakKeyDictionary[ProcessGroup, list[str]] = WeakKeyDictionary()


def hostname() -> str:
    """Return the name of the machine that this process runs on.

    >>> hostname() == socket.gethostname()
    True
    """
    return socket.gethostname()


def get_local_rank() -> int:
    """Return this process's number among those of its machine, from 0; 0 with one process.

    It is torchrun's LOCAL_RANK; where that is not set, every rank must take part in the first of the calls that
    ask for hostnames.

    Raises:
        ValueError: LOCAL_RANK is not an integer.

    >>> get_local_rank()
    0
    """
    return _told("LOCAL_RANK", 0, lambda hosts, rank: hosts[:rank].count(hosts[rank]))


def get_nproc_per_node() -> int:
    """Return the number of processes on this machine; 1 with one process.

    It is torchrun's LOCAL_WORLD_SIZE; otherwise the hostnames tell it, as for `get_local_rank`.

    >>> get_nproc_per_node()
    1
    """
    return _told("LOCAL_WORLD_SIZE", 1, lambda hosts, rank: hosts.count(hosts[rank]))


def get_node_rank() -> int:
    """Return this machine's number, from 0, in the order of the ranks that run there; 0 with one process.

    It is torchrun's GROUP_RANK; otherwise the hostnames tell it, as for `get_local_rank`.

    >>> get_node_rank()
    0
    """
    return _told("GROUP_RANK", 0, lambda hosts, rank: list(dict.fromkeys(hosts)).index(hosts[rank]))


def get_nnodes() -> int:
    """Return the number of machines; 1 with one process.

    It is torchrun's GROUP_WORLD_SIZE; otherwise the hostnames tell it, as for `get_local_rank`.

    >>> get_nnodes()
    1
    """
    return _told("GROUP_WORLD_SIZE", 1, lambda hosts, rank: len(set(hosts)))


def _told(variable: str, alone: int, by_hostnames: Callable[[list[str], int], int]) -> int:
    if not initialized():
        return alone
    value = os.environ.get(variable)
    if value is None:
        return by_hostnames(_all_hostnames(), get_rank())
    if not value.isdecimal():
        raise ValueError(f"the environment variable {variable} must be an integer, got {value!r}; set or unset it")
    return int(value)


def _all_hostnames() -> list[str]:
    world = dist.group.WORLD
    assert world is not None
    if world not in _hostnames:
        _hostnames[world] = gather_objects(hostname(), world)
    return _hostnames[world]
