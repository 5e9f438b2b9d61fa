"""SelectionRate, DemographicParityDifference and SubgroupAccuracyDifference: rates of outcomes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import Accuracy, MetricGroup
from ignite_signals.metrics.device_value import device_value
from ignite_signals.metrics.fairness import (
    DemographicParityDifference,
    SelectionRate,
    SubgroupAccuracyDifference,
    SubgroupDifference,
)

KINDS = ["binary", "column", "multiclass", "multilabel"]
DIFFERENCES = [DemographicParityDifference, SubgroupAccuracyDifference]


def batch_of(kind: str, n: int, more: tuple[int, ...], dtype: torch.dtype, seed: int) -> tuple[Tensor, Tensor]:
    """Return predictions and targets of a kind of classification."""
    generator = torch.Generator().manual_seed(seed)
    if kind == "multiclass":
        return torch.rand(n, 4, *more, generator=generator), torch.randint(4, (n, *more), generator=generator)
    shape = {"binary": (n, *more), "column": (n, 1, *more), "multilabel": (n, 3, *more)}[kind]
    y_pred, y = (torch.randint(2, shape, generator=generator) for _ in range(2))
    return y_pred.to(dtype), y.squeeze(1) if kind == "column" else y


def peer(name: str, kind: str, **kwargs: Any) -> Any:
    fairness = pytest.importorskip("ignite.metrics.fairness")
    return getattr(fairness, name)(is_multilabel=kind == "multilabel", **kwargs)


data = given(
    st.sampled_from(KINDS),
    st.integers(4, 15),
    st.sampled_from([(), (2,), (2, 3)]),
    st.sampled_from([torch.float32, torch.float16, torch.uint8, torch.int64]),
    st.integers(0, 2**31),
)


@settings(max_examples=40, deadline=None)
@data
def test_the_selection_rate_equals_ignites(
    kind: str, n: int, more: tuple[int, ...], dtype: torch.dtype, seed: int
) -> None:
    """Of any shapes, types and kinds, the rates are PyTorch-Ignite's."""
    theirs, ours = peer("SelectionRate", kind), SelectionRate(is_multilabel=kind == "multilabel")
    y_pred, y = batch_of(kind, n, more, dtype, seed)
    for batch in zip(y_pred.split(3), y.split(3), strict=True):
        theirs.update(batch)
        ours.update(batch)
    rate = ours.compute()
    assert torch.float64 == rate.dtype
    torch.testing.assert_close(rate, theirs.compute().double(), rtol=1e-6, atol=0)


@settings(max_examples=40, deadline=None)
@data
@pytest.mark.parametrize("difference", DIFFERENCES)
def test_the_differences_equal_ignites(
    difference: Any, kind: str, n: int, more: tuple[int, ...], dtype: torch.dtype, seed: int
) -> None:
    """Of any shapes, types and kinds, the differences are PyTorch-Ignite's; some groups may be unseen."""
    multilabel, groups = kind == "multilabel", [3, 0, 8]
    theirs = peer(difference.__name__, kind, groups=groups)
    ours = difference(groups, is_multilabel=multilabel)
    y_pred, y = batch_of(kind, n, more, dtype, seed)
    labels = torch.tensor([0, 3, 8, 1])[torch.arange(n) % 4 if seed % 2 else torch.arange(n) % 2]
    for batch in zip(y_pred.split(6), y.split(6), labels.split(6), strict=True):
        theirs.update(batch)
        ours.update(batch)
    assert pytest.approx(theirs.compute(), rel=1e-5, abs=1e-6) == ours.compute()


def test_keeping_all_outputs_gives_the_same() -> None:
    """SubgroupDifference computes the same of the metric itself."""
    y_pred, y, labels = torch.rand(50, 3), torch.randint(3, (50,)), torch.randint(2, (50,))
    for base, difference in ((Accuracy(), SubgroupAccuracyDifference), (SelectionRate(), DemographicParityDifference)):
        kept, counted = SubgroupDifference(base, groups=[0, 1]), difference(groups=[0, 1])
        kept.update((y_pred, y, labels))
        counted.update((y_pred, y, labels))
        assert pytest.approx(kept.compute(), rel=1e-12) == counted.compute()


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_a_difference_needs_two_groups(difference: Any) -> None:
    """Nothing seen, one group only, or samples of no group have no value; unread it is NaN."""
    name = difference.__name__
    metric = difference(groups=[0, 1])
    with pytest.raises(NotComputableError, match=f"{name} has seen no sample"):
        metric.compute()
    metric.update((torch.eye(2), torch.tensor([0, 1]), torch.tensor([1, 5])))
    assert math.isnan(device_value(metric))
    with pytest.raises(NotComputableError, match=rf"{name} has seen samples of less than two of the groups \[0, 1\]"):
        metric.compute()


