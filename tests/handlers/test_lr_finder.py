"""FastaiLRFinder tries rates on a trainer, and leaves no trace in it."""

from __future__ import annotations

import contextlib
import copy
import itertools
import logging
import math
import multiprocessing
import pickle
import random
import signal
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from torchdata.stateful_dataloader import StatefulDataLoader

from ignite_signals.engine import (
    BackpropEvents,
    DeterministicEngine,
    Engine,
    Events,
    create_supervised_trainer,
    supervised_training_step,
)
from ignite_signals.handlers import (
    BasicTimeProfiler,
    Checkpoint,
    DiskSaver,
    EarlyStopping,
    EMAHandler,
    HandlersTimeProfiler,
    Preemption,
)
from ignite_signals.handlers.lr_finder import FastaiLRFinder
from ignite_signals.metrics import Average, RunningAverage

INF, NAN = math.inf, math.nan


@attrs.define
class Program:
    """A training, and what it trains."""

    trainer: Engine
    model: nn.Module
    optimizer: torch.optim.Optimizer
    data: Any

    @property
    def to_save(self) -> dict[str, Any]:
        return {"model": self.model, "optimizer": self.optimizer}

    def train(self, **limits: Any) -> list[Any]:
        """Train on, and return all that there is then."""
        self.trainer.run(self.data, **limits)
        return [*values(self), self.trainer.state.output.clone(), self.trainer.state.iteration]

    def search(self, **arguments: Any) -> FastaiLRFinder:
        """Look for a rate."""
        finder = FastaiLRFinder()
        given = {"num_iter": 25, "end_lr": 0.1, "diverge_th": INF} | arguments
        with finder.attach(self.trainer, self.to_save, **given) as searching:
            searching.run(self.data)
        return finder


