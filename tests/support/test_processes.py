"""Ranks: functions of tests run on several processes."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.distributed as dist

from support.processes import Ranks


@dataclasses.dataclass
class Point:
    x: int


@pytest.fixture(scope="module")
def impatient() -> Iterator[Ranks]:
    """Two processes that are soon given up."""
    two = Ranks(timeout=2, grace=0.2)
    yield two
    two.close()


def moved(rank: int, point: Point) -> Point:
    return Point(point.x + rank)


def fail(rank: int, failing: tuple[int, ...]) -> int:
    if rank in failing:
        raise ValueError(f"rank {rank} cannot")
    return rank


def fail_or_wait(rank: int) -> None:
    fail(rank, (0,))
    time.sleep(60)


def sleep_on_one(rank: int) -> None:
    if rank == 1:
        time.sleep(60)


def summed(rank: int) -> torch.Tensor:
    tensor = torch.tensor([rank + 1.0])
    dist.all_reduce(tensor)
    return tensor


def end(rank: int) -> None:
    if rank == 1:
        os._exit(3)


def leave(rank: int) -> None:
    sys.exit("enough")


def warn(rank: int) -> None:
    warnings.warn("careful", stacklevel=1)


def pid(rank: int) -> int:
    return os.getpid()


def test_results_come_in_the_order_of_the_ranks(ranks: Ranks) -> None:
    """Arguments and results may be of the test module's own classes."""
    assert [Point(10), Point(11)] == ranks.run(moved, Point(10))


def test_the_ranks_are_in_one_group(ranks: Ranks) -> None:
    """They exchange tensors, which come back."""
    assert [torch.tensor([3.0])] * 2 == ranks.run(summed)


def test_processes_stay(ranks: Ranks) -> None:
    """Every call meets the same processes, since starting them is slow."""
    assert ranks.run(pid) == ranks.run(pid)


@pytest.mark.parametrize("failing", [(0,), (1,), (0, 1)])
def test_an_exception_is_told_with_its_rank(ranks: Ranks, failing: tuple[int, ...]) -> None:
    """The failure carries the traceback of each rank that raised, and the next call works in the same processes."""
    before = ranks.run(pid)

    with pytest.raises(AssertionError) as error:
        ranks.run(fail, failing)

    assert [f"ValueError: rank {rank} cannot" in str(error.value) for rank in (0, 1)] == [r in failing for r in (0, 1)]
    assert "in fail\n" in str(error.value)
    assert [torch.tensor([3.0])] * 2 == ranks.run(summed)
    assert before == ranks.run(pid)


@pytest.mark.parametrize(("function", "what"), [(leave, "SystemExit: enough"), (warn, "UserWarning: careful")])
def test_exits_and_warnings_are_failures(ranks: Ranks, function: Callable[..., Any], what: str) -> None:
    """A function that exits or warns fails its test."""
    with pytest.raises(AssertionError, match=what):
        ranks.run(function)


def test_a_rank_that_dies_is_told(impatient: Ranks) -> None:
    """The exit code is all that is left of it, and the next call works."""
    with pytest.raises(AssertionError, match="rank 1: the process ended with exit code 3"):
        impatient.run(end)

    assert [torch.tensor([3.0])] * 2 == impatient.run(summed)


def test_a_rank_that_waits_for_a_failed_one_is_ended(impatient: Ranks) -> None:
    """The failure says why, and where the other was; the next call starts new processes."""
    with pytest.raises(AssertionError) as error:
        impatient.run(fail_or_wait)

    assert "ValueError: rank 0 cannot" in str(error.value)
    assert "rank 1: no answer 0.2 s after another failed" in str(error.value)
    assert "in fail_or_wait" in str(error.value)


def test_a_rank_that_hangs_is_ended(impatient: Ranks) -> None:
    """No answer in time is a failure that says where the rank was."""
    with pytest.raises(AssertionError, match=r"rank 1: no answer within 2 s(.|\n)*in sleep_on_one"):
        impatient.run(sleep_on_one)

    assert [] == impatient._processes


def test_closing_ends_the_processes() -> None:
    """Nothing is left: no process, no folder; and closing what never started does nothing."""
    one = Ranks(size=1)
    one.close()
    assert [torch.tensor([1.0])] == one.run(summed)
    process, folder = one._processes[0], one._stack(0).parent

    one.close()

    assert (0, False) == (process.returncode, folder.exists())


def test_only_functions_of_a_module_can_be_sent(ranks: Ranks) -> None:
    """A lambda is refused before anything is sent."""
    with pytest.raises(TypeError, match=r"function must be defined at the top of a module, got .*<lambda>"):
        ranks.run(lambda rank: rank)
