"""EarlyStopping ends a training that does not get better any more."""

from __future__ import annotations

import copy
import gc
import logging
import math
import pickle
import warnings
import weakref
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.engine import Engine, Events
from ignite_signals.handlers import EarlyStopping

NAN, INF = math.nan, math.inf


def nothing(engine: Engine, batch: Any) -> None:
    """Do nothing, as a step."""


def output(engine: Engine) -> Any:
    """Return the output, as a score."""
    return engine.state.output


def feed(stopping: EarlyStopping, scores: list[Any]) -> list[tuple[int, float | None]]:
    """Give scores to a handler, and return its counter and best score after each."""
    engine, seen = Engine(nothing), []
    for score in scores:
        engine.state.output = score
        stopping(engine)
        seen.append((stopping.counter, stopping.best_score))
    return seen


def history(scores: list[Any], patience: int = 100, **arguments: Any) -> list[tuple[int, float | None]]:
    """Return counter and best score of a new handler after each score."""
    trainer = Engine(nothing)
    return feed(EarlyStopping(patience, output, trainer, **arguments), scores)


def epochs(scores: list[Any], patience: int, attach: bool = False, **arguments: Any) -> tuple[int, str]:
    """Return after how many epochs a training with these scores ends, and why."""
    trainer, evaluator = Engine(nothing), Engine(lambda engine, batch: next(remaining))
    remaining = iter(scores)
    stopping = EarlyStopping(patience, output, trainer, **arguments)
    if attach:
        stopping.attach(evaluator)
    else:
        evaluator.add_event_handler(Events.COMPLETED, stopping)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([0]))
    state = trainer.run([0], max_epochs=len(scores))
    return state.epoch, str(state.stop_reason)


class TestImprovement:
    def test_a_larger_score_is_better(self) -> None:
        """Only a score above the best one sets the counter to 0; an equal one does not."""
        assert [(0, 1), (0, 2), (1, 2), (2, 2), (0, 3)] == history([1, 2, 2, 1, 3])

    def test_a_smaller_score_is_better_with_mode_min(self) -> None:
        """With mode="min" the score is to fall."""
        assert [(0, 3), (0, 2), (1, 2), (2, 2), (0, 1)] == history([3, 2, 2, 3, 1], mode="min")

    def test_a_gain_must_exceed_the_threshold(self) -> None:
        """A better score within the threshold counts as none, but the next one is compared with it."""
        assert [(0, 1), (1, 1.5), (2, 2), (0, 3.25)] == history([1, 1.5, 2, 3.25], threshold=1)

    def test_small_gains_add_up_where_they_are_cumulative(self) -> None:
        """With cumulative, the best score is the last that improved."""
        assert [(0, 1), (1, 1), (2, 1), (0, 2.5)] == history([1, 1.5, 2, 2.5], threshold=1, cumulative=True)

    @pytest.mark.parametrize(
        ("mode", "best", "enough", "too_little"),
        [
            ("max", 8.0, 10.25, 10.0),
            ("max", -8.0, -5.75, -6.0),
            ("min", 8.0, 5.75, 6.0),
            ("min", -8.0, -10.25, -10.0),
        ],
    )
    def test_a_relative_threshold_is_a_share_of_the_size(
        self, mode: Any, best: float, enough: float, too_little: float
    ) -> None:
        """With "rel" the gain must exceed a share of |best|, so that scores below 0 are held to the same."""
        results = [
            history([best, score], threshold=0.25, threshold_mode="rel", mode=mode)[-1][0]
            for score in (enough, too_little)
        ]
        assert [0, 1] == results

    @pytest.mark.parametrize("mode", ["min", "max"])
    @pytest.mark.parametrize("threshold_mode", ["abs", "rel"])
    @pytest.mark.parametrize("threshold", [0, 0.5, 2])
    def test_the_worst_infinity_can_be_improved_on(self, mode: Any, threshold_mode: Any, threshold: float) -> None:
        """After an infinite loss any finite one improves, whatever the threshold."""
        worst = -INF if mode == "max" else INF
        assert [(0, worst), (0, 5)] == history(
            [worst, 5], mode=mode, threshold=threshold, threshold_mode=threshold_mode
        )

    def test_nan_is_no_improvement(self) -> None:
        """NaN counts as a score without improvement and leaves the best one as it is, also at the beginning."""
        assert [(1, None), (0, 1), (1, 1), (0, 2)] == history([NAN, 1, NAN, 2])

    def test_only_nan_ends_the_run(self) -> None:
        """A training whose scores are all NaN does not go on for ever."""
        assert (3, "terminated") == epochs([NAN] * 9, patience=3)

    @given(
        scores=st.lists(st.floats(allow_nan=True, allow_infinity=True) | st.integers(-3, 3), max_size=20),
        threshold=st.sampled_from([0, 0.5, 1, 3]),
        threshold_mode=st.sampled_from(["abs", "rel"]),
        cumulative=st.booleans(),
        mode=st.sampled_from(["min", "max"]),
    )
    def test_the_best_is_never_nan(
        self, scores: list[float], threshold: float, threshold_mode: Any, cumulative: bool, mode: Any
    ) -> None:
        """Whatever the scores, the best one is one of them, gets only better, and is not NaN."""
        arguments = {"threshold_mode": threshold_mode, "cumulative": cumulative, "mode": mode}
        best = [best for _, best in history(scores, threshold=threshold, **arguments) if best is not None]

        assert set(best) <= {score for score in scores if not math.isnan(score)}
        assert best == sorted(best, reverse=mode == "min")

    @settings(deadline=None)  # the first example waits for the import
    @given(
        scores=st.lists(st.integers(1, 64).map(lambda eighths: eighths / 8), max_size=30),
        threshold=st.sampled_from([0.0, 0.125, 0.5]),
        threshold_mode=st.sampled_from(["abs", "rel"]),
        cumulative=st.booleans(),
        mode=st.sampled_from(["min", "max"]),
    )
    def test_counts_as_ignite_does(
        self, scores: list[float], threshold: float, threshold_mode: Any, cumulative: bool, mode: Any
    ) -> None:
        """Positive numbers give PyTorch-Ignite's counters and best scores."""
        ignite, ignite_engine = pytest.importorskip("ignite.handlers"), pytest.importorskip("ignite.engine")
        arguments = {"threshold_mode": threshold_mode, "cumulative": cumulative, "mode": mode, "threshold": threshold}
        engine = ignite_engine.Engine(nothing)
        peer = ignite.EarlyStopping(100, output, engine, **arguments)

        assert feed(peer, scores) == history(scores, **arguments)


