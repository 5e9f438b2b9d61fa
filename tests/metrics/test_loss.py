"""Loss: the mean of a loss function over all examples."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import cross_entropy, l1_loss, mse_loss

from ignite_signals.engine import Engine
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import Loss, MetricGroup
from ignite_signals.metrics.device_value import device_value


def run(metric: Loss, *outputs: Any) -> float:
    """Return the value after a run whose steps return these outputs."""
    engine = Engine(lambda engine, batch: batch)
    metric.attach(engine, "loss")
    result: float = engine.run(list(outputs)).metrics["loss"]
    return result


@given(
    st.lists(st.tuples(*[st.floats(-100, 100, width=32)] * 2), min_size=1, max_size=30),
    st.lists(st.integers(1, 29), max_size=4),
)
def test_is_the_mean_over_examples_however_they_are_split(pairs: list[tuple[float, float]], cuts: list[int]) -> None:
    """Batches of any sizes give the loss of all examples as one batch."""
    y_pred, y = (torch.tensor(values, dtype=torch.float64) for values in zip(*pairs, strict=True))
    cuts = sorted(cut for cut in set(cuts) if cut < len(pairs))
    metric = Loss(l1_loss)

    for batch in zip(torch.tensor_split(y_pred, cuts), torch.tensor_split(y, cuts), strict=True):
        metric.update(batch)

    assert pytest.approx(l1_loss(y_pred, y).item(), rel=1e-12) == metric.compute()


def test_equals_ignite() -> None:
    """The same batches give PyTorch-Ignite's loss."""
    theirs, ours = pytest.importorskip("ignite.metrics").Loss(cross_entropy), Loss(cross_entropy)
    for size in (8, 8, 3):
        batch = torch.randn(size, 5), torch.randint(0, 5, (size,))
        theirs.update(batch)
        ours.update(batch)

    assert pytest.approx(theirs.compute(), rel=1e-6) == ours.compute()


def test_is_a_python_number() -> None:
    """compute reads the number."""
    assert float is type(run(Loss(mse_loss), (torch.tensor([1.0]), torch.tensor([0.0]))))


@pytest.mark.parametrize("kwargs", [{"criterion_kwargs": {"reduction": "sum"}}, {"criterion_kwargs": {}}, {}])
def test_a_mapping_may_have_keyword_arguments(kwargs: dict[str, Any]) -> None:
    """criterion_kwargs are passed to the loss function, and may be left out."""
    output = {"y_pred": torch.tensor([1.0, 3.0]), "y": torch.tensor([0.0, 0.0]), **kwargs}

    assert (10.0 if kwargs.get("criterion_kwargs") else 5.0) == run(Loss(mse_loss), output)


def test_a_third_part_has_keyword_arguments() -> None:
    """(y_pred, y, kwargs) passes them to the loss function."""
    output = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 0.0]), {"reduction": "sum"}

    assert 10.0 == run(Loss(mse_loss), output)


def test_another_count_of_examples_may_be_given() -> None:
    """batch_size says how much a batch weighs."""
    metric = Loss(mse_loss, batch_size=lambda y: int(y.sum()))

    assert (1 * 1.0 + 3 * 9.0) / 4 == run(
        metric, (torch.zeros(1), torch.ones(1)), (torch.zeros(1), torch.tensor([3.0]))
    )


def test_a_plain_number_is_a_loss() -> None:
    """A loss function may return a number."""
    assert 3.0 == run(Loss(lambda y_pred, y: 3.0), (torch.zeros(2), torch.zeros(2)))


def test_lists_are_averaged_item_by_item() -> None:
    """Lists of examples of different sizes are one loss."""
    output = [torch.tensor([1.0, 3.0]), torch.tensor([5.0])], [torch.zeros(2), torch.zeros(1)]

    assert (5.0 + 25.0) / 2 == run(Loss(mse_loss), output)


