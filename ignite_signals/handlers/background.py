"""Background: a thread does a job while the training goes on."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["Background"]

_LOGGER = logging.getLogger(__name__)


class Background:
    """Do one job at a time in a thread of its own, and return what it returned, or raise what it raised.

    >>> background = Background()
    >>> background.start(lambda: 6 * 7)
    >>> background.wait()
    42
    """

    def __init__(self) -> None:
        self._job: _Job | None = None

    @property
    def is_busy(self) -> bool:
        """Whether there is a job that nobody has waited for to its end."""
        return self._job is not None

    def start(self, job: Callable[[], Any]) -> None:
        """Begin a job.

        Raises:
            RuntimeError: there is one that nobody has waited for.
        """
        if self._job is not None:
            raise RuntimeError("wait for the job before: the background does one at a time")
        begun = _Job(job)
        begun.start()
        self._job = begun

    def join(self) -> None:
        """Wait until the job is done, and leave what came of it to `wait`."""
        if self._job is not None and self._job.can_be_waited_for():
            self._job.done.wait()

    def wait(self) -> Any:
        """Wait until the job is done, and return what it returned; None where there is no job.

        Raises:
            BaseException: what the job raised; or KeyboardInterrupt, and the job goes on to be waited for.
        """
        job = self._job
        if job is None or not job.can_be_waited_for():
            return None
        job.done.wait()
        self._job = None
        return job.result()

    def __reduce__(self) -> tuple[type[Background], tuple[()]]:
        return Background, ()  # a copy has no job to wait for


class _Job(threading.Thread):
    """A thread that knows nobody who waits for it; the interpreter waits, too, before it ends."""

    def __init__(self, function: Callable[[], Any]) -> None:
        super().__init__(name="checkpoint", daemon=False)
        self._function: Callable[[], Any] | None = function
        # Waited for in place of `join`, which takes a thread for ended once KeyboardInterrupt came in between.
        self.done = threading.Event()
        self._process = os.getpid()
        self._returned: Any = None
        self._error: BaseException | None = None

    def run(self) -> None:
        function, self._function = self._function, None  # what it holds is let go when it is done
        assert function is not None
        try:
            self._returned = function()
        except BaseException as error:  # noqa: BLE001  # raised where somebody waits
            self._error = error
            _LOGGER.error("%r, which is raised at the next save or at the end of the run", error)  # noqa: TRY400
        finally:
            self.done.set()

    def can_be_waited_for(self) -> bool:
        """Tell whether this is neither the thread itself nor a forked process, which has no such thread."""
        return self is not threading.current_thread() and self._process == os.getpid()

    def result(self) -> Any:
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
            return self._returned
        finally:
            del error  # its traceback refers to this frame
