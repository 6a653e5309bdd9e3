"""Kernels of spin Jastrow factors: fields of every site, kept as walkers move.

With h_i = sum_k J_ik s_k, ln psi = 1/2 sum_i s_i h_i and

    flip of i:             ln psi' - ln psi = -2 s_i h_i,
    flip of both i and k:  ln psi' - ln psi = -2 s_i h_i - 2 s_k h_k + 4 J_ik s_i s_k

(the bond between both counts in either field and does not change); s_i s_k = -1 where they are exchanged. A flip of i
changes every h_j by -2 J_ij s_i. Flipping all spins changes nothing: psi(-s) = psi(s).
"""

from typing import NamedTuple

import numpy as np

from parvmc.dispatch import implements, row_function
from parvmc.operations import (
    accept,
    amplitude_ratio,
    begin_amplitudes,
    flip_ratio,
    is_complex,
    log_amplitude,
    log_derivatives,
    mirror,
    mirror_ratio,
    phase,
    rebuild,
    workspace,
)
from parvmc.vecmath import copy, exp, sine_and_cosine

TURN = 0.15915494309189535  # 1 / (2 pi)


class SpinPairs(NamedTuple):
    """Pack of a factor with real parameters.

    count: trained coordinates; moves: int64[moves, 2], sites that a move flips; pairs: int64[pairs, 2], ordered by
    classes: int64[pairs]; real: float64[sites, sites], J_ik; imaginary: float64[0, 0].
    """

    count: int
    moves: np.ndarray
    pairs: np.ndarray
    classes: np.ndarray
    real: np.ndarray
    imaginary: np.ndarray


class ComplexSpinPairs(SpinPairs):
    """The same with complex parameters; real, imaginary: float64[sites, sites], Re J_ik and Im J_ik."""


PACKS = SpinPairs, ComplexSpinPairs


class Work(NamedTuple):
    """Fields of each site and what the last move flips.

    real, imaginary: float64[sites, lanes], Re h_i and Im h_i, the second without rows for real parameters; sites:
    int64[2]; spins: float64[2, lanes], as they were before the move; change, turn: rows.
    """

    real: np.ndarray
    imaginary: np.ndarray
    sites: np.ndarray
    spins: np.ndarray
    change: np.ndarray
    turn: np.ndarray


@implements(is_complex, ComplexSpinPairs)
def _is_complex(state):
    return True


@implements(workspace, *PACKS)
def _workspace(state, lanes):
    real, imaginary = np.empty((state.real.shape[0], lanes)), np.empty((state.imaginary.shape[0], lanes))
    rows = np.empty((4, lanes))
    return Work(real, imaginary, np.zeros(2, np.int64), rows[:2], rows[2], rows[3])


@row_function
def _add_multiple(factor, row, total):
    for lane in range(total.size):
        total[lane] += factor * row[lane]


@row_function
def _fill_fields(table, positions, fields):
    for site in range(table.shape[0]):
        fields[site] = 0.0
        for other in range(table.shape[0]):
            if table[site, other] != 0.0:
                _add_multiple(table[site, other], positions[other], fields[site])


@implements(rebuild, *PACKS)
def _rebuild(state, work, positions):
    _fill_fields(state.real, positions, work.real)
    _fill_fields(state.imaginary, positions, work.imaginary)


@row_function
def _flip(spin, field, change):
    for lane in range(change.size):
        change[lane] = -2.0 * spin[lane] * field[lane]


@row_function
def _flip_both(coupling, first, second, first_field, second_field, change):
    for lane in range(change.size):
        one, other = first[lane], second[lane]
        change[lane] = 4.0 * coupling * one * other - 2.0 * (one * first_field[lane] + other * second_field[lane])


@row_function
def _fill_change(moves, table, fields, positions, move, change):
    """Fill the row with ln psi(s') - ln psi(s), its real or its imaginary part."""
    first, second = moves[move, 0], moves[move, 1]
    if second < 0:
        _flip(positions[first], fields[first], change)
    else:
        coupling = table[first, second]
        _flip_both(coupling, positions[first], positions[second], fields[first], fields[second], change)


