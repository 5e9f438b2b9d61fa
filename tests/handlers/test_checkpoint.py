"""Checkpoint saves objects at an event, and keeps the newest or the best."""

from __future__ import annotations

import gc
import math
import re
import weakref
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from ignite_signals import Engine, Events, create_supervised_trainer
from ignite_signals.handlers import (
    BaseSaveHandler,
    Checkpoint,
    CheckpointEvents,
    DiskSaver,
    TerminateOnNan,
    checkpoint,
    global_step_from_engine,
    resume_from,
    terminate_on_nan,
)
from support.copying import every_copy

EPOCH = Events.EPOCH_COMPLETED


class Store(BaseSaveHandler):
    """Write down what it is called with, and keep it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.kept: dict[str, Any] = {}
        self.metadata: list[Any] = []

    def __call__(self, checkpoint: Any, filename: str, metadata: Any = None) -> None:
        self.calls.append(("save", filename))
        self.metadata.append(metadata)
        self.kept[filename] = checkpoint

    def remove(self, filename: str) -> None:
        self.calls.append(("remove", filename))
        del self.kept[filename]


class Counter:
    """Count its own savings."""

    def __init__(self) -> None:
        self.value = 0

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.value = state_dict["value"]


def idle() -> Engine:
    return Engine(lambda engine, batch: None)


def saved(epochs: int = 3, event: Any = EPOCH, to_save: Any = None, **arguments: Any) -> Store:
    """Run some epochs of two iterations, and return what was saved."""
    store, trainer = Store(), idle()
    trainer.add_event_handler(event, Checkpoint(to_save or {"model": nn.Linear(1, 1)}, store, **arguments))
    trainer.run(range(2), max_epochs=epochs)
    return store


def of_scores(scores: Iterable[Any]) -> Callable[[Engine], Any]:
    rest = iter(list(scores))
    return lambda engine: next(rest)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_without_a_score_the_newest_are_kept() -> None:
    """The new one is saved before the old one is removed, and named by the iteration."""
    assert [
        *(("save", "model_2.pt"), ("save", "model_4.pt"), ("save", "model_6.pt"), ("remove", "model_2.pt")),
        *(("save", "model_8.pt"), ("remove", "model_4.pt")),
    ] == saved(4, n_saved=2).calls


def test_with_a_score_the_best_are_kept() -> None:
    """A checkpoint that is not better than the worst that is kept is not saved."""
    assert [
        *(("save", "model_0.5000.pt"), ("save", "model_0.7000.pt"), ("save", "model_0.6000.pt")),
        *(("remove", "model_0.5000.pt"), ("save", "model_1.pt"), ("remove", "model_0.6000.pt")),
    ] == saved(5, n_saved=2, score_function=of_scores([0.5, 0.7, 0.6, 0.55, 1])).calls


def test_all_are_kept_with_n_saved_none() -> None:
    """Nothing is removed, good or bad."""
    assert [("save", f"model_{score}.pt") for score in (3, 1, 2)] == saved(
        n_saved=None, score_function=of_scores([3, 1, 2])
    ).calls


def test_a_step_that_goes_back_is_saved_too() -> None:
    """Without a score newer is what was saved later, whatever its step."""
    steps = iter([5, 3, 4])
    assert ["model_4.pt"] == list(saved(global_step_transform=lambda engine, event: next(steps)).kept)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("model_2.pt", {}),
        ("model_0.2500.pt", {"score": 0.25}),
        ("model_1_0.2500.pt", {"score": 0.25, "step": True}),
        ("model_1_loss=0.2500.pt", {"score": 0.25, "step": True, "score_name": "loss"}),
        ("model_1.pt", {"step": True}),
        ("model_loss=0.2500.pt", {"score": 0.25, "score_name": "loss"}),
        ("best_model_loss=94.pt", {"score": 94, "score_name": "loss", "filename_prefix": "best"}),
        ("1-model-94.pt", {"score": 94, "step": True, "filename_pattern": "{global_step}-{name}-{score}.pt"}),
        ("00002 0.25 p None.pt", {"score": 0.25, "filename_pattern": "{name:.0}00002 {score:.2f} p {score_name}.pt"}),
        ("net.pt", {"filename_prefix": "net", "filename_pattern": "{filename_prefix}.{ext}"}),
    ],
)
def test_names(name, arguments) -> None:
    """A file is named as Ignite documents it."""
    score, step = arguments.pop("score", None), arguments.pop("step", False)
    if score is not None:
        arguments["score_function"] = lambda engine: score
    if step:
        arguments["global_step_transform"] = lambda engine, event: engine.state.epoch
    assert [name] == list(saved(1, **arguments).kept)


def test_several_objects_are_a_checkpoint() -> None:
    """The states of several are saved by name, and the file is named after no one."""
    counter = Counter()
    store = saved(1, to_save={"one": counter, "two": counter}, filename_prefix="last")
    assert {"last_checkpoint_2.pt": {"one": {"value": 0}, "two": {"value": 0}}} == store.kept
    assert [{"basename": "last_checkpoint", "score_name": None, "priority": 2}] == store.metadata


def test_one_object_is_its_state() -> None:
    """The state of a single object is saved itself."""
    store = saved(1, to_save={"only": Counter()}, score_function=lambda engine: 0.5, score_name="s")
    assert {"only_s=0.5000.pt": {"value": 0}} == store.kept
    assert [{"basename": "only", "score_name": "s", "priority": 0.5}] == store.metadata


def test_include_self_saves_the_list() -> None:
    """The list that is saved has the new checkpoint, and the old one, which is still there at that moment."""
    store = saved(2, to_save={"only": Counter()}, include_self=True)
    assert ["checkpoint_4.pt"] == list(store.kept)
    assert {"saved": [(2, "checkpoint_2.pt"), (4, "checkpoint_4.pt")]} == store.kept["checkpoint_4.pt"]["checkpointer"]


def test_a_score_name_alone_is_a_metric() -> None:
    """Without a score function the score is the metric of that name."""
    engine, store = idle(), Store()
    engine.add_event_handler(EPOCH, Checkpoint({"counter": Counter()}, store, score_name="accuracy"))
    engine.add_event_handler(EPOCH, lambda engine: engine.state.metrics.update(accuracy=torch.tensor(0.75)))
    engine.run([0])
    assert ["counter_accuracy=0.7500.pt"] == list(store.kept)


def test_a_metric_that_is_missing_is_named() -> None:
    """The error says which metrics there are."""
    with pytest.raises(KeyError, match="'accuracy': it has \\[\\]"):
        saved(1, score_name="accuracy")


@pytest.mark.parametrize(("sign", "expected"), [(1.0, 0.25), (-1.0, -0.25), (-1, -0.25)])
def test_the_sign_of_a_score(sign, expected) -> None:
    """A loss is a score with a minus."""
    engine = idle()
    engine.state.metrics["loss"] = 0.25
    assert expected == Checkpoint.get_default_score_fn("loss", sign)(engine)
    with pytest.raises(ValueError, match="score_sign must be"):
        Checkpoint.get_default_score_fn("loss", 2.0)


@pytest.mark.parametrize(("or_equal", "kept"), [(False, "model_1_5.pt"), (True, "model_3_5.pt")])
def test_equal_scores(or_equal, kept) -> None:
    """Of equal scores the first one is kept, or the latest."""
    store = saved(
        score_function=lambda engine: 5,
        greater_or_equal=or_equal,
        global_step_transform=lambda engine, event: engine.state.epoch,
    )
    assert [kept] == list(store.kept)


@pytest.mark.parametrize("n_saved", [1, 2, None])
def test_a_file_is_not_overwritten_by_a_worse_one(n_saved) -> None:
    """Where names are equal, the better one has it."""
    store = saved(4, n_saved=n_saved, score_function=of_scores([0.3, 0.5, 0.4, 0.5]), filename_pattern="{name}.{ext}")
    assert [("save", "model.pt")] * 2 == store.calls
    assert [0.3, 0.5] == [metadata["priority"] for metadata in store.metadata]


def test_one_name_is_overwritten_and_never_removed() -> None:
    """Without a score a name that stays the same is that of the newest."""
    store = saved(filename_pattern="{name}.{ext}")
    assert [("save", "model.pt")] * 3 == store.calls


def test_the_step_function_is_called_with_engine_and_event_once() -> None:
    """It may cost something."""
    calls: list[Any] = []
    saved(1, global_step_transform=lambda engine, event: calls.append((type(engine), event)) or 1)
    assert [(Engine, EPOCH)] == calls


@pytest.mark.parametrize("step", [torch.tensor(7), np.int64(7), 7])
def test_steps_of_other_kinds(step) -> None:
    """A step may be a number of any library."""
    assert [7] == [each["priority"] for each in saved(1, global_step_transform=lambda *_: step).metadata]


def test_a_step_that_is_no_number() -> None:
    """The error names who returned it."""
    with pytest.raises(TypeError, match="global_step_transform must return a number, got 'x'"):
        saved(1, global_step_transform=lambda *_: "x")


# Save handlers


@pytest.mark.parametrize("make", [str, Path, DiskSaver])
def test_a_folder(tmp_path, make) -> None:
    """A folder is given as a path, or with a DiskSaver; it is made."""
    trainer, model = idle(), nn.Linear(2, 1)
    handler = Checkpoint({"model": model}, make(tmp_path / "new" / "folder"), n_saved=2)
    trainer.add_event_handler(EPOCH, handler)
    trainer.run([0], max_epochs=3)
    assert ["model_2.pt", "model_3.pt"] == files(tmp_path / "new" / "folder")
    assert tmp_path / "new" / "folder" / "model_3.pt" == handler.last_checkpoint
    loaded = torch.load(tmp_path / "new" / "folder" / "model_3.pt", weights_only=True)
    torch.testing.assert_close(dict(model.state_dict()), dict(loaded))


def test_a_folder_may_have_checkpoints(tmp_path) -> None:
    """A program that is started again gives the same folder."""
    (tmp_path / "model_1.pt").write_bytes(b"")
    assert isinstance(Checkpoint({"a": Counter()}, tmp_path).save_handler, DiskSaver)
    with pytest.raises(ValueError, match="without checkpoints"):
        DiskSaver(tmp_path)


def test_functions_as_save_handlers() -> None:
    """One with a third parameter gets the metadata; nothing is removed."""
    calls: list[Any] = []
    trainer = idle()
    trainer.add_event_handler(EPOCH, Checkpoint({"a": Counter()}, lambda states, name: calls.append((states, name))))
    trainer.add_event_handler(EPOCH, Checkpoint({"b": Counter()}, lambda *given: calls.append(given)))
    trainer.run([0], max_epochs=2)
    assert [
        ({"value": 0}, "a_1.pt"),
        ({"value": 0}, "b_1.pt", {"basename": "b", "score_name": None, "priority": 1}),
        ({"value": 0}, "a_2.pt"),
        ({"value": 0}, "b_2.pt", {"basename": "b", "score_name": None, "priority": 2}),
    ] == calls


def refuse(*_: Any) -> None:
    raise AssertionError


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (TypeError, "to_save must map names to objects", {"to_save": 3}),
        (TypeError, "to_save['a'] must have a method state_dict, got 3", {"to_save": {"a": 3}}),
        (ValueError, "to_save must have an object to save", {"to_save": {}}),
        (ValueError, "to_save must be part of a file's name", {"to_save": {"a/b": Counter()}}),
        (ValueError, "must not have 'checkpointer'", {"to_save": {"checkpointer": Counter()}, "include_self": True}),
        (TypeError, "filename_prefix must be a string, got 3", {"filename_prefix": 3}),
        (ValueError, "filename_prefix must be part of a file's name", {"filename_prefix": "a/b"}),
        (ValueError, "score_name must be part of a file's name", {"score_name": "a/b"}),
        (ValueError, "filename_pattern must be part of a file's name", {"filename_pattern": "../{name}"}),
        (ValueError, "filename_pattern must be of {filename_prefix}", {"filename_pattern": "{foo}"}),
        (ValueError, "filename_pattern must be of {filename_prefix}", {"filename_pattern": "{"}),
        (ValueError, "filename_pattern must be of {filename_prefix}", {"filename_pattern": "{}"}),
        (TypeError, "score_function must be callable", {"score_function": 3}),
        (TypeError, "global_step_transform must be callable", {"global_step_transform": 3}),
        (ValueError, "n_saved must be a positive integer, got 0", {"n_saved": 0}),
        (ValueError, "n_saved must be a positive integer, got True", {"n_saved": True}),
        (ValueError, "save_on_rank must be an integer of at least 0", {"save_on_rank": -1}),
    ],
)
def test_bad_arguments(tmp_path, error, message, arguments) -> None:
    """Each is refused by name before any file is touched."""
    with pytest.raises(error, match=re.escape(message)):
        Checkpoint(**{"to_save": {"a": Counter()}, "save_handler": tmp_path / "new"} | arguments)
    assert [] == files(tmp_path)


@pytest.mark.parametrize(
    ("error", "message", "handler"),
    [
        (TypeError, "save_handler must be a folder, or callable", 3),
        (TypeError, "save_handler must be callable", Store),
        (ValueError, "save_handler must take (checkpoint, filename), got", lambda: None),
        (ValueError, "save_handler must take (checkpoint, filename), got", lambda one: None),
    ],
)
def test_bad_save_handlers(error, message, handler) -> None:
    """What cannot be called with a checkpoint is refused at once."""
    with pytest.raises(error, match=re.escape(message)):
        Checkpoint({"a": Counter()}, handler)


def test_a_rank_that_would_save_nothing(tmp_path) -> None:
    """Two ranks that differ, or one that is none, would save nothing, which nobody would notice."""
    with pytest.raises(ValueError, match="save_on_rank must be that of the save_handler, 1, got 0"):
        Checkpoint({"a": Counter()}, DiskSaver(tmp_path, save_on_rank=1))
    with pytest.raises(ValueError, match="save_on_rank must be the rank of a process, got 1"):
        saved(1, save_on_rank=1)


def test_archived_warns() -> None:
    """It changes nothing, and the warning points to who gave it."""
    with pytest.warns(UserWarning, match="archived has no effect") as caught:
        Checkpoint({"a": Counter()}, refuse, archived=True)
    assert __file__ == caught[0].filename


# Scores


@pytest.mark.parametrize(
    ("score", "name"),
    [
        (0.5, "0.5000"), (torch.tensor(0.5), "0.5000"), (torch.tensor([[0.5]]), "0.5000"), (np.float32(0.5), "0.5000"),
        (np.array(0.5), "0.5000"), (np.array([0.5]), "0.5000"), (Fraction(1, 2), "0.5000"), (3, "3"), (True, "1"),
        (np.int16(3), "3"), (torch.tensor(3), "3"), (np.bool_(True), "1"), (torch.tensor(True), "1"),
        (10**400, str(10**400)), (torch.tensor(0.5, requires_grad=True), "0.5000"),
    ],
)  # fmt: skip
def test_scores_of_every_kind(score, name) -> None:
    """Whatever is one number is a score, and is kept as a plain one."""
    store = saved(1, score_function=lambda engine: score)
    assert [f"model_{name}.pt"] == list(store.kept)
    assert type(store.metadata[0]["priority"]) in (int, float)


@pytest.mark.parametrize(
    "score", [None, "a", 1j, torch.tensor(1j), np.complex64(1), torch.ones(2), np.ones(2), [1], torch.ones(0)]
)
def test_what_is_no_score(score) -> None:
    """The error shows what the function returned."""
    with pytest.raises(TypeError, match="score_function must return a number, got"):
        saved(1, score_function=lambda engine: score)


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf, torch.tensor(math.nan), np.float64("inf")])
@pytest.mark.parametrize("first", [True, False])
def test_a_score_that_is_not_finite_is_refused(score, first) -> None:
    """It is never the best, not even as the first, and later ones are saved as if it had not been."""
    before = [] if first else [0.25]
    with pytest.warns(UserWarning, match="no checkpoint is saved: the score is -?(nan|inf) at iteration") as caught:
        store = saved(len(before) + 2, score_function=of_scores([*before, score, 0.5]))
    assert ["model_0.5000.pt"] == list(store.kept)
    assert 1 == len(caught)


# Telling


def test_it_tells_when_the_file_is_in_place(tmp_path) -> None:
    """At SAVED_CHECKPOINT the new file is there and the old one gone; it counts, and filters work."""
    trainer, seen = idle(), []
    trainer.add_event_handler(
        Checkpoint.SAVED_CHECKPOINT, lambda engine: seen.append((engine.state.saved_checkpoint, files(tmp_path)))
    )
    trainer.add_event_handler(CheckpointEvents.SAVED_CHECKPOINT(every=2), lambda: seen.append("second"))
    trainer.add_event_handler(EPOCH, Checkpoint({"a": Counter()}, tmp_path))
    trainer.run([0], max_epochs=3)
    assert [(1, ["a_1.pt"]), (2, ["a_2.pt"]), "second", (3, ["a_3.pt"])] == seen
    assert Checkpoint.SAVED_CHECKPOINT is CheckpointEvents.SAVED_CHECKPOINT


def test_it_tells_nothing_where_nothing_is_saved() -> None:
    """A score that is too low is no event; another engine hears nothing."""
    trainer, other, seen = idle(), idle(), []
    other.add_event_handler(Checkpoint.SAVED_CHECKPOINT, refuse)
    trainer.add_event_handler(Checkpoint.SAVED_CHECKPOINT, lambda engine: seen.append(engine.state.epoch))
    trainer.add_event_handler(EPOCH, Checkpoint({"a": Counter()}, Store(), score_function=of_scores([2, 1, 3])))
    trainer.run([0], max_epochs=3)
    assert [1, 3] == seen


def test_the_count_of_what_was_saved_goes_on(tmp_path) -> None:
    """It is saved with the trainer; the file in which it is counts, though it is told of only when it is written."""

    def program(epochs: int) -> int:
        trainer = idle()
        handler = Checkpoint({"trainer": trainer}, tmp_path)
        trainer.add_event_handler(EPOCH, handler)
        handler.resume_from()
        return trainer.run([0], max_epochs=epochs).saved_checkpoint

    assert [2, 5] == [program(2), program(5)]


def test_it_comes_last_whatever_the_order() -> None:
    """What other handlers of the event do is saved."""
    trainer, counter, store = idle(), Counter(), Store()
    trainer.add_event_handler(EPOCH, Checkpoint({"a": counter}, store))

    @trainer.on(EPOCH)
    def change() -> None:
        counter.value = 7

    trainer.run([0])
    assert {"a_1.pt": {"value": 7}} == store.kept


def test_the_newest_has_the_list_of_the_best_of_the_same_event() -> None:
    """Whatever the order of attachment, a checkpoint with a score comes before one without."""
    trainer, store = idle(), Store()
    to_save = {"trainer": trainer}
    trainer.add_event_handler(EPOCH, Checkpoint(to_save, store, "last"))
    trainer.add_event_handler(EPOCH, Checkpoint(to_save, store, "best", lambda engine: 7))
    trainer.run([0])
    assert ["best_trainer_7.pt", "last_trainer_1.pt"] == list(store.kept)
    assert {"saved": [(7, "best_trainer_7.pt")]} == store.kept["last_trainer_1.pt"]["attached"]["Checkpoint:best"]


# What fails


class Failing(Store):
    """Fail to save or remove, as long as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.saving: BaseException | None = None
        self.removing: BaseException | None = None

    def __call__(self, checkpoint: Any, filename: str, metadata: Any = None) -> None:
        if self.saving:
            raise self.saving
        super().__call__(checkpoint, filename, metadata)

    def remove(self, filename: str) -> None:
        if self.removing:
            raise self.removing
        super().remove(filename)


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_where_saving_fails_nothing_changes(error) -> None:
    """The error leaves the run, named, the list is as before, and nothing was removed."""
    trainer, store = idle(), Failing()
    handler = Checkpoint({"a": Counter()}, store)
    trainer.add_event_handler(EPOCH, handler)
    trainer.run([0])
    store.saving = error
    with pytest.raises(type(error)) as caught:
        trainer.run([0], max_epochs=2)
    assert "the checkpoint a_2.pt was not saved" in caught.value.__notes__
    assert {"saved": [(1, "a_1.pt")]} == handler.state_dict()
    assert ["a_1.pt"] == list(store.kept)
    assert 1 == trainer.state.saved_checkpoint
    store.saving = None
    handler(trainer)
    assert ["a_2.pt"] == list(store.kept)


