"""resume_from goes on from the newest checkpoint that is whole."""

from __future__ import annotations

import logging
import os
import shutil
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ignite_signals.engine import Engine
from ignite_signals.handlers import Checkpoint, checkpoint_file, resume_from, resuming
from support.folders import as_ordinary_user, reachable_folder


class Holder:
    """Hold a number."""

    def __init__(self, value: int = -1) -> None:
        self.value = value

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value = state["value"]


class RunsCode:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


def save(path: Path, value: int, **others: Any) -> bytes:
    """Save a checkpoint of two objects."""
    checkpoint_file.write({"a": {"value": value}, "b": {"value": value}} | others, path)
    return path.read_bytes()


def resumed(folder: Any) -> tuple[str | None, int]:
    """Return the name of the file that was loaded, and the number that was in it."""
    objects = {"a": Holder(), "b": Holder()}
    path = resume_from(folder, objects)
    assert objects["a"].value == objects["b"].value
    return path and path.name, objects["a"].value


@pytest.fixture
def shared() -> Iterator[Path]:
    with reachable_folder() as folder:
        yield folder


def test_the_newest_by_its_own_time_is_loaded(tmp_path):
    """Whatever the names and the times of the file system are, as after a copy."""
    for number in (3, 1, 2):
        save(tmp_path / f"c_{number}.pt", number)
    for age, number in enumerate((2, 1, 3)):
        os.utime(tmp_path / f"c_{number}.pt", (age * 1e6, age * 1e6))
    copied = shutil.copytree(tmp_path, tmp_path / "copied", copy_function=shutil.copyfile)
    assert [("c_2.pt", 2)] * 2 == [resumed(folder) for folder in (tmp_path, copied)]


def test_foreign_files_are_as_old_as_the_file_system_says(tmp_path):
    """A file that torch.save wrote is among the others by the time of its last change."""
    save(tmp_path / "ours.pt", 1)
    torch.save({"a": {"value": 2}, "b": {"value": 2}}, tmp_path / "theirs.pt")
    outcomes = []
    for when in (time.time() + 10, time.time() - 1000):
        os.utime(tmp_path / "theirs.pt", (when, when))
        outcomes.append(resumed(tmp_path))
    assert [("theirs.pt", 2), ("ours.pt", 1)] == outcomes


def test_of_equal_times_the_higher_number_wins(tmp_path, monkeypatch):
    """Number 10 is after number 9, as people count."""
    monkeypatch.setattr(checkpoint_file.time, "time_ns", lambda: 5)
    for number in (9, 10, 1):  # in folders of their own, as those of one have times that differ
        (tmp_path / str(number)).mkdir()
        save(tmp_path / str(number) / "c.pt", number)
        (tmp_path / str(number) / "c.pt").rename(tmp_path / f"c_{number}²_x.pt")
    assert ("c_10²_x.pt", 10) == resumed(tmp_path)


def test_there_is_nothing_to_resume_from(tmp_path):
    """No folder, an empty one, one with other things: the training begins, without a warning."""
    assert (None, -1) == resumed(tmp_path / "missing")
    assert (None, -1) == resumed(str(tmp_path))
    (tmp_path / "folder.pt").mkdir()
    (tmp_path / "dangling.pt").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".c_1.pt.0123abcd.tmp").write_bytes(b"half")
    assert (None, -1) == resumed(tmp_path)


def test_the_home_folder_is_found(tmp_path, monkeypatch):
    """A tilde is the user's folder, as in a shell."""
    monkeypatch.setenv("HOME", str(tmp_path))
    save(tmp_path / "c_1.pt", 1)
    assert ("c_1.pt", 1) == resumed("~")


REFUSED: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "a file": ("{folder}/c_1.pt", None, ValueError, "folder must be a folder, got the file '{folder}/c_1.pt'"),
    "no path": (None, None, TypeError, "folder must be the path of a folder, got None"),
    "no object": (
        "{folder}",
        {},
        ValueError,
        "to_load must have an object to load, got none: give {{'model': model}}, for example",
    ),
    "objects in a list": (
        "{folder}",
        [],
        TypeError,
        "to_load must map names to objects, as {{'model': model}} does, got []",
    ),
    "an object that cannot load": (
        "{folder}",
        {"a": 3},
        TypeError,
        "to_load['a'] must have a method load_state_dict, got 3",
    ),
}


@pytest.mark.parametrize(("folder", "to_load", "error", "message"), REFUSED.values(), ids=list(REFUSED))
def test_wrong_arguments_are_named(folder, to_load, error, message, tmp_path):
    """The error says which argument, its value and the remedy."""
    save(tmp_path / "c_1.pt", 1)
    folder = folder and folder.format(folder=tmp_path)
    with pytest.raises(error) as caught:
        resume_from(folder, {"a": Holder()} if to_load is None else to_load)
    assert message.format(folder=tmp_path) == str(caught.value)


