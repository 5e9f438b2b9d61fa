"""ConfusionMatrix, and the metrics that are made of one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ignite_signals.engine import Engine
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import (
    Accuracy,
    ConfusionMatrix,
    DiceCoefficient,
    IoU,
    JaccardIndex,
    MetricGroup,
    cmAccuracy,
    cmPrecision,
    cmRecall,
    mIoU,
)

sklearn_metrics = pytest.importorskip("sklearn.metrics")

EXAMPLE = torch.eye(3)[[1, 1, 0, 1, 1]], torch.tensor([0, 1, 0, 1, 2])
SCORES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool]
TARGETS = [torch.int64, torch.int32, torch.int16, torch.uint8]


def value_of(metric: Any, *batches: tuple[Tensor, Tensor]) -> Any:
    """Return what a metric computes of batches."""
    for batch in batches:
        metric.update(batch)
    return metric.compute()


def scores_of(predicted: Tensor, num_classes: int) -> Tensor:
    """Return scores, classes in the second dimension, of which these are the largest."""
    return torch.nn.functional.one_hot(predicted, num_classes).movedim(-1, 1)


@st.composite
def segmentations(draw: st.DrawFn) -> tuple[int, Tensor, Tensor]:
    """Draw a number of classes, predictions and targets of any shape, of which some are no class."""
    num_classes = draw(st.integers(2, 30))
    shape = (draw(st.integers(1, 5)), *draw(st.lists(st.integers(1, 3), max_size=2)))
    used = draw(st.integers(1, num_classes))  # classes beyond it never occur
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    predicted = torch.randint(used, shape, generator=generator)
    y = torch.randint(used, shape, generator=generator)
    if draw(st.booleans()):
        y = y.masked_fill(torch.rand(shape, generator=generator) < 0.2, draw(st.sampled_from([num_classes, 255])))
    return num_classes, predicted, y


def counted(num_classes: int, predicted: Tensor, y: Tensor, normalize: str | None = None) -> Any:
    """Return scikit-learn's matrix of those targets that are classes."""
    known = (y >= 0) & (y < num_classes)
    return sklearn_metrics.confusion_matrix(
        y[known].numpy(), predicted[known].numpy(), labels=range(num_classes), normalize=normalize
    )


@settings(max_examples=50, deadline=None)
@given(segmentations(), st.sampled_from(SCORES), st.sampled_from(TARGETS), st.integers(0, 5))
def test_is_the_matrix_of_scikit_learn(
    data: tuple[int, Tensor, Tensor], scores: torch.dtype, targets: torch.dtype, cut: int
) -> None:
    """Of any shapes and types, and however they are split, the counts are scikit-learn's."""
    num_classes, predicted, y = data
    if not (y < num_classes).any():
        return
    y_pred = scores_of(predicted, num_classes).to(scores)
    batches = list(zip(y_pred.split(cut or 9), y.to(targets).split(cut or 9), strict=True))

    matrix = value_of(ConfusionMatrix(num_classes), *batches)

    assert torch.int64 == matrix.dtype
    assert counted(num_classes, predicted, y).tolist() == matrix.tolist()


@settings(max_examples=30, deadline=None)
@given(segmentations(), st.sampled_from([("recall", "true"), ("precision", "pred")]))
def test_rows_and_columns_are_normalized(data: tuple[int, Tensor, Tensor], names: tuple[str, str]) -> None:
    """Each row ("recall") or column ("precision") has the sum 1, or 0 where nothing is counted."""
    num_classes, predicted, y = data
    if not (y < num_classes).any():
        return
    ours, theirs = names
    matrix = value_of(ConfusionMatrix(num_classes, average=ours), (scores_of(predicted, num_classes), y))
    np.testing.assert_allclose(matrix, counted(num_classes, predicted, y, theirs), rtol=1e-12)


def test_samples_are_those_of_the_batches() -> None:
    """With average="samples" the counts are divided by the number of samples, images for instance."""
    y_pred, y = torch.rand(2, 3, 4, 5), torch.randint(3, (2, 4, 5))
    expected = value_of(ConfusionMatrix(3), (y_pred, y)) / 2
    assert torch.equal(expected.double(), value_of(ConfusionMatrix(3, average="samples"), (y_pred, y)))


