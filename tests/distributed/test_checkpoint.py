"""Checkpoint on several processes: one saves, and all know what is kept."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ignite_signals import Engine, Events
from ignite_signals.distributed import barrier
from ignite_signals.handlers import Checkpoint, ModelCheckpoint
from support.processes import Ranks


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def saved(rank: int, folder: Path, save_on_rank: int, asynchronous: bool) -> tuple[Any, Any, int, list[str]]:
    """Save three times with each kind, and return what this process knows of it."""
    trainer = Engine(lambda engine, batch: None)
    calls: list[str] = []
    arguments: dict[str, Any] = {"save_on_rank": save_on_rank, "asynchronous": asynchronous}
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, rank)
    handler = Checkpoint({"model": model}, folder, n_saved=2, **arguments)
    other = Checkpoint({"model": model}, lambda states, name: calls.append(name), **arguments)
    third = ModelCheckpoint(folder / "third", **arguments)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, handler)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, other)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, third, {"model": model})
    trainer.run([0], max_epochs=3)
    barrier()
    assert ["model_3.pt"] == files(folder / "third")
    assert third.last_checkpoint == folder / "third" / "model_3.pt"
    return handler.state_dict(), handler.last_checkpoint, trainer.state.saved_checkpoint, calls


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("save_on_rank", [0, 1])
def test_one_process_saves(ranks: Ranks, tmp_path: Path, save_on_rank: int, asynchronous: bool) -> None:
    """It is the one that was asked for; all have the same list and hear the same events."""
    results = ranks.run(saved, tmp_path, save_on_rank, asynchronous)
    known = {"saved": [(2, "model_2.pt"), (3, "model_3.pt")]}, tmp_path / "model_3.pt", 9
    assert [known, known] == [result[:3] for result in results]
    assert ["model_1.pt", "model_2.pt", "model_3.pt"] == results[save_on_rank][3]
    assert [] == results[1 - save_on_rank][3]
    assert ["model_2.pt", "model_3.pt", "third"] == files(tmp_path)
    assert save_on_rank == torch.load(tmp_path / "model_3.pt", weights_only=True)["weight"].item()


def sharded(parameters: Any) -> Any:
    """Return an optimizer whose state is spread over the processes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own, when it is imported first
        from torch.distributed.optim import ZeroRedundancyOptimizer
    return ZeroRedundancyOptimizer(parameters, torch.optim.Adam, lr=0.1)


def resumed(rank: int, folder: Path, epochs: int) -> tuple[Any, Any, list[float]]:
    """Train a parallel model, and go on where there is something to go on from."""
    torch.manual_seed(rank)
    model = DistributedDataParallel(nn.Linear(1, 1))
    optimizer = sharded(model.parameters())

    def step(engine: Engine, batch: torch.Tensor) -> None:
        optimizer.zero_grad()
        model(batch).sum().backward()
        optimizer.step()

    trainer = Engine(step)
    to_save = {"model": model, "optimizer": optimizer, "trainer": trainer}
    last = Checkpoint(to_save, folder, n_saved=2)
    best = Checkpoint(
        *({"model": model, "trainer": trainer}, folder, "best", lambda engine: [3, 5, 4, 4][engine.state.epoch - 1])
    )
    for handler in (last, best):
        trainer.add_event_handler(Events.EPOCH_COMPLETED, handler)
    path = last.resume_from()
    barrier()  # nobody saves before all have loaded
    trainer.run([torch.ones(1, 1)], max_epochs=epochs)
    barrier()
    return path and path.name, (last.state_dict(), best.state_dict()), [p.item() for p in model.parameters()]


@pytest.fixture
def own_ranks() -> Iterator[Ranks]:
    """Processes that no other test uses: what torch makes for DDP and ZeRO lives as long as they do."""
    two = Ranks()
    yield two
    two.close()


def test_all_processes_go_on_from_one_file(own_ranks: Ranks, tmp_path: Path) -> None:
    """A sharded optimizer is brought together on the one that saves; the end is that of a run without a stop."""
    whole = own_ranks.run(resumed, tmp_path / "whole", 4)
    assert [None, None] == [path for path, _, _ in own_ranks.run(resumed, tmp_path / "parts", 2)]
    (tmp_path / "parts" / "checkpoint_1.pt").unlink()  # which no list may have then
    parts = own_ranks.run(resumed, tmp_path / "parts", 4)
    assert ["checkpoint_2.pt"] * 2 == [path for path, _, _ in parts]
    assert whole[0] == whole[1]
    assert whole[0][1:] == parts[0][1:] == parts[1][1:]
    assert ["best_checkpoint_5.pt", "checkpoint_3.pt", "checkpoint_4.pt"] == files(tmp_path / "parts")
    Checkpoint.load_objects({"model": nn.Linear(1, 1)}, tmp_path / "parts" / "checkpoint_4.pt")


def lists(rank: int, folder: Path) -> Any:
    """Load a list of which one file is gone."""
    handler = Checkpoint({"model": nn.Linear(1, 1)}, folder, n_saved=3)
    barrier()
    handler.load_state_dict({"saved": [(1, "model_1.pt"), (2, "model_2.pt")]})
    return handler.state_dict()


def test_all_have_one_list_after_loading(ranks: Ranks, tmp_path: Path) -> None:
    """Else they would not agree on the next score."""
    (tmp_path / "model_2.pt").touch()
    assert [{"saved": [(2, "model_2.pt")]}] * 2 == ranks.run(lists, tmp_path)


def beyond(rank: int) -> str:
    with pytest.raises(ValueError, match="save_on_rank must be the rank of a process, got 2") as error:
        Checkpoint({"model": nn.Linear(1, 1)}, lambda states, name: None, save_on_rank=2)(Engine(lambda e, b: None))
    return str(error.value)


def test_a_rank_that_is_not_there(ranks: Ranks) -> None:
    """All refuse it."""
    one, other = ranks.run(beyond)
    assert one == other
