"""EpochMetric keeps all outputs as they were, and gives them to a function."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.engine import Engine
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import EpochMetric, Metric, MetricGroup
from ignite_signals.metrics.epoch_metric import EpochMetricWarning
from support.scored import computed


def both(y_pred, y):
    return y_pred.tolist(), y.tolist()


def mean_error(y_pred, y):
    return (y_pred - y).abs().mean().item()


def fails(y_pred, y):
    raise RuntimeError("no such thing")


def doubles_in_place(y_pred, y):
    return y_pred.mul_(2).sum().item()


def vectors(n, dtype=torch.float32, columns=None):
    shape = (n,) if columns is None else (n, columns)
    return torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=torch.int64)


@given(st.lists(st.lists(st.floats(-9, 9, width=32), max_size=4), min_size=1, max_size=5).filter(any))
@settings(max_examples=40, deadline=None)
def test_the_function_gets_all_outputs_in_their_order(batches):
    """Batches of any sizes, empty ones too, come to the function as one."""
    metric = EpochMetric(both, check_compute_fn=False)
    actual = computed(metric, *[(torch.tensor(batch), torch.tensor(batch) + 1) for batch in batches])
    every = torch.tensor([value for batch in batches for value in batch])
    assert (every.tolist(), (every + 1).tolist()) == actual


def test_a_column_becomes_a_vector():
    """Outputs of shape (N, 1) are kept as (N,), mixed with such or not, and others as they are."""
    metric = EpochMetric(lambda y_pred, y: (y_pred.shape, y.shape))
    assert ((5,), (5,)) == computed(
        metric,
        (torch.zeros(2, 1), torch.zeros(2)),
        (torch.zeros(2, 1), torch.zeros(2)),
        (torch.zeros(1), torch.zeros(1, 1)),
    )
    assert ((2, 3), (2,)) == computed(EpochMetric(metric.compute_fn), (torch.zeros(2, 3), torch.zeros(2)))


def test_what_is_kept_is_a_copy():
    """The step may use the memory of its output again, and the function that of its arguments."""
    metric = EpochMetric(doubles_in_place)
    y_pred = torch.ones(3)
    metric.update((y_pred, torch.zeros(3)))
    y_pred.zero_()
    assert (6.0, 6.0) == (metric.compute(), metric.compute())


def test_no_graph_is_kept():
    """What requires a gradient is kept without it."""
    weight = torch.ones(3, requires_grad=True)
    metric = EpochMetric(lambda y_pred, y: y_pred.requires_grad)
    assert computed(metric, (weight * 2, torch.zeros(3))) is False
    assert computed(metric, (weight, torch.zeros(3))) is False


def test_device_is_where_outputs_are_kept():
    """With a device, all outputs are kept there, as copies too."""
    metric = EpochMetric(both, device="cpu")
    y_pred = torch.ones(2)
    metric.update((y_pred, torch.zeros(2)))
    y_pred.zero_()
    assert ([1.0, 1.0], [0.0, 0.0]) == metric.compute()


def test_a_function_that_fails_is_told_at_the_first_batch_of_a_window():
    """The warning has the function's error; at later batches the function is not tried."""
    metric = EpochMetric(fails)
    with pytest.warns(EpochMetricWarning, match="RuntimeError: no such thing"):
        metric.update(vectors(2))
    metric.update(vectors(2))
    metric.reset()
    with pytest.warns(EpochMetricWarning, match="EpochMetric failed on the first batch"):
        metric.update(vectors(2))
    with pytest.raises(RuntimeError, match="no such thing"):
        metric.compute()


def test_without_the_check_the_function_is_not_called_before_compute():
    """check_compute_fn=False leaves the function alone."""
    metric = EpochMetric(fails, check_compute_fn=False)
    metric.update(vectors(2))
    with pytest.raises(RuntimeError, match="no such thing"):
        metric.compute()


def test_the_function_that_is_tried_cannot_change_what_is_kept():
    """A function that works in place sees a copy of the first batch."""
    metric = EpochMetric(doubles_in_place)
    metric.update((torch.ones(2), torch.zeros(2)))
    assert [1.0, 1.0] == metric._predictions[0].tolist()


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        (torch.zeros(2), TypeError, r"output must be \(y_pred, y\) for EpochMetric"),
        ((torch.zeros(2),), TypeError, "tuple of 1"),
        ((torch.zeros(2), [0, 1]), TypeError, "must be tensors for EpochMetric, got a list"),
        ((np.zeros(2), np.zeros(2)), TypeError, "got a ndarray"),
        ((torch.zeros(()), torch.zeros(())), ValueError, r"of shape \(N,\) or \(N, C\) for EpochMetric, got \(\)"),
        ((torch.zeros(2, 2, 2), torch.zeros(2)), ValueError, r"got \(2, 2, 2\)"),
        ((torch.zeros(2), torch.zeros(2, 2, 2)), ValueError, r"got \(2, 2, 2\)"),
        ((torch.zeros(2), torch.zeros(3)), ValueError, r"as many samples .* got shapes \(2,\) and \(3,\)"),
    ],
)
def test_what_does_not_fit_is_told_at_once(output, error, message):
    """The error names the metric and what it got, at the first batch as at a later one."""
    metric = EpochMetric(both, check_compute_fn=False)
    for _ in range(2):
        with pytest.raises(error, match=message):
            metric.update(output)
        metric.update(vectors(3))
    assert [3, 3] == [len(kept) for kept in metric._predictions]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (
            vectors(2, torch.float64),
            "y_pred must keep the type torch.float32 until reset for EpochMetric, got torch.float64",
        ),
        ((torch.zeros(2), torch.zeros(2)), "y must keep the type torch.int64"),
        (vectors(2, columns=3), r"y_pred must keep its shape .* for EpochMetric, got \(2, 3\) after \(2,\)"),
        ((torch.zeros(2), torch.zeros(2, 3, dtype=torch.int64)), r"y must keep its shape .* got \(2, 3\)"),
    ],
)
def test_what_cannot_be_joined_with_what_is_kept_is_told_at_once(output, message):
    """Type and columns stay until reset."""
    metric = EpochMetric(both, check_compute_fn=False)
    metric.update(vectors(2))
    with pytest.raises(ValueError, match=message):
        metric.update(output)
    metric.reset()
    metric.update(output)
    assert 2 == len(metric.compute()[0])


