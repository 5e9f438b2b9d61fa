"""A metric of metrics: its members are updated together, and what several of them accumulate, once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from types import MethodType
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from ignite_signals.metrics.metric import Metric
from ignite_signals.metrics.twin import twin
from ignite_signals.metrics.usage import MetricUsage, UsageEvent

if TYPE_CHECKING:
    from ignite_signals.engine import Engine

__all__ = ["Composite", "computed"]


class Composite(Metric):
    """Measure with twins of other metrics, which themselves are left alone.

    The members that accumulate in the same way (see `Metric._accumulates_by`) have one leader: it
    alone is updated, and the others compute from its state.
    """

    required_output_keys = None
    shared_by_twins: ClassVar[tuple[str, ...]] = ("_sources",)
    _sources: tuple[Metric, ...]

    @cached_property
    def _members(self) -> list[Metric]:
        # Made when first needed: the inner nodes of an expression never need theirs.
        members = [twin(source) for source in self._sources]
        if self._skip_unrolling:
            for member in members:
                member.keep_lists()
        return members

    @cached_property
    def _leaders(self) -> list[int]:
        """The index of each member's leader, its own where it leads."""
        keys = [_accumulation(member) for member in self._members]
        return [index if key is None else keys.index(key) for index, key in enumerate(keys)]

    @cached_property
    def _accumulating(self) -> list[Metric]:
        """The leaders, which every iteration goes through."""
        return [member for index, member in enumerate(self._members) if self._leaders[index] == index]

    def _labels(self) -> list[str]:
        """Return what names each member in a state dict."""
        return [f"{index} {type(source).__name__}" for index, source in enumerate(self._sources)]

    def keep_lists(self) -> None:
        super().keep_lists()
        for member in self._members:
            member.keep_lists()

    def refused(self) -> list[str]:
        return [complaint for member in self._members for complaint in member.refused()]

    def forget_refused(self) -> None:
        for member in self._members:  # each has written values of its own
            member.forget_refused()

    def handlers(self, usage: MetricUsage) -> list[tuple[UsageEvent, Callable[[Engine], None]]]:
        connected = super().handlers(usage)
        for member in self._accumulating:
            if [event for event, _ in member.handlers(usage)] != [event for event, _ in connected]:
                raise ValueError(
                    f"usage must be one in which {member!r} measures as other metrics do, as a member of {self!r}, "
                    f"got {usage!r}; attach it by itself"
                )
        return connected

    def reset(self) -> None:
        """Forget what the members have seen."""
        if "_members" in vars(self):
            for member in self._accumulating:
                member.reset()

    def started(self, engine: Engine) -> None:
        """Start the members anew; connected by `attach`."""
        for member in self._accumulating:
            member.started(engine)

    def _values(self, value_of: Callable[[Metric], Any]) -> list[Any]:
        """Return the members' values, each computed once."""
        for member, leader in zip(self._members, self._leaders, strict=True):
            _adopt(member, self._members[leader])
        return [value_of(member) for member in self._members]

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of what the members have seen, to go on from with `load_state_dict`.

        It has a state for each member by its label or, where it shares that of another, the other's label.
        """
        labels = self._labels()
        return {
            label: member.state_dict() if leader == index else labels[leader]
            for index, (label, member, leader) in enumerate(zip(labels, self._members, self._leaders, strict=True))
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            TypeError: `state_dict` is not a mapping.
            ValueError: it is not that of a metric with the same members.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict must be a mapping, got {state_dict!r}")
        labels = self._labels()
        if set(labels) != set(state_dict):
            raise ValueError(f"state_dict must have the keys {labels} for {self!r}, got {list(state_dict)}")
        for label, member in zip(labels, self._members, strict=True):
            state = state_dict[label]
            member.load_state_dict(state_dict[state] if isinstance(state, str) else state)


def computed(metric: Metric) -> Any:
    """Return what a metric computes."""
    return metric.compute()


def _accumulation(metric: Metric) -> tuple[Any, ...] | None:
    """Return what two metrics must have in common to accumulate the same, or None if they never do."""
    if metric._accumulates_by is None:
        return None
    names = ("reset", "update", "take", "iteration_completed", *_SETTINGS, *metric._accumulates_by)
    return tuple(_comparable(metric, getattr(metric, name)) for name in names)


_SETTINGS = (
    "required_output_keys",
    "_output_transform",
    "_device",
    "_follows_values",
    "_skip_unrolling",
    "_state_dict_all_req_keys",
)


def _comparable(metric: Metric, value: Any) -> Any:
    if isinstance(value, Tensor):
        return id(value)  # entry by entry would be no single answer
    own = isinstance(value, MethodType) and value.__self__ is metric
    return value.__func__ if own else value


def _adopt(member: Metric, leader: Metric) -> None:
    if member is not leader:
        vars(member).update({key: vars(leader)[key] for key in member._state_dict_all_req_keys})
