"""What TensorBoard has read of a folder, and the program that serves it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

__all__ = ["Server", "points", "read", "serving"]

# Seconds that the program may take to start, and to have read a folder.
PATIENCE = 60


def read(folder: object) -> EventAccumulator:
    """Read a folder as TensorBoard does, but all of it."""
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0, "images": 0}).Reload()


def points(folder: object) -> dict[str, list[tuple[int, float]]]:
    """Return the step and the value of each point, by name."""
    found = read(folder)
    return {tag: [(point.step, point.value) for point in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


class Server:
    """A running TensorBoard."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/data"

    def get(self, path: str, **query: str) -> Any:
        """Fetch what is served as JSON."""
        with urllib.request.urlopen(f"{self.url}/{path}?{urllib.parse.urlencode(query)}", timeout=PATIENCE) as answer:
            return json.load(answer)

    def points(self, run: str, tag: str) -> list[tuple[int, float]]:
        """Return the points of a curve."""
        return [(step, value) for _, step, value in self.get("plugin/scalars/scalars", run=run, tag=tag)]

    def wait_for(self, run: str, tag: str, steps: list[int]) -> list[tuple[int, float]]:
        """Return the points of a curve as soon as they are at these steps."""
        end, found = time.monotonic() + PATIENCE, []
        while time.monotonic() < end:
            found = self.points(run, tag) if tag in self.get("plugin/scalars/tags").get(run, {}) else []
            if [step for step, _ in found] == steps:
                return found
            time.sleep(0.05)
        raise AssertionError(f"after {PATIENCE} s TensorBoard has {found} of {tag}")


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[Server]:
    """Let TensorBoard serve a folder on a free port of this machine while the block runs."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--host", "127.0.0.1", "--port", "0"]
    said = folder.parent / f"{folder.name}-tensorboard.txt"
    with said.open("w") as output:
        program = subprocess.Popen(
            [*command, "--reload_interval", "1", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # The user's proxy has no way to this machine; one thread each is enough.
            env={**os.environ, "no_proxy": "127.0.0.1", "RAYON_NUM_THREADS": "1"},
        )
    try:
        yield Server(_port(program, said))
    finally:
        program.terminate()
        try:
            program.wait(PATIENCE)
        finally:
            program.kill()


def _port(program: subprocess.Popen[bytes], said: Path) -> int:
    """Wait for the line that says where the program listens."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and program.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)/", said.read_text()):
            return int(found[1])
        time.sleep(0.05)
    raise AssertionError(f"TensorBoard did not start: {said.read_text()}")
