"""LRScheduler uses a learning rate scheduler of torch as a handler."""

from __future__ import annotations

import copy
import inspect
import io
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import SGD, Adam, Optimizer, lr_scheduler, swa_utils

from ignite_signals.engine import Engine, Events
from ignite_signals.handlers.param_scheduler.concat import ConcatScheduler
from ignite_signals.handlers.param_scheduler.lr_scheduler import LRScheduler
from ignite_signals.handlers.param_scheduler.piecewise_linear import PiecewiseLinear

LENGTH = 300


def an_optimizer(kind: type[Optimizer] = SGD, **options: Any) -> Optimizer:
    """Return an optimizer of two groups, with gradients to make steps with."""
    groups: list[dict[str, Any]] = [{"params": [torch.zeros(2, requires_grad=True)], "lr": lr} for lr in (0.1, 0.02)]
    for group in groups:
        group["params"][0].grad = torch.ones(2)
    if kind is SGD:
        options["momentum"] = 0.9
    return kind(groups, **options)


def slower(count: int) -> float:
    """Return a factor that gets smaller."""
    return 1 / (1 + count)


def a_little_slower(count: int) -> float:
    """Return a factor that is close to 1."""
    return 1 - 0.01 * (count % 7)


class Growing:
    """Return factors, with a state of its own that torch saves."""

    def __init__(self) -> None:
        self.by = 0.01

    def __call__(self, count: int) -> float:
        return 1 + self.by * count


def sequence_of_three(optimizer: Optimizer) -> lr_scheduler.LRScheduler:
    """Return a warm-up, a cosine and steps, one after the other."""
    parts: list[Any] = [
        lr_scheduler.LinearLR(optimizer, 0.1, total_iters=10),
        lr_scheduler.CosineAnnealingLR(optimizer, 50),
        lr_scheduler.StepLR(optimizer, 25, gamma=0.5),
    ]
    return lr_scheduler.SequentialLR(optimizer, parts, milestones=[10, 60])


def chain(optimizer: Optimizer) -> lr_scheduler.LRScheduler:
    """Return two schedulers whose factors are multiplied."""
    parts = [lr_scheduler.ConstantLR(optimizer, 0.1, total_iters=20), lr_scheduler.ExponentialLR(optimizer, 0.99)]
    return lr_scheduler.ChainedScheduler(parts)


Make = Callable[[Optimizer], Any]
SCHEDULERS: dict[str, Make] = {
    "ChainedScheduler": chain,
    "ConstantLR": lambda optimizer: lr_scheduler.ConstantLR(optimizer, 0.3, total_iters=40),
    "CosineAnnealingLR": lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 70, eta_min=0.001),
    "CosineAnnealingWarmRestarts": lambda optimizer: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 20, 2),
    "CyclicLR": lambda optimizer: lr_scheduler.CyclicLR(optimizer, 0.01, 0.1, 30, mode="exp_range", gamma=0.99),
    "ExponentialLR": lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.98),
    "LambdaLR": lambda optimizer: lr_scheduler.LambdaLR(optimizer, [slower, Growing()]),
    "LinearLR": lambda optimizer: lr_scheduler.LinearLR(optimizer, total_iters=100),
    "MultiStepLR": lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [10, 10, 100, 250], gamma=0.5),
    "MultiplicativeLR": lambda optimizer: lr_scheduler.MultiplicativeLR(optimizer, a_little_slower),
    "OneCycleLR": lambda optimizer: lr_scheduler.OneCycleLR(optimizer, [1.0, 0.2], total_steps=LENGTH),
    "PolynomialLR": lambda optimizer: lr_scheduler.PolynomialLR(optimizer, total_iters=200, power=2),
    "SWALR": lambda optimizer: swa_utils.SWALR(optimizer, swa_lr=0.05, anneal_epochs=50),
    "SequentialLR": sequence_of_three,
    "StepLR": lambda optimizer: lr_scheduler.StepLR(optimizer, 30, gamma=0.3),
}
every_scheduler = pytest.mark.parametrize("name", SCHEDULERS)
every_optimizer = pytest.mark.parametrize("kind", [SGD, Adam])
# What torch's schedulers move.
MOVED = ("lr", "momentum", "betas")


