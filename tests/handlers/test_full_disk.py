"""A disk that is full, or a folder that cannot be written to, costs the checkpoint that does not fit, and no other."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from ignite_signals.engine import Engine, Events
from ignite_signals.handlers import Checkpoint, DiskSaver, resume_from
from ignite_signals.handlers.checkpoint_file import read

resource = pytest.importorskip("resource", reason="this system has no such limits")
LIMIT = 1 << 20
ROOT = Path(__file__).parents[2]
both = pytest.mark.parametrize("asynchronous", [False, True], ids=["synchronous", "asynchronous"])


class Growing:
    """An object that is as large as it is told to be."""

    def __init__(self) -> None:
        self.values = torch.arange(8.0)

    def state_dict(self) -> dict[str, Any]:
        return {"values": self.values}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.values = state["values"]


def training(folder: Path | str, *, asynchronous: bool = False) -> tuple[Engine, Growing, Checkpoint]:
    """Return a trainer that saves after each iteration, keeping two, and what it trains."""
    growing, trainer = Growing(), Engine(lambda engine, batch: None)
    checkpoint = Checkpoint({"growing": growing, "trainer": trainer}, folder, n_saved=2, asynchronous=asynchronous)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, checkpoint)
    return trainer, growing, checkpoint


def grow_at(trainer: Engine, growing: Growing, iteration: int) -> None:
    """Let the state be too large for the limit from an iteration on."""

    def grow() -> None:
        growing.values = torch.zeros(LIMIT)

    trainer.add_event_handler(Events.ITERATION_STARTED(once=iteration), grow)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def assert_whole(folder: Path, last: int) -> None:
    """The two checkpoints up to one are there, alone and whole, and the newest is found."""
    expected = [f"checkpoint_{step}.pt" for step in (last - 1, last)]
    assert expected == files(folder)
    assert [last - 1, last] == [read(folder / name)["trainer"]["iteration"] for name in expected]
    trainer, growing, checkpoint = training(folder)
    assert folder / expected[-1] == checkpoint.resume_from()
    assert last == trainer.state.iteration
    assert torch.equal(torch.arange(8.0), growing.values)


@contextmanager
def file_size_limit(size: int = LIMIT) -> Iterator[None]:
    """Let no file of this process become larger; writing more fails, as Python ignores the signal."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def no_privileges() -> Iterator[None]:
    """Be somebody whom permissions bind, where the tests are run by root."""
    if os.geteuid() != 0:
        yield
        return
    before = os.getresuid()
    os.setresuid(65534, 65534, 0)  # the last one is the way back
    try:
        yield
    finally:
        os.setresuid(*before)


# A file that does not fit


@both
def test_a_checkpoint_that_does_not_fit_ends_the_run_and_leaves_the_others(tmp_path: Path, asynchronous: bool) -> None:
    """The error names the checkpoint, no temporary file is left, and the last good one is found."""
    trainer, growing, _ = training(tmp_path, asynchronous=asynchronous)
    grow_at(trainer, growing, 4)
    with file_size_limit(), pytest.raises(OSError, match="File too large") as raised:
        trainer.run(range(10))
    assert any("checkpoint_4.pt" in note for note in raised.value.__notes__)
    # In the background the failure is known at the next save.
    assert (5 if asynchronous else 4) == trainer.state.iteration
    assert_whole(tmp_path, last=3)


def test_in_the_background_the_last_save_fails_at_the_end_of_the_run(tmp_path: Path) -> None:
    """A run does not return as if all had been written."""
    trainer, growing, checkpoint = training(tmp_path, asynchronous=True)
    grow_at(trainer, growing, 4)
    with file_size_limit(), pytest.raises(OSError, match="File too large") as raised:
        trainer.run(range(4))
    assert any("checkpoint_4.pt" in note for note in raised.value.__notes__)
    assert tmp_path / "checkpoint_3.pt" == checkpoint.last_checkpoint
    assert_whole(tmp_path, last=3)


@pytest.mark.parametrize("size", [0, 1, 100, 1000])
def test_nothing_is_left_wherever_the_disk_is_full(tmp_path: Path, size: int) -> None:
    """At the first byte, in the middle of the archive, or in what is written last."""
    trainer, _, checkpoint = training(tmp_path)
    trainer.run(range(3))
    checkpoint(trainer)  # after the run the state is another than within it
    whole = (tmp_path / "checkpoint_3.pt").stat().st_size
    for limit in (size, whole - 1 - size):
        with file_size_limit(limit), pytest.raises(OSError, match="File too large"):
            checkpoint(trainer)
        assert_whole(tmp_path, last=3)


@both
def test_a_run_goes_on_once_there_is_room(tmp_path: Path, asynchronous: bool) -> None:
    """Resumed, it saves what did not fit and removes what is too old."""
    trainer, growing, _ = training(tmp_path, asynchronous=asynchronous)
    grow_at(trainer, growing, 4)
    with file_size_limit(), pytest.raises(OSError, match="File too large"):
        trainer.run(range(10))
    resumed, growing, checkpoint = training(tmp_path, asynchronous=asynchronous)
    checkpoint.resume_from()
    grow_at(resumed, growing, 4)
    resumed.run(range(10))
    assert ["checkpoint_10.pt", "checkpoint_9.pt"] == files(tmp_path)
    assert LIMIT == len(read(tmp_path / "checkpoint_10.pt")["growing"]["values"])


