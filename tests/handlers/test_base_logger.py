"""What loggers have in common: which values are read, when, and at which step they are written."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ignite_signals.engine import Engine, EventEnum, Events
from ignite_signals.handlers import Checkpoint, global_step_from_engine
from ignite_signals.handlers.base_logger import (
    BaseHandler,
    BaseLogger,
    BaseOptimizerParamsHandler,
    BaseOutputHandler,
    BaseWeightsHandler,
    BaseWeightsScalarHandler,
)
from ignite_signals.metrics import Average
from support.copying import every_copy


class Listing(BaseLogger):
    """Keep what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[tuple[int, dict[str, Any]]] = []

    def log(self, values: Mapping[str, Any], step: int) -> None:
        self.entries.append((step, dict(values)))


class Custom(EventEnum):
    """Events of the user's own."""

    SAVED = "saved"


def nothing(engine: Engine, batch: Any) -> None:
    """Do nothing, as a step."""


def iteration(engine: Engine, batch: Any) -> int:
    """Return the iteration, as a step."""
    return engine.state.iteration


def with_state(**attributes: Any) -> Engine:
    engine = Engine(nothing)
    for name, value in attributes.items():
        setattr(engine.state, name, value)
    return engine


def first_group(name: str = "lr", **group: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam([{"params": [nn.Parameter(torch.zeros(1))], name: 0.5}, {"params": [], **group}], lr=0.25)


# A logger of one's own


class MadeUpTracker:
    """Stand for the client of a service."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, float, int]] = []
        self.finished = False

    def send(self, key: str, number: float, at: int) -> None:
        self.sent.append((key, number, at))

    def finish(self) -> None:
        self.finished = True


class MadeUpTrackerLogger(BaseLogger):
    """Send numbers to the service: all that a logger for another tracker has to say."""

    def __init__(self, client: MadeUpTracker) -> None:
        super().__init__()
        self.client = client

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Send what is a number."""
        for name, value in values.items():
            if isinstance(value, int | float):
                self.client.send(name, value, at=step)

    def close(self) -> None:
        """End the session."""
        self.client.finish()


def test_a_logger_for_another_tracker_has_two_methods() -> None:
    """With `log` and `close` it logs metrics, outputs, parameters and attributes, of trainer and evaluator."""
    trainer, evaluator, optimizer = Engine(iteration), Engine(iteration), first_group()
    Average().attach(evaluator, "mean")
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([0, 0, 0]))
    tracker = MadeUpTracker()
    with MadeUpTrackerLogger(tracker) as logger:
        logger.attach_output_handler(
            trainer, Events.ITERATION_COMPLETED(every=2), tag="training", output_transform=lambda output: {"i": output}
        )
        logger.attach_output_handler(evaluator, Events.COMPLETED, tag="validation", metric_names="all")
        logger.attach_opt_params_handler(trainer, Events.EPOCH_STARTED, optimizer)
        trainer.run([0, 0, 0], max_epochs=2)

    rates = [("lr/group_0", 0.5), ("lr/group_1", 0.25)]
    assert tracker.sent == [
        *((*rate, 0) for rate in rates),
        ("training/i", 2, 2),
        ("validation/mean", 2.0, 3),
        *((*rate, 3) for rate in rates),
        ("training/i", 4, 4),
        ("training/i", 6, 6),
        ("validation/mean", 2.0, 6),
    ]
    assert tracker.finished


def test_a_logger_that_has_nothing_to_close_says_nothing() -> None:
    """`close` is there all the same; a logger without `log` is none."""
    with Listing() as logger:
        assert logger.is_active
    logger.close()
    with pytest.raises(TypeError, match="abstract method"):
        BaseLogger()  # type: ignore[abstract]


# Values


def values_of(engine: Engine, **arguments: Any) -> dict[str, Any]:
    return BaseOutputHandler("tag", **arguments).values(engine)


