"""SubgroupMetric and SubgroupDifference: any metric, by group."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.engine import Engine
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import Accuracy, ConfusionMatrix, MeanSquaredError, Recall
from ignite_signals.metrics.fairness import SubgroupDifference, SubgroupMetric
from ignite_signals.metrics.fairness.subgroups import positions

PREDICTED, TARGETS = torch.eye(2)[[0, 1, 0, 1]], torch.tensor([0, 1, 1, 1])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(0, 2**31), st.integers(1, 20))
def test_is_the_metric_of_each_group(n: int, seed: int, size: int) -> None:
    """However the samples are split into batches, each group has the value of its own ones."""
    generator = torch.Generator().manual_seed(seed)
    y_pred, y = torch.randn(n, generator=generator), torch.randn(n, generator=generator)
    labels = torch.randint(4, (n,), generator=generator)
    metric, difference = (made(MeanSquaredError(), [2, 0, 1]) for made in (SubgroupMetric, SubgroupDifference))
    for batch in zip(y_pred.split(size), y.split(size), labels.split(size), strict=True):
        metric.update(batch)
        difference.update(batch)
    errors = (y_pred.double() - y.double()).square()
    expected = {group: errors[labels == group].mean().item() for group in (2, 0, 1) if (labels == group).any()}
    if expected:
        assert pytest.approx(expected, rel=1e-5) == metric.compute()
    if len(expected) > 1:
        assert pytest.approx(max(expected.values()) - min(expected.values()), rel=1e-4, abs=1e-6) == (
            difference.compute()
        )


@pytest.mark.parametrize("base", ["Accuracy", "Recall"])
def test_equals_ignite(base: str) -> None:
    """The same batches give PyTorch-Ignite's values, of numbers and of tensors."""
    theirs = pytest.importorskip("ignite.metrics")
    ours = {"Accuracy": Accuracy, "Recall": Recall}[base]()
    their_metric, their_difference = (
        made(getattr(theirs, base)(), groups=[0, 5])
        for made in (theirs.fairness.SubgroupMetric, theirs.fairness.SubgroupDifference)
    )
    metric, difference = SubgroupMetric(ours, groups=[0, 5]), SubgroupDifference(ours, groups=[0, 5])
    for size in (12, 9):
        batch = torch.rand(size, 3), torch.randint(3, (size,)), torch.randint(2, (size,)) * 5
        for each in (their_metric, their_difference, metric, difference):
            each.update(batch)
    expected, actual = their_metric.compute(), metric.compute()
    assert list(expected) == list(actual)
    for group in expected:
        assert torch.as_tensor(expected[group]).tolist() == pytest.approx(torch.as_tensor(actual[group]).tolist())
    assert pytest.approx(their_difference.compute()) == difference.compute()


def test_the_base_metric_is_left_alone() -> None:
    """It may be attached elsewhere: twins of it measure the groups."""
    base = Accuracy()
    metric = SubgroupMetric(base, groups=[0, 1])
    metric.update((PREDICTED, TARGETS, torch.tensor([0, 0, 1, 1])))
    assert {0: 1.0, 1: 0.5} == metric.compute()
    with pytest.raises(NotComputableError):
        base.compute()


def test_a_torchmetrics_metric_is_a_base_metric() -> None:
    """What torchmetrics measures is measured by group, too."""
    torchmetrics = pytest.importorskip("torchmetrics")
    metric = SubgroupMetric(torchmetrics.Accuracy("multiclass", num_classes=2, average="micro"), groups=[0, 1])
    metric.update((PREDICTED, TARGETS, torch.tensor([0, 0, 1, 1])))
    assert {0: 1.0, 1: 0.5} == metric.compute()


def test_a_run_takes_the_three_keys_of_a_mapping() -> None:
    """Keys are y_pred, y and group_labels; the groups' values are written under the groups, and as a dict."""
    engine = Engine(lambda engine, batch: batch)
    SubgroupMetric(Accuracy(), groups=[0, 1]).attach(engine, "accuracy")
    output = {"y_pred": PREDICTED, "y": TARGETS, "group_labels": torch.tensor([0, 0, 1, 1])}
    assert {0: 1.0, 1: 0.5, "accuracy": {0: 1.0, 1: 0.5}} == engine.run([output]).metrics


def test_values_are_computed_again_after_more_samples() -> None:
    """compute changes nothing: the value can be computed again, and goes on."""
    metric = SubgroupMetric(Accuracy(), groups=[0, 1])
    batch = PREDICTED, TARGETS, torch.tensor([0, 0, 1, 1])
    metric.update(batch)
    assert metric.compute() == metric.compute()
    metric.update((PREDICTED, TARGETS, torch.tensor([1, 1, 1, 1])))
    assert pytest.approx({0: 1.0, 1: 4 / 6}) == metric.compute()


