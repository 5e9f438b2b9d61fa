"""Train on handwritten digits with one of everything that has a state, for tests that kill the program.

    python -m support.digits_run FOLDER

The same command begins, goes on from the newest checkpoint in FOLDER after it was killed, and at the end writes all
that the training has come to into `FOLDER/result.pt`. It tells on a pipe what it is doing with its files, by an audit
hook: the library knows nothing of it.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from ignite_signals import Engine, EventEnum, Events, create_supervised_evaluator, create_supervised_trainer
from ignite_signals.handlers import Checkpoint, EarlyStopping, EMAHandler, global_step_from_engine
from ignite_signals.metrics import Average, Loss, RunningAverage
from ignite_signals.utils import manual_seed

__all__ = ["CHECKPOINTS", "LOG", "RESULT", "digits", "main", "parse", "read_log"]

CHECKPOINTS, LOG, RESULT = "checkpoints", "log.jsonl", "result.pt"
Batch = Sequence[Tensor]
Mark = Callable[..., None]


class Progress(EventEnum):
    """An event of the program's own, whose count has to come back."""

    BELOW_AVERAGE = "below_average"


class Log:
    """Append entries to a file, one a line; a line that a killed process left unfinished is cut off first."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        written = path.read_bytes()
        os.truncate(path, written.rfind(b"\n") + 1)

    def write(self, key: str, **entry: Any) -> None:
        os.write(self._descriptor, json.dumps({"key": key, **entry}).encode() + b"\n")


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a log, less a line that is not whole."""
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    return [json.loads(line) for line in whole.splitlines()]


@functools.cache
def digits() -> tuple[TensorDataset, TensorDataset]:
    """Return a part of the images, which are enough here: to train with, and to validate."""
    from sklearn.datasets import load_digits  # only whoever trains needs it

    images, labels = load_digits(return_X_y=True)
    x = torch.tensor(images / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    data = TensorDataset(x, torch.tensor(labels))
    return TensorDataset(*data[:512]), TensorDataset(*data[512:768])


def make_network() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.3), nn.Linear(128, 10)),
    )


def shifted(batch: Batch, device: Any, non_blocking: bool) -> tuple[Tensor, Tensor]:
    """Return a batch that is changed at random, by the numbers of Python and of NumPy."""
    x, y = batch
    if random.random() < 0.5:
        x = x.roll(random.choice((-1, 1)), dims=random.choice((2, 3)))
    return x * np.random.uniform(0.8, 1.2), y


def negative_loss(evaluator: Engine) -> float:
    return -float(evaluator.state.metrics["loss"])


@attrs.define(slots=False)
class Training:
    """All that takes part, put together as a user would."""

    folder: Path
    asynchronous: bool
    n_saved: int
    data: DataLoader[Any]
    mark: Mark

    def __attrs_post_init__(self) -> None:
        manual_seed(0)
        self.network = make_network()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=5e-3)
        self.scheduler = torch.optim.lr_scheduler.ExponentialLR(self.optimizer, 0.8)
        loss_fn = nn.CrossEntropyLoss()
        self.trainer = create_supervised_trainer(
            *(self.network, self.optimizer, loss_fn),
            prepare_batch=shifted,
            deterministic=True,
            metrics={"average": Average(), "running": RunningAverage(alpha=0.9, output_transform=float)},
        )
        self.trainer.state.seed = 1
        self.evaluator = create_supervised_evaluator(self.network, metrics={"loss": Loss(loss_fn)})
        self.log = Log(self.folder / LOG)
        self._add_handlers()
        self._add_checkpoints()

    def _add_handlers(self) -> None:
        trainer = self.trainer
        trainer.register_events(*Progress)
        self.ema = EMAHandler(self.network, 0.05, momentum_warmup=0.5, warmup_iters=30, handle_buffers="update")
        self.ema.attach(trainer)
        self.stopping = EarlyStopping(2, negative_loss, trainer, min_delta=0.05)
        self.stopping.attach(self.evaluator)
        trainer.add_event_handler(Events.ITERATION_STARTED, self._draw)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._log_iteration)
        trainer.add_event_handler(Progress.BELOW_AVERAGE(every=3), self._draw_more)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._end_epoch)

    def _add_checkpoints(self) -> None:
        folder, trainer = self.folder / CHECKPOINTS, self.trainer
        to_save = {
            "network": self.network,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
            "trainer": trainer,
        }
        self.last = Checkpoint(to_save, folder, n_saved=self.n_saved, asynchronous=self.asynchronous)
        self.best = Checkpoint(
            *({"network": self.network, "ema": self.ema}, folder, "best"),
            score_function=negative_loss,
            score_name="score",
            global_step_transform=global_step_from_engine(trainer),
            asynchronous=self.asynchronous,
        )
        trainer.add_event_handler(Events.ITERATION_COMPLETED(every=3), self.last)
        self.evaluator.add_event_handler(Events.COMPLETED, self.best)

    def run(self) -> None:
        self.last.resume_from()
        self.trainer.run(self.data, max_epochs=12)

    # Handlers

    def _draw(self) -> None:
        self.draws = [float(each).hex() for each in (random.random(), np.random.random(), torch.rand(()))]

    def _draw_more(self) -> None:
        torch.rand(3)
        random.random()

    def _log_iteration(self, trainer: Engine) -> None:
        loss, running = float(trainer.state.output), float(trainer.state.metrics["running"])
        if loss < running:
            trainer.fire_event(Progress.BELOW_AVERAGE)
        self.log.write(
            f"iteration {trainer.state.iteration}",
            loss=loss.hex(),
            running=running.hex(),
            draws=self.draws,
            below_average=trainer.state.below_average,
            momentum=float(trainer.state.ema_momentum).hex(),
        )
        self.mark("iteration", str(trainer.state.iteration))

    def _end_epoch(self, trainer: Engine) -> None:
        self.evaluator.run(DataLoader(digits()[1], batch_size=128))
        self.scheduler.step()
        self.log.write(
            f"epoch {trainer.state.epoch}",
            average=float(trainer.state.metrics["average"]).hex(),
            score=negative_loss(self.evaluator).hex(),
            best=float(self.stopping.state_dict()["best_score"]).hex(),
            lr=float(self.optimizer.param_groups[0]["lr"]).hex(),
        )

    def result(self) -> dict[str, Any]:
        """Return what the training has come to, all of it."""
        state = self.trainer.state
        entries = {entry["key"]: entry for entry in read_log(self.folder / LOG)}
        self._draw()
        return {
            "weights": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "ema": self.ema.state_dict(),
            "early stopping": self.stopping.state_dict(),
            "best": self.best.state_dict(),
            "trainer": self.trainer.state_dict(),
            "stop reason": str(state.stop_reason),
            "metrics": dict(sorted(state.metrics.items())),
            "draws": [entry.get("draws") for _, entry in sorted(entries.items())],
            "next draws": self.draws,
        }


