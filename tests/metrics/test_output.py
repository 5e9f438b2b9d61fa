"""The forms of output that metrics take."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ignite_signals.engine import Engine
from ignite_signals.metrics import Metric
from ignite_signals.metrics.output import is_unrollable, parts, unroll


class Seen(Metric):
    """Return everything that `update` was called with."""

    def reset(self) -> None:
        self.seen: list[Any] = []

    def update(self, output: Any) -> None:
        self.seen.append(output)

    def compute(self) -> list[Any]:
        return self.seen


def seen(output: Any, metric: Seen | None = None) -> list[Any]:
    """Run one iteration with this output and return what the metric saw."""
    metric, engine = metric or Seen(), Engine(lambda engine, batch: batch)
    metric.attach(engine, "seen")
    result: list[Any] = engine.run([output]).metrics["seen"]
    return result


def test_lists_are_unrolled_into_batches_of_one() -> None:
    """Each pair of items is an update of its own, with a batch dimension."""
    output = ([torch.tensor([1, 2]), torch.tensor([3, 4])], [5, torch.tensor(6)])

    first, second = seen(output)

    assert ([[1, 2]], [5]) == tuple(part.tolist() for part in first)
    assert ([[3, 4]], [6]) == tuple(part.tolist() for part in second)


def test_lists_stay_whole_with_skip_unrolling() -> None:
    """A model with several outputs gets its lists as they are."""
    output = ([1, 2], [3, 4])

    assert [output] == seen(output, Seen(skip_unrolling=True))


@pytest.mark.parametrize(
    "output",
    [(1, 2), 3, (["a"], ["b"]), ([[1]], [[2]]), (torch.zeros(1), torch.zeros(1)), ([1], torch.zeros(1)), ()],
)
def test_other_outputs_stay_whole(output: Any) -> None:
    """Only sequences of lists of tensors or numbers are unrolled."""
    assert not is_unrollable(output)
    assert [output] == seen(output)


def test_empty_lists_give_no_update() -> None:
    """A batch without items is nothing to update with."""
    assert [] == seen(([], []))


def test_lists_of_different_lengths_are_refused() -> None:
    """Items that do not belong together are an error that says the lengths."""
    with pytest.raises(ValueError, match=r"the lists of an output must be of one length, got \[2, 1\]"):
        list(unroll(([1, 2], [3])))


def test_a_mapping_gives_the_required_keys_in_order() -> None:
    """The values of the required keys come as a tuple, others are left."""
    assert [(1, 2)] == seen({"y": 2, "x": 3, "y_pred": 1})


def test_other_keys_may_be_required() -> None:
    """A metric may want more, or other, keys."""
    metric = Seen()
    metric.required_output_keys = ("y_pred", "y", "x")

    assert [(1, 2, 3)] == seen({"y": 2, "x": 3, "y_pred": 1}, metric)


def test_a_missing_key_is_named() -> None:
    """The error says which key lacks, which there are and what to do."""
    with pytest.raises(ValueError, match=r"lacks \['y_pred'\], which Seen needs; it has \['y'\]; rename with"):
        seen({"y": 1})


def test_a_metric_without_keys_refuses_a_mapping() -> None:
    """A metric that takes no mapping says how to choose a value."""
    metric = Seen()
    metric.required_output_keys = None

    with pytest.raises(TypeError, match=r"Seen does not take a mapping, .*\['loss'\]; choose a value"):
        seen({"loss": 1}, metric)


def test_lists_in_a_mapping_are_unrolled_too() -> None:
    """A mapping of lists is as good as a pair of lists."""
    assert [(1, 3), (2, 4)] == [tuple(map(int, pair)) for pair in seen({"y_pred": [1, 2], "y": [3, 4]})]


@pytest.mark.parametrize(
    ("output", "got"), [(3.0, "3.0 of type float"), ((1, 2, 3), "a tuple of 3"), (torch.zeros(2, 1), "a Tensor")]
)
def test_parts_refuses_other_forms(output: Any, got: str) -> None:
    """What has not the parts is named, a tensor too, though it could be unpacked."""
    with pytest.raises(TypeError, match=rf"output must be \(y_pred, y\) for Seen, got {got}; choose the parts"):
        parts(Seen(), output, "(y_pred, y)", (2,))
