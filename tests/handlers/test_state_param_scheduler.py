"""State schedulers give a value on the engine's state its next value at each event."""

from __future__ import annotations

import bisect
import copy
import gc
import io
import operator
import pickle
import re
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.engine import Engine, Events, State
from ignite_signals.handlers import state_param_scheduler as schedulers
from ignite_signals.handlers.state_param_scheduler import (
    ExpStateScheduler,
    LambdaStateScheduler,
    MultiStepStateScheduler,
    PiecewiseLinearStateScheduler,
    StateParamScheduler,
    StepStateScheduler,
)

LENGTH = 300
MILESTONES = [(3, 1.0), (10, 0.5), (10, 0.25), (200, 7.0)]


def ninth(count: int) -> float:
    """Return a value that comes again."""
    return 0.9 ** (count % 9)


def on_a_line(count: int) -> float:
    """Return the value on the lines between MILESTONES."""
    later = bisect.bisect_right(MILESTONES, count, key=operator.itemgetter(0))
    if later in (0, len(MILESTONES)):
        return MILESTONES[0 if later == 0 else -1][1]
    (begin, start), (end, stop) = MILESTONES[later - 1], MILESTONES[later]
    return start + (stop - start) * (count - begin) / (end - begin)


# A class, the arguments that it is made with, and the formula.
Case = tuple[type[StateParamScheduler], dict[str, Any], Callable[[int], float]]
CASES: dict[str, Case] = {
    "lambda": (LambdaStateScheduler, {"lambda_obj": ninth}, ninth),
    "piecewise": (PiecewiseLinearStateScheduler, {"milestones_values": MILESTONES}, on_a_line),
    "exp": (ExpStateScheduler, {"initial_value": 10, "gamma": 0.99}, lambda n: 10 * 0.99**n),
    "step": (StepStateScheduler, {"initial_value": 10, "gamma": 0.9, "step_size": 7}, lambda n: 10 * 0.9 ** (n // 7)),
    "multi-step": (
        MultiStepStateScheduler,
        {"initial_value": 10, "gamma": 0.9, "milestones": [3, 6, 6, 100]},
        lambda n: 10 * 0.9 ** ((n >= 3) + 2 * (n >= 6) + (n >= 100)),
    ),
}
every_case = pytest.mark.parametrize("case", CASES)


def make(case: str, **options: Any) -> StateParamScheduler:
    """Return the scheduler of a case, which sets `state.value`."""
    kind, arguments, _ = CASES[case]
    return kind(**{"param_name": "value", "create_new": True, **arguments, **options})


def nothing(engine: Engine, batch: Any) -> None:
    """Do nothing, as a step."""


class Training:
    """A training with a scheduler, whose step notes the value that it finds."""

    def __init__(self, case: str, event: Any = Events.ITERATION_COMPLETED, **options: Any) -> None:
        self.seen: list[Any] = []
        self.engine = Engine(lambda engine, batch: self.seen.append(engine.state.value))
        self.scheduler = make(case, **options)
        self.scheduler.attach(self.engine, event)


@every_case
def test_has_the_values_of_the_formula(case: str) -> None:
    """Over hundreds of steps: the first step finds the value for 0, the next one that after one event, and so on."""
    training = Training(case)
    training.engine.run(range(LENGTH))
    formula = CASES[case][2]

    assert pytest.approx([formula(n) for n in range(LENGTH)]) == training.seen
    assert pytest.approx(formula(LENGTH)) == training.engine.state.value


@every_case
def test_has_ignites_values(case: str) -> None:
    """What is simulated, and the history of a run, are PyTorch-Ignite's."""
    theirs = pytest.importorskip("ignite.handlers.state_param_scheduler")
    kind, arguments, _ = CASES[case]
    ignite = getattr(theirs, kind.__name__)
    simulated = ignite.simulate_values(LENGTH, param_name="value", **arguments)
    engine = pytest.importorskip("ignite.engine").Engine(nothing)
    ignite(param_name="value", save_history=True, create_new=True, **arguments).attach(engine)
    engine.run(range(LENGTH))
    training = Training(case, save_history=True)
    training.engine.run(range(LENGTH))

    ours = kind.simulate_values(LENGTH, param_name="value", **arguments)
    assert list(range(LENGTH)) == [number for number, _ in ours]
    assert pytest.approx([value for _, value in simulated]) == [value for _, value in ours]
    assert pytest.approx(engine.state.param_history["value"]) == training.engine.state.param_history["value"]


@pytest.mark.parametrize("cut", [1, 2, 5, 9, 150])
@every_case
def test_goes_on_exactly_after_a_resume(case: str, cut: int) -> None:
    """Saved with the engine and loaded, each step finds what it would have found without a stop."""
    straight, first, second = Training(case), Training(case, save_history=True), Training(case, save_history=True)
    straight.engine.run(range(LENGTH))
    first.engine.run(range(LENGTH), max_iters=cut)
    file = io.BytesIO()
    torch.save(first.engine.state_dict(), file)
    file.seek(0)
    second.engine.load_state_dict(torch.load(file, weights_only=True))

    assert first.engine.state.value == second.engine.state.value

    second.engine.run(range(LENGTH), max_iters=LENGTH)

    assert straight.seen == first.seen + second.seen
    assert LENGTH == len(second.engine.state.param_history["value"])


def test_an_epoch_that_is_announced_again_is_no_new_event() -> None:
    """A run that goes on inside an epoch keeps the value that was set when the epoch began."""
    straight, first, second = (Training("exp", Events.EPOCH_STARTED) for _ in range(3))
    straight.engine.run(range(4), max_epochs=3)
    first.engine.run(range(4), max_iters=6)
    second.engine.load_state_dict(first.engine.state_dict())
    second.engine.run(range(4), max_iters=12)

    assert straight.seen == first.seen + second.seen


def test_loading_goes_back_too() -> None:
    """A state of an earlier time gives the state the value of that time, also that of before the first event."""
    training = Training("exp")
    saved = [copy.deepcopy(training.scheduler.state_dict())]
    training.engine.run(range(5))
    saved.append(training.scheduler.state_dict())
    training.engine.run(range(5))
    found = []
    for state in saved:
        training.scheduler.load_state_dict(state)
        found.append(training.engine.state.value)

    assert [10.0, pytest.approx(10 * 0.99**5)] == found


def test_a_state_loaded_before_it_is_attached_counts() -> None:
    """The value is there from the time of attaching on, also in the place of another one."""
    first, engine = make("exp"), Engine(nothing)
    for _ in range(3):
        first(None)
    second = make("exp", create_new=False)
    second.load_state_dict(first.state_dict())
    engine.state.value = 77
    second.attach(engine)

    assert pytest.approx(10 * 0.99**3) == engine.state.value


def test_an_attribute_of_the_users_is_overwritten_by_the_first_event() -> None:
    """Until then it is what the user has set, as in PyTorch-Ignite."""
    seen: list[Any] = []
    engine = Engine(lambda engine, batch: seen.append(engine.state.value))
    engine.state.value = 5
    make("exp", create_new=False).attach(engine)
    engine.run(range(2))

    assert [5, 9.9] == seen


UNKNOWN = (
    "engine.state has no 'value' yet, so ExpStateScheduler creates it; give create_new=True if that is what you want"
)


def test_warns_of_an_attribute_that_is_not_there() -> None:
    """The name may be misspelt; create_new=True says that it is not. The warning points to who attaches it."""
    engine = Engine(nothing)
    with pytest.warns(UserWarning, match=f"^{re.escape(UNKNOWN)}$") as caught:
        make("exp", create_new=False).attach(engine)

    assert [__file__] == [each.filename for each in caught]
    assert 10 == engine.state.value


def test_a_state_that_replaces_another_gets_the_next_value() -> None:
    """A user may replace engine.state between two runs."""
    training = Training("exp", Events.ITERATION_STARTED)
    training.engine.run(range(2))
    training.engine.state = State()
    training.engine.run(range(2))

    assert pytest.approx([9.9, 9.801, 9.70299, 9.6059601]) == training.seen


def test_sets_the_values_of_several_engines() -> None:
    """Each event of either counts."""
    scheduler, engines = make("exp"), [Engine(nothing), Engine(nothing)]
    for engine in engines:
        scheduler.attach(engine)
        engine.run([0])

    assert [pytest.approx(9.9), pytest.approx(9.801)] == [engine.state.value for engine in engines]


def test_does_not_keep_an_engine_alive() -> None:
    """It belongs to the engine, and knows it weakly."""
    scheduler, engine = make("exp"), Engine(nothing)
    scheduler.attach(engine)
    engine.run([0])
    gone = weakref.ref(engine)
    gc.disable()
    try:
        del engine
        is_gone = gone() is None
    finally:
        gc.enable()

    assert is_gone


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
@every_case
def test_a_copy_goes_on_by_itself(case: str, copied: Any) -> None:
    """The copy of an engine has the value, and its scheduler goes on with it; the original stays."""
    engine = Engine(nothing)
    make(case).attach(engine)
    engine.run(range(4))
    before, twin = engine.state.value, copied(engine)
    its_value = twin.state.value
    twin.run(range(3))
    formula = CASES[case][2]

    assert [before] * 2 == [its_value, engine.state.value]
    assert pytest.approx(formula(7)) == twin.state.value


def test_a_lambda_may_return_anything() -> None:
    """A list, as in PyTorch-Ignite, stays one."""
    engine = Engine(nothing)
    LambdaStateScheduler(lambda n: [n, -n], "value", save_history=True, create_new=True).attach(engine)
    state = engine.run(range(2))

    assert ([2, -2], [[1, -1], [2, -2]]) == (state.value, state.param_history["value"])


def test_a_subclass_says_what_the_value_is() -> None:
    """get_param goes by event_index, and is simulated too."""

    class Square(StateParamScheduler):
        def get_param(self) -> Any:
            return self.event_index**2

    assert [[0, 1], [1, 4], [2, 9]] == Square.simulate_values(3, param_name="value")


@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(sorted(CASES)))
def test_a_count_is_enough(count: int, case: str) -> None:
    """The value depends on how many events there were alone, so a state that is that number brings it back."""
    scheduler = make(case)
    scheduler.load_state_dict({"event_index": count})

    assert pytest.approx(CASES[case][2](count)) == scheduler.get_param() == scheduler.value_at(count)


def test_is_saved_under_its_name() -> None:
    """Two schedulers of an engine are told apart by what they set."""
    engine = Engine(nothing)
    for name in ("first", "second"):
        make("exp", param_name=name).attach(engine)

    assert ["ExpStateScheduler:first", "ExpStateScheduler:second"] == list(engine.state_dict()["attached"])


def test_plots_what_it_simulates() -> None:
    """plot_values draws a line under the name of the attribute."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    [line] = ExpStateScheduler.plot_values(3, param_name="value", initial_value=8, gamma=0.5)
    pyplot.close("all")

    assert ("value", [4.0, 2.0, 1.0]) == (line.get_label(), list(line.get_ydata()))


@every_case
def test_shows_its_arguments(case: str) -> None:
    """repr has the name and what it was made with."""
    kind, arguments, _ = CASES[case]
    text = repr(make(case))

    assert text.startswith(f"{kind.__name__}('value', ")
    assert all(f"{name}=" in text for name in arguments)


def test_all_of_ignites_are_there() -> None:
    """The public classes of PyTorch-Ignite's module, by their names."""
    theirs = pytest.importorskip("ignite.handlers.state_param_scheduler")
    names = {name for name, kind in vars(theirs).items() if getattr(kind, "__module__", "") == theirs.__name__}

    assert names == names & set(schedulers.__all__)


class Strange:
    def __repr__(self) -> str:
        return "Strange()"


@pytest.mark.parametrize(
    ("case", "options", "kind", "message"),
    [
        ("lambda", {"lambda_obj": 3}, TypeError, "lambda_obj must be callable, got 3"),
        ("lambda", {"param_name": 3}, TypeError, "param_name must be the name of a parameter, got 3"),
        ("exp", {"param_name": ""}, TypeError, "param_name must be the name of a parameter, got ''"),
        ("exp", {"initial_value": "a"}, ValueError, "initial_value must be a finite number, got 'a'"),
        ("exp", {"gamma": float("nan")}, ValueError, "gamma must be a finite number, got nan"),
        ("step", {"initial_value": None}, ValueError, "initial_value must be a finite number, got None"),
        ("step", {"gamma": float("inf")}, ValueError, "gamma must be a finite number, got inf"),
        ("step", {"step_size": 0}, ValueError, "step_size must be a positive integer, got 0"),
        ("step", {"step_size": 2.5}, ValueError, "step_size must be a positive integer, got 2.5"),
        ("multi-step", {"gamma": Strange()}, ValueError, "gamma must be a finite number, got Strange()"),
        ("multi-step", {"milestones": 3}, TypeError, "milestones must be a list or tuple of numbers of events, got 3"),
        ("multi-step", {"milestones": []}, ValueError, "milestones must be at least one number of events, got []"),
        ("multi-step", {"milestones": [3, 1]}, ValueError, "milestones must be in their order, got [3, 1]: sort them"),
        ("multi-step", {"milestones": [1.5]}, ValueError, "milestones[0] must be an integer of at least 0, got 1.5"),
        ("multi-step", {"milestones": [1, -2]}, ValueError, "milestones[1] must be an integer of at least 0, got -2"),
        (
            "piecewise",
            {"milestones_values": 3},
            TypeError,
            "milestones_values must be a list or tuple of pairs of a count and a value, got 3",
        ),
        (
            "piecewise",
            {"milestones_values": []},
            ValueError,
            "milestones_values must have at least one pair of a count and a value, got []",
        ),
        (
            "piecewise",
            {"milestones_values": [(3, 1.0), (1, 1.0)]},
            ValueError,
            "milestones_values must be in the order of their counts, got 1 after 3: sort them",
        ),
    ],
)
def test_refuses_what_makes_no_schedule(case: str, options: Any, kind: type[Exception], message: str) -> None:
    """The error names the argument and the value."""
    with pytest.raises(kind) as caught:
        make(case, **options)

    assert message == str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("epoch", "param_name must not be what engine.state has of its own, got 'epoch'; choose another one"),
        ("output", "param_name must not be what engine.state has of its own, got 'output'; choose another one"),
        ("completed", "param_name must not be what engine.state has of its own, got 'completed'; choose another one"),
        ("a-b", "param_name must be the name of an attribute of engine.state, got 'a-b'"),
        (
            "mine",
            (
                "param_name must be new to engine.state with create_new=True, got 'mine', which it has; choose another "
                "name, or give create_new=False to overwrite it"
            ),
        ),
    ],
)
def test_refuses_a_name_that_is_taken(name: str, message: str) -> None:
    """The error names it, and nothing is attached."""
    engine = Engine(nothing)
    engine.state.mine = 5
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the message is compared as a whole
        make("exp", param_name=name).attach(engine)

    assert message == str(caught.value)
    assert "attached" not in engine.state_dict()


