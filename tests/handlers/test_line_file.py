"""Logs of lines are whole whatever happens to the process, the disk or the folder: the same for CSV and JSON lines."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.engine import Engine, Events
from ignite_signals.handlers import csv_logger, json_lines_logger
from ignite_signals.handlers.csv_logger import CSVLogger
from ignite_signals.handlers.json_lines_logger import JSONLinesLogger
from ignite_signals.handlers.line_file import LineFile
from ignite_signals.handlers.logged_series import newest
from support.copying import every_copy
from support.folders import as_ordinary_user, reachable_folder

Kind = type[CSVLogger] | type[JSONLinesLogger]
every_kind = pytest.mark.parametrize("kind", [CSVLogger, JSONLinesLogger])
ROOT = Path(__file__).parents[2]


def trainer_logging_to(logger: CSVLogger | JSONLinesLogger) -> Engine:
    """Return a trainer whose output, its iteration, is logged at each iteration."""
    trainer = Engine(lambda engine, batch: engine.state.iteration)
    logger.attach_output_handler(trainer, Events.ITERATION_COMPLETED, tag="t", output_transform=float)
    return trainer


def write(kind: Kind, path: Path, steps: Iterator[int] | range) -> None:
    with kind(path) as logger:
        for step in steps:
            logger.log({"loss": 1 / step, "epoch": step // 10}, step)


# Killing

WRITE_AND_DIE = """
import os, random, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from ignite_signals.handlers.csv_logger import CSVLogger
from ignite_signals.handlers.json_lines_logger import JSONLinesLogger

chance = random.Random(7)
kind, path = {"CSVLogger": CSVLogger, "JSONLinesLogger": JSONLinesLogger}[sys.argv[2]], Path(sys.argv[3])
last = 0
for life in range(int(sys.argv[4])):
    child = os.fork()
    if not child:  # one life: it goes on after what is there, with much to write at each step
        logger, step = kind(path), last
        while True:
            step += 1
            logger.log({f"value {index}": float(step) for index in range(20)}, step)
    time.sleep(chance.uniform(0.001, 0.01))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    found = kind.read(path) if path.exists() else {}
    # Of a moment that takes several lines the last ones may be lost; it is logged again.
    last = min(max(series) for series in found.values()) if len(found) == 20 else 0
    assert all(list(series) == list(range(1, max(series) + 1)) for series in found.values()), life
    assert all(float(step) == value for series in found.values() for step, value in series.items()), life
print(last)
"""


@every_kind
def test_a_log_survives_many_kills(kind: Kind, tmp_path: Path) -> None:
    """After each kill all steps are there in their order, but for the one that was being written."""
    path = tmp_path / "log"
    program = [sys.executable, "-c", WRITE_AND_DIE, str(ROOT), kind.__name__, str(path), "30"]
    ended = subprocess.run(program, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert (0, "") == (ended.returncode, ended.stderr)

    series = kind.read(path)
    assert [f"value {index}" for index in range(20)] == list(series)
    assert int(ended.stdout) >= 30
    kind(path)
    assert path.read_bytes().endswith(b"\n")


@every_kind
def test_a_log_that_was_cut_anywhere_goes_on(kind: Kind, tmp_path: Path) -> None:
    """Whatever a kill leaves of the file, the next logger adds whole lines to whole lines."""
    path = tmp_path / "log"
    write(kind, path, range(1, 4))
    whole = path.read_bytes()
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        kept = path.read_bytes().count(b"\n")
        kind(path).log({"loss": 9.0}, 9)
        lines = path.read_bytes().split(b"\n")
        assert whole.split(b"\n")[:kept] == lines[:kept]
        assert 9.0 == kind.read(path)["loss"][9]


@every_kind
def test_a_log_can_be_read_while_a_line_is_written(kind: Kind, tmp_path: Path) -> None:
    """What follows the last whole line is left out, wherever it ends."""
    path = tmp_path / "log"
    write(kind, path, range(1, 4))
    whole = path.read_bytes()
    last = len(whole[:-1].rpartition(b"\n")[0]) + 1
    path.write_bytes(whole[:last])
    before = kind.read(path)
    for size in range(last, len(whole)):
        path.write_bytes(whole[:size])
        assert before == kind.read(path)


@every_kind
def test_each_log_is_one_write_of_whole_lines(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits in the process: a call gives all its lines to the system at once, to be appended."""
    path, flags, open_file = tmp_path / "log", [], os.open
    logger = kind(path)
    monkeypatch.setattr(os, "open", lambda path, flag, *more: flags.append(flag) or open_file(path, flag, *more))
    size = path.stat().st_size
    logger.log({"loss": 1.0, "accuracy": 2.0}, 5)

    assert [True] == [bool(flag & os.O_APPEND) and not flag & os.O_CREAT for flag in flags]
    assert size < path.stat().st_size
    assert path.read_bytes().endswith(b"\n")


