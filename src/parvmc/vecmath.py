"""Elementary functions that vectorise: PyPI's llvmlite has no vector mathematics, math.exp in a loop is a scalar call.

The polynomials use arithmetic and bit casts alone, so that a loop over lanes becomes vector code, and
the rounding trick in them is the reason why no kernel allows reassociation.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from parvmc.dispatch import KERNEL_OPTIONS, row_function

_LOG2_E = 1.4426950408889634
_LN2_HIGH = 6.93147180369123816490e-01  # its last 21 bits are zero, so that n * _LN2_HIGH is exact for |n| < 2^11
_LN2_LOW = 1.90821492927058770002e-10
_ROUNDER = 6755399441055744.0  # 1.5 * 2^52: added to t, it leaves the integer nearest to t in the low bits
_TWO_PI = 6.283185307179586
_MANTISSA_BITS = np.uint64(52)
_BITS_OF_2_52 = np.uint64(0x4330000000000000)
_LOWEST = -708.0
_HIGHEST = 709.0


def bits_of(value):
    """Return the 64 bits of a float64 as an int64."""
    return np.float64(value).view(np.int64)


def float_of(bits):
    """Return the float64 that has these 64 bits."""
    return np.int64(bits).view(np.float64)


def _cast(source, target, llvm_type):
    @intrinsic
    def cast(typing_context, value):
        def generate(context, builder, signature, arguments):
            return builder.bitcast(arguments[0], llvm_type)

        return target(source), generate

    return cast


_float_to_bits = _cast(types.float64, types.int64, ir.IntType(64))
_bits_to_float = _cast(types.int64, types.float64, ir.DoubleType())


@overload(bits_of, jit_options=KERNEL_OPTIONS)
def _bits_of(value):
    return lambda value: _float_to_bits(value)


@overload(float_of, jit_options=KERNEL_OPTIONS)
def _float_of(bits):
    return lambda bits: _bits_to_float(bits)


@row_function
def exp(x):
    """Return e^x to 1.01 units in the last place for -708 <= x <= 709; beyond, the value at the nearer end; NaN stays
    NaN.

    x = n ln 2 + r with |r| <= ln(2)/2: e^x = 2^n e^r, e^r = 1 + r + r^2 p(r) with the p of degree 9 that has the
    smallest relative error at the worst r, by Remez's exchange (5.5e-18 with coefficients rounded to float64).
    """
    x = _LOWEST if x < _LOWEST else x
    x = _HIGHEST if x > _HIGHEST else x
    shifted = x * _LOG2_E + _ROUNDER
    n = shifted - _ROUNDER
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = 2.4999032800082988e-08
    p = p * r + 2.76299332074078e-07
    p = p * r + 2.7557588545607506e-06
    p = p * r + 2.4801494094627624e-05
    p = p * r + 0.0001984126950587323
    p = p * r + 0.0013888888942528968
    p = p * r + 0.008333333333493613
    p = p * r + 0.04166666666653508
    p = p * r + 0.16666666666666416
    p = p * r + 0.500000000000001
    tail = r + r * r * p
    scale = float_of((bits_of(shifted) << 52) + 4607182418800017408)  # 1023 << 52, the bits of 1.0
    return scale + scale * tail


@row_function
def inverse_root(x):
    """Return 1 / sqrt(x) to 1.01 units in the last place for x from 2^-1021 to 2^1021, to 1.5 on processors without
    fused multiply-adds; of 0, where two particles are in one place, 3.9e154; anything else gives no meaning.

    y from halving the exponent, in the bits of x, is right to 3.5 %; then y (1 - h)^(-1/2), h = 1 - x y^2, twice: by
    the cubic with the smallest relative error for |h| < 0.07 (Remez, 7.5e-7), and by the series to h^2 (remainder
    below 2e-18). It takes half as long as a root and a division.
    """
    y = float_of(6910469410427058089 - (bits_of(x) >> 1))  # 0x5fe6eb50c7b537a9
    h = 1.0 - (x * y) * y
    y *= ((0.3130560614496741 * h + 0.3762815788030852) * h + 0.5000004230540122) * h + 0.9999992506272353
    h = 1.0 - (x * y) * y
    return y + (y * h) * (0.375 * h + 0.5)


@row_function
def log(x):
    """Return ln x to one unit in the last place for finite x >= 2^-1022; anything else gives a number without meaning.

    x = 2^n m with sqrt(1/2) <= m < sqrt(2), f = m - 1 and s = f / (2 + f): ln m = 2 artanh s = f - s (f - R), R the
    series 2 s^2 / 3 + 2 s^4 / 5 + ... to s^20 (remainder below 2e-18), and f - s (f - R) as f - (f^2 / 2 - s (f^2 / 2 +
    R)), which rounds least.
    """
    above = bits_of(x) - 4604544271217802189  # the bits of sqrt(1/2)
    high = above & -4503599627370496  # the sign and exponent bits of a float64: n << 52
    f = float_of(bits_of(x) - high) - 1.0
    # n + 1023 set into the low bits of 2^52: a conversion of integers to float64 is a scalar call without AVX-512
    count = np.uint64(above + 4607182418800017408) >> _MANTISSA_BITS
    n = float_of(np.int64(count | _BITS_OF_2_52)) - 4503599627371519.0  # 2^52 + 1023
    s = f / (2.0 + f)
    z = s * s
    p = 2.0 / 21.0
    p = p * z + 2.0 / 19.0
    p = p * z + 2.0 / 17.0
    p = p * z + 2.0 / 15.0
    p = p * z + 2.0 / 13.0
    p = p * z + 2.0 / 11.0
    p = p * z + 2.0 / 9.0
    p = p * z + 2.0 / 7.0
    p = p * z + 2.0 / 5.0
    p = p * z + 2.0 / 3.0
    half = 0.5 * f * f
    return n * _LN2_HIGH - ((half - (s * (half + z * p) + n * _LN2_LOW)) - f)


@row_function
def sine_and_cosine(u):
    """Return (sin, cos) of 2 pi u, each to two units in the last place, for |u| < 2^49.

    u = n / 4 + r with |r| <= 1/8: both by their Taylor series in y = 2 pi r, to y^17 and y^16 (remainders below 2e-18),
    and n, modulo 4, says which is which and with what sign.
    """
    shifted = 4.0 * u + _ROUNDER
    n = bits_of(shifted)
    y = _TWO_PI * (u - 0.25 * (shifted - _ROUNDER))
    z = y * y
    p = 1.0 / 355687428096000.0
    p = p * z - 1.0 / 1307674368000.0
    p = p * z + 1.0 / 6227020800.0
    p = p * z - 1.0 / 39916800.0
    p = p * z + 1.0 / 362880.0
    p = p * z - 1.0 / 5040.0
    p = p * z + 1.0 / 120.0
    p = p * z - 1.0 / 6.0
    sine = y + y * (z * p)
    p = 1.0 / 20922789888000.0
    p = p * z - 1.0 / 87178291200.0
    p = p * z + 1.0 / 479001600.0
    p = p * z - 1.0 / 3628800.0
    p = p * z + 1.0 / 40320.0
    p = p * z - 1.0 / 720.0
    p = p * z + 1.0 / 24.0
    cosine = 1.0 - (0.5 * z - z * (z * p))
    first = cosine if n & 1 else sine
    second = sine if n & 1 else cosine
    # the second bit of n is the sign of the sine, that of n + 1 the sign of the cosine
    return float_of(bits_of(first) ^ ((n & 2) << 62)), float_of(bits_of(second) ^ (((n + 1) & 2) << 62))


@row_function
def copy(row, target):
    """Copy a row; an assignment of arrays would be checked for their shapes, which takes long to compile."""
    for lane in range(row.size):
        target[lane] = row[lane]


@row_function
def shift(number, row):
    """Add a number to all of a row."""
    for lane in range(row.size):
        row[lane] += number


@row_function
def multiply_exponential(exponent, ratios):
    """Multiply each of the ratios by e^exponent."""
    for lane in range(ratios.size):
        ratios[lane] *= exp(exponent[lane])
