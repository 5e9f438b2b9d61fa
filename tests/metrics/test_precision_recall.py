"""Precision and Recall: every kind and average, against scikit-learn and PyTorch-Ignite."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import Metric, MetricGroup, Precision, Recall
from ignite_signals.metrics.device_value import device_value

BOTH = pytest.mark.parametrize(("kind", "which"), [(Precision, 0), (Recall, 1)])
AVERAGES: list[Any] = [False, None, True, "macro", "micro", "weighted"]

# Types of predictions and of targets, in which zeros and ones, and small classes, are exact.
FLOATS = st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64])
TYPES = FLOATS | st.sampled_from([torch.int64, torch.int32, torch.uint8, torch.bool])


def value_of(metric: Metric, *batches: tuple[Tensor, Tensor]) -> Any:
    for batch in batches:
        metric.update(batch)
    return metric.compute()


def expected(which: int, y_pred: Tensor, y: Tensor, average: Any, classes: int, beta: float = 1.0) -> Any:
    """Return scikit-learn's value for all classes, whether they occur or not."""
    from sklearn.metrics import precision_recall_fscore_support

    averages = {False: None, True: "macro"}
    return precision_recall_fscore_support(
        y.long().numpy(),
        y_pred.long().numpy(),
        labels=list(range(classes)),
        average=averages.get(average, average),
        beta=beta,
        zero_division=0,
    )[which]


def check_equal(expected: Any, actual: Any) -> None:
    assert isinstance(actual, float) == (torch.as_tensor(expected).ndim == 0)
    actual, expected = (torch.as_tensor(value, dtype=torch.float64) for value in (actual, expected))
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-15)