class Net(nn.Module):
    """Draw from all random numbers, and keep what a forward pass gave."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 1))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long), persistent=False)
        self.hidden: Any = None
        self.seen: list[float] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.hidden = x.mean()
        self.seen.append(float(self.hidden))
        noise = random.random() + np.random.rand() + torch.rand(())
        return self.layers(x) + 0.1 * noise


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=1e-3),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, nesterov=True),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=1e-3, amsgrad=True),
    "tensor-lr": lambda parameters: torch.optim.Adam(parameters, lr=torch.tensor(1e-3), foreach=False),
    "lbfgs": lambda parameters: torch.optim.LBFGS(parameters, lr=1e-3, max_iter=2),
}


def samples() -> TensorDataset:
    numbers = torch.Generator().manual_seed(3)
    x = torch.randn(40, 4, generator=numbers)
    return TensorDataset(x, x.sum(dim=1, keepdim=True))


def program(optimizer: str = "momentum", engine: type[Engine] = Engine, **loading: Any) -> Program:
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    model = Net()
    chosen = OPTIMIZERS[optimizer](model.parameters())
    if optimizer == "lbfgs":
        trainer = engine(lambda engine, batch: chosen.step(lambda: loss_of(model, chosen, batch)).detach())
    else:
        trainer = engine(supervised_training_step(model, chosen, nn.functional.mse_loss))
    return Program(trainer, model, chosen, DataLoader(samples(), batch_size=4, shuffle=True, **loading))


def loss_of(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> Tensor:
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(batch[0]), batch[1])
    loss.backward()
    return loss


def plain(value: Any) -> Any:
    """Return what can be compared, to the bit."""
    if isinstance(value, Tensor):
        return str(value.dtype), tuple(value.shape), value.detach().contiguous().numpy().tobytes()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def values(of: Program) -> list[Any]:
    """Return all that a training changes."""
    parameters = list(of.model.parameters())
    return plain(
        [
            of.model.state_dict(),
            dict(of.model.named_buffers()),
            [each.grad for each in parameters],
            [each.requires_grad for each in parameters],
            [module.training for module in of.model.modules()],
            [getattr(of.model, "hidden", None), list(getattr(of.model, "seen", []))],
            of.optimizer.state_dict(),
            random.getstate(),
            np.random.get_state(),
            torch.get_rng_state(),
        ]
    )


def identities(of: Program) -> list[int]:
    """Return which objects a program is made of."""
    state = of.optimizer.state
    tensors = [*of.model.parameters(), *of.model.buffers()]
    tensors += [each for held in state.values() for each in held.values() if isinstance(each, Tensor)]
    tensors += [group["lr"] for group in of.optimizer.param_groups]
    memory = [each.data_ptr() for each in of.model.parameters()]
    return [id(each) for each in tensors] + memory


def of_engine(engine: Engine) -> list[Any]:
    """Return all that an engine is, as it can be told from outside."""
    state = engine.state
    fields = {field.name: getattr(state, field.name) for field in attrs.fields(type(state))}
    own = fields | vars(state) | {"metrics": dict(state.metrics), "times": dict(state.times)}
    own["counters"] = dict(state.counters)
    return [
        id(state),
        plain(own),
        engine.describe(),
        plain(engine.state_dict()),
        engine.last_event_name,
        (engine.should_terminate, engine.should_interrupt, engine.should_terminate_single_epoch),
        engine.epoch_position,
    ]


# What is as before.


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_leaves_model_optimizer_and_random_numbers_as_they_were(optimizer):
    """Nothing of what a training changes is changed by a search, before the first step and in the midst."""
    new = program(optimizer)
    before = values(new), identities(new)
    new.search()
    assert before == (values(new), identities(new))
    new.train(max_iters=13)
    before = values(new), identities(new)
    new.search()
    assert before == (values(new), identities(new))


def test_a_search_does_change_what_it_leaves_as_it_was():
    """The comparison can fail: inside of the block, all of it is different."""
    new = program()
    before = values(new)
    with FastaiLRFinder().attach(new.trainer, new.to_save, diverge_th=INF) as searching:
        searching.run(new.data)
        inside = values(new)
    changed = [one != other for one, other in zip(before, inside, strict=True)]
    assert [True, True, True, False, False, True, True, True, True, True] == changed
    assert before == values(new)


class Remembering(Engine):
    """Keep losses, and an attribute that comes with the first run."""

    def __init__(self, step: Callable[[Any, Any], Any]) -> None:
        super().__init__(step)
        self.losses: list[float] = []

    def run(self, *args: Any, **kwargs: Any) -> Any:
        self.runs = getattr(self, "runs", 0) + 1
        self.losses.append(0.0)
        return super().run(*args, **kwargs)


def test_puts_back_what_an_engine_of_ones_own_keeps():
    """Attributes of a subclass are as before, and what came with the search is gone."""
    new = program(engine=Remembering)
    losses = new.trainer.losses
    new.search()
    assert ([], False) == (losses, hasattr(new.trainer, "runs"))
    new.train(max_iters=1)
    new.search()
    assert ([0.0], 1) == (losses, new.trainer.runs)
    assert new.trainer.losses is losses


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw", "tensor-lr"])
@pytest.mark.parametrize("engine", [Engine, DeterministicEngine])
def test_the_next_training_is_the_one_without_a_search(optimizer, engine):
    """A training after a search ends with the same bits as one that had none."""
    straight = program(optimizer, engine).train(max_epochs=3)
    searched = program(optimizer, engine)
    searched.search()
    assert straight == searched.train(max_epochs=3)


@pytest.mark.parametrize("engine", [Engine, DeterministicEngine])
@pytest.mark.parametrize("interrupted", [3, 10, 14])
def test_an_interrupted_training_goes_on_as_if_there_had_been_no_search(engine, interrupted):
    """A paused run keeps its place in the data, and its very next event."""

    def train(searches: bool) -> list[Any]:
        new = program(engine=engine)
        heard: list[Any] = []
        for event in Events:
            new.trainer.signal(event).connect(lambda engine, e=event, **_: heard.append(e), weak=False)
        new.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=interrupted), new.trainer.interrupt)
        new.trainer.run(new.data, max_epochs=3)
        if searches:
            before = of_engine(new.trainer), len(heard)
            new.search()
            assert before == (of_engine(new.trainer), len(heard))
        return [*new.train(), heard]

    assert train(searches=False) == train(searches=True)


@pytest.mark.parametrize("engine", [Engine, DeterministicEngine])
def test_a_loaded_training_goes_on_as_if_there_had_been_no_search(engine):
    """The state that was loaded is still loaded, and not moved, after a search."""

    def train(searches: bool) -> list[Any]:
        first, second = program(engine=engine), program(engine=engine)
        first.train(max_iters=13)
        second.model.load_state_dict(first.model.state_dict())
        second.optimizer.load_state_dict(first.optimizer.state_dict())
        second.trainer.load_state_dict(first.trainer.state_dict())
        if searches:
            before = of_engine(second.trainer)
            second.search()
            assert before == of_engine(second.trainer)
        return second.train(max_iters=27)

    assert train(searches=False) == train(searches=True)


@pytest.mark.parametrize("ending", ["completes", "diverges", "raises", "is interrupted", "is terminated", "is left"])
def test_leaves_the_engine_as_it_was_however_the_search_ends(ending):
    """State, limits, counts, times, metrics, stop reason and connections are those of before."""
    new = program()
    new.trainer.state.notes = ["a note"]
    new.trainer.register_events("custom")
    new.trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: engine.fire_event("custom"))
    Average(output_transform=lambda output: output).attach(new.trainer, "loss")
    new.train(max_epochs=2)
    before = of_engine(new.trainer), values(new)

    ends: dict[str, Callable[[Engine], Any]] = {
        "completes": lambda engine: None,
        "diverges": lambda engine: setattr(engine.state, "output", NAN),
        "raises": lambda engine: 1 / 0,
        "is interrupted": lambda engine: engine.interrupt(),
        "is terminated": lambda engine: engine.terminate(),
    }

    def end(engine: Engine) -> None:
        engine.state.notes.append("another")
        engine.fire_event("custom")
        if engine.state.iteration == 5:
            ends[ending](engine)

    try:
        with FastaiLRFinder().attach(new.trainer, new.to_save, num_iter=20, diverge_th=INF) as searching:
            handle = searching.signal(Events.ITERATION_COMPLETED).connect(end, weak=False, priority=2000)
            if ending != "is left":
                searching.run(new.data)
            else:
                raise KeyboardInterrupt
    except (ZeroDivisionError, KeyboardInterrupt):
        assert ending in ("raises", "is left")
    new.trainer.signal(Events.ITERATION_COMPLETED).disconnect(handle)
    assert before == (of_engine(new.trainer), values(new))


def test_a_second_epoch_of_a_finished_training_is_the_one_without_a_search():
    """A training that is extended after a search goes on where it was."""

    def train(searches: bool) -> list[Any]:
        new = program()
        new.train(max_epochs=2)
        if searches:
            new.search()
        return new.train(max_epochs=4)

    assert train(searches=False) == train(searches=True)


class Draws(TensorDataset):
    """Augment samples with random numbers of its own."""

    def __init__(self, source: Any) -> None:
        super().__init__(*samples().tensors)
        self.source = source

    def __getitem__(self, index: int) -> Any:
        x, y = super().__getitem__(index)
        return x + float(self.source.random()), y


@pytest.mark.parametrize("engine", [Engine, DeterministicEngine])
def test_the_data_draws_the_same_numbers_after_a_search(engine):
    """Generators of a loader, of its sampler and of its data set are put back."""

    def train(searches: bool) -> list[Any]:
        new = program(engine=engine)
        numbers = torch.Generator().manual_seed(11)
        sampler = torch.utils.data.RandomSampler(range(40), generator=torch.Generator().manual_seed(12))
        sets = [Draws(random.Random(4)), Draws(np.random.default_rng(5)), Draws(np.random.RandomState(6))]
        data = torch.utils.data.ConcatDataset([torch.utils.data.Subset(each, range(14)) for each in sets])
        new.data = DataLoader(data, batch_size=4, sampler=sampler, generator=numbers)
        if searches:
            new.search()
        return [*new.train(max_epochs=2), plain(numbers.get_state()), plain(sampler.generator.get_state())]

    assert train(searches=False) == train(searches=True)


@pytest.mark.parametrize("engine", [Engine, DeterministicEngine])
def test_workers_that_persist_begin_anew_after_a_search(engine):
    """A loader keeps no iterator of the search: the next pass draws what it would have drawn."""

    def train(searches: bool) -> list[Any]:
        new = program(engine=engine, num_workers=1, persistent_workers=True)
        if searches:
            new.search(num_iter=5)
        return new.train(max_epochs=2)

    assert train(searches=False) == train(searches=True)


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")
@pytest.mark.parametrize("engine", [Engine, DeterministicEngine])
@pytest.mark.parametrize("loader", [DataLoader, StatefulDataLoader])
@pytest.mark.parametrize("ending", ["completes", "raises"])
def test_workers_of_an_interrupted_training_keep_their_place(engine, loader, ending):
    """A search has workers of its own, which end with it; those of the paused run give the batches that are due."""

    def train(searches: bool) -> list[Any]:
        new = program(engine=engine)
        new.data = loader(samples(), batch_size=4, shuffle=True, num_workers=1, persistent_workers=True)
        # Not the trainer's own method: workers that are garbage in a cycle take torch seconds to end.
        new.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=3), lambda engine: engine.interrupt())
        new.trainer.run(new.data, max_epochs=2)
        if searches:
            workers = multiprocessing.active_children()
            with contextlib.suppress(TypeError):
                new.search(num_iter=5, output_transform=str if ending == "raises" else lambda loss: loss)
            assert set() == set(multiprocessing.active_children()) - set(workers)
        return new.train()

    assert train(searches=False) == train(searches=True)


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")
def test_a_state_that_a_loader_was_asked_for_does_not_give_the_search_its_iterator():
    """torchdata's loader makes an iterator to tell its state, and keeps it for its first pass."""

    def train(searches: bool) -> list[Any]:
        new = program()
        new.data = StatefulDataLoader(samples(), batch_size=4, shuffle=True)
        new.data.state_dict()
        if searches:
            new.search(num_iter=5)
        return new.train(max_epochs=2)

    assert train(searches=False) == train(searches=True)