def test_several_outputs_are_passed_whole() -> None:
    """With skip_unrolling the loss function gets the tuples that the model gave."""

    def both(y_pred: tuple[torch.Tensor, torch.Tensor], y: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return mse_loss(y_pred[0], y[0]) + mse_loss(y_pred[1], y[1])

    output = (torch.tensor([1.0]), torch.tensor([2.0])), (torch.zeros(1), torch.zeros(1))

    assert 5.0 == run(Loss(both, skip_unrolling=True), output)


def test_keeps_no_graph() -> None:
    """The sum has no history, so that no batch is kept alive by it."""
    metric = Loss(mse_loss)
    metric.update((torch.ones(2, requires_grad=True), torch.zeros(2)))

    assert not metric._sum.requires_grad


def test_half_precision_does_not_overflow() -> None:
    """A sum beyond the largest float16 is kept, since it is summed in float64."""
    metric = Loss(lambda y_pred, y: torch.tensor(300.0, dtype=torch.float16))
    metric.update((torch.zeros(1000), torch.zeros(1000)))

    assert 300.0 == metric.compute()


def test_small_losses_are_not_lost_in_a_large_sum() -> None:
    """Many small values keep their weight beside a large one."""
    metric = Loss(lambda y_pred, y: y_pred.mean())
    for value in [1e8] + [1.0] * 100:
        metric.update((torch.tensor([value]), torch.zeros(1)))

    assert (1e8 + 100) / 101 == metric.compute()


@pytest.mark.parametrize("batch_size", [len, lambda y: float(len(y)), lambda y: torch.tensor(len(y))])
def test_a_batch_without_samples_adds_nothing(batch_size: Any) -> None:
    """The mean of no samples is NaN, and counts for nothing."""
    metric = Loss(mse_loss, batch_size=batch_size)
    for size in (0, 2, 0):
        metric.update((torch.ones(size), torch.zeros(size)))

    assert 1.0 == metric.compute()


def test_the_samples_may_be_counted_on_the_device() -> None:
    """A tensor from batch_size, a count of tokens say, is read by compute alone, and is exact beyond 2**24."""
    metric = Loss(lambda y_pred, y: y_pred.mean(), batch_size=torch.sum)
    for loss, samples in ((1.0, 2.0**24), (2.0, 1.0)):
        metric.update((torch.tensor([loss]), torch.tensor([samples])))
    unread = device_value(metric)

    assert (2**24 + 2) / (2**24 + 1) == unread.item() == metric.compute()
    assert (2**24 + 1) == metric._num_examples
    with FakeTensorMode():
        metric = Loss(mse_loss, batch_size=torch.count_nonzero)
        metric.update((torch.ones(3, device="cuda"), torch.ones(3, device="cuda")))
        assert "cuda" == device_value(metric).device.type


@pytest.mark.parametrize("samples", [torch.tensor(0), 0, 0.0])
def test_of_batches_without_samples_there_is_no_loss(samples: Any) -> None:
    """Where all batches were empty nothing was seen."""
    metric = Loss(mse_loss, batch_size=lambda y: samples)
    metric.update((torch.ones(1), torch.zeros(1)))

    with pytest.raises(NotComputableError, match="Loss has seen no sample"):
        metric.compute()


def test_a_weight_may_be_a_fraction() -> None:
    """batch_size may give each batch a weight."""
    metric = Loss(mse_loss, batch_size=lambda y: 0.5 * float(y[0]))
    for y in (1.0, 3.0):
        metric.update((torch.zeros(1), torch.tensor([y])))

    assert (0.5 * 1 + 1.5 * 9) / 2 == metric.compute()


def test_groups_share_a_loss_of_one_function_only() -> None:
    """Two with the same function accumulate once; methods of two objects are two functions."""

    class Scaled:
        def __init__(self, factor: float) -> None:
            self.factor = factor

        def loss(self, y_pred: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return self.factor * mse_loss(y_pred, y)

    one, other = Scaled(1), Scaled(2)
    group = MetricGroup({"a": Loss(one.loss), "b": Loss(other.loss), "c": Loss(one.loss)})
    group.update((torch.ones(2), torch.zeros(2)))

    assert {"a": 1.0, "b": 2.0, "c": 1.0} == group.compute()
    assert 2 == len(group._accumulating)


def loss_on_rank(rank: int, batches: list[list[Any]], counted: bool) -> float:
    """Return the value on a process that sees its batches."""
    metric = Loss(mse_loss, batch_size=torch.numel if not counted else torch.count_nonzero)
    for batch in batches[rank]:
        metric.update(batch)
    return metric.compute()


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("sizes", [((4, 3), (2,)), ((), (2,))])
def test_two_processes_have_the_loss_of_all_samples(ranks: Any, sizes: Any, counted: bool) -> None:
    """Each batch weighs as many samples as it has, wherever it was seen."""
    batches = [[(torch.randn(n), torch.ones(n)) for n in part] for part in sizes]
    y_pred, y = (torch.cat(parts) for parts in zip(*batches[0], *batches[1], strict=True))

    assert [pytest.approx(mse_loss(y_pred, y).item())] * 2 == ranks.run(loss_on_rank, batches, counted)


def test_without_examples_there_is_no_loss() -> None:
    """Before an example was seen there is nothing to compute."""
    with pytest.raises(NotComputableError, match="Loss has seen no sample"):
        Loss(mse_loss).compute()


@pytest.mark.parametrize("name", ["loss_fn", "batch_size"])
def test_functions_must_be_callable(name: str) -> None:
    """What cannot be called is refused at once, by name."""
    with pytest.raises(TypeError, match=f"{name} must be callable, got 3"):
        Loss(**{"loss_fn": mse_loss, name: 3})  # type: ignore[arg-type]


def test_a_loss_per_example_is_refused() -> None:
    """A loss function that does not reduce is an error that says how to."""
    with pytest.raises(ValueError, match=r"loss_fn must return the batch's mean, .* got \(2,\); give it reduction"):
        run(Loss(lambda y_pred, y: y_pred - y), (torch.zeros(2), torch.zeros(2)))


@pytest.mark.parametrize("function", ["loss_fn", "batch_size"])
def test_functions_must_return_a_number(function: str) -> None:
    """What is no number is refused, and the function named."""
    metric = Loss(**{"loss_fn": mse_loss, function: lambda *args: "a"})  # type: ignore[arg-type]

    with pytest.raises(TypeError, match=f"{function} must return .*, a number or a tensor, for Loss, got 'a'"):
        metric.update((torch.zeros(2), torch.zeros(2)))


def test_the_number_of_samples_must_be_one() -> None:
    """A count for each sample is refused with its shape."""
    with pytest.raises(ValueError, match=r"batch_size must return the number of samples, .* got \(2,\); sum it up"):
        Loss(mse_loss, batch_size=torch.ones_like).update((torch.zeros(2), torch.zeros(2)))


@pytest.mark.parametrize("output", [torch.zeros(2, 2), (torch.zeros(2),), (torch.zeros(2),) * 4])
def test_an_output_must_have_two_parts_or_three(output: Any) -> None:
    """The error says which, and what came."""
    with pytest.raises(TypeError, match=r"output must be \(y_pred, y\) or \(y_pred, y, kwargs\) for Loss, got a "):
        Loss(mse_loss).update(output)


def test_the_third_part_must_be_a_mapping() -> None:
    """Keyword arguments that are none are refused."""
    with pytest.raises(TypeError, match=r"the third part of an output must be the keyword arguments .*, got 3"):
        Loss(mse_loss).update((torch.zeros(2), torch.zeros(2), 3))
