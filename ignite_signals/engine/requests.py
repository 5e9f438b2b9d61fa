"""Requests to stop: what was asked of a run, by whom, until the run loop heeds it."""

from __future__ import annotations

import threading
from abc import abstractmethod
from typing import Any, Literal

from ignite_signals.engine.callables import label
from ignite_signals.engine.receivers import Connection

__all__ = ["Stoppable"]


class Stoppable:
    """Take requests to end a run, to end its epoch or to pause it.

    A request is a note that the run loop looks for after whatever may have left one, so it may be
    made by a receiver, by the step, by another thread or by a signal handler.
    """

    __slots__ = ()

    # What was asked for ("terminate", "terminate_epoch", "interrupt"): in which form, and by which receiver.
    _requests: dict[str, tuple[bool | str, str | None]]
    # The connection that is being called, and the thread that runs.
    _calling: Connection | None
    _thread: int | None
    _running: bool
    # Where a run is: "starting", in an "epoch", "between" two, "over".
    _phase: str

    def terminate(self, skip_completed: bool = False, *, by: str | None = None) -> None:
        """End the run after the current event; TERMINATE and COMPLETED are still sent.

        It may be called by a receiver, the step, another thread or a signal handler. Once the run
        is over (from TERMINATE on) the request is forgotten.

        Args:
            skip_completed: do not send COMPLETED.
            by: who asks, for `state.stop_reason`; by default the receiver that is being called.
        """
        self._request("terminate", "skip_completed" if skip_completed else True, by)

    def terminate_epoch(self, skip_epoch_completed: bool = False) -> None:
        """End the epoch after the current event; TERMINATE_SINGLE_EPOCH and EPOCH_COMPLETED are still sent.

        The next epoch starts on fresh data. After an epoch has ended there is nothing to do.

        Args:
            skip_epoch_completed: do not send EPOCH_COMPLETED.

        Raises:
            RuntimeError: no epoch has started yet.
        """
        if self._running and self._phase == "starting":
            raise RuntimeError("terminate_epoch must be called in an epoch, not at STARTED: call it at EPOCH_STARTED")
        if not (self._running and self._phase == "between"):
            self._request("terminate_epoch", "skip_epoch_completed" if skip_epoch_completed else True)

    def interrupt(self) -> None:
        """Pause the run after the current event and INTERRUPT; the next `run` goes on from there."""
        self._request("interrupt", True)

    def _request(self, kind: str, value: bool | str, by: str | None = None) -> None:
        if self._running and self._phase == "over":
            return
        calling = self._calling if threading.get_ident() == self._thread else None
        if by is None and calling is not None:
            by = label(calling.handler)
        self._requests[kind] = value, by
        self._look_again()  # after the request is there to be seen

    @abstractmethod
    def _look_again(self) -> None:
        """Make the run loop stop at the next event, whether or not anybody listens."""

    @property
    def is_under_way(self) -> bool:
        """Whether a run is on whose last events, from TERMINATE or COMPLETED on, are still to come."""
        return self._running and self._phase != "over"

    def _requested(self, kind: str) -> Any:
        return self._requests.get(kind, (False, None))[0]

    def _asker(self, kind: str) -> str | None:
        return self._requests.get(kind, (False, None))[1]

    def _set_requested(self, kind: str, value: bool | str) -> None:
        if value:
            self._request(kind, value)
        else:
            self._requests.pop(kind, None)

    @property
    def should_terminate(self) -> bool | Literal["skip_completed"]:
        """Whether `terminate` was called; it stays so until the next run."""
        return self._requested("terminate")  # type: ignore[no-any-return]  # one table for all requests

    @should_terminate.setter
    def should_terminate(self, value: bool | Literal["skip_completed"]) -> None:
        self._set_requested("terminate", value)

    @property
    def should_terminate_single_epoch(self) -> bool | Literal["skip_epoch_completed"]:
        """Whether `terminate_epoch` was called and not heeded yet."""
        return self._requested("terminate_epoch")  # type: ignore[no-any-return]  # one table for all requests

    @should_terminate_single_epoch.setter
    def should_terminate_single_epoch(self, value: bool | Literal["skip_epoch_completed"]) -> None:
        self._set_requested("terminate_epoch", value)

    @property
    def should_interrupt(self) -> bool:
        """Whether `interrupt` was called and not heeded yet."""
        return self._requested("interrupt")  # type: ignore[no-any-return]  # one table for all requests

    @should_interrupt.setter
    def should_interrupt(self, value: bool) -> None:
        self._set_requested("interrupt", value)
