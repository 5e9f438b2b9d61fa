"""A metric's value without a wait for the device."""

from __future__ import annotations

from unittest.mock import Mock

import torch

from ignite_signals.metrics import Accuracy, Average
from ignite_signals.metrics.device_value import device_value


def seen_half() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([1, 0]), torch.tensor([1, 1])


def test_is_the_tensor_behind_the_number() -> None:
    """Where compute returns a number, the device value is the tensor that it would be read from."""
    metric = Accuracy()
    metric.update(seen_half())

    value = device_value(metric)

    assert (torch.Tensor, float) == (type(value), type(metric.compute()))
    assert value.item() == metric.compute()


def test_a_subclass_that_overrides_compute_is_obeyed() -> None:
    """The parent's tensor must not be reported for another value."""

    class ErrorRate(Accuracy):
        def compute(self) -> float:
            return 1 - super().compute()

    class Inherited(ErrorRate):
        pass

    for metric in (ErrorRate(), Inherited()):
        metric.update((torch.tensor([1, 0, 0, 0]), torch.tensor([1, 1, 1, 1])))
        assert 0.75 == device_value(metric)


def test_a_replaced_compute_is_obeyed() -> None:
    """A compute that was set on the object, as tests do, is called."""
    metric = Accuracy()
    metric.compute = Mock(return_value=3.0)  # type: ignore[method-assign]

    assert 3.0 == device_value(metric)


def test_other_metrics_are_computed() -> None:
    """A metric that names no tensor gives what compute returns."""
    metric = Average()
    metric.update(2.0)

    assert 2.0 == device_value(metric).item()
