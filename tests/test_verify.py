"""`python -m parvmc.verify` says in one line for each file whether it is sound, and why not."""

import math
import os
import subprocess
import sys
import threading

import fake_result
import fake_run
import h5py
import numpy as np
import pytest
from conftest import ROOT, environment

from parvmc import archive, checkpoint_file, checksum, config, declarations, soundness, verify
from parvmc.archive import Dataset
from parvmc.randoms import Purpose, generator
from parvmc.states.product import TrialState


def said(path):
    """Return what is said of a file that is not sound."""
    is_sound, line = verify.check(path)
    assert not is_sound
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line.removeprefix(f"{path}: ")


def unsealed(path):
    """Drop the checksum after a result file's end, as a program that writes to it does."""
    os.truncate(path, path.stat().st_size - checksum.TRAILER.size)
    return path


# ------------------------------------------------------------------------------------------------------- sound files


@pytest.mark.parametrize(
    ("status", "stage", "text"),
    [
        ("finished", "result", "finished, E = 3.0004(2)"),
        ("stopped", "production", "stopped, at production row 16"),
        ("running", "optimization", "running, at iteration 5 of 5"),
    ],
)
def test_a_result_is_sound_at_every_stage(tmp_path, status, stage, text):
    path = fake_result.write(tmp_path / "run.h5", status, stage)
    assert verify.check(path) == (True, f"{path}: sound result of parvmc, schema 1, {text}")


def test_all_files_of_a_run_are_sound(tmp_path, capsys):
    """The program's own checkpoints, both of the pair, its result and its log."""
    files = fake_run.write(tmp_path)
    paths = [files.result, files.checkpoint, files.previous, files.metrics]
    assert verify.main(list(map(str, paths))) == verify.SOUND
    found = [line.split(": ", 1)[1] for line in capsys.readouterr().out.splitlines()]
    assert found == [
        "sound result of parvmc, schema 1, stopped, at production row 16",
        "sound checkpoint of parvmc, iteration 5 of 5, production step 16",
        "sound checkpoint of parvmc, iteration 5 of 5, production step 8",
        "sound log of parvmc, 5 lines",
    ]


def test_a_log_that_a_run_is_writing_is_sound(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"")
    assert verify.check(path) == (True, f"{path}: sound log of parvmc, 0 lines")
    path.write_text('{"phase": "optimization", "energy": null}\n{"phase": "opti')
    assert verify.check(path)[1].endswith("1 lines; its last line is not whole: the run goes on, or was killed")


def test_a_result_that_another_program_has_written_to_is_sound_and_says_so(tmp_path):
    """HDF5 drops the checksum after its end with the first change, and reads the file before and after."""
    path = fake_result.write(tmp_path / "run.h5")
    assert checksum.check(path)
    with h5py.File(path, "r+") as file:
        file["result/energy"][()] = 3.0
    assert not checksum.check(path)
    is_sound, line = verify.check(path)
    assert is_sound
    assert line.endswith("E = 3.0000(2); it has no checksum of the whole: older, or written to since")


def test_the_shapes_of_parameters_are_those_that_states_have():
    """For every shipped deck the shapes that verify expects are those that the run starts with; strengths of spins
    alone are not known to it."""
    seen = set()
    for path in sorted((ROOT / "inputs").glob("*.toml")):
        deck = config.resolved(config.load(path))
        wanted, space = soundness.expected(config.dumps(deck)), declarations.space(deck.system)
        assert (wanted.units, wanted.lanes) == (space.units, deck.sampler.lanes)
        state = TrialState(deck.state, space)
        for label, own in zip(state.labels, state.initial(generator(0, Purpose.PARAMETERS)), strict=True):
            known = wanted.parameters[label]
            assert known == ({name: np.shape(values) for name, values in own.items()} if known is not None else None)
            seen |= {label.partition("_")[2]} if known is not None else set()
    assert seen == soundness.SHAPES.keys() - {"pair_rbm"}


# ---------------------------------------------------------------------------------------------------- what is no file


