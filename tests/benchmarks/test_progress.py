"""The benchmark of the progress bar measures what it says; no test here looks at a time."""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("progress.py")


def load_program():
    spec = importlib.util.spec_from_file_location("progress", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


progress = load_program()


def test_it_prints_and_writes_what_a_bar_adds(tmp_path):
    """Each pair has a difference, and the goal says whether it is met."""
    file = tmp_path / "progress.json"
    command = [sys.executable, PROGRAM, "--iterations", "2000", "--rounds", "1", "--json", file]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    results = json.loads(file.read_text())
    assert {"tqdm.update", "this"} <= set(results["added"])
    assert {name for pair in progress.PAIRS.values() for name in pair} >= set(results["nanoseconds"])
    assert results["this / tqdm.update"] == results["added"]["this"] / results["added"]["tqdm.update"]
    assert "goal: this / tqdm.update <= 5: " in printed


@pytest.mark.parametrize("name", ["tqdm", "engine, bar", "ignite, bar"])
def test_what_has_a_bar_draws_it(name):
    """The bars are not silent, though the file is no terminal: what is measured is what a user has."""
    file = io.StringIO()
    timings = progress.timings(500, file)
    if name not in timings:
        pytest.skip("PyTorch-Ignite is not installed")
    timings[name]()
    assert "%|" in file.getvalue()


def test_the_costs_are_differences_of_the_best():
    """What costs without a bar is taken off."""
    taken = {"empty loop": [10, 9], "tqdm": [109, 120], "engine": [100, 101], "engine, bar": [300, 301]}
    assert {"tqdm.update": 100, "this": 200} == progress.costs(taken)
