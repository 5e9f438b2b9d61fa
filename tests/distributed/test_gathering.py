"""Gathering: every process gets what all have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ignite_signals.distributed import (
    all_gather,
    all_gather_tensors_with_shapes,
    all_reduce,
    broadcast,
    gather_uneven,
    new_group,
)
from support.processes import Ranks

EVERY_DTYPE = [
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32,
    torch.uint64, torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128,
    torch.float8_e4m3fn,
]  # fmt: skip


def gathered(rank: int, values: list[Any]) -> Any:
    return all_gather(values[rank])


def uneven(rank: int, values: list[Tensor | None]) -> list[Tensor]:
    return gather_uneven(values[rank])


def with_shapes(rank: int, values: list[Tensor]) -> list[Tensor]:
    return all_gather_tensors_with_shapes(values[rank], [value.shape for value in values])


def each(rank: int, pairs: list[list[Tensor]]) -> list[Tensor]:
    return [all_gather(pair[rank]) for pair in pairs]


def each_uneven(rank: int, pairs: list[list[Tensor]]) -> list[list[Tensor]]:
    return [gather_uneven(pair[rank]) for pair in pairs]


def in_groups(rank: int, gather: Callable[..., Any], value: Any) -> list[Any]:
    return [gather(value, group=group) for group in (new_group([1]), [0], [0, 1], None)]


def changed(rank: int) -> tuple[list[float], bool]:
    """Change what was gathered, and see whether what was passed stays."""
    mine = torch.full((2,), float(rank), requires_grad=True)
    parts = [all_gather(mine), *gather_uneven(mine), *all_gather_tensors_with_shapes(mine, [(2,), (2,)])]
    for part in parts:
        part.add_(10)
    return mine.tolist(), any(part.requires_grad for part in parts)


def views(rank: int) -> list[list[Any]]:
    """Gather what is not laid out in rows: a transposed matrix, a conjugate, an expanded number."""
    matrix, conjugate = torch.arange(4).reshape(2, 2).t(), torch.tensor([1 + 2j]).conj()
    return [all_gather(tensor).tolist() for tensor in (matrix, conjugate, torch.tensor([rank]).expand(2))]


def devices_of_results(rank: int) -> list[str]:
    tensor = torch.ones(2, device="cuda")
    results = [
        all_gather(tensor),
        all_reduce(tensor),
        broadcast(tensor),
        *gather_uneven(tensor if rank else tensor[:1]),
    ]
    return [result.device.type for result in results]


def message(rank: int, gather: Callable[..., Any], arguments: list[tuple[Any, ...]]) -> str:
    """Return the error, after which the ranks still understand each other."""
    with pytest.raises((TypeError, ValueError)) as error:
        gather(*arguments[rank])
    assert 2 == all_reduce(1)
    return str(error.value)


def lists(tensors: list[Tensor]) -> list[Any]:
    return [tensor.tolist() for tensor in tensors]


def test_tensors_are_joined(ranks: Ranks) -> None:
    """They come in the order of the ranks, along the first dimension."""
    values = [torch.tensor([[1, 2]]), torch.tensor([[3, 4]])]

    assert [[[1, 2], [3, 4]]] * 2 == lists(ranks.run(gathered, values))


def test_single_numbers_get_a_dimension(ranks: Ranks) -> None:
    """A tensor of shape () becomes one of the world's size."""
    assert [[0.5, 1.5]] * 2 == lists(ranks.run(gathered, [torch.tensor(0.5), torch.tensor(1.5)]))


@pytest.mark.parametrize("values", [[1, 2], [0.1, 2**70], ["a", "длинный"], [{"x": [1]}, None], [True, "b"]])
def test_other_objects_come_in_a_list(ranks: Ranks, values: list[Any]) -> None:
    """Numbers, strings and whatever can be pickled keep their types and exact values."""
    results = ranks.run(gathered, values)

    assert [values] * 2 == results
    assert [type(value) for value in values] == [type(value) for value in results[0]]


def test_every_dtype_is_gathered(ranks: Ranks) -> None:
    """Also those that the backend does not know."""
    pairs = [[torch.tensor([0, 1]).to(dtype), torch.tensor([1, 0]).to(dtype)] for dtype in EVERY_DTYPE]

    for results in ranks.run(each, pairs):
        assert EVERY_DTYPE == [result.dtype for result in results]
        assert [[0, 1, 1, 0]] * len(pairs) == [result.to(torch.complex64).real.int().tolist() for result in results]


def test_empty_tensors_are_gathered(ranks: Ranks) -> None:
    """The other dimensions are kept."""
    assert [(0, 3)] * 2 == [tuple(result.shape) for result in ranks.run(gathered, [torch.empty(0, 3)] * 2)]


def test_layouts_do_not_matter(ranks: Ranks) -> None:
    """Views are gathered as what they show."""
    assert [[[[0, 2], [1, 3]] * 2, [1 - 2j] * 2, [0, 0, 1, 1]]] * 2 == ranks.run(views)


def test_what_was_passed_is_not_changed(ranks: Ranks) -> None:
    """The results are new tensors, without history."""
    assert [([0.0, 0.0], False), ([1.0, 1.0], False)] == ranks.run(changed)


@pytest.mark.parametrize(
    ("first", "second", "have"),
    [
        (torch.ones(2), torch.ones(3), "torch.float32 of shape (2,), torch.float32 of shape (3,)"),
        (torch.ones(2), torch.ones(2).int(), "torch.float32 of shape (2,), torch.int32 of shape (2,)"),
        (torch.ones(2), torch.tensor(1.0), "torch.float32 of shape (2,), torch.float32 of shape ()"),
        (torch.ones(2), 1.0, "torch.float32 of shape (2,), no tensor"),
    ],
)
def test_tensors_that_differ_are_refused_on_every_rank(ranks: Ranks, first: Any, second: Any, have: str) -> None:
    """The error says what each rank has; the backend would end the process."""
    results = ranks.run(message, all_gather, [(first,), (second,)])

    assert results[0] == results[1]
    assert f"got {have}, in the order of the ranks" in results[0]
    assert ("gather_uneven" in results[0]) == isinstance(second, Tensor)


