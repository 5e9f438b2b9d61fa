"""Several metrics as one."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from ignite_signals.engine import Engine
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import (
    Average,
    BatchWise,
    MeanSquaredError,
    Metric,
    MetricGroup,
    RootMeanSquaredError,
    RunningAverage,
)

DATA = [(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 0.0])), (torch.tensor([4.0]), torch.tensor([0.0]))]


def errors() -> dict[str, Metric]:
    return {"mse": MeanSquaredError(), "rmse": RootMeanSquaredError()}


def metrics_of(metric: Metric, data: Any = DATA, **kwargs: Any) -> dict[str, Any]:
    engine = Engine(lambda engine, batch: batch)
    metric.attach(engine, "errors", **kwargs)
    return engine.run(data).metrics


def test_the_values_are_written_by_name_and_together():
    """Each member has its value under its own name, and the group's name has all of them."""
    mse = 20 / 3
    values = {"mse": pytest.approx(mse), "rmse": pytest.approx(mse**0.5)}
    assert {**values, "errors": values} == metrics_of(MetricGroup(errors()))
    assert values == metrics_of(MetricGroup(errors(), metrics_result_mode="flatten"))
    assert {"errors": values} == metrics_of(MetricGroup(errors(), metrics_result_mode="named"))


def test_what_members_share_is_accumulated_once():
    """Two metrics of one sum update it once, whatever each makes of it."""

    class CountedError(MeanSquaredError):
        sums = 0
        _accumulates_by = MeanSquaredError._accumulates_by

        def _summed(self, y_pred: Any, y: Any) -> Any:
            CountedError.sums += 1
            return super()._summed(y_pred, y)

    class RootError(CountedError):
        _accumulates_by = CountedError._accumulates_by

        def _value(self) -> Any:
            return super()._value().sqrt()

    group = MetricGroup({"mse": CountedError(), "rmse": RootError()})
    group.update(DATA[0])
    assert 1 == CountedError.sums
    assert {"mse": 2.0, "rmse": pytest.approx(2**0.5)} == group.compute()


def test_settings_that_differ_are_not_shared():
    """A member with a transform of its own sees other numbers."""
    halved = MeanSquaredError(lambda output: (output[0] / 2, output[1]))
    group = MetricGroup({"whole": MeanSquaredError(), "half": halved})
    group.update(DATA[1])
    assert {"whole": 16.0, "half": 4.0} == group.compute()


class Scale:
    """Transform outputs by a method, as an object of a user's may."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def scaled(self, output: Any) -> Any:
        return self.factor * output[0], output[1]


def test_transforms_of_different_objects_are_not_shared():
    """Methods of two objects are two transforms, though one function is behind them."""
    members = {str(factor): MeanSquaredError(Scale(factor).scaled) for factor in (1.0, 2.0)}
    group = MetricGroup(members)
    group.update(DATA[1])
    assert {"1.0": 16.0, "2.0": 64.0} == group.compute()


def test_an_expression_transforms_for_each_of_its_metrics():
    """As a member it takes an output as it does when it is attached by itself."""
    halved = MeanSquaredError(lambda output: (output["scores"] / 2, output["y"]))
    group = MetricGroup({"half": 1 * halved})
    group.update({"scores": DATA[1][0], "y": DATA[1][1]})
    assert 4.0 == group.compute()["half"]


def test_the_groups_transform_comes_before_the_members():
    """Each member transforms what the group's transform returned."""
    member = Average(lambda y_pred: y_pred.mean())
    group = MetricGroup({"average": member}, output_transform=lambda output: output[0])
    assert {"average": 2.5} == {name: metrics_of(group)[name] for name in ("average",)}


def test_a_member_takes_its_keys_from_a_mapping():
    """Where the output is a mapping, each member takes what it needs."""
    data = [{"y_pred": y_pred, "y": y, "loss": 1.0} for y_pred, y in DATA]
    group = MetricGroup({**errors(), "loss": Average(lambda output: output["loss"])})
    assert 1.0 == metrics_of(group, data)["loss"]


def test_lists_give_an_update_for_each_item():
    """Outputs that are lists of tensors are unrolled for each member, as they are without a group."""
    outputs = [([torch.tensor(2.0), torch.tensor(4.0)], [torch.tensor(0.0), torch.tensor(0.0)])]
    assert 10.0 == metrics_of(MetricGroup(errors()), outputs)["mse"]