def test_values_are_those_of_metrics_output_and_state() -> None:
    """In this order, by name; of nested ones each part, and None is none."""
    metrics = {"a": 0.5, "b": torch.tensor([1.0, 2.0]), "c": None, "d": {"x": (1, {"y": np.float32(0.5)}), "z": None}}
    engine = with_state(metrics=metrics, output=3.0, alpha="text", beta=None)

    assert {"tag/a": 0.5} == values_of(engine, metric_names=["a"])
    assert {"tag/a": 0.5, "tag/b/0": 1.0, "tag/b/1": 2.0, "tag/d/x/0": 1, "tag/d/x/1/y": 0.5} == values_of(
        engine, metric_names="all"
    )
    assert {"tag/output": 6.0} == values_of(engine, output_transform=lambda output: 2 * output)
    assert {"tag/loss": 3.0, "tag/alpha": "text"} == values_of(
        engine, output_transform=lambda output: {"loss": output, "none": None}, state_attributes=["alpha", "beta"]
    )
    assert {"a": 0.5} == BaseOutputHandler("", metric_names=["a"]).values(engine)


def test_values_are_as_ignite_has_them() -> None:
    """PyTorch-Ignite's handler gives the same numbers under the same names."""
    peers = pytest.importorskip("ignite.handlers.base_logger")

    class Peer(peers.BaseOutputHandler):  # type: ignore[misc, name-defined]
        __call__ = None

    metrics = {
        "a": 0.5,
        "b": torch.tensor([1.0, 2.0]),
        "c": torch.tensor(3),
        "d": {"x": (1, [2.0, {"y": 4}])},
        "e": np.float64(0.5),
        "f": True,
    }
    engine = with_state(metrics=metrics, output=3.0, alpha=7)
    for arguments in (
        {"metric_names": "all"},
        {"metric_names": ["d", "a"], "state_attributes": ["alpha"]},
        {"output_transform": lambda output: {"loss": output, "pair": (output, 1)}},
        {"output_transform": lambda output: output},
    ):
        expected = Peer("tag", **arguments)._setup_output_metrics_state_attrs(engine, key_tuple=False)
        assert expected == values_of(engine, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"metric_names": ["b"]},
            r"metric_names has 'b', which is not among the metrics of Engine.nothing.: \['a'\]",
        ),
        ({"state_attributes": ["b"]}, r"state_attributes has 'b', which Engine\(nothing\) does not have yet"),
    ],
)
def test_a_value_that_is_not_there_is_left_out_with_a_warning(arguments: dict[str, Any], message: str) -> None:
    """It ends no training; where nothing else is to be logged, nothing is."""
    engine, logger = with_state(metrics={"a": 1.0}), Listing()
    with pytest.warns(UserWarning, match=message) as warned:
        BaseOutputHandler("tag", **arguments)(engine, logger, Events.COMPLETED)
    assert [] == logger.entries
    assert [__file__] == [each.filename for each in warned]


def test_a_value_that_cannot_be_read_is_named() -> None:
    """The error says which one it was."""
    engine = with_state(metrics={"there": 1.0, "nowhere": torch.ones((), device="meta")})
    with pytest.raises((RuntimeError, NotImplementedError)) as raised:
        values_of(engine, metric_names="all")
    assert ["when the value of 'tag/nowhere' was read, to be logged"] == raised.value.__notes__


def test_values_are_read_when_they_are_logged_and_only_then() -> None:
    """Neither at other iterations, nor where nobody writes."""
    logger, reads = Listing(), []
    trainer = Engine(iteration)
    logger.attach_output_handler(
        trainer, Events.ITERATION_COMPLETED(every=3), tag="t", output_transform=lambda output: reads.append(output) or 1
    )
    trainer.run(range(7))
    assert [3, 6] == reads