class Wavering:
    """A step that owns what it changes, and has a state that its attributes do not tell."""

    def __init__(self, optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
        self.optimizer, self.model = optimizer, model
        self.statefuls = [Hidden()]

    def __call__(self, engine: Engine, batch: Any) -> Tensor:
        self.statefuls[0].count()
        loss = loss_of(self.model, self.optimizer, batch)
        self.optimizer.step()
        return loss.detach()


class Hidden:
    """Count where nobody looks, and take note of what is loaded."""

    __slots__ = ("loads", "number")

    def __init__(self) -> None:
        self.number = self.loads = 0

    def count(self) -> None:
        self.number += 1

    def state_dict(self) -> dict[str, Any]:
        return {"number": self.number, "tensor": torch.tensor([self.number])}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.number = state["number"]
        self.loads += 1


def test_puts_back_what_the_step_owns():
    """What is attached to the trainer and is known by its state alone has it loaded, where it has changed."""
    new = program()
    step = Wavering(new.optimizer, new.model)
    new.trainer = Engine(step)
    new.search()
    assert (0, 1) == (step.statefuls[0].number, step.statefuls[0].loads)
    idle = Hidden()
    new.trainer.register_stateful(idle)
    new.search()
    assert (0, 0) == (idle.number, idle.loads)


def test_puts_back_what_is_listed():
    """A scheduler that the step calls, with the rates that it had set, goes on as without a search."""

    def train(searches: bool) -> list[Any]:
        new = program()
        scheduler = torch.optim.lr_scheduler.OneCycleLR(new.optimizer, max_lr=0.1, total_steps=100)
        step = supervised_training_step(new.model, new.optimizer, nn.functional.mse_loss)

        def stepping(engine: Engine, batch: Any) -> Any:
            loss = step(engine, batch)
            scheduler.step()
            return loss

        new.trainer = Engine(stepping)
        new.train(max_iters=5)
        if searches:
            to_save = new.to_save | {"scheduler": scheduler, "trainer": new.trainer, "other": Engine(stepping)}
            with FastaiLRFinder().attach(new.trainer, to_save, num_iter=9, diverge_th=INF) as searching:
                searching.run(new.data)
        return [*new.train(max_iters=15), plain(scheduler.state_dict())]

    assert train(searches=False) == train(searches=True)


def test_puts_back_gradients_that_are_accumulated():
    """A search between two steps of the optimizer leaves the gradients that the next one uses."""

    def train(searches: bool) -> list[Any]:
        new = program()
        new.trainer = create_supervised_trainer(
            new.model, new.optimizer, nn.functional.mse_loss, gradient_accumulation_steps=4
        )
        new.train(max_iters=6)
        if searches:
            new.search()
        return new.train(max_iters=20)

    assert train(searches=False) == train(searches=True)


def test_the_trainers_handlers_are_not_called(tmp_path):
    """A search writes no checkpoint, computes no metric, sets no other rate, stops and validates nothing."""
    new = program()
    heard: list[Any] = []
    for event in Events:
        new.trainer.add_event_handler(event, lambda *_, e=event: heard.append(e))
    evaluator = Engine(lambda engine, batch: 0.0)
    stopping = EarlyStopping(1, lambda engine: 0.0, new.trainer)
    evaluator.add_event_handler(Events.COMPLETED, stopping)
    new.trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([0]))
    new.trainer.add_event_handler(Events.ITERATION_COMPLETED, Checkpoint(new.to_save, DiskSaver(tmp_path), n_saved=1))
    RunningAverage(output_transform=lambda output: output).attach(new.trainer, "loss")
    ema = EMAHandler(new.model)
    ema.attach(new.trainer)

    def set_rate(engine: Engine) -> None:
        new.optimizer.param_groups[0]["lr"] = 7.0

    new.trainer.add_event_handler(Events.ITERATION_STARTED, set_rate)
    before = of_engine(new.trainer), plain(ema.ema_model.state_dict()), of_engine(evaluator)
    new.search()
    assert before == (of_engine(new.trainer), plain(ema.ema_model.state_dict()), of_engine(evaluator))
    assert ([], [], 0) == (heard, list(tmp_path.iterdir()), stopping.counter)
    new.train(max_epochs=1)
    assert set(heard) > {Events.STARTED, Events.ITERATION_COMPLETED, Events.COMPLETED}
    assert [7.0] == [group["lr"] for group in new.optimizer.param_groups]


def test_handlers_of_what_the_step_sends_are_called():
    """Gradients are clipped in a search as in the training, as that is a part of the step."""
    new = program()
    new.trainer = create_supervised_trainer(new.model, new.optimizer, nn.functional.mse_loss)
    clipped: list[int] = []
    new.trainer.add_event_handler(BackpropEvents.BACKWARD_COMPLETED, lambda engine: clipped.append(1))
    new.search(num_iter=7)
    assert 7 == len(clipped)
    assert 0 == new.trainer.state.backward_completed


def test_handlers_that_are_added_in_the_block_are_called_and_stay():
    """A progress bar for the search is attached inside of the block."""
    new = program()
    heard: list[int] = []
    with FastaiLRFinder().attach(new.trainer, new.to_save, num_iter=5, diverge_th=INF) as searching:
        handle = searching.add_event_handler(
            Events.ITERATION_COMPLETED, lambda engine: heard.append(engine.state.iteration)
        )
        searching.run(new.data)
    assert [1, 2, 3, 4, 5] == heard
    new.train(max_iters=2)
    assert [1, 2, 3, 4, 5, 1, 2] == heard
    handle.remove()


def test_handlers_are_called_where_that_is_asked_for():
    """With `with_handlers=True` the trainer's handlers hear the search, and their states are put back."""
    new = program()
    heard: list[Any] = []
    new.trainer.add_event_handler(Events.STARTED, lambda engine: heard.append(engine.state.iteration))
    stopping = EarlyStopping(100, lambda engine: -float(engine.state.iteration), new.trainer)
    new.trainer.add_event_handler(Events.ITERATION_COMPLETED, stopping)

    def set_rate(engine: Engine) -> None:
        new.optimizer.param_groups[0]["lr"] = 7.0

    new.trainer.add_event_handler(Events.ITERATION_STARTED, set_rate)
    before = of_engine(new.trainer)
    finder = new.search(with_handlers=True, num_iter=5)
    assert [0] == heard
    assert before == of_engine(new.trainer)
    assert (0, None) == (stopping.counter, stopping.best_score)
    assert pytest.approx(0.1) == finder.get_results()["lr"][-1]


def test_what_is_registered_in_the_block_stays_registered():
    """As the handlers do that come with it."""
    new, stateful = program(), Hidden()
    with FastaiLRFinder().attach(new.trainer, new.to_save, num_iter=5, diverge_th=INF) as searching:
        searching.register_stateful(stateful)
        searching.run(new.data)
    assert ["Hidden"] == list(new.trainer.state_dict()["attached"])


def test_a_handler_that_is_removed_in_the_block_stays_removed():
    """What the user does to the trainer's handlers in the block is not undone."""
    new = program()
    heard: list[int] = []

    def first(engine: Engine) -> None:
        heard.append(1)

    def second(engine: Engine) -> None:
        heard.append(2)

    new.trainer.add_event_handler(Events.STARTED, first)
    new.trainer.add_event_handler(Events.STARTED, second)
    with FastaiLRFinder().attach(new.trainer, new.to_save) as searching:
        searching.remove_event_handler(first, Events.STARTED)
    new.train(max_iters=1)
    assert [2] == heard


