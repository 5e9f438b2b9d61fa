"""In the background a checkpoint is written while the training goes on, and nothing of it is lost."""

from __future__ import annotations

import copy
import gc
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ignite_signals import Engine, Events
from ignite_signals.handlers import BaseSaveHandler, Checkpoint, ModelCheckpoint, global_step_from_engine
from ignite_signals.handlers.background import Background

EPOCH, ITERATION = Events.EPOCH_COMPLETED, Events.ITERATION_COMPLETED
SECOND, THIRD, FOURTH = (ITERATION(once=iteration) for iteration in (2, 3, 4))
LONG = 20  # seconds, after which something hangs


class Value:
    """A tensor that training changes in place."""

    def __init__(self) -> None:
        self.tensor = torch.zeros(3)

    def state_dict(self) -> dict[str, Any]:
        return {"tensor": self.tensor}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.tensor.copy_(state_dict["tensor"])


class Slow(BaseSaveHandler):
    """Save only when it is let go on."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.saved: dict[str, Any] = {}
        self.removed: list[str] = []
        self.threads: set[threading.Thread] = set()
        self.error: BaseException | None = None

    def __call__(self, checkpoint: Any, filename: str, metadata: Any = None) -> None:
        self.threads.add(threading.current_thread())
        self.begun.set()
        assert self.go_on.wait(LONG)
        if self.error is not None:
            raise self.error
        self.saved[filename] = checkpoint

    def remove(self, filename: str) -> None:
        self.threads.add(threading.current_thread())
        self.removed.append(filename)


def training(slow: Any = None, event: Any = SECOND, **arguments: Any) -> tuple[Any, Value, Any, Checkpoint]:
    """Return a trainer that adds 1 in each iteration, what it adds to, and what saves it."""
    value, slow = Value(), slow or Slow()
    trainer = Engine(lambda engine, batch: value.tensor.add_(1))
    handler = Checkpoint({"value": value}, slow, asynchronous=True, **arguments)
    if event is not None:
        trainer.add_event_handler(event, handler)
    return trainer, value, slow, handler


def go_on_at(trainer: Engine, slow: Slow, event: Any) -> None:
    trainer.add_event_handler(event, lambda: slow.go_on.set())


# Background


def test_a_job_is_done_in_a_thread() -> None:
    """What it returned is returned, once, to whom waits."""
    background = Background()
    background.start(threading.get_ident)
    assert background.is_busy
    assert background.wait() != threading.get_ident()
    assert not background.is_busy
    assert background.wait() is None


def test_what_a_job_raises_is_raised_once(caplog) -> None:
    """Where somebody waits; until then it is in the log."""
    background = Background()
    background.start(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        background.wait()
    assert background.wait() is None
    assert [logging.ERROR] == [record.levelno for record in caplog.records]


def test_one_job_at_a_time() -> None:
    """A second one would be lost."""
    background = Background()
    background.start(lambda: None)
    with pytest.raises(RuntimeError, match="one at a time"):
        background.start(lambda: None)
    assert background.wait() is None


def test_what_a_job_holds_is_let_go() -> None:
    """A copy of a model is not kept until the next save."""
    background, held = Background(), Value()
    reference = weakref.ref(held)
    background.start(held.state_dict)
    del held
    background.wait()
    assert reference() is None


def test_copies_have_no_job() -> None:
    """The original waits for its own."""
    background = Background()
    background.start(lambda: 3)
    copies = [copy.deepcopy(background), pickle.loads(pickle.dumps(background))]
    assert [None, None] == [each.wait() for each in copies]
    assert 3 == background.wait()


# While the training goes on


def test_training_goes_on_and_changes_nothing_of_the_file() -> None:
    """The file has the values of the moment of the call, though the training was done before it was written."""
    trainer, value, slow, handler = training()
    go_on_at(trainer, slow, Events.COMPLETED)
    trainer.run(range(5))
    assert [5.0] * 3 == value.tensor.tolist()
    assert ["value_2.pt"] == list(slow.saved)
    assert [2.0] * 3 == slow.saved["value_2.pt"]["tensor"].tolist()
    assert threading.current_thread() not in slow.threads
    assert {"saved": [(2, "value_2.pt")]} == handler.state_dict()


def test_the_file_is_that_of_a_synchronous_save(tmp_path) -> None:
    """The bytes are equal but for the time and the checksum at the end."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(3, 4)).sum().backward()
    optimizer.step()
    for name, asynchronous in (("now", False), ("later", True)):
        trainer = Engine(lambda engine, batch: None)
        to_save = {"model": model, "optimizer": optimizer}
        handler = Checkpoint(to_save, tmp_path / name, filename_pattern="a.pt", asynchronous=asynchronous)
        trainer.add_event_handler(EPOCH, handler)
        trainer.run([0])
    now, later = ((tmp_path / name / "a.pt").read_bytes() for name in ("now", "later"))
    assert len(now) == len(later)
    end = now.index(b"ignite_signals checkpoint")
    assert now[:end] == later[:end]


