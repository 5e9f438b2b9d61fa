"""EMAHandler: keep a smoothed copy of a model while it is trained."""

from __future__ import annotations

import copy
import math
import warnings
import weakref
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from ignite_signals.engine import Events
from ignite_signals.engine.integers import integer
from ignite_signals.handlers.checks import brief, check_engine, check_name
from ignite_signals.handlers.param_scheduler.schedules import Ramp

if TYPE_CHECKING:
    from ignite_signals.engine import Engine
    from ignite_signals.engine.events import Event, EventsList, FilteredEvent
    from ignite_signals.engine.signals import RemovableEventHandle

    Listenable: TypeAlias = Event | FilteredEvent | EventsList

__all__ = ["EMAHandler"]

BufferHandling: TypeAlias = Literal["copy", "update", "ema_train"]
_KEYS = ("ema_model", "momentum", "updates")
_NAME = "ema_momentum"


class EMAHandler:
    """Average a model's weights exponentially, at each event that it is attached to.

    The average of the weights of many steps generalises better than those of the last step:
    `ema = (1 - momentum) * ema + momentum * model`. The model, its gradients and the random numbers are left as they
    are, and the device is not waited for. Weights of less than 32 bits have an average of 32 bits beside them, of
    which `ema_model` holds the rounded values, because a small momentum would be lost in the rounding.

    Args:
        model: the model that is trained. Of a `DistributedDataParallel` its module is averaged; of a `DataParallel`
            too, and `ema_model` is a `DataParallel` then.
        momentum: the weight of the model in each update, in `(0, 1)`.
        momentum_warmup: the weight of the model in the first update, in `[0, 1]`; it moves linearly to `momentum`,
            which the update number `warmup_iters` has.
        warmup_iters: how many updates that takes.
        handle_buffers: "copy" gives `ema_model` the buffers of the model; "update" averages them (and copies those
            that are no floating-point numbers, such as BatchNorm's number of batches); "ema_train" leaves them to
            `ema_model`, which is in training mode then and has to be called with data of its own.

    Attributes:
        ema_model: the average, a copy that needs no gradients, in evaluation mode unless `handle_buffers` is
            "ema_train".
        model: the model that is averaged.
        momentum: the weight of the model after the warm-up.
        handle_buffers: as given.
        updates: how many updates were made.
        state_name: the name of the attachment, where it is not the default one; or None. It tells the state from that
            of another handler of the engine.

    Raises:
        TypeError: the model is no `nn.Module`.
        ValueError: a number is none or out of range, the warm-up is given by half, or `handle_buffers` is unknown.

    >>> import torch
    >>> from ignite_signals.engine import Engine
    >>> model = torch.nn.PReLU(init=0.0)
    >>> ema = EMAHandler(model, momentum=0.5)
    >>> trainer = Engine(lambda engine, batch: torch.nn.init.constant_(model.weight, batch))
    >>> handle = ema.attach(trainer)
    >>> state = trainer.run([4.0, 8.0])
    >>> ema.ema_model.weight.item(), model.weight.item(), state.ema_momentum
    (5.0, 8.0, 0.5)

    Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992; for networks, with
    `1 - momentum` as the decay, Tarvainen and Valpola, "Mean teachers are better role models", 2017.
    """

    def __init__(
        self,
        model: nn.Module,
        momentum: float = 0.0002,
        momentum_warmup: float | None = None,
        warmup_iters: int | None = None,
        handle_buffers: BufferHandling = "copy",
    ) -> None:
        _check(model, momentum_warmup, warmup_iters, handle_buffers)
        self.momentum = _share("momentum", momentum, ends=False)
        self.momentum_warmup = None if momentum_warmup is None else _share("momentum_warmup", momentum_warmup)
        self.warmup_iters = None if warmup_iters is None else integer("warmup_iters", warmup_iters)
        self.handle_buffers: BufferHandling = handle_buffers
        self.model = model.module if isinstance(model, DistributedDataParallel) else model
        self.ema_model: nn.Module = copy.deepcopy(self.model)
        self.ema_model.requires_grad_(False).train(handle_buffers == "ema_train")
        self.updates = 0
        self.state_name: str | None = None
        # The momentum of the last update; and whether it was loaded, for the states of engines that are not known.
        self._last_momentum = self.momentum if self.momentum_warmup is None else self.momentum_warmup
        self._momentum_was_loaded = False
        # The engines to whose states a loaded momentum is given, and under which name.
        self._engines: weakref.WeakKeyDictionary[Engine, str] = weakref.WeakKeyDictionary()
        self._precise = _Precise()

    def attach(
        self,
        engine: Engine,
        name: str = _NAME,
        warn_if_exists: bool = True,
        event: Listenable = Events.ITERATION_COMPLETED,
    ) -> RemovableEventHandle:
        """Update the average at each occurrence of an event of an engine.

        `engine.state` gets the momentum as an attribute, and again when a state is loaded. Without a warm-up the
        attribute is what an update goes by, so it can be set by hand or by a schedule.

        Args:
            engine: the trainer.
            name: the attribute's name; each handler of an engine needs its own. It becomes `state_name`, unless it is
                the default.
            warn_if_exists: warn if the state has such an attribute, which is kept as it is.
            event: when to update.

        Returns:
            a handle that ends it.

        Raises:
            TypeError: `engine` is no engine.
            ValueError: `name` is no identifier, or that of a field or a count of the state.
        """
        check_engine(engine)
        check_name(name, engine)
        if not hasattr(engine.state, name):
            setattr(engine.state, name, self._last_momentum)
        elif warn_if_exists:
            warnings.warn(
                f"engine.state has {name!r} already, from a state that was loaded or from another handler; choose "
                "another name, or give warn_if_exists=False",
                stacklevel=2,
            )
        handle = engine.add_event_handler(event, self._update, name=name)
        self._engines[engine] = name
        if name != _NAME:
            self.state_name = name
        return handle

    def _update(self, engine: Engine, name: str) -> None:
        """Make the average one step newer."""
        momentum = self._next_momentum(engine, name)
        self._average(momentum)
        self._last_momentum, self._momentum_was_loaded = momentum, False
        self.updates += 1

    def _next_momentum(self, engine: Engine, name: str) -> float:
        """Return the momentum of the update that comes now, and let the state say so."""
        state, is_known = engine.state, engine in self._engines
        self._engines[engine] = name  # a copy of an engine is known from here on
        if self.momentum_warmup is not None and self.warmup_iters is not None:
            momentum = _warmed_up(self.updates, self.momentum_warmup, self.momentum, self.warmup_iters)
        elif not hasattr(state, name) or (self._momentum_was_loaded and not is_known):
            momentum = self._last_momentum
        else:
            return _number(f"engine.state.{name}", getattr(state, name))
        setattr(state, name, momentum)
        return momentum

    @torch.no_grad()
    def _average(self, momentum: float) -> None:
        """Bring the parameters and buffers of the average up to date."""
        averaged, copied = self._pairs()
        _lerp([pair for pair in averaged if not _is_short(pair[1])], momentum)
        self._precise.update([pair for pair in averaged if _is_short(pair[1])], momentum)
        _copy(copied)

    def _pairs(self) -> tuple[list[_Pair], list[_Pair]]:
        """Return which tensors to average and which to copy: names, tensors of the average, tensors of the model.

        They are looked up each time, because both models may be moved, cast or loaded at any time.
        """
        model, ema = _module(self.model), _module(self.ema_model)
        pairs = list(_paired(ema.named_parameters(), model.named_parameters()))
        buffers: list[_Pair] = []
        if self.handle_buffers != "ema_train":
            buffers = list(_paired(ema.named_buffers(), model.named_buffers()))
        if self.handle_buffers == "update":
            pairs, buffers = pairs + buffers, []
        averaged = [pair for pair in pairs if _is_averageable(pair[1])]
        return averaged, buffers + [pair for pair in pairs if not _is_averageable(pair[1])]

    def state_dict(self) -> dict[str, Any]:
        """Return the average, the momentum of the last update and the number of updates.

        The tensors are those of `ema_model`, as in its own state dict: copy them to keep them.
        """
        saved = {"ema_model": _module(self.ema_model).state_dict(), "momentum": self._last_momentum}
        precise = self._precise.up_to_date(self._tensors())
        return saved | {"updates": self.updates} | ({"precise": precise} if precise else {})

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up an average that was saved; the next update goes on from it, with the momentum and its warm-up.

        Raises:
            TypeError: it is not a mapping.
            ValueError: it is not of such a handler, or of a model with other tensors; nothing was changed.
        """
        self._check_saved(state_dict)
        _module(self.ema_model).load_state_dict(state_dict["ema_model"])
        self._precise = _Precise(state_dict.get("precise", {}), self._tensors())
        self.updates = int(state_dict["updates"])
        self._last_momentum, self._momentum_was_loaded = float(state_dict["momentum"]), True
        for engine, name in self._engines.items():
            setattr(engine.state, name, self._last_momentum)

    def _check_saved(self, saved: Mapping[str, Any]) -> None:
        if not isinstance(saved, Mapping):
            raise TypeError(f"state_dict must be a mapping, as EMAHandler.state_dict() returns, got {saved!r}")
        missing = [key for key in _KEYS if key not in saved]
        if missing:
            raise ValueError(f"state_dict must have the keys {', '.join(map(repr, missing))}, got {list(saved)}")
        integer("state_dict['updates']", saved["updates"], 0)
        _share("state_dict['momentum']", saved["momentum"])
        own, other = _shapes(_module(self.ema_model).state_dict()), _shapes(saved["ema_model"])
        precise = _shapes(saved.get("precise", {}))
        odd = {name for name in own.keys() | other.keys() if own.get(name, "") != other.get(name, "")}
        odd |= {name for name, shape in precise.items() if own.get(name, shape) != shape}
        if odd:
            raise ValueError(
                f"state_dict must be of a model with the tensors of ema_model, got others or other shapes of "
                f"{', '.join(map(repr, sorted(odd, key=str)))}; build the model as it was when it was saved"
            )

    def _tensors(self) -> dict[str, Tensor]:
        module = _module(self.ema_model)
        return dict(module.named_parameters()) | dict(module.named_buffers())

    def __getstate__(self) -> dict[str, Any]:
        """Keep of the averages of 32 bits those that are up to date; whether they are is not known to a copy."""
        kept = {name: value for name, value in self.__dict__.items() if name != "_engines"}
        return kept | {"_precise": self._precise.up_to_date(self._tensors())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._engines = weakref.WeakKeyDictionary()
        self._precise = _Precise(state["_precise"], self._tensors())


# A tensor's name, the tensor of the average, and that of the model.
_Pair: TypeAlias = tuple[str, Tensor, Tensor]


class _Precise:
    """Average tensors of less than 32 bits in 32 bits, by name, and round them.

    With a momentum of 0.0002 a step changes a weight by less than half of what two neighbouring numbers of 16 bits
    differ by, so an average that is kept in 16 bits would never move.
    """

    def __init__(self, saved: Mapping[str, Tensor] | None = None, rounded: Mapping[str, Tensor] | None = None) -> None:
        rounded = rounded or {}
        # Copies: what was saved may still belong to the handler that it is of.
        self._averages = {
            name: average.detach().to(rounded[name].device, copy=True)
            for name, average in (saved or {}).items()
            if name in rounded
        }
        # The rounded tensor's version when it was written; another one says that somebody else wrote to it.
        self._versions = {name: rounded[name]._version for name in self._averages}

    def update(self, pairs: list[_Pair], momentum: float) -> None:
        if not pairs:
            return
        averages = self.up_to_date({name: rounded for name, rounded, _ in pairs})
        for name, rounded, _ in pairs:
            if name not in averages:
                averages[name] = rounded.float()
        wide = [(name, torch.empty_like(averages[name]), source) for name, _, source in pairs]
        _copy(wide)
        _lerp([(name, averages[name], source) for name, source, _ in wide], momentum)
        _copy([(name, rounded, averages[name]) for name, rounded, _ in pairs])
        self._averages, self._versions = averages, {name: rounded._version for name, rounded, _ in pairs}

    def up_to_date(self, rounded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the averages whose rounded tensors nobody has written to or moved since."""
        return {
            name: average
            for name, average in self._averages.items()
            if name in rounded
            and rounded[name]._version == self._versions[name]
            and rounded[name].device == average.device
        }