def test_a_receiver_that_is_gone_in_the_block_stays_gone():
    """Weak connections are still those of their owners."""
    new = program()

    class Owner:
        calls = 0

        def hear(self, engine: Engine) -> None:
            Owner.calls += 1

    kept, gone = Owner(), Owner()
    for owner in (kept, gone):
        new.trainer.signal(Events.STARTED).connect(owner.hear)
    with FastaiLRFinder().attach(new.trainer, new.to_save):
        del gone, owner
    new.train(max_iters=1)
    assert 1 == Owner.calls


def test_a_failing_step_says_that_handlers_are_off():
    """A step that needs what a handler prepares fails with the remedy."""

    def step(engine: Engine, batch: Any) -> float:
        return float(engine.state.prepared)

    new = program()
    new.trainer = Engine(step)
    new.trainer.add_event_handler(Events.STARTED, lambda engine: setattr(engine.state, "prepared", 1.0))
    with pytest.raises(AttributeError) as caught:
        new.search()
    assert any("with_handlers=True" in note for note in caught.value.__notes__)
    assert not hasattr(new.trainer.state, "prepared")
    assert [1.0] * 25 == new.search(with_handlers=True).get_results()["loss"]
    assert not hasattr(new.trainer.state, "prepared")


def preempted(folder: Any) -> tuple[Program, Checkpoint, Preemption]:
    """Return a program that was trained and saved, and saves again when it is preempted."""
    new = program()
    last = Checkpoint(new.to_save | {"trainer": new.trainer}, DiskSaver(folder), n_saved=1)
    new.trainer.add_event_handler(Events.EPOCH_COMPLETED, last)
    preemption = Preemption(save=last)
    preemption.attach(new.trainer)
    new.train(max_epochs=1)
    return new, last, preemption


def test_a_signal_ends_a_search_and_leaves_the_checkpoint(tmp_path):
    """Nothing of the trial is saved: Ctrl-C does what it does without Preemption, and all is put back."""
    new, last, preemption = preempted(tmp_path)
    before, saved = (values(new), of_engine(new.trainer)), last.last_checkpoint
    with (
        pytest.raises(KeyboardInterrupt),
        FastaiLRFinder().attach(new.trainer, new.to_save, num_iter=20) as searching,
        searching.add_event_handler(Events.ITERATION_COMPLETED(once=3), lambda: signal.raise_signal(signal.SIGINT)),
    ):
        searching.run(new.data)
    assert before == (values(new), of_engine(new.trainer))
    assert ([saved], saved) == (list(tmp_path.iterdir()), last.last_checkpoint)
    assert preemption.signal is None


def test_signals_have_the_effect_in_a_search_that_they_have_outside_of_a_run(tmp_path):
    """They are caught again in the next run of the trainer."""
    new = preempted(tmp_path)[0]
    catchers: list[Any] = []

    def look(engine: Engine) -> None:
        catchers.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    with FastaiLRFinder().attach(new.trainer, new.to_save, num_iter=3, diverge_th=INF) as searching:
        searching.add_event_handler(Events.STARTED, look)
        searching.run(new.data)
    new.train(max_epochs=2)
    assert before == catchers[0]
    assert before != catchers[1]


def test_a_preemption_that_is_attached_in_the_block_is_heard_and_stays(tmp_path):
    """It ends the trial in order; the trainer has it once."""
    new, _, preemption = preempted(tmp_path)
    preemption.save = None
    with (
        FastaiLRFinder().attach(new.trainer, new.to_save, num_iter=20, diverge_th=INF) as searching,
        searching.add_event_handler(Events.ITERATION_COMPLETED(once=3), lambda: signal.raise_signal(signal.SIGTERM)),
    ):
        preemption.attach(searching)
        state = searching.run(new.data)
        assert ("terminated", 3, 143) == (state.stop_reason, state.iteration, preemption.exit_code)
    with pytest.raises(ValueError, match="not attached to"):
        preemption.attach(new.trainer)
    new.train(max_epochs=2)
    assert preemption.signal is None


def test_contexts_of_the_user_surround_a_search():
    """The step may need what a run was given to be inside of."""
    new, inside = program(), []
    step = supervised_training_step(new.model, new.optimizer, nn.functional.mse_loss)

    @contextlib.contextmanager
    def prepared(engine: Engine) -> Iterator[None]:
        inside.append(engine.state.iteration)
        yield
        inside.pop()

    new.trainer = Engine(lambda engine, batch: step(engine, batch) * inside[0] + 1)
    new.trainer.surround_runs(prepared)
    assert [1.0] * 25 == new.search().get_results()["loss"]
    assert [] == inside


@pytest.mark.parametrize("profiler", [BasicTimeProfiler, HandlersTimeProfiler])
@pytest.mark.parametrize("ending", ["completes", "raises"])
def test_profilers_do_not_measure_a_search(profiler, ending):
    """Their tables are those of the training, which they go on to measure."""
    new = program()
    measured = profiler()
    measured.attach(new.trainer)
    new.trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: None)
    new.train(max_iters=4)
    before = measured.get_results()
    with contextlib.suppress(TypeError):
        new.search(output_transform=str if ending == "raises" else lambda loss: loss)
    assert before == measured.get_results()
    new.train(max_iters=6)
    assert before != measured.get_results()


@pytest.mark.parametrize("attaches", [True, False])
def test_a_profiler_that_is_detached_in_the_block_stays_detached(attaches):
    """It may be attached anew, in the block or after it."""
    new, measured = program(), BasicTimeProfiler()
    measured.attach(new.trainer)
    new.train(max_iters=2)
    with FastaiLRFinder().attach(new.trainer, new.to_save, num_iter=3, diverge_th=INF) as searching:
        measured.detach()
        if attaches:
            measured.attach(searching)
        searching.run(new.data)
    before = measured.get_results()
    new.train(max_iters=4)
    assert attaches == (before != measured.get_results())
    measured.detach()
    measured.attach(new.trainer)
    new.train(max_iters=6)
    assert before != measured.get_results()


