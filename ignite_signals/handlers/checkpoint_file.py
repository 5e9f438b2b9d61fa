"""A checkpoint file is either whole or not there, and tells whether it is what was written.

It is what `torch.save` writes, so `torch.load` reads it; time and checksum lie in the comment that ends a zip archive.
"""

from __future__ import annotations

import errno
import os
import pickle
import re
import secrets
import stat
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import attrs
import torch

from ignite_signals.exceptions import DamagedCheckpointError
from ignite_signals.handlers.loadable import check_loadable

try:
    import fcntl
except ImportError:  # Windows, where nobody can tell whether a temporary file is still being written
    fcntl = None  # type: ignore[assignment]

__all__ = ["read", "remove_left_over", "saved_at", "write"]

_HEADER = b"ignite_signals checkpoint, %020d ns, crc32 "
_TRAILER = re.compile(rb"(ignite_signals checkpoint, (\d{20}) ns, crc32 )([0-9a-f]{8})")
_TRAILER_LENGTH = len(_HEADER % 0) + 8
# How the record that ends a zip archive begins; its last two bytes are the length of the comment after it.
_END, _END_LENGTH = b"PK\x05\x06", 22
_COMMENT_LENGTH = _TRAILER_LENGTH.to_bytes(2, "little")
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
_PIECE = 1 << 22


# Writing


def write(checkpoint: Any, path: Path, atomic: bool = True, **kwargs: Any) -> None:
    """Write a checkpoint with `torch.save`, such that `path` is the old file or the new one at every moment.

    The file is written beside its place, flushed to the disk and moved; then the folder is flushed.

    Args:
        checkpoint: tensors and plain data.
        path: where to write.
        atomic: False to write in place, where a file system cannot move files; then a failure loses the old file.
        kwargs: for `torch.save`.

    Raises:
        TypeError: the checkpoint holds what loading would refuse; no file is touched.
        OSError: the disk is full, or the folder cannot be written to; no new file is left.
    """
    try:
        check_loadable(checkpoint, kwargs)
        _check_place(path)
        _learn_times(path.parent)
        _place(checkpoint, path, _beside(path) if atomic else path, kwargs)
    except BaseException as error:
        error.add_note(f"while the checkpoint {path} was written")
        raise


def _check_place(path: Path) -> None:
    """Refuse what no file can be moved to, before all is written: a folder, or a name that is too long."""
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(path.lstat().st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))


def _beside(path: Path) -> Path:
    """Return a name for a temporary file, which is no longer than names may be."""
    return path.with_name(f".{path.name[:50]}.{secrets.token_hex(4)}.tmp")


def _place(checkpoint: Any, path: Path, written: Path, kwargs: Mapping[str, Any]) -> None:
    """Write a file and move it into its place."""
    with written.open("wb" if written == path else "xb") as file:
        try:
            _lock(file)
            _write(checkpoint, file, path.parent, kwargs)
            file.flush()
            os.fsync(file.fileno())
            if os.name == "nt":
                file.close()  # Windows does not move an open file
            if written != path:
                written.replace(path)
        except BaseException:
            with suppress(OSError):
                file.close()
            with suppress(OSError):
                written.unlink()
            raise
    _flush_folder(path.parent)


def _write(checkpoint: Any, file: IO[bytes], folder: Path, kwargs: Mapping[str, Any]) -> None:
    """Write the checkpoint, then its time and the checksum of both as the comment of the archive."""
    summing = _Summing(file)
    torch.save(checkpoint, summing, **kwargs)  # type: ignore[arg-type]  # it writes, and needs no more
    summing.check()
    file.seek(-2, os.SEEK_END)
    header = _HEADER % _time_of_newest(folder)
    file.write(_COMMENT_LENGTH + header + b"%08x" % zlib.crc32(header, summing.sum))


# The newest time in each folder that this process has written to.
_NEWEST: dict[Path, int] = {}
_NEWEST_LOCK = threading.Lock()
_LATEST = 10**20 - 1  # that a trailer has room for


def _learn_times(folder: Path) -> None:
    """Learn the newest time of a folder's checkpoints, before the first one is written."""
    folder = folder.resolve()
    if folder not in _NEWEST:
        newest = max(_times(folder), default=0)
        with _NEWEST_LOCK:
            _NEWEST[folder] = max(newest, _NEWEST.get(folder, 0))


def _times(folder: Path) -> Iterator[int]:
    with suppress(OSError):
        for path in folder.iterdir():
            if path.suffix == ".pt":
                with suppress(OSError, ValueError):
                    found = saved_at(path)
                    if found < _LATEST:  # else it is damaged
                        yield found


def _time_of_newest(folder: Path) -> int:
    """Return a time for a file that is later than those of all others in its folder.

    It is the clock's, unless that was put back, or is behind that of the machine that wrote the others.
    """
    folder = folder.resolve()
    with _NEWEST_LOCK:
        _NEWEST[folder] = min(_LATEST, max(time.time_ns(), _NEWEST[folder] + 1))
        return _NEWEST[folder]


