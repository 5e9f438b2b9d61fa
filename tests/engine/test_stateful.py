"""What is attached to an engine, or acts on it, is saved with it and comes back with it."""

from __future__ import annotations

import copy
import functools
import gc
import io
import os
import subprocess
import sys
import textwrap
import warnings
import weakref
from collections import deque
from unittest.mock import MagicMock, Mock

import attrs
import pytest
import torch
from torch import nn

from ignite_signals import handlers
from ignite_signals.engine import (
    DeterministicEngine,
    Engine,
    Events,
    create_supervised_trainer,
    supervised_training_step_amp,
)
from ignite_signals.metrics import (
    Accuracy,
    Average,
    BatchFiltered,
    BatchWise,
    Loss,
    MetricGroup,
    Precision,
    Recall,
    RunningAverage,
    RunningEpochWise,
)
from ignite_signals.metrics.adapter import as_metric
from support.copying import every_copy


class Counter:
    """Counts what it hears: an object of a user's, with a state."""

    def __init__(self, count=0, state_name=None):
        self.count = count
        self.state_name = state_name

    def __call__(self, engine):
        self.count += 1

    def hear(self, *args, **kwargs):
        self.count += 1

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state_dict):
        self.count = state_dict["count"]


class Other(Counter):
    """One of another class."""


def echo(engine, batch):
    return batch


def engine_with(*statefuls, **named):
    engine = Engine(echo)
    for stateful in statefuls:
        engine.register_stateful(stateful)
    for name, stateful in named.items():
        engine.register_stateful(stateful, name)
    return engine


def attached(engine):
    return engine.state_dict().get("attached", {})


def through_a_file(saved):
    file = io.BytesIO()
    torch.save(saved, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def pairs(n=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.rand(4, 3, generator=generator).softmax(1), torch.randint(0, 3, (4,), generator=generator))
        for _ in range(n)
    ]


# Who is found


def by_add(engine, owner):
    engine.add_event_handler(Events.ITERATION_COMPLETED, owner)


def by_method(engine, owner):
    engine.add_event_handler(Events.ITERATION_COMPLETED, owner.hear)


def by_arguments(engine, owner):
    engine.add_event_handler(Events.ITERATION_COMPLETED, owner.hear, 1, key=2)


def by_partial(engine, owner):
    engine.add_event_handler(Events.ITERATION_COMPLETED, functools.partial(owner.hear, key=1))


def by_partials(engine, owner):
    engine.add_event_handler(Events.ITERATION_COMPLETED, functools.partial(functools.partial(owner), engine))


def by_filter(engine, owner):
    engine.add_event_handler(Events.ITERATION_COMPLETED(every=1), owner)


def by_list(engine, owner):
    engine.add_event_handler(Events.ITERATION_COMPLETED | Events.TERMINATE, owner)


def by_on(engine, owner):
    engine.on(Events.ITERATION_COMPLETED)(owner)


def by_signal(engine, owner):
    engine.signal(Events.ITERATION_COMPLETED).connect(owner)


def by_signal_of_a_method(engine, owner):
    engine.signal(Events.ITERATION_COMPLETED).connect(owner.hear)


def by_strong_signal(engine, owner):
    engine.signal(Events.ITERATION_COMPLETED).connect(owner.hear, weak=False)


def by_filtered_signal(engine, owner):
    engine.signal(Events.ITERATION_COMPLETED(every=1)).connect(owner.hear)


def by_custom_event(engine, owner):
    engine.register_events("mine")
    engine.add_event_handler("mine", owner)
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: engine.fire_event("mine"))


WAYS = [
    *(by_add, by_method, by_arguments, by_partial, by_partials, by_filter, by_list, by_on),
    *(by_signal, by_signal_of_a_method, by_strong_signal, by_filtered_signal, by_custom_event),
]


@pytest.mark.parametrize("way", WAYS)
def test_whoever_owns_a_handler_is_saved_and_loaded(way):
    """However it was connected, an object with a state is found by its handler."""
    engine, owner = Engine(echo), Counter()
    way(engine, owner)
    engine.run([1, 2, 3])
    saved = through_a_file(engine.state_dict())
    assert {"Counter": {"count": 3}} == saved["attached"]
    other, fresh = Engine(echo), Counter()
    way(other, fresh)
    other.load_state_dict(saved)
    assert 3 == fresh.count


@pytest.mark.parametrize("way", WAYS)
def test_what_is_detached_is_no_longer_saved(way):
    """Only connections that are there count."""
    engine, owner = Engine(echo), Counter()
    way(engine, owner)
    for signal in engine.signals.all():
        for connection in signal.connections():
            signal.end(connection)
    assert {} == attached(engine)
    assert "attached" not in engine.state_dict()


