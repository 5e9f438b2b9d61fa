"""See what a folder of checkpoints has, and what was lost of it, without asking the library which is the newest.

It is about the files of `support.digits_run`. Its training is deterministic: one that began anew after each kill would
end equal to the bit, so only this tells that it had to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs
import torch

from ignite_signals.handlers import checkpoint_file

__all__ = ["Whole", "lost"]

# A name ends with the iteration, or with the score: checkpoint_12.pt, best_checkpoint_1_score=-0.5.pt.
_RANK = re.compile(r"[_=](-?[\d.]+)\.pt")


@attrs.frozen
class Whole:
    """The checkpoints of a folder that are whole: by name the iteration of the last ones, the score of the best."""

    last: Mapping[str, float] = attrs.field(factory=dict)
    best: Mapping[str, float] = attrs.field(factory=dict)
    # What is wrong with the others; there may be none, because a file comes to its place whole.
    damaged: list[str] = attrs.field(factory=list)

    @classmethod
    def of(cls, folder: Path) -> Whole:
        """Read all that is in a folder."""
        damages = {path.name: _damage(path) for path in folder.glob("*.pt")}
        whole = [name for name, damage in damages.items() if damage is None]
        damaged = [f"{name}: {damage}" for name, damage in damages.items() if damage is not None]
        return cls(_ranked(whole, best=False), _ranked(whole, best=True), damaged)

    @property
    def newest(self) -> float:
        """The largest iteration; 0, from which the training begins, where there is none."""
        return max(self.last.values(), default=0)


def _ranked(names: Iterable[str], best: bool) -> dict[str, float]:
    return {name: _rank(name) for name in names if name.startswith("best_") == best}


def _rank(name: str) -> float:
    found = _RANK.search(name)
    assert found is not None, name
    return float(found[1])


def _damage(path: Path) -> str | None:
    """Tell what is wrong with a file: it is not whole, or not of the iteration that it is named by."""
    try:
        checkpoint_file.read(path)
        state = torch.load(path)
    except Exception as error:  # whatever it is, it is to be shown
        return repr(error)
    if "trainer" in state and state["trainer"]["iteration"] != _rank(path.name):
        return f"its iteration is {state['trainer']['iteration']}"
    return None


def lost(before: Whole, now: Whole, renamed: Iterable[str], n_saved: int) -> list[str]:
    """Return what a folder should have and has not.

    Args:
        before: what it had before a process began.
        now: what it has after the process was killed.
        renamed: the names of the files that the process has moved into their place.
        n_saved: how many of the last are to be kept, at every moment; of the best it is 1.
    """
    renamed = set(renamed)
    last, best = (_ranked(renamed, best=each) for each in (False, True))
    return [
        *now.damaged,
        *_lacking({**before.last, **last}, now.last, n_saved),
        *_lacking({**before.best, **best}, now.best, 1),
    ]


def _lacking(saved: Mapping[str, float], there: Mapping[str, float], n_saved: int) -> Iterable[str]:
    """Yield what is missing of files that were saved: there must be enough, and the newest or the best of all."""
    if len(there) < min(n_saved, len(saved)):
        yield f"{len(there)} are whole of {len(saved)} that were saved"
    first = max(saved.values(), default=None)
    if first is not None and first not in there.values():
        found = max(there, key=lambda name: there[name], default=None)
        yield f"the newest or best is {found}, not {max(saved, key=lambda name: saved[name])}"
