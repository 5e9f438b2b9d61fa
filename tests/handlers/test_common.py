"""One call attaches what most trainings have."""

from __future__ import annotations

import io
import pickle
import sys
import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import DistributedSampler, RandomSampler

from ignite_signals.engine import Engine, Events, create_supervised_trainer
from ignite_signals.handlers import Checkpoint, EarlyStopping, TerminateOnNan, common, logger_utils
from ignite_signals.handlers.common import (
    add_early_stopping_by_val_score,
    empty_cuda_cache,
    gen_save_best_models_by_val_score,
    save_best_model_by_val_score,
    setup_common_distrib_training_handlers,
    setup_common_training_handlers,
)
from ignite_signals.handlers.disk_saver import DiskSaver
from ignite_signals.handlers.param_scheduler import LinearCyclicalScheduler, LRScheduler
from ignite_signals.handlers.tqdm_logger import ProgressBar


def parts():
    torch.manual_seed(0)
    model = nn.Linear(2, 1)
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def trainer_of(model, optimizer):
    return create_supervised_trainer(model, optimizer, nn.functional.mse_loss)


def batches(number=4):
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(3, 2, generator=generator), torch.randn(3, 1, generator=generator)) for _ in range(number)]


def handlers_of(engine, name):
    return list(engine.signals[name].receivers_for(engine))


OUTPUTS = {
    "a dict": ({"loss": torch.tensor(0.5), "other": 3}, ["loss"]),
    "a tuple": ((torch.tensor(0.5), 2.0), ["loss", "second"]),
    "a list": ([0.5], ["loss"]),
    "a tensor": (torch.tensor(0.5), ["loss"]),
    "a number": (0.5, ["loss"]),
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_averages_are_of_what_the_step_returns(kind):
    """Each name is a running average of the value with that key or place."""
    output, names = OUTPUTS[kind]
    trainer = Engine(lambda engine, batch: output)
    setup_common_training_handlers(trainer, output_names=names, with_pbars=False, stop_on_nan=False)
    metrics = trainer.run(range(3)).metrics
    assert dict(zip(names, (0.5, 2.0), strict=False)) == pytest.approx({name: float(metrics[name]) for name in metrics})


def test_averages_equal_those_of_ignite():
    """Over several epochs the averages are those that Ignite's call gives for the same outputs."""
    pytest.importorskip("ignite")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Ignite's contrib has moved, in Ignite
        from ignite.contrib.engines.common import setup_common_training_handlers as of_ignite
    from ignite.engine import Engine as IgnitesEngine
    from ignite.engine import Events as IgnitesEvents

    def curve(engine, setup, event):
        seen = []
        setup(engine, output_names=["loss"], with_pbars=False)
        engine.add_event_handler(event, lambda engine: seen.append(float(engine.state.metrics["loss"])))
        engine.run(range(5), max_epochs=2)
        return seen

    def step(engine, batch):
        return {"loss": float(batch + engine.state.epoch)}

    assert curve(IgnitesEngine(step), of_ignite, IgnitesEvents.ITERATION_COMPLETED) == pytest.approx(
        curve(Engine(step), setup_common_training_handlers, Events.ITERATION_COMPLETED)
    )


def test_checkpoints_are_saved_under_the_name_training(tmp_path):
    """Every so many iterations there is a file of this name, and one is kept."""
    model, optimizer = parts()
    trainer = trainer_of(model, optimizer)
    setup_common_training_handlers(
        trainer,
        to_save={"model": model, "trainer": trainer},
        save_every_iters=3,
        output_path=str(tmp_path),
        with_pbars=False,
    )
    trainer.run(batches(), max_epochs=2)
    assert ["training_checkpoint_6.pt"] == [path.name for path in tmp_path.iterdir()]


def test_further_arguments_are_those_of_checkpoint(tmp_path):
    """`n_saved` and the like are passed on, `filename_prefix` too."""
    model, optimizer = parts()
    trainer = trainer_of(model, optimizer)
    setup_common_training_handlers(
        trainer,
        to_save={"model": model},
        save_every_iters=1,
        output_path=str(tmp_path),
        with_pbars=False,
        n_saved=2,
        filename_prefix="mine",
    )
    trainer.run(batches())
    assert ["mine_model_3.pt", "mine_model_4.pt"] == sorted(path.name for path in tmp_path.iterdir())


def test_a_save_handler_takes_the_place_of_the_folder():
    """What is given to save with is called."""
    model, optimizer = parts()
    trainer = trainer_of(model, optimizer)
    saved = []
    setup_common_training_handlers(
        trainer,
        to_save={"model": model},
        save_every_iters=2,
        save_handler=lambda state, name, *_: saved.append(name),
        with_pbars=False,
    )
    trainer.run(batches())
    assert ["training_model_2.pt", "training_model_4.pt"] == saved


@pytest.mark.parametrize("of_torch", [True, False], ids=["torch's", "the package's"])
def test_the_schedule_moves_with_each_iteration(of_torch):
    """A scheduler of torch and one of the package give each iteration its rate."""
    model, optimizer = parts()
    trainer = trainer_of(model, optimizer)
    scheduler = (
        torch.optim.lr_scheduler.StepLR(optimizer, 2)
        if of_torch
        else LinearCyclicalScheduler(optimizer, "lr", 1.0, 0.0, 4)
    )
    setup_common_training_handlers(trainer, lr_scheduler=scheduler, with_pbars=False)
    rates = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: rates.append(optimizer.param_groups[0]["lr"]))
    trainer.run(batches())
    assert ([0.1, 0.1, 0.01, 0.01] if of_torch else [1.0, 0.5, 0.0, 0.5]) == pytest.approx(rates)


