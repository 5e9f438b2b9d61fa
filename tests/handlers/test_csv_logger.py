"""CSVLogger writes a line for each value, which the standard library reads, and any other reader of CSV."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.engine import Engine, Events
from ignite_signals.handlers.csv_logger import CSVLogger


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be one moment."""
    monkeypatch.setattr("ignite_signals.handlers.csv_logger.time.time", lambda: 1_700_000_000.25)


def written(path: Path, values: dict[str, Any], step: int = 5) -> list[str]:
    with CSVLogger(path) as logger:
        logger.log(values, step)
    return path.read_text().splitlines()[1:]


def test_a_training_gives_a_long_table(tmp_path: Path) -> None:
    """A line for each value, with its step, its name and the time; names that come up later are lines like others."""
    path = tmp_path / "log.csv"
    trainer = Engine(lambda engine, batch: {"loss": batch / 4})
    with CSVLogger(path) as logger:
        logger.attach_output_handler(
            trainer, Events.ITERATION_COMPLETED(every=2), tag="training", output_transform=lambda output: output
        )
        logger.attach_output_handler(trainer, Events.EPOCH_COMPLETED, tag="end", state_attributes=["epoch"])
        trainer.run([1, 2, 3, 4])

    expected = """\
step,name,value,time
2,training/loss,0.5,1700000000.250
4,training/loss,1.0,1700000000.250
4,end/epoch,1,1700000000.250
"""
    assert expected == path.read_text()


def test_every_kind_of_value_has_its_text(tmp_path: Path) -> None:
    """Nested ones have names of their own; None is no value; what CSV cannot tell apart is a number."""
    values = {
        "int": 3,
        "float": 0.1,
        "small": 1e-30,
        "bool": True,
        "text": "a, b",
        "quoted": 'say "a"',
        "lines": "two\nlines\r\nor three",
        "none": None,
        "nan": math.nan,
        "inf": -math.inf,
        "numpy": np.float32(0.5),
        "numpy int": np.int64(7),
        "array": np.array([1.5, 2.5]),
        "tensor": torch.tensor(0.25),
        "half": torch.tensor(0.5, dtype=torch.bfloat16),
        "vector": torch.tensor([1, 2]),
        "nested": {"list": [1, (2, {"deep": 3})]},
        "name, with\nall": 1,
    }
    expected = {
        "int": 3,
        "float": 0.1,
        "small": 1e-30,
        "bool": 1,
        "text": "a, b",
        "quoted": 'say "a"',
        "lines": "two lines or three",
        "inf": -math.inf,
        "numpy": 0.5,
        "numpy int": 7,
        "array/0": 1.5,
        "array/1": 2.5,
        "tensor": 0.25,
        "half": 0.5,
        "vector/0": 1,
        "vector/1": 2,
        "nested/list/0": 1,
        "nested/list/1/0": 2,
        "nested/list/1/1/deep": 3,
        "name, with all": 1,
    }
    lines = written(tmp_path / "log.csv", values)
    read = {name: series[5] for name, series in CSVLogger.read(tmp_path / "log.csv").items()}

    assert math.isnan(read.pop("nan"))
    assert expected == read
    assert ["nan", "-inf"] == [line.split(",")[2] for line in lines if ",nan," in line or ",inf," in line]


def test_the_standard_library_reads_it(tmp_path: Path) -> None:
    """As a table with a header."""
    path = tmp_path / "log.csv"
    written(path, {"a": 'x, "y"', "b": 0.5})
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert [
        {"step": "5", "name": "a", "value": 'x, "y"', "time": "1700000000.250"},
        {"step": "5", "name": "b", "value": "0.5", "time": "1700000000.250"},
    ] == rows


def test_a_value_that_is_no_number_is_left_out_with_a_warning(tmp_path: Path) -> None:
    """It ends no training; the warning names it and what to do, and the others are written."""
    message = (
        "'training/weights' is not logged, being no number or string but a Tensor of shape (2, 3): "
        "log its mean, say, or its parts by name"
    )
    with pytest.warns(UserWarning, match="weights") as warned:
        lines = written(tmp_path / "log.csv", {"training": {"weights": torch.ones(2, 3), "loss": 0.5}})
    assert [message] == [str(each.message) for each in warned]
    assert ["5,training/loss,0.5,1700000000.250"] == lines
    assert __file__ == warned[0].filename

    with pytest.warns(UserWarning, match="'z' is not logged, being no number or string but a 1j: log its mean"):
        written(tmp_path / "log.csv", {"z": 1j})


def test_a_string_of_any_length_comes_back(tmp_path: Path) -> None:
    """The standard library's limit is not that of a log, and stays as it was for the rest of the process."""
    limit, text = csv.field_size_limit(), "long, " * 50_000
    written(tmp_path / "log.csv", {"text": text, "loss": 0.5})

    assert {"text": {5: text}, "loss": {5: 0.5}} == CSVLogger.read(tmp_path / "log.csv")
    assert limit == csv.field_size_limit()


def test_what_the_reader_of_csv_refuses_is_a_line_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own error is no ValueError."""
    written(tmp_path / "log.csv", {"loss": 0.5})

    def refuse(lines: list[str]) -> None:
        raise csv.Error("field larger than field limit")

    monkeypatch.setattr("ignite_signals.handlers.logged_series.csv.reader", refuse)
    with pytest.raises(ValueError, match=r"path must be a log as .*, whose line 1 is b'step"):
        CSVLogger.read(tmp_path / "log.csv")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(min_size=1).filter(lambda name: name == " ".join(name.splitlines())),
            st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans()),
        ),
        unique_by=lambda pair: pair[0],
    )
)
def test_every_name_and_number_comes_back(tmp_path_factory: pytest.TempPathFactory, pairs: list[Any]) -> None:
    """Whatever the name is, if it is one line, and to the last bit of the number."""
    path = tmp_path_factory.mktemp("csv") / "log.csv"
    written(path, dict(pairs))

    assert {name: {5: value} for name, value in pairs} == CSVLogger.read(path)
