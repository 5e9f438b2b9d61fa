"""Checkpoint: save what a run needs to go on, and keep the newest or the best."""

from __future__ import annotations

import logging
import os
import re
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from ignite_signals.distributed import get_rank, get_world_size
from ignite_signals.engine import Engine, EventEnum, Events
from ignite_signals.engine.callables import check_callable
from ignite_signals.engine.integers import integer
from ignite_signals.engine.limits import stack_level
from ignite_signals.handlers import loading
from ignite_signals.handlers.background import Background
from ignite_signals.handlers.checkpoint_name import CheckpointName, default_pattern
from ignite_signals.handlers.disk_saver import BaseSaveHandler, DiskSaver, check_file_name
from ignite_signals.handlers.kept import Item, Kept
from ignite_signals.handlers.resuming import resume_newest
from ignite_signals.handlers.scores import is_finite, metric_score, number
from ignite_signals.handlers.snapshot import snapshot
from ignite_signals.handlers.writing import SaveHandler, Unremoved, Write, made_save_handler

if TYPE_CHECKING:
    from ignite_signals.engine.events import Event

__all__ = ["BaseSaveHandler", "Checkpoint", "CheckpointEvents", "DiskSaver", "ModelCheckpoint"]

# A run ends with one of these; what is being written is waited for.
_ENDS = (Events.TERMINATE, Events.COMPLETED, Events.INTERRUPT, Events.EXCEPTION_RAISED)


class CheckpointEvents(EventEnum):
    """Name what a `Checkpoint` tells; every engine knows it, before the first save too."""

    SAVED_CHECKPOINT = "saved_checkpoint", None, (), "A `Checkpoint` of this engine has a new file in its place."

    @property
    def registers_itself(self) -> bool:
        return True


