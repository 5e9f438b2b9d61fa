"""MaximumMeanDiscrepancy: its numbers, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import MaximumMeanDiscrepancy
from support.cases.distributions import discrepancy as expected_discrepancy

shapes = st.lists(st.integers(1, 4), min_size=1, max_size=3)
dtypes = st.sampled_from([torch.float64, torch.float32, torch.float16, torch.int64])
seeds = st.integers(0, 2**32 - 1)


def some_batch(seed: int, n: int, shape: list[int], dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.randn([n, *shape], generator=generator) for _ in range(2))
    return x.mul(2).to(dtype), y.add(3).to(dtype)


def discrepancy_of(*batches: tuple[torch.Tensor, torch.Tensor], var: float = 1.0) -> float:
    metric = MaximumMeanDiscrepancy(var=var)
    for batch in batches:
        metric.update(batch)
    return metric.compute()


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(2, 8), shapes, dtypes, st.sampled_from([0.5, 1.0, 20.0]))
def test_equals_the_formula(seed: int, n: int, shape: list[int], dtype: torch.dtype, var: float) -> None:
    """Any shape and type gives the formula's value in float64, over batches of several sizes."""
    batches = [some_batch(seed, n, shape, dtype), some_batch(seed + 1, 2 * n, shape, dtype)]

    # Compared before the root, which makes much of small differences.
    expected = pytest.approx(expected_discrepancy(*batches, variance=var) ** 2, rel=1e-5, abs=1e-6)
    assert expected == discrepancy_of(*batches, var=var) ** 2


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(2, 8), shapes)
def test_equals_ignite(seed: int, n: int, shape: list[int]) -> None:
    """The same outputs give PyTorch-Ignite's value."""
    theirs = pytest.importorskip("ignite.metrics").MaximumMeanDiscrepancy(var=2.0)
    batches = [some_batch(seed + i, n, shape, torch.float32) for i in range(2)]
    for batch in batches:
        theirs.update(batch)

    assert pytest.approx(theirs.compute() ** 2, rel=1e-4, abs=1e-5) == discrepancy_of(*batches, var=2.0) ** 2


def test_does_not_depend_on_where_the_samples_lie() -> None:
    """Far from 0 the distances are as exact as near it."""
    x, y = torch.randint(0, 5, (6, 3)).float(), torch.randint(2, 7, (6, 3)).float()

    assert pytest.approx(discrepancy_of((x, y)), rel=1e-5) == discrepancy_of((x + 5000, y + 5000))


def test_two_types_may_be_mixed() -> None:
    """Single and double precision go together."""
    x, y = some_batch(0, 5, [3], torch.float32)

    assert pytest.approx(discrepancy_of((x, y)), rel=1e-5) == discrepancy_of((x, y.double()))


def test_no_batch_is_an_error() -> None:
    """Without a batch there is no value, and the error names the metric."""
    with pytest.raises(NotComputableError, match="MaximumMeanDiscrepancy has seen no sample"):
        MaximumMeanDiscrepancy().compute()


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(3, 2), (3, 4)], "of one shape for MaximumMeanDiscrepancy"),
        ([(3,), (3,)], r"two dimensions at least for MaximumMeanDiscrepancy, got \(3,\)"),
        ([(1, 4), (1, 4)], "two samples at least in each batch for MaximumMeanDiscrepancy, got 1"),
    ],
)
def test_refuses_shapes_that_do_not_fit(shapes: list[tuple[int, ...]], message: str) -> None:
    """The error names the metric, what it got and what it takes."""
    with pytest.raises(ValueError, match=message):
        MaximumMeanDiscrepancy().update(tuple(torch.zeros(shape) for shape in shapes))


def test_refuses_complex_numbers() -> None:
    """The kernel is one of real vectors."""
    with pytest.raises(TypeError, match="x must be real numbers for MaximumMeanDiscrepancy"):
        MaximumMeanDiscrepancy().update((torch.zeros(2, 3, dtype=torch.complex64),) * 2)


@pytest.mark.parametrize(("var", "error"), [("1", TypeError), (True, TypeError), (0, ValueError), (-1.0, ValueError)])
def test_refuses_a_bandwidth_that_is_not_positive(var: object, error: type[Exception]) -> None:
    """var must be a positive number."""
    with pytest.raises(error, match="var must be"):
        MaximumMeanDiscrepancy(var=var)  # type: ignore[arg-type]
