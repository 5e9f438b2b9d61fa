"""A context that surrounds the runs is entered before the first event and left after the last, however a run ends."""

from __future__ import annotations

import contextlib
import copy
import pickle
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from ignite_signals.engine import DeterministicEngine, Engine, Events
from ignite_signals.testing import EventRecorder

both_kinds = pytest.mark.parametrize("kind", [Engine, DeterministicEngine])


def echo(engine: Engine, batch: Any) -> Any:
    return batch


class Noting:
    """Make contexts that note when they are entered and left."""

    def __init__(self, log: list[Any], name: str = "context") -> None:
        self.log, self.name = log, name

    def __call__(self, engine: Engine) -> AbstractContextManager[None]:
        return self.noting(engine)

    @contextlib.contextmanager
    def noting(self, engine: Engine) -> Iterator[None]:
        self.log.append(f"enter {self.name}")
        try:
            yield
        except BaseException as error:
            self.log.append(type(error).__name__)
            raise
        finally:
            self.log.append(f"leave {self.name}")


def noted(engine: Engine) -> list[Any]:
    """Return a log of the events of an engine, and of a context around its runs."""
    log: list[Any] = []
    for event in (Events.STARTED, Events.COMPLETED, Events.TERMINATE, Events.INTERRUPT, Events.EXCEPTION_RAISED):
        engine.signal(event).connect(lambda engine, name=event.value, **payload: log.append(name), weak=False)
    engine.surround_runs(Noting(log))
    return log


@both_kinds
def test_every_event_of_a_run_is_inside(kind: type[Engine]) -> None:
    """From STARTED to COMPLETED, and again in the next run."""
    engine = kind(echo)
    log = noted(engine)
    engine.run([0])
    engine.run([0])

    assert ["enter context", "started", "completed", "leave context"] * 2 == log


def test_it_is_called_with_the_engine() -> None:
    """Whose state says already what the run will do."""
    engine, seen = Engine(echo), []

    def context(engine: Engine) -> AbstractContextManager[None]:
        seen.append((engine, engine.state.max_epochs, engine.state.epoch_length, engine.state.iteration))
        return contextlib.nullcontext()

    engine.surround_runs(context)
    engine.run([0, 1], max_epochs=3)

    assert [(engine, 3, 2, 0)] == seen


def test_the_first_one_is_the_outermost() -> None:
    """They are left in the reverse order."""
    engine, log = Engine(echo), []
    for name in "abc":
        engine.surround_runs(Noting(log, name))
    engine.run([0])

    assert ["enter a", "enter b", "enter c", "leave c", "leave b", "leave a"] == log


@both_kinds
def test_a_run_that_is_terminated_leaves_it(kind: type[Engine]) -> None:
    """After TERMINATE."""
    engine = kind(echo)
    log = noted(engine)
    engine.add_event_handler(Events.EPOCH_STARTED, lambda: engine.terminate(skip_completed=True))
    engine.run([0])

    assert ["enter context", "started", "terminate", "leave context"] == log


@both_kinds
@pytest.mark.parametrize("error", [ValueError, StopIteration, KeyboardInterrupt])
def test_a_run_that_fails_leaves_it_with_the_exception(kind: type[Engine], error: type[BaseException]) -> None:
    """After EXCEPTION_RAISED, also with what ends a generator or the program."""

    def step(engine: Engine, batch: int) -> None:
        raise error("no")

    engine = kind(step)
    log = noted(engine)
    with pytest.raises(error, match="no"):
        engine.run([0])

    assert ["enter context", "started", "exception_raised", error.__name__, "leave context"] == log


def test_a_failure_that_was_dealt_with_does_not_reach_it() -> None:
    """It leaves no run, so it does not pass through what surrounds it."""
    engine = Engine(lambda engine, batch: 1 / 0)
    log = noted(engine)
    engine.add_event_handler(Events.EXCEPTION_RAISED, lambda engine, error: None)
    engine.run([0])

    assert ["enter context", "started", "exception_raised", "leave context"] == log