def test_a_difference_needs_two_groups() -> None:
    """Nothing seen, or one group only, is told with the groups."""
    metric = SubgroupDifference(Accuracy(), groups=[0, 1])
    with pytest.raises(NotComputableError, match=r"samples of 0 of the groups \[0, 1\]"):
        metric.compute()
    metric.update((PREDICTED, TARGETS, torch.tensor([1, 1, 7, 7])))
    with pytest.raises(NotComputableError, match=r"SubgroupDifference has seen samples of 1 of the groups \[0, 1\]"):
        metric.compute()


def test_samples_of_no_group_are_no_samples() -> None:
    """Where no sample is of a group, there is no value."""
    metric = SubgroupMetric(Accuracy(), groups=[0, 1])
    metric.update((PREDICTED, TARGETS, torch.tensor([7, 7, 7, 7])))
    with pytest.raises(NotComputableError, match="SubgroupMetric has seen no sample of the groups"):
        metric.compute()


def test_the_difference_of_matrices_is_that_of_their_entries() -> None:
    """Of a tensor as value, the largest difference of an entry counts."""
    metric = SubgroupDifference(ConfusionMatrix(2), groups=[0, 1])
    metric.update((PREDICTED, TARGETS, torch.tensor([0, 1, 1, 1])))
    assert 2.0 == metric.compute()


def test_a_mapping_has_no_difference() -> None:
    """A base metric whose value is a dict is refused when it is computed."""
    metric = SubgroupDifference(ValueByName(), groups=[0, 1])
    metric.update((PREDICTED, TARGETS, torch.tensor([0, 0, 1, 1])))
    with pytest.raises(TypeError, match="base_metric must compute a number or a tensor for SubgroupDifference"):
        metric.compute()


class ValueByName(Accuracy):
    def update(self, output: Any) -> None:
        self._num_examples += 1

    def compute(self) -> Any:
        if not self._num_examples:
            raise NotComputableError("nothing")
        return {"a": 1.0}


@pytest.mark.parametrize("groups", [[], [0, 0], [1, 1.0]])
def test_groups_are_labels_each_once(groups: list[Any]) -> None:
    """No group, or one twice, is refused."""
    with pytest.raises(ValueError, match="groups must hold at least one label, and each once, got"):
        SubgroupMetric(Accuracy(), groups)


def test_arguments_are_checked() -> None:
    """Groups are numbers, and the base metric is a metric."""
    with pytest.raises(TypeError, match=r"groups must be numbers.*'a'"):
        SubgroupMetric(Accuracy(), ["a", "b"])
    with pytest.raises(TypeError, match="metric"):
        SubgroupDifference(torch.nn.Linear(1, 1), [0, 1])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("output", "error"),
    [
        ((PREDICTED, TARGETS), TypeError),
        ((PREDICTED, TARGETS, [0, 0, 1, 1]), TypeError),
        ((PREDICTED, TARGETS, torch.zeros(3)), ValueError),
        ((PREDICTED, TARGETS, torch.zeros(4, 1)), ValueError),
        ((PREDICTED, TARGETS[:3], torch.zeros(4)), ValueError),
    ],
)
def test_an_output_that_does_not_fit_is_refused(output: Any, error: type[Exception]) -> None:
    """The error names the metric and what it takes."""
    with pytest.raises(error, match=r"group_labels.*SubgroupMetric"):
        SubgroupMetric(Accuracy(), groups=[0, 1]).update(output)


def test_what_is_kept_is_a_copy() -> None:
    """A step may use the memory of its output again."""
    metric = SubgroupMetric(Accuracy(), groups=[0, 1])
    batch = PREDICTED.clone(), TARGETS.clone(), torch.tensor([0, 0, 1, 1])
    metric.update(batch)
    for part in batch:
        part.zero_()
    assert {0: 1.0, 1: 0.5} == metric.compute()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=5, unique=True),
    st.lists(st.integers(-7, 7), max_size=9),
    st.sampled_from([torch.int64, torch.int8, torch.float32]),
)
def test_labels_find_their_groups(groups: list[int], labels: list[int], dtype: torch.dtype) -> None:
    """Each label has the position of its group, or the one behind them all."""
    in_order = sorted(groups)
    expected = [in_order.index(label) if label in groups else len(groups) for label in labels]
    assert expected == positions(torch.tensor(labels, dtype=dtype), torch.tensor(in_order)).tolist()
