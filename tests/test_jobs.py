"""The scripts in jobs/, without a scheduler: what they ask for and start, and what they do with the exit status."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import MPIRUN, ROOT, TWO_ELECTRONS, environment

from parvmc import config
from parvmc.__main__ import command_line
from parvmc.deck import check_ranks, duration

SLURM = sorted((ROOT / "jobs").glob("*.sbatch"))
PBS = ROOT / "jobs/one_node.pbs"
BY_SRUN = [script for script in SLURM if script.stem != "mpirun"]
slurm_jobs = pytest.mark.parametrize("script", SLURM, ids=lambda path: path.stem)
all_jobs = pytest.mark.parametrize("script", [*SLURM, PBS, ROOT / "jobs/chain.sh"], ids=lambda path: path.name)
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")


def directive(text, key):
    """Return the value of a directive of sbatch."""
    return re.search(rf"^#SBATCH --{key}=(\S+)", text, re.MULTILINE)[1]


def given(text):
    """Return the options in a script's one command line, as the program parses them, and its default deck."""
    text = text.replace("\\\n", " ").replace(' "$@"', "")
    text = re.sub(r'"(?:\$\{@:-|\$deck")(?:([^"}]+)\}")?', r"\1", text)
    commands = re.findall(r"^(?:mpirun|srun) .*python -m parvmc +(.*?)(?: &)?$", text, re.MULTILINE)
    assert len(commands) == 1
    return command_line().parse_args(shlex.split(commands[0]))


def test_there_are_scripts():
    """The list that the other tests go through is not empty."""
    assert {"one_node", "several_nodes", "mpirun", "omega_scan", "figure2"} <= {script.stem for script in SLURM}


