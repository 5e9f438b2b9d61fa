"""The cases of the averages family."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from ignite_signals.metrics import (
    Average,
    Frequency,
    GeometricAverage,
    Loss,
    MeanSquaredError,
    RunningAverage,
    VariableAccumulation,
)
from support.metric_cases import MetricCase, Update, updates_of_ignite

# Data


def rows(generator: torch.Generator, n: int) -> Tensor:
    return torch.randn(n, 10, generator=generator)


def positive_rows(generator: torch.Generator, n: int) -> Tensor:
    return 0.1 + torch.rand(n, 10, generator=generator)


def images(generator: torch.Generator, n: int) -> Tensor:
    return torch.randn(n, 2, 3, generator=generator)


def number(generator: torch.Generator, n: int) -> Tensor:
    """One sample, whatever n: the mean loss of a batch, say."""
    return torch.rand((), generator=generator)


def vector(generator: torch.Generator, n: int) -> Tensor:
    """One sample of four entries, whatever n."""
    return 0.1 + torch.rand(4, generator=generator)


def scores(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    return torch.randn(n, 10, generator=generator), torch.randint(0, 10, (n,), generator=generator)


def differences(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    return torch.randn(n, generator=generator), torch.randn(n, generator=generator)


def size(generator: torch.Generator, n: int) -> Tensor:
    """A count on the device: of the tokens of a batch, say."""
    return torch.tensor(n)


def plain_size(generator: torch.Generator, n: int) -> int:
    return n


def total_size(sizes: Sequence[int]) -> tuple[int]:
    return (int(sum(sizes)),)


# References


def mean(values: Tensor) -> Tensor:
    return values.double().mean(0)


def geometric_mean(values: Tensor) -> Tensor:
    return values.double().log().mean(0).exp()


def sum_of_squares(values: Tensor) -> tuple[Tensor, int]:
    return values.double().square().sum(0), len(values)


def total(values: Tensor) -> tuple[Tensor, int]:
    return values.double().sum(0), len(values)


def mean_cross_entropy(y_pred: Tensor, y: Tensor) -> float:
    return cross_entropy(y_pred.double(), y).item()


def mean_squared_error(y_pred: Tensor, y: Tensor) -> float:
    return (y_pred.double() - y.double()).square().mean().item()


def smoothed(values: Sequence[Any], alpha: float = 0.98) -> Any:
    """Return the last exponential moving average, by the weight that each value has in it."""
    weights = [alpha ** (len(values) - 1)]
    weights += [(1 - alpha) * alpha ** (len(values) - 1 - i) for i in range(1, len(values))]
    return sum(weight * float(value) for weight, value in zip(weights, values, strict=True))


def smoothed_errors(*pairs: tuple[Tensor, Tensor]) -> Any:
    errors = [(y_pred.double() - y.double()).square().mean() for y_pred, y in pairs]
    return smoothed(torch.stack(errors), 0.5)


def in_two_seconds(samples: int) -> float:
    return samples / 2


# Metrics


def same(output: Tensor) -> Tensor:
    return output


def add_squares(accumulator: Tensor, output: Tensor) -> Tensor:
    return accumulator + output.square().sum(0)


class TwoSeconds(Frequency):
    """Count since two seconds ago, by a clock that stands."""

    @staticmethod
    def _clock() -> float:
        return 0.0

    def reset(self) -> None:
        super().reset()
        self._began = -2.0


# The operations that an update needs, alone


def bare_sum_of_rows() -> Update:
    total, samples = torch.zeros(10, dtype=torch.float64), 0

    def update(output: Any) -> None:
        nonlocal total, samples
        total += output.sum(0, dtype=torch.float64)
        samples += output.shape[0]

    return update


def bare_sum_of_logarithms() -> Update:
    total, samples = torch.zeros(10, dtype=torch.float64), 0

    def update(output: Any) -> None:
        nonlocal total, samples
        n = output.shape[0]
        if n < 1000:
            total += output.double().log_().sum(0)
        else:
            total += output.view(4, -1, 10).prod(0, dtype=torch.float64).log_().sum(0)
            total += output.amin().clamp(max=0).double().sqrt()
        samples += n

    return update


def bare_accumulation() -> Update:
    total, samples = torch.zeros((), dtype=torch.float64), 0

    def update(output: Any) -> None:
        nonlocal total, samples
        total = operator.add(total, output.to(torch.float64))
        samples += 1

    return update


def bare_loss() -> Update:
    total, samples = torch.zeros((), dtype=torch.float64), 0

    def update(output: Any) -> None:
        nonlocal total, samples
        y_pred, y = output
        total.add_(mse_loss(y_pred, y), alpha=len(y))
        samples += len(y)

    return update


def bare_smoothing() -> Update:
    average = None

    def update(output: Any) -> None:
        nonlocal average
        average = output if average is None else torch.add(average * 0.98, output, alpha=1 - 0.98)

    return update


def bare_rate() -> Update:
    samples, seconds, began = 0, 0.0, perf_counter()

    def update(output: Any) -> None:
        nonlocal samples, seconds
        samples += output
        seconds = perf_counter() - began

    return update


# The peers, imported when they are asked for


def of_ignite(name: str, *args: Any, **kwargs: Any) -> Callable[[], Update]:
    def make() -> Any:
        import ignite.metrics
        import ignite.metrics.accumulation

        holder = ignite.metrics if hasattr(ignite.metrics, name) else ignite.metrics.accumulation
        return getattr(holder, name)(*args, **kwargs)

    return updates_of_ignite(make)


CASES = [
    MetricCase(
        name="Average",
        make=Average,
        batch=rows,
        reference=mean,
        bare=bare_sum_of_rows,
        ignite=of_ignite("Average"),
    ),
    MetricCase(
        name="Average-of-numbers",
        make=Average,
        batch=number,
        reference=mean,
        join=torch.stack,
    ),
    MetricCase(name="Average-of-vectors", make=Average, batch=vector, reference=mean, join=torch.stack),
    MetricCase(name="Average-of-images", make=Average, batch=images, reference=mean),
    MetricCase(
        name="GeometricAverage",
        make=GeometricAverage,
        batch=positive_rows,
        reference=geometric_mean,
        bare=bare_sum_of_logarithms,
        ignite=of_ignite("GeometricAverage"),
    ),
    MetricCase(
        name="GeometricAverage-of-vectors",
        make=GeometricAverage,
        batch=vector,
        reference=geometric_mean,
        join=torch.stack,
    ),
    MetricCase(
        name="VariableAccumulation",
        make=partial(VariableAccumulation, operator.add),
        batch=number,
        reference=total,
        join=torch.stack,
        bare=bare_accumulation,
        ignite=of_ignite("VariableAccumulation", operator.add),
    ),
    MetricCase(
        name="VariableAccumulation-of-rows",
        make=partial(VariableAccumulation, add_squares),
        batch=rows,
        reference=sum_of_squares,
    ),
    MetricCase(
        name="Loss",
        make=partial(Loss, mse_loss),
        batch=differences,
        reference=mean_squared_error,
        bare=bare_loss,
        ignite=of_ignite("Loss", mse_loss),
        half=False,  # the loss function itself rounds
    ),
    MetricCase(
        name="Loss-of-classes",
        make=partial(Loss, cross_entropy),
        batch=scores,
        reference=mean_cross_entropy,
        half=False,
    ),
    MetricCase(
        name="RunningAverage",
        make=RunningAverage,
        batch=number,
        reference=smoothed,
        join=torch.stack,
        several_processes=False,
        bare=bare_smoothing,
        ignite=of_ignite("RunningAverage", output_transform=same),
    ),
    MetricCase(
        name="RunningAverage-of-a-metric",
        make=partial(RunningAverage, MeanSquaredError(), alpha=0.5),
        batch=differences,
        reference=smoothed_errors,
        join=list,
        several_processes=False,
    ),
    MetricCase(
        name="Frequency",
        make=TwoSeconds,
        batch=size,
        reference=in_two_seconds,
        join=total_size,
        bare=bare_rate,
        ignite=of_ignite("Frequency"),
    ),
    MetricCase(
        name="Frequency-of-plain-numbers",
        make=TwoSeconds,
        batch=plain_size,
        reference=in_two_seconds,
        join=total_size,
    ),
]
