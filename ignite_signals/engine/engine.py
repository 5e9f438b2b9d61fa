"""The Engine runs a step over batches and sends an event at each moment of the run.

`Engine._loop` is the one run loop. It moves the state, calls the step and emits; whatever else
happens in a run is done by the receivers of its signals.
"""

from __future__ import annotations

import copy
import inspect
import logging
import threading
import time
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from ignite_signals.engine.callables import Parameters, check_callable, described
from ignite_signals.engine.describe import describe, summary
from ignite_signals.engine.events import Event, Events
from ignite_signals.engine.limits import (
    check_data,
    check_extension,
    check_limits,
    data_length,
    exhaustion,
    extend,
    is_done,
    reaches_further,
    stack_level,
)
from ignite_signals.engine.nesting import enter, leave
from ignite_signals.engine.place import Place, epochs_and_batches
from ignite_signals.engine.receivers import Connection
from ignite_signals.engine.saveable import Saveable
from ignite_signals.engine.signals import NEVER, EventSignal, SignalNamespace
from ignite_signals.engine.state import State, StopReason
from ignite_signals.engine.stateful import registered

__all__ = ["Engine"]

# When these have been sent, the state is exact.
_COMPLETE = (Events.ITERATION_COMPLETED, Events.EPOCH_COMPLETED)
_END = object()  # what an iterator gives after its last batch


class _EndRun(Exception):  # noqa: N818  # not an error, but the way out of the loop
    """Leave the loop, because `terminate` is heeded."""


class _EndEpoch(Exception):  # noqa: N818  # likewise
    """Leave the epoch, because `terminate_epoch` is heeded."""


