"""A checkpoint holds tensors and plain data: what loading would refuse is refused at saving."""

from __future__ import annotations

import collections
import datetime
import pickle
import re
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ignite_signals.engine import Engine, Events
from ignite_signals.handlers import Checkpoint, DiskSaver, EpochOutputStore, checkpoint_file, loadable


class Custom:
    """A user's class."""


class CustomTensor(torch.Tensor):
    """A user's kind of tensor."""


Point = collections.namedtuple("Point", "x")


def with_attribute(tensor: torch.Tensor, value: Any) -> torch.Tensor:
    tensor.tag = value
    return tensor


def cyclic() -> list[Any]:
    made: list[Any] = [torch.ones(1)]
    made.append((made, {"again": made}))
    return made


def quietly(make: Callable[[], torch.Tensor]) -> torch.Tensor:
    """Make a tensor of a kind that torch calls unfinished."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


SHARED = torch.arange(6.0)
TAKEN: dict[str, Any] = {
    "sparse": torch.eye(3).to_sparse(),
    "compressed rows": quietly(lambda: torch.eye(3).to_sparse_csr()),
    "quantized": quietly(lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)),
    "quantized by channel": quietly(
        lambda: torch.quantize_per_channel(torch.ones(3, 2), torch.full((3,), 0.1), torch.zeros(3), 0, torch.qint8)
    ),
    "nested tensor": quietly(lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])),
    "complex": torch.ones(2, dtype=torch.complex64),
    "conjugate view": torch.ones(2, dtype=torch.complex64).conj(),
    "negative view": torch.ones(2, dtype=torch.complex64).conj().imag,
    "bfloat16": torch.ones(2, dtype=torch.bfloat16),
    "float8": torch.ones(2).to(torch.float8_e4m3fn),
    "uint32": torch.ones(2).to(torch.uint32),
    "bool": torch.tensor([True]),
    "meta": torch.empty(2, device="meta"),
    "no dimension": torch.tensor(1.0),
    "no element": torch.empty(0, 3),
    "not contiguous": torch.arange(10.0)[::2].view(5, 1).t(),
    "expanded": torch.ones(1).expand(4),
    "tied": [SHARED, SHARED, SHARED[2:]],
    "requires grad": torch.ones(2, requires_grad=True),
    "parameter": nn.Parameter(torch.ones(2)),
    "parameter with an attribute": with_attribute(nn.Parameter(torch.ones(2)), 3),
    "tensor with an attribute": with_attribute(torch.ones(2), "x"),
    "state of a model": nn.BatchNorm1d(3).state_dict(),
    "generator": torch.Generator().get_state(),
    "scalars": [
        None,
        True,
        1,
        -(2**500),
        1.5,
        float("nan"),
        float("inf"),
        1 + 2j,
        "ü",
        "\ud800",
        b"\0",
        bytearray(b"x"),
    ],
    "torch's own": [torch.Size([1, 2]), torch.float32, torch.device("cpu"), torch.strided, torch.per_tensor_affine],
    "containers": [
        {1: (2, [3, {4, 5}])},
        collections.OrderedDict(a=(1,)),
        collections.Counter("ab"),
        (),
        [],
        {},
        set(),
    ],
    "keys": {2: 0, (1, "a"): 0, None: 0, True: 0, 1.5: 0},
    "cyclic": cyclic(),
}


def equal(one: Any, other: Any, seen: frozenset[int] = frozenset()) -> bool:
    """Compare nested data with tensors."""
    if type(one) is not type(other) and not (isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)):
        return False
    if id(one) in seen:
        return True
    seen |= {id(one)}
    if isinstance(one, torch.Tensor):
        if one.is_meta or one.is_nested:
            return one.dtype == other.dtype
        one, other = (each.dequantize() if each.is_quantized else each for each in (one, other))
        if one.layout is not torch.strided:
            one, other = one.to_dense(), other.to_dense()
        one, other = (each.float() if each.dtype is torch.float8_e4m3fn else each for each in (one, other))
        return torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(equal(one[key], other[key], seen) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(equal(a, b, seen) for a, b in zip(one, other, strict=True))
    return one == other or one != one


@pytest.mark.filterwarnings("ignore::UserWarning:torch")
@pytest.mark.parametrize("value", TAKEN.values(), ids=list(TAKEN))
def test_what_torch_loads_is_saved(value, tmp_path):
    """Every kind of tensor and of plain data is taken and comes back."""
    path = tmp_path / "x.pt"
    checkpoint_file.write({"model": {"deep": [value]}}, path)
    assert equal(value, checkpoint_file.read(path)["model"]["deep"][0])


def test_tensors_that_share_memory_do_so_in_the_file(tmp_path):
    """Tied weights are written once, and are tied when they are loaded."""
    checkpoint_file.write({"a": torch.ones(10_000), "b": (tied := torch.ones(10_000)), "c": tied}, tmp_path / "x.pt")
    found = checkpoint_file.read(tmp_path / "x.pt")
    assert (True, True) == (found["b"].data_ptr() == found["c"].data_ptr(), (tmp_path / "x.pt").stat().st_size < 90_000)


REFUSED: dict[str, tuple[Any, str]] = {
    "object": (Custom(), f"{__name__}.Custom"),
    "function": (lambda: None, "function"),
    "module": (nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
    "tensor of a class": (torch.ones(2).as_subclass(CustomTensor), f"{__name__}.CustomTensor"),
    "tensor with an object": (with_attribute(torch.ones(2), Custom()), "torch.Tensor"),
    "numpy scalar": (np.float64(1), "numpy.float64"),
    "numpy array": (np.ones(2), "numpy.ndarray"),
    "frozen set": (frozenset({1}), "frozenset"),
    "default dict": (collections.defaultdict(int, a=1), "collections.defaultdict"),
    "named tuple": (Point(1), f"{__name__}.Point"),
    "time": (datetime.timedelta(1), "datetime.timedelta"),
    "path": (Path("x"), f"{Path('x').__module__}.{type(Path('x')).__qualname__}"),
    "lock": (threading.Lock(), "_thread.lock"),
    "huge number": (1 << 3000, "int"),
    "empty bytes": (b"", "bytes"),
}


@pytest.mark.parametrize(("value", "kind"), REFUSED.values(), ids=list(REFUSED))
def test_what_loading_would_refuse_is_not_written(value, kind, tmp_path):
    """The error names class and place, and the folder is as it was."""
    DiskSaver(tmp_path)({"epoch": 1}, "x.pt")
    before = (tmp_path / "x.pt").read_bytes()
    checkpoint = {"model": nn.Linear(2, 2).state_dict(), "trainer": {"attached": {"Mine": {"data": [0, (value,)]}}}}
    for saver in (DiskSaver(tmp_path, require_empty=False), DiskSaver(tmp_path, atomic=False, require_empty=False)):
        with pytest.raises(TypeError) as caught:
            saver(checkpoint, "x.pt")
        expected = (
            f"checkpoint must hold tensors and plain data, got {kind} at "
            "checkpoint['trainer']['attached']['Mine']['data'][1][0]: loading would refuse it, because it might run "
            "code; let state_dict() return plain data"
        )
        assert expected == str(caught.value)
        assert (["x.pt"], before) == ([path.name for path in tmp_path.iterdir()], (tmp_path / "x.pt").read_bytes())


@pytest.mark.parametrize(
    ("checkpoint", "where"),
    [
        (Custom(), "Custom at checkpoint:"),
        ({"a": {Custom(): 1}}, "Custom at a key of checkpoint['a']:"),
        ({"a": {1, Point(2)}}, "Point at an element of checkpoint['a']:"),
        ({"a": collections.UserDict(b=1)}, "collections.UserDict at checkpoint['a']:"),
        ({"a": collections.OrderedDict(b=[1, Custom()])}, "Custom at checkpoint['a']['b'][1]:"),
        ({"a": [*cyclic(), Custom()]}, "Custom at checkpoint['a'][2]:"),
        ({(1, 2): [1, Custom]}, "type at checkpoint[(1, 2)][1]:"),
    ],
)
def test_the_place_is_told_exactly(checkpoint, where):
    """Keys, elements of sets, a mapping of an own class, and data that holds itself."""
    with pytest.raises(TypeError, match=re.escape(where)):
        loadable.check_loadable(checkpoint, {})


def test_an_object_beside_the_items_of_a_state_is_found(tmp_path):
    """What a model's state dict has as an attribute is written, too, as its `_metadata` is."""
    state = nn.Linear(1, 1).state_dict()
    state.note = Custom()
    with pytest.raises(TypeError, match=r"OrderedDict at checkpoint\['model'\]"):
        checkpoint_file.write({"model": state}, tmp_path / "x.pt")


