"""ROC_AUC and RocCurve are what scikit-learn says, ties and missing classes included."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from ignite_signals.engine import Engine
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import ROC_AUC, AveragePrecision, MetricGroup, PrecisionRecallCurve, RocCurve
from support.scored import computed, halves, quietly, scored

BOTH = [ROC_AUC, RocCurve]


def expected(name, y_pred, y):
    return quietly(getattr(sklearn, name), y.long().numpy(), y_pred.double().numpy())


@given(scored())
@settings(max_examples=60, deadline=None)
def test_the_area_of_a_binary_output_is_that_of_scikit_learn(batch):
    """For scores of any type, ties or none, one sample or more, one class or two."""
    actual = quietly(computed, ROC_AUC(), *halves(*batch))
    assert isinstance(actual, float)
    assert expected("roc_auc_score", *batch) == pytest.approx(actual, rel=1e-12, nan_ok=True)


@given(st.integers(2, 4).flatmap(lambda columns: scored(columns=columns)))
@settings(max_examples=40, deadline=None)
def test_the_area_of_a_multilabel_output_is_the_mean_of_those_of_its_labels(batch):
    """As with scikit-learn's macro average, a label of one class makes it NaN."""
    actual = quietly(computed, ROC_AUC(), *halves(*batch))
    assert expected("roc_auc_score", *batch) == pytest.approx(actual, rel=1e-12, nan_ok=True)


@given(scored())
@settings(max_examples=60, deadline=None)
def test_the_curve_is_that_of_scikit_learn(batch):
    """The rates and the thresholds, from infinity down, in float64, without the points on a straight line."""
    actual = quietly(computed, RocCurve(), *halves(*batch))
    for ours, theirs in zip(actual, expected("roc_curve", *batch), strict=True):
        assert torch.float64 == ours.dtype
        torch.testing.assert_close(ours, torch.as_tensor(theirs), rtol=1e-12, atol=0, equal_nan=True)


def test_the_area_is_exact_for_many_samples():
    """Pairs are counted, not summed in floating point: 10**10 of them, half a pair apart."""
    n = 10**5
    y_pred = torch.cat([torch.zeros(n + 1), torch.ones(n)])
    y = torch.cat([torch.zeros(n), torch.ones(n + 1)]).long()
    assert 1 - 0.5 / (n + 1) == computed(ROC_AUC(), (y_pred, y))


def test_scores_that_differ_only_as_integers_are_no_ties():
    """Integers above 2**53 are ordered as what they are."""
    y_pred = torch.tensor([2**60, 2**60 + 1])
    assert 1.0 == computed(ROC_AUC(), (y_pred, torch.tensor([0, 1])))


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_alone_has_no_area(label):
    """It is NaN, and a warning says why."""
    with pytest.warns(UserWarning, match="ROC_AUC is NaN: y holds one class only"):
        assert math.isnan(computed(ROC_AUC(), (torch.rand(4), torch.full((4,), label))))


def test_labels_of_one_class_are_named():
    """The warning tells which of the labels have no area."""
    y = torch.tensor([[0, 1, 0], [1, 1, 0]])
    with pytest.warns(UserWarning, match=r"one class only for the labels \[1, 2\]"):
        assert math.isnan(computed(ROC_AUC(), (torch.rand(2, 3), y)))


@pytest.mark.parametrize(("label", "name", "kind"), [(0, "tpr", "positive"), (1, "fpr", "negative")])
def test_the_rate_of_a_class_that_is_missing_is_nan(label, name, kind):
    """A warning names the rate and the class."""
    with pytest.warns(UserWarning, match=f"{name} of RocCurve is NaN: no sample in y is {kind}"):
        fpr, tpr, _ = computed(RocCurve(), (torch.rand(4), torch.full((4,), label)))
    assert bool((tpr if name == "tpr" else fpr).isnan().all())


@pytest.mark.parametrize("metric", BOTH)
def test_a_column_is_a_binary_output(metric):
    """Scores and targets of shape (N, 1) are those of shape (N,)."""
    y_pred, y = torch.rand(6), torch.tensor([0, 1, 0, 1, 1, 0])
    by_column = computed(metric(), (y_pred.unsqueeze(1), y.unsqueeze(1)))
    torch.testing.assert_close(by_column, computed(metric(), (y_pred, y)))


