"""ClassificationReport: against scikit-learn and PyTorch-Ignite."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.engine import Engine
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import ClassificationReport

SCORES = torch.eye(3)[[0, 0, 1, 0]], torch.tensor([0, 1, 1, 0])


def report_of(*batches: Any, **kwargs: Any) -> Any:
    report = ClassificationReport(**{"output_dict": True, **kwargs})
    for batch in batches:
        report.update(batch)
    return report.compute()


def check_equal(
    expected: dict[str, dict[str, float]], actual: dict[str, dict[str, float]], keys: tuple[str, ...]
) -> None:
    assert set(keys) == {key for row in actual.values() for key in row}
    for label, row in actual.items():
        assert pytest.approx([expected[label][key] for key in keys], rel=1e-12, abs=1e-14) == [row[key] for key in keys]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(*[st.integers(0, 3)] * 2), min_size=1, max_size=30), st.integers(0, 30))
def test_multiclass_it_is_scikit_learns(pairs: list[tuple[int, int]], cut: int) -> None:
    """Each class that there is has a row, and the means are over all of them."""
    from sklearn.metrics import classification_report

    best, y = (torch.tensor(values) for values in zip(*pairs, strict=True))
    scores = torch.eye(4)[best]
    expected = classification_report(y, best, labels=list(range(4)), output_dict=True, zero_division=0)

    actual = report_of((scores[:cut], y[:cut]), (scores[cut:], y[cut:]))

    assert ["0", "1", "2", "3", "macro avg"] == list(actual)
    check_equal(expected, actual, ("precision", "recall", "f1-score"))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(*[st.integers(0, 1)] * 2), min_size=1, max_size=20))
def test_binary_it_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    """Binary data has the classes 0 and 1."""
    from sklearn.metrics import classification_report

    y_pred, y = (torch.tensor(values) for values in zip(*pairs, strict=True))
    expected = classification_report(y, y_pred, labels=[0, 1], output_dict=True, zero_division=0)

    check_equal(expected, report_of((y_pred, y)), ("precision", "recall", "f1-score"))


@pytest.mark.parametrize("beta", [1, 2])
@pytest.mark.parametrize("multilabel", [False, True])
def test_it_is_ignites(beta: int, multilabel: bool) -> None:
    """The keys, their order and the values are PyTorch-Ignite's."""
    theirs: Any = pytest.importorskip("ignite.metrics").ClassificationReport
    labels = ["a", "b", "c"]
    batch = torch.rand(9, 3).round(), torch.rand(9, 3).round() if multilabel else torch.randint(3, (9,))
    kwargs: dict[str, Any] = {"beta": beta, "is_multilabel": multilabel, "output_dict": True, "labels": labels}
    other = theirs(**kwargs)
    other.update(batch)
    expected, actual = other.compute(), report_of(batch, **kwargs)

    assert [(label, list(row)) for label, row in expected.items()] == [(key, list(row)) for key, row in actual.items()]
    check_equal(expected, actual, ("precision", "recall", f"f{beta}-score"))


def test_as_text_it_is_json() -> None:
    """By default the value is text, of the same numbers."""
    text = report_of(SCORES, output_dict=False)

    assert isinstance(text, str)
    assert report_of(SCORES) == json.loads(text)


def test_an_engine_writes_each_class() -> None:
    """Attached, the dict is written by its keys and as a whole, or as `metrics_result_mode` says."""
    for mode, keys in (("both", {"cat", "dog", "macro avg", "report"}), ("named", {"report"})):
        engine = Engine(lambda engine, batch: (batch["scores"], batch["y"]))
        report: Any = ClassificationReport(output_dict=True, labels=["cat", "dog"], metrics_result_mode=mode)  # type: ignore[arg-type]
        report.attach(engine, "report")
        metrics = engine.run([{"scores": torch.eye(2)[[0, 1]], "y": torch.tensor([0, 0])}]).metrics

        assert keys == set(metrics)
        assert {"precision": 1.0, "recall": 0.5, "f1-score": 2 / 3} == metrics["report"]["cat"]


def test_it_is_updated_once() -> None:
    """Precision, recall and score share what they count."""
    assert 1 == len(ClassificationReport()._accumulating)


def test_its_settings_reach_its_parts() -> None:
    """A transform, and a device by its name, are those of precision and recall."""
    engine = Engine(lambda engine, batch: batch)
    ClassificationReport(2, True, lambda output: output["both"], "cpu").attach(engine, "report")

    assert 1.0 == engine.run([{"both": (torch.eye(2), torch.tensor([0, 1]))}]).metrics["report"]["0"]["f2-score"]


class TestBadInput:
    def test_labels_are_distinct(self) -> None:
        """Two classes of one name would be one row."""
        with pytest.raises(ValueError, match=r"labels must be distinct, got \('a', 'a'\)"):
            ClassificationReport(labels=["a", "a"])

    @pytest.mark.parametrize("labels", [["a", "b"], ["a", "b", "c", "d"]])
    def test_labels_name_each_class(self, labels: list[str]) -> None:
        """Too few or too many are an error, which says how many classes there are."""
        with pytest.raises(ValueError, match=f"each of the 3 classes for ClassificationReport, got {len(labels)}"):
            report_of(SCORES, labels=labels)

    def test_beta_is_positive(self) -> None:
        """The error says what it got."""
        with pytest.raises(ValueError, match="beta must be a positive number, got 0"):
            ClassificationReport(0)

    def test_values_are_checked(self) -> None:
        """What precision and recall refuse is told."""
        with pytest.raises(ValueError, match="whole numbers from 0 to 2, for Precision"):
            report_of((torch.eye(3), torch.tensor([0, 1, 3])))

    def test_without_samples_there_is_no_report(self) -> None:
        """The error names the part that has seen nothing."""
        with pytest.raises(NotComputableError, match="has seen no sample"):
            report_of()


def test_it_can_be_pickled() -> None:
    """A copy goes on with what was seen."""
    report = ClassificationReport(labels=["a", "b", "c"])
    report.update(SCORES)

    assert report.compute() == pickle.loads(pickle.dumps(report)).compute()