@both_kinds
def test_each_part_of_an_interrupted_run_is_inside(kind: type[Engine]) -> None:
    """While the run is paused nothing surrounds the program."""
    engine = kind(echo)
    log = noted(engine)
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=1), Engine.interrupt)
    engine.run([0, 1])
    log.append("paused")
    engine.run([0, 1])

    assert ["enter context", "started", "interrupt", "leave context"] == log[:4]
    assert ["paused", "enter context", "completed", "leave context"] == log[4:]


def test_an_evaluation_is_inside_the_trainer_s_context_and_its_own() -> None:
    """Each engine has its own contexts."""
    trainer, evaluator, log = Engine(echo), Engine(echo), []
    trainer.surround_runs(Noting(log, "trainer"))
    evaluator.surround_runs(Noting(log, "evaluator"))
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([0]))
    trainer.run([0])

    assert ["enter trainer", "enter evaluator", "leave evaluator", "leave trainer"] == log


@contextlib.contextmanager
def refusing(engine: Engine) -> Iterator[None]:
    """Refuse the first run."""
    engine.state.refused = getattr(engine.state, "refused", 0) + 1
    if engine.state.refused == 1:
        raise OSError("no device")
    yield


@both_kinds
def test_a_run_whose_context_cannot_be_entered_does_not_begin(kind: type[Engine]) -> None:
    """No event is sent, what was entered is left, and a later run is the one that was asked for."""
    engine, log = kind(echo), []
    engine.surround_runs(Noting(log))
    engine.surround_runs(refusing)
    with EventRecorder(engine) as recorder:
        with pytest.raises(OSError, match="no device"):
            engine.run([5, 6], max_epochs=2)
        refused = len(recorder), log[:]
        state = engine.run([5, 6], max_epochs=2)

    assert (0, ["enter context", "OSError", "leave context"]) == refused
    assert ("completed", 2, 4) == (state.stop_reason, state.epoch, state.iteration)
    assert ("started", 1) == (recorder.names[0], recorder.names.count("started"))


def test_a_later_run_may_have_other_data() -> None:
    """Nothing was taken of the data of the run that did not begin."""
    engine, seen = Engine(lambda engine, batch: seen.append(batch)), []
    engine.surround_runs(refusing)
    first = iter([0, 1])
    with pytest.raises(OSError, match="no device"):
        engine.run(first, epoch_length=2)
    engine.run([5, 6])

    assert ([5, 6], [0, 1]) == (seen, list(first))


def test_a_part_whose_context_cannot_be_entered_leaves_the_run_paused() -> None:
    """An interrupted run goes on when it can."""
    engine, seen = Engine(lambda engine, batch: seen.append(batch)), []
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=1), Engine.interrupt)
    engine.run([0, 1, 2])
    engine.surround_runs(refusing)
    with pytest.raises(OSError, match="no device"):
        engine.run()
    state = engine.run()

    assert ([0, 1, 2], "completed") == (seen, state.stop_reason)


@both_kinds
def test_a_context_that_raises_on_leaving_does_so_from_run(kind: type[Engine]) -> None:
    """The run itself is over; the next one is not concerned."""
    engine = kind(echo)

    @contextlib.contextmanager
    def context(engine: Engine) -> Iterator[None]:
        yield
        if not hasattr(engine.state, "raised"):
            engine.state.raised = True
            raise OSError("the trace cannot be written")

    engine.surround_runs(context)
    with pytest.raises(OSError, match="trace"):
        engine.run([0])
    first = str(engine.state.stop_reason)

    assert ("completed", "completed") == (first, engine.run([0]).stop_reason)


def test_one_that_is_added_during_a_run_surrounds_the_next() -> None:
    """What surrounds a run is settled when it begins."""
    engine, log = Engine(echo), []
    engine.add_event_handler(Events.STARTED(once=1), lambda: engine.surround_runs(Noting(log)))
    engine.run([0])
    first = log[:]
    engine.run([0])

    assert ([], ["enter context", "leave context"]) == (first, log)


