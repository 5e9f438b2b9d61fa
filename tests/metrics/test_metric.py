"""The base of every metric: attaching, detaching, and what is written to the engine's metrics."""

from __future__ import annotations

import copy
import dataclasses
import gc
import pickle
import weakref
from typing import Any

import pytest
import torch

import ignite_signals.metrics.metric
from ignite_signals.engine import Engine, Events
from ignite_signals.metrics import (
    Accuracy,
    Average,
    BatchFiltered,
    BatchWise,
    EpochWise,
    Loss,
    Metric,
    MetricGroup,
    MetricUsage,
    RunningAverage,
    RunningBatchWise,
)
from ignite_signals.metrics.device_value import device_value


class Last(Metric):
    """Compute the last output, or a fixed result."""

    required_output_keys = None
    _state_dict_all_req_keys = ("last", "inner")

    def __init__(self, result: Any = None, **kwargs: Any) -> None:
        self.result = result
        self.inner = Average()
        super().__init__(**kwargs)

    def reset(self) -> None:
        self.last: Any = None
        self.inner.reset()

    def update(self, output: Any) -> None:
        self.last = output
        self.inner.update(output)

    def compute(self) -> Any:
        return self.last if self.result is None else self.result


def step(engine: Engine, batch: Any) -> Any:
    return batch


def metrics_of(metric: Metric, data: Any = (1.0,), **kwargs: Any) -> dict[str, Any]:
    """Run once with the metric attached as `m` and return the engine's metrics."""
    engine = Engine(step)
    metric.attach(engine, "m", **kwargs)
    return engine.run(data).metrics


def value_at_an_iteration(metric: Metric, data: Any = (1.0,), **kwargs: Any) -> Any:
    """Return what is written at the last iteration, before the epoch ends."""
    engine, seen = Engine(step), []
    metric.attach(engine, "m", **kwargs)
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: seen.append(engine.state.metrics["m"]))
    engine.run(data)
    return seen[-1]


def handlers_of(engine: Engine) -> int:
    """Count everything that is connected to the engine."""
    return sum(len(engine.signal(event).receivers) for event in Events)


def test_the_names_of_ignite_are_there() -> None:
    """What a program imports from PyTorch-Ignite's module is found in ours."""
    names = pytest.importorskip("ignite.metrics.metric").__all__

    assert [] == [name for name in names if not hasattr(ignite_signals.metrics.metric, name)]


class TestOrder:
    @pytest.mark.parametrize("metric_first", [True, False])
    def test_is_ready_before_user_handlers(self, metric_first: bool) -> None:
        """A user handler of the same event finds the value, whoever was attached first."""
        engine, seen = Engine(step), []
        if metric_first:
            Last().attach(engine, "m")
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: seen.append(engine.state.metrics["m"]))
        if not metric_first:
            Last().attach(engine, "m")

        engine.run([1, 2], max_epochs=2)

        assert [2, 2] == seen

    def test_a_batch_wise_metric_is_ready_at_its_iteration(self) -> None:
        """The value of an iteration is there for a handler that was attached before the metric."""
        engine, seen = Engine(step), []
        engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: seen.append(engine.state.metrics["m"]))
        Last().attach(engine, "m", usage=BatchWise())

        engine.run([1, 2, 3])

        assert [1, 2, 3] == seen


