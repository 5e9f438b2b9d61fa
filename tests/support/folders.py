"""Folders that tests compare before and after, and that other users are kept out of."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["as_ordinary_user", "contents", "reachable_folder"]


def contents(folder: Path) -> dict[str, tuple[bytes | None, int]]:
    """Return names, contents and times of all that is in a folder."""
    return {
        str(path.relative_to(folder)): (path.read_bytes() if path.is_file() else None, path.lstat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }


@contextlib.contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Be somebody whom permissions hold back, where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@contextlib.contextmanager
def reachable_folder() -> Iterator[Path]:
    """Give a folder that an ordinary user can reach, as `tmp_path` is not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)
