"""MeanAveragePrecision is the average precision of each class, as scikit-learn says, and their mean."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import MeanAveragePrecision
from support.scored import FLOATS, computed, halves, quietly, scored

MEANS = [None, "macro", "micro", "weighted"]


def of_classes(y_pred, y, class_mean):
    """Return what scikit-learn says of scores `(N, C)` and zeros and ones `(N, C)`."""
    y, y_pred = y.long().numpy(), y_pred.double().numpy()
    if class_mean == "micro":
        return quietly(average_precision_score, y.ravel(), y_pred.ravel())
    values = [quietly(average_precision_score, y[:, i], y_pred[:, i]) for i in range(y.shape[1])]
    if class_mean is None:
        return values
    weights = y.sum(0).tolist() if class_mean == "weighted" else [1] * len(values)
    return sum(w * value for w, value in zip(weights, values, strict=True)) / max(sum(weights), 1)


def interpolated(y_pred, y, thresholds):
    """Return the sum over recall thresholds, each with the precision at the first score that reaches it."""
    points = []
    for threshold in sorted(set(y_pred.tolist()), reverse=True):
        taken = y_pred >= threshold
        found = int((y * taken).sum())
        points.append((found / max(int(y.sum()), 1), found / int(taken.sum())))
    before = total = 0.0
    for threshold in sorted(thresholds):
        total += (threshold - before) * next((precision for recall, precision in points if recall >= threshold), 0.0)
        before = threshold
    return total


def assert_equal(expected, actual):
    assert isinstance(actual, torch.Tensor) == isinstance(expected, list)
    torch.testing.assert_close(torch.as_tensor(actual), torch.tensor(expected, dtype=torch.float64), check_dtype=False)


@given(scored(dtypes=FLOATS), st.sampled_from(MEANS))
@settings(max_examples=40, deadline=None)
def test_a_binary_output_has_one_class(batch, class_mean):
    """The value is a number, whatever mean is asked for."""
    actual = computed(MeanAveragePrecision(class_mean=class_mean), *halves(*batch))
    y_pred, y = batch
    expected = quietly(average_precision_score, y.long().numpy(), y_pred.double().numpy())
    assert expected == pytest.approx(actual, rel=1e-12)


@given(st.integers(2, 4).flatmap(lambda columns: scored(columns=columns, dtypes=FLOATS)), st.sampled_from(MEANS))
@settings(max_examples=50, deadline=None)
def test_multilabel_outputs_have_a_class_for_each_label(batch, class_mean):
    """A label without a positive counts as 0, without a warning."""
    metric = MeanAveragePrecision(class_mean=class_mean, is_multilabel=True)
    assert_equal(of_classes(*batch, class_mean), computed(metric, *halves(*batch)))


@given(scored(columns=3, dtypes=FLOATS), st.data(), st.sampled_from(MEANS))
@settings(max_examples=50, deadline=None)
def test_multiclass_outputs_have_each_class_against_the_rest(batch, data, class_mean):
    """A class without a sample counts as 0."""
    y_pred = batch[0]
    y = torch.tensor(data.draw(st.lists(st.integers(0, 2), min_size=len(y_pred), max_size=len(y_pred))))
    actual = computed(MeanAveragePrecision(class_mean=class_mean), *halves(y_pred, y))
    assert_equal(of_classes(y_pred, torch.nn.functional.one_hot(y, 3), class_mean), actual)


@given(scored(dtypes=FLOATS), st.lists(st.sampled_from([0, 0.1, 0.2, 0.25, 0.5, 1.0]), min_size=1, max_size=4))
@settings(max_examples=50, deadline=None)
def test_recall_thresholds_choose_the_precisions(batch, thresholds):
    """In any order; each takes the precision at the highest score at which its recall is reached."""
    actual = computed(MeanAveragePrecision(thresholds), *halves(*batch))
    assert interpolated(*batch, thresholds) == pytest.approx(actual, rel=1e-12)


@pytest.mark.parametrize("thresholds", [[0.1], torch.tensor([0.1]), torch.tensor([0.1], dtype=torch.float64), (0.1,)])
def test_a_tenth_of_the_positives_reaches_a_threshold_of_a_tenth(thresholds):
    """A float32's 0.1 is a little above it; precision is 1 at the first positive and less from the second on."""
    y_pred, y = torch.arange(12.0).flip(0), torch.tensor([1, 0] + 9 * [1] + [0])
    assert 0.1 == pytest.approx(computed(MeanAveragePrecision(thresholds), (y_pred, y)))


@pytest.mark.parametrize("is_multilabel", [False, True])
def test_further_dimensions_are_further_samples(is_multilabel):
    """Pixels count like samples, and batches may differ in them."""
    generator = torch.Generator().manual_seed(0)
    metric, flat = (MeanAveragePrecision(is_multilabel=is_multilabel) for _ in range(2))
    for n, size in ((2, 3), (1, 2)):
        y_pred = torch.rand(n, 3, size, size, generator=generator)
        shape = y_pred.shape if is_multilabel else (n, size, size)
        y = torch.randint(0, 2, shape, generator=generator)
        metric.update((y_pred, y))
        rows = y_pred.permute(0, 2, 3, 1).reshape(-1, 3)
        flat.update((rows, y.permute(0, 2, 3, 1).reshape(-1, 3) if is_multilabel else y.flatten()))
    assert flat.compute() == metric.compute()


def test_a_column_of_scores_is_binary():
    """So is any output of the same shape as its targets."""
    y_pred, y = torch.rand(6), torch.tensor([0, 1, 1, 0, 1, 0])
    expected = computed(MeanAveragePrecision(), (y_pred, y))
    assert expected == computed(MeanAveragePrecision(), (y_pred.unsqueeze(1), y))
    assert expected == computed(MeanAveragePrecision(), (y_pred.view(2, 3), y.view(2, 3)))


