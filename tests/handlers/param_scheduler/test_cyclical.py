"""Cyclical schedulers repeat their cycle."""

from __future__ import annotations

import copy
import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.handlers.param_scheduler import (
    CosineAnnealingScheduler,
    CyclicalScheduler,
    LinearCyclicalScheduler,
)
from support.copying import every_copy
from support.schedules import called, optimizer, rates

OURS = [LinearCyclicalScheduler, CosineAnnealingScheduler]


class Sawtooth(CyclicalScheduler):
    """As PyTorch-Ignite's users write them."""

    def get_param(self) -> float:
        return self.start_value + (self.end_value - self.start_value) * self.event_index / self.cycle_size


def test_the_linear_cycle_is_its_formula():
    """A triangle, over hundreds of events."""
    scheduler = LinearCyclicalScheduler(optimizer(), "lr", 0.1, 0.9, 14)
    expected = [0.9 - 0.8 * abs((count % 14) / 14 - 0.5) * 2 for count in range(500)]
    assert expected == pytest.approx(called(scheduler, 500), abs=1e-12)


def test_the_monotonic_cycle_is_its_formula():
    """A sawtooth."""
    scheduler = LinearCyclicalScheduler(optimizer(), "lr", 0.1, 0.9, 14, monotonic=True)
    expected = [0.1 + 0.8 * (count % 14) / 14 for count in range(500)]
    assert expected == pytest.approx(called(scheduler, 500), abs=1e-12)


def test_the_cosine_is_its_formula():
    """Half a period of a cosine."""
    scheduler = CosineAnnealingScheduler(optimizer(), "lr", 0.1, 0.9, 14)
    expected = [0.1 + 0.4 * (1 - math.cos(math.pi * (count % 14) / 14)) for count in range(500)]
    assert expected == pytest.approx(called(scheduler, 500), abs=1e-12)


def torchs(scheduler: Any, number: int) -> list[float]:
    """Return the rates of torch's loop, the first of them before any step."""
    seen = []
    for _ in range(number):
        seen += rates(scheduler.optimizer)
        scheduler.optimizer.step()
        scheduler.step()
    return seen


def test_the_linear_cycle_is_torchs_triangle():
    """As `CyclicLR` in its triangular mode."""
    cyclic = torch.optim.lr_scheduler.CyclicLR(optimizer(), 0.1, 0.9, step_size_up=7, cycle_momentum=False)
    ours = LinearCyclicalScheduler(optimizer(), "lr", 0.1, 0.9, 14)
    assert torchs(cyclic, 400) == pytest.approx(called(ours, 400), abs=1e-12)


def test_a_triangle_that_shrinks_is_torchs_triangular2():
    """Each triangle is half as high as the one before."""
    arguments = {"step_size_up": 7, "mode": "triangular2", "cycle_momentum": False}
    cyclic = torch.optim.lr_scheduler.CyclicLR(optimizer(), 0.0, 0.8, **arguments)
    ours = LinearCyclicalScheduler(optimizer(), "lr", 0.0, 0.8, 14, end_value_mult=0.5)
    assert torchs(cyclic, 200) == pytest.approx(called(ours, 200), abs=1e-12)


@pytest.mark.parametrize("mult", [1, 2])
def test_the_cosine_is_torchs_warm_restarts(mult):
    """As `CosineAnnealingWarmRestarts`, also where cycles grow."""
    restarts = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer(0.5), 9, mult, eta_min=0.01)
    ours = CosineAnnealingScheduler(optimizer(), "lr", 0.5, 0.01, 9, cycle_mult=mult)
    assert torchs(restarts, 400) == pytest.approx(called(ours, 400), abs=1e-12)


