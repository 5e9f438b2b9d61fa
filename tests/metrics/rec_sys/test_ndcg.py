"""NDCG is what scikit-learn says of the gains, ties included."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import NDCG
from support.scored import DTYPES, computed, halves, scored

ITEMS = 5


@st.composite
def graded(draw):
    """Draw scores, many of them equal, and relevances from 0 to 4, of any type that holds them."""
    y_pred, y = draw(scored(columns=ITEMS, dtypes=DTYPES, largest=6))
    grades = draw(st.lists(st.integers(1, 4), min_size=y.numel(), max_size=y.numel()))
    kind = draw(st.sampled_from([torch.float16, torch.float32, torch.float64, torch.int64, torch.uint8]))
    return y_pred, y.to(kind) * torch.tensor(grades).reshape(y.shape).to(kind)


def of_users(y_pred, y, top_k, *, ignore_zero_hits=True, threshold=1.0, exponential=True):
    """Return what scikit-learn says of the gains; None without a user."""
    y = y.double()
    gains = torch.where(y >= threshold, 2**y - 1 if exponential else y, 0.0)
    users = (y >= threshold).any(1) if ignore_zero_hits else torch.ones(len(y), dtype=torch.bool)
    if not users.any():
        return None
    return [ndcg_score(gains[users].numpy(), y_pred.double()[users].numpy(), k=k) for k in sorted(top_k)]


@given(
    graded(),
    st.lists(st.integers(1, ITEMS), min_size=1, max_size=3),
    st.booleans(),
    st.sampled_from([0.5, 1.0, 2.0, 3]),
    st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_the_values_are_those_of_scikit_learn(batch, top_k, ignore_zero_hits, threshold, exponential):
    """For scores and relevances of any type, ties or none, in any batches, for each setting."""
    gain = "exp_rank" if exponential else "linear_rank"
    metric = NDCG(top_k, ignore_zero_hits, threshold, gain)
    expected = of_users(*batch, top_k, ignore_zero_hits=ignore_zero_hits, threshold=threshold, exponential=exponential)
    if expected is None:
        with pytest.raises(NotComputableError, match="NDCG has seen no user to whom an item is relevant"):
            computed(metric, *halves(*batch))
    else:
        assert expected == pytest.approx(computed(metric, *halves(*batch)), rel=1e-9)


@given(st.integers(1, 8), st.integers(0, 10**6), st.booleans(), st.sampled_from(["exp_rank", "linear_rank"]))
@settings(max_examples=30, deadline=None)
def test_ignite_computes_the_same_without_ties(users, seed, ignore_zero_hits, gain):
    """The values are those of PyTorch-Ignite, where it is asked for more items than there are, too."""
    ignite = pytest.importorskip("ignite.metrics")
    generator = torch.Generator().manual_seed(seed)
    y_pred = torch.stack([torch.randperm(9, generator=generator) for _ in range(users)]).float()
    y = torch.randint(0, 5, (users, 9), generator=generator) * torch.randint(0, 2, (users, 1), generator=generator)
    y[0, 0] = 1
    theirs, ours = (
        computed(metric([12, 1, 4], ignore_zero_hits, 2.0 - ignore_zero_hits, gain), (y_pred, y.float()))
        for metric in (ignite.NDCG, NDCG)
    )
    assert theirs == pytest.approx(ours)


@given(st.permutations(range(ITEMS)))
@settings(max_examples=20, deadline=None)
def test_the_order_of_the_columns_is_worth_nothing(order):
    """Items of one score share their gains, also where only some of them are among the first."""
    y_pred, y = torch.tensor([[1.0, 1.0, 1.0, 2.0, 1.0]]), torch.tensor([[4.0, 0.0, 1.0, 2.0, 0.0]])
    expected = computed(NDCG([1, 2, 5]), (y_pred, y))
    assert expected == pytest.approx(computed(NDCG([1, 2, 5]), (y_pred[:, order], y[:, order])), rel=1e-12)


def test_small_relevances_lose_no_digits():
    """A gain of 2**1e-6 - 1 is as exact as one of 1, for float32 as for float64."""
    y_pred, y = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[0.0, 1e-6, 3e-6]])
    metric = NDCG([3], relevance_threshold=0.0)
    assert of_users(y_pred, y, [3], threshold=0.0) == pytest.approx(computed(metric, (y_pred, y)), rel=1e-9)


@pytest.mark.parametrize("top_k", [0, [], [0], [1, -2], [1.5], None])
def test_top_k_must_be_positive_integers(top_k):
    """The error names the argument and its value."""
    with pytest.raises(ValueError, match="top_k must be a positive integer, or a list of them, got"):
        NDCG(top_k)


def test_the_gain_function_must_be_one_of_two():
    """The error names both."""
    with pytest.raises(ValueError, match=r"gain_function must be one of \('exp_rank', 'linear_rank'\), got 'cube'"):
        NDCG([1], gain_function="cube")


@pytest.mark.parametrize(
    ("y_pred", "y", "message"),
    [
        (torch.rand(2, 4), torch.zeros(2, 3), r"of one shape for NDCG, got \(2, 4\) and \(2, 3\)"),
        (torch.rand(4), torch.zeros(4), r"of shape \(users, items\) for NDCG, got \(4,\)"),
    ],
)
def test_shapes_that_do_not_fit_are_told_at_once(y_pred, y, message):
    """update refuses them, and names the metric."""
    with pytest.raises(ValueError, match=message):
        NDCG([3]).update((y_pred, y))


@pytest.mark.parametrize(
    ("y_pred", "y"),
    [
        ([0.1, math.nan], [0.0, 1.0]),
        ([0.1, 0.2], [math.nan, 1.0]),
        ([0.1, 0.2], [math.inf, 1.0]),
        ([0.1, 0.2], [0, 2e3]),
    ],
)
def test_values_that_are_refused_are_told_by_compute(y_pred, y):
    """NaN has no rank, and a gain that is not finite no share; update does not look at values."""
    metric = NDCG([1])
    metric.update((torch.tensor([y_pred]), torch.tensor([y])))
    with pytest.raises(ValueError, match="y_pred must hold no NaN for NDCG, and y relevances of a finite gain"):
        metric.compute()


def test_infinite_scores_have_a_rank():
    """An item that is never to be shown has the score minus infinity."""
    y_pred, y = torch.tensor([[math.inf, 0.0, -math.inf]]), torch.tensor([[1.0, 0.0, 1.0]])
    assert of_users(torch.tensor([[2.0, 1.0, 0.0]]), y, [1, 3]) == pytest.approx(computed(NDCG([1, 3]), (y_pred, y)))


@pytest.mark.parametrize("gain_function", ["exp_rank", "linear_rank"])
def test_what_is_not_relevant_gains_nothing(gain_function):
    """However little an item is worth, below the threshold its gain is 0."""
    y_pred, y = torch.tensor([[1.0, 2.0, 3.0, 0.0]]), torch.tensor([[1.0, 0.0, -math.inf, -math.inf]])
    expected = [ndcg_score([[1.0, 0.0, 0.0, 0.0]], y_pred.numpy(), k=k) for k in (3, 4)]
    assert pytest.approx(expected) == computed(NDCG([3, 4], gain_function=gain_function), (y_pred, y))


def test_a_window_without_a_user_has_no_value():
    """The error names the metric."""
    with pytest.raises(NotComputableError, match="NDCG has seen no sample"):
        NDCG([1]).compute()