def values(optimizer: Optimizer) -> list[Any]:
    """Return what a scheduler may have moved in each group."""
    return [[copy.deepcopy(group[key]) for key in MOVED if key in group] for group in optimizer.param_groups]


def torchs_own(make: Make, kind: type[Optimizer] = SGD, length: int = LENGTH) -> list[Any]:
    """Return what the steps of torch's own loop are made with."""
    optimizer = an_optimizer(kind)
    scheduler, seen = make(optimizer), []
    for _ in range(length):
        seen.append(values(optimizer))
        optimizer.step()
        scheduler.step()
    return seen


class Training:
    """A training with a scheduler, which notes what its steps are made with."""

    def __init__(self, make: Make, kind: type[Optimizer] = SGD, steps: bool = True, **options: Any) -> None:
        self.optimizer = an_optimizer(kind)
        self.seen: list[Any] = []
        self.steps = steps
        self.engine = Engine(self.step)
        self.scheduler = LRScheduler(make(self.optimizer), **options)
        event = Events.ITERATION_COMPLETED if self.scheduler.use_legacy else Events.ITERATION_STARTED
        self.engine.add_event_handler(event, self.scheduler)

    def step(self, engine: Engine, batch: Any) -> None:
        self.seen.append(values(self.optimizer))
        if self.steps:
            self.optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        return {"engine": self.engine.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.engine.load_state_dict(saved["engine"])
        self.optimizer.load_state_dict(saved["optimizer"])


def through_a_file(value: Any) -> Any:
    """Return what a safe load makes of a saved value."""
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_every_scheduler_of_torch_is_tested() -> None:
    """None is missing of those that torch has, but the two that are none by themselves and the one that is refused."""
    found = {
        name
        for module in (lr_scheduler, swa_utils)
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, lr_scheduler.LRScheduler)
    }

    assert found - {"LRScheduler", "_LRScheduler", "ReduceLROnPlateau"} == set(SCHEDULERS)


@every_optimizer
@pytest.mark.parametrize("use_legacy", [False, True])
@every_scheduler
def test_moves_as_torchs_own_loop_does(name: str, use_legacy: bool, kind: type[Optimizer]) -> None:
    """Rates and momenta of hundreds of steps are exactly those of `optimizer.step(); scheduler.step()`."""
    training = Training(SCHEDULERS[name], kind, use_legacy=use_legacy)
    training.engine.run(range(LENGTH))

    assert torchs_own(SCHEDULERS[name], kind) == training.seen


@pytest.mark.parametrize("cut", [1, 2, 11, 60, 61, 150])
@pytest.mark.parametrize("use_legacy", [False, True])
@every_scheduler
def test_goes_on_exactly_after_a_resume(name: str, use_legacy: bool, cut: int) -> None:
    """Saved in the middle with the engine and loaded into a new process, the rest is that of a run without a stop."""
    first = Training(SCHEDULERS[name], use_legacy=use_legacy)
    first.engine.run(range(LENGTH), max_iters=cut)
    saved = through_a_file(first.state_dict())
    second = Training(SCHEDULERS[name], use_legacy=use_legacy)
    second.load_state_dict(saved)
    second.engine.run(range(LENGTH), max_iters=LENGTH)

    assert torchs_own(SCHEDULERS[name]) == first.seen + second.seen


@every_scheduler
def test_torch_does_not_warn_where_the_optimizer_makes_no_steps(name: str) -> None:
    """A step that accumulates gradients, or a scaler, may leave out the first ones: no rate is left out by that."""
    training = Training(SCHEDULERS[name], steps=False)
    training.engine.run(range(LENGTH))

    assert torchs_own(SCHEDULERS[name]) == training.seen


def test_torch_warns_of_the_users_own_steps() -> None:
    """What torch warns of is not silenced for schedulers that the user steps in a wrong order."""
    training = Training(SCHEDULERS["StepLR"], steps=False)
    own = lr_scheduler.StepLR(training.optimizer, 3)
    training.engine.run(range(5))

    with pytest.warns(UserWarning, match=r"before `optimizer\.step\(\)`"):
        own.step()


