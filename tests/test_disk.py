"""Disks that are full and folders that are gone: the run says so, keeps what it had saved, and goes on or stops."""

import contextlib
import resource
import subprocess

import pytest
from files import assert_same_bits, kill
from runs import DECK, lines, ranks_of, start, started, wait_for, whole

from parvmc import checkpoint_file
from parvmc.files import Files

SAVES_OFTEN = '\n[output]\ncheckpoint_interval = "0.2 s"\n'
TOO_LITTLE = 20_000  # bytes that a file may have, where a checkpoint of this deck has more than 100,000


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Return (deck, its result)."""
    return whole(tmp_path_factory.mktemp("undisturbed"), DECK + SAVES_OFTEN)


def limit(pids, size):
    """Let no file grow beyond a size from now on: writing fails as it does on a full disk, or above a quota."""
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def ended(process):
    """Return (status, output, errors) of a run that ends by itself."""
    try:
        output, errors = process.communicate(timeout=120)
    finally:
        kill(process)
    assert "Traceback" not in errors
    return process.returncode, output, errors


def assert_goes_on(parvmc, undisturbed, folder, ranks):
    """Assert that what was saved last is sound, and that the rest of the run makes it the run that would have been."""
    deck, result = undisturbed
    warned = []
    assert checkpoint_file.read(Files(folder / "long.h5"), warned.append) is not None
    assert warned == []
    assert not list(folder.glob(".*.tmp"))
    resumed = parvmc(deck, "--resume", "--quiet", "-o", folder / "long.h5", ranks=ranks)
    assert resumed.returncode == 0, resumed.stderr
    assert_same_bits(folder / "long.h5", result)


@pytest.mark.mpi
def test_a_run_goes_on_beside_a_full_disk(parvmc, undisturbed, tmp_path):
    """It warns at each checkpoint, and has its result when there is room again."""
    process = started(undisturbed[0], tmp_path, phase="optimization", ranks=2)
    limit(ranks_of(process), TOO_LITTLE)
    assert "the checkpoint was not written" in process.stderr.readline()
    limit(ranks_of(process), resource.RLIM_INFINITY)
    status, _, errors = ended(process)
    assert status == 0, errors
    assert_same_bits(tmp_path / "long.h5", undisturbed[1])


@pytest.mark.mpi
def test_a_result_that_cannot_be_written_fails_the_run(parvmc, undisturbed, tmp_path):
    """The disk stays full to the end: the energy is printed, the status is 1, and the last checkpoint goes on."""
    process = started(undisturbed[0], tmp_path, ranks=2)
    limit(ranks_of(process), TOO_LITTLE)
    status, output, errors = ended(process)
    assert status == 1
    assert "E = 3.0" in output
    assert errors.count("failed: the result was not written") == 1
    assert_goes_on(parvmc, undisturbed, tmp_path, ranks=3)


@pytest.mark.mpi
def test_a_run_stops_where_the_deck_says_so(parvmc, undisturbed, tmp_path):
    """output.on_write_error = "stop": the first checkpoint that fails ends the run on all ranks."""
    process = started(undisturbed[0], tmp_path, "--set", 'output.on_write_error="stop"', phase="optimization", ranks=2)
    limit(ranks_of(process), TOO_LITTLE)
    status, _, errors = ended(process)
    assert status == 1
    assert errors.count("failed: the checkpoint was not written") == 1
    assert_goes_on(parvmc, undisturbed, tmp_path, ranks=1)


def test_a_folder_that_is_gone(parvmc, undisturbed, tmp_path):
    """Renamed under the run: it says so and fails at the end; what it had saved is sound where it is now."""
    folder, other = tmp_path / "here", tmp_path / "there"
    folder.mkdir()
    process = start(undisturbed[0], tmp_path, "-o", "here/long.h5")
    wait_for(lambda: Files(folder / "long.h5").checkpoint.exists(), process)
    wait_for(lambda: lines(folder / "long.jsonl", "production"), process)
    folder.rename(other)
    status, _, errors = ended(process)
    assert status == 1
    assert "was not written" in errors
    assert_goes_on(parvmc, undisturbed, other, ranks=None)


@pytest.mark.parametrize("output", ["/proc/long.h5", "/dev/null/long.h5", "missing/long.h5"])
def test_a_folder_that_cannot_be_written_is_refused(parvmc, undisturbed, output):
    """One line that names it, before anything is compiled."""
    refused = parvmc(undisturbed[0], "-o", output)
    assert refused.returncode in (1, 2)
    assert refused.stderr.startswith("parvmc: ")
    assert refused.stderr.count("\n") == 1
    assert output.rpartition("/")[0] in refused.stderr


@pytest.fixture
def small_disk(tmp_path):
    """Return a folder on a disk of 60 MB; skip where this user may not mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs the right to mount a small tmpfs: {error}")
    try:
        yield folder
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            subprocess.run(["umount", str(folder)], check=True, capture_output=True)


@pytest.mark.mpi
def test_a_disk_that_fills(parvmc, undisturbed, small_disk, tmp_path):
    """A real one with no room for a second checkpoint beside the first: nothing is half-written under its name."""
    process = start(undisturbed[0], tmp_path, "-o", small_disk / "long.h5", ranks=2)
    wait_for(lambda: (small_disk / "long.ckpt.h5").exists(), process)
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while True:
            file.write(bytes(65536))
    status, _, errors = ended(process)
    assert status == 1
    assert "No space left" in errors
    filler.unlink()
    assert_goes_on(parvmc, undisturbed, small_disk, ranks=2)
