"""A DeterministicEngine goes on from a saved state as if it had never stopped.

Each pass over the data begins with a seed of its own, so its order can be drawn again. What was taken of the pass
is left out, and the random numbers go on from where they were saved.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from ignite_signals.engine.batch_sampler import SEEDS, ReproducibleBatchSampler, reproducible, update_dataloader
from ignite_signals.engine.dataflow import Flow, Pass, begun, continued, given_first, state_of
from ignite_signals.engine.engine import Engine
from ignite_signals.engine.events import Events
from ignite_signals.engine.integers import integer
from ignite_signals.engine.limits import check_data, data_length
from ignite_signals.engine.random_states import (
    deterministic_cudnn,
    get_rng_states,
    keep_random_state,
    rng_states_of,
    set_rng_states,
)
from ignite_signals.engine.state import State
from ignite_signals.utils import manual_seed

__all__ = ["DeterministicEngine", "ReproducibleBatchSampler", "keep_random_state", "update_dataloader"]


class _DrawnSeed(int):
    """A seed that was drawn: told by identity from an equal one that the user has set."""


class DeterministicEngine(Engine):
    """Run a step as an `Engine` does, such that a resumed run is the one that was never stopped.

    At the beginning of its n-th pass over the data (from 0) it seeds Python, NumPy and torch with `state.seed + n`,
    and the generators of a `DataLoader` too. `state_dict` has the seed, the place in the data and the state of the
    random numbers. Saved when an iteration is complete and loaded, the run sees the same batches and the same random
    numbers as one that went on.

    Data that has `state_dict` and `load_state_dict`, such as torchdata's `StatefulDataLoader`, is brought back by
    these: its state is saved with the engine's. The batch sampler of another `DataLoader` is replaced by a
    `ReproducibleBatchSampler`, which goes to a place without loading a sample; its workers seed themselves for each
    batch. Other data is skipped forward, which loads what it gives; where it has workers that persist, each pass has
    new ones. Its order comes back exactly where it is drawn from the global random numbers at the beginning of a pass,
    before its first batch; so does what is drawn for each batch alone. An order that is drawn in the midst of a pass,
    as by a generator without an end that shuffles anew after each round, is drawn in turn with the step and comes back
    as another: give it a `torch.Generator` of its own.

    An attribute that is set on a `DataLoader` while the run is on, as by a `set_epoch` of a subclass, counts from the
    next pass on; what the loader sets on itself when it is iterated is found at `engine.state.dataloader`. While a run
    is on, `torch.backends.cudnn.deterministic` is True and `benchmark` False.

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
        self._drawn_seed: int | None = None
        # The random numbers where the last run stopped, or saved ones.
        self._rng_states: dict[str, Any] | None = None
        self._forget_place()

    def _forget_place(self) -> None:
        # Where the run is in its data; None: to be found from the iteration.
        self._flow: Flow | None = None
        # Until data is opened: whether to go on there, and whether it is the very data that was left there.
        self._continues = self._same_data = False
        # Whether the random numbers are still to be put back, and whether the epoch was announced before.
        self._restores = self._announces_again = False

    def _start_anew(self, data: Any, max_epochs: int | None, max_iters: int | None, epoch_length: int | None) -> None:
        self._check_seed()
        super()._start_anew(data, max_epochs, max_iters, epoch_length)
        self._forget_place()
        if self.state.seed is self._drawn_seed:
            self.state.seed = None
        self._draw_seed()

    def _go_on(self, data: Any, max_epochs: int | None, max_iters: int | None, epoch_length: int | None) -> None:
        self._check_seed()
        state, loaded = self.state, self._place.is_loaded
        leaves_pass = not loaded and state.stop_reason in ("terminated", "exhausted")
        same_data = not loaded and data is state.dataloader
        if not loaded and state is not self._moved:
            self._forget_place()
            leaves_pass, self._rng_states = False, None
        epoch = state.epoch
        super()._go_on(data, max_epochs, max_iters, epoch_length)
        self._draw_seed()
        self._continues, self._same_data = not leaves_pass, same_data
        self._restores, self._announces_again = not leaves_pass, state.epoch < epoch
        if self._flow is not None:
            self._flow = replace(self._flow, opened=False)
        if leaves_pass and same_data:
            self._leave_pass()
        elif leaves_pass:
            self._begin_pass()

    def _prepare(self, data: Any) -> None:
        super()._prepare(reproducible(data, self.state.dataloader))

    def _resume(self, data: Any, max_epochs: int | None, max_iters: int | None, epoch_length: int | None) -> None:
        data = reproducible(data, self.state.dataloader)
        super()._resume(data, max_epochs, max_iters, epoch_length)
        set_rng_states(self._rng_states)

    def set_data(self, data: Iterable[Any]) -> None:
        """Take the next batches from other data, in a pass of its own.

        Raises:
            TypeError: the data cannot be iterated.
            ValueError: it is empty.
        """
        check_data(data, None)
        self._begin_pass()
        super().set_data(reproducible(data, self.state.dataloader))

    def _drive(self) -> State:
        with deterministic_cudnn():
            return super()._drive()

    def _drive_loop(self) -> None:
        try:
            super()._drive_loop()
        finally:
            self._remember()  # before what surrounds the run is left, which may save

    def _remember(self) -> None:
        """Keep what a run needs that goes on from here, unless this one did not come to go on from the last one."""
        if not self._restores:
            self._rng_states = get_rng_states()
        if self._flow is not None and self._flow.opened:
            self._flow.state = self._left_state()

    def _emit(self, event: Events, **payload: Any) -> None:
        if event is Events.EPOCH_STARTED and not self._place.resumes_epoch(self.state) and not self._announces_again:
            self._restore()  # what its receivers draw is new
        if event is Events.TERMINATE_SINGLE_EPOCH:
            self._leave_pass()
        super()._emit(event, **payload)

    def _restore(self) -> None:
        if self._restores:
            set_rng_states(self._rng_states)
        self._restores = self._announces_again = False

    def _settle(self) -> None:
        """Take note that data was opened: it is where the flow says."""
        if self._flow is not None and self._flow.opened:
            self._continues, self._same_data = False, True

    def _begin_pass(self) -> None:
        """Let the next batch begin a pass, over other data."""
        self._continues = self._same_data = False
        if self._flow is not None:
            self._flow = Flow(self._flow.number + 1, self.state.iteration)

    def _leave_pass(self) -> None:
        """Let the next batch begin a pass, unless an iterator goes on where it was left."""
        self._settle()
        flow, state = self._next_flow() if self._continues else self._flow, self.state
        if flow is None or not (flow.given or state.dataloader is None):
            return
        if (self._same_data or self._continues) and isinstance(state.dataloader, Iterator) and not flow.over:
            self._flow = replace(flow, began=state.iteration - flow.given, opened=False)
        else:
            left = self._left_state() if flow.opened else flow.state
            self._flow = Flow(flow.number + 1, state.iteration, state=left)

    def _is_left_iterator(self) -> bool:
        return self._same_data and isinstance(self.state.dataloader, Iterator)

    def _left_state(self) -> Any:
        """Return the state of the data where a run leaves it."""
        try:
            return state_of(self.state.dataloader)
        except Exception:  # it must not hide what the run has come to
            self.logger.warning("the data does not tell its state: a run that goes on will skip to it", exc_info=True)
            return None

    def _check_seed(self) -> None:
        seed = self.state.seed
        if seed is not None and integer("state.seed", seed, 0) >= SEEDS:
            raise ValueError(f"state.seed must be in [0, 2**32), got {seed!r}")

    def _draw_seed(self) -> None:
        if self.state.seed is None:
            self.state.seed = self._drawn_seed = _DrawnSeed(torch.randint(0, 10**9, (1,)).item())

    def _new_batches(self) -> Iterator[Any] | None:
        """Begin the next pass over the data, or go to the place of a run that goes on.

        A pass is seeded when its first batch is fetched, after the receivers that come before; random numbers are
        put back at once, because these receivers may draw some.
        """
        self._settle()
        state, flow = self.state, self._next_flow()
        assert state.seed is not None
        self._restore()
        seed = (state.seed + flow.number) % SEEDS
        batches = None
        if state.dataloader is not None:
            batches = self._pass(state.dataloader, flow, seed)
        else:
            flow.opened = True
            if flow.began == state.iteration:
                manual_seed(seed)
        self._flow = flow
        return batches

    def _taken_before(self, taken: int) -> int:
        return 0  # what was taken is not given again: an iterator goes to the place

    def _next_flow(self) -> Flow:
        """Return where the next batch is to come from."""
        state, flow = self.state, self._flow
        if self._continues:
            if flow is None or flow.began > state.iteration:
                flow = self._flow_by_iteration()
            if (
                state.dataloader is not None
                or self._place.position
                or state.iteration - flow.began != state.epoch_length
            ):
                return replace(flow, opened=False)
        elif flow is not None and not flow.opened:
            return flow  # which is still to come
        return Flow(0 if flow is None else flow.number + 1, state.iteration)

    def _flow_by_iteration(self) -> Flow:
        iteration = self.state.iteration
        length = data_length(self.state.dataloader) or self.state.epoch_length
        number, taken = divmod(iteration, length) if length else (0, iteration)
        return Flow(number, iteration - taken, taken)

    def _pass(self, data: Any, flow: Flow, seed: int) -> Pass:
        """Return an iterator that opens the data when the first batch is asked for."""
        taken, batch = self.state.iteration - flow.began, self.state.batch
        # A run that failed when it had just got a batch has made no iteration of it.
        got = [batch] if flow.given == taken + 1 and self._continues and batch is not None else []
        if flow.given and self._is_left_iterator():
            flow.began = self.state.iteration - flow.given + len(got)
            return Pass(flow, flow.given - len(got), functools.partial(given_first, got, data))
        if flow.given != taken + len(got):
            flow.state = None  # it is of another place
        if taken or (got and flow.state is not None):
            return Pass(flow, taken, functools.partial(continued, data, seed, taken, flow, got, self.logger))
        return Pass(flow, 0, functools.partial(begun, data, seed, None if self._same_data else flow.state))

    def state_dict(self) -> dict[str, Any]:
        """Return what a run needs to go on: what an `Engine` saves, the seed, the random numbers, the place.

        `dataflow` has the pass over the data and how many batches were taken of it, `data` the data's own state, where
        it has one and an iteration or an epoch is complete.

        Raises:
            Exception: what the `state_dict` of the data raises.
        """
        seed, flow = self.state.seed, self._flow
        saved = super().state_dict() | {"seed": None if seed is None else int(seed)}
        kept = self._rng_states if self._restores or not self._running else None
        saved["rng_states"] = get_rng_states() if kept is None and self._running else kept
        return saved if flow is None else saved | self._saved_flow(flow)

    def _saved_flow(self, flow: Flow) -> dict[str, Any]:
        taken = max(0, self.state.iteration - flow.began)
        saved: dict[str, Any] = {"dataflow": {"pass": flow.number, "taken": taken}}
        if flow.over:
            saved["dataflow"]["over"] = True
        if flow.given != taken:
            return saved  # a batch was got and not used
        live = self._running and flow.opened
        state = state_of(self.state.dataloader) if live else copy.deepcopy(flow.state)
        return saved if state is None else saved | {"data": state}

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
        self._rng_states = rng_states_of(state_dict.get("rng_states"))
        if place is not None:
            number, taken, over = place
            state = copy.deepcopy(state_dict.get("data"))
            self._flow = Flow(number, self.state.iteration - taken, taken, over, state)
        self._continues = self._restores = True


