"""The speed benchmark measures what it says, and the same for everybody; no test here looks at a time."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ignite_signals import engine as ours

PROGRAM = Path(__file__).with_name("overhead.py")
ROOT = PROGRAM.parents[2]


def load_program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("overhead", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # attrs looks the classes' module up
    spec.loader.exec_module(module)
    return module


overhead = load_program()
# How often the handlers of each load are called in 3,000 iterations, all together.
CALLS = {
    "no handler": 0,
    "one handler on every iteration": 3000,
    "ten handlers, every=100": 300,
    "a hundred handlers, every=1000": 300,
    "a custom predicate": 30,
    "a weakly connected bound method": 3000,
    "an evaluator run in a handler, every=100": 300,
    "attach and remove under with": 3000,
}
by_load = pytest.mark.parametrize("load", overhead.LOADS, ids=lambda load: load.name)


def calls(load: Any, build: Callable[..., Callable[[int], object]]) -> int:
    """Return how often the handlers of a load are called in 3,000 iterations."""
    heard: list[None] = []
    build(load, lambda: lambda engine: heard.append(None))(3000)
    return len(heard)


def printed(*arguments: str, status: int = 0) -> str:
    ended = subprocess.run(
        [sys.executable, str(PROGRAM), *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert status == ended.returncode, ended.stderr
    return ended.stdout if status == 0 else ended.stderr


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> tuple[str, dict[str, Any]]:
    """Run the program with tiny numbers, and return what it prints and what it writes."""
    file = tmp_path_factory.mktemp("overhead") / "overhead.json"
    text = printed("--iterations", "2000", "--rounds", "1", "--pairs", "1", "--json", str(file))
    return text, json.loads(file.read_text())


def rows_below(title: str, text: str) -> dict[str, list[str]]:
    """Return the rows of a printed table by their first cell, the header among them."""
    lines = text.partition(f"\n{title}")[2].partition("\n\n")[2].partition("\n\n")[0].splitlines()
    cells = [re.split(r" {2,}", line.rstrip()) for line in lines]
    return {first: others for first, *others in cells}


def test_every_load_has_its_calls():
    """The table of calls above is about the loads that there are."""
    assert list(CALLS) == [load.name for load in overhead.LOADS]


@by_load
def test_the_loop_by_hand_calls_the_handlers_as_often_as_the_engine(load):
    """Both do the same work under each load."""
    assert CALLS[load.name] == calls(load, overhead.by_hand)
    assert CALLS[load.name] == calls(load, lambda *others: overhead.by_engine(ours, *others))
    if load.kind == "plain":
        assert CALLS[load.name] == calls(load, overhead.by_bare_hand)


@by_load
def test_ignite_calls_the_handlers_as_often(load):
    """The peer does the same work, too."""
    ignite = pytest.importorskip("ignite.engine")
    assert CALLS[load.name] == calls(load, lambda *others: overhead.by_engine(ignite, *others))


def test_the_engine_moves_the_state_as_the_loop_by_hand_does():
    """Epoch, iteration, batch and output are the same at every iteration."""
    seen: dict[str, list[tuple[Any, ...]]] = {"hand": [], "this": []}
    fields = ("epoch", "iteration", "batch", "output")
    by_hand = overhead.HandState()
    overhead.loop_by_hand(
        by_hand, overhead.identity, "abc", 1, [lambda s: seen["hand"].append(tuple(getattr(s, f) for f in fields))]
    )
    trainer = ours.Engine(overhead.identity)
    trainer.add_event_handler(
        ours.Events.ITERATION_COMPLETED, lambda e: seen["this"].append(tuple(getattr(e.state, f) for f in fields))
    )
    trainer.run("abc")
    assert [(1, 1, "a", "a"), (1, 2, "b", "b"), (1, 3, "c", "c")] == seen["hand"] == seen["this"]


def test_handlers_that_are_never_due_are_attached_and_not_called():
    """What the growth is measured with does attach as many handlers as it says."""
    run = overhead.with_idle_handlers(25)
    engine = run.__closure__[0].cell_contents
    assert 25 == len(engine.signals["iteration_completed"].receivers)
    assert 50 == run(50).iteration


def test_the_start_up_is_taken_off():
    """A run of a known cost, a start and a time per iteration, gives the time per iteration."""
    clock = iter([0, 5_000 + 10 * 100, 0, 5_000 + 10 * 600])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overhead.time, "perf_counter_ns", lambda: next(clock))
        assert 10 == overhead.Timing(lambda iterations: None, 600, 100)()


@pytest.mark.parametrize(
    ("number", "interval", "level"), [(1, (1, 1), 0.0), (6, (1, 6), 0.96875), (15, (4, 12), 0.96484375)]
)
def test_the_interval_of_a_median_is_that_of_the_sign_test(number, interval, level):
    """The interval is the narrowest of at least 95 %, and says what level it has."""
    assert (interval, level) == overhead.median_interval(range(1, number + 1))


def test_the_program_prints_the_loop_by_hand(measured):
    """A reader sees what is compared with, as it was run."""
    text, _ = measured
    for loop in (overhead.loop_by_hand, overhead.loop_with_predicate, overhead.train_by_hand):
        assert overhead.inspect.getsource(loop) in text


def test_the_table_has_a_row_for_each_load_and_its_goals(measured):
    """Each load has its times, its ratios, and the goals with whether they are met."""
    text, _ = measured
    times = rows_below("Nanoseconds per iteration: ", text)
    header = times.pop("load")
    assert ["hand best", "hand median", "bare best", "bare median", "this best", "this median"] == header[:6]
    assert list(CALLS) == list(times)
    assert {len(header)} == {len(cells) for cells in times.values()}
    ratios = rows_below("Ratios of the best rounds", text)
    assert ["this/hand", "goal", "met"] == ratios.pop("load")[:3]
    assert ["<= 2.5", "<= 3", "<= 2.5", "<= 2.5", *["-"] * 4] == [cells[1] for cells in ratios.values()]
    assert {"yes", "NO"} >= {cells[2] for cells in list(ratios.values())[:4]}


def test_the_file_holds_what_the_table_shows(measured):
    """The results are written in full: every round, the ratios and the goals of each load."""
    _, results = measured
    assert {"overhead", "instructions", "growth", "memory", "attaching", "importing", "job", "machine"} <= set(results)
    assert list(CALLS) == list(results["overhead"])
    for name, result in results["overhead"].items():
        times, ratios = result["nanoseconds"], result["ratios"]
        assert {1} == {len(timing["rounds"]) for timing in times.values()}
        assert ratios["this/hand"]["best"] == pytest.approx(times["this"]["best"] / times["hand"]["best"])
        for goal in result["goals"].values():
            assert isinstance(goal["met"], bool), name
    assert ["1", "10", "100", "1000", "10000"] == list(results["growth"]["nanoseconds"])


@pytest.mark.parametrize("load", ["no handler", "one handler on every iteration"])
def test_the_instructions_of_the_loops_are_counted(measured, load):
    """The bare loop executes least; the lines of the engine's loop are shown and add up."""
    text, results = measured
    totals, lines = results["instructions"][load]["totals"], results["instructions"][load]["this"]
    assert 0 < totals["bare"] < totals["hand"] < totals["this"]
    assert totals["this"] == pytest.approx(sum(count for _, count in lines))
    assert 1 == sum(" step(" in line for line, _ in lines)
    assert f"Instructions of the interpreter per iteration, {load}\n" in text


