"""TerminateOnNan ends a run whose output is not finite."""

from __future__ import annotations

import copy
import logging
import math
import pickle
from collections import namedtuple
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from ignite_signals.engine import Engine, Events
from ignite_signals.handlers import TerminateOnNan, terminate_on_nan

NAN, INF = float("nan"), float("inf")
Losses = namedtuple("Losses", ["a", "b"])


@dataclass
class Parts:
    """An output of the user's own."""

    loss: Any
    name: str = "a"


@attrs.define
class Slots:
    """The same, as an attrs class."""

    loss: Any


FINITE = [
    *(
        1,
        1.5,
        True,
        1 + 1j,
        10**400,
        Fraction(1, 3),
        "nan",
        b"nan",
        [],
        {},
        torch.tensor(1.0),
        torch.tensor([1, 2]),
    ),
    *([1.0, torch.zeros(2)], {"loss": 1.0, "name": "a"}, Losses(1, [2.0, {"c": 3}]), torch.tensor([True])),
    *(torch.zeros(0), torch.tensor(1e300, dtype=torch.float64), torch.full((9,), 3e38), Fraction(10**400)),
    *(torch.tensor([complex(3e38, 3e38)]), torch.tensor(65504.0, dtype=torch.float16)),
    torch.tensor([1 + 1j]).conj(),
]
NOT_FINITE = [
    *(NAN, INF, -INF, complex(NAN, 0), torch.tensor(NAN), torch.tensor([1.0, -INF])),
    *([1, torch.tensor(NAN)], (1, {"a": NAN}), {"a": [{"b": torch.tensor(INF)}]}, Losses(1, NAN)),
    *(torch.tensor(NAN, dtype=torch.float16), torch.tensor([complex(1, INF)]), {"name": "a", "loss": NAN}),
]


def iterations(output: Any, handler: TerminateOnNan | None = None) -> int:
    """Return after how many of three iterations a run with this output ends."""
    engine = Engine(lambda engine, batch: output)
    engine.add_event_handler(Events.ITERATION_COMPLETED, handler or TerminateOnNan())
    return engine.run([1, 2, 3]).iteration


@pytest.mark.parametrize("output", FINITE, ids=repr)
def test_a_finite_output_goes_on(output: Any) -> None:
    """Finite numbers, however deep, and strings let the run go on."""
    assert 3 == iterations(output)


@pytest.mark.parametrize("output", NOT_FINITE, ids=repr)
def test_any_other_ends_the_run(output: Any) -> None:
    """One NaN or infinity, however deep, ends the run in that iteration."""
    assert 1 == iterations(output)


def test_the_output_is_transformed() -> None:
    """output_transform chooses what is looked at."""
    assert 3 == iterations((NAN, 1.0), TerminateOnNan(output_transform=lambda output: output[1]))


def test_says_when_and_what(caplog: pytest.LogCaptureFixture) -> None:
    """A warning names the iteration and shows the output."""
    with caplog.at_level(logging.WARNING):
        iterations({"loss": NAN})

    assert ["NaN or infinity in the output at iteration 1, the run ends: {'loss': nan}"] == caplog.messages


def test_the_run_says_that_it_was_terminated() -> None:
    """The state tells why the run ended, and events follow in order."""
    engine, seen = Engine(lambda engine, batch: batch), []
    engine.add_event_handler(Events.ITERATION_COMPLETED, TerminateOnNan())
    engine.add_event_handler(Events.TERMINATE, lambda engine: seen.append(engine.state.iteration))

    state = engine.run([1.0, NAN, 2.0])

    assert ("terminated", [2]) == (state.stop_reason, seen)


def test_the_run_says_that_terminate_on_nan_ended_it() -> None:
    """The stop reason names the handler."""
    engine = Engine(lambda engine, batch: batch)
    TerminateOnNan().attach(engine)

    assert "'terminated' by TerminateOnNan" == repr(engine.run([NAN]).stop_reason)


def test_the_state_says_where_it_was_found() -> None:
    """Until a later run is looked at, `state.not_finite_at` is the iteration; receivers of the end see it."""
    engine, seen = Engine(lambda engine, batch: batch), []
    TerminateOnNan().attach(engine)
    engine.add_event_handler(
        Events.ITERATION_COMPLETED | Events.TERMINATE | Events.COMPLETED,
        lambda engine: seen.append(getattr(engine.state, "not_finite_at", None)),
    )
    engine.run([1.0, NAN, 2.0])
    engine.run([1.0, 2.0, 3.0])

    assert [None, 2, 2, 2, None] == seen[:5]
    assert not hasattr(engine.state, "not_finite_at")


