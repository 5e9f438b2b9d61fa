"""The TensorBoard logger and its handlers."""

from __future__ import annotations

import copy
import itertools
import re
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ignite_signals import Engine, Events
from ignite_signals.handlers import tensorboard_logger
from ignite_signals.handlers.base_logger import BaseLogger
from ignite_signals.handlers.tensorboard_logger import (
    GradsHistHandler,
    GradsScalarHandler,
    OptimizerParamsHandler,
    OutputHandler,
    TensorboardLogger,
    WeightsHistHandler,
    WeightsScalarHandler,
    global_step_from_engine,
)
from support.copying import every_copy
from support.processes import Ranks

pytest.importorskip("tensorboard")

from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

from support.tensorboard import points, read


@pytest.fixture(autouse=True, scope="module")
def _a_file_a_second() -> Iterator[None]:
    """Give files names in the order in which they are made, as those of processes have that start one by one."""
    seconds = itertools.count(1_700_000_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_file_writer, "time", SimpleNamespace(time=lambda: next(seconds)))
        yield


class Net(nn.Module):
    """Two layers, one inside of another module."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
        self.head = nn.Linear(4, 2)


def net_with_gradients() -> Net:
    torch.manual_seed(0)
    net = Net()
    net.head(net.body(torch.randn(5, 3))).square().mean().backward()
    net.head.bias.grad = None
    return net


def step(engine: Any, batch: Any) -> float:
    return engine.state.iteration / 4


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*tfevents*"))


# The same names, steps and values as Ignite's


def each_ignite() -> tuple[Any, Any]:
    engine = pytest.importorskip("ignite.engine")
    return engine, pytest.importorskip("ignite.handlers.tensorboard_logger")


def both(tmp_path: Path, attach: Any, run: Any = lambda engine: engine.run(range(4), max_epochs=2)) -> tuple[Any, Any]:
    """Log a run with this package and with Ignite, and return what TensorBoard reads of both."""
    ignites_engine, ignites = each_ignite()
    read_back = []
    for name, engine_module, loggers in (
        ("here", sys.modules["ignite_signals"], tensorboard_logger),
        ("ignite", ignites_engine, ignites),
    ):
        engine = engine_module.Engine(step)
        with loggers.TensorboardLogger(log_dir=str(tmp_path / name)) as logger:
            attach(engine, logger, loggers, engine_module.Events)
            run(engine)
        read_back.append(read(tmp_path / name))
    return tuple(read_back)


def scalars(found: Any) -> dict[str, list[tuple[int, float]]]:
    return {tag: [(each.step, each.value) for each in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def histograms(found: Any) -> dict[str, list[tuple[int, Any]]]:
    return {
        tag: [(each.step, each.histogram_value) for each in found.Histograms(tag)] for tag in found.Tags()["histograms"]
    }


@pytest.mark.parametrize("event", ["ITERATION_COMPLETED", "ITERATION_STARTED"])
def test_outputs_are_ignites(tmp_path: Path, event: str) -> None:
    """Metrics, outputs and attributes of the state have the names, steps and values that Ignite gives them."""

    def attach(engine: Any, logger: Any, loggers: Any, events: Any) -> None:
        engine.add_event_handler(events.STARTED, put)
        logger.attach_output_handler(
            engine,
            getattr(events, event)(every=3),
            tag="training",
            metric_names=["recall", "nested", "loss"],
            output_transform=lambda output: {"batch loss": 0.5, "each": (1, 2.5), "vector": torch.arange(3)},
            state_attributes=["alpha"],
        )
        logger.attach_output_handler(engine, getattr(events, event), tag="plain", output_transform=lambda output: 0.25)

    def put(engine: Any) -> None:
        engine.state.alpha = 0.1
        engine.state.metrics = {
            "recall": torch.tensor([0.25, 0.5]),
            "loss": torch.tensor(0.125),
            "nested": {"a": 1, "b": [True, {"c": 2.0}]},
            "other": 1,
        }

    here, ignite = map(scalars, both(tmp_path, attach))
    assert ignite == here
    assert {"training/nested/b/1/c": [(3, 2.0), (6, 2.0)]}.items() <= here.items()


def test_a_transform_gives_the_step_as_with_ignite(tmp_path: Path) -> None:
    """A transform gives the step: that of another engine, too."""

    def attach(engine: Any, logger: Any, loggers: Any, events: Any) -> None:
        evaluator = type(engine)(step)
        engine.add_event_handler(events.EPOCH_COMPLETED, lambda: evaluator.run(range(3)))
        kinds = {"epochs": None, "iterations": events.ITERATION_COMPLETED}
        for tag, event in kinds.items():
            transform = loggers.global_step_from_engine(engine, event)
            logger.attach_output_handler(
                evaluator,
                events.COMPLETED,
                tag,
                output_transform=lambda output: output,
                global_step_transform=transform,
            )

    here, ignite = map(scalars, both(tmp_path, attach))
    assert ignite == here
    assert {"epochs/output": [(1, 0.75), (2, 0.75)], "iterations/output": [(4, 0.75), (8, 0.75)]} == here


@pytest.mark.parametrize("tag", [None, "generator"])
def test_optimizer_parameters_are_ignites(tmp_path: Path, tag: str | None) -> None:
    """The parameter of each group has the name and value that Ignite gives it."""
    net = Net()
    groups = [{"params": net.body.parameters(), "lr": 0.5}, {"params": net.head.parameters(), "momentum": 0.25}]
    optimizer = torch.optim.SGD(groups, lr=0.125)

    def attach(engine: Any, logger: Any, loggers: Any, events: Any) -> None:
        logger.attach_opt_params_handler(engine, events.ITERATION_STARTED(every=2), optimizer, tag=tag)
        handler = loggers.OptimizerParamsHandler(optimizer, param_name="momentum", tag=tag)
        logger.attach(engine, handler, events.ITERATION_STARTED)

    here, ignite = map(scalars, both(tmp_path, attach))
    assert ignite == here
    assert [(2, 0.5), (4, 0.5), (6, 0.5), (8, 0.5)] == here["generator/lr/group_0" if tag else "lr/group_0"]


OPTIONS: dict[str, dict[str, Any]] = {
    "all": {},
    "tag": {"tag": "student"},
    "names": {"whitelist": ["body.0", "head.bias"]},
    "function": {"whitelist": lambda name, weight: weight.ndim == 2},
}
REDUCTIONS: dict[str, dict[str, Any]] = {"sum": {"reduction": torch.sum}, "lambda": {"reduction": lambda weight: 1.5}}


@pytest.mark.parametrize("options", [*OPTIONS.values(), *REDUCTIONS.values()], ids=[*OPTIONS, *REDUCTIONS])
@pytest.mark.parametrize("kind", ["WeightsScalarHandler", "GradsScalarHandler"])
def test_scalars_of_weights_are_ignites(tmp_path: Path, kind: str, options: dict[str, Any]) -> None:
    """Norms and other reductions of weights and gradients have Ignite's names and values."""
    net = net_with_gradients()

    def attach(engine: Any, logger: Any, loggers: Any, events: Any) -> None:
        logger.attach(engine, getattr(loggers, kind)(net, **options), events.ITERATION_COMPLETED(every=4))

    here, ignite = map(scalars, both(tmp_path, attach))
    assert ignite == here
    assert here


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("kind", ["WeightsHistHandler", "GradsHistHandler"])
def test_histograms_are_ignites(tmp_path: Path, kind: str, options: dict[str, Any]) -> None:
    """Histograms of weights and gradients have Ignite's names and buckets; where there is no gradient, none."""
    net = net_with_gradients()

    def attach(engine: Any, logger: Any, loggers: Any, events: Any) -> None:
        logger.attach(engine, getattr(loggers, kind)(net, **options), events.ITERATION_COMPLETED(every=4))

    here, ignite = map(histograms, both(tmp_path, attach))
    assert ignite == here
    assert here
    assert not any("grads/head/bias" in tag for tag in here)


