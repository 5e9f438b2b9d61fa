"""The moments between the gradients of an optimizer step and the step, at which handlers may change them."""

from __future__ import annotations

from ignite_signals.engine.events import EventEnum

__all__ = ["BackpropEvents"]


class BackpropEvents(EventEnum):
    """Name the moments of every optimizer step of a supervised trainer; each counts its own occurrences.

    So what is done to gradients, to clip them, to measure them or to drop them, is a handler. Over
    accumulated gradients an optimizer step takes several iterations, and each event is sent once for
    all of them. A `torch.amp.GradScaler` has unscaled the gradients that handlers of
    BACKWARD_COMPLETED see, and must not be asked for it again.

    An engine of your own with `supervised_training_step` has these events once they are registered:
    `engine.register_events(*BackpropEvents)`.

    >>> import torch
    >>> from ignite_signals.engine import create_supervised_trainer
    >>> model = torch.nn.Linear(1, 1)
    >>> sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> trainer = create_supervised_trainer(model, sgd, torch.nn.functional.mse_loss)
    >>> @trainer.on(BackpropEvents.BACKWARD_COMPLETED)
    ... def clip(engine):
    ...     engine.state.gradient_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
    >>> @trainer.on(BackpropEvents.OPTIM_STEP_COMPLETED(every=2))
    ... def show(engine):
    ...     print("step", engine.state.optim_step_completed, "clipped:", bool(engine.state.gradient_norm > 1))
    >>> state = trainer.run([(torch.ones(4, 1), torch.full((4, 1), 100.0))] * 4)
    step 2 clipped: True
    step 4 clipped: True

    The gradients of a step can be dropped, too: after `optimizer.zero_grad()` in a handler of
    BACKWARD_COMPLETED they are None, and the optimizers of `torch.optim` leave the weights and their
    own state as they are.
    """

    BACKWARD_COMPLETED = (
        *("backward_completed", None, ()),
        "The gradients of an optimizer step are complete, and the optimizer is about to use them.",
    )
    OPTIM_STEP_COMPLETED = (
        *("optim_step_completed", None, ()),
        "The optimizer has been called, and its scaler updated, which may have left out the step.",
    )
