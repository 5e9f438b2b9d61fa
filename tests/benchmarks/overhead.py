"""Measure what a training-loop engine costs beside the work that it is given.

The same loads run in one process, in turn, on

- a loop written by hand, which keeps the same state and calls the same functions; it is printed, and so
  is the bare loop that would be written for one load alone;
- this package;
- PyTorch-Ignite and Lightning, where they are installed (the extra `benchmarks`).

The step returns its batch and the data is a range, so that what is measured is the engine. A round
runs everybody once, one after the other, so that a machine whose speed drifts hurts all alike.

    python tests/benchmarks/overhead.py --json overhead.json
"""

from __future__ import annotations

import argparse
import gc
import importlib
import importlib.metadata
import importlib.util
import inspect
import itertools
import json
import linecache
import logging
import math
import os
import statistics
import subprocess
import sys
import time
import tracemalloc
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import attrs
import torch
from torch import nn

import ignite_signals
from ignite_signals import engine as ours
from ignite_signals.utils import manual_seed

# Run as a program, it finds here what the tests share.
sys.path.insert(0, str(Path(__file__).parents[1]))
from support.measuring import in_turn, machine, one_thread, positive, show_machine, table

Handler = Callable[[Any], Any]
Run = Callable[[int], Any]
MakeHandler = Callable[[], Handler]
Results = dict[str, Any]
DIGITS = Path(__file__).parents[2] / "docs" / "examples" / "digits.py"
BEST = ("best", "median")
# A count that no run here comes to.
NEVER = 10**9


# The loops by hand


class HandState:
    """What a loop by hand keeps."""

    __slots__ = ("batch", "epoch", "iteration", "output")
    batch: Any
    epoch: int
    iteration: int
    output: Any


def loop_by_hand(
    state: HandState, step: Callable[[Any, Any], Any], data: Iterable[Any], every: int, handlers: list[Handler]
) -> None:
    """Run one epoch, and call the handlers, if there are any, at every so many iterations."""
    state.epoch = 1
    state.iteration = 0
    for batch in data:
        state.iteration += 1
        state.batch = batch
        state.output = step(state, batch)
        if handlers and state.iteration % every == 0:
            for handler in handlers:
                handler(state)


def bare_loop_without_handlers(state: HandState, step: Callable[[Any, Any], Any], data: Iterable[Any]) -> None:
    """Run one epoch that nobody can listen to."""
    state.epoch = 1
    state.iteration = 0
    for batch in data:
        state.iteration += 1
        state.batch = batch
        state.output = step(state, batch)


def bare_loop_with_handlers(
    state: HandState, step: Callable[[Any, Any], Any], data: Iterable[Any], every: int, handlers: list[Handler]
) -> None:
    """Run one epoch to which somebody listens for sure."""
    state.epoch = 1
    state.iteration = 0
    for batch in data:
        state.iteration += 1
        state.batch = batch
        state.output = step(state, batch)
        if state.iteration % every == 0:
            for handler in handlers:
                handler(state)


def loop_with_predicate(
    state: HandState,
    step: Callable[[Any, Any], Any],
    data: Iterable[Any],
    predicate: Callable[[Any, int], bool],
    handlers: list[Handler],
) -> None:
    """Run one epoch, and call the handlers where a function of the user's says so."""
    state.epoch = 1
    state.iteration = 0
    for batch in data:
        state.iteration += 1
        state.batch = batch
        state.output = step(state, batch)
        if predicate(state, state.iteration):
            for handler in handlers:
                handler(state)


def identity(engine: Any, batch: Any) -> Any:
    """Return the batch: the cheapest step."""
    return batch


def is_hundredth(engine: Any, count: int) -> bool:
    """Tell whether to hear this count: the predicate."""
    return count % 100 == 0


# The loads


@attrs.frozen
class Load:
    """Say what listens to the iterations of a run, and how cheap that is to be.

    `hand` is the goal for this package's time over that of the loop by hand, at most; `ignite` the
    goal for Ignite's time over this package's, at least.
    """

    name: str
    kind: str = "plain"
    handlers: int = 1
    every: int = 1
    hand: float | None = None
    ignite: float | None = None