def test_where_collecting_fails_nothing_changes() -> None:
    """An object whose state cannot be told stops the saving before it begins."""

    class Broken(Counter):
        def state_dict(self) -> dict[str, Any]:
            raise RuntimeError("no state")

    handler = Checkpoint({"a": Broken()}, store := Store())
    with pytest.raises(RuntimeError, match="no state"):
        handler(idle())
    assert ([], {"saved": []}) == (store.calls, handler.state_dict())


@pytest.mark.parametrize("scored", [False, True])
def test_where_removing_fails_the_training_goes_on(scored) -> None:
    """It warns, and the next save tries again."""
    trainer, store, seen = idle(), Failing(), []
    scores = {"score_function": lambda engine: engine.state.epoch} if scored else {}
    handler = Checkpoint({"a": Counter()}, store, **scores)
    trainer.add_event_handler(EPOCH, handler)
    trainer.add_event_handler(Checkpoint.SAVED_CHECKPOINT, lambda: seen.append(sorted(store.kept)))
    store.removing = PermissionError("no right")
    with pytest.warns(UserWarning, match="a_1.pt is superseded, but cannot be removed: PermissionError"):
        trainer.run([0], max_epochs=2)
    assert {"saved": [(1, "a_1.pt"), (2, "a_2.pt")]} == handler.state_dict()
    assert "a_2.pt" == handler.last_checkpoint
    store.removing = None
    trainer.run([0], max_epochs=3)
    assert [["a_1.pt"], ["a_1.pt", "a_2.pt"], ["a_3.pt"]] == seen