def test_a_container_that_holds_itself_and_an_object(tmp_path):
    """The search for the place ends."""
    made: list[Any] = []
    made.append([made, Custom()])
    with pytest.raises(TypeError, match=r"Custom at checkpoint\[0\]\[1\]"):
        checkpoint_file.write(made, tmp_path / "x.pt")


def test_the_output_store_of_a_trainer_is_named(tmp_path):
    """An array that a handler keeps is found where it is in the trainer's state."""
    trainer = Engine(lambda engine, batch: np.float64(batch))
    EpochOutputStore().attach(trainer, "outputs")
    saver = Checkpoint({"trainer": trainer, "model": nn.PReLU()}, tmp_path)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, saver)
    with pytest.raises(TypeError, match=re.escape("at checkpoint['trainer']['attached']['EpochOutputStore")):
        trainer.run([1, 2])
    assert [] == list(tmp_path.iterdir())


LEAVES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text()
PLAIN = st.recursive(
    LEAVES | st.binary(min_size=1),  # torch does not load empty bytes
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
)


@settings(deadline=None, max_examples=100)
@given(value=PLAIN)
def test_any_plain_data_comes_back(value, tmp_path_factory):
    """Whatever is nested how deep, it is not refused and is equal after loading."""
    path = tmp_path_factory.mktemp("plain") / "x.pt"
    checkpoint_file.write(value, path)
    assert value == checkpoint_file.read(path)


