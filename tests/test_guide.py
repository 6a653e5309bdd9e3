"""What the command line tells in the place of a run: lists, explanations, decks to begin with, completion."""

import re
import subprocess
import sys
import tomllib

import pytest
from conftest import environment

from parvmc import config, guide
from parvmc.__main__ import main
from parvmc.deck import OBSERVABLES, OPTIMIZERS, SAMPLERS, STATES, SYSTEMS, Deck
from parvmc.explain import Unknown, documented, explained, listing
from parvmc.hamiltonians.trap import INTERACTIONS
from parvmc.keys import entries
from parvmc.schema import DeckError
from parvmc.starter import STARTERS, starter

KEYS = [entry for entry in entries(Deck) if not entry.is_component]
TINY = {"sampler.lanes": 64, "sampler.equilibration": 20, "optimizer.iterations": 2, "production.equilibration": 20}
WALKING = {"sampler.walkers": 128, "optimizer.samples": 128, "production.samples": 16 * 128}


def one_line(text):
    """Return a text without its line breaks and indents."""
    return " ".join(text.split())


# --- what there is


def test_the_list_names_everything_once_in_a_line_each():
    """Every component that decks can name, under its table, with the space that it is for."""
    sections = dict(re.findall(r"^\[+([a-z.]+)\]+: .+\n((?:  .+\n?)+)", listing(), re.MULTILINE))
    known = {"system": SYSTEMS, "system.interaction": INTERACTIONS, "state": STATES, "sampler": SAMPLERS}
    known |= {"optimizer": OPTIMIZERS, "production.observables": OBSERVABLES}
    assert sections.keys() == known.keys()
    for name, kinds in known.items():
        lines = [line.split(maxsplit=2) for line in sections[name].splitlines()]
        assert [line[0] for line in lines] == list(kinds)
        assert all(line[1] in ("trap", "lattice", "both") and line[2].endswith(".") for line in lines)
    spaces = {line.split()[0]: line.split()[1] for line in listing().splitlines() if line.startswith("  ")}
    assert (spaces["trap"], spaces["ising"], spaces["spin_rbm"], spaces["gaussian_rbm"]) == (
        "trap",
        "lattice",
        "lattice",
        "trap",
    )
    assert (spaces["metropolis"], spaces["langevin"], spaces["enumerate"], spaces["adam"]) == (
        "both",
        "trap",
        "lattice",
        "both",
    )


# --- keys


@pytest.mark.parametrize("entry", KEYS, ids=lambda entry: ".".join(entry.path))
def test_every_key_is_documented_and_explained(entry):
    """By its path with kinds and without: what it means, which values, its default and its unit, as the classes say."""
    assert entry.meaning
    if entry.name == "kind":
        assert f'"{entry.owner}"' in entry.default_text
        return
    for name in (".".join(entry.path), entry.key):
        text = one_line(explained(name))
        assert one_line(entry.meaning) in text
        if entry.settings or entry.kinds:
            assert all(kind in text for kind in entry.kinds)
            continue
        assert f"allowed: {one_line(entry.allowed)}" in text
        assert f"default: {entry.default_text or ('none, it must' if entry.is_required else 'left out')}" in text
        assert not entry.unit or f"unit: {entry.unit}" in text


def test_what_is_explained_is_what_is_checked():
    """A bound that the text names is where values begin to be refused, and the default is what a deck gets."""
    text = explained("optimizer.reconfiguration.learning_rate")
    assert "unit: 1 / energy\n    default: 0.05\n    allowed: a number above 0" in text
    base = 'system = {kind = "ising", lattice = [4]}\nstate = [{kind = "spin_jastrow"}]\n'
    assert config.loads(base).optimizer.learning_rate == 0.05
    assert config.loads(base, ["optimizer.learning_rate=1e-300"]).optimizer.learning_rate == 1e-300
    with pytest.raises(DeckError, match="above 0"):
        config.loads(base, ["optimizer.learning_rate=0.0"])


