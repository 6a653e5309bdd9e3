"""Arithmetic of the binary-binary machine on lanes: products of (1 + u) over many hidden units, in the notation of
spin_rbm.py.

A product is kept as m 2^n, m float64[lanes] with 1 <= m < 2 and n int64[lanes], so that no number of hidden units
overflows it. A pass multiplies BLOCK factors before m is brought back, each at most e^80 for |theta| = 40: e^640 stays
below the largest number, e^709. A product past that is infinite; it stays so, and the local energy is no number.
Passes are loops within one function: a call for each would cost a quarter more, with 128 lanes.

A move multiplies u_j by T_j = e^(theta'_j(s') - theta'_j(s)), tables over the hidden units: `forward` where the first
spin that the move flips is 1, `backward`, the inverse, where it is -1. A blend must load both of its values first: a
load behind the condition would be a branch.
"""

import numpy as np

from parvmc.dispatch import row_function
from parvmc.vecmath import bits_of, float_of

BLOCK, COMPLEX_BLOCK = 8, 4  # hidden units in a pass; of complex ones |1 + u|^2 is at most e^160
_FEW, _COMPLEX_FEW = 4, 2  # hidden units in a pass that changes them: with more there are too few registers
_MANTISSA_BITS = np.uint64(52)
_MANTISSA = np.uint64(0x000FFFFFFFFFFFFF)
_ONE = np.uint64(0x3FF0000000000000)  # the bits of 1.0
_BIAS = 1023
_MOST = 1000  # powers of two past it are taken for it: ratios are then beyond any that matters


@row_function
def mantissa_of(value):
    """Return m of a positive value = m 2^n; what is infinite or no number remains so."""
    mantissa = float_of(np.int64((np.uint64(bits_of(value)) & _MANTISSA) | _ONE))
    return mantissa if value < np.inf else value


@row_function
def exponent_of(value):
    """Return n of a value = m 2^n, int64."""
    return np.int64(np.uint64(bits_of(value)) >> _MANTISSA_BITS) - _BIAS


@row_function
def power_of_two(n):
    """Return 2^n, or 2^1000 or 2^-1000 where n is beyond."""
    n = n if n < _MOST else _MOST
    n = n if n > -_MOST else -_MOST
    return float_of((n + _BIAS) << 52)


@row_function
def multiply_units(forward, backward, u, sign, mantissa, exponent):
    """Multiply the product by prod (1 + u_j T_j), u float64[units, lanes], BLOCK units in a pass."""
    for first in range(0, u.shape[0], BLOCK):
        u0, u1, u2, u3, u4, u5, u6, u7 = (
            u[first],
            u[first + 1],
            u[first + 2],
            u[first + 3],
            u[first + 4],
            u[first + 5],
            u[first + 6],
            u[first + 7],
        )
        f0, f1, f2, f3 = forward[first], forward[first + 1], forward[first + 2], forward[first + 3]
        f4, f5, f6, f7 = forward[first + 4], forward[first + 5], forward[first + 6], forward[first + 7]
        b0, b1, b2, b3 = backward[first], backward[first + 1], backward[first + 2], backward[first + 3]
        b4, b5, b6, b7 = backward[first + 4], backward[first + 5], backward[first + 6], backward[first + 7]
        for lane in range(sign.size):
            up = sign[lane] > 0.0
            product = mantissa[lane] * (1.0 + u0[lane] * (f0 if up else b0))
            product *= 1.0 + u1[lane] * (f1 if up else b1)
            product *= 1.0 + u2[lane] * (f2 if up else b2)
            product *= 1.0 + u3[lane] * (f3 if up else b3)
            product *= 1.0 + u4[lane] * (f4 if up else b4)
            product *= 1.0 + u5[lane] * (f5 if up else b5)
            product *= 1.0 + u6[lane] * (f6 if up else b6)
            product *= 1.0 + u7[lane] * (f7 if up else b7)
            exponent[lane] += exponent_of(product)
            mantissa[lane] = mantissa_of(product)


@row_function
def change_units(forward, backward, u, change):
    """Multiply u_j by T_j in the lanes where change, the sign of the accepted move's first spin, is not 0."""
    for first in range(0, u.shape[0], _FEW):
        u0, u1, u2, u3 = u[first], u[first + 1], u[first + 2], u[first + 3]
        f0, f1, f2, f3 = forward[first], forward[first + 1], forward[first + 2], forward[first + 3]
        b0, b1, b2, b3 = backward[first], backward[first + 1], backward[first + 2], backward[first + 3]
        for lane in range(change.size):
            up, moves = change[lane] > 0.0, change[lane] != 0.0
            old0, old1, old2, old3 = u0[lane], u1[lane], u2[lane], u3[lane]
            new0, new1 = old0 * (f0 if up else b0), old1 * (f1 if up else b1)
            new2, new3 = old2 * (f2 if up else b2), old3 * (f3 if up else b3)
            u0[lane] = new0 if moves else old0
            u1[lane] = new1 if moves else old1
            u2[lane] = new2 if moves else old2
            u3[lane] = new3 if moves else old3


