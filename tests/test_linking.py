"""What is compiled: machine code for what Python calls, and nothing of the sort for what that calls."""

import numba
import numpy as np

from parvmc.dispatch import compiled, row_function


@row_function
def _doubled(values):
    for i in range(values.shape[0]):
        values[i] *= 2.0


@row_function
def _quadrupled(values):
    _doubled(values)
    _doubled(values)


@compiled
def _times_four(values):
    _quadrupled(values)


def _has_machine_code(function):
    """Tell, of each thing that was compiled for a function, whether it is machine code."""
    return [found.library.has_machine_code for found in function.overloads.values()]


def test_only_what_python_calls_is_machine_code():
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


@row_function
def _told(number):
    print("it is", number)


@compiled
def _tells(number):
    _told(number)


def test_what_a_kernel_calls_may_print(capfd):
    """Who looks for a fault will do that first; the function finds Python's print although it has no machine code."""
    _tells(3)
    assert capfd.readouterr().out == "it is 3\n"


@numba.njit
def _is_odd(number):
    return number > 0 and _is_even(number - 1)


@numba.njit
def _is_even(number):
    return number == 0 or _is_odd(number - 1)


def test_what_others_compile_is_theirs():
    """In the same process numba's own way, by which functions that call each other have addresses."""
    assert [_is_odd(number) for number in range(4)] == [False, True, False, True]
    for found in (*_is_odd.overloads.values(), *_is_even.overloads.values()):
        assert not hasattr(found.library, "has_machine_code")
