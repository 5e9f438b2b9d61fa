"""Watch a run with objects that listen for as long as they exist.

A dashboard connects its own methods to the signals of an engine. The engine does not keep it
alive: when the dashboard is deleted, in the middle of the run, its connections are gone with it
and the run goes on. Nothing has to be disconnected.
"""

from __future__ import annotations

import argparse
import math

import torch
from torch import nn

from ignite_signals import Engine, Events, create_supervised_trainer
from ignite_signals.utils import manual_seed


class Dashboard:
    """Draw the loss of an engine, until it is deleted."""

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self.losses: list[float] = []
        engine.signal(Events.ITERATION_COMPLETED(every=5)).connect(self.draw)
        engine.signal(Events.EPOCH_COMPLETED).connect(self.sum_up)

    def draw(self, engine: Engine) -> None:
        loss = float(engine.state.output)
        self.losses.append(loss)
        bar = "#" * min(30, math.ceil(10 * loss))
        print(f"  {self.name:5}  iteration {engine.state.iteration:3}  loss {loss:.4f}  {bar}")

    def sum_up(self, engine: Engine) -> None:
        print(f"  {self.name:5}  epoch {engine.state.epoch} is over, the least loss was {min(self.losses):.4f}")


def make_trainer() -> Engine:
    model = nn.Linear(1, 1)
    sgd = torch.optim.SGD(model.parameters(), lr=0.02)
    return create_supervised_trainer(model, sgd, nn.functional.mse_loss)


def run(epochs: int) -> None:
    trainer = make_trainer()
    dashboards = [Dashboard("left", trainer), Dashboard("right", trainer)]
    print(trainer.describe())

    @trainer.on(Events.ITERATION_COMPLETED(once=12))
    def delete_the_left_one() -> None:
        print("the left dashboard is deleted")
        del dashboards[0]

    x = torch.randn(20, 8, 1)
    trainer.run(list(zip(x, 3 * x + 1, strict=True)), max_epochs=epochs)
    print(trainer.describe())


def main() -> None:
    parser = argparse.ArgumentParser(description="Watch a run with objects that listen and vanish.")
    parser.add_argument("--epochs", type=int, default=3, help="how many epochs to run (default 3)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the data (default 0)")
    arguments = parser.parse_args()
    if arguments.epochs < 1:
        parser.error(f"--epochs must be a positive integer, got {arguments.epochs}")
    if not 0 <= arguments.seed < 2**32:
        parser.error(f"--seed must be at least 0 and below 2**32, got {arguments.seed}")
    manual_seed(arguments.seed)
    try:
        run(arguments.epochs)
    except KeyboardInterrupt:
        parser.exit(130, "interrupted\n")


if __name__ == "__main__":
    main()
