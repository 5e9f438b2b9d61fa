"""EarlyStopping: end a training that does not get better any more."""

from __future__ import annotations

import logging
import math
import weakref
from collections.abc import Callable, Mapping
from numbers import Complex, Real
from typing import TYPE_CHECKING, Any, Literal, SupportsFloat, TypeAlias

from ignite_signals.engine import Engine, Events
from ignite_signals.engine.callables import check_callable
from ignite_signals.engine.integers import integer
from ignite_signals.handlers.checks import check_engine

if TYPE_CHECKING:
    from ignite_signals.engine.events import Event, EventsList, FilteredEvent

    Listenable: TypeAlias = Event | FilteredEvent | EventsList

__all__ = ["EarlyStopping"]


class EarlyStopping:
    """End the trainer's run when the score has not improved `patience` times in a row.

    Add it to what computes the score, usually to an evaluator at `Events.COMPLETED`. It remembers the best score and
    the number of scores since then. A validation run does not reset them, and they are saved with the trainer's state.

    A decision that was saved holds. Where the patience is exhausted in the state that was loaded, a training that goes
    on from there ends before its first batch: a finished training that is started again does not go on by an epoch. To
    go on all the same, give a larger patience or call `reset` after loading.

    A score improves on the best one if it is beyond `best + threshold` (`"abs"`) or `best + threshold * |best|`
    (`"rel"`); with `mode="min"`, minus instead of plus. The first score improves on nothing. NaN never improves: it
    counts as a score without improvement, and is never the best.

    The trainer is not kept alive. Copy it together with what evaluates it, `copy.deepcopy((trainer, evaluator))`.

    Args:
        patience: how many scores without improvement end the run.
        score_function: returns the score, a number or a tensor of one element, of the engine that it is called with.
        trainer: the engine whose run ends.
        threshold: how much better a score must be to count as an improvement; not negative.
        cumulative: compare with the last score that improved. Otherwise a score that is better by less than the
            threshold does not improve, yet is the one that the next ones are compared with.
        threshold_mode: `"abs"`, or `"rel"` for a share of the best score's size.
        mode: whether a larger score is better, `"max"`, or a smaller one, `"min"`.
        min_delta: another name of `threshold`.
        min_delta_mode: another name of `threshold_mode`.
        cumulative_delta: another name of `cumulative`.

    Attributes:
        best_score: the score to be improved on; None before there was one.
        counter: how many scores there were since it last improved.

    Raises:
        TypeError: `score_function` is not callable or `trainer` no engine; or, when called, the score is no number.
        ValueError: `patience` is no positive integer, `threshold` negative or not finite, a mode unknown, or an
            argument is given under both of its names.

    >>> from ignite_signals.engine import Engine, Events
    >>> trainer = Engine(lambda engine, batch: None)
    >>> losses = iter([0.5, 0.3, 0.4, 0.3, 0.1])
    >>> evaluator = Engine(lambda engine, batch: next(losses))
    >>> stopping = EarlyStopping(2, lambda engine: engine.state.output, trainer, mode="min")
    >>> handle = evaluator.add_event_handler(Events.COMPLETED, stopping)
    >>> handle = trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: evaluator.run([0]))
    >>> state = trainer.run([0], max_epochs=10)
    >>> state.epoch, str(state.stop_reason), stopping.best_score
    (4, 'terminated', 0.3)

    Source: L. Prechelt, Early Stopping - But When?, 1998, https://doi.org/10.1007/3-540-49430-8_3
    """

    best_score: float | None
    counter: int

    def __init__(
        self,
        patience: int,
        score_function: Callable[[Engine], Any],
        trainer: Engine,
        threshold: float = 0.0,
        cumulative: bool = False,
        threshold_mode: Literal["abs", "rel"] = "abs",
        mode: Literal["min", "max"] = "max",
        min_delta: float | None = None,
        min_delta_mode: Literal["abs", "rel"] | None = None,
        cumulative_delta: bool | None = None,
    ) -> None:
        check_callable("score_function", score_function)
        if not isinstance(trainer, Engine):
            raise TypeError(f"trainer must be the Engine to stop, got {trainer!r}")
        self.patience = integer("patience", patience)
        self.score_function = score_function
        self.threshold = _not_negative(*_either("threshold", threshold, 0.0, "min_delta", min_delta))
        self.cumulative = bool(_either("cumulative", cumulative, False, "cumulative_delta", cumulative_delta)[1])
        how = _either("threshold_mode", threshold_mode, "abs", "min_delta_mode", min_delta_mode)
        self.threshold_mode = _one_of(*how, "abs", "rel")
        self.mode = _one_of("mode", mode, "min", "max")
        # Weak, since the trainer runs the evaluator that this handler belongs to, as a rule.
        self._trainer: Callable[[], Engine | None] = weakref.ref(trainer)
        self.logger = logging.getLogger(f"{__name__}.{type(self).__qualname__}")
        # Whether there may be scores of a run that is over.
        self._has_run = False
        self.reset()
        trainer.register_stateful(self, weak=True)

    @property
    def trainer(self) -> Engine | None:
        """The engine whose run ends; None when it is gone."""
        return self._trainer()

    def attach(
        self,
        engine: Engine,
        event: Listenable = Events.COMPLETED,
        reset_engine: Engine | None = None,
        reset_event: Listenable = Events.STARTED,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Look at the score at an event of an engine, and forget the scores when a training starts anew.

        A training that goes on, after an interruption or from a loaded state, keeps them. The score of the untrained
        model counts too, from before the first run or from a handler of STARTED, before which the scores are forgotten.

        Args:
            engine: what computes the score, usually an evaluator.
            event: when to look.
            reset_engine: whose event resets the handler; the trainer by default.
            reset_event: when to reset, before other handlers. At STARTED, only where there was a run before, or a
                state was loaded, and that engine has no iteration behind it.
            args, kwargs: passed on to the handler at every call, for subclasses.

        Raises:
            TypeError: `engine` or `reset_engine` is no engine.
            ValueError: the trainer is gone and no `reset_engine` is given.
        """
        check_engine(engine)
        resetting = self.trainer if reset_engine is None else reset_engine
        if resetting is None:
            raise ValueError("reset_engine must be given, as the trainer of this handler is gone")
        check_engine(resetting, "reset_engine")
        engine.add_event_handler(event, self, *args, **kwargs)
        resetting.add_event_handler(reset_event, self._start_anew)

    def __call__(self, engine: Engine) -> None:
        """Look at the score, and ask the trainer to terminate if the patience is exhausted."""
        score = _number(self.score_function(engine))
        if self._is_better(score, self.threshold):
            self.best_score, self.counter = score, 0
            return
        if not self.cumulative and self._is_better(score, 0.0):
            self.best_score = score
        self.counter += 1
        self.logger.debug("no improvement on %s: %d of %d", self.best_score, self.counter, self.patience)
        if self.counter >= self.patience:
            self._stop(score)

    def reset(self) -> None:
        """Forget all scores."""
        self.counter = 0
        self.best_score = None

    def state_dict(self) -> dict[str, Any]:
        """Return the best score and how many there were since."""
        return {"counter": self.counter, "best_score": self.best_score}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up a saved best score and counter; patience and thresholds stay as they were given.

        Where the patience is exhausted, the trainer's next run ends at STARTED if it goes on.

        Args:
            state_dict: `counter` and `best_score`, which may be None. A NaN, as PyTorch-Ignite may have saved, is
                taken for None.

        Raises:
            TypeError: it is not a mapping, or the best score is no number.
            ValueError: a key is missing, or the counter is no integer of at least 0; nothing was changed.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict must be a mapping, as EarlyStopping.state_dict() returns, got {state_dict!r}")
        if missing := {"counter", "best_score"} - set(state_dict):
            raise ValueError(f"state_dict must have {sorted(missing)}, got {list(state_dict)}")
        counter, best = integer("state_dict['counter']", state_dict["counter"], least=0), state_dict["best_score"]
        best = math.nan if best is None else _number(best, "state_dict['best_score'] must be")
        self.counter, self.best_score = counter, None if math.isnan(best) else best
        self._has_run = True
        self._hold_to_it()

    def _hold_to_it(self) -> None:
        """Look at the decision that was loaded when the trainer's next run starts."""
        trainer = self.trainer
        if trainer is None:
            return
        if trainer.is_under_way and trainer.last_event_name is Events.STARTED:  # loaded by a receiver of it
            self._end_again(trainer)
            return
        # Behind the receivers that load, reset or evaluate. Held by the trainer until then, so that copies have it.
        trainer.signal(Events.STARTED).connect(self._end_again, weak=False, priority=-1000)

    def _end_again(self, trainer: Engine) -> None:
        """End a run that goes on from where the patience was exhausted; once, as whoever runs it again means it."""
        trainer.signal(Events.STARTED).disconnect(self._end_again)
        if trainer.state.iteration and self.counter >= self.patience:
            self.logger.warning(
                "no improvement on %s in %d scores when the state was saved, the run ends before its first batch; to "
                "go on, give a larger patience or call reset() after loading",
                *(self.best_score, self.counter),
            )
            trainer.terminate(by=type(self).__name__)

    def _is_better(self, score: float, threshold: float) -> bool:
        if self.best_score is None:
            return not math.isnan(score)
        best, sign = self.best_score, 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel" and math.isfinite(best):  # inf times 0 would be NaN
            # A share of |best|: away from 0 or towards it, whatever the sign of the scores.
            bound = best * (1 + sign * math.copysign(threshold, best))
        else:
            bound = best + sign * threshold
        return score > bound if self.mode == "max" else score < bound

    def _stop(self, score: float) -> None:
        trainer = self.trainer
        if trainer is None:
            self.logger.warning("no improvement in %d scores, but the trainer to stop is gone", self.counter)
            return
        self.logger.info("no improvement on %s in %d scores, the run ends: %s", self.best_score, self.counter, score)
        trainer.terminate(by=type(self).__name__)

    def _start_anew(self, engine: Engine) -> None:
        starts = engine.last_event_name is Events.STARTED
        if not starts or (self._has_run and not engine.state.iteration):
            self.reset()
        self._has_run = True

    # Before the user's handlers, one of which may evaluate the untrained model. Only this one: the scores wait for
    # what computes them. A method has the attributes of its function, so this is the handler's priority.
    _start_anew.priority = 1000  # type: ignore[attr-defined]

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_trainer": self.trainer}

    def __setstate__(self, state: dict[str, Any]) -> None:
        trainer = state["_trainer"]
        vars(self).update(state | {"_trainer": _nothing if trainer is None else weakref.ref(trainer)})
        if trainer is not None:  # which may be half built, where it is being copied too
            trainer.register_stateful(self, weak=True)


def _nothing() -> None:
    """Stand for a reference to what is gone."""


def _either(name: str, value: Any, default: Any, alias: str, other: Any) -> tuple[str, Any]:
    """Return which of two names of an argument was used, and what was given."""
    if other is None:
        return name, value
    if value != default:
        raise ValueError(f"{name} and {alias} are one argument, got {value!r} and {other!r}: leave {alias} out")
    return alias, other


def _not_negative(name: str, value: Any) -> float:
    try:
        number = float(value) if not isinstance(value, bool) and isinstance(value, Real) else math.nan
    except OverflowError:
        number = math.inf
    if not 0 <= number < math.inf:
        raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}")
    return number


def _one_of(name: str, value: Any, *choices: str) -> str:
    if value not in choices:
        raise ValueError(f"{name} must be {' or '.join(map(repr, choices))}, got {value!r}")
    return str(value)


def _number(score: Any, role: str = "score_function must return") -> float:
    """Return a score as a float, also that of numpy or of a tensor with one element."""
    if isinstance(score, SupportsFloat) and (isinstance(score, Real) or not isinstance(score, Complex)):
        try:
            return float(score)
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:  # several elements, complex, too large
            raise TypeError(f"{role} a number, got {score!r}: {error}") from error
    raise TypeError(f"{role} a number, got {score!r}")
