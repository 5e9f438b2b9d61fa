"""Every public name of PyTorch-Ignite 0.5.5 is here, or the page for those who come from it says where it is.

The page has two tables. "Names that are elsewhere" has a row for each name that does not import from Ignite's module
with `ignite` replaced by `ignite_signals`; "Members and parameters that differ" one for each public member, parameter
or default value that its counterpart lacks. A row that begins with a name in code gives the counterpart, any other the
reason why there is none. A star stands for any names; of the rows that fit a name, the longest counts.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

ignite = pytest.importorskip("ignite")

PAGE = Path(__file__).resolve().parents[1] / "docs" / "coming-from-ignite.md"
NAMES, MEMBERS = "Names that are elsewhere", "Members and parameters that differ"
ABSENT = object()
# A row without a counterpart: what there is none of, and why.
REASON = re.compile(r"(none( yet)?|no [^:;,]+|the [^:;,]+)[:;,] .{8,}")
# What a module of Ignite imports only to offer it to programs, as its comments say.
KEPT_FOR_PROGRAMS = re.compile(r"setup_\w+_logging")
CODE = re.compile(r"`([^`]+)`")
# Default values that can be compared: another library's functions and devices are never ours.
PLAIN = (type(None), bool, int, float, str, tuple)


# What Ignite has.


@cache
def module(name: str) -> ModuleType | None:
    """Return a module, or None where there is none, or where another library's lacks a package that it needs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # all of `ignite.contrib` is deprecated
        try:
            return importlib.import_module(name)
        except ImportError as error:
            absent = isinstance(error, ModuleNotFoundError) and name.startswith(error.name or name)
            if name.startswith("ignite_signals.") and not absent:
                raise  # one of ours that is there must import
            return None


def found(path: str) -> Any:
    """Return what `from parent import name` gives for a dotted path, or `ABSENT`."""
    parent, _, name = path.rpartition(".")
    attribute = getattr(found(parent), name, ABSENT) if parent else ABSENT
    return attribute if attribute is not ABSENT else module(path) or ABSENT


def modules_of(package: ModuleType) -> list[str]:
    """Return the names of all public modules of a package, those that cannot be imported too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        walked = pkgutil.walk_packages(package.__path__, f"{package.__name__}.", onerror=lambda name: None)
        return [package.__name__, *(info.name for info in walked if "._" not in info.name)]


def imported_names(source: ModuleType) -> set[str]:
    """Return what a module imports, except what a package takes from its own modules to offer it."""
    top, is_package = source.__name__.split(".")[0], hasattr(source, "__path__")
    tree = ast.parse(Path(source.__file__ or "").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    offered = [
        node for node in imports if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == top
    ]
    taken = [node for node in imports if not (is_package and node in offered)]
    return {(alias.asname or alias.name).split(".")[0] for node in taken for alias in node.names}


def public_names(source: ModuleType) -> set[str]:
    """Return `__all__`, and the public functions and classes of the module; without `__all__` its constants too."""
    named = set(getattr(source, "__all__", ()))
    open_names = {name for name in vars(source) if not name.startswith("_")}
    own = {name for name in open_names if getattr(vars(source)[name], "__module__", "") == source.__name__}
    own = {name for name in own if inspect.isclass(vars(source)[name]) or inspect.isfunction(vars(source)[name])}
    if not named:
        own = open_names - imported_names(source)
    kept = set(filter(KEPT_FOR_PROGRAMS.fullmatch, open_names))
    return {name for name in named | own | kept if not isinstance(getattr(source, name), ModuleType)}


def public_paths(package: ModuleType) -> set[str]:
    """Return the dotted path of every public name of a package; `a.b.*` for a module that cannot be imported."""
    paths: set[str] = set()
    for name in modules_of(package):
        source = module(name)
        paths |= {f"{name}.*"} if source is None else {f"{name}.{public}" for public in public_names(source)}
    return paths


# What the page says.


@attrs.frozen
class Row:
    """A line of a table: what it is about, and what it says of it."""

    subjects: tuple[str, ...]
    says: str

    @property
    def counterparts(self) -> list[str]:
        """The names in code that the row begins with; one that begins with a word gives a reason instead."""
        leading = re.match(r"(`[^`]+`(, )?)*", self.says)
        return CODE.findall(leading[0]) if leading else []

    @property
    def is_plain(self) -> bool:
        """Whether it says where else to look, or why there is nothing."""
        return self.says.startswith("`") or REASON.match(self.says) is not None


def table(page: str, heading: str) -> list[Row]:
    """Return the rows of the table under a heading of a page."""
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]  # below the head and its line
    cells = [re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in lines]
    return [Row(tuple(written_out(CODE.findall(subject))), says.strip()) for subject, says in cells]


def written_out(subjects: list[str]) -> Iterator[str]:
    """Yield names in full: one that begins with a dot is of the module, or class, of the first."""
    parent = subjects[0].rpartition(".")[0]
    yield from (parent + subject if subject.startswith(".") else subject for subject in subjects)


def by_subject(rows: Iterable[Row]) -> dict[str, Row]:
    return {subject: row for row in rows for subject in row.subjects}


def twice(rows: Iterable[Row]) -> Iterator[str]:
    """Tell each name that is in two rows."""
    subjects = [subject for row in rows for subject in row.subjects]
    yield from (f"{subject} is in two rows" for subject in sorted({s for s in subjects if subjects.count(s) > 1}))


def governing(path: str, subjects: Iterable[str]) -> str | None:
    """Return the row's subject that counts for a path: itself, or the longest with a star that fits."""
    fitting = [subject for subject in subjects if fnmatchcase(path, subject)]
    return max(fitting, key=lambda subject: (subject == path, len(subject)), default=None)


