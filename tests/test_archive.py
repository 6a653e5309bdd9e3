"""Files are whole at every moment: results, checkpoints, the lock, the lines of JSON."""

import errno
import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

import parvmc
from parvmc import archive, files
from parvmc.archive import Dataset, Files, Lock, Locked, Metrics

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(parvmc.__file__).parents[1])}

WRITER = """
import sys
import numpy as np
from parvmc.archive import Files, write_checkpoint
files, number = Files(sys.argv[1]), int(sys.argv[2])
while True:
    number += 1
    blocks = (np.full((2, 5000), number + batch) for batch in range(4))
    write_checkpoint(files, {"number": number}, {"n": number}, {"walkers": ((8, 5000), np.int64, blocks)})
    print(number, flush=True)
"""

HOLDER = """
import sys, time
from parvmc.archive import Lock
with Lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def child(source, *arguments):
    """Start a Python process that prints a line when it is ready, and wait for that line."""
    command = [sys.executable, "-c", source, *map(str, arguments)]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline()
    return process


def kill(process):
    """Kill -9."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def no_warning(message):
    """For a checkpoint that must be read without one."""
    raise AssertionError(message)


# -------------------------------------------------------------------------------------------------------- checkpoints

ATTRIBUTES = {"deck": "seed = 1\n" * 20, "iteration": 12, "huge": 2**100, "rates": [0.5, None, "x"]}
SMALL = {
    "parameters/0/w": np.random.default_rng(1).normal(size=(3, 4)),
    "count": 7,
    "empty": np.zeros((0, 2)),
    "flags": np.array([True, False]),
    "amplitudes": np.array([1 + 2j, -0.0]),
    "not_a_number": np.array([np.nan, np.inf]),
}
POSITIONS = np.random.default_rng(2).normal(size=(6, 2, 4))
STREAMS = np.random.default_rng(3).integers(0, 2**63, size=(6, 5), dtype=np.uint64)


def write(where, attributes=ATTRIBUTES):
    """Write the checkpoint of these tests, the positions in blocks of two batches."""
    blocks = (POSITIONS[first : first + 2] for first in range(0, 6, 2))
    batched = {
        "positions": (POSITIONS.shape, POSITIONS.dtype, blocks),
        "streams": (STREAMS.shape, STREAMS.dtype, [STREAMS[:5], STREAMS[5:]]),
        "none": ((0, 3), np.float64, []),
    }
    archive.write_checkpoint(where, attributes, SMALL, batched)


def assert_equals_what_was_written(checkpoint, attributes=ATTRIBUTES):
    """Every value, shape and type."""
    assert checkpoint.attributes == attributes
    assert checkpoint.small.keys() == SMALL.keys()
    for name, values in SMALL.items():
        found, values = checkpoint.small[name], np.asarray(values)
        assert found.dtype == values.dtype
        assert found.shape == values.shape
        assert found.tobytes() == values.tobytes()
    assert checkpoint.batched["positions"] == (POSITIONS.shape, POSITIONS.dtype)
    assert np.array_equal(checkpoint.blocks("positions", 0, 6), POSITIONS)
    assert np.array_equal(checkpoint.blocks("positions", 1, 4), POSITIONS[1:4])
    assert np.array_equal(checkpoint.blocks("streams", 2, 6), STREAMS[2:6])
    assert checkpoint.blocks("none", 0, 0).shape == (0, 3)


def test_a_checkpoint_gives_back_what_went_in(tmp_path):
    where = Files(tmp_path / "run.h5")
    assert archive.read_checkpoint(where, no_warning) is None
    write(where)
    checkpoint = archive.read_checkpoint(where, no_warning)
    assert_equals_what_was_written(checkpoint)
    with pytest.raises(IndexError, match="has 6 rows"):
        checkpoint.blocks("positions", 4, 7)
    assert [path.name for path in tmp_path.iterdir()] == ["run.ckpt.h5"]


def test_attributes_may_be_numpy_numbers(tmp_path):
    where = Files(tmp_path / "run.h5")
    archive.write_checkpoint(where, {"step": np.float64(0.1), "rows": np.arange(2)}, {}, {})
    assert archive.read_checkpoint(where, no_warning).attributes == {"step": 0.1, "rows": [0, 1]}


