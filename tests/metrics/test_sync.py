"""Several processes measure one run."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ignite_signals.metrics import MeanSquaredError, Metric
from ignite_signals.metrics.device_value import device_value
from ignite_signals.metrics.sync import reinit__is_reduced, sync_all_reduce


class Summary(Metric):
    """A metric as one writes it for PyTorch-Ignite."""

    required_output_keys = None

    @reinit__is_reduced
    def reset(self) -> None:
        self.total: Any = torch.tensor(0.0)
        self.count = 0
        self.product = 1.0
        self.largest: Any = None
        self.smallest = torch.tensor(float("inf"))

    @reinit__is_reduced
    def update(self, output: Any) -> None:
        self.total = self.total + output
        self.count += 1
        self.product *= 2.0
        top = output.max()
        self.largest = top if self.largest is None else torch.maximum(self.largest, top)
        self.smallest = torch.minimum(self.smallest, output.min())

    @sync_all_reduce("total", "count", "product:PRODUCT", "largest:MAX", "smallest:MIN")
    def compute(self) -> Any:
        total, largest = torch.as_tensor(self.total).tolist(), self.largest and self.largest.item()
        return total, self.count, self.product, largest, self.smallest.item()


def summary_on(rank: int, outputs: list[list[list[float]]]) -> list[Any]:
    metric = Summary()
    for output in outputs[rank]:
        metric.update(torch.tensor(output))
    return [metric.compute(), metric.compute(), metric.count]


def test_one_process_computes_from_its_own_state():
    """Without other processes the decorators change nothing."""
    assert [([3.0, 5.0], 2, 4.0, 4.0, 1.0)] * 2 + [2] == summary_on(0, [[[1.0, 4.0], [2.0, 1.0]]])


def test_processes_reduce_and_keep_their_own_state(ranks):
    """Each operation joins the states; computing twice gives the same, and each process goes on from its own."""
    expected = ([6.0, 10.0], 3, 8.0, 5.0, 1.0)
    first, second = ranks.run(summary_on, [[[1.0, 4.0], [2.0, 1.0]], [[3.0, 5.0]]])
    assert ([expected, expected, 2], [expected, expected, 1]) == (first, second)


def test_a_process_that_has_seen_nothing_takes_part(ranks):
    """Its state, of whatever shape, changes nothing in the others'."""
    expected = ([1.0, 4.0], 1, 2.0, 4.0, 1.0)
    for first, again, _ in ranks.run(summary_on, [[], [[1.0, 4.0]]]):
        assert (expected, expected) == (first, again)


def scalars_and_vectors(rank: int) -> Any:
    metric = Summary()
    metric.update(torch.tensor([1.0, 2.0]) if rank else torch.tensor(5.0))
    return metric.compute()[0]


def test_a_number_is_added_to_each_entry(ranks):
    """Where one process has a tensor without dimensions and another a longer one, they are added as tensors are."""
    assert [[6.0, 7.0]] * 2 == ranks.run(scalars_and_vectors)


def shapes_that_differ(rank: int) -> str:
    metric = Summary()
    metric.update(torch.zeros(2 + rank))
    try:
        metric.compute()
    except ValueError as error:
        return str(error)
    return "no error"


def test_states_that_do_not_fit_are_told_on_every_process(ranks):
    """Nobody waits for a process that has raised an error."""
    for message in ranks.run(shapes_that_differ):
        assert "total of Summary must be of one shape on all processes, got [(2,), (3,)]" == message


def unread_on(rank: int) -> list[Any]:
    metric = MeanSquaredError()
    metric.update((torch.tensor([2.0 + rank]), torch.tensor([0.0])))
    unread = device_value(metric)
    return [unread.item(), metric.compute(), metric._num_examples]


def test_a_value_of_every_iteration_is_that_of_all_processes(ranks):
    """Unread values are reduced as read ones are, without an exchange of forms."""
    assert [[6.5, 6.5, 1]] * 2 == ranks.run(unread_on)


def test_an_unknown_operation_is_refused():
    """The error lists the operations."""
    with pytest.raises(ValueError, match="must be one of SUM, PRODUCT, MIN, MAX, got 'MEAN'"):
        sync_all_reduce("total:MEAN")


class Nested(Summary):
    """Reduce in `compute`, which calls one that reduces, too."""

    @sync_all_reduce("count")
    def compute(self) -> Any:
        return super().compute()


def nested_on(rank: int) -> int:
    metric = Nested()
    metric.update(torch.ones(2))
    return int(metric.compute()[1])


def test_what_is_reduced_already_is_not_reduced_again(ranks):
    """A method that reduces may call one that reduces the same."""
    assert [2, 2] == ranks.run(nested_on)


def test_names_that_are_none_are_told_with_one_process():
    """A typing mistake shows before the program runs on many processes."""

    class Misspelt(Summary):
        @sync_all_reduce("cuont")
        def compute(self) -> Any:
            return self.count

    with pytest.raises(AttributeError, match=r"Misspelt has no attributes \['cuont'\]"):
        Misspelt().compute()
    with pytest.raises(TypeError, match="must be called with names"):
        sync_all_reduce(Summary.compute)
