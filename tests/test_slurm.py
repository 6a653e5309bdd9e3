"""The shipped job scripts under a real SLURM: whatever ends a job, the one that follows ends with the same bits."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import pytest
from conftest import ROOT, TWO_ELECTRONS, command, environment
from files import assert_same_bits
from slurm_cluster import MISSING, Cluster

pytestmark = [
    pytest.mark.mpi,
    pytest.mark.skipif(bool(MISSING), reason=f"no SLURM here ({', '.join(MISSING)}): apt-get install slurm-wlm munge"),
]

# A checkpoint at every place where one may fall: the run lasts for some seconds after any of them
DECK = f"""
title = "Small"
seed = 5
{TWO_ELECTRONS}hidden = 3

[sampler]
walkers = 512
lanes = 64
equilibration = 60

[optimizer]
iterations = 120

[production]
samples = 25_600

[output]
checkpoint_interval = "0 s"
"""
ONE_NODE = ("one_node", "--nodes=1", "--ntasks-per-node=2")
TWO_NODES = ("several_nodes", "--nodes=2", "--ntasks-per-node=1")
MPIRUN = ("mpirun", "--nodes=1", "--ntasks-per-node=2")
MPIRUN_TWO_NODES = ("mpirun", "--nodes=2", "--ntasks-per-node=1")
JOBS = {"srun": ONE_NODE, "srun, 2 nodes": TWO_NODES, "mpirun": MPIRUN, "mpirun, 2 nodes": MPIRUN_TWO_NODES}
"""Shipped scripts, and what makes their jobs small: options of sbatch, which go before the #SBATCH lines."""
jobs = pytest.mark.parametrize("job", JOBS.values(), ids=JOBS.keys())
on_two_nodes = pytest.mark.parametrize("job", [TWO_NODES, MPIRUN_TWO_NODES], ids=["srun", "mpirun"])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A SLURM of three nodes."""
    with Cluster(tmp_path_factory.mktemp("slurm"), nodes=3) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The result of the deck, run through on one rank and without SLURM."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "small.toml").write_text(DECK)
    subprocess.run(command("small.toml"), cwd=folder, env=environment(), check=True, stdout=subprocess.DEVNULL)
    return folder / "small.h5"


class Checkout:
    """A user's checkout: scripts, decks and a virtual environment, and what a user does in it."""

    def __init__(self, folder, cluster):
        self.folder, self.cluster = folder, cluster
        for name in ("jobs", "inputs"):
            (folder / name).symlink_to(ROOT / name)
        (folder / ".venv/bin").mkdir(parents=True)
        self.activate = folder / ".venv/bin/activate"
        self.activate.write_text(f'export PATH="{Path(sys.executable).parent}:$PATH"\n')
        (folder / "small.toml").write_text(DECK)
        self.result, self.metrics = folder / "small.h5", folder / "small.jsonl"
        # several_nodes.sbatch is for Open MPI unless told otherwise; `module` is a shell function where there is one
        self.variables = {"SLURM_MPI_TYPE": "pmi2", "BASH_FUNC_module%%": "() { :; }"}
        # No shared memory between ranks: by srun, MPICH 5.0.2 failed or hung inside MPI_Init in 4 of 300 starts of two
        # ranks on one node, in none of 120 with this, none of 160 on two nodes, and none of 100 by mpirun
        self.variables["MPIR_CVAR_NOLOCAL"] = "1"

    def run(self, *words):
        """Run a command of SLURM, or a script that does, in this folder."""
        words = [shutil.which("env"), "-C", str(self.folder), *map(str, words)]
        return self.cluster.run(*words, **self.variables)

    def submit(self, job, *arguments):
        """Submit a shipped script and return the number of the job."""
        script, *options = job
        return self.run("sbatch", "--parsable", *options, f"jobs/{script}.sbatch", "small.toml", *arguments)

    def wait_for_lines(self, count):
        """Wait until a run has left so many lines about its iterations."""

        def left():
            return self.metrics.exists() and self.metrics.read_text().count('"optimization"') >= count

        try:
            self.cluster.wait_for(left, 300, f"{count} lines in {self.metrics}")
        except TimeoutError as error:
            raise AssertionError(self.log()) from error

    def log(self):
        """What all jobs have printed."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def status(self):
        """Return (status, number of starts) from the result file."""
        with h5py.File(self.result) as file:
            return file.attrs["status"], len(file["provenance"].attrs["start"])

    def assert_finished(self, number, reference, starts, restarts=0):
        """Assert that the job ends well, after so many starts of the program, with the bits of the undisturbed run."""
        fields = self.cluster.wait_for_end(number)
        assert (fields["JobState"], fields["ExitCode"]) == ("COMPLETED", "0:0"), self.log()
        assert int(fields["Restarts"]) == restarts
        assert self.status() == ("finished", starts)
        assert_same_bits(self.result, reference)
        lines = [json.loads(line) for line in self.metrics.read_text().splitlines()]
        iterations = [line["iteration"] for line in lines if line["phase"] == "optimization"]
        assert iterations == list(range(1, len(iterations) + 1))


@pytest.fixture
def checkout(tmp_path, cluster):
    """A checkout of its own for each test; its jobs end with it."""
    checkout = Checkout(tmp_path, cluster)
    yield checkout
    cluster.cancel_all()


def test_a_job_that_is_told_to_stop_is_requeued_and_finishes(checkout, whole):
    """USR1 to the ranks, as `--signal` sends it before the time limit: status 75, requeued by the script, the same
    bits."""
    number = checkout.submit(ONE_NODE)
    checkout.wait_for_lines(20)
    checkout.run("scancel", "--signal=USR1", number)
    checkout.assert_finished(number, whole, starts=2, restarts=1)
    assert "--resume" in checkout.log()


@pytest.mark.slow
@jobs
def test_a_job_that_needs_three_time_limits(checkout, whole, job):
    """Stopped twice before the limit that --time-limit stands for, and requeued: the bits of a run that ran through."""
    number = checkout.submit(job)
    for stops in (1, 2):
        checkout.wait_for_lines(30 * stops)
        whom = "--batch" if job[0] == "mpirun" else "--ctld"  # the shell hands it on to mpirun; else the steps get it
        checkout.run("scancel", whom, "--signal=USR1", number)
        checkout.cluster.wait_for(lambda n=stops: checkout.cluster.job(number)["Restarts"] == str(n), 60, "a requeue")
    checkout.assert_finished(number, whole, starts=3, restarts=2)


@pytest.fixture(scope="module")
def long_run(tmp_path_factory):
    """(options, result) of a run that takes some 100 seconds on two ranks, as a first one tells that may take 20."""
    folder = tmp_path_factory.mktemp("long")
    (folder / "small.toml").write_text(DECK)

    def run(samples, *more):
        sizes = ('output.checkpoint_interval="5 s"', "optimizer.iterations=2", f"production.samples={samples}")
        options = [word for size in sizes for word in ("--set", size)]
        words = command("small.toml", *options, *more, ranks=2)
        status = subprocess.run(words, cwd=folder, env=environment(), stdout=subprocess.DEVNULL).returncode
        return options, status

    assert run(2**40, "--time-limit", 20)[1] == 75
    last = json.loads((folder / "small.jsonl").read_text().splitlines()[-1])
    options, status = run(512 * 6 * last["step"], "-o", "long.h5")
    assert status == 0
    return options, folder / "long.h5"


LIMITS = {
    "asked from SLURM": (ONE_NODE, ("--time=1", "--signal=URG@1"), 25, 2),  # nobody heeds URG
    "signal to the ranks": (ONE_NODE, ("--time=2", "--signal=USR1@60"), 0, 1),
    "signal to the shell": (MPIRUN, ("--time=2", "--signal=B:USR1@60"), 0, 1),
}


@pytest.mark.slow
@pytest.mark.parametrize(("job", "limits", "pause", "restarts"), LIMITS.values(), ids=LIMITS.keys())
def test_real_time_limits(checkout, long_run, job, limits, pause, restarts):
    """Limits of SLURM's own, whole minutes, of which a slow start takes `pause` seconds: stopped in time, requeued."""
    with checkout.activate.open("a") as lines:
        lines.write(f"sleep {pause}\n")
    options, reference = long_run
    number = checkout.submit((*job, *limits), *options)
    fields = checkout.cluster.wait_for_end(number, 900)
    assert int(fields["Restarts"]) >= restarts, checkout.log()
    checkout.assert_finished(number, reference, int(fields["Restarts"]) + 1, int(fields["Restarts"]))
    reason = "before the time limit" if pause else "by SIGUSR1"
    assert checkout.log().count(f"stopped {reason}") == int(fields["Restarts"])


