"""The fixtures of all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.processes import Ranks


@pytest.fixture(scope="session")
def ranks() -> Iterator[Ranks]:
    """Two processes in one gloo group; `ranks.run(function, *args)` calls `function(rank, *args)` on each."""
    two = Ranks()
    yield two
    two.close()
