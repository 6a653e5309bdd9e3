"""All spins of the binary-binary machine flipped at once, in the notation of spin_rbm.py.

theta_j(-s) = 2 b_j - theta_j(s), so that u_j becomes B_j / u_j with B_j = e^(2 s b_j), and of |psi|^2 each hidden unit
gives the factor |u_j + B_j|^2 / |1 + u_j|^2 times 1 / |B_j| for hidden values -1 and 1, or 1 / |u_j|^2 for 0 and 1;
the visible units give e^(-4 sum_i Re a_i s_i).
"""

from parvmc.dispatch import implements, operation, row_function
from parvmc.operations import mirror, mirror_ratio
from parvmc.states.spin_rbm_lanes import PACKS, ComplexSpinRbm, SpinRbm, multiply_present
from parvmc.states.spin_rbm_rows import add_multiple, exponent_of, mantissa_of, power_of_two
from parvmc.vecmath import multiply_exponential


@row_function
def _multiply_unit(reflection, symmetric, x, mantissa, exponent):
    over = 1.0 / reflection
    for lane in range(x.size):
        u = x[lane]
        quotient = (u + reflection) / ((1.0 + u) if symmetric else (1.0 + u) * u)
        product = mantissa[lane] * (quotient * quotient * (over if symmetric else 1.0))
        exponent[lane] += exponent_of(product)
        mantissa[lane] = mantissa_of(product)


@row_function
def _multiply_complex_unit(bx, by, symmetric, x, y, mantissa, exponent):
    over = 1.0 / (bx * bx + by * by) ** 0.5
    for lane in range(x.size):
        ux, uy = x[lane], y[lane]
        above = (ux + bx) * (ux + bx) + (uy + by) * (uy + by)
        quotient = above / ((1.0 + ux) * (1.0 + ux) + uy * uy)
        product = mantissa[lane] * (quotient * over if symmetric else quotient / (ux * ux + uy * uy))
        exponent[lane] += exponent_of(product)
        mantissa[lane] = mantissa_of(product)


@row_function
def _multiply_ratios(mantissa, exponent, ratios):
    for lane in range(ratios.size):
        ratios[lane] *= mantissa[lane] * power_of_two(exponent[lane])


@operation
def _multiply_hidden(state, work, symmetric, mantissa, exponent):
    """Multiply m 2^n by the factors of all hidden units."""


@implements(_multiply_hidden, SpinRbm)
def _multiply_real(state, work, symmetric, mantissa, exponent):
    for j in range(state.hidden):
        _multiply_unit(state.reflection[0, j], symmetric, work.x[j], mantissa, exponent)


@implements(_multiply_hidden, ComplexSpinRbm)
def _multiply_complex(state, work, symmetric, mantissa, exponent):
    for j in range(state.hidden):
        bx, by = state.reflection[0, j], state.reflection[1, j]
        _multiply_complex_unit(bx, by, symmetric, work.x[j], work.y[j], mantissa, exponent)


@implements(mirror_ratio, *PACKS)
def _mirror_ratio(state, work, positions, ratios):
    if state.even:
        return
    mantissa, exponent = work.trial, work.trial_exponent
    mantissa[:] = 1.0
    exponent[:] = 0
    _multiply_hidden(state, work, state.offset != 0.0, mantissa, exponent)
    _multiply_ratios(mantissa, exponent, ratios)
    if state.visible.shape[1] > 0:
        mantissa[:] = 0.0
        for i in range(positions.shape[0]):
            add_multiple(-4.0 * state.visible[0, i], positions[i], mantissa)
        multiply_exponential(mantissa, ratios)


@row_function
def _reflect(reflection, mask, x):
    for lane in range(x.size):
        old = x[lane]
        new = reflection / old
        x[lane] = new if mask[lane] > 0.5 else old


@row_function
def _reflect_complex(bx, by, mask, x, y):
    for lane in range(x.size):
        ux, uy = x[lane], y[lane]
        over = 1.0 / (ux * ux + uy * uy)
        new_x, new_y = (bx * ux + by * uy) * over, (by * ux - bx * uy) * over
        x[lane] = new_x if mask[lane] > 0.5 else ux
        y[lane] = new_y if mask[lane] > 0.5 else uy


@implements(mirror, SpinRbm)
def _mirror(state, work, mask):
    for j in range(state.hidden):
        _reflect(state.reflection[0, j], mask, work.x[j])
    multiply_present(state, work)


@implements(mirror, ComplexSpinRbm)
def _mirror_complex(state, work, mask):
    for j in range(state.hidden):
        _reflect_complex(state.reflection[0, j], state.reflection[1, j], mask, work.x[j], work.y[j])
    multiply_present(state, work)
