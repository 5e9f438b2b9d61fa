"""Kill a training many times, and see whether what comes of it is what comes of a training that is left alone.

    python tests/proofs/kill_many.py --kills 500 --jobs 2 --seed 0

Each run trains on handwritten digits (`tests/support/digits_run.py`), is killed with SIGKILL at random moments, at
least a quarter of them between the opening of a temporary file and its renaming, some between that and the removing of
the old file, and started with the same command until it is finished. Some keep two checkpoints and some one, some write
them in the background, some load their data with workers.

After each kill the newest and the best checkpoint that were saved must be there and whole, and as many as are to be
kept. The next process must go on with the iteration after the newest. In the end weights, optimizer, averaged weights,
schedule, scores, random numbers, the log and the files on the disk must be equal to the bit.

Each start is a new interpreter; with `--forked` a fork of one that has imported everything, which takes a tenth of the
time. A kill counts if the process has an iteration behind it.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs

# Run as a program, it finds here what the tests share.
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
from support.killing import Forks, Start, Tally, differences, fresh, kill_until_finished, run_to_the_end
from support.measuring import machine, positive, show_machine

KILLS_A_RUN = 12
# So many runs that failed are enough: one that fails at once has no kill that counts.
ENOUGH_FAILED = 10
ASYNCHRONOUS = "--asynchronous"
# The options of the runs, each in turn.
VARIANTS: list[tuple[str, ...]] = [
    (),
    (ASYNCHRONOUS,),
    ("--n-saved", "1"),
    ("--n-saved", "1", ASYNCHRONOUS),
    ("--data", "workers"),
    ("--data", "stateful"),
]


def at_once(options: tuple[str, ...]) -> tuple[str, ...]:
    """Return the options of the run to compare with, which does not write in the background."""
    return tuple(each for each in options if each != ASYNCHRONOUS)


@attrs.define
class Proof:
    """Runs that are killed, by several threads, until there are enough kills."""

    start: Start
    folder: Path
    kills: int
    seed: int
    references: dict[tuple[str, ...], Path] = attrs.field(factory=dict)
    saves: list[float] = attrs.field(factory=list)
    runs: int = 0
    failed: int = 0
    total: Tally = attrs.field(factory=Tally)
    failures: list[str] = attrs.field(factory=list)
    began: float = attrs.field(factory=time.monotonic)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)
    _numbers: int = 0

    def make_references(self) -> None:
        """Run once with each kind of options, never killed."""
        for options in dict.fromkeys(map(at_once, VARIANTS)):
            self.references[options] = self.folder / " ".join(("never killed", *options))
            self.saves += run_to_the_end(self.start, self.references[options], options).saves()

    def work(self) -> None:
        """Kill one run after the other."""
        while (number := self._next()) is not None:
            self.kill_one(number)

    def _next(self) -> int | None:
        with self._lock:
            if self.total.counted >= self.kills or self.failed >= ENOUGH_FAILED:
                return None
            self._numbers += 1
            return self._numbers

    def kill_one(self, number: int) -> None:
        options, tally = VARIANTS[(number - 1) % len(VARIANTS)], Tally(saves=list(self.saves))
        folder, chance = self.folder / str(number), random.Random(f"{self.seed}, {number}")
        kills = min(KILLS_A_RUN, max(1, self.kills - self.total.counted))
        try:
            kill_until_finished(self.start, folder, options, chance, kills, tally)
            found = differences(self.references[at_once(options)], folder)
        except Exception as error:  # such as a file that cannot be read; the other runs go on
            found = [f"{type(error).__name__}: {error}"]
        with self._lock:
            self._add(number, options, tally, found)
        if not found:
            shutil.rmtree(folder)

    def _add(self, number: int, options: tuple[str, ...], tally: Tally, found: list[str]) -> None:
        self.runs += 1
        self.failed += bool(found)
        self.total.starts += tally.starts
        self.total.counted += tally.counted
        self.total.early += tally.early
        self.total.saving += tally.saving
        self.total.replacing += tally.replacing
        self.failures += [f"run {number}, {' '.join(options)}: {each}" for each in found]
        print(
            f"{time.monotonic() - self.began:6.0f} s  {self.total.counted:4} kills, {self.total.saving:4} of them while"
            f" saving; run {number} ({' '.join(options)}): {'DIFFERENT' if found else 'equal'}",
            flush=True,
        )


def summary(proof: Proof) -> bool:
    """Print what was found, and return whether it is as it must be."""
    total, share = proof.total, proof.total.saving / max(1, proof.total.counted)
    print(f"\n{total.counted} kills after the first iteration of a process, and {total.early} before it")
    print(f"{total.saving} of them ({share:.0%}) between the opening of a temporary file and its renaming")
    print(f"{total.replacing} of them between that and the removing of the old file")
    print(
        f"{total.starts} starts, {proof.runs} runs compared, {time.monotonic() - proof.began:.0f} s, seed {proof.seed}"
    )
    for failure in proof.failures[:50]:
        print(failure)
    print("DIFFERENT" if proof.failures else "nothing lost, all equal to the bit")
    return not proof.failures and total.counted >= proof.kills and share >= 0.25


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill a training many times, and compare what comes of it.")
    parser.add_argument("--kills", type=positive, default=500, help="how many at least (default 500)")
    parser.add_argument("--jobs", type=positive, default=2, help="how many runs at a time (default 2)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default 0)")
    parser.add_argument("--forked", action="store_true", help="fork instead of starting an interpreter each time")
    arguments = parser.parse_args()
    show_machine(machine(["ignite_signals", "torch", "numpy", "torchdata"]))
    folder = Path(tempfile.mkdtemp(prefix="kill-many-"))
    proof = Proof(Forks() if arguments.forked else fresh, folder, arguments.kills, arguments.seed)
    proof.make_references()
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for job in [pool.submit(proof.work) for _ in range(arguments.jobs)]:
            job.result()
    passed = summary(proof)
    if passed:
        shutil.rmtree(folder)
    else:
        print(f"what is left of the runs is in {folder}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