# Going on


@every_kind
def test_a_resumed_training_is_read_once(kind: Kind, tmp_path: Path) -> None:
    """Killed at iteration 95 and resumed from 80, it has each step once, with the newer value."""
    path = tmp_path / "log"
    first = trainer_logging_to(kind(path))
    first.add_event_handler(Events.ITERATION_COMPLETED(once=80), lambda: saved.update(first.state_dict()))
    saved: dict[str, Any] = {}
    first.run(range(50), max_iters=95)
    again = trainer_logging_to(kind(path))
    again.load_state_dict(saved)
    again.run(range(50), max_iters=100)

    assert {"t/output": {step: float(step) for step in range(1, 101)}} == kind.read(path)
    lines = [line for line in path.read_text().splitlines() if "t/output" in line]
    assert 95 + 20 == len(lines)


def test_steps_that_go_back_take_along_what_came_after_them() -> None:
    """What a lost life logged at other steps than the next is lost with it; each name has its own steps."""
    first = [("loss", 10, 1.0), ("accuracy", 1, 0.5), ("loss", 17, 1.7), ("loss", 20, 2.0)]
    second = [("accuracy", 2, 0.6), ("loss", 15, 1.5), ("loss", 15, 1.55)]

    assert {"loss": {10: 1.0, 15: 1.55}, "accuracy": {1: 0.5, 2: 0.6}} == newest([*first, *second])


def test_a_rarely_logged_name_loses_what_a_lost_life_logged() -> None:
    """Though its own steps do not go back; and a name that a new run does not have is gone."""
    first = [("loss", step, 1.0) for step in (60, 80, 90, 100)] + [("best", 80, 0.5), ("best", 100, 0.6)]
    first.sort(key=lambda entry: entry[1])
    second = [("loss", 85, 2.0), ("loss", 95, 2.0), ("best", 120, 0.7)]
    again = [("loss", 1, 3.0)]

    assert {"loss": {60: 1.0, 80: 1.0, 85: 2.0, 95: 2.0}, "best": {80: 0.5, 120: 0.7}} == newest([*first, *second])
    assert {"loss": {1: 3.0}} == newest([*first, *second, *again])


def test_names_that_count_epochs_take_nothing_from_those_that_count_iterations() -> None:
    """Each is looked at by itself then."""
    lives = [range(3), range(1, 4)]  # the second goes on from the end of the first epoch
    entries = [
        entry
        for life in lives
        for epoch in life
        for entry in [*(("loss", 10 * epoch + i, float(epoch)) for i in range(1, 11)), ("accuracy", epoch + 1, 0.5)]
    ]

    series = newest(entries)
    assert list(range(1, 41)) == list(series["loss"])
    assert [1, 2, 3, 4] == list(series["accuracy"])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_training_that_was_killed_often_is_read_as_if_it_had_not_been(data: st.DataObject) -> None:
    """Whatever is logged how seldom, if one name is logged at each step and does not end where the next life begins."""
    written, truth, begin = [], {}, 1
    for _ in range(data.draw(st.integers(1, 4))):
        end = data.draw(st.integers(begin + 1, begin + 12))
        truth = {name: {step: each for step, each in kept.items() if step < begin} for name, kept in truth.items()}
        for step in range(begin, end + 1):
            for name in ["loss", *data.draw(st.lists(st.sampled_from(["loss", "best", "rate"]), max_size=3))]:
                written.append((name, step, len(written)))
                truth.setdefault(name, {})[step] = written[-1][2]
        begin = data.draw(st.integers(1, end - 1))

    assert {name: kept for name, kept in truth.items() if kept} == newest(written)


@every_kind
@every_copy
def test_a_copied_engine_logs_to_the_same_file(kind: Kind, tmp_path: Path, copied: Any) -> None:
    """Lines of both are whole; the copy of a logger knows no engine and keeps none."""
    trainer = Engine(step_of_nothing)
    logger = kind(tmp_path / "log")
    logger.attach_output_handler(trainer, Events.ITERATION_COMPLETED, tag="t", state_attributes=["epoch"])
    other = copied(trainer)
    trainer.run(range(3))
    other.run(range(3), max_epochs=2)

    assert {"t/epoch": {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 2}} == kind.read(tmp_path / "log")
    assert [] == list(copied(logger).engines)


