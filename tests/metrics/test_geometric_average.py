"""GeometricAverage: the root of a product, by the mean of logarithms."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.engine import Engine
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import GeometricAverage
from ignite_signals.metrics.device_value import device_value


def accumulated(outputs: Any) -> GeometricAverage:
    metric = GeometricAverage()
    for output in outputs:
        metric.update(output)
    return metric


def large(n: int) -> torch.Tensor:
    """Return positive values, so many that their logarithms are taken together."""
    return 0.1 + torch.rand(n, 8, generator=torch.Generator().manual_seed(n))


class TestValue:
    @given(st.lists(st.floats(1e-30, 1e30), min_size=1, max_size=20))
    @settings(max_examples=50, deadline=None)
    def test_of_numbers_is_the_root_of_their_product(self, values: list[float]) -> None:
        """Numbers and tensors of them have the mean of the logarithms' power, a Python number."""
        expected = pytest.approx(math.exp(math.fsum(map(math.log, values)) / len(values)), rel=1e-9)

        assert expected == accumulated(values).compute()
        assert expected == accumulated(torch.tensor(values, dtype=torch.float64)).compute()

    @given(
        st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int16, torch.int64]),
        st.lists(st.integers(0, 5), max_size=3),
        st.lists(st.integers(1, 3), min_size=1, max_size=2),
        st.integers(0, 2**32),
    )
    @settings(max_examples=50, deadline=None)
    def test_of_batches_is_scipys(self, dtype: torch.dtype, sizes: list[int], shape: list[int], seed: int) -> None:
        """Batches of any shape and type, empty ones too, have the geometric mean of all rows in float64."""
        gmean = pytest.importorskip("scipy.stats").gmean
        generator = torch.Generator().manual_seed(seed)
        batches = [(torch.rand(size, *shape, generator=generator) * 100 + 1).to(dtype) for size in [*sizes, 1]]

        value = accumulated(batches).compute()

        expected = torch.as_tensor(gmean(torch.cat(batches).double().numpy(), axis=0))
        torch.testing.assert_close(value, expected, rtol=1e-10, atol=0)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.bool, torch.int64, torch.float64], ids=str)
    @pytest.mark.parametrize("n", [1000, 1001])
    @pytest.mark.parametrize("scale", [1, 1e30, 1e-30])
    def test_of_a_large_batch_is_that_of_its_rows(self, dtype: torch.dtype, n: int, scale: float) -> None:
        """However the logarithms are taken, the value is the same, also where a plain product would overflow."""
        if dtype is torch.int64:
            scale = min(max(scale, 10.0), 1e17)
        values = (large(n).double() * scale).to(dtype)

        expected = values.double().log().mean(0).exp()
        torch.testing.assert_close(accumulated([values]).compute(), expected, rtol=1e-12, atol=0)
        torch.testing.assert_close(accumulated(values).compute(), expected, rtol=1e-12, atol=0)

    def test_of_the_extremes_of_float32(self) -> None:
        """The smallest and the largest values keep their logarithms."""
        for value in (2.0**-149, torch.finfo(torch.float32).max):
            assert [pytest.approx(value, rel=1e-9)] * 8 == accumulated(
                [torch.full((1000, 8), value)]
            ).compute().tolist()

    def test_a_zero_makes_it_zero(self) -> None:
        """A product with a zero is zero, whether a number, a row or one of many."""
        many = large(1000)
        many[3, 0] = 0

        assert 0.0 == accumulated([3, 0, 2.0]).compute()
        assert 0.0 == accumulated([torch.tensor(0.0), torch.tensor(2.0)]).compute()
        assert [0.0] + [True] * 7 == [
            v if i == 0 else v > 0 for i, v in enumerate(accumulated([many]).compute().tolist())
        ]

    @pytest.mark.parametrize(
        "outputs",
        [
            [1, 2, 3.5, True],
            [torch.tensor(1), torch.tensor(2.5)],
            [torch.tensor([1.0, 2.0])] * 3,
            [torch.rand(3, 2) + 1, torch.rand(1, 2) + 1],
            [torch.rand(3, 2, 4) + 1],
            [large(1000), large(1024)],
            [2, torch.tensor([1.0, 2.0])],
        ],
        ids=range(7),
    )
    def test_equals_ignite(self, outputs: list[Any]) -> None:
        """The same outputs give PyTorch-Ignite's value, of its type, over as many samples."""
        theirs = pytest.importorskip("ignite.metrics").GeometricAverage()
        for output in outputs:
            theirs.update(output)
        ours = accumulated(outputs)

        # Ignite takes the logarithm of a number in float32.
        torch.testing.assert_close(ours.compute(), theirs.compute(), rtol=1e-6, atol=0)
        assert theirs.num_examples == ours.num_examples

    def test_becomes_a_number_in_the_engine(self) -> None:
        """At the end of an epoch the average of numbers is a number."""
        engine = Engine(lambda engine, batch: batch)
        GeometricAverage().attach(engine, "average")

        assert {"average": pytest.approx(2.0)} == engine.run(torch.tensor([1.0, 4.0])).metrics

    def test_the_outputs_are_left_as_they_are(self) -> None:
        """The logarithm is taken of a copy."""
        outputs = [torch.full((1,), 2.0), torch.full((1,), 2.0, dtype=torch.float64), torch.full((1000, 8), 2.0)]
        for output in outputs:
            accumulated([output])

        assert all(output.eq(2).all() for output in outputs)


def with_bad_values(*values: float) -> torch.Tensor:
    batch = large(1000)
    batch[: len(values) * 250 : 250, 0] = torch.tensor(values)
    return batch


BAD = {
    "number": -1,
    "tensor": torch.tensor(-1.0),
    "NaN": torch.tensor(math.nan),
    "one of many": with_bad_values(-1.0),
    "several of many": with_bad_values(-1.0, -2.0),
    "all that are multiplied": with_bad_values(-1.0, -1.0, -1.0, -1.0),
    "one of many beside a zero": with_bad_values(-1.0, 0.0),
    "NaN of many": with_bad_values(math.nan),
}


class TestBadInput:
    @pytest.mark.parametrize("output", BAD.values(), ids=BAD)
    def test_a_negative_value_is_told_by_compute(self, output: Any) -> None:
        """The update reads nothing; compute says that a value has no logarithm, and an unread value is NaN."""
        metric = GeometricAverage()
        metric.update(output)

        with pytest.raises(ValueError, match=r"output must be positive for GeometricAverage, .* got a negative number"):
            metric.compute()
        assert device_value(metric).isnan().any()

    @pytest.mark.parametrize("output", ["a", [1, 2], None])
    def test_refuses_what_is_no_value(self, output: Any) -> None:
        """Only numbers and tensors have an average; the error says what came."""
        with pytest.raises(TypeError, match="output must be a number or a tensor for GeometricAverage, got "):
            GeometricAverage().update(output)

    def test_refuses_another_shape(self) -> None:
        """Samples of two shapes have no average; the error has both."""
        metric = accumulated([torch.ones(3)])

        with pytest.raises(ValueError, match=r"must be of shape \(3,\), as those before, for Geo.*, got \(4,\)"):
            metric.update(torch.ones(2, 4))

    def test_of_nothing_cannot_be_computed(self) -> None:
        """Before an output was seen there is nothing to compute."""
        with pytest.raises(NotComputableError, match="GeometricAverage has seen no sample"):
            GeometricAverage().compute()
