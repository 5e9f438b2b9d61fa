"""PiecewiseLinear: a value goes straight from one milestone to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ignite_signals.engine.integers import integer
from ignite_signals.handlers.checks import brief
from ignite_signals.handlers.param_scheduler.arguments import finite, sequence
from ignite_signals.handlers.param_scheduler.base import ParamScheduler
from ignite_signals.handlers.param_scheduler.schedules import Chain, Milestones

if TYPE_CHECKING:
    from torch.optim import Optimizer

__all__ = ["PiecewiseLinear", "checked_milestones"]


class PiecewiseLinear(ParamScheduler):
    """Lead a parameter straight from the value at one milestone to that at the next one.

    Before the first milestone it has the first value, after the last one the last. Two milestones at one count make a
    jump there.

    Args:
        optimizer: or any object with `param_groups`.
        param_name: the parameter's key in the groups, such as "lr".
        milestones_values: pairs of a count of events and the value at it, in the order of the counts.
        save_history: also append each value to `engine.state.param_history[param_name]`.
        param_group_index: the one group to set; all by default.

    Attributes:
        milestones: the counts.
        values: the values at them.

    Raises:
        TypeError: the optimizer has no `param_groups`, or the milestones are no list or tuple.
        ValueError: the optimizer lacks the group, or the group the parameter; there is no milestone, one comes after a
            later one, or a value is no finite number.

    >>> arguments = {"param_name": "lr", "milestones_values": [(1, 1.0), (3, 0.5), (3, 0.25)]}
    >>> [value for _, value in PiecewiseLinear.simulate_values(5, **arguments)]
    [1.0, 1.0, 0.75, 0.25, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        param_name: str,
        milestones_values: Sequence[tuple[int, float]],
        save_history: bool = False,
        param_group_index: int | None = None,
    ) -> None:
        super().__init__(optimizer, param_name, save_history, param_group_index)
        pairs = checked_milestones(milestones_values)
        self.milestones = [count for count, _ in pairs]
        self.values = [value for _, value in pairs]
        self.schedule = Chain(Milestones(pairs))

    def get_param(self) -> float:
        return self.schedule(self.count)

    def _arguments(self) -> dict[str, Any]:
        return {"milestones_values": list(zip(self.milestones, self.values, strict=True))} | super()._arguments()


def checked_milestones(milestones_values: Any) -> list[tuple[int, float]]:
    """Return pairs of a count and a value, after a look at all of them.

    Raises:
        TypeError: they are no list or tuple.
        ValueError: there is none, one is no pair of a count and a number, or one comes after a later one.
    """
    pairs: list[tuple[int, float]] = []
    for index, pair in enumerate(sequence("milestones_values", milestones_values, "pairs of a count and a value")):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError(f"milestones_values[{index}] must be a pair of a count and a value, got {brief(pair)}")
        count = integer(f"the count in milestones_values[{index}]", pair[0], least=0)
        value = finite(f"the value in milestones_values[{index}]", pair[1])
        if pairs and count < pairs[-1][0]:
            raise ValueError(
                f"milestones_values must be in the order of their counts, got {count} after {pairs[-1][0]}: sort them"
            )
        pairs.append((count, value))
    if not pairs:
        raise ValueError(
            f"milestones_values must have at least one pair of a count and a value, got {milestones_values!r}"
        )
    return pairs