def cut(draw: st.DrawFn, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
    """Cut tensors into batches, some of them empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(tensors[0])), max_size=3)))
    return list(zip(*(torch.tensor_split(tensor, cuts) for tensor in tensors), strict=True))


@st.composite
def multiclass(draw: st.DrawFn) -> tuple[Tensor, Tensor, int, list[Any]]:
    """Draw the best classes, targets, the number of classes, and batches of scores and targets."""
    classes, samples = draw(st.integers(2, 7)), draw(st.integers(1, 30))
    ints = st.lists(st.integers(0, draw(st.integers(0, classes - 1))), min_size=samples, max_size=samples)
    best, y = torch.tensor(draw(ints)), torch.tensor(draw(ints))
    scores = torch.nn.functional.one_hot(best, classes).to(draw(FLOATS)) * 3 - 1
    return best, y, classes, cut(draw, scores, y.to(draw(st.sampled_from([torch.int64, torch.int32, torch.float16]))))


@st.composite
def zeros_and_ones(draw: st.DrawFn, labels: int | None = None) -> tuple[Tensor, Tensor, list[Any]]:
    """Draw predictions, targets and batches of them, `(N,)` or `(N, labels)`, in any types."""
    samples = draw(st.integers(1, 30))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    shares = draw(st.tuples(*[st.sampled_from([0.0, 0.2, 0.5, 1.0])] * 2))
    shape = (samples,) if labels is None else (samples, labels)
    y_pred, y = ((torch.rand(shape, generator=generator) < share).to(draw(TYPES)) for share in shares)
    return y_pred, y, cut(draw, y_pred, y)


class TestAgainstScikitLearn:
    @BOTH
    @settings(deadline=None, max_examples=40)
    @given(data=multiclass(), average=st.sampled_from(AVERAGES))
    def test_multiclass(self, kind: Any, which: int, data: Any, average: Any) -> None:
        """Whatever occurs and however it is cut, the value is scikit-learn's, 0 where there is nothing."""
        best, y, classes, batches = data

        check_equal(expected(which, best, y, average, classes), value_of(kind(average=average), *batches))

    @BOTH
    @settings(deadline=None, max_examples=40)
    @given(data=zeros_and_ones(), average=st.sampled_from(AVERAGES))
    def test_binary(self, kind: Any, which: int, data: Any, average: Any) -> None:
        """The value is that of class 1, or with an average or None that of both."""
        y_pred, y, batches = data
        value = expected(which, y_pred, y, average, 2)

        check_equal(value[1] if average is False else value, value_of(kind(average=average), *batches))

    @BOTH
    @settings(deadline=None, max_examples=40)
    @given(data=zeros_and_ones(labels=3), average=st.sampled_from([*AVERAGES, "samples"]))
    def test_multilabel(self, kind: Any, which: int, data: Any, average: Any) -> None:
        """Labels are counted one by one, or those of a sample together."""
        y_pred, y, batches = data
        metric = kind(average=average, is_multilabel=True)

        check_equal(expected(which, y_pred, y, average, 3), value_of(metric, *batches))

    @BOTH
    def test_words_and_pixels(self, kind: Any, which: int) -> None:
        """Each position of more dimensions is a sample."""
        scores, y = torch.rand(4, 3, 5, 2), torch.randint(3, (4, 5, 2))
        best = scores.argmax(1)
        check_equal(expected(which, best.flatten(), y.flatten(), None, 3), value_of(kind(), (scores, y)))
        labels, targets = torch.rand(4, 3, 5, 2).round(), torch.rand(4, 3, 5, 2).round()
        flat = [values.movedim(1, -1).flatten(0, -2) for values in (labels, targets)]
        for average in ("samples", None):
            metric = kind(average=average, is_multilabel=True)
            check_equal(expected(which, *flat, average, 3), value_of(metric, (labels, targets)))


class TestAgainstIgnite:
    @BOTH
    @pytest.mark.filterwarnings("ignore:.*should be of dtype long:RuntimeWarning")
    @pytest.mark.parametrize(
        ("multilabel", "average"),
        [*((False, average) for average in AVERAGES), *((True, a) for a in (*AVERAGES, "samples"))],
    )
    def test_the_value_is_the_same(self, kind: Any, which: int, average: Any, multilabel: bool) -> None:
        """Each average of each kind is PyTorch-Ignite's."""
        theirs = getattr(pytest.importorskip("ignite.metrics"), kind.__name__)
        if multilabel:
            batches = [(torch.rand(8, 4).round(), torch.rand(8, 4).round()) for _ in range(2)]
        else:
            batches = [(torch.rand(8, 4), torch.randint(4, (8,))) for _ in range(2)]
        settings = {"average": average, "is_multilabel": multilabel}

        check_equal(value_of(theirs(**settings), *batches), value_of(kind(**settings), *batches))

    @BOTH
    @pytest.mark.parametrize("average", AVERAGES)
    @pytest.mark.parametrize("shapes", [((6,), (6,)), ((6, 1), (6,)), ((6, 2), (6, 2)), ((6, 1, 2), (6, 2))])
    def test_binary_data_of_any_shape(self, kind: Any, which: int, average: Any, shapes: Any) -> None:
        """The shapes of binary data that PyTorch-Ignite takes give its value."""
        theirs = getattr(pytest.importorskip("ignite.metrics"), kind.__name__)
        batch = tuple(torch.randint(2, shape) for shape in shapes)
        wanted = value_of(theirs(average=average), batch)

        check_equal(wanted.item() if average is False else wanted, value_of(kind(average=average), batch))


class TestSettings:
    @BOTH
    @pytest.mark.parametrize("average", ["binary", 1, "Macro"])
    def test_the_average_is_checked(self, kind: Any, which: int, average: Any) -> None:
        """The error says which averages there are."""
        with pytest.raises(ValueError, match=r"average must be None, a bool, or one of \('macro', .* got"):
            kind(average=average)

    @BOTH
    @pytest.mark.parametrize("y_pred", [torch.eye(3), torch.ones(3)], ids=["multiclass", "binary"])
    def test_samples_are_for_multilabel_data(self, kind: Any, which: int, y_pred: Tensor) -> None:
        """One label of a sample makes no precision of it."""
        with pytest.raises(ValueError, match=f"average='samples' of {kind.__name__} takes multilabel data only"):
            kind(average="samples").update((y_pred, torch.ones(3)))

    @BOTH
    def test_the_device_may_be_named(self, kind: Any, which: int) -> None:
        """Named, it is where the counts are, and the value is the same."""
        for batch in ((torch.eye(3), torch.tensor([0, 1, 1])), (torch.tensor([0, 1]), torch.tensor([1, 1]))):
            check_equal(value_of(kind(), batch), value_of(kind(device="cpu"), batch))

    @BOTH
    @pytest.mark.parametrize(("device", "at"), [(None, "cuda"), ("cpu", "cpu")])
    def test_predictions_targets_and_counts_may_be_apart(self, kind: Any, which: int, device: Any, at: str) -> None:
        """The counts are where the predictions are, or where it is said, wherever the targets are."""
        from torch._subclasses.fake_tensor import FakeTensorMode

        settings: dict[str, Any] = {"average": "samples", "is_multilabel": True}
        cases: list[Any] = [({}, (5, 3), (5,)), ({}, (5,), (5,)), (settings, (5, 3), (5, 3))]
        with FakeTensorMode():
            for kwargs, *shapes in cases:
                metric = kind(device=device, **kwargs)
                y_pred, y = (
                    torch.empty(shape, device=place) for shape, place in zip(shapes, ("cuda", "cpu"), strict=True)
                )
                metric.update((y_pred, y.long()))
                assert at == metric._counts.device.type


class TestBadInput:
    @BOTH
    @pytest.mark.parametrize("y", [[0, -1, 2], [0, 3, 2], [0, -100, 255], [0, 1.5, 2.0]])
    @pytest.mark.parametrize("average", [None, "micro"])
    def test_targets_that_are_no_class_are_told_once(self, kind: Any, which: int, y: Any, average: Any) -> None:
        """They index into no memory; `compute` names what is taken, and an unread value is NaN."""
        metric = kind(average=average)
        metric.update((torch.eye(3), torch.tensor(y)))

        assert device_value(metric).isnan().all()
        with pytest.raises(ValueError, match=rf"whole numbers from 0 to 2, for {kind.__name__}, got \d others; leave"):
            metric.compute()

    @BOTH
    @pytest.mark.parametrize(
        ("y_pred", "y"),
        [
            ([0.2, 0.8], [0, 1]),
            ([0, 1], [0, 2]),
            ([math.nan, 1], [0, 1]),
            ([-1, 1], [0, 1]),
            ([0.0, 1.0], [0.0, math.inf]),
            ([0, 1], [0.0, 1 + 1e-6]),
        ],
    )
    @pytest.mark.parametrize("labels", [False, True])
    def test_other_than_0_and_1_are_told_once(self, kind: Any, which: int, y_pred: Any, y: Any, labels: bool) -> None:
        """Probabilities that nobody rounded are an error, in one sample as in many."""
        batch = torch.tensor(y_pred), torch.tensor(y)
        metric = kind(is_multilabel=labels)
        metric.update(tuple(values[None] for values in batch) if labels else batch)

        assert device_value(metric).isnan().all()
        with pytest.raises(ValueError, match=f"must be zeros and ones .* for {kind.__name__}, .* round probabilities"):
            metric.compute()

    @BOTH
    @pytest.mark.parametrize("shapes", [((3, 2), (2,)), ((3, 2), (3, 2, 2)), ((3,), (4,)), ((3, 0), (3,))])
    def test_shapes_that_do_not_fit_are_named(self, kind: Any, which: int, shapes: Any) -> None:
        """The error says who refuses, and both shapes."""
        with pytest.raises(ValueError, match=rf"for {kind.__name__}, got y_pred \(3"):
            kind().update(tuple(torch.zeros(shape) for shape in shapes))

    @BOTH
    def test_the_kind_must_stay(self, kind: Any, which: int) -> None:
        """Neither the kind nor the number of classes may change until reset."""
        metric = kind()
        metric.update((torch.eye(3), torch.tensor([0, 1, 1])))

        with pytest.raises(RuntimeError, match=f"must stay multiclass until reset for {kind.__name__}"):
            metric.update((torch.ones(2), torch.ones(2)))
        with pytest.raises(ValueError, match=f"must keep 3 classes until reset for {kind.__name__}, got 4"):
            metric.update((torch.eye(4), torch.tensor([0, 1, 1, 1])))
        metric.reset()
        assert 1.0 == value_of(metric, (torch.ones(2), torch.ones(2)))

    @BOTH
    def test_a_loaded_state_keeps_its_form(self, kind: Any, which: int) -> None:
        """What goes on from a saved state must be of its kind: nothing is counted beyond it."""
        first, second = kind(), kind()
        first.update((torch.eye(3), torch.tensor([0, 1, 1])))
        second.load_state_dict(first.state_dict())

        with pytest.raises(ValueError, match=rf"{kind.__name__} has loaded, .* shape \(11,\), got some for \(17,\)"):
            second.update((torch.eye(5), torch.arange(5)))

    @BOTH
    def test_without_samples_there_is_no_value(self, kind: Any, which: int) -> None:
        """Before a sample was seen, and after a batch of none, there is nothing to compute."""
        metric = kind()
        metric.update((torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)))

        with pytest.raises(NotComputableError, match=f"{kind.__name__} has seen no sample"):
            metric.compute()


