"""A pass over the data begins with a seed of its own, or goes on at the place where it was left.

Data with a state of its own is brought back by that, a DataLoader by leaving out batches, other data by skipping.
"""

from __future__ import annotations

import copy
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader

from ignite_signals.engine.batch_sampler import ReproducibleBatchSampler, has_state, take_over
from ignite_signals.engine.limits import data_length
from ignite_signals.engine.random_states import keep_random_state
from ignite_signals.engine.stateful_loader import iterate
from ignite_signals.utils import manual_seed

__all__ = ["Flow", "Pass", "begun", "continued", "given_first", "state_of"]


@dataclass(slots=True)
class Flow:
    """Where a run is in its data."""

    # Which pass it is, from 0, and the iteration that was the last one before it.
    number: int
    began: int
    # How many batches the data gave in it, which is one more than were taken between getting one and its iteration.
    given: int = 0
    # Whether it has no more.
    over: bool = False
    # The data's own state where a run stopped, or a saved one.
    state: Any = None
    # Whether the data is being iterated; until then it is not where the state says.
    opened: bool = False


class Pass:
    """Iterate over data that is opened when the first batch is asked for, and keep account of it.

    No generator: closing one would close a generator of the user's, and it would keep the last batch.
    """

    __slots__ = ("_batches", "_flow", "_open", "_taken")

    def __init__(self, flow: Flow, taken: int, open_: Callable[[], Iterator[Any]]) -> None:
        self._flow = flow
        self._taken = taken
        self._open = open_
        self._batches: Iterator[Any] | None = None

    def __iter__(self) -> Pass:
        return self

    def __next__(self) -> Any:
        if self._batches is None:
            self._batches = self._open()
            self._flow.opened, self._flow.given = True, self._taken
        try:
            batch = next(self._batches)
        except StopIteration:
            self._flow.over = True
            raise
        self._flow.given += 1
        return batch


def given_first(got: list[Any], rest: Iterator[Any]) -> Iterator[Any]:
    """Iterate over what was got and not used, if anything, and the rest."""
    return itertools.chain(got, rest) if got else rest


def begun(data: Iterable[Any], seed: int, state: Any = None) -> Iterator[Any]:
    """Iterate over data from the beginning of a pass, which may lie in the midst of the data's own state."""
    take_over(data)
    if state is not None and has_state(data):
        _restored(data, seed, state)
    _seed(data, seed)
    return iterate(data)


@keep_random_state
def continued(
    data: Iterable[Any], seed: int, taken: int, flow: Flow, got: list[Any], logger: logging.Logger
) -> Iterator[Any]:
    """Iterate over data after so many batches, drawing its order and what these took from the random numbers.

    What was got and not used comes first where the data's own state is one of after that.
    """
    take_over(data)
    if flow.state is not None and has_state(data):
        batches = _restored(data, seed, flow.state)
        return iter(()) if _is_told_over(data, flow) else given_first(got, batches)
    if taken == data_length(data) or _is_told_over(data, flow):
        return iter(())  # the run is about to be told
    _seed(data, seed)
    if isinstance(data, DataLoader) and isinstance(data.batch_sampler, ReproducibleBatchSampler):
        return _left_out(data, data.batch_sampler, taken)
    return _skipped(data, taken, logger)


def _is_told_over(data: Iterable[Any], flow: Flow) -> bool:
    """Tell whether a pass ended that data might begin anew; an iterator ends itself."""
    return flow.over and not isinstance(data, Iterator)


@keep_random_state
def _restored(data: Any, seed: int, state: Any) -> Iterator[Any]:
    """Iterate over data from the place that its own state says."""
    _seed(data, seed)  # what is not in the state is drawn as at the beginning of the pass
    try:
        data.load_state_dict(copy.deepcopy(state))
        return iterate(data)  # where a StatefulDataLoader makes use of the state
    except Exception as error:
        error.add_note(f"when the data, a {type(data).__qualname__}, was to go on from the state that it had saved")
        raise


def _left_out(data: DataLoader[Any], sampler: ReproducibleBatchSampler, taken: int) -> Iterator[Any]:
    sampler.start_iteration = taken
    batches = iter(data)
    sampler.draw()
    return batches


def _skipped(data: Iterable[Any], taken: int, logger: logging.Logger) -> Iterator[Any]:
    logger.info("%s cannot go to a batch: skipping %d of them, one by one", type(data).__qualname__, taken)
    batches = iterate(data)
    for _ in range(taken):
        next(batches, None)
    return batches


def _seed(data: Iterable[Any], seed: int) -> None:
    """Seed the global generators and those that a DataLoader draws its order from."""
    manual_seed(seed)
    if not isinstance(data, DataLoader):
        return
    batches: Any = data.batch_sampler
    inner = (getattr(batches, name, None) for name in ("sampler", "batch_sampler"))
    for owner in (data, data.sampler, batches, *inner):
        generator = getattr(owner, "generator", None)
        if isinstance(generator, torch.Generator):
            generator.manual_seed(seed)
    if data.persistent_workers and getattr(data, "_iterator", None) is not None:
        _seed_workers(data)


def _seed_workers(data: DataLoader[Any]) -> None:
    """Let workers that persist draw what new ones would."""
    if has_state(data) or isinstance(data.batch_sampler, ReproducibleBatchSampler):
        # They get seeds with each batch; but the one that new ones are given is not drawn, and others follow it.
        torch.empty((), dtype=torch.int64).random_(generator=data.generator)
    else:
        # What they draw goes on from all that they have drawn, which no resumed run knows.
        data._iterator = None


def state_of(data: Any) -> Any:
    """Return a copy of the data's own state; None where it has none.

    A copy, because a state may share lists and tensors with data that goes on.
    """
    if not has_state(data):
        return None
    try:
        return copy.deepcopy(data.state_dict())
    except Exception as error:
        error.add_note(f"when the data, a {type(data).__qualname__}, was to save its state")
        raise
