"""A checkpoint file is either whole or not there, and tells whether it is what was written."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import pickle
import random
import re
import resource
import stat
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ignite_signals.engine import Engine, Events
from ignite_signals.exceptions import DamagedCheckpointError
from ignite_signals.handlers import Checkpoint, checkpoint_file, resume_from
from support.folders import as_ordinary_user, contents, reachable_folder

TINY = {"w": torch.tensor([1.0, 2.0]), "epoch": 3}
# Two bits, the case of a letter, a whole byte.
MASKS = (0x01, 0x80, 0x20, 0xFF)


class RunsCode:
    """Leave a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


def written(path: Path, checkpoint: Any = TINY) -> bytes:
    checkpoint_file.write(checkpoint, path)
    return path.read_bytes()


def sealed(content: bytes) -> bytes:
    """Put our time and checksum on an archive, as who wants to deceive would do."""
    header = checkpoint_file._HEADER % time.time_ns()
    total = checkpoint_file.zlib.crc32(header, checkpoint_file.zlib.crc32(content))
    return content[:-2] + checkpoint_file._COMMENT_LENGTH + header + b"%08x" % total


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def flipped(content: bytes, position: int, mask: int) -> bytes:
    changed = bytearray(content)
    changed[position] ^= mask
    return bytes(changed)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[Any, ...]]:
    """Record what is done to files of `tmp_path`; a temporary file is called TMP, the folder FOLDER."""
    calls: list[tuple[Any, ...]] = []

    def name(path: Any) -> str:
        path = Path(path)
        return "TMP" if path.suffix == ".tmp" else "FOLDER" if path == tmp_path else path.name

    def of_descriptor(descriptor: int) -> tuple[str, int]:
        found = os.fstat(descriptor)
        paths = [tmp_path, *tmp_path.iterdir()]
        return next((name(path), found.st_size) for path in paths if path.stat().st_ino == found.st_ino)

    def recorded(original: Any, describe: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            calls.append(describe(*args))
            return original(*args, **kwargs)

        return call

    def fsync(descriptor: int) -> tuple[str, str]:
        what, size = of_descriptor(descriptor)
        return "fsync", what if what == "FOLDER" else f"{what} of {size > 1000} size"

    monkeypatch.setattr(Path, "open", recorded(Path.open, lambda path, mode="r": (f"open {mode}", name(path))))
    monkeypatch.setattr(os, "fsync", recorded(os.fsync, fsync))
    monkeypatch.setattr(os, "replace", recorded(os.replace, lambda old, new: ("replace", name(old), name(new))))
    monkeypatch.setattr(os, "rename", recorded(os.rename, lambda old, new: ("rename", name(old), name(new))))
    monkeypatch.setattr(os, "unlink", recorded(os.unlink, lambda path, **_: ("remove", name(path))))
    return calls


def test_an_old_file_is_removed_when_the_new_one_is_on_the_disk(calls, tmp_path):
    """Open beside, write, flush, move, flush the folder: only then the old one goes, and nothing else is done."""
    trainer, model = Engine(lambda engine, batch: None), nn.Linear(2, 2)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, Checkpoint({"model": model, "trainer": trainer}, tmp_path))
    trainer.run([0], max_epochs=1)
    first = [
        ("open xb", "TMP"),
        ("fsync", "TMP of True size"),
        ("replace", "TMP", "checkpoint_1.pt"),
        ("fsync", "FOLDER"),
    ]
    assert first == calls
    calls.clear()
    trainer.run([0], max_epochs=2)
    second = [*first[:2], ("replace", "TMP", "checkpoint_2.pt"), ("fsync", "FOLDER"), ("remove", "checkpoint_1.pt")]
    assert second == calls


def test_what_is_flushed_is_the_whole_file(monkeypatch, tmp_path):
    """Nothing is written after the flush, checksum included."""
    flushed = []

    def fsync(descriptor: int) -> None:
        flushed.extend(path.read_bytes() for path in tmp_path.iterdir() if path.suffix == ".tmp")

    monkeypatch.setattr(os, "fsync", fsync)
    content = written(tmp_path / "x.pt")
    assert [content] == flushed


