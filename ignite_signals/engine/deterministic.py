"""A DeterministicEngine goes on from a saved state as if it had never stopped.

Each pass over the data begins with a seed of its own, so its order can be drawn again. What was taken of the pass
is left out, and the random numbers go on from where they were saved.
"""

from __future__ import annotations

import functools
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import torch
from torch.utils.data import BatchSampler, DataLoader, get_worker_info

from ignite_signals.engine.engine import Engine
from ignite_signals.engine.integers import integer
from ignite_signals.engine.limits import data_length
from ignite_signals.engine.state import State
from ignite_signals.utils import manual_seed

__all__ = ["DeterministicEngine", "ReproducibleBatchSampler", "keep_random_state", "update_dataloader"]

P = ParamSpec("P")
T = TypeVar("T")

_SEEDS = 2**32


class DeterministicEngine(Engine):
    """Run a step as an `Engine` does, such that a resumed run is the one that was never stopped.

    At the beginning of its n-th pass over the data (from 0) it seeds Python, NumPy and torch with `state.seed + n`,
    and the generators of a `DataLoader` too. `state_dict` has the seed, the place in the data and the state of the
    random numbers. Saved when an iteration is complete and loaded, the run sees the same batches and the same random
    numbers as one that went on.

    The batch sampler of a `DataLoader` is replaced by a `ReproducibleBatchSampler`, which goes to a place without
    loading a sample; its workers seed themselves for each batch. Other data is skipped forward, which loads what it
    gives. While a run is on, `torch.backends.cudnn.deterministic` is True and `benchmark` False.

    Args:
        process_function: the step, called as `process_function(engine, batch)`.

    >>> import torch
    >>> from torch.utils.data import DataLoader
    >>> def run(saved=None, **limits):
    ...     engine, seen = DeterministicEngine(lambda engine, batch: seen.append(batch.tolist())), []
    ...     if saved is not None:
    ...         engine.load_state_dict(saved)
    ...     engine.state.seed = 7
    ...     engine.run(DataLoader(torch.arange(6), batch_size=2, shuffle=True), **limits)
    ...     return seen, engine.state_dict()
    >>> straight, _ = run(max_iters=5)
    >>> first, saved = run(max_iters=2)
    >>> rest, _ = run(saved, max_iters=5)
    >>> straight == first + rest
    True
    """

    def __init__(self, process_function: Callable[[Any, Any], Any]) -> None:
        super().__init__(process_function)
        # The seed that was drawn, unlike one that the user has set.
        self._drawn_seed: int | None = None
        # The random numbers where the last run stopped, or a saved one.
        self._rng_states: dict[str, Any] | None = None
        self._forget_place()

    def _forget_place(self) -> None:
        # The pass over the data, and the iterations before its first one; None: to be found from the iteration.
        self._pass = -1
        self._pass_began: int | None = None
        # Whether the next iterator is to go on at that place, and whether the place was loaded.
        self._continues = self._place_loaded = False

    def _start_anew(self, data: Any, max_epochs: int | None, max_iters: int | None, epoch_length: int | None) -> None:
        self._check_seed()
        super()._start_anew(data, max_epochs, max_iters, epoch_length)
        self._forget_place()
        if self.state.seed == self._drawn_seed:
            self.state.seed = None
        self._draw_seed()

    def _go_on(self, data: Any, max_epochs: int | None, max_iters: int | None, epoch_length: int | None) -> None:
        self._check_seed()
        state = self.state
        new_pass = not self._loaded and state.stop_reason in ("terminated", "exhausted")
        if not self._loaded and state is not self._moved:
            self._forget_place()
            new_pass, self._rng_states = False, None
        loaded = self._loaded
        super()._go_on(data, max_epochs, max_iters, epoch_length)
        if loaded and state.epoch_length is None and self._pass_began is not None:
            self._position = state.iteration - self._pass_began  # the first epoch, of data without a length
        self._draw_seed()
        self._continues = not new_pass

    def _prepare(self, data: Any) -> None:
        super()._prepare(_reproducible(data, self.state.dataloader))

    def _resume(self, data: Any, max_epochs: int | None, max_iters: int | None, epoch_length: int | None) -> None:
        data = _reproducible(data, self.state.dataloader)
        super()._resume(data, max_epochs, max_iters, epoch_length)
        set_rng_states(self._rng_states)

    def set_data(self, data: Iterable[Any]) -> None:
        """Take the next batches from other data, in a pass of its own.

        Raises:
            TypeError: the data cannot be iterated.
            ValueError: it is empty.
        """
        self._continues = False
        super().set_data(_reproducible(data, self.state.dataloader))

    def _drive(self) -> State:
        with _deterministic_cudnn():
            try:
                return super()._drive()
            finally:
                self._rng_states = get_rng_states()

    def _check_seed(self) -> None:
        seed = self.state.seed
        if seed is not None and integer("state.seed", seed, 0) >= _SEEDS:
            raise ValueError(f"state.seed must be in [0, 2**32), got {seed!r}")

    def _draw_seed(self) -> None:
        if self.state.seed is None:
            self.state.seed = self._drawn_seed = int(torch.randint(0, 10**9, (1,)).item())

    def _new_batches(self) -> Iterator[Any] | None:
        """Begin the next pass over the data, or go to the place of a run that goes on.

        A pass is seeded when its first batch is fetched, after the receivers that come before; random numbers are
        put back at once, because these receivers may draw some.
        """
        state, data = self.state, self.state.dataloader
        taken, loaded = self._find_place(), self._place_loaded
        self._continues = self._place_loaded = False
        assert state.seed is not None
        seed = (state.seed + self._pass) % _SEEDS
        if data is None:
            if not taken:
                manual_seed(seed)
            return None
        if taken and not loaded and isinstance(data, Iterator):
            return data  # which is where it was left
        return _Pass(functools.partial(_opened, data, seed, taken, self.logger))

    def _find_place(self) -> int:
        """Set the pass, and return how many of its batches were taken."""
        state, data = self.state, self.state.dataloader
        if self._continues:
            set_rng_states(self._rng_states)
            if self._pass_began is None or self._pass_began > state.iteration:
                length = data_length(data) or state.epoch_length
                self._pass, taken = divmod(state.iteration, length) if length else (0, state.iteration)
                self._pass_began = state.iteration - taken
            taken = state.iteration - self._pass_began
            if data is not None or taken != state.epoch_length:
                return taken
        self._pass, self._pass_began = self._pass + 1, state.iteration
        return 0

    def state_dict(self) -> dict[str, Any]:
        """Return what a run needs to go on: what an `Engine` saves, the seed, the random numbers, the place."""
        saved = super().state_dict() | {"seed": self.state.seed}
        saved["rng_states"] = get_rng_states() if self._running else self._rng_states
        if self._pass_began is not None:
            saved["dataflow"] = {"pass": self._pass, "taken": max(0, self.state.iteration - self._pass_began)}
        return saved

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up a state that was saved, so that the next run goes on from it.

        Of a state without a seed, random numbers or place, such as an `Engine`'s, the place is found from the
        iteration, and the random numbers go on as they are.

        Raises:
            TypeError: it is not a mapping, or the states of random numbers in it are none.
            ValueError: a key is missing, contradicts another or is no such value; nothing was changed.
            RuntimeError: a run is under way, beyond STARTED.
        """
        place = _checked(state_dict) if isinstance(state_dict, Mapping) else None
        super().load_state_dict(state_dict)
        self._forget_place()
        if state_dict.get("seed") is not None:
            self.state.seed = state_dict["seed"]
        self._rng_states = _rng_states_of(state_dict.get("rng_states"))
        if place is not None:
            self._pass, self._pass_began = place[0], self.state.iteration - place[1]
        self._continues = self._place_loaded = True


def _checked(saved: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the pass and how much of it was taken, of a state dict whose own parts are as they must be."""
    seed, rng_states, flow = saved.get("seed"), saved.get("rng_states"), saved.get("dataflow")
    if seed is not None and integer("state_dict['seed']", seed, 0) >= _SEEDS:
        raise ValueError(f"state_dict['seed'] must be in [0, 2**32), got {seed!r}")
    if not isinstance(rng_states, Mapping | list | None) or not _are_states(rng_states):
        raise TypeError(f"state_dict['rng_states'] must be as state_dict() returns it, got {rng_states!r}")
    if flow is None:
        return None
    if not isinstance(flow, Mapping) or {"pass", "taken"} - flow.keys():
        raise ValueError(f"state_dict['dataflow'] must have the keys 'pass' and 'taken', got {flow!r}")
    return tuple(integer(f"state_dict['dataflow'][{key!r}]", flow[key], 0) for key in ("pass", "taken"))  # type: ignore[return-value]