def test_a_handler_that_was_removed_is_not_saved():
    """By a handle, by a with block and by name."""
    engine, owner = Engine(echo), Counter()
    handle = engine.add_event_handler(Events.STARTED, owner)
    engine.add_event_handler(Events.COMPLETED, owner.hear)
    handle.remove()
    assert {"Counter"} == attached(engine).keys()
    engine.remove_event_handler(owner.hear, Events.COMPLETED)
    assert {} == attached(engine)
    with engine.add_event_handler(Events.STARTED, owner):
        assert {"Counter"} == attached(engine).keys()
    assert {} == attached(engine)


def test_a_weakly_connected_owner_that_is_gone_is_not_saved():
    """The engine does not keep it alive for its state."""
    engine, owner = Engine(echo), Counter()
    engine.signal(Events.STARTED).connect(owner.hear)
    assert {"Counter"} == attached(engine).keys()
    del owner
    assert {} == attached(engine)


def test_an_owner_of_many_handlers_is_saved_once():
    """It is one object, whatever it hears, and whether it is registered, too."""
    engine, owner = engine_with(), Counter()
    by_add(engine, owner)
    by_partial(engine, owner)
    by_filter(engine, owner)
    assert ["Counter"] == list(attached(engine))
    engine.register_stateful(owner, "mine")
    assert ["Counter:mine"] == list(attached(engine))


class HalfStateful:
    """Can be saved and not loaded."""

    def __call__(self, engine):
        pass

    def state_dict(self):
        return {}


class WithClassMethod(Counter):
    """Its class hears."""

    @classmethod
    def hear_all(cls, engine):
        pass

    @staticmethod
    def hear_statically(engine):
        pass


class Asking(Counter):
    """Saves itself to a file."""

    def state_dict(self, path):
        raise AssertionError


class AskingMore(Counter):
    """Loads itself with a word on how."""

    def load_state_dict(self, state_dict, *, strict):
        raise AssertionError


class Named:
    """Has attributes with the names of the methods that are no methods."""

    state_dict = None
    load_state_dict = None

    def __call__(self, engine):
        pass