LOADS = [
    Load("no handler", handlers=0, hand=2.5, ignite=25),
    Load("one handler on every iteration", hand=3.0, ignite=12),
    Load("ten handlers, every=100", handlers=10, every=100, hand=2.5, ignite=80),
    Load("a hundred handlers, every=1000", handlers=100, every=1000, hand=2.5, ignite=500),
    Load("a custom predicate", "predicate"),
    Load("a weakly connected bound method", "weak"),
    Load("an evaluator run in a handler, every=100", "evaluator", every=100),
    Load("attach and remove under with", "with"),
]
EVALUATION = range(10)


def make_handler() -> Handler:
    """Return a new handler, which does nothing."""
    return lambda engine: None


class Listener:
    """Own a method that listens."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    def hear(self, engine: Any) -> None:
        """Hear of an iteration."""
        self.handler(engine)


def by_hand(load: Load, make: MakeHandler = make_handler) -> Run:
    """Return a load as a loop by hand; like all loads it is called with a number of iterations."""
    handlers = [make() for _ in range(load.handlers)]
    if load.kind == "predicate":
        return lambda iterations: loop_with_predicate(HandState(), identity, range(iterations), is_hundredth, handlers)
    if load.kind == "weak":
        handlers = [Listener(handlers[0]).hear]
    if load.kind == "evaluator":
        handlers = [partial(evaluate_by_hand, handlers)]
    if load.kind == "with":
        handlers = [attaching_by_hand(handlers[0])]
    return lambda iterations: loop_by_hand(HandState(), identity, range(iterations), load.every, handlers)


def by_bare_hand(load: Load, make: MakeHandler = make_handler) -> Run:
    """Return a plain load as the loop that would be written for it alone."""
    handlers = [make() for _ in range(load.handlers)]
    if not handlers:
        return lambda iterations: bare_loop_without_handlers(HandState(), identity, range(iterations))
    return lambda iterations: bare_loop_with_handlers(HandState(), identity, range(iterations), load.every, handlers)


def evaluate_by_hand(handlers: list[Handler], state: HandState) -> None:
    """Run an evaluation inside another loop."""
    loop_by_hand(HandState(), identity, EVALUATION, 1, handlers)


def attaching_by_hand(handler: Handler) -> Handler:
    """Return a handler that puts another one on a list while it works."""
    at_the_end: list[Handler] = []

    def attach(state: HandState) -> None:
        at_the_end.append(handler)
        try:
            handler(state)
        finally:
            at_the_end.remove(handler)

    return attach


def by_engine(library: Any, load: Load, make: MakeHandler = make_handler) -> Run:
    """Return a load on an engine, of this package or of Ignite."""
    trainer = library.Engine(identity)
    handlers = [make() for _ in range(load.handlers)]
    event = library.Events.ITERATION_COMPLETED
    if load.kind == "predicate":
        event = event(event_filter=is_hundredth)
    elif load.every > 1:
        event = event(every=load.every)
    if load.kind == "weak":
        return by_weak_method(library, trainer, event, Listener(handlers[0]))
    if load.kind == "evaluator":
        handlers = [evaluating(library, handlers[0])]
    if load.kind == "with":
        handlers = [attaching(library, handlers[0])]
    for handler in handlers:
        trainer.add_event_handler(event, handler)
    return lambda iterations: trainer.run(range(iterations))


def by_weak_method(library: Any, trainer: Any, event: Any, listener: Listener) -> Run:
    """Connect a method whose object the engine does not own; Ignite cannot, and owns it."""
    if library is ours:
        trainer.signal(event).connect(listener.hear)
    else:
        trainer.add_event_handler(event, listener.hear)

    def run(iterations: int) -> None:
        trainer.run(range(iterations))
        assert listener  # kept alive, though no engine does

    return run


def evaluating(library: Any, handler: Handler) -> Handler:
    """Return a handler that runs an evaluator, which has a handler of its own."""
    evaluator = library.Engine(identity)
    evaluator.add_event_handler(library.Events.ITERATION_COMPLETED, handler)

    def evaluate(trainer: Any) -> None:
        evaluator.run(EVALUATION)

    return evaluate


def attaching(library: Any, handler: Handler) -> Handler:
    """Return a handler that attaches another one to the end of the run while it works."""
    completed = library.Events.COMPLETED

    def attach(trainer: Any) -> None:
        with trainer.add_event_handler(completed, handler):
            handler(trainer)

    return attach


def by_lightning(lightning: Any, load: Load, make: MakeHandler = make_handler) -> Run:
    """Return a load on Lightning's trainer, whose callbacks look at the count themselves."""
    listener = lightning_callback(lightning, load, [make() for _ in range(load.handlers)])
    module = lightning_module(lightning)

    def run(iterations: int) -> None:
        trainer = lightning.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[listener] if load.handlers else [],
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about workers, which a range does not need
            trainer.fit(module, range(iterations))

    return run


