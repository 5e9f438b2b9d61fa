"""The helpers that PyTorch-Ignite's users import from `utils`."""

from __future__ import annotations

import logging
import random
import sys
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ignite_signals.utils import (
    apply_to_tensor,
    apply_to_type,
    convert_tensor,
    manual_seed,
    setup_logger,
    to_onehot,
)

Pair = namedtuple("Pair", ["first", "second"])


class TestApply:
    def test_keeps_the_types_of_containers(self) -> None:
        """Every container comes back as its own type, with new values."""
        x = {"pair": Pair(1, (2, [3])), "ordered": OrderedDict(a=4), "queue": deque([5])}

        result = apply_to_type(x, int, lambda n: n * 10)

        assert {"pair": Pair(10, (20, [30])), "ordered": OrderedDict(a=40), "queue": deque([50])} == result
        assert [Pair, OrderedDict, deque] == [type(value) for value in result.values()]

    def test_leaves_the_input_alone(self) -> None:
        """The structure that was given stays as it was."""
        x = defaultdict(list, a=[1])

        apply_to_type(x, int, lambda n: n + 1)

        assert {"a": [1]} == x

    def test_keeps_the_default_of_a_defaultdict(self) -> None:
        """A defaultdict, which PyTorch-Ignite fails on, keeps its factory."""
        result = apply_to_type(defaultdict(list, a=1), int, lambda n: n + 1)

        assert {"a": 2} == result
        assert [] == result["missing"]

    def test_rebuilds_an_immutable_mapping(self) -> None:
        """A mapping that cannot be changed is made anew."""
        result = apply_to_type(MappingProxyType({"a": 1}), int, lambda n: n + 1)

        assert isinstance(result, MappingProxyType)
        assert {"a": 2} == dict(result)

    @pytest.mark.parametrize("x", ["name", b"name"])
    def test_passes_strings_through(self, x: str | bytes) -> None:
        """A string is neither a sequence nor an error."""
        assert x is apply_to_tensor(x, torch.neg)

    def test_takes_several_types(self) -> None:
        """A tuple of types names all that the function is called on."""
        assert [2, 3.5] == apply_to_type([1, 2.5], (int, float), lambda n: n + 1)

    @pytest.mark.parametrize("x", [None, [None], {1}, object()])
    def test_refuses_what_it_does_not_know(self, x: object) -> None:
        """What holds no such object is an error that names what it found."""
        with pytest.raises(TypeError, match="x must hold Tensor, or mappings and sequences of that; found "):
            apply_to_tensor(x, torch.neg)

    @given(
        st.recursive(
            st.integers() | st.text(max_size=2),
            lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=2), x, max_size=3),
            max_leaves=10,
        )
    )
    def test_the_identity_changes_nothing(self, x: Any) -> None:
        """Any nested structure comes back equal when the function changes nothing."""
        assert x == apply_to_type(x, int, lambda n: n)


class TestConvertTensor:
    def test_moves_every_tensor(self) -> None:
        """All tensors of a batch go to the device, and its strings stay."""
        batch = {"x": (torch.zeros(2), [torch.ones(1)]), "file": "a.png"}

        moved = convert_tensor(batch, device="meta", non_blocking=True)

        assert ("meta", "meta", "a.png") == (
            moved["x"][0].device.type,
            moved["x"][1][0].device.type,
            moved["file"],
        )

    def test_no_device_moves_nothing(self) -> None:
        """Without a device the very same tensor comes back."""
        x = torch.zeros(2)

        assert x is convert_tensor(x)


class TestToOnehot:
    @given(st.integers(1, 6).flatmap(lambda c: st.tuples(st.just(c), st.lists(st.integers(0, c - 1), min_size=1))))
    def test_argmax_gives_the_indices_back(self, case: tuple[int, list[int]]) -> None:
        """One indicator per index is 1, at the index."""
        num_classes, indices = case

        onehot = to_onehot(torch.tensor(indices), num_classes)

        assert (len(indices), num_classes) == tuple(onehot.shape)
        assert indices == onehot.argmax(dim=1).tolist()
        assert [1] * len(indices) == onehot.sum(dim=1).tolist()

    def test_puts_the_classes_second(self) -> None:
        """Further dimensions follow the classes."""
        onehot = to_onehot(torch.zeros(2, 5, 7, dtype=torch.int32), 3)

        assert (2, 3, 5, 7) == tuple(onehot.shape)
        assert torch.uint8 == onehot.dtype
        assert 2 * 5 * 7 == onehot[:, 0].sum()

    @pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
    def test_works_in_torchscript(self) -> None:
        """The function can be scripted, as PyTorch-Ignite's."""
        indices = torch.tensor([[0, 2], [1, 1]])

        assert torch.equal(to_onehot(indices, 3), torch.jit.script(to_onehot)(indices, 3))

    def test_equals_ignite(self) -> None:
        """The result is PyTorch-Ignite's, type and shape included."""
        ignite = pytest.importorskip("ignite.utils")
        indices = torch.randint(0, 4, (3, 2, 2))

        result = to_onehot(indices, 4)

        assert torch.equal(ignite.to_onehot(indices, 4), result)
        assert torch.uint8 == result.dtype

    def test_refuses_floats(self) -> None:
        """Indices that are not integers are an error, not truncated."""
        with pytest.raises(TypeError, match=r"indices must be integers, got torch.float32"):
            to_onehot(torch.tensor([0.5]), 2)

    def test_refuses_a_missing_batch_dimension(self) -> None:
        """A single index has no place for the classes to follow."""
        with pytest.raises(ValueError, match="indices must have a first dimension"):
            to_onehot(torch.tensor(1), 2)

    def test_refuses_an_index_out_of_range(self) -> None:
        """An index without a class is an error."""
        with pytest.raises(RuntimeError, match="out of bounds"):
            to_onehot(torch.tensor([2]), 2)


