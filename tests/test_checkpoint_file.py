"""A checkpoint is whole at every moment, and none is lost."""

import errno
import os
import random
import subprocess
import sys
import time

import numpy as np
import pytest
from children import ENVIRONMENT, child, kill

from parvmc import archive, checkpoint_file
from parvmc.files import Files

WRITER = """
import sys
import numpy as np
from parvmc import checkpoint_file
from parvmc.files import Files
files, number = Files(sys.argv[1]), int(sys.argv[2])
while True:
    number += 1
    blocks = (np.full((2, 5000), number + batch) for batch in range(4))
    checkpoint_file.write(files, {"number": number}, {"n": number}, {"walkers": ((8, 5000), np.int64, blocks)})
    print(number, flush=True)
"""


def no_warning(message):
    """For a checkpoint that must be read without one."""
    raise AssertionError(message)


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
    checkpoint_file.write(where, attributes, SMALL, batched)


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
    assert checkpoint_file.read(where, no_warning) is None
    write(where)
    checkpoint = checkpoint_file.read(where, no_warning)
    assert_equals_what_was_written(checkpoint)
    with pytest.raises(IndexError, match="has 6 rows"):
        checkpoint.blocks("positions", 4, 7)
    assert [path.name for path in tmp_path.iterdir()] == ["run.ckpt.h5"]


def test_attributes_may_be_numpy_numbers(tmp_path):
    where = Files(tmp_path / "run.h5")
    checkpoint_file.write(where, {"step": np.float64(0.1), "rows": np.arange(2)}, {}, {})
    assert checkpoint_file.read(where, no_warning).attributes == {"step": 0.1, "rows": [0, 1]}


@pytest.mark.parametrize("links", [True, False])
def test_the_checkpoint_before_is_kept(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *names: (_ for _ in ()).throw(OSError(errno.EPERM, "no links")))
    where = Files(tmp_path / "run.h5")
    for number in range(3):
        write(where, {"number": number})
    assert checkpoint_file.read(where, no_warning).attributes == {"number": 2}
    where.checkpoint.unlink()
    assert checkpoint_file.read(where, no_warning).attributes == {"number": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["run.ckpt.1.h5"]


def test_blocks_asked_for_after_the_file_was_replaced_are_refused(tmp_path):
    where = Files(tmp_path / "run.h5")
    write(where)
    checkpoint = checkpoint_file.read(where, no_warning)
    write(where, {"number": 2})
    with pytest.raises(checkpoint_file.Damaged, match="replaced"):
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
        checkpoint_file.write(where, {}, {}, {"positions": (POSITIONS.shape, POSITIONS.dtype, blocks)})
    assert_equals_what_was_written(checkpoint_file.read(where, no_warning))
    assert [path.name for path in tmp_path.iterdir()] == ["run.ckpt.h5"]


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path):
    where = Files(tmp_path / "run.h5")
    write(where)
    source = """
import resource, signal, sys
import numpy as np
from parvmc import checkpoint_file
from parvmc.files import Files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
blocks = (np.zeros((1, 10_000)) for _ in range(8))
try:
    checkpoint_file.write(Files(sys.argv[1]), {}, {}, {"walkers": ((8, 10_000), np.float64, blocks)})
except OSError as error:
    assert error.errno == 27 or "File too large" in str(error)
    sys.exit(f"failed as it must: {error}")
"""
    done = subprocess.run(
        [sys.executable, "-c", source, where.output], env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "failed as it must" in done.stderr
    assert_equals_what_was_written(checkpoint_file.read(where, no_warning))
    assert [path.name for path in tmp_path.iterdir()] == ["run.ckpt.h5"]


def test_after_kill_9_there_is_always_a_sound_checkpoint(tmp_path):
    where, draw, number = Files(tmp_path / "run.h5"), random.Random(4), 0
    for _ in range(20):
        process = child(WRITER, where.output, number)
        time.sleep(draw.uniform(0.0, 0.05))
        kill(process)
        checkpoint = checkpoint_file.read(where, no_warning)
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
        assert checkpoint_file.read(where, warnings.append).attributes == {"number": 1}
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
            checkpoint = checkpoint_file.read(where, no_warning)
        except checkpoint_file.Damaged:
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
    with pytest.raises(checkpoint_file.Damaged, match="checksum is wrong"):
        checkpoint_file.read(where, no_warning)


def test_files_of_others_are_no_checkpoints(tmp_path):
    where = Files(tmp_path / "run.h5")
    archive.write_result(where.checkpoint, {"schema": "parvmc"}, {})
    where.previous.write_text("not HDF5")
    with pytest.raises(checkpoint_file.Damaged, match=r"run\.ckpt\.h5 is damaged .*; .*run\.ckpt\.1\.h5 is damaged"):
        checkpoint_file.read(where, no_warning)


def test_a_damaged_checkpoint_never_costs_the_sound_one(tmp_path, monkeypatch):
    where = Files(tmp_path / "run.h5")
    write(where, {"number": 1})
    write(where, {"number": 2})
    damage(where, b"damaged")
    replace, found = os.replace, []

    def watched(source, target):
        replace(source, target)
        found.append(checkpoint_file.read(where, lambda message: None).attributes["number"])

    monkeypatch.setattr(os, "replace", watched)
    write(where, {"number": 3})
    assert found == [3, 3]
