"""resume_from: go on from the newest checkpoint that is whole."""

from __future__ import annotations

import logging
import os
import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ignite_signals.engine.limits import stack_level
from ignite_signals.exceptions import DamagedCheckpointError
from ignite_signals.handlers import checkpoint_file, loading

__all__ = ["resume_from"]

_LOGGER = logging.getLogger(__name__)


def resume_from(folder: str | os.PathLike[str], to_load: Mapping[str, Any], **kwargs: Any) -> Path | None:
    """Load the newest checkpoint of a folder that is whole, so that the same command begins and goes on.

    A file that is cut short or changed, or that cannot be read, is passed over with a warning; one of other objects,
    such as the best model beside the last checkpoint, without. The newest is the one that was written last, by what
    the file says: it may have been copied since. Of files that do not say it, it is the one that was changed last.

    Args:
        folder: where the checkpoints are.
        to_load: the objects by name, as they were saved.
        kwargs: passed on to the models, `strict=False` for example.

    Returns:
        the file that was loaded, or None if the folder is not there or has no checkpoint of these objects.

    Raises:
        TypeError: `folder` is no path, or an object has no `load_state_dict`.
        ValueError: `folder` is a file, or the newest whole checkpoint is of other shapes; nothing was changed.
        OSError: the folder cannot be read.

    >>> import tempfile
    >>> from ignite_signals.engine import Engine, Events
    >>> from ignite_signals.handlers import Checkpoint
    >>> folder = tempfile.TemporaryDirectory()
    >>> def train(max_epochs):
    ...     trainer = Engine(lambda engine, batch: None)
    ...     trainer.add_event_handler(Events.EPOCH_COMPLETED, Checkpoint({"trainer": trainer}, folder.name))
    ...     resume_from(folder.name, {"trainer": trainer})
    ...     print("from epoch", trainer.state.epoch)
    ...     trainer.run([0, 1], max_epochs=max_epochs)
    >>> train(2)
    from epoch 0
    >>> train(5)
    from epoch 2
    >>> folder.cleanup()
    """
    if not isinstance(folder, str | os.PathLike):
        raise TypeError(f"folder must be the path of a folder, got {folder!r}")
    return resume_newest(Path(folder).expanduser(), to_load, **kwargs)


def resume_newest(
    folder: Path, to_load: Mapping[str, Any], is_wanted: Callable[[str], object] | None = None, **kwargs: Any
) -> Path | None:
    """Load the newest whole checkpoint among those whose names are wanted; `resume_from` tells the rest."""
    loading.check_objects("to_load", to_load, "load_state_dict")
    if not to_load:
        raise ValueError("to_load must have an object to load, got none: give {'model': model}, for example")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"folder must be a folder, got the file {str(folder)!r}")
    while True:
        try:
            return _resume(folder, to_load, is_wanted or (lambda name: True), kwargs)
        except _VanishedError:
            _LOGGER.debug("a checkpoint of %s was removed meanwhile: looking again for a newer one", folder)


class _VanishedError(Exception):
    """Say that another process has removed a file since the folder was read; so there may be a newer one."""


def _resume(
    folder: Path, to_load: Mapping[str, Any], is_wanted: Callable[[str], object], kwargs: Mapping[str, Any]
) -> Path | None:
    others = []
    for path in _newest_first(folder):
        checkpoint = _read(path) if is_wanted(path.name) else None
        if checkpoint is None:
            continue
        if not _is_of(to_load, checkpoint):
            _LOGGER.info("%s is passed over: it is of other objects", path)
            others.append((path, _content(checkpoint)))
            continue
        try:
            loading.load(to_load, checkpoint, **kwargs)
        except Exception as error:
            error.add_note(f"while {path} was loaded")
            raise
        _LOGGER.info("going on from %s", path)
        return path
    for path, content in others[:1]:  # the training is about to begin anew, and maybe it should not
        warnings.warn(
            f"nothing is loaded: {folder} has checkpoints, but none of {list(to_load)}; the newest, {path.name}, has "
            f"{content}",
            stacklevel=stack_level(),
        )
    return None


def _content(checkpoint: Any) -> str:
    return f"the states {list(checkpoint)}" if isinstance(checkpoint, Mapping) else f"a {type(checkpoint).__name__}"


def _newest_first(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder by their time; of equal ones, number 10 before number 9."""
    found = []
    # `iterdir` fails where the folder cannot be read; `glob` would find nothing.
    for path in folder.iterdir() if folder.exists() else ():
        if path.suffix == ".pt" and path.is_file():
            time = _passed_over_if_unreadable(checkpoint_file.saved_at, path)
            if time is not None:
                found.append((time, _natural(path.name), path))
    return [path for _, _, path in sorted(found, reverse=True)]


def _natural(name: str) -> list[Any]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def _read(path: Path) -> Any:
    """Return a checkpoint, or None where it is damaged or refused, with a warning."""
    return _passed_over_if_unreadable(checkpoint_file.read, path)


def _passed_over_if_unreadable(read: Callable[[Path], Any], path: Path) -> Any:
    try:
        return read(path)
    except FileNotFoundError as error:
        raise _VanishedError from error
    except (OSError, DamagedCheckpointError, pickle.UnpicklingError) as error:
        warnings.warn(f"a checkpoint is passed over: {error}", stacklevel=stack_level())
        return None


def _is_of(to_load: Mapping[str, Any], checkpoint: Any) -> bool:
    """Tell whether a checkpoint is of these objects; that of a single one is its state, with keys like its own."""
    if not isinstance(checkpoint, Mapping):
        return False
    if to_load.keys() <= checkpoint.keys():
        return True
    if len(to_load) > 1:
        return False
    [stateful] = to_load.values()
    return _looks_like(loading.unwrapped(stateful), checkpoint)


def _looks_like(stateful: Any, state: Mapping[str, Any]) -> bool:
    if not callable(getattr(stateful, "state_dict", None)):
        return True
    own = stateful.state_dict()
    return isinstance(own, Mapping) and (bool(own.keys() & state.keys()) or not (own or state))
