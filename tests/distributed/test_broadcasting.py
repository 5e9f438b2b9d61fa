"""broadcast: every process gets what one has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ignite_signals.distributed import all_reduce, broadcast
from support.processes import Ranks


def received(rank: int, values: list[Any], src: int, safe_mode: bool) -> Any:
    return broadcast(values[rank], src=src, safe_mode=safe_mode)


def received_by_a_placeholder(rank: int) -> tuple[list[float], list[float], bool]:
    mine = torch.full((2,), float(rank + 1), requires_grad=True)
    result = broadcast(mine, src=1)
    return mine.tolist(), result.tolist(), rank == 1 or result.requires_grad


def message(rank: int, values: list[Any], kwargs: dict[str, Any]) -> str:
    """Return the error, after which the ranks still understand each other."""
    with pytest.raises((TypeError, ValueError)) as error:
        broadcast(values[rank], **kwargs)
    assert 2 == all_reduce(1)
    return str(error.value)


@pytest.mark.parametrize("src", [0, 1])
@pytest.mark.parametrize(
    "values", [[1, 2], [0.1, 0.7], ["a", "ж"], ["", "b" * 999], [Path("a"), Path("b/c")], [True, False]]
)
def test_every_rank_gets_the_sources_value(ranks: Ranks, values: list[Any], src: int) -> None:
    """Numbers, strings and paths arrive exactly."""
    results = ranks.run(received, values, src, False)

    assert [values[src]] * 2 == results
    assert [type(values[src])] * 2 == [type(result) for result in results]


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([[1.5, 2.5]]), torch.tensor(7), torch.empty(0, 3), torch.tensor([True, False]),
        torch.tensor([1 + 2j]), torch.tensor([0.5]).bfloat16(), torch.arange(4).reshape(2, 2).t(),
    ],
)  # fmt: skip
def test_tensors_arrive_in_their_shape_and_dtype(ranks: Ranks, tensor: Tensor) -> None:
    """The others may pass None in safe mode, or a placeholder, which is not looked at."""
    for values, safe_mode in (([tensor, None], True), ([tensor, torch.zeros(1)], False)):
        for result in ranks.run(received, values, 0, safe_mode):
            assert (tensor.shape, tensor.dtype, tensor.tolist()) == (result.shape, result.dtype, result.tolist())


@pytest.mark.parametrize("placeholder", [None, 3, "a", [1], torch.ones(2)])
def test_in_safe_mode_the_others_may_pass_anything(ranks: Ranks, placeholder: Any) -> None:
    """The type is the source's."""
    assert ["here"] * 2 == ranks.run(received, [placeholder, "here"], 1, True)


def test_what_was_passed_is_not_changed(ranks: Ranks) -> None:
    """The placeholder stays, and the result has no history."""
    assert [([1.0, 1.0], [2.0, 2.0], False), ([2.0, 2.0], [2.0, 2.0], True)] == ranks.run(received_by_a_placeholder)


def test_a_source_outside_of_the_world_is_refused(ranks: Ranks) -> None:
    """The error says which there are."""
    assert ["src must be in [0, 2), as there are 2 process(es), got 2"] * 2 == ranks.run(message, [1, 1], {"src": 2})


def test_another_type_is_named(ranks: Ranks) -> None:
    """Every rank is told what it passed."""
    assert ["tensor must be a tensor, number, string or path, got [1] of type list"] * 2 == ranks.run(
        message, [[1], [1]], {}
    )


@pytest.mark.parametrize("value", [torch.tensor([1.0]), 3, 0.1, "a", Path("a")])
def test_one_process_gets_its_own(value: Any) -> None:
    """There is nothing to exchange, as with PyTorch-Ignite."""
    assert value is broadcast(value)
    assert value is pytest.importorskip("ignite.distributed").broadcast(value)


def test_the_source_must_have_something() -> None:
    """None is no value, in safe mode neither."""
    with pytest.raises(ValueError, match="tensor must not be None on the source, rank 0"):
        broadcast(None, safe_mode=True)


def test_none_needs_safe_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rank that is not the source is told of safe_mode."""
    monkeypatch.setattr("ignite_signals.distributed.broadcasting.get_rank", lambda: 1)

    with pytest.raises(ValueError, match="tensor must not be None on rank 1; pass safe_mode=True"):
        broadcast(None)


def test_one_process_is_every_source() -> None:
    """What was written for several processes runs with one, which has the value already."""
    assert 1.0 == broadcast(1.0, src=1)
    with pytest.raises(ValueError, match=r"src must be in \[0, 1\), as there are 1 process\(es\), got -1"):
        broadcast(1.0, src=-1)
