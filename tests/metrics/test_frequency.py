"""Frequency: how many samples are processed in a second."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ignite_signals.engine import Engine, Events
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import EpochWise, Frequency
from ignite_signals.metrics.device_value import device_value

EVERY = Events.ITERATION_COMPLETED(every=2)


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Timed(Frequency):
    """Count by a clock of the test's."""

    shared_by_twins = ("_clock", "clock")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._clock = self.clock = Clock()  # type: ignore[assignment]
        super().__init__(*args, **kwargs)

    def after(self, seconds: float, samples: Any) -> None:
        self.clock.now += seconds
        self.update(samples)


def running(metric: Timed, seconds: float = 0.5) -> Engine:
    """Return an engine each of whose steps takes that long."""

    def step(engine: Engine, batch: Any) -> Any:
        metric.clock.now += seconds
        return batch

    return Engine(step)


def handlers_of(engine: Engine) -> int:
    return sum(len(engine.signal(event).receivers) for event in Events)


class TestValue:
    def test_is_the_samples_over_the_seconds(self) -> None:
        """All samples since the reset are divided by the time up to the last update."""
        metric = Timed()
        metric.after(2.0, 10)
        metric.after(0.5, 15)
        metric.clock.now += 10  # nothing was processed here

        assert (10.0, float) == (metric.compute(), type(metric.compute()))

    def test_counts_numbers_of_any_kind(self) -> None:
        """A plain number, a fraction and tensors add up."""
        metric = Timed()
        for samples in (1, torch.tensor(2), 0.5, torch.tensor(0.5), torch.tensor(4, dtype=torch.int32), True):
            metric.after(0.5, samples)

        assert 3.0 == metric.compute()

    def test_a_tensor_of_the_users_is_not_changed(self) -> None:
        """What was counted stays as it was."""
        metric, samples = Timed(), torch.tensor(3)
        metric.after(1, samples)
        metric.after(1, samples)

        assert (3, 3.0) == (samples.item(), metric.compute())

    def test_counts_beyond_what_float32_can(self) -> None:
        """A count that comes as float32 is exact beyond 2**24."""
        metric = Timed()
        for samples in (2.0**24, 1.0):
            metric.after(0.5, torch.tensor(samples))

        assert 2**24 + 1 == metric.compute()

    def test_no_time_at_all_is_no_error(self) -> None:
        """A clock that has not moved since the reset gives a large value."""
        metric = Timed()
        metric.after(0, 1)

        assert 1e9 == pytest.approx(metric.compute())

    def test_is_not_read_at_an_iteration(self) -> None:
        """The value of counts on a device is a tensor there, which nobody has waited for."""
        with FakeTensorMode():
            metric = Timed()
            metric.after(0.5, torch.tensor(3, device="cuda"))
            value = device_value(metric)

        assert "cuda" == value.device.type

    def test_is_counted_where_it_is_told_to(self) -> None:
        """A device that is named gets the counts."""
        metric = Timed(device="meta")
        metric.after(1, torch.tensor(3))

        assert "meta" == device_value(metric).device.type

    def test_equals_ignite(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """By the same clock the value is PyTorch-Ignite's, up to its rounding down."""
        timing = pytest.importorskip("ignite.handlers.timing")
        ours = Timed(lambda output: output["tokens"])
        monkeypatch.setattr(timing, "perf_counter", ours.clock)
        theirs = pytest.importorskip("ignite.metrics").Frequency(lambda output: output["tokens"])
        for samples in (10, 3, 4):
            ours.clock.now += 0.3
            theirs.update(samples)
            ours.take({"tokens": samples})

        assert pytest.approx(theirs.compute()) == ours.compute()


class TestEngine:
    def test_is_written_at_every_iteration(self) -> None:
        """By default each iteration has the frequency of its epoch so far, with the tensors of a transform too."""
        metric, seen = Timed(lambda batch: batch.sum()), []
        engine = running(metric)
        metric.attach(engine, "rate")
        engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: seen.append(float(engine.state.metrics["rate"])))
        engine.run([torch.tensor([1, 2]), torch.tensor([5])], max_epochs=2)

        assert [6.0, 8.0, 6.0, 8.0] == seen

    def test_is_written_at_the_event_that_was_named(self) -> None:
        """Between two occurrences the samples are counted, and the value stays."""
        metric, seen = Timed(), []
        engine = running(metric)
        metric.attach(engine, "rate", EVERY)
        engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: seen.append(engine.state.metrics.get("rate")))
        engine.run([1, 2, 3, 6, 9])

        assert [None, 3.0, 3.0, 6.0, 6.0] == seen

    def test_several_events_may_be_named(self) -> None:
        """With a filter on iterations the end of the epoch has its value, too."""
        metric, seen = Timed(), []
        engine = running(metric)
        events = EVERY | Events.EPOCH_COMPLETED
        engine.add_event_handler(events, lambda: seen.append(engine.state.metrics["rate"]))
        before = handlers_of(engine)
        metric.attach(engine, "rate", events)
        first = metric.is_attached(engine, events)
        engine.run([1, 2, 3])
        metric.detach(engine, events)

        # The second event counts in a twin, whose clock is the same.
        assert ([3.0, 4.0], True, False) == (seen, first, metric.is_attached(engine, events))
        assert before == handlers_of(engine)

    @pytest.mark.parametrize("event", [None, EVERY, Events.EPOCH_COMPLETED], ids=str)
    def test_detach_leaves_nothing_behind(self, event: Any) -> None:
        """After detach the engine has the handlers it had before, and other attachments stay."""
        metric, engine = Timed(), Engine(lambda engine, batch: batch)
        events = () if event is None else (event,)
        other = Events.EPOCH_COMPLETED(every=7)
        metric.attach(engine, "other", other)
        before = handlers_of(engine)
        metric.attach(engine, "rate", *events)
        attached = metric.is_attached(engine, *events)
        metric.detach(engine, *events)

        assert (True, False) == (attached, metric.is_attached(engine, *events))
        assert (True, before) == (metric.is_attached(engine, other), handlers_of(engine))

    @pytest.mark.parametrize("usage", ["epoch_wise", EpochWise()], ids=["name", "object"])
    def test_may_have_a_usage_as_other_metrics_do(self, usage: Any) -> None:
        """A usage says when to start, count and compute, in place of the event."""
        metric = Timed()
        engine = running(metric)
        metric.attach(engine, "rate", usage=usage)
        attached = metric.is_attached(engine, usage=usage), metric.is_attached(engine, EpochWise())

        assert {"rate": 4.0} == engine.run([1, 3]).metrics
        metric.detach(engine, usage=usage)
        assert ((True, True), False) == (attached, metric.is_attached(engine, usage=usage))