def test_a_warning_that_is_an_error_loses_nothing() -> None:
    """The list is right also where a warning ends the run."""
    store = Failing()
    handler = Checkpoint({"a": Counter()}, store)
    engine = idle()
    handler(engine)
    engine.state.iteration, store.removing = 1, PermissionError()
    with pytest.raises(UserWarning, match="superseded"):  # as the tests' settings have it
        handler(engine)
    assert {"saved": [(0, "a_0.pt"), (1, "a_1.pt")]} == handler.state_dict()


def test_a_store_without_remove_keeps_all() -> None:
    """The list goes on all the same."""
    names: list[str] = []
    handler = Checkpoint({"a": Counter()}, lambda states, name: names.append(name))
    engine = idle()
    engine.add_event_handler(EPOCH, handler)
    engine.run([0], max_epochs=3)
    assert (["a_1.pt", "a_2.pt", "a_3.pt"], {"saved": [(3, "a_3.pt")]}) == (names, handler.state_dict())


# Exceptions of the run


def test_a_checkpoint_at_an_exception_does_not_hide_it() -> None:
    """What was added to EXCEPTION_RAISED saves, and the exception leaves the run."""
    trainer, store = Engine(lambda engine, batch: 1 / 0), Store()
    trainer.add_event_handler(Events.EXCEPTION_RAISED, Checkpoint({"a": Counter()}, store))
    with pytest.raises(ZeroDivisionError):
        trainer.run([0])
    assert ["a_1.pt"] == list(store.kept)


