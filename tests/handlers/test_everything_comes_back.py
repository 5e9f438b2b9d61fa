"""A training that is stopped after any iteration and started again is the one that was never stopped."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ignite_signals.engine import Engine, EventEnum, Events, create_supervised_trainer
from ignite_signals.handlers import (
    Checkpoint,
    EarlyStopping,
    EMAHandler,
    EpochOutputStore,
    TimeLimit,
    Timer,
    global_step_from_engine,
    resume_from,
)
from ignite_signals.metrics import (
    BatchFiltered,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    RootMeanSquaredError,
    RunningAverage,
)

EPOCHS, BATCHES = 3, 5
ITERATIONS = EPOCHS * BATCHES

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
on_each_device = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)], scope="module")
pytestmark = [
    pytest.mark.filterwarnings("error"),
    # A run that goes on between the two steps has made none of the optimizer's when the scheduler makes its own.
    pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step"),
]


class Mine(EventEnum):
    """An event of the program's own."""

    LOOKED = "looked"


class Killed(BaseException):
    """The program ends here, whatever is under way."""

    @classmethod
    def now(cls, engine):
        raise cls


class Clock:
    """A clock that stands still unless it is moved."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Net(nn.Module):
    """A model with weights, buffers and random numbers of its own."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1))

    def forward(self, x):
        return self.layers(x)


def data(seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4 * BATCHES, 3, generator=generator)
    return TensorDataset(x, x.sum(1, keepdim=True) + 0.1 * torch.randn(len(x), 1, generator=generator))


def outputs(x, y, y_pred, loss):
    return {"y_pred": y_pred.detach().float(), "y": y, "loss": loss.detach()}


def prediction_and_target(output):
    return output["y_pred"], output["y"]


def loss_of(output):
    return output["loss"]


