"""AveragePrecision is what scikit-learn says, ties and missing positives included."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import AveragePrecision
from support.scored import computed, halves, quietly, scored


def expected(y_pred, y):
    return quietly(average_precision_score, y.long().numpy(), y_pred.double().numpy())


@given(scored())
@settings(max_examples=60, deadline=None)
def test_the_value_of_a_binary_output_is_that_of_scikit_learn(batch):
    """For scores of any type, ties or none, one sample or more, with positives or without."""
    actual = quietly(computed, AveragePrecision(), *halves(*batch))
    assert isinstance(actual, float)
    assert expected(*batch) == pytest.approx(actual, rel=1e-12)


@given(st.integers(2, 4).flatmap(lambda columns: scored(columns=columns)))
@settings(max_examples=40, deadline=None)
def test_the_value_of_a_multilabel_output_is_the_mean_of_those_of_its_labels(batch):
    """As with scikit-learn's macro average, a label without a positive counts as 0."""
    assert expected(*batch) == pytest.approx(quietly(computed, AveragePrecision(), *halves(*batch)), rel=1e-12)


def test_without_a_positive_the_value_is_0():
    """A warning says why, and names the labels where there are several."""
    with pytest.warns(UserWarning, match="AveragePrecision is 0: no sample in y is positive"):
        assert 0.0 == computed(AveragePrecision(), (torch.rand(3), torch.zeros(3)))
    with pytest.warns(UserWarning, match=r"AveragePrecision is 0 for the labels \[0, 2\]: no sample in y is positive"):
        assert 0.0 < computed(AveragePrecision(), (torch.rand(2, 3), torch.tensor([[0, 1, 0], [0, 1, 0]])))


@pytest.mark.parametrize(
    ("y_pred", "y", "message"),
    [
        ([0.1, 0.2], [0, 2], "y must hold zeros and ones for AveragePrecision"),
        ([0.1, math.nan], [0, 1], "y_pred must hold finite scores for AveragePrecision"),
    ],
)
def test_values_that_are_refused_are_told_by_compute(y_pred, y, message):
    """update does not look at values."""
    metric = AveragePrecision()
    metric.update((torch.tensor(y_pred), torch.tensor(y)))
    with pytest.raises(ValueError, match=message):
        metric.compute()


def test_shapes_that_do_not_fit_are_told_at_once():
    """Scores of classes want one-hot targets."""
    with pytest.raises(ValueError, match=r"of one shape for AveragePrecision, got \(2, 3\) and \(2,\); .* one-hot"):
        AveragePrecision().update((torch.rand(2, 3), torch.zeros(2)))


def test_a_window_without_a_sample_has_no_value():
    """The error names the metric."""
    with pytest.raises(NotComputableError, match="AveragePrecision has seen no sample"):
        AveragePrecision().compute()


@given(st.one_of(scored(dtypes=[torch.float32]), scored(columns=3, dtypes=[torch.float64])))
@settings(max_examples=20, deadline=None)
def test_ignite_computes_the_same(batch):
    """The value is that of PyTorch-Ignite."""
    ignite = pytest.importorskip("ignite.metrics")
    y_pred, y = batch
    theirs, ours = ignite.AveragePrecision(), AveragePrecision()
    for metric in (theirs, ours):
        metric.update((y_pred, y.long()))
    assert quietly(theirs.compute) == pytest.approx(quietly(ours.compute))
