"""ConcatScheduler lets schedulers follow one another."""

from __future__ import annotations

import copy
import re
import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import ExponentialLR, LinearLR, SequentialLR, StepLR

from ignite_signals.engine import Engine
from ignite_signals.handlers.param_scheduler import (
    ConcatScheduler,
    CosineAnnealingScheduler,
    LinearCyclicalScheduler,
    LRScheduler,
    ParamGroupScheduler,
    ParamScheduler,
    PiecewiseLinear,
)
from support.copying import every_copy
from support.schedules import called, optimizer, rates


def linear(sgd: Any, **arguments: Any) -> LinearCyclicalScheduler:
    return LinearCyclicalScheduler(sgd, "lr", 0.0, 1.0, 6, **arguments)


def cosine(sgd: Any, **arguments: Any) -> CosineAnnealingScheduler:
    return CosineAnnealingScheduler(sgd, "lr", 1.0, 0.2, 5, **arguments)


def steps(sgd: Any) -> LRScheduler:
    return LRScheduler(StepLR(sgd, 3, 0.5))


def joined(*parts: list[float]) -> list[float]:
    return [value for part in parts for value in part]


def test_each_part_begins_at_its_own_start():
    """The last one goes on for ever."""
    sgd = optimizer()
    first, second = linear(sgd), cosine(sgd)
    expected = joined(called(linear(optimizer()), 4), called(cosine(optimizer()), 300))
    assert expected == called(ConcatScheduler([first, second], [4]), 304)


def test_parts_of_no_duration_are_passed_over():
    """Such as a warm-up that is configured away."""
    sgd = optimizer()
    scheduler = ConcatScheduler([linear(sgd), linear(sgd), cosine(sgd)], [0, 0])
    assert called(cosine(optimizer()), 9) == called(scheduler, 9)


def test_concatenations_are_concatenated():
    """A part may be one, twice over."""

    def make(sgd: Any) -> Any:
        inner = ConcatScheduler([cosine(sgd), linear(sgd)], [3])
        return ConcatScheduler([linear(sgd), ConcatScheduler([inner, cosine(sgd)], [7]), linear(sgd)], [4, 9])

    one, other = (called(part(optimizer()), 60) for part in (linear, cosine))
    expected = joined(one[:4], other[:3], one[:4], other[:2], one[:31])
    assert expected == called(make(optimizer()), 44)


def test_one_scheduler_may_be_several_parts():
    """It begins anew each time."""
    sgd = optimizer()
    again = cosine(sgd)
    expected = joined(called(cosine(optimizer()), 3), called(cosine(optimizer()), 9))
    assert expected == called(ConcatScheduler([again, again], [3]), 12)


@settings(deadline=None)
@given(durations=st.lists(st.integers(1, 20), min_size=1, max_size=4))
def test_values_are_ignites(durations):
    """For any durations."""
    ignite = pytest.importorskip("ignite.handlers.param_scheduler")

    def make(module: Any) -> Any:
        sgd = optimizer()
        kinds = ["LinearCyclicalScheduler", "CosineAnnealingScheduler"]
        parts = [
            getattr(module, kinds[number % 2])(sgd, "lr", 0.1 * number, 1.0, 4 + number)
            for number in range(len(durations) + 1)
        ]
        return module.ConcatScheduler(parts, durations)

    from ignite_signals.handlers import param_scheduler

    assert called(make(ignite), 120) == pytest.approx(called(make(param_scheduler), 120), abs=1e-12)


def test_it_is_torchs_sequential_lr():
    """A linear warm-up, then steps."""
    sgd = optimizer(0.8)
    sequence = SequentialLR(sgd, [LinearLR(sgd, 0.25, 1.0, total_iters=10), StepLR(sgd, 7, 0.5)], milestones=[10])
    expected = []
    for _ in range(200):
        expected += rates(sgd)
        sgd.step()
        sequence.step()
    ours = optimizer(0.8)
    ramp = PiecewiseLinear(ours, "lr", [(0, 0.2), (10, 0.8)])
    assert expected == pytest.approx(called(ConcatScheduler([ramp, LRScheduler(StepLR(ours, 7, 0.5))], [10]), 200))