class StandIn:
    """Stands for another object and has each attribute that it is asked for."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args: {}

    def __call__(self, engine):
        pass


@pytest.mark.parametrize(
    "handler",
    [
        lambda engine: None,
        functools.partial(lambda engine, more: None, more=1),
        HalfStateful(),
        WithClassMethod.hear_all,
        WithClassMethod.hear_statically,
        deque().append,
        Named(),
        Asking(),
        AskingMore().hear,
        StandIn(),
        Mock(),
        MagicMock(),
    ],
    ids=repr,
)
def test_what_has_no_state_of_its_own_is_left_out(handler):
    """Functions, methods of classes, what has half of the methods or others of these names, and mocks."""
    engine = Engine(echo)
    engine.signal(Events.STARTED).connect(handler, weak=False)
    assert {} == attached(engine)


class Net(nn.Linear):
    """A model, a method of which is a handler."""

    def __init__(self):
        super().__init__(2, 1)

    def hear(self, engine):
        pass


class Sgd(torch.optim.SGD):
    """An optimizer, a method of which is a handler."""

    def hear(self, engine):
        pass


class Trainer(Engine):
    """An engine, a method of which is a handler."""

    def hear(self, engine):
        pass


@pytest.mark.parametrize(
    "owner", [Net(), Sgd(Net().parameters(), lr=0.1), Trainer(echo)], ids=["module", "optimizer", "engine"]
)
def test_models_optimizers_and_engines_are_left_to_the_program(owner):
    """It saves them itself; registered they are saved all the same."""
    engine = Engine(echo)
    engine.add_event_handler(Events.STARTED, owner.hear)
    assert {} == attached(engine)
    engine.register_stateful(owner, "mine")
    assert {f"{type(owner).__name__}:mine"} == attached(engine).keys()


def test_an_engine_whose_own_method_is_a_handler_saves_itself_once():
    """A subclass that hears itself has no state in its state."""
    engine = Trainer(echo)
    engine.add_event_handler(Events.STARTED, engine.hear)
    engine.run([1])
    assert {"epoch_length": 1, "iteration": 1, "max_epochs": 1} == engine.state_dict()


def test_a_scheduler_that_hears_is_saved():
    """What is none of the three and has a state comes back."""

    def program():
        sgd = torch.optim.SGD(Net().parameters(), lr=1.0)
        scheduler = torch.optim.lr_scheduler.StepLR(sgd, step_size=1, gamma=0.5)
        engine = Engine(lambda engine, batch: sgd.step())
        engine.signal(Events.ITERATION_COMPLETED).connect(functools.partial(step, scheduler), weak=False)
        engine.register_stateful(scheduler)
        return engine, scheduler

    def step(scheduler, engine):
        scheduler.step()

    engine, scheduler = program()
    engine.run([0, 1])
    other, fresh = program()
    other.load_state_dict(through_a_file(engine.state_dict()))
    assert [0.25] == fresh.get_last_lr() == scheduler.get_last_lr()


# A program that holds the engine


class Program:
    """Holds the engine and saves it with the rest, and owns a handler of it."""

    def __init__(self, engine=None):
        self.engine = Engine(echo) if engine is None else engine
        self.model = nn.Linear(1, 1)
        self.counter = Counter()
        self.asked = 0
        self.engine.add_event_handler(Events.ITERATION_COMPLETED, self.hear)
        self.engine.add_event_handler(Events.ITERATION_COMPLETED, self.counter)

    def hear(self, engine):
        pass

    def state_dict(self):
        self.asked += 1
        return {"model": self.model.state_dict(), "engine": self.engine.state_dict()}

    def load_state_dict(self, state_dict):
        self.model.load_state_dict(state_dict["model"])
        self.engine.load_state_dict(state_dict["engine"])


@pytest.mark.parametrize("kind", [Engine, DeterministicEngine])
def test_a_program_that_saves_its_engine_is_not_saved_with_it(kind):
    """Neither is there an end to it otherwise, nor is anything saved twice; it loads without a warning."""
    program = Program(kind(echo))
    program.engine.run([1, 2, 3])
    saved = through_a_file(program.state_dict())
    assert {"Counter": {"count": 3}} == saved["engine"]["attached"]
    assert {"Counter": {"count": 3}} == attached(program.engine)
    other = Program(kind(echo))
    other.load_state_dict(saved)
    assert (3, 3) == (other.engine.state.iteration, other.counter.count)
    torch.testing.assert_close(program.model.weight, other.model.weight, rtol=0, atol=0)


def test_an_engine_that_is_registered_with_itself_has_one_state():
    """It is not asked without end."""
    engine = Engine(echo)
    engine.register_stateful(engine)
    engine.run([1])
    assert {"epoch_length": 1, "iteration": 1, "max_epochs": 1} == engine.state_dict()
    engine.load_state_dict(engine.state_dict())
    assert 1 == engine.state.iteration


def test_an_evaluator_may_be_registered_with_what_is_attached_to_it():
    """Its own state holds the state of what acts on it."""

    def program():
        trainer, evaluator, counter = Engine(echo), Engine(echo), Counter()
        evaluator.add_event_handler(Events.COMPLETED, counter)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: evaluator.run([1]))
        trainer.register_stateful(evaluator, "validation")
        return trainer, counter

    trainer, counter = program()
    trainer.run([1], max_epochs=3)
    assert {"Counter": {"count": 3}} == attached(trainer)["Engine:validation"]["attached"]
    other, fresh = program()
    other.load_state_dict(through_a_file(trainer.state_dict()))
    assert (3, 3) == (counter.count, fresh.count)


# Names


def test_keys_are_class_and_name():
    """The name is that of the registration, else `state_name`, else there is none."""
    engine = engine_with(Counter(), first=Other())
    engine.add_event_handler(Events.STARTED, Counter(state_name="second"))
    assert ["Counter", "Other:first", "Counter:second"] == list(attached(engine))
    engine.register_stateful(owner := Counter(state_name="own"), "given")
    assert "Counter:given" in attached(engine)
    engine.register_stateful(owner)
    assert "Counter:own" in attached(engine)
    assert "Counter:given" not in attached(engine)


@pytest.mark.parametrize("state_name", [None, "", 5, ["a"]])
def test_what_is_no_name_is_none(state_name):
    """An attribute of that name may be anything."""
    assert {"Counter"} == attached(engine_with(Counter(state_name=state_name))).keys()


def test_two_of_a_name_are_told_by_their_order():
    """Registered ones come first, then those of the events, in the order of calling."""
    engine = Engine(echo)
    late, early, first = Counter(3), Counter(2), Counter(1)
    engine.add_event_handler(Events.COMPLETED, late)
    engine.add_event_handler(Events.STARTED, early)
    engine.register_stateful(first)
    keyed = {key: state["count"] for key, state in attached(engine).items()}
    assert {"Counter": 1, "Counter#2": 2, "Counter#3": 3} == keyed


def test_a_name_may_look_like_a_number():
    """No object takes the key of another."""
    engine = engine_with(Counter(1), Counter(2, "a"), Counter(3, "a"), Counter(4, "a#2"))
    states = attached(engine)
    assert [1, 2, 3, 4] == sorted(state["count"] for state in states.values())
    assert {"Counter", "Counter:a", "Counter:a#2", "Counter:a#2#2"} == states.keys()


def test_two_of_a_class_come_back_to_where_they_were():
    """The same program, made anew, gives each its own."""

    def program():
        engine, counters = Engine(echo), [Counter() for _ in range(4)]
        engine.add_event_handler(Events.ITERATION_COMPLETED(every=2), counters[0])
        engine.add_event_handler(Events.ITERATION_COMPLETED, counters[1])
        engine.signal(Events.EPOCH_COMPLETED).connect(counters[2], weak=False, priority=5)
        engine.add_event_handler(Events.STARTED, counters[3])
        return engine, counters

    engine, counters = program()
    engine.run(range(5), max_epochs=3)
    assert [7, 15, 3, 1] == [counter.count for counter in counters]
    saved = through_a_file(engine.state_dict())
    other, fresh = program()
    other.load_state_dict(saved)
    assert [7, 15, 3, 1] == [counter.count for counter in fresh]
    other.run(range(5), max_epochs=4)
    assert list(saved["attached"]) == list(attached(other))


def test_keys_do_not_depend_on_the_process(tmp_path):
    """Hash seeds of strings differ from one process to the next; keys and their order do not."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            from ignite_signals.engine import Engine, Events
            from ignite_signals.handlers import EpochOutputStore, Timer
            from ignite_signals.metrics import Accuracy, Average
            engine = Engine(lambda engine, batch: batch)
            for name in "cab":
                Average().attach(engine, name)
                EpochOutputStore().attach(engine, name)
            Timer().attach(engine)
            Timer().attach(engine, start=Events.EPOCH_STARTED)
            print(list(engine.state_dict()["attached"]))
            """
        )
    )
    printed = {
        subprocess.run(
            [sys.executable, str(script)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert 1 == len(printed)


# Registering


@pytest.mark.parametrize(
    ("stateful", "said"),
    [
        (HalfStateful(), "a method load_state_dict"),
        (Counter, "a method state_dict"),
        (Named(), "a method state_dict"),
        (None, "a method state_dict, got None"),
        (5, "a method state_dict, got 5"),
        (Asking(), "a method state_dict that takes no arguments, got"),
        (AskingMore(), "a method load_state_dict that takes a state dict alone, got"),
    ],
    ids=repr,
)
def test_what_has_no_state_is_refused(stateful, said):
    """The error names what is missing, and nothing is registered."""
    engine = Engine(echo)
    with pytest.raises(TypeError, match=f"^stateful must be an object with {said}"):
        engine.register_stateful(stateful)
    assert {} == attached(engine)


def test_a_name_that_is_no_string_is_refused():
    """With the value."""
    engine = Engine(echo)
    with pytest.raises(TypeError, match="name must be a string, got 5"):
        engine.register_stateful(Counter(), 5)
    assert {} == attached(engine)


def test_an_object_that_refuses_its_state_leaves_the_engine_loaded():
    """The engine's own state is loaded first; the error says whose state it was."""
    engine = engine_with(Counter())
    with pytest.raises(KeyError) as caught:
        engine.load_state_dict({"iteration": 3, "epoch_length": 3, "max_epochs": 2, "attached": {"Counter": {}}})
    assert ["in the state of Counter, which is saved with Engine(echo)"] == caught.value.__notes__
    assert 3 == engine.state.iteration


