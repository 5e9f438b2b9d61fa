"""Every metric of torchmetrics is accepted wherever a metric is."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import hypothesis
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from ignite_signals.engine import Engine, Events, create_supervised_evaluator
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import (
    Accuracy,
    BatchWise,
    MeanSquaredError,
    Metric,
    MetricGroup,
    MetricsLambda,
    Precision,
    RunningAverage,
    TorchMetricsAdapter,
    as_metric,
)
from ignite_signals.metrics.adapter import is_metric
from ignite_signals.metrics.twin import twin
from support.copying import every_copy
from support.processes import Ranks

torchmetrics = pytest.importorskip("torchmetrics")

from torchmetrics import MetricCollection, wrappers  # noqa: E402  # known to be there now
from torchmetrics.classification import (  # noqa: E402
    MulticlassAccuracy,
    MulticlassAUROC,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)
from torchmetrics.regression import PearsonCorrCoef  # noqa: E402
from torchmetrics.text import BLEUScore, ROUGEScore  # noqa: E402


class Named(torchmetrics.Metric):  # type: ignore[misc]  # torchmetrics may be missing
    """A user's metric, whose `update` names its arguments as Ignite does, the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(()), "sum")

    def update(self, y: Tensor, y_pred: Tensor, factor: float = 1.0) -> None:
        self.total = self.total + factor * (y_pred - y).sum()

    def compute(self) -> Tensor:
        return self.total


def collection() -> Any:
    members = {"p": MulticlassPrecision(3), "r": MulticlassRecall(3), "auc": MulticlassAUROC(3)}
    return MetricCollection(members, prefix="val_")


def f1_by_arithmetic() -> Any:
    p, r = MulticlassPrecision(3), MulticlassRecall(3)
    return 2 * (p * r) / (p + r)


CLASSES: dict[str, Callable[[], Any]] = {
    "f1": lambda: MulticlassF1Score(3, average="macro"),
    "matrix": lambda: MulticlassConfusionMatrix(3),
    "lists": lambda: MulticlassAUROC(3),
    "collection": collection,
    "no groups": lambda: MetricCollection([MulticlassRecall(3), MulticlassPrecision(3)], compute_groups=False),
    "classwise": lambda: wrappers.ClasswiseWrapper(MulticlassRecall(3, average=None)),
    "min and max": lambda: wrappers.MinMaxMetric(MulticlassRecall(3)),
    "running": lambda: wrappers.Running(MulticlassRecall(3), window=2),
    "composition": f1_by_arithmetic,
    "wrapped composition": lambda: wrappers.MinMaxMetric(MulticlassPrecision(3) + MulticlassRecall(3)),
}
every_metric = pytest.mark.parametrize("name", CLASSES)


def batches(*sizes: int, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    # Every class is there from three samples on, as torchmetrics warns where one is not.
    generator = torch.Generator().manual_seed(seed)
    return [(torch.rand(size, 3, generator=generator).softmax(1), torch.arange(size) % 3) for size in sizes]


def expected_value(metric: Any, data: list[Any]) -> Any:
    """Return what torchmetrics itself says."""
    for batch in data:
        metric.update(*batch)
    return metric.compute()


def value_of(metric: Metric, data: list[Any]) -> Any:
    for batch in data:
        metric.update(batch)
    return metric.compute()


def check_equal(expected: Any, actual: Any) -> None:
    if isinstance(expected, Mapping):
        assert expected.keys() == actual.keys()
        for key in expected:
            check_equal(expected[key], actual[key])
        return
    one, other = (torch.as_tensor(value, dtype=torch.float64) for value in (expected, actual))
    torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-6)