@pytest.mark.parametrize("links", [True, False])
def test_the_checkpoint_before_is_kept(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *names: (_ for _ in ()).throw(OSError(errno.EPERM, "no links")))
    where = Files(tmp_path / "run.h5")
    for number in range(3):
        write(where, {"number": number})
    assert archive.read_checkpoint(where, no_warning).attributes == {"number": 2}
    where.checkpoint.unlink()
    assert archive.read_checkpoint(where, no_warning).attributes == {"number": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["run.ckpt.1.h5"]


def test_blocks_asked_for_after_the_file_was_replaced_are_refused(tmp_path):
    where = Files(tmp_path / "run.h5")
    write(where)
    checkpoint = archive.read_checkpoint(where, no_warning)
    write(where, {"number": 2})
    with pytest.raises(archive.Damaged, match="replaced"):
        checkpoint.blocks("positions", 0, 1)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([POSITIONS[:5]], "is to have 6 rows, but 5 came"),
        ([POSITIONS, POSITIONS[:1]], "came for row 6"),
        ([POSITIONS.astype(np.float32)], "a block of float32"),
        ([POSITIONS[:, :1]], r"a block of float64\[6, 1, 4\]"),
        ((POSITIONS[row : row + 1] if row < 3 else 1 / 0 for row in range(6)), "division by zero"),
    ],
)
def test_a_checkpoint_that_fails_leaves_the_one_before(tmp_path, blocks, message):
    where = Files(tmp_path / "run.h5")
    write(where)
    with pytest.raises((ValueError, ZeroDivisionError), match=message):
        archive.write_checkpoint(where, {}, {}, {"positions": (POSITIONS.shape, POSITIONS.dtype, blocks)})
    assert_equals_what_was_written(archive.read_checkpoint(where, no_warning))
    assert [path.name for path in tmp_path.iterdir()] == ["run.ckpt.h5"]


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path):
    where = Files(tmp_path / "run.h5")
    write(where)
    source = """
import resource, signal, sys
import numpy as np
from parvmc.archive import Files, write_checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
blocks = (np.zeros((1, 10_000)) for _ in range(8))
try:
    write_checkpoint(Files(sys.argv[1]), {}, {}, {"walkers": ((8, 10_000), np.float64, blocks)})
except OSError as error:
    assert error.errno == 27 or "File too large" in str(error)
    sys.exit(f"failed as it must: {error}")
"""
    done = subprocess.run(
        [sys.executable, "-c", source, where.output], env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "failed as it must" in done.stderr
    assert_equals_what_was_written(archive.read_checkpoint(where, no_warning))
    assert [path.name for path in tmp_path.iterdir()] == ["run.ckpt.h5"]


def test_after_kill_9_there_is_always_a_sound_checkpoint(tmp_path):
    where, draw, number = Files(tmp_path / "run.h5"), random.Random(4), 0
    for _ in range(20):
        process = child(WRITER, where.output, number)
        time.sleep(draw.uniform(0.0, 0.05))
        kill(process)
        checkpoint = archive.read_checkpoint(where, no_warning)
        assert checkpoint.attributes["number"] > number
        number = checkpoint.attributes["number"]
        expected = number + np.arange(8)[:, None] // 2 + np.zeros((1, 5000))
        assert checkpoint.small["n"] == number
        assert np.array_equal(checkpoint.blocks("walkers", 0, 8), expected)
    write(where)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.ckpt.1.h5", "run.ckpt.h5"], "leftovers remain"


def damage(where, contents):
    """Replace the newest checkpoint."""
    where.checkpoint.unlink()
    where.checkpoint.write_bytes(contents)


def test_a_truncated_checkpoint_falls_back_to_the_one_before(tmp_path):
    where = Files(tmp_path / "run.h5")
    write(where, {"number": 1})
    write(where, {"number": 2})
    whole = where.checkpoint.read_bytes()
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        damage(where, whole[:length])
        warnings = []
        assert archive.read_checkpoint(where, warnings.append).attributes == {"number": 1}
        assert len(warnings) == 1
        assert "run.ckpt.h5 is damaged" in warnings[0]
        assert "run.ckpt.1.h5" in warnings[0]
        assert "\n" not in warnings[0]


def test_a_flipped_bit_is_noticed_or_harmless(tmp_path):
    where, draw = Files(tmp_path / "run.h5"), random.Random(5)
    write(where)
    whole, noticed = where.checkpoint.read_bytes(), 0
    for _ in range(60):
        contents = bytearray(whole)
        contents[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        damage(where, bytes(contents))
        try:
            checkpoint = archive.read_checkpoint(where, no_warning)
        except archive.Damaged:
            noticed += 1
        else:
            assert_equals_what_was_written(checkpoint)
    assert noticed > 30  # the rest fell on bytes that HDF5 does not use


def test_a_flipped_bit_in_the_walkers_is_noticed(tmp_path):
    where = Files(tmp_path / "run.h5")
    write(where)
    whole = where.checkpoint.read_bytes()
    place = whole.index(POSITIONS[3].tobytes())
    damage(where, whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(archive.Damaged, match="checksum is wrong"):
        archive.read_checkpoint(where, no_warning)


def test_files_of_others_are_no_checkpoints(tmp_path):
    where = Files(tmp_path / "run.h5")
    archive.write_result(where.checkpoint, {"schema": "parvmc"}, {})
    where.previous.write_text("not HDF5")
    with pytest.raises(archive.Damaged, match=r"run\.ckpt\.h5 is damaged .*; .*run\.ckpt\.1\.h5 is damaged"):
        archive.read_checkpoint(where, no_warning)


def test_a_damaged_checkpoint_never_costs_the_sound_one(tmp_path, monkeypatch):
    where = Files(tmp_path / "run.h5")
    write(where, {"number": 1})
    write(where, {"number": 2})
    damage(where, b"damaged")
    replace, found = os.replace, []

    def watched(source, target):
        replace(source, target)
        found.append(archive.read_checkpoint(where, lambda message: None).attributes["number"])

    monkeypatch.setattr(os, "replace", watched)
    write(where, {"number": 3})
    assert found == [3, 3]


# ------------------------------------------------------------------------------------------------------------ results


def example():
    """Datasets of a small result file."""
    return {
        "production/step": Dataset(np.arange(1, 5), "1", "step"),
        "production/batch": Dataset(np.arange(2), "1", "batch"),
        "production/energy": Dataset(
            np.ones((4, 2)), "hartree", "energy", ("production/step", "production/batch"), {"measurements_per_row": 2}
        ),
        "input": Dataset("title = 'ħ'", "", "deck", attributes={"original": "# ä\n" * 40_000}),
        "result/samples": Dataset(10, "1", "samples"),
    }


def test_a_result_file_has_units_descriptions_scales_and_text(tmp_path):
    path = tmp_path / "run.h5"
    groups = {"provenance": {"hosts": ["a", "ö"], "none": [], "ranks": [4, 2]}, "blocking/energy": {"plateau": True}}
    archive.write_result(path, {"schema": "parvmc", "schema_version": 1, "title": ""}, example(), groups)
    with h5py.File(path) as file:
        assert dict(file.attrs) == {"schema": "parvmc", "schema_version": 1, "title": ""}
        energy = file["production/energy"]
        assert energy.attrs["units"] == "hartree"
        assert energy.attrs["measurements_per_row"] == 2
        assert [energy.dims[axis][0].name for axis in (0, 1)] == ["/production/step", "/production/batch"]
        assert file["input"].asstr()[()] == "title = 'ħ'"
        assert len(file["input"].attrs["original"]) == 160_000
        assert list(file["provenance"].attrs["hosts"]) == ["a", "ö"]
        assert not len(file["provenance"].attrs["none"])
        assert h5py.check_string_dtype(file["input"].dtype).length is None
        assert all({"units", "description"} <= set(file[name].attrs) for name in example())
    assert [name.name for name in tmp_path.iterdir()] == ["run.h5"]


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_the_series_open_in_xarray(tmp_path, engine):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip({"netcdf4": "netCDF4"}.get(engine, engine))
    archive.write_result(tmp_path / "run.h5", {}, example())
    with xarray.open_dataset(tmp_path / "run.h5", group="production", engine=engine) as found:
        assert dict(found.sizes) == {"step": 4, "batch": 2}
        assert found.energy.dims == ("step", "batch")
        assert list(found.step) == [1, 2, 3, 4]
        assert found.energy.attrs["units"] == "hartree"


def test_axes_that_do_not_fit_are_refused_and_the_old_file_stays(tmp_path):
    path = tmp_path / "run.h5"
    archive.write_result(path, {"title": "old"}, example())
    for axes in (("production/step",), ("production/batch", "production/step")):
        with pytest.raises(ValueError, match=r"axes|differ in length"):
            archive.write_result(path, {}, example() | {"production/x": Dataset(np.ones((4, 2)), "1", "x", axes)})
    with h5py.File(path) as file:
        assert file.attrs["title"] == "old"
    assert [name.name for name in tmp_path.iterdir()] == ["run.h5"]


def test_what_a_dead_process_left_is_removed_and_a_live_one_is_left_alone(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    names = {f".run.h5.{gone.pid}.tmp": False, f".run.h5.{os.getppid()}.tmp": True, ".other.h5.1.tmp": True}
    names[f".run.h5.{gone.pid}x.tmp"] = True
    for name in names:
        (tmp_path / name).touch()
    archive.write_result(tmp_path / "run.h5", {}, {})
    assert {name: (tmp_path / name).exists() for name in names} == names


def test_names_lie_beside_the_output():
    where = Files("folder/two.electrons.h5")
    names = [where.result, where.checkpoint, where.previous, where.metrics, where.lock]
    ends = ["h5", "ckpt.h5", "ckpt.1.h5", "jsonl", "lock"]
    assert names == [Path(f"folder/two.electrons.{end}") for end in ends]
    with pytest.raises(ValueError, match="name for a file beside the result"):
        Files("run.lock")


# --------------------------------------------------------------------------------------------------------------- lock


def test_a_second_run_is_refused_and_kill_9_frees_the_lock(tmp_path):
    path = tmp_path / "run.lock"
    process = child(HOLDER, path)
    with (
        pytest.raises(Locked, match=rf"process {process.pid} on .*; wait for it, stop it, or choose another"),
        Lock(path),
    ):
        pass
    assert path.exists()
    kill(process)
    with Lock(path):
        content = json.loads(path.read_text())
        assert content["pid"] == os.getpid()
        assert {"host", "job", "start"} <= content.keys()
    assert not path.exists()


def test_the_refusal_names_the_job(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    with Lock(tmp_path / "run.lock"), pytest.raises(Locked, match="of job 4711"), Lock(tmp_path / "run.lock"):
        pass


def test_a_lock_file_removed_between_opening_and_locking_is_not_taken(tmp_path, monkeypatch):
    path, flock, calls = tmp_path / "run.lock", fcntl.flock, []

    def late(descriptor, operation):
        if not calls:
            path.unlink()  # its holder left just now
        calls.append(descriptor)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with Lock(path):
        assert len(calls) == 2
        assert path.exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_without_flock_the_content_decides(tmp_path, monkeypatch, number):
    def refused(descriptor, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refused)
    path = tmp_path / "run.lock"
    with Lock(path), pytest.raises(Locked, match=f"process {os.getpid()}"), Lock(path):
        pass
    assert not path.exists()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    own = Lock(path)
    path.write_text(json.dumps({"host": os.uname().nodename, "pid": gone.pid, "job": "", "start": ""}))
    with own:
        assert json.loads(path.read_text())["pid"] == os.getpid()
    for content in ('{"host": "elsewhere", "pid": 1, "job": "7", "start": ""}', "", "[]"):
        path.write_text(content)
        with pytest.raises(Locked, match="remove"), own:
            pass


# ------------------------------------------------------------------------------------------------------------ metrics


def test_metrics_are_lines_of_json_with_null_for_what_is_not_finite(tmp_path):
    path = tmp_path / "run.jsonl"
    with Metrics(path) as metrics:
        metrics.append({"iteration": 1, "energy": np.float64("nan"), "list": (np.inf, np.arange(2), {"x": -np.inf})})
        assert path.read_text() == '{"iteration": 1, "energy": null, "list": [null, [0, 1], {"x": null}]}\n'


def test_metrics_go_on_after_a_line_that_was_half_written(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_text('{"iteration": 1}\n{"iteration": 2}\n{"itera')
    with Metrics(path) as metrics:
        metrics.append({"iteration": 3})
        assert [record["iteration"] for record in metrics.records()] == [1, 2, 3]
        metrics.keep(lambda record: record["iteration"] < 3)
        metrics.append({"iteration": 30})
    assert path.read_text() == '{"iteration": 1}\n{"iteration": 2}\n{"iteration": 30}\n'
    assert [name.name for name in tmp_path.iterdir()] == ["run.jsonl"]


def test_metrics_of_a_run_that_has_none_are_empty(tmp_path):
    metrics = Metrics(tmp_path / "run.jsonl")
    metrics.keep(lambda record: True)
    assert list(metrics.records()) == []
    assert not (tmp_path / "run.jsonl").exists()


def test_archive_imports_neither_mpi_nor_kernels():
    source = "import sys, parvmc.archive; sys.exit(bool({'mpi4py', 'numba'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", source], env=ENVIRONMENT).returncode == 0
    assert files.Files is Files