def compiled(model: nn.Module) -> Any:
    return torch.compile(model, backend="eager")


@pytest.mark.parametrize("wrap", [compiled, nn.DataParallel])
def test_names_in_a_wrapped_model_are_ignites(tmp_path: Path, wrap: Any) -> None:
    """The names of a wrapped model's weights are as Ignite has them, with what the wrapper puts before them."""
    net = wrap(Net())

    def attach(engine: Any, logger: Any, loggers: Any, events: Any) -> None:
        logger.attach(engine, loggers.WeightsScalarHandler(net), events.COMPLETED)

    here, ignite = both(tmp_path, attach)
    assert ignite.Tags() == here.Tags()
    assert 4 == len(here.Tags()["scalars"])


# What it writes


def test_all_of_a_training_lies_at_its_iteration(tmp_path: Path) -> None:
    """All of a training lies at its iteration: what an evaluator logs, weights, and what is logged at the end."""
    trainer, evaluator = Engine(step), Engine(step)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run(range(7)))
    with TensorboardLogger(log_dir=tmp_path) as logger:
        logger.attach_output_handler(evaluator, Events.COMPLETED, "validation", output_transform=float)
        logger.attach_output_handler(trainer, Events.COMPLETED, "end", output_transform=float)
        logger.attach(trainer, WeightsScalarHandler(nn.PReLU()), Events.EPOCH_COMPLETED)
        logger.attach(trainer, WeightsHistHandler(nn.PReLU()), Events.EPOCH_COMPLETED)
        trainer.run(range(5), max_epochs=3)
    steps = {tag: [step for step, _ in curve] for tag, curve in points(tmp_path).items()}
    assert {"validation/output": [5, 10, 15], "end/output": [15], "weights_norm/weight": [5, 10, 15]} == steps
    assert [5, 10, 15] == [each.step for each in read(tmp_path).Histograms("weights/weight")]


def test_what_is_no_number_is_left_out_with_a_warning(tmp_path: Path) -> None:
    """Text and other things are no scalars: they are left out, and the rest is logged."""
    with TensorboardLogger(log_dir=tmp_path) as logger:
        with pytest.warns(UserWarning, match=r"'training/note' is not logged: .* numbers as scalars, got 'good'"):
            logger.log({"training": {"loss": torch.tensor(0.5), "note": "good"}}, 3)
        with pytest.warns(UserWarning, match="'matrix' is not logged"):
            logger.log({"matrix": torch.ones(2, 2), "ok": True}, 3)
    assert {"training/loss": [(3, 0.5)], "ok": [(3, 1.0)]} == points(tmp_path)