# How the two are compared.


def replaced(path: str) -> str:
    """Return the path with `ignite` replaced by `ignite_signals`."""
    return re.sub(r"^ignite\b", "ignite_signals", path)


def moved(path: str, subject: str, counterpart: str) -> str:
    """Return where a counterpart has what is at a path: `x.*` has it under the same name."""
    under = path[len(subject) - 1 :] if subject.endswith(".*") else path.rpartition(".")[2]
    return counterpart[:-1] + under if counterpart.endswith(".*") else counterpart


def missing(paths: set[str], rows: dict[str, Row], get: Callable[[str], Any] = found) -> Iterator[str]:
    """Tell each name that is neither here nor in a row, or whose row names a place where it is not."""
    for path in sorted(path for path in paths if get(replaced(path)) is ABSENT):
        subject = governing(path, rows)
        if subject is None:
            why = "Ignite's module fails to import" if path.endswith(".*") else f"{replaced(path)} does not import"
            yield f'{path}: {why}, and no row of "{NAMES}" names it'
            continue
        for place in (moved(path, subject, counterpart) for counterpart in rows[subject].counterparts):
            of_ignite = re.sub(r"^ignite_signals\b", "ignite", place)
            told_there = of_ignite in paths and governing(of_ignite, rows) not in (None, subject)
            if get(place.removesuffix(".*")) is ABSENT and not told_there:
                yield f"{path}: its row names {place}, which does not import"


def needless(paths: set[str], rows: dict[str, Row], get: Callable[[str], Any] = found) -> Iterator[str]:
    """Tell each row of something that Ignite does not have, or that is where it is in Ignite."""
    governed = {path: governing(path, rows) for path in paths}
    for subject in sorted(rows):
        theirs = sorted(path for path, by in governed.items() if by == subject)
        if not theirs:
            yield f"{subject}: Ignite has no such name, or another row says more of it"
        yield from (
            f"{path}: it imports as {replaced(path)}, so it must not be in a row ({subject})"
            for path in theirs
            if get(replaced(path)) is not ABSENT
        )