def test_the_metrics_that_go_in_are_left_alone():
    """A member may be attached elsewhere, and be detached, without a change to the group."""
    members = errors()
    group, engine = MetricGroup(members), Engine(lambda engine, batch: batch)
    group.attach(engine, "errors")
    members["mse"].attach(engine, "last", usage=BatchWise())
    assert (16.0, pytest.approx(20 / 3)) == (engine.run(DATA).metrics["last"], engine.state.metrics["mse"])
    members["mse"].detach(engine, BatchWise())
    assert "last" not in engine.run(DATA).metrics
    with pytest.raises(NotComputableError):
        members["rmse"].compute()


def test_groups_may_be_nested():
    """A group is a metric, so it can be a member."""
    group = MetricGroup({"inner": MetricGroup(errors()), "mse": MeanSquaredError()})
    group.update(DATA[1])
    assert {"inner": {"mse": 16.0, "rmse": 4.0}, "mse": 16.0} == group.compute()


def test_a_resumed_group_ends_with_the_same_values():
    """The state holds what is shared once, and goes on in another group."""
    group, other = MetricGroup(errors()), MetricGroup(errors())
    group.update(DATA[0])
    state = copy.deepcopy(group.state_dict())
    other.load_state_dict(state)
    group.update(DATA[1])
    other.update(DATA[1])
    assert group.compute() == other.compute()
    assert "mse" == state["rmse"]


def test_a_state_goes_by_names():
    """Members in another order get their own states, and other members are refused."""
    group, other = MetricGroup(errors()), MetricGroup(dict(reversed(errors().items())))
    group.update(DATA[0])
    other.load_state_dict(group.state_dict())
    assert group.compute() == other.compute()
    with pytest.raises(ValueError, match=r"must have the keys \['average'\] for MetricGroup\(average=Average\)"):
        MetricGroup({"average": Average()}).load_state_dict(group.state_dict())


def test_what_a_class_changes_is_not_shared():
    """A class of a user's that says nothing of how it accumulates does so by itself."""

    class ScaledError(MeanSquaredError):
        def __init__(self, factor: float) -> None:
            self.factor = factor
            super().__init__()

        def _summed(self, y_pred: Any, y: Any) -> Any:
            return super()._summed(y_pred * self.factor, y)

    group = MetricGroup({"1": ScaledError(1.0), "3": ScaledError(3.0)})
    group.update(DATA[1])
    assert {"1": 16.0, "3": 144.0} == group.compute()


def test_lists_are_kept_as_they_are_where_that_is_asked_for():
    """`skip_unrolling` of a group, and of an expression in it, reaches the metrics."""

    class Seen(Metric):
        required_output_keys = None

        def reset(self) -> None:
            self.seen = 0

        def update(self, output: Any) -> None:
            self.seen += 1

        def compute(self) -> Any:
            return self.seen

    outputs = [([torch.tensor(2.0), torch.tensor(4.0)], [torch.tensor(0.0), torch.tensor(0.0)])]
    nested = MetricGroup({"a": Seen(), "b": 1 * Seen(), "c": RunningAverage(Seen())}, skip_unrolling=True)
    assert {"a": 1, "b": 1, "c": 1.0} == metrics_of(nested, outputs)["errors"]


def test_what_measures_otherwise_with_a_usage_is_refused():
    """An average over epochs of a metric sees whole epochs, which a group does not give to it."""
    group, engine = MetricGroup({"average": RunningAverage(MeanSquaredError())}), Engine(lambda engine, batch: batch)
    with pytest.raises(ValueError, match="attach it by itself"):
        group.attach(engine, "group", usage="running_epoch_wise")
    assert not group.is_attached(engine, "epoch_wise")


@pytest.mark.parametrize(
    ("metrics", "error", "message"),
    [
        ([MeanSquaredError()], TypeError, "metrics must map names"),
        ({}, ValueError, "metrics must hold a metric"),
        ({"mse": MeanSquaredError}, TypeError, "metric must be a Metric"),
        ({"mse": 3.0}, TypeError, "metric must be a Metric"),
    ],
)
def test_mistakes_are_named(metrics, error, message):
    """What is no mapping of metrics is refused where it is given."""
    with pytest.raises(error, match=message):
        MetricGroup(metrics)


def test_it_shows_its_members():
    """The repr names them."""
    assert "MetricGroup(mse=MeanSquaredError, rmse=RootMeanSquaredError)" == repr(MetricGroup(errors()))