class TestAttach:
    def test_two_names_update_once(self) -> None:
        """A metric under two names sees every batch once and writes both."""
        metric, engine = Average(), Engine(step)
        metric.attach(engine, "a")
        metric.attach(engine, "b")

        state = engine.run([1.0, 2.0])

        assert {"a": 1.5, "b": 1.5} == state.metrics
        assert 2 == metric.num_examples

    @pytest.mark.parametrize("usage", [None, "batch_wise", "running_epoch_wise"])
    def test_detach_leaves_nothing_behind(self, usage: str | None) -> None:
        """After detach the engine has the handlers it had before."""
        metric, engine = Last(), Engine(step)
        before = handlers_of(engine)
        metric.attach(engine, "a", usage=usage)
        metric.attach(engine, "b", usage=usage)
        attached = metric.is_attached(engine, usage)

        metric.detach(engine, usage)

        assert (True, False) == (attached, metric.is_attached(engine, usage))
        assert before == handlers_of(engine)
        assert {} == engine.run([1]).metrics

    def test_detach_leaves_other_metrics(self) -> None:
        """Another metric of the same class on the same engine stays."""
        first, second, engine = Last(), Last(), Engine(step)
        first.attach(engine, "first")
        second.attach(engine, "second")

        first.detach(engine)

        assert {"second": 1} == engine.run([1]).metrics

    def test_detach_from_one_engine_keeps_the_other(self) -> None:
        """A metric attached to two engines and detached from one measures the other."""
        metric, one, other = Last(), Engine(step), Engine(step)
        metric.attach(one, "m")
        metric.attach(other, "m")

        metric.detach(one)

        assert (False, True) == (metric.is_attached(one), metric.is_attached(other))
        assert {} == one.run([1]).metrics
        assert {"m": 2} == other.run([2]).metrics

    def test_detach_of_a_stranger_does_nothing(self) -> None:
        """A metric that was never attached can be detached."""
        metric, engine = Last(), Engine(step)
        before = handlers_of(engine)

        metric.detach(engine)

        assert before == handlers_of(engine)

    def test_detached_in_mid_run_it_writes_no_more(self) -> None:
        """Detached by a handler, it is not computed at the next epoch."""
        metric, engine, seen = Last(), Engine(step), []
        metric.attach(engine, "m", usage=BatchWise())
        engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), metric.detach, BatchWise())
        engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: seen.append(engine.state.metrics["m"]))

        engine.run([1, 2, 3, 4])

        assert [1, 2, 2, 2] == seen

    def test_every_evaluation_has_its_own_metrics(self) -> None:
        """What one run returned is not overwritten by the next."""
        engine = Engine(step)
        Average().attach(engine, "m")

        first = engine.run([1.0]).metrics
        second = engine.run([2.0, 3.0]).metrics

        assert ({"m": 1.0}, {"m": 2.5}) == (first, second)

    def test_a_name_must_be_a_string(self) -> None:
        """A name that is no string is refused."""
        with pytest.raises(TypeError, match="name must be a str, got 3"):
            Last().attach(Engine(step), 3)  # type: ignore[arg-type]