class TestStopping:
    @pytest.mark.parametrize("patience", [1, 2, 3])
    def test_ends_the_trainer_when_the_patience_is_exhausted(self, patience: int) -> None:
        """The run ends after so many scores without improvement, and says that it was terminated."""
        assert (2 + patience, "terminated") == epochs([1, 2, 2, 1, 2, 3], patience)

    def test_lets_a_training_that_improves_go_on(self) -> None:
        """A score that improves in time saves the run."""
        assert (6, "completed") == epochs([1, 0, 2, 1, 3, 2], patience=2)

    def test_says_why(self, caplog: pytest.LogCaptureFixture) -> None:
        """The log tells the best score and how long it is ago."""
        with caplog.at_level(logging.INFO, logger="ignite_signals.handlers.early_stopping"):
            epochs([2, 1, 0.5], patience=2)

        assert ["no improvement on 2.0 in 2 scores, the run ends: 0.5"] == caplog.messages

    def test_the_run_says_that_early_stopping_ended_it(self) -> None:
        """The stop reason names the handler, not the receiver of the trainer that ran the evaluation."""
        trainer, evaluator = Engine(nothing), Engine(lambda engine, batch: 1)
        EarlyStopping(1, output, trainer).attach(evaluator)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([0]))
        reason = trainer.run([0], max_epochs=9).stop_reason

        assert reason is not None
        assert ("terminated", "EarlyStopping") == (reason, reason.by)

    def test_keeps_no_cycle_with_the_trainer(self) -> None:
        """A trainer whose evaluator has the handler is freed by reference counting."""
        gc.disable()
        try:
            trainer, evaluator = Engine(nothing), Engine(nothing)
            stopping = EarlyStopping(1, output, trainer)
            stopping.attach(evaluator)
            trainer.add_event_handler(Events.EPOCH_COMPLETED, evaluator.run, [0])
            gone = weakref.ref(trainer)
            del trainer

            assert (None, None) == (gone(), stopping.trainer)
        finally:
            gc.enable()

    def test_says_that_the_trainer_is_gone(self, caplog: pytest.LogCaptureFixture) -> None:
        """Without the trainer there is nothing to end, which is not passed over in silence."""
        feed(EarlyStopping(1, output, Engine(nothing)), [1, 1])

        assert ["no improvement in 1 scores, but the trainer to stop is gone"] == caplog.messages


