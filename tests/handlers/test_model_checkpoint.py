"""ModelCheckpoint saves the objects that it is called with, to a folder."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ignite_signals import Engine, Events
from ignite_signals.handlers import Checkpoint, ModelCheckpoint, global_step_from_engine
from ignite_signals.handlers import checkpoint as module
from support.copying import every_copy


def idle() -> Engine:
    return Engine(lambda engine, batch: None)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_saves_what_it_is_called_with(tmp_path) -> None:
    """The objects are given with the handler, by position or name."""
    trainer, handler = idle(), ModelCheckpoint(tmp_path, "net", n_saved=2)
    trainer.add_event_handler(Events.EPOCH_COMPLETED(every=2), handler, {"model": nn.Linear(1, 1)})
    trainer.run([0], max_epochs=6)
    assert ["net_model_4.pt", "net_model_6.pt"] == files(tmp_path)
    assert tmp_path / "net_model_6.pt" == handler.last_checkpoint
    trainer.add_event_handler(Events.STARTED, handler, to_save={"model": nn.Linear(1, 1)})
    trainer.run([0], max_epochs=7)
    assert ["net_model_4.pt", "net_model_6.pt"] == files(tmp_path)


def test_it_has_no_checkpoint_at_first(tmp_path) -> None:
    """Before the first there is none."""
    assert ModelCheckpoint(tmp_path).last_checkpoint is None


def test_arguments_are_in_the_order_of_ignites() -> None:
    """A program that gives them by position moves over."""
    theirs = pytest.importorskip("ignite.handlers").ModelCheckpoint
    for name, parameter in inspect.signature(theirs).parameters.items():
        ours = inspect.signature(ModelCheckpoint).parameters[name]
        assert (parameter.default, parameter.kind) == (ours.default, ours.kind)
    positions = [
        name for name in inspect.signature(ModelCheckpoint).parameters if name not in ("archived", "asynchronous")
    ]
    assert list(inspect.signature(theirs).parameters) == positions


def test_it_lies_in_the_module_of_checkpoint() -> None:
    """As in Ignite."""
    assert ModelCheckpoint is module.ModelCheckpoint
    assert issubclass(ModelCheckpoint, Checkpoint)


def test_a_folder_with_checkpoints_of_the_prefix_is_refused(tmp_path) -> None:
    """Those of another prefix are let be."""
    (tmp_path / "net_model_1.pt").touch()
    with pytest.raises(ValueError, match=r"net_model_1\.pt"):
        ModelCheckpoint(tmp_path, "net")
    assert ModelCheckpoint(tmp_path, "other").last_checkpoint is None
    assert ModelCheckpoint(tmp_path, "net", require_empty=False).last_checkpoint is None


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (ValueError, "n_saved must be a positive integer, got 0", {"n_saved": 0}),
        (ValueError, "filename_prefix must be part of a file's name", {"filename_prefix": "a/b"}),
        (TypeError, "score_function must be callable", {"score_function": 3}),
        (ValueError, "dirname must be there with create_dir=False", {"create_dir": False}),
        (TypeError, "dirname must be the path of a folder", {"dirname": 3}),
    ],
)
def test_bad_arguments(tmp_path, error, message, arguments) -> None:
    """Each is refused by name before any folder is made."""
    with pytest.raises(error, match=re.escape(message)):
        ModelCheckpoint(**{"dirname": tmp_path / "new"} | arguments)
    assert [] == files(tmp_path)


@pytest.mark.parametrize(
    ("error", "message", "to_save"),
    [
        (TypeError, "to_save must map names to objects", 3),
        (ValueError, "to_save must have an object to save", {}),
        (TypeError, "to_save['a'] must have a method state_dict", {"a": 3}),
        (ValueError, "to_save must not have 'checkpointer'", {"checkpointer": nn.Linear(1, 1)}),
    ],
)
def test_bad_objects(tmp_path, error, message, to_save) -> None:
    """They are looked at when they are given."""
    with pytest.raises(error, match=re.escape(message)):
        ModelCheckpoint(tmp_path, include_self=True)(idle(), to_save)
    assert [] == files(tmp_path)


def test_without_objects_it_cannot_be_added(tmp_path) -> None:
    """This is found when it is added, not in the night."""
    with pytest.raises(ValueError, match="cannot take what epoch_completed sends"):
        idle().add_event_handler(Events.EPOCH_COMPLETED, ModelCheckpoint(tmp_path))


def test_other_arguments_reach_the_saver(tmp_path) -> None:
    """What is not known is for `torch.save`; `archived` only warns."""
    with pytest.warns(UserWarning, match="archived has no effect") as caught:
        handler = ModelCheckpoint(tmp_path, archived=True, atomic=False, pickle_protocol=2)
    assert __file__ == caught[0].filename
    handler(idle(), {"model": nn.Linear(1, 1)})
    assert ["model_0.pt"] == files(tmp_path)


def test_at_an_exception_it_does_not_hide_it(tmp_path) -> None:
    """The model is saved, and the exception leaves the run."""
    trainer = Engine(lambda engine, batch: 1 / 0)
    trainer.add_event_handler(Events.EXCEPTION_RAISED, ModelCheckpoint(tmp_path), {"model": nn.Linear(1, 1)})
    with pytest.raises(ZeroDivisionError):
        trainer.run([0])
    assert ["model_1.pt"] == files(tmp_path)


def test_at_the_end_of_an_epoch_that_was_cut(tmp_path) -> None:
    """What the event sends beside the engine is of no account."""
    trainer = idle()
    trainer.add_event_handler(Events.TERMINATE_SINGLE_EPOCH, ModelCheckpoint(tmp_path), {"model": nn.Linear(1, 1)})
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=1), lambda: trainer.terminate_epoch())
    trainer.run([0, 1])
    assert ["model_1.pt"] == files(tmp_path)


def program(folder: Path, epochs: int) -> list[str]:
    trainer, evaluator, model = idle(), idle(), nn.Linear(1, 1)
    best = ModelCheckpoint(
        *(folder, "best", lambda engine: trainer.state.epoch),
        require_empty=False,
        global_step_transform=global_step_from_engine(trainer),
    )
    last = ModelCheckpoint(folder, require_empty=False)
    evaluator.add_event_handler(Events.COMPLETED, best, {"model": model})
    to_save = {"model": model, "trainer": trainer}
    trainer.add_event_handler(Events.EPOCH_COMPLETED, last, to_save)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([0]))
    if epochs > 2:
        Checkpoint.load_objects(to_save, folder / "checkpoint_2.pt")
    trainer.run([0], max_epochs=epochs)
    assert ["ModelCheckpoint", "ModelCheckpoint:best"] == sorted(trainer.state_dict()["attached"])
    return files(folder)


def test_resumed_it_goes_on_to_remove(tmp_path) -> None:
    """Also one that has not been called yet when the trainer is loaded."""
    assert ["best_model_2_2.pt", "checkpoint_2.pt"] == program(tmp_path, 2)
    assert ["best_model_3_3.pt", "checkpoint_3.pt"] == program(tmp_path, 3)


def test_reload_objects_before_the_first_call(tmp_path) -> None:
    """The name is that of the object to load, as long as the handler has none."""
    ModelCheckpoint(tmp_path, "net")(idle(), {"model": nn.Linear(1, 1)})
    handler, other = ModelCheckpoint(tmp_path, "net", require_empty=False), nn.Linear(1, 1)
    handler.reload_objects({"model": other}, global_step=0)
    assert torch.load(tmp_path / "net_model_0.pt", weights_only=True)["weight"].item() == other.weight.item()


@every_copy
def test_copies(copied: Any, tmp_path) -> None:
    """A copy goes on with the list."""
    handler = ModelCheckpoint(tmp_path, "net")
    handler(idle(), {"model": nn.Linear(1, 1)})
    assert handler.last_checkpoint == copied(handler).last_checkpoint