@settings(deadline=None)
@given(
    name=st.sampled_from(["LinearCyclicalScheduler", "CosineAnnealingScheduler"]),
    start=st.floats(-2, 2),
    end=st.floats(-2, 2),
    size=st.integers(2, 20),
    mult=st.sampled_from([1.0, 1.3, 2.0, 3]),
    start_mult=st.sampled_from([1.0, 0.9, 0.5, 0.0, -1.0]),
    end_mult=st.sampled_from([1.0, 0.9, 1.1]),
    warmup=st.integers(0, 6),
    monotonic=st.booleans(),
)
def test_values_are_ignites(name, start, end, size, mult, start_mult, end_mult, warmup, monotonic):
    """For any arguments that both take."""
    ignite = pytest.importorskip("ignite.handlers.param_scheduler")
    arguments = {
        "param_name": "lr",
        "start_value": start,
        "end_value": end,
        "cycle_size": size,
        "cycle_mult": mult,
        "start_value_mult": start_mult,
        "end_value_mult": end_mult,
        "warmup_duration": warmup,
    }
    if name == "LinearCyclicalScheduler":
        arguments["monotonic"] = monotonic or warmup > 0
    expected = getattr(ignite, name).simulate_values(150, **arguments)
    [ours] = [cls for cls in OURS if cls.__name__ == name]
    assert np.array(expected) == pytest.approx(np.array(ours.simulate_values(150, **arguments)), abs=1e-9)


@pytest.mark.parametrize("warmup", [0, 3])
def test_a_subclass_of_a_user_sees_what_it_saw_in_ignite(warmup):
    """`event_index`, `cycle_size` and the values are those of the present cycle; a warm-up is none of its business."""
    ignite = pytest.importorskip("ignite.handlers.param_scheduler")
    theirs = type("Sawtooth", (ignite.CyclicalScheduler,), {"get_param": Sawtooth.get_param})
    arguments = (0.1, 0.8, 5, 1.5, 0.5, 0.9, warmup)
    expected = called(theirs(optimizer(), "lr", *arguments), 200)
    assert expected == pytest.approx(called(Sawtooth(optimizer(), "lr", *arguments), 200), abs=1e-12)


def test_a_subclass_of_ours_may_change_the_value():
    """What it returns is set."""
    halved = type("Halved", (LinearCyclicalScheduler,), {"get_param": lambda self: super(halved, self).get_param() / 2})
    assert [0.0, 0.25, 0.5, 0.25] == called(halved(optimizer(), "lr", 0.0, 1.0, 4), 4)


def test_it_tells_where_it_is():
    """The attributes are those of the cycle that the next call belongs to."""
    scheduler = Sawtooth(optimizer(), "lr", 1.0, 2.0, 4, 2.0, 10.0, 100.0, 2)
    seen = []
    for _ in range(8):
        cycle = (scheduler.cycle, scheduler.event_index, scheduler.cycle_size, scheduler.warmup_duration)
        seen.append((*cycle, scheduler.total_cycle_size, scheduler.start_value, scheduler.end_value))
        scheduler(None)
    assert [
        (0, 0, 4, 2, 6, 1.0, 2.0),
        (0, 1, 4, 2, 6, 1.0, 2.0),
        (0, 2, 4, 2, 6, 1.0, 2.0),
        (0, 3, 4, 2, 6, 1.0, 2.0),
        (0, 4, 4, 2, 6, 10.0, 2.0),
        (0, 5, 4, 2, 6, 10.0, 2.0),
        (1, 0, 8, 4, 12, 10.0, 200.0),
        (1, 1, 8, 4, 12, 10.0, 200.0),
    ] == seen


def test_it_can_be_put_elsewhere_in_its_cycle():
    """As by setting PyTorch-Ignite's attribute."""
    scheduler = LinearCyclicalScheduler(optimizer(), "lr", 0.0, 1.0, 4)
    called(scheduler, 7)
    scheduler.event_index = 1
    assert (5, 1, [0.5, 1.0]) == (scheduler.count, scheduler.cycle, called(scheduler, 2))


def test_small_cycles_that_shrink_never_vanish():
    """The size of a cycle does not come to 0, at which PyTorch-Ignite's divides by it."""
    scheduler = LinearCyclicalScheduler(optimizer(), "lr", 1.0, 2.0, 4, cycle_mult=0.5)
    assert [1, 1.5, 2, 1.5, 1, 2, 1, 1, 1, 1] == called(scheduler, 10)


@pytest.mark.parametrize("cls", [*OURS, Sawtooth])
def test_a_state_is_taken_up_at_every_count(cls):
    """The rest of the values is the same, also from the state of a warm-up."""
    warmup = {} if cls is LinearCyclicalScheduler else {"warmup_duration": 2}

    def make() -> Any:
        return cls(optimizer(), "lr", 0.1, 0.9, 5, 1.5, 0.7, 0.8, **warmup)

    expected = called(make(), 60)
    for count in range(60):
        before, after = make(), make()
        called(before, count)
        after.load_state_dict(before.state_dict())
        assert expected[count:] == called(after, 60 - count)


