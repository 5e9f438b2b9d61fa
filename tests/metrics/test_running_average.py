"""RunningAverage: smoothed values of a metric or of the output."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from ignite_signals.engine import Engine, Events
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import (
    Accuracy,
    Average,
    BatchWise,
    EpochWise,
    Loss,
    MeanSquaredError,
    Metric,
    MetricGroup,
    MetricsLambda,
    RootMeanSquaredError,
    RunningAverage,
    RunningBatchWise,
    RunningEpochWise,
    SingleEpochRunningBatchWise,
)

PAIRS = [
    (torch.tensor([1, 1, 0, 0]), torch.tensor(y)) for y in ([1, 1, 0, 0], [1, 1, 0, 1], [0, 0, 1, 0], [1, 1, 1, 1])
]
ACCURACIES = [1.0, 0.75, 0.25, 0.5]


def step(engine: Engine, batch: Any) -> Any:
    return batch


def smoothed(values: list[float], alpha: float) -> list[float]:
    """Return the averages after each value, by the closed form of the recursion."""
    result = []
    for n in range(len(values)):
        weights = [alpha**n] + [(1 - alpha) * alpha ** (n - i) for i in range(1, n + 1)]
        result.append(sum(w * v for w, v in zip(weights, values, strict=False)))
    return result


def history(metric: Metric, data: Any, max_epochs: int = 1, event: Any = None, **kwargs: Any) -> list[Any]:
    """Run with the metric attached and return its value at each iteration."""
    engine, seen = Engine(step), []
    metric.attach(engine, "m", **kwargs)
    engine.add_event_handler(
        event or Events.ITERATION_COMPLETED, lambda engine: seen.append(engine.state.metrics.get("m"))
    )
    engine.run(data, max_epochs=max_epochs)
    return seen


def handlers_of(engine: Engine) -> int:
    """Count everything that is connected to the engine."""
    return sum(len(engine.signal(event).receivers) for event in Events)


class TestOfTheOutput:
    @given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=20), st.floats(0, 1, exclude_min=True))
    def test_follows_the_recursion(self, values: list[float], alpha: float) -> None:
        """Each value, number or tensor, moves the average as the closed form says."""
        expected = pytest.approx(smoothed(values, alpha), abs=1e-6)
        tensors = [torch.tensor(value, dtype=torch.float64) for value in values]

        assert expected == history(RunningAverage(alpha=alpha), values)
        assert expected == [value.item() for value in history(RunningAverage(alpha=alpha), tensors)]

    @pytest.mark.parametrize(
        "usage", ["running_batch_wise", "single_epoch_running_batch_wise", "running_epoch_wise", "epoch_wise"]
    )
    def test_equals_ignite(self, usage: str) -> None:
        """Over two epochs, with every usage, the values at each iteration are PyTorch-Ignite's."""
        ignite, ignite_engine = pytest.importorskip("ignite.metrics"), pytest.importorskip("ignite.engine")
        engine, theirs = ignite_engine.Engine(step), []
        ignite.RunningAverage(alpha=0.5, output_transform=lambda output: output).attach(engine, "m", usage)
        engine.add_event_handler(
            ignite_engine.Events.ITERATION_COMPLETED,
            lambda engine: theirs.append(engine.state.metrics.get("m")),
        )
        engine.run([1.0, 2.0, 3.0, 5.0], max_epochs=2)

        assert theirs == history(RunningAverage(alpha=0.5), [1.0, 2.0, 3.0, 5.0], 2, usage=usage)

    def test_takes_tensors_with_dimensions(self) -> None:
        """Every entry has its average."""
        last = history(RunningAverage(alpha=0.5), [torch.tensor([1, 2]), torch.tensor([3, 6])])[-1]

        assert [2.0, 4.0] == last.tolist()

    def test_stays_a_tensor_without_history(self) -> None:
        """The value of an iteration is a detached tensor, which nobody has waited for."""
        last = history(RunningAverage(), [torch.tensor(1.0, requires_grad=True)])[-1]

        assert isinstance(last, torch.Tensor)
        assert not last.requires_grad

    def test_does_not_follow_a_tensor_that_changes(self) -> None:
        """An output that is changed in place later has no effect on what was seen."""
        output, metric = torch.tensor(1.0), RunningAverage()
        metric.update(output)
        output.add_(10)

        assert 1.0 == metric.compute().item()

    def test_averages_half_precision_in_float32(self) -> None:
        """Small steps are not lost below the last digit of a float16."""
        metric = RunningAverage(alpha=0.999)
        for value in [1000.0] + [1001.0] * 100:
            metric.update(torch.tensor(value, dtype=torch.float16))

        assert torch.float32 == metric.compute().dtype
        assert pytest.approx(1001 - 0.999**100, abs=1e-2) == metric.compute().item()

    def test_averages_integers_in_float64(self) -> None:
        """A large integer keeps its digits."""
        assert 2.0**24 + 1 == history(RunningAverage(), [torch.tensor(2**24 + 1)])[-1].item()

    def test_transforms_the_output(self) -> None:
        """output_transform chooses the value."""
        metric = RunningAverage(alpha=0.5, output_transform=lambda output: output["loss"])

        assert [2.0, 3.0] == history(metric, [{"loss": 2.0}, {"loss": 4.0}])

    @pytest.mark.parametrize("output", ["a", (1, 2), None])
    def test_refuses_what_is_no_value(self, output: Any) -> None:
        """Only numbers and tensors have an average; the error says what came."""
        with pytest.raises(TypeError, match="output must be a number or a tensor for RunningAverage, got "):
            RunningAverage().update(output)


