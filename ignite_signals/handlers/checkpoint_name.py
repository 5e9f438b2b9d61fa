"""The names of checkpoint files are made of a pattern."""

from __future__ import annotations

import re
from string import Formatter
from typing import Any

import attrs

from ignite_signals.handlers.disk_saver import check_file_name

__all__ = ["CheckpointName", "default_pattern"]


def default_pattern(
    with_prefix: bool = True, with_score: bool = True, with_score_name: bool = True, with_global_step: bool = True
) -> str:
    """Return the pattern that names have by default.

    Args:
        with_prefix, with_score, with_score_name, with_global_step: which parts it is to have.

    Raises:
        ValueError: there is neither score nor step, or a score's name without the score.

    >>> default_pattern(with_global_step=False)
    '{filename_prefix}_{name}_{score_name}={score}.{ext}'
    """
    if not (with_score or with_global_step):
        raise ValueError("with_score or with_global_step must be True, got neither: files would have one name")
    if with_score_name and not with_score:
        raise ValueError("with_score_name must be False without with_score, got True: there is no score to name")
    parts = ["{filename_prefix}"] * with_prefix + ["{name}"] + ["{global_step}"] * with_global_step
    score = "{score_name}={score}" if with_score_name else "{score}"
    return "_".join(parts + [score] * with_score) + ".{ext}"


@attrs.frozen
class CheckpointName:
    """Name the files of one `Checkpoint`.

    Raises:
        TypeError: a part is no string.
        ValueError: it has separators of paths, or the pattern has unknown parts.

    >>> CheckpointName(prefix="best", score_name="accuracy", scored=True, stepped=True).file("model", 7, 0.5)
    'best_model_7_accuracy=0.5000.pt'
    """

    prefix: str = ""
    score_name: str | None = None
    # The user's own, if any.
    given_pattern: str | None = None
    # Whether there is a score, and a step of the user's own, to name the files by.
    scored: bool = False
    stepped: bool = False

    def __attrs_post_init__(self) -> None:
        check_file_name("filename_prefix", self.prefix)
        if self.score_name is not None:
            check_file_name("score_name", self.score_name)
        check_file_name("filename_pattern", self.pattern)
        try:
            self.file("name", 0, 0)
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise ValueError(
                "filename_pattern must be of {filename_prefix}, {name}, {global_step}, {score_name}, {score} and "
                f"{{ext}}, got {self.given_pattern!r}"
            ) from error
        if not self.pattern.endswith((".pt", ".{ext}")):
            raise ValueError(f"filename_pattern must end in .pt or .{{ext}}, to be found again, got {self.pattern!r}")

    @property
    def pattern(self) -> str:
        """The pattern, by default one of what there is."""
        if self.given_pattern is not None:
            return self.given_pattern
        return default_pattern(
            bool(self.prefix), self.scored, self.scored and self.score_name is not None, self.stepped or not self.scored
        )

    def base(self, name: str) -> str:
        """Return what the files of an object have in common."""
        return f"{self.prefix}_{name}" if self.prefix else name

    def file(self, name: str, global_step: Any, score: Any) -> str:
        """Return the name of a file; a score that is no integer has four digits after the point."""
        return self.pattern.format(
            filename_prefix=self.prefix,
            ext="pt",
            name=name,
            global_step=global_step,
            score_name=self.score_name,
            score=_FourDigits(score) if isinstance(score, float) else score,
        )

    def form(self, name: str) -> str:
        """Return a regular expression that the names of an object's files match, and no others."""
        known = {"filename_prefix": self.prefix, "ext": "pt", "name": name, "score_name": self.score_name}
        formatter, parts = Formatter(), []
        for literal, field, specification, conversion in formatter.parse(self.pattern):
            parts.append(re.escape(literal))
            if field in known:
                value = formatter.convert_field(known[field], conversion)
                parts.append(re.escape(format(value, specification or "")))
            elif field is not None:
                parts.append("(.+)")
        return "".join(parts)


class _FourDigits(float):
    """A number that has four digits after the point unless a pattern says otherwise, as `{score:.2f}` does."""

    def __format__(self, specification: str) -> str:
        return super().__format__(specification or ".4f")