def lightning_module(lightning: Any) -> Any:
    """Return a module whose step does nothing, and which has nothing to optimize."""

    class Identity(lightning.LightningModule):  # type: ignore[misc]  # the library is there or not
        automatic_optimization = False

        def training_step(self, batch: Any, index: int) -> None:
            return None

        def configure_optimizers(self) -> None:
            return None

    return Identity()


def lightning_callback(lightning: Any, load: Load, handlers: list[Handler]) -> Any:
    """Return a callback that calls the handlers of a load."""

    class Plain(lightning.Callback):  # type: ignore[misc]  # likewise
        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, index: int) -> None:
            if (index + 1) % load.every == 0:
                for handler in handlers:
                    handler(trainer)

    class Asking(lightning.Callback):  # type: ignore[misc]  # likewise
        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, index: int) -> None:
            if is_hundredth(trainer, index + 1):
                for handler in handlers:
                    handler(trainer)

    return Asking() if load.kind == "predicate" else Plain()


# Measuring


def imported(module: str, package: str) -> Any:
    """Return a library, or None where it is not installed, which a line says."""
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        print(f"{package} is not installed and left out; the extra `benchmarks` brings it")
        return None
    return importlib.import_module(module)


@attrs.frozen
class Peers:
    """Hold the libraries to compare with; None is one that is not installed."""

    ignite: Any
    lightning: Any

    @classmethod
    def installed(cls) -> Peers:
        """Import what there is."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of their own imports
            peers = cls(imported("ignite.engine", "pytorch-ignite"), imported("lightning.pytorch", "lightning"))
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        return peers


def nanoseconds(function: Callable[..., Any], *arguments: Any) -> int:
    """Return what a call takes, with the garbage of earlier ones out of the way."""
    gc.collect()
    began = time.perf_counter_ns()
    function(*arguments)
    return time.perf_counter_ns() - began


@attrs.frozen
class Timing:
    """Time a run of so many iterations; `start` of them, run alone, are what is taken off as its start-up."""

    run: Run
    iterations: int
    start: int = 0

    def __call__(self) -> float:
        """Return nanoseconds per iteration."""
        start = nanoseconds(self.run, self.start) if self.start else 0
        return (nanoseconds(self.run, self.iterations) - start) / (self.iterations - self.start)


def summary(measured: Sequence[float]) -> Results:
    """Return the best and the median of the rounds."""
    return {"best": min(measured), "median": statistics.median(measured), "rounds": list(measured)}


# Overhead: what an iteration costs under each load


def timings_of(load: Load, peers: Peers, iterations: int) -> dict[str, Callable[[], float]]:
    """Return a load on everybody, the slow ones with fewer iterations and their start-up taken off."""
    timings: dict[str, Callable[[], float]] = {"hand": Timing(by_hand(load), iterations)}
    if load.kind == "plain":
        timings["bare"] = Timing(by_bare_hand(load), iterations)
    timings["this"] = Timing(by_engine(ours, load), iterations)
    if peers.ignite is not None:
        timings["ignite"] = Timing(by_engine(peers.ignite, load), max(iterations // 20, 1000), 100)
    if peers.lightning is not None and load.kind in ("plain", "predicate"):
        timings["lightning"] = Timing(by_lightning(peers.lightning, load), max(iterations // 50, 500), 100)
    return timings


def overhead(options: argparse.Namespace, peers: Peers) -> Results:
    """Measure what an iteration costs under each load, and print it beside the goals."""
    show_loops()
    results = {load.name: measure_load(load, peers, options) for load in LOADS}
    show_times(results)
    show_ratios(results)
    return results


def show_loops() -> None:
    """Print what the loops by hand are."""
    loops = (loop_by_hand, loop_with_predicate, bare_loop_without_handlers, bare_loop_with_handlers)
    for part in (HandState, identity, is_hundredth, *loops):
        print("\n" + inspect.getsource(part).rstrip())


def measure_load(load: Load, peers: Peers, options: argparse.Namespace) -> Results:
    """Return the times under a load, and their ratios."""
    measured = in_turn(timings_of(load, peers, options.iterations), options.rounds)
    times = {name: summary(rounds) for name, rounds in measured.items()}
    pairs = [(name, *name.split("/")) for name in ("this/hand", "this/bare", "ignite/this", "lightning/this")]
    ratios = {
        name: {by: times[above][by] / times[below][by] for by in BEST}
        for name, above, below in pairs
        if {above, below} <= times.keys()
    }
    return {"nanoseconds": times, "ratios": ratios, "goals": goals_of(load, ratios)}


def goals_of(load: Load, ratios: Results) -> Results:
    """Return the goals of a load, and whether the best rounds reach them."""
    goals = {}
    if load.hand is not None:
        goals["this/hand"] = {"at most": load.hand, "met": ratios["this/hand"]["best"] <= load.hand}
    if load.ignite is not None and "ignite/this" in ratios:
        goals["ignite/this"] = {"at least": load.ignite, "met": ratios["ignite/this"]["best"] >= load.ignite}
    return goals


def show_times(results: Results) -> None:
    """Print nanoseconds per iteration."""
    who = list(results[LOADS[0].name]["nanoseconds"])
    header = ["load", *(f"{name} {by}" for name in who for by in BEST)]
    rows = [
        [load, *(f"{times[name][by]:,.0f}" if name in times else "-" for name in who for by in BEST)]
        for load, times in ((load, result["nanoseconds"]) for load, result in results.items())
    ]
    table("Nanoseconds per iteration: the best round and the median one", header, rows)


def show_ratios(results: Results) -> None:
    """Print the ratios of the best rounds, each with its goal."""
    names = list(results[LOADS[0].name]["ratios"])
    goal = ("this/hand", "ignite/this")
    header = ["load", *(title for name in names for title in ([name, "goal", "met"] if name in goal else [name]))]
    rows = [
        [load, *(cell for name in names for cell in ratio_cells(result, name)[: 3 if name in goal else 1])]
        for load, result in results.items()
    ]
    table("Ratios of the best rounds", header, rows)


def ratio_cells(result: Results, name: str) -> list[str]:
    """Return a ratio, its goal and whether that is met, as they are printed."""
    if name not in result["ratios"]:
        return ["-", "-", "-"]
    ratio, goal = result["ratios"][name]["best"], result["goals"].get(name)
    shown = f"{ratio:,.2f}" if ratio < 10 else f"{ratio:,.0f}"
    if goal is None:
        return [shown, "-", "-"]
    [bound] = [word for word in ("at most", "at least") if word in goal]
    return [shown, f"{'<=' if bound == 'at most' else '>='} {goal[bound]:g}", "yes" if goal["met"] else "NO"]


# Instructions: where an iteration's time goes

Line = tuple[str, int]


def instructions(options: argparse.Namespace, peers: Peers) -> Results:
    """Count the instructions of the interpreter that an iteration executes in the loops, line by line."""
    return {load.name: show_instructions(load) for load in LOADS[:2]}


def show_instructions(load: Load) -> Results:
    """Count and print what an iteration executes, without what the step and the handlers do."""
    runs = {"hand": by_hand(load), "bare": by_bare_hand(load), "this": by_engine(ours, load)}
    counts = {name: per_iteration(run) for name, run in runs.items()}
    rows = [[linecache.getline(*line).rstrip(), f"{count:g}"] for line, count in sorted(counts["this"].items())]
    table(f"Instructions of the interpreter per iteration, {load.name}", ["line of the engine", "each"], rows)
    totals = {name: sum(lines.values()) for name, lines in counts.items()}
    print("all together: " + ", ".join(f"{name} {total:g}" for name, total in totals.items()))
    return {"totals": totals, "this": [[text.strip(), float(count)] for text, count in rows]}


def per_iteration(run: Run) -> dict[Line, float]:
    """Return what an iteration executes at each line: what a longer run executes more than a shorter one."""
    run(100)  # a first run may start otherwise than the next
    short, long = executed(run, 100), executed(run, 200)
    return {line: (long[line] - short[line]) / 100 for line in long if long[line] > short[line]}


def executed(run: Run, iterations: int) -> Counter[Line]:
    """Count the instructions that a run executes at each line of the loops and of what emits the events."""
    loops: tuple[Any, ...] = (loop_by_hand, bare_loop_without_handlers, bare_loop_with_handlers)
    codes = {loop.__code__ for loop in (*loops, ours.Engine._iterate)}
    counts: Counter[Line] = Counter()
    line = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal line
        code = frame.f_code
        if code not in codes and Path(code.co_filename).name not in EMITTING:
            return None
        frame.f_trace_opcodes = True
        line = frame.f_lineno or line  # a jump back may have no line of its own
        counts[code.co_filename, line] += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run(iterations)
    finally:
        sys.settrace(before)
    return counts


# The modules of this package that have a part in an event, beside the loop.
EMITTING = {"engine.py", "signals.py", "receivers.py", "timetable.py", "observable.py"}


# Growth: what handlers cost that are not due

ATTACHED = (1, 10, 100, 1000, 10_000)
GROWTH_GOAL = 1.10


def growth(options: argparse.Namespace, peers: Peers) -> Results:
    """Measure an iteration of a long run, with more and more handlers of which none is due."""
    iterations = options.iterations
    timings: dict[str, Callable[[], float]] = {
        str(number): Timing(with_idle_handlers(number), 6 * iterations, iterations) for number in ATTACHED
    }
    measured = in_turn(timings, 3 * options.rounds)
    first, *_, last = measured.values()
    ratio = statistics.median(many / one for one, many in zip(first, last, strict=True))
    results = {name: summary(rounds) for name, rounds in measured.items()}
    rows = [[f"{int(name):,}", f"{times['best']:.1f}", f"{times['median']:.1f}"] for name, times in results.items()]
    table("Nanoseconds per iteration beside attached handlers of which none is due", ["handlers", *BEST], rows)
    met = ratio < GROWTH_GOAL
    print(f"1 to {ATTACHED[-1]:,}: x{ratio:.3f}, median of {3 * options.rounds} rounds (goal: below {GROWTH_GOAL})")
    return {"nanoseconds": results, "ratio": ratio, "goal": {"below": GROWTH_GOAL, "met": met}}


def with_idle_handlers(number: int) -> Run:
    """Return runs of an engine with that many handlers, each behind a filter of its own, none due."""
    engine = ours.Engine(identity)
    for index in range(number):
        engine.add_event_handler(ours.Events.ITERATION_COMPLETED(every=NEVER + index), make_handler())
    return lambda iterations: engine.run(range(iterations))


# Memory

ADDED = 1000


def memory(options: argparse.Namespace, peers: Peers) -> Results:
    """Measure the bytes of an engine and of what each attached handler adds to it."""
    libraries = {"this": ours} | ({} if peers.ignite is None else {"ignite": peers.ignite})
    results = {
        what: {name: weigh(library) for name, library in libraries.items()}
        for what, weigh in (
            ("an engine without handlers", engine_bytes),
            ("a handler", partial(handler_bytes, filtered=False)),
            ("a handler behind a filter", partial(handler_bytes, filtered=True)),
        )
    }
    rows = [[what, *(f"{weight:,.0f}" for weight in weights.values())] for what, weights in results.items()]
    table("Memory in bytes, after a run", ["", *libraries], rows)
    return results


def allocated(make: Callable[[], Any]) -> int:
    """Return the bytes that what is made keeps; the first making, which fills caches, does not count."""
    make()
    gc.collect()
    tracemalloc.start()
    kept = make()
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept is not None
    return size


def engine_bytes(library: Any) -> float:
    """Return the bytes of an engine that nobody listens to, and that has run."""

    def make() -> list[Any]:
        engines = [library.Engine(identity) for _ in range(100)]
        for engine in engines:
            engine.run(range(1))
        return engines

    return allocated(make) / 100


def handler_bytes(library: Any, filtered: bool) -> float:
    """Return the bytes that attaching a handler takes, beside the function itself."""
    handlers = [make_handler() for _ in range(ADDED)]
    engines: list[Any] = []

    def make() -> Any:
        engines[:] = [library.Engine(identity)]
        return attach_all(engines[0], library.Events, handlers, "made" if filtered else "plain").run(range(1))

    return (allocated(make) - engine_bytes(library)) / ADDED


# Attaching

KINDS = {"plain": "not filtered", "filtered": "filtered", "made": "filtered, the filtered event made for each"}
NUMBERS = (100, 1000, 10_000)


def attach_all(engine: Any, events: Any, handlers: list[Handler], kind: str, filtered: Sequence[Any] = ()) -> Any:
    """Attach the handlers to an engine and return it."""
    if kind == "plain":
        for handler in handlers:
            engine.add_event_handler(events.ITERATION_COMPLETED, handler)
    elif kind == "filtered":
        for handler, event in zip(handlers, filtered, strict=True):
            engine.add_event_handler(event, handler)
    else:
        for every, handler in enumerate(handlers, start=1000):
            engine.add_event_handler(events.ITERATION_COMPLETED(every=every), handler)
    return engine


def microseconds_to_attach(library: Any, kind: str, number: int) -> float:
    """Return what each of that many calls of `add_event_handler` takes."""
    engine, handlers = library.Engine(identity), [make_handler() for _ in range(number)]
    filtered = [library.Events.ITERATION_COMPLETED(every=1000 + index) for index in range(number)]
    return nanoseconds(attach_all, engine, library.Events, handlers, kind, filtered) / number / 1000


def attaching_cost(options: argparse.Namespace, peers: Peers) -> Results:
    """Measure attaching a hundred, a thousand and ten thousand handlers, filtered or not."""
    libraries = {"this": ours} | ({} if peers.ignite is None else {"ignite": peers.ignite})
    timings: dict[str, Callable[[], float]] = {
        f"{kind} {number} {name}": partial(microseconds_to_attach, library, kind, number)
        for kind in KINDS
        for number in NUMBERS
        for name, library in libraries.items()
    }
    measured = in_turn(timings, options.rounds)
    results = {
        KINDS[kind]: {
            str(number): {name: summary(measured[f"{kind} {number} {name}"]) for name in libraries}
            for number in NUMBERS
        }
        for kind in KINDS
    }
    rows = [
        [f"{int(number):,}, {kind}", *(f"{times[name][by]:.2f}" for name in libraries for by in BEST)]
        for kind, numbers in results.items()
        for number, times in numbers.items()
    ]
    header = ["handlers", *(f"{name} {by}" for name in libraries for by in BEST)]
    table("Microseconds per add_event_handler", header, rows)
    return results


# Importing

IMPORT_GOAL = 0.15
IMPORTS = 5


def importing(options: argparse.Namespace, peers: Peers) -> Results:
    """Measure what an import adds to that of torch, each time in a new process."""
    modules = ["ignite_signals"] + ([] if peers.ignite is None else ["ignite.engine"])
    processes = min(options.rounds, IMPORTS)
    measured = in_turn({module: partial(seconds_to_import, module) for module in modules}, processes)
    results: Results = {module: summary(seconds) for module, seconds in measured.items()}
    rows = [[module, *(f"{seconds[by]:.3f}" for by in BEST)] for module, seconds in results.items()]
    table("Seconds that an import adds to `import torch`", ["", *BEST], rows)
    median = results["ignite_signals"]["median"]
    print(f"ignite_signals: {median:.3f} s, median of {processes} processes (goal: at most {IMPORT_GOAL})")
    results["ignite_signals"]["goal"] = {"at most": IMPORT_GOAL, "met": median <= IMPORT_GOAL}
    return results


def seconds_to_import(module: str) -> float:
    """Import a module behind torch, in a process of its own."""
    program = f"import time, torch; began = time.perf_counter(); import {module}; print(time.perf_counter() - began)"
    path = str(Path(ignite_signals.__file__).parents[1])
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env=os.environ | {"PYTHONPATH": path},
        check=True,
        capture_output=True,
        text=True,
    )
    return float(ended.stdout)


# The real job

JOB_GOAL = 1.02
EPOCHS = 2
TINY = 1000
LEVEL = 0.95


@attrs.frozen
class Job:
    """Hold what is trained: the same at every call, because of the seed."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    loss_fn: nn.Module
    batches: Collection[Any]
    losses: list[float]

    @classmethod
    def new(cls, digits: Any) -> Job:
        """Make a network, as the example program does."""
        manual_seed(0)
        network = digits.make_network()
        optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.05)
        return cls(network, optimizer, nn.CrossEntropyLoss(), digits.split_digits()["train"], [])

    @classmethod
    def tiny(cls) -> Job:
        """Make a network of one weight, whose training is hardly more than the calls."""
        manual_seed(0)
        network = nn.Linear(1, 1)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        return cls(network, optimizer, nn.MSELoss(), [(torch.ones(1, 1), torch.zeros(1, 1))] * TINY, [])

    def log(self, engine: Any) -> None:
        """Keep the loss, which waits for it."""
        self.losses.append(float(engine.state.output))


