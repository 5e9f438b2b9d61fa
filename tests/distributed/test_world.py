"""The world: who this process is, and where it works."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist

from ignite_signals.distributed import (
    backend,
    device,
    get_local_rank,
    get_nnodes,
    get_node_rank,
    get_nproc_per_node,
    get_rank,
    get_world_size,
    hostname,
    world,
)
from support.processes import Ranks

ANSWERS = [backend, device, get_rank, get_world_size, get_local_rank, get_nproc_per_node, get_nnodes, get_node_rank]


def answers(rank: int) -> list[Any]:
    return [answer() for answer in ANSWERS]


def world_destroyed_and_made_again(rank: int, store: str) -> list[tuple[int, int, str | None]]:
    seen = []
    for made in (False, True):
        dist.destroy_process_group()
        if made:
            # The ranks change their places, which a cache would not notice.
            dist.init_process_group("gloo", init_method=f"file://{store}", rank=1 - rank, world_size=2)
            seen.append((get_rank(), get_local_rank(), backend()))
            dist.destroy_process_group()
            dist.init_process_group("gloo", init_method=f"file://{store}-2", rank=rank, world_size=2)
        else:
            seen.append((get_rank(), get_local_rank(), backend()))
            dist.init_process_group("gloo", init_method=f"file://{store}-1", rank=rank, world_size=2)
    return seen


def test_one_process_is_rank_0_of_1() -> None:
    """Without a process group there is one process, on one machine."""
    assert [None, 0, 1, 0, 1, 1, 0] == [answer() for answer in ANSWERS if answer is not device]


def test_one_process_answers_as_ignite_does() -> None:
    """The device is one that programs may move their model to, as with PyTorch-Ignite."""
    theirs = pytest.importorskip("ignite.distributed")

    assert [getattr(theirs, a.__name__)() for a in [*ANSWERS, hostname]] == [a() for a in [*ANSWERS, hostname]]


def test_one_process_does_not_believe_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A LOCAL_RANK without a process group would contradict the rank and the world's size."""
    monkeypatch.setenv("LOCAL_RANK", "3")

    assert 0 == get_local_rank()


def test_two_processes_know_their_places(ranks: Ranks) -> None:
    """Without torchrun the hostnames tell that both are on one machine."""
    cpu = torch.device("cpu")
    assert [["gloo", cpu, 0, 2, 0, 2, 1, 0], ["gloo", cpu, 1, 2, 1, 2, 1, 0]] == ranks.run(answers)


def test_the_world_is_looked_up_at_each_call(ranks: Ranks, tmp_path: Any) -> None:
    """A world that was destroyed is over, one made later is seen."""
    assert [
        [(0, 0, None), (1, 1, "gloo")],
        [(0, 0, None), (0, 0, "gloo")],
    ] == ranks.run(world_destroyed_and_made_again, str(tmp_path / "store"))


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pretend to be a rank on a machine with four GPUs, whatever the test machine has."""

    def pretend(
        config: str, rank: int = 0, current: int = 0, bound: torch.device | None = None, gpus: int = 4, **env: str
    ) -> None:
        gpu = SimpleNamespace(is_available=lambda: gpus > 0, current_device=lambda: current, device_count=lambda: gpus)
        monkeypatch.setattr(dist, "get_backend_config", lambda group: config)
        monkeypatch.setattr(torch, "cuda", gpu)
        monkeypatch.setattr(torch, "xpu", gpu)
        monkeypatch.setattr(dist, "is_initialized", lambda: True)
        monkeypatch.setattr(dist, "get_rank", lambda: rank)
        monkeypatch.setattr(world.dist, "group", SimpleNamespace(WORLD=SimpleNamespace(bound_device_id=bound)))
        monkeypatch.delenv("LOCAL_RANK", raising=False)
        for name, value in env.items():
            monkeypatch.setenv(name, value)

    return pretend


@pytest.mark.parametrize(
    ("expected", "circumstances"),
    [
        ("cuda:1", {"config": "cuda:nccl", "rank": 5, "LOCAL_RANK": "1"}),
        ("cuda:1", {"config": "cuda:nccl", "rank": 5}),
        ("cuda:3", {"config": "cuda:nccl", "current": 3, "LOCAL_RANK": "1"}),
        ("cuda:2", {"config": "cuda:nccl", "current": 3, "bound": torch.device("cuda:2")}),
        ("cuda:0", {"config": "cuda:nccl", "gpus": 1, "LOCAL_RANK": "3"}),
        ("cuda:1", {"config": "cpu:gloo,cuda:nccl", "rank": 1}),
        ("cpu", {"config": "cpu:gloo,cuda:nccl", "gpus": 0}),
        ("cpu", {"config": "cpu:gloo,cuda:gloo", "rank": 1}),
        ("xpu:1", {"config": "xpu:xccl", "rank": 1}),
    ],
)
def test_the_device_is_one_that_the_backend_moves(expected: str, circumstances: dict[str, Any], pretend: Any) -> None:
    """A bound or chosen GPU is respected; otherwise the local rank names it, among those that are seen."""
    pretend(**circumstances)

    assert torch.device(expected) == device()


def test_importing_it_loads_nothing_beside_torch() -> None:
    """The package's other parts stay out, since distributed is a leaf."""
    program = (
        "import sys, torch; before = set(sys.modules); import ignite_signals.distributed; "
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout

    assert not {"ignite", "numpy", "pandas", "matplotlib"} & set(eval(shown))
