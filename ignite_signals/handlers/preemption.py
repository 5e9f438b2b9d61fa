"""Preemption: stop a run in order when the process is told to end."""

from __future__ import annotations

import _thread
import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from signal import Handlers, Signals
from types import FrameType
from typing import Any, TypeAlias

from ignite_signals.engine import Engine
from ignite_signals.engine.callables import Parameters, check_callable, described
from ignite_signals.engine.limits import stack_level
from ignite_signals.handlers.checks import check_engine

__all__ = ["Preemption"]

Disposition: TypeAlias = Callable[[int, FrameType | None], Any] | int | Handlers | None

# What schedulers and terminals send, as far as the platform has it.
_SIGNALS = tuple(Signals[name] for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name))
_UNCATCHABLE = {"SIGKILL", "SIGSTOP"}


class Preemption:
    """Stop the run at the next safe point when a signal tells the process to end, and save.

    At the first signal the run goes on until its iteration or epoch is complete, receivers included. Then `save` is
    called and the run ends: `run` returns, `state.stop_reason` is `"terminated"` by Preemption, and COMPLETED is not
    sent, because the training is not complete. A run that is about to end anyway, as its limit is reached or somebody
    terminated it, is saved and ends as it would have.

    A second signal stops at once: it does what it would have done without this handler, and ends the process where it
    would have been ignored. Signals are caught only while a run is on, and what was there before is put back. In the
    trial of a `FastaiLRFinder` they are not caught, because nothing of it is to be saved.

    Args:
        save: called as `save(engine)` when the state is complete, usually a `Checkpoint`; None to save nothing.
        signals: what to catch; SIGTERM, SIGINT and SIGUSR1 by default, as far as the platform has them.

    Attributes:
        signal: the signal that came during the last run, or None.

    Raises:
        TypeError: `save` cannot be called, or `signals` holds something other than integers.
        ValueError: `save` does not take `(engine)`, or `signals` is empty or has one that does not exist or cannot be
            caught.

    >>> import signal
    >>> from ignite_signals import Engine
    >>> trainer = Engine(lambda engine, batch: signal.raise_signal(signal.SIGTERM) if batch == "b" else None)
    >>> preemption = Preemption(save=lambda engine: print("saved at iteration", engine.state.iteration))
    >>> preemption.attach(trainer)
    >>> state = trainer.run("abc")
    saved at iteration 2
    >>> state.stop_reason, preemption.exit_code
    ('terminated' by Preemption (SIGTERM), 143)
    """

    def __init__(self, save: Callable[[Engine], Any] | None = None, signals: Iterable[int] = _SIGNALS) -> None:
        if save is not None:
            check_callable("save", save)
            if not Parameters(save).take((None,), {}):
                raise ValueError(f"save must take (engine), got {described(save)}")
        self.save = save
        self.signals = _checked(signals)
        self.signal: Signals | None = None
        self.logger = logging.getLogger(f"{__name__}.{type(self).__qualname__}")
        self._is_catching = False

    @property
    def exit_code(self) -> int:
        """What the program is to exit with: 128 plus the signal, as shells say it, and 0 where there was none."""
        return 0 if self.signal is None else 128 + self.signal

    def attach(self, engine: Engine) -> None:
        """Catch the signals in every run of an engine.

        It may be attached to several engines. Of runs inside each other the outermost one is what stops.

        Raises:
            TypeError: it is no engine.
            ValueError: it is attached to this engine already.
        """
        check_engine(engine)
        try:
            engine.surround_runs(self._surround)
        except ValueError:
            raise ValueError(f"engine must be one that this Preemption is not attached to, got {engine!r}") from None

    def _surround(self, engine: Engine) -> AbstractContextManager[None]:
        """Return what a run is inside of."""
        if self._is_catching:  # in a run that this one is inside of
            return nullcontext()
        self.signal = None
        if threading.current_thread() is not threading.main_thread():
            _warn("signals can be caught in the main thread alone: this run cannot be preempted")
            return nullcontext()
        before = {number: signal.getsignal(number) for number in self.signals}
        for number in [number for number, handler in before.items() if handler is None]:
            _warn(f"{number.name} has a handler that only C code can put back: it is left alone, and preempts nothing")
            del before[number]
        return self._catching(engine, before)

    @contextmanager
    def _catching(self, engine: Engine, before: dict[Signals, Disposition]) -> Iterator[None]:
        catcher = _Catcher(self, engine, before)
        self._is_catching = True
        try:
            catcher.install()
            yield
        finally:
            catcher.put_back()
            self._is_catching = False
        # An interrupted run stops when it has gone on, and one that failed has no state to save.
        if engine.state.stop_reason not in ("interrupted", "failed"):
            catcher.save(engine)  # for a signal that came when everything else was done

    def __getstate__(self) -> dict[str, Any]:
        # A copy that is made while a run is on is in no run.
        return vars(self) | {"_is_catching": False}


