"""A training that is killed at any moment, and started again by the same command, loses nothing.

The program is a fork of a process that has imported everything, so that 20 kills take seconds;
`tests/proofs/kill_many.py` does the same to 500 fresh processes.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ignite_signals.engine import Engine, Events
from ignite_signals.handlers import Checkpoint, DiskSaver, resume_from
from support.digits_run import CHECKPOINTS, LOG, RESULT, Log, read_log
from support.killing import Forks, Life, Tally, differences, kill_at, kill_until_finished, run_to_the_end
from support.lost import Whole, lost

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL"),
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),
]
SEED = 0
ASYNCHRONOUS = ("--asynchronous",)
ONE = ("--n-saved", "1")
Reference = Callable[[tuple[str, ...]], tuple[Path, Life]]


@pytest.fixture(scope="module")
def forks() -> Forks:
    pytest.importorskip("sklearn")
    return Forks()


@pytest.fixture(scope="module")
def reference(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Return the folder of a run that is never killed, and what it told, by its options; it writes at once."""
    made: dict[tuple[str, ...], tuple[Path, Life]] = {}

    def get(options: tuple[str, ...]) -> tuple[Path, Life]:
        options = tuple(each for each in options if each not in ASYNCHRONOUS)
        if options not in made:
            folder = tmp_path_factory.mktemp("never-killed")
            made[options] = folder, run_to_the_end(forks, folder, options)
        return made[options]

    return get


def kill(
    forks: Forks, reference: Reference, folder: Path, options: tuple[str, ...], kills: int
) -> tuple[Tally, list[str]]:
    """Kill runs until there are enough kills, and return what was done and where they differ from the reference."""
    expected, life = reference(options)
    tally, found = Tally(saves=life.saves()), list[str]()
    chance = random.Random(f"{SEED} {options}")
    for number in range(kills):
        if tally.counted >= kills:
            break
        kill_until_finished(forks, folder / str(number), options, chance, kills - tally.counted, tally)
        found += [f"{each} (seed {SEED}, {tally})" for each in differences(expected, folder / str(number))]
    return tally, found


# The proof


@pytest.mark.parametrize(
    "options", [(), ASYNCHRONOUS, ONE, ONE + ASYNCHRONOUS], ids=lambda options: " ".join(options) or "plain"
)
def test_a_run_that_is_killed_at_random_moments_ends_as_one_that_never_was(
    forks: Forks, reference: Reference, options: tuple[str, ...], tmp_path: Path
) -> None:
    """Weights, optimizer, averages, schedule, scores, random numbers, log and files are equal to the bit.

    On the way nothing that was saved is lost or trained again, as `kill_until_finished` sees after each kill. At least
    a quarter of the kills fall between the opening of a temporary file and its renaming, and some after that, before
    the old file is removed.
    """
    tally, found = kill(forks, reference, tmp_path, options, kills=12)
    assert [] == found
    assert 12 <= tally.counted
    assert tally.counted <= 4 * tally.saving
    assert 1 <= tally.replacing


@pytest.mark.parametrize("kind", ["workers", "stateful"])
def test_so_does_one_whose_data_has_workers(forks: Forks, reference: Reference, kind: str, tmp_path: Path) -> None:
    """Two workers load the data, which is brought back by its place, or by its own state."""
    if kind == "stateful":
        pytest.importorskip("torchdata.stateful_dataloader")
    tally, found = kill(forks, reference, tmp_path, ("--data", kind), kills=2)
    assert [] == found
    assert 2 <= tally.counted