def test_what_is_kept_is_a_copy():
    """The step may use the memory of its output again."""
    y_pred, y = torch.rand(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    metric = MeanAveragePrecision()
    metric.update((y_pred, y))
    expected = metric.compute()
    y_pred.zero_()
    y.zero_()
    assert expected == metric.compute()


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"rec_thresholds": 0.5}, TypeError, "rec_thresholds must be a sequence of floats .* got 0.5"),
        ({"rec_thresholds": "01"}, TypeError, "rec_thresholds must be a sequence of floats"),
        ({"rec_thresholds": torch.zeros(2, 2)}, TypeError, "a tensor of one dimension"),
        ({"rec_thresholds": []}, ValueError, r"numbers from 0 to 1, one at least, got \[\]"),
        ({"rec_thresholds": [0.5, 1.5]}, ValueError, "from 0 to 1"),
        ({"rec_thresholds": [math.nan]}, ValueError, "from 0 to 1"),
        ({"class_mean": "samples"}, ValueError, "class_mean must be one of .* got 'samples'"),
    ],
)
def test_arguments_are_checked(kwargs, error, message):
    """The error names the argument and what it takes."""
    with pytest.raises(error, match=message):
        MeanAveragePrecision(**kwargs)


@pytest.mark.parametrize(
    ("is_multilabel", "y_pred", "y", "error", "message"),
    [
        (False, torch.rand(2, 3), torch.zeros(3), ValueError, r"for MeanAveragePrecision, got \(2, 3\) and \(3,\)"),
        (False, torch.rand(2, 3, 4), torch.zeros(2), ValueError, r"got \(2, 3, 4\) and \(2,\)"),
        (False, torch.rand(()), torch.zeros(()), ValueError, r"got \(\) and \(\)"),
        (True, torch.rand(2, 3), torch.zeros(2), ValueError, r"both must be of shape \(N, L, ...\)"),
        (True, torch.rand(2), torch.zeros(2), ValueError, r"got \(2,\) and \(2,\)"),
        (False, torch.zeros(2, dtype=torch.int64), torch.zeros(2), TypeError, "floating-point type for MeanAveragePr"),
        (False, [0.5], torch.zeros(1), TypeError, "must be tensors for MeanAveragePrecision, got a list"),
    ],
)
def test_shapes_and_types_that_do_not_fit_are_told_at_once(is_multilabel, y_pred, y, error, message):
    """update refuses them, and names the metric."""
    with pytest.raises(error, match=message):
        MeanAveragePrecision(is_multilabel=is_multilabel).update((y_pred, y))


@pytest.mark.parametrize("y_pred", [torch.rand(2, 4), torch.rand(2)], ids=["classes", "kind"])
def test_the_number_of_classes_stays(y_pred):
    """A batch of another kind, or with other classes, is refused until reset."""
    metric = MeanAveragePrecision()
    metric.update((torch.rand(2, 3), torch.zeros(2)))
    with pytest.raises(ValueError, match="y_pred must keep its shape but for the number of samples"):
        metric.update((y_pred, torch.zeros(2)))


@pytest.mark.parametrize(
    ("y_pred", "y", "message"),
    [
        (torch.rand(2, 3), torch.tensor([0, 3]), "y must hold classes from 0 to 2 for MeanAveragePrecision"),
        (torch.rand(2, 3), torch.tensor([0, -1]), "classes from 0 to 2"),
        (torch.rand(2, 3), torch.tensor([0.0, 0.5]), "classes from 0 to 2"),
        (torch.rand(2), torch.tensor([0, 2]), "y must hold zeros and ones for MeanAveragePrecision"),
        (
            torch.tensor([0.5, math.nan]),
            torch.tensor([0, 1]),
            "y_pred must hold finite scores for MeanAveragePrecision",
        ),
    ],
)
def test_values_that_are_refused_are_told_by_compute(y_pred, y, message):
    """update does not look at values."""
    metric = MeanAveragePrecision()
    metric.update((y_pred, y))
    with pytest.raises(ValueError, match=message):
        metric.compute()


def test_a_window_without_a_sample_has_no_value():
    """The error names the metric."""
    with pytest.raises(NotComputableError, match="MeanAveragePrecision has seen no sample"):
        MeanAveragePrecision().compute()


@pytest.mark.parametrize("class_mean", MEANS)
@pytest.mark.parametrize(
    "thresholds", [None, torch.tensor([0.0, 0.3, 0.7, 1.0], dtype=torch.float64)], ids=["all", "some"]
)
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_ignite_computes_the_same(kind, thresholds, class_mean):
    """For each kind of output, mean and choice of thresholds."""
    ignite = pytest.importorskip("ignite.metrics")
    generator = torch.Generator().manual_seed(0)
    shape = (20,) if kind == "binary" else (20, 3)
    y_pred = torch.rand(shape, generator=generator)
    largest = 3 if kind == "multiclass" else 2
    y = torch.randint(0, largest, shape if kind == "multilabel" else (20,), generator=generator)
    arguments = {"rec_thresholds": thresholds, "class_mean": class_mean, "is_multilabel": kind == "multilabel"}
    theirs, ours = (
        torch.as_tensor(quietly(computed, metric(**arguments), (y_pred, y)), dtype=torch.float64)
        for metric in (ignite.MeanAveragePrecision, MeanAveragePrecision)
    )
    torch.testing.assert_close(ours, theirs)