def pairs(paths: Iterable[str], rows: dict[str, Row]) -> list[tuple[str, Any, Any]]:
    """Return `(path, Ignite's, ours)` for all classes and functions that have a counterpart of the same name."""
    known: dict[int, tuple[str, Any, Any]] = {}
    for path in sorted(paths):
        subject = governing(path, rows)
        places = [replaced(path)]
        if subject is not None:
            places += [moved(path, subject, place) for place in rows[subject].counterparts]
        theirs = found(path)
        for place in places:
            ours = found(place)
            same_name = place.rpartition(".")[2] == path.rpartition(".")[2]
            if ours is not ABSENT and place.startswith("ignite_signals.") and same_name and callable(theirs):
                known.setdefault(id(theirs), (path, theirs, ours))
    return list(known.values())


def stored(owner: type) -> set[str]:
    """Return what the methods of a class store on `self`."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
    stores = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)]
    return {node.attr for node in stores if isinstance(node.value, ast.Name) and node.value.id == "self"}


def attributes(owner: type) -> set[str]:
    """Return the members of a class, and what its instances get."""
    bases = [base for base in owner.__mro__ if base.__module__.partition(".")[0] == owner.__module__.partition(".")[0]]
    declared = {name for base in bases for name in inspect.get_annotations(base)}
    return {*dir(owner), *declared}.union(*map(stored, bases))


def parameters(function: Any) -> dict[str, inspect.Parameter] | None:
    """Return what a function takes by name; all that is left over under `*` and `**`, whatever it is called."""
    try:
        taken = inspect.signature(function).parameters.values()
    except ValueError:  # an exception's, say
        return None
    left_over = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return {left_over.get(each.kind, each.name): each for each in taken}


def differing(name: str, theirs: Any, ours: Any) -> Iterator[str]:
    """Yield `name(parameter)` for each that ours does not take, or elsewhere, and `name(parameter=value)`."""
    known, taken = parameters(theirs), parameters(ours)
    if known is None or taken is None:
        return
    order = [each.name for each in taken.values() if each.kind is not each.KEYWORD_ONLY]
    for index, (parameter, each) in enumerate(known.items()):
        by_place = each.kind is each.POSITIONAL_OR_KEYWORD
        if parameter not in taken or (by_place and order[index : index + 1] != [parameter]):
            yield f"{name}({parameter})"
        elif isinstance(each.default, PLAIN) and each.default != taken[parameter].default:
            yield f"{name}({parameter}={each.default!r})"


def class_differences(theirs: type, ours: type) -> Iterator[str]:
    """Yield `Class.member` for each that ours lacks, and what differs in the parameters of the others."""
    name = theirs.__name__
    yield from differing(name, theirs, ours)
    have = attributes(ours)
    for member in (member for member in dir(theirs) if not member.startswith("_")):
        if member not in have:
            yield f"{name}.{member}"
        elif inspect.isroutine(getattr(theirs, member, None)):
            yield from differing(f"{name}.{member}", getattr(theirs, member), getattr(ours, member))


def differences(compared: Iterable[tuple[str, Any, Any]]) -> set[str]:
    """Return all members, parameters and default values of Ignite that their counterparts lack."""
    lacking: set[str] = set()
    for _, theirs, ours in compared:
        both_classes = inspect.isclass(theirs) and inspect.isclass(ours)
        lacking |= set(class_differences(theirs, ours) if both_classes else differing(theirs.__name__, theirs, ours))
    return lacking


# The page keeps its word.

TEXT = PAGE.read_text(encoding="utf-8")
NAME_ROWS, MEMBER_ROWS = table(TEXT, NAMES), table(TEXT, MEMBERS)
ELSEWHERE = by_subject(NAME_ROWS)


@pytest.fixture(scope="module")
def public() -> set[str]:
    return public_paths(ignite)


@pytest.fixture(scope="module")
def compared(public) -> list[tuple[str, Any, Any]]:
    return pairs(public, ELSEWHERE)


def check_none(problems: Iterable[str]) -> None:
    told = list(problems)
    if told:
        pytest.fail("\n".join([f"{len(told)} to mend, in the package or on {PAGE.name}:", *told]), pytrace=False)


def test_the_page_is_about_the_ignite_that_is_installed():
    """Another version has other names: the page would have to be read anew."""
    assert "0.5.5" == ignite.__version__
    assert f"Ignite {ignite.__version__}" in TEXT


def test_ignite_is_walked_to_the_end(public, compared):
    """The comparison would be worth nothing if it saw but a part."""
    assert {"ignite.engine.Engine", "ignite.metrics.nlp.utils.lcs", "ignite.distributed.Parallel"} < public
    assert {"ignite.handlers.wandb_logger.WandBLogger", "ignite.metrics.metric.reinit__is_reduced"} < public
    assert 580 < len(public)
    assert 140 < len(compared)


def test_every_public_name_of_ignite_is_here_or_in_a_row(public):
    """A name imports from the same module here, or the page says where it is or why it is nowhere."""
    check_none(missing(public, ELSEWHERE))


def test_what_can_be_called_in_ignite_can_be_called_here(public):
    """A name that imports is no promise unless a class or function is behind it."""
    both = {path: (found(path), found(replaced(path))) for path in public if not path.endswith(".*")}
    check_none(
        f"{path}: {replaced(path)} is {ours!r}"
        for path, (theirs, ours) in sorted(both.items())
        if ours is not ABSENT and callable(theirs) and not callable(ours)
    )


def test_no_row_is_needless(public):
    """A row is about a name of Ignite that is not in the same module here, and no name is in two."""
    check_none([*twice(NAME_ROWS), *needless(public, ELSEWHERE)])


@pytest.mark.parametrize("row", NAME_ROWS, ids=lambda row: row.subjects[0])
def test_what_a_row_says_is_there(row):
    """A row says something, and all that it names of a package can be imported."""
    dotted = [name for name in CODE.findall(row.says) if re.match(r"(ignite_signals|torch\w*|typing_\w+)\.", name)]
    assert row.is_plain
    assert set(row.counterparts) <= set(dotted)
    assert [] == [name for name in dotted if found(name.removesuffix(".*")) is ABSENT]


def test_members_and_parameters_are_ignites_or_in_a_row(compared):
    """Methods, parameters, their places and default values are the same, or the page names them."""
    lacking, told = differences(compared), set(by_subject(MEMBER_ROWS))
    check_none(f'{each}: not here, and no row of "{MEMBERS}" names it' for each in sorted(lacking - told))
    check_none(f"{each}: it is as in Ignite, so it must not be in a row" for each in sorted(told - lacking))
    check_none(twice(MEMBER_ROWS))
    assert [] == [row for row in MEMBER_ROWS if not row.is_plain]


# And the comparison notices what it should.


def rows_of(*lines: str) -> dict[str, Row]:
    return by_subject(table("\n".join(["", f"## {NAMES}", "| in Ignite | here |", "|---|---|", *lines]), NAMES))


def here(*paths: str) -> Callable[[str], Any]:
    return lambda path: None if path in paths else ABSENT


def test_a_name_that_is_nowhere_is_noticed():
    """It is told where it should have been."""
    (told,) = missing({"ignite.a.X", "ignite.a.Y"}, {}, here("ignite_signals.a.Y"))
    assert "ignite.a.X: ignite_signals.a.X does not import" in told


def test_a_counterpart_that_does_not_import_is_noticed():
    """A row is no promise unless what it names is there, under the same name where it ends in a star."""
    rows = rows_of("| `ignite.a.*` | `ignite_signals.b.*` |", "| `ignite.a.Z` | none: because |")
    told = list(missing({"ignite.a.X", "ignite.a.Y", "ignite.a.Z"}, rows, here("ignite_signals.b.Y")))
    assert ["ignite.a.X: its row names ignite_signals.b.X, which does not import"] == told


def test_a_place_that_has_a_row_itself_needs_no_second_one():
    """What Ignite offers twice is explained once."""
    rows = rows_of("| `ignite.a.*` | `ignite_signals.b.*` |", "| `ignite.b.X` | none: because |")
    assert [] == list(missing({"ignite.a.X", "ignite.b.X"}, rows, here()))
    (told,) = missing({"ignite.a.X"}, rows, here())
    assert "ignite.a.X: its row names ignite_signals.b.X" in told


@pytest.mark.parametrize("says", ["none", "?", "", "none: no", "see above"])
def test_a_row_without_a_reason_is_noticed(says):
    """Nothing is gained by a row that tells neither a place nor a reason."""
    row, plain = Row(("ignite.a.X",), says), Row(("ignite.a.X",), "none: nobody needs it")
    assert (False, True) == (row.is_plain, plain.is_plain)


def test_a_needless_row_is_noticed():
    """Rows of what Ignite does not have, and of what imports, mislead."""
    rows = rows_of("| `ignite.a.*`, `ignite.a.Y` | none: because |", "| `ignite.b.Z` | `torch.nn` |")
    told = list(needless({"ignite.a.X", "ignite.a.Y"}, rows, here("ignite_signals.a.X")))
    assert ["ignite.a.X: it imports as ignite_signals.a.X, so it must not be in a row (ignite.a.*)"] == told[:1]
    assert ["ignite.b.Z: Ignite has no such name, or another row says more of it"] == told[1:]


def test_a_row_may_be_short():
    """What begins with a dot belongs to the module of the first name, and a star stands for many."""
    rows = rows_of("| `ignite.a.X`, `.b.Y`, `ignite.c.*_fn` | none: because |")
    assert ["ignite.a.X", "ignite.a.b.Y", "ignite.c.*_fn"] == list(rows)
    assert "ignite.c.*_fn" == governing("ignite.c.d.any_fn", rows)
    assert governing("ignite.c.d.any", rows) is None


def test_a_name_in_two_rows_is_noticed():
    """One of them would never be read."""
    rows = [Row(("ignite.X", "ignite.Y"), "none"), Row(("ignite.X",), "none")]
    assert ["ignite.X is in two rows"] == list(twice(rows))


def test_a_module_that_does_not_import_needs_a_row(tmp_path, monkeypatch):
    """What cannot be seen is not taken for nothing."""
    (tmp_path / "ignite_stand_in").mkdir()
    (tmp_path / "ignite_stand_in" / "__init__.py").touch()
    (tmp_path / "ignite_stand_in" / "broken.py").write_text("import a_package_that_is_not_installed\n")
    (tmp_path / "ignite_stand_in" / "whole.py").write_text(
        "import os\nfrom json import loads\nLIMIT = 5\n_hidden = 1\ndef shown(): pass\nclass Shown: pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    paths = public_paths(importlib.import_module("ignite_stand_in"))
    names = {"LIMIT", "shown", "Shown"}
    assert {"ignite_stand_in.broken.*", *(f"ignite_stand_in.whole.{name}" for name in names)} == paths
    (told,) = missing({"ignite.broken.*"}, {}, here("ignite_signals.broken"))
    assert "Ignite's module fails to import" in told
    assert [] == list(missing({"ignite.broken.*"}, rows_of("| `ignite.broken.*` | none: because |"), here()))


class Theirs:
    """Stands for a class of Ignite."""

    size = 1

    def __init__(self, first: int, second: int = 2, **rest: int) -> None: ...

    def kept(self, value: int) -> None: ...

    def gone(self) -> None: ...


class Ours:
    """Stands for its counterpart, with a member and parameters less."""

    def __init__(self, second: int = 3, first: int = 1) -> None:
        self.size = first

    def kept(self, other: int) -> None: ...


def test_members_and_parameters_that_differ_are_noticed():
    """A member that only instances have counts; a parameter at another place is another parameter."""
    expected = ["Theirs(**)", "Theirs(first)", "Theirs(second)", "Theirs.gone", "Theirs.kept(value)"]
    assert expected == sorted(class_differences(Theirs, Ours))

    def old(times: int = 2, name: str = "a") -> None: ...

    def new(times: int = 3, *, name: str = "a") -> None: ...

    assert ["old(times=2)", "old(name)"] == list(differing("old", old, new))
