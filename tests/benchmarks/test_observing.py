"""The benchmark of observing measures what it says; no test here looks at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("observing.py")


def test_it_measures_each_observer_with_each_number_of_handlers():
    """Each line of the table has a number for each column."""
    ended = subprocess.run(
        [sys.executable, str(PROGRAM), "--iterations", "50", "--rounds", "1"],
        env=os.environ | {"PYTHONPATH": str(PROGRAM.parents[2])},
        check=True,
        capture_output=True,
        text=True,
    )
    assert "" == ended.stderr
    lines = ended.stdout.partition("observed by")[2].splitlines()
    names = ["nobody", "an observer that does nothing", "BasicTimeProfiler", "HandlersTimeProfiler"]
    assert names == [line.rsplit(maxsplit=3)[0] for line in lines[1:5]]
    assert all(0 < float(number) for line in lines[1:5] for number in line.rsplit(maxsplit=3)[1:])
