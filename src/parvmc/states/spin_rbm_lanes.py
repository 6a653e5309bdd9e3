"""The binary-binary machine on lanes: its packs and how it moves, in the notation of spin_rbm.py.

A move costs a few multiplications and additions for each hidden unit: the quotient of the products of (1 + u) after and
before. An amplitude psi(s') / psi(s) is the same quotient without the square. Real parameters make a sum of positive
terms of every factor, so that nothing cancels.
"""

from typing import NamedTuple

import numpy as np

from parvmc.dispatch import implements, operation, row_function
from parvmc.operations import (
    accept,
    amplitude_ratio,
    begin_amplitudes,
    flip_ratio,
    is_complex,
    rebuild,
    workspace,
)
from parvmc.states import spin_rbm_rows as rows
from parvmc.vecmath import copy, exp, sine_and_cosine

LARGEST_THETA = 600.0  # past this e^theta', for complex parameters |e^theta'|^2, is too near overflow to be carried
_TURN = 0.15915494309189535  # 1 / (2 pi)


class SpinRbm(NamedTuple):
    """Pack of a machine with real parameters, those that are shared copied to all that have them.

    Arrays begin with an axis [parts], real parts and then, for complex parameters, imaginary ones. slope (a_i + t sum_j
    W_ij): [parts, sites]; bias (s b_j), reflection (e^(2 s b_j)): [parts, hidden]; coupling (s W_ij): [parts, hidden,
    sites]; constant (t sum_j b_j): [parts]; visible (a_i): [parts, sites], or without sites where all are zero.

    forward, backward: [parts, moves, units], T_j of spin_rbm_rows.py, hidden units made up to whole blocks;
    prefactors 2^powers: [2, moves], |e^(change of sum_i slope_i s_i)| where the first spin is 1, and -1; turn: [2,
    moves], cosine and sine of that change's imaginary part. even: whether psi(-s) = psi(s). places: int64[sites,
    translations], to which site each translation takes each site; without sites where nothing is shared.
    """

    count: int
    hidden: int
    scale: float
    offset: float
    even: bool
    trains_visible: bool
    trains_hidden: bool
    trains_weights: bool
    constant: np.ndarray
    visible: np.ndarray
    slope: np.ndarray
    bias: np.ndarray
    reflection: np.ndarray
    coupling: np.ndarray
    moves: np.ndarray
    forward: np.ndarray
    backward: np.ndarray
    prefactors: np.ndarray
    powers: np.ndarray
    turn: np.ndarray
    places: np.ndarray


class ComplexSpinRbm(SpinRbm):
    """The same with complex parameters."""


PACKS = SpinRbm, ComplexSpinRbm


class Work(NamedTuple):
    """What the machine derives from one batch.

    u = x + i y of each hidden unit, rows made up to whole blocks with u = 0, y without rows for real parameters; their
    product, m 2^n of prod (1 + u) or for complex parameters of prod |1 + u|^2, now and as proposed. Carrying u rather
    than tanh theta lets a move and its way back cancel near saturation: errors only add.

    sign: the first spin of the last proposed move, whose number is in last[0]; amplitude: rows of the product of (1 +
    u') as proposed (two) and of the inverse of that of (1 + u) (two), their n in amplitude_exponent int64[2, lanes];
    layer, layer_y: scratch of one row for each hidden unit, also the hidden layer; ones: T of no move.
    """

    x: np.ndarray
    y: np.ndarray
    mantissa: np.ndarray
    exponent: np.ndarray
    trial: np.ndarray
    trial_exponent: np.ndarray
    sign: np.ndarray
    last: np.ndarray
    amplitude: np.ndarray
    amplitude_exponent: np.ndarray
    layer: np.ndarray
    layer_y: np.ndarray
    ones: np.ndarray
    zeros: np.ndarray


@implements(is_complex, ComplexSpinRbm)
def _is_complex(state):
    return True


@implements(workspace, *PACKS)
def _workspace(state, lanes):
    units = state.forward.shape[2]
    more = units if state.forward.shape[0] == 2 else 0
    return Work(
        np.zeros((units, lanes)),
        np.zeros((more, lanes)),
        np.ones(lanes),
        np.zeros(lanes, np.int64),
        np.ones(lanes),
        np.zeros(lanes, np.int64),
        np.ones(lanes),
        np.zeros(1, np.int64),
        np.empty((4, lanes)),
        np.zeros((2, lanes), np.int64),
        np.empty((units, lanes)),
        np.empty((more, lanes)),
        np.ones(units),
        np.zeros(units),
    )


@row_function
def _exponentiate(theta, u):
    for lane in range(u.size):
        u[lane] = exp(theta[lane]) if abs(theta[lane]) < LARGEST_THETA else np.nan


@row_function
def _exponentiate_complex(theta, angle, x, y):
    for lane in range(x.size):
        size = exp(theta[lane]) if abs(theta[lane]) < 0.5 * LARGEST_THETA else np.nan
        sine, cosine = sine_and_cosine(_TURN * angle[lane])
        x[lane] = size * cosine
        y[lane] = size * sine


@operation
def multiply_all(state, work, fx, fy, bx, by, mantissa, exponent):
    """Multiply m 2^n by the product of (1 + u T) over all hidden units, for complex parameters of |1 + u T|^2."""


@implements(multiply_all, SpinRbm)
def _multiply_all(state, work, fx, fy, bx, by, mantissa, exponent):
    rows.multiply_units(fx, bx, work.x, work.sign, mantissa, exponent)