def test_the_writer_is_there_for_the_rest(tmp_path: Path) -> None:
    """Images, text and all else go to the writer, by itself or by way of the logger."""
    with TensorboardLogger(tmp_path) as logger:
        logger.writer.add_image("digits", torch.zeros(1, 2, 2), 1)
        logger.add_text("note", "good", 2)
        with pytest.raises(AttributeError, match="add_smell"):
            logger.add_smell("roses")
    assert ["digits"] == read(tmp_path).Tags()["images"]
    assert ["note/text_summary"] == read(tmp_path).Tags()["tensors"]


@pytest.mark.parametrize("weights", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_weights_of_any_type_are_logged(tmp_path: Path, weights: torch.dtype) -> None:
    """Weights of types that numpy lacks are logged too."""
    model = nn.PReLU(dtype=weights)
    with TensorboardLogger(tmp_path) as logger:
        for handler in (WeightsScalarHandler(model), WeightsHistHandler(model)):
            handler(Engine(step), logger, Events.COMPLETED)
    assert {"weights_norm/weight": [(0, 0.25)]} == points(tmp_path)
    assert 1 == read(tmp_path).Histograms("weights/weight")[0].histogram_value.num


def test_a_sparse_gradient_is_logged(tmp_path: Path) -> None:
    """The gradient of an embedding, which is sparse, is logged."""
    model = nn.Embedding(5, 1, sparse=True)
    model(torch.tensor([1, 3])).sum().backward()
    with TensorboardLogger(tmp_path) as logger:
        for handler in (GradsScalarHandler(model), GradsHistHandler(model)):
            handler(Engine(step), logger, Events.COMPLETED)
    assert [(0, pytest.approx(2**0.5))] == points(tmp_path)["grads_norm/weight"]
    assert 5 == read(tmp_path).Histograms("grads/weight")[0].histogram_value.num


def test_a_histogram_has_the_finite_values(tmp_path: Path) -> None:
    """A histogram has the finite values; where there are none a warning says so, and the training goes on."""
    model = nn.Linear(4, 1)
    model.weight.grad = torch.tensor([[1.0, 2.0, float("inf"), float("nan")]])
    model.bias.grad = torch.tensor([float("nan")])
    with TensorboardLogger(tmp_path) as logger, pytest.warns(UserWarning, match="'grads/bias' is not logged at step 0"):
        GradsHistHandler(model)(Engine(step), logger, Events.COMPLETED)
    [histogram] = [each.histogram_value for each in read(tmp_path).Histograms("grads/weight")]
    assert (2, 1.0, 2.0) == (histogram.num, histogram.min, histogram.max)


def test_all_norms_are_fetched_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers of all weights come from the device in one transfer, not one each."""
    fetches = []
    fetch = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "item", lambda tensor: pytest.fail("an item by itself"))
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: fetches.append(tensor.shape) or fetch(tensor))
    net = nn.Sequential(*(nn.Linear(2, 2) for _ in range(10)))
    assert 20 == len(WeightsScalarHandler(net).values(Engine(step)))
    assert [(20,)] == fetches


def test_a_histogram_needs_this_logger() -> None:
    """Other loggers know no histograms, and the error says which logger does."""

    class Other(BaseLogger):
        def log(self, values: Any, step: int) -> None:
            pass

    with pytest.raises(TypeError, match=r"logger must be a TensorboardLogger for WeightsHistHandler, got .*Other"):
        WeightsHistHandler(nn.PReLU())(Engine(step), Other(), Events.COMPLETED)


# The disk


def log_folder(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program that has a trainer and a logger for a folder."""
    begin = """
import os, signal, sys
from ignite_signals import Engine, Events
from ignite_signals.handlers.tensorboard_logger import TensorboardLogger
trainer = Engine(lambda engine, batch: float(engine.state.iteration))
logger = TensorboardLogger(log_dir=sys.argv[1], flush_secs=1000)
logger.attach_output_handler(trainer, Events.ITERATION_COMPLETED, tag="training", output_transform=lambda loss: loss)
"""
    command = [sys.executable, "-W", "error", "-c", begin + program, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("end", ["return", "raise"])
def test_after_the_run_all_is_on_the_disk(tmp_path: Path, end: str) -> None:
    """When the run has returned or raised, all is on the disk, whatever becomes of the process."""
    program = f"""
if {end == "raise"}:
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: 1 / 0)
try:
    trainer.run(range(25))
finally:
    os._exit(7)
"""
    ended = log_folder(program, tmp_path)
    assert (7, "") == (ended.returncode, ended.stderr)
    assert {"training/output": [(step, float(step)) for step in range(1, 26)]} == points(tmp_path)


def test_a_killed_training_goes_on_with_each_point_once(tmp_path: Path) -> None:
    """A training that was killed at iteration 95 goes on from 80, and has each point once."""
    kill = """
trainer.add_event_handler(Events.ITERATION_COMPLETED(once=95), logger.writer.flush)
trainer.add_event_handler(Events.ITERATION_COMPLETED(once=96), lambda: os.kill(os.getpid(), signal.SIGKILL))
trainer.run(range(10), max_epochs=10)
"""
    go_on = """
trainer.load_state_dict({"iteration": 80, "max_epochs": 10, "epoch_length": 10})
trainer.run(range(10))
"""
    assert -signal.SIGKILL == log_folder(kill, tmp_path).returncode
    killed = points(tmp_path)["training/output"]
    assert 94 <= len(killed) < 96
    ended = log_folder(go_on, tmp_path)
    assert (0, "") == (ended.returncode, ended.stderr)
    assert {"training/output": [(step, float(step)) for step in range(1, 101)]} == points(tmp_path)


def attached(folder: Path, scale: float = 1.0) -> tuple[Engine, TensorboardLogger]:
    """Return a trainer with an evaluator, in epochs and in iterations, and the logger of both."""
    trainer = Engine(lambda engine, batch: scale * engine.state.iteration)
    evaluator = Engine(step)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run(range(4)))
    logger = TensorboardLogger(log_dir=folder)
    logger.attach_output_handler(trainer, Events.ITERATION_COMPLETED, "training", output_transform=float)
    logger.attach_output_handler(evaluator, Events.COMPLETED, "validation", output_transform=float)
    logger.attach_output_handler(
        evaluator,
        Events.COMPLETED,
        "epochs",
        output_transform=float,
        global_step_transform=global_step_from_engine(trainer),
    )
    logger.attach(trainer, WeightsHistHandler(nn.PReLU()), Events.EPOCH_COMPLETED)
    return trainer, logger


def whole(epochs: int) -> dict[str, list[int]]:
    """Return the steps at which each name is to have a point, of epochs of ten iterations."""
    return {
        "training/output": list(range(1, 10 * epochs + 1)),
        "validation/output": list(range(10, 10 * epochs + 1, 10)),
        "epochs/output": list(range(1, epochs + 1)),
    }


def steps(folder: Path) -> dict[str, list[int]]:
    return {tag: [step for step, _ in curve] for tag, curve in points(folder).items()}


@pytest.mark.parametrize("saved_at", [1, 37, 40, 41])
@pytest.mark.parametrize("event", [Events.ITERATION_COMPLETED, Events.ITERATION_STARTED, Events.EPOCH_COMPLETED])
def test_a_training_that_goes_on_has_each_point_once(tmp_path: Path, saved_at: int, event: Events) -> None:
    """Each point is there once, wherever the state was saved, and those of iterations that are gone are new ones."""
    if event is Events.EPOCH_COMPLETED:
        saved_at = -(-saved_at // 10)
    trainer, first = attached(tmp_path)
    saved: dict[str, Any] = {}
    trainer.add_event_handler(event(once=saved_at), lambda engine: saved.update(copy.deepcopy(engine.state_dict())))
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=87), lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trainer.run(range(10), max_epochs=10)
    resumed, second = attached(tmp_path, scale=2.0)
    resumed.load_state_dict(saved)
    resumed.run(range(10))
    first.close()
    second.close()
    assert whole(10) == steps(tmp_path)
    gone = [(step, 2.0 * step) for step in range(saved["iteration"] + 1, 101)]
    assert gone == points(tmp_path)["training/output"][saved["iteration"] :]
    assert list(range(10, 101, 10)) == [each.step for each in read(tmp_path).Histograms("weights/weight")]


def test_a_training_that_goes_on_twice_has_each_point_once(tmp_path: Path) -> None:
    """A training that goes on again, and from further back, has each point once."""
    for begin, end in [(0, 85), (40, 95), (60, 64), (20, 100)]:
        trainer, logger = attached(tmp_path)
        if begin:
            trainer.load_state_dict({"iteration": begin, "max_epochs": 10, "epoch_length": 10})
        trainer.add_event_handler(Events.ITERATION_STARTED(once=end + 1), trainer.terminate)
        trainer.run(range(10), max_epochs=10)
        logger.close()
    assert whole(10) == steps(tmp_path)


def test_going_back_in_one_process_doubles_nothing(tmp_path: Path) -> None:
    """A training that failed and loads an earlier state, in the same process, has each point once."""
    trainer, logger = attached(tmp_path)
    saved: dict[str, Any] = {}
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=20), lambda engine: saved.update(engine.state_dict()))
    fails = trainer.add_event_handler(Events.ITERATION_COMPLETED(once=37), lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trainer.run(range(10), max_epochs=5)
    fails.remove()
    trainer.load_state_dict(saved)
    trainer.run(range(10))
    assert whole(5) == steps(tmp_path)
    logger.close()


@pytest.mark.parametrize("how", ["interrupt", "terminate"])
def test_a_pause_in_one_process_loses_nothing(tmp_path: Path, how: str) -> None:
    """A run that was interrupted or terminated and goes on in the same process keeps its points, and opens no file."""
    trainer, logger = attached(tmp_path)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=37), getattr(trainer, how))
    trainer.run(range(10), max_epochs=5)
    state = trainer.run(range(10))
    logger.close()
    assert list(range(1, state.iteration + 1)) == steps(tmp_path)["training/output"]
    assert 1 == len(files(tmp_path))


