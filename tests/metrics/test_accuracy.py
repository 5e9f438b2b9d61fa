"""Accuracy: binary, multiclass and multilabel."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.engine import Engine
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import Accuracy
from ignite_signals.metrics.classification import Case, classify


def accuracy_of(*batches: Any, **kwargs: Any) -> float:
    """Return the accuracy over batches of (y_pred, y)."""
    metric = Accuracy(**kwargs)
    for batch in batches:
        metric.update(batch)
    return metric.compute()


@st.composite
def split_examples(draw: st.DrawFn) -> tuple[list[int], list[int], list[int], int]:
    """Draw predictions, targets, where to cut them into batches, and the number of classes."""
    classes = draw(st.integers(2, 5))
    pairs = draw(st.lists(st.tuples(*[st.integers(0, classes - 1)] * 2), min_size=1, max_size=40))
    cuts = draw(st.lists(st.integers(0, len(pairs)), max_size=4))
    return [p for p, _ in pairs], [y for _, y in pairs], sorted(cuts), classes


class TestAgainstScikitLearn:
    @settings(deadline=None)  # the first example imports scikit-learn
    @given(split_examples())
    def test_multiclass(self, examples: tuple[list[int], list[int], list[int], int]) -> None:
        """However the examples are split into batches, the accuracy is scikit-learn's."""
        accuracy_score = pytest.importorskip("sklearn.metrics").accuracy_score
        predicted, targets, cuts, classes = examples
        scores = torch.nn.functional.one_hot(torch.tensor(predicted), classes).float()

        result = accuracy_of(
            *zip(torch.tensor_split(scores, cuts), torch.tensor_split(torch.tensor(targets), cuts), strict=True)
        )

        assert float(accuracy_score(targets, predicted)) == result

    @settings(deadline=None)  # the first example imports scikit-learn
    @given(
        st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1),
        st.sampled_from([torch.bool, torch.uint8]),
    )
    def test_binary(self, pairs: list[tuple[bool, bool]], dtype: torch.dtype) -> None:
        """Zeros and ones of any type are compared one by one."""
        accuracy_score = pytest.importorskip("sklearn.metrics").accuracy_score
        predicted, targets = (list(values) for values in zip(*pairs, strict=True))

        result = accuracy_of((torch.tensor(predicted, dtype=dtype), torch.tensor(targets)))

        assert float(accuracy_score(targets, predicted)) == result

    @settings(deadline=None)  # the first example imports scikit-learn
    @given(st.lists(st.tuples(*[st.lists(st.integers(0, 1), min_size=3, max_size=3)] * 2), min_size=1))
    def test_multilabel(self, pairs: list[tuple[list[int], list[int]]]) -> None:
        """An example counts as right if all of its labels are."""
        accuracy_score = pytest.importorskip("sklearn.metrics").accuracy_score
        predicted, targets = (torch.tensor(values) for values in zip(*pairs, strict=True))

        result = accuracy_of((predicted, targets), is_multilabel=True)

        assert float(accuracy_score(targets.numpy(), predicted.numpy())) == result


SHAPES = [((4,), (4,)), ((4, 1), (4,)), ((4, 1), (4, 1)), ((4, 2), (4, 2)), ((4, 1, 3), (4, 3)), ((), ())]
MULTICLASS_SHAPES = [((4, 3), (4,)), ((4, 3, 2), (4, 2)), ((4, 3, 2, 5), (4, 2, 5))]


class TestAgainstIgnite:
    @pytest.mark.parametrize(("pred_shape", "shape"), SHAPES)
    def test_binary(self, pred_shape: tuple[int, ...], shape: tuple[int, ...]) -> None:
        """The same shapes of zeros and ones give PyTorch-Ignite's accuracy."""
        theirs = pytest.importorskip("ignite.metrics").Accuracy()
        batch = torch.randint(0, 2, pred_shape), torch.randint(0, 2, shape)
        theirs.update(batch)

        assert theirs.compute() == accuracy_of(batch)

    @pytest.mark.parametrize(("pred_shape", "shape"), MULTICLASS_SHAPES)
    def test_multiclass(self, pred_shape: tuple[int, ...], shape: tuple[int, ...]) -> None:
        """The same shapes of scores and classes give PyTorch-Ignite's accuracy."""
        theirs = pytest.importorskip("ignite.metrics").Accuracy()
        batch = torch.rand(pred_shape), torch.randint(0, 3, shape)
        theirs.update(batch)

        assert theirs.compute() == accuracy_of(batch)

    @pytest.mark.parametrize("shape", [(6, 2), (6, 2, 3)])
    def test_multilabel(self, shape: tuple[int, ...]) -> None:
        """Labels at every position are taken together as in PyTorch-Ignite."""
        theirs = pytest.importorskip("ignite.metrics").Accuracy(is_multilabel=True)
        batch = torch.randint(0, 2, shape), torch.randint(0, 2, shape)
        theirs.update(batch)

        assert theirs.compute() == accuracy_of(batch, is_multilabel=True)