def test_torchs_scheduler_begins_at_its_first_rate():
    """Whatever was set before, though it makes each rate of the one that it finds."""
    sgd = optimizer(0.8)
    scheduler = ConcatScheduler([linear(sgd), LRScheduler(ExponentialLR(sgd, 0.5))], [3])
    assert [0.8, 0.4, 0.2, 0.1] == pytest.approx(called(scheduler, 7)[3:])


def test_get_param_tells_what_the_next_call_sets_and_changes_nothing():
    """Also where the next part begins, and in torch's."""
    sgd = optimizer(0.8)
    scheduler = ConcatScheduler([linear(sgd), LRScheduler(ExponentialLR(sgd, 0.5)), cosine(sgd)], [3, 4])
    for _ in range(12):
        before = rates(sgd)
        told = scheduler.get_param()
        assert before == rates(sgd)
        scheduler(None)
        assert [told] == rates(sgd)


def test_a_part_may_set_one_group_and_the_next_all():
    """Each sets its own."""
    sgd = optimizer(0.1, 0.2)
    scheduler = ConcatScheduler([linear(sgd, param_group_index=1), cosine(sgd)], [2])
    seen = []
    for _ in range(3):
        scheduler(None)
        seen.append(rates(sgd))
    assert [[0.1, 0.0], [0.1, pytest.approx(1 / 3)], [1.0, 1.0]] == seen
    assert sgd.param_groups == scheduler.optimizer_param_groups


def test_what_a_part_does_when_it_is_called_is_done():
    """A scheduler of a user may do more than set a value."""

    class Noisy(PiecewiseLinear):
        calls = 0

        def __call__(self, engine: Engine | None, name: str | None = None) -> None:
            type(self).calls += 1
            super().__call__(engine, name)

    sgd = optimizer()
    called(ConcatScheduler([linear(sgd), Noisy(sgd, "lr", [(0, 1.0)])], [2]), 5)
    assert 3 == Noisy.calls


PARTS = {
    "linear, cosine": lambda sgd: [linear(sgd), cosine(sgd)],
    "torch's last": lambda sgd: [linear(sgd), steps(sgd)],
    "torch's first": lambda sgd: [LRScheduler(ExponentialLR(sgd, 0.9)), cosine(sgd)],
    "a concatenation": lambda sgd: [ConcatScheduler([linear(sgd), steps(sgd)], [2]), cosine(sgd)],
    "a group": lambda sgd: [ParamGroupScheduler([linear(sgd, param_group_index=0)]), cosine(sgd)],
}


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_a_state_is_taken_up_at_every_count(parts):
    """The rest of the values is the same."""

    def make() -> tuple[Any, Any]:
        sgd = optimizer()
        return ConcatScheduler(parts(sgd), [6]), sgd

    expected = called(make()[0], 30)
    for count in range(30):
        (before, sgd), (after, other) = make(), make()
        called(before, count)
        other.load_state_dict(sgd.state_dict())
        after.load_state_dict(before.state_dict())
        assert expected[count:] == pytest.approx(called(after, 30 - count), abs=1e-15)