class _Summing:
    """Pass on to a file what is written, and take its checksum on the way.

    An error is kept until all is written, because torch's writer in C++ may hide it behind one of its own.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._error: OSError | None = None
        self.sum = 0

    def write(self, data: bytes) -> int:
        if self._error is None:
            try:
                self._file.write(data)
            except OSError as error:
                self._error = error
        self.sum = zlib.crc32(data, self.sum)
        return len(data)

    def flush(self) -> None:
        """Leave it to the one who opened the file."""

    def check(self) -> None:
        if self._error is not None:
            raise self._error


def _lock(file: IO[bytes]) -> None:
    """Show others that the file is being written; the lock goes with the process, however it ends."""
    if fcntl is not None:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def remove_left_over(folder: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote."""
    if fcntl is None:
        return  # type: ignore[unreachable]  # Windows
    for path in folder.glob(".*.tmp"):
        if _TEMPORARY.fullmatch(path.name) and path.is_file():
            with suppress(OSError), path.open("rb") as file:
                # Who has just opened it may be about to lock it: so young a file is let alone.
                if abs(time.time() - os.fstat(file.fileno()).st_mtime) > 1:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails where somebody writes it
                    path.unlink()


def _flush_folder(folder: Path) -> None:
    """Let the folder's entries survive a loss of power, too."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot
            raise
    finally:
        os.close(descriptor)


# Reading


def read(path: Path, map_location: Any = "cpu") -> Any:
    """Load a checkpoint whose checksum is right, and that holds tensors and plain data alone.

    Raises:
        OSError: there is no such file, or it cannot be read.
        ValueError: it is no file but a folder or a pipe.
        DamagedCheckpointError: it is cut short, or changed.
        pickle.UnpicklingError: it holds what might run code.
    """
    with _open(path) as file:
        verified = _verify(file, path)
        file.seek(0)
        try:
            return torch.load(file, map_location=map_location, weights_only=True)
        except MemoryError:
            raise
        except Exception as error:
            refused = _refused(error)
            if isinstance(error, pickle.UnpicklingError) and (verified or refused):
                raise pickle.UnpicklingError(
                    f"{path} holds {refused or 'more than tensors and plain data'}, which might run code when it is "
                    "loaded: such a checkpoint is refused; load it yourself with torch.load if you trust where it is "
                    "from"
                ) from None
            reason = str(error) or f"it is cut short ({error!r})"
            raise DamagedCheckpointError(f"{path} cannot be read: {reason}") from error


def _refused(error: Exception) -> str | None:
    """Return the name of what torch refused to load."""
    found = re.search(r"GLOBAL ([\w.]+)|add_safe_globals`,? but got <class '([\w.]+)'", str(error))
    return found and (found[1] or found[2])


def saved_at(path: Path) -> int:
    """Return when a checkpoint was written, in nanoseconds: from the file, which may have been copied since.

    It is later than that of each checkpoint that was in the folder then, even if the clock had been put back.
    """
    with _open(path) as file:
        trailer = _Trailer.of(file)
        return os.fstat(file.fileno()).st_mtime_ns if trailer is None else trailer.time


def _open(path: Path) -> IO[bytes]:
    if path.exists() and not path.is_file():  # a pipe would keep us waiting
        raise ValueError(f"checkpoint must be a file, got {str(path)!r}, which is a folder or a device")
    return path.open("rb")


def _verify(file: IO[bytes], path: Path) -> bool:
    """Read a file and compare its checksum, or those within an archive that has none of ours.

    Returns:
        whether there was one: the files of old versions of torch have none.

    Raises:
        DamagedCheckpointError: it is not what was written.
    """
    if file.seek(0, os.SEEK_END) == 0:
        raise DamagedCheckpointError(f"{path} is empty: writing it was cut short, or it is no checkpoint")
    trailer = _Trailer.of(file)
    if trailer is None:
        return _verify_archive(file, path)
    if trailer.sum != _sum(file, trailer):
        raise DamagedCheckpointError(f"{path} is damaged: its checksum is not that of its content")
    return True


@attrs.frozen
class _Trailer:
    """What a file says of itself at its end."""

    header: bytes
    time: int
    sum: int
    length: int  # of what is before it

    @classmethod
    def of(cls, file: IO[bytes]) -> _Trailer | None:
        """Read a file's trailer; None where there is none."""
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TRAILER_LENGTH))
        found = _TRAILER.fullmatch(file.read())
        return None if found is None else cls(found[1], int(found[2]), int(found[3], 16), size - _TRAILER_LENGTH)


def _sum(file: IO[bytes], trailer: _Trailer) -> int | None:
    """Return the checksum of a file as it was before the trailer, and of the trailer's header; None of no archive."""
    file.seek(max(0, trailer.length - _END_LENGTH))
    end = file.read(min(trailer.length, _END_LENGTH))
    if not (end.startswith(_END) and end.endswith(_COMMENT_LENGTH)):
        return None
    found, left = 0, trailer.length - 2
    file.seek(0)
    while left > 0 and (piece := file.read(min(_PIECE, left))):
        found = zlib.crc32(piece, found)
        left -= len(piece)
    return zlib.crc32(b"\0\0" + trailer.header, found)


def _verify_archive(file: IO[bytes], path: Path) -> bool:
    """Compare the checksums within an archive, such as one that `torch.save` wrote, and tell whether there are any."""
    file.seek(0)
    if file.read(2) != b"PK":
        return False
    try:
        with zipfile.ZipFile(file) as archive:
            has_sums = any(entry.CRC for entry in archive.infolist())  # torch can be told to leave them out
            damaged = has_sums and archive.testzip() is not None
    except Exception as error:
        raise DamagedCheckpointError(f"{path} is damaged or cut short: {error}") from error
    file.seek(-2, os.SEEK_END)
    if damaged or file.read() != b"\0\0":  # or a comment, which was ours, is at the end
        raise DamagedCheckpointError(f"{path} is damaged or cut short: its checksum is wrong")
    return has_sums
