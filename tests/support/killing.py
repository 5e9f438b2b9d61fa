"""Start a program, kill it at random moments, start it with the same command until it is finished, and compare.

The program is `support.digits_run`. It tells what it does with its files on a named pipe, just before it does it:
"opened" a temporary file, "renaming" it, "removing" an old checkpoint. So the parent can choose its moments, and knows
from the marks and from what lies on the disk what a kill has hit, and whether anything was lost by it.
"""

from __future__ import annotations

import multiprocessing.forkserver
import os
import random
import select
import signal
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

import attrs
import torch
from torch import Tensor

from support.digits_run import CHECKPOINTS, LOG, RESULT, main, parse, read_log
from support.lost import Whole, lost

__all__ = [
    "Forks",
    "Process",
    "Start",
    "Tally",
    "differences",
    "fresh",
    "kill_at",
    "kill_until_finished",
    "run_to_the_end",
]

TESTS = Path(__file__).parents[1]
ERRORS, MARKS = "errors.txt", "marks"
# The seconds in which a program has to make another mark or to end.
PATIENCE = 120
# What makes a second thread of no use, and a fork of a process with threads.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Process(Protocol):
    """A process that runs the program."""

    @property
    def pid(self) -> int:
        """The number of the process."""

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""


Start = Callable[[Path, tuple[str, ...]], Process]


# Starting


def fresh(folder: Path, options: tuple[str, ...]) -> Process:
    """Start the program by its command, with an interpreter of its own."""
    command = [sys.executable, "-m", "support.digits_run", str(folder), *options]
    with (folder / ERRORS).open("ab") as errors:
        return subprocess.Popen(command, env=_environment(), stderr=errors, start_new_session=True)


def _environment() -> dict[str, str]:
    paths = [str(TESTS), str(TESTS.parent), *filter(None, sys.path)]
    return os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(paths)}


class Forks:
    """Start the program with the arguments of the same command, as a fork of a process that has imported it.

    Importing takes seconds, of which a test of many kills has none.
    """

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__, "sklearn.datasets", "torch._dynamo"])
        before = os.environ.copy()
        os.environ.update(_environment())  # the server inherits it when it starts
        try:
            multiprocessing.forkserver.ensure_running()
        finally:
            os.environ.clear()
            os.environ.update(before)

    def __call__(self, folder: Path, options: tuple[str, ...]) -> Process:
        _age(folder)
        process = self._context.Process(target=_run, args=(folder, options))
        process.start()
        return _Forked(process)


@attrs.frozen
class _Forked:
    process: BaseProcess

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def poll(self) -> int | None:
        return self.process.exitcode


def _age(folder: Path) -> None:
    """Make the files of a killed process a minute old, as they are where its successor has to be started first.

    A temporary file that is younger than a second is taken for one that somebody is about to lock.
    """
    for path in (folder / CHECKPOINTS).glob(".*.tmp"):
        os.utime(path, (time.time() - 60,) * 2)


def _run(folder: Path, options: tuple[str, ...]) -> None:
    os.setsid()
    with (folder / ERRORS).open("ab") as errors:
        os.dup2(errors.fileno(), 2)
    main([str(folder), *options])


# One life


@attrs.frozen
class Marked:
    """A moment that the program told of."""

    what: str
    name: str
    # What it is renamed to.
    new_name: str
    time: float


