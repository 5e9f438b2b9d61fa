"""Filters decide from an event's count, as values, with Ignite's phase, and skip no count that passes."""

from __future__ import annotations

import copy
import math
import operator
import pickle
import time
from datetime import timedelta
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ignite_signals.engine import (
    After,
    And,
    Before,
    Engine,
    EventEnum,
    Events,
    Every,
    Filter,
    Not,
    Once,
    Or,
    Predicate,
)

# A busy machine is no failure.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Custom(EventEnum):
    OWN = "own_count"
    MOVED = "moved_by_hand"


def is_even(engine: Any, count: int) -> bool:
    return count % 2 == 0


def passing(condition: Filter, end: int = 30) -> list[int]:
    return [count for count in range(end) if condition.passes(count)]


def custom_engine(step: Any = lambda engine, batch: None) -> Engine:
    engine = Engine(step)
    engine.register_events(*Custom, event_to_attr={Custom.MOVED: "moved"})
    return engine


# The keywords of an event


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({"every": 5, "after": 8, "before": 25}, [9, 14, 19, 24]),
        ({"every": 5, "before": 25}, [5, 10, 15, 20]),
        ({"every": 10, "after": 0}, [1, 11, 21]),
        ({"every": 7, "after": 13}, [14, 21, 28]),
        ({"every": 10}, [10, 20]),
        ({"every": 1, "before": 4}, [1, 2, 3]),
        ({"once": 7}, [7]),
        ({"once": [3, 29, 1]}, [1, 3, 29]),
        ({"once": range(4, 6)}, [4, 5]),
        ({"before": 3}, [0, 1, 2]),
        ({"after": 27}, [28, 29]),
        ({"after": 24, "before": 27}, [25, 26]),
        ({"event_filter": lambda engine, count: count in (2, 5)}, [2, 5]),
        ({"event_filter": Every(5) & After(8)}, [10, 15, 20, 25]),
    ],
)
def test_keywords_share_the_documented_phase(keywords, expected):
    """The keywords of one call select the counts that are documented, bounds excluded."""
    assert expected == passing(Events.ITERATION_COMPLETED(**keywords).filter)


def test_the_shared_phase_has_a_name():
    """`every=5, after=8` is `Every(5, start=9)`, and a start at the period is the default."""
    assert Every(5, start=9) == Events.EPOCH_STARTED(every=5, after=8).filter
    assert Every(5, start=9) & Before(25) == Events.EPOCH_STARTED(every=5, after=8, before=25).filter
    assert Every(5) == Every(5, start=5)
    assert Every(5) != Every(5, start=10)


@pytest.mark.parametrize(
    "keywords",
    [{"every": 3}, {"every": 3, "before": 20}, {"every": 3, "after": 0}, {"every": 1}],
)
def test_no_every_passes_at_count_zero(keywords):
    """Count 0, which GET_BATCH_STARTED has first, passes no `every`."""
    heard = []
    engine = Engine(lambda engine, batch: None)
    condition = Events.GET_BATCH_STARTED(**keywords)
    engine.add_event_handler(condition, lambda: heard.append(engine.state.iteration))
    engine.run(range(8))
    assert [count for count in range(8) if condition.filter.passes(count)] == heard
    assert 0 not in heard


@pytest.mark.parametrize(
    "keywords",
    [{"every": 3}, {"once": 4}, {"once": [2, 5]}, {"before": 3}, {"after": 2}, {"every": 2, "after": 3}],
)
def test_keywords_select_what_the_peer_selects(keywords):
    """PyTorch-Ignite calls a handler behind the same keywords at the same counts."""
    peer = pytest.importorskip("ignite.engine")

    def heard(engine_type, events):
        counts = []
        engine = engine_type(lambda engine, batch: None)
        engine.add_event_handler(
            events.ITERATION_COMPLETED(**keywords), lambda: counts.append(("iteration", engine.state.iteration))
        )
        engine.add_event_handler(events.EPOCH_STARTED(**keywords), lambda: counts.append(("epoch", engine.state.epoch)))
        engine.run(range(3), max_epochs=6)
        return counts

    assert heard(peer.Engine, peer.Events) == heard(Engine, Events)