def test_a_file_written_in_place_is_flushed_too(calls, tmp_path):
    """Without `atomic` there is no temporary file and no move."""
    checkpoint_file.write(TINY, tmp_path / "x.pt", atomic=False)
    assert [("open wb", "x.pt"), ("fsync", "x.pt of True size"), ("fsync", "FOLDER")] == calls


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_before_the_move_leaves_the_old_file(step, monkeypatch, tmp_path):
    """An error of the disk leaves the folder as it was, and says which checkpoint it hit."""
    path = tmp_path / "x.pt"
    before = written(path)

    def fail(*args: Any) -> None:
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="broken disk") as caught:
        checkpoint_file.write({"w": torch.zeros(9)}, path)
    assert [f"while the checkpoint {path} was written"] == caught.value.__notes__
    assert (["x.pt"], before) == (names(tmp_path), path.read_bytes())


def test_an_interrupt_leaves_no_file(monkeypatch, tmp_path):
    """Ctrl-C in the middle of writing takes the temporary file away."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        checkpoint_file.write(TINY, tmp_path / "x.pt")
    assert [] == names(tmp_path)


@pytest.mark.parametrize("limit", [0, 500, 5000, 1 << 20])
def test_a_full_disk_is_an_error_of_the_system(limit, tmp_path):
    """The error is the system's own, not one of torch's writer that hides it; the old file stays."""
    path = tmp_path / "x.pt"
    before = written(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            checkpoint_file.write({"w": torch.ones(1 << 20), "small": torch.ones(3)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert errno.EFBIG == caught.value.errno
    assert (["x.pt"], before) == (names(tmp_path), path.read_bytes())


def test_an_error_that_torch_would_hide_is_kept():
    """The first error of writing is raised, and nothing is written after it."""
    tries = []

    class Full:
        def write(self, data: bytes) -> int:
            tries.append(len(data))
            raise OSError(errno.ENOSPC, "no space")

    summing = checkpoint_file._Summing(Full())
    torch.save(TINY, summing)
    with pytest.raises(OSError, match="no space"):
        summing.check()
    assert 1 == len(tries)


def test_a_file_that_cannot_be_opened_in_place_stays():
    """A failure to open an old file for writing does not remove it."""
    with reachable_folder() as folder:
        folder.chmod(0o777)
        before = written(folder / "x.pt")
        (folder / "x.pt").chmod(0o444)
        with as_ordinary_user(), pytest.raises(PermissionError):
            checkpoint_file.write({"w": 1}, folder / "x.pt", atomic=False)
        assert before == (folder / "x.pt").read_bytes()


def test_every_cut_of_a_tiny_file_is_noticed(tmp_path):
    """A file that ends too early is damaged, wherever it ends."""
    content = written(tmp_path / "x.pt")
    path = tmp_path / "cut.pt"
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(DamagedCheckpointError, match=r"cut\.pt"):
            checkpoint_file.read(path)
    path.write_bytes(content)
    assert 3 == checkpoint_file.read(path)["epoch"]


@pytest.mark.parametrize("mask", MASKS)
def test_every_flipped_byte_of_a_tiny_file_is_noticed(mask, tmp_path):
    """A file in which one byte has changed is damaged, wherever that is."""
    content = written(tmp_path / "x.pt")
    path = tmp_path / "flipped.pt"
    for position in range(len(content)):
        path.write_bytes(flipped(content, position, mask))
        with pytest.raises(DamagedCheckpointError, match=r"flipped\.pt"):
            checkpoint_file.read(path)


def test_every_change_of_the_last_bytes_is_noticed(tmp_path):
    """All 255 changes of each byte that carries time, checksum or the end of the archive are noticed."""
    content = written(tmp_path / "x.pt")
    end = len(content) - checkpoint_file._TRAILER_LENGTH - checkpoint_file._END_LENGTH
    changes = [(position, mask) for position in range(end, len(content)) for mask in range(1, 256)]
    missed = [change for change in changes if not is_damaged(flipped(content, *change))]
    assert ([], False) == (missed, is_damaged(content))


def is_damaged(content: bytes) -> bool:
    try:
        checkpoint_file._verify(io.BytesIO(content), Path("x.pt"))
    except DamagedCheckpointError:
        return True
    return False


@pytest.fixture(scope="module")
def real_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    model = nn.Sequential(nn.Linear(500, 400), nn.BatchNorm1d(400), nn.Linear(400, 500))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(4, 500)).sum().backward()
    optimizer.step()
    states = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    return written(tmp_path_factory.mktemp("real") / "x.pt", states)


def test_cuts_and_flips_of_a_real_file_are_noticed(real_file, tmp_path):
    """A sample of places in a file of some megabytes; torch alone would load most of these."""
    assert len(real_file) > 4_000_000
    path, chance = tmp_path / "x.pt", random.Random(0)
    for _ in range(25):
        place = chance.randrange(len(real_file))
        for content in (real_file[:place], flipped(real_file, place, chance.randrange(1, 256))):
            path.write_bytes(content)
            with pytest.raises(DamagedCheckpointError):
                checkpoint_file.read(path)


@pytest.mark.parametrize("damage", ["zeros", "longer", "twice", "swapped"])
def test_other_damages_are_noticed(damage, real_file, tmp_path):
    """A page of zeros, bytes too many, two pages that changed places."""
    page = 4096
    content = {
        "zeros": real_file[: 100 * page] + bytes(page) + real_file[101 * page :],
        "longer": real_file + b"\0",
        "twice": real_file + real_file,
        "swapped": real_file[:page]
        + real_file[2 * page : 3 * page]
        + real_file[page : 2 * page]
        + real_file[3 * page :],
    }[damage]
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    with pytest.raises(DamagedCheckpointError, match=r"checksum is not that of its content|cut short"):
        checkpoint_file.read(path)


@settings(deadline=None, max_examples=100)
@given(edits=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=5))
def test_any_few_changed_bytes_are_noticed(edits, tmp_path_factory):
    """Whatever bytes are changed to whatever else, the file is damaged if it is another one."""
    path = tmp_path_factory.mktemp("edits") / "x.pt"
    content = written(path)
    changed = bytearray(content)
    for position, value in edits:
        changed[position % len(content)] = value
    path.write_bytes(changed)
    if bytes(changed) == content:
        assert 3 == checkpoint_file.read(path)["epoch"]
    else:
        with pytest.raises(DamagedCheckpointError):
            checkpoint_file.read(path)


def test_plain_torch_reads_it(tmp_path):
    """Our files are those of torch.save, with a comment that readers of archives pass over."""
    path = tmp_path / "x.pt"
    content = written(path, {"w": torch.arange(5)})
    for mmap in (False, True):
        assert torch.equal(torch.arange(5), torch.load(path, weights_only=True, mmap=mmap)["w"])
    with zipfile.ZipFile(path) as archive:
        assert (None, True) == (archive.testzip(), content.endswith(archive.comment))


def test_an_archive_of_many_parts_is_verified(tmp_path):
    """An archive whose directory is in the format for large ones (zip64) ends as others do."""
    path = tmp_path / "x.pt"
    content = written(path, [torch.zeros(1) for _ in range(66_000)])
    assert b"PK\x06\x06" in content[-1000:]  # the end of a zip64 archive
    assert [False, True] == [is_damaged(each) for each in (content, flipped(content, len(content) - 200, 1))]


FOREIGN = {
    "an archive": {},
    "the format before archives": {"_use_new_zipfile_serialization": False},
    "a pickle protocol that is given": {"pickle_protocol": 2},
}


@pytest.mark.parametrize("options", FOREIGN.values(), ids=list(FOREIGN))
def test_files_of_plain_torch_are_read(options, tmp_path):
    """What torch.save wrote loads, and is as old as the file."""
    path = tmp_path / "x.pt"
    torch.save(TINY, path, **options)
    os.utime(path, ns=(0, 12345))
    assert (3, 12345) == (checkpoint_file.read(path)["epoch"], checkpoint_file.saved_at(path))


def test_a_foreign_archive_without_checksums_is_read(tmp_path):
    """torch can be told to leave the archive's checksums out; then there is none to be wrong."""
    set_crc32_options = pytest.importorskip("torch.serialization").set_crc32_options
    path = tmp_path / "x.pt"
    set_crc32_options(False)
    try:
        torch.save(TINY, path)
    finally:
        set_crc32_options(True)
    assert 3 == checkpoint_file.read(path)["epoch"]


