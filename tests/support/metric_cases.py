"""One case for each native metric and setting: what it measures, and by what other means one can know the value.

The tests of what every metric promises go through all cases (`tests/metrics/test_every_metric.py`),
and so does the benchmark (`tests/benchmarks/metrics.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from ignite_signals.metrics import Metric

Update = Callable[[Any], None]


@attrs.frozen
class MetricCase:
    """A metric with one setting, data for it, and references.

    Everything is a module-level function, a class or a `functools.partial`, so that a case can be
    found by its name in another process.
    """

    name: str
    make: Callable[[], Metric]
    # batch(generator, n): what `update` takes for n samples; a tuple of tensors, or a tensor.
    batch: Callable[[torch.Generator, int], Any]
    # reference(*parts): the value for all samples at once, by scikit-learn, SciPy or the formula in float64.
    reference: Callable[..., Any]
    # bare(): the update with nothing but the torch operations that it needs, for the benchmark.
    bare: Callable[[], Update] | None = None
    # The peers' update for the same data, or None where they have no such metric.
    ignite: Callable[[], Update] | None = None
    torchmetrics: Callable[[], Update] | None = None
    # True for the few that must keep all outputs.
    keeps_outputs: bool = False
    # How far the value may be from the reference.
    rtol: float = 1e-6
    atol: float = 1e-8
    # False where the value of all batches is not that of one batch of all samples, so that there is nothing to compare.
    joins: bool = True
    # False where inputs in half precision make no sense.
    half: bool = True
    # False where the order of the batches decides, which several processes do not have.
    several_processes: bool = True
    # How a list of batches becomes one of all samples, where it is not by torch.cat.
    join: Callable[[Sequence[Any]], Any] | None = None

    def joined(self, batches: Sequence[Any]) -> Any:
        """Return one batch with the samples of several."""
        if self.join is not None:
            return self.join(batches)
        if isinstance(batches[0], Tensor):
            return torch.cat(list(batches))
        return tuple(torch.cat(parts) for parts in zip(*batches, strict=True))

    def expected(self, batches: Sequence[Any]) -> Any:
        """Return the reference's value for all samples of the batches."""
        data = self.joined(batches)
        return self.reference(data) if isinstance(data, Tensor) else self.reference(*data)


def updates_of_ignite(make: Callable[[], Any]) -> Callable[[], Update]:
    """Return what makes a peer's update that takes the whole output, as PyTorch-Ignite's does."""
    return lambda: make().update


def updates_of_torchmetrics(make: Callable[[], Any]) -> Callable[[], Update]:
    """Return what makes a peer's update that takes predictions and targets, as torchmetrics' does."""

    def updating() -> Update:
        metric = make()
        return lambda output: metric.update(*output)

    return updating