def train_by_engine(job: Job, device: torch.device) -> None:
    """Train with the supervised trainer."""
    trainer = ours.create_supervised_trainer(job.network, job.optimizer, job.loss_fn, device=device)
    trainer.add_event_handler(ours.Events.ITERATION_COMPLETED(every=50), job.log)
    trainer.run(job.batches, max_epochs=EPOCHS)


def train_by_hand(job: Job, device: torch.device) -> None:
    """Train with a loop that does the same in the same order."""
    state = HandState()
    state.iteration = 0
    for state.epoch in range(1, EPOCHS + 1):
        for batch in job.batches:
            state.iteration += 1
            state.batch = batch
            job.optimizer.zero_grad()
            job.network.train()
            x, y = batch
            x, y = x.to(device), y.to(device)
            loss = job.loss_fn(job.network(x), y)
            loss.backward()
            job.optimizer.step()
            state.output = loss.detach()
            if state.iteration % 50 == 0:
                job.losses.append(float(state.output))


def real_job(options: argparse.Namespace, peers: Peers) -> Results:
    """Measure the digits trainer against the same loop by hand, in alternating pairs.

    The loop by hand is also measured against itself, which tells how much of an interval is the machine's.
    """
    if importlib.util.find_spec("sklearn") is None:
        print("scikit-learn is not installed, so the real job is left out; the extra `examples` brings it")
        return {}
    digits = module_at(DIGITS)
    print("\n" + inspect.getsource(train_by_hand).rstrip())
    with one_thread():
        pairs = trained(partial(Job.new, digits), options.pairs)
        tiny = trained(Job.tiny, options.pairs)
    iterations = EPOCHS * len(Job.new(digits).batches)
    results = {"digits": compared(pairs, iterations), "tiny": compared(tiny, EPOCHS * TINY)}
    show_job(results, options.pairs)
    return results