def test_files_of_ignite_are_read(tmp_path):
    """A checkpoint that Ignite's DiskSaver wrote loads."""
    handlers = pytest.importorskip("ignite.handlers")
    handlers.DiskSaver(str(tmp_path))(TINY, "x.pt")
    assert 3 == checkpoint_file.read(tmp_path / "x.pt")["epoch"]


def test_damage_of_a_foreign_archive_is_noticed(tmp_path):
    """Every cut of what torch.save wrote is damaged; so is every flipped byte of its numbers."""
    path = tmp_path / "x.pt"
    torch.save({"w": torch.full((64,), 7.0)}, path)
    content = path.read_bytes()
    start = content.index(torch.full((64,), 7.0).numpy().tobytes())
    damaged = [content[:length] for length in range(len(content))]
    damaged += [flipped(content, start + position, 1) for position in range(256)]
    for each in damaged:
        path.write_bytes(each)
        with pytest.raises(DamagedCheckpointError):
            checkpoint_file.read(path)


@pytest.mark.parametrize("content", [b"", b"P", b"PK", b"PK\x03\x04", b"hello, world\n" * 9, bytes(1000), b"\x80\x02."])
def test_what_is_no_checkpoint_is_called_damaged(content, tmp_path):
    """An empty file, a text, a page of zeros."""
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    with pytest.raises(DamagedCheckpointError, match=r"x\.pt"):
        checkpoint_file.read(path)


