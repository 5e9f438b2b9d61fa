"""One call that sets up what most trainings log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ignite_signals import Engine, Events
from ignite_signals.handlers.csv_logger import CSVLogger
from ignite_signals.handlers.json_lines_logger import JSONLinesLogger
from ignite_signals.handlers.logger_utils import setup_csv_logging, setup_json_lines_logging, setup_tb_logging

pytest.importorskip("tensorboard")

from support.tensorboard import points


def of_tensorboard(path: Path) -> dict[str, dict[int, float]]:
    return {name: dict(curve) for name, curve in points(path).items()}


# How to set up, and how to read back.
KINDS = [
    (setup_tb_logging, of_tensorboard),
    (setup_csv_logging, CSVLogger.read),
    (setup_json_lines_logging, JSONLinesLogger.read),
]
every_kind = pytest.mark.parametrize(("set_up", "read"), KINDS, ids=["tensorboard", "csv", "json lines"])


def optimizer(rate: float = 0.5) -> torch.optim.Optimizer:
    return torch.optim.SGD(nn.PReLU().parameters(), lr=rate)


def engine_with_metrics(**metrics: float) -> Engine:
    engine = Engine(lambda engine, batch: None)
    engine.add_event_handler(Events.STARTED, lambda engine: engine.state.metrics.update(metrics))
    return engine


@every_kind
def test_metrics_rates_and_validation_are_logged(tmp_path: Path, set_up: Any, read: Callable[[Path], Any]) -> None:
    """The trainer's metrics and the rate are logged every so often, the evaluator's at its end, at one step."""
    trainer, evaluator = engine_with_metrics(loss=0.25), engine_with_metrics(accuracy=0.75)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run(range(3)))
    with set_up(tmp_path / "log", trainer, optimizer(), evaluator, log_every_iters=4):
        trainer.run(range(6), max_epochs=2)
    assert {
        "training/loss": {4: 0.25, 8: 0.25, 12: 0.25},
        "lr/group_0": {4: 0.5, 8: 0.5, 12: 0.5},
        "validation/accuracy": {6: 0.75, 12: 0.75},
    } == read(tmp_path / "log")


@every_kind
def test_several_are_told_apart_by_their_names(tmp_path: Path, set_up: Any, read: Callable[[Path], Any]) -> None:
    """Several optimizers and evaluators are given by name, and of the metrics those that are named."""
    trainer = engine_with_metrics(loss=0.25, other=1)
    evaluators = {name: engine_with_metrics(accuracy=0.75, other=1) for name in ("seen", "unseen")}
    trainer.add_event_handler(Events.COMPLETED, lambda: [each.run([0]) for each in evaluators.values()])
    optimizers = {"body": optimizer(0.5), "head": optimizer(0.125)}
    with set_up(
        tmp_path / "log",
        trainer,
        optimizers,
        evaluators,
        None,
        trainer_metric_names=["loss"],
        evaluator_metric_names=["accuracy"],
    ):
        trainer.run(range(2))
    assert {
        "training/loss": {1: 0.25, 2: 0.25},
        "body/lr/group_0": {1: 0.5, 2: 0.5},
        "head/lr/group_0": {1: 0.125, 2: 0.125},
        "seen/accuracy": {2: 0.75},
        "unseen/accuracy": {2: 0.75},
    } == read(tmp_path / "log")


@every_kind
def test_a_validation_outside_of_the_training_lies_at_its_iteration(
    tmp_path: Path, set_up: Any, read: Callable[[Path], Any]
) -> None:
    """An evaluator that runs before and after the training, and not inside of it, has the training's iteration, too."""
    trainer, evaluator = engine_with_metrics(), engine_with_metrics(accuracy=0.75)
    with set_up(tmp_path / "log", trainer, evaluators=evaluator):
        evaluator.run(range(3))
        trainer.run(range(5), max_epochs=2)
        evaluator.run(range(3))
    assert {"validation/accuracy": {0: 0.75, 10: 0.75}} == read(tmp_path / "log")


@pytest.mark.parametrize("event", ["training", "rates"])
def test_the_names_are_ignites(tmp_path: Path, event: str) -> None:
    """Names, steps and values of training and rates are those of Ignite."""
    ignite = pytest.importorskip("ignite.engine")
    utils = pytest.importorskip("ignite.handlers.logger_utils")
    found = []
    for name, module, set_up in (("here", None, setup_tb_logging), ("ignite", ignite, utils.setup_tb_logging)):
        trainer = (module.Engine if module else Engine)(lambda engine, batch: None)
        events = module.Events if module else Events
        trainer.add_event_handler(
            events.STARTED, lambda engine: engine.state.metrics.update(loss=0.25, recall=torch.ones(2))
        )
        given = {"optimizers": {"a": optimizer(), "b": optimizer(0.25)}} if event == "rates" else {}
        with set_up(str(tmp_path / name), trainer, log_every_iters=3, **given):
            trainer.run(range(5), max_epochs=2)
        found.append(points(tmp_path / name))
    assert found[1] == found[0]
    assert {"training/recall/1": [(3, 1.0), (6, 1.0), (9, 1.0)]}.items() <= found[0].items()


BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "trainer": ({"trainer": 5}, TypeError, "trainer must be an Engine, got 5"),
    "optimizers": ({"optimizers": "sgd"}, TypeError, "optimizers must be an optimizer, or several by name, got 'sgd'"),
    "one optimizer": ({"optimizers": {"a": 1}}, TypeError, "optimizers must be an optimizer, or several by name, got"),
    "evaluators": ({"evaluators": [5]}, TypeError, "evaluators must be an Engine, or several by name, got"),
    "every": ({"log_every_iters": 0}, ValueError, "log_every_iters must be a positive integer, got 0"),
    "every, a bool": ({"log_every_iters": True}, ValueError, "log_every_iters must be a positive integer, got True"),
    "metrics": ({"trainer_metric_names": "loss"}, Exception, "metric_names must be a list of names"),
}


@pytest.mark.parametrize(("given", "error", "message"), BAD.values(), ids=BAD)
@every_kind
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, set_up: Any, read: Any, given: dict[str, Any], error: type[Exception], message: str
) -> None:
    """An argument that makes no sense is refused before a file is made; the error names it and its value."""
    arguments = {"trainer": engine_with_metrics(), **given}
    with pytest.raises(error, match=message):
        set_up(tmp_path / "log", **arguments)
    assert not (tmp_path / "log").exists()


@every_kind
def test_a_place_that_cannot_be_written_to_is_told_as_what_it_was_given_as(
    tmp_path: Path, set_up: Any, read: Any
) -> None:
    """The note names `output_path`, and nothing is attached."""
    (tmp_path / "file").write_text("mine")
    trainer, wrong = engine_with_metrics(), str(tmp_path / "file" / "log")
    before = trainer.describe()
    with pytest.raises(OSError, match=r"must be a (file|folder) that can be written to") as raised:
        set_up(wrong, trainer)
    assert [f"it was given as output_path, {wrong!r}"] == raised.value.__notes__
    assert before == trainer.describe()
