"""Event files, and what earlier processes have left in a folder of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ignite_signals.handlers.event_files import Written, events, written

tensorboard = pytest.importorskip("torch.utils.tensorboard")

Points = Iterable[tuple[str, int]]


def write(folder: Path, points: Points, purge_step: int | None = None) -> Path:
    with tensorboard.SummaryWriter(folder, purge_step=purge_step) as writer:
        for tag, step in points:
            writer.add_scalar(tag, 0.0, step)
    return folder


def curve(tag: str, *steps: int) -> list[tuple[str, int]]:
    return [(tag, step) for step in steps]


def test_a_folder_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    """A folder that is not there has nothing, and all from the next step on is later."""
    assert Written({}, 81, is_beyond=False) == written(tmp_path / "none", 80)


def test_what_lies_beyond_the_step_is_found(tmp_path: Path) -> None:
    """What lies beyond the step is known to be there, and each name's last value before it is known."""
    write(tmp_path, [("loss", 10), ("accuracy", 15), ("loss", 20), ("accuracy", 25), ("loss", 30)])
    assert Written({"loss": 20, "accuracy": 15}, 21, is_beyond=True) == written(tmp_path, 20)
    assert not written(tmp_path, 30).is_beyond


def test_steps_that_run_ahead_of_the_iterations_are_not_taken_for_later(tmp_path: Path) -> None:
    """A value with a high step, before which the training was not yet where it goes on, is not later."""
    write(tmp_path, [("loss", 1), ("samples", 64), ("loss", 2), ("samples", 128), ("loss", 3), ("samples", 192)])
    assert Written({"loss": 3, "samples": 64}, 65, is_beyond=True) == written(tmp_path, 2)


def test_names_that_count_epochs_do_not_hide_what_is_later(tmp_path: Path) -> None:
    """The low steps of names that count epochs do not make the iterations before them look early."""
    write(tmp_path, [*curve("loss", 10, 20), ("validation/loss", 2), *curve("loss", 30, 40), ("validation/loss", 4)])
    assert 41 == written(tmp_path, 20).end
    assert Written({"loss": 20, "validation/loss": 4}, 21, is_beyond=True) == written(tmp_path, 20, ["validation/"])


def test_what_an_earlier_restart_has_hidden_is_not_there(tmp_path: Path) -> None:
    """What an earlier restart has hidden is not there any more."""
    write(tmp_path / "first", curve("loss", 10, 20, 30))
    write(tmp_path / "second", curve("loss", 15), purge_step=11)
    for number, name in enumerate(["first", "second"]):
        [path] = (tmp_path / name).iterdir()
        path.rename(tmp_path / f"events.out.tfevents.{number}")
    assert Written({"loss": 15}, 16, is_beyond=False) == written(tmp_path, 15)


def test_a_second_training_from_the_start_counts_by_itself(tmp_path: Path) -> None:
    """The last value of a name is the one that was written last, where a training was begun again."""
    write(tmp_path, curve("loss", 10, 20, 30, 10, 15))
    assert {"loss": 15} == written(tmp_path, 15).last


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