def number(value):
    """Return what can be compared to the bit and printed."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: number(entry) for key, entry in value.items()}
    return [number(entry) for entry in value] if isinstance(value, list | tuple) else value


class Training:
    """Everything that a program makes each time that it is started, before it resumes."""

    def __init__(self, folder, device="cpu", **stopping):
        torch.manual_seed(0)
        self.device, self.log, self.clock = device, {}, Clock()
        self.model = Net().to(device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.05)
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, step_size=3, gamma=0.7)
        # Its scale doubles every other step.
        self.scaler = torch.amp.GradScaler(device, init_scale=8.0, growth_interval=2)
        self.trainer = create_supervised_trainer(
            self.model,
            self.optimizer,
            nn.functional.mse_loss,
            device=device,
            output_transform=outputs,
            deterministic=True,
            amp_mode="amp",
            amp_dtype=torch.float16 if device == "cuda" else torch.bfloat16,
            scaler=self.scaler,
            gradient_accumulation_steps=2,
        )
        self.evaluator = Engine(self.validate)
        self.attach_metrics()
        self.attach_handlers(**stopping)
        self.attach_own()
        self.to_save = {
            "model": self.model,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
            "trainer": self.trainer,
        }
        self.attach_checkpoints(folder)

    def validate(self, engine, batch):
        self.model.eval()
        with torch.no_grad():
            x, y = (each.to(self.device) for each in batch)
            return self.model(x), y

    def attach_metrics(self):
        trainer, mse = self.trainer, MeanSquaredError(prediction_and_target)
        Loss(nn.functional.mse_loss, prediction_and_target).attach(trainer, "loss")
        mse.attach(trainer, "every other", BatchFiltered(every=2))
        RunningAverage(output_transform=loss_of).attach(trainer, "running")
        RunningAverage(MeanAbsoluteError(prediction_and_target)).attach(trainer, "running mae")
        (RootMeanSquaredError(prediction_and_target) / (mse + 1)).attach(trainer, "ratio")
        MeanSquaredError().attach(self.evaluator, "mse")

    def attach_handlers(self, patience=100, min_delta=0.01):
        trainer, evaluator = self.trainer, self.evaluator
        self.ema = EMAHandler(self.model, momentum=0.2, momentum_warmup=0.9, warmup_iters=7)
        self.ema.attach(trainer)
        self.stored = EpochOutputStore(loss_of)
        self.stored.attach(trainer, "losses")
        self.timer = Timer().attach(trainer, step=Events.ITERATION_COMPLETED)
        self.limit = TimeLimit(1000.0, clock=self.clock)
        self.limit.attach(trainer)
        self.stopping = EarlyStopping(patience, self.validation_score, trainer, mode="min", min_delta=min_delta)
        self.stopping.attach(evaluator)

    def validation_score(self, engine):
        return engine.state.metrics["mse"]

    def attach_own(self):
        trainer = self.trainer
        trainer.register_events(*Mine)
        trainer.state_dict_user_keys.append("heard")
        trainer.state.heard = 0

        @trainer.on(Events.ITERATION_COMPLETED)
        def look(engine):
            self.clock.now += 1.5
            engine.fire_event(Mine.LOOKED)

        @trainer.on(Mine.LOOKED(every=3))
        def hear(engine):
            engine.state.heard += 1

        @trainer.on(Events.EPOCH_COMPLETED)
        def evaluate(engine):
            state = self.evaluator.run(DataLoader(data(2), batch_size=10))
            engine.state.metrics["validation"] = state.metrics["mse"]
            self.scheduler.step()
            self.write(("epoch", engine.state.epoch), losses=number(engine.state.losses))

        @trainer.on(Events.ITERATION_COMPLETED)
        def write(engine):
            self.write(
                ("iteration", engine.state.iteration),
                output=number(loss_of(engine.state.output)),
                drawn=(random.random(), float(np.random.rand()), float(torch.rand(()))),
                drawn_on_the_device=float(torch.rand((), device=self.device)),
            )

    def write(self, key, **more):
        """Note down all that there is to be seen."""
        state = self.trainer.state
        self.log[key] = more | {
            "metrics": number(dict(state.metrics)),
            "counts": (state.epoch, state.iteration, state.looked, state.heard, state.ema_momentum),
            "rate": self.optimizer.param_groups[0]["lr"],
            "scale": self.scaler.get_scale(),
            "stopping": self.stopping.state_dict(),
            "seconds": self.limit.elapsed(),
            "steps": self.timer.step_count,
        }

    def attach_checkpoints(self, folder):
        self.last = Checkpoint(self.to_save, folder / "last", n_saved=2)
        self.best = Checkpoint(
            {"model": self.model},
            folder / "best",
            "best",
            lambda engine: -engine.state.metrics["mse"],
            n_saved=2,
            global_step_transform=global_step_from_engine(self.trainer),
        )
        self.evaluator.add_event_handler(Events.COMPLETED, self.best)
        for event in (Events.ITERATION_COMPLETED, Events.EPOCH_COMPLETED):
            self.trainer.add_event_handler(event, self.last)
        self.folder = folder

    def resume(self):
        return resume_from(self.folder / "last", self.to_save)

    def run(self, stop_at=None, on=Events.ITERATION_COMPLETED):
        if stop_at is not None:
            self.trainer.signal(on(once=stop_at)).connect(Killed.now, weak=False, priority=-1000)
        loader = DataLoader(data(), batch_size=4, shuffle=True)
        self.trainer.state.seed = 17
        try:
            self.trainer.run(loader, max_epochs=EPOCHS)
        except Killed:
            return False
        return True

    def end(self):
        """Return all that the training has come to."""
        attached = self.trainer.state_dict()["attached"]
        del attached["Timer"]["total"]
        return (
            number(self.model.state_dict()),
            number(self.optimizer.state_dict()),
            self.scheduler.state_dict(),
            number(self.scaler.state_dict()),
            number(self.ema.ema_model.state_dict()),
            number(attached),
            number(dict(self.trainer.state.metrics)),
            sorted(path.name for path in self.folder.glob("*/*")),
            [checkpoint.state_dict() for checkpoint in (self.last, self.best)],
            (self.trainer.state.epoch, self.trainer.state.iteration, str(self.trainer.state.stop_reason)),
        )


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, device):
    """Trainings that were never stopped: one of all epochs, and one that is ended early."""
    trainings = {}
    for name, stopping in (("whole", {}), ("early", EARLY)):
        trainings[name] = Training(tmp_path_factory.mktemp(name), device, **stopping)
        assert trainings[name].run()
    return trainings


# No score is that much better than the first.
EARLY = {"patience": 1, "min_delta": 1000.0}


def assert_same(expected, actual, log):
    assert expected.log.keys() == log.keys()
    for key, noted in expected.log.items():
        assert noted == log[key], key
    assert expected.end() == actual.end()


def stopped_and_resumed(folder, device, count, event=Events.ITERATION_COMPLETED, **stopping):
    """Return a training that was stopped and started again, and the log of both programs."""
    first = Training(folder, device, **stopping)
    assert not first.run(stop_at=count, on=event)
    second = Training(folder, device, **stopping)
    assert second.resume() is not None
    assert second.run()
    return second, first.log | second.log


@on_each_device
@pytest.mark.parametrize(
    ("event", "count"),
    [
        *((Events.ITERATION_COMPLETED, count) for count in range(1, ITERATIONS + 1)),
        *((Events.EPOCH_COMPLETED, count) for count in range(1, EPOCHS)),
    ],
    ids=str,
)
def test_a_training_that_is_started_again_is_the_one_that_was_never_stopped(tmp_path, device, unbroken, event, count):
    """Weights, optimizer, scaler, random numbers, metrics, handlers and counts go on from any iteration."""
    resumed, log = stopped_and_resumed(tmp_path, device, count, event)
    assert_same(unbroken["whole"], resumed, log)


@on_each_device
def test_a_training_that_is_stopped_after_each_iteration_comes_to_its_end(tmp_path, device, unbroken):
    """As many programs as iterations, each of which makes one, leave the log and the end of a single one."""
    log, done = {}, False
    for iteration in range(1, ITERATIONS + 2):
        training = Training(tmp_path, device)
        assert (iteration == 1) == (training.resume() is None)
        done = training.run(stop_at=iteration)
        log |= training.log
    assert done
    assert_same(unbroken["whole"], training, log)


@on_each_device
@pytest.mark.parametrize("count", [1, BATCHES, 2 * BATCHES - 1, 2 * BATCHES])
def test_early_stopping_counts_on(tmp_path, device, unbroken, count):
    """A training that is ended for lack of improvement is ended at the same score when it was stopped before."""
    resumed, log = stopped_and_resumed(tmp_path, device, count, **EARLY)
    assert (2, "terminated") == (resumed.trainer.state.epoch, resumed.trainer.state.stop_reason)
    assert_same(unbroken["early"], resumed, log)


def test_what_comes_back_is_not_there_without_it(tmp_path):
    """A training that begins anew in place of going on is another one, so that the comparison tells."""
    first, second = Training(tmp_path / "a"), Training(tmp_path / "b")
    assert not first.run(stop_at=7)
    assert second.run()
    assert first.log.keys() < second.log.keys()
    assert first.log == {key: second.log[key] for key in first.log}
    third = Training(tmp_path / "c")
    third.trainer.load_state_dict(first.trainer.state_dict())
    third.run()
    key = ("iteration", 8)
    assert second.log[key]["output"] != third.log[key]["output"]  # the model and the optimizer are not the trainer's
    assert second.log[key]["drawn"] == third.log[key]["drawn"]