def test_an_extended_training_keeps_its_points(tmp_path: Path) -> None:
    """A training that goes on from where it ended, in a new process, keeps all its points."""
    saved = {}
    for epochs in (3, 5):
        trainer, logger = attached(tmp_path)
        if saved:
            trainer.load_state_dict(saved)
        trainer.run(range(10), max_epochs=epochs)
        saved = trainer.state_dict()
        logger.close()
    assert whole(5) == steps(tmp_path)


def logged(
    folder: Path,
    begin: int = 0,
    end: int = 100,
    value: float = 1.0,
    every: int = 1,
    before: Callable[[TensorboardLogger, Engine, Engine], None] = lambda *_: None,
) -> None:
    """Train from an iteration until before another, in epochs of ten, as a process that is killed there does."""
    trainer, evaluator = Engine(lambda engine, batch: value), Engine(lambda engine, batch: value)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([0, 1]))
    with TensorboardLogger(log_dir=folder) as logger:
        each = Events.ITERATION_COMPLETED(every=every)
        logger.attach_output_handler(trainer, each, "training", output_transform=float)
        logger.attach_output_handler(evaluator, Events.COMPLETED, "validation", output_transform=float)
        steps = {
            "known": global_step_from_engine(trainer),
            "iteration": global_step_from_engine(trainer, Events.ITERATION_COMPLETED),
            "training": lambda *_: trainer.state.epoch,
        }
        for tag, transform in steps.items():
            output = {"output_transform": lambda value: {"epoch": value}, "global_step_transform": transform}
            logger.attach_output_handler(evaluator, Events.COMPLETED, tag, **output)
        if begin:
            trainer.load_state_dict({"iteration": begin, "max_epochs": 10, "epoch_length": 10})
        before(logger, trainer, evaluator)
        trainer.add_event_handler(Events.ITERATION_STARTED(once=end + 1), trainer.terminate)
        trainer.run(range(10), max_epochs=10)