def test_other_processes_than_the_first_read_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first alone writes."""
    monkeypatch.setattr("ignite_signals.handlers.base_logger.get_rank", lambda: 1)
    logger, trainer = Listing(), Engine(iteration)
    logger.attach_output_handler(trainer, Events.COMPLETED, tag="t", output_transform=lambda _: 1 / 0)
    trainer.run(range(3))
    assert (False, []) == (logger.is_active, logger.entries)


def test_parameters_of_an_optimizer_are_logged_group_by_group() -> None:
    """Under the tag, if there is one; a pair of them as two."""
    optimizer = first_group()
    engine = Engine(nothing)

    assert {"lr/group_0": 0.5, "lr/group_1": 0.25} == BaseOptimizerParamsHandler(optimizer).values(engine)
    assert {"g/betas/group_0/0": 0.9, "g/betas/group_0/1": 0.999} == {
        name: value
        for name, value in BaseOptimizerParamsHandler(optimizer, "betas", tag="g").values(engine).items()
        if "group_0" in name
    }


@pytest.mark.parametrize(
    ("whitelist", "expected"),
    [
        (None, ["0.weight", "0.bias", "10.weight", "10.bias"]),
        (["10"], ["10.weight", "10.bias"]),
        (["0.bias", "10"], ["0.bias", "10.weight", "10.bias"]),
        (("0",), ["0.weight", "0.bias"]),
        (lambda name, weight: weight.ndim == 2, ["0.weight", "10.weight"]),
        ([], []),
    ],
)
def test_a_whitelist_names_parameters_and_submodules(whitelist: Any, expected: list[str]) -> None:
    """Whole names, of a model of which one submodule's name begins like another's."""
    model = nn.ModuleDict({"0": nn.Linear(1, 1), "10": nn.Linear(1, 1)})
    handler = Weights(model, whitelist=whitelist)

    assert expected == [name for name, _ in handler.weights]
    assert all(weight is model.get_parameter(name) for name, weight in handler.weights)


class Weights(BaseWeightsHandler):
    """Log nothing of the weights."""

    def __call__(self, engine: Engine, logger: Any, event_name: Any) -> None: ...


class Norms(BaseWeightsScalarHandler):
    """Log the weights' norms."""

    def values(self, engine: Engine) -> dict[str, Any]:
        return {name: self.reduction(weight).item() for name, weight in self.weights}


def test_a_number_of_each_weight_is_logged() -> None:
    """Of the reduction, the norm by default."""
    model = nn.Linear(2, 1, bias=False)
    nn.init.constant_(model.weight, 3.0)
    logger, trainer = Listing(), Engine(nothing)
    logger.attach(trainer, Norms(model), Events.STARTED)
    logger.attach(trainer, Norms(model, reduction=torch.mean), Events.COMPLETED)
    trainer.run(range(2))

    [(began, norms), (ended, means)] = logger.entries
    assert (0, 2) == (began, ended)
    assert math.sqrt(18) == pytest.approx(norms["weight"])
    assert {"weight": 3.0} == means


# Steps


def test_the_step_is_the_training_s_iteration_whatever_the_event() -> None:
    """At events of epochs, runs and the user's own, of the trainer and what runs inside of it, nested too."""
    logger = Listing()
    trainer, evaluator, inner = (Engine(nothing) for _ in range(3))
    trainer.register_events(*Custom)
    evaluator.add_event_handler(Events.ITERATION_COMPLETED(once=2), lambda: inner.run([0]))
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([0] * 9))
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=4), lambda: trainer.fire_event(Custom.SAVED))
    every = Events.STARTED | Events.EPOCH_STARTED | Events.EPOCH_COMPLETED | Events.COMPLETED
    for tag, engine, events in (
        ("t", trainer, every | Custom.SAVED | Events.ITERATION_COMPLETED(every=2)),
        ("e", evaluator, every),
        ("i", inner, Events.COMPLETED),
    ):
        logger.attach_output_handler(engine, events, tag=tag, state_attributes=["iteration"])
    trainer.run(range(3), max_epochs=2)

    steps = [(next(iter(values))[0], step) for step, values in logger.entries]
    evaluation = ["e", "e", "i", "e", "e"]
    assert steps == [
        *[("t", 0), ("t", 0), ("t", 2)],
        *[(tag, 3) for tag in (*evaluation, "t")],
        *[("t", 3), ("t", 4), ("t", 4), ("t", 6)],
        *[(tag, 6) for tag in (*evaluation, "t", "t")],
    ]