def test_ignites_states_are_taken_up_at_every_count():
    """It saves what is left of the present part."""
    ignite = pytest.importorskip("ignite.handlers.param_scheduler")
    from ignite_signals.handlers import param_scheduler

    def make(module: Any) -> Any:
        sgd = optimizer()
        parts = [
            module.LinearCyclicalScheduler(sgd, "lr", 0.0, 1.0, 6),
            module.CosineAnnealingScheduler(sgd, "lr", 1.0, 0.2, 5),
            module.PiecewiseLinear(sgd, "lr", [(0, 0.5), (7, 0.0)]),
        ]
        return module.ConcatScheduler(parts, [4, 9])

    expected = called(make(ignite), 40)
    for count in range(30):
        theirs, ours = make(ignite), make(param_scheduler)
        called(theirs, count)
        ours.load_state_dict(theirs.state_dict())
        assert expected[count:] == pytest.approx(called(ours, 40 - count), abs=1e-12)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda state: state.pop("schedulers"), ValueError, "state_dict must have 'schedulers', got ['event_index']"),
        (
            lambda state: state["schedulers"].pop(),
            ValueError,
            "state_dict['schedulers'] must have the states of 2 schedulers, got 1",
        ),
        (
            lambda state: state.update(schedulers=5),
            TypeError,
            "state_dict['schedulers'] must be a list or tuple of states of schedulers, got 5",
        ),
        (
            lambda state: state.update(event_index=-1),
            ValueError,
            "state_dict['event_index'] must be an integer of at least 0, got -1",
        ),
        (lambda state: state["schedulers"][1].clear(), ValueError, "state_dict must have 'event_index', got []"),
    ],
)
def test_wrong_states_are_refused(change, error, message):
    """Nothing is changed, in no part."""
    sgd = optimizer()
    scheduler = ConcatScheduler([linear(sgd), cosine(sgd)], [4])
    state = scheduler.state_dict()
    called(scheduler, 7)
    before = copy.deepcopy(scheduler.state_dict())
    change(state)
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        scheduler.load_state_dict(state)
    assert before == scheduler.state_dict()


def everything(sgd: Any, *schedulers: Any) -> Any:
    """Return all that a simulation could disturb."""
    scheduler_states = [copy.deepcopy(scheduler.state_dict()) for scheduler in schedulers]
    torchs = [dict(each.lr_scheduler.state_dict()) for each in schedulers if isinstance(each, LRScheduler)]
    parameters = [id(parameter) for group in sgd.param_groups for parameter in group["params"]]
    flags = [each.save_history for each in schedulers]
    return copy.deepcopy((scheduler_states, torchs, sgd.state_dict(), parameters, sorted(vars(sgd)), flags))


@pytest.mark.parametrize("done", [0, 2, 5])
def test_simulating_leaves_everything_as_it_was(done):
    """Schedulers, optimizer and torch's schedulers, also after some events, and their `save_history`."""
    sgd = optimizer(0.1, 0.2, momentum=0.9)
    parts = [linear(sgd, save_history=True), LRScheduler(ExponentialLR(sgd, 0.5)), cosine(sgd)]
    for part in parts:
        called(part, done)
    before = everything(sgd, *parts)
    rows = ConcatScheduler.simulate_values(12, schedulers=parts, durations=[3, 4])
    assert before == everything(sgd, *parts)
    assert [0, 0.0, 0.0] == rows[0]


def test_simulating_gives_the_values_of_a_training():
    """Of each group, and of each parameter that is named."""
    sgd = optimizer(0.1, 0.2, momentum=0.9)
    parts = [linear(sgd), LRScheduler(ExponentialLR(sgd, 0.5))]
    rows = ConcatScheduler.simulate_values(8, parts, [3], param_names=["lr", "momentum"])
    expected = called(ConcatScheduler(parts, [3]), 8)
    assert expected == [row[1:3] for row in rows]
    assert [[0.9, 0.9]] * 8 == [row[3:] for row in rows]


def test_simulated_rows_are_of_one_length():
    """Where parts set different groups, each row has the values of all that any sets."""
    sgd = optimizer(0.1, 0.2)
    parts = [linear(sgd, param_group_index=1), cosine(sgd)]
    assert [[0, 0.0, 0.1], [1, 1.0, 1.0]] == ConcatScheduler.simulate_values(2, parts, [1])


def test_simulating_copies_no_model():
    """What is optimized may be as large as the memory."""

    class Uncopied(torch.nn.Parameter):
        def __deepcopy__(self, memo: Any) -> Any:
            raise AssertionError("copied")

    sgd = torch.optim.SGD([Uncopied(torch.zeros(1))], lr=0.1)
    parts = [linear(sgd), LRScheduler(StepLR(sgd, 2))]
    assert 4 == len(ConcatScheduler.simulate_values(4, parts, [2]))