# Combinations


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Every(5) & After(8), [10, 15, 20, 25]),
        (Every(5) & After(8) & Before(20), [10, 15]),
        (Every(10) & After(10) | Once(1), [1, 20]),
        (~Once(1) & Before(4), [0, 2, 3]),
        (Every(4) | Every(6), [4, 6, 8, 12, 16, 18, 20, 24, 28]),
        (~(Every(2) | Every(3)) & Before(12), [0, 1, 5, 7, 11]),
        (~(After(2) & Before(28)), [0, 1, 2, 28, 29]),
        (Predicate(is_even) & After(25), [26, 28]),
        (Once(1) & Once(2), []),
    ],
)
def test_each_operand_sees_the_absolute_count(condition, expected):
    """`&`, `|` and `~` combine decisions that are each made on the absolute count."""
    assert expected == passing(condition)


def test_combining_makes_new_values():
    """Combining filters mutates none of them, and `~~f` is `f`."""
    one, other = Every(2), Before(9)
    both, either = one & other, one | other
    _ = both & After(1), either | After(1), ~both
    assert (Every(2), Before(9)) == (one, other)
    assert (And((Every(2), Before(9))), Or((Every(2), Before(9)))) == (both, either)
    assert both == ~~both


@pytest.mark.parametrize("combine", [operator.and_, operator.or_])
@pytest.mark.parametrize("stranger", [3, "Every(2)", None, is_even])
def test_only_filters_combine(combine, stranger):
    """`&` and `|` refuse what is no filter, a bare function too."""
    with pytest.raises(TypeError, match="unsupported operand"):
        combine(Every(2), stranger)


# Values

SAME = [
    (Every(5), Every(5), "Every(5)"),
    (Every(5, start=9), Every(5, start=9), "Every(5, start=9)"),
    (Every(timedelta(seconds=3)), Every(timedelta(seconds=3)), "Every(datetime.timedelta(seconds=3))"),
    (Once(1), Once([1]), "Once(1)"),
    (Once(3, 1), Once((1, 3, 3)), "Once(1, 3)"),
    (Before(4), Before(4), "Before(4)"),
    (After(4), After(4), "After(4)"),
    (Predicate(is_even), Predicate(is_even), "Predicate(is_even)"),
    (Every(5) & After(9) | Once(1), Every(5) & After(9) | Once(1), "Every(5) & After(9) | Once(1)"),
    ((Once(1) | Once(2)) & After(1), (Once(1) | Once(2)) & After(1), "(Once(1) | Once(2)) & After(1)"),
    (~Once(1), ~Once(1), "~Once(1)"),
    (~(Once(1) | After(8)), ~(Once(1) | After(8)), "~(Once(1) | After(8))"),
]


@pytest.mark.parametrize(("one", "other", "text"), SAME, ids=[text for *_, text in SAME])
def test_filters_are_values(one, other, text):
    """Filters that say the same are equal, with equal hashes, and print as they are written."""
    assert one == other
    assert hash(one) == hash(other)
    assert text == repr(one)
    assert {one: "found"}[other] == "found"


@pytest.mark.parametrize(("one", "other", "text"), SAME, ids=[text for *_, text in SAME])
def test_filters_survive_pickling_and_copying(one, other, text):
    """A pickled or deep-copied filter is equal to the original and decides as it does."""
    for twin in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one)):
        assert one == twin
        assert hash(one) == hash(twin)
        assert [one.next(count) for count in range(30)] == [twin.next(count) for count in range(30)]


def test_filters_that_differ_are_unequal():
    """Each of the filters in the table above is equal to itself alone."""
    values = [one for one, *_ in SAME]
    assert len(values) == len(set(values))
    assert [[row is column for column in values] for row in values] == [
        [row == column for column in values] for row in values
    ]
    assert Before(4) != After(4)
    assert Predicate(is_even) != Predicate(lambda engine, count: True)


