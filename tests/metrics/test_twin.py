"""A twin of a metric shares nothing that changes."""

from __future__ import annotations

import io
import threading
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

from ignite_signals.metrics import Average, Loss, Metric, MetricsLambda
from ignite_signals.metrics.twin import twin


class Collecting(Metric):
    """Clear containers in place, as a metric of a user's may."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.by_name: dict[str, Any] = {"list": [1]}
        self.queue: deque[Any] = deque()
        self.total = torch.zeros(())
        self.inner = (Average(),)
        self.function: Callable[[Any], None] = self.add
        super().__init__()

    def add(self, output: Any) -> None:
        self.items.append(output)

    def reset(self) -> None:
        self.items.clear()
        self.queue.clear()
        self.by_name["list"].clear()
        self.total.zero_()
        self.inner[0].reset()

    def update(self, output: Any) -> None:
        self.function(output)
        self.queue.append(output)
        self.by_name["list"].append(output)
        self.total += output
        self.inner[0].update(output)

    def compute(self) -> Any:
        seen = len(self.items), len(self.queue), len(self.by_name["list"]), self.inner[0].num_examples
        return (*seen, self.total.item())


def test_a_twin_accumulates_for_itself() -> None:
    """Containers, tensors, metrics inside and bound methods all belong to the twin."""
    original = Collecting()
    original.update(5.0)

    other = twin(original)
    other.update(1.0)
    other.update(1.0)

    assert (1, 1, 1, 1, 5.0) == original.compute()
    assert (2, 2, 2, 2, 2.0) == other.compute()


def test_a_twin_starts_with_nothing() -> None:
    """What the original has seen is not the twin's."""
    original = Average()
    original.update(3.0)

    assert (1, 0) == (original.num_examples, twin(original).num_examples)


def test_a_twin_shares_functions_and_modules() -> None:
    """A loss module with parameters is the very same one, not a copy."""
    module = torch.nn.Bilinear(1, 1, 1)
    original = Loss(lambda y_pred, y: module(y_pred, y).mean())
    with_module = Loss(torch.nn.MSELoss())

    assert original._loss_fn is twin(original)._loss_fn
    assert with_module._loss_fn is twin(with_module)._loss_fn


class Holding(Average):
    """Hold what users hold: counters, arrays of numbers, objects of their own, a metric of torchmetrics."""

    def __init__(self) -> None:
        self.counter: Counter[str] = Counter()
        self.helper = Helper()
        self.model = torch.nn.Linear(1, 1)
        self.other = pytest.importorskip("torchmetrics").MeanMetric()
        self.file = io.StringIO()
        super().__init__()

    def reset(self) -> None:
        super().reset()
        self.counter.clear()
        self.helper.seen.clear()
        self.other.reset()

    def update(self, output: Any) -> None:
        super().update(output)
        self.counter["seen"] += 1
        self.helper.seen.append(output)
        self.other.update(output)


class Helper:
    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.model = torch.nn.Linear(1, 1)


def test_a_twin_copies_whatever_may_change() -> None:
    """Objects of a user's own are copied, and the models that they hold are not."""
    original = Holding()
    original.update(5.0)

    other = twin(original)
    other.update(1.0)

    assert ({"seen": 1}, [5.0], 5.0) == (original.counter, original.helper.seen, original.other.compute().item())
    assert ({"seen": 1}, [1.0], 1.0) == (other.counter, other.helper.seen, other.other.compute().item())
    assert original.model is other.model
    assert original.helper.model is other.helper.model


class Sharing(Holding):
    """Say what is shared."""

    shared_by_twins = ("helper",)


def test_a_class_says_what_its_twins_share() -> None:
    """What is named in `shared_by_twins` is the very same object."""
    original = Sharing()
    other = twin(original)

    assert original.helper is other.helper
    assert original.counter is not other.counter


class Circular(Metric):
    """Refer to itself, to one metric twice, and to its methods in containers."""

    required_output_keys = None

    def __init__(self) -> None:
        self.first, self.second = Average(), Average()
        self.parts = [self.first, self.second]
        self.me = self
        self.table = {"add": self.add}
        self.later = partial(self.add)
        super().__init__()

    def reset(self) -> None:
        self.seen = 0.0
        for part in self.parts:
            part.reset()

    def add(self, output: Any) -> None:
        self.seen += output

    def update(self, output: Any) -> None:
        self.table["add"](output)
        self.later(output)
        for part in self.parts:
            part.update(output)

    def compute(self) -> Any:
        return self.seen, self.first.compute().item() + self.second.compute().item()


def test_a_twin_refers_to_itself() -> None:
    """References inside a metric, in circles too, are references inside the twin."""
    original = Circular()
    original.update(5.0)

    other = twin(original)
    other.update(1.0)

    assert ((10.0, 10.0), (2.0, 2.0)) == (original.compute(), other.compute())
    assert (other, other.first) == (other.me, other.parts[0])


def test_a_tensor_with_a_history_is_copied_without_it() -> None:
    """Outputs that a metric keeps in a deque are not forgotten when a twin is reset."""

    class Buffered(Collecting):
        def update(self, output: Any) -> None:
            self.queue.append(output)

    original = Buffered()
    original.update(torch.ones((), requires_grad=True) * 2)

    assert (1, 0) == (len(original.queue), len(twin(original).queue))


def test_what_cannot_be_copied_is_told() -> None:
    """A lock cannot be copied; the error says what to do."""

    class Locked(Average):
        def __init__(self) -> None:
            self.lock = threading.Lock()
            super().__init__()

    with pytest.raises(TypeError, match=r"Locked\(\) cannot be copied for a further attachment.* shared_by_twins"):
        twin(Locked())


def test_an_expression_s_twin_uses_the_same_model() -> None:
    """A model among the arguments of a function is not copied."""
    model = torch.nn.Linear(1, 1)
    other = twin(MetricsLambda(lambda value, module: module, Average(), model))
    other.update(1.0)

    assert model is other.compute()
