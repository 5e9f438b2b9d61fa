"""RunningAverage: the exponential moving average of a metric or of the output."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from numbers import Number
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ignite_signals import distributed
from ignite_signals.engine import Events
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics.adapter import as_metric, is_metric
from ignite_signals.metrics.device_value import as_tensor_by, device_value
from ignite_signals.metrics.metric import Metric, unchanged
from ignite_signals.metrics.output import described
from ignite_signals.metrics.pairs import wide
from ignite_signals.metrics.sync import agreed
from ignite_signals.metrics.twin import twin
from ignite_signals.metrics.usage import (
    MetricUsage,
    RunningBatchWise,
    RunningEpochWise,
    SingleEpochRunningBatchWise,
    UsageEvent,
    usage_from,
)

if TYPE_CHECKING:
    from ignite_signals.engine import Engine

__all__ = ["RunningAverage"]


class RunningAverage(Metric):
    """Smooth a metric, or the engine's output, over the batches or the epochs of a run.

    The first value is the average; each later one `x` makes it `alpha * average + (1 - alpha) * x`,
    an exponential moving average (https://en.wikipedia.org/wiki/Exponential_smoothing) that starts
    without bias towards 0. The usage in `attach` says what is averaged:

    - `RunningBatchWise()`, the default: each batch's value, over the whole run;
    - `SingleEpochRunningBatchWise()`: each batch's value, anew in every epoch;
    - `RunningEpochWise()`: each epoch's value of `src`, or the last output of each epoch.

    A batch's value stays a tensor on its device in `engine.state.metrics`, so that no iteration waits.

    Several processes smooth the value of `src` for what all of them have seen, or have the mean of
    their averages of the output. Batch by batch that takes as many batches on each of them.

    Args:
        src: the metric to smooth, torchmetrics' ones too; None smooths the output. The metric itself is left
            alone, a twin of it measures here, so it may be attached elsewhere, under a name of its own, with
            any usage.
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
    shared_by_twins = ("src",)
    _state_dict_all_req_keys = ("_average", "_averages", "_source")

    def __init__(
        self,
        src: Any = None,
        alpha: float = 0.98,
        output_transform: Callable[[Any], Any] | None = None,
        epoch_bound: bool | None = None,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        _check_source(src, output_transform, device)
        if not 0 < alpha <= 1:
            raise ValueError(f"alpha must be in (0, 1], got {alpha!r}")
        if epoch_bound is not None:
            warnings.warn(_EPOCH_BOUND, DeprecationWarning, stacklevel=2)
        self.src = src
        self.alpha = alpha
        self.epoch_bound = epoch_bound
        self._source = None if src is None else twin(as_metric(src))
        super().__init__(output_transform or unchanged, device=device, skip_unrolling=skip_unrolling)
        if skip_unrolling:
            self.keep_lists()

    def reset(self) -> None:
        """Forget the average."""
        self._average: Any = None
        self._averages = 0  # how many there are in `_average`: of this process, or of all together
        if self._source is not None:
            self._source.reset()

    def keep_lists(self) -> None:
        super().keep_lists()
        if self._source is not None:
            self._source.keep_lists()

    def refused(self) -> list[str]:
        return [] if self._source is None else self._source.refused()

    def forget_refused(self) -> None:
        if self._source is not None:
            self._source.forget_refused()

    def update(self, output: Any) -> None:
        """Take in a batch: its value, or what `src` computes of it.

        Raises:
            TypeError: the value is neither a number nor a tensor.
        """
        if self._source is None:
            self._fold(output)
        else:
            self._source.reset()
            self._source.update(output)
            self._fold(device_value(self._source))

    def take(self, output: Any) -> None:
        """Take in an output as `engine.state.output` has it, with the `output_transform` of `src` where there is one.

        Raises:
            TypeError: the value is neither a number nor a tensor.
        """
        if self._source is None:
            super().take(output)
        else:
            self._source.reset()
            self._source.take(output)
            self._fold(device_value(self._source))

    def iteration_completed(self, engine: Engine) -> None:
        """Take in `engine.state.output`, or the value that `src` has for this batch alone."""
        if self._source is None:
            super().iteration_completed(engine)
        else:
            self._source.reset()
            self._source.iteration_completed(engine)
            self._fold(device_value(self._source))

    def _unread(self) -> Any:
        self._require_value()
        # What `src` computes all processes have in common; and here each of them has an average.
        if self._source is not None or distributed.get_world_size() == 1:
            return self._average
        return distributed.all_reduce(self._average) / distributed.get_world_size()

    @as_tensor_by(_unread)
    def compute(self) -> Any:
        """Return the average: a number, or a tensor where the values are tensors.

        Raises:
            NotComputableError: nothing was seen.
        """
        if self._source is not None or distributed.get_world_size() == 1:
            return self._unread()
        with agreed(self, {"_average": "SUM", "_averages": "SUM"}):
            self._require_value()
            return self._average / self._averages

    def _require_value(self) -> None:
        if self._average is None:
            raise NotComputableError(
                f"{type(self).__name__} has seen no value: it must be updated before it is computed"
            )

    def _fold(self, value: Any) -> None:
        is_tensor = isinstance(value, Tensor)
        if is_tensor:
            if value.requires_grad:
                value = value.detach()
            if value.dtype is not torch.float32:
                # In half precision a hundredth of the value is soon below its last digit.
                value = wide(value)
            if not self._follows_values:
                value = value.to(self._device)
        else:
            self._check_number(value)
        # Never in place: what was written to `engine.state.metrics` must not change later.
        if self._average is None:
            self._average = value * 1.0
        elif is_tensor:
            self._average = torch.add(self._average * self.alpha, value, alpha=1 - self.alpha)
        else:
            self._average = self._average * self.alpha + value * (1 - self.alpha)
        self._averages = 1

    def _check_number(self, value: Any) -> None:
        if not isinstance(value, Number):
            source = "output" if self.src is None else f"the value of {type(self.src).__name__}"
            raise TypeError(
                f"{source} must be a number or a tensor for RunningAverage, got {described(value)}; "
                "choose one with output_transform"
            )

    def _usage(self, usage: str | MetricUsage | None) -> MetricUsage:
        if self.epoch_bound is not None:
            return SingleEpochRunningBatchWise() if self.epoch_bound else RunningBatchWise()
        return RunningBatchWise() if usage is None else usage_from(usage)

    def handlers(self, usage: MetricUsage) -> list[tuple[UsageEvent, Callable[[Engine], None]]]:
        if self._source is None or not isinstance(usage, RunningEpochWise):
            return super().handlers(usage)
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
        try:
            # At the end of an epoch it may be read, and one of several processes may have seen nothing.
            epoch_ended = engine.last_event_name == Events.EPOCH_COMPLETED
            self._fold(self._source.compute() if epoch_ended else device_value(self._source))
        except NotComputableError:
            if engine.state.stop_reason != "exhausted":  # an epoch for which the data had no batch has no value
                raise


_EPOCH_BOUND = (
    "epoch_bound is deprecated: attach with usage=SingleEpochRunningBatchWise() for epoch_bound=True, "
    "with usage=RunningBatchWise() for epoch_bound=False"
)


def _check_source(src: object, output_transform: object, device: object) -> None:
    if src is None:
        return
    if not is_metric(src):
        raise TypeError(f"src must be a Metric or None, got {src!r}")
    for name, value in (("output_transform", output_transform), ("device", device)):
        if value is not None:
            raise ValueError(f"{name} must be None where src is a metric, which has its own, got {value!r}")