class TestRuns:
    def test_attached_it_looks_at_each_evaluation(self) -> None:
        """attach does what add_event_handler at COMPLETED does; an evaluation resets nothing."""
        assert epochs([1, 1, 1, 1], 2) == epochs([1, 1, 1, 1], 2, attach=True) == (3, "terminated")

    def test_a_training_that_starts_anew_starts_without_scores(self) -> None:
        """Attached, it forgets the scores when the trainer starts, not when it goes on."""
        trainer, evaluator = Engine(nothing), Engine(lambda engine, batch: 1)
        stopping = EarlyStopping(9, output, trainer)
        stopping.attach(evaluator)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([0]))
        counters = []
        for limit in (3, 5, 2):  # anew, on, anew
            if limit == 2:
                trainer.reset()
            trainer.run([0], max_epochs=limit)
            counters.append(stopping.counter)

        assert [2, 4, 1] == counters

    @pytest.mark.parametrize("moment", ["before the run", "at STARTED, added before", "at STARTED, added after"])
    def test_the_score_of_the_untrained_model_counts(self, moment: str) -> None:
        """What is evaluated before the first run, or by any handler of STARTED, is not forgotten by the reset."""
        scores = iter([3, 1, 2, 1, 2])
        trainer, evaluator = Engine(nothing), Engine(lambda engine, batch: next(scores))
        stopping = EarlyStopping(3, output, trainer)
        if moment == "at STARTED, added before":
            trainer.add_event_handler(Events.STARTED, lambda: evaluator.run([0]))
        stopping.attach(evaluator)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([0]))
        if moment == "at STARTED, added after":
            trainer.add_event_handler(Events.STARTED, lambda: evaluator.run([0]))
        if moment == "before the run":
            evaluator.run([0])
        state = trainer.run([0], max_epochs=9)

        assert (3, 3.0, "terminated") == (state.epoch, stopping.best_score, state.stop_reason)

    def test_the_scores_of_an_earlier_training_are_forgotten(self) -> None:
        """A handler of STARTED has the first score of each new training, whatever was scored between two of them."""
        trainer, evaluator = Engine(nothing), Engine(lambda engine, batch: 1)
        stopping, seen = EarlyStopping(9, output, trainer), []
        trainer.add_event_handler(Events.STARTED, lambda: (evaluator.run([0]), seen.append(stopping.counter)))
        stopping.attach(evaluator)
        for _ in range(3):
            trainer.run([0])
            evaluator.run([0])

        assert [0, 0, 0] == seen

    def test_a_loaded_score_is_that_of_an_earlier_training(self) -> None:
        """Loaded without the trainer's state, the scores are forgotten by a training that starts anew."""
        trainer, evaluator = Engine(nothing), Engine(nothing)
        stopping = EarlyStopping(9, output, trainer)
        stopping.attach(evaluator)
        stopping.load_state_dict({"counter": 5, "best_score": 2.0})
        trainer.run([0])

        assert (0, None) == (stopping.counter, stopping.best_score)

    def test_only_the_reset_comes_first(self) -> None:
        """The score is looked at in the order of attachment, after what computes it."""
        trainer, evaluator = Engine(nothing), Engine(nothing)
        stopping = EarlyStopping(9, lambda engine: engine.state.score, trainer)
        evaluator.add_event_handler(Events.COMPLETED, lambda engine: setattr(engine.state, "score", 5))
        stopping.attach(evaluator)
        evaluator.run([0])

        assert 5 == stopping.best_score

    def test_any_event_of_any_engine_may_reset_it(self) -> None:
        """reset_engine and reset_event choose another moment."""
        trainer, evaluator = Engine(nothing), Engine(lambda engine, batch: 1)
        stopping = EarlyStopping(9, output, trainer)
        stopping.attach(evaluator, Events.ITERATION_COMPLETED, evaluator, Events.EPOCH_STARTED)
        evaluator.run([0] * 4, max_epochs=3)

        assert 3 == stopping.counter

    def test_reset_forgets_all(self) -> None:
        """After reset the next score is the first."""
        trainer = Engine(nothing)
        stopping = EarlyStopping(9, output, trainer)
        feed(stopping, [5, 4])
        stopping.reset()

        assert [(0, 3.0)] == feed(stopping, [3])

    def test_a_handler_without_trainer_needs_a_reset_engine(self) -> None:
        """What would never be reset is refused."""
        with pytest.raises(ValueError, match="reset_engine must be given, as the trainer of this handler is gone"):
            EarlyStopping(9, output, Engine(nothing)).attach(Engine(nothing))