def test_two_checkpoints_at_an_exception_both_save() -> None:
    """Each is called, and the exception is raised once."""
    trainer, store = Engine(lambda engine, batch: 1 / 0), Store()
    for name in "ab":
        trainer.add_event_handler(Events.EXCEPTION_RAISED, Checkpoint({name: Counter()}, store))
    with pytest.raises(ZeroDivisionError) as caught:
        trainer.run([0])
    assert ["a_1.pt", "b_1.pt"] == list(store.kept)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("added", [True, False])
def test_a_checkpoint_watches(added: bool) -> None:
    """Added or connected, it leaves the exception to another handler, which may deal with it."""
    trainer, store, dealt = Engine(lambda engine, batch: 1 / 0), Store(), []
    handler = Checkpoint({"a": Counter()}, store)
    if added:
        trainer.add_event_handler(Events.EXCEPTION_RAISED, handler)
    else:
        trainer.signal(Events.EXCEPTION_RAISED).connect(handler)
    trainer.add_event_handler(Events.EXCEPTION_RAISED, dealt.append)
    assert "failed" == trainer.run([0]).stop_reason
    assert ["a_1.pt"] == list(store.kept)
    assert [ZeroDivisionError] == [type(each) for each in dealt]


def test_a_handler_of_an_exception_may_call_it() -> None:
    """As Ignite's examples do for KeyboardInterrupt."""

    def interrupt(engine: Engine, batch: Any) -> None:
        raise KeyboardInterrupt

    trainer, store = Engine(interrupt), Store()
    handler = Checkpoint({"a": Counter()}, store)

    @trainer.on(Events.EXCEPTION_RAISED)
    def save(engine: Engine, error: BaseException) -> None:
        assert isinstance(error, KeyboardInterrupt)
        handler(engine)

    assert "failed" == trainer.run([0]).stop_reason
    assert ["a_1.pt"] == list(store.kept)


def test_a_save_that_fails_at_an_exception_shows_both() -> None:
    """The error of the run is the context of that of the save."""
    trainer, store = Engine(lambda engine, batch: 1 / 0), Failing()
    store.saving = OSError("disk full")
    trainer.add_event_handler(Events.EXCEPTION_RAISED, Checkpoint({"a": Counter()}, store))
    with pytest.raises(OSError, match="disk full") as caught:
        trainer.run([0])
    assert isinstance(caught.value.__context__, ZeroDivisionError)


def test_other_events_with_a_payload() -> None:
    """The payload is of no account."""
    trainer, store = idle(), Store()
    trainer.register_events("mine")
    trainer.add_event_handler("mine", Checkpoint({"a": Counter()}, store))
    trainer.add_event_handler(Events.TERMINATE_SINGLE_EPOCH, Checkpoint({"b": Counter()}, store))
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=1), lambda: trainer.terminate_epoch())
    trainer.add_event_handler(Events.STARTED, lambda: trainer.fire_event("mine", exception=ValueError(), more=3))
    trainer.run([0, 1])
    assert ["a_0.pt", "b_1.pt"] == list(store.kept)


# State, and going on


