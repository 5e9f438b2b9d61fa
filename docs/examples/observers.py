"""Watch a run with objects that listen for as long as they exist.

A dashboard connects its own methods to the signals of an engine. The engine does not keep it
alive: when the dashboard is deleted, in the middle of the run, its connections are gone with it
and the run goes on. Nothing has to be disconnected.
"""

from __future__ import annotations

import argparse

import torch
from torch import nn

from ignite_signals import Engine, Events, create_supervised_trainer
from ignite_signals.utils import manual_seed


class Dashboard:
    """Draw the loss of an engine, until it is closed."""

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self.losses: list[float] = []
        engine.signal(Events.ITERATION_COMPLETED(every=5)).connect(self.note)
        engine.signal(Events.EPOCH_COMPLETED).connect(self.draw)

    def note(self, engine: Engine) -> None:
        self.losses.append(float(engine.state.output))

    def draw(self, engine: Engine) -> None:
        loss = self.losses[-1]
        print(f"  {self.name:5}  epoch {engine.state.epoch}  loss {loss:.4f}  {'#' * min(40, round(40 * loss))}")


def make_trainer() -> Engine:
    model = nn.Linear(1, 1)
    sgd = torch.optim.SGD(model.parameters(), lr=0.05)
    return create_supervised_trainer(model, sgd, nn.functional.mse_loss)


def run(epochs: int) -> None:
    trainer = make_trainer()
    dashboards = [Dashboard("left", trainer), Dashboard("right", trainer)]
    print(trainer.describe())

    @trainer.on(Events.EPOCH_COMPLETED(once=2))
    def close_the_left_one() -> None:
        print("the left dashboard is deleted")
        del dashboards[0]

    x = torch.linspace(-1, 1, 80).reshape(10, 8, 1)
    trainer.run(list(zip(x, 3 * x + 1, strict=True)), max_epochs=epochs)
    print(trainer.describe())


def main() -> None:
    parser = argparse.ArgumentParser(description="Watch a run with objects that listen and vanish.")
    parser.add_argument("--epochs", type=int, default=5, help="how many epochs to run (default 5)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default 0)")
    arguments = parser.parse_args()
    if arguments.epochs < 1:
        parser.error(f"--epochs must be a positive integer, got {arguments.epochs}")
    manual_seed(arguments.seed)
    run(arguments.epochs)


if __name__ == "__main__":
    main()
