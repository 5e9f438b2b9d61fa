"""DiskSaver writes checkpoints into a folder, and refuses what would do harm before it touches a file."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ignite_signals.engine import Engine, Events
from ignite_signals.handlers import BaseSaveHandler, Checkpoint, DiskSaver, checkpoint_file, disk_saver
from support.folders import as_ordinary_user, contents, reachable_folder


@pytest.fixture
def shared() -> Iterator[Path]:
    with reachable_folder() as folder:
        yield folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with a checkpoint, a file and a folder in it."""
    DiskSaver(tmp_path)({"epoch": 3}, "run_checkpoint_3.pt")
    (tmp_path / "notes").write_text("precious")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "folder.pt").mkdir()
    return tmp_path


NOT_EMPTY = (
    "dirname must be a folder without checkpoints, got '{folder}' with run_checkpoint_3.pt; give another folder, or "
    "require_empty=False to resume from these"
)
REFUSED: dict[str, tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = {
    "a file": (
        ("{folder}/notes",),
        {},
        ValueError,
        "dirname must be a folder, got '{folder}/notes', where '{folder}/notes' is no folder",
    ),
    "below a file": (
        ("{folder}/notes/a/b",),
        {},
        ValueError,
        "dirname must be a folder, got '{folder}/notes/a/b', where '{folder}/notes' is no folder",
    ),
    "missing": (
        ("{folder}/a",),
        {"create_dir": False},
        ValueError,
        "dirname must be there with create_dir=False, got '{folder}/a'; make it before",
    ),
    "not empty": (
        ("{folder}",),
        {},
        ValueError,
        NOT_EMPTY,
    ),
    "not empty of a prefix": (
        ("{folder}",),
        {"prefix": "run"},
        ValueError,
        NOT_EMPTY,
    ),
    "no path": ((3,), {}, TypeError, "dirname must be the path of a folder, got 3"),
    "none": ((None,), {}, TypeError, "dirname must be the path of a folder, got None"),
    "no text": (
        ("",),
        {},
        ValueError,
        "dirname must be the path of a folder, got '': give '.' for the one of the program",
    ),
    "rank": (
        ("{folder}/a",),
        {"save_on_rank": -1},
        ValueError,
        "save_on_rank must be an integer of at least 0, got -1",
    ),
    "rank of text": (
        ("{folder}/a",),
        {"save_on_rank": "0"},
        ValueError,
        "save_on_rank must be an integer of at least 0, got '0'",
    ),
}


@pytest.mark.parametrize(("args", "kwargs", "error", "message"), REFUSED.values(), ids=list(REFUSED))
def test_a_folder_is_refused_before_anything_is_made(args, kwargs, error, message, folder):
    """The error names argument, value and remedy, and no file is touched."""
    before = contents(folder)
    args = tuple(arg.replace("{folder}", str(folder)) if isinstance(arg, str) else arg for arg in args)
    with pytest.raises(error) as caught:
        DiskSaver(*args, **kwargs)
    assert message.replace("{folder}", str(folder)) == str(caught.value)
    assert before == contents(folder)


def test_many_files_are_not_all_named(tmp_path):
    """Of many checkpoints the error names three."""
    for number in range(5):
        (tmp_path / f"c_{number}.pt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"with c_0\.pt, c_1\.pt, c_2\.pt, \.\.\.; give another folder"):
        DiskSaver(tmp_path)
    assert 5 == len(contents(tmp_path))


@pytest.mark.parametrize("kwargs", [{"require_empty": False}, {"prefix": "other"}])
def test_a_folder_with_checkpoints_is_taken_where_that_is_asked_for(kwargs, folder):
    """Programs that resume say so; another prefix does not get in the way."""
    before = contents(folder)
    assert folder == DiskSaver(folder, **kwargs).dirname
    assert before == contents(folder)


def test_folders_and_other_files_are_no_checkpoints(folder):
    """A folder whose name ends in .pt, and files of other kinds, are no reason to refuse."""
    (folder / "run_checkpoint_3.pt").unlink()
    assert folder / "empty" == DiskSaver(folder / "empty").dirname
    assert folder == DiskSaver(folder).dirname


@pytest.mark.parametrize("mode", [0o555, 0o333, 0o666, 0o000])
def test_a_folder_without_permission_is_refused(mode, shared):
    """It must be one that can be read, written to and searched."""
    inner = shared / "inner"
    inner.mkdir()
    inner.chmod(mode)
    with as_ordinary_user(), pytest.raises(PermissionError) as caught:
        DiskSaver(inner)
    assert f"dirname must be a folder that can be read and written to, got {str(inner)!r}" == str(caught.value)
    assert ["inner"] == list(contents(shared))


NAMES: dict[str, tuple[Any, type[Exception], str]] = {
    "separator": (
        "a/b.pt",
        ValueError,
        "filename must be part of a file's name, without separators of paths, got 'a/b.pt'",
    ),
    "parent": (
        "../b.pt",
        ValueError,
        "filename must be part of a file's name, without separators of paths, got '../b.pt'",
    ),
    "backslash": (
        "a\\b.pt",
        ValueError,
        "filename must be part of a file's name, without separators of paths, got 'a\\\\b.pt'",
    ),
    "absolute": (
        "/b.pt",
        ValueError,
        "filename must be part of a file's name, without separators of paths, got '/b.pt'",
    ),
    "zero": (
        "b\0.pt",
        ValueError,
        "filename must be part of a file's name, without separators of paths, got 'b\\x00.pt'",
    ),
    "dot": (".", ValueError, "filename must be part of a file's name, without separators of paths, got '.'"),
    "dots": ("..", ValueError, "filename must be part of a file's name, without separators of paths, got '..'"),
    "nothing": ("", ValueError, "filename must be the name of a file, got ''"),
    "number": (3, TypeError, "filename must be a string, got 3"),
    "path": (Path("x.pt"), TypeError, f"filename must be a string, got {Path('x.pt')!r}"),
}


@pytest.mark.parametrize(("name", "error", "message"), NAMES.values(), ids=list(NAMES))
def test_names_that_lead_elsewhere_are_refused(name, error, message, folder):
    """Neither saving nor removing leaves the folder."""
    before = contents(folder.parent)
    saver = DiskSaver(folder, require_empty=False)
    for act in (lambda: saver({}, name), lambda: saver.remove(name)):
        with pytest.raises(error) as caught:
            act()
        assert message == str(caught.value)
    assert before == contents(folder.parent)


def test_it_saves_removes_and_tells(tmp_path):
    """What was saved is there until it is removed; a second removal does nothing."""
    saver = DiskSaver(tmp_path)
    saver({"epoch": 3}, "x.pt", {"basename": "x"})
    assert 3 == checkpoint_file.read(tmp_path / "x.pt")["epoch"]
    saver.remove("x.pt")
    saver.remove("x.pt")
    assert {} == contents(tmp_path)


def test_the_folder_is_made_with_its_parents(tmp_path):
    """A run's folder need not be there."""
    DiskSaver(tmp_path / "a" / "b")({"epoch": 3}, "x.pt")
    assert 3 == checkpoint_file.read(tmp_path / "a" / "b" / "x.pt")["epoch"]


def test_a_relative_folder_stays_where_it_was(tmp_path, monkeypatch):
    """A program that changes its folder does not scatter its checkpoints."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    saver = DiskSaver("runs")
    saver({"epoch": 1}, "x.pt")
    monkeypatch.chdir("elsewhere")
    saver({"epoch": 2}, "y.pt")
    assert ["elsewhere", "runs", "runs/x.pt", "runs/y.pt"] == list(contents(tmp_path))
    assert (tmp_path / "runs", f"DiskSaver({str(tmp_path / 'runs')!r})") == (saver.dirname, repr(saver))


def test_the_home_folder_is_found(tmp_path, monkeypatch):
    """A tilde is the user's folder, as in a shell."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path / "runs" == DiskSaver("~/runs").dirname
    assert (tmp_path / "runs").is_dir()


def test_a_link_to_a_folder_is_one(tmp_path):
    """A link is followed, also where its name is asked for."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    saver = DiskSaver(tmp_path / "link")
    saver({"epoch": 3}, "x.pt")
    assert (tmp_path / "link", ["x.pt"]) == (saver.dirname, list(contents(tmp_path / "real")))


def test_a_link_to_nowhere_is_no_folder(tmp_path):
    """A dangling link is not made into a folder behind the user's back."""
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(ValueError, match="is no folder"):
        DiskSaver(tmp_path / "link")
    assert ["link"] == list(contents(tmp_path))


@pytest.mark.parametrize("name", ["Größe 🔥", "x" * 255, " ", "a'b\"c", "new\nline", "-rf", "*?[a]"])
def test_any_name_of_a_folder_will_do(name, tmp_path):
    """Unicode, spaces, quotation marks, and what shells and patterns give a meaning to."""
    saver = DiskSaver(tmp_path / name)
    saver({"epoch": 3}, f"{name[:250]}.pt")
    assert 3 == checkpoint_file.read(saver.dirname / f"{name[:250]}.pt")["epoch"]
    with pytest.raises(ValueError, match="without checkpoints"):
        DiskSaver(tmp_path / name)


def test_what_is_left_over_is_removed_at_the_first_save(tmp_path):
    """A restarted program cleans up after the killed one; a later save does not look again."""
    left = tmp_path / ".checkpoint_3.pt.0123abcd.tmp"
    saver = DiskSaver(tmp_path)
    for expected in (["x.pt"], [left.name, "x.pt"]):
        left.write_bytes(b"half")
        os.utime(left, (0, 0))
        saver({"epoch": 3}, "x.pt")
        assert expected == list(contents(tmp_path))


def test_only_one_process_writes(tmp_path, monkeypatch):
    """Another process makes no folder, writes and removes nothing."""
    saver = DiskSaver(tmp_path / "runs", save_on_rank=1)
    saver({"epoch": 3}, "x.pt")
    assert {} == contents(tmp_path)
    monkeypatch.setattr(disk_saver, "get_rank", lambda: 1)
    saver = DiskSaver(tmp_path / "runs", save_on_rank=1)
    saver({"epoch": 3}, "x.pt")
    monkeypatch.setattr(disk_saver, "get_rank", lambda: 0)
    saver.remove("x.pt")
    assert ["runs", "runs/x.pt"] == list(contents(tmp_path))


def test_a_copy_saves_to_the_same_folder(tmp_path):
    """It is picklable, with its options."""
    saver = pickle.loads(pickle.dumps(DiskSaver(tmp_path, atomic=False, pickle_protocol=2)))
    saver({"epoch": 3}, "x.pt")
    assert (["x.pt"], {"pickle_protocol": 2}) == (list(contents(tmp_path)), saver.kwargs)


def test_a_folder_that_vanishes_is_an_error_of_the_save(tmp_path):
    """Whoever removes the folder during the run gets the error at the next save."""
    saver = DiskSaver(tmp_path / "runs")
    (tmp_path / "runs").rmdir()
    with pytest.raises(FileNotFoundError, match="runs"):
        saver({"epoch": 3}, "x.pt")
    assert {} == contents(tmp_path)


def test_a_folder_that_becomes_read_only_is_an_error_of_the_save(shared):
    """What was saved before stays, and is found."""
    runs = shared / "runs"
    runs.mkdir()
    saver = DiskSaver(runs)
    saver({"epoch": 3}, "x.pt")
    runs.chmod(0o555)
    before = contents(shared)
    with as_ordinary_user(), pytest.raises(PermissionError):
        saver({"epoch": 4}, "x.pt")
    assert (before, 3) == (contents(shared), checkpoint_file.read(runs / "x.pt")["epoch"])


def test_a_store_of_ones_own_is_called_with_the_checkpoint(tmp_path):
    """A BaseSaveHandler must say how to keep and to remove."""

    class InMemory(BaseSaveHandler):
        def __init__(self) -> None:
            self.kept: dict[str, Any] = {}

        def __call__(self, checkpoint: Any, filename: str, metadata: Any = None) -> None:
            self.kept[filename] = checkpoint

        def remove(self, filename: str) -> None:
            del self.kept[filename]

    store, trainer = InMemory(), Engine(lambda engine, batch: None)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, Checkpoint({"model": nn.PReLU()}, store))
    trainer.run([0], max_epochs=3)
    assert ["model_3.pt"] == list(store.kept)
    assert torch.equal(torch.tensor([0.25]), store.kept["model_3.pt"]["weight"])
    with pytest.raises(TypeError, match="abstract"):
        BaseSaveHandler()
