"""Event files, and what earlier processes have left in a folder of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ignite_signals.handlers.event_files import Past, Point, events, past

tensorboard = pytest.importorskip("torch.utils.tensorboard")

Points = Iterable[tuple[str, int]]


def write(folder: Path, points: Points, purge_step: int | None = None) -> Path:
    with tensorboard.SummaryWriter(folder, purge_step=purge_step) as writer:
        for tag, step in points:
            writer.add_scalar(tag, 0.0, step)
    return folder


def curve(tag: str, *steps: int) -> list[tuple[str, int]]:
    return [(tag, step) for step in steps]


def shown(points: Iterable[Point]) -> list[tuple[str, int]]:
    return [(point.tag, point.step) for point in points]


def processes(folder: Path, *points_of: Points, marks: dict[int, int] | None = None) -> list[Path]:
    """Write a file for each process, some of which begin with the mark of a restart."""
    paths = []
    for number, points in enumerate(points_of):
        [path] = write(folder / "new", points, purge_step=(marks or {}).get(number)).iterdir()
        paths.append(path.rename(folder / f"events.out.tfevents.{number}"))
    return paths


def test_a_folder_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    """A folder that is not there has nothing, and nothing is to be hidden."""
    found = past(tmp_path / "none", 80, ["training/"])
    assert (Past(), {}, None, []) == (found, found.last, found.mark, list(found.hidden()))


def test_what_lies_beyond_the_step_is_found(tmp_path: Path) -> None:
    """What lies beyond the step is known to be there, and each name's last value before it is known."""
    write(tmp_path, [("loss", 10), ("accuracy", 15), ("loss", 20), ("accuracy", 25), ("loss", 30)])
    found = past(tmp_path, 20, ["loss", "accuracy"])
    assert {"loss": (20, 0.0), "accuracy": (15, 0.0)} == found.last
    assert (25, []) == (found.mark, list(found.hidden()))
    assert past(tmp_path, 30, ["loss"]).mark is None


def test_steps_that_run_ahead_of_the_iterations_are_not_taken_for_later(tmp_path: Path) -> None:
    """What lies at a high step, and was written before the training was where it goes on, belongs to it."""
    points = [("loss", 1), ("samples", 64), ("samples", 128), ("loss", 2), ("samples", 192), ("loss", 3)]
    write(tmp_path, points)
    assert points[:5] == shown(past(tmp_path, 2, ["loss"]).kept)


def test_steps_that_lag_behind_the_iterations_are_taken_for_later(tmp_path: Path) -> None:
    """What lies at a low step, and was written after the training was where it goes on, does not belong to it."""
    points = [*curve("loss", 10, 20), ("epochs/loss", 2), *curve("loss", 30, 40), ("epochs/loss", 4), ("loss", 50)]
    write(tmp_path, points)
    found = past(tmp_path, 20, ["loss"])
    assert (points[:3], points[3:]) == (shown(found.kept), shown(found.dead))


def test_what_the_mark_hides_and_is_kept_is_written_again(tmp_path: Path) -> None:
    """Where a mark that hides all that is dead hides something that is kept, it hides all, to be written in order."""
    points = [("text", 0), *curve("loss", 1, 2), ("epochs", 1), *curve("loss", 3, 4), ("epochs", 2), ("loss", 5)]
    write(tmp_path, points)
    found = past(tmp_path, 2, ["loss"])
    assert 0 == found.mark
    assert points[:4] == [(event.summary.value[0].tag, event.step) for event in found.hidden()]


@pytest.mark.parametrize("names", [["loss", "epochs"], [""]])
def test_low_steps_of_a_known_name_prove_nothing(tmp_path: Path, names: list[str]) -> None:
    """Names that begin like a known curve, and count epochs, do not make what was written before them look early."""
    write(tmp_path, [*curve("loss", 10, 20, 30), ("epochs/loss", 3), ("loss", 40), ("epochs/loss", 4)])
    assert curve("loss", 10, 20) == shown(past(tmp_path, 20, names).kept)


@pytest.mark.parametrize("name", ["text", "loss"])
def test_another_process_proves_nothing(tmp_path: Path, name: str) -> None:
    """A low step that another process has written proves nothing of what was written before it started."""
    processes(tmp_path, curve("loss", *range(1, 31)), [(name, 0), (name, 15)])
    assert curve("loss", *range(16, 31)) == shown(past(tmp_path, 15, ["loss"]).dead)


def test_a_process_without_a_known_curve_belongs_to_no_training(tmp_path: Path) -> None:
    """What a process has written that logged none of the training's curves stays, whatever its steps are."""
    processes(tmp_path, curve("loss", 10, 20, 30), curve("test/loss", 100))
    for step, kept in ((20, [10, 20]), (0, [])):
        assert [*curve("loss", *kept), ("test/loss", 100)] == shown(past(tmp_path, step, ["loss"]).kept)


def test_a_training_that_begins_again_keeps_nothing(tmp_path: Path) -> None:
    """At step 0 nothing is kept of a process that has logged one of the curves, unless it has not trained."""
    processes(tmp_path, [("text", 0), *curve("loss", 0, 1)], [("loss", 0)])
    found = past(tmp_path, 0, ["loss"])
    assert ([("loss", 0)], 0) == (shown(found.kept), found.mark)


def test_what_this_process_has_written_is_kept(tmp_path: Path) -> None:
    """All is kept in the file of a process that has not trained yet."""
    *_, own = processes(tmp_path, curve("loss", 10, 20, 30), curve("loss", 500))
    assert curve("loss", 10, 20, 500) == shown(past(tmp_path, 20, ["loss"], own).kept)
    assert curve("loss", 10, 20) == shown(past(tmp_path, 20, ["loss"]).kept)


def test_what_an_earlier_restart_has_hidden_is_not_there(tmp_path: Path) -> None:
    """What an earlier restart has hidden is not there any more."""
    processes(tmp_path, curve("loss", 10, 20, 30), curve("loss", 15), marks={1: 11})
    found = past(tmp_path, 15, ["loss"])
    assert ({"loss": (15, 0.0)}, None) == (found.last, found.mark)


def test_what_was_written_after_an_earlier_restart_is_judged_by_itself(tmp_path: Path) -> None:
    """What lies beyond the step is dead before an earlier restart and after it."""
    processes(tmp_path, curve("loss", 10, 20, 30), curve("loss", 25, 35), marks={1: 21})
    assert (curve("loss", 10), curve("loss", 20, 25, 35)) == tuple(
        map(shown, attrs.astuple(past(tmp_path, 10, ["loss"]), recurse=False))
    )


@given(st.integers(0, 400))
def test_a_file_that_is_cut_anywhere_is_read_up_to_there(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    """A file of a process that was killed while it wrote is read up to there."""
    [path] = write(tmp_path_factory.mktemp("cut"), curve("loss", *range(8))).iterdir()
    whole = [event.step for event in events(path)]
    path.write_bytes(path.read_bytes()[:size])
    read = [event.step for event in events(path)]
    assert whole[: len(read)] == read


@pytest.mark.parametrize("garbage", [b"\xff" * 100, b"\x02" + b"\0" * 11 + b"\xff\xff" + b"\0" * 4])
def test_a_damaged_file_is_read_up_to_the_damage(tmp_path: Path, garbage: bytes) -> None:
    """A damaged file is read up to the damage."""
    [path] = write(tmp_path, curve("loss", 1, 2)).iterdir()
    with path.open("ab") as file:
        file.write(garbage)
    assert [0, 1, 2] == [event.step for event in events(path)]