class TestResuming:
    @pytest.mark.parametrize("cut", range(7))
    def test_a_resumed_training_ends_where_an_unbroken_one_does(self, cut: int) -> None:
        """Saved after any epoch and loaded by a new process, the handler counts on."""
        scores = [1, 3, 2, 2.5, 3, 2, 1, 0]

        def program(saved: dict[str, Any] | None, epochs: int) -> tuple[dict[str, Any], int]:
            trainer = Engine(nothing)
            evaluator = Engine(lambda engine, batch: scores[trainer.state.epoch - 1])
            stopping = EarlyStopping(4, output, trainer)
            stopping.attach(evaluator)
            trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([0]))
            if saved:
                trainer.load_state_dict(saved["trainer"])
                stopping.load_state_dict(saved["stopping"])
            trainer.run([0], max_epochs=epochs)
            return {"trainer": trainer.state_dict(), "stopping": stopping.state_dict()}, trainer.state.epoch

        saved, done = program(None, cut) if cut else (None, 0)

        assert 6 == (done if done == 6 else program(saved, 8)[1])

    def test_is_saved_with_the_trainer_that_it_stops(self) -> None:
        """Attached to an evaluator, to the trainer as well, or to nothing yet, it is saved with the trainer, once."""
        trainer, evaluator = Engine(nothing), Engine(nothing)
        stopping, seen = EarlyStopping(9, output, trainer), []
        for attach in (lambda: None, lambda: stopping.attach(evaluator), lambda: stopping.attach(trainer)):
            attach()
            seen.append(trainer.state_dict()["attached"])

        assert [{"EarlyStopping": {"counter": 0, "best_score": None}}] * 3 == seen

    def test_is_loaded_with_the_trainer(self) -> None:
        """The state of the trainer alone brings the scores back."""
        engines = [Engine(nothing), Engine(nothing)]
        first, second = (EarlyStopping(9, output, trainer) for trainer in engines)
        feed(first, [2, 1])
        engines[1].load_state_dict(engines[0].state_dict())

        assert (1, 2.0) == (second.counter, second.best_score)

    def test_the_trainer_does_not_keep_it(self) -> None:
        """Once the handler is gone, it is not saved any more."""
        trainer = Engine(nothing)
        stopping = EarlyStopping(9, output, trainer)
        del stopping

        assert "attached" not in trainer.state_dict()

    @pytest.mark.parametrize("scores", [[], [torch.tensor(0.5), np.float32(0.25)], [NAN], [INF]], ids=repr)
    def test_the_state_is_plain(self, scores: list[Any], tmp_path: Path) -> None:
        """torch.load takes the state from a file with weights_only, whatever the scores were, also before the first."""
        trainer = Engine(nothing)
        stopping, other = EarlyStopping(9, output, trainer), EarlyStopping(9, output, trainer)
        feed(stopping, scores)
        torch.save(stopping.state_dict(), tmp_path / "stopping.pt")
        loaded = torch.load(tmp_path / "stopping.pt", weights_only=True)
        other.load_state_dict(loaded)

        assert stopping.state_dict() == loaded == other.state_dict()

    def test_takes_the_state_of_ignite(self) -> None:
        """A state that PyTorch-Ignite has saved is taken; its NaN is no best score."""
        trainer = Engine(nothing)
        stopping = EarlyStopping(9, output, trainer)
        stopping.load_state_dict({"counter": 2, "best_score": NAN, "threshold_mode": "abs"})

        assert (2, None) == (stopping.counter, stopping.best_score)

    @pytest.mark.parametrize(
        ("state", "error", "message"),
        [
            (None, TypeError, r"state_dict must be a mapping, as EarlyStopping.state_dict\(\) returns, got None"),
            ([3, 1.0], TypeError, r"state_dict must be a mapping, .* got \[3, 1.0\]"),
            ({"counter": 1}, ValueError, r"state_dict must have \['best_score'\], got \['counter'\]"),
            (
                {"counter": -1, "best_score": 1.0},
                ValueError,
                r"state_dict\['counter'\] must be .* of at least 0, got -1",
            ),
            ({"counter": 1, "best_score": "high"}, TypeError, r"\['best_score'\] must be a number, got 'high'"),
        ],
    )
    def test_a_bad_state_changes_nothing(self, state: dict[str, Any], error: type[Exception], message: str) -> None:
        """What cannot be loaded is refused, and the handler stays as it was."""
        trainer = Engine(nothing)
        stopping = EarlyStopping(9, output, trainer)
        feed(stopping, [2, 1])
        with pytest.raises(error, match=message):
            stopping.load_state_dict(state)

        assert (1, 2.0) == (stopping.counter, stopping.best_score)

    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
    @pytest.mark.parametrize("order", [1, -1])
    def test_a_copy_stops_the_copy_of_the_trainer(self, copied: Any, order: int) -> None:
        """Copied with its trainer, the handler has the scores, ends the copy's run and is saved with the copy."""
        trainer = Engine(nothing)
        stopping = EarlyStopping(2, output, trainer)
        feed(stopping, [2, 1])
        trainer_copy, stopping_copy = copied((trainer, stopping)[::order])[::order]
        feed(stopping_copy, [1])

        assert [{"EarlyStopping": {"counter": counter, "best_score": 2.0}} for counter in (1, 2)] == [
            engine.state_dict()["attached"] for engine in (trainer, trainer_copy)
        ]

        assert trainer_copy is stopping_copy.trainer
        assert (True, False) == (trainer_copy.should_terminate, trainer.should_terminate)
        assert (2, 1) == (stopping_copy.counter, stopping.counter)

    def test_a_copy_without_trainer_has_none(self) -> None:
        """A handler whose trainer is gone can be copied."""
        stopping = copy.deepcopy(EarlyStopping(2, output, Engine(nothing)))

        assert stopping.trainer is None