def test_a_transform_tells_another_step() -> None:
    """As PyTorch-Ignite's `global_step_from_engine` does: by epochs, at an event of epochs."""
    logger, trainer, evaluator = Listing(), Engine(nothing), Engine(nothing)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([0] * 9))
    transforms = [global_step_from_engine(trainer), lambda engine, event: np.int64(100 * (event is Events.COMPLETED))]
    for transform in transforms:
        logger.attach_output_handler(
            evaluator, Events.COMPLETED, tag="e", state_attributes=["epoch"], global_step_transform=transform
        )
    trainer.run(range(3), max_epochs=2)

    assert [1, 100, 2, 100] == [step for step, _ in logger.entries]


def test_a_transform_must_give_an_integer() -> None:
    """The error names the transform and what it gave."""
    logger, trainer = Listing(), Engine(nothing)
    logger.attach_output_handler(
        trainer, Events.COMPLETED, tag="t", state_attributes=["epoch"], global_step_transform=half
    )
    with pytest.raises(TypeError) as raised:
        trainer.run([0])
    place = f"half ({Path(__file__).name}:{half.__code__.co_firstlineno})"
    assert f"global_step_transform must return an integer, got 0.5 from {place}" == str(raised.value)


def half(engine: Engine, event: Any) -> float:
    """Return no step."""
    return 0.5


# Attaching


def test_any_function_is_a_log_handler() -> None:
    """It gets the engine, the logger, the plain event, and what it was attached with."""
    logger, trainer, calls = Listing(), Engine(nothing), []

    def log(engine: Engine, logger: BaseLogger, event_name: Any, *args: Any, **kwargs: Any) -> None:
        calls.append((engine, logger, event_name, args, kwargs))

    logger.attach(trainer, log, Events.EPOCH_COMPLETED(every=2) | Events.COMPLETED, 1, two=2)
    trainer.run([0], max_epochs=3)

    assert [(trainer, logger, event, (1,), {"two": 2}) for event in (Events.EPOCH_COMPLETED, Events.COMPLETED)] == calls


def test_a_handle_removes_the_handler_from_all_its_events() -> None:
    """At the end of a `with` block too; nothing is left, and the logger may be attached again."""
    logger, trainer = Listing(), Engine(nothing)
    events = Events.ITERATION_STARTED(every=2) | Events.COMPLETED | Events.EXCEPTION_RAISED
    handler = BaseOutputHandler("t", state_attributes=["epoch"])
    before = [len(signal.receivers) for signal in trainer.signals.all()]
    with logger.attach(trainer, handler, events):
        assert trainer.has_event_handler(handler, Events.COMPLETED)
        trainer.run(range(2))
    trainer.run(range(2))

    assert [2, 2] == [step for step, _ in logger.entries]
    assert before == [len(signal.receivers) for signal in trainer.signals.all()]
    gone = weakref.ref(logger)
    del logger
    assert gone() is None


def test_a_payload_is_not_passed_on() -> None:
    """Events of the user's own send what they like; a log handler is called as ever."""
    logger, trainer, calls = Listing(), Engine(nothing), []
    trainer.register_events(Custom.SAVED)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: trainer.fire_event(Custom.SAVED, path="a", size=3))
    logger.attach(trainer, lambda *args: calls.append(args), Custom.SAVED(every=2))
    logger.attach_output_handler(trainer, Custom.SAVED, tag="t", state_attributes=["saved"])
    trainer.run(range(3))

    assert [(trainer, logger, Custom.SAVED)] == calls
    assert [(1, {"t/saved": 1}), (2, {"t/saved": 2}), (3, {"t/saved": 3})] == logger.entries