class Checkpoint:
    """Save objects at an event, and keep the newest checkpoints, or the best.

    Add it to an engine: `trainer.add_event_handler(Events.EPOCH_COMPLETED, checkpoint)`. It is called after the other
    handlers of its event, so that what they did is saved. What acts on a trainer is saved with it (see
    `Engine.register_stateful`): `to_save` needs the model, the optimizer and the trainer. The handler itself is saved
    with each engine in `to_save`, so that a resumed run goes on to remove the oldest or the worst.

    A file is written beside its place and moved into it, and only then an old one is removed: no moment is without a
    whole checkpoint. Files are named `{filename_prefix}_{name}_{global_step}_{score_name}={score}.pt`, less what is
    not given; the name is that of the only object, or "checkpoint".

    Without a score each checkpoint is saved, and the newest are kept. With one a checkpoint is saved if it is better
    than the worst that is kept. A score that is not finite is refused with a warning.

    Added to EXCEPTION_RAISED it saves and lets the exception go on. It never counts as having dealt with it.

    Args:
        to_save: the objects by name, each with `state_dict`. Of a parallel model its module is saved.
        save_handler: the folder, or what is called with `(checkpoint, filename, metadata)`, a `BaseSaveHandler` as a
            rule. A folder may have checkpoints already; `DiskSaver(folder)` refuses them.
        filename_prefix: how the names begin; also the handler's name among what is saved with an engine.
        score_function: returns the score of the engine that it is called with; larger is better.
        score_name: the score's name in the file name; without a `score_function`, the metric that is the score.
        n_saved: how many to keep; None for all.
        global_step_transform: called with `(engine, event)`, returns the step for the name. By default the iteration,
            where there is no score. `global_step_from_engine(trainer)` for a handler of an evaluator.
        filename_pattern: how to make the names, of `{filename_prefix}`, `{name}`, `{global_step}`, `{score_name}`,
            `{score}` and `{ext}`.
        include_self: save the handler's own state, too, as "checkpointer".
        greater_or_equal: save a score that equals the worst that is kept, too.
        save_on_rank: the process that saves, of several.
        archived: without effect, as all files are archives.
        asynchronous: copy the tensors, and let a thread write them while the training goes on. A failure is raised at
            the next save or at the end of the run, and all is written before the run returns.

    Attributes:
        last_checkpoint: the newest checkpoint, or the best: the path of the file where it is saved to a folder, else
            the name; None before the first.

    Raises:
        TypeError: an object has no `state_dict`, or an argument is of another kind.
        ValueError: a name has separators of paths, a number is out of range, or a pattern has unknown parts.

    >>> import os, tempfile
    >>> from torch import nn
    >>> trainer, folder = Engine(lambda engine, batch: None), tempfile.TemporaryDirectory()
    >>> checkpoint = Checkpoint({"model": nn.Linear(2, 2), "trainer": trainer}, folder.name, n_saved=2)
    >>> handle = trainer.add_event_handler(Events.EPOCH_COMPLETED, checkpoint)
    >>> state = trainer.run(range(10), max_epochs=4)
    >>> sorted(os.listdir(folder.name)), checkpoint.last_checkpoint.name
    (['checkpoint_30.pt', 'checkpoint_40.pt'], 'checkpoint_40.pt')
    >>> folder.cleanup()
    """

    SAVED_CHECKPOINT = CheckpointEvents.SAVED_CHECKPOINT

    # After everybody else, so that all that the event brought about is saved; with a score, one before the others.
    priority = -200

    # An exception that it was added to save at is dealt with by others, or leaves the run.
    only_watches = True

    def __init__(
        self,
        to_save: Mapping[str, Any],
        save_handler: str | os.PathLike[str] | SaveHandler,
        filename_prefix: str = "",
        score_function: Callable[[Engine], Any] | None = None,
        score_name: str | None = None,
        n_saved: int | None = 1,
        global_step_transform: Callable[[Engine, Event | None], int] | None = None,
        filename_pattern: str | None = None,
        include_self: bool = False,
        greater_or_equal: bool = False,
        save_on_rank: int = 0,
        *,
        archived: bool = False,
        asynchronous: bool = False,
    ) -> None:
        self.include_self = include_self
        self._check_to_save(to_save)
        for name, function in (("score_function", score_function), ("global_step_transform", global_step_transform)):
            if function is not None:
                check_callable(name, function)
        if archived:
            message = "archived has no effect: every checkpoint is an archive; leave it out"
            warnings.warn(message, stacklevel=stack_level())
        scored, stepped = bool(score_function or score_name is not None), global_step_transform is not None
        self._name = CheckpointName(filename_prefix, score_name, filename_pattern, scored, stepped)
        self._kept = Kept(n_saved, scored, greater_or_equal)
        self.score_function = score_function or (metric_score(score_name) if score_name is not None else None)
        self.global_step_transform = global_step_transform
        self.save_on_rank = integer("save_on_rank", save_on_rank, 0)
        if not isinstance(asynchronous, bool):
            raise TypeError(f"asynchronous must be True or False, got {asynchronous!r}")
        self.asynchronous = asynchronous
        self.logger = logging.getLogger(f"{__name__}.{type(self).__qualname__}")
        self._background = Background()
        # The checkpoint that is being written; None: there is none.
        self._saving: _Saving | None = None
        self._saves_first = True
        # Last, because this may make a folder.
        self.save_handler = made_save_handler(save_handler, self.save_on_rank)
        self._follow(to_save)

    def _check_to_save(self, to_save: Mapping[str, Any]) -> None:
        """Refuse objects that cannot be saved, or not under their names."""
        loading.check_objects("to_save", to_save, "state_dict")
        if not to_save:
            raise ValueError("to_save must have an object to save, got none: give {'model': model}, for example")
        for name in to_save:
            check_file_name("to_save", name)
        if self.include_self and "checkpointer" in to_save:
            raise ValueError("to_save must not have 'checkpointer' with include_self, whose name it is; choose another")

    def _follow(self, to_save: Mapping[str, Any]) -> None:
        """Take what is to be saved, and be saved with the engines whose training it is about."""
        self.to_save = to_save
        if self.score_function is not None or not any(isinstance(each, Engine) for each in to_save.values()):
            # Before the checkpoints that have the trainer, whose files then have the new list of this one.
            self.priority = type(self).priority + 1
        for engine in self._engines():
            engine.register_stateful(self, weak=True)
            engine.register_events(self.SAVED_CHECKPOINT)  # now, to have a count that can be loaded

    def _warn_of_rivals(self, engine: Engine) -> None:
        """Warn of a handler of the engine that saves under the same names, and would remove files of this one."""
        for other in (entry.get() for entry in engine.registered_statefuls()):
            if isinstance(other, Checkpoint) and self._is_rival(other) and engine.has_event_handler(other):
                warnings.warn(
                    f"{self!r} saves under the names of another Checkpoint, and each would remove the other's files: "
                    "give each a filename_prefix of its own",
                    stacklevel=stack_level(),
                )

    def _is_rival(self, other: Checkpoint) -> bool:
        folder, others = (getattr(each.save_handler, "dirname", None) for each in (self, other))
        alike = self._kept.scored == other._kept.scored and (self._kept.n_saved or other._kept.n_saved)
        if other is self or folder is None or folder != others or not alike or not other.to_save:
            return False
        return self._form() == other._form()

    def _engines(self) -> Iterator[Engine]:
        """Yield the engines that are saved, and the one that tells the step."""
        for each in (*self.to_save.values(), getattr(self.global_step_transform, "engine", None)):
            if isinstance(each, Engine):
                yield each

    @property
    def state_name(self) -> str | None:
        """The name among what is saved with an engine: the prefix, or else the score's name."""
        return self._name.prefix or self._name.score_name or ("score" if self._kept.scored else None)

    @property
    def last_checkpoint(self) -> str | Path | None:
        """The newest checkpoint, or the best one that is kept: its path, or its name where there is no folder."""
        ranked = self._kept.ranked()
        if not ranked:
            return None
        name, saver = ranked[-1].filename, self.save_handler
        return saver.dirname / name if isinstance(saver, DiskSaver) else name

    # Saving

    def __call__(self, engine: Engine, *_: Any, **__: Any) -> None:
        """Save the objects, unless the score is too low; what the event sends is of no account.

        Raises:
            OSError: the disk is full, for example; what was saved before stays.
        """
        self._settle()
        if self._is_spoiled(engine):
            return
        item = self._candidate(engine)
        if item is not None and self._kept.wants(item):
            self._save(engine, item)

    def _is_spoiled(self, engine: Engine) -> bool:
        """Tell whether `TerminateOnNan` has ended the training, whose weights are not to replace the last good ones."""
        for each in (engine, *self._engines()):
            # That of a former run may still be there, or of a state that another one was loaded over.
            found = getattr(each.state, "not_finite_at", None) == each.state.iteration
            if found and (each.should_terminate or not each.is_under_way):
                warnings.warn(
                    f"no checkpoint is saved: TerminateOnNan has found NaN or infinity at iteration "
                    f"{each.state.not_finite_at} of {each!r}",
                    stacklevel=stack_level(),
                )
                return True
        return False

    def _candidate(self, engine: Engine) -> Item | None:
        """Return what a checkpoint would be called and ranked by; None where its score is refused."""
        score = None
        if self.score_function is not None:
            score = number("score_function must return", self.score_function(engine))
            if not is_finite(score):
                self._refuse(score, engine)
                return None
        step = self._global_step(engine)
        priority = number("global_step_transform must return", step) if score is None else score
        return Item(priority, self._name.file(self._object_name(self._objects()), step, score))

    def _global_step(self, engine: Engine) -> Any:
        if self.global_step_transform is None:
            return engine.state.iteration
        return self.global_step_transform(engine, engine.last_event_name)

    def _refuse(self, score: float, engine: Engine) -> None:
        warnings.warn(
            f"no checkpoint is saved: the score is {score} at iteration {engine.state.iteration} of {engine!r}, which "
            "is never better than another",
            stacklevel=stack_level(),
        )

    def _save(self, engine: Engine, item: Item) -> None:
        """Write a checkpoint, then remove what is too much, then tell.

        The list that is saved has all files that are there when the new one is in its place. So a run that is killed
        before an old one is removed does so after it was resumed.
        """
        waits = self._waits_for_it(engine)
        if self._saves_first:
            self._saves_first = False
            self._warn_of_rivals(engine)
        self._saving = _Saving(
            *(self._kept.items, weakref.ref(engine), None if waits is None else weakref.ref(waits)),
            *(item, self._stamp(item)),
        )
        try:
            self._kept.add(item)
            write = self._prepared(item, in_background=waits is not None)
            if waits is not None:
                self._background.start(write)
                self._be_told_of_ends(waits)
                return
            unremoved = write()
        except BaseException:
            if not self._background.is_busy:
                self._give_up()
            raise
        self._conclude(unremoved)

    def _stamp(self, item: Item) -> tuple[int, int] | None:
        """Return what tells one file of a name from another that is put in its place."""
        if not isinstance(self.save_handler, DiskSaver):
            return None
        try:
            found = (self.save_handler.dirname / item.filename).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _waits_for_it(self, engine: Engine) -> Engine | None:
        """Return the engine whose run is to end only when the background has written; None: write at once.

        A run that this one is inside of, such as that of the trainer around an evaluator's, goes on the longest.
        """
        if not self.asynchronous:
            return None
        others = [each for each in self._engines() if each is not engine]
        return next((each for each in (*others, engine) if _is_under_way(each)), None)

    def _be_told_of_ends(self, engine: Engine) -> None:
        for event in _ENDS:
            engine.signal(event).connect(self._settle_at_end, priority=self.priority - 1)

    def _settle_at_end(self, engine: Engine, **_: Any) -> None:
        """Let a run end only when all is written."""
        if self._saving is not None and self._saving.waits is not None and self._saving.waits() is engine:
            self._settle()

    def _prepared(self, item: Item, in_background: bool) -> Callable[[], list[Unremoved]]:
        """Collect the states, on all processes, and return what writes them, which one process does."""
        states = self._collected()
        if self.save_on_rank >= get_world_size():
            raise ValueError(f"save_on_rank must be the rank of a process, got {self.save_on_rank}: nobody would save")
        if get_rank() != self.save_on_rank:
            return list  # there is nothing to do, and nothing that cannot be removed
        if in_background:
            states = snapshot(states)
        name = self._name.base(self._object_name(self._objects()))
        metadata = {"basename": name, "score_name": self._name.score_name, "priority": item.priority}
        return Write(self.save_handler, states, item.filename, metadata, self._kept.superseded())

    def _collected(self) -> Any:
        """Return the states of the objects, or the state of the only one."""
        states = {name: _state(stateful, self.save_on_rank) for name, stateful in self._objects().items()}
        for name, stateful in self._objects().items():
            if self._saving is not None and stateful is self._saving.engine():
                _count_as_told(states[name])
        return next(iter(states.values())) if len(states) == 1 else states

    def _objects(self) -> dict[str, Any]:
        return {**self.to_save, "checkpointer": self} if self.include_self else dict(self.to_save)

    @staticmethod
    def _object_name(objects: Mapping[str, Any]) -> str:
        return next(iter(objects)) if len(objects) == 1 else "checkpoint"

    def _settle(self) -> None:
        """Wait until the background has written what it is at."""
        if self._saving is None:
            return
        try:
            unremoved = self._background.wait()
        except BaseException:
            if not self._background.is_busy:  # else nothing failed but the waiting
                self._give_up()
            raise
        self._conclude(unremoved)

    def _give_up(self) -> None:
        """Go back to the list as it was before, unless the new file was in its place already, as at a Ctrl-C."""
        saving, self._saving = self._saving, None
        if saving is not None and self._stamp(saving.item) in (None, saving.stamp):
            self._kept.items = saving.before

    def _conclude(self, unremoved: list[Unremoved]) -> None:
        """Take note of what was removed, and tell that the new checkpoint is in its place."""
        saving, self._saving = self._saving, None
        assert saving is not None
        left = {each.item for each in unremoved}
        self._kept.drop(each for each in self._kept.superseded() if each not in left)
        self.logger.debug("saved %s", self._kept.items[-1].filename)
        for each in unremoved:
            warnings.warn(str(each), stacklevel=stack_level())
        engine = saving.engine()
        if engine is not None:
            engine.fire_event(self.SAVED_CHECKPOINT)

    # Loading

    @staticmethod
    def load_objects(to_load: Mapping[str, Any], checkpoint: str | os.PathLike[str] | Any, **kwargs: Any) -> None:
        """Give objects the states of a checkpoint.

        A file's checksum is verified, and `weights_only` loads it, so that it cannot run code. Names, the shapes of
        models and the states of optimizers are looked at before anything is changed; what was loaded is put back where
        something else refuses.

        Args:
            to_load: the objects by name.
            checkpoint: the path of a file, or the states by name; for a single object, maybe its state itself.
            kwargs: passed on to the models, `strict=False` for example.

        Raises:
            FileNotFoundError: there is no such file.
            DamagedCheckpointError: the file is cut short, or changed.
            pickle.UnpicklingError: it holds what might run code.
            TypeError: an object has no `load_state_dict`.
            ValueError: the checkpoint lacks an object, or has other shapes.

        >>> import torch
        >>> model = torch.nn.Linear(2, 1)
        >>> Checkpoint.load_objects({"model": model}, {"model": {"weight": torch.ones(1, 2), "bias": torch.zeros(1)}})
        >>> model.weight.tolist()
        [[1.0, 1.0]]
        """
        loading.load(to_load, checkpoint, **kwargs)

    def reload_objects(
        self, to_load: Mapping[str, Any], load_kwargs: Mapping[str, Any] | None = None, **filename_components: Any
    ) -> None:
        """Give objects the states of a checkpoint of this handler, which is found by the parts of its name.

        Args:
            to_load: the objects by name.
            load_kwargs: passed on to the models.
            filename_components: `name`, `global_step` and `score`, as far as they differ from the handler's own.

        Raises:
            TypeError: the handler does not save to a folder.
            FileNotFoundError: there is no such file.
        """
        folder = self._folder("reload_objects")
        parts = {"name": self._object_name(self._objects() or to_load), "global_step": None, "score": None}
        if unknown := filename_components.keys() - parts.keys():
            raise TypeError(f"filename_components must be name, global_step and score, got {sorted(unknown)}")
        loading.load(to_load, folder / self._name.file(**parts | filename_components), **(load_kwargs or {}))

    def resume_from(self, folder: str | os.PathLike[str] | None = None) -> Path | None:
        """Load the newest whole checkpoint of these objects; see the function `resume_from`.

        Args:
            folder: by default the one that the handler saves to.

        Returns:
            the file that was loaded; None where there is none, and the training begins.
        """
        if not self.to_save:
            raise ValueError(f"{self!r} does not know its objects yet: give them to resume_from(folder, to_load)")
        own = self.save_handler.dirname if isinstance(self.save_handler, DiskSaver) else None
        folder = Path(self._folder("resume_from") if folder is None else folder).expanduser()
        path = resume_newest(folder, self._objects(), self._is_own)
        if own is not None and path is not None:
            self._take_over(path.parent.resolve() == own.resolve())
        return path

    def _take_over(self, is_own: bool) -> None:
        """Remove what a killed program had no time to remove; files of another folder are none of its own."""
        if is_own:
            Write.remove(self.save_handler, self._kept.superseded() if get_rank() == self.save_on_rank else [])
            self._kept.drop(self._kept.superseded())
        else:
            self._kept.items = []

    def _form(self) -> str:
        return self._name.form(self._object_name(self._objects()))

    def _folder(self, method: str) -> Path:
        if not isinstance(self.save_handler, DiskSaver):
            raise TypeError(f"save_handler must be a folder or a DiskSaver for {method}, got {self.save_handler!r}")
        return self.save_handler.dirname

    get_default_score_fn = staticmethod(metric_score)
    setup_filename_pattern = staticmethod(default_pattern)

    # State

    def reset(self) -> None:
        """Forget what was saved, before an engine begins another training; the files stay."""
        self._settle()
        self._kept.items = []

    def state_dict(self) -> dict[str, Any]:
        """Return the list of what is kept: pairs of the score or step and the file name.

        What the background is writing is waited for: else the list, saved by another handler, might promise a file
        that never comes if the program is killed, and the best one would be lost.
        """
        self._background.join()
        return {"saved": self._kept.state()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a list of what is kept, less the files that are not there any more.

        Files with names that are not of this handler's form are left alone, with a warning: they are of another one.

        Raises:
            TypeError: it is not a mapping, or the list no list of pairs.
            ValueError: there is no list.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict must be a mapping, as Checkpoint.state_dict() returns, got {state_dict!r}")
        saved = state_dict.get("saved", state_dict.get("_saved"))  # PyTorch-Ignite's key
        if saved is None:
            raise ValueError(f"state_dict must have 'saved', got {list(state_dict)}")
        self._settle()
        self._kept.load(saved, self._may_be_there)
        self._leave_alone([item for item in self._kept.items if not self._is_own(item.filename)])

    def _is_own(self, filename: str) -> bool:
        """Tell whether a file may be of this handler, by its name; one without objects cannot know yet."""
        return not self.to_save or re.fullmatch(self._form(), filename) is not None

    def _leave_alone(self, others: list[Item]) -> None:
        if others:
            self._kept.drop(others)
            warnings.warn(
                f"{self!r} leaves checkpoints of another one alone, {', '.join(item.filename for item in others)}: "
                "give each Checkpoint a filename_prefix of its own",
                stacklevel=stack_level(),
            )

    def _may_be_there(self, filename: str) -> bool:
        """Tell whether a file is in the folder, on each process that has the folder, so that all have one list."""
        handler = self.save_handler
        if not isinstance(handler, DiskSaver) or not handler.dirname.is_dir():
            return True
        return (handler.dirname / filename).is_file()

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_saving": None}  # a copy waits for nothing

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for engine in self._engines():  # which may be being copied, too, and take no more than this
            engine.register_stateful(self, weak=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self.to_save)}, {self.save_handler!r})"