def draws() -> tuple[float, float, float]:
    """Return a number from each generator."""
    import numpy as np

    return random.random(), float(torch.rand(1)), float(np.random.rand())


class TestManualSeed:
    def test_repeats_every_generator(self) -> None:
        """The same seed gives the same numbers from random, torch and NumPy."""
        pytest.importorskip("numpy")
        manual_seed(12)
        first = draws()
        second = draws()
        manual_seed(12)

        assert first == draws()
        assert first != second

    def test_equals_ignite(self) -> None:
        """A program that moves over draws the same numbers."""
        pytest.importorskip("numpy")
        pytest.importorskip("ignite.utils").manual_seed(5)
        theirs = draws()
        manual_seed(5)

        assert theirs == draws()

    def test_works_without_numpy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where NumPy is missing the others are seeded."""
        monkeypatch.setitem(sys.modules, "numpy", None)
        manual_seed(3)
        first = random.random(), float(torch.rand(1))
        manual_seed(3)

        assert first == (random.random(), float(torch.rand(1)))

    @pytest.mark.parametrize("seed", [-1, 2**32])
    def test_refuses_what_numpy_would_refuse(self, seed: int) -> None:
        """A seed out of range is refused before any generator was seeded."""
        random.seed(0)
        expected = random.getstate()

        with pytest.raises(ValueError, match=rf"seed must be in \[0, 2\*\*32\), got {seed}"):
            manual_seed(seed)

        assert expected == random.getstate()

    def test_refuses_what_is_no_integer(self) -> None:
        """A string of digits is no seed."""
        with pytest.raises(TypeError, match="seed must be an integer, got '7'"):
            manual_seed("7")  # type: ignore[arg-type]


@pytest.fixture
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    # One name a test: pytest adds handlers of its own to loggers that do not propagate.
    yield request.node.name
    logger = logging.getLogger(request.node.name)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


class TestSetupLogger:
    def test_writes_lines_of_the_format(self, name: str) -> None:
        """Messages of the level and above go to the stream, in the format."""
        stream = StringIO()
        logger = setup_logger(name, level=logging.WARNING, stream=stream, format="%(levelname)s %(message)s")

        logger.info("too little")
        logger.warning("enough")

        assert "WARNING enough\n" == stream.getvalue()
        assert not logger.propagate

    def test_leaves_a_logger_that_is_set_up(self, name: str) -> None:
        """A second call changes nothing, so that a message is written once."""
        first, second = StringIO(), StringIO()
        setup_logger(name, stream=first, format="%(message)s")

        setup_logger(name, stream=second, format="again %(message)s").info("one")

        assert ("one\n", "") == (first.getvalue(), second.getvalue())

    def test_reset_replaces_everything(self, name: str) -> None:
        """With reset the stream, the format and the level are the new ones."""
        first, second = StringIO(), StringIO()
        setup_logger(name, stream=first)

        setup_logger(name, level=logging.DEBUG, stream=second, format="+ %(message)s", reset=True).debug("one")

        assert ("", "+ one\n") == (first.getvalue(), second.getvalue())

    def test_sets_up_a_logger_that_exists_without_handlers(self, name: str) -> None:
        """A logger that a library made but left silent gets its stream."""
        logging.getLogger(name).addHandler(logging.NullHandler())
        stream = StringIO()

        setup_logger(name, stream=stream, format="%(message)s").info("heard")

        assert "heard\n" == stream.getvalue()

    def test_writes_to_a_file_too(self, name: str, tmp_path: Path) -> None:
        """A file gets the same lines, in its encoding."""
        path, stream = tmp_path / "run.log", StringIO()
        logger = setup_logger(name, stream=stream, format="%(message)s", filepath=str(path))

        logger.info("épée")

        assert "épée\n" == stream.getvalue() == path.read_text(encoding="utf-8")

    def test_is_silent_on_other_ranks(self, name: str, tmp_path: Path) -> None:
        """Only rank 0 writes, and only it makes a file."""
        path, stream = tmp_path / "run.log", StringIO()

        setup_logger(name, stream=stream, distributed_rank=1, filepath=str(path)).error("not here")

        assert "" == stream.getvalue()
        assert not path.exists()

    def test_without_torch_distributed_the_rank_is_0(self, name: str) -> None:
        """A single process writes."""
        stream = StringIO()

        setup_logger(name, stream=stream, format="%(message)s").info("here")

        assert "here\n" == stream.getvalue()