def test_another_one_leaves_what_was_found() -> None:
    """Of two handlers of an engine the second, which finds nothing, does not gainsay the first."""
    engine = Engine(lambda engine, batch: batch)
    TerminateOnNan(lambda output: output[0]).attach(engine)
    TerminateOnNan(lambda output: output[1]).attach(engine)

    assert 1 == engine.run([(NAN, 1.0)]).not_finite_at


@pytest.mark.parametrize("output", [None, [None], {1.0}, object()])
def test_refuses_what_it_cannot_look_at(output: Any) -> None:
    """An output that holds no number is an error, not a silent pass."""
    with pytest.raises(
        TypeError, match="output must hold numbers, tensors, or sequences, mappings and dataclasses of them, got "
    ):
        iterations(output)


def test_the_transform_must_be_callable() -> None:
    """What cannot be called is refused at once."""
    with pytest.raises(TypeError, match="output_transform must be callable, got 3"):
        TerminateOnNan(output_transform=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("output", [Parts(1.0), Slots(torch.ones(2)), [Parts(Slots({"a": 1}))]], ids=repr)
def test_looks_into_classes_of_fields(output: Any) -> None:
    """Dataclasses and attrs classes are outputs, however deep."""
    assert 3 == iterations(output)


@pytest.mark.parametrize("output", [Parts(NAN), Slots(torch.tensor([1.0, INF])), [Parts(Slots({"a": NAN}))]], ids=repr)
def test_finds_nan_in_classes_of_fields(output: Any) -> None:
    """A NaN in a field ends the run."""
    assert 1 == iterations(output)


def test_a_large_complex_number_is_finite() -> None:
    """What counts are the parts of a complex number, not its absolute value."""
    assert 3 == iterations(complex(1e308, 1e308))


@given(values=st.lists(st.floats(width=32), max_size=40), requires_grad=st.booleans())
def test_a_tensor_is_finite_if_its_numbers_are(values: list[float], requires_grad: bool) -> None:
    """Whatever the numbers of a tensor, it ends the run if and only if one of them is not finite."""
    expected = all(map(math.isfinite, values))

    assert (3 if expected else 1) == iterations(torch.tensor(values, requires_grad=requires_grad))


@pytest.mark.parametrize("output", [o for o in FINITE + NOT_FINITE if not isinstance(o, int | Fraction)], ids=repr)
def test_ends_when_ignite_does(output: Any) -> None:
    """The same outputs end PyTorch-Ignite's run."""
    ignite, ignite_engine = pytest.importorskip("ignite.handlers"), pytest.importorskip("ignite.engine")
    engine = ignite_engine.Engine(lambda engine, batch: output)
    engine.add_event_handler(ignite_engine.Events.ITERATION_COMPLETED, ignite.TerminateOnNan())

    assert engine.run([1, 2, 3]).iteration == iterations(output)


class Reads(TorchDispatchMode):
    """Count how often a number is read from a tensor, which is when a device is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count, and do what was to be done."""
        self.count += func.overloadpacket is torch.ops.aten._local_scalar_dense
        return func(*args, **(kwargs or {}))


@pytest.fixture
def far_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the CPU pass for a device that must be waited for."""
    monkeypatch.setattr(terminate_on_nan, "_is_at_hand", lambda tensor: False)


def trainer_of(losses: list[Any]) -> Engine:
    """Return a trainer whose outputs are such losses."""
    return Engine(lambda engine, batch: torch.tensor(losses[batch]))


@pytest.mark.usefixtures("far_device")
class TestWaiting:
    def test_waits_once_for_all_tensors_of_an_output(self) -> None:
        """However many tensors an output has, the device is waited for once a look."""
        engine = Engine(lambda engine, batch: {"a": [torch.ones(3), torch.ones(2, 2).double()], "b": torch.tensor(1j)})
        engine.add_event_handler(Events.ITERATION_COMPLETED, TerminateOnNan())
        with Reads() as reads:
            engine.run(range(5))

        assert 5 == reads.count

    def test_waits_at_every_so_many_calls(self) -> None:
        """With every=10, 100 iterations wait ten times."""
        engine = trainer_of([1.0] * 100)
        TerminateOnNan(every=10).attach(engine)
        with Reads() as reads:
            engine.run(range(100))

        assert 10 == reads.count

    def test_does_not_wait_for_integers_and_nothing(self) -> None:
        """What cannot be a NaN is not looked at."""
        engine = Engine(lambda engine, batch: [torch.tensor(1), torch.zeros(0), torch.tensor(True), 1.0])
        engine.add_event_handler(Events.ITERATION_COMPLETED, TerminateOnNan())
        with Reads() as reads:
            engine.run(range(5))

        assert 0 == reads.count

    @pytest.mark.parametrize("bad", [NAN, INF, -INF])
    @pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6, 8])
    def test_a_nan_between_two_looks_is_found_at_the_next(self, bad: float, at: int) -> None:
        """A NaN in any iteration ends the run at the next multiple of every."""
        losses = [bad if iteration == at else 1.0 for iteration in range(1, 21)]
        engine = trainer_of(losses)
        TerminateOnNan(every=4).attach(engine)

        assert math.ceil(at / 4) * 4 == engine.run(range(20)).iteration

    def test_a_nan_after_the_last_look_is_found_at_the_end_of_the_epoch(self) -> None:
        """Attached, it looks at the rest before the next epoch begins."""
        engine = trainer_of([1.0, 1.0, NAN])
        TerminateOnNan(every=100).attach(engine)
        state = engine.run(range(3), max_epochs=5)

        assert (1, "terminated") == (state.epoch, state.stop_reason)

    def test_a_run_cut_short_says_what_it_found(self, caplog: pytest.LogCaptureFixture) -> None:
        """A run that ends inside an epoch looks at the rest too."""
        engine = trainer_of([1.0, NAN, 1.0, 1.0])
        TerminateOnNan(every=100).attach(engine)
        engine.run(range(4), max_iters=3)

        assert ["NaN or infinity in the output of iterations 1 to 3, the run ends"] == caplog.messages

    def test_says_where(self, caplog: pytest.LogCaptureFixture) -> None:
        """The warning names the iterations since the last look; one alone is shown."""
        for every, losses in ((4, [1.0] * 5 + [NAN] * 3), (1, [1.0, NAN])):
            engine = trainer_of(losses)
            TerminateOnNan(every=every).attach(engine)
            engine.run(range(len(losses)))

        assert [
            "NaN or infinity in the output of iterations 5 to 8, the run ends",
            "NaN or infinity in the output at iteration 2, the run ends: tensor(nan)",
        ] == caplog.messages

    def test_a_number_ends_the_run_at_once(self) -> None:
        """What needs no wait is not put off."""
        engine = Engine(lambda engine, batch: {"loss": torch.tensor(1.0), "norm": batch})
        TerminateOnNan(every=100).attach(engine)

        assert 2 == engine.run([1.0, NAN, 1.0]).iteration

    def test_a_new_run_is_not_blamed_for_the_last_one(self) -> None:
        """What a failed run left unread is forgotten when a new one starts."""
        engine, handler = Engine(lambda engine, batch: torch.tensor(batch)), TerminateOnNan(every=4)
        engine.add_event_handler(Events.ITERATION_COMPLETED, handler)
        engine.run([1.0, 1.0, NAN])

        assert (5, "completed") == (engine.run([1.0] * 5).iteration, engine.state.stop_reason)

    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda handler: pickle.loads(pickle.dumps(handler))])
    def test_a_copy_knows_what_was_not_read_yet(self, copied: Any) -> None:
        """A copy finds the NaN that the original has taken note of."""
        engine, handler = trainer_of([NAN]), TerminateOnNan(every=100)
        engine.add_event_handler(Events.ITERATION_COMPLETED, handler)
        engine.run([0])
        other = Engine(lambda engine, batch: None)
        other.add_event_handler(Events.ITERATION_COMPLETED, copied(handler).look)

        assert 1 == other.run(range(3)).iteration


@pytest.mark.usefixtures("far_device")
class TestResuming:
    @pytest.mark.parametrize("cut", range(1, 8))
    @pytest.mark.parametrize("bad", [2, 6])
    def test_a_resumed_run_ends_where_an_unbroken_one_does(self, cut: int, bad: int, tmp_path: Path) -> None:
        """What nobody had looked at is saved with the trainer, and found by the run that goes on."""
        losses = [NAN if iteration == bad else 1.0 for iteration in range(1, 21)]

        def trainer(save: bool) -> Engine:
            engine = Engine(lambda engine, batch: torch.tensor(losses[engine.state.iteration - 1]))
            TerminateOnNan(every=8).attach(engine)
            if save:
                engine.add_event_handler(
                    Events.ITERATION_COMPLETED(once=cut),
                    lambda engine: torch.save(engine.state_dict(), tmp_path / "trainer.pt"),
                )
            return engine

        unbroken = trainer(save=True).run(range(20)).iteration
        resumed = trainer(save=False)
        resumed.load_state_dict(torch.load(tmp_path / "trainer.pt", weights_only=True))

        assert 8 == unbroken == resumed.run(range(20)).iteration

    def test_the_state_is_plain(self, tmp_path: Path) -> None:
        """torch.load takes the state from a file with weights_only, and it is unchanged."""
        handler, other = TerminateOnNan(every=100), TerminateOnNan(every=100)
        iterations([1.5, torch.tensor([1.0, -3.0])], handler)
        torch.save(handler.state_dict(), tmp_path / "handler.pt")
        loaded = torch.load(tmp_path / "handler.pt", weights_only=True)
        other.load_state_dict(loaded)

        assert {"calls": 3, "first": 1, "last": 3, "unread": [torch.tensor(3.0)]} == loaded == other.state_dict()

    def test_what_was_noted_before_loading_is_forgotten(self) -> None:
        """A model that was poisoned and loaded anew is not blamed for what it was."""
        engine, handler = trainer_of([NAN]), TerminateOnNan(every=100)
        fresh = handler.state_dict()
        engine.add_event_handler(Events.ITERATION_COMPLETED, handler)
        engine.run([0])
        handler.load_state_dict(fresh)
        handler.look(engine)

        assert not engine.should_terminate

    def test_saving_does_not_wait_for_the_device(self) -> None:
        """The state holds what the device knows, unread."""
        handler = TerminateOnNan(every=100)
        iterations(torch.tensor([1.0, 2.0]), handler)
        with Reads() as reads:
            state = handler.state_dict()

        assert (0, [torch.tensor(2.0)]) == (reads.count, state["unread"])

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            (None, TypeError, r"state_dict must be a mapping, as TerminateOnNan\.state_dict\(\) returns, got None"),
            ({"unread": None}, TypeError, r"state_dict\['unread'\] must be a list of tensors of one element, got None"),
            ({"unread": [1.0]}, TypeError, r"must be a list of tensors of one element, got \[1\.0\]"),
            ({"unread": [torch.ones(2)]}, TypeError, "must be a list of tensors of one element, got "),
            ({"calls": -1}, ValueError, r"state_dict\['calls'\] must be an integer of at least 0, got -1"),
        ],
    )
    def test_a_bad_state_changes_nothing(self, change: Any, error: type[Exception], message: str) -> None:
        """What cannot be loaded is refused with its name and value."""
        handler = TerminateOnNan(every=100)
        iterations(torch.tensor(2.0), handler)
        before = handler.state_dict()
        with pytest.raises(error, match=message):
            handler.load_state_dict(change and before | change)

        assert before == handler.state_dict()

    def test_a_state_without_a_key_is_refused(self) -> None:
        """The error names what is missing."""
        with pytest.raises(ValueError, match="state_dict must have the keys 'first', 'last', 'unread', got "):
            TerminateOnNan().load_state_dict({"calls": 1})


def test_on_the_cpu_every_puts_nothing_off() -> None:
    """A tensor that can be read without a wait ends the run in its own iteration."""
    engine = trainer_of([1.0, 1.0, NAN, 1.0, 1.0])
    TerminateOnNan(every=100).attach(engine)

    assert 3 == engine.run(range(5)).iteration


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_not_waited_for_in_between() -> None:
    """Between two looks nothing synchronizes with the GPU, and the NaN is found."""
    engine, handler = Engine(lambda engine, batch: batch), TerminateOnNan(every=5)
    engine.add_event_handler(Events.ITERATION_COMPLETED(before=5), handler)
    losses = [torch.tensor(loss, device="cuda") for loss in (1.0, NAN, 1.0, 1.0)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        engine.run(losses)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    handler.look(engine)

    assert engine.should_terminate


@pytest.mark.parametrize("every", [0, -1, 1.5, None])
def test_every_is_a_positive_integer(every: Any) -> None:
    """Any other number of calls is refused."""
    with pytest.raises(ValueError, match="every must be a positive integer, got "):
        TerminateOnNan(every=every)


@pytest.mark.parametrize("make", [torch.Tensor.to_sparse, torch.Tensor.to_sparse_csr], ids=["coo", "csr"])
@pytest.mark.parametrize(("value", "expected"), [(1.0, 3), (math.nan, 1), (math.inf, 1)])
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support:UserWarning")
def test_a_sparse_tensor_is_looked_at(make: Any, value: float, expected: int) -> None:
    """The stored numbers of a sparse output are looked at, and the others are 0."""
    assert expected == iterations(make(torch.diag(torch.tensor([1.0, value]))))


def test_a_sparse_tensor_without_stored_numbers_is_finite() -> None:
    """Where all numbers are 0 there is nothing to look at."""
    assert 3 == iterations(torch.zeros(2, 2).to_sparse())
