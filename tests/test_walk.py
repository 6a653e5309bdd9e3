"""The entry kernels: interpreted equals compiled, and the second process compiles nothing."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from interpreted import short_walk

from parvmc.walk import _mean, _mean_square


def test_interpreted_kernels_equal_compiled_ones(tmp_path):
    """The same Python, run without numba on the same random numbers: to 1e-12 after some sweeps, moves to the bit."""
    file = tmp_path / "interpreted.npz"
    script = Path(__file__).parent / "interpreted.py"
    subprocess.run([sys.executable, script, file], check=True, timeout=120, env=os.environ | {"NUMBA_DISABLE_JIT": "1"})
    interpreted, compiled = np.load(file), short_walk()
    assert set(interpreted.files) == set(compiled)
    for name, values in compiled.items():
        np.testing.assert_allclose(values, interpreted[name], rtol=1e-12, atol=1e-12, err_msg=name)
    assert compiled["machine accepted"].all()


def test_means_of_any_number_of_lanes():
    """Whole blocks of 32 and what is left of them: all sizes up to 100, odd ones too."""
    for size in range(1, 101):
        row = np.random.default_rng(size).standard_normal(size)
        assert abs(_mean(row) - row.mean()) < 1e-15 * size
        assert abs(_mean_square(row) - (row * row).mean()) < 1e-15 * size


CHILD = """
import sys
sys.path.insert(0, {tests!r})
from interpreted import short_walk
from parvmc import walk
short_walk()
kernels = (walk.equilibrate, walk.sample, walk.observe)
print(sum(sum(k.stats.cache_misses.values()) for k in kernels), sum(sum(k.stats.cache_hits.values()) for k in kernels))
"""


@pytest.mark.slow  # test_warm.py shows it of a run
def test_a_second_process_compiles_nothing(tmp_path):
    """The kernels of three kinds of state and five samplers come from the disk cache; the first process compiles."""
    program = CHILD.format(tests=str(Path(__file__).parent))
    environment = os.environ | {"PARVMC_CACHE_DIR": str(tmp_path)}
    counts = [
        subprocess.run([sys.executable, "-c", program], env=environment, check=True, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [child.stdout.split() for child in counts] == [["12", "0"], ["0", "12"]]
