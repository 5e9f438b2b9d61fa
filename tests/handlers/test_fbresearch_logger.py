"""FBResearchLogger says how far a run is; the clock of these tests is set by hand."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

from ignite_signals.engine import Engine, Events
from ignite_signals.handlers import timing
from ignite_signals.handlers.fbresearch_logger import FBResearchLogger
from ignite_signals.testing import EventRecorder
from ignite_signals.utils import setup_logger
from support.copying import every_copy


class Clock:
    """A clock that moves only when the test waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the clock of timers and engines."""
    clock = Clock()
    monkeypatch.setattr(timing, "perf_counter", clock)
    monkeypatch.setattr("ignite_signals.engine.engine.time.perf_counter", clock)
    return clock


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What the logger "console" says."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    console = logging.getLogger("console")
    console.addHandler(handler)
    console.setLevel(logging.INFO)
    yield lines
    console.removeHandler(handler)


CONSOLE = logging.getLogger("console")


def slow(clock: Clock, output: Any = None, step: float = 2.0) -> Engine:
    """Return a trainer whose step takes its time."""

    def process(engine: Engine, batch: Any) -> Any:
        clock.now += step
        return output() if callable(output) else output

    return Engine(process)


def slow_data(clock: Clock, length: int, seconds: float = 0.5) -> list[Any]:
    class Data(list[int]):
        def __iter__(self) -> Iterator[int]:
            for number in range(length):
                clock.now += seconds
                yield number

    return Data(range(length))


def test_says_epochs_iterations_and_the_run(clock: Clock, said: list[str]) -> None:
    """How long is left in the epoch, what came out, how long an iteration and its batch take."""
    trainer = slow(clock, {"loss": torch.tensor(0.125)}, step=60.0)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.001)
    trainer.state.alpha = 3
    FBResearchLogger(CONSOLE, show_output=True).attach(
        trainer, "Train", every=2, optimizer=optimizer, state_attributes=["alpha", "missing"]
    )
    trainer.run(slow_data(clock, 5, seconds=1.0), max_epochs=2)

    values = "lr: 0.00100  loss: 0.1250  alpha: 3  Iter time: 60.0000 s  Data prep time: 1.0000 s"
    assert said == [
        "Train: start epoch [1/2]",
        f"Epoch [1/2]  [2/5]:  ETA: 0:03:03  {values}",
        f"Epoch [1/2]  [4/5]:  ETA: 0:01:01  {values}",
        "Train: Epoch [1/2]  Total time: 0:05:05  (61.0000 s / it)",
        "Train: start epoch [2/2]",
        f"Epoch [2/2]  [1/5]:  ETA: 0:04:04  {values}",
        f"Epoch [2/2]  [3/5]:  ETA: 0:02:02  {values}",
        f"Epoch [2/2]  [5/5]:  ETA: 0:00:00  {values}",
        "Train: Epoch [2/2]  Total time: 0:05:05  (61.0000 s / it)",
        "Train: run completed  Total time: 0:10:10",
    ]


def without_times(lines: list[str]) -> list[str]:
    """Leave out what a clock says, and how many blanks stand between the parts."""
    lines = [re.sub(r"\d+:\d\d:\d\d|\d+\.\d+ s\b", "TIME", line) for line in lines]
    return [" ".join(re.sub(r"GPU Max Mem: \d+ MB", "", line).split()) for line in lines]


@pytest.mark.parametrize("every", [1, 2, 3, 7])
@pytest.mark.parametrize("outputs", [True, False])
@pytest.mark.parametrize("epochs", [2, 3])
def test_says_what_ignite_says(said: list[str], every: int, outputs: bool, epochs: int) -> None:
    """The same lines at the same iterations, but for times and blanks."""
    ignite, peers = pytest.importorskip("ignite.engine"), pytest.importorskip("ignite.handlers.fbresearch_logger")
    output = {"loss": torch.tensor(0.123456), "pair": (1.0, 2.0)}
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.001)
    for engine, logger in ((ignite.Engine, peers.FBResearchLogger), (Engine, FBResearchLogger)):
        trainer = engine(lambda engine, batch: output)
        trainer.state.alpha = 0.5
        logger(CONSOLE, show_output=outputs).attach(
            trainer,
            "Train",
            every=every,
            optimizer=optimizer,
            state_attributes=["alpha"],
            output_transform=lambda output: output,
        )
        trainer.run(range(5), max_epochs=epochs)
    expected, actual = said[: len(said) // 2], said[len(said) // 2 :]

    assert len(expected) > 2 * epochs
    assert without_times(expected) == without_times(actual)


def test_several_engines_have_their_own_lines(clock: Clock, said: list[str]) -> None:
    """One logger serves a trainer and its evaluator, each with its name, transform and times."""
    trainer, evaluator = slow(clock, 1.0), slow(clock, (2.0, 3.0), step=30.0)
    logger = FBResearchLogger(CONSOLE, delimiter=" | ", show_output=True)
    logger.attach(trainer, "Train", every=2)
    logger.attach(evaluator, "Val", every=3, output_transform=lambda output: {"score": output[0]})
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run(range(3)))
    trainer.run(range(2))

    assert said == [
        "Train: start epoch [1/1]",
        "Epoch [1/1] | [2/2]: | ETA: 0:00:00 | 1.0000 | Iter time: 2.0000 s | Data prep time: 0.0000 s",
        "Val: start epoch [1/1]",
        "Epoch [1/1] | [3/3]: | ETA: 0:00:00 | score: 2.0000 | Iter time: 30.0000 s | Data prep time: 0.0000 s",
        "Val: Total time: 0:01:30 | (30.0000 s / it)",
        "Train: Total time: 0:00:04 | (2.0000 s / it)",
    ]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (None, []),
        (0.5, ["0.5000"]),
        (3, ["3"]),
        ("text", ["text"]),
        ((0.5, torch.ones(2)), ["0.5000, 1.0000, 1.0000"]),
        ({"a": {"b": 1.0, "c": [1, None]}, "d": None, "e": "x"}, ["a/b: 1.0000", "a/c: 1", "e: x"]),
        ({"image": torch.ones(2, 3)}, ["image: Tensor[2, 3]"]),
        ({"z": 1j}, ["z: 1j"]),
    ],
)
def test_shows_any_output(clock: Clock, said: list[str], output: Any, expected: list[str]) -> None:
    """Numbers, strings, tensors, and what is nested; of large tensors the shape."""
    trainer = slow(clock, output)
    FBResearchLogger(CONSOLE, show_output=True).attach(trainer, "Train")
    trainer.run([0])

    assert ["Epoch [1/1]", "[1/1]:", "ETA: 0:00:00", *expected, "Iter time: 2.0000 s"] == said[1].split("  ")[:-1]


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([0.001], ["lr: 0.00100"]),
        ([0.5, 2e-6], ["lr [g0]: 0.50000", "lr [g1]: 2.00e-06"]),
        ([torch.tensor(0.25)], ["lr: 0.25000"]),
        ([0.0], ["lr: 0.00000"]),
    ],
)
def test_shows_the_rates_of_all_groups(clock: Clock, said: list[str], rates: list[Any], expected: list[str]) -> None:
    """One by one, and with digits where a rate is small."""
    optimizer = torch.optim.Adam([{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates])
    trainer = slow(clock)
    FBResearchLogger(CONSOLE).attach(trainer, "Train", optimizer=optimizer)
    trainer.run([0])

    assert expected == [part for part in said[1].split("  ") if part.startswith("lr")]


def test_a_run_limited_by_iterations_and_one_of_unknown_length(clock: Clock, said: list[str]) -> None:
    """What is not known is left out."""
    limited = slow(clock)
    FBResearchLogger(CONSOLE).attach(limited, "L", every=4)
    limited.run(range(5), max_iters=7)
    unknown = slow(clock)
    FBResearchLogger(CONSOLE).attach(unknown, "U", every=2)
    unknown.run(iter(range(3)), max_iters=2)

    times = "Iter time: 2.0000 s  Data prep time: 0.0000 s"
    assert said == [
        "L: start epoch [1/2]",
        f"Epoch [1/2]  [4/5]:  ETA: 0:00:02  {times}",
        "L: Epoch [1/2]  Total time: 0:00:10  (2.0000 s / it)",
        "L: start epoch [2/2]",
        "L: run completed  Total time: 0:00:14",
        "U: start epoch [1]",
        f"Epoch [1]  [2]:  {times}",
        "U: run completed  Total time: 0:00:04",
    ]


def test_a_resumed_run_goes_on_in_its_epoch(clock: Clock, said: list[str]) -> None:
    """It says the iterations of the whole epoch, and the time of those that it made."""
    trainer = slow(clock)
    FBResearchLogger(CONSOLE).attach(trainer, "Train", every=4)
    trainer.load_state_dict({"iteration": 7, "epoch_length": 5, "max_epochs": 2})
    trainer.run(range(5))

    assert said == [
        "Train: start epoch [2/2]",
        "Epoch [2/2]  [3/5]:  ETA: 0:00:04  Iter time: 2.0000 s  Data prep time: 0.0000 s",
        "Train: Epoch [2/2]  Total time: 0:00:06  (2.0000 s / it)",
        "Train: run completed  Total time: 0:00:06",
    ]


def test_costs_only_the_iterations_that_are_said() -> None:
    """Nothing listens to the others, and what nobody hears is not read."""
    reads: list[int] = []
    trainer = Engine(lambda engine, batch: engine.state.iteration)
    FBResearchLogger(CONSOLE, show_output=True).attach(trainer, "T", every=10, output_transform=reads.append)
    calls: list[tuple[str, int]] = []

    class Observer:
        def call_started(self, call: Any) -> None:
            calls.append((call.event.name, engine_iteration(call)))

        def call_ended(self, call: Any, error: BaseException | None) -> None: ...

    def engine_iteration(call: Any) -> int:
        return int(call.engine.state.iteration) + ("GET" in call.event.name)  # the one that is to come

    trainer.observe_calls(Observer())
    CONSOLE.setLevel(logging.WARNING)
    trainer.run(range(50))
    CONSOLE.setLevel(logging.INFO)

    inside = [(name, iteration) for name, iteration in calls if "ITERATION" in name or "GET" in name]
    assert {10, 20, 30, 40, 50} == {iteration for _, iteration in inside}
    assert 5 * 5 == len(inside)
    assert [] == reads


def test_only_the_first_process_says_something(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The others read no values."""
    monkeypatch.setattr("ignite_signals.handlers.fbresearch_logger.get_rank", lambda: 1)
    trainer = Engine(lambda engine, batch: 1)
    FBResearchLogger(CONSOLE, show_output=True).attach(trainer, "T", output_transform=lambda output: 1 / 0)
    trainer.run(range(3), max_epochs=2)
    assert [] == said