def test_torch_warns_of_a_legacy_scheduler_at_the_start_of_an_iteration() -> None:
    """There the first rate is left out, as torch says."""
    optimizer = an_optimizer()
    scheduler = LRScheduler(lr_scheduler.StepLR(optimizer, 3), use_legacy=True)
    engine = Engine(lambda engine, batch: optimizer.step())
    engine.add_event_handler(Events.ITERATION_STARTED, scheduler)

    with pytest.warns(UserWarning, match=r"before `optimizer\.step\(\)`"):
        engine.run([0])


def test_warnings_of_a_users_function_are_heard() -> None:
    """Only torch's look at the order is answered; no filter of warnings is touched."""

    def rate(count: int) -> float:
        if count == 1:
            warnings.warn("from the function", stacklevel=1)
        return 1.0

    training = Training(lambda optimizer: lr_scheduler.LambdaLR(optimizer, rate))

    with pytest.warns(UserWarning, match="from the function"):
        training.engine.run(range(3))


def test_leaves_the_optimizer_as_torch_has_it() -> None:
    """Nothing that answers torch's look at the order of steps stays behind."""
    training = Training(SCHEDULERS["StepLR"], steps=False)
    before = {name: value for name, value in vars(training.optimizer).items() if name != "param_groups"}
    training.engine.run(range(5))

    assert before == {name: value for name, value in vars(training.optimizer).items() if name != "param_groups"}


def test_schedulers_of_one_optimizer_act_upon_each_other() -> None:
    """Two handlers give the product of their factors, in either order of attachment, as torch's loop with both does."""
    optimizer, seen = an_optimizer(), []
    schedulers = [lr_scheduler.ExponentialLR(optimizer, 0.9), lr_scheduler.ConstantLR(optimizer, 0.1, 5)]
    for _ in range(20):
        seen.append(values(optimizer))
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    training = Training(lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.9))
    second = LRScheduler(lr_scheduler.ConstantLR(training.optimizer, 0.1, 5))
    training.engine.add_event_handler(Events.ITERATION_STARTED, second)
    training.engine.run(range(20))

    assert seen == training.seen


def test_goes_on_from_a_rate_that_is_set_by_hand() -> None:
    """As in torch's loop: a rate that was found before the run is what the factors are applied to."""
    training = Training(lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.5))
    for group in training.optimizer.param_groups:
        group["lr"] = 8.0
    training.engine.run(range(3))

    assert [8.0, 4.0, 2.0] == [groups[0][0] for groups in training.seen]


def test_rates_that_are_tensors_stay_the_same_tensors() -> None:
    """A compiled optimizer reads its rate from a tensor, which is written to."""
    optimizer = Adam([torch.zeros(1, requires_grad=True)], lr=torch.tensor(0.5), foreach=False, capturable=False)
    rate, engine = optimizer.param_groups[0]["lr"], Engine(lambda engine, batch: optimizer.step())
    scheduler = LRScheduler(lr_scheduler.ExponentialLR(optimizer, 0.5), save_history=True)
    scheduler.attach(engine)
    history = engine.run(range(3)).param_history["lr"]

    assert optimizer.param_groups[0]["lr"] is rate
    assert [0.5, 0.25, 0.125] == [float(each) for [each] in history]


def test_keeps_the_rates_of_each_group() -> None:
    """The history has the rates of all groups at each event."""
    training = Training(lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.5), save_history=True)

    assert [[0.1, 0.02], [0.05, 0.01]] == training.engine.run(range(2)).param_history["lr"]


def test_get_param_moves_nothing() -> None:
    """It tells the rates of the next call, between two calls and before the first one."""
    training = Training(SCHEDULERS["OneCycleLR"])
    asked: list[Any] = [training.scheduler.get_param()]
    handler = training.engine.add_event_handler(
        Events.ITERATION_COMPLETED, lambda: asked.append(training.scheduler.get_param())
    )
    with handler:
        training.engine.run(range(50))

    assert [[lr for lr, *_ in groups] for groups in torchs_own(SCHEDULERS["OneCycleLR"])][:51] == asked
    assert torchs_own(SCHEDULERS["OneCycleLR"], length=50) == training.seen