class TestResult:
    def test_a_tensor_becomes_a_number_at_the_end_of_an_epoch(self) -> None:
        """A tensor without dimensions is read, once an epoch."""
        value = metrics_of(Last(torch.tensor(2.5, requires_grad=True)))["m"]

        assert (float, 2.5) == (type(value), value)

    def test_a_tensor_stays_a_tensor_at_an_iteration(self) -> None:
        """At an iteration nobody waits for a number; the tensor is detached."""
        value = value_at_an_iteration(Last(torch.tensor(2.5, requires_grad=True)), usage=BatchWise())

        assert isinstance(value, torch.Tensor)
        assert (2.5, (), False) == (value.item(), tuple(value.shape), value.requires_grad)

    @pytest.mark.parametrize("metric", [Accuracy(), Loss(torch.nn.functional.mse_loss)])
    def test_a_number_of_ours_stays_a_tensor_at_an_iteration(self, metric: Metric) -> None:
        """Where compute would read a number, the tensor behind it is written instead."""
        data = [(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0]))]

        value = value_at_an_iteration(metric, data, usage=RunningBatchWise())

        assert isinstance(value, torch.Tensor)
        assert (0.5, torch.float64) == (value.item(), value.dtype)

    def test_a_tensor_with_dimensions_is_detached(self) -> None:
        """A tensor with dimensions stays one, without its history."""
        value = metrics_of(Last(torch.ones(2, requires_grad=True)))["m"]

        assert ([1.0, 1.0], False) == (value.tolist(), value.requires_grad)

    @pytest.mark.parametrize("result", ["text", [1, 2], (1, 2), 7])
    def test_anything_else_is_written_as_it_is(self, result: Any) -> None:
        """Numbers, strings and sequences need nothing."""
        assert {"m": result} == metrics_of(Last(result))

    @pytest.mark.parametrize(
        ("mode", "expected"),
        [
            ("flatten", {"a": 1, "b": 2}),
            ("named", {"m": {"a": 1, "b": 2}}),
            ("both", {"a": 1, "b": 2, "m": {"a": 1, "b": 2}}),
        ],
    )
    def test_a_mapping_is_written_in_one_of_three_ways(self, mode: Any, expected: dict[str, Any]) -> None:
        """The mode says whether the items, the mapping or both are written."""
        assert expected == metrics_of(Last({"a": 1, "b": 2}, metrics_result_mode=mode))

    def test_a_mapping_that_has_the_name_as_key_is_refused(self) -> None:
        """The item and the mapping cannot have one name."""
        with pytest.raises(ValueError, match=r"name must not be one of the keys .*\['m'\], got 'm'"):
            metrics_of(Last({"m": 1}))

    def test_the_output_is_transformed(self) -> None:
        """update gets what output_transform makes of the output."""
        assert {"m": 30.0} == metrics_of(Average(lambda output: output["loss"] * 10), [{"loss": 3.0}])


class TestArguments:
    def test_output_transform_must_be_callable(self) -> None:
        """A transform that cannot be called is refused at once."""
        with pytest.raises(TypeError, match="output_transform must be callable, got 3"):
            Accuracy(output_transform=3)  # type: ignore[arg-type]

    @pytest.mark.parametrize("device", ["foo", 1.5])
    def test_device_must_be_one(self, device: Any) -> None:
        """What names no device is refused, with the value."""
        with pytest.raises(ValueError, match=f"device must be a torch.device, .* got {device!r}"):
            Average(device=device)

    def test_the_mode_must_be_one_of_three(self) -> None:
        """An unknown mode is refused, with the known ones."""
        with pytest.raises(ValueError, match=r"metrics_result_mode must be one of \('flatten', .*, got 'flat'"):
            Last(metrics_result_mode="flat")


ON_META = torch.zeros(4, device="meta")


class TestDevice:
    @pytest.mark.parametrize(
        ("metric", "output"),
        [
            (Accuracy(), (ON_META, ON_META)),
            (Loss(torch.nn.functional.mse_loss), (ON_META, ON_META)),
            (Average(), ON_META),
            (RunningAverage(), ON_META),
            (RunningAverage(Accuracy()), (ON_META, ON_META)),
        ],
    )
    def test_accumulates_where_the_values_are(self, metric: Metric, output: Any) -> None:
        """Without a device named nothing leaves the device of the values, so that nobody waits for a copy."""
        metric.update(output)
        metric.update(output)

        assert "meta" == device_value(metric).device.type

    @pytest.mark.parametrize("metric", [Average(device="meta"), RunningAverage(device="meta")])
    def test_accumulates_where_it_is_told_to(self, metric: Metric) -> None:
        """A device that is named gets the values."""
        metric.update(torch.zeros(4))

        assert "meta" == metric.compute().device.type


