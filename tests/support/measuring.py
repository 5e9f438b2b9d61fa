"""What the benchmarks share: taking turns, tables, and what was measured on what."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

import ignite_signals


def in_turn(timings: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Take every measurement once a round; the first round warms up and does not count.

    Each round begins with another one, since who comes after the largest finds the caches cold.
    """
    taken: dict[str, list[float]] = {name: [] for name in timings}
    names = deque(timings)
    for _ in range(rounds + 1):
        for name in names:
            taken[name].append(timings[name]())
        names.rotate()
    return {name: measured[1:] for name, measured in taken.items()}


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table whose first column is text."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    print(f"\n{title}\n")
    for line in lines:
        first, *others = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join([first, *(cell.strip().rjust(width) for cell, width in zip(others, widths[1:], strict=True))]))


@contextmanager
def one_thread() -> Generator[None, None, None]:
    """Let torch compute on one thread, as the example program does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def machine(packages: Sequence[str]) -> dict[str, Any]:
    """Say what was measured on what; no name of a host and no path."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": {name: version for name in packages if (version := version_of(name)) is not None},
    }


def version_of(package: str) -> str | None:
    """Return the version of a package, or None where it is not installed."""
    if package == "ignite_signals":
        return ignite_signals.__version__
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """Return the processor's model, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE) if cpuinfo.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def show_machine(described: dict[str, Any]) -> None:
    """Print what `machine` returned."""
    print(f"{described['processor']}, {described['cores']} cores, {described['system']}, {described['python']}")
    print(", ".join(f"{name} {version}" for name, version in described["versions"].items()))


def positive(text: str) -> int:
    """Read an option that counts something."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {text}")
    return int(text)
