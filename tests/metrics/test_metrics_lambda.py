"""Functions, arithmetic, indexing and attributes of metrics."""

from __future__ import annotations

import math
import operator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.engine import Engine
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import (
    Average,
    BatchWise,
    MeanSquaredError,
    Metric,
    MetricGroup,
    MetricsLambda,
    RootMeanSquaredError,
)
from ignite_signals.metrics.device_value import device_value
from support.copying import every_copy


class Counting(Metric):
    """Return what was seen last, and count the updates of all objects."""

    required_output_keys = None
    updates = 0

    def reset(self) -> None:
        self.last: Any = None

    def update(self, output: Any) -> None:
        type(self).updates += 1
        self.last = output

    def compute(self) -> Any:
        if self.last is None:
            raise NotComputableError("Counting has seen nothing")
        return self.last


@pytest.fixture(autouse=True)
def no_updates_yet():
    Counting.updates = 0


def value(metric: Metric, output: Any) -> Any:
    """Return what a metric computes of one output, as a plain number or list."""
    metric.update(output)
    computed = metric.compute()
    return computed.tolist() if isinstance(computed, torch.Tensor) else computed


BINARY = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.pow,
]


@pytest.mark.parametrize("function", BINARY, ids=lambda function: function.__name__)
@settings(max_examples=20)
@given(left=st.floats(1, 8), right=st.floats(1, 4))
def test_an_operator_works_on_the_values_from_both_sides(function, left, right):
    """A metric with a number, a number with a metric, and two metrics give what the numbers give."""
    expected = pytest.approx(function(left, right), abs=1e-9)
    assert expected == value(function(Counting(), right), left)
    assert expected == value(function(left, Counting()), right)
    both = function(Counting(lambda pair: pair[0]), Counting(lambda pair: pair[1]))
    engine = Engine(lambda engine, batch: batch)
    both.attach(engine, "both")
    assert expected == engine.run([(left, right)]).metrics["both"]


def test_the_signs_work_too():
    """Negation and absolute value are those of the value."""
    assert (-2.0, 2.0) == (value(-Counting(), 2.0), value(abs(Counting()), -2.0))


def test_matrices_multiply():
    """The matrix product of values is taken from both sides."""
    matrix, vector = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1.0, 1.0])
    assert [3.0, 7.0] == value(Counting() @ vector, matrix)
    assert [3.0, 7.0] == value(matrix @ Counting(), vector)


def test_a_division_by_zero_is_no_exception():
    """As with tensors, it is NaN or an infinity, so that one empty class ends no run."""
    zero = Counting()
    assert math.isnan(value(zero / zero, 0.0))
    assert math.inf == value(1.0 / zero, 0.0)


@pytest.mark.parametrize("index", [0, (1, 1), slice(None, 1), (slice(None), 1), -1])
def test_an_index_is_that_of_the_value(index):
    """An index picks entries of the value."""
    matrix = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert matrix[index].tolist() == value(Counting()[index], matrix)


def test_a_name_picks_a_member_of_a_group():
    """A group's value is a mapping, which is indexed by name."""
    group = MetricGroup({"mse": MeanSquaredError(), "rmse": RootMeanSquaredError()})
    ratio = group["mse"] / group["rmse"]
    assert 2.0 == value(ratio, (torch.tensor([2.0]), torch.tensor([0.0])))


def test_a_tensors_methods_and_attributes_are_there():
    """Methods, with their arguments, and attributes of a tensor apply to the value."""
    matrix = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert 2.5 == value(Counting().mean(), matrix)
    assert [2.0, 3.0] == value(Counting().mean(dim=0), matrix)
    assert [[1.0, 3.0], [2.0, 4.0]] == value(Counting().T, matrix)
    assert 4 == value(Counting().max().to(torch.int64), matrix)


def test_other_attributes_are_not():
    """What neither the metric nor a tensor has is an error as usual, so that a typing mistake is found."""
    with pytest.raises(AttributeError, match="'Average' object has no attribute 'acumulator'"):
        _ = Average().acumulator
    assert not hasattr(Average(), "_private")


def test_a_metric_is_no_sequence():
    """That it can be indexed does not make it iterable."""
    with pytest.raises(TypeError, match="not iterable"):
        iter(Average())


@pytest.mark.parametrize("other", [None, "1", [1], {"a": 1}])
def test_what_no_operator_takes_is_refused(other):
    """A number, a tensor or a metric can be added, nothing else."""
    with pytest.raises(TypeError, match="unsupported operand"):
        _ = Average() + other


def test_a_metric_that_occurs_twice_is_updated_once():
    """However often it occurs in an expression, and however deep, one twin of it measures."""
    p, r = Counting(), Counting()
    f1 = 2 * p * r / (p + r)
    assert 3.0 == value(f1, 3.0)
    assert 2 == Counting.updates
    assert None is p.last


def test_metrics_that_accumulate_alike_do_so_once():
    """The squared errors are summed once for the error and its root."""
    ratio = MeanSquaredError() / RootMeanSquaredError()
    assert 2.0 == value(ratio, (torch.tensor([2.0]), torch.tensor([0.0])))
    assert 1 == len(ratio._accumulating)