def test_the_engine_keeps_what_is_registered_unless_it_is_weak():
    """A weak one that is gone is not saved any more."""
    engine, weak = Engine(echo), Counter(2)
    engine.register_stateful(Counter(1), "strong")
    engine.register_stateful(weak, "weak", weak=True)
    assert {"Counter:strong", "Counter:weak"} == attached(engine).keys()
    del weak
    assert {"Counter:strong": {"count": 1}} == attached(engine)


def test_registered_again_an_object_has_the_new_name():
    """There is one entry for each object, at the place of the last registration."""
    engine, counter = Engine(echo), Counter()
    engine.register_stateful(counter, "old")
    engine.register_stateful(counter, "new")
    assert ["Counter:new"] == list(attached(engine))
    assert 1 == len(engine.registered_statefuls())


def test_an_object_that_registers_itself_leaves_the_name_that_the_user_gave():
    """Weakly and without a name there is nothing to be changed, and the engine goes on keeping it."""
    engine, counter = Engine(echo), Counter()
    engine.register_stateful(counter, "mine")
    engine.register_stateful(counter, weak=True)
    del counter
    assert ["Counter:mine"] == list(attached(engine))


@attrs.define
class Equal(Counter):
    """All of these are equal."""

    count: int = attrs.field(default=0, eq=False)
    state_name: str | None = attrs.field(default=None, eq=False)


