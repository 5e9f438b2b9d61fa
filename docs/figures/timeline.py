"""Draw the timeline of a training run with an evaluation after every epoch.

The run is a real one: a small network is trained for three epochs of three iterations, an
`EventRecorder` writes down the events, and the handlers are timed while they are called. Nothing
in the figure is placed by hand.

    python docs/figures/timeline.py             # timeline.svg, beside this file
    python docs/figures/timeline.py other.png   # or any format that matplotlib writes

The times differ from run to run, the events do not. So the figure carries a digest of its events
and of this file, and is drawn anew only where that has changed.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import torch
from torch import nn

from ignite_signals import Engine, Events
from ignite_signals.testing import EventRecorder, Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIGURE = Path(__file__).with_suffix(".svg")
EPOCHS, ITERATIONS, EVALUATION_ITERATIONS = 3, 3, 2
FEATURES, CLASSES = 512, 10

INK, PALE = "#1f2937", "#9ca3af"
SHADES = {
    "trainer": {"run": "#bfdbfe", "epoch": "#60a5fa", "iteration": "#2563eb", "fetch": "#93c5fd", "ink": "#1e40af"},
    "evaluator": {"run": "#fde68a", "epoch": "#fbbf24", "iteration": "#d97706", "fetch": "#fcd34d", "ink": "#92400e"},
    "handlers": {"handler": "#ddd6fe", "edge": "#7c3aed", "ink": "#5b21b6"},
}


@attrs.frozen
class Span:
    """What lasts: a run, an epoch, an iteration, the fetching of a batch, or a handler."""

    lane: str
    kind: str
    label: str
    began: float
    ended: float


@attrs.frozen
class Timeline:
    """What was recorded of a run: its events in order, and what lies between them."""

    records: list[Record]
    spans: list[Span]

    def of(self, lane: str, kind: str) -> list[Span]:
        return [span for span in self.spans if (span.lane, span.kind) == (lane, kind)]

    @property
    def digest(self) -> str:
        """Tell one sequence of events, and one way of drawing it, from another."""
        events = [(record.engine, record.event, record.epoch, record.iteration) for record in self.records]
        handlers = [(span.lane, span.label) for span in self.spans if span.kind == "handler"]
        return hashlib.sha256(Path(__file__).read_bytes() + repr((events, handlers)).encode()).hexdigest()


# The run


class Batches:
    """A data set that has something to do for each batch, as a real one has."""

    def __init__(self, length: int, width: int) -> None:
        self.length, self.width = length, width

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for _ in range(self.length):
            x = torch.randn(self.width, FEATURES)
            yield x, x[:, :CLASSES].argmax(dim=1)


def record() -> Timeline:
    """Train for a few epochs, and return what happened when."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # steadier times on a machine that does other things as well
    try:
        return run()
    finally:
        torch.set_num_threads(threads)