def trained(new: Callable[[], Job], pairs: int) -> list[dict[str, float]]:
    """Return the seconds of each pair, every order in its turn; the first pair warms up and does not count."""
    orders = list(itertools.permutations(("hand", "this", "hand again")))
    return [pair(new, orders[index % len(orders)]) for index in range(-1, pairs)][1:]


def pair(new: Callable[[], Job], order: Sequence[str]) -> dict[str, float]:
    """Return the seconds of a training by hand, by the engine, and by hand again: all come to the same weights."""
    jobs, seconds = {name: new() for name in order}, {}
    for name, job in jobs.items():
        manual_seed(1)
        train = train_by_engine if name == "this" else train_by_hand
        seconds[name] = nanoseconds(train, job, torch.device("cpu")) / 1e9
    by_hand, by_this = (jobs[name].network.state_dict() for name in ("hand", "this"))
    assert all(torch.equal(by_hand[name], by_this[name]) for name in by_hand), "the weights differ"
    assert jobs["hand"].losses == jobs["this"].losses, "the losses differ"
    return seconds


def compared(pairs: list[dict[str, float]], iterations: int) -> Results:
    """Return the ratios of the pairs, each with its interval, and microseconds per iteration."""
    names = ("this", "hand again")
    return {
        "seconds": {name: [seconds[name] for seconds in pairs] for name in pairs[0]},
        "microseconds": {
            name: statistics.median(seconds[name] for seconds in pairs) / iterations * 1e6 for name in pairs[0]
        },
        "ratios": {name: ratio_of([seconds[name] / seconds["hand"] for seconds in pairs]) for name in names},
        "added": ratio_of([(seconds["this"] - seconds["hand"]) / iterations * 1e6 for seconds in pairs]),
    }


