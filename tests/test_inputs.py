"""The decks in inputs/ and the scripts in jobs/: they load, run and say what they should."""

import re
import shlex
import shutil
import subprocess

import pytest
from conftest import ROOT, SMALL

from parvmc import config, declarations, verify
from parvmc.__main__ import command_line
from parvmc.deck import check_ranks, duration

DECKS = sorted((ROOT / "inputs").glob("*.toml"))
JOBS = sorted((ROOT / "jobs").glob("*.sbatch"))
decks = pytest.mark.parametrize("deck", DECKS, ids=lambda path: path.stem)
jobs = pytest.mark.parametrize("script", JOBS, ids=lambda path: path.stem)


def head(deck):
    """Return the comment that a deck opens with."""
    lines = deck.read_text().splitlines()
    return "\n".join(lines[: next(n for n, line in enumerate(lines) if not line.startswith("#"))])


def given(text):
    """Return the options in a text's one command line, as the program parses them."""
    commands = re.findall(r"^#?.*\b(?:mpirun|srun) .*python -m parvmc +(.*)$", text.replace("\\\n", " "), re.MULTILINE)
    assert len(commands) == 1
    return command_line().parse_args(shlex.split(commands[0]))


def test_there_are_decks_and_scripts():
    """The lists that the other tests go through are not empty."""
    assert {"one_particle", "two_electrons", "two_electrons_free", "two_electrons_large"} <= {d.stem for d in DECKS}
    assert {"hard_spheres_10", "hard_spheres_50", "hard_spheres_100"} <= {d.stem for d in DECKS}
    assert {"two_electrons_jastrow", "two_electrons_jastrow_3d", "two_electrons_1d"} <= {d.stem for d in DECKS}
    assert {"two_electrons_exact", "samplers", "pretrained"} <= {d.stem for d in DECKS}
    assert {"one_node", "several_nodes", "omega_scan", "figure2"} <= {script.stem for script in JOBS}


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
def test_a_deck_runs(parvmc, deck, tmp_path):
    """Scaled down, it runs to the end, with the energy known for its system in its last line, and its files are
    sound."""
    settings = config.load(deck)
    small = {"optimizer.iterations": 3} if settings.sampler.kind == "enumerate" else SMALL
    process = parvmc(deck, *(f"--set={key}={value}" for key, value in small.items()))
    assert process.returncode == 0, process.stderr
    known = declarations.reference_energy(settings.system)
    number = r"-?\d+(\.\d+)?"
    assert re.match(
        rf"E = {number}\(.*" + rf" (exact|best known) {number}" * bool(known), process.stdout.splitlines()[-1]
    )
    for end in ("h5", "ckpt.h5", "jsonl"):
        is_sound, line = verify.check(tmp_path / f"{deck.stem}.{end}")
        assert is_sound, line


def test_the_decks_run_as_shipped_on_their_ranks():
    """64 ranks find a batch each in both decks for two electrons, and as many as several_nodes.sbatch starts in the
    larger."""
    check_ranks(config.load(ROOT / "inputs/two_electrons.toml"), 64)
    text = (ROOT / "jobs/several_nodes.sbatch").read_text()
    nodes, tasks = (int(re.search(rf"^#SBATCH --{key}=(\d+)", text, re.M)[1]) for key in ("nodes", "ntasks-per-node"))
    check_ranks(config.load(ROOT / given(text).deck), nodes * tasks)


def test_the_scan_has_a_job_for_every_omega():
    """As many array tasks as frequencies, from 0.01 to 1, each with the learning rate 0.05 / omega."""
    text = (ROOT / "jobs/omega_scan.sbatch").read_text()
    omegas = re.search(r"^omegas=\((.*)\)$", text, re.MULTILINE)[1].split()
    assert (omegas[0], omegas[-1]) == ("0.01", "1.0")
    assert int(re.search(r"^#SBATCH --array=0-(\d+)$", text, re.MULTILINE)[1]) == len(omegas) - 1
    lines = [line for line in text.splitlines() if line.startswith(("omegas=", "omega=", "rate="))]
    script = "\n".join(["SLURM_ARRAY_TASK_ID=3", *lines, 'echo "$omega $rate"'])
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    omega, rate = map(float, done.stdout.split())
    assert (omega, rate) == pytest.approx((0.28, 0.05 / 0.28), rel=1e-5)


def array_tasks(name, variables):
    """Return the values of a script's variables in each task of its job array."""
    text = (ROOT / f"jobs/{name}.sbatch").read_text()
    last = int(re.search(r"^#SBATCH --array=0-(\d+)$", text, re.MULTILINE)[1])
    lines = [line for line in text.splitlines() if re.match(r"\w+=", line) and "$?" not in line]
    shown = " ".join(f"${name}" for name in variables)
    loop = ["for SLURM_ARRAY_TASK_ID in $(seq 0 " + str(last) + "); do", *lines, f'echo "{shown}"', "done"]
    done = subprocess.run(["bash", "-c", "\n".join(loop)], capture_output=True, text=True, check=True)
    return [tuple(line.split()) for line in done.stdout.splitlines()]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_figure_2_has_a_job_for_every_deck_and_density():
    """Each pair once, and each deck takes each density."""
    tasks = array_tasks("figure2", ("deck", "density"))
    names = ["ising_chain_h0.5", "ising_chain_h1", "ising_chain_h2", "heisenberg_chain", "heisenberg_square"]
    assert tasks == [(name, density) for name in names for density in "124"]
    for name, density in tasks:
        config.load(ROOT / f"inputs/{name}.toml", [f"state.0.density={density}"])


@jobs
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_a_job_script_is_bash(script):
    """Bash can read it."""
    process = subprocess.run(["bash", "-n", script], capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")


@jobs
def test_a_job_script_starts_the_program_right(script):
    """All options of its command line exist; it names a deck and an output, resumes, and stops before its own end."""
    text = script.read_text()
    options = given(text)
    if "$" not in options.deck.name:  # else the script's own test loads all its decks
        config.load(ROOT / options.deck)
    assert options.output.suffix == ".h5"
    assert options.resume
    allowed = duration(re.search(r"^#SBATCH --time=(\S+)", text, re.MULTILINE)[1])
    assert 0.5 * allowed < duration(options.time_limit) < allowed