def test_it_tells_in_the_thread_of_the_run() -> None:
    """When the file is in place and the old one removed: at the next save, or at the end."""
    trainer, _, slow, _ = training(event=EPOCH)
    seen: list[Any] = []
    slow.go_on.set()
    trainer.add_event_handler(
        Checkpoint.SAVED_CHECKPOINT,
        lambda engine: seen.append((threading.current_thread(), engine.state.epoch, list(slow.saved), *slow.removed)),
    )
    trainer.run([0], max_epochs=3)
    here = threading.current_thread()
    assert [
        (here, 2, ["value_1.pt"]),
        (here, 3, ["value_1.pt", "value_2.pt"], "value_1.pt"),
        (here, 3, ["value_1.pt", "value_2.pt", "value_3.pt"], "value_1.pt", "value_2.pt"),
    ] == seen


def test_the_list_has_the_file_that_is_being_written() -> None:
    """Another checkpoint that is saved meanwhile knows of all files that may be there."""
    trainer, _, slow, handler = training(event=EPOCH)
    slow.go_on.set()
    lists: list[Any] = []
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda: (slow.begun.clear(), slow.go_on.clear()))
    trainer.add_event_handler(Events.ITERATION_STARTED, lambda: slow.go_on.set())
    handle = trainer.add_event_handler(Events.EPOCH_STARTED, lambda: lists.append(handler.state_dict()["saved"]))
    trainer.run([0], max_epochs=3)
    handle.remove()
    assert [[], [(1, "value_1.pt")], [(1, "value_1.pt"), (2, "value_2.pt")]] == lists
    assert {"saved": [(3, "value_3.pt")]} == handler.state_dict()


def test_an_old_file_that_cannot_be_removed_warns_in_the_run(tmp_path) -> None:
    """As without the background."""

    class Stuck(Slow):
        def remove(self, filename: str) -> None:
            raise PermissionError(filename)

    trainer, _, slow, handler = training(Stuck(), event=EPOCH)
    slow.go_on.set()
    with pytest.warns(UserWarning, match="value_1.pt is superseded, but cannot be removed"):
        trainer.run([0], max_epochs=2)
    assert {"saved": [(1, "value_1.pt"), (2, "value_2.pt")]} == handler.state_dict()


# All is written before the run returns


def stop(how: str, engine: Engine) -> None:
    if how == "failed":
        raise ZeroDivisionError
    {
        "completed": lambda: None,
        "terminated": engine.terminate,
        "skip_completed": lambda: engine.terminate(skip_completed=True),
        "interrupted": engine.interrupt,
    }[how]()


@pytest.mark.parametrize("how", ["completed", "terminated", "skip_completed", "interrupted", "failed"])
@pytest.mark.parametrize("followed", [True, False])
def test_all_is_written_when_the_run_returns(how, followed) -> None:
    """However it ends, and whether the trainer is saved or not."""
    trainer, _, slow, handler = training()
    if followed:
        handler._follow({"trainer": trainer, **handler.to_save})
    trainer.add_event_handler(FOURTH, lambda: stop(how, trainer))
    ends = [Events.TERMINATE, Events.COMPLETED, Events.INTERRUPT]
    for event in ends:
        go_on_at(trainer, slow, event)
    trainer.signal(Events.EXCEPTION_RAISED).connect(lambda engine, exception: slow.go_on.set(), weak=False)
    told: list[Any] = []
    trainer.add_event_handler(Checkpoint.SAVED_CHECKPOINT, lambda: told.append(list(slow.saved)))
    if how == "failed":
        with pytest.raises(ZeroDivisionError):
            trainer.run(range(5))
    else:
        trainer.run(range(5))
    assert how.replace("skip_completed", "terminated") == trainer.state.stop_reason
    name = "checkpoint_2.pt" if followed else "value_2.pt"
    assert [[name]] == told


