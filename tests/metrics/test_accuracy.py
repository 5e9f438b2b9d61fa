"""Accuracy: binary, multiclass and multilabel."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from ignite_signals.engine import Engine
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import Accuracy
from ignite_signals.metrics.classification import Case, classify
from ignite_signals.metrics.device_value import device_value


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

        assert Case("multiclass", 3) == classify("", torch.zeros(4, 3, 2), y)
        assert Case("binary", 1) == classify("", torch.zeros(4, 1, 2), y)
        assert Case("binary", 1) == classify("", torch.zeros(4, 2), y)
        assert Case("multilabel", 2) == classify("", torch.zeros(4, 2), y, is_multilabel=True)

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
        with pytest.raises(ValueError, match="with C above 1 for Accuracy with is_multilabel=True"):
            accuracy_of((torch.zeros(shape), torch.zeros(shape)), is_multilabel=True)

    def test_lists_are_no_tensors(self) -> None:
        """update itself takes tensors; the error names what it got."""
        with pytest.raises(TypeError, match="y_pred and y must be tensors for Accuracy, got list and list"):
            accuracy_of(([0, 1], [0, 1]))

    def test_must_not_change_between_batches(self) -> None:
        """A binary batch after a multiclass one is an error."""
        metric = Accuracy()
        metric.update((torch.rand(2, 3), torch.tensor([0, 1])))

        with pytest.raises(RuntimeError, match="must stay multiclass until reset for Accuracy, got binary ones"):
            metric.update((torch.tensor([0, 1]), torch.tensor([0, 1])))

    def test_must_keep_its_classes_between_batches(self) -> None:
        """Another number of classes is an error."""
        metric = Accuracy()
        metric.update((torch.rand(2, 3), torch.tensor([0, 1])))

        with pytest.raises(ValueError, match="y_pred must keep 3 classes until reset for Accuracy, got 4"):
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
        with pytest.raises(
            ValueError, match=r"must be zeros and ones .* for Accuracy, .* round probabilities with output_transform"
        ):
            accuracy_of((torch.tensor(y_pred), torch.tensor(y)))

    @pytest.mark.parametrize(
        ("y_pred", "y"),
        [
            (torch.tensor([0.2, 0.8]), torch.tensor([0, 1])),
            (torch.eye(3), torch.tensor([0, 1, 3])),
            (torch.eye(3), torch.tensor([0, -100, 2])),
            (torch.eye(3), torch.tensor([0.0, 0.5, 2.0])),
            (torch.eye(3), torch.tensor([0.0, float("nan"), 2.0])),
        ],
        ids=["binary", "above", "below", "between", "nan"],
    )
    def test_are_told_when_the_window_closes(self, y_pred: torch.Tensor, y: torch.Tensor) -> None:
        """No update looks at values: `compute` tells, and a value that nobody reads is NaN."""
        metric = Accuracy()
        metric.update((y_pred, y))
        metric.update((y_pred, torch.zeros_like(y)))

        assert math.isnan(device_value(metric).item())
        with pytest.raises(ValueError, match="for Accuracy, got"):
            metric.compute()
        metric.reset()
        metric.update((y_pred.round(), torch.zeros_like(y)))
        assert metric.compute() >= 0

    def test_that_are_no_class_are_named(self) -> None:
        """The error says from where to where targets are, what they must be, and what to do."""
        with pytest.raises(
            ValueError, match=r"y must hold classes, whole numbers from 0 to 2, .* got some from -100 to 7; leave out"
        ):
            accuracy_of((torch.eye(3), torch.tensor([0, -100, 7])))

    @pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32, torch.float16, torch.float64, torch.bool])
    def test_targets_may_be_of_any_type(self, dtype: torch.dtype) -> None:
        """Classes are whole numbers, whatever holds them."""
        assert 2 / 3 == accuracy_of((torch.eye(2)[[0, 1, 1]], torch.tensor([0, 1, 0]).to(dtype)))

    def test_predictions_may_be_of_any_type(self) -> None:
        """Scores may be in half precision, whole numbers, or one of them true; the first of several maxima counts."""
        y = torch.tensor([0, 1, 0])
        for dtype in (torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool):
            assert 2 / 3 == accuracy_of((torch.eye(2)[[0, 1, 1]].to(dtype), y))
        for samples in (3, 300):
            assert 1.0 == accuracy_of((torch.zeros(samples, 5), torch.zeros(samples)))

    def test_complex_ones_are_refused(self) -> None:
        """What has no order has no largest score."""
        with pytest.raises(TypeError, match=r"must be real for Accuracy, got torch\.complex64"):
            accuracy_of((torch.zeros(2, 3, dtype=torch.complex64), torch.zeros(2)))

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
    with pytest.raises(NotComputableError, match="Accuracy has seen no sample"):
        accuracy_of()
    with pytest.raises(NotComputableError, match="Accuracy has seen no sample"):
        accuracy_of((torch.zeros(0, 3), torch.zeros(0)))


def test_a_loss_as_output_is_refused_with_a_remedy() -> None:
    """Attached to a trainer that returns its loss, the error says what to do."""
    engine = Engine(lambda engine, batch: 0.5)
    Accuracy().attach(engine, "accuracy")

    with pytest.raises(
        TypeError, match=r"output must be \(y_pred, y\) for Accuracy, got 0.5 of type float; choose the parts"
    ):
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


def test_a_refused_batch_leaves_the_others_alone() -> None:
    """A batch that was refused changes nothing for the next of the usual form."""
    metric = Accuracy()
    metric.update((torch.eye(3), torch.tensor([0, 1, 2])))
    with pytest.raises(ValueError, match="must keep 3 classes"):
        metric.update((torch.eye(4), torch.tensor([0, 1, 2, 3])))
    metric.update((torch.eye(3), torch.tensor([1, 1, 2])))

    assert 5 / 6 == metric.compute()


def test_a_loaded_state_keeps_its_number_of_classes() -> None:
    """What goes on from a saved state must have as many classes."""
    first, second = Accuracy(), Accuracy()
    first.update((torch.eye(3), torch.tensor([0, 1, 2])))
    second.load_state_dict(first.state_dict())

    with pytest.raises(ValueError, match="y_pred must keep 3 classes until reset for Accuracy, got Case"):
        second.update((torch.eye(4), torch.tensor([0, 1, 2, 3])))


def test_a_count_stays_exact_beyond_float32() -> None:
    """One more right prediction is seen beyond 2 ** 24, where float32 ends."""
    metric = Accuracy()
    metric.update((torch.tensor([1]), torch.tensor([1])))
    state = metric.state_dict()
    metric.load_state_dict({**state, "_num_correct": state["_num_correct"] + 2**24, "_num_examples": 2**25 + 1})
    metric.update((torch.tensor([1]), torch.tensor([1])))

    assert (2**24 + 2) / (2**25 + 2) == metric.compute()


def test_the_device_may_be_named() -> None:
    """Named, it is where the counts are, and the value is the same."""
    batch = torch.eye(3), torch.tensor([0, 1, 1])

    assert accuracy_of(batch) == accuracy_of(batch, device="cpu")
    assert accuracy_of((torch.eye(2), torch.eye(2))) == accuracy_of((torch.eye(2), torch.eye(2)), device="cpu")


@pytest.mark.parametrize(("device", "at"), [(None, "cuda"), ("cpu", "cpu")])
def test_predictions_targets_and_counts_may_be_apart(device: Any, at: str) -> None:
    """The counts are where the predictions are, or where it is said, wherever the targets are."""
    with FakeTensorMode():
        for shapes in (((5, 3), (5,)), ((5,), (5,))):
            metric = Accuracy(device=device)
            metric.update((torch.empty(shapes[0], device="cuda"), torch.empty(shapes[1], dtype=torch.int64)))
            assert {at} == {metric._num_correct.device.type, metric._lowest.device.type, metric._invalid.device.type}


class TestSequenceTransform:
    scores = torch.eye(4)[torch.tensor([[0, 1, 2], [3, 0, 0]])]
    targets = torch.tensor([[0, 1, 1], [3, -100, 9]])

    @pytest.mark.parametrize(
        ("ignored", "expected"), [((-100, 9), 3 / 4), ([-100, 9, 3], 2 / 3), (iter([-100, 9]), 3 / 4)]
    )
    def test_words_are_counted_one_by_one(self, ignored: Any, expected: float) -> None:
        """Sequences become words, without those whose target is to be ignored."""
        metric = Accuracy(Accuracy.get_sequence_transform(ignore_index=ignored))
        metric.take((self.scores, self.targets))

        assert expected == metric.compute()

    def test_it_gives_what_ignite_gives(self) -> None:
        """The words that remain are PyTorch-Ignite's, with one index, several or none."""
        theirs = pytest.importorskip("ignite.metrics").Accuracy
        for ignored in (None, -100, [-100, 9], 1):
            expected = theirs.get_sequence_transform(ignored)((self.scores, self.targets))
            actual = Accuracy.get_sequence_transform(ignored)((self.scores, self.targets))
            assert all(torch.equal(one, other) for one, other in zip(expected, actual, strict=True))

    def test_it_comes_after_another_transform(self) -> None:
        """What the engine's output is, its own `output_transform` says."""
        transform = Accuracy.get_sequence_transform(output_transform=lambda output: (output["scores"], output["y"]))
        y_pred, y = transform({"scores": self.scores, "y": self.targets})

        assert (6, 4) == y_pred.shape
        assert (6,) == y.shape

    def test_equal_ones_are_equal(self) -> None:
        """It is a value, so that metrics that have it share what they accumulate."""
        assert Accuracy.get_sequence_transform(0) == Accuracy.get_sequence_transform([0])
        assert Accuracy.get_sequence_transform(0) != Accuracy.get_sequence_transform(1)

    def test_other_shapes_are_named(self) -> None:
        """The error says both shapes."""
        with pytest.raises(ValueError, match=r"\(N, S, C\) .* got \(2, 3\) and \(2, 3\)"):
            Accuracy.get_sequence_transform()((self.targets, self.targets))
