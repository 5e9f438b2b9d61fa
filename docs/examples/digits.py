"""Recognise handwritten digits: the main job of the package, with each way of listening to a run.

A small convolutional network is trained on the 1,797 images that scikit-learn brings along. The
program shows

- one evaluator for three data sets, its handler attached for one run at a time by `with`;
- filters: the loss every 50 iterations, the very first loss once, a predicate of the user's own;
- an event of the user's own, sent whenever the network has become better;
- a run that Ctrl-C ends in order: the best network so far is kept;
- with `--checkpoints FOLDER`, a training that loses nothing: killed at any moment and started
  again with the same command, it ends with the same network;
- metrics by class: how many of each digit are found, and what the others are taken for;
- a progress bar, where the program runs in a terminal;
- with `--tensorboard FOLDER`, the loss and the accuracies as curves: `tensorboard --logdir FOLDER`.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm.contrib.logging import logging_redirect_tqdm

from ignite_signals import Engine, EventEnum, Events, create_supervised_evaluator, create_supervised_trainer
from ignite_signals.handlers import Checkpoint, Preemption, ProgressBar, TensorboardLogger
from ignite_signals.metrics import Accuracy, ConfusionMatrix, Loss, Recall
from ignite_signals.utils import manual_seed

Loader = DataLoader[tuple[Tensor, ...]]


class Progress(EventEnum):
    """Our own events; each counts its own occurrences, with no set-up."""

    NEW_BEST = "new_best"


def split_digits() -> dict[str, Loader]:
    """Split the images 60/20/20, always in the same way."""
    images, labels = load_digits(return_X_y=True)
    x = torch.tensor(images / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    y = torch.tensor(labels)
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    parts = {"train": order[:1079], "validation": order[1079:1438], "test": order[1438:]}
    return {
        name: DataLoader(TensorDataset(x[part], y[part]), batch_size=32, shuffle=name == "train")
        for name, part in parts.items()
    }


def make_network() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.5), nn.Linear(256, 10)),
    )


def is_power_of_two(engine: Engine, count: int) -> bool:
    return count & (count - 1) == 0


class Best:
    """Keep the best network so far; it is saved with the trainer, because it has a state dict."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.epoch, self.accuracy = 0, 0.0
        self.weights: dict[str, Tensor] = {}

    def keep(self, trainer: Engine, accuracy: float) -> None:
        self.epoch, self.accuracy = trainer.state.epoch, accuracy
        self.weights = copy.deepcopy(self.network.state_dict())
        trainer.fire_event(Progress.NEW_BEST)

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "accuracy": self.accuracy, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.accuracy, self.weights = state["epoch"], state["accuracy"], state["weights"]


def attach_progress(trainer: Engine) -> Callable[[str], None]:
    """Show how far the training is, and return what writes a line above the bar."""
    bar = ProgressBar(desc="training")
    bar.attach(trainer, output_transform=lambda loss: {"loss": loss}, closing_event_name=Events.COMPLETED)
    return bar.log_message


def attach_reports(trainer: Engine, say: Callable[[str], None]) -> None:
    """Say what happens, each at its own time."""

    @trainer.on(Events.ITERATION_COMPLETED(once=1))
    def show_first_loss(trainer: Engine) -> None:
        say(f"first loss {trainer.state.output:.3f}; guessing has {torch.tensor(10.0).log():.3f}")

    @trainer.on(Events.ITERATION_COMPLETED(every=50))
    def show_loss(trainer: Engine) -> None:
        say(f"  iteration {trainer.state.iteration:4}  loss {trainer.state.output:.4f}")

    @trainer.on(Events.EPOCH_COMPLETED(event_filter=is_power_of_two))
    def show_time(trainer: Engine) -> None:
        say(f"  epoch {trainer.state.epoch} took {trainer.state.times['EPOCH_COMPLETED']:.2f} s")


def open_tensorboard(trainer: Engine, folder: str | None) -> TensorboardLogger | None:
    """Log the loss of every tenth iteration, if there is a folder to log to."""
    if folder is None:
        return None
    try:
        logger = TensorboardLogger(log_dir=folder)
    except (OSError, ModuleNotFoundError) as error:
        sys.exit(f"digits.py: error: --tensorboard cannot be used: {error}")
    every_tenth = Events.ITERATION_COMPLETED(every=10)
    logger.attach_output_handler(trainer, every_tenth, tag="training", output_transform=lambda loss: {"loss": loss})
    return logger


def attach_evaluation(
    trainer: Engine,
    evaluator: Engine,
    data: dict[str, Loader],
    best: Best,
    say: Callable[[str], None],
    logger: TensorboardLogger | None,
) -> None:
    """Evaluate on each data set after an epoch, and keep the network if it has become better."""
    trainer.register_events(*Progress)
    trainer.register_stateful(best)

    @trainer.on(Events.EPOCH_COMPLETED)
    def evaluate(trainer: Engine) -> None:
        results: dict[str, dict[str, Any]] = {}

        def keep(evaluator: Engine, name: str) -> None:
            results[name] = evaluator.state.metrics

        def logging(name: str) -> AbstractContextManager[Any]:
            if logger is None:
                return nullcontext()
            numbers = ["accuracy", "loss"]
            return logger.attach_output_handler(evaluator, Events.COMPLETED, tag=name, metric_names=numbers)

        for name, loader in data.items():
            with evaluator.add_event_handler(Events.COMPLETED, keep, name), logging(name):
                evaluator.run(loader)
        columns = (f"{name} {result['accuracy']:7.2%} {result['loss']:.4f}" for name, result in results.items())
        say("  ".join([f"epoch {trainer.state.epoch:2}", *columns]))
        if results["validation"]["accuracy"] > best.accuracy:
            best.keep(trainer, results["validation"]["accuracy"])