def loader(kind: str) -> DataLoader[Any]:
    options: dict[str, Any] = {"batch_size": 32, "shuffle": True}
    if kind == "plain":
        return DataLoader(digits()[0], **options)
    options |= {"num_workers": 2, "multiprocessing_context": "fork"}
    if kind == "workers":
        return DataLoader(digits()[0], **options)
    from torchdata.stateful_dataloader import StatefulDataLoader  # only whoever asks for it needs it

    made: DataLoader[Any] = StatefulDataLoader(digits()[0], **options)
    return made


def watch(mark: Mark) -> None:
    """Tell of checkpoints that are opened, renamed and removed, each time just before."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("open", "os.rename", "os.remove") or not isinstance(arguments[0], str | os.PathLike):
            return
        path = Path(arguments[0])
        if event == "open" and path.suffix == ".tmp" and arguments[2] & os.O_CREAT:
            mark("opened", path.name)
        elif event == "os.rename" and path.suffix == ".tmp":
            mark("renaming", path.name, Path(arguments[1]).name)
        elif event == "os.remove" and path.suffix == ".pt":
            mark("removing", path.name)

    sys.addaudithook(hook)


def marker(pipe: Path | None, die_at: tuple[str, int] | None) -> Mark:
    """Return what writes a mark and the time on a pipe, in one piece; and at one of the marks kills this process."""
    descriptor = None if pipe is None else os.open(pipe, os.O_WRONLY)
    marks: Counter[str] = Counter()

    def mark(what: str, name: str, new_name: str = "-") -> None:
        if descriptor is not None:
            os.write(descriptor, f"{what} {name} {new_name} {time.monotonic()}\n".encode())
        marks[what] += 1
        if (what, marks[what]) == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    return mark


def moment(text: str) -> tuple[str, int]:
    what, _, number = text.partition(":")
    return what, int(number)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train, or go on, and write down what came of it.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--asynchronous", action="store_true", help="write checkpoints in the background")
    parser.add_argument("--n-saved", type=int, default=2, help="how many of the last to keep (default 2)")
    parser.add_argument("--data", choices=("plain", "workers", "stateful"), default="plain")
    parser.add_argument("--marks", type=Path, help="a named pipe to tell of files on")
    parser.add_argument("--die-at", type=moment, metavar="MARK:NUMBER", help="be killed at a mark, such as renaming:2")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    warnings.simplefilter("error")
    # What torchdata 0.11 calls of torch, torch 2.9 warns of.
    warnings.filterwarnings("ignore", "'set_vital' is deprecated", UserWarning)
    torch.set_num_threads(1)
    mark = marker(options.marks, options.die_at)
    watch(mark)
    training = Training(options.folder, options.asynchronous, options.n_saved, loader(options.data), mark)
    training.run()
    unfinished = options.folder / "result.part"
    torch.save(training.result(), unfinished)
    unfinished.replace(options.folder / RESULT)


if __name__ == "__main__":
    main()