class Names:
    """Take note of which handlers are called."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def call_started(self, call: Any) -> None:
        self.heard.append(call.handler.__name__)

    def call_ended(self, call: Any, error: BaseException | None) -> None:
        pass


def test_observers_that_are_added_in_the_block_hear_and_stay():
    """Those of before hear nothing of the search, unless they are added in the block, too."""

    def counted(engine: Engine) -> None:
        pass

    new, first, second = program(), Names(), Names()
    new.trainer.add_event_handler(Events.COMPLETED, counted)
    new.trainer.observe_calls(first)
    with FastaiLRFinder().attach(new.trainer, new.to_save, num_iter=3, diverge_th=INF) as searching:
        searching.observe_calls(second)
        searching.run(new.data)
    assert ([], ["conclude"]) == (first.heard, second.heard[-1:])
    with FastaiLRFinder().attach(new.trainer, new.to_save, num_iter=3, diverge_th=INF) as searching:
        searching.observe_calls(first)
        searching.run(new.data)
    assert ["conclude"] == first.heard[-1:]
    del first.heard[:], second.heard[:]
    new.train(max_iters=1)
    assert (["counted"], ["counted"]) == (first.heard, second.heard)


def test_observers_hear_the_search_where_handlers_are_called():
    """`with_handlers=True` is for all that was added."""
    new, names = program(), Names()
    new.trainer.observe_calls(names)
    new.search(with_handlers=True, num_iter=3)
    assert "conclude" == names.heard[-1]


def stepped_by_a_handler() -> Program:
    """Return a program whose optimizer is called by a handler."""
    new = program("sgd")
    new.trainer = Engine(lambda engine, batch: loss_of(new.model, new.optimizer, batch).detach())
    new.trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: new.optimizer.step())
    return new


def test_warns_where_no_parameter_was_changed():
    """A trainer that needs a handler to train would have its rates suggested at random."""
    new = stepped_by_a_handler()
    with pytest.warns(UserWarning, match="no parameter") as caught:
        new.search(diverge_th=1e9)
    [warning] = caught
    assert (
        "no parameter of the optimizer was changed, so that the losses tell nothing of the rates: 1 handler of the "
        "trainer was not called; with_handlers=True calls it"
    ) == str(warning.message)
    assert __file__ == warning.filename
    new.search(with_handlers=True)


def test_does_not_warn_where_the_step_trains():
    """Handlers may be left out, and parameters frozen."""
    new = program()
    new.model.layers[0].weight.requires_grad_(False)
    new.trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: None)
    assert 25 == len(new.search().get_results()["lr"])


def test_says_how_many_handlers_were_left_out(caplog):
    """Whoever wonders about a result is told of the handlers that it was found without."""
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1e-3)

    def step(engine: Engine, batch: float) -> float:
        parameter.data += 1.0
        return batch

    trainer, finder = Engine(step), FastaiLRFinder()
    for event in (Events.STARTED, Events.ITERATION_COMPLETED, Events.COMPLETED(every=2)):
        trainer.add_event_handler(event, lambda: None)
    hint = "; 3 handlers of the trainer were not called; with_handlers=True calls them"
    with (
        caplog.at_level(logging.INFO),
        pytest.warns(UserWarning, match="did not diverge") as caught,
        finder.attach(trainer, {"optimizer": optimizer}) as searching,
    ):
        searching.run([1.0, 1.5, 1.8])
    assert str(caught[0].message).endswith(hint)
    assert [f"the loss did not diverge; suggested: none{hint}"] == [
        record.message.partition(", ")[2] for record in caplog.records if "suggested" in record.message
    ]
    with pytest.raises(RuntimeError) as raised:
        finder.lr_suggestion()
    assert EARLY + hint == str(raised.value)


# The rates.


def searched(losses: list[Any], groups: int = 1, **arguments: Any) -> FastaiLRFinder:
    """Return a finder that has seen these losses, one an iteration."""
    parameters = [nn.Parameter(torch.zeros(1)) for _ in range(groups)]
    optimizer = torch.optim.SGD([{"params": [each]} for each in parameters], lr=1e-3)
    trainer, finder = Engine(lambda engine, batch: batch), FastaiLRFinder()
    with finder.attach(trainer, {"optimizer": optimizer}, **arguments) as searching:
        searching.run(losses)
    return finder


def test_rates_go_from_start_to_end_by_equal_factors():
    """The first iteration has the first rate, the last one the last, and each the one that is told."""
    used = []
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.5)
    trainer, finder = (
        Engine(lambda engine, batch: used.append(optimizer.param_groups[0]["lr"]) or 1.0),
        FastaiLRFinder(),
    )
    with finder.attach(trainer, {"optimizer": optimizer}, start_lr=1e-4, end_lr=1, diverge_th=INF) as searching:
        searching.run(range(5))
    assert pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1]) == used
    assert (1e-4, 1.0) == (used[0], used[-1])
    assert used == finder.get_results()["lr"]
    assert 0.5 == optimizer.param_groups[0]["lr"]


def test_rates_go_from_start_to_end_by_equal_steps():
    """In the linear mode, too, both ends are tried."""
    finder = searched([1.0] * 5, start_lr=0.0, end_lr=1.0, step_mode="linear", diverge_th=INF)
    assert [0.0, 0.25, 0.5, 0.75, 1.0] == finder.get_results()["lr"]


def test_rates_begin_at_the_optimizers():
    """Without `start_lr` the first rate is the one that the optimizer has, be it a tensor."""
    weight = nn.Parameter(torch.zeros(1))
    rate = torch.tensor(0.25)
    optimizer = torch.optim.Adam([weight], lr=rate, foreach=False)
    trainer, finder = Engine(lambda engine, batch: float(optimizer.param_groups[0]["lr"])), FastaiLRFinder()
    with finder.attach(trainer, {"optimizer": optimizer}, end_lr=4.0, diverge_th=INF, smooth_f=0) as searching:
        searching.run(range(5))
    assert {"lr": [0.25, 0.5, 1.0, 2.0, 4.0], "loss": [0.25, 0.5, 1.0, 2.0, 4.0]} == finder.get_results()
    assert optimizer.param_groups[0]["lr"] is rate
    assert 0.25 == rate


def test_each_parameter_group_has_rates_of_its_own():
    """Several groups go between bounds of their own, and have a suggestion each."""
    finder = searched([5.0, 3.0, 2.0, 1.0, 9.0], groups=2, start_lr=[1e-4, 1e-2], end_lr=[1.0, 100.0], smooth_f=0)
    assert [pytest.approx([10.0**-4, 10.0**-2]), pytest.approx([10.0**-3, 10.0**-1])] == finder.get_results()["lr"][:2]
    assert pytest.approx([1e-3, 1e-1]) == finder.lr_suggestion()
    optimizer = torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))]} for _ in range(2)], lr=1.0)
    finder.apply_suggested_lr(optimizer)
    assert finder.lr_suggestion() == [group["lr"] for group in optimizer.param_groups]


@pytest.mark.parametrize(("length", "num_iter"), [(10, 4), (10, 10), (4, 10), (4, 4), (3, 3)])
def test_tries_as_many_iterations_as_asked_for(length, num_iter):
    """Where the data has fewer batches, it is gone through again."""
    finder = searched([1.0] * length, num_iter=num_iter, diverge_th=INF)
    assert num_iter == len(finder.get_results()["loss"])


@pytest.mark.parametrize(
    ("limits", "expected"),
    [({}, 5), ({"max_epochs": 3}, 15), ({"max_iters": 7}, 7), ({"epoch_length": 4}, 4)],
)
def test_tries_as_many_iterations_as_the_run_has(limits, expected):
    """Without `num_iter` the limits of the run count."""
    finder, trainer = FastaiLRFinder(), Engine(lambda engine, batch: 1.0)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    with finder.attach(trainer, {"optimizer": optimizer}, diverge_th=INF) as searching:
        state = searching.run(range(5), **limits)
    assert (expected, "completed") == (len(finder.get_results()["lr"]), state.stop_reason)


def test_tries_data_of_unknown_length():
    """A stream has as many iterations as are asked for."""

    class Stream(IterableDataset[Tensor]):
        def __iter__(self) -> Iterator[Tensor]:
            return iter(torch.arange(100.0))

    finder = searched(DataLoader(Stream()), num_iter=40, diverge_th=INF)
    assert 40 == len(finder.get_results()["lr"])


# The curve.


LOSSES = st.lists(st.floats(0.01, 10.0), min_size=3, max_size=40)


@given(losses=LOSSES, smooth_f=st.sampled_from([0.0, 0.05, 0.3, 0.98]), diverge_th=st.sampled_from([1.5, 3.0, 5.0]))
@settings(deadline=None)
def test_smooths_stops_and_suggests_as_ignite_does(losses, smooth_f, diverge_th):
    """On the same losses the curve is PyTorch-Ignite's, and the same iteration is suggested."""
    pytest.importorskip("ignite")
    from ignite.engine import Engine as IgnitesEngine
    from ignite.handlers import FastaiLRFinder as IgnitesFinder

    found = []
    for engine, finder in ((Engine, FastaiLRFinder()), (IgnitesEngine, IgnitesFinder())):
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1e-3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = engine(lambda engine, batch: batch)
            with finder.attach(
                trainer, {"optimizer": optimizer}, smooth_f=smooth_f, diverge_th=diverge_th, step_mode="linear"
            ) as searching:
                searching.run(losses)
        results = finder.get_results()
        try:
            suggested = results["lr"].index(finder.lr_suggestion())
        except RuntimeError:
            suggested = None
        found.append((results["loss"], suggested))
    (mine, my_index), (ignites, its_index) = found
    assert pytest.approx(ignites) == mine
    if not near_a_tie(mine):
        assert its_index == my_index


