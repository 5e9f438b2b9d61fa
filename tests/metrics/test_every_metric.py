"""What every native metric promises, whatever it measures."""

from __future__ import annotations

import copy
import inspect
import io
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from ignite_signals.engine import Engine
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import BatchWise, Metric, MetricGroup, RunningAverage
from ignite_signals.metrics.composite import Composite
from ignite_signals.metrics.device_value import device_value
from ignite_signals.metrics.twin import twin
from support.cases import CASES
from support.copying import every_copy
from support.metric_cases import MetricCase

NAMES = {case.name: case for case in CASES}

every_case = pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
JOINABLE = [pytest.param(case, id=case.name) for case in CASES if case.joins]


def batches(case: MetricCase, sizes: Sequence[int], seed: int = 0) -> list[Any]:
    """Return the case's data in batches of these sizes."""
    generator = torch.Generator().manual_seed(seed)
    return [case.batch(generator, size) for size in sizes]


def value_of(case: MetricCase, data: Sequence[Any]) -> Any:
    """Return what the case's metric computes of the batches."""
    metric = case.make()
    for batch in data:
        metric.update(batch)
    return metric.compute()


def check_equal(case: MetricCase, expected: Any, actual: Any, *, rtol: float | None = None) -> None:
    """Compare two values, whatever their form, up to the case's tolerance."""
    if isinstance(expected, Mapping):
        assert list(expected) == list(actual)
        expected, actual = list(expected.values()), list(actual.values())
    if isinstance(expected, str):
        assert expected == actual
    elif isinstance(expected, list | tuple) and not all(isinstance(item, int | float) for item in expected):
        assert len(expected) == len(actual)
        for item, other in zip(expected, actual, strict=True):
            check_equal(case, item, other, rtol=rtol)
    else:
        expected, actual = (torch.as_tensor(value, dtype=torch.float64) for value in (expected, actual))
        torch.testing.assert_close(actual, expected, rtol=rtol or case.rtol, atol=case.atol, equal_nan=True)


def mapped(data: Any, function: Any) -> Any:
    """Return a batch with a function applied to each of its tensors."""
    if isinstance(data, Tensor):
        return function(data)
    if isinstance(data, tuple | list):
        return type(data)(mapped(part, function) for part in data)
    if isinstance(data, dict):
        return {key: mapped(part, function) for key, part in data.items()}
    return data


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield all tensors that a metric holds."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Metric):
        yield from tensors_in(vars(value))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)


def without_values(tensor: Tensor, device: str) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=device)


class RefuseToWait(TorchDispatchMode):
    """Refuse every operation for which the host would wait for the device."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        from_device = [tensor.device.type for tensor in tensors_in((args, kwargs)) if tensor.device.type != "cpu"]
        to_host = [tensor for tensor in tensors_in((result,)) if tensor.device.type == "cpu"]
        name = function.name()
        if from_device and (to_host or "_local_scalar_dense" in name):
            raise AssertionError(f"{name} copies to the host")
        return result


@every_case
def test_no_update_waits_for_the_device(case):
    """No operation of an update depends on a value or copies to the host, on the CPU and on an accelerator."""
    data = batches(case, (7, 3))
    for device in ("cpu", "cuda"):
        with FakeTensorMode(), RefuseToWait():
            metric = case.make()
            for batch in data:
                metric.update(mapped(batch, partial(without_values, device=device)))
        assert {device} >= {tensor.device.type for tensor in tensors_in(metric)}


@pytest.mark.parametrize("case", JOINABLE)
def test_the_value_is_that_of_an_independent_reference(case):
    """Batch by batch, uneven ones, the value is the reference's for all samples at once."""
    data = batches(case, (9, 1, 17, 8))
    check_equal(case, case.expected(data), value_of(case, data))