def lives(*until: tuple[int, float], every: int = 1) -> dict[str, list[tuple[int, float]]]:
    """Return the points that are to be seen, of a training whose values were written up to here and there."""

    def values(step: int, stop: int, unit: int = 1) -> list[tuple[int, float]]:
        return [
            (iteration // unit, next(value for last, value in until if iteration <= last))
            for iteration in range(step, stop + 1, step)
        ]

    end = until[-1][0]
    epochs, iterations = values(10, end, 10), values(10, end)
    return {
        "training/output": values(every, end),
        "validation/output": iterations,
        "iteration/epoch": iterations,
        "known/epoch": epochs,
        "training/epoch": epochs,
    }


def served(folder: Path) -> EventAccumulator:
    """Read a folder as the program does that serves it: unlike the reader for programs, it hides texts, too."""
    return EventAccumulator(str(folder)).Reload()


BEFORE: dict[str, Callable[[TensorboardLogger, Engine, Engine], Any]] = {
    "text": lambda logger, trainer, evaluator: logger.add_text("config", "lr=0.1"),
    "text at the step": lambda logger, trainer, evaluator: logger.add_text("config", "a", trainer.state.iteration),
    "scalar": lambda logger, trainer, evaluator: logger.add_scalar("resumed", 1, trainer.state.iteration),
    "parameters": lambda logger, trainer, evaluator: logger.add_hparams({"lr": 0.1}, {"loss": 1.0}),
    "nothing": lambda logger, trainer, evaluator: None,
}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
def test_what_a_program_logs_before_it_goes_on_does_not_keep_what_is_dead(tmp_path: Path, before: Any) -> None:
    """What a program logs at low steps before the training goes on keeps nothing of the process that was killed."""
    logged(tmp_path, end=95, before=before)
    logged(tmp_path, begin=80, value=2.0, before=before)
    assert lives((80, 1.0), (100, 2.0)).items() <= points(tmp_path).items()
    assert points(tmp_path).get("resumed") in (None, [(0, 1.0), (80, 1.0)])


@pytest.mark.parametrize("length", [2, 500])
@pytest.mark.parametrize("transform", [None, lambda *_: 80], ids=["its own step", "the step of the trainer"])
def test_an_evaluation_before_a_training_goes_on_is_kept(tmp_path: Path, length: int, transform: Any) -> None:
    """An evaluation before the training goes on is shown, hides nothing, and keeps nothing that is dead."""

    def baseline(logger: TensorboardLogger, trainer: Engine, evaluator: Engine) -> None:
        logger.attach_output_handler(
            evaluator, Events.COMPLETED, "baseline", output_transform=float, global_step_transform=transform
        )
        evaluator.run(range(length))

    logged(tmp_path, end=95)
    logged(tmp_path, begin=80, value=2.0, before=baseline)
    found = points(tmp_path)
    assert lives((80, 1.0), (100, 2.0))["training/output"] == found["training/output"]
    assert (80 if transform else length, 2.0) == found["baseline/output"][0]


def test_an_evaluator_that_is_run_first_hides_no_training(tmp_path: Path) -> None:
    """A program that evaluates at first, before it knows where the training goes on, hides nothing of it."""
    logged(tmp_path, end=95)
    evaluator = Engine(lambda engine, batch: 5.0)
    with TensorboardLogger(log_dir=tmp_path) as logger:
        logger.attach_output_handler(evaluator, Events.COMPLETED, "validation", output_transform=float)
        evaluator.run(range(3))
    assert lives((95, 1.0))["training/output"] == points(tmp_path)["training/output"]
    assert (3, 5.0) in points(tmp_path)["validation/output"]


@pytest.mark.parametrize("end", [5, 37])
def test_a_training_that_died_before_its_first_checkpoint_begins_again_with_each_point_once(
    tmp_path: Path, end: int
) -> None:
    """A training that was killed before it saved anything, and is started again, has each point once."""
    text = BEFORE["text"]
    logged(tmp_path, end=end, before=text)
    logged(tmp_path, value=2.0, before=text)
    assert lives((100, 2.0)) == points(tmp_path)
    assert 1 == len(served(tmp_path).Tensors("config/text_summary"))


def test_another_training_in_the_folder_is_not_replaced(tmp_path: Path) -> None:
    """A training that begins anew replaces its own curves, and nothing of a process that has logged other names."""
    trainer = Engine(step)
    with TensorboardLogger(log_dir=tmp_path) as logger:
        logger.attach_output_handler(trainer, Events.ITERATION_COMPLETED, "other", output_transform=float)
        trainer.run(range(4))
    logged(tmp_path, end=15)
    logged(tmp_path, end=12, value=2.0)
    expected = {**lives((12, 2.0)), "other/output": [(each, each / 4) for each in range(1, 5)]}
    assert expected == points(tmp_path)


def test_a_training_that_logs_rarely_goes_on_with_each_point_once(tmp_path: Path) -> None:
    """Where a trainer has logged nothing since the checkpoint, what evaluators have logged is gone all the same."""
    logged(tmp_path, end=49, every=30)
    logged(tmp_path, begin=32, end=100, value=2.0, every=30)
    found = points(tmp_path)
    expected = lives((32, 1.0), (100, 2.0), every=30)
    for tag in ("training/output", "validation/output", "iteration/epoch"):
        assert expected[tag] == found[tag]


def test_a_new_value_is_never_left_out(tmp_path: Path) -> None:
    """Where it cannot be told whether a value at an epoch is dead, the new one is written after it."""
    logged(tmp_path, end=49, every=100)
    logged(tmp_path, begin=32, end=100, value=2.0, every=100)
    found = points(tmp_path)["known/epoch"]
    assert dict(lives((32, 1.0), (100, 2.0))["known/epoch"]) == dict(found)


@settings(max_examples=25, deadline=None)
@given(
    # Not between them, because one of the names that count epochs begins as the training's own curve does.
    st.lists(st.tuples(st.just(0) | st.integers(10, 99), st.integers(1, 60)), min_size=1, max_size=5),
    st.booleans(),
)
def test_however_often_a_training_is_killed_each_point_is_there_once(
    tmp_path_factory: pytest.TempPathFactory, rests: list[tuple[int, int]], with_text: bool
) -> None:
    """Each point is there once and of the last process that came there, in iterations and in epochs."""
    folder = tmp_path_factory.mktemp("killed")
    before = BEFORE["text" if with_text else "nothing"]
    reached: list[tuple[int, float]] = []
    for value, (begin, length) in enumerate(rests):
        begin = begin if reached and begin <= reached[-1][0] else 0
        end = min(begin + length, 100)
        logged(folder, begin, end, float(value), before=before)
        reached = [*((last, old) for last, old in reached if last < begin), *_at(reached, begin), (end, float(value))]
    assert lives(*reached) == {tag: points(folder).get(tag, []) for tag in lives(*reached)}


def _at(reached: list[tuple[int, float]], step: int) -> list[tuple[int, float]]:
    return [(step, old) for last, old in reached if last >= step][:1] if step else []


def test_a_training_anew_with_the_same_logger_is_written(tmp_path: Path) -> None:
    """A training that starts anew in the same process is another one, and is shown beside what is there."""
    trainer, logger = attached(tmp_path)
    trainer.load_state_dict({"iteration": 20, "max_epochs": 3, "epoch_length": 10})
    trainer.run(range(10))
    trainer.run(range(10), max_epochs=1)
    logger.close()
    assert [*range(21, 31), *range(1, 11)] == steps(tmp_path)["training/output"]


@pytest.mark.parametrize(
    "case",
    ["a test twice", "an evaluation in another process", "an evaluation before a training goes on", "a second trainer"],
)
def test_in_doubt_nothing_is_hidden(case: str, tmp_path: Path) -> None:
    """What only evaluates, or trains beside another, hides nothing of a training in the same folder."""

    def made(logger: TensorboardLogger, tag: str) -> Engine:
        engine = Engine(step)
        logger.attach_output_handler(engine, Events.ITERATION_COMPLETED, tag, output_transform=float)
        return engine

    with TensorboardLogger(log_dir=tmp_path) as logger:
        trainer, evaluator = made(logger, "training"), made(logger, "validation")
        evaluation = trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run(range(2)))
        trainer.run(range(3), max_epochs=2)
        evaluation.remove()
        if case == "a test twice":
            test = made(logger, "test")
            test.run(range(2))
            test.run(range(2))
        if case == "a second trainer":
            other, optimizer = made(logger, "other"), torch.optim.SGD([torch.zeros(1)], lr=0.1)
            for each in (trainer, other):
                logger.attach_opt_params_handler(each, Events.ITERATION_STARTED, optimizer)
            other.run(range(3), max_epochs=2)
    if case.startswith("an evaluation"):
        with TensorboardLogger(log_dir=tmp_path) as logger:
            made(logger, "validation").run(range(2))
            if case.endswith("goes on"):
                again = made(logger, "training")
                again.load_state_dict(trainer.state_dict())
                again.run(range(3), max_epochs=3)
    expected = list(range(1, 10 if case.endswith("goes on") else 7))
    assert expected == [each for each, _ in points(tmp_path)["training/output"]]


