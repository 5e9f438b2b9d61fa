"""Optimizers and trainings without a model, for the tests of schedulers."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ignite_signals.engine import Engine, Events


def optimizer(*rates: float, **options: Any) -> torch.optim.SGD:
    """Return an optimizer with a group for each rate."""
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates or (0.1,)]
    return torch.optim.SGD(groups, lr=0.1, **options)


def rates(of: Any, name: str = "lr") -> list[float]:
    return [float(group[name]) for group in of.param_groups]


def called(scheduler: Any, number: int, name: str = "lr") -> list[Any]:
    """Call a scheduler, and return what its groups have each time; a number where there is one group."""
    seen = []
    for _ in range(number):
        scheduler(None)
        values = [float(group[name]) for group in scheduler.optimizer_param_groups]
        seen.append(values[0] if len(values) == 1 else values)
    return seen


def through_file(value: Any) -> Any:
    """Save and load as a checkpoint does."""
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


class Training:
    """A training that keeps the rates of each iteration, and its whole state after each."""

    def __init__(self, make: Callable[[Any], Any], event: Any, *rates: float, engine: type[Engine] = Engine) -> None:
        self.optimizer = optimizer(*rates)
        self.trainer = engine(lambda engine, batch: self.optimizer.step())
        self.scheduler = make(self.optimizer)
        self.trainer.add_event_handler(event, self.scheduler)
        self.seen: list[list[float]] = []
        self.states: list[Any] = []
        # Behind the scheduler, as what saves is.
        self.trainer.signal(Events.ITERATION_COMPLETED).connect(self._note, weak=False, priority=-100)

    def _note(self, engine: Engine) -> None:
        self.seen.append(rates(self.optimizer))
        self.states.append(through_file({"trainer": engine.state_dict(), "optimizer": self.optimizer.state_dict()}))

    def load(self, state: Any) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.trainer.load_state_dict(state["trainer"])

    def run(self, **limits: Any) -> list[list[float]]:
        """Run four epochs of four iterations, or what is left of them."""
        self.trainer.run(range(4), **(limits or {"max_epochs": 4}))
        return self.seen