@pytest.mark.parametrize("event", [Events.COMPLETED, Events.TERMINATE, Events.INTERRUPT, Events.EXCEPTION_RAISED])
@pytest.mark.parametrize("priority", [-1000, 1000])
def test_what_is_saved_at_the_end_is_written(event, priority) -> None:
    """Attached to the last event itself, before or after all others."""
    trainer, _, slow, handler = training(event=None)
    slow.go_on.set()
    handler.priority = priority
    trainer.add_event_handler(event, handler)
    how = {
        Events.COMPLETED: "completed",
        Events.TERMINATE: "skip_completed",
        Events.INTERRUPT: "interrupted",
        Events.EXCEPTION_RAISED: "failed",
    }[event]
    trainer.add_event_handler(FOURTH, lambda: stop(how, trainer))
    if how == "failed":
        with pytest.raises(ZeroDivisionError):
            trainer.run(range(5))
    else:
        trainer.run(range(5))
    assert 1 == len(slow.saved)
    assert 1 == trainer.state.saved_checkpoint


def evaluation(slow: Slow, event: Any = Events.COMPLETED) -> tuple[Engine, Engine, Checkpoint]:
    """Return a trainer, the evaluator that it runs after each epoch, and what saves the best."""
    trainer, evaluator = Engine(lambda engine, batch: None), Engine(lambda engine, batch: None)
    best = Checkpoint(
        *({"value": Value()}, slow, "best", lambda engine: trainer.state.epoch),
        global_step_transform=global_step_from_engine(trainer),
        asynchronous=True,
    )
    evaluator.add_event_handler(event, best)
    trainer.add_event_handler(EPOCH, lambda: evaluator.run([0]))
    return trainer, evaluator, best


@pytest.mark.parametrize("event", [Events.COMPLETED, EPOCH])
@pytest.mark.parametrize("alone_before", [False, True])
def test_an_evaluators_checkpoint_is_written_while_the_trainer_trains(event, alone_before) -> None:
    """The trainer's run is what ends only when it is written, not the evaluator's, even if that once ran by itself."""
    trainer, evaluator, _ = evaluation(slow := Slow(), event)
    if alone_before:
        slow.go_on.set()
        evaluator.run([0])
        slow.go_on.clear()
    before = list(slow.saved)
    seen: list[Any] = []
    trainer.add_event_handler(Events.EPOCH_STARTED(once=2), lambda: seen.append(list(slow.saved)))
    go_on_at(trainer, slow, Events.EPOCH_STARTED(once=2))
    trainer.run([0], max_epochs=2)
    assert [before] == seen
    assert [*before, "best_value_1_1.pt", "best_value_2_2.pt"] == list(slow.saved)
    assert 2 + alone_before == evaluator.state.saved_checkpoint


def test_an_evaluator_by_itself_waits() -> None:
    """A run outside of the trainer's ends only when all is written."""
    _, evaluator, _ = evaluation(slow := Slow())
    go_on_at(evaluator, slow, Events.COMPLETED)
    evaluator.run([0])
    assert ["best_value_0_0.pt"] == list(slow.saved)
    assert 1 == evaluator.state.saved_checkpoint


def test_an_evaluator_in_the_trainers_last_event_waits() -> None:
    """Nobody would wait afterwards."""
    trainer, evaluator, _ = evaluation(slow := Slow())
    slow.go_on.set()
    trainer.add_event_handler(Events.COMPLETED, lambda: evaluator.run([0]))
    seen: list[Any] = []
    trainer.signal(Events.COMPLETED).connect(lambda engine: seen.append(list(slow.saved)), weak=False, priority=-1000)
    trainer.run([0])
    assert [["best_value_1_1.pt"]] == seen