@pytest.mark.parametrize("bad", [-1, 2, 0.5, math.nan])
def test_binary_values_that_are_not_0_and_1_are_told_when_it_is_computed(bad: float) -> None:
    """Each metric refuses such predictions, also those of a sample of no group."""
    y_pred, y = torch.tensor([0.0, 1.0, bad]), torch.tensor([0.0, 1.0, 1.0])
    rate = SelectionRate()
    rate.update((y_pred, y))
    with pytest.raises(ValueError, match="zeros and ones for SelectionRate"):
        rate.compute()
    for difference in DIFFERENCES:
        metric = difference(groups=[0, 1])
        metric.update((y_pred, y, torch.tensor([0, 1, 7])))
        assert math.isnan(device_value(metric))
        with pytest.raises(ValueError, match=f"for {difference.__name__}.*zeros and ones|zeros and ones for"):
            metric.compute()


@pytest.mark.parametrize("bad", [-1, 3, 255])
def test_a_target_that_is_no_class_is_told_when_it_is_computed(bad: int) -> None:
    """An accuracy of such targets is refused, while the rate of selections does not look at them."""
    batch = torch.eye(3), torch.tensor([0, 1, bad]), torch.tensor([0, 1, 1])
    accuracy, parity = SubgroupAccuracyDifference(groups=[0, 1]), DemographicParityDifference(groups=[0, 1])
    accuracy.update(batch)
    parity.update(batch)
    with pytest.raises(ValueError, match=r"y must be in \[0, C\) for SubgroupAccuracyDifference"):
        accuracy.compute()
    assert 1.0 == parity.compute()


def test_a_count_stays_exact() -> None:
    """Beyond 2**24, where float32 ends, each sample still counts."""
    metric = SelectionRate()
    metric.update((torch.eye(2), torch.tensor([0, 1])))
    state = metric.state_dict()
    state["_counts"] *= 2**30
    metric.load_state_dict(state)
    metric.update((torch.eye(2)[[0]], torch.tensor([0])))
    assert (2**30 + 1) / (2**31 + 1) == metric.compute()[0].item()


def test_a_kind_that_was_loaded_is_kept() -> None:
    """Data of another kind than what was loaded is refused."""
    metric, other = SelectionRate(), SelectionRate()
    metric.update((torch.eye(3), torch.tensor([0, 1, 2])))
    other.load_state_dict(metric.state_dict())
    with pytest.raises(ValueError, match="must stay of one kind until reset for SelectionRate, got binary"):
        other.update((torch.ones(3), torch.ones(3)))


def test_a_difference_of_the_same_groups_is_one_accumulation() -> None:
    """In a group of metrics each one shares with its like alone."""
    members = {f"{name}-{i}": made([0, 1]) for name, made in zip("ab", DIFFERENCES, strict=True) for i in range(2)}
    group = MetricGroup({**members, "c": DemographicParityDifference([0, 2])})
    assert [0, 0, 2, 2, 4] == group._leaders


def test_the_groups_are_checked() -> None:
    """Groups are numbers, each once."""
    for difference in DIFFERENCES:
        with pytest.raises(ValueError, match="groups must hold at least one label"):
            difference(groups=[])
        with pytest.raises(TypeError, match="groups must be numbers"):
            difference(groups=["a"])


def test_counts_on_the_device_that_is_named() -> None:
    """device says where to count, whatever device the values have."""
    metric = SelectionRate(device="meta")  # which holds no values, but can be told from the CPU
    metric.update((torch.eye(2), torch.tensor([0, 1])))
    assert "meta" == metric._counts.device.type