def test_objects_that_are_equal_are_two():
    """They are told by identity."""
    one, other = Equal(1), Equal(2)
    assert one == other
    engine = engine_with(one=one, other=other)
    assert {"Equal:one": {"count": 1}, "Equal:other": {"count": 2}} == attached(engine)


def test_metrics_of_torchmetrics_can_be_registered():
    """Comparing two of them makes a third, which is true."""
    torchmetrics = pytest.importorskip("torchmetrics")
    one, other = torchmetrics.SumMetric(), torchmetrics.SumMetric()
    for metric in (one, other):
        metric.persistent(True)
    one.update(2.0)
    engine = engine_with(one=one, other=other)
    sums = {key: float(state["sum_value"]) for key, state in attached(engine).items()}
    assert {"SumMetric:one": 2.0, "SumMetric:other": 0.0} == sums


# Copies


@every_copy
def test_a_copy_takes_strong_ones_along_and_leaves_weak_ones(copied):
    """The copy's objects are its own, under their names."""
    engine, strong, weak = Engine(echo), Counter(1), Counter(2)
    engine.register_stateful(strong, "strong")
    engine.register_stateful(weak, "weak", weak=True)
    engine.add_event_handler(Events.ITERATION_COMPLETED, Counter(3))
    twin = copied(engine)
    assert {"Counter:strong": {"count": 1}, "Counter": {"count": 3}} == attached(twin)
    strong.count = 10
    twin.run([1])
    assert {"Counter:strong": {"count": 1}, "Counter": {"count": 4}} == attached(twin)
    assert {"Counter:strong", "Counter:weak", "Counter"} == attached(engine).keys()


@every_copy
def test_a_handler_that_is_registered_and_connected_stays_one_in_a_copy(copied):
    """With the name that it was given."""
    engine, counter = Engine(echo), Counter()
    engine.add_event_handler(Events.ITERATION_COMPLETED, counter)
    engine.register_stateful(counter, "mine")
    twin = copied(engine)
    twin.run([1, 2])
    assert {"Counter:mine": {"count": 2}} == attached(twin)
    assert {"Counter:mine": {"count": 0}} == attached(engine)


@every_copy
@pytest.mark.parametrize("order", ["trainer first", "stopping first"])
def test_early_stopping_is_saved_with_the_copy_of_its_trainer(copied, order):
    """It registers itself, whichever of the two is copied first, and keeps the name that it was given."""
    trainer, evaluator = Engine(echo), Engine(echo)
    stopping = handlers.EarlyStopping(3, score, trainer)
    evaluator.add_event_handler(Events.COMPLETED, stopping)
    trainer.register_stateful(stopping, "mine")
    if order == "trainer first":
        twin, other = copied((trainer, evaluator))
    else:
        other, twin = copied((evaluator, trainer))
    other.run([1])
    assert 1.0 == attached(twin)["EarlyStopping:mine"]["best_score"]
    assert {"EarlyStopping:mine": {"counter": 0, "best_score": None}} == attached(trainer)


def score(engine):
    return 1.0


# Warnings and errors


def lines(caught):
    return [(str(each.message), each.filename) for each in caught]


STALE = (
    "state_dict has states of which nothing is attached to Engine(echo): {}; attach what they are of, under the names "
    "of that time, before loading"
)
LACKING = (
    "state_dict lacks the states of what is attached to Engine(echo): {}; what was not attached, or under another "
    "name, when the state was saved stays as it is"
)


def test_keys_without_an_owner_and_owners_without_a_key_warn():
    """One warning for each side, at the line of the caller, that names all."""
    engine = engine_with(Other(1), a=Counter(1), b=Counter(2), c=Counter(3))
    saved = engine.state_dict()
    other = engine_with(fresh := Counter(7), d=Counter(8), a=Counter(9))
    with pytest.warns(UserWarning, match="state_dict") as caught:
        other.load_state_dict(saved)
    assert [
        (STALE.format("Counter:b, Counter:c, Other"), __file__),
        (LACKING.format("Counter, Counter:d"), __file__),
    ] == lines(caught)
    assert {"Counter": {"count": 7}, "Counter:d": {"count": 8}, "Counter:a": {"count": 1}} == attached(other)
    assert 7 == fresh.count