class Life:
    """One start of the program, until it is killed or ends, and what it told.

    However it ends, it may not have lost what was saved, nor have trained again what was saved before it began.
    """

    def __init__(self, start: Start, folder: Path, options: tuple[str, ...]) -> None:
        self.folder, self.marks = folder, list[Marked]()
        self.killed = False
        self.n_saved: int = parse([str(folder), *options]).n_saved
        self.before = self.after = Whole.of(folder / CHECKPOINTS)
        self._unread = b""
        pipe = folder / MARKS
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe)
        self._pipe = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        self._process = start(folder, (*options, "--marks", str(pipe)))

    def wait_for(self, what: str, number: int = 1) -> bool:
        """Wait until the program has told something so many times since its first iteration; False: it ended."""
        while self._told(what) < number:
            if not self.goes_on():
                return False
        return True

    def wait_for_death(self) -> None:
        """Wait until the program has ended or killed itself; `kill` or `wait` are still to be called."""
        while self.goes_on():
            pass

    def wait(self) -> None:
        """Wait until the program ends.

        Raises:
            AssertionError: it failed, or something was lost.
        """
        self.wait_for_death()
        self._end()
        if self._process.poll() != 0:
            raise AssertionError(f"exit code {self._process.poll()}: {(self.folder / ERRORS).read_text()}")
        self._check()

    def kill(self) -> None:
        """Kill the program at once, unless it has ended or killed itself.

        Raises:
            AssertionError: something was lost.
        """
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGKILL)
        while self._process.poll() is None:
            time.sleep(0.001)
        self._end()
        self.killed = self._process.poll() == -signal.SIGKILL
        self._check()

    def saves(self) -> list[float]:
        """Return how long each save took, from the opening to the renaming."""
        opened = {mark.name: mark.time for mark in self.told("opened")}
        return [mark.time - opened[mark.name] for mark in self.told("renaming")]

    def told(self, what: str) -> list[Marked]:
        """Return the marks of one kind."""
        return [mark for mark in self.marks if mark.what == what]

    @property
    def began(self) -> bool:
        """Tell whether an iteration is behind it."""
        return bool(self.told("iteration"))

    @property
    def was_saving(self) -> bool:
        """Tell whether it died between the opening of a temporary file and its renaming.

        A mark comes before what it tells of. So a file that was opened must be there, and one whose renaming was told
        of does not count, though it may be there still.
        """
        opened = {mark.name for mark in self.told("opened")} - {mark.name for mark in self.told("renaming")}
        return any(self._is_there(name) for name in opened)

    @property
    def was_replacing(self) -> bool:
        """Tell whether it died between a renaming and the removing of the old file, so that one more is there."""
        return len(self.after.last) > self.n_saved

    def _is_there(self, name: str) -> bool:
        return (self.folder / CHECKPOINTS / name).exists()

    def _check(self) -> None:
        """Look at what the folder has, and where the training went on.

        A mark comes before what it tells of. So a file was renamed if it is not there under its old name.
        """
        self.after = Whole.of(self.folder / CHECKPOINTS)
        renamed = {mark.new_name for mark in self.told("renaming") if not self._is_there(mark.name)}
        found = lost(self.before, self.after, renamed, self.n_saved)
        iterations = self.told("iteration")
        if iterations and int(iterations[0].name) != self.before.newest + 1:
            found.append(f"it went on with iteration {iterations[0].name}, though it had {sorted(self.before.last)}")
        if found:
            marks = [f"{mark.what} {mark.name}" for mark in self.marks[-5:]]
            raise AssertionError(f"lost in {self.folder}: {found}, after {marks}")

    def _told(self, what: str) -> int:
        first = next((index for index, mark in enumerate(self.marks) if mark.what == "iteration"), len(self.marks))
        return sum(mark.what == what for mark in self.marks[first:])

    def goes_on(self) -> bool:
        """Wait for marks, and tell whether there may be more.

        Raises:
            AssertionError: it does not end and tells nothing.
        """
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            ended = self._process.poll() is not None
            ready, _, _ = select.select([self._pipe], [], [], 0 if ended else 0.05)
            if ready and self._read():
                return True
            if ended:
                return False
            if ready:  # nobody writes any more, and the process is about to end
                time.sleep(0.001)
        self.kill()
        raise AssertionError(f"no mark within {PATIENCE} s; the last was {self.marks[-1:]}")

    def _read(self) -> bool:
        try:
            data = os.read(self._pipe, 1 << 16)
        except BlockingIOError:
            return False
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            what, name, new_name, moment = line.decode().split()
            self.marks.append(Marked(what, name, new_name, float(moment)))
        return bool(data)

    def _end(self) -> None:
        """Read what the process wrote before its death, and end the workers that it left behind."""
        while self._read():
            pass
        os.close(self._pipe)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


# Many lives


@attrs.define
class Tally:
    """What was done, and what the kills have hit."""

    starts: int = 0
    # Kills after the first iteration of a process, and others.
    counted: int = 0
    early: int = 0
    # Of those counted, how many fell between the opening of a temporary file and its renaming.
    saving: int = 0
    # And how many between the renaming and the removing of an old one.
    replacing: int = 0
    # Seconds that saves took, for the choice of moments.
    saves: list[float] = attrs.field(factory=list, repr=False)

    @property
    def needed(self) -> str | None:
        """Tell of which kills there are too few."""
        if self.saving <= 0.4 * self.counted:
            return "saving"
        return "replacing" if self.replacing <= 0.15 * self.counted else None

    def add(self, life: Life) -> None:
        self.starts += 1
        self.saves += life.saves()
        if life.killed and life.began:
            self.counted += 1
            self.saving += life.was_saving
            self.replacing += life.was_replacing
        else:
            self.early += life.killed


def run_to_the_end(start: Start, folder: Path, options: tuple[str, ...] = ()) -> Life:
    """Run the program without a kill, from its beginning or from where it was killed before."""
    folder.mkdir(parents=True, exist_ok=True)
    life = Life(start, folder, options)
    life.wait()
    return life


