"""The documentation is true: every Python block runs, and prints what the page says it prints."""

from __future__ import annotations

import contextlib
import doctest
import importlib.util
import io
import itertools
import linecache
import re
import textwrap
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

from ignite_signals import Events, State, distributed, engine, exceptions, handlers, metrics, testing, utils
from ignite_signals.metrics import clustering, fairness, regression

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]

FENCE = re.compile(r"(?P<indent> *)(?P<ticks>`{3,}|~{3,})(?P<language>[^`\n]*)")
# What readers see as Python, however the fence spells it.
PYTHON = re.compile(r"\s*\{?[\w-]*\}?\s*(py|python|python3|pycon|ipython)\b", re.IGNORECASE)


@attrs.frozen
class Block:
    """A fenced block of a page; `follows` is the block that ends right above it."""

    page: Path
    line: int
    language: str
    text: str
    follows: Block | None = attrs.field(default=None, repr=False)

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    blocks: list[Block] = []
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), start=1))
    above: Block | None = None
    for number, line in lines:
        fence = FENCE.fullmatch(line)
        if fence is None:
            above = above if not line.strip() else None
            continue
        body = itertools.takewhile(lambda numbered, ticks=fence["ticks"]: numbered[1].strip() != ticks, lines)
        text = "".join(f"{content}\n" for _, content in body)
        above = Block(page, number + 1, fence["language"].strip(), text, above)
        blocks.append(above)
    return blocks


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def programs() -> Iterator[Any]:
    """The README's blocks are programs of their own; those of another page go on from each other."""
    for page in PAGES:
        python = [block for block in BLOCKS if block.page == page and block.language == "python"]
        for program in [[block] for block in python] if page == README else [python]:
            if program:
                yield pytest.param(program, id=program[0].place)


def output_of(block: Block, namespace: dict[str, Any]) -> str:
    """Run a block as the file `train.py`, so that what it prints may tell a file and a line."""
    linecache.cache["train.py"] = (len(block.text), None, block.text.splitlines(keepends=True), "train.py")
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(block.text, "train.py", "exec"), namespace)
    except BaseException as error:
        error.add_note(f"in the block at {block.place}, which had printed:\n{printed.getvalue()}")
        raise
    return printed.getvalue()


@pytest.mark.parametrize("program", list(programs()))
def test_blocks_run_and_print_what_the_page_shows(program):
    """Every block runs without a warning, and prints what stands below it."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    shown = {block.follows: block for block in BLOCKS if block.language == "text"}
    for block in program:
        expected = shown.pop(block).text if block in shown else ""
        got = output_of(block, namespace)
        if not doctest.OutputChecker().check_output(expected, got, doctest.ELLIPSIS):
            pytest.fail(f"{block.place} is followed by\n{expected or '(nothing)'}\nbut printed\n{got}")


PLOTS = [block for block in BLOCKS if block.language == "{eval-rst}" and block.text.startswith(".. plot::")]


@pytest.mark.parametrize("block", [pytest.param(block, id=block.place) for block in PLOTS])
def test_the_code_of_a_plot_is_shown_and_draws_it(block):
    """What is drawn when the pages are built is drawn by the code that a reader sees."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    options, _, code = block.text.partition("\n\n")
    source = attrs.evolve(block, text=textwrap.dedent(code))
    try:
        printed = output_of(source, {"__name__": "__main__"})
        drawn = [axes.has_data() for number in pyplot.get_fignums() for axes in pyplot.figure(number).axes]
    finally:
        pyplot.close("all")
    assert ("", True) == (printed, any(drawn))
    assert ":include-source:" in options
    assert ":alt:" in options


def test_each_plot_is_drawn_to_a_file_of_its_own():
    """Matplotlib numbers the plots of a document, and each block is a document of its own to it."""
    prefixes = [re.findall(r":filename-prefix: (\S+)", block.text) for block in PLOTS]
    assert [1] * len(PLOTS) == [len(found) for found in prefixes]
    assert len(PLOTS) == len({prefix for found in prefixes for prefix in found}) > 5