def test_a_list_goes_through_its_state() -> None:
    """What is loaded is what is kept."""
    one, other = Checkpoint({"a": Counter()}, refuse, n_saved=2), Checkpoint({"a": Counter()}, store := Store())
    one.load_state_dict({"saved": [(1, "a_1.pt"), (2, "a_2.pt")]})
    other.load_state_dict(one.state_dict())
    assert {"saved": [(1, "a_1.pt"), (2, "a_2.pt")]} == other.state_dict()
    store.kept = dict.fromkeys(["a_1.pt", "a_2.pt"])
    engine = idle()
    engine.state.iteration = 3
    other(engine)
    assert [("save", "a_3.pt"), ("remove", "a_1.pt"), ("remove", "a_2.pt")] == store.calls


def test_ignites_key_and_its_nan() -> None:
    """A list that Ignite saved is taken up; a NaN in it is the first to go."""
    handler = Checkpoint({"a": Counter()}, Store(), score_function=lambda engine: 0.1)
    handler.load_state_dict({"_saved": [(0.5, "a_0.5000.pt"), (math.nan, "a_nan.pt")]})
    assert "a_0.5000.pt" == handler.last_checkpoint
    assert {"saved": [(0.5, "a_0.5000.pt"), (-math.inf, "a_nan.pt")]} == handler.state_dict()


def test_files_that_are_gone_are_not_in_a_loaded_list(tmp_path) -> None:
    """Somebody may have removed them."""
    (tmp_path / "a_2.pt").touch()
    handler = Checkpoint({"a": Counter()}, tmp_path, n_saved=2)
    handler.load_state_dict({"saved": [(1, "a_1.pt"), (2, "a_2.pt")]})
    assert {"saved": [(2, "a_2.pt")]} == handler.state_dict()


@pytest.mark.parametrize(
    ("error", "message", "state"),
    [
        (TypeError, "state_dict must be a mapping", 3),
        (ValueError, "state_dict must have 'saved', got \\['other'\\]", {"other": []}),
        (TypeError, "must be pairs of a number and a file name", {"saved": 3}),
        (TypeError, "must be pairs of a number and a file name", {"saved": [1]}),
        (TypeError, "must be pairs of a number and a file name", {"saved": [("a", "b")]}),
    ],
)
def test_states_of_another_kind(error, message, state) -> None:
    """What is no list of pairs is refused, and the list stays."""
    handler = Checkpoint({"a": Counter()}, Store())
    handler.load_state_dict({"saved": [(1, "a_1.pt")]})
    with pytest.raises(error, match=message):
        handler.load_state_dict(state)
    assert {"saved": [(1, "a_1.pt")]} == handler.state_dict()


def test_reset_forgets_and_removes_nothing() -> None:
    """An engine begins another training, whose first score is the best so far."""
    trainer, store = idle(), Store()
    handler = Checkpoint({"a": Counter()}, store, score_function=of_scores([3, 1]))
    trainer.add_event_handler(Events.COMPLETED, handler)
    trainer.add_event_handler(Events.STARTED, handler.reset)
    for _ in range(2):
        trainer.run([0])
    assert ["a_3.pt", "a_1.pt"] == list(store.kept)
    assert "a_1.pt" == handler.last_checkpoint
    handler.reset()
    assert handler.last_checkpoint is None


def program(folder: Path, epochs: int, scores: list[float], killed: bool = False) -> tuple[list[str], Any, Any]:
    """Train with the best and the last in one folder, as a process that is started again would."""
    model, trainer, evaluator = nn.Linear(1, 1), idle(), idle()
    last = Checkpoint({"model": model, "trainer": trainer}, folder, n_saved=2)
    best = Checkpoint(
        *({"model": model}, folder, "best", lambda engine: scores[trainer.state.epoch - 1]),
        global_step_transform=global_step_from_engine(trainer),
    )
    trainer.add_event_handler(EPOCH, lambda: evaluator.run([0]))
    trainer.add_event_handler(EPOCH, last)
    evaluator.add_event_handler(Events.COMPLETED, best)
    last.resume_from()
    if killed:  # between the writing of the new one and the removing of the old
        handler = last.save_handler
        last.save_handler = type("Cut", (), {"__call__": lambda self, *a: handler(*a), "remove": lambda *_: exit()})()
    trainer.run([0], max_epochs=epochs)
    assert ["Checkpoint", "Checkpoint:best"] == sorted(trainer.state_dict()["attached"])
    return files(folder), last.state_dict(), best.state_dict()


def test_best_and_last_side_by_side_go_on_when_resumed(tmp_path) -> None:
    """Both lists come back, so that both go on to remove what they superseded."""
    program(tmp_path, 2, [5, 3])
    assert (
        ["best_model_4_7.pt", "checkpoint_4.pt", "checkpoint_5.pt"],
        {"saved": [(4, "checkpoint_4.pt"), (5, "checkpoint_5.pt")]},
        {"saved": [(7, "best_model_4_7.pt")]},
    ) == program(tmp_path, 5, [5, 3, 4, 7, 6])


def test_a_run_that_was_cut_before_the_removing_goes_on_with_it(tmp_path) -> None:
    """The list in the new file has the old one."""
    program(tmp_path, 2, [5, 3])
    with pytest.raises(SystemExit):
        program(tmp_path, 3, [5, 3, 4], killed=True)
    assert ["best_model_1_5.pt", "checkpoint_1.pt", "checkpoint_2.pt", "checkpoint_3.pt"] == files(tmp_path)
    assert ["best_model_1_5.pt", "checkpoint_3.pt", "checkpoint_4.pt"] == program(tmp_path, 4, [5, 3, 4, 4])[0]


@given(scores=st.lists(st.integers(0, 4), max_size=8), cut=st.integers(0, 8), n_saved=st.integers(1, 3))
def test_a_resumed_list_ends_as_one_that_never_stopped(scores, cut, n_saved) -> None:
    """Wherever a run is cut, the same checkpoints are kept in the end."""

    def go(handler: Checkpoint, part: list[int], first: int) -> None:
        for iteration, score in enumerate(part, first):
            engine = idle()
            engine.state.iteration, engine.state.metrics = iteration, {"score": score}
            handler(engine)

    def make(store: Store) -> Checkpoint:
        return Checkpoint(
            *({"a": Counter()}, store, "", None, "score", n_saved),
            global_step_transform=lambda engine, event: engine.state.iteration,
        )

    whole, store = Store(), Store()
    go(make(whole), scores, 0)
    first, second = make(store), make(store)
    go(first, scores[:cut], 0)
    second.load_state_dict(first.state_dict())
    go(second, scores[cut:], len(scores[:cut]))
    assert whole.calls == store.calls
    assert sorted(scores)[-n_saved:] == sorted(int(name[-9]) for name in whole.kept)


# Loading


def test_load_objects_from_states_or_a_path(tmp_path) -> None:
    """What was saved is loaded, from a file or as it is."""
    trainer, model, store = idle(), nn.Linear(2, 1), Store()
    for handler in (tmp_path, store):
        Checkpoint({"model": model, "trainer": trainer}, handler)(trainer)
    for source in (store.kept["checkpoint_0.pt"], tmp_path / "checkpoint_0.pt", str(tmp_path / "checkpoint_0.pt")):
        other = nn.Linear(2, 1)
        Checkpoint.load_objects({"model": other}, source)
        torch.testing.assert_close(other.state_dict(), model.state_dict())


