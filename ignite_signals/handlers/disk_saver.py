"""Save handlers say where checkpoints go: DiskSaver, into a folder."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite_signals.distributed import get_rank
from ignite_signals.engine.integers import integer
from ignite_signals.handlers import checkpoint_file
from ignite_signals.handlers.loadable import check_options

__all__ = ["BaseSaveHandler", "DiskSaver"]


class BaseSaveHandler(ABC):
    """Take checkpoints to where they are kept: subclass it for a store of your own.

    A `Checkpoint` calls it on one process, and removes an old checkpoint only after the new one was taken.

    >>> class InMemory(BaseSaveHandler):
    ...     def __init__(self):
    ...         self.kept = {}
    ...
    ...     def __call__(self, checkpoint, filename, metadata=None):
    ...         self.kept[filename] = checkpoint
    ...
    ...     def remove(self, filename):
    ...         del self.kept[filename]
    """

    @abstractmethod
    def __call__(self, checkpoint: Any, filename: str, metadata: Mapping[str, Any] | None = None) -> None:
        """Keep a checkpoint.

        Args:
            checkpoint: what to keep, tensors and plain data.
            filename: its name.
            metadata: `basename`, the name without score and step; `score_name`; `priority`, the score or the step.
        """

    @abstractmethod
    def remove(self, filename: str) -> None:
        """Give up a checkpoint that was kept."""


class DiskSaver(BaseSaveHandler):
    """Write checkpoints into a folder, such that no moment is without a whole one.

    A file is written beside its place, flushed to the disk and moved into its place in one step, and the folder is
    flushed; whoever looks finds the old file or the new one. It carries a checksum that `Checkpoint.load_objects` and
    `resume_from` verify. What a killed process left half written is removed at the first save.

    Args:
        dirname: the folder. A relative one is where the program was when it made this saver.
        atomic: False to write in place, for file systems that cannot move a file; then a failure may lose a file of
            the same name.
        create_dir: make the folder if it is not there.
        require_empty: refuse a folder that has checkpoints, files that end in `.pt`, so that two programs do not
            mix theirs. A program that resumes gives False.
        save_on_rank: the process that saves, of several.
        prefix: let `require_empty` refuse only checkpoints whose names begin so.
        kwargs: passed on to `torch.save`.

    Attributes:
        dirname: the folder, as an absolute path.

    Raises:
        TypeError: `dirname` is no path, or `torch.save` does not take one of `kwargs`.
        ValueError: the folder is missing, a file, or not empty, or with `kwargs` nothing could be loaded.
        PermissionError: it cannot be written to.

    >>> import os, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> saver = DiskSaver(folder.name)
    >>> saver({"epoch": 3}, "checkpoint_3.pt")
    >>> os.listdir(folder.name)
    ['checkpoint_3.pt']
    >>> saver.remove("checkpoint_3.pt")
    >>> folder.cleanup()
    """

    def __init__(
        self,
        dirname: str | os.PathLike[str],
        atomic: bool = True,
        create_dir: bool = True,
        require_empty: bool = True,
        save_on_rank: int = 0,
        *,
        prefix: str = "",
        **kwargs: Any,
    ) -> None:
        if not isinstance(dirname, str | os.PathLike):
            raise TypeError(f"dirname must be the path of a folder, got {dirname!r}")
        if dirname == "":
            raise ValueError("dirname must be the path of a folder, got '': give '.' for the one of the program")
        check_options(kwargs)
        # Absolute, because the program may change its folder.
        self.dirname = Path(dirname).expanduser().absolute()
        self._atomic = atomic
        self.save_on_rank = integer("save_on_rank", save_on_rank, 0)
        self.kwargs = kwargs
        self._has_cleaned = False
        if get_rank() == self.save_on_rank:
            _check_folder(self.dirname, create_dir)
            if require_empty:
                _check_empty(self.dirname, prefix)
            _make(self.dirname)

    def __call__(self, checkpoint: Any, filename: str, metadata: Mapping[str, Any] | None = None) -> None:
        """Write a checkpoint; on the process that saves.

        Raises:
            ValueError: `filename` is no name of a file in this folder.
            TypeError: the checkpoint holds what loading would refuse.
            OSError: the disk is full, or the folder gone; the files that are there stay as they are.
        """
        path = self._path(filename)
        if get_rank() != self.save_on_rank:
            return
        if not self._has_cleaned:
            checkpoint_file.remove_left_over(self.dirname)
            self._has_cleaned = True
        checkpoint_file.write(checkpoint, path, self._atomic, **self.kwargs)

    def remove(self, filename: str) -> None:
        """Delete a file, unless it is gone already."""
        if get_rank() == self.save_on_rank:
            self._path(filename).unlink(missing_ok=True)

    def _path(self, filename: str) -> Path:
        check_file_name("filename", filename)
        if not filename:
            raise ValueError("filename must be the name of a file, got ''")
        return self.dirname / filename

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.dirname)!r})"


def check_file_name(argument: str, name: str) -> None:
    """Refuse what cannot be part of the name of a file in a folder."""
    if not isinstance(name, str):
        raise TypeError(f"{argument} must be a string, got {name!r}")
    if {"/", "\\", "\0"} & set(name) or name in (".", ".."):
        raise ValueError(f"{argument} must be part of a file's name, without separators of paths, got {name!r}")


def _check_empty(folder: Path, prefix: str) -> None:
    """Refuse a folder with checkpoints whose names begin with a prefix."""
    if not folder.exists():
        return
    # `iterdir` fails where the folder cannot be read; `glob` would find nothing.
    names = (path.name for path in folder.iterdir() if path.suffix == ".pt" and not path.is_dir())
    found = sorted(name for name in names if name.startswith(prefix))
    if found:
        shown = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
        raise ValueError(
            f"dirname must be a folder without checkpoints, got {str(folder)!r} with {shown}; give another folder, or "
            "require_empty=False to resume from these"
        )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"dirname must be a folder that can be made: {error.strerror}"
        raise type(error)(error.errno, reason, str(folder)) from error


def _check_folder(folder: Path, create: bool) -> None:
    """Refuse a folder that cannot be one; nothing is made yet."""
    for there in (folder, *folder.parents):
        if os.path.lexists(there):
            break
    if not there.is_dir():
        raise ValueError(f"dirname must be a folder, got {str(folder)!r}, where {str(there)!r} is no folder")
    if there != folder and not create:
        raise ValueError(f"dirname must be there with create_dir=False, got {str(folder)!r}; make it before")
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        raise PermissionError(f"dirname must be a folder that can be read and written to, got {str(folder)!r}")