def test_another_trainer_with_the_same_logger_goes_on(tmp_path: Path) -> None:
    """A trainer that is made anew in the same process, and goes on from a state, doubles nothing."""
    with TensorboardLogger(log_dir=tmp_path) as logger:
        for begin, end in ((0, 15), (10, 20)):
            trainer = Engine(step)
            logger.attach_output_handler(trainer, Events.ITERATION_COMPLETED, "training", output_transform=float)
            if begin:
                trainer.load_state_dict({"iteration": begin, "max_epochs": 2, "epoch_length": 10})
            trainer.add_event_handler(Events.ITERATION_STARTED(once=end + 1), trainer.terminate)
            trainer.run(range(10), max_epochs=2)
    assert [(each, each / 4) for each in range(1, 21)] == points(tmp_path)["training/output"]


def test_a_test_of_a_model_in_the_same_folder_hides_nothing(tmp_path: Path) -> None:
    """A program that only tests a model, with the folder of its training, hides nothing of it."""
    trainer, logger = attached(tmp_path)
    trainer.run(range(10), max_epochs=2)
    logger.close()
    evaluator = Engine(step)
    with TensorboardLogger(log_dir=tmp_path) as logger:
        logger.attach_output_handler(evaluator, Events.COMPLETED, "test", output_transform=float)
        evaluator.run(range(3))
    assert {**whole(2), "test/output": [3]} == steps(tmp_path)