def test_load_objects_strict_or_not() -> None:
    """What is passed on reaches the models alone."""
    model, counter = nn.Linear(1, 1), Counter()
    states = {"model": {"weight": torch.zeros(1, 1)}, "counter": {"value": 3}}
    with pytest.raises((RuntimeError, ValueError), match="bias"):
        Checkpoint.load_objects({"model": model, "counter": counter}, states)
    Checkpoint.load_objects({"model": model, "counter": counter}, states, strict=False)
    assert (0.0, 3) == (model.weight.item(), counter.value)


def test_reload_objects(tmp_path) -> None:
    """A file is found by the parts of its name."""
    counter = Counter()
    handler = Checkpoint(
        *({"_a": counter}, tmp_path, "", lambda engine: 0.5, "s", None), global_step_transform=lambda *_: counter.value
    )
    for counter.value in (1, 2):
        handler(idle())
    other = Counter()
    handler.reload_objects({"_a": other}, global_step=1, score=0.5)
    assert 1 == other.value
    with pytest.raises(FileNotFoundError):
        handler.reload_objects({"_a": other}, global_step=3, score=0.5)
    with pytest.raises(TypeError, match="filename_components must be name, global_step and score, got \\['epoch'\\]"):
        handler.reload_objects({"_a": other}, epoch=1)


def test_reload_objects_passes_on_to_models(tmp_path) -> None:
    """Such as `strict`."""
    Checkpoint({"model": nn.Linear(1, 1, bias=False)}, tmp_path)(idle())
    handler = Checkpoint({"model": (model := nn.Linear(1, 1))}, tmp_path)
    with pytest.raises((RuntimeError, ValueError), match="bias"):
        handler.reload_objects({"model": model}, global_step=0)
    handler.reload_objects({"model": model}, {"strict": False}, global_step=0)
    assert torch.load(tmp_path / "model_0.pt", weights_only=True)["weight"].item() == model.weight.item()


@pytest.mark.parametrize("method", ["reload_objects", "resume_from"])
def test_only_a_folder_can_be_loaded_from(method) -> None:
    """A store of one's own is asked by its owner."""
    handler = Checkpoint({"a": Counter()}, Store())
    with pytest.raises(TypeError, match=f"save_handler must be a folder or a DiskSaver for {method}"):
        getattr(handler, method)(*([{"a": Counter()}] if method == "reload_objects" else []))


def test_resume_from_another_folder(tmp_path) -> None:
    """None where there is nothing yet."""
    handler = Checkpoint({"a": Counter()}, Store())
    assert handler.resume_from(tmp_path) is None
    Checkpoint({"a": Counter()}, tmp_path)(idle())
    assert tmp_path / "a_0.pt" == handler.resume_from(tmp_path)


@pytest.mark.parametrize("arguments", [(), (True, True, False, True), (False, False, False), (True, True, True, False)])
def test_patterns(arguments) -> None:
    """The default pattern has the parts that are asked for, as Ignite's."""
    theirs = pytest.importorskip("ignite.handlers").Checkpoint.setup_filename_pattern(*arguments)
    assert theirs == Checkpoint.setup_filename_pattern(*arguments)


@pytest.mark.parametrize("arguments", [(True, False, True, True), (True, False, False, False)])
def test_patterns_that_make_no_sense(arguments) -> None:
    """As with Ignite, there must be a score or a step, and a score where it has a name."""
    with pytest.raises(ValueError, match="must be"):
        Checkpoint.setup_filename_pattern(*arguments)


# Among others


def test_the_best_is_saved_with_the_trainer() -> None:
    """A handler of an evaluator belongs to the training whose step it takes."""
    trainer, evaluator = idle(), idle()
    best = Checkpoint(
        *({"model": nn.Linear(1, 1)}, Store(), "best", of_scores([1])),
        global_step_transform=global_step_from_engine(trainer),
    )
    evaluator.add_event_handler(Events.COMPLETED, best)
    trainer.add_event_handler(EPOCH, lambda: evaluator.run([0]))
    trainer.run([0])
    assert {"Checkpoint:best": {"saved": [(1, "best_model_1_1.pt")]}} == trainer.state_dict()["attached"]


def test_it_is_described() -> None:
    """The table shows what is saved, where and when."""
    trainer = idle()
    trainer.add_event_handler(EPOCH(every=2), Checkpoint({"model": nn.Linear(1, 1)}, "/tmp"))
    [line] = [line for line in trainer.describe().splitlines() if "Checkpoint" in line]
    assert "Every(2)" in line
    assert "-199" in line


def test_parallel_models_are_unwrapped(tmp_path) -> None:
    """The keys have no `module.`, so that the file can be loaded without parallelism."""
    model = nn.Linear(1, 1)
    assert ["weight", "bias"] == list(saved(1, to_save={"model": DataParallel(model)}).kept["model_2.pt"])
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        parallel = DistributedDataParallel(model)
        store = saved(1, to_save={"model": parallel})
        assert ["weight", "bias"] == list(store.kept["model_2.pt"])
        Checkpoint.load_objects({"model": parallel}, {"model": {"weight": torch.zeros(1, 1), "bias": torch.ones(1)}})
        assert (0, 1) == (model.weight.item(), model.bias.item())
    finally:
        torch.distributed.destroy_process_group()


def double(engine: Engine) -> float:
    return 2.0 * engine.state.iteration


@every_copy
def test_a_copy_goes_on_by_itself(copied, tmp_path) -> None:
    """It keeps the list, and is another one's no more."""
    handler = Checkpoint({"a": Counter()}, tmp_path, score_function=double, n_saved=2)
    engine = idle()
    handler(engine)
    other = copied(handler)
    engine.state.iteration = 1
    other(engine)
    assert {"saved": [(0.0, "a_0.0000.pt")]} == handler.state_dict()
    assert {"saved": [(0.0, "a_0.0000.pt"), (2.0, "a_2.0000.pt")]} == other.state_dict()


def nothing(engine: Engine, batch: Any) -> None:
    """Be a step that can be pickled."""


