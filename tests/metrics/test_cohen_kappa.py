"""CohenKappa: agreement beyond chance."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ignite_signals.engine import Engine
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import CohenKappa, MetricGroup
from ignite_signals.metrics.device_value import device_value
from ignite_signals.metrics.epoch_metric import EpochMetricWarning

WEIGHTS = [None, "linear", "quadratic"]
TYPES = [torch.int64, torch.int32, torch.int8, torch.float32, torch.float16, torch.float64]


def kappa_of(*batches: Any, **kwargs: Any) -> float:
    """Return kappa of batches of (y_pred, y)."""
    metric = CohenKappa(**kwargs)
    for batch in batches:
        metric.update(batch)
    return metric.compute()


def pairs(lowest: int, highest: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    return st.lists(st.tuples(*[st.integers(lowest, highest)] * 2), min_size=1, max_size=30)


def reference(labels: list[tuple[int, int]], weights: str | None) -> float:
    """Return scikit-learn's kappa, with all whole numbers between the labels as labels."""
    score = pytest.importorskip("sklearn.metrics").cohen_kappa_score
    flat = [label for pair in labels for label in pair]
    assume(len(set(flat)) > 1)  # else it is undefined, of which scikit-learn warns
    predicted, targets = zip(*labels, strict=True)
    return float(score(targets, predicted, weights=weights, labels=range(min(flat), max(flat) + 1)))


@settings(max_examples=50, deadline=None)
@given(pairs(-4, 4), st.sampled_from(WEIGHTS), st.sampled_from(TYPES), st.integers(1, 30))
def test_is_that_of_scikit_learn(labels: list[tuple[int, int]], weights: Any, dtype: torch.dtype, size: int) -> None:
    """Of any whole numbers of any type, and however they are split, kappa is scikit-learn's."""
    expected = reference(labels, weights)
    values = torch.tensor(labels).to(dtype)
    actual = kappa_of(*((part[:, 0], part[:, 1:]) for part in values.split(size)), weights=weights)
    assert pytest.approx(expected, rel=1e-10, abs=1e-12) == actual


@settings(max_examples=50, deadline=None)
@given(pairs(0, 5), st.sampled_from(WEIGHTS), st.sampled_from(TYPES), st.integers(1, 30))
def test_counts_give_the_same(labels: list[tuple[int, int]], weights: Any, dtype: torch.dtype, size: int) -> None:
    """With the number of classes, of which some may never occur, kappa is the same, of counts alone."""
    expected = reference(labels, weights)
    values = torch.tensor(labels).to(dtype)
    actual = kappa_of(*(tuple(part.T) for part in values.split(size)), weights=weights, num_classes=7)
    assert pytest.approx(expected, rel=1e-10, abs=1e-12) == actual


@pytest.mark.parametrize("num_classes", [None, 4])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_equals_ignite(weights: Any, num_classes: int | None) -> None:
    """The same batches give PyTorch-Ignite's kappa."""
    theirs = pytest.importorskip("ignite.metrics").CohenKappa(weights=weights, num_classes=num_classes)
    ours = CohenKappa(weights=weights, num_classes=num_classes)
    for size in (8, 8, 3):
        batch = torch.randint(4, (size,)), torch.randint(4, (size, 1))
        theirs.update(batch)
        ours.update(batch)
    assert pytest.approx(theirs.compute(), rel=1e-9) == ours.compute()


@pytest.mark.parametrize("num_classes", [None, 3])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_one_label_throughout_is_undefined(weights: Any, num_classes: int | None) -> None:
    """Where chance alone agrees always, kappa is NaN, as scikit-learn's."""
    assert math.isnan(kappa_of((torch.ones(4), torch.ones(4)), weights=weights, num_classes=num_classes))


def test_a_count_stays_exact() -> None:
    """Beyond 2**24, where float32 ends, each sample still counts."""
    metric = CohenKappa(num_classes=2)
    metric.update((torch.tensor([0, 1]), torch.tensor([0, 1])))
    state = metric.state_dict()
    state["_counts"] *= 2**30
    metric.load_state_dict(state)
    metric.update((torch.tensor([0]), torch.tensor([1])))
    n = 2**31 + 1
    expected = ((n - 1) / n + (-0.5 - 1 / (2 * n * n))) / 0.5
    assert pytest.approx(expected, rel=1e-9) == metric.compute()


