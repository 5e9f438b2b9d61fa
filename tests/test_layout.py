"""The package keeps the shape that it promises: which way imports point, and what importing it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ignite_signals

PACKAGE = Path(ignite_signals.__file__).parent
TESTS = Path(__file__).parent
# What each part of the package may import of it, beside itself.
ARROWS = {
    "utils": set(),
    "exceptions": set(),
    "extras": set(),
    "engine": {"utils", "exceptions"},
    "distributed": {"exceptions"},
    "metrics": {"engine", "utils", "exceptions", "distributed"},
    "handlers": {"engine", "utils", "exceptions", "extras", "metrics", "distributed"},
    "testing": {"engine"},
}
HEAVY = ["ignite", "matplotlib", "numpy.testing", "pandas", "sklearn", "tensorboard"]
HEAVY += ["torchdata", "torchmetrics", "tqdm"]


def type_checking_only(tree: ast.Module) -> set[ast.AST]:
    """Return the nodes under `if TYPE_CHECKING`, which import nothing at run time."""
    guards = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    return {node for guard in guards for statement in guard.body for node in ast.walk(statement)}


def imported(path: Path) -> set[str]:
    """Return the parts of the package that a module imports at run time."""
    tree = ast.parse(path.read_text())
    unseen = type_checking_only(tree)
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node not in unseen]
    return {module.split(".")[1] for module in modules if module.startswith("ignite_signals.")}


@pytest.mark.parametrize("part", ARROWS)
def test_imports_point_one_way(part):
    """Each part imports only the parts below it."""
    source = PACKAGE / part
    files = sorted(source.glob("*.py")) if source.is_dir() else [source.with_suffix(".py")]
    assert files
    assert ARROWS[part] | {part} >= {name for file in files for name in imported(file)}


def test_every_part_has_its_arrows():
    """No part of the package is left out of the picture."""
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert set(ARROWS) | {"__init__"} == parts


def test_importing_the_package_loads_no_heavy_module():
    """What only some users need is imported when it is used."""
    program = f"import sys, ignite_signals; print([name for name in {HEAVY} if name in sys.modules])"
    with_torch_alone = f"import sys, torch; print([name for name in {HEAVY} if name in sys.modules])"
    loaded, before = (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
        for code in (program, with_torch_alone)
    )
    assert before == loaded


def functions_testing(path: Path) -> list[ast.FunctionDef]:
    tree = ast.parse(path.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


def asserts(test: ast.FunctionDef) -> bool:
    """Tell whether a test can fail by an assertion, its own or one of a helper that is named for it."""
    calls = [node.func for node in ast.walk(test) if isinstance(node, ast.Call)]
    names = [getattr(call, "attr", getattr(call, "id", "")) for call in calls]
    return any(isinstance(node, ast.Assert) for node in ast.walk(test)) or any(
        name in ("raises", "warns", "fail") or name.startswith(("assert_", "check_")) for name in names
    )


@pytest.mark.parametrize("path", sorted(TESTS.rglob("test_*.py")), ids=lambda path: path.stem)
def test_every_test_asserts_and_says_what_it_shows(path):
    """A test without an assertion shows nothing, one without a sentence does not say what."""
    assert [] == [test.name for test in functions_testing(path) if not asserts(test)]
    assert [] == [test.name for test in functions_testing(path) if not ast.get_docstring(test)]