def test_a_run_that_has_nothing_to_do_is_not_surrounded() -> None:
    """A loaded state that is done runs nothing."""
    engine, log = Engine(echo), []
    engine.surround_runs(Noting(log))
    engine.load_state_dict({"epoch": 1, "max_epochs": 1, "epoch_length": 2})
    with pytest.warns(UserWarning, match="nothing to run"):
        engine.run([0, 1])

    assert [] == log


def test_a_run_that_is_refused_is_not_surrounded() -> None:
    """Limits and data are looked at before."""
    engine, log = Engine(echo), []
    engine.surround_runs(Noting(log))
    with pytest.raises(ValueError, match="max_epochs"):
        engine.run([0], max_epochs=0)

    assert [] == log


def inference(engine: Engine) -> AbstractContextManager[Any]:
    return torch.inference_mode()


def is_inference(engine: Engine, batch: Any) -> bool:
    return torch.is_inference_mode_enabled()


@both_kinds
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda engine: pickle.loads(pickle.dumps(engine))])
def test_a_copy_is_surrounded_as_well(kind: type[Engine], copied: Callable[[Engine], Engine]) -> None:
    """Its contexts are copied with it: what is added to the one does not surround the other."""
    engine = kind(is_inference)
    engine.surround_runs(inference)
    other = copied(engine)
    log: list[Any] = []
    engine.surround_runs(Noting(log))

    assert (True, []) == (other.run([0]).output, log)


@pytest.mark.parametrize("strange", [None, contextlib.nullcontext(), "context"])
def test_what_makes_no_context_is_refused(strange: Any) -> None:
    """A context manager itself could be entered by one run only."""
    with pytest.raises(TypeError, match="context must be"):
        Engine(echo).surround_runs(strange)


def test_a_context_surrounds_once() -> None:
    """A second registration of the same context is refused."""
    engine = Engine(echo)
    engine.surround_runs(inference)
    with pytest.raises(ValueError, match=r"context must be given once, got inference"):
        engine.surround_runs(inference)


def test_a_context_that_swallows_an_exception_lets_run_return_the_state() -> None:
    """The stop reason says that the run failed."""
    engine = Engine(lambda engine, batch: 1 / 0)
    engine.surround_runs(lambda engine: contextlib.suppress(ZeroDivisionError))
    assert engine.run([0]) is engine.state
    assert "failed" == engine.state.stop_reason


def test_a_context_that_saves_on_leaving_has_the_random_numbers_of_the_end() -> None:
    """The state dict of a deterministic engine is that of the end of the run already."""
    engine, states = DeterministicEngine(lambda engine, batch: torch.rand(())), list[Any]()

    @contextlib.contextmanager
    def saving(engine: Engine) -> Iterator[None]:
        yield
        states.append(engine.state_dict()["rng_states"]["torch"])

    engine.surround_runs(saving)
    engine.run([0, 1])
    assert torch.equal(torch.get_rng_state(), states[0])


def test_a_run_that_could_not_be_entered_changes_nothing_of_where_a_loaded_state_goes_on() -> None:
    """The next run sees the batches that were to come, with other data that is equal, too."""

    def run(saved: Any = None, refused: bool = False, max_iters: int = 6) -> tuple[list[Any], Any]:
        seen: list[Any] = []
        engine = DeterministicEngine(lambda engine, batch: seen.append(batch.tolist()))
        engine.state.seed = 3
        if saved is not None:
            engine.load_state_dict(saved)
        if refused:
            engine.surround_runs(Refusing())
            with pytest.raises(OSError, match="refused"):
                engine.run(DataLoader(torch.arange(8), batch_size=2, shuffle=True), max_iters=max_iters)
        engine.run(DataLoader(torch.arange(8), batch_size=2, shuffle=True), max_iters=max_iters)
        return seen, engine.state_dict()

    straight, _ = run()
    first, half = run(max_iters=3)
    rest, _ = run(half, refused=True)
    assert straight == first + rest


class Refusing:
    """Fail to enter the first run."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, engine: Engine) -> AbstractContextManager[None]:
        self.times += 1
        if self.times == 1:
            raise OSError("refused")
        return contextlib.nullcontext()