def curve_of_rates(stop_at, total=9):
    """Train with a torch scheduler; where `stop_at` is given, save there and go on with new objects."""
    rates = []

    def build():
        model, optimizer = parts()
        trainer = trainer_of(model, optimizer)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)
        setup_common_training_handlers(trainer, lr_scheduler=scheduler, with_pbars=False)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: rates.append(optimizer.param_groups[0]["lr"]))
        return {"model": model, "optimizer": optimizer, "trainer": trainer}

    objects = build()
    if stop_at:
        objects["trainer"].run(batches(3), max_iters=stop_at)
        file = io.BytesIO()
        torch.save({name: each.state_dict() for name, each in objects.items()}, file)
        objects = build()
        file.seek(0)
        for name, state in torch.load(file, weights_only=True).items():
            objects[name].load_state_dict(state)
    objects["trainer"].run(batches(3), max_iters=total)
    return rates


def test_a_scheduler_of_the_package_around_one_of_torch_begins_with_the_optimizers_rate():
    """It is attached where it is made to be: the first iteration has the first rate, and only that one."""
    rates = []
    for use_legacy in (False, True):
        model, optimizer = parts()
        trainer = trainer_of(model, optimizer)
        scheduler = LRScheduler(torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5), use_legacy=use_legacy)
        setup_common_training_handlers(trainer, lr_scheduler=scheduler, with_pbars=False)
        seen = []

        @trainer.on(Events.ITERATION_COMPLETED)
        def read(engine, optimizer=optimizer, seen=seen):
            seen.append(optimizer.param_groups[0]["lr"])

        trainer.run(batches(3))
        rates.append(seen)
    assert [[0.1, 0.05, 0.025]] * 2 == rates


def test_a_schedule_of_torch_is_silent_where_the_optimizer_waits():
    """With gradients that are summed up over iterations torch would warn of a wrong order, which is right."""
    model, optimizer = parts()

    def step(engine, batch):
        model(batch[0]).sum().backward()
        if engine.state.iteration % 4 == 0:
            optimizer.step()
            optimizer.zero_grad()
        return 0.5

    trainer = Engine(step)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    setup_common_training_handlers(trainer, lr_scheduler=scheduler, with_pbars=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 8 == trainer.run(batches(8)).iteration
    assert 8 == scheduler.last_epoch


def test_a_checkpoint_has_as_many_steps_of_torchs_scheduler_as_iterations(tmp_path):
    """As in Ignite: so a program that saves the scheduler itself, and not the trainer, goes on with the right rates."""

    def program(rates, names=("model", "optimizer", "scheduler")):
        model, optimizer = parts()
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
        trainer = trainer_of(model, optimizer)
        to_save = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
        setup = {"to_save": to_save, "output_path": str(tmp_path), "save_every_iters": 5, "with_pbars": False}
        setup_common_training_handlers(trainer, lr_scheduler=scheduler, **setup)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: rates.append(optimizer.param_groups[0]["lr"]))
        return trainer, to_save

    straight, before, after = [], [], []
    program(straight)[0].run(batches(9))
    trainer, _ = program(before)
    trainer.run(batches(5))
    state = torch.load(tmp_path / "training_checkpoint_5.pt", weights_only=True)
    assert (5, 0.025) == (state["scheduler"]["last_epoch"], state["optimizer"]["param_groups"][0]["lr"])
    trainer, to_load = program(after)
    Checkpoint.load_objects(to_load, tmp_path / "training_checkpoint_5.pt")
    trainer.run(batches(4))
    assert straight == before + after


@pytest.mark.parametrize("stop_at", range(1, 9))
def test_the_schedule_of_torch_is_resumed_with_the_trainer(stop_at):
    """The state of a scheduler of torch is saved with the trainer's, without being listed."""
    assert curve_of_rates(None) == curve_of_rates(stop_at)


