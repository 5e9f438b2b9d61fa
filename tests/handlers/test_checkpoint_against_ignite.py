"""Checkpoint saves, names and keeps what Ignite's does, wherever that is right."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals import Engine, Events
from ignite_signals.handlers import BaseSaveHandler, Checkpoint, DiskSaver

ignite_engine, theirs = pytest.importorskip("ignite.engine"), pytest.importorskip("ignite.handlers.checkpoint")


class Thing:
    def state_dict(self) -> dict[str, Any]:
        return {"a": 1}


def recording(base: type) -> tuple[Any, list[tuple[Any, ...]]]:
    """Return a save handler, and what it is called with."""
    calls: list[tuple[Any, ...]] = []

    class Recorder(base):  # type: ignore[misc]
        def __call__(self, checkpoint: Any, filename: str, metadata: Any = None) -> None:
            calls.append(("save", filename, dict(metadata), checkpoint))

        def remove(self, filename: str) -> None:
            calls.append(("remove", filename))

    return Recorder(), calls


def ran(library: str, scores: list[float] | None, steps: list[int] | None, **arguments: Any) -> tuple[Any, Any]:
    """Run an epoch for each score or step, and return the calls, in order of names within an epoch, and the list."""
    here = library == "ours"
    engine = (Engine if here else ignite_engine.Engine)(lambda engine, batch: None)
    events = Events if here else ignite_engine.Events
    handler, calls = recording(BaseSaveHandler if here else theirs.BaseSaveHandler)
    if scores is not None:
        arguments["score_function"] = lambda engine: scores[engine.state.epoch - 1]
    if steps is not None:
        arguments["global_step_transform"] = lambda engine, event: steps[engine.state.epoch - 1]
    checkpoint = (Checkpoint if here else theirs.Checkpoint)({"thing": Thing()}, handler, **arguments)
    epochs: list[Any] = []

    def close(engine: Any) -> None:
        epochs.append(sorted(calls, key=lambda call: call[:2]))  # who removes first, is a difference
        calls.clear()

    for epoch_completed in (checkpoint, close):
        engine.add_event_handler(events.EPOCH_COMPLETED, epoch_completed)
    if here:
        engine.remove_event_handler(close, events.EPOCH_COMPLETED)
        engine.add_event_handler(events.EPOCH_STARTED, close)
        engine.add_event_handler(events.COMPLETED, close)
    engine.run([0, 1], max_epochs=len(scores or steps or [0] * 4))
    kept = checkpoint.state_dict()["saved" if here else "_saved"]
    return epochs[1:] if here else epochs, (sorted(kept), checkpoint.last_checkpoint)


COUNTS = st.none() | st.integers(1, 4)
# Apart from each other by more than the four digits of their names.
SCORES = st.integers(-3, 3) | st.integers(-40, 40).map(lambda number: number / 8)


@settings(deadline=None)
@given(scores=st.lists(SCORES, min_size=1, max_size=10), n_saved=COUNTS, or_equal=st.booleans(), name=st.booleans())
def test_the_best_are_those_of_ignite(scores, n_saved, or_equal, name) -> None:
    """Each call saves and removes the same, and the same are kept and the best, where names have the step."""
    arguments: dict[str, Any] = {"n_saved": n_saved, "greater_or_equal": or_equal, "filename_prefix": "best"}
    if name:
        arguments["score_name"] = "acc"
    steps = list(range(len(scores)))
    assert ran("theirs", scores, steps, **arguments) == ran("ours", scores, steps, **arguments)


@settings(deadline=None)
@given(scores=st.lists(SCORES, min_size=1, max_size=10, unique=True), n_saved=COUNTS)
def test_names_without_a_step(scores, n_saved) -> None:
    """The score alone names the file, as long as no two are named alike."""
    assert ran("theirs", scores, None, n_saved=n_saved) == ran("ours", scores, None, n_saved=n_saved)


@settings(deadline=None)
@given(steps=st.lists(st.integers(0, 99), min_size=1, max_size=8, unique=True).map(sorted), n_saved=COUNTS)
def test_the_newest_are_those_of_ignite(steps, n_saved) -> None:
    """As long as steps grow."""
    assert ran("theirs", None, steps, n_saved=n_saved) == ran("ours", None, steps, n_saved=n_saved)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"filename_prefix": "p"},
        {"n_saved": None},
        {"filename_pattern": "{name}-{global_step}-{score}.{ext}"},
        {"filename_pattern": "x{filename_prefix}{score_name}{name}{global_step}.pt", "filename_prefix": "p"},
    ],
)
def test_without_scores_and_steps(arguments) -> None:
    """The iteration names the file."""
    assert ran("theirs", None, None, **arguments) == ran("ours", None, None, **arguments)


@pytest.mark.parametrize(("scores", "equal"), [([1, 2, 3], True), ([0.5], True), ([1, 1, 2], False)])
def test_a_pattern_without_what_tells_files_apart(scores, equal) -> None:
    """One file is overwritten by a better score; Ignite lets an equal one do it, too, where there is room."""
    arguments: dict[str, Any] = {"filename_pattern": "{name}.{ext}", "n_saved": 2}
    saved = [
        [call[:3] for epoch in ran(library, scores, None, **arguments)[0] for call in epoch if call[0] == "save"]
        for library in ("theirs", "ours")
    ]
    assert equal == (saved[0] == saved[1])


@pytest.mark.parametrize("ours", [Checkpoint, DiskSaver, BaseSaveHandler])
def test_the_arguments_are_those_of_ignite(ours) -> None:
    """By position and by name, with the same defaults."""
    for name in ("__init__", "__call__") if ours is not BaseSaveHandler else ("__call__", "remove"):
        expected = inspect.signature(getattr(getattr(theirs, ours.__name__), name)).parameters
        actual = inspect.signature(getattr(ours, name)).parameters
        if name == "__call__" and ours is Checkpoint:
            continue  # the payload has another name
        for parameter in expected.values():
            assert parameter.default == actual[parameter.name].default
        positions = [each.name for each in actual.values() if each.kind is not inspect.Parameter.KEYWORD_ONLY]
        assert list(expected) == positions


def test_the_public_methods_are_those_of_ignite() -> None:
    """Each can be called with the names that Ignite documents."""
    for name in ("load_objects", "reload_objects", "reset", "get_default_score_fn", "setup_filename_pattern"):
        expected = inspect.signature(getattr(theirs.Checkpoint, name)).parameters
        assert list(expected) == list(inspect.signature(getattr(Checkpoint, name)).parameters)
