"""FastaiLRFinder: try learning rates from small to large, and see at which one the loss falls fastest."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from numbers import Real
from typing import Any, Literal

import attrs
from torch import Tensor
from torch.optim import Optimizer

from ignite_signals.distributed import all_reduce, get_world_size
from ignite_signals.engine import Engine, Events, State
from ignite_signals.engine.callables import check_callable
from ignite_signals.engine.integers import integer
from ignite_signals.engine.limits import stack_level
from ignite_signals.extras import extra
from ignite_signals.handlers.checks import brief, check_engine
from ignite_signals.handlers.loading import check_objects
from ignite_signals.handlers.param_scheduler.base import set_parameter
from ignite_signals.handlers.param_scheduler.schedules import Ramp, exponential, linear
from ignite_signals.handlers.rate_curve import LEAST, RateCurve, draw, mark, one_or_all, rates_shown
from ignite_signals.handlers.trial_run import TrialRun, not_called, trial_run

__all__ = ["FastaiLRFinder"]

# Before other receivers of an event, and after them.
_FIRST, _LAST = 1000, -1000


def _itself(output: Any) -> Any:
    return output


class FastaiLRFinder:
    """Find a learning rate: raise it at each iteration of a trial run, and see where the loss falls fastest.

    What the trial changes is put back when the `with` block ends, whichever way: model, optimizer, whatever else is in
    `to_save` or attached to the trainer, the trainer and its state, the random numbers of Python, NumPy, torch and of
    the data. The training that follows is the one that would have been without a search. Data that is an iterator is
    used up, though.

    In the trial the trainer starts anew in a state of its own. Handlers that were added to its own events before the
    block are not called: they would write checkpoints of the trial, log it, stop it, or set other rates. Those of
    events that the step sends, such as BACKWARD_COMPLETED, belong to the step and are called, and so is what is added
    inside of the block, a progress bar for example. A `Preemption` of before catches no signal: Ctrl-C ends the trial
    with a KeyboardInterrupt, SIGTERM the process, and the checkpoints stay those of the training.

    >>> import torch
    >>> from ignite_signals.engine import create_supervised_trainer
    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(64, 10)
    >>> data = [(x, x.sum(dim=1, keepdim=True))] * 100
    >>> model = torch.nn.Linear(10, 1)
    >>> sgd = torch.optim.SGD(model.parameters(), lr=1e-4)
    >>> trainer = create_supervised_trainer(model, sgd, torch.nn.functional.mse_loss)
    >>> finder = FastaiLRFinder()
    >>> with finder.attach(trainer, to_save={"model": model, "optimizer": sgd}, end_lr=10.0) as searching:
    ...     state = searching.run(data)
    >>> 0.01 < finder.lr_suggestion() < 1
    True
    >>> sgd.param_groups[0]["lr"], trainer.state.iteration
    (0.0001, 0)
    >>> finder.apply_suggested_lr(sgd)

    Sources: L. N. Smith, Cyclical Learning Rates for Training Neural Networks, 2017,
    https://arxiv.org/abs/1506.01186; the smoothing and the divergence are those of fastai, https://docs.fast.ai.
    """

    def __init__(self) -> None:
        self._curve: RateCurve | None = None
        self._is_attached = False

    def attach(
        self,
        trainer: Engine,
        to_save: Mapping[str, Any],
        output_transform: Callable[[Any], Any] = _itself,
        num_iter: int | None = None,
        start_lr: float | Sequence[float] | None = None,
        end_lr: float | Sequence[float] = 10.0,
        step_mode: Literal["exp", "linear"] = "exp",
        smooth_f: float = 0.05,
        diverge_th: float = 5.0,
        *,
        with_handlers: bool = False,
    ) -> AbstractContextManager[Engine]:
        """Make the trainer's next run a trial, for as long as a `with` block lasts.

        The first iteration has the rate `start_lr`, the last one `end_lr`. The trial ends early when the loss diverges.

        Args:
            trainer: whose step trains the model; the block gives it back.
            to_save: by name, what the step changes: `"optimizer"`, the model, a scheduler or scaler that the step
                calls. Each has `state_dict` and `load_state_dict`.
            output_transform: returns the loss of `engine.state.output`, a number or a tensor of one element.
            num_iter: how many iterations to try; as many as the run has by default. Where an epoch has fewer, the data
                is gone through again.
            start_lr: the first rate, or one for each parameter group; by default those of the optimizer.
            end_lr: the last rate, or one for each parameter group.
            step_mode: `"exp"` to multiply the rate by the same factor at each iteration, `"linear"` to add the same.
            smooth_f: what a new loss counts in the smoothed one, which is `smooth_f * loss + (1 - smooth_f) * last`;
                0 not to smooth.
            diverge_th: end when the loss exceeds this many times the best one, or lies as far above where that is
                negative; infinity to end only at a loss that is not finite.
            with_handlers: also call the handlers that were added to the trainer's own events before, and let a
                `Preemption`, loggers and profilers take part. What they write, measure or tell others stays; those
                with a state have it put back.

        Returns:
            a context manager whose value is the trainer.

        Raises:
            TypeError: an argument is of a wrong kind; or in the run, the loss.
            ValueError: one has a wrong value; or in the run, the data is not enough.
            RuntimeError: the trainer is running, or this finder attached already.
        """
        self._check_not_attached()
        check_engine(trainer, "trainer")
        _check_mapping(to_save)
        check_objects("to_save", to_save, "state_dict")
        check_objects("to_save", to_save, "load_state_dict")
        check_callable("output_transform", output_transform)
        optimizer = _optimizer(to_save)
        trial = _Trial(
            optimizer=optimizer,
            output_transform=output_transform,
            num_iter=None if num_iter is None else integer("num_iter", num_iter, LEAST),
            bounds=_bounds(optimizer, start_lr, end_lr, _one_of("step_mode", step_mode, "exp", "linear")),
            shape=step_mode,
            smooth_f=_number("smooth_f", smooth_f, "in [0, 1)", lambda value: 0 <= value < 1),
            diverge_th=_number("diverge_th", diverge_th, "of at least 1", lambda value: value >= 1),
        )
        return self._attached(trainer, trial, list(to_save.values()), with_handlers)

    @contextmanager
    def _attached(self, trainer: Engine, trial: _Trial, to_save: list[Any], with_handlers: bool) -> Iterator[Engine]:
        self._check_not_attached()
        with trial_run(trainer, to_save, with_handlers) as run, ExitStack() as stack:
            self._is_attached = True
            stack.callback(self._detach)
            trial.run, trial.keep = run, self._keep
            trial.listen(trainer, stack)
            yield trainer

    def _check_not_attached(self) -> None:
        if self._is_attached:
            raise RuntimeError(f"{self!r} is attached already: make another FastaiLRFinder for another trainer")

    def _detach(self) -> None:
        self._is_attached = False

    def _keep(self, curve: RateCurve) -> None:
        self._curve = curve

    def get_results(self) -> dict[str, list[Any]]:
        """Return the rates of the last trial, "lr", and the smoothed losses, "loss".

        A rate is a number, or a list of one for each parameter group where there are several. Before there was a
        trial, the dict is empty. All numbers are finite.
        """
        if self._curve is None:
            return {}
        return {"lr": [one_or_all(rates) for rates in self._curve.rates], "loss": list(self._curve.losses)}

    def lr_suggestion(self) -> Any:
        """Return the rate at which the smoothed loss fell fastest, before its minimum.

        Returns:
            a number, or a list of one for each parameter group where there are several.

        Raises:
            RuntimeError: there was no trial, or its losses did not fall for three iterations or more.
        """
        curve = self._tried()
        return one_or_all(curve.rates[curve.steepest()])

    def apply_suggested_lr(self, optimizer: Optimizer) -> None:
        """Set the suggested rate, or the suggested rates of its parameter groups, on an optimizer.

        Args:
            optimizer: with as many parameter groups as that of the trial.

        Raises:
            RuntimeError: there is no suggestion, or the number of groups is another one.
        """
        curve = self._tried()
        rates = curve.rates[curve.steepest()]
        if len(rates) != len(optimizer.param_groups):
            raise RuntimeError(
                f"optimizer must have {len(rates)} parameter groups, as in the trial, got {len(optimizer.param_groups)}"
            )
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            set_parameter(group, "lr", rate)

    def plot(
        self,
        skip_start: int = 10,
        skip_end: int = 5,
        log_lr: bool = True,
        display_suggestion: bool = True,
        ax: Any | None = None,
        **kwargs: Any,
    ) -> Any:
        """Plot the smoothed loss over the rate, with matplotlib.

        Args:
            skip_start: how many of the first iterations to leave out.
            skip_end: how many of the last ones.
            log_lr: whether the axis of the rate is logarithmic.
            display_suggestion: whether to mark the suggested rate. Where there is none, a warning says why.
            ax: the axes to draw on; by default those of a new figure, which is shown where there is a window.
            kwargs: passed on to `matplotlib.pyplot.subplots`, which makes the new figure.

        Returns:
            the axes.

        Raises:
            ModuleNotFoundError: matplotlib is not installed.
            RuntimeError: there was no trial.
            ValueError: nothing is left to be drawn.
        """
        pyplot = extra("matplotlib.pyplot", "plots", "FastaiLRFinder.plot")
        curve = self._tried()
        shown = curve.between(integer("skip_start", skip_start, 0), integer("skip_end", skip_end, 0))
        axes = pyplot.subplots(**kwargs)[1] if ax is None else ax
        colors = draw(axes, curve, shown)
        if display_suggestion:
            mark(axes, curve, shown, colors)
        if log_lr:
            axes.set_xscale("log")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("smoothed loss")
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
        if ax is None and axes.figure.canvas.required_interactive_framework:
            pyplot.show()
        return axes

    def _tried(self) -> RateCurve:
        if self._curve is None:
            raise RuntimeError(f"{self!r} has no results: run the trainer inside of `with finder.attach(...)` first")
        return self._curve

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'no trial' if self._curve is None else self._curve})"

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_is_attached": False}


@attrs.define(eq=False)
class _Trial:
    """Raise the rate at each iteration of a run, and keep account of the loss."""

    optimizer: Optimizer
    output_transform: Callable[[Any], Any]
    num_iter: int | None
    bounds: list[tuple[float, float]]
    shape: str
    smooth_f: float
    diverge_th: float
    run: TrialRun = attrs.field(init=False)
    # Takes the curve when the trial begins.
    keep: Callable[[RateCurve], None] = attrs.field(default=_itself, init=False)
    curve: RateCurve | None = attrs.field(default=None, init=False)
    ramps: list[Ramp] = attrs.field(factory=list, init=False)
    best: float = attrs.field(default=math.inf, init=False)

    def listen(self, trainer: Engine, stack: ExitStack) -> None:
        """Hear a trainer's events until the stack is closed."""
        for event, receiver, priority in (
            (Events.STARTED, self.start, _FIRST),
            (Events.ITERATION_STARTED, self.set_rates, _LAST),  # whatever rate others have set
            (Events.ITERATION_COMPLETED, self.take_loss, _FIRST),
            (Events.COMPLETED, self.conclude, _FIRST),
        ):
            stack.enter_context(trainer.signal(event).connected_to(receiver, priority=priority))

    def start(self, trainer: Engine) -> None:
        if self.curve is not None:
            raise RuntimeError("a trial is one run, and it is over: attach the finder again for another one")
        self.curve = RateCurve(left_out=self.run.left_out)
        self.keep(self.curve)
        iterations = self._planned(trainer.state)
        self.ramps = [Ramp(start, end, iterations - 1, self._shape(start, end)) for start, end in self.bounds]
        # As run(max_iters=...) does: the limits exclude each other.
        trainer.state.max_epochs, trainer.state.max_iters = None, iterations
        self.run.take(trainer.state.dataloader)
        trainer.logger.debug("%r tries %d rates", trainer, iterations)

    def _shape(self, start: float, end: float) -> Callable[[float], float]:
        return exponential(start, end) if self.shape == "exp" else linear

    def _planned(self, state: State) -> int:
        """Return how many iterations the trial has."""
        if self.num_iter is not None:
            return self.num_iter
        iterations = state.max_iters
        if iterations is None and state.epoch_length is not None:
            iterations = state.epoch_length * (state.max_epochs or 1)
        if iterations is None:
            raise ValueError("num_iter must be given where the data does not tell its length, got None")
        if iterations < LEAST:
            raise ValueError(
                f"num_iter must be at least {LEAST}, got None and a run of {iterations} iterations: give num_iter, or "
                "run more data or epochs"
            )
        return iterations

    def set_rates(self, trainer: Engine) -> None:
        for group, rate in zip(self.optimizer.param_groups, self._rates(), strict=True):
            set_parameter(group, "lr", rate)

    def _rates(self) -> list[float]:
        return [ramp(len(self.losses)) for ramp in self.ramps]

    @property
    def losses(self) -> list[float]:
        return [] if self.curve is None else self.curve.losses

    def take_loss(self, trainer: Engine) -> None:
        assert self.curve is not None
        # The same on all processes, which then end together.
        loss = all_reduce(_loss(self.output_transform(trainer.state.output))) / get_world_size()
        if self.losses and self.smooth_f:
            loss = self.smooth_f * loss + (1 - self.smooth_f) * self.losses[-1]
        if math.isfinite(loss):
            self.curve.rates.append(self._rates())  # which go by the number of losses
            self.curve.losses.append(loss)
            self.best = min(self.best, loss)
        if not math.isfinite(loss) or loss > self._bound(self.best):
            self.curve.diverged = True
            trainer.terminate(by="FastaiLRFinder")

    def _bound(self, best: float) -> float:
        """Return beyond what the loss has diverged: where the best is negative, as far above it as a positive one."""
        return self.diverge_th * best if best >= 0 else best + (self.diverge_th - 1) * -best

    def conclude(self, trainer: Engine) -> None:
        assert self.curve is not None
        curve, done, planned = self.curve, len(self.losses), self.ramps[0].length + 1
        if trainer.state.stop_reason == "exhausted" and done < planned:
            raise ValueError(
                f"num_iter must be at most what the data gives, got {planned} and data that ended after {done}: give "
                "data that can be iterated again, as a list or a DataLoader can, or a smaller num_iter"
            )
        how = "diverged" if curve.diverged else "did not diverge"
        suggested = f"{curve.suggested()}{curve.hint}"
        trainer.logger.info("%r tried %s, the loss %s; suggested: %s", trainer, curve, how, suggested)
        if done and curve.left_out and not self._has_trained():
            _warn(
                "no parameter of the optimizer was changed, so that the losses tell nothing of the rates: "
                f"{not_called(curve.left_out)}"
            )
        elif done == planned and not curve.diverged and math.isfinite(self.diverge_th):
            _warn(
                f"the loss did not diverge up to the last rate, {rates_shown(curve.rates[-1])}, so that better ones "
                f"may lie beyond: look at plot(), and give attach a larger end_lr or a smaller diverge_th{curve.hint}"
            )

    def _has_trained(self) -> bool:
        return self.run.before.has_changed(each for group in self.optimizer.param_groups for each in group["params"])


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=stack_level())