def test_a_folder_that_cannot_be_read_is_an_error(shared):
    """A program that has no permission does not begin anew in silence."""
    (shared / "runs").mkdir(mode=0o300)
    (shared / "runs").chmod(0o300)
    with as_ordinary_user(), pytest.raises(PermissionError, match="runs"):
        resumed(shared / "runs")


def passed_over(folder: Path, damaged: Path) -> list[str]:
    """Resume, and return the warnings; the last good checkpoint is number 1."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert ("good.pt", 1) == resumed(folder)
    assert all(str(damaged) in str(each.message) and each.filename == __file__ for each in caught)
    return [str(each.message) for each in caught]


def test_every_cut_is_passed_over_with_a_warning(tmp_path):
    """Whatever the length at which a new file ends, the last good one is loaded, and the warning names the new one."""
    save(tmp_path / "good.pt", 1)
    damaged = tmp_path / "damaged.pt"
    content = save(damaged, 2)
    outcomes = []
    for length in range(len(content)):
        damaged.write_bytes(content[:length])
        outcomes.append(len(passed_over(tmp_path, damaged)))
    assert [1] * len(content) == outcomes


def test_every_flipped_byte_is_passed_over(tmp_path):
    """Whatever byte of a new file has changed; if it is one of the time, the file may be an old one."""
    save(tmp_path / "good.pt", 1)
    damaged = tmp_path / "damaged.pt"
    content = save(damaged, 2)
    outcomes = []
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1
        damaged.write_bytes(changed)
        outcomes.append(len(passed_over(tmp_path, damaged)))
    silent = [position for position, outcome in enumerate(outcomes) if outcome != 1]
    time_at = content.index(b" ns, crc32") - 20
    assert set(silent) <= set(range(time_at, time_at + 20))


@pytest.mark.parametrize("sealed", [False, True])
def test_a_file_that_would_run_code_is_passed_over(sealed, tmp_path):
    """The code does not run, and the warning says what it would have called."""
    save(tmp_path / "good.pt", 1)
    path = tmp_path / "evil.pt"
    evil = {"a": {"value": RunsCode(tmp_path / "trace")}, "b": {"value": 2}}
    if sealed:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checkpoint_file, "check_loadable", lambda *_: None)
            checkpoint_file.write(evil, path)
    else:
        torch.save(evil, path)
    os.utime(path, (time.time() + 10,) * 2)
    [message] = passed_over(tmp_path, path)
    assert message.startswith(f"a checkpoint is passed over: {path} holds {os.mkdir.__module__}.mkdir, which might run")
    assert not (tmp_path / "trace").exists()


def test_a_file_that_cannot_be_opened_is_passed_over(shared):
    """A file without permission is warned of as a damaged one is."""
    save(shared / "good.pt", 1)
    save(shared / "secret.pt", 2)
    (shared / "secret.pt").chmod(0)
    with as_ordinary_user():
        [message] = passed_over(shared, shared / "secret.pt")
    assert "Permission denied" in message


def test_none_is_whole(tmp_path):
    """Every damaged file is warned of, and nothing is loaded."""
    for number in (1, 2):
        (tmp_path / f"c_{number}.pt").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"c_1\.pt"), pytest.warns(UserWarning, match=r"c_2\.pt"):
        outcome = resumed(tmp_path)
    assert (None, -1) == outcome


@pytest.mark.parametrize("moment", ["listed", "read"])
def test_a_file_that_is_removed_meanwhile_is_replaced_by_a_newer_one(moment, tmp_path, monkeypatch):
    """Another process that saves and prunes does not make us begin anew: the folder is looked at again."""
    save(tmp_path / "c_1.pt", 1)
    name = {"listed": "saved_at", "read": "read"}[moment]
    original = getattr(checkpoint_file, name)

    def pruned(path: Path) -> Any:
        if path.name == "c_1.pt":
            save(tmp_path / "c_2.pt", 2)
            path.unlink()
        return original(path)

    monkeypatch.setattr(checkpoint_file, name, pruned)
    assert ("c_2.pt", 2) == resumed(tmp_path)


def test_files_of_other_objects_are_passed_over_without_a_warning(tmp_path, caplog):
    """The best model and other single objects beside the last checkpoint, a checkpoint of fewer objects, a list."""
    save(tmp_path / "last.pt", 1)
    others = {"best": nn.Linear(2, 2).state_dict(), "other": {"a": {"value": 2}}, "list": [1], "empty": {}}
    for name, other in others.items():
        checkpoint_file.write(other, tmp_path / f"{name}.pt")
    with caplog.at_level(logging.INFO, resuming.__name__):
        assert ("last.pt", 1) == resumed(tmp_path)
    names = ["empty", "list", "other", "best"]
    expected = [f"{tmp_path / name}.pt is passed over: it is of other objects" for name in names]
    assert [*expected, f"going on from {tmp_path / 'last.pt'}"] == caplog.messages


def test_a_single_object_is_found_alone_or_among_others(tmp_path):
    """Its own state, by the keys; or that of its name in a checkpoint of more."""
    model, other = nn.Linear(2, 2), nn.Linear(2, 2)
    checkpoint_file.write(model.state_dict(), tmp_path / "best.pt")
    checkpoint_file.write({"value": 3}, tmp_path / "holder.pt")
    checkpoint_file.write({"optimizer": {}, "trainer": {}}, tmp_path / "others.pt")
    assert tmp_path / "best.pt" == resume_from(tmp_path, {"model": nn.DataParallel(other)})
    assert torch.equal(model.weight, other.weight)
    assert tmp_path / "holder.pt" == resume_from(tmp_path, {"anything": Holder()})
    save(tmp_path / "all.pt", 4)
    assert tmp_path / "all.pt" == resume_from(tmp_path, {"a": (holder := Holder())})
    assert 4 == holder.value


def test_an_object_without_a_state_is_not_every_checkpoint(tmp_path):
    """A module without parameters is not what a checkpoint of something else was made of."""
    checkpoint_file.write({"value": 3}, tmp_path / "holder.pt")
    with pytest.warns(UserWarning, match=r"none of \['model'\]; the newest, holder.pt, has the states \['value'\]"):
        assert None is resume_from(tmp_path, {"model": nn.ReLU()})
    checkpoint_file.write(nn.ReLU().state_dict(), tmp_path / "relu.pt")
    assert tmp_path / "relu.pt" == resume_from(tmp_path, {"model": nn.ReLU()})


def test_another_shape_is_an_error_that_names_file_and_key(tmp_path):
    """A changed model is no reason to begin anew in silence, nor to go on from an older file; nothing is changed."""
    torch.manual_seed(0)
    for number, width in ((1, 2), (2, 5)):
        states = {"a": {"value": number}, "model": nn.Linear(3, width).state_dict()}
        checkpoint_file.write(states, tmp_path / f"c_{number}.pt")
    model, holder = nn.Linear(3, 2), Holder()
    before = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises(ValueError, match="must be of a model of this shape") as caught:
        resume_from(tmp_path, {"a": holder, "model": model})
    expected = (
        "checkpoint must be of a model of this shape, got 'weight' of 'model' with shape (5, 3), not (2, 3); build the "
        "model as it was when it was saved"
    )
    assert (expected, [f"while {tmp_path / 'c_2.pt'} was loaded"]) == (str(caught.value), caught.value.__notes__)
    assert (True, -1) == (all(map(torch.equal, before, model.parameters())), holder.value)


def test_keywords_reach_the_models(tmp_path):
    """With strict=False a part of a model is loaded."""
    checkpoint_file.write({"model": {"weight": torch.ones(1, 2)}, "a": {"value": 1}}, tmp_path / "x.pt")
    model = nn.Linear(2, 1)
    with pytest.raises(ValueError, match="lacks 'bias'"):
        resume_from(tmp_path, {"model": model, "a": Holder()})
    resume_from(tmp_path, {"model": model, "a": Holder()}, strict=False)
    assert torch.equal(torch.ones(1, 2), model.weight)


def test_what_a_checkpoint_handler_saved_is_found_beside_the_best(tmp_path):
    """Last and best in one folder: each handler finds its own."""
    trainer, model = Engine(lambda engine, batch: None), nn.PReLU()
    last = Checkpoint({"model": model, "trainer": trainer}, tmp_path)
    best = Checkpoint({"model": model}, tmp_path, "best", score_function=lambda engine: 1.0)
    for handler in (last, best):
        handler(trainer)
    found = [handler.resume_from() for handler in (best, last)]
    assert [tmp_path / handler.last_checkpoint for handler in (best, last)] == found


def test_an_object_that_only_loads_takes_the_newest(tmp_path):
    """Of an object without `state_dict` nobody knows the keys."""

    class Loader:
        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.state = state

    checkpoint_file.write({"value": 3}, tmp_path / "x.pt")
    assert tmp_path / "x.pt" == resume_from(tmp_path, {"loader": (loader := Loader())})
    assert {"value": 3} == loader.state
