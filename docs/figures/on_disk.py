"""Draw what is on the disk at each moment of a save, and what a run that is killed there is resumed from.

The save is a real one: the third of a small training, of which the two newest checkpoints are kept. What it does to
files is recorded on the way. After each operation the folder is copied, as a kill would leave it, and `resume_from`
loads from the copy. Nothing in the figure is placed by hand.

    python docs/figures/on_disk.py             # on_disk.svg, beside this file
    python docs/figures/on_disk.py other.png   # or any format that matplotlib writes

The figure carries a digest of what was recorded and of this file, and is drawn anew only where that has changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import attrs
import torch
from torch import nn

from ignite_signals import Events, create_supervised_trainer
from ignite_signals.handlers import Checkpoint, resume_from

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIGURE = Path(__file__).with_suffix(".svg")
EVERY, SHOWN, WIDTH = 10, 30, 96

INK, GREY, FAINT, LOADED = "#1f2937", "#6b7280", "#d1d5db", "#2563eb"
WHOLE, PART, PART_EDGE, AMBER, KILL = "#60a5fa", "#fde68a", "#d97706", "#b45309", "#dc2626"


@attrs.frozen
class Moment:
    """What an operation left on the disk, and what a run that is killed then is resumed from."""

    operation: str
    sizes: dict[str, int]
    loads: str | None


@attrs.frozen
class Stretch:
    """The moments from one operation to the next one of another kind: one of them, or many writes."""

    moments: list[Moment]

    @property
    def operation(self) -> str:
        return self.moments[0].operation

    @property
    def files(self) -> list[str]:
        return list(self.moments[0].sizes)

    @property
    def loads(self) -> str | None:
        [loads] = {moment.loads for moment in self.moments}
        return loads


@attrs.frozen
class Save:
    """What was recorded of a save, from before its first operation until after its last."""

    stretches: list[Stretch]

    @property
    def files(self) -> list[str]:
        """The files in the order in which they come."""
        return list(dict.fromkeys(name for stretch in self.stretches for name in stretch.files))

    def length_of(self, name: str) -> int:
        """How many bytes a file comes to have."""
        return max(moment.sizes.get(name, 0) for stretch in self.stretches for moment in stretch.moments)

    @property
    def digest(self) -> str:
        """Tell one save, and one way of drawing it, from another."""
        seen = [(stretch.operation, stretch.files, stretch.loads) for stretch in self.stretches]
        return hashlib.sha256(Path(__file__).read_bytes() + repr(seen).encode()).hexdigest()


# The save


def training(folder: Path) -> tuple[dict[str, Any], Checkpoint]:
    """Return a small training: what is saved of it, and its checkpoint handler."""
    model = nn.Linear(WIDTH, WIDTH)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = create_supervised_trainer(model, optimizer, nn.functional.mse_loss, deterministic=True)
    trainer.state.seed = 0  # states of random numbers are longer or shorter, too
    saved = {"model": model, "optimizer": optimizer, "trainer": trainer}
    checkpoint = Checkpoint(saved, folder, n_saved=2)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(every=EVERY), checkpoint)
    return saved, checkpoint


def loaded_after_a_kill(folder: Path) -> str | None:
    """Copy a folder, and return the name of the file that another process would go on from."""
    with tempfile.TemporaryDirectory() as elsewhere:
        copy = Path(elsewhere) / "folder"
        shutil.copytree(folder, copy)
        saved, _ = training(copy)
        path = resume_from(copy, saved)
        return None if path is None else path.name


def record() -> Save:
    """Train until the third checkpoint is saved, and return what that did."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        saved, _ = training(folder)
        trainer, moments = saved["trainer"], list[Moment]()

        def note(operation: str) -> None:
            if trainer.state.iteration == SHOWN:
                sizes = {shown(path): path.stat().st_size for path in sorted(folder.iterdir(), key=order)}
                moments.append(Moment(operation, sizes, loaded_after_a_kill(folder)))

        trainer.add_event_handler(Events.ITERATION_COMPLETED, note, "training")  # called before the checkpoint is saved
        with recorded(folder, note):
            trainer.run([(torch.randn(8, WIDTH), torch.randn(8, WIDTH))] * SHOWN)
    groups = itertools.groupby(moments, key=lambda moment: moment.operation)
    return Save([Stretch(list(group)) for _, group in groups])


