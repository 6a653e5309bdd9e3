"""Elementary functions that vectorise: PyPI's llvmlite has no vector mathematics, math.exp in a loop is a scalar call.

The polynomials use additions, multiplications and bit casts alone, so that a loop over lanes becomes vector code, and
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
    """Return e^x to one unit in the last place for -708 <= x <= 709; beyond, the value at the nearer end; NaN stays
    NaN.

    x = n ln 2 + r with |r| <= ln(2)/2: e^x = 2^n e^r, e^r by its Taylor series to r^13 (remainder below 5e-18).
    """
    x = _LOWEST if x < _LOWEST else x
    x = _HIGHEST if x > _HIGHEST else x
    shifted = x * _LOG2_E + _ROUNDER
    n = shifted - _ROUNDER
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    tail = r + r * r * p
    scale = float_of((bits_of(shifted) << 52) + 4607182418800017408)  # 1023 << 52, the bits of 1.0
    return scale + scale * tail
