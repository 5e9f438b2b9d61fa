"""MultiLabelConfusionMatrix: four counts for each label."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import MetricGroup, MultiLabelConfusionMatrix
from ignite_signals.metrics.device_value import device_value

TYPES = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool]


def value_of(metric: Any, *batches: Any) -> Any:
    """Return what a metric computes of batches."""
    for batch in batches:
        metric.update(batch)
    return metric.compute()


@settings(max_examples=50, deadline=None)
@given(
    st.tuples(st.integers(1, 6), st.integers(2, 5)),
    st.lists(st.integers(1, 3), max_size=2),
    st.tuples(st.sampled_from(TYPES), st.sampled_from(TYPES)),
    st.floats(0, 1),
    st.integers(0, 2**31),
)
def test_is_the_matrix_of_scikit_learn(
    size: tuple[int, int], more: list[int], dtypes: tuple[Any, Any], share: float, seed: int
) -> None:
    """Of any shapes and types, and however they are split, the counts are scikit-learn's."""
    reference = pytest.importorskip("sklearn.metrics").multilabel_confusion_matrix
    generator = torch.Generator().manual_seed(seed)
    y_pred, y = (torch.rand(*size, *more, generator=generator) < share for _ in range(2))
    metric = MultiLabelConfusionMatrix(size[1])

    matrix = value_of(metric, *zip(y_pred.to(dtypes[0]).split(2), y.to(dtypes[1]).split(2), strict=True))

    flat = (values.movedim(1, -1).flatten(0, -2).long().numpy() for values in (y, y_pred))
    assert torch.int64 == matrix.dtype
    assert reference(*flat).tolist() == matrix.tolist()


@pytest.mark.parametrize("normalized", [False, True])
def test_equals_ignite(normalized: bool) -> None:
    """The same batches give PyTorch-Ignite's matrix, and its shares."""
    theirs = pytest.importorskip("ignite.metrics").MultiLabelConfusionMatrix(4, normalized=normalized)
    ours = MultiLabelConfusionMatrix(4, normalized=normalized)
    for n in (5, 2):
        batch = torch.randint(2, (n, 4, 3)), torch.randint(2, (n, 4, 3))
        theirs.update(batch)
        ours.update(batch)
    torch.testing.assert_close(ours.compute(), theirs.compute(), rtol=1e-12, atol=0)


def test_a_count_stays_exact() -> None:
    """Beyond 2**24, where float32 ends, each sample still counts."""
    metric = MultiLabelConfusionMatrix(2)
    batch = torch.tensor([[1, 0]]), torch.tensor([[1, 1]])
    metric.update(batch)
    state = metric.state_dict()
    state["_counts"] *= 2**30
    metric.load_state_dict(state)
    assert [[[0, 0], [0, 2**30 + 1]], [[0, 0], [2**30 + 1, 0]]] == value_of(metric, batch).tolist()


@pytest.mark.parametrize("bad", [-1, 2, 100, -128, 2**32, -(2**63)])
@pytest.mark.parametrize("part", [0, 1])
def test_values_that_are_not_0_and_1_are_told_when_it_is_computed(bad: int, part: int) -> None:
    """A value of any size is refused, by compute, and harms nothing before."""
    batch = [torch.zeros(3, 2, dtype=torch.int64), torch.zeros(3, 2, dtype=torch.int64)]
    batch[part][1, 1] = bad
    metric = MultiLabelConfusionMatrix(2, normalized=True)
    metric.update(tuple(batch))
    with pytest.raises(ValueError, match="must be zeros and ones for MultiLabelConfusionMatrix"):
        metric.compute()
    assert device_value(metric).isnan().all()


def test_a_large_uint8_is_refused() -> None:
    """255 is not -1."""
    metric = MultiLabelConfusionMatrix(2)
    metric.update((torch.full((1, 2), 255, dtype=torch.uint8), torch.ones(1, 2, dtype=torch.uint8)))
    with pytest.raises(ValueError, match="zeros and ones"):
        metric.compute()


@pytest.mark.parametrize(
    ("y_pred", "y"),
    [((3,), (3,)), ((3, 4), (3, 4)), ((3, 2), (4, 2)), ((3, 2), (3, 2, 1)), ((3, 2), (3,))],
)
def test_shapes_that_do_not_fit_are_refused(y_pred: tuple[int, ...], y: tuple[int, ...]) -> None:
    """The error names the metric, what it takes and both shapes."""
    with pytest.raises(ValueError, match=r"must be of shape \(N, 2, ...\) for MultiLabelConfusionMatrix"):
        MultiLabelConfusionMatrix(2).update((torch.zeros(y_pred).long(), torch.zeros(y).long()))


def test_types_that_do_not_fit_are_refused() -> None:
    """Probabilities are to be rounded and converted, and lists to be tensors."""
    with pytest.raises(ValueError, match=r"integer type or bool for MultiLabelConfusionMatrix, got torch.float32"):
        MultiLabelConfusionMatrix(2).update((torch.rand(3, 2), torch.ones(3, 2).long()))
    with pytest.raises(TypeError, match="must be tensors for MultiLabelConfusionMatrix, got Tensor and list"):
        MultiLabelConfusionMatrix(2).update((torch.ones(1, 2).long(), [[0, 1]]))


def test_arguments_are_checked() -> None:
    """num_classes is an integer of at least 2."""
    with pytest.raises(ValueError, match="num_classes must be an integer of at least 2, got 1"):
        MultiLabelConfusionMatrix(1)


def test_a_window_without_a_sample() -> None:
    """The error names the metric; a batch of nothing is no sample."""
    metric = MultiLabelConfusionMatrix(2)
    metric.update((torch.zeros(0, 2).long(), torch.zeros(0, 2).long()))
    with pytest.raises(NotComputableError, match="MultiLabelConfusionMatrix has seen no sample"):
        metric.compute()


def test_counts_and_shares_are_one_accumulation() -> None:
    """In a group only one of them is updated."""
    group = MetricGroup(
        {"counts": MultiLabelConfusionMatrix(2), "shares": MultiLabelConfusionMatrix(2, normalized=True)}
    )
    values = value_of(group, (torch.tensor([[1, 0], [1, 1]]), torch.tensor([[1, 1], [0, 1]])))
    assert [0, 0] == group._leaders
    assert torch.equal(values["counts"].double() / 2, values["shares"])


def test_counts_on_the_device_that_is_named() -> None:
    """device says where to count, whatever device the values have."""
    metric = MultiLabelConfusionMatrix(2, device="meta")  # which holds no values, but can be told from the CPU
    metric.update((torch.ones(1, 2).long(), torch.ones(1, 2).long()))
    assert "meta" == metric._counts.device.type


def test_a_state_of_another_number_of_labels_is_refused() -> None:
    """Its counts would be taken for those of other labels."""
    metric = MultiLabelConfusionMatrix(5)
    metric.update((torch.ones(2, 5).long(), torch.ones(2, 5).long()))
    with pytest.raises(ValueError, match="with the same num_classes, and have 48 counts, got 80"):
        MultiLabelConfusionMatrix(3).load_state_dict(metric.state_dict())