@every_case
def test_a_run_resumed_in_mid_window_ends_with_the_same_value(case):
    """The state goes through a file that holds no code, into another metric, which goes on."""
    data = batches(case, (6, 5, 4))
    metric, other = case.make(), case.make()
    metric.update(data[0])
    metric.update(data[1])
    file = io.BytesIO()
    torch.save(metric.state_dict(), file)
    saved = metric.state_dict()
    metric.update(data[2])
    file.seek(0)
    for state in (torch.load(file, weights_only=True), saved):
        other.load_state_dict(state)
        other.update(data[2])
        check_equal(case, metric.compute(), other.compute())


@every_case
@every_copy
def test_a_copy_goes_on_by_itself(case, copied):
    """A copy in mid-window has seen the same, and what it sees later the original has not seen."""
    data = batches(case, (6, 5))
    metric = case.make()
    metric.update(data[0])
    other = copied(metric)
    other.update(data[1])
    check_equal(case, value_of(case, data[:1]), metric.compute())
    check_equal(case, value_of(case, data), other.compute())


@every_case
def test_a_twin_begins_anew_and_shares_nothing(case):
    """What a twin sees, the original has not seen."""
    data = batches(case, (6, 5))
    metric = case.make()
    metric.update(data[0])
    other = twin(metric)
    other.update(data[1])
    check_equal(case, value_of(case, data[:1]), metric.compute())
    check_equal(case, value_of(case, data[1:]), other.compute())


@every_case
def test_reset_forgets_everything(case):
    """After reset the value is that of what came later."""
    data = batches(case, (6, 5))
    metric = case.make()
    metric.update(data[0])
    metric.compute()
    metric.reset()
    metric.update(data[1])
    check_equal(case, value_of(case, data[1:]), metric.compute())


@every_case
def test_a_window_without_a_sample_is_told(case):
    """The error names the metric whose window was empty."""
    metric = case.make()
    names = {type(metric).__name__} | {type(source).__name__ for source in getattr(metric, "_sources", ())}
    with pytest.raises(NotComputableError) as caught:
        metric.compute()
    assert any(name in str(caught.value) for name in names)


@every_case
def test_a_value_stays_what_it_was(case):
    """What was computed, read or unread, does not change when the metric goes on; computing changes nothing."""
    data = batches(case, (6, 5))
    metric = case.make()
    metric.update(data[0])
    read, unread = metric.compute(), device_value(metric)
    before = copy.deepcopy((read, unread))
    metric.update(data[1])
    check_equal(case, before[0], read, rtol=1e-12)
    check_equal(case, before[1], unread, rtol=1e-12)
    check_equal(case, value_of(case, data), metric.compute())


@every_case
def test_inputs_are_left_as_they_are(case):
    """An update changes none of its inputs, and a later change of these changes no value."""
    data = batches(case, (6,))
    before = copy.deepcopy(data[0])
    metric = case.make()
    metric.update(data[0])
    expected = metric.compute()
    mapped((before, data[0]), lambda tensor: tensor)
    for was, now in zip(tensors_in((before,)), tensors_in((data[0],)), strict=True):
        assert torch.equal(was, now)
    mapped(data[0], lambda tensor: tensor.zero_())
    check_equal(case, expected, metric.compute())


@every_case
def test_no_graph_is_kept(case):
    """Outputs that require gradients are taken in without their graphs."""
    data = mapped(batches(case, (6,))[0], lambda t: t.clone().requires_grad_() * 1 if t.is_floating_point() else t)
    metric = case.make()
    metric.update(data)
    unread = device_value(metric)
    assert not any(tensor.requires_grad for tensor in tensors_in((metric, unread)))


@every_case
def test_memory_grows_with_the_data_only_where_it_is_said(case):
    """A streaming metric holds as much after many batches as after two; the others say so in their first line."""

    def held(sizes: Sequence[int]) -> int:
        metric = case.make()
        for batch in batches(case, sizes):
            metric.update(batch)
        return sum(tensor.numel() for tensor in tensors_in(metric))

    grows = held([5] * 12) > held([5, 5])
    first_line = (inspect.getdoc(type(case.make())) or "").splitlines()[0].lower()
    assert case.keeps_outputs == grows
    if not isinstance(case.make(), Composite):
        assert case.keeps_outputs == ("keep all outputs" in first_line or "memory grows" in first_line)