@pytest.mark.parametrize("void", [-100, -1, 3, 255, 2**40, -(2**63), 2**63 - 1])
def test_a_target_that_is_no_class_is_left_out(void: int) -> None:
    """As in PyTorch-Ignite, any other target than a class is not counted, and does no harm."""
    y_pred, y = torch.eye(3)[[0, 1, 2, 2]], torch.tensor([0, void, 2, void])
    assert [[1, 0, 0], [0, 0, 0], [0, 0, 1]] == value_of(ConfusionMatrix(3), (y_pred, y)).tolist()


def test_only_targets_that_are_no_class() -> None:
    """A window whose targets are all left out is one of zeros, as there were samples."""
    batch = torch.eye(2), torch.tensor([255, 255])
    assert [[0, 0], [0, 0]] == value_of(ConfusionMatrix(2), batch).tolist()
    assert [[0, 0], [0, 0]] == value_of(ConfusionMatrix(2, average="recall"), batch).tolist()
    assert 0 == value_of(cmAccuracy(ConfusionMatrix(2)), batch)


@pytest.mark.parametrize("average", [None, "samples", "recall", "precision"])
def test_equals_ignite(average: Any) -> None:
    """The same batches give PyTorch-Ignite's matrix."""
    theirs = pytest.importorskip("ignite.metrics").ConfusionMatrix(5, average=average)
    ours = ConfusionMatrix(5, average=average)
    for size in (8, 8, 3):
        batch = torch.randn(size, 5, 2, 3), torch.randint(-1, 6, (size, 2, 3))
        theirs.update(batch)
        ours.update(batch)
    torch.testing.assert_close(ours.compute().double(), theirs.compute().double(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("ignore_index", [None, 0, 2])
@pytest.mark.parametrize("name", ["IoU", "mIoU", "JaccardIndex", "DiceCoefficient"])
@pytest.mark.parametrize("average", [None, "samples"])
def test_what_is_made_of_a_matrix_equals_ignites(name: str, ignore_index: int | None, average: Any) -> None:
    """The overlaps, with and without a class to ignore, are PyTorch-Ignite's, of counts and of shares."""
    peer = pytest.importorskip("ignite.metrics.confusion_matrix")
    function = {"IoU": IoU, "mIoU": mIoU, "JaccardIndex": JaccardIndex, "DiceCoefficient": DiceCoefficient}[name]
    batch = torch.randn(20, 5), torch.randint(4, (20,))
    expected = value_of(getattr(peer, name)(peer.ConfusionMatrix(5, average=average), ignore_index), batch)
    actual = value_of(function(ConfusionMatrix(5, average=average), ignore_index), batch)
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(segmentations())
def test_what_is_made_of_a_matrix_equals_scikit_learns(data: tuple[int, Tensor, Tensor]) -> None:
    """Accuracy, precision, recall and overlaps are scikit-learn's; a class that is nowhere has 0."""
    num_classes, predicted, y = data
    known = y < num_classes
    if not known.any():
        return
    target, prediction = y[known].numpy(), predicted[known].numpy()
    options = {"labels": range(num_classes), "average": None, "zero_division": 0}
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(target, prediction),
        "precision": sklearn_metrics.precision_score(target, prediction, **options),
        "mean_precision": sklearn_metrics.precision_score(target, prediction, **{**options, "average": "macro"}),
        "recall": sklearn_metrics.recall_score(target, prediction, **options),
        "mean_recall": sklearn_metrics.recall_score(target, prediction, **{**options, "average": "macro"}),
        "iou": sklearn_metrics.jaccard_score(target, prediction, **options),
        "miou": sklearn_metrics.jaccard_score(target, prediction, **{**options, "average": "macro"}),
        "dice": sklearn_metrics.f1_score(target, prediction, **options),
    }
    matrix = ConfusionMatrix(num_classes)
    group = MetricGroup(
        {
            "accuracy": cmAccuracy(matrix),
            "precision": cmPrecision(matrix, average=False),
            "mean_precision": cmPrecision(matrix),
            "recall": cmRecall(matrix, average=False),
            "mean_recall": cmRecall(matrix),
            "iou": IoU(matrix),
            "miou": mIoU(matrix),
            "dice": DiceCoefficient(matrix),
        }
    )
    values = value_of(group, (scores_of(predicted, num_classes), y))
    for name, value in expected.items():
        np.testing.assert_allclose(values[name], value, rtol=1e-12, err_msg=name)


def test_a_count_stays_exact() -> None:
    """Beyond 2**24, where float32 ends, each sample still counts, in what is normalized, too."""
    metric = ConfusionMatrix(2, average="recall")
    metric.update((torch.eye(2), torch.tensor([0, 1])))
    state = metric.state_dict()
    state["_counts"] *= 2**30
    metric.load_state_dict(state)
    metric.update((torch.eye(2)[[1]], torch.tensor([0])))
    assert [[2**30, 1], [0, 2**30]] == metric.confusion_matrix.tolist()
    assert 1 / (2**30 + 1) == metric.compute()[0, 1].item()


def test_the_value_is_not_changed_by_what_follows() -> None:
    """What was computed stays as it was when the metric is updated."""
    metric = ConfusionMatrix(3)
    first = value_of(metric, EXAMPLE)
    metric.update(EXAMPLE)
    assert [[1, 1, 0], [0, 2, 0], [0, 1, 0]] == first.tolist()


def test_the_counts_so_far_can_be_read() -> None:
    """confusion_matrix is the counts, of zeros before the first sample."""
    metric = ConfusionMatrix(3, average="recall")
    assert torch.equal(torch.zeros(3, 3, dtype=torch.int64), metric.confusion_matrix)
    metric.update(EXAMPLE)
    assert [[1, 1, 0], [0, 2, 0], [0, 1, 0]] == metric.confusion_matrix.tolist()


def test_one_accumulation_serves_the_matrix_and_what_is_made_of_it() -> None:
    """In a group only one of them is updated, whatever their averages."""
    group = MetricGroup(
        {
            "counts": ConfusionMatrix(3),
            "recalls": ConfusionMatrix(3, average="recall"),
            "other": ConfusionMatrix(3, output_transform=lambda output: output),
        }
    )
    assert [0, 0, 2] == group._leaders
    values = value_of(cmAccuracy(ConfusionMatrix(3)) + mIoU(ConfusionMatrix(3)), EXAMPLE)
    assert pytest.approx(3 / 5 + 1 / 3) == values.item()


def test_writes_a_tensor_and_numbers() -> None:
    """In the metrics of a run the matrix is a tensor and the mean overlap a number."""
    engine = Engine(lambda engine, batch: batch)
    ConfusionMatrix(3).attach(engine, "matrix")
    mIoU(ConfusionMatrix(3)).attach(engine, "miou")
    metrics = engine.run([EXAMPLE]).metrics
    assert [[1, 1, 0], [0, 2, 0], [0, 1, 0]] == metrics["matrix"].tolist()
    assert (float, pytest.approx(1 / 3)) == (type(metrics["miou"]), metrics["miou"])


def test_an_empty_batch_changes_nothing() -> None:
    """A batch without a sample is taken, but is none."""
    metric = ConfusionMatrix(3)
    metric.update((torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)))
    with pytest.raises(NotComputableError, match="ConfusionMatrix has seen no sample"):
        metric.compute()


