"""The decks in inputs/: they load, run and say what they should."""

import re
import shlex

import kernel_counts
import pytest
from conftest import ROOT, SMALL

from parvmc import config, declarations, verify
from parvmc.__main__ import command_line
from parvmc.deck import check_ranks

DECKS = sorted((ROOT / "inputs").glob("*.toml"))
decks = pytest.mark.parametrize("deck", DECKS, ids=lambda path: path.stem)


def head(deck):
    """Return the comment that a deck opens with."""
    lines = deck.read_text().splitlines()
    return "\n".join(lines[: next(n for n, line in enumerate(lines) if not line.startswith("#"))])


def given(text):
    """Return the options in a text's one command line, as the program parses them."""
    commands = re.findall(r"^#?.*\bmpirun .*python -m parvmc +(.*)$", text.replace("\\\n", " "), re.MULTILINE)
    assert len(commands) == 1
    return command_line().parse_args(shlex.split(commands[0]))


def test_there_are_decks():
    """The list that the other tests go through is not empty."""
    assert {"one_particle", "two_electrons", "two_electrons_free", "two_electrons_large"} <= {d.stem for d in DECKS}
    assert {"hard_spheres_10", "hard_spheres_50", "hard_spheres_100"} <= {d.stem for d in DECKS}
    assert {"two_electrons_jastrow", "two_electrons_jastrow_3d", "two_electrons_1d"} <= {d.stem for d in DECKS}
    assert {"two_electrons_exact", "samplers", "pretrained"} <= {d.stem for d in DECKS}


@decks
def test_a_deck_is_valid(deck):
    """A deck loads, and has a title."""
    assert config.load(deck).title


@decks
def test_a_deck_tells_about_itself(deck):
    """Its head says what it shows, the exact energy included, how long it takes, and its own command line."""
    text = head(deck)
    assert given(text).deck.as_posix() == f"inputs/{deck.name}"
    assert re.search(r"# What it shows: .*\b(E =|exact)", text, re.DOTALL | re.IGNORECASE)
    assert re.search(r"# How long it takes: about \d+ (seconds|minutes) on \d+ cores?\b", text, re.DOTALL)


@decks
def test_a_deck_runs(deck, tmp_path):
    """Scaled down, it runs to the end, with the energy known for its system in its last line, and its files are
    sound; no kernel is compiled or loaded after the stage for it."""
    settings = config.load(deck)
    small = {"optimizer.iterations": 3} if settings.sampler.kind == "enumerate" else SMALL
    small = small | ({"pretrain.iterations": 3} if settings.pretrain.iterations else {})
    process, kernels = kernel_counts.run(tmp_path, deck, *(f"--set={key}={value}" for key, value in small.items()))
    assert process.returncode == 0, process.stderr
    assert kernels.compiled + kernels.loaded > 0
    assert kernels.late == 0
    known = declarations.reference_energy(settings.system)
    number = r"-?\d+(\.\d+)?"
    assert re.match(
        rf"E = {number}\(.*" + rf" (exact|best known) {number}" * bool(known), process.stdout.splitlines()[-1]
    )
    for end in ("h5", "ckpt.h5", "jsonl"):
        is_sound, line = verify.check(tmp_path / f"{deck.stem}.{end}")
        assert is_sound, line


def test_the_deck_for_two_electrons_runs_on_64_ranks():
    """They find a batch each."""
    check_ranks(config.load(ROOT / "inputs/two_electrons.toml"), 64)
