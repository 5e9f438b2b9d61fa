"""A ReproducibleBatchSampler draws the order of a pass at its beginning, and gives its batches from any one on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import BatchSampler, DataLoader, get_worker_info

from ignite_signals.engine.integers import integer
from ignite_signals.engine.limits import data_length
from ignite_signals.utils import manual_seed

__all__ = [
    "SEEDS",
    "ReproducibleBatchSampler",
    "SeededBatch",
    "batch_seed",
    "has_state",
    "reproducible",
    "take_over",
    "update_dataloader",
]

# Seeds are smaller, which NumPy asks for.
SEEDS = 2**32


class ReproducibleBatchSampler(BatchSampler):
    """Draw all batches of a pass at its beginning, and give them from any one on.

    What was drawn does not depend on random numbers that are used while the pass is on, and to leave out batches
    does not load them. In the workers of a `DataLoader` each batch sets the seeds, so that what they draw, such as
    augmentations, depends on the pass and the batch alone.

    Args:
        batch_sampler: what gives lists of indices.
        start_iteration: how many batches the next pass leaves out; later passes are whole.

    Attributes:
        batch_sampler: as given.
        start_iteration: may be set before a pass; None at its beginning.
        batch_indices: the batches of the pass.

    Raises:
        TypeError: `batch_sampler` is neither a `BatchSampler` nor an iterable with a length.

    >>> from torch.utils.data import BatchSampler
    >>> sampler = ReproducibleBatchSampler(BatchSampler(range(6), 2, drop_last=False), start_iteration=1)
    >>> list(sampler), list(sampler)
    ([[2, 3], [4, 5]], [[0, 1], [2, 3], [4, 5]])
    """

    def __init__(self, batch_sampler: Any, start_iteration: int | None = None) -> None:
        if not _is_batch_sampler(batch_sampler):
            raise TypeError(
                f"batch_sampler must be a BatchSampler, or an iterable of batches with a length, got {batch_sampler!r}"
            )
        self.batch_sampler = batch_sampler
        self.start_iteration = (
            start_iteration if start_iteration is None else integer("start_iteration", start_iteration, 0)
        )
        self.batch_indices: list[Any] = []
        self.sampler = getattr(batch_sampler, "sampler", batch_sampler)
        self.batch_size = getattr(batch_sampler, "batch_size", None)  # type: ignore[assignment]
        self.drop_last = getattr(batch_sampler, "drop_last", False)
        self._drawn = False

    def setup_batch_indices(self) -> None:
        """Draw the batches of a pass."""
        seed = torch.initial_seed()
        batches = [SeededBatch(indices, batch_seed(seed, n)) for n, indices in enumerate(self.batch_sampler)]
        self.batch_indices = batches[self.start_iteration or 0 :]
        self.start_iteration = None

    def draw(self) -> None:
        """Draw the batches of the pass that has begun, unless they are drawn."""
        if not self._drawn:
            self._drawn = True
            self.setup_batch_indices()

    def __iter__(self) -> Iterator[list[int]]:
        """Give the batches, which are drawn when the first one is asked for, as other samplers do."""
        self._drawn = False
        return self._batches()

    def _batches(self) -> Iterator[list[int]]:
        self.draw()
        yield from self.batch_indices

    def __len__(self) -> int:
        """Return how many batches a whole pass has."""
        return len(self.batch_sampler)


class SeededBatch(list[Any]):
    """Indices that set the seeds when they arrive in a worker of a DataLoader.

    A worker's random numbers would else depend on how many batches it has made, which a resumed run does not know.
    """

    __slots__ = ("_seed",)

    def __init__(self, indices: Iterable[Any], seed: int) -> None:
        super().__init__(indices)
        self._seed = seed

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (self[:], self._seed)


def batch_seed(seed: int, number: int) -> int:
    """Return the seed for what a worker draws for a batch, of the seed of the pass."""
    return (seed + 1_000_003 * number) % SEEDS


def _arrived(indices: list[Any], seed: int) -> SeededBatch:
    if get_worker_info() is not None:
        manual_seed(seed)
    return SeededBatch(indices, seed)


def _is_batch_sampler(sampler: object) -> bool:
    return isinstance(sampler, BatchSampler) or (hasattr(sampler, "__iter__") and hasattr(sampler, "__len__"))


def update_dataloader(dataloader: DataLoader[Any], new_batch_sampler: Any) -> DataLoader[Any]:
    """Return a DataLoader like another one, with another batch sampler.

    Args:
        dataloader: stays as it is.
        new_batch_sampler: gives lists of indices.

    Raises:
        ValueError: the data loader makes no batches by indices.

    >>> loader = DataLoader(range(4), batch_size=2)
    >>> loader = update_dataloader(loader, ReproducibleBatchSampler(loader.batch_sampler, start_iteration=1))
    >>> list(loader)
    [tensor([2, 3])]
    """
    if dataloader.batch_sampler is None:
        raise ValueError(f"dataloader must have a batch sampler to be replaced, got {dataloader!r} without one")
    # A copy, because a subclass may be made of other arguments; a DataLoader refuses to have its sampler set.
    updated = object.__new__(type(dataloader))
    updated.__dict__ |= dataloader.__dict__ | {"batch_sampler": new_batch_sampler, "_iterator": None}
    return updated


def has_state(data: Any) -> bool:
    """Tell whether data says where it is, and can be brought back there."""
    return callable(getattr(data, "state_dict", None)) and callable(getattr(data, "load_state_dict", None))


def reproducible(data: Any, current: Any) -> Any:
    """Return data whose order can be drawn again, which is the current data where that was made of it.

    Data with a state of its own is left as it is: its owner may save that state, too.
    """
    if not isinstance(data, DataLoader) or has_state(data):
        return data
    if isinstance(data.batch_sampler, ReproducibleBatchSampler):
        return data
    if getattr(current, "_made_reproducible_of", None) is data:
        return current  # with its workers, where these persist
    if data_length(data.batch_sampler) is None:  # none, or one without an end, such as that of a stream
        return data
    updated = update_dataloader(data, ReproducibleBatchSampler(data.batch_sampler))
    updated.__dict__ |= {"_made_reproducible_of": data, "_as_it_was": _attributes(data)}
    return updated


def take_over(data: Any) -> None:
    """Give data that was made reproducible the attributes that were set on the original since."""
    if not isinstance(data, DataLoader) or "_made_reproducible_of" not in data.__dict__:
        return
    known = data.__dict__["_as_it_was"]
    for name, value in _attributes(data.__dict__["_made_reproducible_of"]).items():
        if name not in known or known[name] is not value:
            data.__dict__[name] = known[name] = value


def _attributes(data: DataLoader[Any]) -> dict[str, Any]:
    """Return what a loader and one that was made of it have in common."""
    return {name: value for name, value in data.__dict__.items() if name not in ("batch_sampler", "_iterator")}