def test_get_param_of_one_group_is_a_number() -> None:
    """As PyTorch-Ignite's is."""
    optimizer = SGD([torch.zeros(1)], lr=0.1)

    assert 0.1 == LRScheduler(lr_scheduler.StepLR(optimizer, 3)).get_param()


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.sampled_from(sorted(SCHEDULERS)), st.booleans())
def test_stands_at_any_count(counts: list[int], name: str, use_legacy: bool) -> None:
    """value_at gives the rates of a count, forwards and back, whatever the groups had before the first one."""
    expected = torchs_own(SCHEDULERS[name], length=42)
    optimizer = an_optimizer()
    scheduler = LRScheduler(SCHEDULERS[name](optimizer), use_legacy=use_legacy)
    for group in optimizer.param_groups:
        group["lr"] = 17.0
    optimizer.step()
    given_rates = [scheduler.value_at(count) for count in counts]

    assert [[lr for lr, *_ in expected[count + use_legacy]] for count in counts] == given_rates
    assert expected[counts[-1] + use_legacy] == values(optimizer)


@pytest.mark.parametrize("cut", [None, 3, 5, 6, 7, 20])
@every_scheduler
def test_begins_at_its_own_start_behind_a_warm_up(name: str, cut: int | None) -> None:
    """In a ConcatScheduler the warm-up's rates come first, and then those of torch's loop; after a resume, too."""
    own = torchs_own(SCHEDULERS[name])
    seen: list[Any] = []

    def a_training() -> tuple[Engine, Optimizer]:
        optimizer = an_optimizer()
        engine = Engine(lambda engine, batch: seen.append(values(optimizer)))
        scheduler = LRScheduler(SCHEDULERS[name](optimizer))
        warm_up = PiecewiseLinear(optimizer, "lr", [(0, 1.0), (4, 5.0)])
        ConcatScheduler([warm_up, scheduler], durations=[5]).attach(engine)
        return engine, optimizer

    engine, optimizer = a_training()
    if cut is not None:
        engine.run(range(100), max_iters=cut)
        saved = through_a_file([engine.state_dict(), optimizer.state_dict()])
        engine, optimizer = a_training()
        engine.load_state_dict(saved[0])
        optimizer.load_state_dict(saved[1])
    engine.run(range(100), max_iters=100)

    assert [1.0, 2.0, 3.0, 4.0, 5.0] == [groups[0][0] for groups in seen[:5]]
    assert own[:95] == seen[5:]


@every_scheduler
def test_simulates_without_a_trace(name: str) -> None:
    """simulate_values gives the rates of torch's loop, and leaves the scheduler and the optimizer as they were."""
    optimizer = an_optimizer()
    scheduler = SCHEDULERS[name](optimizer)
    before = copy.deepcopy((scheduler.state_dict(), optimizer.state_dict())), dict(vars(optimizer))
    simulated = LRScheduler.simulate_values(LENGTH, scheduler)
    after = (scheduler.state_dict(), optimizer.state_dict()), dict(vars(optimizer))

    assert [[n, *(lr for lr, *_ in each)] for n, each in enumerate(torchs_own(SCHEDULERS[name]))] == simulated
    assert repr(before[0]) == repr(after[0])
    assert before[1] == after[1]


def test_simulates_what_use_legacy_gives() -> None:
    """The first call makes a step then, and torch has nothing to warn of."""
    scheduler = lr_scheduler.ExponentialLR(SGD([torch.zeros(1)], lr=1.0), 0.5)

    assert [[0, 0.5], [1, 0.25]] == LRScheduler.simulate_values(2, scheduler, use_legacy=True)