def test_what_is_no_file_of_parvmc_is_told(tmp_path):
    path = tmp_path / "run.h5"
    assert said(path) == "there is no such file"
    path.touch()
    assert said(path) == "damaged: it is empty"
    path.write_text("energy,error\n")
    assert said(path) == "not a file of parvmc: it does not begin as an HDF5 file does"
    with h5py.File(path, "w") as file:
        file["positions"] = [1.0]
    assert said(path) == "not a file of parvmc: an HDF5 file with another schema, or with none"
    assert said(tmp_path) == "not a file of parvmc: it is a folder, a pipe or a device"
    log = tmp_path / "run.jsonl"
    log.write_text('{"energy": 1.0}\n')
    assert said(log) == "not a log of parvmc: line 1 has no phase"
    for line in (b"[1]\n", b"{\n", b"\xff\xff\n", b"[" * 100_000 + b"\n", b'{"phase": "x" ' * 200_000):
        log.write_bytes(b'{"phase": "production"}\n' + line)
        assert said(log).startswith(("damaged: line 2 is not JSON", "not a log of parvmc: line 2"))


@pytest.mark.parametrize("name", ["pipe", "pipe.h5", "pipe.jsonl"])
def test_nobody_waits_for_the_other_end_of_a_pipe(tmp_path, name):
    """Neither does who opens a result or resumes a run."""
    path = tmp_path / name
    os.mkfifo(path)
    found = []

    def ask():
        found.append(verify.check(path)[0])
        for ask in (archive.Reader, checkpoint_file.verified):
            with pytest.raises(OSError, match="a pipe or a device"):
                ask(path)
            found.append(False)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(20)
    assert found == [False, False, False]


def test_a_name_with_a_line_break_does_not_break_the_line(tmp_path):
    assert verify.check(tmp_path / "a\nb\udcff.h5")[1].endswith(r"a\nb\udcff.h5: there is no such file")


# ------------------------------------------------------------------------------------------------------------- damage


