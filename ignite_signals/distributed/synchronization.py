"""Synchronization: which process goes first, and who waits for whom."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import torch.distributed as dist

from ignite_signals.distributed.nodes import get_local_rank, get_nproc_per_node
from ignite_signals.distributed.world import carrier, check_is_integer, checked_rank, get_rank, initialized

__all__ = ["barrier", "one_rank_first", "one_rank_only"]

P = ParamSpec("P")
R = TypeVar("R")


def barrier() -> None:
    """Wait until every process is here.

    >>> barrier()
    """
    if not initialized():
        return
    device = carrier(dist.group.WORLD)
    # nccl would guess the GPU, warn, and hang where it guessed wrong.
    dist.barrier(device_ids=None if device.type == "cpu" else [device.index])


def one_rank_only(rank: int = 0, with_barrier: bool = False) -> Callable[[Callable[P, R]], Callable[P, R | None]]:
    """Make a function, such as a handler, run on one process alone.

    Files are written by one, metrics are logged by one. What needs every process, such as the computing of a
    metric, must not be inside.

    Args:
        rank: the process that runs it; the others return None.
        with_barrier: let all wait until it has run, or failed.

    Raises:
        TypeError: `rank` is not an integer.
        ValueError: `rank` is outside of the world; the call says so, since a decorator may run before there is one.

    >>> @one_rank_only()
    ... def save(path):
    ...     return f"saved {path}"
    >>> save("model.pt")
    'saved model.pt'
    """

    check_is_integer("rank", rank)  # at once, for a decorator without its parentheses

    def decorate(function: Callable[P, R]) -> Callable[P, R | None]:
        @functools.wraps(function)
        def on_one_rank(*args: P.args, **kwargs: P.kwargs) -> R | None:
            is_chosen = get_rank() == checked_rank("rank", rank)
            try:
                return function(*args, **kwargs) if is_chosen else None
            finally:
                if with_barrier:
                    barrier()

        return on_one_rank

    return decorate


@contextmanager
def one_rank_first(rank: int = 0, local: bool = False) -> Iterator[None]:
    """Let one process run the block before the others, which then find what it left, such as a download.

    Args:
        rank: the process that goes first.
        local: `rank` is a local rank, so that one process of each machine goes first.

    Raises:
        TypeError: `rank` is not an integer.
        ValueError: `rank` is outside of the world, or with `local` of this machine's processes.

    >>> with one_rank_first():
    ...     print("downloaded")
    downloaded
    """
    is_first = (get_local_rank() if local else get_rank()) == checked_rank(
        "rank", rank, get_nproc_per_node() if local else None
    )
    if not is_first:
        barrier()
    try:
        yield
    finally:
        if is_first:  # also where its block failed: the others wait
            barrier()