@pytest.mark.parametrize("use_legacy", [False, True])
def test_simulates_what_ignite_does(use_legacy: bool) -> None:
    """The lists are PyTorch-Ignite's, with a rate for each group."""
    ignite = pytest.importorskip("ignite.handlers.param_scheduler")
    scheduler = lr_scheduler.StepLR(an_optimizer(), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of use_legacy, and of what it makes of a state
        theirs = ignite.LRScheduler.simulate_values(8, scheduler, use_legacy=use_legacy)

    assert theirs == LRScheduler.simulate_values(8, scheduler, use_legacy=use_legacy)


def test_plots_a_line_for_each_group() -> None:
    """plot_values draws what simulate_values gives."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    lines = LRScheduler.plot_values(5, lr_scheduler=lr_scheduler.StepLR(an_optimizer(), 2))
    pyplot.close("all")

    assert [[0.1, 0.1], [0.02, 0.02]] == [list(line.get_ydata()[:2]) for line in lines]


@pytest.mark.parametrize("calls", [0, 1, 2, 7])
@pytest.mark.parametrize("use_legacy", [False, True])
# Of others its own rates are not those of torch: it asks some for a step before the first one.
@pytest.mark.parametrize("name", ["StepLR", "LambdaLR", "OneCycleLR"])
def test_takes_the_state_that_ignite_saves(name: str, use_legacy: bool, calls: int) -> None:
    """A training that was saved with PyTorch-Ignite goes on here."""
    ignite = pytest.importorskip("ignite.handlers.param_scheduler")
    optimizer = an_optimizer()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of use_legacy
        theirs = ignite.LRScheduler(SCHEDULERS[name](optimizer), use_legacy=use_legacy)
    for _ in range(calls):
        theirs(None)
    training = Training(SCHEDULERS[name], use_legacy=use_legacy)
    training.optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    training.scheduler.load_state_dict(copy.deepcopy(theirs.state_dict()))
    training.engine.run(range(20))
    expected = torchs_own(SCHEDULERS[name], length=30)[calls : calls + 20]

    assert pytest.approx(flat(expected)) == flat(training.seen)


def flat(values: Any) -> list[float]:
    """Return the numbers in nested lists."""
    return [number for each in values for number in flat(each)] if isinstance(values, list) else [values]


def test_a_state_of_another_scheduler_is_refused() -> None:
    """A state that is refused changes nothing."""
    training = Training(SCHEDULERS["StepLR"])
    training.engine.run(range(40))
    before = copy.deepcopy(training.scheduler.state_dict())
    other = LRScheduler(SCHEDULERS["CosineAnnealingLR"](an_optimizer())).state_dict()
    with pytest.raises(ValueError, match="must be of a StepLR"):
        training.scheduler.load_state_dict(other)

    assert before == training.scheduler.state_dict()


def test_the_parts_of_a_state_are_looked_at() -> None:
    """A sequence of others is refused, by its parts; nothing is changed."""
    scheduler = LRScheduler(sequence_of_three(an_optimizer()))
    before = copy.deepcopy(scheduler.state_dict())
    saved = copy.deepcopy(before)
    saved["lr_scheduler"]["_schedulers"].reverse()
    with pytest.raises(ValueError, match=r"_schedulers'\]\[0\] must be of a LinearLR, got 'gamma', 'step_size' and no"):
        scheduler.load_state_dict(saved)

    assert before == scheduler.state_dict()


def test_a_saved_state_stays_as_it_was_saved() -> None:
    """What goes on does not write to what was saved or loaded."""
    training = Training(sequence_of_three)
    training.engine.run(range(15), max_iters=15)
    saved = training.scheduler.state_dict()
    before = copy.deepcopy(saved)
    other = Training(sequence_of_three)
    other.scheduler.load_state_dict(saved)
    for each in (training, other):
        each.engine.run(range(60), max_iters=60)

    assert before == saved


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
@pytest.mark.parametrize("calls", [0, 1, 5])
@pytest.mark.parametrize("use_legacy", [False, True])
def test_a_copy_goes_on_by_itself(copied: Any, calls: int, use_legacy: bool) -> None:
    """A copy moves the copied optimizer, from where it was, without a warning of torch; the original stays."""
    optimizer = an_optimizer()
    scheduler = LRScheduler(lr_scheduler.StepLR(optimizer, 3), use_legacy=use_legacy)
    optimizer.step()
    for _ in range(calls):
        scheduler(None)
    before = values(optimizer)
    twin = copied(scheduler)
    seen = []
    for _ in range(6):
        twin(None)
        seen.append(values(twin.optimizer))

    assert torchs_own(lambda optimizer: lr_scheduler.StepLR(optimizer, 3), length=20)[calls + use_legacy :][:6] == seen
    assert before == values(optimizer)
    assert twin.optimizer is twin.lr_scheduler.optimizer


class Strange:
    def __repr__(self) -> str:
        return "Strange()"


def test_its_own_kind_of_scheduler_may_be_the_users() -> None:
    """A subclass of torch's base is used as torch's own are, with what it moves beside the rate."""

    class Decaying(lr_scheduler.LRScheduler):
        def get_lr(self) -> list[Any]:
            for group in self.optimizer.param_groups:
                group["weight_decay"] = 0.1 * self.last_epoch
            return [lr / (1 + self.last_epoch) for lr in self.base_lrs]

    training = Training(Decaying)
    training.engine.run(range(4))

    assert [0.1, 0.1 / 2, 0.1 / 3, 0.1 / 4] == [groups[0][0] for groups in training.seen]
    assert pytest.approx(0.3) == training.optimizer.param_groups[0]["weight_decay"]


@pytest.mark.parametrize(
    ("given_value", "message"),
    [
        (
            lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer),
            (
                "lr_scheduler must be a scheduler that needs no metric, got a ReduceLROnPlateau; use "
                "ReduceLROnPlateauScheduler, which takes its arguments"
            ),
        ),
        (lambda optimizer: Strange(), "lr_scheduler must be a scheduler of torch.optim.lr_scheduler, got Strange()"),
        (lambda optimizer: None, "lr_scheduler must be a scheduler of torch.optim.lr_scheduler, got None"),
        (
            lambda optimizer: lr_scheduler.StepLR,
            (
                "lr_scheduler must be a scheduler of torch.optim.lr_scheduler, got "
                "<class 'torch.optim.lr_scheduler.StepLR'>"
            ),
        ),
    ],
)
def test_refuses_what_is_no_scheduler(given_value: Any, message: str) -> None:
    """The error names the argument, the value and the remedy; simulate_values refuses the same."""
    for use in (LRScheduler, lambda scheduler: LRScheduler.simulate_values(3, scheduler)):
        with pytest.raises(TypeError) as caught:
            use(given_value(an_optimizer()))

        assert message == str(caught.value)


@pytest.mark.parametrize(
    ("saved", "kind", "message"),
    [
        (3, TypeError, "state_dict must be a mapping, as LRScheduler.state_dict() returns, got 3"),
        ({"event_index": 1}, ValueError, "state_dict must have 'lr_scheduler', got ['event_index']"),
        ({"lr_scheduler": {}}, ValueError, "state_dict must have 'event_index', got ['lr_scheduler']"),
        (
            {"event_index": 1, "lr_scheduler": 5},
            TypeError,
            "state_dict['lr_scheduler'] must be the state of a scheduler, got 5",
        ),
        (
            {"event_index": 1, "lr_scheduler": {"last_epoch": 1, "T_max": 1, "base_lrs": []}},
            ValueError,
            "state_dict['lr_scheduler'] must be of a StepLR, got 'T_max' and no 'gamma', 'step_size'",
        ),
        (
            {"event_index": -1, "steps": 1, "lr_scheduler": {}},
            ValueError,
            "state_dict['event_index'] must be an integer of at least 0, got -1",
        ),
        (
            {
                "event_index": 1,
                "lr_scheduler": {"last_epoch": 1, "_schedulers": [{}, {}]},
            },
            ValueError,
            "state_dict['lr_scheduler'] must be of a StepLR of 0 schedulers, got one of 2",
        ),
        (
            {"event_index": 1, "steps": 0.5, "lr_scheduler": {}},
            ValueError,
            "state_dict['steps'] must be an integer of at least 0, got 0.5",
        ),
    ],
)
def test_refuses_a_state_that_is_none(saved: Any, kind: type[Exception], message: str) -> None:
    """The error says what is missing, and nothing is changed."""
    scheduler = LRScheduler(lr_scheduler.StepLR(an_optimizer(), 3))
    before = copy.deepcopy(scheduler.state_dict())
    with pytest.raises(kind) as caught:
        scheduler.load_state_dict(saved)

    assert message == str(caught.value)
    assert before == scheduler.state_dict()


def test_refuses_to_simulate_no_events() -> None:
    """num_events must be a positive integer."""
    with pytest.raises(ValueError, match="num_events must be a positive integer, got 0"):
        LRScheduler.simulate_values(0, lr_scheduler.StepLR(an_optimizer(), 3))
