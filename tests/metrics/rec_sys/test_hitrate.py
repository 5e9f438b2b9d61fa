"""HitRate is the share of the users who find something among their first items."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.engine import Engine
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import HitRate, MetricGroup
from support.scored import DTYPES, computed, halves, scored

ITEMS = 4
SCORES = torch.tensor([[4.0, 2.0, 3.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
RELEVANT = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])


def of_users(y_pred, y, top_k, ignore_zero_hits):
    """Return the rates by sorting each user's items, of equal ones the relevant last; None without a user."""
    found = []
    for scores, relevant in zip(y_pred.double().tolist(), y.long().tolist(), strict=True):
        order = sorted(range(len(scores)), key=lambda i: (-scores[i], relevant[i]))
        if any(relevant) or not ignore_zero_hits:
            found.append([any(relevant[i] for i in order[:k]) for k in sorted(top_k)])
    return [sum(hits) / len(found) for hits in zip(*found, strict=True)] if found else None


@given(
    scored(columns=ITEMS, dtypes=DTYPES),
    st.lists(st.integers(1, ITEMS), min_size=1, max_size=3),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_the_rates_are_those_of_sorted_items(batch, top_k, ignore_zero_hits):
    """For scores of any type, ties or none, in any batches."""
    metric = HitRate(top_k, ignore_zero_hits)
    expected = of_users(*batch, top_k, ignore_zero_hits)
    if expected is None:
        with pytest.raises(NotComputableError, match="HitRate has seen no user to whom an item is relevant"):
            computed(metric, *halves(*batch))
    else:
        assert expected == computed(metric, *halves(*batch))


@given(st.integers(1, 8), st.integers(0, 10**6), st.booleans())
@settings(max_examples=30, deadline=None)
def test_ignite_computes_the_same_without_ties(users, seed, ignore_zero_hits):
    """The rates are those of PyTorch-Ignite."""
    ignite = pytest.importorskip("ignite.metrics")
    generator = torch.Generator().manual_seed(seed)
    y_pred = torch.stack([torch.randperm(9, generator=generator) for _ in range(users)]).float()
    y = torch.randint(0, 2, (users, 9), generator=generator) * torch.randint(0, 2, (users, 1), generator=generator)
    y[0, 0] = 1
    theirs, ours = (
        computed(metric(top_k=[4, 1, 9], ignore_zero_hits=ignore_zero_hits), (y_pred, y))
        for metric in (ignite.HitRate, HitRate)
    )
    assert theirs == pytest.approx(ours)


@pytest.mark.parametrize(("ignore", "expected"), [(True, [0.0, 1.0, 1.0]), (False, [0.0, 0.5, 0.5])])
def test_users_without_a_relevant_item_are_left_out_or_missed(ignore, expected):
    """ignore_zero_hits=False counts them as a miss, even if all items are looked at."""
    assert expected == computed(HitRate([1, 2, 4], ignore_zero_hits=ignore), (SCORES, RELEVANT))


def test_the_rates_are_in_the_order_of_k():
    """top_k is sorted; one k gives a list of one."""
    assert [1, 3] == HitRate([3, 1]).top_k
    assert [1.0] == computed(HitRate(2), (SCORES, RELEVANT))
    assert [0.0] == computed(HitRate(), (SCORES, RELEVANT))


@pytest.mark.parametrize("score", [0.0, -math.inf, math.inf])
def test_scores_without_an_order_gain_nothing(score):
    """Of equal scores those of what is not relevant come first, so the order of the columns does not matter."""
    y_pred, y = torch.full((1, ITEMS), score), torch.tensor([[1, 0, 0, 0]])
    assert [0.0, 0.0, 1.0] == computed(HitRate([1, 3, 4]), (y_pred, y))


def test_nan_counts_against_the_scores():
    """An item that is not relevant comes first if its score is NaN, a relevant one comes last."""
    y_pred = torch.tensor([[math.nan, 0.5, 0.1, 0.0], [0.1, math.nan, 0.2, 0.3]])
    y = torch.tensor([[0, 1, 0, 0], [0, 1, 0, 0]])
    assert [0.0, 0.5, 0.5] == computed(HitRate([1, 2, 3]), (y_pred, y))


@pytest.mark.parametrize("top_k", [0, -1, [], [1, 0], [1.5], "12", None, True])
def test_top_k_must_be_positive_integers(top_k):
    """The error names the argument and its value."""
    with pytest.raises(ValueError, match="top_k must be a positive integer, or a list of them, got"):
        HitRate(top_k)


@pytest.mark.parametrize(
    ("y_pred", "y", "error", "message"),
    [
        (torch.rand(2, 4), torch.zeros(2, 3), ValueError, r"of one shape for HitRate, got \(2, 4\) and \(2, 3\)"),
        (torch.rand(4), torch.zeros(4), ValueError, r"of shape \(users, items\) for HitRate, got \(4,\)"),
        (torch.rand(2, 0), torch.zeros(2, 0), ValueError, r"got \(2, 0\)"),
        (
            torch.rand(2, 2),
            torch.zeros(2, 2),
            ValueError,
            r"at most the number of items for HitRate, which is 2, got \[3\]",
        ),
        ([[0.5]], torch.zeros(1, 1), TypeError, "must be tensors for HitRate, got list and Tensor"),
    ],
)
def test_shapes_and_types_that_do_not_fit_are_told_at_once(y_pred, y, error, message):
    """update refuses them, and names the metric."""
    with pytest.raises(error, match=message):
        HitRate(3).update((y_pred, y))


@pytest.mark.parametrize("value", [2.0, -1.0, 0.5, math.nan, math.inf])
def test_targets_that_are_not_0_and_1_are_told_by_compute(value):
    """update does not look at values; the error names the metric."""
    metric = HitRate()
    metric.update((torch.rand(1, 2), torch.tensor([[1.0, value]])))
    with pytest.raises(ValueError, match="y must hold zeros and ones for HitRate"):
        metric.compute()


def test_a_window_without_a_user_has_no_value():
    """The error names the metric."""
    with pytest.raises(NotComputableError, match="HitRate has seen no sample"):
        HitRate().compute()


def test_counts_are_exact_beyond_float32():
    """A hit more is a hit more, after 2**24 of them."""
    metric = HitRate()
    metric.update((torch.tensor([[1.0, 0.0]]), torch.tensor([[1, 0]])))
    metric._sum += 2**24
    metric._num_users += 2**25
    metric.update((torch.tensor([[1.0, 0.0]]), torch.tensor([[1, 0]])))
    assert [(2**24 + 2) / (2**25 + 2)] == metric.compute()


def test_a_group_counts_once():
    """Members with one setting share what they count; those with another k do not."""
    group = MetricGroup({"a": HitRate([1, 2]), "b": HitRate([2, 1]), "c": HitRate(1)})
    group.update((SCORES, RELEVANT))
    assert 2 == len(group._accumulating)
    assert {"a": [0.0, 1.0], "b": [0.0, 1.0], "c": [0.0]} == group.compute()


def test_a_rate_of_an_expression_is_one_of_the_list():
    """Indexing gives the rate for one k, attached as any metric."""
    evaluator = Engine(lambda engine, batch: batch)
    HitRate([1, 2])[1].attach(evaluator, "hit rate at 2")
    assert {"hit rate at 2": 1.0} == evaluator.run([(SCORES, RELEVANT)]).metrics


def test_device_is_where_users_are_counted():
    """With a device the rates are the same."""
    metric = HitRate([1, 2], device="cpu")
    assert [0.0, 1.0] == computed(metric, (SCORES, RELEVANT))
    assert torch.device("cpu") == metric._sum.device


def test_a_state_of_other_cutoffs_is_refused():
    """Its sums would be taken for those of other k."""
    metric = HitRate([1, 2, 3])
    metric.update((SCORES, RELEVANT))
    with pytest.raises(ValueError, match="must be that of a HitRate with the same top_k, and have 1 sums, got 3"):
        HitRate(1).load_state_dict(metric.state_dict())


def test_complex_scores_are_refused():
    """What has no order has no rank."""
    with pytest.raises(TypeError, match=r"y_pred and y must be real for HitRate, got torch\.complex64"):
        HitRate(1).update((SCORES.to(torch.complex64), RELEVANT))
