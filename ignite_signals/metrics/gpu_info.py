"""GpuInfo: how full and how busy the GPUs are."""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, Any, cast

from ignite_signals.engine import Events
from ignite_signals.metrics.metric import Metric
from ignite_signals.metrics.usage import MetricUsage, UsageEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from ignite_signals.engine import Engine

__all__ = ["GpuInfo"]

_MIB = 2**20


class GpuInfo(Metric):
    """Write the share of memory in use and the utilization of each GPU, both in percent.

    They come from the driver through `pynvml`, which is imported when a `GpuInfo` is made, and do not wait for a GPU.
    What a GPU does not tell is not written. Other programs on the same GPU count, too.

    Raises:
        ModuleNotFoundError: `pynvml` is not installed.
        RuntimeError: there is no NVIDIA GPU, or no driver for it.

    `GpuInfo().attach(trainer, name="gpu")` writes `gpu:0 mem(%)` and `gpu:0 util(%)` to `trainer.state.metrics`, and
    the same for each further GPU.
    """

    required_output_keys = None

    def __init__(self) -> None:
        if _nvml().nvmlDeviceGetCount() == 0:
            raise RuntimeError(
                "GpuInfo needs an NVIDIA GPU, and the driver knows of none; leave it out on this machine"
            )
        super().__init__()

    def reset(self) -> None:
        """Do nothing: there is nothing to forget."""

    def update(self, output: Any) -> None:
        """Do nothing: outputs are not looked at."""

    def compute(self) -> list[dict[str, Any]]:
        """Return what each GPU tells: `fb_memory_usage` has `used` and `total` in MiB, `utilization` has `gpu_util`."""
        nvml = _nvml()
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        return [{**_memory(nvml, handle), **_utilization(nvml, handle)} for handle in handles]

    def completed(self, engine: Engine, name: str) -> None:
        """Write the numbers to `engine.state.metrics`; connected by `attach`."""
        for index, told in enumerate(self.compute()):
            if "fb_memory_usage" in told:
                memory = told["fb_memory_usage"]
                engine.state.metrics[f"{name}:{index} mem(%)"] = int(memory["used"] * 100 / memory["total"])
            if "utilization" in told:
                engine.state.metrics[f"{name}:{index} util(%)"] = int(told["utilization"]["gpu_util"])

    def attach(  # type: ignore[override]  # PyTorch-Ignite's arguments: an event stands where a usage does
        self, engine: Engine, name: str = "gpu", event_name: UsageEvent | MetricUsage = Events.ITERATION_COMPLETED
    ) -> None:
        """Write the numbers at an event, under names that begin with `name`.

        Raises:
            TypeError: `name` is not a str.
        """
        super().attach(engine, name, cast("MetricUsage", event_name))

    def _usage(self, usage: Any) -> MetricUsage:
        event = Events.ITERATION_COMPLETED if usage is None else usage
        return event if isinstance(event, MetricUsage) else MetricUsage(event, event, event)

    def handlers(self, usage: MetricUsage) -> list[tuple[UsageEvent, Callable[[Engine], None]]]:
        """Return nothing: only `completed` is connected."""
        return []


def _memory(nvml: Any, handle: Any) -> dict[str, Any]:
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    except nvml.NVMLError:
        return {}
    return {"fb_memory_usage": {"used": memory.used / _MIB, "total": memory.total / _MIB, "unit": "MiB"}}


def _utilization(nvml: Any, handle: Any) -> dict[str, Any]:
    try:
        return {"utilization": {"gpu_util": nvml.nvmlDeviceGetUtilizationRates(handle).gpu, "unit": "%"}}
    except nvml.NVMLError:
        return {}


@functools.cache
def _nvml() -> Any:
    """Return pynvml, connected to the driver, once for each process."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError as error:
        raise ModuleNotFoundError(
            "GpuInfo needs the module pynvml, which is not installed; install it with: pip install nvidia-ml-py"
        ) from error
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise RuntimeError(
            f"GpuInfo needs an NVIDIA GPU and its driver, which cannot be reached: {error}; "
            "leave it out on this machine"
        ) from error
    return nvml