class TestSharing:
    def test_one_setting_is_accumulated_once(self) -> None:
        """Precision and recall of whatever averages, but that over samples, share one update and one state."""
        group = MetricGroup(
            {
                f"{kind.__name__}-{average}": kind(average=average)
                for kind in (Precision, Recall)
                for average in AVERAGES
            }
        )

        assert 1 == len(group._accumulating)

    def test_the_average_over_samples_is_accumulated_once_too(self) -> None:
        """Both of a sample's ratios are summed by one update."""
        settings: dict[str, Any] = {"average": "samples", "is_multilabel": True}
        group = MetricGroup({"p": Precision(**settings), "r": Recall(**settings), "q": Precision(is_multilabel=True)})
        batch = torch.tensor([[1, 0], [1, 1]]), torch.tensor([[1, 1], [1, 0]])
        group.update(batch)

        assert 2 == len(group._accumulating)
        values = group.compute()
        assert (0.75, 0.75) == (values["p"], values["r"])
        check_equal([1.0, 0.0], values["q"])

    def test_other_settings_are_accumulated_apart(self) -> None:
        """Labels, or another transform, are another accumulation."""
        metrics = [Precision(), Recall(is_multilabel=True), Recall(output_transform=lambda output: output)]

        assert 3 == len(MetricGroup(dict(zip("abc", metrics, strict=True)))._accumulating)