class TestOfAMetric:
    def test_smooths_each_batch(self) -> None:
        """Each batch's own value is smoothed, over the whole run."""
        seen = history(RunningAverage(Accuracy(), alpha=0.5), PAIRS, 2)

        assert smoothed(ACCURACIES * 2, 0.5) == [value.item() for value in seen]

    def test_starts_anew_in_every_epoch(self) -> None:
        """With SingleEpochRunningBatchWise an epoch's first batch starts the average."""
        metric = RunningAverage(Accuracy(), alpha=0.5)

        seen = history(metric, PAIRS, 2, usage=SingleEpochRunningBatchWise())

        assert smoothed(ACCURACIES, 0.5) * 2 == [value.item() for value in seen]

    def test_smooths_each_epoch(self) -> None:
        """With RunningEpochWise each epoch's value is smoothed, over the epochs."""
        values, engine, seen = (
            iter([1.0, 3.0, 10.0, 20.0, 100.0, 200.0]),
            Engine(lambda engine, batch: next(values)),
            [],
        )
        RunningAverage(Average(), alpha=0.5).attach(engine, "m", usage=RunningEpochWise())
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: seen.append(engine.state.metrics["m"]))

        engine.run(range(2), max_epochs=3)

        assert smoothed([2.0, 15.0, 150.0], 0.5) == seen

    @pytest.mark.parametrize("usage", ["running_batch_wise", "single_epoch_running_batch_wise", "running_epoch_wise"])
    def test_equals_ignite(self, usage: str) -> None:
        """Over two epochs the values at each iteration are PyTorch-Ignite's."""
        ignite, ignite_engine = pytest.importorskip("ignite.metrics"), pytest.importorskip("ignite.engine")
        engine, theirs = ignite_engine.Engine(step), []
        ignite.RunningAverage(ignite.Accuracy(), alpha=0.75).attach(engine, "m", usage)
        engine.add_event_handler(
            ignite_engine.Events.ITERATION_COMPLETED,
            lambda engine: theirs.append(engine.state.metrics.get("m")),
        )
        engine.run(PAIRS, max_epochs=2)

        ours = history(RunningAverage(Accuracy(), alpha=0.75), PAIRS, 2, usage=usage)

        assert theirs == [value.item() if isinstance(value, torch.Tensor) else value for value in ours]

    @pytest.mark.parametrize("source_first", [True, False])
    @pytest.mark.parametrize("usage", [RunningBatchWise(), SingleEpochRunningBatchWise(), RunningEpochWise()])
    def test_leaves_the_metric_that_is_attached_elsewhere(self, usage: Any, source_first: bool) -> None:
        """The source under its own name gives the epoch's value, whoever comes first."""
        accuracy, engine = Accuracy(), Engine(step)
        average = RunningAverage(accuracy, alpha=0.5)
        if source_first:
            accuracy.attach(engine, "accuracy")
        average.attach(engine, "average", usage=usage)
        if not source_first:
            accuracy.attach(engine, "accuracy")

        state = engine.run(PAIRS)

        assert sum(ACCURACIES) / 4 == state.metrics["accuracy"]
        expected = 0.625 if isinstance(usage, EpochWise) else smoothed(ACCURACIES, 0.5)[-1]
        assert expected == float(state.metrics["average"])

    def test_detach_of_either_leaves_the_other(self) -> None:
        """Source and average come and go without each other."""
        accuracy, engine = Accuracy(), Engine(step)
        average = RunningAverage(accuracy, alpha=0.5)
        accuracy.attach(engine, "accuracy")
        average.attach(engine, "average")

        average.detach(engine)
        first = engine.run(PAIRS).metrics
        average.attach(engine, "average")
        accuracy.detach(engine)
        second = engine.run(PAIRS).metrics

        assert {"accuracy": 0.625} == first
        assert {"average": smoothed(ACCURACIES, 0.5)[-1]} == {name: float(value) for name, value in second.items()}

    @pytest.mark.parametrize("usage", [None, "single_epoch_running_batch_wise", RunningEpochWise(), EpochWise()])
    def test_detach_leaves_nothing_behind(self, usage: Any) -> None:
        """After detach the engine has the handlers it had before."""
        average, engine = RunningAverage(Accuracy()), Engine(step)
        before = handlers_of(engine)
        average.attach(engine, "average", usage)
        attached = average.is_attached(engine, usage)

        average.detach(engine, usage)

        assert (True, False) == (attached, average.is_attached(engine, usage))
        assert before == handlers_of(engine)
        assert {} == engine.run(PAIRS).metrics

    def test_two_averages_of_one_metric_do_not_disturb_each_other(self) -> None:
        """Averages of one source, over batches and over epochs, stand side by side."""
        accuracy, engine = Accuracy(), Engine(step)
        RunningAverage(accuracy, alpha=0.5).attach(engine, "batches")
        RunningAverage(accuracy, alpha=0.5).attach(engine, "epochs", usage=RunningEpochWise())

        metrics = engine.run(PAIRS).metrics

        assert (smoothed(ACCURACIES, 0.5)[-1], 0.625) == (metrics["batches"], metrics["epochs"])

    def test_of_an_average_can_be_averaged(self) -> None:
        """A running average is a metric too; each batch by itself is its own average."""
        seen = history(RunningAverage(RunningAverage(Average()), alpha=0.5), [1.0, 3.0])

        assert [1.0, 2.0] == [value.item() for value in seen]

    def test_updates_by_hand(self) -> None:
        """Without an engine each update measures a batch with the source."""
        average = RunningAverage(Accuracy(), alpha=0.5)
        for pair in PAIRS:
            average.update(pair)

        assert smoothed(ACCURACIES, 0.5)[-1] == average.compute().item()

    def test_refuses_a_metric_of_other_values(self) -> None:
        """A source that computes a mapping cannot be smoothed; the error names it."""
        engine = Engine(step)

        class Both(Average):
            def compute(self) -> Any:
                return {"both": super().compute()}

        RunningAverage(Both()).attach(engine, "m")

        with pytest.raises(TypeError, match="the value of Both must be a number or a tensor for RunningAverage"):
            engine.run([1.0])