def step_of_nothing(engine: Engine, batch: Any) -> None:
    """Do nothing, as a step that can be pickled."""


@every_kind
def test_several_loggers_serve_one_engine(kind: Kind, tmp_path: Path) -> None:
    """Each writes its own file."""
    first, second = kind(tmp_path / "first"), kind(tmp_path / "second")
    trainer = trainer_logging_to(first)
    second.attach_output_handler(trainer, Events.EPOCH_COMPLETED, tag="u", output_transform=float)
    trainer.run(range(3))

    assert {"t/output": {1: 1.0, 2: 2.0, 3: 3.0}} == kind.read(tmp_path / "first")
    assert {"u/output": {3: 3.0}} == kind.read(tmp_path / "second")


@every_kind
def test_other_processes_than_the_first_touch_nothing(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They make no file, read no values, and refuse the same paths."""
    monkeypatch.setattr("ignite_signals.handlers.base_logger.get_rank", lambda: 1)
    logger = kind(tmp_path / "folder" / "log")
    trainer = Engine(lambda engine, batch: None)
    logger.attach_output_handler(trainer, Events.ITERATION_COMPLETED, tag="t", output_transform=lambda _: 1 / 0)
    trainer.run(range(3))
    logger.log({"loss": 1.0}, 5)
    logger.close()
    logger.log({"loss": 1.0}, 5)

    assert [] == list(tmp_path.iterdir())
    with pytest.raises(TypeError, match="path must be the path of a file, got 3"):
        kind(3)  # type: ignore[arg-type]


@every_kind
def test_the_folder_of_the_program_may_change(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is where it was when the logger was made."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    logger = kind("logs/log")
    monkeypatch.chdir(tmp_path / "elsewhere")
    logger.log({"loss": 1.0}, 5)

    assert {"loss": {5: 1.0}} == kind.read(tmp_path / "logs" / "log")
    assert [] == list((tmp_path / "elsewhere").iterdir())


# What cannot be written to


def message(kind: Kind, path: Any) -> str:
    with pytest.raises((OSError, ValueError, TypeError)) as raised:
        kind(path)
    return f"{type(raised.value).__name__}: {raised.value}"


@every_kind
def test_a_path_that_cannot_be_written_to_is_refused_before_the_training(kind: Kind) -> None:
    """The error names the argument, the value and the reason; for each kind of bad path."""
    refused = "path must be a file that can be written to, got"
    with reachable_folder() as folder:
        (folder / "file").write_text("text")
        (folder / "kept.csv").write_text("epoch,loss\n1,0.5\n")
        begins = {CSVLogger: b"step,name,value,time\n", JSONLinesLogger: b'{"step": '}[kind]
        found = b"epoch,loss\n1,0.5\n"[: len(begins)]
        table: dict[Any, str] = {
            folder: f"IsADirectoryError: [Errno 21] {refused} '{folder}': Is a directory",
            f"{folder}/file/log": f"FileExistsError: [Errno 17] {refused} '{folder}/file/log', at '{folder}/file': "
            "File exists",
            folder / "kept.csv": f"ValueError: path must be a file that begins with {begins!r}, got "
            f"'{folder}/kept.csv' with {found!r}",
            5: "TypeError: path must be the path of a file, got 5",
            None: "TypeError: path must be the path of a file, got None",
            "a\0b": "ValueError: path must be the path of a file, which has no NUL byte, got 'a\\x00b'",
        }
        assert table == {path: message(kind, path) for path in table}
        assert "epoch,loss\n1,0.5\n" == (folder / "kept.csv").read_text()
        with as_ordinary_user():
            assert message(kind, folder / "log") == (
                f"PermissionError: [Errno 13] {refused} '{folder}/log': Permission denied"
            )
            assert message(kind, folder / "new" / "log") == (
                f"PermissionError: [Errno 13] {refused} '{folder}/new/log', at '{folder}/new': Permission denied"
            )


@every_kind
def test_the_error_of_a_path_keeps_the_systems_number(kind: Kind, tmp_path: Path) -> None:
    """A program may ask for it, rather than read the message."""
    with pytest.raises(IsADirectoryError) as raised:
        kind(tmp_path)
    assert (errno.EISDIR, f"path must be a file that can be written to, got '{tmp_path}': Is a directory") == (
        raised.value.errno,
        raised.value.strerror,
    )


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file of this process become larger; writing more fails, as Python ignores the signal."""
    resource = pytest.importorskip("resource", reason="this system has no such limits")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@every_kind
def test_a_disk_that_is_full_is_an_error_that_names_the_file(kind: Kind, tmp_path: Path) -> None:
    """The lines of the call that does not fit are taken back, wherever it is full; with room again the log goes on."""
    path = tmp_path / "log"
    write(kind, path, range(1, 4))
    logger, whole = kind(path), path.read_bytes()
    for room in range(30):
        with file_size_limit(len(whole) + room), pytest.raises(OSError, match=f"File too large: '{path}'"):
            logger.log({"loss": 9.0, "other": 9.0}, 9)
        assert whole == path.read_bytes()
    logger.log({"loss": 9.0}, 9)
    assert 9.0 == kind.read(path)["loss"][9]


def test_a_full_device_is_refused(tmp_path: Path) -> None:
    """The header of a new log is written when the logger is made, so that a full disk is known before the training."""
    with file_size_limit(5), pytest.raises(OSError, match=r"path must be a file that can be written to, got '.*/log'"):
        CSVLogger(tmp_path / "log")
    assert b"" == (tmp_path / "log").read_bytes()


@every_kind
def test_a_log_that_is_removed_during_the_run_is_an_error(kind: Kind, tmp_path: Path) -> None:
    """It is not made again: whoever removed it may have meant it. The error names the argument and what to do."""
    logger = kind(tmp_path / "log")
    (tmp_path / "log").unlink()
    expected = (
        f"[Errno 2] path must be a file that stays as long as it is written to, got '{tmp_path / 'log'}': "
        "No such file or directory; another logger begins it anew"
    )
    with pytest.raises(FileNotFoundError) as raised:
        logger.log({"loss": 1.0}, 1)
    assert (expected, errno.ENOENT) == (str(raised.value), raised.value.errno)
    assert [] == list(tmp_path.iterdir())


@every_kind
def test_a_closed_log_says_so(kind: Kind, tmp_path: Path) -> None:
    """After the `with` block, or `close`, nothing is written; to close twice is nothing."""
    with kind(tmp_path / "log") as logger:
        logger.log({"loss": 1.0}, 1)
    logger.close()
    expected = f"the log '{tmp_path / 'log'}' is closed: make another logger, which goes on in it"
    with pytest.raises(RuntimeError) as raised:
        logger.log({"loss": 2.0}, 2)
    assert expected == str(raised.value)
    assert {"loss": {1: 1.0}} == kind.read(tmp_path / "log")


@every_kind
@pytest.mark.parametrize(("values", "step"), [({"a": 1.0}, 1.5), ({"a": 1.0}, "1"), ({"a": 1.0}, True), (3, 1)])
def test_what_is_no_step_or_no_mapping_is_named(kind: Kind, tmp_path: Path, values: Any, step: Any) -> None:
    """log, called by hand, refuses it and writes nothing."""
    logger = kind(tmp_path / "log")
    size = (tmp_path / "log").stat().st_size
    expected = "values must be a mapping of names to values, got 3" if values == 3 else f"step must be .*, got {step!r}"
    with pytest.raises((TypeError, ValueError), match=expected):
        logger.log(values, step)
    assert size == (tmp_path / "log").stat().st_size


@every_kind
def test_a_line_that_is_none_is_named(kind: Kind, tmp_path: Path) -> None:
    """Reading a file that something else has written to says where."""
    path = tmp_path / "log"
    write(kind, path, range(1, 3))
    number = path.read_bytes().count(b"\n") + 1
    path.write_bytes(path.read_bytes() + b"something else\n")
    with pytest.raises(ValueError, match="path must be a log as this logger writes it") as raised:
        kind.read(path)
    assert str(raised.value).endswith(f"got '{path}', whose line {number} is b'something else\\n'")
    with pytest.raises(FileNotFoundError):
        kind.read(tmp_path / "none")


def test_an_empty_log_has_no_series(tmp_path: Path) -> None:
    """A training that has logged nothing can be read, and so can a file that is not begun."""
    CSVLogger(tmp_path / "a")
    JSONLinesLogger(tmp_path / "b")
    LineFile(tmp_path / "c", "x", writes=True).append([])

    assert [{}, {}, {}] == [CSVLogger.read(tmp_path / "a"), JSONLinesLogger.read(tmp_path / "b")] + [
        kind.read(tmp_path / "c") for kind in (CSVLogger,)
    ]


@pytest.mark.parametrize("module", [csv_logger, json_lines_logger])
def test_each_logger_is_short(module: Any) -> None:
    """A logger on the base is less than eighty lines, with its documentation."""
    assert len(Path(module.__file__).read_text().splitlines()) < 80
