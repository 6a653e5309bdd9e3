"""What is compiled: machine code for kernels, and for a row function only where Python itself calls it."""

import numpy as np

from parvmc.dispatch import kernel, row_function


@row_function
def _doubled(values):
    for i in range(values.shape[0]):
        values[i] *= 2.0


@row_function
def _quadrupled(values):
    _doubled(values)
    _doubled(values)


@kernel
def _times_four(values):
    _quadrupled(values)


def _has_machine_code(function):
    """Tell, of each thing that was compiled for a function, whether it is machine code."""
    return [compiled.library.has_machine_code for compiled in function.overloads.values()]


def test_only_the_kernel_is_machine_code():
    values = np.arange(3.0)
    _times_four(values)
    assert values.tolist() == [0.0, 4.0, 8.0]
    assert _has_machine_code(_times_four) == [True]
    assert _has_machine_code(_quadrupled) == _has_machine_code(_doubled) == [False]


def test_python_calls_a_twin():
    values = np.arange(3.0)
    _quadrupled(values)
    assert values.tolist() == [0.0, 4.0, 8.0]
    assert _has_machine_code(_quadrupled.twin) == [True]
