"""The cases of the mean squared error and its root."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ignite_signals.metrics import MeanSquaredError, RootMeanSquaredError
from support.metric_cases import MetricCase, Update, updates_of_ignite, updates_of_torchmetrics


def floats(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    return torch.randn(n, generator=generator), torch.randn(n, generator=generator)


def mean_squared_error(y_pred: Tensor, y: Tensor) -> float:
    return (y_pred.double() - y.double()).square().mean().item()


def root_mean_squared_error(y_pred: Tensor, y: Tensor) -> float:
    return float(mean_squared_error(y_pred, y) ** 0.5)


def bare() -> Update:
    total, samples = torch.zeros((), dtype=torch.float64), 0

    def update(output: Any) -> None:
        nonlocal total, samples
        y_pred, y = output
        total += (y_pred - y).square_().sum()
        samples += len(y_pred)

    return update


def ignite(name: str) -> Any:
    import ignite.metrics

    return getattr(ignite.metrics, name)()


def torchmetrics(**kwargs: Any) -> Any:
    import torchmetrics

    return torchmetrics.MeanSquaredError(**kwargs)


CASES = [
    MetricCase(
        name="MeanSquaredError",
        make=MeanSquaredError,
        batch=floats,
        reference=mean_squared_error,
        bare=bare,
        ignite=updates_of_ignite(lambda: ignite("MeanSquaredError")),
        torchmetrics=updates_of_torchmetrics(torchmetrics),
    ),
    MetricCase(
        name="RootMeanSquaredError",
        make=RootMeanSquaredError,
        batch=floats,
        reference=root_mean_squared_error,
        bare=bare,
        ignite=updates_of_ignite(lambda: ignite("RootMeanSquaredError")),
        torchmetrics=updates_of_torchmetrics(lambda: torchmetrics(squared=False)),
    ),
]
