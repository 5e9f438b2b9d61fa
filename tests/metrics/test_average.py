"""Average and its parent VariableAccumulation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ignite_signals.engine import Engine
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import Average, VariableAccumulation

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
        with pytest.raises(NotComputableError, match="Average has seen no example"):
            Average().compute()

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

    def test_reset_starts_at_0(self) -> None:
        """After reset nothing of what was seen is left."""
        metric = accumulated(VariableAccumulation(lambda a, x: a + x), [torch.ones(3, 2)])
        metric.reset()

        assert (0.0, 0) == (metric.accumulator.item(), metric.num_examples)

    def test_the_operation_must_be_callable(self) -> None:
        """What cannot be called is refused at once."""
        with pytest.raises(TypeError, match="op must be callable, got 3"):
            VariableAccumulation(3)  # type: ignore[arg-type]
