"""Measure what an update of each native metric costs.

Each metric takes the same batch again and again, in one process, in turn with

- the bare torch operations that it needs, those of validation included, in the shortest loop (`bare`
  of the metric's case in `tests/support/cases`);
- PyTorch-Ignite and torchmetrics, where they have the metric (the extra `benchmarks`).

A ratio is the median over the rounds of two times that were measured one after the other.

    python tests/benchmarks/metrics.py --json metrics.json
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

# Run as a program, it finds here what the tests share.
sys.path.insert(0, str(Path(__file__).parents[1]))
from support.cases import CASES
from support.measuring import in_turn, machine, one_thread, positive, show_machine, table
from support.metric_cases import MetricCase, Update

Results = dict[str, Any]
# Of <malloc.h>.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
SIZES = (64, 8192)
GOAL = 1.25
VERSIONS = ("torch", "ignite_signals", "pytorch-ignite", "torchmetrics")
# So many updates are one measurement, or as many as take so long.
SECONDS = 0.02


def measured() -> list[MetricCase]:
    """Return the cases that know their bare operations: one for each metric."""
    return [case for case in CASES if case.bare is not None]


def updates(case: MetricCase) -> dict[str, Callable[[], Update]]:
    """Return what makes the update of everybody who takes part."""
    making: dict[str, Callable[[], Update] | None] = {
        "this": lambda: case.make().update,
        "bare": case.bare,
        "ignite": case.ignite,
        "torchmetrics": case.torchmetrics,
    }
    return {name: make for name, make in making.items() if make is not None}


class Timed:
    """Time an update; whoever keeps all outputs begins anew each time."""

    def __init__(self, make: Callable[[], Update], batch: Any, repeats: int) -> None:
        self.make, self.batch, self.repeats = make, batch, repeats

    def __call__(self) -> float:
        """Return microseconds for an update."""
        update, batch = self.make(), self.batch
        update(batch)  # the first one makes the state
        began = time.perf_counter()
        for _ in range(self.repeats):
            update(batch)
        return (time.perf_counter() - began) / self.repeats * 1e6


def timed(make: Callable[[], Update], batch: Any, seconds: float) -> Timed:
    """Return what times as many updates as take so long, or one that takes longer."""
    once = Timed(make, batch, 1)()
    if once < seconds * 1e5:
        once = min(Timed(make, batch, 3)() for _ in range(3))
    return Timed(make, batch, max(1, min(2000, int(seconds * 1e6 / once))))


def measure(case: MetricCase, size: int, rounds: int, seconds: float) -> Results:
    """Return the times, and their ratios, of everybody's update with a batch of this size."""
    batch = case.batch(torch.Generator().manual_seed(0), size)
    print(f"{case.name}, {size} samples", file=sys.stderr)
    times = in_turn({name: timed(make, batch, seconds) for name, make in updates(case).items()}, rounds)
    ratio = partial(ratio_of, times)
    return {
        "microseconds": {name: min(taken) for name, taken in times.items()},
        "this / bare": ratio("this", "bare"),
        **{f"{peer} / this": ratio(peer, "this") for peer in ("ignite", "torchmetrics") if peer in times},
    }


def ratio_of(times: dict[str, list[float]], above: str, below: str) -> float:
    return statistics.median(one / other for one, other in zip(times[above], times[below], strict=True))


def show(size: int, results: dict[str, Results]) -> None:
    """Print what was measured with one size of batch."""
    header = ["metric", "us", "this / bare", "Ignite / this", "torchmetrics / this", ""]
    rows = [row(name, result, size) for name, result in results.items()]
    table(f"an update with {size} samples (goal: this / bare at most {GOAL} with {SIZES[-1]})", header, rows)
    missed = [cells[0] for cells in rows if cells[-1]]
    print(f"\n{len(rows) - len(missed)} of {len(rows)} reach their goals")


def row(name: str, result: Results, size: int) -> list[str]:
    """Return the cells of a metric; the last one names the goals that it misses."""
    bare = result["this / bare"]
    peers = {peer: result.get(f"{peer} / this") for peer in ("ignite", "torchmetrics")}
    missed = [peer for peer, ratio in peers.items() if ratio is not None and ratio < 1]
    if size == SIZES[-1] and bare > GOAL:
        missed.append("bare")
    ratios = ["-" if ratio is None else f"{ratio:.2f}" for ratio in peers.values()]
    return [name, f"{result['microseconds']['this']:.1f}", f"{bare:.2f}", *ratios, ", ".join(missed)]


def keep_memory() -> None:
    """Let the allocator keep what is freed.

    Otherwise whoever happens to get fresh pages of the system, which must be zeroed, seems many times slower.
    """
    if sys.platform == "linux":
        for parameter in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            ctypes.CDLL(None).mallopt(parameter, 2**31 - 1)


def options_from(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure what an update of each native metric costs.")
    parser.add_argument("--rounds", type=positive, default=15, help="how often each is measured (default 15)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of a measurement (default {SECONDS})")
    parser.add_argument("--only", nargs="+", default=[], metavar="METRIC", help="names, or beginnings of them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to a file, too")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the results."""
    options = options_from(arguments)
    cases = [case for case in measured() if not options.only or case.name.startswith(tuple(options.only))]
    results: Results = {"machine": machine(VERSIONS), "rounds": options.rounds}
    show_machine(results["machine"])
    keep_memory()
    warnings.simplefilter("ignore")  # what a peer warns of is not measured here
    gc.collect()
    gc.freeze()
    with one_thread():
        for size in SIZES:
            results[str(size)] = {case.name: measure(case, size, options.rounds, options.seconds) for case in cases}
            show(size, results[str(size)])
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