def test_a_truncated_file_is_damaged_wherever_it_ends(tmp_path):
    """Also where the end of the checksum alone is lost. Without any of it, it is a file without a checksum."""
    path = fake_result.write(tmp_path / "run.h5")
    whole = path.read_bytes()
    for lost in (1, 40, 71, 72, 80, 87, 89, 1000, len(whole) // 2, len(whole) - 9, len(whole) - 8):
        path.write_bytes(whole[:-lost])
        assert said(path).startswith(("damaged", "not a readable HDF5 file")), lost
    path.write_bytes(whole[: -checksum.TRAILER.size])
    assert verify.check(path)[0]


def test_any_flipped_bit_of_a_result_is_noticed(tmp_path):
    """Before HDF5 sees the file. Control: without the checksum most go unnoticed, and one that changes the energy."""
    path = fake_result.write(tmp_path / "run.h5")
    whole, chance = path.read_bytes(), np.random.default_rng(3)
    energy = whole.index(np.float64(3.0004).tobytes())
    for place in [energy, *chance.integers(len(whole), size=100).tolist(), len(whole) - 80, len(whole) - 1]:
        contents = bytearray(whole)
        contents[place] ^= 1 << int(chance.integers(8))
        path.write_bytes(contents)
        with pytest.raises(checksum.Wrong):
            checksum.check(path)
        assert said(path).startswith(("damaged: ", "not a file of parvmc"))
    path.write_bytes(whole[:energy] + bytes([whole[energy] ^ 1]) + whole[energy + 1 :])
    assert verify.check(unsealed(path))[0]


def test_a_flipped_bit_of_a_checkpoint_is_told(tmp_path):
    files = fake_run.write(tmp_path)
    with h5py.File(files.checkpoint) as file:
        walkers = file["batched/positions"][1].tobytes()
    whole = files.checkpoint.read_bytes()
    place = whole.index(walkers)
    files.checkpoint.unlink()
    files.checkpoint.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    assert said(files.checkpoint) == "damaged: its checksum is wrong"
    assert verify.check(files.previous)[0]


# ---------------------------------------------------------------------------------- sound bytes that say what is wrong


def number(*shape):
    """Return an array of ones."""
    return Dataset(np.ones(shape), "1", "made up")


RESULTS = [
    ({"production/energy": number(15, 2)}, "the series energy has the shape [15, 2] in place of [16, 2]"),
    ({"production/batch": number(3)}, "production has not the 2 batches of the deck"),
    ({"production/step": Dataset(np.zeros(16), "1", "")}, "production steps are not in order"),
    ({"production/kinetic": Dataset(np.full((16, 2), np.nan), "1", "")}, "the series kinetic is not finite everywhere"),
    ({"parameters/0_gaussian_rbm/w": number(3, 4)}, "w of 0_gaussian_rbm has the shape [3, 4]"),
    ({"parameters/0_gaussian_rbm/x": number(4)}, "parameters of 0_gaussian_rbm are missing or unknown"),
    ({"parameters/0_gaussian_rbm/b": Dataset([1.0, 2.0, math.inf], "1", "")}, "b of 0_gaussian_rbm is not finite"),
    ({"parameters/1_gaussian/alpha": number()}, "its factors are not those of its deck"),
    ({"optimization/variance": number(4)}, "variance of optimization has not one value for each iteration"),
    ({"optimization/energy": Dataset([1, 2, 3, 4, math.nan], "1", "")}, "the energy of optimization is not finite"),
    ({"blocking/energy/error": number(2)}, "the blocking table of energy is not whole"),
    ({"observables/density/values": number(3)}, "observables/density does not have the shape of its axes"),
    ({"result/energy": Dataset(math.nan, "1", "")}, "its energy is not finite"),
    ({"result/energy_error": Dataset("small", "1", "")}, "its energy is not finite"),
    ({"input": Dataset("title = 1", "", "")}, "its deck cannot be read"),
    ({"input": number(3)}, "its deck cannot be read"),
]


@pytest.mark.parametrize(("changed", "reason"), RESULTS, ids=[reason[:40] for _, reason in RESULTS])
def test_a_result_that_does_not_hold_together_is_told(tmp_path, changed, reason):
    """All bytes are as they were written, and what they say cannot be."""
    attributes, datasets, groups = fake_result.contents()
    plain = {name: Dataset(found.values, found.units, "", (), found.attributes) for name, found in datasets.items()}
    path = tmp_path / "run.h5"
    archive.write_result(path, attributes, plain | changed, groups)
    assert said(path).startswith(f"damaged: {reason}")


def test_where_a_step_did_harm_the_energy_may_be_anything(tmp_path):
    attributes, datasets, groups = fake_result.contents("stopped", "production")
    datasets["optimization/energy"] = Dataset(np.array([3, 2, np.nan, 2, 2]), "1", "")
    path = tmp_path / "run.h5"
    for shrunk, is_sound in ((np.array([0, 0, 1, 0, 0]), True), (np.array([0, 1, 0, 0, 0]), False)):
        archive.write_result(path, attributes, datasets | {"optimization/shrunk": Dataset(shrunk, "1", "")}, groups)
        assert verify.check(path)[0] == is_sound


def test_a_newer_schema_and_an_unknown_status_are_told(tmp_path):
    attributes, datasets, groups = fake_result.contents()
    path = tmp_path / "run.h5"
    archive.write_result(path, attributes | {"schema_version": 2}, datasets, groups)
    assert said(path).startswith("schema version 2 is newer than 1")
    archive.write_result(path, attributes | {"status": "lost\nfound"}, datasets, groups)
    assert said(path) == r"damaged: its status is 'lost\nfound'"


CHECKPOINTS = [
    ({"positions": (2, 4, 64)}, {}, "positions has the shape [2, 4, 64], which is not that of its deck"),
    ({"randoms": (3, 4, 128)}, {}, "randoms has the shape [3, 4, 128], which is not that of its deck"),
    ({}, {"vector": np.array([1.0, np.nan])}, "the vector of parameters is not finite everywhere"),
    ({}, {"history/energy": np.ones(4)}, "energy of optimization has not one value for each iteration"),
    ({}, {"parameters/0/w": np.ones((4, 4))}, "w of 0_gaussian_rbm has the shape [4, 4]"),
]


@pytest.mark.parametrize(("batched", "small", "reason"), CHECKPOINTS, ids=[reason[:30] for *_, reason in CHECKPOINTS])
def test_a_checkpoint_that_does_not_hold_together_is_told(tmp_path, batched, small, reason):
    files = fake_run.write(tmp_path)
    found = checkpoint_file.verified(files.checkpoint)
    blocks = {name: found.blocks(name, 0, 2) for name in found.batched}
    blocks |= {name: np.ones(shape) for name, shape in batched.items()}
    entries = {name: (values.shape, values.dtype, [values]) for name, values in blocks.items()}
    checkpoint_file.write(files, found.attributes, found.small | small, entries)
    assert said(files.checkpoint).startswith(f"damaged: {reason}")
    checkpoint_file.write(files, {"deck": found.attributes["deck"]}, found.small, entries)
    assert said(files.checkpoint) == "damaged: its deck or its counters are not those of this version"


# ------------------------------------------------------------------------------------------------------ the other ways


def test_a_file_that_crashes_or_hangs_the_library_is_told(tmp_path, monkeypatch):
    """Files without a checksum are read in a process of its own."""
    path = unsealed(fake_result.write(tmp_path / "run.h5"))
    monkeypatch.setattr(verify, "_by_schema", lambda path: os.kill(os.getpid(), 9))
    assert said(path) == "damaged: HDF5 crashed on it (exit code -9)"
    monkeypatch.setattr(verify, "_by_schema", lambda path: threading.Event().wait())
    monkeypatch.setattr(verify, "PATIENCE", 0.2)
    assert said(path).startswith("damaged: HDF5 did not get through it in 0 seconds")


def test_a_checkpoint_that_is_replaced_meanwhile_is_read_again(tmp_path, monkeypatch):
    """So are the files of a run that goes on."""
    files = fake_run.write(tmp_path)
    blocks, calls = checkpoint_file.Checkpoint.blocks, []

    def replaced_once(checkpoint, *arguments):
        calls.append(arguments)
        if len(calls) == 1:
            os.replace(files.previous, files.checkpoint)
        return blocks(checkpoint, *arguments)

    monkeypatch.setattr(checkpoint_file.Checkpoint, "blocks", replaced_once)
    assert verify.check(files.checkpoint)[1].endswith("production step 8")


def command(*arguments):
    """Run the module as users do."""
    line = [sys.executable, "-m", "parvmc.verify", *map(str, arguments)]
    return subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=60)