@row_function
def _multiply_square(change, ratios):
    for lane in range(ratios.size):
        ratios[lane] *= exp(2.0 * change[lane])


@implements(flip_ratio, *PACKS)
def _flip_ratio(state, work, positions, move, ratios):
    _fill_change(state.moves, state.real, work.real, positions, move, work.change)
    _multiply_square(work.change, ratios)
    for end in range(2):
        site = state.moves[move, end]
        work.sites[end] = site
        if site >= 0:
            copy(positions[site], work.spins[end])


@row_function
def _change_field(first, second, one, other, field):
    for lane in range(field.size):
        field[lane] += first * one[lane] + second * other[lane]


@row_function
def _update(table, sites, one, other, fields):
    first, second = sites
    for site in range(table.shape[0]):
        if second >= 0 and table[second, site] != 0.0:
            _change_field(table[first, site], table[second, site], one, other, fields[site])
        elif table[first, site] != 0.0:
            _add_multiple(table[first, site], one, fields[site])


@row_function
def _change_spin(mask, spin):
    for lane in range(spin.size):
        spin[lane] *= -2.0 * mask[lane]


@implements(accept, *PACKS)
def _accept(state, work, mask):
    one, other = work.spins[0], work.spins[1]
    _change_spin(mask, one)
    if work.sites[1] >= 0:
        _change_spin(mask, other)
    _update(state.real, work.sites, one, other, work.real)
    _update(state.imaginary, work.sites, one, other, work.imaginary)


@implements(mirror_ratio, *PACKS)
def _mirror_ratio(state, work, positions, ratios):
    """psi(-s) = psi(s)."""


@row_function
def _reverse(mask, row):
    for lane in range(row.size):
        row[lane] *= 1.0 - 2.0 * mask[lane]


@implements(mirror, *PACKS)
def _mirror(state, work, mask):
    for fields in (work.real, work.imaginary):
        for site in range(fields.shape[0]):
            _reverse(mask, fields[site])


@implements(begin_amplitudes, *PACKS)
def _begin_amplitudes(state, work, positions):
    """The fields are always those of the positions."""


@row_function
def _multiply(change, real):
    for lane in range(real.size):
        real[lane] *= exp(change[lane])


@row_function
def _multiply_complex(change, turn, real, imaginary):
    for lane in range(real.size):
        size = exp(change[lane])
        sine, cosine = sine_and_cosine(TURN * turn[lane])
        old = real[lane]
        real[lane] = size * (cosine * old - sine * imaginary[lane])
        imaginary[lane] = size * (sine * old + cosine * imaginary[lane])


@implements(amplitude_ratio, *PACKS)
def _amplitude_ratio(state, work, positions, move, real, imaginary):
    _fill_change(state.moves, state.real, work.real, positions, move, work.change)
    if is_complex(state):
        _fill_change(state.moves, state.imaginary, work.imaginary, positions, move, work.turn)
        _multiply_complex(work.change, work.turn, real, imaginary)
    else:
        _multiply(work.change, real)


@row_function
def _add_product(factor, first, second, total):
    for lane in range(total.size):
        total[lane] += factor * first[lane] * second[lane]


@implements(log_derivatives, *PACKS)
def _log_derivatives(state, work, positions, derivatives):
    """O = sum of s_i s_k over the pairs of a class; it is real."""
    if state.count > 0:
        derivatives[:] = 0.0
        step = 2 if is_complex(state) else 1
        for pair in range(state.classes.size):
            first, second = state.pairs[pair, 0], state.pairs[pair, 1]
            _add_product(1.0, positions[first], positions[second], derivatives[step * state.classes[pair]])


@implements(log_amplitude, *PACKS)
def _log_amplitude(state, work, positions, logarithms):
    for site in range(work.real.shape[0]):
        _add_product(0.5, positions[site], work.real[site], logarithms)


@implements(phase, *PACKS)
def _phase(state, work, positions, phases):
    for site in range(work.imaginary.shape[0]):
        _add_product(0.5, positions[site], work.imaginary[site], phases)
