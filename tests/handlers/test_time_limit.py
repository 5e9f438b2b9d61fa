"""TimeLimit ends a run in time; the clock of these tests is set by hand."""

from __future__ import annotations

import copy
import logging
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ignite_signals.engine import Engine, Events
from ignite_signals.handlers import TimeLimit


class Clock:
    """A clock that moves only when the test moves it."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


def run(limit: TimeLimit, clock: Clock, seconds: float = 1.0, iterations: int = 100) -> tuple[int, str]:
    """Return after how many iterations of so many seconds a run ends, and why."""

    def step(engine: Engine, batch: Any) -> None:
        clock.now += seconds

    trainer = Engine(step)
    limit.attach(trainer)
    state = trainer.run(range(iterations))
    return state.iteration, str(state.stop_reason)


def test_ends_the_run_at_the_next_iteration() -> None:
    """The iteration in which the limit is exceeded is the last one."""
    clock = Clock()

    assert (6, "terminated") == run(TimeLimit(5, clock=clock), clock)


def test_a_run_in_time_is_left_alone() -> None:
    """A run that needs no more than the limit completes."""
    clock = Clock()

    assert (5, "completed") == run(TimeLimit(5, clock=clock), clock, iterations=5)


def test_a_handler_to_be_added() -> None:
    """It may be added to any event; the state tells who asked."""
    clock = Clock()
    limit, trainer = TimeLimit(2.5, clock=clock), Engine(lambda engine, batch: setattr(clock, "now", clock.now + 1))
    trainer.add_event_handler(Events.EPOCH_COMPLETED, limit)
    state = trainer.run(range(2), max_epochs=9)

    assert (2, "'terminated' by TimeLimit") == (state.epoch, repr(state.stop_reason))


def test_time_before_the_run_counts() -> None:
    """The time passes from when the handler is made; reset lets it start anew."""
    clock = Clock()
    limit = TimeLimit(5, clock=clock)
    clock.now += 4
    before = limit.elapsed()
    limit.reset()

    assert (4.0, (6, "terminated")) == (before, run(limit, clock))


def test_a_resumed_training_has_what_is_left() -> None:
    """The time used is in the state, whatever the clock of the next process reads."""
    first, second = Clock(5000.0), Clock(3.0)
    limit = TimeLimit(10, clock=first)
    run(limit, first, iterations=7)
    resumed = TimeLimit(10, clock=second)
    resumed.load_state_dict(limit.state_dict())

    assert {"elapsed": 7.0} == resumed.state_dict()
    assert (4, "terminated") == run(resumed, second)


def test_each_session_may_have_a_limit_of_its_own() -> None:
    """With across_resumes=False a saved time is left out of account."""
    clock = Clock()
    limit = TimeLimit(10, clock=clock, across_resumes=False)
    limit.load_state_dict({"elapsed": 9.0})

    assert (11, "terminated") == run(limit, clock)


def test_it_is_saved_with_its_trainer() -> None:
    """Attached, it is in the trainer's state without being listed, and loaded with it."""
    clock = Clock()
    limits = [TimeLimit(10, clock=clock), TimeLimit(10, clock=clock)]
    trainers = [Engine(lambda engine, batch: None), Engine(lambda engine, batch: None)]
    for limit, trainer in zip(limits, trainers, strict=True):
        limit.attach(trainer)
    clock.now += 4
    limits[1].reset()
    trainers[1].load_state_dict(trainers[0].state_dict())

    assert {"TimeLimit": {"elapsed": 4.0}} == trainers[1].state_dict()["attached"]


def test_the_state_is_plain(tmp_path: Path) -> None:
    """torch.load takes the state from a file with weights_only, whatever kind of number the clock returns."""
    clock = Clock(np.float64(1000.0))
    limit, other = (TimeLimit(10, clock=clock) for _ in range(2))
    clock.now += 2
    torch.save(limit.state_dict(), tmp_path / "limit.pt")
    loaded = torch.load(tmp_path / "limit.pt", weights_only=True)
    other.load_state_dict(loaded)

    assert {"elapsed": 2.0} == loaded == other.state_dict()


@pytest.mark.parametrize(
    "state", [{}, *({"elapsed": value} for value in (-1.0, math.nan, math.inf, "1", None, True, 10**400))], ids=repr
)
def test_a_bad_state_changes_nothing(state: dict[str, Any]) -> None:
    """What is no time is refused, and the handler goes on."""
    clock = Clock()
    limit = TimeLimit(10, clock=clock)
    clock.now += 2
    with pytest.raises(ValueError, match="state_dict must have the seconds used as 'elapsed', got "):
        limit.load_state_dict(state)

    assert 2.0 == limit.elapsed()


@pytest.mark.parametrize("state", [None, 3.0, ["elapsed"]])
@pytest.mark.parametrize("across_resumes", [True, False])
def test_a_state_is_a_mapping(state: Any, across_resumes: bool) -> None:
    """Anything else is refused by name, also where the time would be left as it is."""
    with pytest.raises(TypeError, match=r"state_dict must be a mapping, as TimeLimit.* returns, got "):
        TimeLimit(across_resumes=across_resumes).load_state_dict(state)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda limit: pickle.loads(pickle.dumps(limit))])
def test_a_copy_goes_on_from_the_time_used(copied: Any) -> None:
    """A copy has used as much, and then goes by a clock of its own."""
    clock = Clock()
    limit = TimeLimit(10, clock=clock)
    clock.now += 2
    copy = copied(limit)
    clock.now += 3

    assert (5.0, 2.0) == (limit.elapsed(), copy.elapsed())


def test_says_when(caplog: pytest.LogCaptureFixture) -> None:
    """The log tells the time used and the limit."""
    clock = Clock()
    with caplog.at_level(logging.INFO, logger="ignite_signals.handlers.time_limit"):
        run(TimeLimit(2, clock=clock), clock)

    assert ["3.0 s used of 2 s, the run ends"] == caplog.messages


def test_reads_a_real_clock() -> None:
    """Without a clock of the test's own, time passes."""
    limit = TimeLimit()
    first = limit.elapsed()
    while limit.elapsed() == first:
        pass

    assert (28800, True) == (limit.limit_sec, 0 <= first < limit.elapsed() < 28800)


@pytest.mark.parametrize("limit_sec", [0, -1, math.nan, math.inf, None, "8h", True, 10**400])
def test_refuses_a_limit_that_is_none(limit_sec: Any) -> None:
    """The limit is a positive number of seconds."""
    with pytest.raises(ValueError, match="limit_sec must be a positive number of seconds, got "):
        TimeLimit(limit_sec)


def test_the_clock_must_be_callable() -> None:
    """What cannot be called is refused at once."""
    with pytest.raises(TypeError, match="clock must be callable, got 3"):
        TimeLimit(clock=3)  # type: ignore[arg-type]