def ratio_of(values: Sequence[float]) -> Results:
    """Return the median of the pairs' values, with its interval."""
    interval, level = median_interval(sorted(values))
    return {"median": statistics.median(values), "interval": list(interval), "level": level}


def show_job(results: Results, pairs: int) -> None:
    """Print the ratios with their intervals, and add the goal to the first."""
    ratio = results["digits"]["ratios"]["this"]
    ratio["goal"] = {"at most": JOB_GOAL, "met": ratio["median"] <= JOB_GOAL}
    rows = [
        [f"{job}, {name} / hand", f"{result['median']:.4f}", "{:.4f} to {:.4f}".format(*result["interval"])]
        for job, of_job in results.items()
        for name, result in of_job["ratios"].items()
    ]
    title = f"Training on one thread, {EPOCHS} epochs, {pairs} alternating pairs, equal weights at the end"
    table(title, ["ratio of seconds", "median", f"interval of {ratio['level']:.1%}"], rows)
    print(f"digits: goal at most {JOB_GOAL}, {'met' if ratio['goal']['met'] else 'NOT met'}")
    added, whole = results["tiny"]["added"]["median"], results["digits"]["microseconds"]["hand"]
    print(f"tiny: the engine adds {added:.2f} us to an iteration, {added / whole:.2%} of the {whole:,.0f} us of digits")


