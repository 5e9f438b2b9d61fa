"""Timer measures what its events or its user say; the clock of these tests is set by hand."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

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

    @pytest.mark.parametrize("average", [False, True])
    @pytest.mark.parametrize(
        "names",
        [
            {},
            {"start": "EPOCH_STARTED", "pause": "EPOCH_COMPLETED"},
            {"resume": "ITERATION_STARTED", "pause": "ITERATION_COMPLETED", "step": "ITERATION_COMPLETED"},
            {"resume": "GET_BATCH_STARTED", "pause": "GET_BATCH_COMPLETED", "step": "GET_BATCH_COMPLETED"},
            {"start": "EPOCH_STARTED", "resume": "EPOCH_COMPLETED", "step": "EPOCH_COMPLETED"},
            dict.fromkeys(["start", "pause", "resume", "step"], "ITERATION_COMPLETED"),
            dict.fromkeys(["pause", "resume"], "ITERATION_COMPLETED"),
            dict.fromkeys(["start", "pause"], "EPOCH_STARTED"),
        ],
        ids=str,
    )
    def test_measures_what_ignite_does(
        self, wait: Clock, names: dict[str, str], average: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between any events, also where several share one, it has PyTorch-Ignite's time at every moment."""
        ignite, peer = pytest.importorskip("ignite.engine"), pytest.importorskip("ignite.handlers.timing")
        monkeypatch.setattr(peer, "perf_counter", timing.perf_counter)
        results = []
        for kind, events, make in ((ignite.Engine, ignite.Events, peer.Timer), (Engine, Events, Timer)):
            engine, timer, seen = kind(lambda engine, batch: wait(batch)), make(average=average), []

            def look(_: Any, timer: Any, seen: list[Any]) -> None:
                seen.append((timer.value(), timer.total, timer.step_count, timer.running))
                wait(0.25)

            timer.attach(engine, **{argument: events[name] for argument, name in names.items()})
            for event in Events:
                engine.add_event_handler(events[event.name], look, timer, seen)
            engine.run([1.0, 2.0, 4.0], max_epochs=2)
            results.append(seen)

        assert results[0] == results[1]

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


def trainer_with(timer: Timer, wait: Clock, **attach: Any) -> Engine:
    """Return a trainer whose steps take a second, with a timer attached."""
    trainer = Engine(lambda engine, batch: wait(1))
    timer.attach(trainer, **attach)
    return trainer


