"""The example programs run as their users run them, and print what they promise."""

from __future__ import annotations

import os
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAMS = ("digits", "text", "observers")
needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="a Ctrl-C cannot be sent to one program alone")


def command(name: str, *arguments: str) -> list[str]:
    if name == "digits":
        pytest.importorskip("sklearn")
    return [sys.executable, "-u", str(ROOT / "docs" / "examples" / f"{name}.py"), *arguments]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"}


def checked(status: int | str | None, text: str, errors: str) -> str:
    """Return what a program has printed, once it is clear that it ended in order and fits a terminal."""
    assert (0, "") == (status, errors)
    assert [] == [line for line in text.splitlines() if len(line) > 80]
    return text


def printed(name: str, *arguments: str) -> str:
    ended = subprocess.run(
        command(name, *arguments), env=environment(), capture_output=True, text=True, timeout=240, check=False
    )
    return checked(ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture
def play_here(monkeypatch, capsys):
    """Play programs that end at their options, without the time that a new Python takes to import torch."""

    def play_here(name: str, *arguments: str) -> tuple[int | str | None, str, str]:
        path, *_ = argv = command(name, *arguments)[2:]
        monkeypatch.setattr(sys, "argv", argv)
        monkeypatch.setenv("COLUMNS", "80")
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(path, run_name="__main__")
        return ended.value.code, *capsys.readouterr()

    return play_here


def found(pattern: str, text: str) -> list[str]:
    return re.findall(pattern, text, re.MULTILINE)


def number(pattern: str, text: str) -> float:
    [only] = found(pattern, text)
    return float(only)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_explains_its_options(play_here, name):
    """`--help` lists every option in lines of at most 80 characters."""
    text = checked(*play_here(name, "--help"))
    assert {"--help", "--epochs", "--seed"} <= set(found(r"--\w+", text))
    assert (name != "observers") == ("--device" in text)


# `meta` tensors hold nothing, and `hpu` needs a module of its own.
DEVICES = [
    (("--device", device), f"--device must be one of this machine, such as cpu, got {device}")
    for device in ("abacus", "meta", "hpu")
]
NUMBERS = [
    (("--epochs", "0"), "--epochs must be a positive integer, got 0"),
    (("--epochs", "many"), "argument --epochs: invalid int value: 'many'"),
    (("--seed", "-1"), "--seed must be at least 0 and below 2**32, got -1"),
    (("--seed", str(2**32)), "--seed must be at least 0 and below 2**32, got 4294967296"),
]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [(name, *case) for name in PROGRAMS for case in NUMBERS + (DEVICES if name != "observers" else [])],
)
def test_a_bad_argument_is_named_before_anything_runs(play_here, name, arguments, message):
    """One line of error says which argument is wrong and what it was, and nothing else happens."""
    status, text, errors = play_here(name, *arguments)
    assert (2, "") == (status, text)
    assert f"{name}.py: error: {message}" == errors.splitlines()[-1]


def test_digits_reaches_98_percent_on_the_test_images():
    """With no options the network gets that far, and each handler prints when its filter says."""
    text = printed("digits")
    assert 98 <= number(r"test accuracy (\S+)%", text)
    assert [str(n) for n in range(50, 681, 50)] == found(r"iteration +(\d+)  loss", text)
    assert [str(n) for n in range(1, 21)] == found(r"^epoch +(\d+)  train .* validation .* test ", text)
    assert ["1", "2", "4", "8", "16"] == found(r"^  epoch (\d+) took", text)
    assert 1 == text.count("first loss")


def test_digits_gives_the_accuracy_of_its_best_epoch():
    """The results at the end are those of the first epoch with the highest validation accuracy."""
    text = printed("digits", "--epochs", "3", "--seed", "5")
    rows = found(r"^epoch +(\d+) .* validation +(\S+) \S+  test +(\S+) ", text)
    epoch, validation, test = max(rows, key=lambda row: float(row[1].rstrip("%")))
    assert f"is that of epoch {epoch}:\nvalidation accuracy {validation}\ntest accuracy {test}\n" in text
    assert "completed after 102 iterations" in text


def test_digits_shows_what_each_digit_is_taken_for():
    """The counts of each digit are those of the test images, and the recall is the share on the diagonal."""
    rows = found(r"^ +(\d) +([\d.]+)% +((?:[ ]+[\d.]+){10})$", printed("digits", "--epochs", "1"))
    counts = [[0 if count == "." else int(count) for count in row[2].split()] for row in rows]
    assert [str(digit) for digit in range(10)] == [digit for digit, _, _ in rows]
    assert 359 == sum(map(sum, counts))
    recall = [f"{row[digit] / sum(row):.1%}" for digit, row in enumerate(counts)]
    assert recall == [f"{percent}%" for _, percent, _ in rows]