class TestOfAnyMetric:
    def test_of_a_metric_of_torchmetrics(self) -> None:
        """torchmetrics' metrics are smoothed as ours are, and left alone, too."""
        theirs = pytest.importorskip("torchmetrics").MeanSquaredError()
        data = [(torch.tensor([y]), torch.tensor([0.0])) for y in (1.0, 3.0, 2.0)]

        for usage in (None, RunningEpochWise()):
            expected = history(RunningAverage(MeanSquaredError(), alpha=0.5), data, 2, usage=usage)
            actual = history(RunningAverage(theirs, alpha=0.5), data, 2, usage=usage)
            assert expected == [value if value is None else pytest.approx(float(value)) for value in actual]
        assert 0 == theirs._update_count

    def test_of_an_expression(self) -> None:
        """What arithmetic makes of metrics is smoothed batch by batch, each metric with its own transform."""
        error = MeanSquaredError(lambda output: output["pair"])
        data = [{"pair": (torch.tensor([y]), torch.tensor([0.0]))} for y in (1.0, 3.0)]

        seen = history(RunningAverage(2 * error + 1, alpha=0.5), data)

        assert all(isinstance(value, torch.Tensor) for value in seen)
        assert [3.0, 11.0] == [value.item() for value in seen]

    def test_of_a_member_of_a_group(self) -> None:
        """A member, one that another accumulates for as well, is smoothed by itself."""
        group = MetricGroup({"mse": MeanSquaredError(), "rmse": RootMeanSquaredError()})
        average, engine = RunningAverage(group.metrics["rmse"], alpha=0.5), Engine(step)
        group.attach(engine, "group")
        average.attach(engine, "average")

        metrics = engine.run([(torch.tensor([y]), torch.tensor([0.0])) for y in (1.0, 3.0)]).metrics

        assert (5.0, 2.0) == (metrics["mse"], metrics["average"])

    def test_as_a_member_of_a_group(self) -> None:
        """In a group the source takes the output with its own transform."""
        group = MetricGroup(
            {
                "metric": RunningAverage(MeanSquaredError(lambda output: output["pair"]), alpha=0.5),
                "output": RunningAverage(alpha=0.5, output_transform=lambda output: output["loss"]),
            }
        )
        for y in (1.0, 3.0):
            group.update({"pair": (torch.tensor([y]), torch.tensor([0.0])), "loss": y})

        assert {"metric": 5.0, "output": 2.0} == {name: float(value) for name, value in group.compute().items()}

    def test_an_iteration_does_not_wait(self) -> None:
        """The values of sources and outputs stay where they are."""
        pair = {"device": "cuda"}
        with FakeTensorMode():
            for metric in (RunningAverage(), RunningAverage(MeanSquaredError()), RunningAverage(2 * Average())):
                output: Any = torch.ones(3, **pair)
                engine = Engine(step)
                metric.attach(engine, "m")
                data = output if metric.src is None or isinstance(metric.src, MetricsLambda) else (output, output)
                engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), engine.interrupt)
                value = engine.run([data, data]).metrics["m"]

                assert "cuda" == value.device.type

    def test_an_epoch_without_a_batch_has_no_value(self) -> None:
        """Data that ends where an epoch does ends the run, and the average stays."""
        engine = Engine(step)
        RunningAverage(Average(), alpha=0.5).attach(engine, "m", RunningEpochWise())
        with pytest.warns(UserWarning, match="no more batches"):
            state = engine.run(iter([1.0, 3.0]), max_epochs=3, epoch_length=2)

        assert ("exhausted", {"m": 2.0}) == (state.stop_reason, state.metrics)