def test_nothing_of_it_is_saved_with_the_engine() -> None:
    """So that a run may be resumed with another console, or none."""
    trainer = Engine(lambda engine, batch: None)
    before = trainer.state_dict()
    FBResearchLogger(CONSOLE).attach(trainer, "T")
    assert before == trainer.state_dict()


def test_the_memory_of_a_gpu_is_shown_where_one_is_used(
    clock: Clock, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for CUDA says how much; without it there is no such part."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 5 * 2**20)
    trainer = slow(clock)
    FBResearchLogger(CONSOLE).attach(trainer, "T")
    trainer.run([0])
    assert said[1].endswith("Data prep time: 0.0000 s  GPU Max Mem: 5 MB")


def test_the_handle_removes_all_of_it(said: list[str]) -> None:
    """Lines and timers."""
    trainer = Engine(lambda engine, batch: None)
    with FBResearchLogger(CONSOLE).attach(trainer, "T", every=2):
        assert sum(len(signal.receivers) for signal in trainer.signals.all()) == 8
    assert sum(len(signal.receivers) for signal in trainer.signals.all()) == 0
    with EventRecorder(trainer):
        trainer.run(range(3))
    assert [] == said


def nothing(engine: Engine, batch: Any) -> None:
    """Do nothing, as a step that can be pickled."""


@every_copy
def test_a_copied_engine_says_its_own_lines(said: list[str], copied: Callable[[Any], Any]) -> None:
    """The copy has lines and timers of its own."""
    trainer = Engine(nothing)
    FBResearchLogger(CONSOLE).attach(trainer, "T", every=2)
    other = copied(trainer)
    other.run(range(2), max_epochs=1)
    assert ["T: start epoch [1/1]", "Epoch [1/1] [2/2]: ETA: TIME Iter time: TIME Data prep time: TIME"] == (
        without_times(said)[:2]
    )


def test_a_logger_of_the_package_will_do() -> None:
    """And so will an adapter of one."""
    loggers = setup_logger("console"), logging.LoggerAdapter(CONSOLE)
    assert list(loggers) == [FBResearchLogger(logger).logger for logger in loggers]


def test_bad_arguments_are_named_and_nothing_is_attached() -> None:
    """Each with its value."""
    trainer, logger = Engine(nothing), FBResearchLogger(CONSOLE)
    sgd = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    del sgd.param_groups[0]["lr"]
    attach = logger.attach
    table: list[tuple[Callable[[], Any], str]] = [
        (lambda: FBResearchLogger("console"), "logger must be a logging.Logger, got 'console'"),  # type: ignore[arg-type]
        (lambda: FBResearchLogger(CONSOLE, 3), "delimiter must be a string, got 3"),  # type: ignore[arg-type]
        (lambda: attach(3, "T"), "engine must be an Engine, got 3"),  # type: ignore[arg-type]
        (lambda: attach(trainer, None), "name must be a string, got None"),  # type: ignore[arg-type]
        (lambda: attach(trainer, "T", every=0), "every must be a positive integer, got 0"),
        (lambda: attach(trainer, "T", every=1.5), "every must be a positive integer, got 1.5"),  # type: ignore[arg-type]
        (lambda: attach(trainer, "T", output_transform=3), "output_transform must be callable, got 3"),  # type: ignore[arg-type]
        (lambda: attach(trainer, "T", state_attributes="a"), "state_attributes must be a list of names, got 'a'"),  # type: ignore[arg-type]
        (lambda: attach(trainer, "T", state_attributes=[1]), "state_attributes must be a list of names, got [1]"),  # type: ignore[list-item]
        (lambda: attach(trainer, "T", state_attributes=1), "state_attributes must be a list of names, got 1"),  # type: ignore[arg-type]
        (lambda: attach(trainer, "T", optimizer=3), "optimizer must have param_groups, as torch.optim.Optimizer does"),  # type: ignore[arg-type]
        (
            lambda: attach(trainer, "T", optimizer=sgd),
            "param_name must be a parameter of the optimizer's groups, got",
        ),
    ]
    for call, message in table:
        with pytest.raises((TypeError, ValueError), match=re.escape(message)):
            call()
    assert 0 == sum(len(signal.receivers) for signal in trainer.signals.all())