def test_the_command_line(tmp_path):
    sound, broken = fake_result.write(tmp_path / "run.h5"), tmp_path / "broken.h5"
    broken.write_text("not HDF5")
    both = command(sound, broken)
    assert (both.returncode, both.stderr) == (1, "")
    assert [line.split(": ")[0] for line in both.stdout.splitlines()] == [str(sound), str(broken)]
    quiet = command("--quiet", sound, broken)
    assert (quiet.returncode, len(quiet.stdout.splitlines())) == (1, 1)
    alone = command("--quiet", sound)
    assert (alone.returncode, alone.stdout, alone.stderr) == (0, "", "")
    wrong = command()
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr
    shown = command("--help")
    assert "python -m parvmc.verify two_electrons.h5" in shown.stdout


def test_neither_mpi_nor_kernels_are_imported():
    source = "import sys, parvmc.verify; sys.exit(bool({'mpi4py', 'numba', 'pydantic'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", source], env=environment()).returncode == 0


def test_a_large_file_is_read_in_little_memory(tmp_path):
    """256 MB of series take less than 50 MB more than none of them."""
    path = tmp_path / "run.h5"
    sizes = []
    for rows in (16, 65_536):
        attributes, datasets, groups = fake_result.contents("stopped", "optimization")
        batches = 128
        datasets["input"] = Dataset(fake_result.DECK.replace("walkers = 256", f"walkers = {batches * 128}"), "", "")
        datasets["production/step"] = Dataset(np.arange(rows), "1", "")
        datasets["production/batch"] = Dataset(np.arange(batches), "1", "")
        for name in ("energy", "local_energy", "kinetic", "trap"):
            datasets[f"production/{name}"] = Dataset(np.ones((rows, batches)), "1", "")
        archive.write_result(path, attributes, datasets, groups)
        source = "import re, sys; from parvmc import verify; assert verify.main(sys.argv[1:]) == 0; "
        source += "print(re.search(r'VmHWM:\\s+([0-9]+) kB', open('/proc/self/status').read())[1])"
        done = subprocess.run([sys.executable, "-c", source, path], env=environment(), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
        sizes.append(int(done.stdout.split()[-1]))
    assert path.stat().st_size > 256e6
    assert sizes[1] - sizes[0] < 50e3