def test_the_other_sections_tell_of_this_package(measured):
    """Memory, attaching and importing are measured of this package, whatever peers there are."""
    _, results = measured
    assert all(0 < weights["this"] for weights in results["memory"].values())
    assert 9 == sum(
        0 < times["this"]["best"] for numbers in results["attaching"].values() for times in numbers.values()
    )
    assert 0 < results["importing"]["ignite_signals"]["median"]


def test_the_real_job_is_one_alternating_pair(measured):
    """As many pairs are trained as were asked for, and their ratio has an interval and its level."""
    pytest.importorskip("sklearn")
    text, results = measured
    for job in (results["job"]["digits"], results["job"]["tiny"]):
        assert {"hand": 1, "this": 1, "hand again": 1} == {name: len(times) for name, times in job["seconds"].items()}
        ratio = job["ratios"]["this"]
        assert [ratio["median"]] * 2 == ratio["interval"]
        assert 0 == ratio["level"]
    assert "equal weights at the end" in text


def test_the_machine_is_named_without_a_host_or_a_path(measured):
    """The results can be published: a processor, versions, and nothing of whose machine it is."""
    _, results = measured
    machine = results["machine"]
    assert {"processor", "cores", "system", "python", "versions"} == set(machine)
    assert {"torch", "blinker", "attrs", "ignite_signals"} <= set(machine["versions"])
    assert platform.node() not in json.dumps(results)
    assert str(ROOT) not in json.dumps(results)


def test_the_program_says_which_peer_is_absent(monkeypatch, capsys):
    """A library that is not installed costs a line, not the run."""
    monkeypatch.setattr(overhead.importlib.util, "find_spec", lambda name: None)
    assert overhead.Peers(None, None) == overhead.Peers.installed()
    lines = capsys.readouterr().out.splitlines()
    assert ["pytorch-ignite", "lightning"] == [line.partition(" is not installed")[0] for line in lines]


def test_the_program_explains_its_options_and_refuses_bad_ones():
    """`--help` names every option, and a bad number is named before anything runs."""
    assert {"--iterations", "--rounds", "--pairs", "--only", "--json"} <= set(re.findall(r"--\w+", printed("--help")))
    assert "--rounds: must be a positive integer, got 0" in printed("--rounds", "0", status=2)
