"""EpochOutputStore: keep the outputs of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ignite_signals.engine import Events
from ignite_signals.engine.callables import check_callable
from ignite_signals.handlers.checks import check_engine, check_name

if TYPE_CHECKING:
    from ignite_signals.engine import Engine

__all__ = ["EpochOutputStore"]


class EpochOutputStore:
    """Keep the outputs of all iterations of an epoch, to draw or examine them when it is over.

    Memory grows with the data. The outputs are kept as they are, on their device and with their graph; choose,
    detach and move with `output_transform`. Those of an epoch that is not over are saved with the engine's state, so
    keep plain data and tensors there.

    Args:
        output_transform: makes of `engine.state.output` what to keep.

    Attributes:
        data: what was kept in this epoch, in order.
        state_name: the name it was attached with, which tells its state from that of another one; or None.

    Raises:
        TypeError: `output_transform` is not callable.

    >>> from ignite_signals.engine import Engine
    >>> evaluator = Engine(lambda engine, batch: (batch, batch % 2))
    >>> EpochOutputStore(lambda output: output[1]).attach(evaluator, "parities")
    >>> evaluator.run([3, 4, 5]).parities
    [1, 0, 1]
    """

    # As metrics do: what is stored is there before the handlers of the user's own.
    priority = 100

    def __init__(self, output_transform: Callable[[Any], Any] | None = None) -> None:
        if output_transform is not None:
            check_callable("output_transform", output_transform)
        self._output_transform = output_transform
        self.name: str | None = None
        self.state_name: str | None = None
        self._is_attached = False
        self.reset()

    def attach(self, engine: Engine, name: str | None = None) -> None:
        """Keep the outputs of an engine's epochs.

        Args:
            engine: whose outputs to keep.
            name: the attribute of `engine.state` that becomes `data` when an epoch is over; None for none. It may be
                "output", which is the last output before.

        Raises:
            TypeError: `engine` is no engine, or the name no string.
            ValueError: the name is no identifier, or that of another field or a count of the state; or it keeps the
                outputs of an engine already.
        """
        check_engine(engine)
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name must be the name of an attribute of the state, got {name!r}")
        if name is not None:
            check_name(name, engine, "output")
        if self._is_attached:
            raise ValueError(
                f"engine must be the only one that an EpochOutputStore is attached to, got {engine!r} as well"
            )
        self.name = self.state_name = name
        self._is_attached = True
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.update)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.store)

    def reset(self) -> None:
        """Begin a new list; one that was stored stays as it is."""
        self.data: list[Any] = []
        self._is_over = False

    def update(self, engine: Engine) -> None:
        """Keep the output."""
        output = engine.state.output
        self.data.append(output if self._output_transform is None else self._output_transform(output))

    def store(self, engine: Engine) -> None:
        """Give what was kept to the engine's state, where the handler was attached with a name."""
        self._is_over = True
        if self.name is not None:
            setattr(engine.state, self.name, self.data)

    def state_dict(self) -> dict[str, Any]:
        """Return what was kept of an epoch that is not over, without its graph: a run that goes on needs no more."""
        return {"data": [] if self._is_over else _without_graph(self.data)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up what was kept, so that an epoch that goes on in its middle ends with all its outputs.

        Raises:
            TypeError: it is not a mapping, or its `data` not a list.
            ValueError: there is no `data`; nothing was changed.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"state_dict must be a mapping, as EpochOutputStore.state_dict() returns, got {state_dict!r}"
            )
        if "data" not in state_dict:
            raise ValueError(f"state_dict must have 'data', got {list(state_dict)}")
        if not isinstance(state_dict["data"], list):
            raise TypeError(f"state_dict['data'] must be a list, got {state_dict['data']!r}")
        self.reset()
        self.data.extend(state_dict["data"])

    def _begin(self, engine: Engine) -> None:
        # A run that goes on inside an epoch announces it again, and has the batches that are left.
        if self._is_over or not engine.epoch_position:
            self.reset()


def _without_graph(kept: Any) -> Any:
    """Detach the tensors of an output; what is of a class of its own stays as it is."""
    if isinstance(kept, Tensor):
        return kept.detach()
    if type(kept) is dict:
        return {key: _without_graph(value) for key, value in kept.items()}
    return type(kept)(map(_without_graph, kept)) if type(kept) in (list, tuple) else kept