def _loss(output: Any) -> float:
    """Return the loss of an iteration as a number."""
    if isinstance(output, Tensor):
        if output.numel() != 1:
            raise ValueError(f"{_MUST_RETURN}, got a tensor of shape {tuple(output.shape)}")
        output = output.item()
    if not isinstance(output, Real):
        raise TypeError(f"{_MUST_RETURN}, got {brief(output)}")
    return float(output)


_MUST_RETURN = "output_transform must return the loss, a number or a tensor of one element"


# Arguments.


_SUCH_AS = "as {'optimizer': optimizer, 'model': model}"


def _check_mapping(to_save: object) -> None:
    if not isinstance(to_save, Mapping):
        raise TypeError(f"to_save must map names to objects, {_SUCH_AS} does, got {brief(to_save)}")


def _optimizer(to_save: Mapping[str, Any]) -> Optimizer:
    if "optimizer" not in to_save:
        raise ValueError(f"to_save must have the key 'optimizer', {_SUCH_AS} has, got {brief(list(to_save))}")
    optimizer = to_save["optimizer"]
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"to_save['optimizer'] must be a torch.optim.Optimizer, got {brief(optimizer)}")
    return optimizer


def _bounds(optimizer: Optimizer, start_lr: Any, end_lr: Any, step_mode: str) -> list[tuple[float, float]]:
    """Return the first and the last rate of each parameter group."""
    groups = optimizer.param_groups
    if start_lr is None:
        start_lr = [float(group["lr"]) for group in groups]
    bounds = list(zip(_per_group("start_lr", start_lr, groups), _per_group("end_lr", end_lr, groups), strict=True))
    for start, end in bounds:
        if start == 0 and step_mode == "exp":
            raise ValueError(
                "start_lr must be positive with step_mode='exp', which multiplies it, got 0: the optimizer's by default"
            )
        if start >= end:
            raise ValueError(f"start_lr must be less than end_lr, got start_lr={start} and end_lr={end}")
    return bounds


def _per_group(argument: str, rates: Any, groups: list[Any]) -> list[float]:
    given = list(rates) if isinstance(rates, list | tuple) else [rates] * len(groups)
    for rate in given:
        if not _is_number(rate):
            raise TypeError(
                f"{argument} must be a number, or a list of one for each parameter group, got {brief(rates)}"
            )
        if not 0 <= rate < math.inf:
            raise ValueError(f"{argument} must be finite and not negative, got {rates!r}")
    if len(given) != len(groups):
        raise ValueError(f"{argument} must have a rate for each of {len(groups)} parameter groups, got {rates!r}")
    return [float(rate) for rate in given]


def _number(argument: str, value: Any, what: str, is_valid: Callable[[Any], bool]) -> float:
    if not _is_number(value) or not is_valid(value):
        raise ValueError(f"{argument} must be a number {what}, got {brief(value)}")
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _one_of(argument: str, value: Any, *choices: str) -> str:
    if value not in choices:
        raise ValueError(f"{argument} must be {' or '.join(map(repr, choices))}, got {value!r}")
    return str(value)