def shown(path: Path) -> str:
    """Return the name of a file, without what is drawn by chance in that of a temporary one."""
    return re.sub(r"\.[0-9a-f]{8}\.tmp", ".*.tmp", path.name)


def order(path: Path) -> tuple[str, bool]:
    return path.name.lstrip("."), path.suffix == ".pt"


class Recorded:
    """Pass on to a file what is done with it, and tell of what is written."""

    def __init__(self, file: IO[bytes], note: Callable[[str], None]) -> None:
        self._file, self._note = file, note

    def write(self, data: bytes) -> int:
        length = self._file.write(data)
        self._note("write")
        return length

    def flush(self) -> None:
        self._file.flush()
        self._note("write")

    def __enter__(self) -> Recorded:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextlib.contextmanager
def recorded(folder: Path, note: Callable[[str], None]) -> Iterator[None]:
    """Tell of each operation that changes a folder, or flushes it or a file, when it is done."""
    busy = False

    def tell(operation: str) -> None:
        nonlocal busy
        if not busy:  # what telling does is of no interest
            busy = True
            note(operation)
            busy = False

    def open_(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        file = opened(path, mode, *args, **kwargs)
        if path.parent != folder or mode.startswith("r"):
            return file
        tell("open")
        return Recorded(file, tell)

    def fsync(descriptor: int) -> None:
        flushed(descriptor)
        tell("fsync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "fsync")

    def replace(*args: Any, **kwargs: Any) -> None:
        renamed(*args, **kwargs)
        tell("rename")

    def unlink(path: Any, **kwargs: Any) -> None:
        deleted(path, **kwargs)
        if Path(path).parent == folder:
            tell("delete")

    opened, flushed, renamed, deleted = Path.open, os.fsync, os.replace, os.unlink
    Path.open, os.fsync, os.replace, os.unlink = open_, fsync, replace, unlink  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        Path.open, os.fsync, os.replace, os.unlink = opened, flushed, renamed, deleted  # type: ignore[method-assign]


# The drawing

# How wide the stretches are, how much of a lane a bar takes to each side, and where the words on the left begin.
COLUMN, WIDE, BAR, LEFT = 1.0, 1.6, 0.33, -2.25


def draw(save: Save, path: Path) -> None:
    """Draw a lane for each file over the moments of a save, and below what a kill leaves."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    style = {"font.family": "DejaVu Sans", "font.size": 8, "svg.hashsalt": "on_disk", "text.color": INK}
    with rc_context(style):  # type: ignore[arg-type]  # matplotlib lists all its keys as a Literal
        figure = Figure(figsize=(6.6, 3.4), facecolor="white")
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        edges = list(itertools.accumulate(map(width_of, save.stretches), initial=0.0))
        bottom = len(save.files) - 0.4
        draw_operations(axes, save, edges, bottom)
        for lane, name in enumerate(save.files):
            draw_lane(axes, save, edges, name, lane)
        draw_kills(axes, save, edges, bottom)
        title = "A save: what is on the disk, and what a run that is killed there goes on from"
        axes.text(LEFT, -1.3, title, fontsize=9, weight="bold", va="center")
        axes.set(xlim=(LEFT - 0.05, edges[-1] + 0.05), ylim=(bottom + 2.85, -1.65))
        axes.set_axis_off()
        metadata = {"Date": None, "Description": save.digest} if path.suffix == ".svg" else None
        figure.savefig(path, dpi=200, metadata=metadata)


def width_of(stretch: Stretch) -> float:
    return COLUMN if len(stretch.moments) == 1 else WIDE


def draw_operations(axes: Axes, save: Save, edges: list[float], bottom: float) -> None:
    """Draw a line for each operation, with its name below."""
    for edge, stretch in zip(edges[1:-1], save.stretches[1:], strict=True):
        axes.plot([edge, edge], [-0.5, bottom], color=FAINT, lw=0.9, zorder=0)
        axes.text(edge, bottom + 0.25, stretch.operation, ha="center", va="center", fontsize=7.6, weight="bold")
        if len(stretch.moments) > 1:
            axes.text(edge + WIDE / 2, bottom + 0.25, "in pieces", ha="center", va="center", fontsize=7, color=GREY)
    axes.text(edges[0], bottom + 0.25, "training", ha="left", va="center", fontsize=7, color=GREY)
    axes.text(edges[-1], bottom + 0.25, "training", ha="right", va="center", fontsize=7, color=GREY)


def draw_lane(axes: Axes, save: Save, edges: list[float], name: str, lane: int) -> None:
    """Draw a bar for as long as a file is there, as high as it is long."""
    axes.text(LEFT, lane, name, va="center", fontsize=7.4, family="DejaVu Sans Mono")
    places, heights = outline(save, edges, name)
    low = [lane + BAR] * len(places)
    high = [lane + BAR - 2 * BAR * height for height in heights]
    axes.fill_between(places, low, high, color=WHOLE if is_whole(name) else PART, lw=0)
    if not is_whole(name):
        axes.plot(places, high, color=PART_EDGE, lw=0.9)
        axes.plot(places, low, color=PART_EDGE, lw=0.9)


def outline(save: Save, edges: list[float], name: str) -> tuple[list[float], list[float]]:
    """Return where a file is, and how much of it, as a share of what it comes to be."""
    places, heights = list[float](), list[float]()
    for start, stretch in zip(edges, save.stretches, strict=False):
        step = width_of(stretch) / len(stretch.moments)
        for number, moment in enumerate(stretch.moments):
            if name in moment.sizes:
                places += [start + number * step, start + (number + 1) * step]
                heights += [moment.sizes[name] / save.length_of(name)] * 2
    return places, heights


def draw_kills(axes: Axes, save: Save, edges: list[float], bottom: float) -> None:
    """Draw a mark through each stretch, and below what a kill leaves there and what is loaded then."""
    leaves, loads = bottom + 1.1, bottom + 2.35
    for row, words in ((leaves, "a kill here leaves\nthe checkpoints"), (loads, "and resume_from loads")):
        axes.text(LEFT, row, words, va="center", weight="bold", fontsize=7.6, linespacing=1.35)
    for start, stretch in zip(edges, save.stretches, strict=False):
        middle = start + width_of(stretch) / 2
        axes.plot([middle, middle], [-0.62, bottom], color=KILL, lw=0.7, ls=(0, (1.5, 2.5)))
        axes.plot([middle], [-0.72], marker="x", ms=4.5, mew=1.4, color=KILL)
        whole = [number_of(name) for name in stretch.files if is_whole(name)]
        axes.text(middle, leaves - 0.22, ", ".join(whole), ha="center", va="center")
        for name in stretch.files:
            if not is_whole(name):
                words = what_is_left(stretch, name, save.length_of(name))
                axes.text(middle, leaves + 0.32, words, ha="center", va="center", fontsize=7, color=AMBER)
        loaded = "nothing" if stretch.loads is None else number_of(stretch.loads)
        box = {"boxstyle": "round,pad=0.4", "facecolor": LOADED, "edgecolor": "none"}
        axes.text(middle, loads, loaded, ha="center", va="center", color="white", weight="bold", bbox=box)


def what_is_left(stretch: Stretch, name: str, length: int) -> str:
    """Say how much there is of a temporary file."""
    sizes = [moment.sizes[name] for moment in stretch.moments]
    if not any(sizes):
        return "an empty file"
    return f"all of {number_of(name)}, beside" if min(sizes) == length else f"a part of {number_of(name)}"


def is_whole(name: str) -> bool:
    return name.endswith(".pt")


def number_of(name: str) -> str:
    """Return the step of a checkpoint, which tells it from the others of this run."""
    return "".join(re.findall(r"\d+", name))


# Keeping it up to date


def is_current(path: Path, save: Save) -> bool:
    """Tell whether a figure shows this save, drawn by this file."""
    return path.exists() and save.digest in path.read_text(encoding="utf-8")


def update(path: Path = FIGURE) -> None:
    """Record a save, and draw it where the figure shows another."""
    save = record()
    if path.suffix != ".svg" or not is_current(path, save):
        draw(save, path)


if __name__ == "__main__":
    update(Path(sys.argv[1]) if len(sys.argv) > 1 else FIGURE)