def test_a_bare_name_finds_all_that_bear_it():
    """Once for kinds that say the same, else once for each; numbers of list entries do not matter."""
    text = explained("learning_rate")
    found = re.findall(r"^(\S+learning_rate)(?: .*kind = (.*)\))?$", text, re.MULTILINE)
    assert sorted(found) == [
        ("optimizer.learning_rate", '"adam"'),
        ("optimizer.learning_rate", '"gradient"'),
        ("optimizer.learning_rate", '"momentum"'),
        ("optimizer.learning_rate", '"reconfiguration"'),
        ("pretrain.learning_rate", ""),
    ]
    assert '"exact", "gibbs", "langevin" or "metropolis"' in explained("sampler.walkers")
    assert explained("state.1.hidden") == explained("state.hidden") == explained("State.Hidden")
    assert explained("coulomb").startswith('system.interaction, kind = "coulomb"   (for particles in a trap)')
    assert explained("system.kind") == explained("system")


def test_a_section_or_a_kind_is_explained_with_its_keys():
    """The documentation of the class, and each of its keys."""
    text = explained("sampler.langevin")
    assert "q = |psi(x')|^2 G(x, x')" in text
    assert all(f"sampler.{key}\n" in text for key in ("walkers", "lanes", "equilibration", "thinning", "step"))
    assert "global_flip" not in text
    assert "output.on_write_error" in explained("output")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("learnig_rate", "learning_rate"),
        ("optimizer.learnig_rate", "optimizer.learning_rate"),
        ("sampler.metropols", "sampler.metropolis"),
        ("walker", "walkers"),
        ("state.spin_rbn", "state.spin_rbm"),
    ],
)
def test_an_unknown_key_has_a_nearest_known_one(name, near):
    """What is suggested is known."""
    with pytest.raises(Unknown, match=rf"did you mean {re.escape(near)}\?"):
        explained(name)
    assert explained(near)


# --- decks to begin with


@pytest.mark.parametrize("kind", STARTERS)
def test_a_starter_deck_has_every_key_of_its_tables(kind):
    """Each with its meaning; what is commented out is the default: the deck is the same with it."""
    text = starter(kind)
    plain = one_line(re.sub(r"^# *", "", text, flags=re.MULTILINE))
    deck = config.loads(text)
    parts = {"": deck, "system": deck.system, "sampler": deck.sampler, "optimizer": deck.optimizer}
    parts |= {"pretrain": deck.pretrain, "production": deck.production, "output": deck.output}
    parts |= {f"state{number}": factor for number, factor in enumerate(deck.state)}
    for part in parts.values():
        for entry in KEYS:
            if entry.path in {(*other.path, entry.name) for other in entries(Deck) if other.settings is type(part)}:
                assert re.search(rf"^(#?{entry.name} = |# {entry.name}: |\[.*{entry.name}\])", text, re.MULTILINE)
                assert entry.name == "kind" or one_line(entry.meaning) in plain
    assert len(re.findall(r"^#\w+ = ", text, re.MULTILINE)) > 20
    assert config.loads(re.sub(r"^#(\w+ = )", r"\1", text, flags=re.MULTILINE)) == deck
    assert max(map(len, text.splitlines())) <= 120


FIRST = ("trap", "heisenberg")  # compiling the kernels of the others takes 40 s of CPU each
RUNS = [kind if kind in FIRST else pytest.param(kind, marks=pytest.mark.slow) for kind in STARTERS]


@pytest.mark.parametrize("kind", RUNS)
def test_a_starter_deck_is_checked_and_runs(parvmc, tmp_path, kind):
    """As it is written for --check; with little work to the end."""
    written = parvmc("--new", kind, "-o", "mine.toml")
    assert written.returncode == 0, written.stderr
    assert written.stdout == "wrote mine.toml; next: python -m parvmc mine.toml --check\n"
    checked = parvmc("mine.toml", "--check")
    assert checked.returncode == 0, checked.stderr
    assert tomllib.loads(checked.stdout)["system"]["kind"] == STARTERS[kind]["system"]["kind"]
    small = TINY | (WALKING if "enumerate" not in checked.stdout else {})
    ran = parvmc("mine.toml", *(f"--set={key}={value}" for key, value in small.items()))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1].startswith("E = ")


