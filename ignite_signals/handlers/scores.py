"""Scores say how good a checkpoint is: plain numbers, whatever a score function returns."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from numbers import Integral
from typing import Any, SupportsFloat

from ignite_signals.engine import Engine

__all__ = ["is_finite", "metric_score", "number"]


def metric_score(metric_name: str, score_sign: float = 1.0) -> Callable[[Engine], Any]:
    """Return a function that takes the score from an engine's metrics.

    Args:
        metric_name: the key in `engine.state.metrics`.
        score_sign: -1.0 where smaller is better, else 1.0.

    Raises:
        ValueError: the sign is another number.

    >>> engine = Engine(lambda engine, batch: None)
    >>> engine.state.metrics["loss"] = 0.25
    >>> metric_score("loss", -1.0)(engine)
    -0.25
    """
    if score_sign not in (1.0, -1.0):
        raise ValueError(f"score_sign must be 1.0 or -1.0, got {score_sign!r}")
    return functools.partial(_of_metric, metric_name, score_sign)  # which can be pickled


def _of_metric(metric_name: str, score_sign: float, engine: Engine) -> Any:
    metrics = engine.state.metrics
    if metric_name not in metrics:
        raise KeyError(f"the score must be a metric of {engine!r}, got {metric_name!r}: it has {list(metrics)}")
    return score_sign * metrics[metric_name]


def number(role: str, value: Any) -> float:
    """Return a number as a plain int or float, also that of numpy or of a tensor with one element.

    Raises:
        TypeError: it is none, or complex.

    >>> import torch
    >>> number("score_function must return", torch.tensor([0.5]))
    0.5
    """
    item = getattr(value, "item", None)
    try:
        plain = item() if callable(item) else value
        if isinstance(plain, Integral):
            return int(plain)
        if isinstance(plain, SupportsFloat):
            return float(plain)
    except (RuntimeError, ValueError) as error:  # several elements
        raise TypeError(f"{role} a number, got {value!r}: {error}") from error
    raise TypeError(f"{role} a number, got {value!r}")


def is_finite(score: float) -> bool:
    """Tell whether a score is neither NaN nor infinite; integers may be larger than any float."""
    return isinstance(score, int) or math.isfinite(score)