class TestResuming:
    def test_is_saved_with_its_trainer(self, wait: Clock) -> None:
        """Attached, it is in the trainer's state without being listed, at the time of saving, running or not."""
        timer = Timer()
        trainer, saved = trainer_with(timer, wait), []
        trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: saved.append(engine.state_dict()))
        trainer.run(range(2))

        assert [{"Timer": {"total": n, "step_count": 0}} for n in (1.0, 2.0)] == [state["attached"] for state in saved]

    @pytest.mark.parametrize("cut", range(1, 6))
    @pytest.mark.parametrize(
        ("attach", "expected"),
        [
            ({}, 6.0),
            ({"step": Events.ITERATION_STARTED}, 1.0),
            ({"resume": Events.ITERATION_STARTED, "pause": Events.ITERATION_COMPLETED}, 6.0),
            ({"resume": Events.GET_BATCH_STARTED, "pause": Events.GET_BATCH_COMPLETED}, 0.0),
            ({"start": Events.EPOCH_STARTED, "pause": Events.EPOCH_COMPLETED}, 3.0),
            (
                {
                    "start": Events.EPOCH_STARTED,
                    "resume": Events.ITERATION_STARTED,
                    "pause": Events.ITERATION_COMPLETED,
                    "step": Events.ITERATION_COMPLETED,
                },
                1.0,
            ),
        ],
        ids=["run", "average", "steps", "batches", "epochs", "average step of an epoch"],
    )
    def test_a_resumed_run_adds_to_the_saved_time(
        self, wait: Clock, cut: int, attach: dict[str, Any], expected: float
    ) -> None:
        """Saved after any iteration, what the next process measures is added; time between the two is not."""

        def program(saved: dict[str, Any] | None) -> tuple[dict[str, Any], float]:
            timer = Timer(average="step" in attach)
            trainer, states = Engine(lambda engine, batch: wait(1)), {}
            timer.attach(trainer, **attach)
            trainer.add_event_handler(
                Events.ITERATION_COMPLETED(once=cut), lambda engine: states.update(engine.state_dict())
            )
            wait(1000)
            if saved is not None:
                trainer.load_state_dict(saved)
                wait(1000)
            trainer.run(range(3), max_epochs=2)
            return states, timer.value()

        saved, unbroken = program(None)

        assert (expected, expected) == (unbroken, program(saved)[1])

    def test_a_timer_whose_resume_is_an_event_waits_for_it(self, wait: Clock) -> None:
        """The steps of a resumed run are measured, not how long the first batch takes to come."""
        timers = [Timer(), Timer()]
        events = {"resume": Events.ITERATION_STARTED, "pause": Events.ITERATION_COMPLETED}
        trainer, resumed = [trainer_with(timer, wait, **events) for timer in timers]
        for engine in (trainer, resumed):
            engine.add_event_handler(Events.GET_BATCH_STARTED, lambda: wait(4))
        trainer.run(range(3))
        resumed.load_state_dict(trainer.state_dict())
        resumed.run(range(3), max_epochs=2)

        assert [4 + 3.0, 4 + 6.0] == [timer.value() for timer in timers]  # a new run counts from STARTED

    def test_a_run_that_starts_anew_starts_at_zero(self, wait: Clock) -> None:
        """Whatever was loaded, a run without an iteration behind it is measured alone."""
        timer = Timer()
        trainer = trainer_with(timer, wait)
        timer.load_state_dict({"total": 50.0, "step_count": 5})
        trainer.run(range(3))

        assert (3.0, 0) == (timer.value(), timer.step_count)

    def test_a_resumed_run_without_saved_time_starts_at_zero(self, wait: Clock) -> None:
        """Where the state of the trainer alone is loaded, the time from the making of the timer does not count."""
        timer = Timer()
        trainer = trainer_with(timer, wait)
        wait(50)
        with pytest.warns(UserWarning, match="lacks the states of what is attached"):
            trainer.load_state_dict({"iteration": 3, "epoch_length": 3, "max_epochs": 2})
        trainer.run(range(3))

        assert 3.0 == timer.value()

    def test_a_run_that_is_extended_goes_on(self, wait: Clock) -> None:
        """The time between two parts of a run in one process does not count either."""
        timer = Timer()
        trainer = trainer_with(timer, wait)
        trainer.run(range(3), max_epochs=2)
        wait(50)
        trainer.run(range(3), max_epochs=3)

        assert (9.0, 9.0) == (timer.value(), timer.total)

    def test_an_extended_run_waits_for_the_resume_event_too(self, wait: Clock) -> None:
        """In one process as well, what comes before the event that resumes the timer is not measured."""
        timer = Timer()
        trainer = trainer_with(timer, wait, resume=Events.ITERATION_STARTED, pause=Events.ITERATION_COMPLETED)
        trainer.run(range(3))
        trainer.add_event_handler(Events.STARTED, lambda: wait(50))
        trainer.run(range(3), max_epochs=2)

        assert 6.0 == timer.value()

    def test_what_is_loaded_at_started_counts(self, wait: Clock) -> None:
        """A handler of STARTED may load the state: the timer, which runs, goes on from it."""
        timer = Timer()
        trainer = trainer_with(timer, wait)
        saved = {
            "iteration": 3,
            "epoch_length": 3,
            "max_epochs": 2,
            "attached": {"Timer": {"total": 7.0, "step_count": 0}},
        }
        trainer.add_event_handler(Events.STARTED, lambda engine: engine.load_state_dict(saved))
        trainer.run(range(3), max_epochs=2)

        assert (10.0, False) == (timer.value(), timer.running)

    def test_loading_leaves_a_stopped_timer_stopped(self, wait: Clock) -> None:
        """Whether it runs is a matter of the process: a timer used by hand stands or runs as before."""
        running, stopped = Timer(average=True), Timer(average=True)
        stopped.pause()
        for timer in (running, stopped):
            timer.load_state_dict({"total": 6, "step_count": 2})
        wait(2)

        assert ((4.0, True), (3.0, False)) == tuple((timer.value(), timer.running) for timer in (running, stopped))

    def test_the_state_is_plain(self, wait: Clock, tmp_path: Path) -> None:
        """torch.load takes the state from a file with weights_only, and it is unchanged."""
        timer, other = Timer(), Timer()
        wait(1.5)
        timer.step()
        torch.save(timer.state_dict(), tmp_path / "timer.pt")
        loaded = torch.load(tmp_path / "timer.pt", weights_only=True)
        other.load_state_dict(loaded)

        assert {"total": 1.5, "step_count": 1} == loaded == other.state_dict()

    @pytest.mark.parametrize(
        ("state", "error", "message"),
        [
            (None, TypeError, "state_dict must be a mapping, as .* returns, got None"),
            ({"total": 1.0}, ValueError, r"state_dict must have the keys 'step_count', got \['total'\]"),
            ({"total": -1.0, "step_count": 1}, ValueError, r"state_dict\['total'\] must be .* of at least 0, got -1.0"),
            ({"total": math.nan, "step_count": 1}, ValueError, "of at least 0, got nan"),
            ({"total": 10**400, "step_count": 1}, ValueError, "of at least 0, got 1000"),
            ({"total": True, "step_count": 1}, ValueError, "of at least 0, got True"),
            ({"total": "1", "step_count": 1}, ValueError, "of at least 0, got '1'"),
            ({"total": 1.0, "step_count": 1.5}, ValueError, r"state_dict\['step_count'\] must be an integer of"),
        ],
    )
    def test_a_bad_state_changes_nothing(self, wait: Clock, state: Any, error: type[Exception], message: str) -> None:
        """What cannot be loaded is refused with its name and value, and the timer goes on."""
        timer = Timer()
        timer.step()
        wait(2)
        with pytest.raises(error, match=message):
            timer.load_state_dict(state)

        assert (2.0, 1) == (timer.value(), timer.step_count)

    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda timer: pickle.loads(pickle.dumps(timer))])
    def test_a_copy_goes_on_from_the_time_measured(self, wait: Clock, copied: Any) -> None:
        """A copy has measured as much, and then goes by a clock of its own, running or not."""
        running, stopped = Timer(), Timer()
        wait(2)
        stopped.pause()
        copies = [copied(running), copied(stopped)]
        wait(3)

        assert [5.0, 5.0, 2.0, 2.0] == [timer.value() for timer in (running, copies[0], stopped, copies[1])]