def saved(state: dict[str, Any]) -> Any:
    """Return a state as it comes back from a file, which must hold nothing but data."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


# Values


@every_metric
def test_the_value_is_torchmetrics(name: str) -> None:
    """An adapted metric computes what the metric itself computes, at any moment, and again after a reset."""
    metric, data = as_metric(CLASSES[name]()), batches(7, 12, 3)
    reference = CLASSES[name]()

    for batch in data:
        metric.update(batch)
        reference.update(*batch)
        check_equal(reference.compute(), metric.compute())

    metric.reset()
    reference.reset()
    check_equal(expected_value(reference, data[:1]), value_of(metric, data[:1]))


def test_a_value_without_dimensions_is_a_number() -> None:
    """As a native metric's is; others stay tensors, and a collection's value has numbers in it."""
    data = batches(6)
    assert float is type(value_of(as_metric(MulticlassF1Score(3)), data))
    assert torch.Size([3]) == value_of(as_metric(MulticlassF1Score(3, average=None)), data).shape
    assert {float} == {type(value) for value in value_of(as_metric(collection()), data).values()}


def test_it_shows_what_is_adapted() -> None:
    """The representation has torchmetrics' name."""
    assert "TorchMetricsAdapter(MulticlassF1Score)" == repr(as_metric(MulticlassF1Score(3)))


def test_the_metric_itself_is_left_alone() -> None:
    """A clone measures; a metric that is adapted twice keeps a state for each."""
    original = MulticlassF1Score(3)
    one, other = as_metric(original), as_metric(original)

    one.update(batches(5)[0])

    assert not original.update_called
    with pytest.raises(NotComputableError):
        other.compute()


def test_a_sum_counts_a_metric_that_occurs_twice_once() -> None:
    """An expression of torchmetrics' operators has the value that it says."""
    total = torchmetrics.SumMetric()

    assert 9.0 == value_of(as_metric(total + 2 * total), [torch.tensor([1.0, 2.0])])


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (lambda m: abs(m - 8.0), 5.0),
        (lambda m: m**2, 9.0),
        (lambda m: 2**m, 8.0),
        (lambda m: m % 2, 1.0),
        (lambda m: m // 2, 1.0),
        (lambda m: 6 / m, 2.0),
        (lambda m: 1 - m, -2.0),
        (lambda m: m > 2, True),
        (lambda m: m + torch.tensor([1.0, 2.0]), torch.tensor([4.0, 5.0])),
        (lambda m: (m + torch.tensor([1.0, 2.0]))[1], 5.0),
    ],
)
def test_all_of_torchmetrics_operators_work(expression: Callable[[Any], Any], value: Any) -> None:
    """Unary and binary ones, with numbers on both sides, with tensors, and indexing."""
    check_equal(value, value_of(as_metric(expression(torchmetrics.SumMetric())), [torch.tensor([1.0, 2.0])]))


# Outputs


@pytest.mark.parametrize(
    "output",
    [
        lambda p, t: (p, t),
        lambda p, t: [p, t],
        lambda p, t: {"y_pred": p, "y": t},
        lambda p, t: {"loss": 0.5, "y": t, "y_pred": p},
        lambda p, t: {"target": t, "preds": p, "loss": 0.5},
    ],
)
@pytest.mark.parametrize("name", ["f1", "collection", "classwise", "min and max"])
def test_forms_of_output(name: str, output: Callable[[Tensor, Tensor], Any]) -> None:
    """A tuple is the arguments in their order, a mapping by their names or Ignite's; what else it has is not seen."""
    data = batches(4, 5)

    value = value_of(as_metric(CLASSES[name]()), [output(*batch) for batch in data])

    check_equal(expected_value(CLASSES[name](), data), value)


def test_one_value_is_one_argument() -> None:
    """A tensor is not taken apart, and a number will do where the metric takes one."""
    assert 6.0 == value_of(as_metric(torchmetrics.SumMetric()), [torch.tensor([1.0, 2.0]), 3.0])


