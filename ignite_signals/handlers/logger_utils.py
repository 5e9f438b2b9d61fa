"""One call sets up what most trainings log: metrics, rates, and the metrics of evaluators, at one step."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ignite_signals.engine import Engine, Events
from ignite_signals.engine.integers import integer
from ignite_signals.handlers.base_logger import BaseLogger, BaseOptimizerParamsHandler, BaseOutputHandler
from ignite_signals.handlers.checks import check_engine
from ignite_signals.handlers.csv_logger import CSVLogger
from ignite_signals.handlers.global_step import global_step_from_engine
from ignite_signals.handlers.json_lines_logger import JSONLinesLogger
from ignite_signals.handlers.tensorboard_logger import TensorboardLogger

if TYPE_CHECKING:
    from torch.optim import Optimizer

__all__ = ["setup_csv_logging", "setup_json_lines_logging", "setup_tb_logging"]

_Logger = TypeVar("_Logger", bound=BaseLogger)


def setup_tb_logging(
    output_path: str | os.PathLike[str],
    trainer: Engine,
    optimizers: Optimizer | Mapping[str, Optimizer] | None = None,
    evaluators: Engine | Mapping[str, Engine] | None = None,
    log_every_iters: int | None = 100,
    *,
    trainer_metric_names: str | list[str] = "all",
    evaluator_metric_names: str | list[str] = "all",
    **kwargs: Any,
) -> TensorboardLogger:
    """Log a training for TensorBoard: its metrics, the rates, and the metrics of evaluators.

    Everything lies at the trainer's iteration, so that curves of training and validation can be laid over each other.

    Args:
        output_path: the folder.
        trainer: whose metrics are logged as `training/...`.
        optimizers: one, whose rate is logged as `lr/group_0`, or several by name: `name/lr/group_0`.
        evaluators: one, whose metrics are logged as `validation/...`, or several by name.
        log_every_iters: metrics of the trainer and rates are logged every so many iterations; 1 where it is None. Those
            of an evaluator are logged at the end of each of its runs.
        trainer_metric_names: which of the trainer's metrics; "all" for all there are.
        evaluator_metric_names: which of each evaluator's metrics.
        kwargs: given to `TensorboardLogger`.

    Returns:
        The logger, to attach more to it, and to close it in the end.

    Raises:
        TypeError: an argument is of another type; the error names it and the value.
        ValueError: `log_every_iters` is not positive, or an optimizer's groups have no rate.
        OSError: `output_path` is no folder that can be written to.

    >>> import tempfile
    >>> from ignite_signals.engine import create_supervised_trainer
    >>> import torch
    >>> model = torch.nn.Linear(1, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> trainer = create_supervised_trainer(model, optimizer, torch.nn.functional.mse_loss)
    >>> with tempfile.TemporaryDirectory() as folder, setup_tb_logging(folder, trainer, optimizer, log_every_iters=1):
    ...     state = trainer.run([(torch.ones(1, 1), torch.ones(1, 1))])
    """
    names = trainer_metric_names, evaluator_metric_names
    make = partial(TensorboardLogger, output_path, **kwargs)
    return _set_up(make, trainer, optimizers, evaluators, log_every_iters, names)


def setup_csv_logging(
    output_path: str | os.PathLike[str],
    trainer: Engine,
    optimizers: Optimizer | Mapping[str, Optimizer] | None = None,
    evaluators: Engine | Mapping[str, Engine] | None = None,
    log_every_iters: int | None = 100,
    *,
    trainer_metric_names: str | list[str] = "all",
    evaluator_metric_names: str | list[str] = "all",
    **kwargs: Any,
) -> CSVLogger:
    """Log a training into a CSV file: its metrics, the rates, and the metrics of evaluators.

    The arguments are those of `setup_tb_logging`, but `output_path` is the file, and `kwargs` are given to `CSVLogger`.
    """
    names = trainer_metric_names, evaluator_metric_names
    make = partial(CSVLogger, output_path, **kwargs)
    return _set_up(make, trainer, optimizers, evaluators, log_every_iters, names)


def setup_json_lines_logging(
    output_path: str | os.PathLike[str],
    trainer: Engine,
    optimizers: Optimizer | Mapping[str, Optimizer] | None = None,
    evaluators: Engine | Mapping[str, Engine] | None = None,
    log_every_iters: int | None = 100,
    *,
    trainer_metric_names: str | list[str] = "all",
    evaluator_metric_names: str | list[str] = "all",
    **kwargs: Any,
) -> JSONLinesLogger:
    """Log a training into a file of JSON lines: its metrics, the rates, and the metrics of evaluators.

    The arguments are those of `setup_tb_logging`, but `output_path` is the file, and `kwargs` are given to
    `JSONLinesLogger`.
    """
    names = trainer_metric_names, evaluator_metric_names
    make = partial(JSONLinesLogger, output_path, **kwargs)
    return _set_up(make, trainer, optimizers, evaluators, log_every_iters, names)


def _set_up(
    make: partial[_Logger],
    trainer: Engine,
    optimizers: Any,
    evaluators: Any,
    log_every_iters: int | None,
    metric_names: tuple[str | list[str], str | list[str]],
) -> _Logger:
    """Make a logger, attach what is to be logged, and return it."""
    every = 1 if log_every_iters is None else integer("log_every_iters", log_every_iters)
    _check(trainer, optimizers, evaluators, metric_names)
    try:
        logger = make()
    except (OSError, TypeError, ValueError) as error:
        error.add_note(f"it was given as output_path, {make.args[0]!r}")
        raise
    of_trainer, of_evaluators = metric_names
    completed, started = Events.ITERATION_COMPLETED(every=every), Events.ITERATION_STARTED(every=every)
    logger.attach_output_handler(trainer, completed, tag="training", metric_names=of_trainer)
    for name, optimizer in _named(optimizers, None).items():
        logger.attach_opt_params_handler(trainer, started, optimizer, param_name="lr", tag=name)
    # Also where an evaluator runs before or after the training, and not inside of it.
    step = global_step_from_engine(trainer, Events.ITERATION_COMPLETED)
    for name, evaluator in _named(evaluators, "validation").items():
        logger.attach_output_handler(
            evaluator, Events.COMPLETED, tag=name, metric_names=of_evaluators, global_step_transform=step
        )
    return logger


def _named(things: Any, name: str | None) -> Mapping[str | None, Any]:
    if things is None:
        return {}
    return things if isinstance(things, Mapping) else {name: things}


def _check(
    trainer: Engine,
    optimizers: Any,
    evaluators: Any,
    metric_names: tuple[str | list[str], str | list[str]],
) -> None:
    """Refuse arguments before a file is made."""
    check_engine(trainer, "trainer")
    for optimizer in _named(optimizers, None).values():
        if not hasattr(optimizer, "param_groups"):
            raise TypeError(f"optimizers must be an optimizer, or several by name, got {optimizers!r}")
        BaseOptimizerParamsHandler(optimizer)
    for evaluator in _named(evaluators, None).values():
        if not isinstance(evaluator, Engine):
            raise TypeError(f"evaluators must be an Engine, or several by name, got {evaluators!r}")
    for names in metric_names:
        BaseOutputHandler("", names)