@pytest.mark.parametrize("missing", ["owner", "key"])
def test_only_the_side_that_has_something_warns(missing):
    """And both together give no warning."""
    without, with_one = Engine(echo), engine_with(Counter())
    engine, saved = (without, with_one.state_dict()) if missing == "owner" else (with_one, without.state_dict())
    with pytest.warns(UserWarning, match="state_dict") as caught:
        engine.load_state_dict(saved)
    assert [(STALE if missing == "owner" else LACKING).format("Counter")] == [text for text, _ in lines(caught)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with_one.load_state_dict(with_one.state_dict())
        without.load_state_dict(without.state_dict())


def test_a_warning_points_to_who_loads_a_checkpoint(tmp_path):
    """Not to the library, through whose functions it was loaded."""
    engine = engine_with(Counter())
    checkpoint = handlers.Checkpoint({"engine": engine}, tmp_path)
    engine.add_event_handler(Events.COMPLETED, checkpoint)
    engine.run([1])
    for load in (
        lambda other: handlers.Checkpoint.load_objects({"engine": other}, tmp_path / checkpoint.last_checkpoint),
        lambda other: handlers.resume_from(tmp_path, {"engine": other}),
    ):
        with pytest.warns(UserWarning, match="nothing is attached") as caught:
            load(Engine(echo))
        assert {__file__} == {filename for _, filename in lines(caught)}


def test_a_state_of_ignite_warns_of_what_it_has_no_state_of():
    """It has no `attached` at all; what is attached begins anew, which is said."""
    engine = engine_with()
    Average().attach(engine, "mean")
    with pytest.warns(UserWarning, match="lacks the states of what is attached to .*: Average:mean;"):
        engine.load_state_dict({"epoch_length": 3, "iteration": 3, "max_epochs": 2})
    assert 3 == engine.state.iteration


class Failing(Counter):
    """Cannot be saved, or loaded."""

    def state_dict(self):
        if self.count:
            raise ArithmeticError("cannot be saved")
        return {}

    def load_state_dict(self, state_dict):
        raise ArithmeticError("cannot be loaded")


@pytest.mark.parametrize("what", ["saved", "loaded"])
def test_an_error_of_an_owner_is_noted_with_its_key(what):
    """Else nobody knows which of many it is."""
    engine = engine_with(Counter(), mine=Failing(1 if what == "saved" else 0))
    with pytest.raises(ArithmeticError, match=f"cannot be {what}") as raised:
        engine.load_state_dict(engine.state_dict())
    assert ["in the state of Failing:mine, which is saved with Engine(echo)"] == raised.value.__notes__


def test_an_owner_whose_state_cannot_be_told_warns_all_the_same():
    """That it has no state there is what is to be said when loading."""
    engine = engine_with(Failing(1))
    with pytest.warns(UserWarning, match="lacks the states of what is attached to .*: Failing;"):
        engine.load_state_dict({"epoch_length": 3, "iteration": 3, "max_epochs": 2})
    assert 3 == engine.state.iteration


@pytest.mark.parametrize("states", [5, None, [("Counter", {})]], ids=str)
def test_states_that_are_no_mapping_are_refused(states):
    """Before anything is changed."""
    engine = engine_with(Counter())
    saved = {"epoch_length": 3, "iteration": 3, "max_epochs": 2, "attached": states}
    with pytest.raises(TypeError, match=r"^state_dict\['attached'\] must map names to states, got "):
        engine.load_state_dict(saved)
    assert 0 == engine.state.iteration


# Metrics


def metrics_program():
    engine = Engine(echo)
    accuracy, precision, recall = Accuracy(), Precision(average="macro"), Recall(average="macro")
    accuracy.attach(engine, "accuracy")
    accuracy.attach(engine, "again")  # another name for the same
    accuracy.attach(engine, "every second", BatchFiltered(every=2))  # a twin
    Accuracy().attach(engine, "other")
    Accuracy().attach(engine, "batch", BatchWise())
    (2 * precision * recall / (precision + recall)).attach(engine, "f1")
    precision.attach(engine, "precision")
    MetricGroup({"p": precision, "r": recall, "loss": Loss(nn.functional.nll_loss)}).attach(engine, "group")
    RunningAverage(Accuracy()).attach(engine, "running")
    RunningAverage(Loss(nn.functional.nll_loss)).attach(engine, "by epoch", RunningEpochWise())
    RunningAverage(output_transform=first_mean).attach(engine, "output")
    return engine


def first_mean(output):
    return output[0].max()


KEYS = {
    *("Accuracy:accuracy", "Accuracy:every second", "Accuracy:other", "Accuracy:batch", "MetricsLambda:f1"),
    *("Precision:precision", "MetricGroup:group", "RunningAverage:running", "RunningAverage:by epoch"),
    "RunningAverage:output",
}


def test_each_attachment_of_a_metric_is_saved_under_its_first_name():
    """A twin under its own, and what goes into a composition with it alone."""
    engine = metrics_program()
    assert attached(engine).keys() == KEYS
    engine.run(pairs())
    assert attached(engine).keys() == KEYS


@pytest.mark.parametrize("stop", range(1, 13))
def test_metrics_go_on_in_mid_window(stop):
    """Saved after any iteration and loaded into metrics that are made anew, they end with the same values."""
    straight, kept = metrics_program(), []
    straight.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: kept.append(through_a_file(engine.state_dict()))
    )
    expected = straight.run(pairs(6), max_epochs=2).metrics
    resumed = metrics_program()
    resumed.load_state_dict(kept[stop - 1])
    data = pairs(6)
    resumed.run([*data[stop % 6 :], *data[: stop % 6]])  # an engine iterates its data from the beginning
    assert expected == resumed.state.metrics