@all_jobs
def test_a_job_script_is_bash(script):
    """Bash can read it."""
    process = subprocess.run(["bash", "-n", script], capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")


@slurm_jobs
def test_a_slurm_script_outlives_its_time_limit(script):
    """Told well before its end, requeued with its log, one thread per rank, and no rank waits for one that was
    killed."""
    text = script.read_text()
    shell, warning = re.fullmatch(r"(B:)?USR1@(\d+)", directive(text, "signal")).groups()
    assert (shell is not None) == (script.stem == "mpirun")  # srun's ranks hear it themselves
    assert 60 <= int(warning) <= 0.1 * duration(directive(text, "time"))
    assert directive(text, "open-mode") == "append"
    for line in (
        r"#SBATCH --requeue +#.*",
        r"export OMP_NUM_THREADS=1 +#.*",
        "export SLURM_WAIT=10 SLURM_KILL_BAD_EXIT=0",
    ):
        assert re.search(f"^{line}$", text, re.MULTILINE)


@slurm_jobs
def test_slurm_scripts_say_the_same_in_the_same_words(script):
    """What does not differ in purpose is in all of them, to the letter."""
    model = (ROOT / "jobs/one_node.sbatch").read_text().splitlines()
    begins = (
        "##SBATCH",
        "#SBATCH --requeue",
        "#SBATCH --open-mode",
        "export OMP",
        "# --resume",
        "# 75:",
        "if ",
        "exit ",
    )
    common = {line for line in model if line.startswith(begins)}
    assert len(common) == len(begins) + 1
    assert common <= set(script.read_text().splitlines())


@slurm_jobs
def test_a_slurm_script_starts_the_program_right(script):
    """All options of its command line exist, it resumes, and its deck can be loaded."""
    options = given(script.read_text())
    assert options.resume
    assert options.time_limit is None  # SLURM is asked
    if "$" not in str(options.deck):  # else the script's own test loads all its decks
        config.load(ROOT / options.deck)
    if "array" in script.read_text():
        assert "$" in str(options.output)  # an output for each task


def test_the_large_deck_has_a_batch_for_every_rank():
    """As many as several_nodes.sbatch starts."""
    text = (ROOT / "jobs/several_nodes.sbatch").read_text()
    ranks = int(directive(text, "nodes")) * int(directive(text, "ntasks-per-node"))
    check_ranks(config.load(ROOT / given(text).deck), ranks)


def array_tasks(name, variables):
    """Return the values of a script's variables in each task of its job array."""
    text = (ROOT / f"jobs/{name}.sbatch").read_text()
    last = int(re.search(r"^#SBATCH --array=0-(\d+)$", text, re.MULTILINE)[1])
    lines = [line for line in text.splitlines() if re.match(r"\w+=", line) and "$?" not in line]
    shown = " ".join(f"${name}" for name in variables)
    loop = ["for SLURM_ARRAY_TASK_ID in $(seq 0 " + str(last) + "); do", *lines, f'echo "{shown}"', "done"]
    done = subprocess.run(["bash", "-c", "\n".join(loop)], capture_output=True, text=True, check=True)
    return [tuple(line.split()) for line in done.stdout.splitlines()]


def test_the_scan_has_a_job_for_every_omega():
    """From 0.01 to 1, each with the learning rate 0.05 / omega."""
    tasks = [tuple(map(float, task)) for task in array_tasks("omega_scan", ("omega", "rate"))]
    assert [omega for omega, _ in tasks] == [0.01, 0.05, 0.1, 0.28, 0.5, 0.75, 1.0]
    assert [rate for _, rate in tasks] == pytest.approx([0.05 / omega for omega, _ in tasks], rel=1e-5)


def test_figure_2_has_a_job_for_every_deck_and_density():
    """Each pair once, and each deck takes each density."""
    tasks = array_tasks("figure2", ("deck", "density"))
    names = ["ising_chain_h0.5", "ising_chain_h1", "ising_chain_h2", "heisenberg_chain", "heisenberg_square"]
    assert tasks == [(name, density) for name in names for density in "124"]
    for name, density in tasks:
        config.load(ROOT / f"inputs/{name}.toml", [f"state.0.density={density}"])


# --- with stand-ins for the commands of a scheduler -------------------------------------------------------------------


@pytest.fixture
def site(tmp_path):
    """A checkout whose PATH begins with stand-ins: commands write down what they were asked and end with a status."""

    class Site:
        folder, asked = tmp_path, tmp_path / "asked"

        def stand_in(self, name, script):
            path = tmp_path / "bin" / name
            path.write_text(f'#!/bin/bash\necho "{name} $*" >> "{self.asked}"\n{script}\n')
            path.chmod(0o755)

        def run(self, script, *arguments, **more):
            """Run a script and return (status, the commands that it gave)."""
            variables = {"PATH": f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"}
            variables |= {"PBS_O_WORKDIR": str(tmp_path), "PBS_NODEFILE": str(tmp_path / "nodes")}
            done = subprocess.run(
                ["bash", script, *arguments], cwd=tmp_path, env=environment(**variables | more), text=True, timeout=120
            )
            return done.returncode, self.asked.read_text().splitlines() if self.asked.exists() else []

    (tmp_path / "jobs").symlink_to(ROOT / "jobs")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/activate").touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "nodes").write_text("localhost\nlocalhost\n")
    return Site()


@pytest.mark.parametrize(("status", "left", "again"), [(75, 5, True), (75, 0, False), (0, 5, False), (1, 5, False)])
def test_a_pbs_job_submits_the_next(site, status, left, again):
    """Where the run stopped early, until it has done so too often, and never otherwise; it ends with the run's
    status."""
    site.stand_in("mpirun", f"exit {status}")
    site.stand_in("qsub", "echo 2.pbs")
    ended, asked = site.run(PBS, DECK="inputs/mine.toml", LEFT=str(left))
    assert ended == status
    assert asked[0].startswith("mpirun -n 2 python -m parvmc inputs/mine.toml --resume --time-limit ")
    assert asked[1:] == ["qsub -v DECK=inputs/mine.toml,LEFT=4 jobs/one_node.pbs"] * again


@pytest.mark.mpi
def test_a_pbs_job_runs_to_its_end(site):
    """Two ranks for the two lines of the node file, by the real mpirun; a second job finds nothing to do."""
    text = f"{TWO_ELECTRONS}hidden = 3\n[sampler]\nwalkers = 512\nlanes = 64\n[optimizer]\niterations = 3\n"
    (site.folder / "small.toml").write_text(f"{text}[production]\nsamples = 25_600\n")
    site.stand_in("mpirun", f'exec "{MPIRUN}" "$@"')
    site.stand_in("qsub", "exit 1")
    for _ in range(2):
        status, asked = site.run(PBS, DECK="small.toml")
        assert status == 0
    assert [line.split()[0] for line in asked] == ["mpirun", "mpirun"]
    assert (site.folder / "small.h5").exists()


def test_the_time_limit_of_the_pbs_script_fits():
    """It is the program's own, and somewhat shorter than the job's."""
    text = PBS.read_text()
    allowed = duration(re.search(r"^#PBS -l walltime=(\S+)$", text, re.MULTILINE)[1])
    assert 0.8 * allowed < duration(given(text).time_limit) < allowed - 120
    assert re.search(r"^#PBS -r y$", text, re.MULTILINE)
    assert "export OMP_NUM_THREADS=1" in text


def test_a_chain_depends_link_by_link(site):
    """Each job on the one before, options and arguments handed on; a cluster's name after the number is cut off."""
    site.stand_in("sbatch", f'echo "$(wc -l < "{site.asked}");cluster"')
    status, asked = site.run(ROOT / "jobs/chain.sh", "3", "--nodes=2", "jobs/one_node.sbatch", "mine.toml")
    rest = "--nodes=2 jobs/one_node.sbatch mine.toml"
    assert status == 0
    assert asked == [
        f"sbatch --parsable --no-requeue {rest}",
        f"sbatch --parsable --no-requeue --dependency=afterany:1 {rest}",
        f"sbatch --parsable --no-requeue --dependency=afterany:2 {rest}",
    ]
    assert site.run(ROOT / "jobs/chain.sh")[0] != 0
    assert site.run(ROOT / "jobs/chain.sh", "3")[0] != 0
    site.stand_in("sbatch", "exit 1")
    assert site.run(ROOT / "jobs/chain.sh", "3", "jobs/one_node.sbatch")[0] == 1
