"""PrecisionRecallCurve is what scikit-learn says, ties and missing positives included."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from sklearn.metrics import precision_recall_curve

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import PrecisionRecallCurve
from support.scored import computed, halves, quietly, scored


@given(scored())
@settings(max_examples=60, deadline=None)
def test_the_curve_is_that_of_scikit_learn(batch):
    """Precision, recall and the rising thresholds, in float64, for scores of any type."""
    y_pred, y = batch
    actual = quietly(computed, PrecisionRecallCurve(), *halves(y_pred, y))
    expected = quietly(precision_recall_curve, y.long().numpy(), y_pred.double().numpy(), pos_label=1)
    for ours, theirs in zip(actual, expected, strict=True):
        assert torch.float64 == ours.dtype
        torch.testing.assert_close(ours, torch.as_tensor(theirs.copy()), rtol=1e-12, atol=0)


def test_without_a_positive_recall_is_1():
    """A warning says why."""
    with pytest.warns(UserWarning, match="recall of PrecisionRecallCurve is 1: no sample in y is positive"):
        precision, recall, thresholds = computed(PrecisionRecallCurve(), (torch.tensor([0.2, 0.1]), torch.zeros(2)))
    assert [0.0, 0.0, 1.0] == precision.tolist()
    assert [1.0, 1.0, 0.0] == recall.tolist()
    assert torch.tensor([0.1, 0.2]).double().tolist() == thresholds.tolist()


def test_targets_that_are_not_0_and_1_are_told_by_compute():
    """update does not look at values."""
    metric = PrecisionRecallCurve()
    metric.update((torch.rand(2), torch.tensor([1, 2])))
    with pytest.raises(ValueError, match="y must hold zeros and ones for PrecisionRecallCurve"):
        metric.compute()


def test_several_labels_are_refused_at_once():
    """There is no one curve of them."""
    with pytest.raises(ValueError, match=r"\(N,\) or \(N, 1\) for PrecisionRecallCurve, got \(2, 3\)"):
        PrecisionRecallCurve().update((torch.rand(2, 3), torch.zeros(2, 3)))


def test_a_window_without_a_sample_has_no_value():
    """The error names the metric."""
    with pytest.raises(NotComputableError, match="PrecisionRecallCurve has seen no sample"):
        PrecisionRecallCurve().compute()


@given(scored(dtypes=[torch.float32, torch.float64]))
@settings(max_examples=20, deadline=None)
def test_ignite_computes_the_same(batch):
    """The three tensors are those of PyTorch-Ignite."""
    ignite = pytest.importorskip("ignite.metrics")
    y_pred, y = batch[0], batch[1].long()
    y[0] = 1  # else scikit-learn cannot tell which class is positive
    theirs, ours = (
        quietly(computed, metric(), (y_pred, y)) for metric in (ignite.PrecisionRecallCurve, PrecisionRecallCurve)
    )
    torch.testing.assert_close(ours, theirs)