def interrupted_at(beginning: str, name: str, *arguments: str, ends: tuple[int, str] = (0, "")) -> str:
    """Return what a program prints after a Ctrl-C that comes when it has printed such a line."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command(name, *arguments), env=environment(), text=True, **pipes) as program:
        assert any(line.startswith(beginning) for line in iter(program.stdout.readline, ""))
        program.send_signal(signal.SIGINT)
        text, errors = program.communicate(timeout=120)
    assert ends == (program.returncode, errors)
    return text


STOPS = (
    "SIGINT: DeterministicEngine(SupervisedTraining) stops when its iteration is complete; "
    "a second signal stops at once\n"
)


@needs_signals
def test_digits_keeps_its_best_network_when_it_is_interrupted():
    """Ctrl-C ends the training in order, and the best network so far is still evaluated."""
    text = interrupted_at("epoch  2", "digits", "--epochs", "10000", ends=(130, STOPS))
    assert 34 < number(r"terminated after (\d+) iterations", text)
    assert 50 < number(r"test accuracy (\S+)%", text)


def results(text: str) -> str:
    """Return what a program prints at its end, from the accuracy of the best network on."""
    return text[text.index("the best network") :]


@needs_signals
def test_digits_ends_with_the_same_network_when_it_is_killed_and_started_again(tmp_path):
    """Killed in the second epoch, interrupted in the fourth, it ends as a run that never stopped."""
    again = ("digits", "--epochs", "6", "--checkpoints", str(tmp_path / "interrupted"))
    straight = printed(*again[:-1], str(tmp_path / "straight"))
    with subprocess.Popen(command(*again), env=environment(), text=True, stdout=subprocess.PIPE) as program:
        assert any(line.startswith("  iteration   50") for line in iter(program.stdout.readline, ""))
        program.kill()
    text = interrupted_at("epoch  3", *again, ends=(130, STOPS))
    assert 102 <= number(r"terminated after (\d+) iterations", text)
    last = printed(*again)
    assert 102 <= number(r"^going on after iteration (\d+), with seed 0$", last) < 204
    assert results(straight) == results(last) == results(printed(*again))
    assert 2 == len(list((tmp_path / "interrupted").iterdir()))


@pytest.mark.parametrize(("option", "argument"), [("--checkpoints", "dirname"), ("--tensorboard", "log_dir")])
def test_digits_says_why_a_folder_cannot_be_used(tmp_path, option, argument):
    """One line of error, and the file is as it was."""
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    ended = subprocess.run(
        command("digits", option, str(file)), env=environment(), capture_output=True, text=True, check=False
    )
    assert (1, "") == (ended.returncode, ended.stdout)
    assert ended.stderr.startswith(f"digits.py: error: {option} cannot be used: ")
    assert f"{argument} must be a folder" in ended.stderr
    assert 1 == len(ended.stderr.splitlines())
    assert "mine" == file.read_text()


def test_digits_logs_curves_for_tensorboard(tmp_path):
    """All lies at the trainer's iteration: the loss of each tenth, and what each data set gives after an epoch."""
    pytest.importorskip("tensorboard")
    from support.tensorboard import points

    text = printed("digits", "--epochs", "2", "--tensorboard", str(tmp_path))
    curves = points(tmp_path)
    names = {f"{part}/{value}" for part in ("train", "validation", "test") for value in ("accuracy", "loss")}
    assert {"training/loss"} | names == curves.keys()
    assert [*range(10, 69, 10)] == [step for step, _ in curves["training/loss"]]
    assert {(34, 68)} == {tuple(step for step, _ in curves[name]) for name in names}
    shown = [float(percent) / 100 for percent in found(r"validation +(\S+)% ", text)]
    assert shown == pytest.approx([value for _, value in curves["validation/accuracy"]], abs=1e-4)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize("wanted", [True, False])
def test_digits_shows_a_bar_in_a_terminal(wanted):
    """In a terminal a bar is drawn by default; `--no-progress` shows none."""
    import fcntl
    import pty
    import struct
    import termios

    reader, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    arguments = ("--epochs", "1", *(() if wanted else ("--no-progress",)))
    ended = subprocess.run(
        command("digits", *arguments), env=environment(), stdout=subprocess.PIPE, stderr=terminal, text=True, check=True
    )
    os.write(terminal, b"\nend\n")
    shown = b""
    while b"end" not in shown:
        shown += os.read(reader, 65536)
    os.close(reader)
    os.close(terminal)
    assert (wanted, wanted) == (b"training: [0/34]" in shown, b"/34]" in shown)
    assert 1 == len(found(r"^epoch  1  train ", ended.stdout))


@needs_signals
def test_text_ends_in_order_when_it_is_interrupted():
    """Ctrl-C ends the training without a traceback, and the model is evaluated as it is."""
    text = interrupted_at("  chunk  100", "text")
    assert "  interrupted\n" in text
    assert number(r"held out: (\S+) bits", text) < 4


@needs_signals
def test_observers_ends_without_a_traceback_when_it_is_interrupted():
    """Ctrl-C ends the program with one word."""
    text = interrupted_at("  right  epoch 2", "observers", "--epochs", "1000000", ends=(130, "interrupted\n"))
    assert "epoch 1000000" not in text


def test_text_gets_below_the_unigram_entropy():
    """Two epochs on a part of the text beat every model without memory, and chunks and epochs are reported."""
    text = printed("text", "--epochs", "2", "--characters", "164000")
    assert 4.5 < number(r"unigram entropy (\S+) bits", text) < 4.9
    entropy = number(r"of the part held out (\S+)$", text)
    assert 4.3 < entropy < 4.9
    assert number(r"held out: (\S+) bits", text) < 0.75 * entropy
    assert ["100"] == found(r"chunk +(\d+)  \S+ bits", text)
    assert ["1", "2"] == found(r"^epoch (\d)  training \S+  held out \S+$", text)
    assert 1 == text.count("it writes:")


@pytest.mark.parametrize("epochs", [1, 3])
def test_observers_vanish_and_the_run_goes_on(epochs):
    """The dashboard that is deleted at iteration 12 prints nothing more, the other one prints until the end."""
    text = printed("observers", "--epochs", str(epochs))
    begun, ended = text.split("the left dashboard is deleted\n")
    assert ["5", "10"] == found(r"^  left +iteration +(\d+)", begun)
    assert [] == found(r"^  left", ended)
    assert [str(n) for n in range(15, 20 * epochs + 1, 5)] == found(r"^  right +iteration +(\d+)", ended)
    assert [str(n) for n in range(1, epochs + 1)] == found(r"^  right +epoch (\d)", ended)
    assert (4, 2) == (begun.count("Dashboard."), ended.count("Dashboard."))
