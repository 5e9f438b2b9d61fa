"""A place says where in its epochs a run is, beyond what its state tells."""

from __future__ import annotations

import attrs

from ignite_signals.engine.state import State

__all__ = ["Place", "epochs_and_batches"]


@attrs.define
class Place:
    """Remember what a run needs to go on where it was left, or where its state was saved."""

    # How many batches of its epoch a run that goes on has behind it, and whether the state has counted that epoch.
    position: int = 0
    counted: bool = False
    # Whether the epoch that the state counts is still to be completed, and the iteration before its first.
    is_open: bool = False
    before: int = 0
    # Whether the state was loaded and not moved since.
    is_loaded: bool = False
    # How the end of the epoch was asked for when the state was saved that was loaded.
    ending: bool | str = False
    # Whether a run goes on with the iterator of the one before.
    keeps_iterator: bool = False

    def start_anew(self) -> None:
        """Begin before the first epoch."""
        self.position, self.ending, self.keeps_iterator = 0, False, False

    def open_epoch(self, iteration: int) -> None:
        """Begin an epoch, or go on in it."""
        self.is_open, self.before = True, iteration - self.position

    def close_epoch(self) -> None:
        """Complete the epoch: the next one has had no batches."""
        self.is_open, self.position = False, 0

    def resumes_epoch(self, state: State) -> bool:
        """Tell whether the next epoch is one that was begun before."""
        return self.position > 0 or self.completes_epoch(state)

    def completes_epoch(self, state: State) -> bool:
        """Tell whether the run goes on where an epoch has had its last iteration, and is to be completed."""
        return bool(self.ending) or 0 < self.position == state.epoch_length

    def reached(self, state: State) -> tuple[int, int]:
        """Return how many epochs are complete, and how many batches were taken of the next one."""
        if self.is_open:
            return state.epoch - 1, max(0, state.iteration - self.before)
        return state.epoch, self.position


def epochs_and_batches(iteration: int, length: int | None) -> tuple[int, int]:
    """Return how many epochs are complete after an iteration, and how many batches of the next were taken."""
    return divmod(iteration, length) if length else (0, 0)