@pytest.mark.parametrize(
    ("what", "place", "options"),
    [
        ("opened", "first", ()),
        ("renaming", "last", ()),
        ("removing", "first", ASYNCHRONOUS),
        ("removing", "last", ()),
        ("removing", "last", ASYNCHRONOUS),
        ("removing", "first", ONE),
        ("removing", "last", ONE + ASYNCHRONOUS),
    ],
)
def test_so_does_one_that_is_killed_just_before_it_changes_the_folder(
    forks: Forks, reference: Reference, what: str, place: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    """The first or the last time that it opens, renames or removes a file: in the end no file is too much.

    Just before the removing of the old file is just after the renaming of the new one.
    """
    expected, life = reference(options)
    number = Counter(mark.what for mark in life.marks)[what] if place == "last" else 1
    kill_at(forks, tmp_path, options, what, number)
    assert not (tmp_path / RESULT).exists()
    run_to_the_end(forks, tmp_path, options)
    assert [] == differences(expected, tmp_path)


def test_it_goes_on_from_the_newest_which_is_not_the_last_by_name(
    forks: Forks, reference: Reference, tmp_path: Path
) -> None:
    """Of the checkpoints 99 and 102 it is 102: the first iteration of a run that goes on is always looked at."""
    expected, _ = reference(())
    kill_at(forks, tmp_path, (), "iteration", 103)
    assert {"checkpoint_99.pt": 99, "checkpoint_102.pt": 102} == Whole.of(tmp_path / CHECKPOINTS).last
    assert "103" == run_to_the_end(forks, tmp_path).told("iteration")[0].name
    assert [] == differences(expected, tmp_path)


# What the proof rests on


@pytest.fixture
def copied(reference: Reference, tmp_path: Path) -> tuple[Path, Path]:
    """A finished run and its copy, which are equal."""
    folder, _ = reference(())
    shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("marks"))
    assert [] == differences(folder, tmp_path / "copy")
    return folder, tmp_path / "copy"


@pytest.mark.parametrize("keys", [("weights", "0.weight"), ("trainer", "rng_states", "torch"), ("metrics", "running")])
def test_a_single_bit_is_a_difference(copied: tuple[Path, Path], keys: tuple[str, ...]) -> None:
    """In a weight, a random number or a metric, the smallest change is seen."""
    folder, copy = copied
    result = torch.load(copy / RESULT)
    owner = result
    for key in keys[:-1]:
        owner = owner[key]
    if isinstance(owner[keys[-1]], float):
        owner[keys[-1]] = torch.nextafter(torch.tensor(owner[keys[-1]]).double(), torch.tensor(9.0).double()).item()
    else:
        owner[keys[-1]].view(torch.uint8).view(-1)[0] ^= 1
    torch.save(result, copy / RESULT)
    assert 1 == len(differences(folder, copy))


def test_a_loss_that_was_other_at_some_time_is_a_difference(copied: tuple[Path, Path]) -> None:
    """The last entry of each iteration counts, but those before it may not differ: what is run again is equal."""
    folder, copy = copied
    entry = read_log(copy / LOG)[0]
    entries = json.dumps(entry | {"loss": "0x1p0"}).encode() + b"\n" + (copy / LOG).read_bytes()
    (copy / LOG).write_bytes(entries)
    assert 1 == len(differences(folder, copy))


@pytest.mark.parametrize("change", ["checkpoint_3.pt", ".checkpoint_3.pt.0123abcd.tmp"])
def test_a_file_too_much_is_a_difference(copied: tuple[Path, Path], change: str) -> None:
    """An old checkpoint that was never removed, or a temporary file, is seen."""
    folder, copy = copied
    (copy / CHECKPOINTS / change).touch()
    assert [f"{change} is left over"] == differences(folder, copy)


LAST, BEST = {"checkpoint_9.pt": 9, "checkpoint_12.pt": 12}, {"best_checkpoint_1_score=-0.5.pt": -0.5}


@pytest.mark.parametrize(
    ("last", "best", "renamed"),
    [
        ({}, BEST, []),
        ({"checkpoint_12.pt": 12}, BEST, []),
        ({"checkpoint_9.pt": 9, "checkpoint_6.pt": 6}, BEST, []),
        (LAST, BEST, ["checkpoint_15.pt"]),
        (LAST, {}, []),
        (LAST, BEST, ["best_checkpoint_2_score=-0.4.pt"]),
    ],
)
def test_a_checkpoint_that_is_gone_is_a_loss(last: dict[str, int], best: dict[str, float], renamed: list[str]) -> None:
    """There must be as many as are to be kept, the newest and the best of all that were saved."""
    assert [] == lost(Whole(LAST, BEST), Whole(LAST, BEST), [], 2)
    assert [] != lost(Whole(LAST, BEST), Whole(last, best), renamed, 2)


def test_a_file_that_is_not_whole_or_not_of_its_name_is_a_loss(copied: tuple[Path, Path]) -> None:
    """No checkpoint may be damaged at any moment, and each is of the iteration that it is named by."""
    _, copy = copied
    folder = copy / CHECKPOINTS
    (folder / "checkpoint_111.pt").rename(folder / "checkpoint_110.pt")
    content = (folder / "checkpoint_108.pt").read_bytes()
    (folder / "checkpoint_108.pt").write_bytes(content[:-100])
    whole = Whole.of(folder)
    assert {} == whole.last
    assert {"checkpoint_108.pt", "checkpoint_110.pt"} == {each.partition(":")[0] for each in whole.damaged}
    assert whole.damaged == lost(whole, whole, [], 2)