class TestState:
    def test_a_saved_count_goes_on(self) -> None:
        """What was counted, and the time of it, is saved; the time until it is loaded does not count."""
        first, second = Timed(), Timed()
        first.after(1.5, 6)
        second.clock.now += 1000
        second.load_state_dict(first.state_dict())
        loaded = second.compute()
        second.after(0.5, 4)

        assert (4.0, 5.0) == (loaded, second.compute())

    @pytest.mark.parametrize("samples", ["a", None, [1, 2]])
    def test_refuses_what_is_no_number(self, samples: Any) -> None:
        """Only a number of samples can be counted; the error says what came."""
        with pytest.raises(TypeError, match=r"output must be the number of samples, .* for Timed, got "):
            Timed().update(samples)

    def test_refuses_a_tensor_with_dimensions(self) -> None:
        """The samples themselves are not their number; the error has the shape."""
        with pytest.raises(ValueError, match=r"a tensor of shape \(\), for Timed, got \(3, 2\)"):
            Timed().update(torch.zeros(3, 2))

    @pytest.mark.parametrize("value", [Frequency.compute, device_value])
    def test_of_nothing_cannot_be_computed(self, value: Any) -> None:
        """Before an update there is no time to divide by."""
        with pytest.raises(NotComputableError, match="Frequency has seen no sample"):
            value(Frequency())


def rates(rank: int, counts: list[list[Any]], seconds: list[float]) -> tuple[float, float | None]:
    """Return the value of a process, read and, if all have counted, unread."""
    metric = Timed()
    for samples in counts[rank]:
        metric.after(seconds[rank], samples)
    return metric.compute(), float(device_value(metric)) if all(counts) else None


@pytest.mark.parametrize("second", [[3, 3], [torch.tensor(3), 3], [torch.tensor(6), torch.tensor(0)]], ids=str)
def test_two_processes_divide_all_samples_by_the_mean_time(ranks: Any, second: list[Any]) -> None:
    """10 samples in 2 s and 6 in 1 s are 16 in 1.5 s, on each of them."""
    assert [(16 / 1.5, 16 / 1.5)] * 2 == ranks.run(rates, [[10], second], [2.0, 0.5])


def test_a_process_that_counted_nothing_has_no_time(ranks: Any) -> None:
    """The mean is over the processes that have counted."""
    assert [(5.0, None)] * 2 == ranks.run(rates, [[10], []], [2.0, 1.0])
