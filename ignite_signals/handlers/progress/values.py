"""What a progress bar shows beside the progress: metrics, outputs and attributes of the state."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Number
from typing import TYPE_CHECKING, Any

from ignite_signals.engine.callables import check_callable
from ignite_signals.engine.limits import stack_level
from ignite_signals.handlers.progress.screen import text_tqdm

if TYPE_CHECKING:
    from ignite_signals.engine import Engine

__all__ = ["Values"]

_REMEDY = "choose a number, a string, or a tensor of at most one dimension"


class Values:
    """Read what a line shows beside the progress, and put it into words."""

    def __init__(
        self,
        metric_names: str | Sequence[str] | None,
        output_transform: Callable[[Any], Any] | None,
        state_attributes: Sequence[str] | None,
    ) -> None:
        if metric_names != "all":
            _check_names("metric_names", metric_names, ' or "all"')
        _check_names("state_attributes", state_attributes)
        if output_transform is not None:
            check_callable("output_transform", output_transform)
        self._metric_names = metric_names or ()
        self._output_transform = output_transform
        self._state_attributes = state_attributes or ()
        # The names that were warned of.
        self._told: set[str] = set()

    def text(self, engine: Engine) -> str:
        """Return the names and values, as tqdm writes them."""
        plain: dict[str, Any] = {}
        for name, value in self._found(engine):
            plain |= _flat(str(name), value)
        write = text_tqdm().format_num
        shown = {name: write(value) if isinstance(value, Number) else value for name, value in plain.items()}
        for name, value in shown.items():
            if not isinstance(value, str | None):
                self._tell(name, f"cannot show {name!r}, {_described(value)}: {_REMEDY}")
        return ", ".join(f"{name}={value.strip()}" for name, value in shown.items() if isinstance(value, str))

    def _found(self, engine: Engine) -> Iterator[tuple[Any, Any]]:
        state = engine.state
        for name in state.metrics if self._metric_names == "all" else self._metric_names:
            if name in state.metrics:
                yield name, state.metrics[name]
        # There is no output before a run's first step, nor between a batch and its step.
        if self._output_transform is not None and state.output is not None:
            output = self._output_transform(state.output)
            yield from output.items() if isinstance(output, Mapping) else [("output", output)]
        for name in self._state_attributes:
            yield name, getattr(state, name, None)

    def warn_of_missing(self, engine: Engine) -> None:
        """Warn of names that there is still nothing to show of when a line is closed."""
        metrics = engine.state.metrics
        for name in () if self._metric_names == "all" else self._metric_names:
            if name not in metrics:
                self._tell(name, f"metric_names has {name!r}, and engine.state.metrics {list(metrics)}")
        for name in self._state_attributes:
            if not hasattr(engine.state, name):
                self._tell(name, f"state_attributes has {name!r}, which engine.state does not have")

    def _tell(self, name: str, text: str) -> None:
        if name in self._told:
            return
        self._told.add(name)
        with text_tqdm().external_write_mode(file=sys.stderr):
            warnings.warn(f"ProgressBar: {text}", stacklevel=stack_level())


def _flat(name: str, value: Any) -> dict[str, Any]:
    """Return the plain values inside of a value, by names to which keys and indices are added.

    >>> _flat("loss", ({"a": 1}, "b"))
    {'loss_0_a': 1, 'loss_1': 'b'}
    """
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:  # torch's and numpy's
        value = value.item()
    elif getattr(value, "ndim", None) == 1:
        value = value.tolist()
    if isinstance(value, list | tuple):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping):
        return {name: value}
    return {inner: plain for key, part in value.items() for inner, plain in _flat(f"{name}_{key}", part).items()}


def _described(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"a {type(value).__name__}" + ("" if shape is None else f" of shape {tuple(shape)}")


def _check_names(argument: str, names: object, more: str = "") -> None:
    if names is None:
        return
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{argument} must be a list of names{more}, got {names!r}")
