"""ModelCheckpoint: save the objects that are given with the handler, to a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ignite_signals.engine import Engine
from ignite_signals.handlers.checkpoint import Checkpoint
from ignite_signals.handlers.disk_saver import DiskSaver

if TYPE_CHECKING:
    from ignite_signals.engine.events import Event

__all__ = ["ModelCheckpoint"]

# What there is to save before the first call.
_GIVEN_WITH_CALLS: Mapping[str, Any] = {}


class ModelCheckpoint(Checkpoint):
    """Save objects that are given with the handler, to a folder.

    `trainer.add_event_handler(Events.EPOCH_COMPLETED, handler, {"model": model})`. For the rest see `Checkpoint`. The
    handler of an evaluator takes `global_step_from_engine(trainer)`, and so is saved with the trainer from the start.

    Args:
        dirname: the folder.
        filename_prefix: how the names begin.
        atomic, create_dir: as `DiskSaver` has them.
        require_empty: refuse a folder with checkpoints of this prefix.
        kwargs: passed on to `torch.save`.

    The other arguments are those of `Checkpoint`.

    Attributes:
        last_checkpoint: the path of the newest checkpoint, or of the best.

    >>> import tempfile
    >>> from torch import nn
    >>> from ignite_signals import Events
    >>> trainer, folder = Engine(lambda engine, batch: None), tempfile.TemporaryDirectory()
    >>> handler = ModelCheckpoint(folder.name, "net", n_saved=2)
    >>> handle = trainer.add_event_handler(Events.EPOCH_COMPLETED(every=2), handler, {"model": nn.Linear(2, 2)})
    >>> state = trainer.run(range(5), max_epochs=6)
    >>> handler.last_checkpoint.name
    'net_model_30.pt'
    >>> folder.cleanup()
    """

    def __init__(
        self,
        dirname: str | os.PathLike[str],
        filename_prefix: str = "",
        score_function: Callable[[Engine], Any] | None = None,
        score_name: str | None = None,
        n_saved: int | None = 1,
        atomic: bool = True,
        require_empty: bool = True,
        create_dir: bool = True,
        global_step_transform: Callable[[Engine, Event | None], int] | None = None,
        filename_pattern: str | None = None,
        include_self: bool = False,
        greater_or_equal: bool = False,
        save_on_rank: int = 0,
        *,
        archived: bool = False,
        asynchronous: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            _GIVEN_WITH_CALLS,
            _no_folder_yet,
            filename_prefix,
            score_function,
            score_name,
            n_saved,
            global_step_transform,
            filename_pattern,
            include_self,
            greater_or_equal,
            save_on_rank,
            archived=archived,
            asynchronous=asynchronous,
        )
        # Now that the other arguments are found to be right, because this may make a folder.
        self.save_handler = DiskSaver(
            dirname, atomic, create_dir, require_empty, save_on_rank, prefix=filename_prefix, **kwargs
        )

    def __call__(self, engine: Engine, to_save: Mapping[str, Any], **_: Any) -> None:
        """Save objects, unless the score is too low."""
        if to_save is not self.to_save:
            self._check_to_save(to_save)
            self._follow(to_save)
        super().__call__(engine)

    def _check_to_save(self, to_save: Mapping[str, Any]) -> None:
        if to_save is not _GIVEN_WITH_CALLS:
            super()._check_to_save(to_save)


def _no_folder_yet(checkpoint: Any, filename: str) -> None:
    """Stand for the folder while it is not known whether the other arguments are right."""