def median_interval(ordered: Sequence[float]) -> tuple[tuple[float, float], float]:
    """Return an interval for the median from order statistics, and how often such a one holds it.

    Whatever the distribution, the median lies below the k-th smallest of n values where fewer than k
    of n fair coins show heads. The narrowest interval of at least the wanted level is taken, or the
    widest that there is.
    """
    number = len(ordered)
    levels = {
        k: 1 - 2 * sum(math.comb(number, heads) for heads in range(k)) / 2**number
        for k in range(1, (number + 1) // 2 + 1)
    }
    k = max((k for k, level in levels.items() if level >= LEVEL), default=1)
    return (ordered[k - 1], ordered[number - k]), levels[k]


def module_at(path: Path) -> Any:
    """Import a program by its path."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# The program

VERSIONS = ("torch", "blinker", "attrs", "ignite_signals", "pytorch-ignite", "lightning")

SECTIONS: dict[str, Callable[[argparse.Namespace, Peers], Results]] = {
    "overhead": overhead,
    "instructions": instructions,
    "growth": growth,
    "memory": memory,
    "attaching": attaching_cost,
    "importing": importing,
    "job": real_job,
}


def options_from(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure what an engine costs beside a loop written by hand.")
    parser.add_argument("--iterations", type=positive, default=100_000, help="of a run (default 100000)")
    parser.add_argument("--rounds", type=positive, default=7, help="how often each is measured (default 7)")
    parser.add_argument("--pairs", type=positive, default=21, help="of the real job (default 21)")
    sections = f"what to measure, of {', '.join(SECTIONS)} (default all)"
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=[*SECTIONS], metavar="SECTION", help=sections)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to a file, too")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the results."""
    options = options_from(arguments)
    results: Results = {"machine": machine(VERSIONS), "iterations": options.iterations, "rounds": options.rounds}
    show_machine(results["machine"])
    peers = Peers.installed()
    gc.collect()
    gc.freeze()  # what was imported is no garbage, and looking through it takes long
    for name in options.only:
        results[name] = SECTIONS[name](options, peers)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