class Program:
    """A training that is started again and again: its scores do not improve after the second epoch."""

    def __init__(
        self, saved: dict[str, Any] | None = None, patience: int = 2, scores: Any = (1, 2, 2, 1, 3, 0)
    ) -> None:
        self.trainer = Engine(nothing)
        self.evaluator = Engine(lambda engine, batch: scores[self.trainer.state.epoch - 1])
        self.stopping = EarlyStopping(patience, output, self.trainer)
        self.stopping.attach(self.evaluator)
        self.trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: self.evaluator.run([0]))
        self.saved: dict[str, Any] = {}
        self.trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: self.saved.update(engine.state_dict()))
        if saved is not None:
            self.trainer.load_state_dict(saved)

    def run(self) -> tuple[int, str]:
        """Return after how many epochs it ends, and why."""
        state = self.trainer.run([0, 0], max_epochs=6)
        return state.epoch, repr(state.stop_reason)


@pytest.fixture
def finished() -> dict[str, Any]:
    """Return what was saved at the end of a training that the handler ended."""
    program = Program()
    program.run()
    return program.saved


ENDED = (4, "'terminated' by EarlyStopping")


class TestDecision:
    def test_a_saved_decision_holds(self, finished: dict[str, Any]) -> None:
        """Started again, a training that was ended makes no step, however often."""
        runs = []
        for _ in range(3):
            program = Program(finished)
            seen: list[Any] = []
            for event in Events:
                program.trainer.add_event_handler(event, lambda engine, seen=seen: seen.append(engine.last_event_name))
            runs.append((program.run(), program.trainer.state.iteration, seen))
            finished = program.trainer.state_dict()

        assert [(ENDED, 8, [Events.STARTED, Events.TERMINATE, Events.COMPLETED])] * 3 == runs

    def test_it_holds_inside_an_epoch(self) -> None:
        """A score after any iteration may be the last one, and the next start goes no further."""
        reached, saved = [], None
        for _ in range(3):
            trainer = Engine(nothing)
            stopping = EarlyStopping(2, lambda engine: -engine.state.iteration, trainer)
            trainer.add_event_handler(Events.ITERATION_COMPLETED, stopping)
            if saved is not None:
                trainer.load_state_dict(saved)
            reached.append(trainer.run(range(5)).iteration)
            saved = trainer.state_dict()

        assert [3, 3, 3] == reached

    def test_it_says_how_to_go_on(self, finished: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
        """A warning tells why nothing was trained."""
        with caplog.at_level(logging.WARNING):
            Program(finished).run()

        message = (
            "no improvement on 2.0 in 2 scores when the state was saved, the run ends before its first batch; "
            "to go on, give a larger patience or call reset() after loading"
        )
        assert [message] == caplog.messages

    def test_a_larger_patience_goes_on(self, finished: dict[str, Any]) -> None:
        """What is not exhausted any more ends nothing."""
        assert (6, "'completed'") == Program(finished, patience=3).run()

    @pytest.mark.parametrize("at_started", [False, True])
    def test_reset_goes_on(self, finished: dict[str, Any], at_started: bool) -> None:
        """Forgotten scores end nothing, also if a handler of STARTED forgets them."""
        program = Program(finished)
        if at_started:
            program.trainer.add_event_handler(Events.STARTED, lambda: program.stopping.reset())
        else:
            program.stopping.reset()

        assert (6, "'completed'") == program.run()

    def test_a_better_score_at_the_start_goes_on(self, finished: dict[str, Any]) -> None:
        """Other validation data may judge the loaded model better, before the first batch."""
        program = Program(finished, scores=[0, 0, 0, 9, 10, 11])
        program.trainer.add_event_handler(Events.STARTED, lambda: program.evaluator.run([0]))

        assert (6, "'completed'") == program.run()

    @pytest.mark.parametrize("is_loaded", [False, True])
    def test_who_runs_it_again_goes_on(self, finished: dict[str, Any], is_loaded: bool) -> None:
        """In the process where the run has ended, another call of `run` trains on until the next score."""
        program = Program(finished if is_loaded else None, scores=[1, 2, 2, 1, 0, 0])

        assert [ENDED, (5, ENDED[1]), (6, ENDED[1])] == [program.run() for _ in range(3)]

    def test_a_training_that_starts_anew_is_not_ended(self) -> None:
        """The scores alone, without the state of a trainer that goes on, end nothing before its first batch."""
        trainer = Engine(nothing)
        stopping = EarlyStopping(2, output, trainer)
        stopping.load_state_dict({"counter": 2, "best_score": 1.0})

        assert [(3, "completed"), (6, "completed")] == [
            (state.iteration, str(state.stop_reason)) for state in (trainer.run([0] * 3, max_epochs=n) for n in (1, 2))
        ]

    def test_it_holds_where_the_state_is_loaded_at_started(self, finished: dict[str, Any]) -> None:
        """A handler of STARTED may be what loads."""
        program = Program(scores=[1, 2, 2, 1, 0, 0])
        program.trainer.add_event_handler(Events.STARTED(once=1), lambda engine: engine.load_state_dict(finished))

        assert [ENDED, (5, ENDED[1])] == [program.run() for _ in range(2)]

    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
    @pytest.mark.parametrize("order", [1, -1])
    def test_it_holds_in_a_copy(self, finished: dict[str, Any], copied: Any, order: int) -> None:
        """A trainer that is copied after loading, together with the handler, is ended as the original is."""
        trainer = Engine(nothing)
        stopping = EarlyStopping(2, output, trainer)
        stopping.attach(trainer, Events.ITERATION_COMPLETED)
        trainer.load_state_dict(finished)
        trainer_copy, stopping_copy = copied((trainer, stopping)[::order])[::order]

        assert ["'terminated' by EarlyStopping"] * 2 == [
            repr(engine.run([0, 0]).stop_reason) for engine in (trainer_copy, trainer)
        ]
        assert trainer_copy is stopping_copy.trainer

    def test_it_keeps_no_cycle_with_the_trainer(self, finished: dict[str, Any]) -> None:
        """After loading, too, a trainer is freed by reference counting."""
        gc.disable()
        try:
            trainer = Engine(nothing)
            stopping = EarlyStopping(2, output, trainer)
            trainer.load_state_dict(finished)
            gone = weakref.ref(trainer)
            del trainer

            assert (None, 2) == (gone(), stopping.counter)
        finally:
            gc.enable()

    def test_what_is_loaded_without_a_trainer_ends_nothing(self) -> None:
        """A handler whose trainer is gone takes a state."""
        stopping = EarlyStopping(2, output, Engine(nothing))
        stopping.load_state_dict({"counter": 2, "best_score": 1.0})

        assert 2 == stopping.counter


class TestArguments:
    @pytest.mark.parametrize("score", [1, 1.0, True, Fraction(1), np.float32(1), np.array(1.0), torch.tensor([[1.0]])])
    def test_any_number_is_a_score(self, score: Any) -> None:
        """Numbers, and arrays and tensors of one element, are scores."""
        assert [(0, 1.0)] == history([score])

    @pytest.mark.parametrize(
        "score", [None, "1", [1.0], 1j, np.complex64(1), torch.ones(2), torch.tensor(1j), 10**400], ids=repr
    )
    def test_anything_else_is_an_error(self, score: Any) -> None:
        """A score that is no number is refused, and nothing is counted."""
        trainer = Engine(nothing)
        stopping = EarlyStopping(2, output, trainer)
        with pytest.raises(TypeError, match="score_function must return a number, got "):
            feed(stopping, [score])

        assert (0, None) == (stopping.counter, stopping.best_score)

    @pytest.mark.parametrize("patience", [0, -1, 1.5, None, "2", True])
    def test_refuses_a_patience_below_one(self, patience: Any) -> None:
        """The patience is a positive integer."""
        with pytest.raises(ValueError, match="patience must be a positive integer, got "):
            history([], patience=patience)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"threshold": -0.1}, "threshold must be a finite number of at least 0, got -0.1"),
            ({"threshold": NAN}, "threshold must be a finite number of at least 0, got nan"),
            ({"min_delta": INF}, "min_delta must be a finite number of at least 0, got inf"),
            ({"min_delta_mode": "share"}, "min_delta_mode must be 'abs' or 'rel', got 'share'"),
            ({"threshold": True}, "threshold must be a finite number of at least 0, got True"),
            ({"threshold": 10**400}, "threshold must be a finite number of at least 0, got 1000"),
            ({"threshold": "1"}, "threshold must be a finite number of at least 0, got '1'"),
            ({"threshold_mode": "share"}, "threshold_mode must be 'abs' or 'rel', got 'share'"),
            ({"mode": "down"}, "mode must be 'min' or 'max', got 'down'"),
            ({"threshold": 1, "min_delta": 2}, "threshold and min_delta are one argument, got 1 and 2"),
        ],
    )
    def test_refuses_other_arguments(self, arguments: dict[str, Any], message: str) -> None:
        """An argument that has no meaning is named in the error, with its value."""
        with pytest.raises(ValueError, match=message):
            history([], **arguments)

    def test_the_older_names_mean_the_same(self) -> None:
        """min_delta, min_delta_mode and cumulative_delta are taken without a warning."""
        scores = [8.0, 9.0, 10.5, 10.0]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            older = history(scores, min_delta=0.25, min_delta_mode="rel", cumulative_delta=True)

        assert older == history(scores, threshold=0.25, threshold_mode="rel", cumulative=True)

    def test_needs_a_function_and_an_engine(self) -> None:
        """What cannot be called or stopped is refused at once."""
        with pytest.raises(TypeError, match="score_function must be callable, got 3"):
            EarlyStopping(1, 3, Engine(nothing))  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="trainer must be the Engine to stop, got 3"):
            EarlyStopping(1, output, 3)  # type: ignore[arg-type]