def test_a_scheduler_is_not_attached_twice_by_mistake() -> None:
    """With create_new the second one of a name is refused."""
    engine = Engine(nothing)
    make("exp").attach(engine)
    with pytest.raises(ValueError, match="param_name must be new"):
        make("step").attach(engine)

    assert ["ExpStateScheduler:value"] == list(engine.state_dict()["attached"])


@pytest.mark.parametrize(
    ("saved", "kind", "message"),
    [
        ([], TypeError, "state_dict must be a mapping, as ExpStateScheduler.state_dict() returns, got []"),
        ({}, ValueError, "state_dict must have 'event_index', got []"),
        ({"event_index": -1}, ValueError, "state_dict['event_index'] must be an integer of at least 0, got -1"),
    ],
)
def test_refuses_a_state_that_is_none(saved: Any, kind: type[Exception], message: str) -> None:
    """The value stays as it was."""
    training = Training("exp")
    training.engine.run(range(2))
    before = training.engine.state.value
    with pytest.raises(kind) as caught:
        training.scheduler.load_state_dict(saved)

    assert message == str(caught.value)
    assert before == training.engine.state.value


@pytest.mark.parametrize("calls", [0, 3])
def test_takes_the_state_that_ignite_saves(calls: int) -> None:
    """A schedule that was saved with PyTorch-Ignite goes on here."""
    kind = pytest.importorskip("ignite.handlers.state_param_scheduler").StepStateScheduler
    theirs = kind(10, 0.9, 7, "value", create_new=True)
    engine = pytest.importorskip("ignite.engine").Engine(nothing)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        theirs.attach(engine)
    for _ in range(calls):
        theirs(engine)
    ours = make("step")
    ours.load_state_dict(theirs.state_dict())

    assert calls == ours.event_index