def test_arguments_beside_the_pair_have_their_names() -> None:
    """`y_pred` and `y` come first; where an `update` has just these names, they are used as such."""
    by_query = torchmetrics.retrieval.RetrievalMRR()
    output = {"y_pred": torch.tensor([0.2, 0.7, 0.4]), "y": torch.tensor([1, 0, 1]), "indexes": torch.tensor([0, 0, 1])}
    assert 0.75 == value_of(as_metric(by_query), [output])

    named = {"y_pred": torch.tensor([3.0]), "y": torch.tensor([1.0]), "factor": 2.0, "x": "?"}
    assert 4.0 == value_of(as_metric(Named()), [named])


def test_texts_are_outputs() -> None:
    """Lists of texts are arguments like others."""
    y_pred, y = ["the cat is on the mat"], [["there is a cat on the mat", "a cat is on the mat"]]

    assert BLEUScore()(y_pred, y).item() == value_of(as_metric(BLEUScore()), [(y_pred, y)])


def test_lists_can_be_unrolled() -> None:
    """`skip_unrolling=False` gives an update for each item of lists of tensors, as in other metrics."""
    metric = as_metric(torchmetrics.MeanSquaredError(), skip_unrolling=False)

    metric.take(([torch.tensor(1.0), torch.tensor(2.0)], [torch.tensor(1.0), torch.tensor(4.0)]))

    assert 2.0 == metric.compute()


def test_the_clone_goes_where_the_values_are() -> None:
    """Where no device is named, that of the first values of a window is taken, in containers too."""
    metric, reference = as_metric(torchmetrics.MeanSquaredError()), torchmetrics.MeanSquaredError()
    assert isinstance(metric, TorchMetricsAdapter)

    metric.update({"y_pred": torch.ones(2, device="meta"), "y": torch.ones(2, device="meta")})

    assert (torch.device("meta"), torch.device("cpu")) == (metric._metric.device, reference.device)


def test_values_go_to_a_device_that_is_named() -> None:
    """There everything is accumulated."""
    metric = as_metric(torchmetrics.MeanSquaredError(), device="meta")
    assert isinstance(metric, TorchMetricsAdapter)

    metric.update((torch.ones(2), torch.ones(2)))
    metric.reset()
    metric.update((torch.ones(2), torch.ones(2)))

    assert torch.device("meta") == metric._metric.device


# Resume and copies


@every_metric
def test_a_run_that_is_resumed_ends_with_the_same_value(name: str) -> None:
    """A state that was saved between two batches, and loaded elsewhere, goes on; what was saved stays as it was."""
    data = batches(7, 12, 3, 6)
    first = as_metric(CLASSES[name]())
    for batch in data[:2]:
        first.update(batch)
    state = saved(first.state_dict())

    for resumed in (as_metric(CLASSES[name]()), first):
        resumed.update(data[0])
        resumed.load_state_dict(state)
        check_equal(value_of(as_metric(CLASSES[name]()), data), value_of(resumed, data[2:]))


def test_a_wrapper_with_chance_is_resumed() -> None:
    """The samples of a bootstrap are drawn anew; those drawn before are kept."""
    data = batches(20, 20)
    bootstrap, resumed = (as_metric(wrappers.BootStrapper(MulticlassRecall(3), num_bootstraps=4)) for _ in range(2))
    bootstrap.update(data[0])
    resumed.load_state_dict(saved(bootstrap.state_dict()))

    values = []
    for metric in (bootstrap, resumed):
        with torch.random.fork_rng():
            torch.manual_seed(1)
            values.append(value_of(metric, data[1:]))

    check_equal(*values)


def test_an_engine_resumes_in_mid_epoch() -> None:
    """A metric that is loaded while an epoch is interrupted ends it with the value of the whole epoch."""
    data = batches(7, 12, 3, 6)
    evaluator = Engine(lambda engine, batch: batch)
    evaluator.add_event_handler(Events.ITERATION_COMPLETED(once=2), evaluator.interrupt)
    metric = as_metric(collection())
    metric.attach(evaluator, "all")
    evaluator.run(data)
    state = saved(metric.state_dict())

    metric.reset()
    metric.load_state_dict(state)

    check_equal(expected_value(collection(), data), evaluator.run(data).metrics["all"])