class TestState:
    def test_goes_on_from_a_saved_state(self) -> None:
        """A metric that loaded what another saved computes what that one would have."""
        first, second = Average(), Average()
        first.update(torch.tensor([1.0, 2.0]))
        saved = first.state_dict()
        first.update(torch.tensor([3.0, 6.0]))

        second.load_state_dict(saved)
        second.update(torch.tensor([3.0, 6.0]))

        assert first.compute().tolist() == second.compute().tolist() == [2.0, 4.0]

    def test_saves_metrics_inside_of_a_metric(self) -> None:
        """A metric that a metric is made of is saved and loaded with it."""
        first, second = Last(), Last()
        first.update(torch.tensor(4.0))

        second.load_state_dict(first.state_dict())

        assert (4.0, 4.0) == (second.last.item(), second.inner.compute().item())

    def test_a_missing_key_is_named(self) -> None:
        """A state without a key is refused, and the key named."""
        with pytest.raises(ValueError, match=r"state_dict must have the keys \['num_examples'\] as well, got "):
            Average().load_state_dict({"accumulator": torch.tensor(0.0)})

    def test_a_state_must_be_a_mapping(self) -> None:
        """What is no mapping is refused."""
        with pytest.raises(TypeError, match=r"state_dict must be a mapping, got \[\]"):
            Average().load_state_dict([])  # type: ignore[arg-type]


class TestMemory:
    def test_engines_with_metrics_are_freed_without_the_collector(self) -> None:
        """Reference counting alone frees an engine that ran with every kind of metric."""
        gc.disable()
        try:
            engine = Engine(step)
            metrics = {
                "accuracy": Accuracy(),
                "loss": Loss(torch.nn.functional.mse_loss),
                "running": RunningAverage(Accuracy()),
            }
            for name, metric in metrics.items():
                metric.attach(engine, name)
            Average(lambda output: output[0]).attach(engine, "average", usage=BatchWise())
            engine.run([(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0]))] * 2, max_epochs=2)
            freed = weakref.ref(engine)

            del engine

            assert freed() is None
        finally:
            gc.enable()

    def test_attach_keeps_the_metric(self) -> None:
        """An attached metric that nobody else holds lives on with the engine, and dies with it."""
        metric, engine = Average(), Engine(step)
        metric.attach(engine, "m")
        kept = weakref.ref(metric)
        del metric

        assert {"m": 1.0} == engine.run([1.0]).metrics
        assert kept() is not None
        del engine
        assert kept() is None


class TestCopies:
    def test_a_pickled_metric_goes_on(self) -> None:
        """A metric with its default transform can be pickled with what it has seen."""
        metric = Accuracy()
        metric.update((torch.tensor([1, 0]), torch.tensor([1, 1])))

        loaded = pickle.loads(pickle.dumps(metric))

        assert 0.5 == loaded.compute()

    def test_a_copied_engine_has_metrics_of_its_own(self) -> None:
        """The metric of a deep-copied engine is a copy, and hears the copy."""
        metric, engine = Average(), Engine(step)
        metric.attach(engine, "m")
        other = copy.deepcopy(engine)

        first, second = engine.run([1.0]), other.run([5.0])

        assert ({"m": 1.0}, {"m": 5.0}) == (first.metrics, second.metrics)
        assert 1.0 == metric.compute().item()


def test_data_that_ends_at_an_epoch_s_boundary_ends_the_run_in_order():
    """An epoch for which there was no batch has no value, and the run is exhausted, not failed."""
    engine = Engine(lambda engine, batch: batch)
    Average().attach(engine, "average")
    with pytest.warns(UserWarning, match="no more batches after 3 iterations of 15"):
        state = engine.run((float(number) for number in range(3)), max_epochs=5, epoch_length=3)
    assert ("exhausted", {"average": 1.0}) == (state.stop_reason, state.metrics)


@pytest.mark.parametrize("usages", [(EpochWise(), RunningBatchWise()), (BatchFiltered(every=2), EpochWise())], ids=repr)
def test_each_usage_accumulates_by_itself(usages):
    """A second usage with another rhythm leaves alone what the first one accumulates, and its detaching too."""
    engine, metric = Engine(lambda engine, batch: batch), Average()
    metric.attach(engine, "first", usages[0])
    metric.attach(engine, "second", usages[1])
    both = engine.run([1.0, 3.0, 8.0]).metrics
    metric.detach(engine, usages[1])
    alone = engine.run([1.0, 3.0, 8.0]).metrics
    expected = {type(usage).__name__: 3.0 if isinstance(usage, BatchFiltered) else 4.0 for usage in usages}
    assert list(expected.values()) == list(both.values())
    assert {"first": both["first"]} == alone
    assert (True, False) == (metric.is_attached(engine, usages[0]), metric.is_attached(engine, usages[1]))