@every_copy
@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_engine_is_copied_with_its_checkpoints(copied, tmp_path, asynchronous) -> None:
    """The copy's checkpoint saves the copy."""
    trainer, folder = Engine(nothing), tmp_path / "files"
    handler = Checkpoint({"trainer": trainer}, folder, n_saved=None, asynchronous=asynchronous)
    trainer.add_event_handler(EPOCH, handler)
    trainer.run([0])
    other = copied(trainer)
    assert {"Checkpoint": {"saved": [(1, "trainer_1.pt")]}} == other.state_dict()["attached"]
    other.run([0], max_epochs=3)
    assert ["trainer_1.pt", "trainer_2.pt", "trainer_3.pt"] == files(folder)
    assert 3 == torch.load(folder / "trainer_3.pt", weights_only=True)["iteration"]
    assert {"saved": [(1, "trainer_1.pt")]} == handler.state_dict()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_nothing_is_left_behind(asynchronous, tmp_path) -> None:
    """Engines and the handler of an evaluator are freed without the collector."""
    trainer, evaluator = idle(), idle()
    best = Checkpoint(
        *({"model": nn.Linear(1, 1)}, tmp_path, "best", double),
        global_step_transform=global_step_from_engine(trainer),
        asynchronous=asynchronous,
    )
    evaluator.add_event_handler(Events.COMPLETED, best)
    trainer.add_event_handler(EPOCH, lambda engine, inner: inner.run([0]) and None, evaluator)
    trainer.run([0], max_epochs=2)
    references = [weakref.ref(each) for each in (trainer, evaluator, best)]
    gc.disable()
    try:
        del trainer, evaluator, best
        assert [None] * 3 == [reference() for reference in references]
    finally:
        gc.enable()


def test_a_trainer_does_not_keep_a_handler_that_is_dropped() -> None:
    """What belongs to an evaluator goes with it."""
    trainer = idle()
    handler = Checkpoint({"trainer": trainer}, Store())
    reference = weakref.ref(handler)
    assert ["Checkpoint"] == list(trainer.state_dict()["attached"])
    del handler
    assert reference() is None
    assert "attached" not in trainer.state_dict()


def test_a_supervised_training_goes_on_from_its_own_folder(tmp_path) -> None:
    """The function and the method find the same file."""
    model = nn.Linear(1, 1)
    trainer = create_supervised_trainer(model, torch.optim.SGD(model.parameters(), 0.1), nn.functional.mse_loss)
    handler = Checkpoint({"model": model, "trainer": trainer}, tmp_path)
    trainer.add_event_handler(EPOCH, handler)
    trainer.run([(torch.ones(1, 1), torch.ones(1, 1))], max_epochs=2)
    to_load = {"model": nn.Linear(1, 1), "trainer": idle()}
    assert tmp_path / "checkpoint_2.pt" == handler.resume_from()
    with pytest.warns(UserWarning, match="nothing is attached"):
        assert tmp_path / "checkpoint_2.pt" == resume_from(tmp_path, to_load)


def test_the_module_offers_what_ignites_does() -> None:
    """A program moves over by changing its imports."""
    theirs = pytest.importorskip("ignite.handlers.checkpoint")
    assert set(theirs.__all__) <= set(checkpoint.__all__)
    assert all(hasattr(checkpoint, name) for name in checkpoint.__all__)


# Lists of other handlers, and files of others


def kept_after(folder: Path, epochs: int, *handlers: Any) -> list[Any]:
    """Train with handlers that are made for the trainer, resumed by the last of them; return their lists."""
    trainer = idle()
    made = [make(trainer) for make in handlers]
    for handler in made:
        trainer.add_event_handler(EPOCH, handler)
    made[-1].resume_from()
    trainer.state.metrics["accuracy"] = 0.5
    trainer.run([0], max_epochs=epochs)
    return [[name for _, name in handler.state_dict()["saved"]] for handler in made]


def test_handlers_without_prefix_do_not_take_over_the_list_of_one_another(tmp_path) -> None:
    """Made in another order after a resume, each keeps its own files: the best is not removed as an old last."""

    def last(trainer: Engine) -> Checkpoint:
        return Checkpoint({"counter": Counter(), "trainer": trainer}, tmp_path)

    def best(trainer: Engine) -> Checkpoint:
        scores = iter([0.9, 0.1, 0.1, 0.1])
        return Checkpoint(
            {"counter": Counter()},
            tmp_path,
            score_function=lambda engine: next(scores),
            global_step_transform=global_step_from_engine(trainer),
        )

    assert [["counter_1_0.9000.pt"], ["checkpoint_2.pt"]] == kept_after(tmp_path, 2, best, last)
    trainer = idle()
    resumed, other = last(trainer), best(trainer)
    resumed.resume_from()
    assert {"checkpoint_2.pt", "counter_1_0.9000.pt"} == set(files(tmp_path))
    assert [(2, "checkpoint_2.pt")] == resumed.state_dict()["saved"]
    assert [(0.9, "counter_1_0.9000.pt")] == other.state_dict()["saved"]
    with pytest.warns(UserWarning, match="leaves checkpoints of another one alone, checkpoint_2.pt: give each"):
        other.load_state_dict(resumed.state_dict())
    assert [] == other.state_dict()["saved"]


def test_handlers_with_the_same_names_warn(tmp_path) -> None:
    """Each would remove the files of the other; said at the first save, of those that are attached."""
    trainer = idle()
    to_save = {"a": Counter(), "trainer": trainer}
    first, second = Checkpoint(to_save, tmp_path), Checkpoint(to_save, tmp_path)
    others = [
        Checkpoint(to_save, tmp_path, "other"),
        Checkpoint(to_save, tmp_path, score_function=lambda engine: 0.5),
        Checkpoint(to_save, tmp_path / "elsewhere"),
    ]
    for each in (second, *others):
        trainer.add_event_handler(EPOCH, each)
    trainer.run([0])
    trainer.add_event_handler(EPOCH, first)
    with pytest.warns(UserWarning, match="saves under the names of another Checkpoint") as told:
        trainer.run([0])
    assert 1 == len(told)


def test_a_write_that_fails_leaves_a_fixed_name_to_the_old_file(tmp_path, monkeypatch) -> None:
    """The list does not take the old file for the new one, and later ones are saved."""
    scores, trainer, counter = iter([0.5, 0.9, 0.7]), idle(), Counter()
    handler = Checkpoint(
        {"a": counter}, tmp_path, score_function=lambda engine: next(scores), filename_pattern="best.{ext}"
    )
    handler(trainer)
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError("no space left")))
        with pytest.raises(OSError, match="no space"):
            handler(trainer)
    assert {"saved": [(0.5, "best.pt")]} == handler.state_dict()
    counter.value = 3
    handler(trainer)
    assert {"value": 3} == torch.load(tmp_path / "best.pt", weights_only=True)


def test_an_engine_that_saves_in_a_way_of_its_own_is_saved(tmp_path) -> None:
    """Its state is taken as it is."""

    class Own(Engine):
        def state_dict(self) -> dict[str, Any]:
            return {"it": self.state.iteration}

    trainer = Own(lambda engine, batch: None)
    trainer.add_event_handler(EPOCH, Checkpoint({"trainer": trainer}, tmp_path))
    trainer.run([0, 1])
    assert {"it": 2} == torch.load(tmp_path / "trainer_2.pt", weights_only=True)