def test_settings_are_no_state() -> None:
    """A metric that is resumed with another setting has that setting."""
    data = batches(9)
    one, other = as_metric(MulticlassAccuracy(3, average="micro")), as_metric(MulticlassAccuracy(3, average="macro"))
    one.update(data[0])

    state = saved(one.state_dict())

    assert {"_update_count", "tp", "fp", "tn", "fn"} == set(state["metric"][""])
    with pytest.raises(ValueError, match=r"the state of MulticlassAUROC must have \['preds', 'target'\], got"):
        as_metric(MulticlassAUROC(3)).load_state_dict(state)
    assert other.state_dict().keys() == state.keys()


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        (None, TypeError, "state_dict must be a mapping, got None"),
        ({"num_updates": 1}, ValueError, r"state_dict must have the keys \['metric'\] as well, got \['num_updates'\]"),
        (
            {"num_updates": 1, "metric": {"": {}, "x": {}}},
            ValueError,
            r"the parts of the metric must be \[''\], got \['', 'x'\]",
        ),
    ],
)
def test_a_state_of_something_else_is_refused(state: Any, error: type[Exception], message: str) -> None:
    """And it is said what is missing."""
    with pytest.raises(error, match=message):
        as_metric(MulticlassF1Score(3)).load_state_dict(state)


@every_metric
@every_copy
def test_copies_are_independent(name: str, copied: Callable[[Any], Any]) -> None:
    """A copy goes on from where the original was, and neither hears of the other."""
    data = batches(7, 12)
    original = as_metric(CLASSES[name]())
    original.update(data[0])

    copy = copied(original)
    copy.update(data[1])

    check_equal(value_of(as_metric(CLASSES[name]()), data), copy.compute())
    check_equal(value_of(as_metric(CLASSES[name]()), data[:1]), original.compute())


@every_metric
def test_a_twin_starts_anew(name: str) -> None:
    """It has the settings, and an accumulation of its own."""
    data = batches(7, 12)
    original = as_metric(CLASSES[name]())
    original.update(data[0])

    other = twin(original)

    with pytest.raises(NotComputableError):
        other.compute()
    check_equal(value_of(as_metric(CLASSES[name]()), data[1:]), value_of(other, data[1:]))
    check_equal(value_of(as_metric(CLASSES[name]()), data[:1]), original.compute())


def test_what_a_metric_keeps_across_windows_is_kept() -> None:
    """The extremes of `MinMaxMetric` are those of all windows, and a twin has its own."""
    metric = as_metric(wrappers.MinMaxMetric(torchmetrics.MeanMetric()))
    for value in (2.0, 5.0):
        metric.reset()
        metric.update(torch.tensor(value))
        metric.compute()

    assert {"raw": 5.0, "min": 2.0, "max": 5.0} == metric.compute()
    assert {"raw": 3.0, "min": 3.0, "max": 3.0} == value_of(twin(metric), [torch.tensor(3.0)])
    resumed = as_metric(wrappers.MinMaxMetric(torchmetrics.MeanMetric()))
    resumed.load_state_dict(saved(metric.state_dict()))
    assert {"raw": 5.0, "min": 2.0, "max": 5.0} == resumed.compute()


# Where metrics go


def test_metrics_of_an_evaluator() -> None:
    """`metrics={...}` takes them, and their values are in `engine.state.metrics`."""
    data = batches(7, 12)
    metrics = {"acc": Accuracy(), "f1": MulticlassF1Score(3, average="macro"), "all": collection()}
    evaluator = create_supervised_evaluator(nn.Identity(), metrics=metrics)

    values = evaluator.run(data).metrics

    check_equal(expected_value(MulticlassF1Score(3, average="macro"), data), values["f1"])
    check_equal(expected_value(collection(), data), values["all"])
    assert values["all"]["val_p"] == values["val_p"]
    assert {"acc", "f1", "all", "val_p", "val_r", "val_auc"} == set(values)


