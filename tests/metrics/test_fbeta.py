"""Fbeta: against scikit-learn and PyTorch-Ignite."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.engine import Engine
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import Fbeta, MetricsLambda, Precision, Recall, RunningAverage

Y_PRED, Y = torch.eye(3)[[0, 0, 1, 0]], torch.tensor([0, 1, 1, 0])


def value_of(metric: Any, *batches: Any) -> Any:
    for batch in batches:
        metric.update(batch)
    return metric.compute()


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(*[st.integers(0, 3)] * 2), min_size=1, max_size=30),
    st.sampled_from([0.3, 1, 2.5]),
    st.booleans(),
    st.integers(0, 30),
)
def test_it_is_scikit_learns(pairs: list[tuple[int, int]], beta: float, average: bool, cut: int) -> None:
    """For each class or averaged, with classes that never occur, the value is scikit-learn's."""
    from sklearn.metrics import fbeta_score

    best, y = (torch.tensor(values) for values in zip(*pairs, strict=True))
    scores = torch.eye(4)[best]
    batches = [(scores[:cut], y[:cut]), (scores[cut:], y[cut:])]
    expected = fbeta_score(
        y, best, beta=beta, average="macro" if average else None, labels=list(range(4)), zero_division=0
    )

    actual = value_of(Fbeta(beta, average=average), *batches)

    assert average == isinstance(actual, float)
    both = (torch.as_tensor(value, dtype=torch.float64) for value in (actual, expected))
    torch.testing.assert_close(*both, rtol=1e-12, atol=0)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(*[st.integers(0, 1)] * 2), min_size=1, max_size=20), st.sampled_from([0.5, 1.0, 2.0]))
def test_of_binary_data_it_is_that_of_class_1(pairs: list[tuple[int, int]], beta: float) -> None:
    """There is nothing to average, so the value is a number either way."""
    from sklearn.metrics import fbeta_score

    y_pred, y = (torch.tensor(values) for values in zip(*pairs, strict=True))
    expected = pytest.approx(float(fbeta_score(y, y_pred, beta=beta, zero_division=0)), rel=1e-12)

    assert expected == value_of(Fbeta(beta), (y_pred, y))
    assert expected == value_of(Fbeta(beta, average=False), (y_pred, y))


@pytest.mark.parametrize("average", [False, True])
def test_it_is_ignites(average: bool) -> None:
    """The value is PyTorch-Ignite's, up to the 1e-15 which that adds to the denominator."""
    theirs = pytest.importorskip("ignite.metrics").Fbeta(2.0, average=average)
    batches = [(torch.rand(9, 4), torch.randint(4, (9,))) for _ in range(2)]
    expected, actual = value_of(theirs, *batches), value_of(Fbeta(2.0, average=average), *batches)

    torch.testing.assert_close(torch.as_tensor(actual), torch.as_tensor(expected), rtol=1e-12, atol=1e-14)


