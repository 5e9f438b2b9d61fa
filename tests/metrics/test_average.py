"""Average and its parent VariableAccumulation."""

from __future__ import annotations

import operator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from ignite_signals.engine import Engine
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import Average, GeometricAverage, MetricGroup, VariableAccumulation

finite = st.floats(-1e6, 1e6)


def accumulated(metric: Any, outputs: Any) -> Any:
    """Update a metric with each output, and return it."""
    for output in outputs:
        metric.update(output)
    return metric


class TestAverage:
    @given(st.lists(finite, min_size=1))
    def test_of_numbers_is_their_mean(self, values: list[float]) -> None:
        """Every number counts once, whether it comes as a number or as a tensor."""
        expected = pytest.approx(sum(values) / len(values), abs=1e-6)

        assert expected == accumulated(Average(), values).compute().item()
        assert expected == accumulated(Average(), torch.tensor(values, dtype=torch.float64)).compute().item()

    @given(
        st.lists(st.lists(finite, min_size=3, max_size=3), min_size=1),
        st.lists(st.integers(0, 20), max_size=3),
    )
    def test_of_batches_is_the_mean_of_the_rows(self, rows: list[list[float]], cuts: list[int]) -> None:
        """However the rows are split into batches, each counts once."""
        values = torch.tensor(rows, dtype=torch.float64)

        average = accumulated(Average(), torch.tensor_split(values, sorted(cuts))).compute()

        assert pytest.approx(values.mean(dim=0).tolist(), abs=1e-6) == average.tolist()

    def test_a_vector_is_one_sample(self) -> None:
        """A tensor of one dimension counts once."""
        metric = accumulated(Average(), [torch.tensor([1, 2]), torch.tensor([3, 6])])

        assert ([2.0, 4.0], 2) == (metric.compute().tolist(), metric.num_examples)

    @pytest.mark.parametrize(
        "outputs",
        [
            [1, 2, 3.5, True],
            [torch.tensor(1), torch.tensor(2.5)],
            [torch.tensor([1.0, 2.0])] * 3,
            [torch.rand(3, 2), torch.rand(1, 2)],
            [torch.rand(3, 2, 4)],
            [1, torch.tensor([1.0, 2.0])],
            [1j, 2],
        ],
    )
    def test_equals_ignite(self, outputs: list[Any]) -> None:
        """The same outputs give PyTorch-Ignite's average, of its type, over as many samples."""
        theirs = accumulated(pytest.importorskip("ignite.metrics").Average(), outputs)
        ours = accumulated(Average(), outputs)

        torch.testing.assert_close(ours.compute(), theirs.compute())
        assert theirs.num_examples == ours.num_examples

    def test_becomes_a_number_in_the_engine(self) -> None:
        """At the end of an epoch the average of numbers is a number."""
        engine = Engine(lambda engine, batch: batch)
        Average().attach(engine, "average")

        average = engine.run(torch.arange(5)).metrics["average"]

        assert (float, 2.0) == (type(average), average)

    @given(
        st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.int8, torch.int64, torch.bool]),
        st.lists(st.integers(0, 6), min_size=1, max_size=4),
        st.lists(st.integers(1, 3), max_size=2),
        st.integers(0, 2**32),
    )
    @settings(max_examples=60, deadline=None)
    def test_of_any_type_is_that_in_float64(
        self, dtype: torch.dtype, sizes: list[int], shape: list[int], seed: int
    ) -> None:
        """Batches of any shape and type, empty ones too, have the mean of the same values in float64."""
        generator = torch.Generator().manual_seed(seed)
        batches = [(torch.randn(size, 2, *shape, generator=generator) * 50).to(dtype) for size in [*sizes, 1]]

        metric = accumulated(Average(), batches)

        expected = torch.cat(batches).double().mean(0)
        torch.testing.assert_close(metric.compute(), expected, rtol=1e-12, atol=1e-12)
        assert (sum(sizes) + 1, torch.float64) == (metric.num_examples, metric.accumulator.dtype)

    def test_of_a_million_values_is_exact(self) -> None:
        """Neither many updates nor a large batch lose what float32 would."""
        values = torch.full((1_000_000, 1), 0.1)
        values[0] = 2.0**30
        in_float64 = values.double().mean().item()

        assert pytest.approx(in_float64, rel=1e-12) == accumulated(Average(), [values]).compute().item()
        assert pytest.approx(in_float64, rel=1e-12) == accumulated(Average(), values.split(1000)).compute().item()

    def test_joins_samples_of_shapes_that_broadcast(self) -> None:
        """Numbers, and what broadcasts, may come before larger samples and after."""
        metric = accumulated(Average(), [2, torch.tensor([1.0]), torch.tensor([1.1, 2.1, 3.1]), 1.0, torch.tensor(3)])

        expected = (torch.tensor([1.1, 2.1, 3.1]).double() + 7) / 5
        torch.testing.assert_close(metric.compute(), expected, rtol=1e-12, atol=0)
        assert 5 == metric.num_examples

    def test_takes_complex_values(self) -> None:
        """A complex number or tensor makes the average complex, whenever it comes."""
        metric = accumulated(Average(), [1, torch.tensor(2j), 3j, torch.tensor(3)])
        rows = accumulated(Average(), [torch.ones(1, 2), torch.full((1, 2), 1j, dtype=torch.complex64)])

        assert (1 + 1.25j, [0.5 + 0.5j] * 2) == (metric.compute().item(), rows.compute().tolist())

    def test_moves_to_where_later_values_are(self) -> None:
        """A number has no device, so that the first tensor says which it is."""
        with FakeTensorMode():
            metric = accumulated(Average(), [1.0, torch.tensor(2.0, device="cuda"), torch.zeros(2, 3, device="cuda")])

            assert "cuda" == metric.compute().device.type

    def test_keeps_no_graph(self) -> None:
        """An output with a history leaves it behind."""
        assert not accumulated(Average(), [torch.ones(2, requires_grad=True)]).compute().requires_grad

    def test_a_value_written_earlier_does_not_change(self) -> None:
        """What compute returned stays as it was when more is seen."""
        metric = accumulated(Average(), [1.0])
        first = metric.compute()
        metric.update(3.0)

        assert (1.0, 2.0) == (first.item(), metric.compute().item())

    def test_of_nothing_cannot_be_computed(self) -> None:
        """Before an output was seen there is nothing to compute."""
        with pytest.raises(NotComputableError, match="Average has seen no sample"):
            Average().compute()

    @pytest.mark.parametrize("output", [torch.ones(2, 4), torch.ones(4)])
    def test_refuses_another_shape(self, output: torch.Tensor) -> None:
        """Samples of two shapes have no average; the error has both, and what was seen before stays."""
        metric = accumulated(Average(), [torch.ones(3)])

        with pytest.raises(ValueError, match=r"must be of shape \(3,\), as those before, for Average, got \(4,\)"):
            metric.update(output)
        assert ([1.0] * 3, 1) == (metric.compute().tolist(), metric.num_examples)

    @pytest.mark.parametrize("output", ["a", [1, 2], None])
    def test_refuses_what_is_no_value(self, output: Any) -> None:
        """Only numbers and tensors have an average; the error says what came."""
        with pytest.raises(TypeError, match="output must be a number or a tensor for Average, got "):
            Average().update(output)


