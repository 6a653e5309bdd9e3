"""The binary-binary machine on lanes: its logarithm and the derivatives by its parameters, in the notation of
spin_rbm.py."""

import math

import numpy as np

from parvmc.dispatch import implements, row_function
from parvmc.operations import is_complex, log_amplitude, log_derivatives, phase
from parvmc.states.spin_rbm_lanes import PACKS, ComplexSpinRbm, SpinRbm, multiply_complex
from parvmc.states.spin_rbm_rows import add_multiple
from parvmc.vecmath import log

_LN2 = 0.6931471805599453


@row_function
def _fill_mean(scale, offset, x, g):
    """g = t + s u / (1 + u), the mean of h given the spins, or in a complex machine what stands for it."""
    for lane in range(g.size):
        g[lane] = offset + scale * (x[lane] / (1.0 + x[lane]))


@row_function
def _fill_complex_mean(scale, offset, x, y, g, g_y):
    """u / (1 + u) = (|u|^2 + x + i y) / |1 + u|^2."""
    for lane in range(g.size):
        ux, uy = x[lane], y[lane]
        over = scale / ((1.0 + ux) * (1.0 + ux) + uy * uy)
        g[lane] = offset + over * (ux * ux + uy * uy + ux)
        g_y[lane] = over * uy


@row_function
def _fill_product(spins, g, row):
    for lane in range(row.size):
        row[lane] = spins[lane] * g[lane]


@row_function
def _add_product(spins, g, row):
    for lane in range(row.size):
        row[lane] += spins[lane] * g[lane]


@row_function
def _sum_over_translations(positions, places, g, derivatives, start, step):
    """Fill rows start, start + step, ... with sum_t s_(T_t(i)) g_t of each site i; g: rows of one filter.

    Eight translations serve all sites while g is in the cache, and most of the spins are those of the site before.
    """
    sites, translations = places.shape
    for i in range(sites):
        derivatives[start + i * step] = 0.0
    whole = translations - translations % 8
    for t in range(0, whole, 8):
        g0, g1, g2, g3, g4, g5, g6, g7 = g[t], g[t + 1], g[t + 2], g[t + 3], g[t + 4], g[t + 5], g[t + 6], g[t + 7]
        for i in range(sites):
            k, row = places[i, t : t + 8], derivatives[start + i * step]
            s0, s1, s2, s3 = positions[k[0]], positions[k[1]], positions[k[2]], positions[k[3]]
            s4, s5, s6, s7 = positions[k[4]], positions[k[5]], positions[k[6]], positions[k[7]]
            for lane in range(row.size):
                one = s0[lane] * g0[lane] + s1[lane] * g1[lane] + (s2[lane] * g2[lane] + s3[lane] * g3[lane])
                other = s4[lane] * g4[lane] + s5[lane] * g5[lane] + (s6[lane] * g6[lane] + s7[lane] * g7[lane])
                row[lane] += one + other
    for t in range(whole, translations):
        for i in range(sites):
            _add_product(positions[places[i, t]], g[t], derivatives[start + i * step])


@row_function
def _fill_biases(state, positions, g, is_real, derivatives, start, step):
    """Fill the rows of the biases, and return the first row after them; g: its real or its imaginary parts."""
    at, copies = start, max(state.places.shape[1], 1)
    if state.trains_visible:
        derivatives[at] = 0.0
        for i in range(positions.shape[0]):
            if copies == 1:
                derivatives[at + i * step] = 0.0
            if is_real:
                add_multiple(1.0, positions[i], derivatives[at if copies > 1 else at + i * step])
        at += step * (1 if copies > 1 else positions.shape[0])
    if state.trains_hidden:
        for j in range(state.hidden):
            if j % copies == 0:
                derivatives[at + j // copies * step] = 0.0
            add_multiple(1.0, g[j], derivatives[at + j // copies * step])
        at += step * (state.hidden // copies)
    return at


@row_function
def _fill_weights(state, positions, g, derivatives, start, step):
    sites, translations = positions.shape[0], state.places.shape[1]
    filters = state.hidden // max(translations, 1)
    for f in range(filters):
        if translations > 0:
            own = g[f * translations : (f + 1) * translations]
            _sum_over_translations(positions, state.places, own, derivatives, start + f * step, filters * step)
        else:
            for i in range(sites):
                _fill_product(positions[i], g[f], derivatives[start + (i * filters + f) * step])


@implements(log_derivatives, SpinRbm)
def _log_derivatives(state, work, positions, derivatives):
    """d ln psi by a_i: s_i; b_j: g_j; W_ij: s_i g_j; shared parameters: the sum over all that have them."""
    for j in range(state.hidden):
        _fill_mean(state.scale, state.offset, work.x[j], work.layer[j])
    at = _fill_biases(state, positions, work.layer, True, derivatives, 0, 1)
    if state.trains_weights:
        _fill_weights(state, positions, work.layer, derivatives, at, 1)


@implements(log_derivatives, ComplexSpinRbm)
def _complex_log_derivatives(state, work, positions, derivatives):
    for j in range(state.hidden):
        _fill_complex_mean(state.scale, state.offset, work.x[j], work.y[j], work.layer[j], work.layer_y[j])
    for part in range(2):
        g = work.layer if part == 0 else work.layer_y
        at = _fill_biases(state, positions, g, part == 0, derivatives, part, 2)
        if state.trains_weights:
            _fill_weights(state, positions, g, derivatives, at, 2)


@row_function
def _add_logarithm(constant, power, mantissa, exponent, logarithms):
    """Add constant + power ln(m 2^n); ln m would be a number also where m is none."""
    for lane in range(logarithms.size):
        m = mantissa[lane]
        logarithms[lane] += constant + power * (log(m) + _LN2 * exponent[lane] + (m - m))


@implements(log_amplitude, *PACKS)
def _log_amplitude(state, work, positions, logarithms):
    power = 0.5 if is_complex(state) else 1.0
    _add_logarithm(state.constant[0], power, work.mantissa, work.exponent, logarithms)
    for i in range(positions.shape[0]):
        add_multiple(state.slope[0, i], positions[i], logarithms)


@row_function
def _add_angle(constant, real, imaginary, phases):
    for lane in range(phases.size):
        phases[lane] += constant + math.atan2(imaginary[lane], real[lane])


@implements(phase, ComplexSpinRbm)
def _phase(state, work, positions, phases):
    real, imaginary, exponent = np.empty(phases.size), np.empty(phases.size), work.trial_exponent
    multiply_complex(work, work.ones, work.zeros, work.ones, work.zeros, real, imaginary, exponent)
    _add_angle(state.constant[-1], real, imaginary, phases)
    for i in range(positions.shape[0]):
        add_multiple(state.slope[-1, i], positions[i], phases)