def test_points_that_count_samples_are_not_hidden(tmp_path: Path) -> None:
    """Points at the number of samples, which run ahead of the iterations, are all there once."""

    def run(first: int, last: int) -> None:
        trainer = Engine(step)
        with TensorboardLogger(log_dir=tmp_path) as logger:
            samples = {"global_step_transform": lambda engine, event: 64 * trainer.state.iteration}
            logger.attach_output_handler(
                trainer, Events.ITERATION_COMPLETED, "samples", output_transform=float, **samples
            )
            logger.attach_output_handler(trainer, Events.ITERATION_COMPLETED, "training", output_transform=float)
            if first:
                trainer.load_state_dict({"iteration": first, "max_epochs": 4, "epoch_length": 10})
            trainer.add_event_handler(Events.ITERATION_COMPLETED(once=last), trainer.terminate)
            trainer.run(range(10), max_epochs=4)

    run(0, 35)
    run(20, 40)
    assert {"samples/output": [64 * step for step in range(1, 41)], "training/output": list(range(1, 41))} == steps(
        tmp_path
    )


# Opening and closing


def test_a_closed_logger_can_be_closed_again(tmp_path: Path) -> None:
    """A logger that is closed can be closed again, and what is logged afterwards goes to a new file."""
    logger = TensorboardLogger(log_dir=tmp_path)
    logger.log({"a": 1}, 1)
    logger.close()
    logger.close()
    logger.log({"a": 2}, 2)
    logger.close()
    assert {"a": [(1, 1.0), (2, 2.0)]} == points(tmp_path)


def test_a_block_closes_the_logger_also_when_it_fails(tmp_path: Path) -> None:
    """A block closes the logger, also when it fails, with all on the disk."""
    logger = TensorboardLogger(log_dir=tmp_path)
    logger.log({"a": 1}, 1)
    with pytest.raises(ZeroDivisionError), logger:
        1 / 0
    assert logger.writer.file_writer is None
    assert {"a": [(1, 1.0)]} == points(tmp_path)


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    """A folder that cannot be written to is refused when the logger is made; the error names it."""
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper", str(tmp_path / "file")):
        with pytest.raises(OSError, match=r"log_dir must be a folder that can be written to, got .*file"):
            TensorboardLogger(log_dir=folder)
    with pytest.raises(OSError, match="log_dir must be a folder that can be written to, got '/proc/none'"):
        TensorboardLogger("/proc/none")