def test_a_nan_of_a_former_run_is_forgotten(tmp_path) -> None:
    """Also where TerminateOnNan is not attached any more."""
    outputs = iter([float("nan"), 1.0, 1.0, 1.0])
    trainer = Engine(lambda engine, batch: next(outputs))
    with trainer.add_event_handler(Events.ITERATION_COMPLETED, TerminateOnNan()):
        trainer.run([0])
    trainer.add_event_handler(Events.COMPLETED, Checkpoint({"trainer": trainer}, tmp_path))
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=3), lambda: trainer.terminate())
    trainer.run([0, 1, 2])
    assert ["trainer_3.pt"] == files(tmp_path)


def test_a_pattern_that_formats_its_parts_is_found_again(tmp_path) -> None:
    """As it was written."""
    trainer = idle()
    pattern = "{filename_prefix:_<6}{name!s:>8}-{global_step:06d}.{ext}"
    handler = Checkpoint({"trainer": trainer}, tmp_path, "net", filename_pattern=pattern)
    trainer.add_event_handler(EPOCH, handler)
    trainer.run([0])
    assert ["net___ trainer-000001.pt"] == files(tmp_path)
    assert handler.resume_from() is not None


def test_it_resumes_only_from_files_of_its_own_names(tmp_path) -> None:
    """A teacher in the same folder, or one with another prefix, is none of a student's."""
    teacher, student = Counter(), Counter()
    teacher.value = 7
    engine = idle()
    engine.add_event_handler(EPOCH, Checkpoint({"teacher": teacher}, tmp_path))
    engine.add_event_handler(EPOCH, Checkpoint({"student": teacher}, tmp_path, "big"))
    engine.run([0])
    assert None is Checkpoint({"student": student}, tmp_path).resume_from()
    assert 0 == student.value
    assert tmp_path / "big_student_1.pt" == Checkpoint({"student": student}, tmp_path, "big").resume_from()
    assert 7 == student.value


def test_resuming_removes_what_a_killed_program_left(tmp_path) -> None:
    """A file that the new one superseded; but nothing of its own folder where it resumes from another one."""

    def program(folder: Path) -> tuple[Engine, Checkpoint]:
        trainer = idle()
        return trainer, Checkpoint({"trainer": trainer}, folder, n_saved=1)

    trainer, handler = program(tmp_path / "a")
    handler.save_handler.remove = lambda filename: None  # killed before
    trainer.add_event_handler(EPOCH, handler)
    trainer.run([0], max_epochs=2)
    assert ["trainer_1.pt", "trainer_2.pt"] == files(tmp_path / "a")
    trainer, handler = program(tmp_path / "b")
    trainer.add_event_handler(EPOCH, handler)
    trainer.run([0], max_epochs=1)
    _, other = program(tmp_path / "b")
    other.resume_from(tmp_path / "a")
    assert ["trainer_1.pt"] == files(tmp_path / "b")
    assert {"saved": []} == other.state_dict()
    _, own = program(tmp_path / "a")
    own.resume_from()
    assert ["trainer_2.pt"] == files(tmp_path / "a")


@pytest.mark.parametrize("pattern", ["", "model", "{name}_{global_step}.pth", "{name}_{global_step}"])
def test_names_that_would_not_be_found_again_are_refused(tmp_path, pattern: str) -> None:
    """`resume_from` looks at files that end in .pt."""
    with pytest.raises(ValueError, match=r"filename_pattern must end in \.pt or \.{ext}"):
        Checkpoint({"a": Counter()}, tmp_path / "new", filename_pattern=pattern)
    assert not (tmp_path / "new").exists()


def test_a_handler_without_the_trainer_comes_before_one_that_has_it() -> None:
    """So that the trainer's file has its new list."""
    trainer, store = idle(), Store()
    trainer.add_event_handler(EPOCH, Checkpoint({"a": Counter(), "trainer": trainer}, store))
    trainer.add_event_handler(EPOCH, model := Checkpoint({"b": Counter()}, store, n_saved=2))
    trainer.run([0])
    assert ["b_1.pt", "checkpoint_1.pt"] == list(store.kept)
    saved_list = store.kept["checkpoint_1.pt"]["trainer"]["attached"]["Checkpoint"]
    assert model.state_dict() == saved_list or {"saved": [(1, "checkpoint_1.pt")]} == saved_list


def test_nan_does_not_replace_the_last_good_one(tmp_path) -> None:
    """Once TerminateOnNan has asked for the end, nothing is saved, with a warning; the next run saves again."""
    outputs = iter([1.0, float("nan"), 1.0])
    trainer = Engine(lambda engine, batch: next(outputs))
    trainer.add_event_handler(Events.ITERATION_COMPLETED, TerminateOnNan())
    trainer.add_event_handler(Events.ITERATION_COMPLETED, Checkpoint({"trainer": trainer}, tmp_path))
    with pytest.warns(UserWarning, match="TerminateOnNan has found NaN or infinity at iteration 2"):
        trainer.run([0, 1, 2])
    assert ["trainer_1.pt"] == files(tmp_path)
    trainer.run([0], max_epochs=1)
    assert "completed" == trainer.state.stop_reason


def test_an_interrupt_after_the_file_is_in_its_place_keeps_it_in_the_list(tmp_path, monkeypatch) -> None:
    """It is there, and has to be removed one day."""
    trainer = idle()
    handler = Checkpoint({"trainer": trainer}, tmp_path)
    write = handler.save_handler.__class__.__call__

    def interrupted(self: Any, *arguments: Any) -> None:
        write(self, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(type(handler.save_handler), "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        handler(trainer)
    assert (["trainer_0.pt"], {"saved": [(0, "trainer_0.pt")]}) == (files(tmp_path), handler.state_dict())


@pytest.mark.parametrize("strange", ["no", 3, None])
def test_asynchronous_is_true_or_false(tmp_path, strange: Any) -> None:
    """A word is no truth."""
    with pytest.raises(TypeError, match="asynchronous must be True or False, got"):
        Checkpoint({"a": Counter()}, tmp_path, asynchronous=strange)


def test_nan_that_is_found_at_the_end_does_not_replace_the_last_good_one(tmp_path, monkeypatch) -> None:
    """As where TerminateOnNan waits for the device only now and then, and the run ends before."""
    monkeypatch.setattr(terminate_on_nan, "_is_at_hand", lambda tensor: False)
    trainer = Engine(lambda engine, batch: torch.tensor(float("nan")))
    TerminateOnNan(every=50).attach(trainer)
    trainer.add_event_handler(Events.COMPLETED, Checkpoint({"trainer": trainer}, tmp_path))
    with pytest.warns(UserWarning, match="TerminateOnNan has found NaN or infinity at iteration 2"):
        trainer.run([0, 1, 2], max_iters=2)
    assert [] == files(tmp_path)