@row_function
def _square(x, y, tx, ty):
    """Return |1 + (x + i y) (tx + i ty)|^2."""
    real, imaginary = 1.0 + (x * tx - y * ty), x * ty + y * tx
    return real * real + imaginary * imaginary


@row_function
def multiply_squares(fx, fy, bx, by, x, y, sign, mantissa, exponent):
    """Multiply the product by prod |1 + u_j T_j|^2, u = x + i y and T from tables of real and imaginary parts."""
    for first in range(0, x.shape[0], COMPLEX_BLOCK):
        x0, x1, x2, x3 = x[first], x[first + 1], x[first + 2], x[first + 3]
        y0, y1, y2, y3 = y[first], y[first + 1], y[first + 2], y[first + 3]
        fx0, fx1, fx2, fx3 = fx[first], fx[first + 1], fx[first + 2], fx[first + 3]
        fy0, fy1, fy2, fy3 = fy[first], fy[first + 1], fy[first + 2], fy[first + 3]
        bx0, bx1, bx2, bx3 = bx[first], bx[first + 1], bx[first + 2], bx[first + 3]
        by0, by1, by2, by3 = by[first], by[first + 1], by[first + 2], by[first + 3]
        for lane in range(sign.size):
            up = sign[lane] > 0.0
            product = mantissa[lane] * _square(x0[lane], y0[lane], fx0 if up else bx0, fy0 if up else by0)
            product *= _square(x1[lane], y1[lane], fx1 if up else bx1, fy1 if up else by1)
            product *= _square(x2[lane], y2[lane], fx2 if up else bx2, fy2 if up else by2)
            product *= _square(x3[lane], y3[lane], fx3 if up else bx3, fy3 if up else by3)
            exponent[lane] += exponent_of(product)
            mantissa[lane] = mantissa_of(product)


@row_function
def _blended(old_x, old_y, tx, ty, moves):
    new_x, new_y = old_x * tx - old_y * ty, old_x * ty + old_y * tx
    return new_x if moves else old_x, new_y if moves else old_y


@row_function
def change_complex(fx, fy, bx, by, x, y, change):
    """Multiply u = x + i y by T as `change_units` does."""
    for first in range(0, x.shape[0], _COMPLEX_FEW):
        x0, x1, y0, y1 = x[first], x[first + 1], y[first], y[first + 1]
        fx0, fx1, fy0, fy1 = fx[first], fx[first + 1], fy[first], fy[first + 1]
        bx0, bx1, by0, by1 = bx[first], bx[first + 1], by[first], by[first + 1]
        for lane in range(change.size):
            up, moves = change[lane] > 0.0, change[lane] != 0.0
            a, b, c, d = x0[lane], y0[lane], x1[lane], y1[lane]
            a, b = _blended(a, b, fx0 if up else bx0, fy0 if up else by0, moves)
            c, d = _blended(c, d, fx1 if up else bx1, fy1 if up else by1, moves)
            x0[lane] = a
            y0[lane] = b
            x1[lane] = c
            y1[lane] = d


@row_function
def _times(real, imaginary, x, y, tx, ty):
    """Return (real + i imaginary) (1 + (x + i y) (tx + i ty))."""
    a, b = 1.0 + (x * tx - y * ty), x * ty + y * tx
    return real * a - imaginary * b, real * b + imaginary * a


@row_function
def _normalise(real, imaginary, exponent):
    """Bring a complex product (real + i imaginary) 2^n to one whose larger part lies between 1 and 2."""
    for lane in range(real.size):
        r, i = real[lane], imaginary[lane]
        a, b = abs(r), abs(i)
        n = exponent_of(a if a > b else b)
        n = n if n < _MOST else _MOST
        scale = float_of((_BIAS - n) << 52)
        exponent[lane] += n
        real[lane] = r * scale
        imaginary[lane] = i * scale


@row_function
def multiply_complex(fx, fy, bx, by, x, y, sign, real, imaginary, exponent):
    """Multiply the complex product (real + i imaginary) 2^n by prod (1 + u_j T_j)."""
    for first in range(0, x.shape[0], COMPLEX_BLOCK):
        x0, x1, x2, x3 = x[first], x[first + 1], x[first + 2], x[first + 3]
        y0, y1, y2, y3 = y[first], y[first + 1], y[first + 2], y[first + 3]
        fx0, fx1, fx2, fx3 = fx[first], fx[first + 1], fx[first + 2], fx[first + 3]
        fy0, fy1, fy2, fy3 = fy[first], fy[first + 1], fy[first + 2], fy[first + 3]
        bx0, bx1, bx2, bx3 = bx[first], bx[first + 1], bx[first + 2], bx[first + 3]
        by0, by1, by2, by3 = by[first], by[first + 1], by[first + 2], by[first + 3]
        for lane in range(sign.size):
            up = sign[lane] > 0.0
            r, i = real[lane], imaginary[lane]
            r, i = _times(r, i, x0[lane], y0[lane], fx0 if up else bx0, fy0 if up else by0)
            r, i = _times(r, i, x1[lane], y1[lane], fx1 if up else bx1, fy1 if up else by1)
            r, i = _times(r, i, x2[lane], y2[lane], fx2 if up else bx2, fy2 if up else by2)
            r, i = _times(r, i, x3[lane], y3[lane], fx3 if up else bx3, fy3 if up else by3)
            real[lane] = r
            imaginary[lane] = i
        if (first + COMPLEX_BLOCK) % BLOCK == 0:
            _normalise(real, imaginary, exponent)


