"""Random scores and targets, for the tests of curves and rankings."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from ignite_signals.metrics import Metric

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
DTYPES = [*FLOATS, torch.int64, torch.uint8]
TARGETS = [torch.int64, torch.uint8, torch.bool, torch.float32]


@st.composite
def scored(
    draw: st.DrawFn, *, columns: int | None = None, dtypes: list[torch.dtype] = DTYPES, largest: int = 20
) -> tuple[Tensor, Tensor]:
    """Draw scores, many of them equal, and zeros and ones: any number of samples, one class missing or not."""
    n = draw(st.integers(1, largest))
    count = n * (columns or 1)
    scores = draw(st.lists(st.integers(0, 9), min_size=count, max_size=count))
    y = draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
    shape = (n,) if columns is None else (n, columns)
    dtype, kind = draw(st.sampled_from(dtypes)), draw(st.sampled_from(TARGETS))
    # Quarters are exact in every type.
    divisor = 4 if dtype.is_floating_point else 1
    return (torch.tensor(scores).reshape(shape) / divisor).to(dtype), torch.tensor(y).reshape(shape).to(kind)


def computed(metric: Metric, *batches: tuple[Tensor, Tensor]) -> Any:
    """Return what a metric computes of the batches."""
    for batch in batches:
        metric.update(batch)
    return metric.compute()


def halves(y_pred: Tensor, y: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return the samples as two batches, the first of which may be empty."""
    middle = len(y) // 2
    return [(y_pred[:middle], y[:middle]), (y_pred[middle:], y[middle:])]


def quietly(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function whose warnings are not what is tested."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)