def test_a_step_that_is_not_finite_ends_the_run():
    """`stop_on_nan` ends the run at once, and False lets it go on."""
    stopping, going = (Engine(lambda engine, batch: float("nan")) for _ in range(2))
    setup_common_training_handlers(stopping, with_pbars=False)
    setup_common_training_handlers(going, with_pbars=False, stop_on_nan=False)
    assert (1, 3) == (stopping.run(range(3)).iteration, going.run(range(3)).iteration)
    assert [isinstance(handler, TerminateOnNan) for handler in handlers_of(stopping, "iteration_completed")] == [True]
    assert [] == handlers_of(going, "iteration_completed")


def test_a_sampler_hears_of_each_epoch():
    """`set_epoch` gets the number of the epoch from 0 on, before its data is asked for."""
    sampler = DistributedSampler(range(8), num_replicas=2, rank=0)
    trainer = Engine(lambda engine, batch: 0.5)
    setup_common_distrib_training_handlers(trainer, train_sampler=sampler, with_pbars=False)
    orders = []
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda: orders.append(list(sampler)))
    trainer.run(sampler, max_epochs=2)
    expected = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        expected.append(list(sampler))
    assert expected == orders


def test_one_process_takes_any_sampler():
    """One without `set_epoch`, as a loader has of its own, is left alone."""
    trainer = Engine(lambda engine, batch: 0.5)
    setup_common_training_handlers(trainer, train_sampler=RandomSampler(range(4)), with_pbars=False)
    assert 4 == trainer.run(range(4)).iteration
    assert [] == handlers_of(trainer, "epoch_started")


def test_names_may_come_from_a_generator():
    """Any iterable of names is one."""
    trainer = Engine(lambda engine, batch: (0.5, 1.0))
    setup_common_training_handlers(trainer, output_names=(name for name in "ab"), with_pbars=False)
    assert {"a": 0.5, "b": 1.0} == {name: float(value) for name, value in trainer.run([0]).metrics.items()}


def test_what_programs_call_of_ignites_module_is_here():
    """A program that imports the module as `common` finds the loggers' set-ups in it."""
    assert logger_utils.setup_tb_logging is common.setup_tb_logging
    assert {"setup_tb_logging", "setup_csv_logging", "setup_json_lines_logging"} < set(common.__all__)


@pytest.mark.skipif(sys.platform != "linux", reason="a folder in which nothing can be made")
def test_a_folder_that_cannot_be_made_is_named(monkeypatch):
    """The error names the argument that was given and the folder, and nothing is attached."""
    trainer = Engine(lambda engine, batch: None)
    before = trainer.describe()
    with pytest.raises(OSError, match=r"dirname must be a folder that can be made: .*'/proc/nope/x'") as raised:
        setup_common_training_handlers(trainer, to_save={"model": MODEL}, output_path="/proc/nope/x")
    assert ["the folder was given as output_path, '/proc/nope/x'"] == raised.value.__notes__
    assert before == trainer.describe()


def test_bars_are_for_the_epochs_and_the_iterations(monkeypatch):
    """There are two bars, one where the other is not wanted, and none without `with_pbars`."""
    events = []
    monkeypatch.setattr(
        ProgressBar, "attach", lambda self, engine, *args, event_name, **options: events.append(event_name)
    )
    found = []
    for wanted in ({}, {"with_pbar_on_iters": False}, {"with_pbars": False}):
        setup_common_training_handlers(Engine(lambda engine, batch: None), log_every_iters=7, **wanted)
        found.append(events.copy())
        events.clear()
    iterations, epochs = Events.ITERATION_COMPLETED(every=7), Events.EPOCH_STARTED
    assert [[iterations, epochs], [epochs], []] == found


@pytest.mark.parametrize("terminal", [True, False])
def test_bars_are_drawn_in_a_terminal(terminal, monkeypatch):
    """A terminal gets them, and what is no terminal gets nothing."""
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    trainer = Engine(lambda engine, batch: 0.5)
    setup_common_training_handlers(trainer, output_names=["loss"])
    trainer.run(range(3), max_epochs=2)
    assert terminal == ("2/2" in stream.getvalue())
    assert terminal == bool(stream.getvalue())


@pytest.mark.parametrize("models", ["one", "several"])
def test_the_best_models_are_saved_after_evaluations(tmp_path, models):
    """The best by a metric are kept, their files named by the trainer's epoch and the value."""
    model, _ = parts()
    scores = iter([0.1, 0.5, 0.3, 0.4])
    evaluator = Engine(lambda engine, batch: None)
    evaluator.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: engine.state.metrics.update(acc=next(scores)))
    trainer = Engine(lambda engine, batch: None)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([0]))
    options = {"evaluator": evaluator, "metric_name": "acc", "n_saved": 2, "trainer": trainer}
    if models == "one":
        checkpoint = save_best_model_by_val_score(str(tmp_path), model=model, **options)
    else:
        saver = DiskSaver(str(tmp_path))
        checkpoint = gen_save_best_models_by_val_score(saver, models={"a": model, "b": model}, **options)
    trainer.run([0], max_epochs=4)
    name = "model" if models == "one" else "checkpoint"
    expected = [f"best_{name}_2_val_acc=0.5000.pt", f"best_{name}_4_val_acc=0.4000.pt"]
    assert isinstance(checkpoint, Checkpoint)
    assert expected == sorted(path.name for path in tmp_path.iterdir())