def attach_checkpoints(trainer: Engine, to_save: dict[str, Any], folder: str | None) -> Checkpoint | None:
    """Save every 20 iterations and after each epoch, and go on from what is there already."""
    if folder is None:
        return None
    try:
        checkpoint = Checkpoint(to_save, folder, n_saved=2)
        found = checkpoint.resume_from()
    except (OSError, ValueError) as error:
        sys.exit(f"digits.py: error: --checkpoints cannot be used: {error}")
    if found:
        print(f"going on after iteration {trainer.state.iteration}, with seed {trainer.state.seed}")
    trainer.add_event_handler(Events.ITERATION_COMPLETED(every=20) | Events.EPOCH_COMPLETED, checkpoint)
    return checkpoint


def train(arguments: argparse.Namespace) -> int:
    """Train a network, show how good it is, and return the program's exit code."""
    device, data = torch.device(arguments.device), split_digits()
    network = make_network().to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.05)
    loss_fn = nn.CrossEntropyLoss()
    trainer = create_supervised_trainer(network, optimizer, loss_fn, device=device, deterministic=True)
    trainer.state.seed = arguments.seed
    metrics = {"accuracy": Accuracy(), "loss": Loss(loss_fn), "recall": Recall(), "confusion": ConfusionMatrix(10)}
    evaluator = create_supervised_evaluator(network, metrics=metrics, device=device)
    best = Best(network)
    say = attach_progress(trainer) if arguments.progress else print
    logger = open_tensorboard(trainer, arguments.tensorboard)
    attach_reports(trainer, say)
    attach_evaluation(trainer, evaluator, data, best, say, logger)

    saved = {"network": network, "optimizer": optimizer, "trainer": trainer}
    checkpoint = attach_checkpoints(trainer, saved, arguments.checkpoints)
    preemption = Preemption(save=checkpoint)  # Ctrl-C, and what a cluster sends before it kills
    preemption.attach(trainer)
    began, state = time.perf_counter(), trainer.state
    if state.epoch < arguments.epochs:
        with logging_redirect_tqdm():  # what Preemption says stands above the bar, too
            trainer.run(data["train"], max_epochs=arguments.epochs)
        print(f"{state.stop_reason} after {state.iteration} iterations, {time.perf_counter() - began:.1f} s")
    else:
        print(f"trained for {state.epoch} epochs already")
    if logger is not None:
        logger.close()
    if not best.epoch:
        print("no epoch was completed, so there is no best network")
        return preemption.exit_code or 0
    network.load_state_dict(best.weights)
    print(f"the best network, number {state.new_best}, is that of epoch {best.epoch}:")
    print(f"validation accuracy {best.accuracy:.2%}")
    test = evaluator.run(data["test"]).metrics
    print(f"test accuracy {test['accuracy']:.2%}")
    show_classes(test["recall"], test["confusion"])
    return preemption.exit_code or 0


def show_classes(recall: Tensor, confusion: Tensor) -> None:
    """Print the share of each digit that was found, and how often it was taken for which."""
    print("digit  recall  taken for" + "".join(f"{digit:4}" for digit in range(10)))
    for digit, (found, row) in enumerate(zip(recall.tolist(), confusion.tolist(), strict=True)):
        print(f"{digit:5} {found:7.1%}           " + "".join(f"{int(count) or '.':>4}" for count in row))


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a small network on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=20, help="how often to go over the data (default 20)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default cpu)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and order; the split is fixed (default 0)")
    parser.add_argument("--checkpoints", metavar="FOLDER", help="save there, and go on from what is there")
    parser.add_argument("--tensorboard", metavar="FOLDER", help="log curves there, for TensorBoard")
    parser.add_argument("--no-progress", dest="progress", action="store_false", help="show no progress bar")
    arguments = parser.parse_args()
    if arguments.epochs < 1:
        parser.error(f"--epochs must be a positive integer, got {arguments.epochs}")
    if arguments.tensorboard == "":
        parser.error("--tensorboard must be a folder, got ''")
    if not 0 <= arguments.seed < 2**32:
        parser.error(f"--seed must be at least 0 and below 2**32, got {arguments.seed}")
    try:
        torch.zeros(1, device=arguments.device).item()
    except (RuntimeError, AssertionError, ImportError):  # which one depends on what this torch was built with
        parser.error(f"--device must be one of this machine, such as cpu, got {arguments.device}")
    manual_seed(arguments.seed)
    torch.set_num_threads(1)  # the network is so small that more threads mostly wait for one another
    try:
        sys.exit(train(arguments))
    except OSError as error:  # the disk is full, for example; what was saved before is whole
        sys.exit(f"digits.py: error: {'; '.join([str(error), *error.__notes__[:1]])}")
    except KeyboardInterrupt:  # a second Ctrl-C does not wait
        parser.exit(130, "interrupted\n")


if __name__ == "__main__":
    main()