def _are_states(saved: Mapping[str, Any] | list[Any] | None) -> bool:
    if not isinstance(saved, Mapping):  # PyTorch-Ignite saves a list
        return True
    python, numbers = saved.get("python"), saved.get("torch")
    return isinstance(python, list | tuple) and len(python) == 3 and isinstance(numbers, torch.Tensor)


class _Pass:
    """Iterate over data that is opened when the first batch is asked for.

    No generator: closing one would close a generator of the user's, and it would keep the last batch.
    """

    __slots__ = ("_batches", "_open")

    def __init__(self, open_: Callable[[], Iterator[Any]]) -> None:
        self._open = open_
        self._batches: Iterator[Any] | None = None

    def __iter__(self) -> _Pass:
        return self

    def __next__(self) -> Any:
        if self._batches is None:
            self._batches = self._open()
        return next(self._batches)


def _opened(data: Iterable[Any], seed: int, taken: int, logger: logging.Logger) -> Iterator[Any]:
    """Iterate over data with a seed, after the batches that were taken already."""
    if not taken:
        _seed(data, seed)
        return iter(data)
    if taken == data_length(data):
        return iter(())  # that pass is over, and the run is about to be told
    return _gone_to(data, seed, taken, logger)


def _seed(data: Iterable[Any], seed: int) -> None:
    """Seed the global generators and those that a DataLoader draws its order from."""
    manual_seed(seed)
    for owner in (data, getattr(data, "sampler", None), getattr(data, "batch_sampler", None)):
        generator = getattr(owner, "generator", None)
        if isinstance(data, DataLoader) and isinstance(generator, torch.Generator):
            generator.manual_seed(seed)
    if isinstance(data, DataLoader) and getattr(data, "_iterator", None) is not None:
        # Its workers persist, so it will not draw their seed now, as it does where they are new.
        torch.empty((), dtype=torch.int64).random_(generator=data.generator)