@attrs.frozen
class _Saving:
    """A checkpoint that is being written."""

    # What was kept before.
    before: list[Item]
    # Whom to tell when it is done; weak, to make no cycle.
    engine: weakref.ref[Engine]
    # Whose run ends only then; None where it is written at once.
    waits: weakref.ref[Engine] | None
    item: Item
    # What tells the file that was in its place before, if there was one.
    stamp: tuple[int, int] | None


def _state(stateful: Any, rank: int) -> Any:
    """Return an object's state; one that is spread over the processes is brought together first, on one of them."""
    gather = getattr(stateful, "consolidate_state_dict", None)  # ZeroRedundancyOptimizer's
    if callable(gather):
        gather(to=rank)
        if get_rank() != rank:
            return None
    return loading.unwrapped(stateful).state_dict()


def _count_as_told(state: Any) -> None:
    """Let an engine's state have the count that it has once it is told of this very file, in which the state is.

    Else a run would be one short of the count of SAVED_CHECKPOINT for each time that it went on from a file.
    """
    name = CheckpointEvents.SAVED_CHECKPOINT.value
    counters = state.get("counters") if isinstance(state, dict) else None
    if counters is not None:  # else of an engine that saves in a way of its own
        state["counters"] = counters | {name: counters.get(name, 0) + 1}


def _is_under_way(engine: Engine) -> bool:
    """Tell whether an engine runs and is still to send an event that ends a run."""
    return engine.is_under_way and engine.last_event_name not in _ENDS


# After Checkpoint, of which it is made; PyTorch-Ignite has both in this module.
from ignite_signals.handlers.model_checkpoint import ModelCheckpoint  # noqa: E402