def test_a_starter_deck_is_never_written_over_a_file(tmp_path, monkeypatch, capsys):
    """Nor into a folder that is not there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text("# mine\n")
    for place, reason in (("mine.toml", "exists already"), ("no/mine.toml", "cannot be written")):
        assert main(["--new", "trap", "-o", place]) == 2
        assert reason in capsys.readouterr().err
    assert (tmp_path / "mine.toml").read_text() == "# mine\n"
    assert main(["--new", "trap"]) == 0
    assert capsys.readouterr().out == starter("trap")


# --- the command line


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--explain", "learnig_rate"], "did you mean learning_rate?"),
        (["--explain=optimizer.shif"], "did you mean optimizer.shift?"),
        (["--new", "heisenburg"], "did you mean heisenberg? Known: trap, "),
        (["--new", "x"], "known: trap, "),
        (["--explain", "x", "--list"], "not allowed with argument"),
    ],
)
def test_what_is_unknown_is_answered_with_status_2(capsys, arguments, text):
    """One message on stderr, nothing on stdout."""
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert text in told.err
    assert told.out == ""


WITHOUT = """
import sys
from parvmc.__main__ import main
assert main(["--explain", "output"]) == 0
loaded = {"mpi4py.MPI", "h5py", "pydantic", "parvmc.walk"} & set(sys.modules)
assert not loaded, loaded
"""


def test_it_needs_neither_mpi_nor_kernels_nor_files():
    """No library is loaded that only a run needs; components are imported, and with them numba."""
    process = subprocess.run([sys.executable, "-c", WITHOUT], env=environment(), capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("[output]")


@pytest.mark.mpi
def test_under_a_launcher_rank_0_alone_answers(parvmc, tmp_path):
    """Once, with one status, and one file."""
    listed = parvmc("--list", ranks=2)
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout == listing() + "\n"
    wrong = parvmc("--explain", "learnig_rate", ranks=2)
    assert wrong.returncode == 2
    assert wrong.stderr.count("did you mean") == 1
    written = parvmc("--new", "ising", "-o", "mine.toml", ranks=2)
    assert (written.returncode, written.stdout.count("wrote mine.toml")) == (0, 1)


# --- completion


def completion(capsys, shell):
    """Return the script for a shell."""
    pytest.importorskip("shtab", reason="no shtab: pip install '.[test]'")
    assert main(["--print-completion", shell]) == 0
    return capsys.readouterr().out


def test_bash_completes_options_keys_and_kinds(capsys, tmp_path):
    """The script is sound, and completes as one types."""
    script = tmp_path / "parvmc.bash"
    script.write_text(completion(capsys, "bash"))
    subprocess.run(["bash", "-n", script], check=True)
    asked = """source "$1"; shift
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
    $(complete -p parvmc | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
    printf '%s\\n' "${COMPREPLY[@]}" """

    def completed(*words):
        answer = subprocess.run(
            ["bash", "-c", asked, "bash", script, "parvmc", *words], check=True, capture_output=True, text=True
        )
        return answer.stdout.split()

    assert "--time-limit" in completed("--t")
    assert completed("--new", "heis") == ["heisenberg"]
    assert completed("--explain", "optimizer.learn") == ["optimizer.learning_rate"]
    assert completed("--log-format", "j") == ["json"]


def test_zsh_and_tcsh_have_scripts_too(capsys):
    """For the command `parvmc`."""
    assert completion(capsys, "zsh").startswith("#compdef parvmc")
    assert "complete parvmc" in completion(capsys, "tcsh")


def test_without_shtab_its_absence_is_told(capsys, monkeypatch):
    """The extra is not installed."""
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["--print-completion", "bash"]) == 2
    assert "pip install" in capsys.readouterr().err
    assert documented()
    assert guide.is_asked(["deck.toml", "--explain=x"])
    assert not guide.is_asked(["deck.toml", "-o", "x"])