def test_a_gradient_is_not_kept() -> None:
    """Predictions that require a gradient leave nothing of their graph behind."""
    matrix = value_of(ConfusionMatrix(2), (torch.eye(2, requires_grad=True), torch.tensor([0, 1])))
    assert not matrix.requires_grad


@pytest.mark.parametrize("num_classes", [1, 0, -3, 2.5, None])
def test_a_number_of_classes_is_refused(num_classes: Any) -> None:
    """num_classes is an integer of at least 2."""
    with pytest.raises(ValueError, match="num_classes must be an integer of at least 2, got"):
        ConfusionMatrix(num_classes)


def test_an_average_is_refused() -> None:
    """The error lists what the average may be."""
    with pytest.raises(ValueError, match=r"average must be one of .*'samples', 'recall', 'precision'.*got 'macro'"):
        ConfusionMatrix(3, average="macro")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="average must be 'recall' or 'precision', got 'samples'"):
        ConfusionMatrix.normalize(torch.ones(2, 2), "samples")


@pytest.mark.parametrize(
    ("y_pred", "y"),
    [((4,), (4,)), ((4, 2), (4,)), ((4, 3), (5,)), ((4, 3), (4, 3)), ((4, 3, 2), (4,)), ((4, 3, 2, 2), (4, 2, 3))],
)
def test_shapes_that_do_not_fit_are_refused(y_pred: tuple[int, ...], y: tuple[int, ...]) -> None:
    """The error names the metric, what it takes and both shapes."""
    with pytest.raises(ValueError, match=r"\(N, 3, ...\) and y of shape \(N, ...\) for ConfusionMatrix"):
        ConfusionMatrix(3).update((torch.zeros(y_pred), torch.zeros(y, dtype=torch.int64)))


