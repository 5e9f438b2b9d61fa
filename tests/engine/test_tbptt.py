"""Truncated backpropagation through time: chunks, their events, and the hidden state between them."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ignite_signals.engine import Engine, Events, Tbptt_Events, create_supervised_tbptt_trainer

STARTED, COMPLETED = Tbptt_Events.TIME_ITERATION_STARTED, Tbptt_Events.TIME_ITERATION_COMPLETED
mse = nn.functional.mse_loss


class Recurrent(nn.Module):
    """Predict with a recurrent layer, and note what it was called with."""

    def __init__(self, kind: type[nn.RNNBase] = nn.LSTM, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.recurrent = kind(2, 4, **options)
        self.head = nn.Linear(4, 1)
        self.lengths: list[int] = []
        self.hidden: list[Any] = []

    def forward(self, x: Tensor, hidden: Any = None) -> tuple[Tensor, Any]:
        self.lengths.append(x.size(1 if self.recurrent.batch_first else 0))
        self.hidden.append(hidden)
        y, hidden = self.recurrent(x, hidden)
        return self.head(y), hidden


def make_data(batches: int = 2, time: int = 10) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batches, time, 3, 2, generator=generator)
    return list(zip(x, x.sum(dim=3, keepdim=True).cumsum(dim=1), strict=True))


def make_trainer(model: nn.Module | None = None, tbtt_step: int = 4, **options: Any) -> Engine:
    model = Recurrent() if model is None else model
    sgd = torch.optim.SGD(model.parameters(), lr=0.05)
    return create_supervised_tbptt_trainer(model, sgd, options.pop("loss_fn", mse), tbtt_step, **options)


def weights(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def test_a_sequence_is_cut_into_chunks_the_last_of_which_may_be_shorter():
    """Ten time steps in chunks of four reach the model as 4, 4 and 2."""
    model = Recurrent()
    make_trainer(model).run(make_data(2))
    assert [4, 4, 2, 4, 4, 2] == model.lengths


def test_the_hidden_state_goes_on_within_a_sequence_without_its_graph():
    """The first chunk of a sequence starts without a hidden state, each other with the one before, detached."""
    model = Recurrent(nn.LSTM)
    make_trainer(model).run(make_data(2))
    assert [True, False, False] * 2 == [hidden is None for hidden in model.hidden]
    carried = [tensor for hidden in model.hidden if hidden is not None for tensor in hidden]
    assert 8 == len(carried)
    assert not any(tensor.requires_grad for tensor in carried)


def test_a_nested_hidden_state_is_detached_throughout():
    """A hidden state may be a dict of lists and tensors, and no tensor in it carries gradients on."""

    class Nested(Recurrent):
        def forward(self, x: Tensor, hidden: Any = None) -> tuple[Tensor, Any]:
            self.hidden.append(hidden)
            y, state = self.recurrent(x, None if hidden is None else (hidden["h"][0], hidden["c"]))
            return self.head(y), {"h": [state[0]], "c": state[1]}

    model = Nested()
    make_trainer(model).run(make_data(1))
    assert [False, False] == [hidden["h"][0].requires_grad for hidden in model.hidden[1:]]
    assert [False, False] == [hidden["c"].requires_grad for hidden in model.hidden[1:]]


def test_a_trainer_does_what_the_plain_loop_over_chunks_does():
    """Two epochs give bit for bit the weights of the loop over chunks written out."""
    model, by_hand = Recurrent(nn.GRU), Recurrent(nn.GRU)
    make_trainer(model).run(make_data(), max_epochs=2)
    sgd = torch.optim.SGD(by_hand.parameters(), lr=0.05)
    for x, y in make_data() * 2:
        hidden = None
        for begin in range(0, 10, 4):
            y_pred, hidden = by_hand(x[begin : begin + 4], hidden)
            sgd.zero_grad()
            mse(y_pred, y[begin : begin + 4]).backward()
            sgd.step()
            hidden = hidden.detach()
    torch.testing.assert_close(weights(by_hand), weights(model), rtol=0, atol=0)


def test_time_may_be_any_dimension():
    """`dim=1` trains on batches with the time second as `dim=0` does with the time first."""
    model, turned = Recurrent(), Recurrent(batch_first=True)
    make_trainer(model).run(make_data())
    make_trainer(turned, dim=1).run([(x.transpose(0, 1), y.transpose(0, 1)) for x, y in make_data()])
    assert model.lengths == turned.lengths
    torch.testing.assert_close(weights(model), weights(turned))


def test_the_output_is_the_loss_of_the_chunk_and_then_the_mean_over_the_chunks():
    """`state.output` is a detached scalar, of each chunk while it is announced and of the whole sequence after it."""
    trainer = make_trainer()
    chunks: list[Tensor] = []
    trainer.add_event_handler(COMPLETED, lambda: chunks.append(trainer.state.output))
    output = trainer.run(make_data(1)).output
    assert [torch.Size([])] * 4 == [loss.shape for loss in (*chunks, output)]
    assert not any(loss.requires_grad for loss in (*chunks, output))
    torch.testing.assert_close(sum(chunks) / 3, output)


def test_no_iteration_reads_a_number_from_the_device(monkeypatch):
    """The trainer never turns a tensor into a Python number, however many chunks there are."""

    def wait(*_: Any) -> None:
        raise AssertionError("an iteration waited for the device")

    trainer = make_trainer()
    with monkeypatch.context() as patched:
        for name in ("item", "tolist", "numpy", "cpu", "__bool__", "__float__"):
            patched.setattr(Tensor, name, wait)
        trainer.run(make_data())
    assert 2 == trainer.state.iteration


def test_chunks_are_announced_within_their_iteration():
    """Each chunk sends its two events, all of them between ITERATION_STARTED and ITERATION_COMPLETED."""
    trainer, log = make_trainer(), []
    for event in (Events.ITERATION_STARTED, STARTED, COMPLETED, Events.ITERATION_COMPLETED):
        trainer.add_event_handler(event, log.append, event.name)
    trainer.run(make_data(2))
    chunk = ["TIME_ITERATION_STARTED", "TIME_ITERATION_COMPLETED"]
    assert ["ITERATION_STARTED", *chunk * 3, "ITERATION_COMPLETED"] * 2 == log


def test_filters_of_chunk_events_work_with_no_set_up_and_count_over_the_whole_run():
    """`every` and `once` count chunks on from sequence to sequence, and nothing is registered first."""
    trainer, counts = make_trainer(), []
    trainer.on(COMPLETED(every=4) | STARTED(once=2))(lambda engine: counts.append(engine.state.time_iteration_started))
    trainer.run(make_data(3))
    assert [2, 4, 8] == counts
    assert 9 == trainer.state.time_iteration_completed


def test_chunk_events_are_documented_signals():
    """The signals of the chunk events are there from the start, each with the docstring of its event."""
    trainer = make_trainer()
    assert "chunk" in (trainer.signals["time_iteration_started"].__doc__ or "")
    assert trainer.signals["time_iteration_completed"] is trainer.signal(COMPLETED)
    assert COMPLETED.__doc__ == trainer.signal(COMPLETED).__doc__


def test_a_stop_requested_at_a_chunk_is_heeded_after_the_iteration():
    """`terminate` during a chunk lets the sequence be finished, and no other is begun."""
    trainer = make_trainer()
    trainer.add_event_handler(COMPLETED(once=1), trainer.terminate)
    trainer.run(make_data(3))
    assert (1, 3, "terminated") == (
        trainer.state.iteration,
        trainer.state.time_iteration_completed,
        trainer.state.stop_reason,
    )


def test_prepare_batch_gets_the_device_by_name():
    """`prepare_batch(batch, device=..., non_blocking=...)` is called once for each batch, not for each chunk."""
    calls = []

    def prepare(batch: list[Tensor], device: Any, non_blocking: bool) -> tuple[Tensor, Tensor]:
        calls.append((device, non_blocking))
        return batch[0], batch[1]

    make_trainer(device="cpu", non_blocking=True, prepare_batch=prepare).run(make_data())
    assert [("cpu", True)] * 2 == calls


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda engine: pickle.loads(pickle.dumps(engine))])
def test_the_copy_of_a_trainer_trains_a_copy_of_its_model(copied):
    """A copied or unpickled trainer runs, and leaves the model of the first one alone."""
    model = Recurrent()
    trainer = make_trainer(model)
    before = weights(model)
    assert 6 == copied(trainer).run(make_data()).time_iteration_completed
    torch.testing.assert_close(before, weights(model), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"tbtt_step": 0}, ValueError, "tbtt_step must be a positive integer, got 0"),
        ({"tbtt_step": 2.0}, ValueError, "tbtt_step must be a positive integer, got 2.0"),
        ({"dim": "time"}, TypeError, "dim must be the integer index of the time dimension, got 'time'"),
        ({"device": "nowhere"}, ValueError, "device must be None or a device .* got 'nowhere'"),
        ({"prepare_batch": None}, TypeError, "prepare_batch must be callable, got None"),
        ({"loss_fn": None}, TypeError, "loss_fn must be callable, got None"),
    ],
)
def test_a_trainer_refuses_bad_arguments_before_anything_runs(options, error, message):
    """A bad argument is an error when the trainer is made, with its name and the value that it got."""
    with pytest.raises(error, match=message):
        make_trainer(**options)


def test_sequences_of_different_lengths_are_refused_before_a_chunk_is_trained_on():
    """x and y that do not match in time are an error with both shapes, and the model is not called."""
    model = Recurrent()
    trainer = make_trainer(model)
    x, y = make_data(1)[0]
    with pytest.raises(ValueError, match=r"x and y must be equally long along dim=0, got shapes \(10, 3, 2\) and \(9,"):
        trainer.run([(x, y[:9])])
    assert [] == model.lengths


@pytest.mark.parametrize(("kind", "dim"), [(nn.LSTM, 0), (nn.GRU, 0), (nn.GRU, 1)])
def test_weights_and_losses_are_those_of_ignite(kind, dim):
    """The same model on the same data learns as with ignite, chunk by chunk, whichever dimension is time."""
    peer = pytest.importorskip("ignite.contrib.engines.tbptt")
    results = []
    for library in (peer, None):
        model = Recurrent(kind, batch_first=dim == 1)
        sgd = torch.optim.SGD(model.parameters(), lr=0.05)
        make = library.create_supervised_tbptt_trainer if library else create_supervised_tbptt_trainer
        event = (library.Tbptt_Events if library else Tbptt_Events).TIME_ITERATION_COMPLETED
        trainer = make(model, sgd, mse, 4, dim)
        losses: list[float] = []
        trainer.add_event_handler(event, lambda engine, log=losses: log.append(float(engine.state.output)))
        state = trainer.run([(x.transpose(0, dim), y.transpose(0, dim)) for x, y in make_data()], max_epochs=2)
        results.append(([*losses, float(state.output)], weights(model)))
    assert pytest.approx(results[0][0]) == results[1][0]
    torch.testing.assert_close(results[0][1], results[1][1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_no_iteration_waits_for_the_gpu():
    """Once the data is on the GPU, a whole run passes under PyTorch's check for synchronisation."""
    trainer = make_trainer(Recurrent().cuda(), device="cuda")
    data = [(x.cuda(), y.cuda()) for x, y in make_data()]
    trainer.run(data)
    torch.cuda.set_sync_debug_mode("error")
    try:
        output = trainer.run(data).output
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert "cuda" == output.device.type