@pytest.mark.parametrize("kind", ["a handler", "a function"])
def test_an_exception_that_is_logged_is_not_dealt_with(kind: str) -> None:
    """A logger swallows no error."""
    logger, trainer = Listing(), Engine(lambda engine, batch: 1 / batch)
    handler = BaseOutputHandler("t", state_attributes=["epoch"])
    logger.attach(
        trainer,
        handler if kind == "a handler" else lambda *args: handler(*args),
        Events.EXCEPTION_RAISED | Events.COMPLETED,
    )
    with pytest.raises(ZeroDivisionError):
        trainer.run([1, 0])
    assert [(2, {"t/epoch": 1})] == logger.entries


def test_loggers_come_after_metrics_and_handlers_and_before_checkpoints(tmp_path: Path) -> None:
    """Whatever the order of attachment; functions as log handlers too, unless they have a priority of their own."""
    trainer, order, logger = Engine(iteration), [], Listing()
    checkpoint = Checkpoint({"trainer": trainer}, tmp_path)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, checkpoint)
    logger.attach(trainer, lambda *_: order.append(("function", list(tmp_path.iterdir()))), Events.EPOCH_COMPLETED)
    logger.attach_output_handler(trainer, Events.EPOCH_COMPLETED, tag="t", metric_names="all", state_attributes=["set"])
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: order.append("user") or setattr(trainer.state, "set", 1))
    Average().attach(trainer, "mean")
    trainer.run(range(3))

    assert ["user", ("function", [])] == order
    assert [(3, {"t/mean": 2.0, "t/set": 1})] == logger.entries
    assert 1 == len(list(tmp_path.iterdir()))


def test_what_a_description_shows_is_the_user_s_function() -> None:
    """`describe` and errors name the log handler."""
    logger, trainer = Listing(), Engine(nothing)
    logger.attach(trainer, half_logged, Events.COMPLETED)
    assert "half_logged" in trainer.describe()
    assert Path(__file__).name in trainer.describe()


def half_logged(engine: Engine, logger: Any, event_name: Any) -> None:
    """Log nothing."""


# Ownership


def test_a_logger_keeps_no_engine() -> None:
    """An engine that is logged is freed by reference counting, the logger stays."""
    gc.disable()
    try:
        logger, trainer = Listing(), Engine(nothing)
        for event in (Events.COMPLETED, Events.EXCEPTION_RAISED):
            logger.attach_output_handler(trainer, event, tag="t", state_attributes=["epoch"])
        trainer.run([0])
        assert [trainer] == list(logger.engines)
        gone = weakref.ref(trainer)
        del trainer
        assert gone() is None
        assert [] == list(logger.engines)
    finally:
        gc.enable()


@every_copy
def test_a_copy_of_an_engine_has_a_copy_of_the_logger(copied: Any) -> None:
    """They know of each other, and of no other engines."""
    logger, trainer, evaluator = Listing(), Engine(nothing), Engine(lambda engine, batch: None)  # which no pickle takes
    for engine in (trainer, evaluator):
        logger.attach_output_handler(engine, Events.EPOCH_COMPLETED, tag="t", state_attributes=["epoch"])
    other, others = copied((trainer, logger))
    other.run(range(2), max_epochs=2)

    assert [(2, {"t/epoch": 1}), (4, {"t/epoch": 2})] == others.entries
    assert [] == logger.entries


# Bad input

MODEL = nn.Linear(1, 1)