@pytest.mark.parametrize("case", [case for case in JOINABLE if case.values[0].half])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_computed_as_exactly_as_it_was_given(case, dtype):
    """For inputs in half precision the value is that of the same inputs in float64."""
    data = [
        mapped(batch, lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)
        for batch in batches(case, (9, 8))
    ]
    exact = [mapped(batch, lambda tensor: tensor.double() if tensor.is_floating_point() else tensor) for batch in data]
    check_equal(case, case.expected(exact), value_of(case, data), rtol=max(1e-5, case.rtol))


@every_case
def test_a_group_shares_what_its_members_accumulate(case):
    """Two members with one setting compute the same, and a metric that says how it accumulates does so once."""
    data = batches(case, (6, 5))
    group = MetricGroup({"a": case.make(), "b": case.make()})
    for batch in data:
        group.update(batch)
    computed = group.compute()
    check_equal(case, value_of(case, data), computed["a"])
    check_equal(case, value_of(case, data), computed["b"])


@every_case
def test_an_engine_writes_the_value_of_a_window(case):
    """Attached, the metric writes the value of each epoch, and batch-wise that of each batch."""
    data = batches(case, (6, 5))
    engine, metric = Engine(lambda engine, batch: batch), case.make()
    # Whose window is the run by default has one of an epoch here.
    metric.attach(engine, "epoch", usage="single_epoch_running_batch_wise" if type(metric) is RunningAverage else None)
    metric.attach(engine, "batch", usage=BatchWise())
    metrics = engine.run(data, max_epochs=2).metrics
    check_equal(case, value_of(case, data), metrics["epoch"])
    check_equal(case, value_of(case, data[1:]), metrics["batch"], rtol=max(1e-6, case.rtol))


def value_on_rank(rank: int, name: str, sizes: Sequence[Sequence[int]]) -> tuple[Any, Any]:
    """Return what a process computes that sees its part of the data, and once more after another batch for each."""
    case = NAMES[name]
    parts, more = [batches(case, part, seed) for seed, part in enumerate(sizes)], batches(case, (4, 3), seed=9)
    metric = case.make()
    for batch in parts[rank]:
        metric.update(batch)
    first = metric.compute()
    metric.update(more[rank])
    return first, metric.compute()


@pytest.mark.parametrize(
    "sizes", [((5, 3), (4,)), ((6, 2), ()), ((), (7,))], ids=["uneven", "one alone", "other alone"]
)
@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES if case.several_processes])
def test_two_processes_compute_what_one_does(ranks, case, sizes):
    """Two processes with uneven data, or none for one of them, each have the value of all the data."""
    data = [batch for seed, part in enumerate(sizes) for batch in batches(case, part, seed)]
    more = batches(case, (4, 3), seed=9)
    own = len(sizes[0])
    in_order = [*data[:own], more[0], *data[own:], more[1]]
    for first, second in ranks.run(value_on_rank, case.name, sizes):
        check_equal(case, value_of(case, data), first)
        check_equal(case, value_of(case, in_order), second)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@every_case
def test_the_value_on_a_gpu_is_that_on_the_cpu(case):
    """The state is where the values are, and the value is the same."""
    data = batches(case, (6, 5))
    moved = [mapped(batch, lambda tensor: tensor.cuda()) for batch in data]
    check_equal(case, value_of(case, data), mapped(value_of(case, moved), lambda tensor: tensor.cpu()))


def test_every_public_metric_has_a_case():
    """No native metric is left out of what is tested here."""
    import ignite_signals.metrics as metrics

    cases = {type(case.make()).__name__ for case in CASES} | {case.name.split("-")[0] for case in CASES}
    public = {name for name in metrics.__all__ if isinstance(getattr(metrics, name), type)}
    public = {name for name in public if issubclass(getattr(metrics, name), Metric)}
    assert public - cases <= {"Metric", "MetricGroup", "MetricsLambda", "TorchMetricsAdapter", "GpuInfo"}