def _lerp(pairs: list[_Pair], weight: float) -> None:
    """Move each tensor of the average towards that of the model, with one kernel for many where there is one."""
    for targets, sources in _groups(pairs):
        if _are_plain(targets, sources):
            torch._foreach_lerp_(targets, sources, weight)
        else:
            for target, source in zip(targets, sources, strict=True):
                target.lerp_(source, weight)


def _copy(pairs: list[_Pair]) -> None:
    """Write the values of the model's tensors to those of the average; no tensor is ever shared."""
    for targets, sources in _groups(pairs):
        if _are_plain(targets, sources):
            torch._foreach_copy_(targets, sources, non_blocking=True)
        else:
            for target, source in zip(targets, sources, strict=True):
                target.copy_(source, non_blocking=True)


def _groups(pairs: list[_Pair]) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Sort tensors by device and type, because one kernel takes many only where all are alike."""
    groups: dict[Any, tuple[list[Tensor], list[Tensor]]] = {}
    for _, target, source in pairs:
        targets, sources = groups.setdefault((target.device, target.dtype, source.dtype), ([], []))
        targets.append(target)
        sources.append(source)
    yield from groups.values()


def _are_plain(targets: list[Tensor], sources: list[Tensor]) -> bool:
    """Tell whether none is of a class of its own, such as a sharded tensor, which may not know the fused kernels."""
    return all(type(tensor) in (Tensor, nn.Parameter) for tensor in targets + sources)


def _paired(ema: Iterator[tuple[str, Tensor]], model: Iterator[tuple[str, Tensor]]) -> Iterator[_Pair]:
    """Match the tensors of two models, which have the same ones in the same order unless the model was rebuilt."""
    targets, sources = dict(ema), dict(model)
    if targets.keys() != sources.keys():
        odd = ", ".join(map(repr, sorted(targets.keys() ^ sources.keys())))
        raise ValueError(f"model must have the parameters and buffers of ema_model, differs in {odd}; {_REMEDY}")
    for name, target in targets.items():
        source = sources[name]
        if target.shape != source.shape or target.device != source.device:
            raise ValueError(
                f"model must have the shapes and the devices of ema_model, got {name!r} of {tuple(source.shape)} on "
                f"{source.device}, not {tuple(target.shape)} on {target.device}; {_REMEDY}"
            )
        yield name, target, source


_REMEDY = "make the EMAHandler after the model is complete and in its place"


def _is_averageable(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _is_short(tensor: Tensor) -> bool:
    return tensor.element_size() < 4  # all that is averaged is of floating-point numbers


def _module(model: nn.Module) -> nn.Module:
    return model.module if isinstance(model, DataParallel) else model


def _shapes(tensors: Any) -> dict[str, Any]:
    if not isinstance(tensors, Mapping):
        raise TypeError(f"state_dict must map names to tensors, got {tensors!r}")
    return {name: tensor.shape if isinstance(tensor, Tensor) else None for name, tensor in tensors.items()}


def _warmed_up(updates: int, first: float, last: float, steps: int) -> float:
    """Return the momentum after some updates, on a line that has its `steps`-th point at `last`.

    >>> [_warmed_up(n, 0.5, 0.25, 3) for n in range(5)]
    [0.5, 0.375, 0.25, 0.25, 0.25]
    """
    return Ramp(first, last, steps - 1)(updates) if updates else first  # also where it is as short as can be


def _check(model: object, momentum_warmup: float | None, warmup_iters: int | None, handle_buffers: object) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module, got {brief(model)}")
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if nn.parameter.is_lazy(tensor):
            raise ValueError(f"model must have all its parameters, {name!r} is lazy; call the model once before")
    if handle_buffers not in get_args(BufferHandling):
        raise ValueError(f"handle_buffers must be 'copy', 'update' or 'ema_train', got {handle_buffers!r}")
    if (momentum_warmup is None) != (warmup_iters is None):
        raise ValueError(
            "momentum_warmup and warmup_iters must be given together, got "
            f"momentum_warmup={momentum_warmup!r}, warmup_iters={warmup_iters!r}"
        )


def _share(argument: str, value: object, ends: bool = True) -> float:
    """Return a number between 0 and 1, with the ends or without, as a float."""
    number = _float(value)
    if not (0 <= number <= 1 if ends else 0 < number < 1):
        raise ValueError(f"{argument} must be a number in {'[0, 1]' if ends else '(0, 1)'}, got {value!r}")
    return number


def _number(argument: str, value: object) -> float:
    number = _float(value)
    if math.isnan(number):
        raise ValueError(f"{argument} must be a number, got {value!r}")
    return number


def _float(value: Any) -> float:
    """Return a number, also one of numpy or of a tensor, as a float, and NaN for anything else."""
    try:
        return math.nan if isinstance(value, bool | str | bytes) else float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return math.nan