def refused(kind: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises((TypeError, ValueError)) as raised:
        kind(*args, **kwargs)
    return f"{type(raised.value).__name__}: {raised.value}"


def test_bad_arguments_of_handlers_are_named() -> None:
    """Each with its value and what it must be."""
    output, parameters = BaseOutputHandler, BaseOptimizerParamsHandler
    adam = first_group()
    whitelist = "whitelist must be a list of names or a function of a name and a parameter, got"
    known = ", ".join(repr(key) for key in adam.param_groups[0] if key != "params")
    table = [
        (refused(output, None, "all"), "TypeError: tag must be a string, got None"),
        (refused(output, "t", "loss"), "TypeError: metric_names must be a list of names or \"all\", got 'loss'"),
        (refused(output, "t", [1]), 'TypeError: metric_names must be a list of names or "all", got [1]'),
        (refused(output, "t", 3), 'TypeError: metric_names must be a list of names or "all", got 3'),
        (
            refused(output, "t", state_attributes="all"),
            "TypeError: state_attributes must be a list of names, got 'all'",
        ),
        (
            refused(output, "t", output_transform=3),
            "TypeError: output_transform must be callable, got 3",
        ),
        (
            refused(output, "t", "all", global_step_transform=3),
            "TypeError: global_step_transform must be callable, got 3",
        ),
        (
            refused(output, "t"),
            "ValueError: one of metric_names, output_transform and state_attributes must be given, got none",
        ),
        (
            refused(parameters, 3),
            "TypeError: optimizer must have param_groups, as torch.optim.Optimizer does, got 3",
        ),
        (
            refused(parameters, adam, "rate"),
            f"ValueError: param_name must be a parameter of the optimizer's groups, got 'rate'; there are {known}",
        ),
        (refused(parameters, adam, tag=3), "TypeError: tag must be a string, got 3"),
        (refused(Weights, 3), "TypeError: model must be a torch.nn.Module, got 3"),
        (refused(Weights, MODEL, tag=3), "TypeError: tag must be a string, got 3"),
        (refused(Weights, MODEL, whitelist="weight"), f"TypeError: {whitelist} 'weight'"),
        (refused(Weights, MODEL, whitelist=3), f"TypeError: {whitelist} 3"),
        (refused(Weights, MODEL, whitelist=[3]), f"TypeError: {whitelist} [3]"),
        (
            refused(Weights, MODEL, whitelist=["weigh"]),
            "ValueError: whitelist must have names of the model's parameters and submodules, got 'weigh'",
        ),
        (refused(Norms, MODEL, 3), "TypeError: reduction must be callable, got 3"),
        (
            refused(Norms, MODEL, lambda weight: weight.shape),
            "TypeError: reduction must give a number or a tensor without dimensions, got torch.Size([4, 2])",
        ),
    ]
    assert [message for _, message in table] == [got for got, _ in table]


def test_bad_arguments_of_attach_are_named_and_nothing_is_attached() -> None:
    """Whether the first event is good or not."""
    logger, trainer = Listing(), Engine(nothing)
    place = f"({Path(__file__).name}:{nothing.__code__.co_firstlineno})"
    handler = BaseOutputHandler("t", "all")
    unknown = Custom("saved")
    trainer.register_events("saved")  # so that the member of an enum with this name is another event
    table = [
        (refused(logger.attach, 3, handler, Events.COMPLETED), "TypeError: engine must be an Engine, got 3"),
        (refused(logger.attach, trainer, 3, Events.COMPLETED), "TypeError: log_handler must be callable, got 3"),
        (
            refused(logger.attach, trainer, nothing, Events.EPOCH_COMPLETED),
            f"ValueError: log_handler must take (engine, logger, event_name), got nothing(engine, batch) {place}",
        ),
        (
            refused(logger.attach, trainer, handler, "completed_"),
            "UnknownEventError: unknown event 'completed_', did you mean",
        ),
        (
            refused(logger.attach, trainer, handler, Events.COMPLETED | unknown),
            "UnknownEventError: unknown event Custom.SAVED",
        ),
        (
            refused(logger.attach, trainer, handler, 3),
            "TypeError: an event must be a member of Events or of an EventEnum, or a registered str, got 3",
        ),
    ]
    for got, message in table:
        assert message == got[: len(message)]
    assert [0] * len(table) == [len(trainer.signal(Events.COMPLETED).receivers)] * len(table)
    assert [] == list(logger.engines)


def test_a_base_handler_says_what_it_does_with_a_call() -> None:
    """It is abstract."""
    with pytest.raises(TypeError, match="abstract"):
        BaseHandler()  # type: ignore[abstract]
