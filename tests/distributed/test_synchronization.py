"""Synchronization: which process goes first, and who waits for whom."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from ignite_signals.distributed import all_reduce, barrier, get_rank, one_rank_first, one_rank_only
from support.processes import Ranks

LATE = 0.15


@one_rank_only()
def name_of_first(name: str) -> str:
    """Return the name."""
    return f"{name} {get_rank()}"


@one_rank_only(rank=1, with_barrier=True)
def write_late(path: Path) -> None:
    time.sleep(LATE)
    path.write_text("written")


@one_rank_only(with_barrier=True)
def fail() -> None:
    raise OSError("no space")


@one_rank_only(rank=2)
def on_nobody() -> None:
    raise AssertionError


def names(rank: int) -> str | None:
    return name_of_first("rank")


def seen_after_writing(rank: int, path: Path) -> str:
    write_late(path)
    return path.read_text()


def failure(rank: int) -> str:
    try:
        fail()
    except OSError as error:
        return str(error)
    return "passed the barrier"


def message(rank: int) -> str:
    with pytest.raises(ValueError, match="rank must be") as error:
        on_nobody()
    return str(error.value)


def seen_when_entering(rank: int, path: Path, first: int, local: bool) -> bool:
    with one_rank_first(first, local=local):
        was_there = path.exists()
        if rank == first:
            time.sleep(LATE)
        path.touch()
    return was_there


def failure_of_the_first(rank: int) -> str:
    try:
        with one_rank_first():
            if rank == 0:
                raise OSError("no network")
    except OSError as error:
        return str(error)
    return "entered"


def first_outside(rank: int, local: bool) -> str:
    with pytest.raises(ValueError, match="rank must be") as error, one_rank_first(2, local=local):
        pass
    assert 2 == all_reduce(1)
    return str(error.value)


def waited(rank: int) -> bool:
    start = time.monotonic()
    if rank == 0:
        time.sleep(LATE)
    barrier()
    return time.monotonic() - start >= LATE / 2


def test_a_barrier_waits_for_the_last(ranks: Ranks) -> None:
    """No rank goes on before all are there."""
    barrier_is_passed = ranks.run(waited)

    assert [True, True] == barrier_is_passed


def test_a_function_runs_on_one_rank(ranks: Ranks) -> None:
    """The others return None."""
    assert ["rank 0", None] == ranks.run(names)


def test_with_a_barrier_all_see_what_it_did(ranks: Ranks, tmp_path: Path) -> None:
    """The others wait until it has run."""
    assert ["written", "written"] == ranks.run(seen_after_writing, tmp_path / "file")


def test_a_failure_does_not_leave_the_others_waiting(ranks: Ranks) -> None:
    """The rank that ran it raises, the others go on."""
    assert ["no space", "passed the barrier"] == ranks.run(failure)


def test_a_rank_that_nobody_has_is_named(ranks: Ranks) -> None:
    """Otherwise the function would never run, and nobody would know."""
    assert ["rank must be in [0, 2), as there are 2 process(es), got 2"] * 2 == ranks.run(message)


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("first", [0, 1])
def test_one_rank_goes_first(ranks: Ranks, tmp_path: Path, first: int, local: bool) -> None:
    """The others find what it left; on one machine the local rank is the rank."""
    assert [rank != first for rank in (0, 1)] == ranks.run(seen_when_entering, tmp_path / "file", first, local)


def test_the_others_go_on_where_the_first_fails(ranks: Ranks) -> None:
    """They would wait for ever."""
    assert ["no network", "entered"] == ranks.run(failure_of_the_first)


@pytest.mark.parametrize("local", [False, True])
def test_the_first_must_be_a_rank(ranks: Ranks, local: bool) -> None:
    """Every rank is told which there are."""
    assert ["rank must be in [0, 2), as there are 2 process(es), got 2"] * 2 == ranks.run(first_outside, local)


def test_one_process_does_everything() -> None:
    """It is rank 0, goes first, and waits for nobody."""
    with one_rank_first(local=True):
        entered = True
    barrier()

    assert entered
    assert "rank 0" == name_of_first("rank")
    assert ("name_of_first", "Return the name.") == (name_of_first.__name__, name_of_first.__doc__)


def test_one_process_is_every_rank() -> None:
    """What was written for several processes runs with one; PyTorch-Ignite calls nothing then."""
    assert "called" == one_rank_only(1)(lambda: "called")()
    with one_rank_first(1):
        pass


def test_one_process_is_no_negative_rank() -> None:
    """A rank that no world has is a mistake, which PyTorch-Ignite does not tell."""
    with pytest.raises(ValueError, match=r"rank must be in \[0, 1\), as there are 1 process\(es\), got -1"):
        one_rank_only(-1)(print)()
    with pytest.raises(ValueError, match=r"rank must be in \[0, 1\), .* got -1"), one_rank_first(-1):
        pass


@pytest.mark.parametrize("rank", [print, "0", True])
def test_a_rank_is_an_integer(rank: Any) -> None:
    """A decorator without its parentheses is told at once."""
    with pytest.raises(TypeError, match="rank must be an integer, got"):
        one_rank_only(rank)