class Engine(Saveable):
    """Run a step function over batches, and send a signal at each event of the run.

    Args:
        process_function: the step, called as `process_function(engine, batch)`; what it returns
            becomes `engine.state.output`.

    Attributes:
        state: the progress and the results of the run, a `State`.
        signals: the engine's signals by name, a `blinker.Namespace`.
        logger: says at INFO when a run starts and ends.
        last_event_name: the event that was sent last.
        state_dict_user_keys: names of attributes of the state that `state_dict` saves too.

    Raises:
        TypeError: the step cannot be called, or only awaited.
        ValueError: there is no step, or it does not take `(engine, batch)`.

    >>> from ignite_signals import Engine, Events
    >>> engine = Engine(lambda engine, batch: batch * 2)
    >>> @engine.on(Events.ITERATION_COMPLETED(every=2))
    ... def show(engine):
    ...     print(engine.state.iteration, engine.state.output)
    >>> state = engine.run([1, 2, 3, 4])
    2 4
    4 8
    """

    __slots__ = ("_batches", "_requests")

    def __init__(self, process_function: Callable[[Any, Any], Any]) -> None:
        if process_function is None:
            raise ValueError("process_function must be a function of (engine, batch), got None")
        check_callable("process_function", process_function)
        if not Parameters(process_function).take((self, None), {}):
            raise ValueError(f"process_function must take (engine, batch), got {described(process_function)}")
        self._process_function = process_function
        self.state = State()
        self.signals = SignalNamespace()
        self.logger = logging.getLogger(f"{__name__}.{type(self).__name__}")
        self.last_event_name: Event | None = None
        self.state_dict_user_keys = []
        self._statefuls = []
        # What each run is inside of.
        self._surroundings: list[Callable[[Engine], AbstractContextManager[Any]]] = []
        self._set_idle()
        self.register_events(*Events)

    def _set_idle(self) -> None:
        self._calling = None
        self._requests = {}
        self._running, self._phase, self._thread = False, "over", None
        # The iterator over the data; None: to be made, or there is no data.
        self._batches: Iterator[Any] | None = None
        # The loop of an interrupted run.
        self._paused: Generator[int, None, StopIteration | None] | None = None
        # The state that the last run moved. What follows is of no account for any other.
        self._moved = None
        self._place = Place()
        # What to call when an iteration or an epoch is complete.
        self._waiting: deque[Callable[[Engine], Any]] = deque()
        # Whether the data has no more batches.
        self._exhausted = False
        self._outer: weakref.ref[Engine] | None = None
        # Seconds that lay between the parts of an interrupted run, for `_clock`.
        self._idle_time = -time.perf_counter()

    # Running

    def run(
        self,
        data: Iterable[Any] | None = None,
        max_epochs: int | None = None,
        max_iters: int | None = None,
        epoch_length: int | None = None,
    ) -> State:
        """Run the step over the data, for `max_epochs` epochs or `max_iters` iterations.

        An engine that has reached its limit starts anew, unless a larger limit extends the run. One
        that has not (it was interrupted or terminated, it failed, or its state was loaded) goes on
        from its state; `reset()` makes it start anew.

        Args:
            data: the batches; None to call the step with None, `epoch_length` times an epoch.
            max_epochs: how many epochs to run; 1 by default.
            max_iters: how many iterations to run instead.
            epoch_length: how many iterations an epoch has; by default the length of the data, or
                where it has none, what it gave when it first stopped.

        Returns:
            The engine's state; `state.stop_reason` says why the run ended.

        Raises:
            TypeError: the data cannot be iterated.
            ValueError: a limit is not a positive integer or lies below what the state has reached,
                or the data is empty, or missing without `epoch_length`.
            RuntimeError: the engine is running already.
        """
        limits = max_epochs, max_iters, _ = check_limits(max_epochs, max_iters, epoch_length)
        if self._running:
            raise RuntimeError(f"{self!r} is running: a handler may run another engine, but not its own")
        self._forget_other_states()
        if self._paused is not None:
            self._resume(data, *limits)
        elif self._goes_on(max_epochs, max_iters):
            self._go_on(data, *limits)
        elif self._place.is_loaded:
            warnings.warn(
                f"nothing to run: the loaded state is done (epoch {self.state.epoch}, iteration"
                f" {self.state.iteration}); give a larger"
                " max_epochs or max_iters to extend it, or call reset() to start anew",
                stacklevel=stack_level(),
            )
            self.state.stop_reason = StopReason("completed")
            return self.state
        else:
            self._start_anew(data, *limits)
        return self._drive()

    def _forget_other_states(self) -> None:
        """Give up an interrupted run whose state was replaced, or whose limits were taken away."""
        state = self.state
        unlimited = state.max_epochs is state.max_iters is None
        if state is not self._moved or unlimited:
            self._paused, self._place.counted = None, False
            if not self._place.is_loaded or unlimited:
                self._place.position = epochs_and_batches(state.iteration, state.epoch_length)[1]
        if unlimited:
            self._place.is_loaded = False

    def _goes_on(self, max_epochs: int | None, max_iters: int | None) -> bool:
        """Tell whether the state has been moved and has a way to go."""
        state = self.state
        if state.max_epochs is state.max_iters is None:
            return False
        further = reaches_further(state, max_epochs, max_iters)
        completes = self._place.is_loaded and self._place.completes_epoch(self.state)
        if is_done(state) and not completes:
            return further
        check_extension(state, max_epochs, max_iters, None)
        return further or completes or max_epochs is max_iters is None

    def _start_anew(self, data: Any, max_epochs: int | None, max_iters: int | None, epoch_length: int | None) -> None:
        check_data(data, epoch_length)
        state = self.state
        state.iteration = state.epoch = 0
        state.max_epochs = 1 if max_epochs is max_iters is None else max_epochs
        state.max_iters = max_iters
        state.epoch_length = epoch_length or data_length(data)
        state.batch = state.output = None
        state.metrics = {}  # not cleared: what the last run returned belongs to its caller
        self._place.start_anew()
        self._prepare(data)

    def _go_on(self, data: Any, max_epochs: int | None, max_iters: int | None, epoch_length: int | None) -> None:
        state = self.state
        check_extension(state, max_epochs, max_iters, epoch_length)
        check_data(data, state.epoch_length or epoch_length)
        if self._place.is_loaded and epoch_length is None and data_length(data) not in (None, state.epoch_length):
            self._tell_of_other_data(data_length(data))
        extend(state, max_epochs, max_iters)
        self._place.keeps_iterator = (
            not self._place.is_loaded and data is state.dataloader and isinstance(data, Iterator)
        )
        if state.epoch_length is None:
            state.epoch_length = epoch_length or data_length(data)
            if self._place.is_loaded and state.epoch_length is not None and not (state.epoch or self._place.position):
                state.epoch, self._place.position = divmod(state.iteration, state.epoch_length)
        if self._place.position == state.epoch_length and self._place.is_open:
            self._place.position = 0  # that epoch has had all its batches, in this process
        else:
            state.epoch -= self._place.counted
        self._prepare(data)

    def _tell_of_other_data(self, length: int | None) -> None:
        """Warn of data that may not be what the loaded state was trained on; the user may know why."""
        if self.state.epoch_length is not None:
            self.logger.warning(
                "%r goes on with %d iterations an epoch, as its loaded state says, and the data has %d batches",
                *(self, self.state.epoch_length, length),
            )

    def _prepare(self, data: Any) -> None:
        self._requests.clear()
        self._waiting.clear()
        self._place.is_open = False
        self.state.dataloader = data
        self._batches = None
        self._exhausted = False
        self._zero_new_counters()
        self._paused, self._moved = self._loop(), self.state
        self._phase = "starting"  # a request that comes before STARTED is not one for the run that is over

    def _resume(self, data: Any, max_epochs: int | None, max_iters: int | None, epoch_length: int | None) -> None:
        check_extension(self.state, max_epochs, max_iters, epoch_length)
        if data is not None and data is not self.state.dataloader:
            assert self._paused is not None
            if inspect.getgeneratorstate(self._paused) == inspect.GEN_CREATED:  # a context could not be entered
                check_data(data, self.state.epoch_length)
                self.state.dataloader = data
            else:
                self.set_data(data)
        extend(self.state, max_epochs, max_iters)
        self.state.epoch_length = self.state.epoch_length or epoch_length

    def _drive(self) -> State:
        """Run the loop until it pauses or ends, inside of what surrounds each run."""
        outside = enter(self)
        try:
            with ExitStack() as stack:
                for context in self._surroundings:
                    stack.enter_context(context(self))
                self._drive_loop()
        finally:
            leave(outside)
        return self.state  # also where a context has swallowed an exception

    def _drive_loop(self) -> None:
        loop, state = self._paused, self.state
        assert loop is not None
        self._idle_time += time.perf_counter()
        try:
            self._running, self._thread = True, threading.get_ident()
            state.stop_reason = None
            self._place.is_loaded = self._place.counted = False
            self.logger.info("%r runs from epoch %d, iteration %d", self, state.epoch, state.iteration)
            failure = self._proceed(loop)
            if failure is not None:
                self._fail(failure)
        finally:
            failure = None  # its traceback refers to this frame
            self._running = False
            self._idle_time -= time.perf_counter()
        asker = getattr(state.stop_reason, "by", None)
        why = f"{state.stop_reason} by {asker}" if asker else state.stop_reason
        self.logger.info("%r %s at epoch %d, iteration %d", self, why, state.epoch, state.iteration)

    def _proceed(self, loop: Generator[int, None, StopIteration | None]) -> BaseException | None:
        """Let the loop run until it pauses or ends, and return what it died of."""
        try:
            self._place.position = next(loop)
        except StopIteration as end:
            self._paused = self._batches = None
            failure: BaseException | None = end.value
            return failure or self._call_at_the_end()
        except BaseException as error:  # noqa: BLE001  # raised again when it has been announced
            self._paused = self._batches = None
            return error
        self._place.counted = self._phase == "epoch"
        return None

    def _call_at_the_end(self) -> BaseException | None:
        """Call what waits, and return what it raises."""
        try:
            self._call_waiting()
        except BaseException as error:  # noqa: BLE001  # likewise
            return error
        return None

    def _fail(self, error: BaseException) -> None:
        """Announce what the run died of, and raise it unless a handler has dealt with it.

        A receiver that was connected to the signal watches; only a handler that was added deals
        with the exception, by being called and returning, unless it says that it `only_watches`.
        """
        self._place.counted, self._phase = self._phase == "epoch", "over"
        self.state.stop_reason = StopReason("failed")
        error.add_note(f"at epoch {self.state.epoch}, iteration {self.state.iteration} of {self!r}")
        heard: list[tuple[Connection, Any, Any]] = []
        failures: list[BaseException] = []
        self._signal(Events.EXCEPTION_RAISED).emit(self, None, {"exception": error}, heard, failures)
        handled = not failures and any(connection.deals_with_exceptions for connection, _, _ in heard)
        raised = _strongest(error, failures)
        failures.clear()  # their tracebacks refer to frames that refer to this list
        try:
            if not handled:
                raise raised
        finally:
            del error, raised  # likewise

    @property
    def outer(self) -> Engine | None:
        """The engine inside of whose run this one runs, or did so last; None where it never has, or that one is gone.

        An evaluator that a trainer's handler runs has the trainer here, and still has it when it is run by itself
        after the training. Loggers take the training's step from it. A run in a thread of its own is inside of none.

        >>> evaluator = Engine(lambda engine, batch: None)
        >>> trainer = Engine(lambda engine, batch: None)
        >>> handle = trainer.add_event_handler(Events.COMPLETED, lambda: evaluator.run([0]))
        >>> state = trainer.run([0])
        >>> evaluator.outer is trainer, trainer.outer
        (True, None)
        """
        return None if self._outer is None else self._outer()

    @property
    def epoch_position(self) -> int:
        """How many batches of an epoch were taken when it was announced: more than 0 where a run goes on in it.

        What starts anew with each epoch looks at it at EPOCH_STARTED, which announces an epoch again
        that was begun before.

        >>> engine = Engine(lambda engine, batch: batch)
        >>> engine.load_state_dict({"iteration": 3, "epoch_length": 2, "max_epochs": 2})
        >>> def show(engine):
        ...     print(engine.state.epoch, engine.epoch_position)
        >>> handle = engine.add_event_handler(Events.EPOCH_STARTED, show)
        >>> state = engine.run([1, 2])
        2 1
        """
        return self._place.position

    def _loop(self) -> Generator[int, None, StopIteration | None]:
        """Run epochs from the state to its limit: with `_iterate`, the one run loop.

        The first epoch begins after `_place.position` batches. It yields where the run pauses: how many
        batches of the epoch were taken. A StopIteration is returned, which a generator cannot raise.
        """
        state, clock, times = self.state, self._clock, self.state.times
        run_began = clock()
        try:
            try:
                self._phase = "starting"
                if self._reach(Events.STARTED):
                    yield self._place.position
                while self._place.completes_epoch(self.state) or not (self._exhausted or is_done(state)):
                    state.epoch += 1
                    self._place.open_epoch(state.iteration)
                    self._phase, epoch_began, skip = "epoch", clock(), False
                    try:
                        if self._reach(Events.EPOCH_STARTED):
                            yield self._place.position
                        _raise((yield from self._iterate(self._place.position)))
                        if self._is_cut_short():
                            break
                    except _EndEpoch:
                        skip = self._requests.pop("terminate_epoch")[0] == "skip_epoch_completed"
                        self._phase, self._batches = "between", None
                        if self._reach(Events.TERMINATE_SINGLE_EPOCH, iter_counter=self._place.position):
                            yield 0
                    self._phase = "between"
                    self._place.close_epoch()
                    times["EPOCH_COMPLETED"] = clock() - epoch_began
                    if not skip and self._reach(Events.EPOCH_COMPLETED):
                        yield 0
                    times["EPOCH_COMPLETED"] = clock() - epoch_began  # with what its receivers took
                self._conclude("exhausted" if self._exhausted else "completed")
            except _EndRun:
                self._conclude("terminated", self._asker("terminate"))
                self._emit(Events.TERMINATE)
            times["COMPLETED"] = clock() - run_began
            if state.stop_reason != "terminated" or self.should_terminate != "skip_completed":
                self._emit(Events.COMPLETED)
            times["COMPLETED"] = clock() - run_began
        except StopIteration as error:
            return error
        return None

    def _iterate(self, taken: int) -> Generator[int, None, StopIteration | None]:
        """Run the iterations of an epoch of which some batches may have been taken already.

        A signal is emitted where its count has come to be due, which says that a receiver is, that
        the count was set by hand, or that a request to stop waits to be heeded.
        """
        state, step, end = self.state, self._process_function, _END
        getting, got, started, completed = self._signals_of_every_iteration()
        now = state.iteration
        # The iteration before the epoch's first, and the one at which to look at the limits next.
        self._place.before = before = now - taken
        look = now
        length, limit = state.epoch_length, state.max_iters
        self._look_again()
        try:
            if self._batches is None:
                self._batches = self._new_batches()
            if self._place.ending:  # saved when that was asked for, and not yet heeded
                self._requests["terminate_epoch"], self._place.ending = (self._place.ending, None), False
                self._heed()
            if length is not None and taken >= length:
                return None  # saved when its last iteration was complete, and only its end was to come
            batches = self._batches
            state.batch = None
            while True:
                if now >= getting.due:
                    if self._batches is not None:
                        getting.emit(self, now)
                        if self._requests and self._heed():
                            yield now - before
                    batches, look = self._batches, now  # `set_data` makes the signal due
                if batches is not None:
                    state.batch = next(batches, end)
                    if state.batch is end:
                        state.batch = None
                        if self._ends_first_pass(now - before - self._taken_before(taken)):
                            break
                        if self._reach(Events.DATALOADER_STOP_ITERATION):
                            yield now - before
                        state.batch = self._first_batch_of_new_pass()
                        if self._exhausted:
                            break
                        batches, look = self._batches, now
                    state.output = None
                    if state.iteration != now:
                        now, before = self._recount(now, before)
                        look = now
                    if now >= got.due:
                        got.emit(self, now)
                        if self._requests and self._heed():
                            yield now - before
                        now, before = self._recount(now, before)
                        look = now
                else:
                    state.output = None
                state.iteration = now = now + 1
                if now >= started.due:
                    started.emit(self, now)
                    if self._requests and self._heed():
                        yield now - before
                    look = now
                state.output = step(self, state.batch)
                if state.iteration != now:
                    now, before = self._recount(now, before)
                    look = now
                if now >= completed.due:
                    completed.emit(self, now)
                    if self._requests and self._heed():
                        yield now - before
                    if state.iteration != now or state.epoch_length is not length or state.max_iters is not limit:
                        now, before = self._recount(now, before)
                        look = now
                if now >= look:
                    length, limit = state.epoch_length, state.max_iters
                    look = self._last_iteration(before)
                    if now >= look:
                        break
                # Let go of the batch before the next one needs the memory. CPython 3.11 specialises a loop
                # only where its last statement is an unconditional one, such as this.
                state.batch = None
        except StopIteration as error:
            return error
        finally:
            self._place.position = now - before
            batches = None  # the traceback of an exception keeps this frame
        return None

    def _last_iteration(self, before: int) -> int:
        """Return the iteration that ends the epoch whose first one comes after `before`, or the run."""
        state = self.state
        ends = [] if state.epoch_length is None else [before + state.epoch_length]
        if state.max_iters is not None:
            ends.append(state.max_iters)
        return min(ends, default=state.iteration + NEVER)

    def _recount(self, now: int, before: int) -> tuple[int, int]:
        """Return the iteration, which may have been set by hand, and the one before the epoch's first.

        Where it was set, no count is known to be quiet any more.
        """
        moved = self.state.iteration
        if moved != now:
            self._look_again()
            self._place.before = before + moved - now
        return moved, before + moved - now

    def _signals_of_every_iteration(self) -> tuple[EventSignal, EventSignal, EventSignal, EventSignal]:
        return (
            self._signal(Events.GET_BATCH_STARTED),
            self._signal(Events.GET_BATCH_COMPLETED),
            self._signal(Events.ITERATION_STARTED),
            self._signal(Events.ITERATION_COMPLETED),
        )

    def _look_again(self) -> None:
        for signal in self._signals_of_every_iteration():
            signal.look_again()

    def _ends_first_pass(self, taken: int) -> bool:
        """Tell whether the data ended for the first time, which is how long an epoch is."""
        if self.state.epoch_length is not None or not taken:
            return False
        self.state.epoch_length = taken
        return True

    def _taken_before(self, taken: int) -> int:
        """Return how many of the batches that an epoch had when it was announced are given again, or left out."""
        return 0 if self._place.keeps_iterator else taken

    def _first_batch_of_new_pass(self) -> Any:
        """Iterate the data anew and return its first batch; where it has none, the run is exhausted."""
        self._batches = self._new_batches()
        batch = None if self._batches is None else next(self._batches, _END)
        if batch is not _END:
            return batch
        self._exhausted = True
        self.state.stop_reason = StopReason("exhausted")
        warnings.warn(exhaustion(self.state), stacklevel=stack_level())
        return None

    def _new_batches(self) -> Iterator[Any] | None:
        return None if self.state.dataloader is None else iter(self.state.dataloader)

    def _is_cut_short(self) -> bool:
        """Tell whether `max_iters` was reached inside an epoch."""
        state = self.state
        return state.max_iters is not None and is_done(state) and self._place.position != state.epoch_length

    def _conclude(self, word: str, by: str | None = None) -> None:
        # A run that max_iters cut short inside an epoch can be extended to complete it.
        self._place.counted = self._phase == "epoch" and word == "completed"
        if not self._place.counted and self._phase != "starting":
            self._place.position = 0
        self._phase = "over"
        self.state.stop_reason = StopReason(word, by)

    def _clock(self) -> float:
        """Read the time in seconds, less what the run was paused for."""
        return time.perf_counter() - self._idle_time

    # Emitting

    def _emit(self, event: Events, **payload: Any) -> None:
        self._signal(event).emit(self, None, payload)

    def _reach(self, event: Events, **payload: Any) -> bool:
        """Emit an event, heed what was requested, and tell whether the run is to pause."""
        self._emit(event, **payload)
        return bool(self._requests) and self._heed()

    def call_when_complete(self, function: Callable[[Engine], Any]) -> None:
        """Call `function(engine)` once, when the iteration or the epoch that is under way is complete.

        After ITERATION_COMPLETED or EPOCH_COMPLETED and all their receivers, or when the run has ended of itself: then
        the state is exact, to be saved for example. It may be asked for by another thread or a signal handler, and is
        called in the thread of the run. A run that fails before forgets it; one that is interrupted calls it when it
        has gone on.

        >>> engine = Engine(lambda engine, batch: engine.call_when_complete(show) if batch == "b" else None)
        >>> def show(engine):
        ...     print(repr(engine.last_event_name), engine.state.iteration)
        >>> state = engine.run("abc")
        Events.ITERATION_COMPLETED 2
        """
        check_callable("function", function)
        self._waiting.append(function)
        self._request("call", True)

    def _call_waiting(self) -> None:
        self._requests.pop("call", None)
        for _ in range(len(self._waiting)):  # what is asked for meanwhile waits for the next complete state
            self._waiting.popleft()(self)

    def _heed(self) -> bool:
        """Obey the strongest request: end the run, or the epoch, or tell that the run is to pause."""
        ends_epoch = "terminate_epoch" in self._requests and self._phase == "epoch"  # which is complete after that
        if "call" in self._requests and self.last_event_name in _COMPLETE and not ends_epoch:
            self._call_waiting()
        if "terminate" in self._requests:
            raise _EndRun
        if "terminate_epoch" in self._requests and self._phase == "epoch":
            raise _EndEpoch
        self._requests.pop("terminate_epoch", None)
        if "interrupt" not in self._requests:
            return False
        self.state.stop_reason = StopReason("interrupted", self._asker("interrupt"))
        self._emit(Events.INTERRUPT)
        self._requests.pop("interrupt", None)
        if "terminate" in self._requests:  # a receiver of INTERRUPT asked for more than a pause
            raise _EndRun
        return True

    def describe(self) -> str:
        """Return a table of who listens to what, in the order of calling."""
        return describe(self)

    def __repr__(self) -> str:
        step = self._process_function
        return f"{type(self).__name__}({getattr(step, '__name__', type(step).__name__)})"

    def __str__(self) -> str:
        return summary(self)

    # Keeping

    def set_data(self, data: Iterable[Any]) -> None:
        """Take the next batches from other data; the length of an epoch stays as it is.

        Raises:
            TypeError: the data cannot be iterated.
            ValueError: it is empty.
        """
        check_data(data, None)
        self.state.dataloader = data
        self._batches = self._new_batches()
        self._exhausted = False
        self._look_again()  # the loop takes note of other data where it is about to fetch a batch

    def reset(self) -> None:
        """Forget the progress, so that the next run starts anew; handlers and counts stay.

        Raises:
            RuntimeError: the engine is running.
        """
        if self._running:
            raise RuntimeError(f"{self!r} is running: call terminate() and reset it after the run")
        state = self.state
        state.iteration = state.epoch = 0
        state.max_epochs = state.max_iters = state.epoch_length = None
        self._set_idle()

    def surround_runs(self, context: Callable[[Engine], AbstractContextManager[Any]]) -> None:
        """Let every run be inside of a context, from before its first event until after its last.

        For what must be undone however a run ends. A run that goes on after an interruption is a run of its own here.

        Args:
            context: called with the engine at the beginning of each run, returns a context manager.

        Raises:
            TypeError: it cannot be called.
            ValueError: it surrounds the runs already.

        >>> import torch
        >>> engine = Engine(lambda engine, batch: torch.is_inference_mode_enabled())
        >>> engine.surround_runs(lambda engine: torch.inference_mode())
        >>> engine.run([0]).output, torch.is_inference_mode_enabled()
        (True, False)
        """
        check_callable("context", context)
        if context in self._surroundings:
            raise ValueError(f"context must be given once, got {described(context)} again for {self!r}")
        self._surroundings.append(context)

    def __getstate__(self) -> dict[str, Any]:
        """Copy all but what belongs to this process or this object: a paused run, weak connections, data."""
        if self._running:
            raise RuntimeError(f"{self!r} is running: copy or pickle it between runs")
        attributes = {name: value for name, value in self.__dict__.items() if name not in _NOT_COPIED}
        state = copy.copy(self.state)
        state.dataloader = state.batch = state.output = None
        state.metrics, state.times, state.counters = dict(state.metrics), dict(state.times), dict(state.counters)
        return {
            "attributes": attributes,
            "state": state,
            "last_event_name": self.last_event_name,
            "place": copy.copy(self._place),
            "registered": [(entry.get(), entry.name) for entry in self._statefuls if not entry.weak],
            "signals": [(signal.event, signal.counter, signal.strong_connections()) for signal in self.signals.all()],
        }

    def __setstate__(self, copied: dict[str, Any]) -> None:
        self.__dict__.update(copied["attributes"])
        self.state = copied["state"]
        self.last_event_name = copied["last_event_name"]
        self._set_idle()
        self._moved = self.state
        self._place = copied["place"]
        kept = [registered(stateful, name, weak=False) for stateful, name in copied["registered"]]
        self._statefuls = [*kept, *self.registered_statefuls()]
        self.signals = SignalNamespace()
        for event, counter, connections in copied["signals"]:
            self._registered(event).restore(counter, connections)
        self._zero_new_counters()


def _strongest(error: BaseException, failures: list[BaseException]) -> BaseException:
    """Return what of several exceptions leaves a run: one that ends the program before others, the first of these.

    What is not raised is not lost: the first one's context is the error of the run, the others are in its notes.
    """
    others = [failure for failure in failures if failure is not error]
    if not others:
        return error
    raised = next((other for other in others if not isinstance(other, Exception)), others[0])
    if raised.__cause__ is None and raised.__context__ is None:
        raised.__context__ = error
    for other in others:
        if other is not raised:
            raised.add_note(f"a receiver of exception_raised raised {other!r} too")
    return raised


def _raise(error: StopIteration | None) -> None:
    try:
        if error is not None:
            raise error
    finally:
        del error  # its traceback refers to this frame


# What an engine has that belongs to its runs, or is copied in its own way.
_NOT_COPIED = {
    *("signals", "_running", "_phase", "_thread", "_paused", "_moved"),
    *("_place", "_exhausted", "_idle_time", "_waiting", "_outer", "_observers"),
}