def near_a_tie(losses: list[float]) -> bool:
    """Tell whether the single precision of PyTorch-Ignite's comparisons may decide otherwise."""
    slopes = sorted(later - earlier for earlier, later in zip(losses, losses[2:], strict=False))
    ordered = sorted(losses)
    return any(other - one < 1e-4 for values in (slopes, ordered) for one, other in itertools.pairwise(values))


def test_smooths_the_losses():
    """A new loss counts as much as `smooth_f` says."""
    finder = searched([4.0, 2.0, 8.0], smooth_f=0.5, diverge_th=INF)
    assert [4.0, 3.0, 5.5] == finder.get_results()["loss"]


def test_ends_where_the_loss_diverges():
    """The loss that exceeds the best one `diverge_th` times is the last."""
    finder = searched([4.0, 2.0, 1.0, 3.0, 4.5, 1.0], smooth_f=0, diverge_th=4.0)
    assert [4.0, 2.0, 1.0, 3.0, 4.5] == finder.get_results()["loss"]


def test_negative_losses_do_not_diverge_by_falling():
    """A likelihood's loss diverges where it lies as far above the best as a positive one would."""
    finder = searched([-1.0, -2.0, -4.0, -1.0, 11.0, 12.5, 0.0], smooth_f=0, diverge_th=5.0)
    assert [-1.0, -2.0, -4.0, -1.0, 11.0, 12.5] == finder.get_results()["loss"]


@pytest.mark.parametrize("last", [NAN, INF, torch.tensor(NAN), torch.tensor([INF]), -INF])
def test_a_loss_that_is_not_finite_has_diverged(last):
    """It ends the search, whatever the threshold, and is not in the results."""
    finder = searched([4.0, 3.0, 2.0, last, 1.0], smooth_f=0, diverge_th=INF)
    assert [4.0, 3.0, 2.0] == finder.get_results()["loss"]
    assert 3 == len(finder.get_results()["lr"])


def test_says_why_a_search_ended():
    """The run's stop reason names the finder, inside of the block."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    trainer = Engine(lambda engine, batch: batch)
    with FastaiLRFinder().attach(trainer, {"optimizer": optimizer}) as searching:
        state = searching.run([1.0, 2.0, NAN])
    assert ("terminated", "FastaiLRFinder") == (state.stop_reason, state.stop_reason.by)
    assert trainer.state.stop_reason is None


def test_logs_what_it_found(caplog):
    """One line says which rates were tried, and which is suggested."""
    with caplog.at_level(logging.INFO):
        searched([5.0, 3.0, 2.0, 1.0, 30.0], start_lr=1e-4, end_lr=1.0, smooth_f=0)
    found = [record.message for record in caplog.records if "suggested" in record.message]
    assert ["Engine(<lambda>) tried 5 rates from 0.0001 to 1, the loss diverged; suggested: 0.001"] == found


def test_warns_where_the_loss_did_not_diverge():
    """The rates may have been too small; with an infinite threshold, that was asked for."""
    with pytest.warns(UserWarning, match="the loss did not diverge") as caught:
        searched([3.0, 2.0, 1.0], end_lr=0.5)
    [warning] = caught
    assert (
        "the loss did not diverge up to the last rate, 0.5, so that better ones may lie beyond: look at plot(), and "
        "give attach a larger end_lr or a smaller diverge_th"
    ) == str(warning.message)
    assert __file__ == warning.filename
    searched([3.0, 2.0, 1.0], end_lr=0.5, diverge_th=INF)


def test_reads_the_loss_of_an_output():
    """`output_transform` chooses it."""
    losses = [{"loss": torch.tensor([float(each)])} for each in (3, 2, 1)]
    finder = searched(losses, output_transform=lambda output: output["loss"], smooth_f=0, diverge_th=INF)
    assert [3.0, 2.0, 1.0] == finder.get_results()["loss"]


def test_an_interrupted_search_goes_on():
    """The curve goes on where it was."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    trainer, finder = Engine(lambda engine, batch: 1.0), FastaiLRFinder()
    with finder.attach(trainer, {"optimizer": optimizer}, diverge_th=INF) as searching:
        searching.add_event_handler(Events.ITERATION_COMPLETED(once=3), searching.interrupt)
        searching.run(range(6))
        assert 3 == len(finder.get_results()["lr"])
        searching.run()
    assert 6 == len(finder.get_results()["lr"])


def test_finds_a_rate_that_trains():
    """The suggestion for a linear regression lies where its training converges."""
    torch.manual_seed(0)
    x = torch.randn(64, 10)
    model = nn.Linear(10, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-5)
    trainer = create_supervised_trainer(model, optimizer, nn.functional.mse_loss)
    finder, data = FastaiLRFinder(), [(x, x.sum(dim=1, keepdim=True))]
    with finder.attach(trainer, {"model": model, "optimizer": optimizer}, num_iter=100) as searching:
        searching.run(data)
    finder.apply_suggested_lr(optimizer)
    trainer.run(data, max_iters=200)
    assert 1e-3 > trainer.state.output


# Several processes.


def losses_of_a_rank(rank: int, losses: list[list[float]]) -> dict[str, list[Any]]:
    return searched(losses[rank], smooth_f=0, diverge_th=4.0).get_results()


def test_processes_go_by_the_mean_of_their_losses(ranks):
    """All have the same curve, and end at the same iteration."""
    first, second = ranks.run(losses_of_a_rank, [[4.0, 2.0, 1.0, 3.0, 9.0], [2.0, 2.0, 1.0, 6.0, 9.0]])
    assert first == second
    assert [3.0, 2.0, 1.0, 4.5] == first["loss"]


def trained_on_a_rank(rank: int, searches: bool) -> list[Any]:
    torch.manual_seed(rank)
    inner = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    model = nn.parallel.DistributedDataParallel(inner)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    trainer = create_supervised_trainer(model, optimizer, nn.functional.mse_loss)
    sampler = torch.utils.data.DistributedSampler(samples(), num_replicas=2, rank=rank)
    new = Program(trainer, model, optimizer, DataLoader(samples(), batch_size=4, sampler=sampler))
    if searches:
        new.search()
    return new.train(max_epochs=2)


