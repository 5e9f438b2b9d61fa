"""PiecewiseLinear goes straight from one milestone to the next."""

from __future__ import annotations

import copy
import itertools
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.handlers.param_scheduler import PiecewiseLinear
from support.copying import every_copy
from support.schedules import called, optimizer, rates


def test_it_is_its_formula():
    """Over hundreds of events: before, between, at and after the milestones."""
    milestones = [(10, 0.5), (200, 0.45), (201, 0.3), (300, 0.1)]
    scheduler = PiecewiseLinear(optimizer(), "lr", milestones)
    expected = np.interp(range(500), *zip(*milestones, strict=True))
    assert list(expected) == pytest.approx(called(scheduler, 500), abs=1e-12)


def test_two_milestones_at_one_count_make_a_jump():
    """The later one counts from there on."""
    assert [1.0, 0.75, 0.1, 0.2] == pytest.approx(
        called(PiecewiseLinear(optimizer(), "lr", [(0, 1.0), (2, 0.5), (2, 0.1), (3, 0.2)]), 4)
    )


def test_one_milestone_is_a_constant():
    """Before it and after it."""
    assert [0.5] * 9 == called(PiecewiseLinear(optimizer(), "lr", [(4, 0.5)]), 9)


def test_two_milestones_are_torchs_linear_lr():
    """As `LinearLR`."""
    linear = torch.optim.lr_scheduler.LinearLR(optimizer(0.8), start_factor=0.25, total_iters=100)
    expected = []
    for _ in range(300):
        expected += rates(linear.optimizer)
        linear.optimizer.step()
        linear.step()
    ours = PiecewiseLinear(optimizer(), "lr", [(0, 0.2), (100, 0.8)])
    assert expected == pytest.approx(called(ours, 300), abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.floats(-5, 5)), min_size=1, max_size=8))
def test_values_are_ignites(steps):
    """For any milestones in order."""
    ignite = pytest.importorskip("ignite.handlers.param_scheduler")
    counts = itertools.accumulate(length for length, _ in steps)
    milestones = list(zip(counts, [value for _, value in steps], strict=True))
    expected = ignite.PiecewiseLinear.simulate_values(180, param_name="lr", milestones_values=milestones)
    ours = PiecewiseLinear.simulate_values(180, param_name="lr", milestones_values=milestones)
    assert np.array(expected) == pytest.approx(np.array(ours), abs=1e-9)


def test_states_are_taken_up_at_every_count():
    """Ours and PyTorch-Ignite's."""
    ignite = pytest.importorskip("ignite.handlers.param_scheduler")
    milestones = [(2, 0.5), (9, 0.25), (9, 1.0), (14, 0.0)]
    theirs, ours = (module(optimizer(), "lr", milestones) for module in (ignite.PiecewiseLinear, PiecewiseLinear))
    expected = called(copy.deepcopy(ours), 40)
    for count in range(20):
        for state in (theirs.state_dict(), ours.state_dict()):
            scheduler = PiecewiseLinear(optimizer(), "lr", milestones)
            scheduler.load_state_dict(state)
            assert expected[count:] == called(scheduler, 40 - count)
        theirs(None)
        ours(None)


@every_copy
def test_a_copy_goes_on(copied):
    """With an optimizer of its own."""
    scheduler = PiecewiseLinear(optimizer(), "lr", [(2, 0.5), (9, 0.25)])
    called(scheduler, 5)
    assert called(copied(scheduler), 9) == called(scheduler, 9)


MESSAGES = {
    "milestones_values must have at least one pair of a count and a value, got []": (ValueError, []),
    "milestones_values must be a list or tuple of pairs of a count and a value, got 5": (TypeError, 5),
    "milestones_values must be a list or tuple of pairs of a count and a value, got 'abc'": (TypeError, "abc"),
    "milestones_values must be in the order of their counts, got 3 after 5: sort them": (
        ValueError,
        [(5, 0.1), (3, 0.2)],
    ),
    "milestones_values[1] must be a pair of a count and a value, got 3": (ValueError, [(0, 0.1), 3]),
    "milestones_values[0] must be a pair of a count and a value, got (1, 2, 3)": (ValueError, [(1, 2, 3)]),
    "the count in milestones_values[0] must be an integer of at least 0, got 0.5": (ValueError, [(0.5, 1.0)]),
    "the count in milestones_values[0] must be an integer of at least 0, got -1": (ValueError, [(-1, 1.0)]),
    "the value in milestones_values[1] must be a finite number, got nan": (ValueError, [(0, 1.0), (1, math.nan)]),
    "the value in milestones_values[0] must be a finite number, got '1'": (ValueError, [(0, "1")]),
}


@pytest.mark.parametrize("message", MESSAGES)
def test_wrong_milestones_are_refused(message):
    """The error names the argument and the value."""
    error, milestones = MESSAGES[message]
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        PiecewiseLinear(optimizer(), "lr", milestones)


def test_it_tells_its_milestones():
    """As PyTorch-Ignite's attributes, and in `repr`."""
    scheduler = PiecewiseLinear(optimizer(), "lr", [[0, 1], (np.int64(4), np.float32(0.5))])
    assert ([0, 4], [1.0, 0.5]) == (scheduler.milestones, scheduler.values)
    assert "PiecewiseLinear('lr', milestones_values=[(0, 1.0), (4, 0.5)], count=0)" == repr(scheduler)
