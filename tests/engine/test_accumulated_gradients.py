"""Gradients that are summed over several iterations come back in a training that is resumed."""

from __future__ import annotations

import io
from functools import partial

import pytest
import torch
from torch import nn

from ignite_signals.engine import (
    DeterministicEngine,
    Engine,
    Events,
    create_supervised_trainer,
    supervised_training_step,
)
from ignite_signals.engine.accumulated_gradients import AccumulatedGradients
from support.copying import every_copy

DATA = [(torch.full((2, 1), float(n)), torch.ones(2, 1)) for n in range(1, 8)]


def of_the_factory(model, sgd, steps):
    return create_supervised_trainer(model, sgd, nn.functional.mse_loss, gradient_accumulation_steps=steps)


def of_ones_own(model, sgd, steps):
    return Engine(supervised_training_step(model, sgd, nn.functional.mse_loss, gradient_accumulation_steps=steps))


def by_a_partial(model, sgd, steps):
    step = supervised_training_step(model, sgd, nn.functional.mse_loss, gradient_accumulation_steps=steps)
    return DeterministicEngine(partial(step))


def program(steps=3, engine_of=of_the_factory):
    torch.manual_seed(0)
    model = nn.Linear(1, 1)
    sgd = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    return model, sgd, engine_of(model, sgd, steps)


def through_a_file(saved):
    file = io.BytesIO()
    torch.save(saved, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("engine_of", [of_the_factory, of_ones_own, by_a_partial])
@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_a_training_goes_on_between_two_steps_of_the_optimizer(steps, engine_of):
    """Saved after any iteration, it ends with the weights of one that was never stopped, whatever its engine."""
    model, sgd, trainer = program(steps, engine_of)
    kept = []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED,
        lambda engine: kept.append(through_a_file([each.state_dict() for each in (model, sgd, trainer)])),
    )
    trainer.run(DATA)
    for done, states in enumerate(kept, 1):
        resumed = program(steps, engine_of)
        for each, state in zip(resumed, states, strict=True):
            each.load_state_dict(state)
        resumed[2].run(DATA if engine_of is by_a_partial else [*DATA[done:], *DATA[:done]])
        torch.testing.assert_close(model.state_dict(), resumed[0].state_dict(), rtol=0, atol=0)


def test_gradients_that_nobody_needs_are_not_saved():
    """After a step of the optimizer there are none, and without accumulation never."""
    _, _, trainer = program(3)
    sizes = []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED,
        lambda engine: sizes.append(engine.state_dict()["attached"]["AccumulatedGradients"]["gradients"] is None),
    )
    trainer.run(DATA)
    assert [False, False, True, False, False, True, False] == sizes
    _, _, trainer = program(1)
    trainer.run(DATA)
    assert "attached" not in trainer.state_dict()


def test_saved_gradients_do_not_move():
    """They are copies, and so are those that were loaded."""
    weight = torch.ones(2, requires_grad=True)
    frozen = torch.ones(3, requires_grad=True)
    gradients = AccumulatedGradients(torch.optim.SGD([weight, frozen], lr=0.1))
    weight.sum().backward()
    gradients.is_under_way = True
    saved = gradients.state_dict()
    weight.grad += 1
    assert ([1, 1], None) == (saved["gradients"][0].tolist(), saved["gradients"][1])
    gradients.load_state_dict(saved)
    weight.grad += 5
    assert ([1, 1], None) == (saved["gradients"][0].tolist(), frozen.grad)


@pytest.mark.parametrize(
    ("state", "error", "said"),
    [
        (5, TypeError, "state_dict must be a mapping, got 5"),
        ({}, ValueError, "state_dict must have 'gradients', got"),
        ({"gradients": []}, ValueError, "must be of parameters of the shapes"),
        ({"gradients": [torch.ones(3)]}, ValueError, r"of the shapes \[\(2,\)\], got \[\(3,\)\]"),
    ],
    ids=str,
)
def test_gradients_of_other_parameters_are_refused(state, error, said):
    """Before anything is changed."""
    weight = torch.ones(2, requires_grad=True)
    gradients = AccumulatedGradients(torch.optim.SGD([weight], lr=0.1))
    with pytest.raises(error, match=said):
        gradients.load_state_dict(state)
    assert (None, False) == (weight.grad, gradients.is_under_way)


@every_copy
def test_a_copy_of_a_trainer_accumulates_for_itself(copied):
    """It begins without gradients, as torch copies parameters without them, and leaves the original's alone."""
    _, _, trainer = program(2)
    trainer.run(DATA[:1])
    twin = copied(trainer)
    mine, theirs = (each.state_dict()["attached"]["AccumulatedGradients"]["gradients"] for each in (trainer, twin))
    assert [None, None] == theirs
    assert all(isinstance(each, torch.Tensor) for each in mine)
    twin.run(DATA[:3])
    torch.testing.assert_close(mine, trainer.state_dict()["attached"]["AccumulatedGradients"]["gradients"])