def keep_random_state(func: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function such that the random numbers of its caller go on as if it had not been called.

    For a handler that draws random numbers, or evaluates, in only some runs. It keeps the states of Python, NumPy,
    torch and CUDA, also where the function raises.

    >>> import torch
    >>> @keep_random_state
    ... def augment(engine):
    ...     torch.manual_seed(0)
    >>> state = torch.get_rng_state()
    >>> augment(None)
    >>> bool((state == torch.get_rng_state()).all())
    True
    """

    @functools.wraps(func)
    def keeping(*args: P.args, **kwargs: P.kwargs) -> T:
        states = get_rng_states()
        try:
            return func(*args, **kwargs)
        finally:
            set_rng_states(states)

    return keeping


@keep_random_state
def _gone_to(data: Iterable[Any], seed: int, taken: int, logger: logging.Logger) -> Iterator[Any]:
    """Iterate over data after so many batches, drawing its order and what these took from the random numbers."""
    _seed(data, seed)
    # Data that can restore its own place comes in here, before the ways that go by the count of batches.
    sampler = getattr(data, "batch_sampler", None)
    if isinstance(data, DataLoader) and isinstance(sampler, ReproducibleBatchSampler):
        sampler.start_iteration = taken
        loaded: Iterator[Any] = iter(data)
        sampler.draw()
        return loaded
    logger.info("%s cannot go to a batch: skipping %d of them, one by one", type(data).__qualname__, taken)
    batches = iter(data)
    for _ in range(taken):
        next(batches, None)
    return batches


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
        batches = [_Batch(indices, (seed + 1_000_003 * n) % _SEEDS) for n, indices in enumerate(self.batch_sampler)]
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


class _Batch(list[Any]):
    """Indices that set the seeds when they arrive in a worker of a DataLoader.

    A worker's random numbers would else depend on how many batches it has made, which a resumed run does not know.
    """

    __slots__ = ("_seed",)

    def __init__(self, indices: Iterable[Any], seed: int) -> None:
        super().__init__(indices)
        self._seed = seed

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (self[:], self._seed)


def _arrived(indices: list[Any], seed: int) -> _Batch:
    if get_worker_info() is not None:
        manual_seed(seed)
    return _Batch(indices, seed)


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


def _reproducible(data: Any, current: Any) -> Any:
    """Return data whose order can be drawn again, which is the current data where that was made of it."""
    if not isinstance(data, DataLoader) or isinstance(data.batch_sampler, ReproducibleBatchSampler):
        return data
    if getattr(current, "_made_reproducible_of", None) is data:
        return current  # with its workers, where these persist
    if data_length(data.batch_sampler) is None:  # none, or one without an end, such as that of a stream
        return data
    updated = update_dataloader(data, ReproducibleBatchSampler(data.batch_sampler))
    updated.__dict__["_made_reproducible_of"] = data
    return updated


def get_rng_states() -> dict[str, Any]:
    """Return the states of the random numbers of Python, torch, CUDA where it is in use, and NumPy."""
    states: dict[str, Any] = {"python": random.getstate(), "torch": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states["cuda"] = torch.cuda.get_rng_state_all()
    try:
        import numpy as np
    except ImportError:
        return states
    numpy: Any = np.random.get_state()
    name, keys, *rest = numpy
    return states | {"numpy": (name, keys.tolist(), *rest)}  # plain data, which torch.load takes with weights_only


def set_rng_states(states: Mapping[str, Any] | None) -> None:
    """Put the random numbers back to what `get_rng_states` returned."""
    if states is None:
        return
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    torch.set_rng_state(states["torch"].cpu())
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.init()  # type: ignore[no-untyped-call]
        for device, state in enumerate(states["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state.cpu(), device)
    if "numpy" in states:
        import numpy as np

        np.random.set_state(tuple(states["numpy"]))


def _rng_states_of(saved: Any) -> dict[str, Any] | None:
    """Return saved states by name; PyTorch-Ignite saves a list of them."""
    if isinstance(saved, list):
        return dict(zip(("python", "torch", "numpy"), saved, strict=False))
    return None if saved is None else dict(saved)


@contextmanager
def _deterministic_cudnn() -> Iterator[None]:
    """Let cuDNN choose its algorithms in the same way each time, and put back how it chose before."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before