@pytest.mark.parametrize("name", ["LinearCyclicalScheduler", "CosineAnnealingScheduler"])
def test_ignites_states_are_taken_up_at_every_count(name):
    """Its state has the place in the cycle and the number of the cycle, too."""
    ignite = pytest.importorskip("ignite.handlers.param_scheduler")
    [ours] = [cls for cls in OURS if cls.__name__ == name]
    arguments = (0.1, 0.9, 5, 1.5, 0.7, 0.8)
    theirs = getattr(ignite, name)(optimizer(), "lr", *arguments)
    expected = called(copy.deepcopy(theirs), 80)
    for count in range(40):
        scheduler = ours(optimizer(), "lr", *arguments)
        scheduler.load_state_dict(theirs.state_dict())
        assert expected[count : count + 40] == pytest.approx(called(scheduler, 40), abs=1e-12)
        theirs(None)


@every_copy
@pytest.mark.parametrize("cls", OURS)
def test_a_copy_goes_on(cls, copied):
    """With an optimizer of its own."""
    scheduler = cls(optimizer(), "lr", 0.1, 0.9, 5)
    called(scheduler, 7)
    other = copied(scheduler)
    assert called(scheduler, 20) == called(other, 20)
    assert scheduler.optimizer is not other.optimizer


MESSAGES = {
    "cycle_size must be an integer of at least 2, got 1": {"cycle_size": 1},
    "cycle_size must be an integer of at least 2, got 4.5": {"cycle_size": 4.5},
    "cycle_mult must be greater than 0, got 0": {"cycle_mult": 0},
    "cycle_mult must be greater than 0, got -1.0": {"cycle_mult": -1.0},
    "cycle_mult must be a finite number, got inf": {"cycle_mult": math.inf},
    "start_value must be a finite number, got nan": {"start_value": math.nan},
    "start_value must be a finite number, got '0.1'": {"start_value": "0.1"},
    "end_value must be a finite number, got None": {"end_value": None},
    "end_value must be a finite number, got True": {"end_value": True},
    "start_value_mult must be a finite number, got nan": {"start_value_mult": math.nan},
    "end_value_mult must be a finite number, got [1.0]": {"end_value_mult": [1.0]},
    "warmup_duration must be an integer of at least 0, got -1": {"warmup_duration": -1},
    "warmup_duration must be 0 unless monotonic=True, got 2: a cycle that is not monotonic ends where the next one "
    "begins": {"warmup_duration": 2},
}


@pytest.mark.parametrize("message", MESSAGES)
def test_wrong_arguments_are_refused(message):
    """The error names the argument and the value."""
    arguments = {"start_value": 0.0, "end_value": 1.0, "cycle_size": 4} | MESSAGES[message]
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        LinearCyclicalScheduler(optimizer(), "lr", **arguments)


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ([], TypeError, "state_dict must be a mapping, as LinearCyclicalScheduler.state_dict() returns, got []"),
        ({"event_index": 1}, ValueError, "state_dict must have 'cycle', got ['event_index']"),
        ({"cycle": 1}, ValueError, "state_dict must have 'event_index', got ['cycle']"),
        (
            {"event_index": 0, "cycle": -1},
            ValueError,
            "state_dict['cycle'] must be an integer of at least 0, got -1",
        ),
    ],
)
def test_wrong_states_are_refused(state, error, message):
    """Nothing is changed."""
    scheduler = LinearCyclicalScheduler(optimizer(), "lr", 0.0, 1.0, 4)
    called(scheduler, 3)
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        scheduler.load_state_dict(state)
    assert 3 == scheduler.count


def test_repr_shows_what_was_given_and_the_count():
    """Defaults are left out."""
    scheduler = LinearCyclicalScheduler(
        optimizer(), "lr", 0, 1.0, 4, end_value_mult=0.5, monotonic=True, warmup_duration=2, param_group_index=0
    )
    called(scheduler, 9)
    assert (
        "LinearCyclicalScheduler('lr', start_value=0.0, end_value=1.0, cycle_size=4, end_value_mult=0.5, "
        "warmup_duration=2, param_group_index=0, monotonic=True, count=9)"
    ) == repr(scheduler)