def test_an_evaluator_inside_a_trainer_leaves_the_trainers_metric_alone():
    """One metric that is attached to both accumulates for each of them by itself."""
    metric = Average()
    evaluator = Engine(lambda engine, batch: batch)
    trainer = Engine(lambda engine, batch: batch)
    metric.attach(trainer, "m")
    metric.attach(evaluator, "m")
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: evaluator.run([10.0]))
    assert ({"m": 2.0}, {"m": 10.0}) == (trainer.run([1.0, 3.0]).metrics, evaluator.state.metrics)
    metric.detach(trainer)
    assert (False, True) == (metric.is_attached(trainer), metric.is_attached(evaluator))


def test_a_metric_that_is_free_again_accumulates_itself():
    """What was attached to an engine that is gone, or from which it was detached, is used again, not its twin."""
    metric = Average()
    gone, left, last = (Engine(lambda engine, batch: batch) for _ in range(3))
    metric.attach(gone, "m")
    del gone
    metric.attach(left, "m")
    metric.detach(left)
    metric.attach(last, "m")
    last.run([1.0, 3.0])
    assert 2.0 == metric.compute().item()


class TestResume:
    DATA = (1.0, 3.0, 8.0, 4.0)

    def resumed(self, make: Any, usage: str, at: int, epochs: int = 2) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the metrics of a run, and of one that is stopped at an iteration and resumed in another engine."""
        data = list(self.DATA)
        whole = metrics_of(make(), data, usage=usage) if epochs == 1 else None
        if whole is None:
            engine, metric = Engine(step), make()
            metric.attach(engine, "m", usage=usage)
            whole = engine.run(data, max_epochs=epochs).metrics
        first, metric = Engine(step), make()
        metric.attach(first, "m", usage=usage)
        first.add_event_handler(Events.ITERATION_COMPLETED(once=at), first.interrupt)
        first.run(data, max_epochs=epochs)
        second, other = Engine(step), make()
        other.attach(second, "m", usage=usage)
        second.load_state_dict(first.state_dict())
        other.load_state_dict(metric.state_dict())
        rest = data[at % len(data) :] + data[: at % len(data)]
        return whole, second.run(rest * epochs, epoch_length=len(data), max_epochs=epochs).metrics

    @pytest.mark.parametrize("usage", ["epoch_wise", "running_batch_wise", "single_epoch_running_batch_wise"])
    @pytest.mark.parametrize("at", [1, 3, 5, 6])
    @pytest.mark.parametrize(
        "make",
        [Average, lambda: 2 * Average(), lambda: MetricGroup({"a": Average()}), lambda: RunningAverage(alpha=0.5)],
        ids=["metric", "expression", "group", "running"],
    )
    def test_a_run_resumed_in_mid_epoch_has_the_same_value(self, make: Any, usage: str, at: int) -> None:
        """What was loaded before the run goes on in it, though the epoch is announced anew."""
        whole, resumed = self.resumed(make, usage, at)

        assert whole == resumed

    def test_a_new_run_does_not_go_on_from_what_was_loaded(self) -> None:
        """A run that begins at the beginning resets, and so does the next epoch of a resumed one."""
        metric, engine = Average(), Engine(step)
        metric.attach(engine, "m")
        used = Average()
        used.update(100.0)
        metric.load_state_dict(used.state_dict())

        assert {"m": 2.0} == engine.run([1.0, 3.0]).metrics

    def test_each_attachment_has_a_state_to_save(self) -> None:
        """The state of a further attachment is that of what accumulates there."""
        metric, engine = Average(), Engine(step)
        metric.attach(engine, "epoch")
        metric.attach(engine, "last", usage=BatchWise())
        engine.run([1.0, 3.0])

        first, second = metric.attached_to(engine), metric.attached_to(engine, "batch_wise")

        assert metric is first
        assert (2.0, 3.0) == (first.compute().item(), second.compute().item())
        with pytest.raises(ValueError, match="engine must be one that Average"):
            metric.attached_to(engine, "running_batch_wise")


class TestSettled:
    def test_values_of_iterations_are_numbers_when_the_epoch_ends(self) -> None:
        """User handlers of the epoch's end find Python numbers, as with any other usage."""
        engine, seen = Engine(step), []
        Average().attach(engine, "m", usage=RunningBatchWise())
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: seen.append(engine.state.metrics["m"]))
        engine.run([1.0, 3.0], max_epochs=2)

        assert [2.0, 2.0] == seen
        assert [float, float] == [type(value) for value in seen]

    @pytest.mark.parametrize(
        "make",
        [
            Accuracy,
            lambda: RunningAverage(Accuracy()),
            lambda: 1 * Accuracy(),
            lambda: MetricGroup({"a": Accuracy()}),
        ],
        ids=["metric", "running", "expression", "group"],
    )
    @pytest.mark.parametrize("usage", ["batch_wise", "running_batch_wise"])
    def test_bad_values_are_told_when_the_epoch_ends(self, make: Any, usage: str) -> None:
        """A value that is NaN because of its input does not go by in silence, though nobody read it."""
        engine, metric = Engine(step), make()
        metric.attach(engine, "m", usage=usage)
        good = (torch.tensor([1.0]), torch.tensor([1.0]))
        with pytest.raises(ValueError, match=r"of this window is NaN: (y_pred and y must be zeros|Accuracy saw)"):
            engine.run([good, (torch.tensor([0.5]), torch.tensor([1.0])), good])

        assert 2 == engine.run([good, good], max_epochs=2).epoch

    def test_a_new_run_knows_nothing_of_an_old_one(self) -> None:
        """What was refused in a run that failed before its epoch's end is not told of the next one."""

        def failing(engine: Engine, batch: Any) -> Any:
            if batch is None:
                raise RuntimeError("failed")
            return batch

        engine, metric = Engine(failing), Accuracy()
        metric.attach(engine, "m", usage=BatchWise())
        bad = (torch.tensor([0.5]), torch.tensor([1.0]))
        good = (torch.tensor([1.0]), torch.tensor([1.0]))
        with pytest.raises(RuntimeError, match="failed"):
            engine.run([bad, None])
        engine.reset()

        assert {"m": 1.0} == engine.run([good]).metrics

    def test_a_filtered_iteration_is_settled_too(self) -> None:
        """Values of every second iteration are read, and what was bad is told, when the epoch ends."""
        usage = MetricUsage(Events.EPOCH_STARTED, Events.ITERATION_COMPLETED(every=2), Events.ITERATION_COMPLETED)
        good, bad = (torch.tensor([1.0]), torch.tensor([1.0])), (torch.tensor([0.5]), torch.tensor([1.0]))

        assert {"m": 1.0} == metrics_of(Accuracy(), [good, good, good], usage=usage)
        with pytest.raises(ValueError, match="a value of this window is NaN"):
            metrics_of(Accuracy(), [good, bad], usage=usage)

    @pytest.mark.parametrize("mode", ["flatten", "named", "both"])
    def test_the_items_of_a_mapping_are_read_where_they_are(self, mode: Any) -> None:
        """Every mode's keys hold numbers at the end, and what others wrote under other keys stays."""
        engine = Engine(step)
        group = MetricGroup({"a": Average()}, metrics_result_mode=mode)
        group.attach(engine, "g", usage=RunningBatchWise())
        if mode == "named":
            engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: engine.state.metrics.update(a="mine"))

        metrics = engine.run([1.0, 3.0]).metrics

        expected = {"flatten": {"a": 2.0}, "named": {"g": {"a": 2.0}, "a": "mine"}, "both": {"a": 2.0, "g": {"a": 2.0}}}
        assert expected[mode] == metrics
        assert [float] == [type(value) for value in metrics.get("g", {"a": 2.0}).values()]