def errors(rank: int, targets: list[list[float]], usage: str) -> tuple[list[float], list[float]]:
    """Return the averages of a metric and of the output after each iteration or epoch of two, on a process."""
    metric, output, engine = RunningAverage(MeanSquaredError(), alpha=0.5), RunningAverage(alpha=0.5), Engine(step)
    output._output_transform = lambda output: output[1].mean()
    seen: tuple[list[float], list[float]] = ([], [])
    metric.attach(engine, "metric", usage)
    output.attach(engine, "output", usage)
    event = Events.EPOCH_COMPLETED if usage == "running_epoch_wise" else Events.ITERATION_COMPLETED

    def note() -> None:
        for values, name in zip(seen, ("metric", "output"), strict=True):
            values.append(float(engine.state.metrics[name]))

    engine.add_event_handler(event, note)
    engine.run([(torch.zeros(rank + 1), torch.full((rank + 1,), y)) for y in targets[rank]], max_epochs=2)
    return seen


class TestSeveralProcesses:
    def test_each_batch_is_that_of_all(self, ranks: Any) -> None:
        """The source's value is that of the batches of all; of the output it is the mean."""
        squares = [(1 * 1 + 2 * 9) / 3, (1 * 4 + 2 * 1) / 3] * 2
        expected = (
            pytest.approx(smoothed(squares, 0.5)),
            pytest.approx(smoothed([2.0, 1.5] * 2, 0.5)),
        )

        assert [expected] * 2 == ranks.run(errors, [[1.0, 2.0], [3.0, 1.0]], "running_batch_wise")

    def test_epochs_may_differ_in_length(self, ranks: Any) -> None:
        """With an average over epochs each process may have another number of batches."""
        square = (1 * 1 + 1 * 4 + 2 * 9) / 4

        expected = (pytest.approx([square] * 2), pytest.approx([2.5] * 2))

        assert [expected] * 2 == ranks.run(errors, [[1.0, 2.0], [3.0]], "running_epoch_wise")

    @pytest.mark.parametrize("as_tensors", [False, True])
    def test_who_has_no_value_does_not_count(self, ranks: Any, as_tensors: bool) -> None:
        """The mean is over the processes that have an average, and each keeps its own."""
        outputs = [[1.0, 2.0], [], [4.0]]

        for parts, expected in ((outputs[:2], 1.5), (outputs[::2], (1.5 + 4.0) / 2)):
            assert [(expected, expected)] * 2 == ranks.run(average_of_outputs, parts, as_tensors)


