"""Kept knows which checkpoints are kept, and which new one is wanted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ignite_signals.handlers.kept import Item, Kept


@given(
    priorities=st.lists(st.integers(-2, 2) | st.sampled_from([0.5, -0.5]), max_size=12),
    n_saved=st.integers(1, 4) | st.none(),
    or_equal=st.booleans(),
)
def test_the_best_of_all_are_kept(priorities, n_saved, or_equal) -> None:
    """Whatever the order of the scores, the files with the n best ones are kept, of which the last is the best."""
    kept = Kept(n_saved, scored=True, greater_or_equal=or_equal)
    for number, priority in enumerate(priorities):
        if kept.wants(Item(priority, str(number))):
            kept.add(Item(priority, str(number)))
            kept.drop(kept.superseded())
    assert sorted(priorities)[-(n_saved or 100) :] == [item.priority for item in kept.ranked()]
    assert [] == kept.superseded()


@pytest.mark.parametrize(("or_equal", "expected"), [(False, "0"), (True, "2")])
def test_of_equal_ones(or_equal, expected) -> None:
    """The first is kept, or the latest."""
    kept = Kept(1, scored=True, greater_or_equal=or_equal)
    for name in "012":
        if kept.wants(Item(5, name)):
            kept.add(Item(5, name))
            kept.drop(kept.superseded())
    assert [Item(5, expected)] == kept.items


@given(names=st.lists(st.sampled_from("abc"), max_size=12), n_saved=st.integers(1, 4))
def test_without_scores_the_newest_are_kept(names, n_saved) -> None:
    """A file that is written again is the newest."""
    kept = Kept(n_saved)
    for number, name in enumerate(names):
        assert kept.wants(Item(number, name))
        kept.add(Item(number, name))
        kept.drop(kept.superseded())
    newest = list(dict.fromkeys(reversed(names)))[:n_saved]
    assert newest[::-1] == [item.filename for item in kept.items]


def test_what_could_not_be_removed_stays_superseded() -> None:
    """It does not lower what a new one has to beat."""
    kept = Kept(1, scored=True)
    for priority in (1, 2):
        kept.add(Item(priority, str(priority)))
    assert [Item(1, "1")] == kept.superseded()
    assert not kept.wants(Item(1.5, "3"))
    assert kept.wants(Item(3, "3"))


def test_a_list_can_be_gone_back_to() -> None:
    """It is replaced, not changed."""
    kept = Kept(1)
    kept.add(Item(1, "1"))
    before = kept.items
    kept.add(Item(2, "2"))
    kept.drop(kept.superseded())
    assert [Item(1, "1")] == before


@pytest.mark.parametrize("n_saved", [0, -1, 1.5, "1", True])
def test_how_many_to_keep(n_saved) -> None:
    """A number of at least 1, or None."""
    with pytest.raises(ValueError, match="n_saved must be a positive integer"):
        Kept(n_saved)