def test_a_metric_that_is_attached_elsewhere_has_the_name_of_each_engine():
    """The second engine has a twin, with a name of its own."""
    accuracy, one, other = Accuracy(), Engine(echo), Engine(echo)
    accuracy.attach(one, "a")
    accuracy.attach(other, "b")
    assert (["Accuracy:a"], ["Accuracy:b"]) == (list(attached(one)), list(attached(other)))


def test_a_metric_that_is_attached_again_has_the_new_name():
    """The name is that of the attachment that there is."""
    accuracy, engine = Accuracy(), Engine(echo)
    accuracy.attach(engine, "old")
    accuracy.detach(engine)
    assert {} == attached(engine)
    accuracy.attach(engine, "new")
    assert ["Accuracy:new"] == list(attached(engine))


def test_a_metric_has_no_name_before_it_is_attached():
    """And it is a plain attribute, not a metric of a tensor's."""
    assert (None, None) == (Accuracy.state_name, Accuracy().state_name)
    accuracy = Accuracy()
    accuracy.attach(Engine(echo), "mine")
    assert "mine" == accuracy.state_name


def test_a_metric_of_torchmetrics_is_saved_under_its_name():
    """Through its adapter; in a composition with that."""
    torchmetrics = pytest.importorskip("torchmetrics")

    def program():
        engine = Engine(echo)
        f1 = torchmetrics.F1Score("multiclass", num_classes=3)
        as_metric(f1).attach(engine, "f1")
        as_metric(1 - f1).attach(engine, "error")
        as_metric(torchmetrics.MetricCollection({"f1": f1})).attach(engine, "all")
        return engine

    engine, resumed = program(), program()
    saved = []
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=3), lambda engine: saved.append(engine.state_dict()))
    expected = engine.run(pairs(5)).metrics
    assert {"TorchMetricsAdapter:f1", "MetricsLambda:error", "TorchMetricsAdapter:all"} == saved[0]["attached"].keys()
    resumed.load_state_dict(through_a_file(saved[0]))
    assert expected == resumed.run(pairs(5)[3:]).metrics


def test_metrics_of_a_supervised_trainer_are_saved_by_their_names():
    """And its scaler, though it hears nothing."""
    model = nn.Linear(3, 3)
    trainer = create_supervised_trainer(
        model,
        torch.optim.SGD(model.parameters(), lr=0.1),
        nn.functional.cross_entropy,
        amp_mode="amp",
        amp_dtype=torch.bfloat16,
        scaler=torch.amp.GradScaler("cpu", init_scale=4.0),
        metrics={"mean": Average()},
    )
    trainer.run(pairs(3))
    saved = attached(trainer)
    assert {"GradScaler", "Average:mean"} == saved.keys()
    assert 4.0 == saved["GradScaler"]["scale"]


class Step:
    """A step that owns what has a state, what has none, and a counter under a name of its own."""

    def __init__(self):
        self.statefuls = [Counter(1), HalfStateful(), Counter(2, "named"), None]

    def __call__(self, engine, batch):
        self.statefuls[0].count += 1


def test_what_a_step_owns_is_saved_with_its_engine():
    """It is listed by the step, comes first, and is loaded, also where a partial is around the step."""
    for wrapped in (lambda step: step, functools.partial):
        engine = Engine(wrapped(Step()))
        by_add(engine, Counter(5))
        engine.run([1, 2])
        expected = {"Counter": {"count": 3}, "Counter:named": {"count": 2}, "Counter#2": {"count": 7}}
        assert expected == attached(engine)
        step = Step()
        other = Engine(wrapped(step))
        by_add(other, Counter())
        other.load_state_dict(engine.state_dict())
        assert 3 == step.statefuls[0].count


def test_what_a_step_owns_may_be_registered_for_its_name():
    """It is saved once, at its place, under that name."""
    step = Step()
    engine = Engine(step)
    engine.register_stateful(Counter(7))
    engine.register_stateful(step.statefuls[0], "mine")
    assert ["Counter:mine", "Counter:named", "Counter"] == list(attached(engine))


@pytest.mark.parametrize("step", [Mock(), MagicMock(), StandIn()], ids=repr)
def test_a_step_that_stands_for_another_owns_nothing(step):
    """It has each attribute that it is asked for."""
    engine = Engine(lambda engine, batch: None)
    engine._process_function = step
    assert {} == attached(engine)