def _checked(saved: Mapping[str, Any]) -> tuple[int, int, bool] | None:
    """Return the pass, how much of it was taken and whether that is all, of a state dict as it must be."""
    seed, rng_states, flow = saved.get("seed"), saved.get("rng_states"), saved.get("dataflow")
    if seed is not None and integer("state_dict['seed']", seed, 0) >= SEEDS:
        raise ValueError(f"state_dict['seed'] must be in [0, 2**32), got {seed!r}")
    if not isinstance(rng_states, Mapping | list | None) or not _are_states(rng_states):
        raise TypeError(f"state_dict['rng_states'] must be as state_dict() returns it, got {rng_states!r}")
    if flow is None:
        return None
    if not isinstance(flow, Mapping) or {"pass", "taken"} - flow.keys():
        raise ValueError(f"state_dict['dataflow'] must have the keys 'pass' and 'taken', got {flow!r}")
    number, taken = (integer(f"state_dict['dataflow'][{key!r}]", flow[key], 0) for key in ("pass", "taken"))
    return number, taken, bool(flow.get("over", False))


def _are_states(saved: Mapping[str, Any] | list[Any] | None) -> bool:
    if not isinstance(saved, Mapping):  # PyTorch-Ignite saves a list
        return True
    python, numbers = saved.get("python"), saved.get("torch")
    return isinstance(python, list | tuple) and len(python) == 3 and isinstance(numbers, torch.Tensor)
