"""Nodes: the machines, and which processes run on each."""

from __future__ import annotations

import os
import re
import socket
from unittest import mock

import pytest

from ignite_signals.distributed import get_local_rank, get_nnodes, get_node_rank, get_nproc_per_node, hostname, nodes
from support.processes import Ranks

HOSTS = ["a", "b", "a", "b", "b"]


def with_hostname(rank: int, names: tuple[str, str]) -> tuple[int, int, int, int]:
    nodes._hostnames.clear()
    with mock.patch.object(nodes, "hostname", return_value=names[rank]):
        place = get_local_rank(), get_nproc_per_node(), get_node_rank(), get_nnodes()
    nodes._hostnames.clear()
    return place


def with_torchrun(rank: int) -> tuple[int, int, int, int]:
    told = {"LOCAL_RANK": "7", "LOCAL_WORLD_SIZE": "8", "GROUP_RANK": "2", "GROUP_WORLD_SIZE": "3"}
    with mock.patch.dict(os.environ, told):
        return get_local_rank(), get_nproc_per_node(), get_node_rank(), get_nnodes()


def with_a_wrong_local_rank(rank: int) -> str:
    with mock.patch.dict(os.environ, {"LOCAL_RANK": "first"}), pytest.raises(ValueError, match="LOCAL_RANK") as error:
        get_local_rank()
    return str(error.value)


def gathered_once(rank: int) -> int:
    nodes._hostnames.clear()
    with mock.patch.object(nodes, "gather_objects", wraps=nodes.gather_objects) as gather:
        for ask in (get_local_rank, get_nnodes, get_local_rank):
            ask()
    return gather.call_count


def test_the_hostname_is_the_machines() -> None:
    """It is what the socket module says."""
    assert socket.gethostname() == hostname()


def test_ranks_of_two_machines(ranks: Ranks) -> None:
    """Each is the first process of its machine."""
    assert [(0, 1, 0, 2), (0, 1, 1, 2)] == ranks.run(with_hostname, ("a", "b"))


def test_ranks_of_one_machine(ranks: Ranks) -> None:
    """They are numbered in the order of their ranks."""
    assert [(0, 2, 0, 1), (1, 2, 0, 1)] == ranks.run(with_hostname, ("a", "a"))


@pytest.mark.parametrize(("rank", "place"), [(0, (0, 2, 0)), (1, (0, 3, 1)), (2, (1, 2, 0)), (4, (2, 3, 1))])
def test_ranks_may_be_spread_in_any_order(monkeypatch: pytest.MonkeyPatch, rank: int, place: tuple[int, ...]) -> None:
    """Machines may differ in their number of processes, and take turns."""
    monkeypatch.setattr(nodes, "initialized", lambda: True)
    monkeypatch.setattr(nodes, "get_rank", lambda: rank)
    monkeypatch.setattr(nodes, "_all_hostnames", lambda: HOSTS)

    assert place == (get_local_rank(), get_nproc_per_node(), get_node_rank())


def test_torchrun_is_believed(ranks: Ranks) -> None:
    """What torchrun set is not asked of the hostnames."""
    assert [(7, 8, 2, 3)] * 2 == ranks.run(with_torchrun)


def test_an_environment_variable_that_is_no_number_is_named(ranks: Ranks) -> None:
    """The error says which variable and what it was."""
    for message in ranks.run(with_a_wrong_local_rank):
        assert re.search("variable LOCAL_RANK must be an integer, got 'first'; set or unset it", message)


def test_hostnames_are_gathered_once(ranks: Ranks) -> None:
    """Later questions exchange nothing."""
    assert [1, 1] == ranks.run(gathered_once)
