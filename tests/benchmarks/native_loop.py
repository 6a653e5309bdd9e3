"""The scalar loop in C++, built where there is a compiler; the same functions as scalar_loop.py has."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).with_suffix("").with_name("scalar_loop.cpp")
OPTIONS = ("-O3", "-march=native", "-ffast-math", "-shared", "-fPIC", "-std=c++17")


class Machine(ctypes.Structure):
    """`Machine` of scalar_loop.cpp, from that of scalar_loop.py."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("particles", "dimensions", "hidden")),
        ("step", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("center", "inverse_variance", "bias", "weight", "weight_square")),
    )


def compiler():
    """Return the C++ compiler of this machine, or None."""
    return next(filter(shutil.which, (os.environ.get("CXX", ""), "g++", "clang++", "c++")), None)


class Loop:
    """The compiled loop, for one machine."""

    def __init__(self, machine):
        """Build the library in a folder of its own; raises CalledProcessError where the compiler fails."""
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "loop.so"
            subprocess.run([compiler(), *OPTIONS, "-o", library, SOURCE], check=True)
            self._library = ctypes.CDLL(str(library))
        self._library.walk.restype = ctypes.c_int64
        self._library.seed(ctypes.c_uint64(1))
        names = ("center", "inverse_variance", "bias", "weight", "weight_square")
        self._arrays = [np.ascontiguousarray(getattr(machine, name), np.float64) for name in names]
        sizes = machine.particles, machine.dimensions, machine.bias.size
        self._machine = Machine(*sizes, machine.step, *(array.ctypes.data for array in self._arrays))

    def walk(self, walkers, sweeps, measures, sums):
        """Walk walkers float64[walkers, units] and return the accepted moves; sums: of E and E^2, float64[walkers,
        2]."""
        count, sweeps = ctypes.c_int64(len(walkers)), ctypes.c_int64(sweeps)
        places, sums = _pointer(walkers), _pointer(sums)
        return self._library.walk(ctypes.byref(self._machine), places, count, sweeps, int(measures), sums)

    def energies(self, walkers, times, sums):
        """Add the local energies, that many times, and their squares to sums float64[walkers, 2]."""
        count, times = ctypes.c_int64(len(walkers)), ctypes.c_int64(times)
        self._library.energies(ctypes.byref(self._machine), _pointer(walkers), count, times, _pointer(sums))

    def derivatives(self, walkers, times, rows):
        """Fill rows float64[walkers, trained], that many times, with d ln psi / d coordinate."""
        count, times = ctypes.c_int64(len(walkers)), ctypes.c_int64(times)
        self._library.derivatives(ctypes.byref(self._machine), _pointer(walkers), count, times, _pointer(rows))


def _pointer(array):
    return ctypes.c_void_p(array.ctypes.data)