@pytest.mark.parametrize(("condition", "field"), [(Every(2), "period"), (Before(2), "bound"), (Once(1), "counts")])
def test_filters_cannot_be_changed(condition, field):
    """A filter is immutable."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(condition, field, 3)


class Third(Filter):
    """A user's own filter, which says only whether to pass."""

    def passes(self, count, engine=None, elapsed=0.0):
        return count % 3 == 0 and count > 0


def test_users_write_their_own_filters():
    """A subclass of Filter needs `passes` alone to be used and combined."""
    heard = []
    engine = Engine(lambda engine, batch: None)
    engine.add_event_handler(
        Events.ITERATION_COMPLETED(Third() & ~Once(6)), lambda: heard.append(engine.state.iteration)
    )
    engine.run(range(13))
    assert [3, 9, 12] == heard


# Bad input


@pytest.mark.parametrize("argument", ["every", "once", "before", "after"])
@pytest.mark.parametrize("value", [-1, 2.0, 1.5, "3", True, False, math.nan, [], object])
def test_a_keyword_that_is_no_positive_integer_is_refused(argument, value):
    """The error names the argument, what it must be, and the value that it got."""
    with pytest.raises(ValueError, match=f"{argument} must be an? .*integer.*, got") as caught:
        Events.EPOCH_STARTED(**{argument: value})
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Events.STARTED(every=0), "every must be a positive integer, got 0"),
        (lambda: Every(0), "every must be a positive integer, got 0"),
        (lambda: Every(3, start=0), "start must be a positive integer, got 0"),
        (lambda: Every(timedelta(seconds=1), start=2), "start must be left out where every is a timedelta"),
        (lambda: Every(timedelta(0)), "every must be a positive timedelta, got datetime.timedelta(0)"),
        (lambda: Events.STARTED(every=-timedelta(1)), "every must be a positive timedelta"),
        (lambda: Events.STARTED(once=0), "once must be a positive integer, got 0"),
        (lambda: Events.STARTED(once=[1, -3]), "once must be a positive integer, got -3"),
        (lambda: Events.STARTED(once=[1, True]), "once must be a positive integer, got True"),
        (lambda: Once(), "once must be a positive integer or a list of them, got []"),
        (lambda: Before(-1), "before must be a positive integer, got -1"),
        (lambda: After(False), "after must be an integer of at least 0, got False"),
        (lambda: Events.STARTED(), "got none"),
        (lambda: Events.STARTED(every=2, once=3), "got every=2, once=3"),
        (lambda: Events.STARTED(once=3, before=9), "got once=3, before=9"),
        (lambda: Events.STARTED(once=3, after=9), "got once=3, after=9"),
        (lambda: Events.STARTED(is_even, every=2), "every=2"),
        (lambda: Events.STARTED(Every(2), once=2), "event_filter=Every(2), once=2"),
        (lambda: Predicate(lambda: True), "event_filter must take (engine, count)"),
        (lambda: Events.STARTED(event_filter=lambda engine: True), "event_filter must take (engine, count)"),
        (lambda: Events.STARTED(lambda engine, count, more: True), "event_filter must take (engine, count)"),
    ],
)
def test_conflicting_or_wrong_arguments_are_refused(make, message):
    """A conflict, a value that is not positive and a predicate of the wrong arity are told as such."""
    with pytest.raises(ValueError, match=r"must|takes") as caught:
        make()
    assert message in str(caught.value)


async def coming(engine, count):
    return True


@pytest.mark.parametrize(
    ("function", "message"), [(3, "event_filter must be a callable or a Filter, got 3"), (coming, "async coming")]
)
def test_a_predicate_must_be_a_plain_function(function, message):
    """What cannot be called, or only awaited, is no predicate."""
    with pytest.raises(TypeError, match="event_filter") as caught:
        Events.STARTED(event_filter=function)
    assert message in str(caught.value)