def test_plotting_draws_a_line_for_each_group():
    """With its name."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    figure = pyplot.figure()
    sgd = optimizer(0.1, 0.2)
    lines = ConcatScheduler.plot_values(9, schedulers=[linear(sgd), steps(sgd)], durations=[4])
    assert ["lr, group 0", "lr, group 1"] == [line.get_label() for line in lines]
    assert 0.2 == pytest.approx(lines[1].get_ydata()[4])
    pyplot.close(figure)


@every_copy
def test_a_copy_goes_on(copied):
    """With parts of its own."""
    sgd = optimizer()
    scheduler = ConcatScheduler([linear(sgd), cosine(sgd)], [4])
    called(scheduler, 3)
    other = copied(scheduler)
    assert called(scheduler, 9) == called(other, 9)


def test_repr_shows_the_parts():
    """With their counts."""
    sgd = optimizer()
    scheduler = ConcatScheduler([linear(sgd), PiecewiseLinear(sgd, "lr", [(0, 1)])], [4])
    called(scheduler, 5)
    assert (
        "ConcatScheduler('lr', schedulers=[LinearCyclicalScheduler('lr', start_value=0.0, end_value=1.0, cycle_size=6, "
        "count=4), PiecewiseLinear('lr', milestones_values=[(0, 1.0)], count=1)], durations=[4], count=5)"
    ) == repr(scheduler)


SGD, OTHER = optimizer(momentum=0.9), optimizer()
A, B = linear(SGD), cosine(SGD)
MESSAGES: dict[str, tuple[type[Exception], tuple[Any, ...]]] = {
    "schedulers must be a list or tuple of parameter schedulers, got 5": (TypeError, (5, [1])),
    "schedulers must be at least 2, got 1": (ValueError, ([A], [])),
    "schedulers[1] must be a parameter scheduler of an optimizer, got 'cosine'": (TypeError, ([A, "cosine"], [1])),
    "durations must be a list or tuple of integers, got 5": (TypeError, ([A, B], 5)),
    "durations must be one less than the 2 schedulers, got 2: [1, 2]": (ValueError, ([A, B], [1, 2])),
    "durations must be one less than the 2 schedulers, got 0: []": (ValueError, ([A, B], [])),
    "durations[0] must be an integer of at least 0, got 1.5": (ValueError, ([A, B], [1.5])),
    "durations[1] must be an integer of at least 0, got -1": (ValueError, ([A, B, A], [1, -1])),
    "schedulers must be of one optimizer, got 2": (ValueError, ([A, linear(OTHER)], [1])),
    "schedulers must be of one parameter, got 'lr', 'momentum'": (
        ValueError,
        ([A, PiecewiseLinear(SGD, "momentum", [(0, 1.0)])], [1]),
    ),
}


@pytest.mark.parametrize("message", MESSAGES)
def test_wrong_arguments_are_refused(message):
    """The error names the argument and the value, in a simulation too."""
    error, arguments = MESSAGES[message]
    for make in (ConcatScheduler, lambda *given: ConcatScheduler.simulate_values(3, *given)):
        with pytest.raises(error, match=f"^{re.escape(message)}$"):
            make(*arguments)


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ("lr", TypeError, "param_names must be a list or tuple of names, got 'lr'"),
        ([1], ValueError, "param_names must be names of parameters, got 1"),
    ],
)
def test_wrong_names_are_refused(names, error, message):
    """The error names the argument and the value."""
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        ConcatScheduler.simulate_values(3, [A, B], [1], names)


def test_no_order_of_steps_is_complained_of():
    """Torch warns of a scheduler that makes a step before the optimizer, which is not the case."""
    sgd = optimizer()
    scheduler = ConcatScheduler([linear(sgd), steps(sgd)], [2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 9 == len(called(scheduler, 9))
        assert isinstance(scheduler, ParamScheduler)