@pytest.mark.parametrize("metric", BOTH)
@pytest.mark.parametrize("y", [[0, 2], [-1, 1], [0.5, 1.0], [math.nan, 1.0]])
def test_targets_that_are_not_0_and_1_are_told_by_compute(metric, y):
    """update does not look at values; the error names the metric."""
    measure = metric()
    measure.update((torch.rand(2), torch.tensor(y)))
    with pytest.raises(ValueError, match=f"y must hold zeros and ones for {metric.__name__}, got other values"):
        measure.compute()


@pytest.mark.parametrize("metric", BOTH)
@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_told_by_compute(metric, score):
    """As with scikit-learn they are refused."""
    measure = metric()
    measure.update((torch.tensor([0.1, score]), torch.tensor([0, 1])))
    with pytest.raises(ValueError, match=f"y_pred must hold finite scores for {metric.__name__}"):
        measure.compute()


@pytest.mark.parametrize(
    ("metric", "y_pred", "y", "error", "message"),
    [
        (ROC_AUC, torch.rand(2, 3), torch.zeros(2), ValueError, r"of one shape for ROC_AUC, got \(2, 3\) and \(2,\)"),
        (ROC_AUC, torch.rand(2), torch.zeros(3), ValueError, r"of one shape for ROC_AUC, got \(2,\) and \(3,\)"),
        (RocCurve, torch.rand(2, 3), torch.zeros(2, 3), ValueError, r"\(N,\) or \(N, 1\) for RocCurve, got \(2, 3\)"),
        (ROC_AUC, torch.rand(2).cfloat(), torch.zeros(2), TypeError, "must be real for ROC_AUC"),
        (ROC_AUC, [0.5], torch.zeros(1), TypeError, "must be tensors for ROC_AUC, got a list"),
        (RocCurve, torch.rand(2, 2, 2), torch.zeros(2, 2, 2), ValueError, r"\(N, C\) for RocCurve, got \(2, 2, 2\)"),
    ],
)
def test_shapes_and_types_that_do_not_fit_are_told_at_once(metric, y_pred, y, error, message):
    """update refuses them, and names the metric."""
    with pytest.raises(error, match=message):
        metric().update((y_pred, y))


@pytest.mark.parametrize("metric", BOTH)
def test_a_window_without_a_sample_has_no_value(metric):
    """The error names the metric."""
    with pytest.raises(NotComputableError, match=f"{metric.__name__} has seen no sample"):
        metric().compute()


def test_the_first_batch_is_tried_only_if_asked():
    """check_compute_fn computes the first batch, and warns of an error."""
    batch = (torch.rand(2), torch.zeros(2))
    metric = ROC_AUC()
    metric.update(batch)
    assert 1 == len(metric._predictions)
    with pytest.warns(UserWarning, match="y holds one class only"):
        ROC_AUC(check_compute_fn=True).update(batch)


def test_curves_of_one_output_keep_it_once():
    """A group of the four metrics over all thresholds keeps binary outputs once for all of them."""
    members = {metric.__name__: metric() for metric in (RocCurve, ROC_AUC, PrecisionRecallCurve, AveragePrecision)}
    group = MetricGroup(members)
    batch = (torch.rand(9), torch.tensor([0, 1, 1] * 3))
    group.update(batch)
    assert 1 == len(group._accumulating)
    assert computed(ROC_AUC(), batch) == group.compute()["ROC_AUC"]


def test_a_curve_tells_what_its_group_has_taken_and_it_does_not_take():
    """A multilabel output that another member keeps is refused when the curve is computed."""
    group = MetricGroup({"area": ROC_AUC(), "curve": RocCurve()})
    group.update((torch.rand(4, 2), torch.tensor([[0, 1], [1, 0], [0, 1], [1, 0]])))
    with pytest.raises(ValueError, match=r"\(N,\) or \(N, 1\) for RocCurve, got \(4, 2\)"):
        group.compute()


@pytest.mark.parametrize("metric", BOTH)
def test_ignite_computes_the_same(metric):
    """On an engine, with an output_transform, the value is that of PyTorch-Ignite."""
    ignite = pytest.importorskip("ignite.metrics")
    engines = pytest.importorskip("ignite.engine")
    generator = torch.Generator().manual_seed(0)
    data = [(torch.randn(n, generator=generator), torch.tensor([0, 1, 1, 0])[:n]) for n in (4, 3)]
    values = []
    for engine, measure in ((engines.Engine, getattr(ignite, metric.__name__)), (Engine, metric)):
        evaluator = engine(lambda engine, batch: batch)
        measure(lambda output: (output[0].sigmoid(), output[1])).attach(evaluator, "value")
        values.append(evaluator.run(data).metrics["value"])
    theirs, ours = values
    torch.testing.assert_close(ours, theirs)