@pytest.mark.parametrize(("mode", "keys"), [("flatten", {"val_p", "val_r", "val_auc"}), ("named", {"all"})])
def test_a_collection_is_written_as_one_wants(mode: Any, keys: set[str]) -> None:
    """Under the names of its members, or as a whole."""
    evaluator = Engine(lambda engine, batch: batch)
    as_metric(collection(), metrics_result_mode=mode).attach(evaluator, "all")

    assert keys == set(evaluator.run(batches(4)).metrics)


def test_attach_and_detach() -> None:
    """An adapted metric is attached like others: with a transform, a usage, twice, and detached again."""
    data = batches(7, 12)
    evaluator = Engine(lambda engine, batch: {"out": batch})
    metric = as_metric(MulticlassF1Score(3), output_transform=lambda output: output["out"])
    metric.attach(evaluator, "epoch")
    metric.attach(evaluator, "batch", usage=BatchWise())

    values = evaluator.run(data).metrics

    check_equal(expected_value(MulticlassF1Score(3), data), values["epoch"])
    check_equal(expected_value(MulticlassF1Score(3), data[1:]), values["batch"])
    assert isinstance(values["batch"], float)  # the number is read when the epoch ends
    metric.detach(evaluator)
    assert (False, True) == (metric.is_attached(evaluator), metric.is_attached(evaluator, BatchWise()))


@pytest.mark.parametrize(
    "expression",
    [
        lambda p, r: p * r,
        lambda p, r: r * p,
        lambda p, r: as_metric(r) * p,
        lambda p, r: MetricsLambda(lambda a, b: a * b, p, r),
        lambda p, r: 2 * (r * p) / 2,
    ],
)
def test_arithmetic_with_native_metrics(expression: Callable[[Any, Any], Any]) -> None:
    """Either may stand first, though torchmetrics' operators make a metric of torchmetrics of it."""
    data = batches(7, 12, 6)
    metric = as_metric(expression(Precision(average="macro"), MulticlassRecall(3)))

    expected = expected_value(MulticlassPrecision(3), data) * expected_value(MulticlassRecall(3), data)

    assert MetricsLambda is type(metric)
    check_equal(expected, value_of(metric, data))


def test_arithmetic_is_attached() -> None:
    """An expression takes the outputs of an engine as its metrics do."""
    data = [{"y_pred": y_pred, "y": y} for y_pred, y in batches(7, 12)]
    evaluator = Engine(lambda engine, batch: batch)
    as_metric(MulticlassRecall(3) - Accuracy()).attach(evaluator, "difference")
    as_metric(collection())["val_p"].attach(evaluator, "p")

    values = evaluator.run(data).metrics

    expected = expected_value(MulticlassRecall(3), batches(7, 12)) - value_of(Accuracy(), batches(7, 12))
    check_equal(expected, values["difference"])
    check_equal(expected_value(MulticlassPrecision(3), batches(7, 12)), values["p"])


def test_members_of_a_group() -> None:
    """A group takes them beside native ones, and those of one metric share its clone."""
    data, recall = batches(7, 12), MulticlassRecall(3)
    group = MetricGroup({"acc": Accuracy(), "recall": recall, "again": recall, "sum": recall + Accuracy()})
    updates = []
    for member in group.metrics.values():
        inner = getattr(member, "_metric", None)
        if inner is not None:
            inner.update = lambda *args, update=inner.update: (updates.append(1), update(*args))

    value = value_of(group, data)

    expected = expected_value(MulticlassRecall(3), data)
    check_equal({"recall": expected, "again": expected}, {key: value[key] for key in ("recall", "again")})
    check_equal(value["acc"] + value["recall"], value["sum"])
    assert len(data) == len(updates)
    resumed = MetricGroup({"acc": Accuracy(), "recall": recall, "again": recall, "sum": recall + Accuracy()})
    resumed.load_state_dict(saved(group.state_dict()))
    check_equal(value, resumed.compute())


