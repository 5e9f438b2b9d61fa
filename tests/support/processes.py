"""Ranks: processes in one gloo group, which tests send functions to.

Importing torch takes seconds, so the processes start once, when first used, and stay until the session ends.
After a failure the group is made anew, and after a hang the processes, so that no test is hurt by another.
"""

from __future__ import annotations

import inspect
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any, cast

from support.worker import packed, unpacked

__all__ = ["Ranks"]

WORKER = Path(__file__).with_name("worker.py")
TESTS = Path(__file__).parents[1]
# What torchrun sets; a test that wants it sets it itself.
PLACE = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE")


class Ranks:
    """Run functions on several processes at once.

    Args:
        size: the number of processes.
        timeout: the seconds that a call may take.
        grace: the seconds that the others may take once one has failed.
        start_timeout: the seconds that starting the processes may take.
    """

    def __init__(self, size: int = 2, timeout: float = 60, grace: float = 3, start_timeout: float = 120) -> None:
        self.size, self.timeout, self.grace, self.start_timeout = size, timeout, grace, start_timeout
        self._processes: list[subprocess.Popen[bytes]] = []
        self._connections: list[Connection] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._worlds = 0

    def run(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """Call `function(rank, *args)` on every rank and return the results in their order.

        Warnings are errors there. The function is imported from its file, so it must be at the top of its module;
        arguments and results travel as pickles.

        Raises:
            AssertionError: a rank raised, with its traceback, or one did not answer in time, with its stack.
            TypeError: the function is not at the top of a module.
        """
        request = ("call", _reference(function), packed(args))
        if not self._processes:
            self._start()
        answers = self._ask(request, self.timeout)
        if any(not done for done, _ in answers):
            self._regroup()  # they may be out of step
            raise AssertionError(_report(function.__qualname__, answers))
        return [unpacked(answer) for _, answer in answers]

    def close(self) -> None:
        """End the processes: kindly, then not."""
        self._end(kindly=True)

    def _start(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ranks-")
        environment = {name: value for name, value in os.environ.items() if name not in PLACE}
        environment["PYTHONPATH"] = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
        if sys.platform == "linux":
            environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
        for rank in range(self.size):
            ours, theirs = Pipe()
            # -P: not the worker's folder, where it would find its neighbours by other names.
            command = [
                sys.executable,
                "-P",
                str(WORKER),
                str(theirs.fileno()),
                str(rank),
                str(self.size),
                str(self._stack(rank)),
            ]
            self._processes.append(subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment))
            self._connections.append(ours)
            theirs.close()
        self._join(self.start_timeout)

    def _join(self, timeout: float) -> None:
        assert self._folder is not None
        self._worlds += 1
        answers = self._ask(("join", str(Path(self._folder.name) / f"store-{self._worlds}")), timeout)
        if any(not done for done, _ in answers):
            self._end()
            raise AssertionError(_report("the start of the group", answers))

    def _regroup(self) -> None:
        if self._processes:
            with suppress(AssertionError):  # the processes are ended then, and started by the next call
                self._join(self.timeout)

    def _ask(self, request: tuple[Any, ...], timeout: float) -> list[tuple[bool, bytes]]:
        """Return each rank's answer, or end the processes where one gives none."""
        message, answers = pickle.dumps(request), dict[int, tuple[bool, bytes]]()
        for connection in self._connections:
            with suppress(BrokenPipeError):  # read as the end of file below
                connection.send_bytes(message)
        deadline = time.monotonic() + timeout
        while len(answers) < self.size:
            waiting = {self._connections[rank]: rank for rank in range(self.size) if rank not in answers}
            ready = cast("list[Connection]", wait(list(waiting), max(0, deadline - time.monotonic())))
            if not ready:
                return self._give_up(answers, timeout)
            for connection in ready:
                answers[waiting[connection]] = answer = self._received(connection, waiting[connection])
                if not answer[0]:
                    deadline = min(deadline, time.monotonic() + self.grace)
        if any(process.poll() is not None for process in self._processes):
            self._end()
        return [answers[rank] for rank in range(self.size)]

    def _received(self, connection: Connection, rank: int) -> tuple[bool, bytes]:
        try:
            answer = connection.recv_bytes()
        except (EOFError, OSError):
            return False, f"the process ended with exit code {self._processes[rank].wait()}".encode()
        return answer[:1] == b"+", answer[1:]

    def _give_up(self, answers: dict[int, tuple[bool, bytes]], timeout: float) -> list[tuple[bool, bytes]]:
        silent = [rank for rank in range(self.size) if rank not in answers]
        for rank in silent:
            self._processes[rank].send_signal(signal.SIGUSR1)  # it writes down where it is
        time.sleep(0.3)
        others_failed = any(not done for done, _ in answers.values())
        reason = f"{self.grace} s after another failed" if others_failed else f"within {timeout} s"
        for rank in silent:
            stack = self._stack(rank).read_text() if self._stack(rank).exists() else "(it had not started)"
            answers[rank] = False, f"no answer {reason}; the processes were ended. It was in\n{stack}".encode()
        self._end()
        return [answers[rank] for rank in range(self.size)]

    def _stack(self, rank: int) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / f"stack-{rank}"

    def _end(self, kindly: bool = False) -> None:
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            if not kindly:
                process.kill()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes, self._connections = [], []
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _reference(function: Callable[..., Any]) -> tuple[str, str, str]:
    """Return where a function is: its file, its module's name and its own.

    Test modules are no packages on the path, so their names alone would not do.
    """
    file = inspect.getsourcefile(inspect.unwrap(function))
    if file is None or "<" in function.__qualname__:
        raise TypeError(f"function must be defined at the top of a module, got {function.__qualname__}")
    return str(Path(file).resolve()), function.__module__, function.__qualname__


def _report(what: str, answers: list[tuple[bool, bytes]]) -> str:
    failures = [f"rank {rank}: {answer.decode()}" for rank, (done, answer) in enumerate(answers) if not done]
    return f"{what} failed on {len(failures)} of {len(answers)} ranks\n" + "\n".join(failures)