def test_refuses_to_be_attached_to_no_engine() -> None:
    """The error names the value."""
    with pytest.raises(TypeError, match="engine must be an Engine, got 3"):
        make("exp").attach(3)  # type: ignore[arg-type]


def test_refuses_to_simulate_no_events() -> None:
    """num_events must be a positive integer."""
    with pytest.raises(ValueError, match="num_events must be a positive integer, got 0"):
        ExpStateScheduler.simulate_values(0, param_name="value", initial_value=1, gamma=1)


def test_the_values_of_a_line_are_short_where_they_can_be() -> None:
    """Those that PyTorch-Ignite's example prints."""
    engine, printed = Engine(nothing), []
    milestones = [(5, 1.0), (10, 0.8), (15, 0.6)]
    PiecewiseLinearStateScheduler(milestones, "value", create_new=True).attach(engine, Events.EPOCH_COMPLETED)
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: printed.append(str(engine.state.value)[:6]))
    engine.run([0], max_epochs=15)

    assert "1.0, 1.0, 1.0, 1.0, 1.0, 0.96, 0.92, 0.88, 0.8400, 0.8, 0.76, 0.72, 0.68, 0.64, 0.6" == ", ".join(printed)


@pytest.mark.parametrize("name", ["max_epochs", "epoch", "a-b"])
def test_refuses_a_name_that_is_taken_without_attach_too(name: str) -> None:
    """At the first call, and the limit is as it was."""
    engine = Engine(nothing)
    scheduler = ExpStateScheduler(1, 0.5, name)
    engine.add_event_handler(Events.ITERATION_COMPLETED, scheduler)
    with pytest.raises(ValueError, match=r"^param_name must "):
        engine.run([0] * 3, max_epochs=2)

    assert (0, 2, 1) == (scheduler.count, engine.state.max_epochs, engine.state.epoch)
