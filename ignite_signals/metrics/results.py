"""How a metric's value is written to `engine.state.metrics`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias, get_args

from torch import Tensor

__all__ = ["ResultMode", "check_result_mode", "read", "write"]

ResultMode: TypeAlias = Literal["flatten", "named", "both"]


def check_result_mode(mode: object) -> None:
    """Refuse what is no mode.

    Raises:
        ValueError: it is none; the message lists them.
    """
    if mode not in get_args(ResultMode):
        raise ValueError(f"metrics_result_mode must be one of {get_args(ResultMode)}, got {mode!r}")


def write(metrics: dict[str, Any], name: str, value: Any, at_once: bool, mode: ResultMode) -> tuple[str, ...]:
    """Write a value under its name, the items of a mapping under theirs, as the mode says, and return the keys.

    Args:
        metrics: where to write.
        name: what the metric was attached as.
        value: what the metric computed.
        at_once: move tensors to the host, and make a number of one without dimensions; otherwise they
            stay on their device, detached, so that nobody waits until somebody reads them.
        mode: "flatten" writes the items of a mapping, "named" the mapping, "both" both.

    Raises:
        ValueError: the mapping has `name` as a key, and both would be written.

    >>> import torch
    >>> metrics = {}
    >>> write(metrics, "loss", torch.tensor(0.5), at_once=True, mode="both")
    ('loss',)
    >>> write(metrics, "errors", {"mse": 4.0}, at_once=True, mode="both")
    ('mse', 'errors')
    >>> metrics
    {'loss': 0.5, 'mse': 4.0, 'errors': {'mse': 4.0}}
    """
    if not isinstance(value, Mapping):
        metrics[name] = _detached(value, at_once)
        return (name,)
    if name in value and mode == "both":
        raise ValueError(
            f"name must not be one of the keys that the metric computes, {list(value)}, got {name!r}; "
            "attach it under another name, or pass metrics_result_mode='flatten'"
        )
    items = {key: _detached(item, at_once) for key, item in value.items()}
    written = {**(items if mode != "named" else {}), **({name: items} if mode != "flatten" else {})}
    metrics.update(written)
    return tuple(written)


def read(metrics: dict[str, Any], keys: Iterable[str]) -> None:
    """Read from their device the values that were written under these keys and are still there.

    >>> import torch
    >>> metrics = {"loss": torch.tensor(0.5)}
    >>> read(metrics, ["loss", "other"])
    >>> metrics
    {'loss': 0.5}
    """
    for key in keys:
        if key in metrics:
            metrics[key] = _detached(metrics[key], at_once=True)


def _detached(value: Any, at_once: bool) -> Any:
    """Return a value that stays what it is when the metric goes on."""
    if isinstance(value, Tensor):
        if not at_once:
            return value.detach().clone()
        return value.item() if value.ndim == 0 else value.detach().to("cpu", copy=True)
    if type(value) in (tuple, list):
        return type(value)(_detached(item, at_once) for item in value)
    if type(value) is dict:
        return {key: _detached(item, at_once) for key, item in value.items()}
    return value