def test_a_parallel_training_is_the_one_without_a_search(ranks):
    """Each rank ends with the same bits as if there had been no search."""
    assert ranks.run(trained_on_a_rank, False) == ranks.run(trained_on_a_rank, True)


# Errors.

EARLY = (
    "there is no rate to suggest: the loss is lowest at iteration 1 of 3, too early for a slope; give attach a smaller "
    "start_lr, or a larger num_iter"
)

TOO_SHORT = "num_iter must be at least 3, got None and a run of 2 iterations: give num_iter, or run more data or epochs"


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"num_iter": 2}, ValueError, "num_iter must be an integer of at least 3, got 2"),
        ({"num_iter": 1.5}, ValueError, "num_iter must be an integer of at least 3, got 1.5"),
        ({"step_mode": "log"}, ValueError, "step_mode must be 'exp' or 'linear', got 'log'"),
        ({"smooth_f": 1.0}, ValueError, "smooth_f must be a number in [0, 1), got 1.0"),
        ({"smooth_f": -0.1}, ValueError, "smooth_f must be a number in [0, 1), got -0.1"),
        ({"diverge_th": 0.5}, ValueError, "diverge_th must be a number of at least 1, got 0.5"),
        ({"diverge_th": NAN}, ValueError, "diverge_th must be a number of at least 1, got nan"),
        (
            {"start_lr": "small"},
            TypeError,
            "start_lr must be a number, or a list of one for each parameter group, got 'small'",
        ),
        (
            {"end_lr": None},
            TypeError,
            "end_lr must be a number, or a list of one for each parameter group, got None",
        ),
        ({"start_lr": [0.1]}, ValueError, "start_lr must have a rate for each of 2 parameter groups, got [0.1]"),
        ({"end_lr": [1, 2, 3]}, ValueError, "end_lr must have a rate for each of 2 parameter groups, got [1, 2, 3]"),
        ({"end_lr": NAN}, ValueError, "end_lr must be finite and not negative, got nan"),
        ({"start_lr": [0.1, -1]}, ValueError, "start_lr must be finite and not negative, got [0.1, -1]"),
        (
            {"start_lr": 0.0},
            ValueError,
            "start_lr must be positive with step_mode='exp', which multiplies it, got 0: the optimizer's by default",
        ),
        (
            {"end_lr": [10.0, 1e-3]},
            ValueError,
            "start_lr must be less than end_lr, got start_lr=0.001 and end_lr=0.001",
        ),
        (
            {"to_save": {"m": nn.PReLU()}},
            ValueError,
            "to_save must have the key 'optimizer', as {'optimizer': optimizer, 'model': model} has, got ['m']",
        ),
        (
            {"to_save": {"optimizer": nn.PReLU()}},
            TypeError,
            "to_save['optimizer'] must be a torch.optim.Optimizer, got PReLU(num_parameters=1)",
        ),
        (
            {"to_save": [1]},
            TypeError,
            "to_save must map names to objects, as {'optimizer': optimizer, 'model': model} does, got [1]",
        ),
        ({"to_save": {"model": 1}}, TypeError, "to_save['model'] must have a method state_dict, got 1"),
        ({"trainer": None}, TypeError, "trainer must be an Engine, got None"),
        ({"output_transform": 1}, TypeError, "output_transform must be callable, got 1"),
    ],
    ids=str,
)
def test_refuses_a_wrong_argument(arguments, kind, message):
    """The error names the argument, its value and the remedy, before the block is entered."""
    optimizer = torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))]} for _ in range(2)], lr=1e-3)
    given = {"trainer": Engine(lambda engine, batch: 1.0), "to_save": {"optimizer": optimizer}} | arguments
    with pytest.raises(kind) as caught:
        FastaiLRFinder().attach(**given)
    assert message == str(caught.value)


def test_an_error_does_not_show_the_whole_model():
    """A model in place of the mapping, or of the optimizer, is shown in brief."""
    new = program()
    for to_save in (new.model, {"optimizer": new.model}):
        with pytest.raises(TypeError, match=r"to_save.* must .*Net") as caught:
            FastaiLRFinder().attach(new.trainer, to_save)
        assert 200 > len(str(caught.value))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "arguments", "kind", "message"),
    [
        ([1.0, 2.0], {}, ValueError, TOO_SHORT),
        (
            iter([1.0] * 9),
            {},
            ValueError,
            "num_iter must be given where the data does not tell its length, got None",
        ),
        (
            [[1.0]] * 3,
            {},
            TypeError,
            "output_transform must return the loss, a number or a tensor of one element, got [1.0]",
        ),
        (
            [torch.ones(2, 3)] * 3,
            {},
            ValueError,
            "output_transform must return the loss, a number or a tensor of one element, got a tensor of shape (2, 3)",
        ),
    ],
    ids=str,
)
def test_refuses_what_a_run_cannot_do(data, arguments, kind, message):
    """The run raises it, and all is as before."""
    with pytest.raises(kind) as caught:
        searched(data, **arguments)
    assert message == str(caught.value)


def test_refuses_data_that_ends_too_early():
    """Data that cannot be gone through again has fewer batches than are asked for."""
    with pytest.warns(UserWarning, match="no more batches"), pytest.raises(ValueError, match="num_iter") as caught:
        searched(iter([1.0] * 9), num_iter=20, diverge_th=INF)
    assert (
        "num_iter must be at most what the data gives, got 20 and data that ended after 9: give data that can be "
        "iterated again, as a list or a DataLoader can, or a smaller num_iter"
    ) == str(caught.value)


def test_refuses_a_second_run_and_a_second_block():
    """A search is one run of one trainer."""
    new, finder = program(), FastaiLRFinder()
    with finder.attach(new.trainer, new.to_save, num_iter=5, diverge_th=INF) as searching:
        searching.run(new.data)
        with pytest.raises(RuntimeError, match="a trial is one run, and it is over: attach the finder again"):
            searching.run(new.data)
        with (
            pytest.raises(RuntimeError, match="is attached already: make another FastaiLRFinder"),
            finder.attach(Engine(lambda engine, batch: 1.0), new.to_save),
        ):
            pass
    with finder.attach(new.trainer, new.to_save, num_iter=4, diverge_th=INF) as searching:
        searching.run(new.data)
    assert 4 == len(finder.get_results()["lr"])


def test_refuses_a_trainer_that_runs():
    """A handler of the trainer cannot search with it."""
    new, errors = program(), []

    def search(engine: Engine) -> None:
        with pytest.raises(RuntimeError) as caught, FastaiLRFinder().attach(engine, new.to_save):
            pass
        errors.append(str(caught.value))

    new.trainer.add_event_handler(Events.COMPLETED, search)
    new.train(max_iters=3)
    assert [f"{new.trainer!r} is running: try it before its run, or after it"] == errors


def test_refuses_a_model_without_shapes():
    """Parameters that have no shape yet cannot be put back."""
    new = program()
    lazy = nn.LazyLinear(1)
    with (
        pytest.raises(ValueError, match="must have been called once before a trial"),
        FastaiLRFinder().attach(new.trainer, new.to_save | {"model": lazy}),
    ):
        pass