def test_old_format_in_pieces_raises_nothing_else(tmp_path):
    """A file without any checksum may be unreadable in many ways; each is a damage or a refusal."""
    path = tmp_path / "x.pt"
    torch.save(TINY, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    outcomes = set()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        try:
            checkpoint_file.read(path)
        except Exception as error:
            outcomes.add(type(error))
    # A name that is cut in the middle is one that nobody knows.
    assert {DamagedCheckpointError, pickle.UnpicklingError} == outcomes


@pytest.mark.parametrize("form", ["archive", "old format", "with our checksum"])
def test_a_file_that_would_run_code_is_refused(form, tmp_path):
    """Whatever checksum it has, the code does not run, and the error names what it would have called."""
    path = tmp_path / "x.pt"
    torch.save({"model": RunsCode(tmp_path / "trace")}, path, _use_new_zipfile_serialization=form != "old format")
    if form == "with our checksum":
        path.write_bytes(sealed(path.read_bytes()))
    with pytest.raises(pickle.UnpicklingError) as caught:
        checkpoint_file.read(path)
    expected = (
        f"{path} holds {os.mkdir.__module__}.mkdir, which might run code when it is loaded: such a checkpoint is "
        "refused; load it yourself with torch.load if you trust where it is from"
    )
    assert (expected, False) == (str(caught.value), (tmp_path / "trace").exists())


def test_a_protocol_that_torch_does_not_take_is_refused_not_damaged(tmp_path):
    """A whole file of a newer pickle protocol is told from a damaged one."""
    path = tmp_path / "x.pt"
    torch.save({"text": "", "bytes": b"x"}, path, pickle_protocol=4)
    with (
        pytest.warns(UserWarning, match="pickle protocol 4"),
        pytest.raises(pickle.UnpicklingError, match="is refused"),
    ):
        checkpoint_file.read(path)


def test_there_is_no_file(tmp_path):
    """A missing file and a dangling link are missing, a folder and a pipe no files."""
    (tmp_path / "link.pt").symlink_to(tmp_path / "nowhere")
    for name in ("missing.pt", "link.pt"):
        with pytest.raises(FileNotFoundError):
            checkpoint_file.read(tmp_path / name)
    (tmp_path / "folder.pt").mkdir()
    os.mkfifo(tmp_path / "pipe.pt")
    for name in ("folder.pt", "pipe.pt"):
        with pytest.raises(ValueError, match="must be a file") as caught:
            checkpoint_file.read(tmp_path / name)
        path = str(tmp_path / name)
        assert f"checkpoint must be a file, got {path!r}, which is a folder or a device" == str(caught.value)


def test_the_time_is_that_of_writing(tmp_path):
    """The time in the file is not that of the file system, which changes with a copy."""
    path, before = tmp_path / "x.pt", time.time_ns()
    checkpoint_file.write(TINY, path)
    after = time.time_ns()
    os.utime(path, ns=(0, 0))
    assert before <= checkpoint_file.saved_at(path) <= after


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_permissions_follow_the_umask(umask, mode, tmp_path):
    """A checkpoint can be read by those who can read other files of its owner."""
    before = os.umask(umask)
    try:
        checkpoint_file.write(TINY, tmp_path / "x.pt")
    finally:
        os.umask(before)
    assert mode == stat.S_IMODE((tmp_path / "x.pt").stat().st_mode)


LONGEST = ["x" * 252 + ".pt", "ü" * 126 + ".pt", "🔥" * 63 + ".pt"]


@pytest.mark.parametrize("name", LONGEST, ids=["ascii", "two bytes", "four bytes"])
def test_a_name_may_be_as_long_as_the_file_system_allows(name, tmp_path):
    """The temporary file's name is not longer than the longest name; a longer one is an error before writing."""
    assert len(os.fsencode(name)) in (255, 255, 255)
    assert 3 == (written(tmp_path / name) and checkpoint_file.read(tmp_path / name)["epoch"])
    before = contents(tmp_path)
    with pytest.raises(OSError, match="File name too long") as caught:
        checkpoint_file.write(TINY, tmp_path / f"x{name}")
    assert (errno.ENAMETOOLONG, before) == (caught.value.errno, contents(tmp_path))


def test_a_folder_in_its_place_stays(calls, tmp_path):
    """A folder that has the file's name is an error before anything is written."""
    (tmp_path / "x.pt").mkdir()
    with pytest.raises(IsADirectoryError, match=r"x\.pt"):
        checkpoint_file.write(TINY, tmp_path / "x.pt")
    assert (["x.pt"], []) == (names(tmp_path), calls)


def test_a_folder_that_is_gone_is_an_error(tmp_path):
    """Nobody makes the folder anew when somebody has removed it."""
    with pytest.raises(FileNotFoundError) as caught:
        checkpoint_file.write(TINY, tmp_path / "gone" / "x.pt")
    assert [f"while the checkpoint {tmp_path / 'gone' / 'x.pt'} was written"] == caught.value.__notes__


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path):
    """Moving puts the file in the place of a link."""
    (tmp_path / "target").write_text("precious")
    (tmp_path / "x.pt").symlink_to(tmp_path / "target")
    written(tmp_path / "x.pt")
    assert ("precious", False) == ((tmp_path / "target").read_text(), (tmp_path / "x.pt").is_symlink())