class TestParts:
    def test_it_is_an_expression_that_is_updated_once(self) -> None:
        """Precision and recall share what they count, and go on in other expressions."""
        f1 = Fbeta(1)

        assert MetricsLambda is type(f1)
        assert 1 == len(f1._accumulating)
        assert 1 == len((f1 + Precision() * 0).mean()._accumulating)

    def test_they_may_be_passed(self) -> None:
        """What they are computed of is left alone."""
        precision, recall = Precision(average=False), Recall(average=False)
        f1 = Fbeta(1, average=False, precision=precision, recall=recall)

        assert pytest.approx([0.8, 2 / 3, 0.0]) == value_of(f1, (Y_PRED, Y)).tolist()
        with pytest.raises(NotComputableError):
            precision.compute()

    @pytest.mark.parametrize("given_part", ["precision", "recall"])
    def test_the_other_one_is_like_that_which_is_passed(self, given_part: str) -> None:
        """One with labels, a transform and both classes makes the other one such, too."""
        batch = {"p": torch.tensor([[1, 0], [1, 1]]), "t": torch.tensor([[1, 1], [1, 0]])}
        part = (Precision if given_part == "precision" else Recall)(
            lambda output: (output["p"], output["t"]), average=None, is_multilabel=True, device="cpu"
        )
        f1: Any = Fbeta(1, **{given_part: part})
        engine = Engine(lambda engine, batch: batch)
        f1.attach(engine, "f1")

        assert 0.5 == engine.run([batch]).metrics["f1"]
        assert 1 == len(f1._accumulating)

    def test_both_classes_of_binary_data(self) -> None:
        """With `average=None` binary data has two classes."""
        f1 = Fbeta(1, average=False, precision=Precision(average=None))

        assert (
            pytest.approx([2 / 3, 0.8])
            == value_of(f1, (torch.tensor([0, 1, 1, 1]), torch.tensor([0, 1, 1, 0]))).tolist()
        )

    def test_they_must_fit(self) -> None:
        """One for class 1 and one for both classes make no score."""
        f1 = Fbeta(1, precision=Precision(average=None), recall=Recall(average=False))

        with pytest.raises(ValueError, match=r"one number of classes for Fbeta, .* give both the same average"):
            value_of(f1, (torch.tensor([0, 1]), torch.tensor([0, 1])))


class TestArguments:
    @pytest.mark.parametrize("beta", [0, -1, float("nan"), float("inf"), "1"])
    def test_beta_is_positive(self, beta: Any) -> None:
        """The error says what it got."""
        with pytest.raises(ValueError, match="beta must be a positive number, got"):
            Fbeta(beta)

    @pytest.mark.parametrize("name", ["precision", "recall"])
    def test_a_part_is_not_averaged(self, name: str) -> None:
        """The score of means is not the mean of scores."""
        part = (Precision if name == "precision" else Recall)(average="macro")
        with pytest.raises(ValueError, match=f"{name} must have average=False or average=None, got average='macro'"):
            Fbeta(1, **{name: part})  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", ["precision", "recall"])
    @pytest.mark.parametrize("other", [{"output_transform": lambda output: output}, {"device": "cpu"}])
    def test_a_part_has_its_own_settings(self, name: str, other: dict[str, Any]) -> None:
        """What would not be used is refused."""
        part = (Precision if name == "precision" else Recall)()
        with pytest.raises(ValueError, match=f"must not be passed together with {name}, got"):
            Fbeta(1, **{name: part}, **other)

    def test_a_part_is_what_it_is_called(self) -> None:
        """A recall for a precision is refused."""
        with pytest.raises(TypeError, match="precision must be a Precision, got"):
            Fbeta(1, precision=Recall())  # type: ignore[arg-type]

    def test_the_transform_is_used(self) -> None:
        """Both parts take in what it makes of the output."""
        engine = Engine(lambda engine, batch: batch)
        Fbeta(1, output_transform=lambda output: (output[1], output[0]), device="cpu").attach(engine, "f1")

        assert pytest.approx(0.4889, abs=1e-4) == engine.run([(Y, Y_PRED)]).metrics["f1"]


def test_without_samples_there_is_no_value() -> None:
    """The error names the part that has seen nothing."""
    with pytest.raises(NotComputableError, match="Precision has seen no sample"):
        Fbeta(1).compute()


def test_it_can_be_pickled() -> None:
    """A copy goes on with what was seen."""
    f1 = Fbeta(1)
    f1.update((Y_PRED, Y))

    assert f1.compute() == pickle.loads(pickle.dumps(f1)).compute()


def test_a_running_average_of_it() -> None:
    """It may be averaged over the batches, as any metric."""
    engine = Engine(lambda engine, batch: batch)
    RunningAverage(Fbeta(1)).attach(engine, "f1")

    assert pytest.approx(f1_of_the_batch(), abs=1e-6) == float(engine.run([(Y_PRED, Y)] * 2).metrics["f1"])


def f1_of_the_batch() -> float:
    return float(value_of(Fbeta(1), (Y_PRED, Y)))