@pytest.mark.parametrize("ask", [FastaiLRFinder.lr_suggestion, FastaiLRFinder.plot])
def test_refuses_to_tell_what_was_not_tried(ask):
    """Without a search there are no results."""
    finder = FastaiLRFinder()
    with pytest.raises(RuntimeError) as caught:
        ask(finder)
    assert (
        "FastaiLRFinder(no trial) has no results: run the trainer inside of `with finder.attach(...)` first"
    ) == str(caught.value)
    assert {} == finder.get_results()


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        (
            [1.0, 2.0, 3.0],
            EARLY,
        ),
        ([NAN, 1.0, 1.0], "there is no rate to suggest: not even the first loss was finite"),
    ],
)
def test_refuses_to_suggest_where_the_loss_did_not_fall(losses, message):
    """A curve without a slope has no suggestion, and nothing is applied."""
    finder = searched(losses, diverge_th=INF)
    for ask in (finder.lr_suggestion, lambda: finder.apply_suggested_lr(program().optimizer)):
        with pytest.raises(RuntimeError) as caught:
            ask()
        assert message == str(caught.value)


@pytest.mark.parametrize("data", [[[1.0]] * 3, [1.0]], ids=["a wrong output", "too little data"])
def test_says_that_a_search_failed_before_its_first_loss(data):
    """That the loss was not finite would be untrue; nor is the result of a search before that of this one."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1e-3)
    trainer, finder = Engine(lambda engine, batch: batch), FastaiLRFinder()
    for batches in ([3.0, 2.0, 1.0], data):
        with (
            contextlib.suppress(TypeError, ValueError),
            finder.attach(trainer, {"optimizer": optimizer}, diverge_th=INF) as searching,
        ):
            searching.run(batches)
    with pytest.raises(RuntimeError) as caught:
        finder.lr_suggestion()
    assert ("there is no rate to suggest: no loss was taken, because the trial failed or was stopped before") == str(
        caught.value
    )
    assert {"lr": [], "loss": []} == finder.get_results()


def test_refuses_an_optimizer_with_other_groups():
    """The rates of two groups are not for an optimizer with one."""
    finder = searched([3.0, 2.0, 1.0], groups=2, diverge_th=INF)
    with pytest.raises(RuntimeError, match="optimizer must have 2 parameter groups, as in the trial, got 1"):
        finder.apply_suggested_lr(program().optimizer)


# Looking at it.


@pytest.fixture
def pyplot() -> Iterator[Any]:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


FALLING = [5.0, 4.0, 3.0, 1.0, 0.5, 1000.0]


def test_plots_the_curve_and_the_suggestion(pyplot):
    """The line is the curve without its ends, the point the suggested rate."""
    finder = searched(FALLING, start_lr=1e-4, smooth_f=0)
    axes = finder.plot(skip_start=1, skip_end=1, figsize=(3, 2))
    [line], [points] = axes.lines, axes.collections
    results = finder.get_results()
    assert results["lr"][1:-1] == line.get_xdata().tolist()
    assert results["loss"][1:-1] == line.get_ydata().tolist()
    assert [pytest.approx([finder.lr_suggestion(), 3.0])] == points.get_offsets().tolist()
    assert ("log", "learning rate", "smoothed loss") == (axes.get_xscale(), axes.get_xlabel(), axes.get_ylabel())
    assert [3, 2] == axes.figure.get_size_inches().tolist()


def test_plots_on_axes_that_are_given(pyplot):
    """No other figure is made, and the axis may be linear."""
    given = pyplot.subplots()[1]
    axes = searched(FALLING).plot(0, 0, log_lr=False, display_suggestion=False, ax=given)
    assert axes is given
    assert ("linear", 0, 1) == (axes.get_xscale(), len(axes.collections), len(pyplot.get_fignums()))


def test_plots_each_parameter_group(pyplot):
    """Each has a line and a point."""
    axes = searched(FALLING, groups=2, start_lr=[1e-4, 1e-3]).plot(0, 0)
    assert (2, 2) == (len(axes.lines), len(axes.collections))
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert ["group 0", "group 1", "suggested: 0.1", "suggested: 0.25"] == labels


@pytest.mark.parametrize(("framework", "expected"), [(None, 0), ("qt", 1)])
def test_shows_a_new_figure_where_there_is_a_window(framework, expected, pyplot, monkeypatch):
    """A program that calls `plot` sees the figure; where none can be seen, nothing is tried."""
    shown: list[int] = []
    monkeypatch.setattr(pyplot, "show", lambda: shown.append(1))
    monkeypatch.setattr("matplotlib.backends.backend_agg.FigureCanvasAgg.required_interactive_framework", framework)
    figure, given = pyplot.subplots()
    finder = searched(FALLING)
    finder.plot(0, 0, ax=given)
    assert [] == shown
    monkeypatch.setattr(pyplot, "subplots", lambda: (figure, given))  # a canvas of agg, whatever it says
    finder.plot(0, 0)
    assert expected == len(shown)


def test_plots_without_a_suggestion(pyplot):
    """A curve that has none is what one wants to look at; a point beside the plot is told."""
    with pytest.warns(UserWarning, match="there is no rate to suggest: the loss is lowest at iteration 1 of 6"):
        axes = searched([*FALLING[4::-1], 9.0], diverge_th=INF).plot(0, 0)
    assert (1, 0) == (len(axes.lines), len(axes.collections))
    finder = searched(FALLING, smooth_f=0)
    with pytest.warns(UserWarning, match="that of iteration 3, beside what is plotted: give a smaller skip_start"):
        finder.plot(4, 0)


@pytest.mark.parametrize(
    ("skips", "message"),
    [
        (
            (10, 5),
            "skip_start and skip_end must leave some of the 6 iterations, got skip_start=10 and skip_end=5",
        ),
        ((-1, 5), "skip_start must be an integer of at least 0, got -1"),
        ((1, 0.5), "skip_end must be an integer of at least 0, got 0.5"),
    ],
)
def test_refuses_a_plot_of_nothing(skips, message, pyplot):
    """The error names what leaves nothing."""
    with pytest.raises(ValueError, match="skip_") as caught:
        searched(FALLING).plot(*skips)
    assert message == str(caught.value)
    assert [] == pyplot.get_fignums()


# The finder itself.


def test_shows_what_it_knows():
    """The repr tells the rates, before and after a search."""
    shown = repr(FastaiLRFinder()), repr(searched(FALLING)), repr(searched([NAN] * 3))
    assert (
        "FastaiLRFinder(no trial)",
        "FastaiLRFinder(6 rates from 0.001 to 10)",
        "FastaiLRFinder(no rates)",
    ) == shown


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda finder: pickle.loads(pickle.dumps(finder))])
def test_can_be_copied_with_its_results(copied):
    """A copy has the same curve."""
    finder = searched(FALLING)
    assert finder.get_results() == copied(finder).get_results()
    assert finder.lr_suggestion() == copied(finder).lr_suggestion()


def test_results_are_the_callers():
    """What is done to them does not change the finder."""
    finder = searched(FALLING)
    finder.get_results()["loss"].clear()
    assert 6 == len(finder.get_results()["loss"])