@implements(multiply_all, ComplexSpinRbm)
def _multiply_all_complex(state, work, fx, fy, bx, by, mantissa, exponent):
    rows.multiply_squares(fx, fy, bx, by, work.x, work.y, work.sign, mantissa, exponent)


@row_function
def multiply_present(state, work):
    """Fill the product of the present configuration from u."""
    work.mantissa[:] = 1.0
    work.exponent[:] = 0
    ones, zeros = work.ones, work.zeros
    multiply_all(state, work, ones, zeros, ones, zeros, work.mantissa, work.exponent)


@row_function
def _tables(state, move):
    """Return real and imaginary parts of T forward, then backward; for real parameters twice the real ones."""
    return state.forward[0, move], state.forward[-1, move], state.backward[0, move], state.backward[-1, move]


@row_function
def _multiply_proposed(state, work, positions, move):
    """Fill trial with the product after a move."""
    fx, fy, bx, by = _tables(state, move)
    copy(positions[state.moves[move, 0]], work.sign)
    work.trial[:] = 1.0
    work.trial_exponent[:] = 0
    multiply_all(state, work, fx, fy, bx, by, work.trial, work.trial_exponent)


@row_function
def _fill_theta(state, part, positions, theta):
    for j in range(state.hidden):
        theta[j] = state.bias[part, j]
    rows.add_matrix(state.coupling[part], positions, theta)


@implements(rebuild, SpinRbm)
def _rebuild(state, work, positions):
    _fill_theta(state, 0, positions, work.layer)
    for j in range(state.hidden):
        _exponentiate(work.layer[j], work.x[j])
    multiply_present(state, work)


@implements(rebuild, ComplexSpinRbm)
def _rebuild_complex(state, work, positions):
    _fill_theta(state, 0, positions, work.layer)
    _fill_theta(state, 1, positions, work.layer_y)
    for j in range(state.hidden):
        _exponentiate_complex(work.layer[j], work.layer_y[j], work.x[j], work.y[j])
    multiply_present(state, work)


@implements(flip_ratio, *PACKS)
def _flip_ratio(state, work, positions, move, ratios):
    work.last[0] = move
    _multiply_proposed(state, work, positions, move)
    rows.multiply_square_ratio(
        state.prefactors,
        state.powers,
        move,
        work.sign,
        work.trial,
        work.trial_exponent,
        work.mantissa,
        work.exponent,
        not is_complex(state),
        ratios,
    )


@row_function
def _take(mask, trial, trial_exponent, mantissa, exponent, sign):
    """Take over the proposed product where the mask is 1, and leave of the sign what `change_units` asks for."""
    for lane in range(mask.size):
        new, old, new_exponent, old_exponent = trial[lane], mantissa[lane], trial_exponent[lane], exponent[lane]
        accepted = mask[lane] > 0.5
        mantissa[lane] = new if accepted else old
        exponent[lane] = new_exponent if accepted else old_exponent
        sign[lane] *= mask[lane]


@implements(accept, SpinRbm)
def _accept(state, work, mask):
    _take(mask, work.trial, work.trial_exponent, work.mantissa, work.exponent, work.sign)
    fx, _, bx, _ = _tables(state, work.last[0])
    rows.change_units(fx, bx, work.x, work.sign)


@implements(accept, ComplexSpinRbm)
def _accept_complex(state, work, mask):
    _take(mask, work.trial, work.trial_exponent, work.mantissa, work.exponent, work.sign)
    fx, fy, bx, by = _tables(state, work.last[0])
    rows.change_complex(fx, fy, bx, by, work.x, work.y, work.sign)


@implements(begin_amplitudes, SpinRbm)
def _begin_amplitudes(state, work, positions):
    """Fill the inverse of psi's product; a walker that went past the largest theta gets no number, in any case."""
    rows.invert(work.mantissa, work.amplitude[2])


@implements(amplitude_ratio, SpinRbm)
def _amplitude_ratio(state, work, positions, move, real, imaginary):
    _multiply_proposed(state, work, positions, move)
    inverse = work.amplitude[2]
    rows.multiply_amplitude(
        state.prefactors, state.powers, move, work.sign, work.trial, work.trial_exponent, inverse, work.exponent, real
    )


@row_function
def multiply_complex(work, fx, fy, bx, by, real, imaginary, exponent):
    """Fill (real + i imaginary) 2^n with the product of (1 + u T) over all hidden units."""
    real[:] = 1.0
    imaginary[:] = 0.0
    exponent[:] = 0
    rows.multiply_complex(fx, fy, bx, by, work.x, work.y, work.sign, real, imaginary, exponent)


@implements(begin_amplitudes, ComplexSpinRbm)
def _begin_complex_amplitudes(state, work, positions):
    real, imaginary, exponent = work.amplitude[2], work.amplitude[3], work.amplitude_exponent[1]
    multiply_complex(work, work.ones, work.zeros, work.ones, work.zeros, real, imaginary, exponent)
    rows.invert_complex(real, imaginary)


@implements(amplitude_ratio, ComplexSpinRbm)
def _complex_amplitude_ratio(state, work, positions, move, real, imaginary):
    fx, fy, bx, by = _tables(state, move)
    copy(positions[state.moves[move, 0]], work.sign)
    x, y, exponent = work.amplitude[0], work.amplitude[1], work.amplitude_exponent[0]
    multiply_complex(work, fx, fy, bx, by, x, y, exponent)
    rows.multiply_complex_amplitude(
        state.prefactors,
        state.powers,
        state.turn,
        move,
        work.sign,
        x,
        y,
        exponent,
        work.amplitude[2],
        work.amplitude[3],
        work.amplitude_exponent[1],
        real,
        imaginary,
    )