@pytest.mark.slow
@jobs
def test_a_cancelled_job_saves_and_the_next_goes_on(checkout, whole, job):
    """scancel sends SIGTERM: the run is saved and not requeued; a new job goes on from there."""
    number = checkout.submit(job)
    checkout.wait_for_lines(20)
    checkout.run("scancel", number)
    assert checkout.cluster.wait_for_end(number)["JobState"] == "CANCELLED"
    assert checkout.status() == ("stopped", 1), checkout.log()
    checkout.assert_finished(checkout.submit(job), whole, starts=2)


@pytest.mark.slow
@jobs
def test_a_job_requeued_by_the_administrator_goes_on(checkout, whole, job):
    """scontrol requeue from outside, as preemption does it too: SIGTERM, and the job begins again."""
    number = checkout.submit(job)
    checkout.wait_for_lines(20)
    checkout.run("scontrol", "requeue", number)
    checkout.assert_finished(number, whole, starts=2, restarts=1)


@pytest.mark.slow
def test_a_stop_file_stops_until_it_is_removed(checkout, whole):
    """The job saves, is requeued once, and refused with 2; without the file a new job goes on."""
    number = checkout.submit(ONE_NODE)
    checkout.wait_for_lines(20)
    (checkout.folder / "STOP").touch()
    fields = checkout.cluster.wait_for_end(number)
    assert (fields["JobState"], fields["ExitCode"], fields["Restarts"]) == ("FAILED", "2:0", "1"), checkout.log()
    assert checkout.status() == ("stopped", 1)
    (checkout.folder / "STOP").unlink()
    checkout.assert_finished(checkout.submit(ONE_NODE), whole, starts=2)