def kill_at(start: Start, folder: Path, options: tuple[str, ...], what: str, number: int) -> None:
    """Run the program until it kills itself, just before it does something for the n-th time."""
    folder.mkdir(parents=True, exist_ok=True)
    life = Life(start, folder, (*options, "--die-at", f"{what}:{number}"))
    life.wait_for_death()
    life.kill()
    assert life.killed, "it should have been killed by itself"


def kill_until_finished(
    start: Start, folder: Path, options: tuple[str, ...], chance: random.Random, kills: int, tally: Tally
) -> None:
    """Start the program until it is finished, and kill it at random moments, at most so many times.

    Args:
        start: what starts the program.
        folder: its folder.
        options: its other arguments.
        chance: chooses the moments.
        kills: how often to kill it after its first iteration.
        tally: counts, and knows how long a save takes.

    Raises:
        AssertionError: the program failed, makes no progress, or has lost something.
    """
    folder.mkdir(parents=True, exist_ok=True)
    last = tally.counted + kills
    for _ in range(10 * kills + 10):
        kill = tally.counted < last
        life = _kill(start, folder, options, chance, tally) if kill else run_to_the_end(start, folder, options)
        tally.add(life)
        if (folder / RESULT).exists():
            return
        assert life.killed, (folder / ERRORS).read_text()
    raise AssertionError(f"not finished after {tally}")


def _kill(start: Start, folder: Path, options: tuple[str, ...], chance: random.Random, tally: Tally) -> Life:
    """Start the program, and kill it at some moment, if it does not end before."""
    kind = tally.needed or chance.choice(("any", "any", "any", "any", "early"))
    if kind == "replacing":  # it is so short that only the program itself can hit it
        options = (*options, "--die-at", f"removing:{chance.randint(1, 4)}")
    life = Life(start, folder, options)
    _await_moment(life, kind, chance, statistics.median(tally.saves))
    life.kill()
    return life


def _await_moment(life: Life, kind: str, chance: random.Random, save: float) -> None:
    """Wait until it is time to kill: in the middle of a save, at any moment, or maybe before the first iteration."""
    if kind == "early":
        time.sleep(chance.uniform(0, 0.3))
    elif kind == "any":
        life.wait_for("iteration")
        time.sleep(chance.uniform(0, 10 * save))
    elif kind == "replacing":
        life.wait_for_death()
    else:
        life.wait_for("opened", chance.randint(1, 3))
        time.sleep(chance.uniform(0, 0.9 * save))


# Comparing


def differences(expected: Path, actual: Path) -> list[str]:
    """Return where two finished runs differ, in a single bit: in what came of them, their logs and checkpoints."""
    found = list(_unequal(torch.load(expected / RESULT), torch.load(actual / RESULT), RESULT))
    found += _unequal_logs(read_log(expected / LOG), read_log(actual / LOG))
    names, others = ({path.name for path in (folder / CHECKPOINTS).iterdir()} for folder in (expected, actual))
    found += [f"{name} is {'missing' if name in names else 'left over'}" for name in sorted(names ^ others)]
    for name in sorted(names & others):
        state, other = (torch.load(folder / CHECKPOINTS / name) for folder in (expected, actual))
        # Which of the old files were there still, when this one was written, is a matter of moments.
        found += [each for each in _unequal(state, other, name) if "['saved']" not in each]
    return found


def _unequal_logs(expected: list[dict[str, Any]], actual: list[dict[str, Any]]) -> Iterator[str]:
    """Yield where logs differ: the last entry of each key counts, and those before it may not differ either."""
    entries = {entry["key"]: entry for entry in expected}
    yield from _unequal(entries, {entry["key"]: entry for entry in actual}, LOG)
    repeated = (entry for entry in actual if entry != entries.get(entry["key"]))
    yield from (f"{LOG}, at some time: {entry}" for entry in repeated)


def _unequal(expected: Any, actual: Any, place: str) -> Iterator[str]:
    if type(expected) is not type(actual):
        yield f"{place}: {type(expected).__name__}, not {type(actual).__name__}"
    elif isinstance(expected, Mapping):
        yield from _unequal(list(expected), list(actual), f"keys of {place}")
        for key in expected.keys() & actual.keys():
            yield from _unequal(expected[key], actual[key], f"{place}[{key!r}]")
    elif isinstance(expected, list | tuple):
        if len(expected) != len(actual):
            yield f"{place}: {len(expected)} items, not {len(actual)}"
        for index, pair in enumerate(zip(expected, actual, strict=False)):
            yield from _unequal(*pair, f"{place}[{index}]")
    elif _bits(expected) != _bits(actual):
        yield f"{place}: {expected}, not {actual}"


def _bits(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.dtype, value.shape, value.numpy().tobytes()
    return struct.pack("d", value) if isinstance(value, float) else value