def test_the_scaler_of_a_step_is_saved_with_an_engine_of_ones_own():
    """As it is with a supervised trainer."""
    model, scaler = nn.Linear(3, 3), torch.amp.GradScaler("cpu", init_scale=4.0)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    step = supervised_training_step_amp(model, sgd, nn.functional.cross_entropy, scaler=scaler)
    assert 4.0 == attached(Engine(step))["GradScaler"]["scale"]


# Handlers of the package


def package_program(tmp_path):
    """Return a trainer on which everything acts that has a state, without one of them being listed."""
    model = nn.Linear(1, 1)
    trainer, evaluator = Engine(echo), Engine(echo)
    ema, other_ema = handlers.EMAHandler(model), handlers.EMAHandler(model)
    ema.attach(trainer)
    other_ema.attach(trainer, name="slow", event=Events.EPOCH_COMPLETED)
    handlers.EpochOutputStore().attach(trainer, "outputs")
    handlers.Timer().attach(trainer)
    limit, nan = handlers.TimeLimit(10**6), handlers.TerminateOnNan()
    limit.attach(trainer)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, nan)
    stopping = handlers.EarlyStopping(3, score, trainer)
    evaluator.add_event_handler(Events.COMPLETED, stopping)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: evaluator.run([1]))
    best = handlers.Checkpoint(
        {"model": model},
        tmp_path,
        "best",
        score,
        "one",
        global_step_transform=handlers.global_step_from_engine(trainer),
    )
    evaluator.add_event_handler(Events.COMPLETED, best)
    last = handlers.Checkpoint({"model": model, "trainer": trainer}, tmp_path, n_saved=2)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, last)
    return trainer, evaluator, {"stopping": stopping, "ema": ema, "slow": other_ema, "best": best, "last": last}


def test_handlers_of_the_package_are_saved_without_being_listed(tmp_path):
    """Those on the trainer, and those that act on it from an evaluator."""
    trainer, _, owners = package_program(tmp_path)
    trainer.run([1.0, 2.0], max_epochs=3)
    assert {
        *("EMAHandler", "EMAHandler:slow", "EpochOutputStore:outputs", "Timer", "TimeLimit", "TerminateOnNan"),
        *("EarlyStopping", "Checkpoint:best", "Checkpoint"),
    } == attached(trainer).keys()
    other, _, fresh = package_program(tmp_path)
    other.load_state_dict(through_a_file(trainer.state_dict()))
    assert (1.0, 2) == (fresh["stopping"].best_score, fresh["stopping"].counter)
    assert (6, 3) == (fresh["ema"].updates, fresh["slow"].updates)
    for name in ("best", "last"):
        assert owners[name].last_checkpoint == fresh[name].last_checkpoint
    assert {*attached(trainer)} == {*attached(other)}


# Nothing is kept


def test_an_engine_with_attached_objects_is_freed_at_once():
    """Neither registering nor saving makes a cycle, or keeps anything."""
    gc.disable()
    try:
        engine, weak = engine_with(Counter(), mine=Counter()), Counter()
        engine.register_stateful(weak, weak=True)
        engine.add_event_handler(Events.STARTED, Counter())
        Accuracy().attach(engine, "a")
        engine.run(pairs(1))
        saved = engine.state_dict()
        engine.load_state_dict(saved)
        gone = weakref.ref(engine), weakref.ref(engine.registered_statefuls()[0].get())
        del engine
        assert [None, None] == [each() for each in gone]
    finally:
        gc.enable()


def test_registering_and_going_a_hundred_thousand_times_leaves_nothing():
    """Of what is gone there is no entry left but the last, however many there were."""
    engine = engine_with(kept=Counter())
    for _ in range(100_000):
        engine.register_stateful(Counter(), weak=True)
    assert 2 >= len([each for each in engine.registered_statefuls() if each.get() is not None])
    assert 2 >= len(engine.registered_statefuls())
    assert ["Counter:kept"] == list(attached(engine))


def test_registering_one_object_many_times_leaves_one_entry():
    """Under the last name."""
    engine, counter = Engine(echo), Counter()
    for number in range(1000):
        engine.register_stateful(counter, f"name {number}")
    assert ["Counter:name 999"] == list(attached(engine))
    assert 1 == len(engine.registered_statefuls())


def test_what_was_saved_does_not_move():
    """It is a copy of what is attached, which goes on."""
    engine = Engine(echo)
    Average().attach(engine, "mean")
    saved = []
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: saved.append(engine.state_dict()))
    engine.run([torch.tensor(1.0), torch.tensor(3.0)])
    states = copy.deepcopy(saved)
    engine.run([torch.tensor(5.0)])
    assert str(states) == str(saved[:2])