# Another process that writes a temporary file, and has locked it.
WRITER = "import fcntl, sys; f = open(sys.argv[1], 'xb'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"


def test_what_a_killed_process_left_is_removed_and_what_a_live_one_writes_is_not(tmp_path):
    """The lock tells: it goes with the process."""
    path = tmp_path / ".checkpoint_3.pt.0123abcd.tmp"
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdin=-1, stdout=-1) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.utime(path, (0, 0))
        checkpoint_file.remove_left_over(tmp_path)
        while_alive = names(tmp_path)
        process.kill()
    checkpoint_file.remove_left_over(tmp_path)
    assert ([path.name], []) == (while_alive, names(tmp_path))


def test_only_old_temporary_files_of_ours_are_removed(tmp_path):
    """Files of others stay, and one so young that its writer may be about to lock it; a clock set back is no reason."""
    others = ["x.pt", ".x.tmp", ".x.pt.0123abcd.tmp2", "x.pt.0123abcd.tmp", ".x.pt.XYZ45678.tmp", ".young.0123abcd.tmp"]
    for name in [*others, ".old.0123abcd.tmp", ".future.0123abcd.tmp"]:
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (0, 0))
    os.utime(tmp_path / ".young.0123abcd.tmp")
    os.utime(tmp_path / ".future.0123abcd.tmp", (time.time() + 9000,) * 2)
    os.mkfifo(tmp_path / ".pipe.0123abcd.tmp")
    checkpoint_file.remove_left_over(tmp_path)
    assert sorted([*others, ".pipe.0123abcd.tmp"]) == names(tmp_path)