def test_metrics_that_accumulate_otherwise_stay_apart():
    """Another transform of the output is another accumulation."""

    def doubled(output: Any) -> Any:
        return 2 * output[0], output[1]

    ratio = MeanSquaredError(doubled) / MeanSquaredError()
    engine = Engine(lambda engine, batch: batch)
    ratio.attach(engine, "ratio")
    assert 4.0 == engine.run([(torch.tensor([2.0]), torch.tensor([0.0]))]).metrics["ratio"]


def test_a_metric_inside_another_keeps_its_own_state():
    """What goes into an expression may be attached and detached elsewhere without a change to the expression."""
    average = Average()
    doubled = average * 2
    engine = Engine(lambda engine, batch: batch)
    doubled.attach(engine, "doubled")
    average.attach(engine, "last", usage=BatchWise())
    assert {"doubled": 4.0, "last": 3.0} == engine.run([1.0, 3.0]).metrics
    average.detach(engine, BatchWise())
    assert {"doubled": 4.0} == engine.run([1.0, 3.0]).metrics
    doubled.detach(engine)
    assert {} == engine.run([1.0, 3.0]).metrics
    assert 0 == sum(len(signal.receivers) for signal in engine.signals.all())


def test_constants_and_keywords_are_passed_on():
    """The function gets what is no metric as it was given."""
    metric = MetricsLambda(
        lambda x, y, *, scale, shift: scale * (x + y) + shift, Average(), 1, scale=Average(), shift=10
    )
    assert 3.0 * (3.0 + 1) + 10 == value(metric, 3.0)


def test_a_function_gets_what_compute_returns():
    """A user's function is called with a number where the metric computes one."""
    seen: list[Any] = []
    MetricsLambda(seen.append, Counting()).update(0.5)
    metric = MetricsLambda(lambda x: f"{x:.0%}", Counting())
    assert "50%" == value(metric, 0.5)


def test_a_mapping_is_written_by_its_names():
    """A function may return several values by name, and `metrics_result_mode` says where they go."""
    engine = Engine(lambda engine, batch: batch)
    both = MetricsLambda(lambda x: {"half": x / 2, "double": 2 * x}, Counting(), metrics_result_mode="flatten")
    both.attach(engine, "both")
    assert {"half": 1.0, "double": 4.0} == engine.run([2.0]).metrics


def test_a_value_of_every_iteration_stays_unread():
    """Of metrics that give a tensor, the expression makes a tensor."""
    root = MeanSquaredError() ** 0.5
    root.update((torch.tensor([2.0]), torch.tensor([0.0])))
    assert 2.0 == device_value(root).item()
    assert isinstance(device_value(root), torch.Tensor)


@every_copy
def test_an_expression_can_be_copied(copied):
    """A copy in mid-window goes on by itself."""
    expression = (2 * Average()).abs()[None][0]
    expression.update(1.0)
    other = copied(expression)
    other.update(3.0)
    assert (2.0, 4.0) == (float(expression.compute()), float(other.compute()))


def test_its_state_is_that_of_its_metrics():
    """Loaded into another expression of the same form, it goes on; into one of another form, it is refused."""
    expression, other = Average() / 2, Average() / 2
    expression.update(1.0)
    other.load_state_dict(expression.state_dict())
    other.update(2.0)
    assert 0.75 == float(other.compute())
    with pytest.raises(ValueError, match=r"must have the keys \['0 Average', '1 MeanSquaredError'\]"):
        (Average() + MeanSquaredError()).load_state_dict(expression.state_dict())


@pytest.mark.parametrize(("f", "args", "error"), [(3, (Average(),), TypeError), (abs, (3,), ValueError)])
def test_mistakes_are_named(f, args, error):
    """A function that is none, and a function of no metric, are refused where they are given."""
    with pytest.raises(error, match=r"must be callable|must hold a metric"):
        MetricsLambda(f, *args)


def test_it_shows_what_it_computes():
    """The repr is the expression."""
    assert "MetricsLambda(add(mul(2, Average), Counting))" == repr(2 * Average() + Counting())


def test_ignite_computes_the_same():
    """For the same expression PyTorch-Ignite has the same value."""
    peer = pytest.importorskip("ignite.metrics")
    data = [(torch.randn(5), torch.randn(5)) for _ in range(3)]

    def metrics_of(engine: Any, mse: Any, rmse: Any) -> Any:
        (2 * mse * rmse / (mse + rmse)).attach(engine, "m")
        return engine.run(data).metrics["m"]

    expected = metrics_of(
        pytest.importorskip("ignite.engine").Engine(lambda engine, batch: batch),
        peer.MeanSquaredError(),
        peer.RootMeanSquaredError(),
    )
    engine = Engine(lambda engine, batch: batch)
    assert expected == pytest.approx(metrics_of(engine, MeanSquaredError(), RootMeanSquaredError()), rel=1e-6)
