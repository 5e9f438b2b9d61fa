"""The curve of a search for a learning rate: what is read off it, and how it is drawn."""

from __future__ import annotations

import warnings
from typing import Any

import attrs

from ignite_signals.engine.limits import stack_level
from ignite_signals.handlers.trial_run import not_called

__all__ = ["LEAST", "RateCurve", "draw", "mark", "one_or_all", "rates_shown"]

# A slope of the curve takes a point on either side.
LEAST = 3


@attrs.define
class RateCurve:
    """The smoothed losses, and the rates of all parameter groups that they came from."""

    rates: list[list[float]] = attrs.Factory(list)
    losses: list[float] = attrs.Factory(list)
    diverged: bool = False
    # What the curve was found without.
    left_out: int = 0

    def steepest(self) -> int:
        """Return where the loss falls fastest before its minimum, by central differences."""
        losses = self.losses
        if not losses:
            why = "not even the first loss was finite"
            if not self.diverged:
                why = "no loss was taken, because the trial failed or was stopped before"
            raise RuntimeError(f"there is no rate to suggest: {why}{self.hint}")
        lowest = min(range(len(losses)), key=losses.__getitem__)
        if lowest + 1 < LEAST:
            raise RuntimeError(
                f"there is no rate to suggest: the loss is lowest at iteration {lowest + 1} of {len(losses)}, too "
                f"early for a slope; give attach a smaller start_lr, or a larger num_iter{self.hint}"
            )
        return min(range(1, lowest), key=lambda index: losses[index + 1] - losses[index - 1])

    def suggested(self) -> str:
        """Say which rate is suggested, for a log."""
        try:
            return rates_shown(self.rates[self.steepest()])
        except RuntimeError:
            return "none"

    @property
    def hint(self) -> str:
        """What to add where the curve may be of no use."""
        return f"; {not_called(self.left_out)}" if self.left_out else ""

    def between(self, skip_start: int, skip_end: int) -> slice:
        if skip_start + skip_end >= len(self.losses):
            raise ValueError(
                f"skip_start and skip_end must leave some of the {len(self.losses)} iterations, got "
                f"skip_start={skip_start} and skip_end={skip_end}"
            )
        return slice(skip_start, len(self.losses) - skip_end)

    def __str__(self) -> str:
        if not self.rates:
            return "no rates"
        first, last = (rates_shown(self.rates[index]) for index in (0, -1))
        return f"{len(self.rates)} rates from {first} to {last}"


def draw(axes: Any, curve: RateCurve, shown: slice) -> list[Any]:
    """Draw the curve over the rates of each parameter group, and return the colours to mark it with."""
    groups = list(zip(*curve.rates[shown], strict=True))
    if len(groups) == 1:
        axes.plot(groups[0], curve.losses[shown])
        return ["red"]
    lines = [axes.plot(rates, curve.losses[shown], label=f"group {number}") for number, rates in enumerate(groups)]
    return [line.get_color() for (line,) in lines]


def mark(axes: Any, curve: RateCurve, shown: slice, colors: list[Any]) -> None:
    """Draw a point at the suggested rate of each parameter group."""
    try:
        index = curve.steepest()
    except RuntimeError as error:
        _warn(str(error))
        return
    if not shown.start <= index < shown.stop:
        _warn(
            f"the suggested rate is that of iteration {index + 1}, beside what is plotted: give a smaller skip_start "
            "or skip_end"
        )
        return
    for rate, color in zip(curve.rates[index], colors, strict=True):
        axes.scatter(rate, curve.losses[index], color=color, zorder=3, label=f"suggested: {rate:.2g}")


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=stack_level())


def one_or_all(rates: list[float]) -> float | list[float]:
    """Return the rate, or a list of one for each parameter group where there are several."""
    return rates[0] if len(rates) == 1 else list(rates)


def rates_shown(rates: list[float]) -> str:
    """Return the rates of all parameter groups, as a message has them."""
    return ", ".join(f"{rate:.3g}" for rate in rates)