def test_every_fence_is_one_that_the_tests_understand():
    """Python in a fence of another spelling would not be run."""
    marked = {block.place for block in BLOCKS if PYTHON.match(block.language)}
    run = {block.place for block in BLOCKS if block.language == "python"}
    assert marked == run, "write a block of Python as ```python, so that it is run"


def test_no_block_escapes_the_tests():
    """Each page runs as many blocks as are written in it."""
    written = {page: len(re.findall(r"^\s*(?:```|~~~)python\s*$", page.read_text(), re.MULTILINE)) for page in PAGES}
    run = {page: sum(block.page == page and block.language == "python" for block in BLOCKS) for page in PAGES}
    assert written == run


def test_every_shown_output_is_that_of_a_block():
    """An output without a program above it would be compared with nothing."""
    strays = [
        block.place
        for block in BLOCKS
        if block.language == "text" and (block.follows is None or block.follows.language != "python")
    ]
    assert [] == strays


def test_every_page_of_the_site_is_among_the_tested_pages():
    """No page of the site is left out."""
    toctrees = [block.text for block in blocks_of(DOCS / "index.md") if block.language == "{toctree}"]
    listed = {line for line in "".join(toctrees).splitlines() if line and not line.startswith(":")}
    assert listed == {page.stem for page in PAGES if page.parent == DOCS} - {"index"}
    assert {"events", "filters", "ownership", "state"} < {
        block.page.stem for block in BLOCKS if block.language == "python"
    }


def test_readme_shows_three_programs_with_their_output():
    """README shows each of the three uses as a program with its output."""
    programs = [block for block in BLOCKS if block.page == README and block.language == "python"]
    outputs = [block for block in BLOCKS if block.page == README and block.language == "text"]
    assert programs == [block.follows for block in outputs]
    assert 3 == len(programs)


def test_readme_has_two_commands_of_one_line_each():
    """One command runs the main job, the other the tests."""
    commands = [block.text.splitlines() for block in BLOCKS if block.page == README and block.language == "sh"]
    assert [1, 1] == [len(lines) for lines in commands]
    [[main], [tests]] = commands
    assert main.endswith("docs/examples/digits.py")
    assert tests.endswith("pytest --cov")


def table_below(page: str, heading: str) -> dict[str, list[str]]:
    """Return the first table below a heading, by what stands between backticks in its first column."""
    text = (DOCS / page).read_text(encoding="utf-8").partition(f"# {heading}\n")[2]
    rows = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert rows is not None
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[0].splitlines()[2:]]
    return {name: others for first, *others in cells for name in re.findall(r"`(\w+)`", first)}


def test_the_table_of_events_says_of_each_what_it_counts_by_and_sends():
    """The table of events agrees with the declarations."""
    counters = {event: event.counter or "its own occurrences" for event in Events}
    table = table_below("events.md", "Every event")
    assert {event.name: counters[event] for event in Events} == {
        name: counter.strip("`") for name, (counter, _, _) in table.items()
    }
    assert {event.name: list(event.payload or ()) for event in Events} == {
        name: re.findall(r"`(\w+)`:", sends) for name, (_, _, sends) in table.items()
    }


def test_the_table_of_the_state_has_every_field():
    """The table of the state has its fields, and no others."""
    assert {field.name for field in attrs.fields(State)} == set(table_below("state.md", "State"))


PUBLIC = [engine, metrics, distributed, handlers, testing, utils, exceptions]
FAMILIES = [clustering, fairness, regression]


@pytest.mark.parametrize("module", [*PUBLIC, *FAMILIES], ids=lambda module: module.__name__)
def test_the_reference_has_every_public_name(module):
    """What a module exports is documented."""
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\.\. auto(?:class|function|data):: (\w+)$", text, re.MULTILINE))
    assert f".. automodule:: {module.__name__}\n   :members:" in text or set(module.__all__) <= documented


