"""all_reduce: one value of what all processes have."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ignite_signals.distributed import all_reduce, new_group
from support.processes import Ranks

DTYPES = [
    torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32,
    torch.float16, torch.bfloat16, torch.float32, torch.float64,
]  # fmt: skip


def reduced(rank: int, values: list[Any], op: str) -> tuple[Any, bool]:
    """Return the result, and whether what was passed is as it was."""
    value = values[rank]
    before = value.clone() if isinstance(value, Tensor) else value
    result = all_reduce(value, op)
    return result, bool(torch.equal(before, value)) if isinstance(value, Tensor) else before == value


def reduced_of_each(rank: int, tensors: list[list[Tensor]]) -> list[Tensor]:
    return [all_reduce(pair[rank]) for pair in tensors]


def history(rank: int) -> tuple[bool, float]:
    leaf = torch.ones(2, requires_grad=True)
    result = all_reduce(leaf * 2)
    return result.requires_grad, float(result.sum())


def strided(rank: int) -> Tensor:
    """Sum a transposed matrix with one that is laid out in rows."""
    rows = torch.arange(6.0).reshape(2, 3)
    return all_reduce(rows if rank else rows.t().contiguous().t())


def in_groups(rank: int) -> list[Any]:
    alone = new_group([1])
    both = new_group([0, 1])
    return [all_reduce(rank + 1, group=group) for group in (alone, both, [1], [0, 1], [1, 0], None)]


def messages(rank: int, arguments: list[tuple[Any, ...]]) -> list[str]:
    """Return the errors, after which the ranks still understand each other."""
    texts = []
    for args in arguments:
        with pytest.raises((TypeError, ValueError)) as error:
            all_reduce(*args)
        texts.append(str(error.value))
    assert 2 == all_reduce(1)
    return texts


OPS = "op must be one of SUM, PRODUCT, MIN, MAX, AND, OR, got"
NOT_INTEGRAL = "tensor must have integers or bools for the op"
WRONG: list[tuple[tuple[Any, ...], str]] = [
    ((1, "MEAN"), f"{OPS} 'MEAN'"),
    ((torch.ones(1), "sum"), f"{OPS} 'sum'"),
    (("a",), "tensor must be a tensor or a number, got 'a' of type str"),
    ((None,), "tensor must be a tensor or a number, got None of type NoneType"),
    ((1.5, "AND"), f"{NOT_INTEGRAL} AND, got float; compare or convert it first"),
    ((torch.ones(1), "OR"), f"{NOT_INTEGRAL} OR, got torch.float32; compare or convert it first"),
]


@pytest.mark.parametrize(
    ("op", "expected"), [("SUM", 8), ("PRODUCT", 15), ("MIN", 3), ("MAX", 5), ("AND", 1), ("OR", 7)]
)
def test_ops_of_integers(ranks: Ranks, op: str, expected: int) -> None:
    """Tensors and numbers are reduced alike, and what was passed is not changed."""
    assert [(expected, True)] * 2 == ranks.run(reduced, [3, 5], op)
    assert [(torch.tensor([expected]), True)] * 2 == ranks.run(reduced, [torch.tensor([3]), torch.tensor([5])], op)


@pytest.mark.parametrize(("op", "expected"), [("SUM", 2.25), ("PRODUCT", 0.5), ("MIN", 0.25), ("MAX", 2.0)])
def test_ops_of_floats(ranks: Ranks, op: str, expected: float) -> None:
    """Tensors and numbers are reduced alike."""
    assert [(expected, True)] * 2 == ranks.run(reduced, [0.25, 2.0], op)
    assert [(torch.tensor(expected), True)] * 2 == ranks.run(reduced, [torch.tensor(0.25), torch.tensor(2.0)], op)


@pytest.mark.parametrize("op", ["SUM", "PRODUCT", "MIN", "MAX", "AND", "OR"])
def test_ops_of_bools(ranks: Ranks, op: str) -> None:
    """Bools stay bools: SUM, MAX and OR ask whether any is true, the others whether all are."""
    first, second = torch.tensor([False, False, True]), torch.tensor([False, True, True])
    joined = first | second if op in ("SUM", "MAX", "OR") else first & second

    [(result, unchanged), (other, _)] = ranks.run(reduced, [first, second], op)

    assert torch.bool == result.dtype
    assert joined.tolist() == result.tolist() == other.tolist()
    assert unchanged
    assert [op in ("SUM", "MAX", "OR")] * 2 == [number for number, _ in ranks.run(reduced, [True, False], op)]
    assert [bool] * 2 == [type(number) for number, _ in ranks.run(reduced, [True, False], op)]


def test_dtypes_are_kept(ranks: Ranks) -> None:
    """Each dtype is summed, also those that the backend does not know."""
    pairs = [[torch.tensor([1, 2]).to(dtype), torch.tensor([3, 4]).to(dtype)] for dtype in DTYPES]

    for results in ranks.run(reduced_of_each, pairs):
        assert DTYPES == [result.dtype for result in results]
        assert [[4.0, 6.0]] * len(DTYPES) == [result.double().tolist() for result in results]


def test_complex_numbers_are_summed(ranks: Ranks) -> None:
    """Tensors and numbers alike."""
    assert [(4 + 1j, True)] * 2 == ranks.run(reduced, [1 + 1j, 3 + 0j], "SUM")
    assert [(torch.tensor([4 + 1j]), True)] * 2 == ranks.run(
        reduced, [torch.tensor([1 + 1j]), torch.tensor([3 + 0j])], "SUM"
    )


def test_numbers_are_exact(ranks: Ranks) -> None:
    """Floats keep their precision, and integers have no largest."""
    assert [(0.1 + 0.2, True)] * 2 == ranks.run(reduced, [0.1, 0.2], "SUM")
    assert [(2**80 + 1, True)] * 2 == ranks.run(reduced, [2**80, 1], "SUM")


def test_ranks_may_have_an_integer_and_a_float(ranks: Ranks) -> None:
    """A rank that has seen nothing may start from 0."""
    assert [(1.5, True)] * 2 == ranks.run(reduced, [0, 1.5], "SUM")


def test_layouts_may_differ(ranks: Ranks) -> None:
    """Elements meet by their index, not by their place in memory."""
    assert [[[0, 2, 4], [6, 8, 10]]] * 2 == [result.tolist() for result in ranks.run(strided)]


def test_the_result_has_no_history(ranks: Ranks) -> None:
    """The sum of tensors that need gradients is detached."""
    assert [(False, 8.0)] * 2 == ranks.run(history)


def test_groups_reduce_among_themselves(ranks: Ranks) -> None:
    """A rank outside of the group gets its own value back."""
    assert [[1, 3, 1, 3, 3, 3], [2, 3, 2, 3, 3, 3]] == ranks.run(in_groups)


@pytest.mark.parametrize("value", [torch.tensor([1.0]), torch.tensor(True), 3, 0.5, False])
def test_one_process_gets_its_own(value: Any) -> None:
    """There is nothing to exchange, as with PyTorch-Ignite."""
    assert value is all_reduce(value)
    assert pytest.importorskip("ignite.distributed").all_reduce(value) is all_reduce(value)


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_one_process_refuses_what_many_would(arguments: tuple[Any, ...], message: str) -> None:
    """A mistake shows before the program runs on many processes."""
    with pytest.raises((TypeError, ValueError)) as error:
        all_reduce(*arguments)

    assert message == str(error.value)


def test_every_rank_refuses_alike(ranks: Ranks) -> None:
    """An error is raised before anything is exchanged."""
    assert [[message for _, message in WRONG]] * 2 == ranks.run(messages, [arguments for arguments, _ in WRONG])


def test_what_is_no_group_is_refused(ranks: Ranks) -> None:
    """The error says what a group is."""
    (first, second), _ = ranks.run(messages, [(1, "SUM", "all"), (1, "SUM", [0, 2])])

    assert "group must be what new_group returned, a list of ranks or None, got 'all'" == first
    assert "ranks must be in [0, 2), as there are 2 process(es), got (0, 2)" == second


@pytest.mark.parametrize(("op", "expected"), [("MIN", [1.0, 3.0]), ("MAX", [2.0, 5.0])])
@pytest.mark.parametrize("rank", [0, 1])
def test_a_nan_on_any_rank_stays_one(ranks, op, expected, rank):
    """The order of the ranks does not decide whether a NaN is seen, and the other entries are what they are."""
    values = [torch.tensor([1.0, 3.0, 0.0]), torch.tensor([2.0, 5.0, 0.0])]
    values[rank][2] = torch.nan
    for result, _ in ranks.run(reduced, values, op):
        assert (expected, True) == (result[:2].tolist(), bool(result[2].isnan()))
