"""A throw-away SLURM on this machine: one controller and several slurmd that stand for nodes, on loopback only.

Debian: apt-get install --no-install-recommends slurm-wlm munge. It needs no root, no systemd and no database, and
meets no other SLURM on the machine: its folder, ports and key are its own. By hand:

    python tests/slurm_cluster.py FOLDER [NODES]      # prints what to export; Ctrl-C ends it and all its jobs
"""

import contextlib
import getpass
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SYSTEM_FOLDERS = "/usr/sbin:/usr/bin:/sbin:/bin"
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel", "sinfo")
MISSING = [name for name in NEEDED if shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SYSTEM_FOLDERS}") is None]
"""The programs that are not installed here."""

CONFIGURATION = """\
ClusterName=local
# MPICH names its shared memory after job and step, and a killed job leaves it: the next cluster must not meet it
FirstJobId={first_job}
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={port}
SrunPortRange={first}-{last}
AuthType=auth/munge
# a job that goes back to the queue waits until its credential has expired, 121 seconds by default
AuthInfo=socket={base}/munge/munge.socket,cred_expire=5
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
MpiDefault=pmi2
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PropagateResourceLimits=NONE
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=10
MinJobAge=3600
InactiveLimit=0
SlurmctldTimeout=60
SlurmdTimeout=60
StateSaveLocation={base}/state
SlurmdSpoolDir={base}/spool/%n
SlurmctldPidFile={base}/slurmctld.pid
SlurmdPidFile={base}/slurmd.%n.pid
SlurmctldLogFile={base}/log/slurmctld.log
SlurmdLogFile={base}/log/slurmd.%n.log
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} Boards=1 SocketsPerBoard=1 "
    "CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory={memory} State=UNKNOWN\n"
)
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE"}


class Cluster:
    """A SLURM of its own in a folder; a context manager that ends all that it started, jobs included."""

    def __init__(self, base, nodes=3, cpus=4):
        """base: a folder, empty, with a short path since sockets lie in it; cpus: what each node pretends to have."""
        self.base, self.cpus = Path(base), cpus
        self.nodes = [f"n{number}" for number in range(nodes)]
        self.configuration = self.base / "slurm.conf"
        search = os.pathsep.join([os.environ.get("PATH", ""), SYSTEM_FOLDERS])
        foreign = ("SLURM", "SBATCH", "SRUN", "PMI")  # what an allocation around the tests would say
        own = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        self.environment = own | {"PATH": search, "SLURM_CONF": str(self.configuration)}

    def __enter__(self):
        try:
            self._configure()
            self._start_daemons()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception):
        """End the jobs, then the daemons, then whatever of theirs is left."""
        with contextlib.suppress(subprocess.SubprocessError):
            self.run("scancel", "--user", getpass.getuser(), check=False, timeout=10)
        daemons = [pid for file in self.base.rglob("*.pid") if (pid := self._pid(file))]
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in [pid for pid in daemons if self._is_ours(pid)] + (self._processes() if number == 9 else []):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            deadline = time.monotonic() + 5
            while self._processes() and time.monotonic() < deadline:
                time.sleep(0.1)

    def _configure(self):
        for folder in ("state", "log", "spool", "munge"):
            (self.base / folder).mkdir(parents=True)
        (self.base / "munge").chmod(0o700)
        key = self.base / "munge/key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        host = socket.gethostname().split(".")[0]
        port = _free_ports(1 + len(self.nodes))
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 9 // 10 // 2**20
        names = {
            "first_job": random.SystemRandom().randrange(1, 60_000_000),
            "base": self.base,
            "host": host,
            "user": getpass.getuser(),
        }
        text = CONFIGURATION.format(port=port, first=port + 100, last=port + 300, **names)
        for number, name in enumerate(self.nodes):
            text += NODE.format(name=name, host=host, port=port + 1 + number, cpus=self.cpus, memory=memory)
            (self.base / "spool" / name).mkdir()
        self.configuration.write_text(text + "PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n")
        (self.base / "cgroup.conf").write_text("CgroupMountpoint=/sys/fs/cgroup\n")  # must be there, is not used
        (self.base / "plugstack.conf").touch()

    def _start_daemons(self):
        munge = self.base / "munge"
        files = {"key-file": "key", "socket": "munge.socket", "pid-file": "munged.pid", "log-file": "munged.log"}
        options = [f"--{name}={munge / file}" for name, file in (files | {"seed-file": "seed"}).items()]
        self.run("munged", "--force", *options)
        self.run("slurmctld", "-c", "-f", self.configuration)
        for name in self.nodes:
            self.start_node(name)
        self.wait_for(lambda: self.states() == dict.fromkeys(self.nodes, "idle"), 30, "the nodes to come up")

    # --- its own commands ---------------------------------------------------------------------------------------------

    def run(self, *command, check=True, timeout=60, **more):
        """Run a command of SLURM and return what it printed; more: variables of the environment."""
        arguments = [str(word) for word in command]
        # into a file: a daemon keeps what it inherits open, and a pipe would never end
        with tempfile.TemporaryFile() as output:
            environment = self.environment | more
            program = shutil.which(arguments[0], path=environment["PATH"]) or arguments[0]
            done = subprocess.run(
                [program, *arguments[1:]], env=environment, stdout=output, stderr=output, timeout=timeout
            )
            output.seek(0)
            printed = output.read().decode()
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: status {done.returncode}: {printed}")
        return printed.strip()

    def states(self):
        """Return {node: state}."""
        return dict(line.split() for line in self.run("sinfo", "-h", "-N", "-o", "%N %T").splitlines())

    def job(self, number):
        """Return {field: value} of a job, as `scontrol show job` has it."""
        text = self.run("scontrol", "show", "job", "--oneliner", number)
        return dict(word.split("=", 1) for word in text.split() if "=" in word)

    def wait_for(self, condition, seconds, what):
        """Wait until a condition holds; raise TimeoutError with the state of the queue otherwise."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                queue = self.run("squeue", check=False) + "\n" + self.run("sinfo", "-N", "-l", "-R", check=False)
                raise TimeoutError(f"waited {seconds} seconds for {what}\n{queue}")
            time.sleep(0.1)

    def wait_for_end(self, number, seconds=300):
        """Wait until a job has ended for good and return its fields."""
        self.wait_for(lambda: self.job(number)["JobState"] in ENDED, seconds, f"job {number} to end")
        return self.job(number)

    def cancel_all(self):
        """End all jobs and wait until they are gone."""
        self.run("scancel", "--user", getpass.getuser(), check=False)
        self.wait_for(lambda: not self.run("squeue", "-h"), 60, "the queue to be empty")

    def ranks(self):
        """Return the process ids of the program's ranks in all jobs."""
        return [pid for pid in self._processes() if b"parvmc" in _command(pid)[:3]]

    # --- nodes --------------------------------------------------------------------------------------------------------

    def start_node(self, name):
        """Start a node's slurmd."""
        self.run("slurmd", "-f", self.configuration, "-N", name)

    def fail_node(self, name):
        """Let a node die: kill its slurmd, the step daemons and the ranks at once, and tell the controller."""
        dying = [self._pid(self.base / f"slurmd.{name}.pid"), *self._processes(name)]
        for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first: none is to report what became of another
            for pid in dying:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        # what the controller finds out by itself only after SlurmdTimeout, 300 seconds by default
        self.run("scontrol", "update", f"nodename={name}", "state=down", "reason=test")

    def repair_node(self, name):
        """Start a failed node again; ReturnToService=2 puts it to use."""
        self.start_node(name)
        self.wait_for(lambda: self.states()[name] == "idle", 30, f"{name} to come back")

    # --- processes ----------------------------------------------------------------------------------------------------

    @staticmethod
    def _pid(file):
        """Return the process id in a file, 0 where there is none."""
        with contextlib.suppress(OSError, ValueError):
            return int(file.read_text())
        return 0

    def _is_ours(self, pid, node=None):
        """Return whether a process was started with this cluster's configuration (and in a job on that node)."""
        with contextlib.suppress(OSError):
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            wanted = {f"SLURM_CONF={self.configuration}"} | ({f"SLURMD_NODENAME={node}"} if node else set())
            return all(text.encode() in variables for text in wanted)
        return False

    def _processes(self, node=None):
        """Return the ids of all processes of the cluster, or of the jobs on one node with their step daemons."""
        ours = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        ours = [pid for pid in ours if pid != os.getpid() and self._is_ours(pid, node)]
        if node is None:
            return ours
        parents = {pid for child in ours if (pid := _parent(child)) and _name(pid) == "slurmstepd"}
        return [*sorted(parents), *ours]


def _parent(pid):
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _name(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _command(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return []


def _free_ports(count):
    """Return the first of a range of ports that nobody listens on."""
    while True:
        first = random.SystemRandom().randrange(20000, 30000)
        with contextlib.ExitStack() as held:
            try:
                for port in range(first, first + count):
                    listener = held.enter_context(socket.socket())
                    listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first


if __name__ == "__main__":
    with Cluster(Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 3) as cluster:
        print(f"export SLURM_CONF={cluster.configuration}\n{cluster.run('sinfo', '-N', '-l')}")
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