def test_any_integer_type_will_do():
    """Integers of other types, as numpy's and torch's, pass and are kept as int."""

    class Index:
        def __index__(self):
            return 4

    assert Every(4) == Every(Index())
    assert "Once(4)" == repr(Once(Index()))


# A model that is independent of the package: recipes, which tests evaluate by themselves

small = st.integers(1, 12)
recipes = st.recursive(
    st.one_of(
        st.tuples(st.just("every"), small, st.none() | small),
        st.tuples(st.just("once"), st.frozensets(small, min_size=1, max_size=3)),
        st.tuples(st.just("before"), small),
        st.tuples(st.just("after"), st.integers(0, 12)),
        st.tuples(st.just("predicate"), st.integers(2, 4), st.integers(0, 3)),
        st.tuples(st.just("keywords"), small, st.none() | st.integers(0, 12), st.none() | st.integers(14, 30)),
    ),
    lambda inner: st.one_of(
        st.tuples(st.just("and"), inner, inner),
        st.tuples(st.just("or"), inner, inner),
        st.tuples(st.just("not"), inner),
    ),
    max_leaves=5,
)


def holds(recipe: tuple[Any, ...], count: int) -> bool:
    """Evaluate a recipe anew, without the package."""
    match recipe:
        case ("every", period, start):
            start = start or period
            return count in range(start, max(start, count) + 1, period)
        case ("once", counts):
            return count in counts
        case ("before", bound):
            return count < bound
        case ("after", bound):
            return count > bound
        case ("predicate", modulus, rest):
            return count % modulus == rest
        case ("keywords", every, after, before):
            start = every if after is None else after + 1
            return count in range(start, max(start, count) + 1, every) and (before is None or count < before)
        case ("and", one, other):
            return holds(one, count) and holds(other, count)
        case ("or", one, other):
            return holds(one, count) or holds(other, count)
        case ("not", one):
            return not holds(one, count)
    raise AssertionError(recipe)


def build(recipe: tuple[Any, ...]) -> Filter:
    """Build the filter that a recipe describes."""
    match recipe:
        case ("every", period, start):
            return Every(period, start=start)
        case ("once", counts):
            return Once(*counts)
        case ("before", bound):
            return Before(bound)
        case ("after", bound):
            return After(bound)
        case ("predicate", modulus, rest):
            return Predicate(lambda engine, count: count % modulus == rest)
        case ("keywords", every, after, before):
            return Events.STARTED(every=every, after=after, before=before).filter
        case ("and", one, other):
            return build(one) & build(other)
        case ("or", one, other):
            return build(one) | build(other)
        case ("not", one):
            return ~build(one)
    raise AssertionError(recipe)


@settings(PATIENT, max_examples=300)
@given(recipes)
def test_a_filter_decides_as_a_plain_evaluation_does(recipe):
    """Any combination of filters passes where a re-evaluation by hand says so."""
    condition = build(recipe)
    assert [holds(recipe, count) for count in range(60)] == [condition.passes(count) for count in range(60)]


@settings(PATIENT, max_examples=300)
@given(recipes, st.integers(-5, 40))
def test_next_skips_no_count_that_passes(recipe, count):
    """`next(count)` lies above `count`, and no count between the two passes."""
    after = build(recipe).next(count)
    assert count < after
    assert [] == [n for n in range(count + 1, int(min(after, 80))) if holds(recipe, n)]