def test_a_line_that_was_cut_off_is_no_entry(tmp_path: Path) -> None:
    """Who reads the log passes over it, and who goes on writing does not append to it."""
    path = tmp_path / LOG
    Log(path).write("iteration 1", loss=1)
    path.write_bytes(path.read_bytes() + b'{"key": "iterat')
    assert [{"key": "iteration 1", "loss": 1}] == read_log(path)
    Log(path).write("iteration 2", loss=2)
    assert [1, 2] == [entry["loss"] for entry in read_log(path)]


# Promises that the proof needs, in one process


class Hoarder(DiskSaver):
    """As if it were killed each time before it removes a file."""

    def remove(self, filename: str) -> None:
        pass


def trainer_of(folder: Path | DiskSaver, *, asynchronous: bool = False) -> tuple[Engine, Checkpoint]:
    trainer = Engine(lambda engine, batch: None)
    checkpoint = Checkpoint({"trainer": trainer}, folder, n_saved=2, asynchronous=asynchronous)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, checkpoint)
    return trainer, checkpoint


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_count_of_saved_checkpoints_goes_on(tmp_path: Path, asynchronous: bool) -> None:
    """A file is counted in its own state, since whoever goes on from it is not told of it again."""
    trainer, _ = trainer_of(tmp_path, asynchronous=asynchronous)
    trainer.run([0, 1], max_epochs=2)
    resumed, checkpoint = trainer_of(tmp_path, asynchronous=asynchronous)
    checkpoint.resume_from()
    assert 4 == trainer.state.saved_checkpoint == resumed.state.saved_checkpoint
    resumed.run([0, 1], max_epochs=3)
    assert 6 == resumed.state.saved_checkpoint


def test_a_list_of_what_is_kept_promises_no_file_that_is_still_to_come(tmp_path: Path) -> None:
    """Another checkpoint is saved while the best is being written: its list of them waits until the best is there.

    Else a run that is killed before that, and goes on from the other one, believes that the best was kept.
    """
    begun, may_write = threading.Event(), threading.Event()

    class Slow(DiskSaver):
        def __call__(self, *checkpoint: Any) -> None:
            begun.set()
            may_write.wait()
            super().__call__(*checkpoint)

    trainer = Engine(lambda engine, batch: None)
    best = Checkpoint(
        {"model": nn.Linear(1, 1)}, Slow(tmp_path), score_function=lambda _: 1.0, asynchronous=True, filename_prefix="b"
    )
    there: list[bool] = []

    @trainer.on(Events.EPOCH_COMPLETED)
    def look() -> None:
        begun.wait()
        threading.Timer(0.1, may_write.set).start()
        there.extend((tmp_path / name).exists() for _, name in best.state_dict()["saved"])

    trainer.add_event_handler(Events.ITERATION_COMPLETED, best)
    trainer.run([0])
    assert [True] == there


def test_what_a_killed_run_had_no_time_to_remove_is_removed_when_it_goes_on(tmp_path: Path) -> None:
    """The last save of a training has no successor that would remove it."""
    trainer, _ = trainer_of(Hoarder(tmp_path))
    trainer.run([0], max_epochs=3)
    assert {f"trainer_{step}.pt" for step in (1, 2, 3)} == {path.name for path in tmp_path.iterdir()}
    _, resumed = trainer_of(tmp_path)
    resumed.resume_from()
    assert {"trainer_2.pt", "trainer_3.pt"} == {path.name for path in tmp_path.iterdir()}
    assert [(2, "trainer_2.pt"), (3, "trainer_3.pt")] == resumed.state_dict()["saved"]


def test_nothing_is_removed_by_whoever_only_loads(tmp_path: Path) -> None:
    """Neither a list that is loaded nor the function `resume_from` removes a file."""
    trainer, _ = trainer_of(Hoarder(tmp_path))
    trainer.run([0], max_epochs=3)
    other, _ = trainer_of(tmp_path)
    assert tmp_path / "trainer_3.pt" == resume_from(tmp_path, {"trainer": other})
    assert 3 == len(list(tmp_path.iterdir()))