def test_members_with_other_settings_share_nothing() -> None:
    """One metric with two transforms is measured twice."""
    error = torchmetrics.MeanSquaredError()
    group = MetricGroup({"a": as_metric(error), "b": as_metric(error, lambda output: (output[0] + 1, output[1]))})

    assert {"a": 0.0, "b": 1.0} == value_of(group, [(torch.ones(2), torch.ones(2))])


@pytest.mark.parametrize("adapted", [as_metric, lambda metric: metric], ids=["adapted", "as it is"])
def test_smoothing(adapted: Callable[[Any], Any]) -> None:
    """`RunningAverage` smooths a metric of torchmetrics."""
    data = batches(7, 12)
    trainer = Engine(lambda engine, batch: batch)
    RunningAverage(adapted(MulticlassF1Score(3)), alpha=0.5).attach(trainer, "smooth")

    value = trainer.run(data).metrics["smooth"]

    check_equal((MulticlassF1Score(3)(*data[0]) + MulticlassF1Score(3)(*data[1])) / 2, value)


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(
    st.lists(st.integers(3, 8), min_size=1, max_size=5), st.integers(0, 5), st.sampled_from(sorted({"f1", "lists"}))
)
def test_any_batches_give_the_value_of_one(sizes: list[int], cut: int, name: str) -> None:
    """However the samples come, and wherever the run is resumed, the value is that of all at once."""
    data = batches(*sizes)
    metric = as_metric(CLASSES[name]())
    for batch in data[:cut]:
        metric.update(batch)
    resumed = as_metric(CLASSES[name]())
    resumed.load_state_dict(saved(metric.state_dict()))
    together = tuple(torch.cat(parts) for parts in zip(*data, strict=True))

    value = value_of(resumed, data[cut:])

    check_equal(CLASSES[name]()(*together), value)


# Errors


@pytest.mark.parametrize("name", CLASSES)
def test_a_window_without_a_sample(name: str) -> None:
    """The error names the metric; torchmetrics would warn and return something."""
    metric = as_metric(CLASSES[name]())

    with pytest.raises(NotComputableError, match=r"\w+ has seen no sample: it must be updated before it is computed"):
        metric.compute()
    metric.update(batches(3)[0])
    metric.reset()
    with pytest.raises(NotComputableError):
        metric.compute()


def test_the_error_names_the_metric() -> None:
    """By torchmetrics' name, not the adapter's."""
    with pytest.raises(NotComputableError, match=r"^MulticlassF1Score has seen no sample"):
        as_metric(torchmetrics.F1Score("multiclass", num_classes=3)).compute()


@pytest.mark.parametrize(
    ("metric", "what"),
    [
        (3, "got 3"),
        (torchmetrics.F1Score, "got the class F1Score; make an object of it"),
        (Accuracy, "got the class Accuracy; make an object of it"),
    ],
)
def test_something_else_is_refused(metric: Any, what: str) -> None:
    """A class is none of the metrics that could be made of it."""
    with pytest.raises(TypeError, match=f"^metric must be a Metric, or a .* of torchmetrics, {what}$"):
        as_metric(metric)


def test_a_native_metric_is_returned_as_it_is() -> None:
    """It has its own transform and device, so they cannot be given once more."""
    metric = MeanSquaredError()

    assert metric is as_metric(metric)
    with pytest.raises(ValueError, match="must be given to MeanSquaredError\\(\\) itself"):
        as_metric(metric, lambda output: output)
    with pytest.raises(ValueError, match=r"must be given to MeanSquaredError\(\) itself"):
        as_metric(torchmetrics.MeanSquaredError() * metric, device="cpu")


