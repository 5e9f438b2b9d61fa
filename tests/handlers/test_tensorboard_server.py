"""What the TensorBoard program itself serves of a training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ignite_signals import Engine, Events
from ignite_signals.handlers.tensorboard_logger import TensorboardLogger, global_step_from_engine

pytest.importorskip("tensorboard")

from support.tensorboard import points, serving

# With its data server, where that is installed, and without.
LOADERS = ["--load_fast=auto", "--load_fast=false"]


def training(folder: Path, scale: float = 1.0) -> tuple[Engine, TensorboardLogger]:
    """Return a trainer of ten iterations an epoch, after each of which it runs an evaluator, and their logger."""
    trainer = Engine(lambda engine, batch: scale * engine.state.iteration)
    evaluator = Engine(lambda engine, batch: batch)
    logger = TensorboardLogger(log_dir=folder)
    loss = {"tag": "training", "output_transform": lambda output: {"loss": output}}
    logger.attach_output_handler(trainer, Events.ITERATION_COMPLETED, **loss)
    logger.attach_output_handler(evaluator, Events.COMPLETED, tag="validation", output_transform=torch.tensor)
    epochs = {"tag": "epochs", "global_step_transform": global_step_from_engine(trainer)}
    epochs["output_transform"] = lambda output: scale if trainer.state.iteration > 80 else 1.0
    logger.attach_output_handler(evaluator, Events.COMPLETED, **epochs)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: evaluator.run([engine.state.iteration / 100]))
    return trainer, logger


@pytest.mark.parametrize("loader", LOADERS)
def test_tensorboard_serves_what_was_logged_after_the_run(tmp_path: Path, loader: str) -> None:
    """TensorBoard serves every point as soon as the run has returned, though the logger is open."""
    trainer, logger = training(tmp_path / "logs" / "first")
    trainer.run(range(10), max_epochs=2)
    with logger, serving(tmp_path / "logs", loader) as server:
        served = server.wait_for("first", "training/loss", list(range(1, 21)))
        assert [(step, float(step)) for step in range(1, 21)] == served
        assert [(10, pytest.approx(0.1)), (20, pytest.approx(0.2))] == server.points("first", "validation/output")
        assert {"training/loss", "validation/output", "epochs/output"} == server.get("plugin/scalars/tags")[
            "first"
        ].keys()


@pytest.mark.parametrize("loader", LOADERS)
def test_tensorboard_serves_no_point_twice_of_a_training_that_goes_on(tmp_path: Path, loader: str) -> None:
    """A training that failed at iteration 105 and goes on from 80, while TensorBoard looks on, has each point once."""
    trainer, first = training(tmp_path / "logs" / "run")
    saved = {}
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=80), lambda engine: saved.update(engine.state_dict()))
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=105), lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trainer.run(range(10), max_epochs=12)
    expected = {
        "training/loss": [(step, float(step if step <= 80 else 2 * step)) for step in range(1, 121)],
        "validation/output": [(step, pytest.approx(step / 100)) for step in range(10, 121, 10)],
        "epochs/output": [(epoch, 1.0 if epoch <= 8 else 2.0) for epoch in range(1, 13)],
    }
    with first, serving(tmp_path / "logs", loader) as server:
        server.wait_for("run", "training/loss", list(range(1, 105)))  # it failed before it logged
        resumed, second = training(tmp_path / "logs" / "run", scale=2.0)
        resumed.load_state_dict(saved)
        with second:
            resumed.run(range(10))
        for tag, wanted in expected.items():
            assert wanted == server.wait_for("run", tag, [step for step, _ in wanted])
    assert expected == points(tmp_path / "logs" / "run")