@BOTH
def test_memory_is_that_of_the_classes(kind: Any, which: int) -> None:
    """A language model's vocabulary of 50,000 words takes three numbers for each, no matrix of pairs."""
    metric = kind(average="macro")
    metric.update((torch.rand(2, 50_000), torch.tensor([1, 49_999])))

    assert 3 * 50_000 + 10 > sum(value.numel() for value in vars(metric).values() if isinstance(value, Tensor))


@BOTH
def test_counts_stay_exact_beyond_float32(kind: Any, which: int) -> None:
    """One more sample is seen beyond 2 ** 24, where float32 ends."""
    metric = kind()
    metric.update((torch.tensor([1]), torch.tensor([1])))
    state = metric.state_dict()
    metric.load_state_dict({**state, "_counts": torch.tensor([2**24, 2**25, 2**25]), "_num_examples": 2**26})
    metric.update((torch.tensor([1.0, 1.0]), torch.tensor([1, 0])))

    assert (2**24 + 1) / (2**25 + 2 - which) == metric.compute()


def test_more_positives_in_one_batch_than_float32_counts() -> None:
    """Beyond 2 ** 24 samples of one batch floats are counted as integers."""
    from ignite_signals.metrics.class_counts import _exact_sum

    assert torch.float32 is _exact_sum(torch.float16, 2**24)
    assert torch.int64 is _exact_sum(torch.float32, 2**24 + 1)
    assert _exact_sum(torch.float64, 2**30) is _exact_sum(torch.bool, 2**30) is None


@BOTH
def test_a_loaded_state_refuses_other_classes_however_often(kind: Any, which: int) -> None:
    """A batch that does not fit what was loaded is refused each time, and changes nothing."""
    metric, other = kind(), kind()
    metric.update((torch.eye(5), torch.arange(5)))
    other.load_state_dict(metric.state_dict())
    for _ in range(2):
        with pytest.raises(ValueError, match=f"number of classes of the state that {kind.__name__} has loaded"):
            other.update((torch.eye(3), torch.arange(3)))

    assert [1.0] * 5 == other.compute().tolist()