class TestVariableAccumulation:
    def test_calls_the_operation(self) -> None:
        """The accumulator is what the operation returned, beside the number of samples."""
        metric = accumulated(VariableAccumulation(lambda a, x: a + x * x), [1, 2, torch.tensor(3)])

        total, samples = metric.compute()

        assert (14.0, 3) == (total.item(), samples)

    @pytest.mark.parametrize("output", ["a", [1, 2], None])
    def test_refuses_what_is_no_value(self, output: Any) -> None:
        """Only numbers and tensors are accumulated; the error says what came."""
        with pytest.raises(TypeError, match="output must be a number or a tensor for VariableAccumulation, got "):
            VariableAccumulation(operator.add).update(output)

    def test_of_nothing_cannot_be_computed(self) -> None:
        """Before an output was seen there is nothing that was accumulated."""
        with pytest.raises(NotComputableError, match="VariableAccumulation has seen no sample"):
            VariableAccumulation(operator.add).compute()

    def test_gives_the_operation_tensors_in_float64(self) -> None:
        """Whatever the type of the output, the operation need not care for it; complex ones stay so."""
        seen = []

        def spy(accumulator: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
            seen.append((output.dtype, output.requires_grad))
            return accumulator

        half = torch.ones(2, dtype=torch.float16, requires_grad=True)
        accumulated(VariableAccumulation(spy), [half, torch.tensor(1), torch.tensor(1.0).double(), torch.tensor(1j)])

        assert [(torch.float64, False)] * 3 + [(torch.complex64, False)] == seen

    def test_may_start_from_another_value(self) -> None:
        """A subclass says with reset where the accumulation begins."""

        class Product(VariableAccumulation):
            def __init__(self) -> None:
                super().__init__(operator.mul)

            def reset(self) -> None:
                super().reset()
                self.accumulator = torch.ones((), dtype=torch.float64)

        assert 6.0 == accumulated(Product(), [torch.tensor(2.0), 3])._value()[0].item()

    @pytest.mark.parametrize(
        "outputs",
        [[1, 2.5, True], [torch.tensor(1), torch.tensor(2.5)], [torch.rand(3)] * 2, [torch.rand(3, 2)] * 2],
    )
    def test_equals_ignite(self, outputs: list[Any]) -> None:
        """The same outputs give PyTorch-Ignite's accumulator and number of samples."""
        theirs = accumulated(pytest.importorskip("ignite.metrics").VariableAccumulation(operator.add), outputs)
        ours = accumulated(VariableAccumulation(operator.add), outputs)

        torch.testing.assert_close(ours.compute(), theirs.compute())
        assert (theirs.num_examples, theirs.accumulator.dtype) == (ours.num_examples, ours.accumulator.dtype)

    def test_groups_share_one_operation_only(self) -> None:
        """Two with the same operation accumulate once, two with methods of two objects each for itself."""

        class Scaled:
            def __init__(self, factor: float) -> None:
                self.factor = factor

            def add(self, accumulator: torch.Tensor, x: Any) -> torch.Tensor:
                return accumulator + x * self.factor

        one, other = Scaled(1), Scaled(2)
        group = MetricGroup({name: VariableAccumulation(s.add) for name, s in (("a", one), ("b", other), ("c", one))})
        group.update(3.0)

        assert [3.0, 6.0, 3.0] == [value[0].item() for value in group.compute().values()]
        assert 2 == len(group._accumulating)

    def test_reset_starts_at_0(self) -> None:
        """After reset nothing of what was seen is left."""
        metric = accumulated(VariableAccumulation(lambda a, x: a + x), [torch.ones(3, 2)])
        metric.reset()

        assert (0.0, 0) == (metric.accumulator.item(), metric.num_examples)

    def test_the_operation_must_be_callable(self) -> None:
        """What cannot be called is refused at once."""
        with pytest.raises(TypeError, match="op must be callable, got 3"):
            VariableAccumulation(3)  # type: ignore[arg-type]


def on_rank(rank: int, parts: list[list[Any]]) -> list[Any]:
    """Return what each metric computes on a process that sees its part, twice, and the public attributes after."""
    values: list[Any] = []
    for metric in (Average(), VariableAccumulation(operator.add)):
        accumulated(metric, parts[rank])
        values += [metric.compute(), metric.compute(), (metric.accumulator, metric.num_examples)]
    return values


@pytest.mark.parametrize(
    "parts",
    [
        [[torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])], [torch.tensor([5.0, 9.0])]],
        [[], [torch.tensor([5.0, 9.0])]],
        [[1, 2.5], [7]],
    ],
    ids=["uneven", "one has none", "numbers"],
)
def test_several_processes_add_up(ranks: Any, parts: list[list[Any]]) -> None:
    """Accumulators and numbers of samples are summed, and each process keeps its own."""
    everything = [*parts[0], *parts[1]]
    average, (total, samples) = (
        accumulated(metric, everything).compute() for metric in (Average(), VariableAccumulation(operator.add))
    )

    for rank, values in enumerate(ranks.run(on_rank, parts)):
        for actual, expected in zip(values[:2] + values[3:5], [average] * 2 + [(total, samples)] * 2, strict=True):
            torch.testing.assert_close(actual, expected)
        assert len(parts[rank]) == values[2][1] == values[5][1]


def test_all_are_found_where_ignite_has_them() -> None:
    """The module that PyTorch-Ignite keeps the three in has them here."""
    from ignite_signals.metrics import accumulation

    assert (Average, GeometricAverage, VariableAccumulation) == tuple(
        getattr(accumulation, name) for name in accumulation.__all__
    )