@row_function
def multiply_square_ratio(prefactors, powers, move, sign, trial, trial_exponent, mantissa, exponent, squared, ratios):
    """Multiply ratios by (prefactor 2^power)^2 times the quotient of two products, or the square of that.

    prefactors, powers: float64[2, moves] and int64[2, moves], first where the sign is 1, then where it is -1.
    """
    f, b, nf, nb = prefactors[0, move], prefactors[1, move], powers[0, move], powers[1, move]
    for lane in range(ratios.size):
        factor = f if sign[lane] > 0.0 else b
        n = trial_exponent[lane] - exponent[lane]
        quotient = trial[lane] / mantissa[lane]
        quotient, n = (quotient * quotient, 2 * n) if squared else (quotient, n)
        n += 2 * (nf if sign[lane] > 0.0 else nb)
        ratios[lane] *= factor * factor * quotient * power_of_two(n)


@row_function
def invert(mantissa, inverse):
    """Fill inverse with 1 / m, no number where the product has overflown."""
    for lane in range(mantissa.size):
        value = mantissa[lane]
        inverse[lane] = 1.0 / value if value < np.inf else np.nan


@row_function
def invert_complex(real, imaginary):
    """Replace a complex product by 1 / (real + i imaginary), no number where it has overflown."""
    for lane in range(real.size):
        square = real[lane] * real[lane] + imaginary[lane] * imaginary[lane]
        factor = 1.0 / square if square < np.inf else np.nan
        real[lane] *= factor
        imaginary[lane] *= -factor


@row_function
def multiply_amplitude(prefactors, powers, move, sign, trial, trial_exponent, inverse, exponent, amplitude):
    """Multiply amplitude by prefactor 2^power times the quotient of two products."""
    f, b, nf, nb = prefactors[0, move], prefactors[1, move], powers[0, move], powers[1, move]
    for lane in range(amplitude.size):
        up = sign[lane] > 0.0
        n = trial_exponent[lane] - exponent[lane] + (nf if up else nb)
        amplitude[lane] *= (f if up else b) * (trial[lane] * inverse[lane]) * power_of_two(n)


@row_function
def multiply_complex_amplitude(
    prefactors, powers, turn, move, sign, x, y, trial_exponent, inverse_x, inverse_y, exponent, real, imaginary
):
    """Multiply the row real + i imaginary by prefactor 2^power e^(i angle), the product x + i y and the inverse of
    another; turn float64[2, moves]: cosine and sine of the angle where the sign is 1."""
    f, b, nf, nb = prefactors[0, move], prefactors[1, move], powers[0, move], powers[1, move]
    cosine, sine = turn[0, move], turn[1, move]
    for lane in range(real.size):
        up = sign[lane] > 0.0
        n = trial_exponent[lane] - exponent[lane] + (nf if up else nb)
        size = (f if up else b) * power_of_two(n)
        a = x[lane] * inverse_x[lane] - y[lane] * inverse_y[lane]
        c = x[lane] * inverse_y[lane] + y[lane] * inverse_x[lane]
        s = sine if up else -sine
        a, c = size * (cosine * a - s * c), size * (cosine * c + s * a)
        old = real[lane]
        real[lane] = a * old - c * imaginary[lane]
        imaginary[lane] = c * old + a * imaginary[lane]


@row_function
def add_multiple(factor, row, total):
    """Add a multiple of one row to another."""
    for lane in range(total.size):
        total[lane] += factor * row[lane]


@row_function
def add_matrix(table, rows, totals):
    """Add sum_k table[j, k] rows[k] to each row j of totals, eight rows of `rows` at a time while they are in the
    cache."""
    whole = table.shape[1] - table.shape[1] % 8
    for first in range(0, whole, 8):
        r0, r1, r2, r3 = rows[first], rows[first + 1], rows[first + 2], rows[first + 3]
        r4, r5, r6, r7 = rows[first + 4], rows[first + 5], rows[first + 6], rows[first + 7]
        for j in range(table.shape[0]):
            f, total = table[j, first : first + 8], totals[j]
            f0, f1, f2, f3, f4, f5, f6, f7 = f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7]
            for lane in range(total.size):
                one = f0 * r0[lane] + f1 * r1[lane] + (f2 * r2[lane] + f3 * r3[lane])
                other = f4 * r4[lane] + f5 * r5[lane] + (f6 * r6[lane] + f7 * r7[lane])
                total[lane] += one + other
    for k in range(whole, table.shape[1]):
        for j in range(table.shape[0]):
            add_multiple(table[j, k], rows[k], totals[j])