@settings(PATIENT, max_examples=300)
@given(st.lists(st.none() | recipes, max_size=6), st.lists(st.integers(-3, 30), max_size=25))
@example([("every", 5, None)], [5, 5, 4, 5, 10, 5])
@example([("every", 5, None)], [7, 7, 6, 5, 3, 5, 12, 10])
@example([("once", frozenset({3}))], [9, 3, 3, 2, 3])
def test_a_count_that_is_moved_by_hand_is_noticed(listed, counts):
    """Sends at counts that go forwards, back or stay call whom a re-evaluation at each would call."""
    engine = Engine(lambda engine, batch: None)
    heard = []

    def record(engine, number):
        heard.append((engine.state.iteration, number))

    for number, recipe in enumerate(listed):
        event = Events.ITERATION_STARTED if recipe is None else Events.ITERATION_STARTED(build(recipe))
        engine.add_event_handler(event, record, number)
    for count in counts:
        engine.state.iteration = count
        engine.fire_event(Events.ITERATION_STARTED)
    expected = [
        (count, number)
        for count in counts
        for number, recipe in enumerate(listed)
        if recipe is None or holds(recipe, count)
    ]
    assert expected == heard


# Whole runs against a model of a run

SELF_COUNTED = ("started", "completed", "own_count")
BY_HAND = {"iteration": "iteration", "epoch": "epoch", "moved_by_hand": "moved"}
SIGNALS = {event.value: event for event in [*Events, *Custom]}
HEARD = (
    *("started", "epoch_started", "get_batch_started", "iteration_started", "iteration_completed"),
    *("epoch_completed", "completed", "own_count", "moved_by_hand"),
)


@attrs.frozen
class Listener:
    """What is connected in a test: where, behind which recipe, how, and what it does when called."""

    event: str
    recipe: tuple[Any, ...] | None
    priority: int
    how: str
    shift: int  # by how much it moves the iteration


# What the step does in one iteration.
actions = st.one_of(
    st.tuples(st.just("fire"), st.sampled_from(["own_count", "moved_by_hand"])),
    st.tuples(st.just("attribute"), st.sampled_from(["iteration", "epoch", "moved", "own_count"]), st.integers(0, 15)),
    st.tuples(st.just("counters"), st.sampled_from(["own_count", "completed", "started"]), st.integers(0, 15)),
    st.tuples(st.just("toggle"), st.integers(0, 5)),
)
listeners = st.builds(
    Listener,
    event=st.sampled_from(HEARD),
    recipe=st.none() | recipes,
    priority=st.integers(-1, 1),
    how=st.sampled_from(["handler", "weak", "strong"]),
    shift=st.sampled_from([0, 0, 0, 0, -2, 3]),
)
programs = st.lists(st.lists(actions, max_size=4), max_size=8)


class Model:
    """A run as one would write it down: a plain loop, every filter evaluated at every occurrence."""

    def __init__(self, listed):
        self.listed, self.log = listed, []
        self.connected = {number: (-listener.priority, number) for number, listener in enumerate(listed)}
        self.serial = len(listed)
        self.at = {"iteration": 0, "epoch": 0, "moved": 0}
        self.counters = dict.fromkeys(SELF_COUNTED, 0)

    def occur(self, name):
        if name in SELF_COUNTED:
            self.counters[name] += 1
            count = self.counters[name]
        else:
            attribute = next((key for key in ("epoch",) if name.startswith("epoch")), "iteration")
            count = self.at["moved" if name == "moved_by_hand" else attribute]
        for number in sorted(self.connected, key=self.connected.__getitem__):
            listener = self.listed[number]
            if listener.event == name and (listener.recipe is None or holds(listener.recipe, count)):
                self.log.append((number, name, *self.at.values(), *self.counters.values()))
                self.at["iteration"] += listener.shift

    def act(self, action):
        match action:
            case ("fire", name):
                self.occur(name)
            case ("attribute", "own_count", value) | ("counters", "own_count", value):
                self.counters["own_count"] = value
            case ("attribute", name, value):
                self.at[name] = value
            case ("counters", name, value):
                self.counters[name] = value
            case ("toggle", number) if number in self.connected:
                del self.connected[number]
            case ("toggle", number) if number < len(self.listed):
                self.connected[number] = (-self.listed[number].priority, self.serial)
                self.serial += 1

    def run(self, program, epochs, length):
        steps = iter(program)
        self.at["iteration"] = self.at["epoch"] = 0
        self.occur("started")
        while self.at["epoch"] < epochs:
            self.at["epoch"] += 1
            self.occur("epoch_started")
            for _ in range(length):
                self.occur("get_batch_started")
                self.occur("get_batch_completed")
                self.at["iteration"] += 1
                self.occur("iteration_started")
                for action in next(steps, ()):
                    self.act(action)
                self.occur("iteration_completed")
            self.occur("epoch_completed")
        self.occur("completed")