def average_of_outputs(rank: int, parts: list[list[float]], as_tensors: bool) -> tuple[float, float]:
    metric = RunningAverage(alpha=0.5)
    for output in parts[rank]:
        metric.update(torch.tensor(output) if as_tensors else output)
    return float(metric.compute()), float(metric.compute())


class TestTwoEngines:
    def test_detach_from_one_keeps_the_other(self) -> None:
        """An average on two engines, detached from one, goes on with the other."""
        average, one, other = RunningAverage(Loss(torch.nn.functional.l1_loss)), Engine(step), Engine(step)
        average.attach(one, "m")
        average.attach(other, "m")

        average.detach(one)

        assert (False, True) == (average.is_attached(one), average.is_attached(other))
        assert {} == one.run([(torch.ones(1), torch.zeros(1))]).metrics
        assert 1.0 == other.run([(torch.ones(1), torch.zeros(1))]).metrics["m"]


class TestArguments:
    @pytest.mark.parametrize("alpha", [0, 0.0, 2, -0.5, float("nan")])
    def test_alpha_must_be_in_range(self, alpha: float) -> None:
        """The error names the range and the value."""
        with pytest.raises(ValueError, match=rf"alpha must be in \(0, 1\], got {alpha}"):
            RunningAverage(alpha=alpha)

    def test_the_source_must_be_a_metric(self) -> None:
        """What is no metric is refused."""
        with pytest.raises(TypeError, match=r"src must be a Metric or None, got \[1\]"):
            RunningAverage(src=[1])  # type: ignore[arg-type]

    @pytest.mark.parametrize("kwargs", [{"output_transform": abs}, {"device": "cpu"}])
    def test_a_source_has_its_own_transform_and_device(self, kwargs: Any) -> None:
        """What the source has cannot be given again."""
        with pytest.raises(ValueError, match=f"{next(iter(kwargs))} must be None where src is a metric"):
            RunningAverage(Accuracy(), **kwargs)

    @pytest.mark.parametrize(
        ("epoch_bound", "usage"), [(True, SingleEpochRunningBatchWise()), (False, RunningBatchWise())]
    )
    def test_epoch_bound_is_an_old_name_for_a_usage(self, epoch_bound: bool, usage: Any) -> None:
        """It warns, and means the usage."""
        with pytest.warns(DeprecationWarning, match="epoch_bound is deprecated: attach with usage="):
            old = RunningAverage(alpha=0.5, epoch_bound=epoch_bound)

        expected = history(RunningAverage(alpha=0.5), [1.0, 2.0], 2, usage=usage)
        assert expected == history(old, [1.0, 2.0], 2)

    def test_epoch_bound_is_detached_without_a_usage(self) -> None:
        """What epoch_bound attached, detach finds."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            average = RunningAverage(Accuracy(), epoch_bound=True)
        engine = Engine(step)
        before = handlers_of(engine)
        average.attach(engine, "m")
        average.detach(engine)

        assert before == handlers_of(engine)


def test_of_nothing_cannot_be_computed() -> None:
    """Before a value was seen there is no average."""
    with pytest.raises(NotComputableError, match="RunningAverage has seen no value"):
        RunningAverage().compute()


def test_a_saved_state_goes_on() -> None:
    """The average, and what the source has seen, are saved and go on."""
    first, second = (RunningAverage(Accuracy(), alpha=0.5) for _ in range(2))
    first.update(PAIRS[0])

    second.load_state_dict(first.state_dict())
    second.update(PAIRS[1])

    assert 0.875 == second.compute().item()
    assert 1.0 == first.compute().item()


def test_is_usable_with_batch_wise() -> None:
    """With BatchWise each batch is its own average."""
    assert [1.0, 5.0] == history(RunningAverage(alpha=0.5), [1.0, 5.0], usage=BatchWise())
