"""Schedules turn a count into a value."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ignite_signals.handlers.param_scheduler.schedules import (
    Chain,
    Cycles,
    Milestones,
    Ramp,
    cosine,
    exponential,
    linear,
    there_and_back,
)
from support.copying import every_copy

LENGTHS = st.lists(st.integers(0, 7), min_size=1, max_size=8)
VALUES = st.floats(-10, 10)


def located(lengths: list[int], count: int) -> tuple[int, int]:
    """Find the part by adding up, as a reader would."""
    begin = 0
    for number, length in enumerate(lengths):
        if count < begin + length:
            return number, count - begin
        begin += length
    return len(lengths) - 1, count - begin + lengths[-1]


@given(lengths=LENGTHS, counts=st.lists(st.integers(0, 60), min_size=1, max_size=20))
def test_a_chain_finds_the_part_of_any_count_in_any_order(lengths, counts):
    """Parts follow one another by their lengths, and the last goes on for ever, whatever was asked before."""
    chain = Chain([(length, number) for number, length in enumerate(lengths)])
    assert [located(lengths, count) for count in counts] == [chain.locate(count) for count in counts]


@given(lengths=LENGTHS)
def test_a_chain_knows_where_a_part_begins(lengths):
    """It is the sum of the lengths before."""
    chain = Chain([(length, None) for length in lengths])
    assert [sum(lengths[:number]) for number in range(len(lengths))] == [
        chain.begin(number) for number in range(len(lengths))
    ]


def test_an_endless_chain_keeps_one_part():
    """A million counts in small cycles take up no memory."""
    chain = Chain(Cycles(0.0, 1.0, 2))
    assert (499_999, 1) == (chain.locate(999_999)[0].number, chain.locate(999_999)[1])
    assert {"parts", "_coming", "_begin", "_end", "_part"} == set(vars(chain))


@every_copy
def test_a_chain_can_be_copied_while_it_is_used(copied):
    """The copy gives the same values."""
    chain = Chain(Cycles(0.0, 1.0, 3, cosine, 2.0, 0.5, 0.25, 2))
    expected = [chain(count) for count in range(100)]
    assert expected == [copied(chain)(count) for count in range(100)]


@given(start=VALUES, end=VALUES, length=st.integers(1, 50), shape=st.sampled_from([linear, cosine]))
def test_a_ramp_hits_both_ends_and_stays_between(start, end, length, shape):
    """No rounding takes a value beyond what was asked for, and the ends are exact."""
    ramp = Ramp(start, end, length, shape)
    values = [ramp(count) for count in range(length + 3)]
    assert [start, end, end, end] == [values[0], *values[length:]]
    slack = 1e-14
    assert all(min(start, end) - slack <= value <= max(start, end) + slack for value in values)


def test_a_ramp_of_no_length_is_at_its_end():
    """There is nothing to divide by."""
    assert 2.0 == Ramp(1.0, 2.0, 0)(0)


@pytest.mark.parametrize(
    ("shape", "formula"),
    [
        (linear, lambda t: t),
        (cosine, lambda t: 0.5 - 0.5 * math.cos(math.pi * t)),
        (there_and_back, lambda t: 2 * t if t <= 0.5 else 2 - 2 * t),
        (exponential(0.1, 10.0), lambda t: (0.1 * 100**t - 0.1) / 9.9),
        (exponential(3.0, 3.0), lambda t: t),
    ],
)
def test_shapes_are_their_formulas(shape: Any, formula: Any):
    """Over hundreds of shares."""
    shares = [number / 500 for number in range(501)]
    assert [formula(share) for share in shares] == pytest.approx([shape(share) for share in shares], abs=1e-12)


def test_cycles_change_by_their_factors():
    """Sizes and warm-ups are rounded down, a size not to 0; a warm-up leads to the next cycle's start."""
    cycles = Cycles(1.0, 2.0, 5, size_mult=0.5, start_mult=2.0, end_mult=3.0, warm_up=3)
    first = list(itertools.islice(cycles, 4))
    assert [8, 3, 1, 1] == [length for length, _ in first]
    assert [0, 1, 2, 3] == [cycle.number for _, cycle in first]
    assert [(1, 2, 5), (2, 6, 2), (4, 18, 1), (8, 54, 1)] == [
        (cycle.ramp.start, cycle.ramp.end, cycle.ramp.length) for _, cycle in first
    ]
    assert [(2, 2, 3), (6, 4, 1), (18, 8, 0), (54, 16, 0)] == [
        (cycle.warm_up.start, cycle.warm_up.end, cycle.warm_up.length) for _, cycle in first
    ]


@given(steps=st.lists(st.tuples(st.integers(0, 9), st.floats(-5, 5)), min_size=1, max_size=8), count=st.integers(0, 90))
def test_milestones_are_joined_by_straight_lines(steps, count):
    """The value is the one of the line through the milestones on either side."""
    counts = list(itertools.accumulate(length for length, _ in steps))
    pairs = list(zip(counts, [value for _, value in steps], strict=True))
    before = [pair for pair in pairs if pair[0] <= count]
    after = [pair for pair in pairs if pair[0] > count]
    if not before:
        expected = pairs[0][1]
    elif not after:
        expected = pairs[-1][1]
    else:
        (left, start), (right, end) = before[-1], after[0]
        expected = start + (end - start) * (count - left) / (right - left)
    assert expected == pytest.approx(Chain(Milestones(pairs))(count), abs=1e-12)


RATES = st.floats(-1e6, 1e6)


@given(start=RATES, end=RATES, length=st.integers(1, 300), shape=st.sampled_from([linear, cosine]))
def test_a_ramp_goes_one_way_and_stays_between_its_ends(start, end, length, shape):
    """Whatever the roundings are."""
    values = [Ramp(start, end, length, shape)(count) for count in range(length + 2)]
    assert [start, end, end] == [values[0], *values[-2:]]
    assert sorted(values, reverse=end < start) == values
    assert min(start, end) == min(values)
    assert max(start, end) == max(values)


@given(start=RATES, end=RATES, share=st.floats(0.999, 1, exclude_max=True))
def test_no_share_leads_beyond_the_end(start, end, share):
    """Also those next to 1, which only very long ramps have."""
    value = Ramp(start, end, 1, lambda _: share)(0)
    assert min(start, end) <= value <= max(start, end)


@given(value=RATES, length=st.integers(1, 300), shape=st.sampled_from([linear, cosine, there_and_back]))
def test_a_flat_ramp_has_one_value(value, length, shape):
    """Such as 0.1, of which 0.1 * (1 - share) + 0.1 * share is another."""
    ramp = Ramp(value, value, length, shape)
    assert {value} == {ramp(count) for count in range(length + 2)}


@given(start=RATES, end=RATES, half=st.integers(1, 100))
def test_there_and_back_meets_the_end_and_the_start(start, end, half):
    """Half-way and at last."""
    ramp = Ramp(start, end, 2 * half, there_and_back)
    assert (start, end, start) == (ramp(0), ramp(half), ramp(2 * half))