class Real:
    """The same on an engine."""

    def __init__(self, listed):
        self.listed, self.log = listed, []
        self.engine = custom_engine(self.step)
        self.callables = [self.callable_for(number, listener) for number, listener in enumerate(listed)]
        self.handles = {}
        for number in range(len(listed)):
            self.connect(number)

    def callable_for(self, number, listener):
        def receiver(engine):
            state = engine.state
            counts = [getattr(state, name) for name in ("iteration", "epoch", "moved", *SELF_COUNTED)]
            self.log.append((number, listener.event, *counts))
            state.iteration += listener.shift

        receiver.priority = listener.priority
        return receiver

    def connect(self, number):
        listener, receiver = self.listed[number], self.callables[number]
        event = SIGNALS[listener.event]
        if listener.recipe is not None:
            event = event(build(listener.recipe))
        if listener.how == "handler":
            self.handles[number] = self.engine.add_event_handler(event, receiver).remove
        else:
            view = self.engine.signal(event)
            view.connect(receiver, weak=listener.how == "weak", priority=listener.priority)
            self.handles[number] = lambda: view.disconnect(receiver)

    def step(self, engine, batch):
        state = engine.state
        for action in next(self.steps, ()):
            match action:
                case ("fire", name):
                    engine.fire_event(SIGNALS[name])
                case ("attribute", name, value):
                    setattr(state, name, value)
                case ("counters", name, value):
                    state.counters[name] = value
                case ("toggle", number) if number in self.handles:
                    self.handles.pop(number)()
                case ("toggle", number) if number < len(self.listed):
                    self.connect(number)

    def run(self, program, epochs, length):
        self.steps = iter(program)
        self.engine.reset()
        self.engine.run(range(length), max_epochs=epochs)


