"""When a metric starts, is updated and is computed."""

from __future__ import annotations

from typing import Any

import pytest

from ignite_signals.engine import Engine, Events
from ignite_signals.metrics import (
    BatchFiltered,
    BatchWise,
    EpochWise,
    Metric,
    MetricUsage,
    RunningBatchWise,
    RunningEpochWise,
    SingleEpochRunningBatchWise,
)
from ignite_signals.metrics.usage import usage_from


class Calls(Metric):
    """Record what is called; the value is the list of outputs seen."""

    required_output_keys = None

    def __init__(self) -> None:
        self.calls: list[str] = []
        super().__init__()
        self.calls.clear()

    def reset(self) -> None:
        self.calls.append("reset")
        self.seen: list[Any] = []

    def update(self, output: Any) -> None:
        self.calls.append(f"update {output}")
        self.seen.append(output)

    def compute(self) -> list[Any]:
        self.calls.append("compute")
        return list(self.seen)


EXPECTED = {
    EpochWise: "reset, update a, update b, compute, reset, update a, update b, compute",
    RunningEpochWise: "reset, update b, compute, update b, compute",
    BatchWise: ", ".join(f"reset, update {batch}, compute" for batch in "abab"),
    RunningBatchWise: "reset, " + ", ".join(f"update {batch}, compute" for batch in "abab"),
    SingleEpochRunningBatchWise: ", ".join(["reset, update a, compute, update b, compute"] * 2),
}


@pytest.mark.parametrize("usage", EXPECTED)
def test_a_usage_calls_in_its_rhythm(usage: type[EpochWise | BatchWise]) -> None:
    """Over two epochs of two batches, each usage resets, updates and computes when it says."""
    metric, engine = Calls(), Engine(lambda engine, batch: batch)
    metric.attach(engine, "calls", usage=usage())

    engine.run("ab", max_epochs=2)

    assert EXPECTED[usage].split(", ") == metric.calls


@pytest.mark.parametrize("usage", EXPECTED)
def test_a_name_stands_for_its_usage(usage: type[EpochWise | BatchWise]) -> None:
    """The usage's name means the usage, in attach, is_attached and detach."""
    metric, engine = Calls(), Engine(lambda engine, batch: batch)

    metric.attach(engine, "calls", usage=usage.usage_name)
    attached = metric.is_attached(engine, usage.usage_name), metric.is_attached(engine, usage())
    engine.run("ab", max_epochs=2)
    metric.detach(engine, usage.usage_name)

    assert usage is type(usage_from(usage.usage_name))
    assert EXPECTED[usage].split(", ") == metric.calls
    assert (True, True, False) == (*attached, metric.is_attached(engine, usage()))


@pytest.mark.parametrize("usage", EXPECTED)
def test_a_usage_calls_as_in_ignite(usage: type[EpochWise | BatchWise]) -> None:
    """PyTorch-Ignite calls the same methods in the same order."""
    ignite = pytest.importorskip("ignite.metrics")
    ignite_engine = pytest.importorskip("ignite.engine")

    class TheirCalls(ignite.Metric):  # type: ignore[misc, name-defined]
        required_output_keys = None
        reset, update, compute = Calls.reset, Calls.update, Calls.compute

        def __init__(self) -> None:
            self.calls: list[str] = []
            super().__init__()
            self.calls.clear()

    theirs, engine = TheirCalls(), ignite_engine.Engine(lambda engine, batch: batch)
    theirs.attach(engine, "calls", usage=usage.usage_name)
    engine.run(["a", "b"], max_epochs=2)

    assert EXPECTED[usage].split(", ") == theirs.calls


def test_batch_filtered_updates_at_some_iterations() -> None:
    """Only the iterations that pass the filter are seen."""
    metric, engine = Calls(), Engine(lambda engine, batch: batch)
    metric.attach(engine, "calls", usage=BatchFiltered(every=2))

    state = engine.run("abcde")

    assert ["b", "d"] == state.metrics["calls"]
    assert metric.is_attached(engine, BatchFiltered(every=2))


def test_batch_filtered_is_detached_by_an_equal_usage() -> None:
    """Detaching needs no reference to the very usage that was attached."""
    metric, engine = Calls(), Engine(lambda engine, batch: batch)
    metric.attach(engine, "calls", usage=BatchFiltered(every=2))

    metric.detach(engine, usage=BatchFiltered(every=2))

    assert {} == engine.run("abcde").metrics
    assert [] == metric.calls


def test_three_events_of_ones_own_make_a_usage() -> None:
    """Any three events are a usage."""
    usage = MetricUsage(Events.STARTED, Events.COMPLETED, Events.ITERATION_COMPLETED(once=2))
    metric, engine = Calls(), Engine(lambda engine, batch: batch)
    metric.attach(engine, "calls", usage=usage)

    state = engine.run("ab", max_epochs=2)

    assert ["b"] == state.metrics["calls"]
    assert ["reset", "update b", "compute"] == metric.calls


def test_a_unknown_name_is_refused_with_the_known_ones() -> None:
    """The error lists the names there are."""
    with pytest.raises(ValueError, match=r"usage must be one of epoch_wise, .*batch_wise.*, got 'epochs'"):
        usage_from("epochs")


@pytest.mark.parametrize("usage", [EpochWise, 3])
def test_what_is_no_usage_is_refused(usage: Any) -> None:
    """A class or a number is neither a usage nor the name of one."""
    with pytest.raises(TypeError, match="usage must be a MetricUsage object or the name of one, got "):
        usage_from(usage)
