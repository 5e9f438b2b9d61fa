"""A saveable engine gives and takes its state, and that of what acts on it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ignite_signals.engine import state_dict as saved
from ignite_signals.engine.observable import Observable
from ignite_signals.engine.place import epochs_and_batches
from ignite_signals.engine.requests import Stoppable
from ignite_signals.engine.stateful import Registered, Stateful, load_attached, registered

if TYPE_CHECKING:
    from ignite_signals.engine.place import Place
    from ignite_signals.engine.state import State

__all__ = ["Saveable"]


class Saveable(Observable, Stoppable):
    """Save and load where a run is; what an `Engine` is between its runs.

    Attributes:
        state_dict_user_keys: names of attributes of the state that `state_dict` saves too.
    """

    __slots__ = ("_statefuls",)

    state_dict_user_keys: list[str]
    # What is saved with the engine though it owns no handler of it.
    _statefuls: list[Registered]
    # What runs on each batch; by an attribute `statefuls` it says what of it is saved with the engine.
    _process_function: Callable[[Any, Any], Any]
    # Where the run is, of the state that the last run moved.
    _place: Place
    _moved: State | None

    @abstractmethod
    def _set_idle(self) -> None:
        """Forget the run that is over, or paused."""

    def register_stateful(self, stateful: Stateful, name: str | None = None, weak: bool = False) -> None:
        """Save an object's state with that of the engine, and load it with it.

        What owns a handler of the engine and has `state_dict` and `load_state_dict` needs no registration.

        Args:
            stateful: an object with these two methods.
            name: tells it from others of its class; registered again, it gets the new name.
            weak: do not keep the object alive.

        Raises:
            TypeError: it lacks a method, or one asks for other arguments, or the name is no string.

        >>> from torch import nn
        >>> from ignite_signals import Engine
        >>> engine = Engine(lambda engine, batch: None)
        >>> engine.register_stateful(nn.PReLU(), name="critic")
        >>> list(engine.state_dict()["attached"])
        ['PReLU:critic']
        """
        entry = registered(stateful, name, weak)
        living = [(each, each.get()) for each in self.registered_statefuls()]
        if weak and name is None and any(known is stateful for _, known in living):
            return  # an object that registers itself leaves the user's name, and who keeps it alive, as they are
        # Nothing but this slot is touched, because a copy that is being made may register with another such copy.
        others = [each for each, known in living if known is not None and known is not stateful]
        self._statefuls = [*others, entry]

    def registered_statefuls(self) -> list[Registered]:
        """Return what was registered with `register_stateful`."""
        return getattr(self, "_statefuls", [])

    def state_dict(self) -> dict[str, Any]:
        """Return what a run needs to go on: its limits, its iteration, the counts of custom events.

        Attributes of the state that are named in `state_dict_user_keys` are added. `attached` has the states of the
        objects that act on the engine: of each that owns a handler of it, or is registered, and has a `state_dict` that
        is called without arguments. A step object lists what it owns in an attribute `statefuls`.
        """
        return saved.state_dict(self)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up a state that was saved, so that the next run goes on from it.

        Args:
            state_dict: `epoch_length`, one of `iteration` and `epoch` (how many are done), one of
                `max_epochs` and `max_iters`, and what `state_dict_user_keys` names. Counts that are
                absent are 0.

        Raises:
            TypeError: it is not a mapping.
            ValueError: a key is missing, contradicts another or has no number; nothing was changed.
            RuntimeError: a run is under way, beyond STARTED.
            Exception: what the `load_state_dict` of an attached object raises. The engine has its state then, and so
                have the objects before; load a whole state before the run goes on.

        Warns of states of which nothing is attached, and of what is attached and has no state there.

        >>> from ignite_signals import Engine
        >>> engine = Engine(lambda engine, batch: None)
        >>> engine.load_state_dict({"epoch": 3, "max_epochs": 5, "epoch_length": 10})
        >>> engine.run(range(10)).iteration
        50
        """
        if self._running and self._phase != "starting":
            raise RuntimeError(f"{self!r} is running: load a state before the run, or at STARTED")
        taken = saved.load_state_dict(self, state_dict)
        if not self._running:
            self._set_idle()
            self._place.is_loaded = True
        self._place.position = taken
        self._place.ending = state_dict.get("place", {}).get("terminate_epoch", False)
        load_attached(self, state_dict.get("attached", {}))

    def place(self) -> tuple[int, int]:
        """Return how many epochs are complete, and how many batches were taken of the next one."""
        state = self.state
        if state is self._moved or self._place.is_loaded:
            return self._place.reached(state)
        return epochs_and_batches(state.iteration, state.epoch_length)

    def is_ending_epoch(self) -> bool | str:
        """Tell whether the epoch under way is to end before its time: what `terminate_epoch` has asked for."""
        is_asked = self._running and self._phase == "epoch" and self.should_terminate_single_epoch
        return self._place.ending or is_asked
