"""torchdata's StatefulDataLoader goes on exactly: its workers seed themselves for each batch.

It saves where its sampler is, but not the random numbers that workers have drawn.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import IterableDataset

from ignite_signals.engine.batch_sampler import SeededBatch, batch_seed, has_state
from ignite_signals.engine.limits import data_length
from ignite_signals.engine.random_states import keep_random_state
from ignite_signals.utils import manual_seed

__all__ = ["iterate"]

_GIVEN = "given"


def iterate(data: Iterable[Any]) -> Iterator[Any]:
    """Iterate over data, a StatefulDataLoader such that its batches carry seeds.

    It itself stays as it is: its sampler is replaced only for as long as an iterator is made, which keeps what it got.
    """
    if not _is_indexed_stateful_loader(data):
        return iter(data)
    loader: Any = data
    batched = loader.batch_sampler is not None
    name = "batch_sampler" if batched else "sampler"
    sampler = getattr(loader, name)
    # By way of the dictionary, because a DataLoader refuses to have its sampler set.
    loader.__dict__[name] = (_StatefulSampler if has_state(sampler) else _Sampler)(sampler, batched)
    try:
        return iter(data)
    finally:
        loader.__dict__[name] = sampler


def _is_indexed_stateful_loader(data: Any) -> bool:
    torchdata = sys.modules.get("torchdata.stateful_dataloader")  # not imported: then there is none
    return (
        torchdata is not None
        and isinstance(data, torchdata.StatefulDataLoader)
        and not isinstance(data.dataset, IterableDataset)
    )


class _Sampler:
    """Give the indices of another sampler, batches of them with a seed each."""

    def __init__(self, sampler: Any, batched: bool) -> None:
        self.sampler = sampler
        self.batched = batched
        # What a sampler without a state gives in a pass, and the seed of that pass.
        self._drawn: tuple[int, list[Any]] | None = None

    def __iter__(self) -> _Indices:
        return _Indices(self, torch.initial_seed())

    def __len__(self) -> int:
        return len(self.sampler)

    @keep_random_state
    def indices(self, seed: int) -> Iterator[Any]:
        """Iterate over the indices of a pass, which do not depend on when that is."""
        manual_seed(seed)
        if self._drawn is not None and self._drawn[0] == seed:
            return iter(self._drawn[1])
        indices: Iterator[Any] = iter(self.sampler)
        if has_state(indices) or has_state(self.sampler) or data_length(self.sampler) is None:
            return indices
        self._drawn = seed, list(indices)
        return iter(self._drawn[1])


class _StatefulSampler(_Sampler):
    """A class of its own, because torchdata looks at whether a sampler has these methods."""

    def state_dict(self) -> Any:
        return self.sampler.state_dict()

    def load_state_dict(self, state: Any) -> None:
        self.sampler.load_state_dict(state)


class _Indices:
    """What the other sampler gives, counted.

    The state is that of the other's iterator and the count, so that a loader without this one can go on from it.
    """

    def __init__(self, sampler: _Sampler, seed: int) -> None:
        self._sampler = sampler
        self._seed = seed
        self._indices = sampler.indices(seed)
        self._count = 0

    def __iter__(self) -> _Indices:
        return self

    def __next__(self) -> Any:
        indices, number = next(self._indices), self._count
        self._count += 1
        if self._sampler.batched or isinstance(indices, list):
            return SeededBatch(indices, batch_seed(self._seed, number))
        return indices

    def state_dict(self) -> dict[str, Any]:
        indices: Any = self._indices
        return (indices.state_dict() if has_state(indices) else {}) | {_GIVEN: self._count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        indices: Any = self._indices
        self._count = state.get(_GIVEN, 0)
        if has_state(indices):
            indices.load_state_dict({key: value for key, value in state.items() if key != _GIVEN})
        elif not has_state(self._sampler.sampler):
            for _ in range(self._count):
                next(indices, None)