@pytest.mark.slow
@on_two_nodes
@pytest.mark.parametrize("node", [0, 1], ids=["first node", "second node"])
def test_a_job_whose_node_fails_goes_on_elsewhere(checkout, whole, job, node):
    """A slurmd dies with all that it runs, also the one with the batch script: requeued on other nodes, the same
    bits."""
    number = checkout.submit(job)
    checkout.wait_for_lines(20)
    failing = checkout.run("scontrol", "show", "hostnames", checkout.cluster.job(number)["NodeList"]).split()[node]
    checkout.cluster.fail_node(failing)
    try:
        checkout.assert_finished(number, whole, starts=2, restarts=1)
        assert failing not in checkout.run("scontrol", "show", "hostnames", checkout.cluster.job(number)["NodeList"])
    finally:
        checkout.cluster.repair_node(failing)


@pytest.mark.slow
@jobs
def test_a_rank_that_is_killed_ends_the_job(checkout, whole, job):
    """kill -9 of one rank: the job fails within seconds instead of waiting for ever, and the next goes on."""
    number = checkout.submit(job)
    checkout.wait_for_lines(20)
    victim = checkout.cluster.ranks()[-1]
    os.kill(victim, signal.SIGKILL)
    killed = time.monotonic()
    assert checkout.cluster.wait_for_end(number)["JobState"] == "FAILED", checkout.log()
    assert time.monotonic() - killed < 30  # SLURM_WAIT=10 in the scripts
    checkout.assert_finished(checkout.submit(job), whole, starts=2)


@pytest.mark.slow
def test_a_chain_of_jobs(checkout, whole):
    """Of three links the first stops early and is not requeued, the second finishes, the third finds nothing to do."""
    _, *options = ONE_NODE
    numbers = checkout.run("jobs/chain.sh", 3, *options, "jobs/one_node.sbatch", "small.toml").split()
    assert len(numbers) == 3
    checkout.wait_for_lines(20)
    checkout.run("scancel", "--signal=USR1", numbers[0])
    ended = [checkout.cluster.wait_for_end(number) for number in numbers]
    assert [fields["ExitCode"] for fields in ended] == ["75:0", "0:0", "0:0"]
    checkout.assert_finished(numbers[2], whole, starts=2)
    assert checkout.log().count("finished already") == 1


@pytest.mark.slow
def test_a_job_array_over_a_parameter(checkout, tmp_path):
    """Two frequencies of omega_scan.sbatch; the task that is told to stop is requeued alone, with its own bits."""
    sizes = ("sampler.walkers=512", "sampler.lanes=64", "optimizer.samples=512", "optimizer.iterations=120")
    sizes += ("production.samples=25_600", 'output.checkpoint_interval="0 s"')
    small = [word for size in sizes for word in ("--set", size)]
    omegas = {0: "0.01", 3: "0.28"}
    for omega in omegas.values():  # first, since this compiles the kernels
        own = ["--set", f"system.omega={omega}", "--set", f"optimizer.learning_rate={0.05 / float(omega):g}"]
        words = command("inputs/two_electrons_jastrow.toml", *own, *small, "-o", f"whole_{omega}.h5")
        subprocess.run(words, cwd=tmp_path, env=environment(), check=True, stdout=subprocess.DEVNULL)
    script = ("--array=0,3", "--ntasks-per-node=1", "jobs/omega_scan.sbatch")
    number = checkout.run("sbatch", "--parsable", *script, *small)
    checkout.metrics = tmp_path / "omega_0.28.jsonl"
    checkout.wait_for_lines(20)
    checkout.run("scancel", "--signal=USR1", f"{number}_3")
    for (task, omega), restarts in zip(omegas.items(), (0, 1), strict=True):
        checkout.result, checkout.metrics = tmp_path / f"omega_{omega}.h5", tmp_path / f"omega_{omega}.jsonl"
        checkout.assert_finished(f"{number}_{task}", tmp_path / f"whole_{omega}.h5", restarts + 1, restarts)