def test_a_call_outside_of_a_run_is_written_at_once() -> None:
    """Nobody would wait for it."""
    trainer, _, slow, handler = training(event=None)
    slow.go_on.set()
    handler(trainer)
    assert ["value_0.pt"] == list(slow.saved)
    assert {threading.current_thread()} == slow.threads


def test_model_checkpoint_in_the_background(tmp_path) -> None:
    """It takes the same arguments."""
    trainer, model = Engine(lambda engine, batch: None), nn.Linear(1, 1)
    trainer.add_event_handler(EPOCH, ModelCheckpoint(tmp_path, n_saved=2, asynchronous=True), {"model": model})
    trainer.run([0], max_epochs=3)
    assert ["model_2.pt", "model_3.pt"] == sorted(path.name for path in tmp_path.iterdir())


# What fails


def test_a_failed_write_is_raised_at_the_next_save() -> None:
    """With the file's name; the list has it no more, and the next one is saved."""
    trainer, _, slow, handler = training(event=EPOCH)
    slow.go_on.set()
    trainer.run([0])
    slow.error = OSError("disk full")
    with pytest.raises(OSError, match="disk full") as caught:
        trainer.run([0], max_epochs=4)
    assert "the checkpoint value_2.pt was not saved" in caught.value.__notes__
    assert 3 == trainer.state.epoch
    assert {"saved": [(1, "value_1.pt")]} == handler.state_dict()
    assert [] == slow.removed
    slow.error = None
    trainer.run([0], max_epochs=4)
    assert {"saved": [(4, "value_4.pt")]} == handler.state_dict()
    assert ["value_1.pt"] == slow.removed


@pytest.mark.parametrize("how", ["completed", "terminated", "skip_completed", "interrupted"])
def test_a_failed_write_is_raised_at_the_end(how) -> None:
    """A run whose last checkpoint was not written does not end as if nothing were wrong."""
    trainer, _, slow, handler = training()
    slow.error = OSError("disk full")
    slow.go_on.set()
    trainer.add_event_handler(FOURTH, lambda: stop(how, trainer))
    handle = trainer.add_event_handler(Checkpoint.SAVED_CHECKPOINT, lambda: pytest.fail("nothing was saved"))
    with pytest.raises(OSError, match="disk full") as caught:
        trainer.run(range(5))
    assert "the checkpoint value_2.pt was not saved" in caught.value.__notes__
    assert {"saved": []} == handler.state_dict()
    handle.remove()
    slow.error = None  # of another save; this one is raised once
    assert trainer.run(range(5)).stop_reason is not None


def test_of_a_failed_run_and_a_failed_write_both_are_seen() -> None:
    """The run's error is the context of the write's."""
    trainer, _, slow, _ = training()
    slow.error = OSError("disk full")
    slow.go_on.set()
    trainer.add_event_handler(FOURTH, lambda: stop("failed", trainer))
    with pytest.raises(OSError, match="disk full") as caught:
        trainer.run(range(5))
    assert isinstance(caught.value.__context__, ZeroDivisionError)


def test_what_cannot_be_copied_is_raised_at_once() -> None:
    """The list is as before."""
    trainer, value, _, handler = training()
    value.state_dict = lambda: {"function": lambda: None}  # type: ignore[method-assign]
    with pytest.raises((AttributeError, pickle.PicklingError), match="pickle"):
        trainer.run([0, 1, 2])
    assert 2 == trainer.state.iteration
    assert {"saved": []} == handler.state_dict()


