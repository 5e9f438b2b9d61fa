"""Groups: which processes exchange something with each other."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch.distributed as dist

from ignite_signals.distributed import all_gather, groups, new_group
from support.processes import Ranks


def sizes(rank: int) -> list[Any]:
    made = [new_group([0, 1]), new_group([1], backend="gloo")]
    return [group.size() if isinstance(group, dist.ProcessGroup) else None for group in made]


def made_by_ranks(rank: int) -> tuple[int, list[str]]:
    """Count the groups that torch makes for one that is named by its ranks."""
    before = len(dist.distributed_c10d._world.pg_map)
    gathered = [all_gather("x", group=group) for group in ([0, 1], (1, 0), [0, 1])]
    return len(dist.distributed_c10d._world.pg_map) - before, gathered[-1]


def forgotten(rank: int, store: str) -> tuple[int, bool]:
    all_gather(rank, group=[0, 1])
    world = weakref.ref(dist.group.WORLD)
    dist.destroy_process_group()
    gc.collect()
    left = len(groups._by_ranks), world() is None
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    return left


def message(rank: int, ranks: Any) -> str:
    with pytest.raises((TypeError, ValueError)) as error:
        new_group(ranks)
    return str(error.value)


def test_a_group_has_its_ranks(ranks: Ranks) -> None:
    """What a rank outside of it gets is no group."""
    assert [[2, None], [2, 1]] == ranks.run(sizes)


def test_a_group_named_by_its_ranks_is_made_once(ranks: Ranks) -> None:
    """The order of the ranks does not matter, and torch would keep each group until the world ends."""
    ranks.run(made_by_ranks)

    assert [(0, ["x", "x"])] * 2 == ranks.run(made_by_ranks)


def test_groups_are_forgotten_with_their_world(ranks: Ranks, tmp_path: Any) -> None:
    """Nothing keeps a destroyed world alive."""
    assert [(0, True)] * 2 == ranks.run(forgotten, str(tmp_path / "store"))


@pytest.mark.parametrize("wrong", [[0, 2], [-1], []])
def test_ranks_outside_of_the_world_are_refused(ranks: Ranks, wrong: list[int]) -> None:
    """Every rank is told which there are."""
    assert [f"ranks must be in [0, 2), as there are 2 process(es), got {wrong}"] * 2 == ranks.run(message, wrong)


def test_one_process_gets_the_ranks_back() -> None:
    """They are what the argument group takes, as with PyTorch-Ignite."""
    assert [0, 1] == new_group([0, 1])
    assert pytest.importorskip("ignite.distributed").new_group([0, 1]) == new_group([0, 1])
    assert ["x"] == all_gather("x", group=new_group([0]))


@pytest.mark.parametrize("wrong", ["01", 0, None, [0.5], ["0"]])
def test_ranks_must_be_integers(wrong: Any) -> None:
    """Something else is refused, with one process too."""
    with pytest.raises(TypeError, match="ranks must be a list of integers, got"):
        new_group(wrong)