@pytest.mark.parametrize("bad", [-1, 3, 2**40, 0.5, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("part", [0, 1])
def test_labels_that_are_no_class_are_told_when_it_is_computed(bad: float, part: int) -> None:
    """The error names the metric and the range; the value that is not read is NaN."""
    batch = [torch.zeros(3, dtype=torch.float64 if isinstance(bad, float) else torch.int64) for _ in range(2)]
    batch[part][1] = bad
    metric = CohenKappa(num_classes=3)
    metric.update(tuple(batch))
    assert math.isnan(device_value(metric))
    with pytest.raises(ValueError, match=r"whole numbers in \[0, 3\) for CohenKappa"):
        metric.compute()


@pytest.mark.parametrize("bad", [0.5, math.nan, math.inf])
def test_labels_that_are_no_whole_numbers_are_told_when_it_is_computed(bad: float) -> None:
    """Scores instead of labels are refused."""
    with pytest.raises(ValueError, match="y_pred and y must be whole numbers for CohenKappa"):
        kappa_of((torch.tensor([0.0, bad]), torch.tensor([0, 1])))


@pytest.mark.parametrize("num_classes", [None, 3])
def test_shapes_that_do_not_fit_are_refused(num_classes: int | None) -> None:
    """Scores of several classes, and predictions and targets of different number, are refused at once."""
    metric = CohenKappa(num_classes=num_classes)
    with pytest.raises(ValueError, match=r"labels of shape .* for CohenKappa.*argmax"):
        metric.update((torch.rand(4, 3), torch.zeros(4)))
    with pytest.raises(ValueError, match="as many samples as each other for CohenKappa"):
        metric.update((torch.zeros(4), torch.zeros(3)))
    with pytest.raises(TypeError, match="must be tensors for CohenKappa, got a list"):
        metric.update((torch.zeros(2), [0, 1]))


def test_arguments_are_checked() -> None:
    """The errors name the argument, what it is and what it may be."""
    with pytest.raises(ValueError, match=r"weights must be one of .*'linear', 'quadratic'.*got 'cubic'"):
        CohenKappa(weights="cubic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="num_classes must be an integer of at least 2, got 1"):
        CohenKappa(num_classes=1)


@pytest.mark.parametrize("num_classes", [None, 3])
def test_a_window_without_a_sample(num_classes: int | None) -> None:
    """The error names the metric; a batch of nothing is no sample."""
    metric = CohenKappa(num_classes=num_classes)
    with pytest.raises(NotComputableError, match="CohenKappa has seen no sample"):
        metric.compute()
    metric.update((torch.zeros(0), torch.zeros(0)))
    with pytest.raises(NotComputableError, match="CohenKappa has seen no sample"):
        metric.compute()


def test_a_run_writes_a_number() -> None:
    """In the metrics of a run it is a Python number."""
    engine = Engine(lambda engine, batch: batch)
    CohenKappa().attach(engine, "kappa")
    value = engine.run([(torch.tensor([0, 0, 2, 2, 0, 2]), torch.tensor([2, 0, 2, 2, 0, 1]))]).metrics["kappa"]
    assert (float, pytest.approx(3 / 7)) == (type(value), value)


def test_the_first_batch_may_be_tried() -> None:
    """check_compute_fn warns of a value that cannot be computed, early."""
    metric = CohenKappa(check_compute_fn=True)
    metric.compute_fn = lambda y_pred, y: 1 / 0
    with pytest.warns(EpochMetricWarning, match="compute_fn of CohenKappa failed on the first batch"):
        metric.update((torch.zeros(2), torch.zeros(2)))
    assert 1.0 == kappa_of((torch.tensor([0, 1]), torch.tensor([0, 1])), check_compute_fn=True)


def test_members_of_a_group_keep_the_labels_once() -> None:
    """Kappas of other weights share what they keep; counts are another accumulation."""
    group = MetricGroup(
        {"plain": CohenKappa(), "linear": CohenKappa(weights="linear"), "counted": CohenKappa(num_classes=3)}
    )
    group.update((torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 1, 2])))
    values = group.compute()
    assert [0, 0, 2] == group._leaders
    assert pytest.approx(values["counted"]) == values["plain"]


def test_counts_on_the_device_that_is_named() -> None:
    """device says where to count, whatever device the labels have."""
    metric = CohenKappa(num_classes=3, device="meta")  # which holds no values, but can be told from the CPU
    metric.update((torch.tensor([0, 1]), torch.tensor([0, 1])))
    assert metric._counts is not None
    assert "meta" == metric._counts.device.type


def test_labels_that_float64_does_not_tell_apart_differ() -> None:
    """Labels may be hashes of 64 bits, which are whole numbers too large for a float."""
    y_pred, y = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 1, 1, 1])
    assert kappa_of((y_pred, y)) == kappa_of((y_pred + 2**60, y + 2**60))


def test_a_state_of_another_number_of_classes_is_refused() -> None:
    """Its counts would be taken for those of other labels."""
    metric = CohenKappa(num_classes=5)
    metric.update((torch.arange(5), torch.arange(5)))
    with pytest.raises(ValueError, match="must be that of a CohenKappa with the same num_classes, and have 25 counts"):
        CohenKappa(num_classes=3).load_state_dict(metric.state_dict())


def test_a_state_of_the_other_way_to_accumulate_is_refused() -> None:
    """What was kept cannot go on as counts, nor counts as what was kept."""
    labels = torch.tensor([0, 1])
    for metric, other, message in (
        (CohenKappa(), CohenKappa(num_classes=3), "with num_classes=3, which counts, got that of one that keeps"),
        (CohenKappa(num_classes=3), CohenKappa(), "with the same num_classes, and have 0 counts, got 25"),
    ):
        metric.update((labels, labels))
        with pytest.raises(ValueError, match=message):
            other.load_state_dict(metric.state_dict())


@pytest.mark.parametrize("num_classes", [None, 3])
def test_complex_labels_are_refused(num_classes: int | None) -> None:
    """What has no order has no place in a matrix, whatever else it is."""
    for shape in ((2,), (2, 1)):
        with pytest.raises(TypeError, match=r"must be real for CohenKappa, got torch\.complex64 and torch\.float32"):
            kappa_of((torch.ones(shape, dtype=torch.complex64), torch.ones(2)), num_classes=num_classes)