class _Catcher:
    """The handler of all signals in one run."""

    def __init__(self, preemption: Preemption, engine: Engine, before: dict[Signals, Disposition]) -> None:
        self._preemption = preemption
        # The engine that runs; None when the run is over.
        self._engine: Engine | None = engine
        self._before = before
        self._process = os.getpid()
        # The signal that asks for a stop which is still to come.
        self._due: Signals | None = None

    def install(self) -> None:
        for number in self._before:
            signal.signal(number, self)

    def put_back(self) -> None:
        """Put back what was there before, unless somebody has put something else there meanwhile."""
        self._engine = None
        for number, handler in self._before.items():
            if signal.getsignal(number) is self:
                signal.signal(number, handler)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Ask for a stop at the first signal; let another one do what it would have done."""
        caught = Signals(number)
        engine, is_child = self._engine, os.getpid() != self._process
        # Children are ended with SIGTERM. What is sent to all processes of a terminal or a job is for their parent,
        # who may need its workers to complete the iteration.
        if engine is None or self._preemption.signal is not None or (is_child and caught is Signals.SIGTERM):
            self._let_through(caught, frame)
            return
        self._preemption.signal = caught
        if not is_child:
            self._ask(engine, caught)
        outer = self._before[caught]
        if isinstance(outer, _Catcher):
            outer(number, frame)

    def _ask(self, engine: Engine, caught: Signals) -> None:
        self._due = caught
        engine.call_when_complete(self.stop)
        # In a thread, because the one that was stopped here may hold a lock of logging.
        message = "%s: %r stops when its iteration is complete; a second signal stops at once"
        with suppress(RuntimeError):  # there can be no more threads
            _thread.start_new_thread(self._preemption.logger.warning, (message, caught.name, engine))

    def stop(self, engine: Engine) -> None:
        """Save, and end the run."""
        caught = self._due
        self.save(engine)
        if caught is not None and not _ends_anyway(engine):
            engine.terminate(skip_completed=True, by=f"Preemption ({caught.name})")

    def save(self, engine: Engine) -> None:
        """Save, if a signal came that this is still to be done for."""
        caught, self._due = self._due, None
        if caught is None:
            return
        self._preemption.signal = caught  # forgotten when a run goes on that was interrupted before it could stop
        if self._preemption.save is not None:
            try:
                self._preemption.save(engine)
            except BaseException as error:
                error.add_note(f"in save, which Preemption called because of {caught.name}")
                raise

    def _let_through(self, caught: Signals, frame: FrameType | None) -> None:
        before = self._before[caught]
        self.put_back()
        if callable(before):
            before(caught, frame)
        else:  # the default action, also in place of SIG_IGN: a second signal has to stop
            signal.signal(caught, signal.SIG_DFL)
            signal.raise_signal(caught)


def _ends_anyway(engine: Engine) -> bool:
    """Tell whether a run, of which an iteration or an epoch is complete, makes no other one."""
    state = engine.state
    if engine.should_terminate or state.stop_reason is not None:  # the data is exhausted, or the run is over
        return True
    if state.max_iters is not None:
        return state.iteration >= state.max_iters
    return state.max_epochs is not None and engine.place()[0] >= state.max_epochs


def _checked(signals: Iterable[int]) -> tuple[Signals, ...]:
    """Return the signals, each once."""
    try:
        numbers = list(signals)
    except TypeError:
        raise TypeError(f"signals must be a collection of signals, such as [signal.SIGTERM], got {signals!r}") from None
    if not numbers:
        raise ValueError("signals must have at least one signal, got none")
    return tuple(dict.fromkeys(_signal(number) for number in numbers))


def _signal(number: object) -> Signals:
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(f"signals must hold signals, such as signal.SIGTERM, got {number!r}")
    try:
        found = Signals(number)
    except ValueError:
        raise ValueError(f"signals must hold signals of this platform, such as signal.SIGTERM, got {number}") from None
    if found.name in _UNCATCHABLE:
        raise ValueError(f"signals must hold signals that can be caught, such as signal.SIGTERM, got {found.name}")
    return found


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=stack_level())