@both
def test_a_handler_can_let_the_run_end_in_order(tmp_path: Path, asynchronous: bool) -> None:
    """The failure is announced like any other exception."""
    trainer, growing, _ = training(tmp_path, asynchronous=asynchronous)
    grow_at(trainer, growing, 4)
    heard: list[BaseException] = []
    trainer.add_event_handler(Events.EXCEPTION_RAISED, lambda error: heard.append(error))
    with file_size_limit():
        trainer.run(range(10))
    assert ["OSError"] == [type(error).__name__ for error in heard]
    assert "failed" == trainer.state.stop_reason
    assert_whole(tmp_path, last=3)


# A disk that is full, a small one of its own

FULL = """
import errno
import shutil
import sys
from pathlib import Path

root, folder = sys.argv[1], Path(sys.argv[2])
sys.path[:0] = [root, root + "/tests/handlers"]
from test_full_disk import assert_whole, grow_at, training

for asynchronous in (False, True):
    trainer, growing, _ = training(folder / "checkpoints", asynchronous=asynchronous)
    grow_at(trainer, growing, 4)
    try:
        trainer.run(range(10))
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
        assert any("checkpoint_4.pt" in note for note in error.__notes__)
    else:
        raise AssertionError("the disk is not full")
    assert_whole(folder / "checkpoints", last=3)
    shutil.rmtree(folder / "checkpoints")
print("as it should be")
"""


def test_the_same_on_a_disk_that_is_full(tmp_path: Path) -> None:
    """A file system in memory of a megabyte, which only a process of its own sees."""
    inside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = f'mount -t tmpfs -o size={LIMIT} none "$0"'
    try:
        subprocess.run([*inside, mount, str(tmp_path)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this system lets nobody mount a file system")
    program = [sys.executable, "-W", "error", "-c", FULL, str(ROOT), str(tmp_path)]
    command = [*inside, f'{mount} && exec "$@"', str(tmp_path), *program]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert (0, "as it should be\n") == (ended.returncode, ended.stdout), ended.stderr
    assert [] == files(tmp_path)


# A folder that cannot be written to


@pytest.fixture
def unwritable() -> Iterator[Path]:
    """A folder with two checkpoints, which may be read and not changed; not in tmp_path, which is closed to others."""
    with tempfile.TemporaryDirectory() as above:
        folder = Path(above) / "checkpoints"
        trainer, _, _ = training(folder)
        trainer.run(range(3))
        for path in (folder.parent, folder):
            path.chmod(0o555)
        yield folder
        for path in (folder.parent, folder):
            path.chmod(0o755)


@both
def test_a_folder_that_cannot_be_written_to_any_more_keeps_its_files(unwritable: Path, asynchronous: bool) -> None:
    """The error names the checkpoint that was not written."""
    unwritable.chmod(0o755)
    trainer, _, checkpoint = training(unwritable, asynchronous=asynchronous)
    checkpoint.resume_from()
    unwritable.chmod(0o555)
    with no_privileges(), pytest.raises(PermissionError) as raised:
        trainer.run(range(3), max_epochs=2)
    assert any("checkpoint_4.pt" in note for note in raised.value.__notes__)
    assert_whole(unwritable, last=3)


def test_one_that_cannot_be_written_to_from_the_beginning_is_refused(unwritable: Path) -> None:
    """Before the training begins."""
    with no_privileges(), pytest.raises(PermissionError, match=f"written to, got '{unwritable}'"):
        DiskSaver(unwritable, require_empty=False)
    assert_whole(unwritable, last=3)


def test_one_that_cannot_be_made_is_refused(unwritable: Path) -> None:
    """The error names the folder; nothing is made."""
    other = unwritable.parent / "other" / "checkpoints"
    with no_privileges(), pytest.raises(PermissionError, match=str(other.parent)):
        DiskSaver(other)
    assert ["checkpoints"] == files(unwritable.parent)


def test_who_may_read_a_folder_may_resume_from_it(unwritable: Path) -> None:
    """Loading writes nothing."""
    growing, trainer = Growing(), Engine(lambda engine, batch: None)
    with no_privileges(), pytest.warns(UserWarning, match="Checkpoint"):  # that the trainer has none
        found = resume_from(unwritable, {"growing": growing, "trainer": trainer})
    assert unwritable / "checkpoint_3.pt" == found
    assert 3 == trainer.state.iteration
    assert_whole(unwritable, last=3)


@both
def test_a_folder_that_is_gone_is_an_error(tmp_path: Path, asynchronous: bool) -> None:
    """It is not made again: whoever removed it during the run may have meant it."""
    folder = tmp_path / "checkpoints"
    trainer, _, _ = training(folder, asynchronous=asynchronous)

    def move() -> None:
        folder.rename(tmp_path / "moved")

    trainer.add_event_handler(Events.ITERATION_STARTED(once=4), move)
    with pytest.raises(FileNotFoundError) as raised:
        trainer.run(range(10))
    assert any("checkpoint_" in note for note in raised.value.__notes__)
    assert not folder.exists()


@both
def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path, asynchronous: bool) -> None:
    """The file stays as it is."""
    folder = tmp_path / "checkpoints"
    trainer, _, _ = training(folder, asynchronous=asynchronous)

    def replace() -> None:
        folder.rename(tmp_path / "moved")
        folder.write_text("a file")

    trainer.add_event_handler(Events.EPOCH_STARTED(once=2), replace)
    # A write that was under way in the background may find the folder gone, and not yet the file.
    with pytest.raises((NotADirectoryError, FileNotFoundError)) as raised:
        trainer.run(range(3), max_epochs=3)
    assert any("checkpoint_" in note for note in raised.value.__notes__)
    assert "a file" == folder.read_text()