@pytest.mark.parametrize("shapes", [((3,), (1,)), ((0,), (2,)), ((2, 3), (4, 3)), ((), ()), ((1, 2), (2, 1))])
def test_uneven_tensors_keep_their_shapes(ranks: Ranks, shapes: list[tuple[int, ...]]) -> None:
    """They come in the order of the ranks, the empty ones too, with shapes known or not."""
    values = [torch.arange(shape.numel()).reshape(shape) + 1 for shape in map(torch.Size, shapes)]

    for results in (*ranks.run(uneven, values), *ranks.run(with_shapes, values)):
        assert lists(values) == lists(results)
        assert [value.shape for value in values] == [result.shape for result in results]


@pytest.mark.parametrize("absent", [(0,), (1,), (0, 1)])
def test_a_rank_may_have_no_tensor(ranks: Ranks, absent: tuple[int, ...]) -> None:
    """Those that are there come, on every rank."""
    values = [None if rank in absent else torch.tensor([rank, 7]) for rank in (0, 1)]
    there = [[rank, 7] for rank in (0, 1) if rank not in absent]

    assert [there] * 2 == [lists(result) for result in ranks.run(uneven, values)]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (torch.int64, torch.float32, torch.float32),
        (torch.bool, torch.uint8, torch.uint8),
        (torch.float16, torch.bfloat16, torch.float32),
        (torch.float64, torch.complex64, torch.complex128),
    ],
)
def test_different_dtypes_are_promoted(
    ranks: Ranks, first: torch.dtype, second: torch.dtype, expected: torch.dtype
) -> None:
    """Every tensor of the list has the dtype that torch promotes theirs to."""
    for results in ranks.run(uneven, [torch.tensor([1, 0, 1]).to(first), torch.tensor([[1]]).to(second)]):
        assert [expected] * 2 == [result.dtype for result in results]
        assert [[1, 0, 1], [[1]]] == lists(results)


def test_uneven_tensors_of_every_dtype(ranks: Ranks) -> None:
    """Lengths are padded in bytes, whatever the size of an element."""
    pairs = [[torch.ones(3).to(dtype), torch.ones(1).to(dtype)] for dtype in EVERY_DTYPE]

    for results in ranks.run(each_uneven, pairs):
        assert [(dtype, [3, 1]) for dtype in EVERY_DTYPE] == [
            (long.dtype, [len(long), len(short)]) for long, short in results
        ]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_tensors_of_a_gpu_come_back_to_it(ranks: Ranks) -> None:
    """Gloo moves tensors of the CPU; what is elsewhere goes there and comes back."""
    assert [["cuda"] * 5] * 2 == ranks.run(devices_of_results)


def test_groups_gather_among_themselves(ranks: Ranks) -> None:
    """A rank outside of the group gets its own back."""
    assert [["x", ["x"], ["x"] * 2, ["x"] * 2], [["x"], "x", ["x"] * 2, ["x"] * 2]] == ranks.run(
        in_groups, all_gather, "x"
    )
    for results in ranks.run(in_groups, gather_uneven, torch.tensor([1])):
        assert [[[1]], [[1]], [[1], [1]], [[1], [1]]] == [lists(result) for result in results]


def test_shapes_must_be_as_many_as_ranks(ranks: Ranks) -> None:
    """The error says how many are wanted, on every rank."""
    assert ["shapes must have one shape of each of 2 ranks, got [(1,)]"] * 2 == ranks.run(
        message, all_gather_tensors_with_shapes, [(torch.ones(1), [(1,)])] * 2
    )


def test_shapes_must_say_the_tensors_own(ranks: Ranks) -> None:
    """The error says both."""
    for rank, result in enumerate(
        ranks.run(message, all_gather_tensors_with_shapes, [(torch.ones(rank + 1), [(4,), (4,)]) for rank in (0, 1)])
    ):
        assert f"shapes must say ({rank + 1},), the shape of tensor, for this rank, got (4,)" == result


@pytest.mark.parametrize("value", [1, "a", [torch.ones(1)]])
def test_only_tensors_are_uneven(value: Any) -> None:
    """Another object is refused by its type."""
    with pytest.raises(TypeError, match=f"tensor must be a tensor or None, got .* of type {type(value).__name__}"):
        gather_uneven(value)


@pytest.mark.parametrize("value", [torch.ones(2, 3), 3, 0.5, "a", None, {"x": 1}, [1, 2]])
def test_one_process_gathers_its_own(value: Any) -> None:
    """A tensor comes back as it is and another object in a list, as with PyTorch-Ignite."""
    theirs, ours = pytest.importorskip("ignite.distributed").all_gather(value), all_gather(value)

    assert value is ours if isinstance(value, Tensor) else theirs == ours


def test_one_process_gives_single_numbers_a_dimension_too() -> None:
    """The shape does not depend on how the program was started; with PyTorch-Ignite it does."""
    assert [0.5] == all_gather(torch.tensor(0.5)).tolist()


def test_one_process_gathers_uneven_tensors() -> None:
    """There is its own tensor, or none."""
    tensor = torch.ones(2)

    assert [] == gather_uneven(None)
    assert tensor is gather_uneven(tensor)[0]
    assert tensor is all_gather_tensors_with_shapes(tensor, [(2,)])[0]
