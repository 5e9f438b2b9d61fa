"""Run the same program on many processes: who am I, what do the others have, who goes first.

Every function works with one process too, where it has nothing to do, so that a program need not ask.
"""

from ignite_signals.distributed.broadcasting import broadcast
from ignite_signals.distributed.gathering import all_gather, all_gather_tensors_with_shapes, gather_uneven
from ignite_signals.distributed.groups import new_group
from ignite_signals.distributed.nodes import get_local_rank, get_nnodes, get_node_rank, get_nproc_per_node, hostname
from ignite_signals.distributed.reduction import all_reduce
from ignite_signals.distributed.synchronization import barrier, one_rank_first, one_rank_only
from ignite_signals.distributed.world import backend, device, get_rank, get_world_size

__all__ = [
    "all_gather",
    "all_gather_tensors_with_shapes",
    "all_reduce",
    "backend",
    "barrier",
    "broadcast",
    "device",
    "gather_uneven",
    "get_local_rank",
    "get_nnodes",
    "get_node_rank",
    "get_nproc_per_node",
    "get_rank",
    "get_world_size",
    "hostname",
    "new_group",
    "one_rank_first",
    "one_rank_only",
]