def test_a_training_that_gets_no_better_is_ended():
    """After as many evaluations without a better value the trainer's run ends."""
    losses = iter([3.0, 2.0, 2.5, 2.2, 1.0])
    evaluator = Engine(lambda engine, batch: None)
    evaluator.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: engine.state.metrics.update(loss=next(losses)))
    trainer = Engine(lambda engine, batch: None)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([0]))
    stopping = add_early_stopping_by_val_score(2, evaluator, trainer, "loss", score_sign=-1.0)
    assert (EarlyStopping, 4) == (type(stopping), trainer.run([0], max_epochs=5).epoch)


def test_memory_is_given_back_only_where_there_is_a_gpu(monkeypatch):
    """The handler is attached where CUDA is available, and calls torch."""
    calls = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append(1))
    for available in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        trainer = Engine(lambda engine, batch: 0.5)
        setup_common_training_handlers(trainer, with_pbars=False)
        trainer.run([0], max_epochs=2)
    assert 2 == len(calls)
    empty_cuda_cache(trainer)
    assert 3 == len(calls)


def test_a_trainer_with_all_of_it_can_be_pickled(tmp_path):
    """What the call attaches goes along with a copy, whose averages are its own."""
    trainer = Engine(echo)
    setup_common_training_handlers(trainer, output_names=["loss"])
    copied = pickle.loads(pickle.dumps(trainer))
    assert 4.0 == float(copied.run([4]).metrics["loss"])
    assert {} == trainer.state.metrics


def echo(engine, batch):
    return float(batch)


MODEL = nn.Linear(1, 1)
MISTAKES = [
    ({"trainer": "a trainer"}, TypeError, "trainer must be an Engine, got 'a trainer'"),
    (
        {"n_saved": 2, "save_every_iter": 10},
        TypeError,
        "further arguments are those of a Checkpoint, which needs to_save, got {'n_saved': 2, 'save_every_iter': 10}",
    ),
    ({"lr_scheduler": 0.1}, TypeError, "lr_scheduler must be a scheduler of torch.optim.lr_scheduler, got 0.1"),
    ({"output_names": 3}, TypeError, "output_names must be a list of names, got 3"),
    (
        {"to_save": {"model": MODEL}},
        ValueError,
        "output_path or save_handler must be given with to_save, got neither for ['model']",
    ),
    (
        {"output_path": "a", "save_handler": 1},
        ValueError,
        "one of output_path and save_handler must be given, got both, 'a' and 1",
    ),
    ({"output_names": "loss"}, TypeError, "output_names must be a list of names, got 'loss'"),
    ({"output_names": [1]}, TypeError, "output_names must be a list of names, got [1]"),
    ({"log_every_iters": 0}, ValueError, "log_every_iters must be a positive integer, got 0"),
    ({"save_every_iters": 0}, ValueError, "save_every_iters must be a positive integer, got 0"),
]


@pytest.mark.parametrize(("arguments", "kind", "message"), MISTAKES, ids=[str(case[0])[:40] for case in MISTAKES])
def test_a_mistake_is_told_before_anything_is_attached(arguments, kind, message, tmp_path, monkeypatch):
    """The error names the argument and the value, and the trainer is as it was."""
    monkeypatch.chdir(tmp_path)
    trainer = Engine(lambda engine, batch: None)
    before = trainer.describe()
    with pytest.raises(kind) as raised:
        setup_common_training_handlers(**({"trainer": trainer} | arguments))
    assert message == str(raised.value)
    assert (before, []) == (trainer.describe(), list(tmp_path.iterdir()))


WRONG_NAMES = [
    ({"loss": 1.0}, ["los"], "got 'los' for {'loss': 1.0}"),
    ((1.0,), ["a", "b"], "got 'b' for (1.0,)"),
    (1.0, ["a", "b"], "got 'b' for 1.0"),
]


@pytest.mark.parametrize(("output", "names", "end"), WRONG_NAMES)
def test_a_name_without_a_value_is_told_at_the_first_step(output, names, end):
    """The error says which name it is and what the step returned."""
    trainer = Engine(lambda engine, batch: output)
    setup_common_training_handlers(trainer, output_names=names, with_pbars=False)
    with pytest.raises(ValueError, match="output_names must name the values that the trainer's step returns") as raised:
        trainer.run([0])
    assert str(raised.value).endswith(end)
