"""RunningAverage: the exponential moving average of a metric or of the output."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from numbers import Number
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ignite_signals.engine import Events
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics.device_value import device_value
from ignite_signals.metrics.metric import Metric, unchanged
from ignite_signals.metrics.twin import twin
from ignite_signals.metrics.usage import (
    EpochWise,
    MetricUsage,
    RunningBatchWise,
    SingleEpochRunningBatchWise,
    UsageEvent,
    usage_from,
)

if TYPE_CHECKING:
    from ignite_signals.engine import Engine

__all__ = ["RunningAverage"]

_HALF = (torch.float16, torch.bfloat16)


class RunningAverage(Metric):
    """Smooth a metric, or the engine's output, over the batches or the epochs of a run.

    The first value is the average; each later one `x` makes it `alpha * average + (1 - alpha) * x`,
    an exponential moving average (https://en.wikipedia.org/wiki/Exponential_smoothing) that starts
    without bias towards 0. The usage in `attach` says what is averaged:

    - `RunningBatchWise()`, the default: each batch's value, over the whole run;
    - `SingleEpochRunningBatchWise()`: each batch's value, anew in every epoch;
    - `RunningEpochWise()`: each epoch's value of `src`, or the last output of each epoch.

    A batch's value stays a tensor on its device in `engine.state.metrics`, so that no iteration waits.

    Args:
        src: the metric to smooth; None smooths the output. The metric itself is left alone, a twin of it
            measures here, so it may be attached elsewhere, under a name of its own, with any usage.
        alpha: how much of the old average stays, in (0, 1].
        output_transform: makes a number or a tensor of `engine.state.output`; only without `src`.
        epoch_bound: deprecated; True is `usage=SingleEpochRunningBatchWise()`, False
            `usage=RunningBatchWise()`, whatever usage is given.
        device: where to keep the average; by default where the values are; only without `src`.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `src` is no metric, or a value neither a number nor a tensor.
        ValueError: `alpha` is out of range, or `output_transform` or `device` goes with `src`.
        NotComputableError: `compute` was called before anything was seen.

    >>> from ignite_signals.engine import Engine
    >>> trainer = Engine(lambda engine, batch: batch)
    >>> RunningAverage(alpha=0.5).attach(trainer, "loss")
    >>> trainer.run([4.0, 2.0, 1.0]).metrics
    {'loss': 2.0}
    """

    required_output_keys = None
    _state_dict_all_req_keys = ("_value", "_source")

    def __init__(
        self,
        src: Metric | None = None,
        alpha: float = 0.98,
        output_transform: Callable[[Any], Any] | None = None,
        epoch_bound: bool | None = None,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        _check_source(src, output_transform=output_transform, device=device)
        if not 0 < alpha <= 1:
            raise ValueError(f"alpha must be in (0, 1], got {alpha!r}")
        if epoch_bound is not None:
            warnings.warn(_EPOCH_BOUND, DeprecationWarning, stacklevel=2)
        self.src = src
        self.alpha = alpha
        self.epoch_bound = epoch_bound
        self._source = None if src is None else twin(src)
        super().__init__(output_transform or unchanged, device=device, skip_unrolling=skip_unrolling)

    def reset(self) -> None:
        """Forget the average."""
        self._value: Any = None
        if self._source is not None:
            self._source.reset()

    def update(self, output: Any) -> None:
        """Take in a batch: its value, or what `src` computes of it."""
        if self._source is None:
            self._fold(output)
        else:
            self._source.reset()
            self._source.update(output)
            self._fold(device_value(self._source))

    def iteration_completed(self, engine: Engine) -> None:
        """Take in `engine.state.output`, or the value that `src` has for this batch alone."""
        if self._source is None:
            super().iteration_completed(engine)
        else:
            self._source.reset()
            self._source.iteration_completed(engine)
            self._fold(device_value(self._source))

    def compute(self) -> Any:
        """Return the average: a number, or a tensor where the values are tensors.

        Raises:
            NotComputableError: nothing was seen.
        """
        if self._value is None:
            raise NotComputableError("RunningAverage has seen no value: it must be updated before it is computed")
        return self._value

    def _fold(self, value: Any) -> None:
        value = self._checked(value)
        # Never in place: what was written to `engine.state.metrics` must not change later.
        if self._value is None:
            self._value = value * 1.0
        else:
            self._value = self._value * self.alpha + value * (1 - self.alpha)

    def _checked(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            value = self._moved(value.detach())
            # In half precision a hundredth of the value is soon below its last digit.
            return value.float() if value.dtype in _HALF else value
        if isinstance(value, Number):
            return value
        source = "output" if self.src is None else f"the value of {type(self.src).__name__}"
        raise TypeError(f"{source} must be a number or a tensor for RunningAverage, got {value!r}")

    def _usage(self, usage: str | MetricUsage | None) -> MetricUsage:
        if self.epoch_bound is not None:
            return SingleEpochRunningBatchWise() if self.epoch_bound else RunningBatchWise()
        return RunningBatchWise() if usage is None else usage_from(usage)

    def _handlers(self, usage: MetricUsage) -> list[tuple[UsageEvent, Callable[[Engine], None]]]:
        if self._source is None or not isinstance(usage, EpochWise):
            return super()._handlers(usage)
        return [
            (usage.STARTED, self.started),
            (Events.EPOCH_STARTED, self._source_started),
            (Events.ITERATION_COMPLETED, self._source_updated),
            (usage.ITERATION_COMPLETED, self._source_computed),
        ]

    # With an epoch-wise usage `src` sees a whole epoch, so its three moments are three handlers.

    def _source_started(self, engine: Engine) -> None:
        assert self._source is not None
        self._source.started(engine)

    def _source_updated(self, engine: Engine) -> None:
        assert self._source is not None
        self._source.iteration_completed(engine)

    def _source_computed(self, engine: Engine) -> None:  # called as its neighbours are
        assert self._source is not None
        self._fold(device_value(self._source))


_EPOCH_BOUND = (
    "epoch_bound is deprecated: attach with usage=SingleEpochRunningBatchWise() for epoch_bound=True, "
    "with usage=RunningBatchWise() for epoch_bound=False"
)


def _check_source(src: object, **only_without: object) -> None:
    if src is None:
        return
    if not isinstance(src, Metric):
        raise TypeError(f"src must be a Metric or None, got {src!r}")
    for name, value in only_without.items():
        if value is not None:
            raise ValueError(f"{name} must be None where src is a metric, which has its own, got {value!r}")