@settings(PATIENT, max_examples=250)
@given(
    st.lists(listeners, max_size=6),
    st.lists(st.tuples(programs, st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=2),
)
def test_a_run_calls_whom_a_plain_evaluation_would_call(listed, runs):
    """In any run, with counts moved by hand and receivers coming and going, the right are called in order."""
    model, real = Model(listed), Real(listed)
    for program, epochs, length in runs:
        model.run(program, epochs, length)
        real.run(program, epochs, length)
    assert model.log == real.log


# Cost


@pytest.mark.parametrize("turn", [lambda one, other: one & other, lambda one, other: other & one])
def test_an_occurrence_costs_what_is_due(turn):
    """A predicate is asked only at the counts where the rest of its filter can pass."""
    asked = []
    engine = Engine(lambda engine, batch: None)
    condition = turn(Every(100), Predicate(lambda engine, count: asked.append(count)))
    engine.add_event_handler(Events.ITERATION_COMPLETED(condition), lambda: None)
    engine.run(range(1000))
    assert list(range(100, 1001, 100)) == asked


def test_what_is_not_due_is_not_asked():
    """A signal whose receivers are not due does not look at their filters, however many they are."""

    class Seldom(Filter):
        looked = 0

        def passes(self, count, engine=None, elapsed=0.0):
            Seldom.looked += 1
            return count % 50 == 0

        def next(self, count):
            Seldom.looked += 1
            return count + 50 - count % 50

    engine = Engine(lambda engine, batch: None)
    for _ in range(20):
        engine.add_event_handler(Events.ITERATION_STARTED(Seldom()), lambda: None)
    engine.run(range(500))
    assert 20 * (1 + 2 * 10) == Seldom.looked


# Time


class Clock:
    """A clock that tests move by hand."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def heard_at(clock, event, seconds, between=lambda engine, second: None):
    """Return the seconds of a clock at which a handler behind `event` is called, of one firing a second."""
    heard = []
    engine = custom_engine()
    start = clock.now
    engine.add_event_handler(event, lambda: heard.append(clock.now - start))
    for second in range(1, seconds + 1):
        between(engine, second)
        clock.now = start + second
        engine.fire_event(event.event)
    return heard


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({"every": timedelta(seconds=3)}, [3, 6, 9, 12]),
        ({"every": timedelta(seconds=2.5)}, [3, 6, 9, 12]),
        ({"every": timedelta(minutes=1)}, []),
        ({"every": timedelta(seconds=3), "after": 4}, [5, 8, 11]),
        ({"every": timedelta(seconds=3), "before": 7}, [3, 6]),
        ({"event_filter": Every(timedelta(seconds=3)) | Once(5)}, [3, 5, 8, 11]),
        ({"event_filter": Every(timedelta(seconds=3)) & Every(2)}, [4, 8, 12]),
        ({"event_filter": ~Every(timedelta(seconds=3))}, list(range(1, 13))),
    ],
)
def test_every_takes_a_time(clock, keywords, expected):
    """The first occurrence once that much time has passed since the last call is heard."""
    assert expected == heard_at(clock, Custom.OWN(**keywords), 12)


def test_the_clock_starts_when_the_connection_is_made(clock):
    """Time that passed before the connection was made does not count, nor when the filter was."""
    event = Custom.OWN(every=timedelta(seconds=5))
    clock.now += 100
    assert [5, 10] == heard_at(clock, event, 12)
    clock.now += 100
    assert [5, 10] == heard_at(clock, event, 12)


def test_each_connection_has_its_own_clock(clock):
    """Two connections behind one filter, made two seconds apart, are heard two seconds apart."""
    engine, heard = custom_engine(), []
    event = Custom.OWN(every=timedelta(seconds=3))
    engine.add_event_handler(event, lambda: heard.append(("first", clock.now - 1000)))
    for second in range(1, 10):
        if second == 3:
            engine.signal(event).connect(
                lambda engine: heard.append(("second", clock.now - 1000)), weak=False, priority=1
            )
        clock.now = 1000 + second
        engine.fire_event(Custom.OWN)
    assert [("first", 3), ("second", 5), ("first", 6), ("second", 8), ("first", 9)] == heard


def test_an_occurrence_that_is_not_heard_leaves_the_clock(clock):
    """Muted occurrences and those that another operand stops do not restart the clock."""

    def muted_at_three(engine, second):
        if second == 3:
            with engine.signal(Custom.OWN).muted():
                clock.now += 1
                engine.fire_event(Custom.OWN)

    assert [3] == heard_at(clock, Custom.OWN(every=timedelta(seconds=3)), 5)
    assert [3, 6] == heard_at(clock, Custom.OWN(every=timedelta(seconds=3)), 6, muted_at_three)
    assert [5] == heard_at(clock, Custom.OWN(every=timedelta(seconds=3), after=4), 7)


def test_a_time_filters_a_real_run(clock):
    """In a run, a timed handler hears the first iteration after its time."""
    heard = []

    def step(engine, batch):
        clock.now += 0.4

    engine = Engine(step)
    engine.add_event_handler(
        Events.ITERATION_COMPLETED(every=timedelta(seconds=1)), lambda: heard.append(engine.state.iteration)
    )
    engine.run(range(5), max_epochs=2)
    assert [3, 6, 9] == heard


def test_not_is_a_filter_of_its_own():
    """`Not`, `And` and `Or` are what the operators make."""
    assert Not(Once(1)) == ~Once(1)
    assert isinstance(Once(1) & Once(2), And)
    assert isinstance(Once(1) | Once(2), Or)
