"""The live line on a terminal: a run on a pseudo-terminal, whose screen an emulator shows."""

import json
import os
import pty
import select
import signal
import sys
import termios
import time
from dataclasses import dataclass, field

import pytest
from conftest import command, environment
from runs import DECK

pyte = pytest.importorskip("pyte", reason="no terminal emulator: pip install '.[test]'")

WIDE, NARROW, ROWS = 240, 60, 40
CONTROL_C = b"\x03"


@dataclass
class Terminal:
    """What a program has written to a terminal; screen: as it is now, live: the lines that the cursor has stood on."""

    screen: object
    raw: bytes = b""
    status: int | None = None
    live: list = field(default_factory=list)

    @property
    def lines(self):
        """The lines on the screen that are not empty."""
        return [line.rstrip() for line in self.screen.display if line.rstrip()]


def on_terminal(folder, *options, columns=WIDE, press=None, seconds=200, **more):
    """Run the deck on a terminal and return the `Terminal` when the run has ended; press: a function of what has been
    shown so far that returns keys to press, or b""."""
    deck = folder / "long.toml"
    deck.write_text(DECK)
    arguments, variables = command(deck, *options), environment(TERM="xterm", **more)
    for name in ("COLUMNS", "LINES"):  # pytest-xdist sets them, and they go before the terminal's own size
        variables.pop(name, None)
    pid, descriptor = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve(arguments[0], arguments, variables)
    termios.tcsetwinsize(descriptor, (ROWS, columns))
    terminal, deadline = Terminal(pyte.Screen(columns, ROWS)), time.monotonic() + seconds
    stream = pyte.ByteStream(terminal.screen)
    try:
        while time.monotonic() < deadline:
            if not select.select([descriptor], [], [], 1.0)[0]:
                continue
            try:
                chunk = os.read(descriptor, 65_536)
            except OSError:  # Linux's way to say that nobody is on the other side any more
                break
            terminal.raw += chunk
            for part in chunk.splitlines(keepends=True):
                stream.feed(part)
                terminal.live.append(terminal.screen.display[terminal.screen.cursor.y].rstrip())
            if press and (keys := press(terminal)):
                os.write(descriptor, keys)
        else:
            os.kill(pid, signal.SIGKILL)  # MPICH does not let a hang-up end the process
    finally:
        os.close(descriptor)
    terminal.status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return terminal


def assert_is_clean(terminal):
    """Assert that the cursor is visible on a line of its own, and that nothing of a live line is left."""
    assert not terminal.screen.cursor.hidden
    assert terminal.screen.cursor.x == 0
    assert not [line for line in terminal.lines if "acc 0." in line]


def test_the_live_line_comes_and_goes(tmp_path):
    """It has iteration, energy, variance, acceptance, time per step and time left of the run, in one row of the
    screen; what stays are the last line of each phase and the result, whole."""
    # on a quiet machine the deck's 20 iterations are over before the live line is drawn anew
    terminal = on_terminal(tmp_path, "--set", "optimizer.iterations=400")
    assert terminal.status == 0
    live = [line for line in terminal.live if line.startswith("optimization ") and "/400" in line]
    assert any(
        all(word in line for word in ("E = ", "  var ", "  acc 0.", " ms  ")) and line.endswith(" s left")
        for line in live
    )
    assert any(line.startswith("production ") and line.endswith(" s left") for line in terminal.live)
    assert all(len(line) < 80 for line in live)
    assert_is_clean(terminal)
    lines = [line.split("   ")[0].split(" of ")[0].split()[0] for line in terminal.lines]
    expected = ["compilation", "equilibration", "optimization", "settling", "production"]
    assert [word for word in lines if word in expected] == expected
    assert sum(line.startswith("E = ") for line in terminal.lines) == 1
    assert terminal.lines[-1].endswith("core-h")


@pytest.mark.parametrize("times", [1, 2])
def test_control_c_leaves_a_clean_terminal(tmp_path, times):
    """Pressed while the live line is there: the run saves, stops and says so; pressed again it may end at once, and
    the cursor is there all the same."""
    pressed = []

    def press(terminal):
        shown = any(line.startswith("production ") and "E = " in line for line in terminal.live)
        due = (not pressed and shown) or (len(pressed) == 1 < times and b"once more" in terminal.raw)
        pressed.extend([True] if due else [])
        return CONTROL_C if due else b""

    terminal = on_terminal(tmp_path, "--set", "production.samples=4_294_967_296", columns=NARROW, press=press)
    assert len(pressed) == times
    assert not terminal.screen.cursor.hidden
    assert any(line.endswith("\N{HORIZONTAL ELLIPSIS}") for line in terminal.live)  # cut, not wrapped
    told = [line for line in terminal.lines if line.startswith("parvmc: SIGINT: saving and stopping")]
    assert len(told) == 1
    if times == 1:
        assert terminal.status == 75
        assert any(line.startswith("stopped by SIGINT; go on with: ") for line in terminal.lines[-3:])
        assert terminal.screen.cursor.x == 0
    else:
        assert terminal.status in (75, -2)


def test_a_pipe_gets_no_control_characters(parvmc, tmp_path):
    """Nothing but lines, whatever the environment says about colours; the time left of the run is in them."""
    deck = tmp_path / "long.toml"
    deck.write_text(DECK)
    process = parvmc(deck, TERM="xterm", FORCE_COLOR="1", TTY_COMPATIBLE="1", TTY_INTERACTIVE="1")
    assert process.returncode == 0, process.stderr
    assert not set(process.stdout + process.stderr) & {"\x1b", "\r", "\b"}
    assert " s left" in process.stdout


def test_lines_of_json_stay_what_they_are_on_a_terminal(tmp_path):
    """No live line between them."""
    terminal = on_terminal(tmp_path, "--log-format", "json")
    assert terminal.status == 0
    assert b"\x1b" not in terminal.raw
    lines = [json.loads(line) for line in terminal.raw.splitlines()]
    assert lines[-1]["event"] == "result"
    left = [line["seconds_left_of_run"] for line in lines if "seconds_left_of_run" in line]
    assert left
    assert left[-1] == 0.0


def test_without_rich_a_terminal_gets_plain_lines(tmp_path):
    """The extra is not installed: as in a pipe."""
    (tmp_path / "rich").mkdir()
    (tmp_path / "rich" / "__init__.py").write_text("raise ImportError\n")
    searched = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    terminal = on_terminal(tmp_path, PYTHONPATH=searched)
    assert terminal.status == 0
    assert b"\x1b" not in terminal.raw
    assert any(line.startswith("optimization        1 of 20") for line in terminal.lines)
