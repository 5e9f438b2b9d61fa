"""Measure what a progress bar costs an iteration that draws nothing, against a bare `tqdm.update`.

In one process, in turn:

- an empty loop, and one that calls `bar.update(1)` of tqdm's own bar: the difference is what a bare update costs;
- a run of an engine without a bar, and one with it: the difference is what this package's bar costs, the sending of
  the event included;
- the same with PyTorch-Ignite, where it is installed (the extra `benchmarks`).

The bars write to a file that keeps nothing, and draw every tenth of a second, as in a terminal.

    python tests/benchmarks/progress.py --json progress.json
"""

from __future__ import annotations

import argparse
import gc
import importlib
import importlib.util
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from ignite_signals import engine as ours
from ignite_signals.handlers.tqdm_logger import ProgressBar

# Run as a program, it finds here what the tests share.
sys.path.insert(0, str(Path(__file__).parents[1]))
from support.measuring import in_turn, machine, positive, show_machine, table

GOAL = 5.0
VERSIONS = ("ignite_signals", "tqdm", "pytorch-ignite", "torch", "blinker")
# What is measured without and with a bar.
PAIRS = {"tqdm.update": ("empty loop", "tqdm"), "this": ("engine", "engine, bar"), "ignite": ("ignite", "ignite, bar")}


def identity(engine: Any, batch: Any) -> Any:
    """Return the batch: the step that costs least."""
    return batch


def empty_loop(iterations: int, file: TextIO) -> float:
    began = time.perf_counter()
    for _ in range(iterations):
        pass
    return time.perf_counter() - began


def loop_with_bar(iterations: int, file: TextIO) -> float:
    with tqdm(total=iterations, file=file) as bar:
        began = time.perf_counter()
        for _ in range(iterations):
            bar.update(1)
        return time.perf_counter() - began


def run_of(library: Any, bar_of: Callable[..., Any] | None) -> Callable[[int, TextIO], float]:
    """Return what times a run of an engine, with a bar or without one."""

    def run(iterations: int, file: TextIO) -> float:
        engine = library.Engine(identity)
        if bar_of is not None:
            bar_of(file=file).attach(engine)
        data = range(iterations)
        began = time.perf_counter()
        engine.run(data)
        return time.perf_counter() - began

    return run


def timings(iterations: int, file: TextIO) -> dict[str, Callable[[], float]]:
    """Return what is measured, each in nanoseconds per iteration."""
    runs = {"empty loop": empty_loop, "tqdm": loop_with_bar}
    runs |= {"engine": run_of(ours, None), "engine, bar": run_of(ours, ProgressBar)}
    counts = dict.fromkeys(runs, iterations)
    if importlib.util.find_spec("ignite") is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it imports
            ignite = importlib.import_module("ignite.engine")
            bar_of = importlib.import_module("ignite.handlers.tqdm_logger").ProgressBar
        runs |= {"ignite": run_of(ignite, None), "ignite, bar": run_of(ignite, bar_of)}
        counts |= dict.fromkeys(("ignite", "ignite, bar"), max(iterations // 50, 100))  # a hundred times slower
    return {name: lambda run=run, n=counts[name]: run(n, file) / n * 1e9 for name, run in runs.items()}


def costs(taken: dict[str, list[float]]) -> dict[str, float]:
    """Return what a bar adds to an iteration, in nanoseconds: the best with it less the best without."""
    return {
        name: min(taken[with_bar]) - min(taken[without])
        for name, (without, with_bar) in PAIRS.items()
        if with_bar in taken
    }


def measured(iterations: int, rounds: int) -> dict[str, Any]:
    with Path(os.devnull).open("w", encoding="utf-8") as file:
        taken = in_turn(timings(iterations, file), rounds)
    added = costs(taken)
    ratio = added["this"] / added["tqdm.update"]
    return {
        "machine": machine(VERSIONS),
        "iterations": iterations,
        "nanoseconds": {
            name: {"best": min(each), "median": statistics.median(each), "rounds": each} for name, each in taken.items()
        },
        "added": added,
        "this / tqdm.update": ratio,
        "goal": {"at most": GOAL, "met": ratio <= GOAL},
    }


def show(results: dict[str, Any]) -> None:
    show_machine(results["machine"])
    rows = [[name, f"{each['best']:.0f}", f"{each['median']:.0f}"] for name, each in results["nanoseconds"].items()]
    table(f"Nanoseconds per iteration, of {results['iterations']:,}", ["", "best", "median"], rows)
    bare = results["added"]["tqdm.update"]
    rows = [[name, f"{added:.0f}", f"{added / bare:.2f}"] for name, added in results["added"].items()]
    table("What a bar adds", ["", "nanoseconds", "/ tqdm.update"], rows)
    print(f"\ngoal: this / tqdm.update <= {GOAL:g}: {'met' if results['goal']['met'] else 'NOT met'}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description="Measure what a progress bar costs an iteration.")
    parser.add_argument("--iterations", type=positive, default=200_000, help="of each run (default: %(default)s)")
    parser.add_argument("--rounds", type=positive, default=7, help="how often (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to a file, too")
    options = parser.parse_args(arguments)
    gc.collect()
    gc.freeze()  # what was imported is no garbage, and looking through it takes long
    results = measured(options.iterations, options.rounds)
    show(results)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
