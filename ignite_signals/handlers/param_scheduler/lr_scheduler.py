"""LRScheduler: use a learning rate scheduler of torch as a handler."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ignite_signals.engine.integers import integer
from ignite_signals.handlers.checks import brief
from ignite_signals.handlers.param_scheduler.base import ParamScheduler, called, set_parameter
from ignite_signals.handlers.param_scheduler.rehearsal import copies

if TYPE_CHECKING:
    from ignite_signals.engine import Engine

__all__ = ["LRScheduler"]

TorchScheduler = torch.optim.lr_scheduler.LRScheduler


class LRScheduler(ParamScheduler):
    """Let a scheduler of `torch.optim.lr_scheduler` make its steps at an event.

    The rates, and the momenta where it moves these, are those of torch's own loop, `optimizer.step();
    scheduler.step()`. At `ITERATION_STARTED` the first iteration has the optimizer's rate, and each later one begins
    with a step of the scheduler. As in torch's loop, a rate that is set by hand is what it goes on from, and several
    schedulers of one optimizer act upon each other's rates. Save the optimizer too: most of torch's schedulers make the
    next rate of the one that it has.

    Args:
        lr_scheduler: one of torch's. `ReduceLROnPlateau` needs a metric: use
            `ReduceLROnPlateauScheduler`.
        save_history: also append the rates to `engine.state.param_history["lr"]`.
        use_legacy: make a step at the first call already. Attach it to `ITERATION_COMPLETED` then, or the optimizer's
            first rate is left out.

    Attributes:
        lr_scheduler: as given.
        optimizer: that of the scheduler.
        use_legacy: as given.
        warns_of_order: whether torch may warn that a step came before the optimizer's; by default with `use_legacy`.

    Raises:
        TypeError: `lr_scheduler` is no such scheduler.

    >>> import torch
    >>> from ignite_signals.engine import Engine, Events
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    >>> scheduler = LRScheduler(torch.optim.lr_scheduler.StepLR(optimizer, step_size=3), save_history=True)
    >>> trainer = Engine(lambda engine, batch: optimizer.step())
    >>> handle = trainer.add_event_handler(Events.ITERATION_STARTED, scheduler)
    >>> [f"{rate:.3f}" for [rate] in trainer.run([0] * 8).param_history["lr"]]
    ['0.100', '0.100', '0.100', '0.010', '0.010', '0.010', '0.001', '0.001']
    """

    def __init__(self, lr_scheduler: TorchScheduler, save_history: bool = False, use_legacy: bool = False) -> None:
        check_torch_scheduler(lr_scheduler)
        super().__init__(lr_scheduler.optimizer, "lr", save_history)
        self.lr_scheduler = lr_scheduler
        self.use_legacy = self.warns_of_order = use_legacy
        # How many steps it has made, and where it was before the first one.
        self._steps = 0
        self._start = _Place.of(lr_scheduler)

    def get_param(self) -> Any:
        """Return the rates that the next call sets; neither the scheduler nor the optimizer moves."""
        [ahead] = copies([self.lr_scheduler])
        self._reach(ahead, anew=False)
        return _value(_rates(ahead))

    def value_at(self, count: int) -> Any:
        """Let the scheduler stand at a count, whatever others have set before it began, and return its rates.

        For schedulers that begin in the midst of a training, behind a warm-up for example.
        """
        self.event_index = count
        self._steps = self._reach(self.lr_scheduler, anew=not self._steps)
        return _value(_rates(self.lr_scheduler))

    def _move(self, engine: Engine | None) -> None:
        self._steps = self._reach(self.lr_scheduler, anew=False)
        self.count += 1

    def _kept(self, value: Any) -> list[Any]:
        return _rates(self.lr_scheduler)

    def _reach(self, scheduler: TorchScheduler, anew: bool) -> int:
        """Make the steps that lead to `event_index`, from the start if it lies behind, and return how many it takes."""
        made, needed = self._steps, self.event_index + self.use_legacy
        if anew or needed < made:
            self._start.take(scheduler)
            made = 0
        for _ in range(needed - made):
            self._step(scheduler)
        return needed

    def _step(self, scheduler: TorchScheduler) -> None:
        # Only with `use_legacy` is the order of steps the user's matter: else the first rate has been used.
        if not _looks_at_order(scheduler) or (self.warns_of_order and hasattr(scheduler.optimizer.step, _WRAPPED)):
            scheduler.step()
        else:
            _step_without_warning(scheduler)

    def state_dict(self) -> dict[str, Any]:
        """Return where the schedule is, and the state of torch's scheduler; without that of the optimizer."""
        return super().state_dict() | {"steps": self._steps, "lr_scheduler": _own(self.lr_scheduler.state_dict())}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where a schedule was; load the optimizer's state too.

        A state that PyTorch-Ignite has saved is taken, too.

        Raises:
            TypeError: it is no mapping, or torch's scheduler's state in it is none.
            ValueError: it does not say where the schedule was, or is of another kind of scheduler; nothing was changed.
        """
        self._check_state(state_dict, "event_index", "lr_scheduler")
        steps, state = _checked(state_dict, self.lr_scheduler, self.use_legacy)
        self.lr_scheduler.load_state_dict(state)
        super().load_state_dict(state_dict)
        self._steps = steps

    @classmethod
    def simulate_values(  # type: ignore[override]  # it is made with a scheduler, as PyTorch-Ignite's is
        cls, num_events: int, lr_scheduler: TorchScheduler, **scheduler_kwargs: Any
    ) -> list[list[Any]]:
        """Return lists of a count and the rate of each group at it, `num_events` of them, without a training.

        The scheduler and its optimizer stay as they are.

        Args:
            num_events: how many.
            lr_scheduler: one of torch's.
            scheduler_kwargs: what else the handler is made with.

        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> LRScheduler.simulate_values(4, torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5))
        [[0, 1.0], [1, 0.5], [2, 0.25], [3, 0.125]]
        """
        integer("num_events", num_events)
        check_torch_scheduler(lr_scheduler)
        [copied] = copies([lr_scheduler])
        scheduler = cls(copied, **scheduler_kwargs)
        return [[count, *called(scheduler)] for count in range(num_events)]


def check_torch_scheduler(scheduler: object, argument: str = "lr_scheduler") -> None:
    """Refuse what is no scheduler of torch that makes its steps by itself.

    Raises:
        TypeError: it is none.
    """
    if isinstance(scheduler, ReduceLROnPlateau):
        raise TypeError(
            f"{argument} must be a scheduler that needs no metric, got a ReduceLROnPlateau; use "
            "ReduceLROnPlateauScheduler, which takes its arguments"
        )
    if not isinstance(scheduler, TorchScheduler):
        raise TypeError(f"{argument} must be a scheduler of torch.optim.lr_scheduler, got {brief(scheduler)}")


@attrs.frozen
class _Place:
    """Where a scheduler is: its state, and what it has set in each group of its optimizer."""

    state: dict[str, Any]
    groups: list[dict[str, Any]]

    @classmethod
    def of(cls, scheduler: TorchScheduler) -> _Place:
        moved = ("lr", "momentum", "betas") if _moves_momentum(scheduler) else ("lr",)
        groups = [{key: group[key] for key in moved if key in group} for group in scheduler.optimizer.param_groups]
        return cls(_without_functions(_own(scheduler.state_dict())), _own(groups))

    def take(self, scheduler: TorchScheduler) -> None:
        """Let a scheduler be there."""
        scheduler.load_state_dict(_own(self.state))
        for group, values in zip(scheduler.optimizer.param_groups, self.groups, strict=True):
            for name, value in values.items():
                set_parameter(group, name, value)


def _without_functions(state: dict[str, Any]) -> dict[str, Any]:
    """Leave out the attributes of objects that are called for a rate, which torch would set back: a whole program's."""
    for name in ("lr_lambdas", "_scale_fn_custom"):
        if name in state:
            state[name] = [None] * len(state[name]) if isinstance(state[name], list) else None
    for part in state.get("_schedulers", ()):
        _without_functions(part)
    return state


def _moves_momentum(scheduler: Any) -> bool:
    parts = getattr(scheduler, "_schedulers", ())
    return getattr(scheduler, "cycle_momentum", False) or any(map(_moves_momentum, parts))


def _own(value: Any) -> Any:
    """Copy the containers and tensors of a state, which change with its owner; what else it has may be large."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        copied = copy.copy(value)
        for key, each in value.items():
            copied[key] = _own(each)  # not `update`, by which a Counter adds
        return copied
    return type(value)(map(_own, value)) if type(value) in (list, tuple) else value


def _rates(scheduler: TorchScheduler) -> list[Any]:
    return [_own(group["lr"]) for group in scheduler.optimizer.param_groups]


def _value(rates: list[Any]) -> Any:
    return rates[0] if len(rates) == 1 else rates


# By these two, torch's schedulers tell at their first step whether the optimizer has made one before.
_WRAPPED, _STEPPED = "_wrapped_by_lr_sched", "_opt_called"


def _step_as_wrapped() -> None:
    """Stand for the step of an optimizer that a scheduler of torch looks at."""


setattr(_step_as_wrapped, _WRAPPED, True)


def _looks_at_order(scheduler: Any) -> bool:
    """Tell whether the next step may warn: a scheduler's first step alone does, but others may be in it."""
    return getattr(scheduler, "_step_count", 1) == 1 or hasattr(scheduler, "_schedulers")


def _step_without_warning(scheduler: TorchScheduler) -> None:
    """Let torch's scheduler find that its optimizer has made a step, and leave that as it was.

    It would warn of a wrong order where the first steps gave no gradients, where an accumulation or a GradScaler left
    them out, or where the optimizer is a copy, though the order is right.
    """
    marks = vars(scheduler.optimizer)
    before = {name: marks[name] for name in ("step", _STEPPED) if name in marks}
    marks.update({"step": _step_as_wrapped, _STEPPED: True})
    try:
        scheduler.step()
    finally:
        del marks["step"], marks[_STEPPED]
        marks.update(before)


def _checked(saved: Mapping[str, Any], scheduler: TorchScheduler, use_legacy: bool) -> tuple[int, dict[str, Any]]:
    """Return how many steps were made and the state of torch's scheduler, of a state that has both."""
    count = integer("state_dict['event_index']", saved["event_index"], least=0)
    _check_kind("state_dict['lr_scheduler']", saved["lr_scheduler"], scheduler)
    state = _own(dict(saved["lr_scheduler"]))
    if "steps" in saved:
        return integer("state_dict['steps']", saved["steps"], least=0), state
    return _from_ignite(count, state, use_legacy)


def _check_kind(where: str, state: Any, scheduler: Any) -> None:
    """Refuse the state of another kind of scheduler, or of one that is made of others."""
    if not isinstance(state, Mapping):
        raise TypeError(f"{where} must be the state of a scheduler, got {brief(state)}")
    own, kind = scheduler.state_dict(), type(scheduler).__name__
    missing, surplus = _public(own.keys() - state.keys()), _public(state.keys() - own.keys())
    if missing and surplus:  # either alone may come of another version of torch
        shown = ", ".join(map(repr, surplus)), ", ".join(map(repr, missing))
        raise ValueError(f"{where} must be of a {kind}, got {shown[0]} and no {shown[1]}")
    parts, states = getattr(scheduler, "_schedulers", ()), state.get("_schedulers", ())
    if len(parts) != len(states):
        raise ValueError(f"{where} must be of a {kind} of {len(parts)} schedulers, got one of {len(states)}")
    for index, (part, its_state) in enumerate(zip(parts, states, strict=True)):
        _check_kind(f"{where}['_schedulers'][{index}]", its_state, part)


def _public(names: set[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith("_"))


def _from_ignite(count: int, state: dict[str, Any], use_legacy: bool) -> tuple[int, dict[str, Any]]:
    """Return the same of PyTorch-Ignite's state, where the scheduler is a step ahead of the optimizer."""
    steps = count - 1 + use_legacy
    if steps < 0:
        return 0, state
    return steps, state | {"last_epoch": state["last_epoch"] - 1}