@pytest.mark.parametrize(
    ("folder", "error"), [(3, TypeError), (b"logs", TypeError), ("lo\0gs", ValueError), (Path("lo\0gs"), ValueError)]
)
def test_what_is_no_path_is_refused(folder: Any, error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    """What can be the path of no folder is refused in every process; the error names the argument and the value."""
    for rank in (0, 1):
        monkeypatch.setattr("ignite_signals.handlers.base_logger.get_rank", lambda rank=rank: rank)
        with pytest.raises(error, match="log_dir must be the path of a folder.* got " + re.escape(repr(folder)) + "$"):
            TensorboardLogger(log_dir=folder)


def test_without_tensorboard_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where TensorBoard is not installed, the error says how to install it."""
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    with pytest.raises(
        ModuleNotFoundError, match=r"TensorboardLogger needs .*pip install 'ignite_signals\[tensorboard\]'"
    ):
        TensorboardLogger(tmp_path / "logs")
    assert not (tmp_path / "logs").exists()


def test_it_shows_its_folder(tmp_path: Path) -> None:
    """Its repr shows its folder."""
    with TensorboardLogger(str(tmp_path)) as logger:
        assert f"TensorboardLogger(log_dir={str(tmp_path)!r})" == repr(logger)


@every_copy
def test_a_copied_engine_logs_into_a_file_of_its_own(tmp_path: Path, copied: Any) -> None:
    """A copy of an engine logs with a copy of the logger, into the same folder, and its run flushes it."""
    trainer = Engine(step)
    logger = TensorboardLogger(log_dir=tmp_path)
    logger.attach(trainer, OutputHandler("training", output_transform=float), Events.ITERATION_COMPLETED)
    logger.attach(trainer, WeightsHistHandler(nn.PReLU()), Events.COMPLETED)
    other = copied(trainer)
    assert 1 == len(files(tmp_path))
    other.run(range(3))
    assert 2 == len(files(tmp_path))
    assert {"training/output": [(1, 0.25), (2, 0.5), (3, 0.75)]} == points(tmp_path)
    logger.close()


@every_copy
def test_a_copy_of_a_logger_writes_into_the_same_folder(
    tmp_path: Path, copied: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy writes into the same folder, also where nobody has named one, and hides nothing there."""
    monkeypatch.chdir(tmp_path)
    logger = TensorboardLogger(None, "", 5)
    logger.log({"a": 1}, 10)
    logger.close()
    other = copied(logger)
    other.log({"a": 2}, 11)
    other.close()
    [folder] = Path("runs").iterdir()
    assert f"TensorboardLogger(log_dir={str(folder)!r})" == repr(logger) == repr(other)
    assert {"a": [(10, 1.0), (11, 2.0)]} == points(folder)


@every_copy
def test_a_copied_logger_is_attached_anew(tmp_path: Path, copied: Any) -> None:
    """A copied engine can be given more to log, with the copied logger too."""
    trainer = Engine(step)
    trainer.logger_of_mine = TensorboardLogger(log_dir=tmp_path)  # type: ignore[attr-defined]
    trainer.logger_of_mine.attach_output_handler(trainer, Events.COMPLETED, "a", output_transform=float)  # type: ignore[attr-defined]
    trainer.logger_of_mine.close()  # type: ignore[attr-defined]
    other = copied(trainer)
    other.logger_of_mine.attach_output_handler(other, Events.COMPLETED, "b", output_transform=float)
    other.run(range(3))
    other.logger_of_mine.close()
    assert {"a/output": [(3, 0.75)], "b/output": [(3, 0.75)]} == points(tmp_path)


def test_an_engine_is_freed_with_its_logger(tmp_path: Path) -> None:
    """There is no cycle between an engine and its logger, before and after a run."""
    trainer = Engine(step)
    logger = TensorboardLogger(log_dir=tmp_path)
    logger.attach_output_handler(trainer, Events.COMPLETED, "a", output_transform=float)
    trainer.run(range(2))
    gone = weakref.ref(trainer)
    del trainer
    assert gone() is None
    logger.close()


def test_nothing_is_read_when_nothing_is_due(tmp_path: Path) -> None:
    """An output is looked at when it is logged, and at no other time."""
    seen: list[float] = []
    trainer = Engine(step)
    with TensorboardLogger(log_dir=tmp_path) as logger:
        logger.attach_output_handler(
            trainer, Events.ITERATION_COMPLETED(every=50), "a", output_transform=lambda out: seen.append(out) or out
        )
        trainer.run(range(100))
    assert [12.5, 25.0] == seen


# Several processes


def test_another_process_than_the_first_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In another process than the first nothing is read, and what the writer is given is forgotten."""
    monkeypatch.setattr("ignite_signals.handlers.base_logger.get_rank", lambda: 1)
    trainer = Engine(step)
    with TensorboardLogger(log_dir=tmp_path / "logs") as logger:
        logger.attach_output_handler(trainer, Events.COMPLETED, "a", output_transform=lambda output: 1 / 0)
        logger.attach(trainer, GradsHistHandler(nn.PReLU()), Events.COMPLETED)
        trainer.run(range(3))
        assert logger.add_image("digits", torch.zeros(1, 2, 2), 1) is None
        assert tmp_path / "logs" == logger.writer.get_logdir()
        with pytest.raises(AttributeError, match="add_smell"):
            logger.add_smell("roses")
    assert not (tmp_path / "logs").exists()


def on_a_rank(rank: int, folder: str) -> list[Any]:
    trainer = Engine(step)
    with TensorboardLogger(log_dir=f"{folder}/{rank}") as logger:
        logger.attach(trainer, OutputHandler("training", output_transform=float), Events.ITERATION_COMPLETED)
        logger.attach(trainer, WeightsHistHandler(nn.PReLU()), Events.ITERATION_COMPLETED)
        logger.attach(trainer, OptimizerParamsHandler(torch.optim.SGD([nn.Parameter()], 0.1)), Events.STARTED)
        trainer.add_event_handler(Events.COMPLETED, lambda: logger.add_text("note", "done", 3))
        trainer.run(range(3))
        with pytest.raises(AttributeError, match="add_smell"):
            logger.writer.add_smell("roses")
        return [Path(folder, str(rank)).exists(), str(logger.writer.get_logdir())]


def test_the_first_process_alone_writes(tmp_path: Path, ranks: Ranks) -> None:
    """Of several processes the first alone makes files; elsewhere the writer takes what is meant for it."""
    assert [[True, f"{tmp_path}/0"], [False, f"{tmp_path}/1"]] == ranks.run(on_a_rank, str(tmp_path))
    assert [1, 2, 3] == [step for step, _ in points(tmp_path / "0")["training/output"]]
