"""JSONLinesLogger writes an object for each moment, which every strict reader of JSON reads."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.engine import Engine, Events
from ignite_signals.handlers.json_lines_logger import JSONLinesLogger


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be one moment."""
    monkeypatch.setattr("ignite_signals.handlers.json_lines_logger.time.time", lambda: 1_700_000_000.25)


def strictly(line: str) -> Any:
    """Read JSON as the standard has it, without NaN and infinities."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no JSON")

    return json.loads(line, parse_constant=refuse)


def written(path: Path, values: dict[str, Any], step: int = 5) -> Any:
    with JSONLinesLogger(path) as logger:
        logger.log(values, step)
    return strictly(path.read_text().splitlines()[-1])["values"]


def test_a_training_gives_an_object_for_each_moment(tmp_path: Path) -> None:
    """With the step, the time and the values that belong together."""
    path = tmp_path / "log.jsonl"
    trainer = Engine(lambda engine, batch: {"loss": batch / 4, "correct": True})
    with JSONLinesLogger(path) as logger:
        logger.attach_output_handler(
            trainer, Events.ITERATION_COMPLETED(every=2), tag="training", output_transform=lambda output: output
        )
        trainer.run([1, 2, 3, 4])

    expected = """\
{"step": 2, "time": 1700000000.25, "values": {"training/loss": 0.5, "training/correct": true}}
{"step": 4, "time": 1700000000.25, "values": {"training/loss": 1.0, "training/correct": true}}
"""
    assert expected == path.read_text()


def test_every_kind_of_value_has_its_json(tmp_path: Path) -> None:
    """Strings stay strings, bools bools; numbers that JSON lacks are strings by which they are known."""
    values = {
        "text": 'a "b"\nc\u2028\ud800',
        "bool": False,
        "none": None,
        "numpy": np.float32(0.5),
        "fraction": Fraction(1, 4),
        "vector": torch.tensor([1.0, math.nan, math.inf, -math.inf]),
        "float64": np.float64("nan"),
    }
    expected = {
        "text": 'a "b"\nc\u2028\ud800',
        "bool": False,
        "numpy": 0.5,
        "fraction": 0.25,
        "vector/0": 1.0,
        "vector/1": "NaN",
        "vector/2": "Infinity",
        "vector/3": "-Infinity",
        "float64": "NaN",
    }
    assert expected == written(tmp_path / "log.jsonl", values)

    read = {name: series[5] for name, series in JSONLinesLogger.read(tmp_path / "log.jsonl").items()}
    assert [math.inf, -math.inf] == [read["vector/2"], read["vector/3"]]
    assert math.isnan(read["vector/1"])
    assert read["bool"] is False


def test_a_value_that_is_no_number_is_left_out_with_a_warning(tmp_path: Path) -> None:
    """It ends no training; a moment that has nothing else has no line."""
    with pytest.warns(UserWarning, match=r"'a' is not logged, being .* a ndarray of shape \(1, 2\): log its mean"):
        JSONLinesLogger(tmp_path / "log.jsonl").log({"a": np.ones((1, 2))}, 5)
    assert "" == (tmp_path / "log.jsonl").read_text()


numbers = st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans())
texts = st.text().filter(lambda text: text not in ("NaN", "Infinity", "-Infinity"))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(min_size=1), st.one_of(numbers, texts), min_size=1))
def test_every_name_and_value_comes_back(tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]) -> None:
    """Line breaks and all, and every line is strict JSON."""
    path = tmp_path_factory.mktemp("json") / "log.jsonl"
    written(path, values)

    assert {name: {5: value} for name, value in values.items()} == JSONLinesLogger.read(path)
    assert 1 == path.read_bytes().count(b"\n")