def links_of(page: Path) -> list[str]:
    prose = re.sub(r"^(```|~~~).*?^\1", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [target for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose) if "://" not in target]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_that_there_are(page):
    """A link to another page finds it."""
    assert [] == [link for link in links_of(page) if not (page.parent / link).exists()]


# RESULT_OF_THE_RUN, TODO_LATER and TODO.
PLACEHOLDER = re.compile(r"\b(?:RESULT_|TODO)[A-Z0-9_]*\b")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_is_still_to_be_filled_in(page):
    """What was to be put in later is in its place."""
    assert [] == PLACEHOLDER.findall(page.read_text(encoding="utf-8"))


def script_of(figure: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(figure, DOCS / "figures" / f"{figure}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def timeline() -> ModuleType:
    return script_of("timeline")


def test_the_figure_shows_the_run_that_its_script_records(timeline):
    """The figure is not older than the engine or the script."""
    figure = DOCS / "figures" / "timeline.svg"
    assert timeline.is_current(figure, timeline.record()), "draw it anew: python docs/figures/timeline.py"


def test_the_figure_s_run_holds_an_evaluation_in_every_epoch(timeline):
    """Each epoch's handler encloses one run of the evaluator."""
    spans = timeline.record().spans
    evaluations = [span for span in spans if (span.lane, span.kind) == ("evaluator", "run")]
    hosts = [span for span in spans if span.label == "evaluate"]
    assert [True] * 3 == [
        host.began < run.began < run.ended < host.ended for host, run in zip(hosts, evaluations, strict=True)
    ]


def test_the_figure_of_a_save_shows_what_its_script_records():
    """Each kill leaves a whole checkpoint: the one before until the new file has its name, that one from there on."""
    on_disk = script_of("on_disk")
    save = on_disk.record()
    assert ["training", "open", "write", "fsync", "rename", "fsync folder", "delete"] == [
        stretch.operation for stretch in save.stretches
    ]
    assert ["checkpoint_20.pt"] * 4 + ["checkpoint_30.pt"] * 3 == [stretch.loads for stretch in save.stretches]
    assert on_disk.is_current(on_disk.FIGURE, save), "draw it anew: python docs/figures/on_disk.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_says_what_is_strange_in_its_outputs(page):
    """Readers learn what `train.py` is, and that `...` is not what was printed."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    outputs = "".join(block.text for block in BLOCKS if block.page == page and block.language == "text")
    assert ("train.py" in outputs) == ("were saved as" in prose and "`train.py`" in prose)
    assert "..." not in outputs.replace("(...)", "") or "shortened" in prose


def test_a_wrong_output_is_noticed(tmp_path):
    """A page that shows another output than its program prints would fail."""
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```python\nprint(1)\n```\n\n```text\n2\n```\n")
    python, text = blocks_of(page)
    assert text.follows == python
    assert ("1\n", "2\n") == (output_of(python, {}), text.text)


def test_a_placeholder_is_noticed():
    """The names of events and results in small letters are none."""
    text = "RESULT_OF_5_RUNS, then TODO_LATER, TODO and COMPLETED, a RESULT, the result_of_it"
    assert ["RESULT_OF_5_RUNS", "TODO_LATER", "TODO"] == PLACEHOLDER.findall(text)


def test_an_error_in_a_block_tells_its_place():
    """What a block raises says which block it was."""
    block = Block(DOCS / "index.md", 7, "python", "print('begun')\nraise ValueError('no')\n")
    with pytest.raises(ValueError, match="no") as caught:
        output_of(block, {})
    assert ["in the block at docs/index.md:7, which had printed:\nbegun\n"] == caught.value.__notes__
    assert 'train.py", line 2' in "".join(traceback.format_exception(caught.value))
