"""ReduceLROnPlateauScheduler: make the learning rate smaller when a metric does not get better any more."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ignite_signals.engine.integers import integer
from ignite_signals.handlers.checks import brief, check_engine
from ignite_signals.handlers.param_scheduler.arguments import finite
from ignite_signals.handlers.param_scheduler.base import ParamScheduler, set_parameter
from ignite_signals.handlers.param_scheduler.stand_in import new_optimizer

if TYPE_CHECKING:
    from ignite_signals.engine import Engine

__all__ = ["ReduceLROnPlateauScheduler"]


class ReduceLROnPlateauScheduler(ParamScheduler):
    """Make the learning rate smaller when a metric has not improved for a while, by torch's `ReduceLROnPlateau`.

    Add it to the engine that computes the metric, usually to an evaluator at `Events.COMPLETED`. NaN counts as a value
    that is no improvement, and is never the best one. With `trainer` what the scheduler knows is saved with the
    trainer's state; without, list the scheduler among what is saved. Save the optimizer too, which has the rate.

    The trainer is not kept alive.

    Args:
        optimizer: one of torch's.
        metric_name: the metric's name in `engine.state.metrics`.
        trainer: the engine that is trained, whose state keeps the history; by default the engine of the metric.
        save_history: also append the rates to `trainer.state.param_history["lr"]`.
        param_group_index: the one group to set; all by default.
        scheduler_kwargs: what `torch.optim.lr_scheduler.ReduceLROnPlateau` takes but the optimizer: `mode`, `factor`,
            `patience`, `threshold`, `threshold_mode`, `cooldown`, `min_lr`, `eps`.

    Attributes:
        metric_name: as given.
        scheduler: torch's scheduler.

    Raises:
        TypeError: the name is no string, the trainer no engine, the optimizer none of torch's, or torch's scheduler has
            no such argument; or, when called, the metric is no number.
        ValueError: the optimizer lacks the group, or torch's scheduler refuses an argument; or, when called, the engine
            has no such metric.

    >>> import torch
    >>> from ignite_signals.engine import Engine, Events
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    >>> losses = iter([10, 5, 3, 4, 4, 4, 5, 1])
    >>> trainer = Engine(lambda engine, batch: evaluator.run([0]))
    >>> evaluator = Engine(lambda engine, batch: engine.state.metrics.update(loss=next(losses)))
    >>> scheduler = ReduceLROnPlateauScheduler(
    ...     optimizer, "loss", trainer, save_history=True, factor=0.5, patience=3, threshold=0.1
    ... )
    >>> handle = evaluator.add_event_handler(Events.COMPLETED, scheduler)
    >>> trainer.run([0] * 8).param_history["lr"]
    [[0.1], [0.1], [0.1], [0.1], [0.1], [0.1], [0.05], [0.05]]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        metric_name: str,
        trainer: Engine | None = None,
        save_history: bool = False,
        param_group_index: int | None = None,
        **scheduler_kwargs: Any,
    ) -> None:
        if not isinstance(metric_name, str) or not metric_name:
            raise TypeError(f"metric_name must be the name of a metric, got {brief(metric_name)}")
        super().__init__(optimizer, "lr", save_history, param_group_index)
        self.metric_name = metric_name
        _check_arguments(optimizer, scheduler_kwargs)
        self.scheduler = ReduceLROnPlateau(optimizer, **scheduler_kwargs)
        self._set_trainer(trainer)

    def _set_trainer(self, trainer: Engine | None) -> None:
        # Weak, since the trainer runs the evaluator that this handler belongs to, as a rule.
        self._trainer: Callable[[], Engine | None] = _nothing
        if trainer is not None:
            check_engine(trainer, "trainer")
            self._trainer = weakref.ref(trainer)
            self._know(trainer)
            trainer.register_stateful(self, weak=True)

    def _know(self, engine: Engine) -> None:
        super()._know(self.trainer or engine)

    @property
    def trainer(self) -> Engine | None:
        """The engine whose state keeps the history; None where none was given, or it is gone."""
        return self._trainer()

    def get_param(self) -> Any:
        """Return the rates as they are: the next ones are up to the metric."""
        rates = self._rates()
        return rates[0] if len(rates) == 1 else rates

    def __call__(self, engine: Engine, name: str | None = None) -> None:  # type: ignore[override]  # it has the metric
        """Look at the metric, and make the rate smaller if it has not improved for long enough.

        Args:
            engine: whose metric it is.
            name: under which name the history is kept, instead of "lr".
        """
        self._step(self._metric(engine))
        self.count += 1
        if self.save_history:
            self._remember(self.trainer or engine, name, self._rates())

    def _metric(self, engine: Engine) -> float:
        metrics = engine.state.metrics
        if self.metric_name not in metrics:
            known = ", ".join(map(repr, metrics)) or "none"
            raise ValueError(
                f"metric_name must be a metric of {engine!r}, got {self.metric_name!r}; there are {known}: attach the "
                "metric, and this scheduler to an event at which it is computed"
            )
        try:
            return float(metrics[self.metric_name])
        except (TypeError, ValueError, RuntimeError) as error:  # several elements, for example
            raise TypeError(
                f"state.metrics[{self.metric_name!r}] must be a number, got {brief(metrics[self.metric_name])}"
            ) from error

    def _step(self, metric: float) -> None:
        """Let torch's scheduler look at a metric; groups that are not to be set keep their rates."""
        chosen = {id(group) for group in self.optimizer_param_groups}
        others = [(group, _copied(group["lr"])) for group in self.optimizer.param_groups if id(group) not in chosen]
        self.scheduler.step(metric)
        for group, rate in others:
            set_parameter(group, "lr", rate)

    def _arguments(self) -> dict[str, Any]:
        return {"metric_name": self.metric_name} | super()._arguments()

    def _rates(self) -> list[Any]:
        return [_copied(group["lr"]) for group in self.optimizer_param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return how often it was called, and the state of torch's scheduler: the best metric, what it waits for."""
        return super().state_dict() | {"scheduler": self.scheduler.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on with the best metric, and the arguments of torch's scheduler, of that time; load the optimizer too.

        Raises:
            TypeError: it is no mapping, or torch's scheduler's state in it is none.
            ValueError: it has no state of such a scheduler; nothing was changed.
        """
        self._check_state(state_dict, "event_index", "scheduler")
        state = _checked(state_dict["scheduler"])
        super().load_state_dict(state_dict)
        # PyTorch-Ignite's state has a method among the values.
        self.scheduler.load_state_dict({key: value for key, value in state.items() if not callable(value)})

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_trainer": self.trainer}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._set_trainer(state["_trainer"])

    @classmethod
    def simulate_values(  # type: ignore[override]  # it depends on metrics, as PyTorch-Ignite's does
        cls, num_events: int, metric_values: Sequence[float], init_lr: float, **scheduler_kwargs: Any
    ) -> list[list[Any]]:
        """Return pairs of a count and the rate that each metric leads to, without a training.

        Args:
            num_events: how many; as many as there are metrics.
            metric_values: the metric at each event.
            init_lr: the rate before the first one.
            scheduler_kwargs: what the scheduler is made with, but the optimizer and the metric's name.

        Raises:
            ValueError: there are more or fewer metrics.

        >>> ReduceLROnPlateauScheduler.simulate_values(4, [1.0, 0.5, 0.7, 0.6], init_lr=1.0, factor=0.5, patience=1)
        [[0, 1.0], [1, 1.0], [2, 1.0], [3, 0.5]]
        """
        if len(metric_values) != integer("num_events", num_events):
            raise ValueError(f"metric_values must be num_events numbers, {num_events}, got {len(metric_values)}")
        index = scheduler_kwargs.get("param_group_index")
        scheduler = cls(new_optimizer("lr", index), **({"metric_name": "metric"} | scheduler_kwargs))
        for group in scheduler.optimizer.param_groups:
            group["lr"] = init_lr
        values = []
        for count, metric in enumerate(metric_values):
            scheduler._step(metric)
            values.append([count, *scheduler._rates()])
        return values


def _copied(rate: Any) -> Any:
    return rate.detach().clone() if isinstance(rate, Tensor) else rate


def _check_arguments(optimizer: Any, given: Mapping[str, Any]) -> None:
    """Refuse what torch's scheduler would, but by name and with the value."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be a torch.optim.Optimizer, got {brief(optimizer)}")
    if "factor" in given and finite("factor", given["factor"]) >= 1:
        raise ValueError(
            f"factor must be less than 1, got {brief(given['factor'])}: the rate is multiplied with it, to be smaller"
        )
    for name, known in (("mode", ("min", "max")), ("threshold_mode", ("rel", "abs"))):
        if given.get(name, known[0]) not in known:
            raise ValueError(f"{name} must be {known[0]!r} or {known[1]!r}, got {brief(given[name])}")
    least, groups = given.get("min_lr"), len(optimizer.param_groups)
    if isinstance(least, list | tuple) and len(least) != groups:
        raise ValueError(
            f"min_lr must be a number or have one for each of {groups} parameter groups, got {brief(least)}"
        )


def _checked(state: Any) -> Mapping[str, Any]:
    """Return the state of torch's scheduler, if it is one."""
    if not isinstance(state, Mapping):
        raise TypeError(f"state_dict['scheduler'] must be the state of a ReduceLROnPlateau, got {brief(state)}")
    if missing := [key for key in ("best", "num_bad_epochs") if key not in state]:
        raise ValueError(
            f"state_dict['scheduler'] must be of a ReduceLROnPlateau, got {list(state)} without "
            f"{', '.join(map(repr, missing))}"
        )
    return state


def _nothing() -> None:
    """Stand for a reference to what is gone."""