@pytest.mark.parametrize("make", [lambda m: MetricCollection({"m": m}), wrappers.MinMaxMetric])
def test_native_metrics_within_torchmetrics_are_refused(make: Callable[[Any], Any]) -> None:
    """torchmetrics would not update them."""
    with pytest.raises(ValueError, match=r"must hold metrics of torchmetrics only(.|\n)*MetricGroup"):
        as_metric(make(MulticlassRecall(3) * Accuracy()))


@pytest.mark.parametrize(
    ("name", "output", "message"),
    [
        ("f1", (1, 2, 3), r"arguments \(preds, target\) of MulticlassF1Score.update, got a tuple of 3;"),
        ("f1", torch.ones(2), r"arguments \(preds, target\) of MulticlassF1Score.update, got a Tensor;"),
        (
            "f1",
            {"y": 1},
            r"arguments \(preds, target\) of MulticlassF1Score.update, got a mapping with the keys \['y'\];",
        ),
        ("collection", (1,), r"arguments \(preds, target\) of Multiclass\w+.update, got a tuple of 1;"),
        ("classwise", (1,), r"arguments \(preds, target\) of MulticlassRecall.update, got a tuple of 1;"),
        ("composition", (1,), r"arguments \(preds, target\) of Multiclass\w+.update, got a tuple of 1;"),
    ],
)
def test_an_output_that_does_not_fit(name: str, output: Any, message: str) -> None:
    """The error names the metric whose `update` it is, what that takes, and the remedy."""
    with pytest.raises(TypeError, match=f"output must be the {message} choose them with output_transform"):
        as_metric(CLASSES[name]()).update(output)


def test_torchmetrics_own_errors_come_through() -> None:
    """Where the arguments are as many as they should be, the metric says itself what is wrong with them."""
    with pytest.raises(RuntimeError, match="same shape"):
        as_metric(torchmetrics.MeanSquaredError()).update((torch.ones(4), torch.ones(5)))
    with pytest.raises(TypeError, match="unsupported operand"):
        as_metric(Named()).update(("a", "b"))


@pytest.mark.parametrize(("value", "is_one"), [(MulticlassRecall(3), True), (collection(), True), (Named, False)])
def test_what_is_a_metric(value: Any, is_one: bool) -> None:
    """Metrics and collections are, classes are not."""
    assert is_one == is_metric(value)


def test_torchmetrics_is_not_imported() -> None:
    """Who passes none of its metrics does not need it."""
    program = """
import sys
from ignite_signals.metrics import Accuracy, MetricGroup, as_metric
MetricGroup({"a": Accuracy() + 1})
try:
    as_metric(1)
except TypeError:
    print("torchmetrics" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert "False\n" == result.stdout


# Several processes


def pairs(*sizes: int) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [(torch.randn(size, generator=generator), torch.randn(size, generator=generator)) for size in sizes]


def queries(*sizes: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    return [
        (torch.arange(size) / size, torch.arange(size) % 2, torch.full((size,), query))
        for query, size in enumerate(sizes)
    ]


def texts(*sizes: int) -> list[tuple[list[str], list[str]]]:
    return [(["the cat sat there"] * size, [f"the cat sat {'still ' * size}there"] * size) for size in sizes]


SHARED: dict[str, tuple[Callable[[], Any], Callable[..., list[Any]]]] = {
    **{name: (make, batches) for name, make in CLASSES.items() if name != "running"},
    "bins": (lambda: MulticlassAUROC(3, thresholds=20), batches),
    "moments": (PearsonCorrCoef, pairs),
    "all values": (torchmetrics.CatMetric, lambda *sizes: [y for _, y in pairs(*sizes)]),
    "largest": (torchmetrics.MaxMetric, lambda *sizes: [y for _, y in pairs(*sizes)]),
    "queries": (torchmetrics.retrieval.RetrievalMAP, queries),
    "texts": (lambda: ROUGEScore(rouge_keys="rouge1"), texts),
    "native and not": (lambda: MulticlassRecall(3) * Accuracy(), batches),
}


def shared_value(rank: int, name: str, shares: list[list[int]], sizes: list[int]) -> Any:
    """Return the value of all, of which each rank sees its share, and the value of this rank's afterwards."""
    make, data_of = SHARED[name]
    metric, data = as_metric(make()), data_of(*sizes)
    for index in shares[rank]:
        metric.update(data[index])
    first = metric.compute()
    if rank == 0:
        metric.update(data[-1])
    return first, metric.compute()


