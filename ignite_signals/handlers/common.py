"""One call for what most trainings have: averages, progress bars, checkpoints, a schedule, a guard against NaN."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.data.distributed import DistributedSampler

from ignite_signals.distributed import get_world_size
from ignite_signals.engine import Engine, Events
from ignite_signals.engine.integers import integer
from ignite_signals.handlers.checkpoint import Checkpoint
from ignite_signals.handlers.checks import brief, check_engine
from ignite_signals.handlers.disk_saver import DiskSaver
from ignite_signals.handlers.early_stopping import EarlyStopping
from ignite_signals.handlers.global_step import global_step_from_engine
from ignite_signals.handlers.logger_utils import setup_csv_logging, setup_json_lines_logging, setup_tb_logging
from ignite_signals.handlers.param_scheduler import LRScheduler
from ignite_signals.handlers.terminate_on_nan import TerminateOnNan
from ignite_signals.handlers.tqdm_logger import ProgressBar
from ignite_signals.metrics import GpuInfo, RunningAverage

if TYPE_CHECKING:
    from torch.optim.lr_scheduler import LRScheduler as TorchScheduler

    from ignite_signals.handlers.checkpoint import BaseSaveHandler
    from ignite_signals.handlers.param_scheduler import BaseParamScheduler

__all__ = [
    "add_early_stopping_by_val_score",
    "empty_cuda_cache",
    "gen_save_best_models_by_val_score",
    "save_best_model_by_val_score",
    "setup_common_distrib_training_handlers",
    "setup_common_training_handlers",
    "setup_csv_logging",
    "setup_json_lines_logging",
    "setup_tb_logging",
]


def setup_common_training_handlers(
    trainer: Engine,
    train_sampler: DistributedSampler[Any] | None = None,
    to_save: Mapping[str, Any] | None = None,
    save_every_iters: int = 1000,
    output_path: str | None = None,
    lr_scheduler: BaseParamScheduler | TorchScheduler | None = None,
    with_gpu_stats: bool = False,
    output_names: Iterable[str] | None = None,
    with_pbars: bool = True,
    with_pbar_on_iters: bool = True,
    log_every_iters: int = 100,
    stop_on_nan: bool = True,
    clear_cuda_cache: bool = True,
    save_handler: Callable[..., Any] | BaseSaveHandler | None = None,
    **kwargs: Any,
) -> None:
    """Attach to a trainer what most trainings have; each part is left out by its argument.

    A trainer's output that is not finite ends the run, the schedule moves with each iteration, checkpoints are saved,
    running averages of what the step returns are in `trainer.state.metrics`, and progress bars show them. It is the
    same with one process and with several.

    Args:
        trainer: whose step returns a tensor or number, or several in a dict, list or tuple.
        train_sampler: whose `set_epoch` is called before each epoch, so that its order is another one. With one process
            any sampler will do, and one without `set_epoch` is left alone.
        to_save: what checkpoints have in them, by name; the trainer should be among it.
        save_every_iters: how often they are saved.
        output_path: the folder for them, which may have checkpoints already.
        lr_scheduler: a scheduler of torch, or one of the package.
        with_gpu_stats: show how full and how busy the GPUs are; needs `pynvml`.
        output_names: names for the values that the step returns: its keys, or one for each place, or one alone. None
            for no averages.
        with_pbars: show a bar for the epochs and one for the iterations; needs tqdm.
        with_pbar_on_iters: show the one for the iterations.
        log_every_iters: how often that one shows new values, and how often GPUs are looked at.
        stop_on_nan: end a run whose output is not finite.
        clear_cuda_cache: let torch give memory back to the GPU after each epoch.
        save_handler: what saves, instead of the folder.
        kwargs: further arguments of `Checkpoint`.

    Raises:
        TypeError: `trainer` is no engine, or the sampler, the scheduler or a name none, or there are arguments for a
            `Checkpoint` without `to_save`.
        ValueError, OSError: there is nowhere to save to, or two places, or nothing can be written there. Nothing was
            attached.

    >>> trainer = Engine(lambda engine, batch: {"loss": 1 / (1 + batch)})
    >>> setup_common_training_handlers(trainer, output_names=["loss"], with_pbars=False)
    >>> state = trainer.run(range(5))
    >>> float(round(state.metrics["loss"], 4))
    0.9471
    """
    every = integer("log_every_iters", log_every_iters)
    names = _names(output_names)
    _check(trainer, train_sampler, to_save, output_path, save_handler, kwargs)
    scheduler = None if lr_scheduler is None else _scheduler(lr_scheduler)
    events = Events.ITERATION_COMPLETED(every=integer("save_every_iters", save_every_iters))
    gpus = GpuInfo() if with_gpu_stats else None
    checkpoint = _checkpoint(to_save, output_path, save_handler, kwargs)

    if hasattr(train_sampler, "set_epoch"):
        trainer.add_event_handler(Events.EPOCH_STARTED, _set_epoch, train_sampler)
    if stop_on_nan:
        trainer.add_event_handler(Events.ITERATION_COMPLETED, TerminateOnNan())
    if isinstance(scheduler, LRScheduler) and scheduler.use_legacy:
        # After all that reads the rate of the iteration, and before checkpoints, which have the next one.
        trainer.signal(Events.ITERATION_COMPLETED).connect(scheduler, weak=False, priority=-150)
    elif scheduler is not None:
        trainer.add_event_handler(Events.ITERATION_STARTED, scheduler)
    if clear_cuda_cache and torch.cuda.is_available():
        trainer.add_event_handler(Events.EPOCH_COMPLETED, empty_cuda_cache)
    if checkpoint is not None:
        trainer.add_event_handler(events, checkpoint)
    if gpus is not None:
        gpus.attach(trainer, "gpu", Events.ITERATION_COMPLETED(every=every))
    for place, name in enumerate(names):
        RunningAverage(output_transform=_Value(place, name)).attach(trainer, name)
    if with_pbars:
        _attach_bars(trainer, every, with_pbar_on_iters)


# The same with one process and with several; programs of several processes may use this name.
setup_common_distrib_training_handlers = setup_common_training_handlers


def _check(
    trainer: object, sampler: object, to_save: object, output_path: object, save_handler: object, kwargs: object
) -> None:
    check_engine(trainer, "trainer")
    if get_world_size() > 1 and sampler is not None and not isinstance(sampler, DistributedSampler):
        raise TypeError(
            f"train_sampler must be a DistributedSampler where there are several processes, got {brief(sampler)}"
        )
    if kwargs and to_save is None:
        raise TypeError(f"further arguments are those of a Checkpoint, which needs to_save, got {kwargs}")
    if output_path is not None and save_handler is not None:
        raise ValueError(
            f"one of output_path and save_handler must be given, got both, {output_path!r} and {save_handler!r}"
        )
    if to_save is not None and output_path is None and save_handler is None:
        raise ValueError(f"output_path or save_handler must be given with to_save, got neither for {list(to_save)}")  # type: ignore[call-overload]


def _names(names: Iterable[str] | None) -> list[str]:
    found = [] if names is None else list(names) if isinstance(names, Iterable) else [names]
    if isinstance(names, str) or not all(isinstance(name, str) for name in found):
        raise TypeError(f"output_names must be a list of names, got {names!r}")
    return found


def _scheduler(given: Any) -> Any:
    if callable(getattr(given, "get_param", None)):
        return given  # one of the package, or of the user's own
    # As in Ignite it moves when an iteration is complete, so that what is saved with it has made as many steps.
    scheduler = LRScheduler(given, use_legacy=True)
    scheduler.warns_of_order = False  # it comes after the optimizer's, also where that waits for more gradients
    return scheduler


def _checkpoint(
    to_save: Mapping[str, Any] | None, path: str | None, save_handler: Any, kwargs: dict[str, Any]
) -> Checkpoint | None:
    if to_save is None:
        return None
    where = save_handler if path is None else _disk_saver(path)
    return Checkpoint(to_save, where, **{"filename_prefix": "training"} | kwargs)


def _disk_saver(output_path: str) -> DiskSaver:
    try:
        return DiskSaver(output_path, require_empty=False)
    except (OSError, TypeError, ValueError) as error:
        error.add_note(f"the folder was given as output_path, {output_path!r}")
        raise


def _set_epoch(trainer: Engine, sampler: DistributedSampler[Any]) -> None:
    sampler.set_epoch(trainer.state.epoch - 1)


def empty_cuda_cache(_: Engine) -> None:
    """Let torch give the memory that it holds but does not use back to the GPU."""
    torch.cuda.empty_cache()


class _Value:
    """Take one of the values that a step returns; an object, so that it can be pickled."""

    def __init__(self, place: int, name: str) -> None:
        self._place, self._name = place, name

    def __call__(self, output: Any) -> Any:
        if isinstance(output, Mapping) and self._name in output:
            return output[self._name]
        values = output if isinstance(output, (list, tuple)) else [output]
        if isinstance(output, Mapping) or self._place >= len(values):
            raise ValueError(
                "output_names must name the values that the trainer's step returns, in their order or by their keys, "
                f"got {self._name!r} for {output!r}"
            )
        return values[self._place]


def _attach_bars(trainer: Engine, every: int, on_iterations: bool) -> None:
    if on_iterations:
        ProgressBar(persist=False).attach(
            trainer, metric_names="all", event_name=Events.ITERATION_COMPLETED(every=every)
        )
    ProgressBar(persist=True, bar_format="").attach(
        trainer, event_name=Events.EPOCH_STARTED, closing_event_name=Events.COMPLETED
    )


def gen_save_best_models_by_val_score(
    save_handler: Callable[..., Any] | BaseSaveHandler,
    evaluator: Engine,
    models: nn.Module | dict[str, nn.Module],
    metric_name: str,
    n_saved: int = 3,
    trainer: Engine | None = None,
    tag: str = "val",
    score_sign: float = 1.0,
    **kwargs: Any,
) -> Checkpoint:
    """Save the best models by a metric, whenever an evaluation is completed.

    Args:
        save_handler: what saves; see `Checkpoint`.
        evaluator: whose metric it is.
        models: a model, or several by name.
        metric_name: the metric; the larger, the better.
        n_saved: how many to keep.
        trainer: whose epoch is in the file names; by default the number of the evaluation.
        tag: the metric is called `{tag}_{metric_name}` in the file names.
        score_sign: -1.0 where smaller is better.
        kwargs: further arguments of `Checkpoint`.

    Returns:
        the `Checkpoint`, which is attached.
    """
    check_engine(evaluator, "evaluator")
    arguments: dict[str, Any] = {
        "filename_prefix": "best",
        "n_saved": n_saved,
        "score_function": Checkpoint.get_default_score_fn(metric_name, score_sign),
        "score_name": f"{tag}_{metric_name.lower()}",
        "global_step_transform": None if trainer is None else global_step_from_engine(trainer),
    }
    to_save = models if isinstance(models, Mapping) else {"model": models}
    checkpoint = Checkpoint(to_save, save_handler, **(arguments | kwargs))
    evaluator.add_event_handler(Events.COMPLETED, checkpoint)
    return checkpoint


def save_best_model_by_val_score(
    output_path: str,
    evaluator: Engine,
    model: nn.Module,
    metric_name: str,
    n_saved: int = 3,
    trainer: Engine | None = None,
    tag: str = "val",
    score_sign: float = 1.0,
    **kwargs: Any,
) -> Checkpoint:
    """Save the best models by a metric to a folder, whenever an evaluation is completed.

    Args:
        output_path: the folder, which may have checkpoints already.
        evaluator, model, metric_name, n_saved, trainer, tag, score_sign, kwargs: see
            `gen_save_best_models_by_val_score`.

    Returns:
        the `Checkpoint`, which is attached.
    """
    return gen_save_best_models_by_val_score(
        _disk_saver(output_path), evaluator, model, metric_name, n_saved, trainer, tag, score_sign, **kwargs
    )


def add_early_stopping_by_val_score(
    patience: int, evaluator: Engine, trainer: Engine, metric_name: str, score_sign: float = 1.0
) -> EarlyStopping:
    """End a training whose evaluations do not get better any more.

    Args:
        patience: how many evaluations to wait for a better one.
        evaluator: whose metric it is.
        trainer: whose run is ended.
        metric_name: the metric; the larger, the better.
        score_sign: -1.0 where smaller is better.

    Returns:
        the `EarlyStopping`, which is attached.
    """
    check_engine(evaluator, "evaluator")
    stopping = EarlyStopping(patience, Checkpoint.get_default_score_fn(metric_name, score_sign), trainer)
    evaluator.add_event_handler(Events.COMPLETED, stopping)
    return stopping