class TestKind:
    def test_is_told_by_the_shapes(self) -> None:
        """A dimension of classes makes it multiclass, one of size 1 does not."""
        y = torch.zeros(4, 2)

        assert Case("multiclass", 3) == classify(torch.zeros(4, 3, 2), y)
        assert Case("binary", 1) == classify(torch.zeros(4, 1, 2), y)
        assert Case("binary", 1) == classify(torch.zeros(4, 2), y)
        assert Case("multilabel", 2) == classify(torch.zeros(4, 2), y, is_multilabel=True)

    @pytest.mark.parametrize(
        ("pred_shape", "shape"),
        [((4,), (4, 1)), ((4, 3), (3,)), ((4, 3, 2), (4, 1, 2)), ((4, 3, 2), (4,)), ((3,), ())],
    )
    def test_shapes_that_do_not_fit_are_named(self, pred_shape: tuple[int, ...], shape: tuple[int, ...]) -> None:
        """The error says both shapes."""
        with pytest.raises(ValueError, match="y_pred must be of shape") as caught:
            accuracy_of((torch.zeros(pred_shape), torch.zeros(shape)))

        assert f"got y_pred {pred_shape} and y {shape}" in str(caught.value)

    @pytest.mark.parametrize("shape", [(4,), (4, 1)])
    def test_multilabel_needs_labels(self, shape: tuple[int, ...]) -> None:
        """One label is no multilabel case."""
        with pytest.raises(ValueError, match="with C above 1 where is_multilabel"):
            accuracy_of((torch.zeros(shape), torch.zeros(shape)), is_multilabel=True)

    def test_lists_are_no_tensors(self) -> None:
        """update itself takes tensors; the error names what it got."""
        with pytest.raises(TypeError, match="y_pred and y must be tensors, got list and list"):
            accuracy_of(([0, 1], [0, 1]))

    def test_must_not_change_between_batches(self) -> None:
        """A binary batch after a multiclass one is an error."""
        metric = Accuracy()
        metric.update((torch.rand(2, 3), torch.tensor([0, 1])))

        with pytest.raises(RuntimeError, match="must stay multiclass until reset, got binary ones"):
            metric.update((torch.tensor([0, 1]), torch.tensor([0, 1])))

    def test_must_keep_its_classes_between_batches(self) -> None:
        """Another number of classes is an error."""
        metric = Accuracy()
        metric.update((torch.rand(2, 3), torch.tensor([0, 1])))

        with pytest.raises(ValueError, match="y_pred must keep 3 classes until reset, got 4"):
            metric.update((torch.rand(2, 4), torch.tensor([0, 1])))

    def test_may_change_after_reset(self) -> None:
        """reset forgets the kind too."""
        metric = Accuracy()
        metric.update((torch.rand(2, 3), torch.tensor([0, 1])))
        metric.reset()
        metric.update((torch.tensor([0, 1]), torch.tensor([0, 1])))

        assert 1.0 == metric.compute()


class TestValues:
    @pytest.mark.parametrize(
        ("y_pred", "y"),
        [([0.2, 0.8], [0, 1]), ([0, 1], [0, 2]), ([float("nan"), 1], [0, 1]), ([-1, 1], [0, 1])],
    )
    def test_other_than_0_and_1_are_refused(self, y_pred: list[float], y: list[float]) -> None:
        """Probabilities that nobody rounded are an error, not an accuracy."""
        with pytest.raises(ValueError, match=r"must be zeros and ones .* round probabilities with output_transform"):
            accuracy_of((torch.tensor(y_pred), torch.tensor(y)))

    def test_on_a_device_are_looked_at_when_read(self) -> None:
        """Where a look would wait for the device, the value turns NaN and reading it is the error."""
        metric = Accuracy()
        metric.update((torch.tensor([0, 1]), torch.tensor([0, 1])))
        metric._invalid = torch.tensor(True)

        assert math.isnan(metric._ratio().item())
        with pytest.raises(ValueError, match="must be zeros and ones"):
            metric.compute()

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_on_a_gpu_nothing_waits(self) -> None:
        """Neither an update nor a running value waits for the GPU; reading does, and finds wrong values."""
        engine = Engine(lambda engine, batch: batch)
        metric = Accuracy()
        metric.attach(engine, "accuracy", usage="running_batch_wise")
        batch = torch.tensor([0.0, 0.5], device="cuda"), torch.tensor([0, 1], device="cuda")
        torch.cuda.set_sync_debug_mode("error")
        try:
            value = engine.run([batch] * 3).metrics["accuracy"]
        finally:
            torch.cuda.set_sync_debug_mode("default")

        assert value.is_cuda
        assert math.isnan(value.item())
        with pytest.raises(ValueError, match="must be zeros and ones"):
            metric.compute()


def test_without_examples_there_is_no_accuracy() -> None:
    """Before an example was seen, and after a batch of none, there is nothing to compute."""
    with pytest.raises(NotComputableError, match="Accuracy has seen no example"):
        accuracy_of()
    with pytest.raises(NotComputableError, match="Accuracy has seen no example"):
        accuracy_of((torch.zeros(0, 3), torch.zeros(0)))


def test_a_loss_as_output_is_refused_with_a_remedy() -> None:
    """Attached to a trainer that returns its loss, the error says what to do."""
    engine = Engine(lambda engine, batch: 0.5)
    Accuracy().attach(engine, "accuracy")

    with pytest.raises(TypeError, match=r"output must be \(y_pred, y\) for Accuracy, got a float; choose the parts"):
        engine.run([1])


def test_lists_of_examples_are_counted_one_by_one() -> None:
    """Lists of tensors of different sizes, as segmentation gives, are one accuracy."""
    engine = Engine(lambda engine, batch: batch)
    Accuracy().attach(engine, "accuracy")
    y_pred = [torch.tensor([0, 1]), torch.tensor([1, 1, 1])]
    y = [torch.tensor([0, 0]), torch.tensor([1, 1, 0])]

    assert {"accuracy": 3 / 5} == engine.run([(y_pred, y)]).metrics


def test_a_saved_state_goes_on() -> None:
    """The counts are saved and go on where they were."""
    first, second = Accuracy(), Accuracy()
    first.update((torch.tensor([0, 1]), torch.tensor([0, 1])))

    second.load_state_dict(first.state_dict())
    second.update((torch.tensor([0, 1]), torch.tensor([1, 0])))

    assert 0.5 == second.compute()
    assert 1.0 == first.compute()