def test_a_file_that_is_being_written_is_locked(monkeypatch, tmp_path):
    """Another save that begins meanwhile leaves it alone, however long it takes."""
    original = os.fsync

    def fsync(descriptor: int) -> None:
        for path in tmp_path.glob(".*.tmp"):
            os.utime(path, (0, 0))
        checkpoint_file.remove_left_over(tmp_path)
        original(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert 3 == (written(tmp_path / "x.pt") and checkpoint_file.read(tmp_path / "x.pt")["epoch"])


@pytest.mark.parametrize(("code", "raised"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_a_folder_that_cannot_be_flushed(code, raised, monkeypatch, tmp_path):
    """A file system that does not flush folders is accepted, an error of the disk is not."""
    original = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, "folder")
        original(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="folder") if raised else contextlib.nullcontext():
        checkpoint_file.write(TINY, tmp_path / "x.pt")
    assert 3 == checkpoint_file.read(tmp_path / "x.pt")["epoch"]


def test_without_locks_it_writes_and_removes_nothing(monkeypatch, tmp_path):
    """Where there is no fcntl, as on Windows, what is left over stays."""
    (tmp_path / ".old.0123abcd.tmp").write_bytes(b"")
    os.utime(tmp_path / ".old.0123abcd.tmp", (0, 0))
    monkeypatch.setattr(checkpoint_file, "fcntl", None)
    checkpoint_file.remove_left_over(tmp_path)
    checkpoint_file.write(TINY, tmp_path / "x.pt")
    assert [".old.0123abcd.tmp", "x.pt"] == names(tmp_path)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return what the clock says, as a list of one number; this process has not seen any folder."""
    now = [1000]
    monkeypatch.setattr(checkpoint_file.time, "time_ns", lambda: now[0])
    monkeypatch.setattr(checkpoint_file, "_NEWEST", {})
    return now


@pytest.mark.parametrize("is_new_process", [False, True])
@pytest.mark.parametrize("atomic", [False, True])
def test_time_goes_on_though_the_clock_is_put_back(atomic, is_new_process, clock, tmp_path, monkeypatch):
    """A file is later than all others of its folder, those of another machine too; then the clock is right again."""
    times = []
    for name, clock[0] in (("a", 1000), ("a", 500), ("b", 400), ("b", 1002), ("c", 5000)):
        if is_new_process:
            monkeypatch.setattr(checkpoint_file, "_NEWEST", {})
        checkpoint_file.write(TINY, tmp_path / f"{name}.pt", atomic)
        times.append(checkpoint_file.saved_at(tmp_path / f"{name}.pt"))
    assert [1000, 1001, 1002, 1003, 5000] == times


def test_the_newest_after_the_clock_was_put_back_is_resumed_from(clock, tmp_path, monkeypatch):
    """The one that was written last, though time and number of the first are higher."""
    for number, clock[0] in ((9, 1000), (1, 10)):
        monkeypatch.setattr(checkpoint_file, "_NEWEST", {})
        saved = {"iteration": number, "epoch_length": 1, "max_epochs": 9}
        checkpoint_file.write({"trainer": saved}, tmp_path / f"x_{number}.pt")
    assert tmp_path / "x_1.pt" == resume_from(tmp_path, {"trainer": Engine(lambda engine, batch: None)})


def test_each_folder_is_read_once_and_has_its_own_time(clock, tmp_path, monkeypatch):
    """Whatever path leads to it; other folders and other files are of no account, nor are those that say nonsense."""
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    read = []
    original = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: read.append(path) or original(path))
    archive = io.BytesIO()
    torch.save(TINY, archive)
    for name, when in (("other/x.pt", 3000), ("x.txt", 4000), ("x.pt", 2000), ("damaged.pt", 10**20 - 1)):
        (tmp_path / name).write_bytes(archive.getvalue()[:-2] + trailer(when))
    (tmp_path / "folder.pt").mkdir()
    os.mkfifo(tmp_path / "pipe.pt")
    times = []
    for name in ("y.pt", "link/y.pt", "other/y.pt"):
        checkpoint_file.write(TINY, tmp_path / name)
        times.append(checkpoint_file.saved_at(tmp_path / name))
    assert [2001, 2002, 3001] == times
    assert [tmp_path, tmp_path / "other"] == read


def trailer(when: int) -> bytes:
    return checkpoint_file._COMMENT_LENGTH + checkpoint_file._HEADER % when + b"%08x" % 0


def test_files_of_others_count_by_their_last_change(clock, tmp_path):
    """As they do where the newest is looked for."""
    torch.save(TINY, tmp_path / "theirs.pt")
    os.utime(tmp_path / "theirs.pt", ns=(0, 10**12))
    checkpoint_file.write(TINY, tmp_path / "x.pt")
    assert 10**12 + 1 == checkpoint_file.saved_at(tmp_path / "x.pt")


def test_the_last_time_of_all_still_fits(clock, tmp_path):
    """A time that has no later one is not exceeded, so that the file stays readable."""
    (tmp_path / "x.pt").write_bytes(bytes(99) + trailer(10**20 - 2))
    for _ in range(2):
        checkpoint_file.write(TINY, tmp_path / "y.pt")
    assert (3, 10**20 - 1) == (
        checkpoint_file.read(tmp_path / "y.pt")["epoch"],
        checkpoint_file.saved_at(tmp_path / "y.pt"),
    )


def test_threads_that_write_at_once_give_each_file_its_own_time(clock, tmp_path):
    """Two handlers may write to one folder in the background."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: checkpoint_file.write(TINY, tmp_path / f"{number}.pt"), range(40)))
    assert set(range(1000, 1040)) == {checkpoint_file.saved_at(path) for path in tmp_path.iterdir()}


def test_an_empty_file_is_called_empty(tmp_path):
    """The error gives a reason, where that of torch has none; so does that of an old file of which little is left."""
    (tmp_path / "x.pt").touch()
    torch.save(TINY, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "old.pt").write_bytes((tmp_path / "old.pt").read_bytes()[:1])
    messages = []
    for name in ("x.pt", "old.pt"):
        with pytest.raises(DamagedCheckpointError) as caught:
            checkpoint_file.read(tmp_path / name)
        messages.append(str(caught.value).removeprefix(f"{tmp_path / name} "))
    assert "is empty: writing it was cut short, or it is no checkpoint" == messages[0]
    assert re.fullmatch("cannot be read: .{5,}", messages[1])