@pytest.mark.skipif(os.name == "nt", reason="signals are sent to a thread")
def test_who_waits_can_be_interrupted() -> None:
    """KeyboardInterrupt leaves the run, which yet waits for the file; the list has it."""
    main = threading.main_thread().ident
    assert main is not None

    class Interrupting(Slow):
        def __call__(self, checkpoint: Any, filename: str, metadata: Any = None) -> None:
            assert self.go_on.wait(LONG)
            self.thread = threading.Timer(0.05, lambda: signal.pthread_kill(main, signal.SIGINT))
            self.thread.start()
            assert self.begun.wait(LONG)
            self.saved[filename] = checkpoint

    trainer, _, slow, handler = training(Interrupting())
    go_on_at(trainer, slow, Events.COMPLETED)
    trainer.signal(Events.EXCEPTION_RAISED).connect(lambda engine, exception: slow.begun.set(), weak=False)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(range(5))
    slow.thread.join()
    assert ["value_2.pt"] == list(slow.saved)
    assert {"saved": [(2, "value_2.pt")]} == handler.state_dict()
    assert 1 == trainer.state.saved_checkpoint


# Lives


def test_reset_and_loading_wait() -> None:
    """What is being written is not forgotten half way."""
    calls: list[Callable[[Checkpoint], Any]] = [
        lambda handler: handler.reset(),
        lambda handler: handler.load_state_dict({"saved": []}),
    ]
    for call in calls:
        trainer, _, slow, handler = training()
        go_on_at(trainer, slow, THIRD)
        trainer.add_event_handler(THIRD, lambda _, called, handler: called(handler), call, handler)
        trainer.run(range(5))
        assert ["value_2.pt"] == list(slow.saved)
        assert {"saved": []} == handler.state_dict()


def test_a_handler_that_is_dropped_finishes_its_file() -> None:
    """The thread needs nobody but the save handler."""
    trainer, _, slow, handler = training(event=None)
    handle = trainer.add_event_handler(SECOND, handler)
    gone = weakref.ref(handler)
    del handler
    seen: list[Any] = []

    @trainer.on(THIRD)
    def drop() -> None:
        handle.remove()
        gc.collect()
        seen.append(gone())
        slow.go_on.set()

    trainer.run(range(5))
    for thread in slow.threads:
        thread.join(LONG)
    assert [None] == seen
    assert ["value_2.pt"] == list(slow.saved)


PROGRAM = """
import sys, threading
from ignite_signals.handlers.background import Background
background = Background()
background.start(lambda: (threading.Event().wait(0.3), open(sys.argv[1], "w").close()))
"""


def test_the_program_ends_when_all_is_written(tmp_path: Path) -> None:
    """The interpreter waits for the thread."""
    written = tmp_path / "late"
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(written)], capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    assert written.exists()


@pytest.mark.parametrize("error", [None, OSError("disk full")])
def test_what_is_saved_at_an_event_within_the_last_one_is_written_at_once(error: BaseException | None) -> None:
    """An event of one's own that is sent at COMPLETED is an end, too: nobody would wait any more."""
    trainer, _, slow, _ = training(event=None)
    trainer.register_events("done")
    handler = Checkpoint({"value": Value(), "trainer": trainer}, slow, asynchronous=True)
    trainer.add_event_handler("done", handler)
    trainer.add_event_handler(Events.COMPLETED, lambda: trainer.fire_event("done"))
    slow.go_on.set()
    slow.error = error
    if error is None:
        trainer.run([0, 1])
        assert ["checkpoint_2.pt"] == list(slow.saved)
    else:
        with pytest.raises(OSError, match="disk full"):
            trainer.run([0, 1])


def test_a_list_that_is_saved_has_no_file_that_is_still_being_written() -> None:
    """Else it would promise a file that never comes if the program is killed."""
    trainer, _, slow, handler = training()
    states: list[Any] = []

    @trainer.on(THIRD)
    def save() -> None:
        threading.Timer(0.05, slow.go_on.set).start()
        states.append((handler.state_dict(), list(slow.saved)))

    trainer.run(range(4))
    assert [({"saved": [(2, "value_2.pt")]}, ["value_2.pt"])] == states


def test_the_thread_that_writes_and_a_forked_process_wait_for_nobody() -> None:
    """The one would wait for itself, the other for a thread that it does not have."""
    background, results, go_on = Background(), list[Any](), threading.Event()
    background.start(lambda: results.append((go_on.wait(LONG), background.join(), background.wait())))
    child = os.fork()
    if child == 0:
        background.join()
        os._exit(7 if background.wait() is None else 1)
    assert 7 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    go_on.set()
    background.wait()
    assert [(True, None, None)] == results
