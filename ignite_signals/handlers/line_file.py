"""A log file that grows by whole lines: what a killed process leaves of the last one is cut off by the next."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["LineFile"]


class LineFile:
    """Append lines to a file, so that a process which is killed loses at most the line that it writes.

    The lines of a call are given to the system at once, and nothing is kept in the process. A file that is there is
    continued; what follows its last whole line is cut off, since a process was killed while it wrote that.

    Args:
        path: the file; its folder is made where it is missing.
        beginning: what every such file begins with; where that is a whole line, a new file is given it.
        writes: whether this process writes; where not, nothing is touched.

    Raises:
        TypeError: it is no path.
        ValueError: it is a file that begins otherwise, and stays as it is; or it has a NUL byte.
        OSError: it cannot be written to.
    """

    def __init__(self, path: str | os.PathLike[str], beginning: str, writes: bool) -> None:
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"path must be the path of a file, got {path!r}")
        if "\0" in str(path):
            raise ValueError(f"path must be the path of a file, which has no NUL byte, got {path!r}")
        # Absolute, because the program may change its folder.
        self.path = Path(path).expanduser().absolute()
        self._is_closed = False
        if not writes:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b", buffering=0) as file:
                self._go_on(file, beginning.encode())
        except OSError as error:
            where = repr(os.fspath(path))
            if error.filename is not None and str(error.filename) != str(path):  # its folder
                where += f", at {str(error.filename)!r}"
            message = f"path must be a file that can be written to, got {where}: {_reason(error)}"
            raise OSError(error.errno, message) from error  # which is of the same type

    def _go_on(self, file: BinaryIO, beginning: bytes) -> None:
        file.seek(0)
        found = file.read(len(beginning))
        if not beginning.startswith(found):
            raise ValueError(
                f"path must be a file that begins with {beginning!r}, got {str(self.path)!r} with {found!r}"
            )
        size = _whole(file)
        if size < file.seek(0, os.SEEK_END):
            file.truncate(size)
        if not size and beginning.endswith(b"\n"):
            _write(file, beginning)

    def append(self, lines: Iterable[str]) -> None:
        """Write lines, of which none has a line break inside, or none of them.

        Raises:
            OSError: they cannot be written, on a full disk for example, or the file was removed.
            RuntimeError: the file was closed.
        """
        if self._is_closed:
            raise RuntimeError(f"the log {str(self.path)!r} is closed: make another logger, which goes on in it")
        text = "".join(f"{line}\n" for line in lines)
        if text:
            with self._reopened() as file:
                _write(file, text.encode(errors="backslashreplace"))

    def _reopened(self) -> BinaryIO:
        try:
            return open(self.path, "ab", buffering=0, opener=_existing)
        except OSError as error:
            given, reason = str(self.path), _reason(error)
            message = f"path must be a file that stays as long as it is written to, got {given!r}: {reason}"
            raise OSError(error.errno, f"{message}; another logger begins it anew") from error

    def close(self) -> None:
        """Write no more."""
        self._is_closed = True


def _existing(path: str, flags: int) -> int:
    """Open a file that is there: whoever removed it during the run may have meant it."""
    return os.open(path, flags & ~os.O_CREAT)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _whole(file: BinaryIO) -> int:
    """Return how many bytes of a file its whole lines take up."""
    if not os.fstat(file.fileno()).st_size:
        return 0
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:  # which is read from its end
        return content.rfind(b"\n") + 1


def _write(file: BinaryIO, data: bytes) -> None:
    """Write all, or nothing."""
    size = os.fstat(file.fileno()).st_size
    rest = data
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        with suppress(OSError):
            file.truncate(size)
        raise type(error)(error.errno, error.strerror, file.name) from error