class TestWritten:
    def test_what_a_run_returned_stays(self) -> None:
        """A metric that accumulates in place does not change what an earlier run has returned."""

        class Counts(Last):
            def reset(self) -> None:
                self.last = torch.zeros(2)
                self.inner.reset()

            def update(self, output: Any) -> None:
                self.last[output] += 1

        engine = Engine(step)
        Counts().attach(engine, "m")
        first = engine.run([0, 1, 1]).metrics["m"]
        engine.run([0])

        assert [1.0, 2.0] == first.tolist()

    def test_a_forgotten_attribute_is_no_value(self) -> None:
        """A name that a tensor has and the metric lacks is a metric of it, which no metric computes."""

        class Forgetful(Last):
            def compute(self) -> Any:
                return self.sum

        with pytest.raises(TypeError, match="the value of Forgetful must be a number"):
            metrics_of(Forgetful())

    def test_two_metrics_of_one_name_warn(self) -> None:
        """The later one would replace the value of the first in silence."""
        engine = Engine(step)
        Average().attach(engine, "m")
        with pytest.warns(UserWarning, match=r"name 'm' is written by Average\(\) already"):
            Last().attach(engine, "m")


def test_metrics_are_told_apart_though_they_are_equal():
    """Two metrics of a dataclass are two, with an attachment each."""

    @dataclasses.dataclass
    class Equal(Metric):
        required_output_keys = None
        start: float = 0.0

        def __post_init__(self) -> None:
            super().__init__()

        def reset(self) -> None:
            self.total = self.start

        def update(self, output: Any) -> None:
            self.total += output

        def compute(self) -> Any:
            return self.total

    engine, one, other = Engine(step), Equal(), Equal()
    one.attach(engine, "one")
    other.attach(engine, "other")
    one.detach(engine)
    assert {"other": 3.0} == engine.run([1.0, 2.0]).metrics