@pytest.mark.parametrize("shares", [[[0, 1, 2], [3]], [[], [0, 1, 2, 3]], [[0, 1, 2, 3], []]], ids=str)
@pytest.mark.parametrize("name", SHARED)
def test_two_processes_have_the_value_of_all(ranks: Ranks, name: str, shares: list[list[int]]) -> None:
    """However the samples are shared out, none to one included; and again, when one has seen more than the other."""
    make, data_of = SHARED[name]
    sizes = [5, 8, 4, 6, 9]
    data = data_of(*sizes)

    values = ranks.run(shared_value, name, shares, sizes)

    order = [*shares[0], *shares[1]]
    expected = value_of(as_metric(make()), [data[index] for index in order])
    later = value_of(as_metric(make()), [data[index] for index in [*shares[0], 4, *shares[1]]])
    if name in ("min and max", "wrapped composition"):  # which remember the values that they had
        expected, later = {"raw": expected["raw"]}, {"raw": later["raw"]}
        values = [tuple({"raw": value["raw"]} for value in of_rank) for of_rank in values]
    for first, second in values:
        check_equal(expected, first)
        check_equal(later, second)


def complaint(rank: int) -> str:
    with pytest.raises(NotComputableError) as error:
        as_metric(MulticlassAUROC(3)).compute()
    return str(error.value)


def test_no_process_has_seen_anything(ranks: Ranks) -> None:
    """Then each says so."""
    assert ["MulticlassAUROC has seen no sample: it must be updated before it is computed"] * 2 == ranks.run(complaint)


def value_alone(rank: int) -> tuple[float, bool]:
    metric = as_metric(torchmetrics.SumMetric(sync_on_compute=False))
    metric.update(torch.tensor(float(rank + 1)))
    own = metric.compute() if rank == 0 else 0.0  # without the others
    kept = as_metric(torchmetrics.SumMetric(dist_sync_fn=keep))
    kept.update(torch.tensor(float(rank + 1)))
    return own, kept.compute() == rank + 1


def keep(tensor: Tensor, group: Any = None) -> list[Tensor]:
    """Exchange nothing."""
    return [tensor]


def test_a_metric_may_stay_by_itself(ranks: Ranks) -> None:
    """`sync_on_compute=False` and a `dist_sync_fn` of the user's own are heeded."""
    assert [(1.0, True), (0.0, True)] == ranks.run(value_alone)


def run_of_engine(rank: int) -> dict[str, Any]:
    data = batches(5, 8, 4)[rank::2]
    evaluator = Engine(lambda engine, batch: batch)
    as_metric(collection()).attach(evaluator, "all")
    as_metric(MulticlassRecall(3) * Accuracy()).attach(evaluator, "both")
    return dict(evaluator.run(data).metrics)


def test_engines_of_two_processes(ranks: Ranks) -> None:
    """At the end of the epoch both engines have the values of all batches."""
    data = batches(5, 8, 4)
    expected = {
        "all": expected_value(collection(), data),
        "both": value_of(as_metric(MulticlassRecall(3) * Accuracy()), data),
    }
    for metrics in ranks.run(run_of_engine):
        check_equal(expected, {key: metrics[key] for key in expected})