def test_an_empty_batch_changes_nothing() -> None:
    """A batch without a sample is taken, but is none."""
    metric = DemographicParityDifference(groups=[0, 1])
    metric.update((torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), torch.zeros(0)))
    with pytest.raises(NotComputableError, match="DemographicParityDifference has seen no sample"):
        metric.compute()


GROUPED = torch.eye(2)[[0, 0, 1, 1]], torch.tensor([0, 1, 1, 1])


@pytest.mark.parametrize(
    ("groups", "labels"),
    [
        ([0.1, 0.2], torch.tensor([0.1, 0.2, 0.1, 0.2], dtype=torch.float64)),
        ([0.1, 0.2], torch.tensor([0.1, 0.2, 0.1, 0.2])),
        ([0.1, 0.2], torch.tensor([0.1, 0.2, 0.1, 0.2], dtype=torch.float16)),
        ([0.5, 2.0], torch.tensor([2, 0, 2, 0]) / 4 + torch.tensor([0, 2, 0, 2])),
        ([1.0, 2.0**24 + 1], torch.tensor([1, 2**24 + 1, 1, 2**24 + 1])),
        ([2**60, 2**60 + 1], torch.tensor([2**60, 2**60 + 1, 2**60, 2**60 + 1])),
        ([True, False], torch.tensor([False, True, False, True])),
        ([1, 0], torch.tensor([False, True, False, True])),
        ([1, 2], torch.tensor([1, 0, 2, 0, 1, 0, 2, 0], dtype=torch.uint8)[::2]),
    ],
)
def test_groups_may_be_any_numbers(groups: Any, labels: Tensor) -> None:
    """A label is that of a group if it is the same number in the labels' type."""
    metric, keeping = SubgroupAccuracyDifference(groups), SubgroupDifference(Accuracy(), groups)
    for difference in (metric, keeping):
        difference.update((*GROUPED, labels))

    assert keeping.compute() == metric.compute()


def test_group_labels_may_be_on_another_device() -> None:
    """Who a sample is of often stays where it was loaded."""
    with FakeTensorMode():
        for made in DIFFERENCES:
            difference = made([0, 1])
            y = torch.empty(4, dtype=torch.int64, device="cuda")
            difference.update((torch.empty(4, 2, device="cuda"), y, torch.empty(4, dtype=torch.int64)))
            assert "cuda" == difference._counts.device.type


def test_a_state_of_other_groups_is_refused() -> None:
    """Its counts would be taken for those of other groups."""
    metric = SubgroupAccuracyDifference([0, 1, 2])
    metric.update((*GROUPED, torch.arange(4)))
    with pytest.raises(ValueError, match="must be that of a SubgroupAccuracyDifference with the same groups"):
        SubgroupAccuracyDifference([0, 1]).load_state_dict(metric.state_dict())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.float64, torch.bool])
def test_targets_may_be_of_any_type(dtype: torch.dtype) -> None:
    """Classes are whole numbers, whatever holds them, also where there are more than the type can tell."""
    metric = SubgroupAccuracyDifference([0, 1])
    metric.update((torch.eye(300)[[0, 0, 1, 1]], torch.tensor([0, 1, 1, 1]).to(dtype), torch.tensor([0, 0, 1, 1])))
    assert 0.5 == metric.compute()


@pytest.mark.parametrize(
    "pair",
    [
        (torch.eye(2), torch.tensor([0.0, 0.5])),
        (torch.eye(2), torch.tensor([0.0, math.nan])),
        (torch.tensor([0.0, math.inf]), torch.tensor([0.0, 1.0])),
        (torch.tensor([0.0, 1.0]), torch.tensor([0.0, math.inf])),
    ],
)
def test_what_is_no_class_is_refused(pair: tuple[Tensor, Tensor]) -> None:
    """Neither half a class nor infinity is taken for a wrong prediction."""
    metric = SubgroupAccuracyDifference([0, 1])
    metric.update((*pair, torch.tensor([0, 1])))
    with pytest.raises(ValueError, match="for SubgroupAccuracyDifference, and y_pred and y zeros and ones"):
        metric.compute()


def test_complex_group_labels_are_refused() -> None:
    """What has no order has no place among the groups."""
    with pytest.raises(TypeError, match="group_labels must be real for SubgroupAccuracyDifference"):
        SubgroupAccuracyDifference([0, 1]).update((*GROUPED, torch.ones(4, dtype=torch.complex64)))
