"""Frequency: how many samples are processed in a second."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Number
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ignite_signals import distributed
from ignite_signals.engine import Events
from ignite_signals.engine.events import EventsList
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics.device_value import as_tensor_by
from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.metric import Metric
from ignite_signals.metrics.sync import agreed
from ignite_signals.metrics.usage import MetricUsage, UsageEvent, usage_from

if TYPE_CHECKING:
    from ignite_signals.engine import Engine

__all__ = ["Frequency"]

# What no clock can tell from no time at all.
_INSTANT = 1e-9


class Frequency(Metric):
    """Measure how many samples, tokens or the like are processed in a second.

    The value is the number of samples since the window opened, at EPOCH_STARTED, over the time up to
    the last update. It reads the clock of the host, and does not wait for a GPU's work. Several
    processes divide the samples of all by the mean of their times.

    Args:
        output_transform: makes the number of samples of `engine.state.output`, a number or a tensor of
            shape `()`, which is not read.
        device: where to count numbers that are tensors; by default where they are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: an output is neither a number nor a tensor.
        ValueError: an output is a tensor with dimensions.
        NotComputableError: `compute` was called before any sample was seen.

    >>> from ignite_signals.engine import Engine, Events
    >>> trainer = Engine(lambda engine, batch: {"tokens": len(batch)})
    >>> Frequency(lambda output: output["tokens"]).attach(trainer, "tokens/s", Events.ITERATION_COMPLETED(every=2))
    >>> trainer.run(["to be", "or not", "to be"]).metrics["tokens/s"] > 0
    True
    """

    required_output_keys = None
    _state_dict_all_req_keys = ("_samples", "_seconds", "_clocks")
    _clock = staticmethod(perf_counter)

    def reset(self) -> None:
        """Forget what was counted, and start the clock."""
        self._samples: Any = 0
        self._seconds = 0.0
        self._clocks = 0  # how many times are in `_seconds`: that of this process, or those of all together
        self._began = self._clock()

    def update(self, output: Any) -> None:
        """Count a number of samples.

        Raises:
            TypeError: `output` is neither a number nor a tensor.
            ValueError: it is a tensor with dimensions.
        """
        # What most counts are is told by the fewest questions: they cost more than the sum.
        if type(output) is not int and (
            type(output) is not Tensor or output.dtype is not torch.int64 or output.ndim or not self._follows_values
        ):
            output = self._count(output)
        try:
            self._samples += output
        except RuntimeError:  # whole samples so far, and now a fraction
            self._samples = self._samples + output
        self._seconds = self._clock() - self._began
        self._clocks = 1

    def _count(self, samples: Any) -> Any:
        if not isinstance(samples, Tensor):
            if isinstance(samples, Number):
                return samples
            raise TypeError(
                f"output must be the number of samples, a number or a tensor of shape (), for {type(self).__name__}, "
                f"got {samples!r}; choose it with output_transform"
            )
        if samples.ndim:
            raise ValueError(
                f"output must be the number of samples, a tensor of shape (), for {type(self).__name__}, "
                f"got {tuple(samples.shape)}; choose it with output_transform"
            )
        if not self._follows_values:
            samples = samples.to(self._device)
        if samples.dtype is torch.int64:
            return samples
        # Float32 cannot count beyond 2**24.
        return samples.detach().to(sum_dtype(samples.device) if samples.is_floating_point() else torch.int64)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned; the time until now does not count.

        Raises:
            TypeError: `state_dict` is not a mapping.
            ValueError: it lacks a key.
        """
        super().load_state_dict(state_dict)
        self._began = self._clock() - self._seconds

    def _require_samples(self) -> None:
        if not self._clocks:
            raise NotComputableError(
                f"{type(self).__name__} has seen no sample: it must be updated before it is computed"
            )

    def _unread(self) -> Any:
        self._require_samples()
        if distributed.get_world_size() == 1:
            return self._samples / max(self._seconds, _INSTANT)
        samples = self._samples
        device = samples.device if isinstance(samples, Tensor) else distributed.device()
        # Filled on the device: to copy a number there waits for it.
        sums = torch.full((2,), self._seconds / distributed.get_world_size(), dtype=sum_dtype(device), device=device)
        sums[0] = samples
        samples, seconds = distributed.all_reduce(sums).unbind()
        return samples / seconds.clamp(min=_INSTANT)

    @as_tensor_by(_unread)
    def compute(self) -> float:
        """Return the number of samples in a second.

        Raises:
            NotComputableError: nothing was seen.
        """
        with agreed(self, {"_samples": "SUM", "_seconds": "SUM", "_clocks": "SUM"}):
            self._require_samples()
            # A read, where the samples were counted on the device.
            return float(self._samples) / max(self._seconds / self._clocks, _INSTANT)

    def attach(  # type: ignore[override]  # PyTorch-Ignite's signature
        self,
        engine: Engine,
        name: str,
        event_name: UsageEvent | EventsList | MetricUsage = Events.ITERATION_COMPLETED,
        usage: str | MetricUsage | None = None,
    ) -> None:
        """Measure an engine's runs and write the value to `engine.state.metrics[name]`.

        Args:
            engine: whose runs to measure.
            name: the key in `engine.state.metrics`.
            event_name: when to compute; the clock starts at EPOCH_STARTED, and each iteration is counted.
            usage: instead of `event_name`, when to start, count and compute. A usage, or its `usage_name`.

        Raises:
            TypeError: `name` is not a str, or `usage` neither a usage nor a name.
            ValueError: no usage has that name.
        """
        for counting in _counting(event_name, usage):
            super().attach(engine, name, counting)

    def detach(  # type: ignore[override]  # as `attach`
        self,
        engine: Engine,
        event_name: UsageEvent | EventsList | MetricUsage = Events.ITERATION_COMPLETED,
        usage: str | MetricUsage | None = None,
    ) -> None:
        """Stop measuring an engine's runs, under every name that was attached with this event or usage.

        Other attachments of the metric stay. A metric that is not attached is left as it is.
        """
        for counting in _counting(event_name, usage):
            super().detach(engine, counting)

    def is_attached(  # type: ignore[override]  # as `attach`
        self,
        engine: Engine,
        event_name: UsageEvent | EventsList | MetricUsage = Events.ITERATION_COMPLETED,
        usage: str | MetricUsage | None = None,
    ) -> bool:
        """Tell whether the metric measures this engine's runs with this event or usage."""
        attached = super().is_attached
        return all(attached(engine, counting) for counting in _counting(event_name, usage))


def _counting(event_name: UsageEvent | EventsList | MetricUsage, usage: str | MetricUsage | None) -> list[MetricUsage]:
    if usage is not None:
        return [usage_from(usage)]
    if isinstance(event_name, MetricUsage):  # which stands here for other metrics
        return [event_name]
    events = list(event_name) if isinstance(event_name, EventsList) else [event_name]
    return [MetricUsage(Events.EPOCH_STARTED, event, Events.ITERATION_COMPLETED) for event in events]
