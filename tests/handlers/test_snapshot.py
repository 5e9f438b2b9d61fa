"""A snapshot is what would be saved now, whatever training does next."""

from __future__ import annotations

import collections
import io
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ignite_signals.handlers.snapshot import snapshot


def written(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def trained() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    optimizer = torch.optim.Adam(model.parameters(), amsgrad=True)
    for _ in range(2):
        model(torch.randn(5, 3)).sum().backward()
        optimizer.step()
    return model, optimizer


def test_a_file_of_it_is_that_of_the_original_to_the_byte() -> None:
    """Training that goes on changes nothing of it."""
    model, optimizer = trained()
    states = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
    expected, copied = written(states), snapshot(states)
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    assert expected != written(states)
    assert expected == written(copied)
    assert states["model"]._metadata == copied["model"]._metadata


DTYPES = [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn]
tensors = st.builds(
    lambda shape, dtype: torch.arange(shape[0] * shape[1]).reshape(shape).to(dtype),
    st.tuples(st.integers(0, 4), st.integers(0, 4)),
    st.sampled_from(DTYPES),
)
views = st.sampled_from(
    [lambda t: t, lambda t: t.t(), lambda t: t[1:], lambda t: t.flatten()[::2], lambda t: nn.Buffer(t)]
)
leaves = (
    st.builds(lambda tensor, view: view(tensor), tensors, views)
    | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3) | st.none() | st.booleans()
    | st.binary(max_size=3)
)  # fmt: skip
nested = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
        | st.tuples(inner, inner)
        | st.builds(collections.OrderedDict, st.dictionaries(st.text(max_size=2), inner, max_size=2))
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(nested)
def test_any_checkpoint_is_copied_as_it_is_written(value) -> None:
    """Whatever tensors and plain data it holds, in whatever nesting, a file of the copy is that of the original."""
    assert written(value) == written(snapshot(value))


class Marked(Tensor):
    """A tensor of another class, with an attribute."""


def special_tensors() -> list[Any]:
    marked = torch.arange(3.0).as_subclass(Marked)
    marked.mark = "here"  # type: ignore[attr-defined]
    plain = torch.arange(3.0)
    plain.mark = [1]  # type: ignore[attr-defined]
    leaf = torch.ones(2, requires_grad=True)
    return [
        *(marked, plain, leaf, leaf * 2, nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2), False)),
        *(torch.eye(3).to_sparse(), torch.eye(3).to_sparse_csr(), torch.ones(2, dtype=torch.complex64).conj()),
        *(torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), torch.ones(2, device="meta")),
        *(torch.empty(0), torch.tensor(3), torch.ones(1).expand(1000)),
    ]


@pytest.mark.filterwarnings("ignore:Sparse CSR", "ignore:TypedStorage is deprecated", "ignore:.*quantiz.*")
@pytest.mark.parametrize("index", range(14))
def test_tensors_of_every_kind(index) -> None:
    """Classes, attributes, layouts and gradients' flags come out as from a file."""
    value = special_tensors()[index]
    copied = snapshot([value])[0]
    assert type(value) is type(copied)
    assert vars(value) == vars(copied)
    assert (value.layout, value.requires_grad, value.dtype) == (copied.layout, copied.requires_grad, copied.dtype)
    assert value.is_meta or torch.equal(value.detach().to_dense(), copied.detach().to_dense())


def test_shared_memory_stays_shared() -> None:
    """Tied weights, views, and views as another type are one memory, and not that of the original."""
    memory = torch.zeros(1000)
    value = {"a": memory, "b": memory, "c": memory[10:20], "d": memory.view(10, 100), "e": memory.view(torch.int32)}
    copied = snapshot(value)
    assert 1 == len({tensor.untyped_storage().data_ptr() for tensor in copied.values()})
    assert copied["a"] is copied["b"]
    assert memory.untyped_storage().data_ptr() != copied["a"].untyped_storage().data_ptr()
    assert len(written(value["c"])) == len(written(snapshot(value["c"])))


def test_what_refers_to_itself() -> None:
    """A structure keeps its shape."""
    value: dict[str, Any] = {"tensor": torch.ones(1)}
    value["self"] = value
    copied = snapshot(value)
    assert copied is copied["self"]
    assert copied is not value


def test_what_cannot_be_saved_is_refused_at_once() -> None:
    """So that the error is raised where it comes from."""
    with pytest.raises((AttributeError, TypeError), match="pickle"):
        snapshot({"function": lambda: None})