@pytest.mark.parametrize("output", [(torch.eye(3), torch.zeros(3)), (torch.eye(3), [0, 1, 2]), torch.eye(3), 1])
def test_types_that_do_not_fit_are_refused(output: Any) -> None:
    """Targets are a tensor of integers, and an output has two parts."""
    with pytest.raises(TypeError, match=r"for ConfusionMatrix.*output_transform"):
        ConfusionMatrix(3).update(output)


@pytest.mark.parametrize("function", [IoU, mIoU, JaccardIndex, DiceCoefficient])
def test_overlaps_are_made_of_a_matrix_of_counts(function: Any) -> None:
    """Another metric, a normalized matrix and an index that is no class are refused."""
    with pytest.raises(TypeError, match="cm must be a ConfusionMatrix, got"):
        function(Accuracy())
    with pytest.raises(ValueError, match=r"average of cm must be None or 'samples'.*got 'recall'"):
        function(ConfusionMatrix(3, average="recall"))
    for index in (-1, 3, 1.5):
        with pytest.raises(ValueError, match=r"ignore_index must be an integer in \[0, 3\), got"):
            function(ConfusionMatrix(3), ignore_index=index)


@pytest.mark.parametrize("function", [cmAccuracy, cmPrecision, cmRecall])
def test_scores_are_made_of_a_metric(function: Any) -> None:
    """What is no metric is refused."""
    with pytest.raises(TypeError, match="cm must be a ConfusionMatrix, got tensor"):
        function(torch.ones(2, 2))


def test_scores_are_made_of_a_part_of_a_matrix() -> None:
    """A metric whose value is a matrix will do, such as one without the first class."""
    accuracy = cmAccuracy(ConfusionMatrix(3)[1:, 1:])  # type: ignore[arg-type]  # made by indexing
    assert pytest.approx(2 / 3) == value_of(accuracy, EXAMPLE).item()


def test_counts_on_the_device_that_is_named() -> None:
    """device says where to count, whatever device the values have."""
    assert [[1, 1, 0], [0, 2, 0], [0, 1, 0]] == value_of(ConfusionMatrix(3, device="cpu"), EXAMPLE).tolist()
    metric = ConfusionMatrix(3, device="meta")  # which holds no values, but can be told from the CPU
    metric.update(EXAMPLE)
    assert "meta" == metric.confusion_matrix.device.type


def test_a_state_of_another_number_of_classes_is_refused() -> None:
    """Its counts would be taken for those of other classes."""
    metric = ConfusionMatrix(5)
    metric.update((torch.eye(5), torch.arange(5)))
    with pytest.raises(ValueError, match="a ConfusionMatrix with the same num_classes, and have 15 counts, got 35"):
        ConfusionMatrix(3).load_state_dict(metric.state_dict())


def test_complex_scores_are_refused() -> None:
    """What has no order has no largest score."""
    with pytest.raises(TypeError, match=r"must be real tensors for ConfusionMatrix, .* got torch\.complex64"):
        ConfusionMatrix(3).update((torch.eye(3, dtype=torch.complex64), torch.arange(3)))
