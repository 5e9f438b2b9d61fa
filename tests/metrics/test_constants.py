"""Numbers of a setting as a tensor, without a copy that waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from ignite_signals.metrics import NDCG, HitRate, Metric
from ignite_signals.metrics.constants import constants
from ignite_signals.metrics.fairness import DemographicParityDifference, SubgroupAccuracyDifference

CPU = torch.device("cpu")


class RefuseCopies(TorchDispatchMode):
    """Refuse copies from the host to the device, for which the host waits unless its memory is pinned."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        devices = [value.device.type for value in (*args[:1], result) if isinstance(value, Tensor)]
        if devices == ["cpu", "cuda"]:
            raise AssertionError(f"{function.name()} copies to the device")
        return result


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([2**60 + 1, -1], torch.tensor([2**60 + 1, -1])),
        ([False, True], torch.tensor([0, 1])),
        ([0.1, 1], torch.tensor([0.1, 1.0], dtype=torch.float64)),
    ],
)
def test_numbers_are_exact(numbers: list[float], expected: Tensor) -> None:
    """Whole numbers are of 64 bits, and so are others."""
    actual = constants(numbers, CPU)

    assert expected.dtype is actual.dtype
    assert torch.equal(expected, actual)


@pytest.mark.parametrize(
    "make",
    [
        lambda: HitRate([1, 2]),
        lambda: NDCG([1, 2]),
        lambda: SubgroupAccuracyDifference([0, 1]),
        lambda: DemographicParityDifference([0, 0.5]),
    ],
)
def test_the_first_update_copies_nothing_to_the_device(make: Callable[[], Metric]) -> None:
    """Where a window begins, too, nobody waits for what a metric needs on the device."""
    with FakeTensorMode(), RefuseCopies():
        with pytest.raises(AssertionError, match="copies to the device"):
            torch.tensor([1, 2], device="cuda")
        metric = make()
        y_pred, integers = torch.empty(4, 2, device="cuda"), torch.empty(4, dtype=torch.int64, device="cuda")
        is_rec_sys = isinstance(metric, HitRate | NDCG)
        metric.update((y_pred, y_pred) if is_rec_sys else (y_pred, integers, integers))
        state = metric.state_dict()

    assert {"cuda"} == {value.device.type for value in state.values() if isinstance(value, Tensor)}