def test_what_was_loaded_is_compared_with_what_comes():
    """A state of another type refuses what would have been taken before."""
    other = EpochMetric(both)
    other.update(vectors(2, torch.float64))
    metric = EpochMetric(both)
    metric.update(vectors(2))
    metric.load_state_dict(other.state_dict())
    with pytest.raises(ValueError, match=r"must keep the type torch.float64 until reset"):
        metric.update(vectors(2))
    metric.update(vectors(1, torch.float64))
    assert 3 == len(metric.compute()[0])


def test_compute_fn_must_be_callable():
    """The error names the argument and its value."""
    with pytest.raises(TypeError, match="compute_fn must be callable, got 5"):
        EpochMetric(5)


@pytest.mark.parametrize("sizes", [(), (0,)], ids=["no batch", "an empty batch"])
def test_a_window_without_a_sample_has_no_value(sizes):
    """The error names the metric."""
    metric = EpochMetric(both, check_compute_fn=False)
    for size in sizes:
        metric.update(vectors(size))
    with pytest.raises(NotComputableError, match="EpochMetric has seen no sample"):
        metric.compute()


def test_members_of_a_group_keep_the_outputs_once():
    """Functions of the same outputs share these, unless each is to be tried on the first batch."""
    group = MetricGroup({name: EpochMetric(f, check_compute_fn=False) for name, f in (("a", both), ("b", mean_error))})
    group.update((torch.ones(2), torch.zeros(2)))
    assert {"a": ([1.0, 1.0], [0.0, 0.0]), "b": 1.0} == group.compute()
    assert 1 == len(group._accumulating)


def test_ignite_computes_the_same():
    """On an engine the value is that of PyTorch-Ignite."""
    ignite = pytest.importorskip("ignite.metrics")
    engines = pytest.importorskip("ignite.engine")
    generator = torch.Generator().manual_seed(0)
    data = [(torch.rand(n, 1, generator=generator), torch.rand(n, generator=generator)) for n in (4, 3)]
    theirs = engines.Engine(lambda engine, batch: batch)
    ignite.EpochMetric(mean_error).attach(theirs, "error")
    ours = Engine(lambda engine, batch: batch)
    EpochMetric(mean_error).attach(ours, "error")
    assert theirs.run(data).metrics["error"] == pytest.approx(ours.run(data).metrics["error"])


def all_of_rank(rank, sizes):
    metric = EpochMetric(both, check_compute_fn=False)
    for n in sizes[rank]:
        metric.update((torch.full((n,), float(rank)), torch.full((n,), n)))
    return metric.compute()


def fails_on_rank(rank):
    metric: Metric = EpochMetric(both)
    try:
        metric.compute()
    except NotComputableError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("sizes", [((2, 1), (3,)), ((), (2,)), ((2,), (0,))], ids=["uneven", "none", "an empty batch"])
def test_each_process_computes_of_the_outputs_of_all(ranks, sizes):
    """The outputs come in the order of the ranks, to a process that has none, too."""
    samples = [(float(rank), n) for rank in (0, 1) for n in sizes[rank] for _ in range(n)]
    expected = tuple(list(part) for part in zip(*samples, strict=True))
    assert [expected, expected] == ranks.run(all_of_rank, sizes)


def test_processes_that_all_have_none_have_no_value(ranks):
    """Each one is told, and none waits for another."""
    first, second = ranks.run(fails_on_rank)
    assert "EpochMetric has seen no sample" in first
    assert first == second


def test_no_warning_where_nothing_is_wrong():
    """A function that works on the first batch is tried in silence."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        EpochMetric(mean_error).update((torch.ones(2), torch.zeros(2)))
    assert [] == caught


def test_a_batch_without_a_sample_is_not_tried():
    """The function is tried on the first batch that has one, and not again after that or in a window that goes on."""
    seen = []

    def largest(y_pred, y):
        seen.append(len(y))
        return y.max().item()

    metric = EpochMetric(largest)
    for size in (0, 3, 2):
        metric.update((torch.zeros(size), torch.ones(size)))
    resumed = EpochMetric(largest)
    resumed.load_state_dict(metric.state_dict())
    resumed.update((torch.zeros(2), torch.ones(2)))
    assert [3] == seen
    metric.reset()
    metric.update((torch.zeros(1), torch.ones(1)))
    assert [3, 1] == seen