def run() -> Timeline:
    model = nn.Sequential(nn.Linear(FEATURES, FEATURES), nn.ReLU(), nn.Linear(FEATURES, CLASSES))
    optimizer = torch.optim.Adam(model.parameters())

    def train(_: Engine, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        x, y = batch
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not tell
        optimizer.step()
        return loss.detach()

    def predict(_: Engine, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        x, y = batch
        with torch.no_grad():
            right: torch.Tensor = model(x).argmax(dim=1) == y
        return right.float().mean()

    trainer, evaluator = Engine(train), Engine(predict)
    losses: list[float] = []
    best: dict[str, torch.Tensor] = {}
    handlers: list[Span] = []

    def timed(lane: str, handler: Callable[[Engine], object]) -> Callable[[Engine], None]:
        def call(engine: Engine) -> None:
            began = time.perf_counter()
            handler(engine)
            handlers.append(Span(lane, "handler", handler.__name__, began, time.perf_counter()))

        return call

    def log_loss(engine: Engine) -> None:
        losses.append(engine.state.output.item())

    def evaluate(_: Engine) -> None:
        evaluator.run(Batches(EVALUATION_ITERATIONS, width=1024))

    def keep_best(_: Engine) -> None:
        best.update({name: value.clone() for name, value in model.state_dict().items()})

    for batch in Batches(8, width=1024):  # the first steps of a process are not like the others
        train(trainer, batch)
        predict(evaluator, batch)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(every=2), timed("trainer", log_loss))
    trainer.add_event_handler(Events.EPOCH_COMPLETED, timed("trainer", evaluate))
    evaluator.add_event_handler(Events.COMPLETED, timed("evaluator", keep_best))
    with EventRecorder(trainer=trainer, evaluator=evaluator) as recorder:
        trainer.run(Batches(ITERATIONS, width=384), max_epochs=EPOCHS)
    return Timeline(recorder.records, [*spans_of(recorder.records), *handlers])


STARTS_AND_ENDS = {
    "run": ("started", "completed"),
    "epoch": ("epoch_started", "epoch_completed"),
    "iteration": ("iteration_started", "iteration_completed"),
    "fetch": ("get_batch_started", "get_batch_completed"),
}


def spans_of(records: list[Record]) -> list[Span]:
    """Pair the events that start something with those that end it."""
    spans = []
    for lane in ("trainer", "evaluator"):
        for kind, (start, end) in STARTS_AND_ENDS.items():
            began = [record for record in records if (record.engine, record.event) == (lane, start)]
            ended = [record for record in records if (record.engine, record.event) == (lane, end)]
            for one, other in zip(began, ended, strict=True):
                label = f"{kind} {other.count}" if kind in ("epoch", "iteration") else kind
                spans.append(Span(lane, kind, label, one.time, other.time))
    return spans


# The drawing


def draw(timeline: Timeline, path: Path) -> None:
    """Draw two views of a run: all of it over time, and its first epoch event by event."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    style = {"font.family": "DejaVu Sans", "font.size": 8, "svg.hashsalt": "timeline", "text.color": INK}
    with rc_context(style):  # type: ignore[arg-type]  # matplotlib lists all its keys as a Literal
        figure = Figure(figsize=(7.7, 8.9), facecolor="white")
        upper = figure.add_axes((0.105, 0.755, 0.885, 0.215))
        lower = figure.add_axes((0.01, 0.005, 0.98, 0.675))
        draw_run(upper, timeline)
        draw_epoch(lower, timeline)
        metadata = {"Date": None, "Description": timeline.digest} if path.suffix == ".svg" else None
        figure.savefig(path, dpi=200, metadata=metadata)


def draw_run(axes: Axes, timeline: Timeline) -> None:
    """Draw all of a run over time: a row for each level, nested as the loops are."""
    zero = timeline.records[0].time
    rows = [
        ("trainer", "run"),
        ("trainer", "epoch"),
        ("trainer", "iteration"),
        ("trainer", "handler"),
        ("evaluator", "run"),
        ("evaluator", "iteration"),
        ("evaluator", "handler"),
    ]
    names = ["run", "epochs", "iterations", "handlers", "run", "iterations", "handlers"]
    places = [0.0, 1.0, 2.0, 3.0, 4.3, 5.3, 6.3]
    for (lane, kind), place in zip(rows, places, strict=True):
        spans = timeline.of(lane, kind)
        if kind == "iteration":
            bars(axes, timeline.of(lane, "fetch"), place, zero, SHADES[lane]["fetch"])
        colour = SHADES["handlers"]["handler"] if kind == "handler" else SHADES[lane][kind]
        edge = SHADES["handlers"]["edge"] if kind == "handler" else "white"
        bars(axes, spans, place, zero, colour, edge)
    for span in timeline.of("trainer", "epoch"):
        axes.text(middle(span, zero), 1.0, span.label, ha="center", va="center")
    violet = SHADES["handlers"]["ink"]
    named: set[str] = set()
    for span in (span for span in timeline.spans if span.kind == "handler"):
        place = 3.0 if span.lane == "trainer" else 6.3
        if span.label == "evaluate":
            axes.text(middle(span, zero), place, span.label, ha="center", va="center", color=violet)
            for side in (span.began, span.ended):
                axes.plot([1e3 * (side - zero)] * 2, [3.4, 6.7], color=SHADES["handlers"]["edge"], lw=0.6, ls=":")
        elif span.label not in named:  # a short one has its name beside it, once
            named.add(span.label)
            axes.text(1e3 * (span.began - zero) - 0.4, place, span.label, ha="right", va="center", color=violet)
    for lane, place in (("trainer", 1.5), ("evaluator", 5.3)):
        axes.text(
            -0.098,
            place,
            lane,
            transform=axes.get_yaxis_transform(),
            rotation=90,
            ha="center",
            va="center",
            color=SHADES[lane]["ink"],
            weight="bold",
        )
    last = max(span.ended for span in timeline.of("trainer", "run"))
    axes.set(xlim=(-0.4, 1e3 * (last - zero) + 0.4), ylim=(6.8, -0.5), yticks=places, yticklabels=names)
    axes.set_xlabel("milliseconds since STARTED", labelpad=2, color=INK)
    title = "The whole run, to scale: pale is the fetching of a batch, dark the step"
    axes.set_title(title, loc="left", fontsize=9, weight="bold")
    axes.tick_params(axis="y", length=0, colors=INK)
    axes.tick_params(axis="x", colors=INK, width=0.6)
    axes.spines[["top", "left", "right"]].set_visible(False)


def bars(axes: Axes, spans: Iterable[Span], place: float, zero: float, colour: str, edge: str = "white") -> None:
    lengths = [(1e3 * (span.began - zero), 1e3 * (span.ended - span.began)) for span in spans]
    axes.broken_barh(lengths, (place - 0.36, 0.72), facecolors=colour, edgecolors=edge, linewidth=0.5)


def middle(span: Span, zero: float) -> float:
    return 1e3 * ((span.began + span.ended) / 2 - zero)


# Where the columns of the lower view are, from 0 to 100 across the page.
LEFT = {"trainer": 1.0, "evaluator": 59.0}
BOXES = {"trainer": (38.0, 15.0), "evaluator": (90.0, 9.5)}
BAR, LEVELS = 2.2, ("run", "epoch", "iteration")


def draw_epoch(axes: Axes, timeline: Timeline) -> None:
    """Draw the first epoch event by event, downwards, one row for each event."""
    ends = [n for n, record in enumerate(timeline.records) if record.event == "epoch_started" and record.epoch == 2]
    shown = timeline.records[: ends[0] + 1]
    rows = {record.time: row for row, record in enumerate(shown)}
    last = len(shown) - 1

    for lane in ("trainer", "evaluator"):
        draw_lane(axes, timeline, lane, shown, last)
    for span in timeline.spans:
        if span.kind == "handler" and span.began < shown[-1].time:
            draw_handler(axes, span, [row for moment, row in rows.items() if moment < span.ended], shown, rows)
    for lane, words in (("trainer", "trainer"), ("evaluator", "evaluator, run by evaluate")):
        axes.text(LEFT[lane], -1.35, words, color=SHADES[lane]["ink"], weight="bold", fontsize=8.5)
        ink = SHADES["handlers"]["ink"]
        axes.text(BOXES[lane][0], -1.35, "handlers", color=ink, weight="bold", fontsize=8.5)
    title = "The first epoch, event by event; in grey what the event's filters count"
    axes.text(LEFT["trainer"], -2.7, title, fontsize=9, weight="bold")
    axes.set(xlim=(0, 100), ylim=(last + 1.3, -3.2))
    axes.set_axis_off()


def draw_lane(axes: Axes, timeline: Timeline, lane: str, shown: list[Record], last: int) -> None:
    """Draw an engine's spans as bars, the inner ones further right, and its events as ticks with labels."""
    rows = [row for row, record in enumerate(shown) if record.engine == lane]
    for depth, kind in enumerate(LEVELS):
        x = LEFT[lane] + depth * (BAR + 0.5)
        for span in timeline.of(lane, kind):
            # An iteration begins with its batch, and goes on until the events at its end are over.
            inside = [row for row in rows if span.began <= shown[row].time <= span.ended]
            if not inside:
                continue
            top = inside[0] - (2 if kind == "iteration" else 0)
            goes_on = span.ended > shown[-1].time
            bottom = last + 1.2 if goes_on else inside[-1] + 0.38
            axes.fill_between([x, x + BAR], top - 0.38, bottom, color=SHADES[lane][kind], lw=0)
            if bottom - top > 2:
                name = kind if kind == "run" else span.label
                colour = "white" if kind == "iteration" else INK
                y = (top + bottom) / 2 if not goes_on or kind == "run" else last + 0.4
                if not (goes_on and kind == "epoch"):
                    axes.text(x + BAR / 2, y, name, rotation=90, ha="center", va="center", fontsize=6.5, color=colour)
    edge = LEFT[lane] + len(LEVELS) * (BAR + 0.5)
    for row in rows:
        record = shown[row]
        start = LEFT[lane] + depth_of(record.event) * (BAR + 0.5) + BAR
        axes.plot([start, edge + 0.6], [row, row], color=SHADES[lane]["ink"], lw=0.8, solid_capstyle="butt")
        axes.plot([edge + 0.6], [row], marker="o", ms=2.8, color=SHADES[lane]["ink"])
        axes.text(edge + 1.7, row, record.event.upper(), va="center", fontsize=7.4, color=INK)
        axes.text(edge + 21.6, row, str(record.count), va="center", ha="right", fontsize=7.4, color=PALE)


def depth_of(event: str) -> int:
    """Tell on which bar an event's tick begins."""
    if event in ("started", "completed"):
        return 0
    return 1 if event.startswith("epoch") else 2


def draw_handler(axes: Axes, span: Span, before: list[int], shown: list[Record], rows: dict[float, int]) -> None:
    """Draw a handler as a box beside the event that called it, as long as the events that it caused."""
    called = max(row for moment, row in rows.items() if moment < span.began)
    bottom = max(before)
    x, width = BOXES[span.lane]
    edge = LEFT[span.lane] + len(LEVELS) * (BAR + 0.5)
    colours = SHADES["handlers"]
    arrow(axes, (edge + 22.4, called), (x, called))
    axes.fill_between(
        [x, x + width], called - 0.42, bottom + 0.42, facecolor=colours["handler"], edgecolor=colours["edge"], lw=0.7
    )
    axes.text(x + width / 2, called, span.label, ha="center", va="center", fontsize=7.4, color=colours["ink"])
    if bottom > called:  # a run of the evaluator, and its return
        arrow(axes, (x + width, called + 1), (LEFT["evaluator"], called + 1))
        arrow(axes, (LEFT["evaluator"], bottom), (x + width, bottom))


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    style = {"arrowstyle": "-|>", "color": SHADES["handlers"]["edge"], "lw": 0.7, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, xytext=start, arrowprops=style)


# Keeping it up to date


def is_current(path: Path, timeline: Timeline) -> bool:
    """Tell whether a figure shows these events, drawn by this file."""
    return path.exists() and timeline.digest in path.read_text(encoding="utf-8")


def update(path: Path = FIGURE) -> None:
    """Record a run, and draw it where the figure shows other events."""
    timeline = record()
    if path.suffix != ".svg" or not is_current(path, timeline):
        draw(timeline, path)


if __name__ == "__main__":
    update(Path(sys.argv[1]) if len(sys.argv) > 1 else FIGURE)
