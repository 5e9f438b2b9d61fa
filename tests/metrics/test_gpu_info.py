"""GpuInfo: what it writes, with a stand-in for the driver, and its errors."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ignite_signals.engine import Engine, Events
from ignite_signals.metrics import GpuInfo, gpu_info

MIB = 2**20


class NVMLError(Exception):
    pass


class Nvml(ModuleType):
    """A driver with some GPUs, of which the last does not tell its utilization."""

    NVMLError = NVMLError

    def __init__(self, gpus: int = 2, broken: bool = False) -> None:
        super().__init__("pynvml")
        self.gpus, self.broken, self.inits = gpus, broken, 0

    def nvmlInit(self) -> None:  # noqa: N802  # the driver's name
        self.inits += 1
        if self.broken:
            raise NVMLError("Driver Not Loaded")

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self.gpus

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        if handle == 2:
            raise NVMLError("Not Supported")
        return SimpleNamespace(used=(handle + 1) * 100 * MIB, total=800 * MIB)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:  # noqa: N802
        if handle == self.gpus - 1:
            raise NVMLError("Not Supported")
        return SimpleNamespace(gpu=59)


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    """Forget the driver before and after each test."""
    gpu_info._nvml.cache_clear()
    yield
    gpu_info._nvml.cache_clear()


def with_driver(monkeypatch: pytest.MonkeyPatch, **kwargs: Any) -> Nvml:
    driver = Nvml(**kwargs)
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    return driver


def test_writes_shares_of_each_gpu_at_every_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Percentages are whole numbers under the documented names; what a GPU does not tell is left out."""
    driver = with_driver(monkeypatch)
    engine = Engine(lambda engine, batch: batch)
    seen: list[dict[str, Any]] = []
    GpuInfo().attach(engine)
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: seen.append(dict(engine.state.metrics)))
    engine.run([1, 2])

    assert [{"gpu:0 mem(%)": 12, "gpu:0 util(%)": 59, "gpu:1 mem(%)": 25}] * 2 == seen
    assert 1 == driver.inits


def test_what_is_not_told_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that tells nothing has no entry."""
    with_driver(monkeypatch, gpus=3)
    engine = Engine(lambda engine, batch: batch)
    GpuInfo().attach(engine, name="g")

    assert ["g:0 mem(%)", "g:0 util(%)", "g:1 mem(%)", "g:1 util(%)"] == list(engine.run([1]).metrics)


def test_writes_at_the_event_and_can_be_detached(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event may be any, with a filter too."""
    with_driver(monkeypatch)
    engine = Engine(lambda engine, batch: batch)
    info = GpuInfo()
    event = Events.EPOCH_COMPLETED(every=2)
    info.attach(engine, "g", event)

    assert info.is_attached(engine, event)
    assert not info.is_attached(engine)
    assert {} == engine.run([1], max_epochs=1).metrics
    assert "g:0 mem(%)" in engine.run([1], max_epochs=2).metrics

    info.detach(engine, event)
    assert not info.is_attached(engine, event)


def test_compute_returns_what_each_gpu_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory comes in MiB."""
    with_driver(monkeypatch, gpus=2)

    first, second = GpuInfo().compute()

    assert {"used": 100.0, "total": 800.0, "unit": "MiB"} == first["fb_memory_usage"]
    assert {"gpu_util": 59, "unit": "%"} == first["utilization"]
    assert ["fb_memory_usage"] == list(second)


def test_without_pynvml_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is imported when a GpuInfo is made, and the error names it."""
    monkeypatch.setitem(sys.modules, "pynvml", None)

    with pytest.raises(ModuleNotFoundError, match=r"pynvml, which is not installed; .* pip install nvidia-ml-py"):
        GpuInfo()


def test_without_a_driver_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver's own message is in the error."""
    with_driver(monkeypatch, broken=True)

    with pytest.raises(RuntimeError, match="cannot be reached: Driver Not Loaded"):
        GpuInfo()


def test_without_a_gpu_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to measure."""
    with_driver(monkeypatch, gpus=0)

    with pytest.raises(RuntimeError, match="GpuInfo needs an NVIDIA GPU"):
        GpuInfo()
