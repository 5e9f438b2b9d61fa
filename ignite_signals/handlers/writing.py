"""Writing gives a checkpoint to its save handler, and then has the old ones removed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import attrs

from ignite_signals.engine.callables import Parameters, check_callable, described
from ignite_signals.handlers.disk_saver import DiskSaver
from ignite_signals.handlers.kept import Item

__all__ = ["SaveHandler", "Unremoved", "Write", "made_save_handler"]

SaveHandler: TypeAlias = Callable[..., Any]


@attrs.frozen
class Unremoved:
    """An old checkpoint that could not be removed."""

    item: Item
    error: Exception

    def __str__(self) -> str:
        return f"{self.item.filename} is superseded, but cannot be removed: {self.error!r}; the next save tries again"


@attrs.frozen
class Write:
    """Write a checkpoint, and when it is in its place remove those that it supersedes; maybe in a thread."""

    save_handler: SaveHandler
    checkpoint: Any
    filename: str
    metadata: Mapping[str, Any]
    superseded: list[Item]

    def __call__(self) -> list[Unremoved]:
        """Return what could not be removed, which is no reason to end a training."""
        try:
            if _takes_metadata(self.save_handler):
                self.save_handler(self.checkpoint, self.filename, self.metadata)
            else:
                self.save_handler(self.checkpoint, self.filename)
        except BaseException as error:
            error.add_note(f"the checkpoint {self.filename} was not saved")
            raise
        return self.remove(self.save_handler, self.superseded)

    @staticmethod
    def remove(save_handler: SaveHandler, superseded: list[Item]) -> list[Unremoved]:
        """Remove old checkpoints, and return those that cannot be removed."""
        remove = getattr(save_handler, "remove", None)
        if not callable(remove):  # a plain function keeps all
            return []
        unremoved = []
        for item in superseded:
            try:
                remove(item.filename)
            except Exception as error:  # noqa: BLE001  # of any store
                unremoved.append(Unremoved(item, error))
        return unremoved


def made_save_handler(save_handler: Any, save_on_rank: int) -> SaveHandler:
    """Check what the user gave, and make a `DiskSaver` of a folder.

    Raises:
        TypeError: it can be neither.
        ValueError: it does not take what it would be given, or saves on another rank.
    """
    if isinstance(save_handler, str | os.PathLike):
        return DiskSaver(save_handler, require_empty=False, save_on_rank=save_on_rank)
    if not callable(save_handler):
        raise TypeError(f"save_handler must be a folder, or callable with (checkpoint, filename), got {save_handler!r}")
    check_callable("save_handler", save_handler)
    if not _takes_metadata(save_handler) and not Parameters(save_handler).take((None, ""), {}):
        raise ValueError(f"save_handler must take (checkpoint, filename), got {described(save_handler)}")
    if isinstance(save_handler, DiskSaver) and save_handler.save_on_rank != save_on_rank:
        raise ValueError(
            f"save_on_rank must be that of the save_handler, {save_handler.save_on_rank}, got {save_on_rank}: nobody "
            "would save; give both the same"
        )
    return save_handler  # type: ignore[no-any-return]


def _takes_metadata(save_handler: SaveHandler) -> bool:
    return Parameters(save_handler).take((None, "", {}), {})
