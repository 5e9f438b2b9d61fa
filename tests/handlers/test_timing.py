"""Timer measures what its events or its user say; the clock of these tests is set by hand."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest

from ignite_signals.engine import Engine, Events
from ignite_signals.handlers import Timer, timing

Clock = Callable[[float], None]


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the clock by one that moves only when the test waits."""
    now = [100.0]
    monkeypatch.setattr(timing, "perf_counter", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


class TestByHand:
    def test_a_new_timer_runs(self, wait: Clock) -> None:
        """Time passes from the start; total waits for a pause."""
        timer = Timer()
        wait(2)

        assert (2.0, 0.0, 0, True) == (timer.value(), timer.total, timer.step_count, timer.running)

    def test_a_pause_does_not_count(self, wait: Clock) -> None:
        """Only the time between resume and pause is measured; repeated calls change nothing."""
        timer = Timer()
        wait(2)
        timer.pause()
        timer.pause()
        wait(30)
        paused = timer.value(), timer.total, timer.running
        timer.resume()
        wait(1)
        timer.resume()
        wait(1)

        assert (2.0, 2.0, False) == paused
        assert (4.0, 2.0, True) == (timer.value(), timer.total, timer.running)

    def test_averages_over_steps(self, wait: Clock) -> None:
        """With average the time is divided by the steps, and by 1 before there are any."""
        timer = Timer(average=True)
        wait(6)
        before = timer.value()
        for _ in range(3):
            timer.step()

        assert (6.0, 2.0, 3) == (before, timer.value(), timer.step_count)

    def test_reset_starts_anew(self, wait: Clock) -> None:
        """reset forgets time and steps, lets the timer run and returns it."""
        timer = Timer()
        wait(2)
        timer.step()
        timer.pause()

        same = timer.reset()
        wait(1)

        assert timer is same
        assert (1.0, 0.0, 0, True) == (timer.value(), timer.total, timer.step_count, timer.running)

    def test_reads_a_real_clock(self) -> None:
        """Unpatched, the value grows."""
        timer = Timer()
        first = timer.value()
        while timer.value() == first:
            pass

        assert 0 <= first < timer.value()


class TestAttached:
    def test_measures_the_run_by_default(self, wait: Clock) -> None:
        """From STARTED to COMPLETED, each run anew."""
        engine = Engine(lambda engine, batch: wait(1))
        timer = Timer()

        same = timer.attach(engine)
        wait(50)
        engine.run(range(3), max_epochs=2)
        wait(50)
        first = timer.value()
        engine.run(range(5))

        assert timer is same
        assert (6.0, 5.0, False) == (first, timer.value(), timer.running)

    def test_measures_the_step_alone(self, wait: Clock) -> None:
        """Resumed and paused around the step, the average is the step's time, handlers left out."""
        engine = Engine(lambda engine, batch: wait(batch))
        timer = Timer(average=True).attach(
            engine,
            start=Events.EPOCH_STARTED,
            resume=Events.ITERATION_STARTED,
            pause=Events.ITERATION_COMPLETED,
            step=Events.ITERATION_COMPLETED,
        )
        seen: list[tuple[float, int, bool]] = []

        @engine.on(Events.ITERATION_COMPLETED)
        def look() -> None:
            wait(1000)
            seen.append((timer.value(), timer.step_count, timer.running))

        engine.run([2, 4], max_epochs=2)

        # The first iteration of an epoch counts from EPOCH_STARTED, where the timer began to run.
        assert [(2.0, 1, False), (3.0, 2, False)] * 2 == seen

    def test_takes_filtered_events(self, wait: Clock) -> None:
        """Any event with a filter may step the timer."""
        engine = Engine(lambda engine, batch: wait(1))
        timer = Timer(average=True).attach(engine, step=Events.ITERATION_COMPLETED(every=2))

        engine.run(range(4))

        assert (2, 2.0) == (timer.step_count, timer.value())

    def test_keeps_no_engine_alive(self) -> None:
        """An engine with a timer is freed by reference counting, while the timer lives."""
        gc.disable()
        try:
            engine = Engine(lambda engine, batch: None)
            timer = Timer().attach(engine)
            engine.run(range(2))
            freed = weakref.ref(engine)
            del engine

            assert freed() is None
            assert timer.value() >= 0
        finally:
            gc.enable()