@settings(deadline=None, max_examples=100)
@given(keys=st.lists(st.text() | st.integers(), min_size=1, max_size=6), beside=PLAIN)
def test_the_place_is_told_wherever_it_is(keys, beside):
    """However deep an object is in dictionaries and lists, its place is told."""
    value: Any = Custom()
    for number, key in reversed(list(enumerate(keys))):
        value = [beside, value] if number % 2 else {"": beside, key: value}
    place = "checkpoint" + "".join("[1]" if number % 2 else f"[{key!r}]" for number, key in enumerate(keys))
    with pytest.raises(TypeError, match=re.escape(f"{__name__}.Custom at {place}: ")):
        loadable.check_loadable(value, {})


def test_a_class_that_the_user_allows_is_saved(tmp_path):
    """What torch was told to load is not refused."""
    with torch.serialization.safe_globals([Custom]):
        checkpoint_file.write({"x": Custom()}, tmp_path / "x.pt")
        assert Custom is type(checkpoint_file.read(tmp_path / "x.pt")["x"])
    with pytest.raises(pickle.UnpicklingError, match=re.escape(f"holds {__name__}.Custom, which might run code")):
        checkpoint_file.read(tmp_path / "x.pt")


def test_the_check_reads_no_number(monkeypatch):
    """The tensors are left out, so that the check takes no longer for large ones."""
    saved = []
    monkeypatch.setattr(loadable.torch, "save", lambda value, file, **_: saved.append(value))
    monkeypatch.setattr(loadable.torch, "load", lambda file, **_: None)
    model = nn.Linear(2, 2)
    loadable.check_loadable({"model": model.state_dict(), "p": [model.weight], "epoch": 3}, {})
    assert [{"model": {"weight": None, "bias": None}, "p": [None], "epoch": 3}] == saved


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"protocol": 2}, TypeError, "save() got an unexpected keyword argument 'protocol'"),
        (
            {"pickle_protocol": 4},
            ValueError,
            "kwargs must let torch.save write what weights_only loads, got {'pickle_protocol': 4}: leave them out",
        ),
        (
            {"pickle_protocol": 3},
            ValueError,
            "kwargs must let torch.save write what weights_only loads, got {'pickle_protocol': 3}: leave them out",
        ),
        (
            {"_use_new_zipfile_serialization": False},
            ValueError,
            "_use_new_zipfile_serialization must be True, got False: a checksum needs an archive",
        ),
    ],
)
def test_options_with_which_nothing_loads_are_refused_at_once(options, error, message, tmp_path):
    """Not at the first save, which may be hours later; the folder is not made."""
    with pytest.raises(error) as caught:
        DiskSaver(tmp_path / "new", **options)
    assert (message, False) == (str(caught.value), (tmp_path / "new").exists())


@pytest.mark.parametrize("options", [{"pickle_protocol": 2}, {"pickle_module": pickle}])
def test_options_of_torch_save_are_passed_on(options, tmp_path):
    """What is written with them loads."""
    DiskSaver(tmp_path, **options)({"w": torch.ones(2)}, "x.pt")
    assert equal(torch.ones(2), checkpoint_file.read(tmp_path / "x.pt")["w"])