def test_a_copied_metric_is_taken_to_be_in_use():
    """A metric that was copied with its engine leaves the copy's accumulation alone when it is attached elsewhere."""
    engine, metric = Engine(step), Average()
    metric.attach(engine, "m")
    other, copied = copy.deepcopy((engine, metric))
    third = Engine(step)
    copied.attach(third, "m")
    other.add_event_handler(Events.ITERATION_COMPLETED, lambda: third.run([100.0]))
    assert {"m": 2.0} == other.run([1.0, 3.0]).metrics


def test_a_failed_attachment_leaves_nothing_behind():
    """An event that the engine has not is told before anything is connected."""
    engine = Engine(step)
    before = handlers_of(engine)
    with pytest.raises(ValueError, match="unknown event 'half'"):
        Average().attach(engine, "m", MetricUsage(Events.EPOCH_STARTED, "half", Events.ITERATION_COMPLETED))
    assert before == handlers_of(engine)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (Average(), "Average()"),
        (Accuracy(is_multilabel=True), "Accuracy(is_multilabel=True)"),
        (Loss(torch.nn.functional.mse_loss), "Loss(loss_fn=mse_loss)"),
        (Average(device="cpu", skip_unrolling=True), "Average(device=device(type='cpu'), skip_unrolling=True)"),
    ],
)
def test_it_shows_its_settings(metric, expected):
    """The repr has what is not the default."""
    assert expected == repr(metric)


def test_a_metric_without_its_constructor_is_told():
    """A subclass that forgets `super().__init__()` learns so."""

    class Bare(Last):
        def __init__(self) -> None:
            self.result, self.inner = None, Average()

    with pytest.raises(AttributeError, match=r"has its __init__ called super\(\).__init__\(\)"):
        metrics_of(Bare())
