"""CosineSimilarity: its numbers, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import CosineSimilarity
from support.cases.distributions import cosine_similarity as expected_similarity

shapes = st.lists(st.integers(1, 5), min_size=2, max_size=4)
dtypes = st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8])
seeds = st.integers(0, 2**32 - 1)


def some_vectors(seed: int, shape: list[int], dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    y_pred, y = (torch.randn(shape, generator=generator).mul(5).abs().add(1).to(dtype) for _ in range(2))
    return y_pred, y


def similarity_of(y_pred: torch.Tensor, y: torch.Tensor, eps: float = 1e-8) -> float:
    metric = CosineSimilarity(eps=eps)
    metric.update((y_pred, y))
    return metric.compute()


@settings(max_examples=40, deadline=None)
@given(seeds, shapes, dtypes)
def test_equals_scipy(seed: int, shape: list[int], dtype: torch.dtype) -> None:
    """Any shape and type gives one less SciPy's mean cosine distance of the same numbers in float64."""
    y_pred, y = some_vectors(seed, shape, dtype)

    assert pytest.approx(expected_similarity(y_pred, y), abs=1e-6) == similarity_of(y_pred, y)


@settings(max_examples=20, deadline=None)
@given(seeds, shapes, st.sampled_from([1e-8, 1.0, 100.0]))
def test_equals_ignite(seed: int, shape: list[int], eps: float) -> None:
    """The same outputs and the same eps give PyTorch-Ignite's value."""
    theirs = pytest.importorskip("ignite.metrics").CosineSimilarity(eps=eps)
    output = some_vectors(seed, shape, torch.float32)
    theirs.update(output)

    assert pytest.approx(theirs.compute(), abs=1e-5) == similarity_of(*output, eps=eps)


def test_long_vectors_are_as_exact_as_short_ones() -> None:
    """A million entries of float32 do not lose digits."""
    y_pred, y = torch.rand(1, 10**6), torch.rand(1, 10**6)

    expected = torch.nn.functional.cosine_similarity(y_pred.double(), y.double()).item()

    assert pytest.approx(expected, rel=1e-6) == similarity_of(y_pred, y)


def test_two_types_may_be_mixed() -> None:
    """Single and double precision, and integers, go together."""
    y_pred, y = some_vectors(0, [4, 5], torch.int64)

    expected = pytest.approx(similarity_of(y_pred, y), abs=1e-6)

    assert expected == similarity_of(y_pred.float(), y)
    assert expected == similarity_of(y_pred.double(), y.half())


def test_a_vector_of_zeros_has_similarity_0() -> None:
    """eps keeps what has no direction from being NaN."""
    assert 0.0 == similarity_of(torch.zeros(2, 3), torch.ones(2, 3))


def test_no_sample_is_an_error() -> None:
    """Without a sample there is no value, and the error names the metric."""
    with pytest.raises(NotComputableError, match="CosineSimilarity has seen no sample"):
        CosineSimilarity().compute()


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        ((torch.zeros(3), torch.zeros(3)), ValueError, r"two dimensions at least for CosineSimilarity, got \(3,\)"),
        ((torch.zeros(2, 3), torch.zeros(2, 4)), ValueError, "of one shape for CosineSimilarity"),
        ((torch.zeros(2, 3), 1), TypeError, "must be tensors for CosineSimilarity"),
    ],
)
def test_refuses_what_are_no_vectors(output: object, error: type[Exception], message: str) -> None:
    """The error names the metric, what it got and what it takes."""
    with pytest.raises(error, match=message):
        CosineSimilarity().update(output)


@pytest.mark.parametrize(("eps", "error"), [("small", TypeError), (True, TypeError), (-1, ValueError)])
def test_refuses_an_eps_that_is_no_length(eps: object, error: type[Exception]) -> None:
    """eps must be a number that is not negative."""
    with pytest.raises(error, match="eps must"):
        CosineSimilarity(eps=eps)  # type: ignore[arg-type]
