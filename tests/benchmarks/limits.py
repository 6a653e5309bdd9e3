"""The limit: how long the arithmetic takes that a walk cannot do without, at this core's measured throughput.

Each operation is timed in a loop that does nothing else, over rows of 128 lanes that stay in the first-level cache, as
the kernels' own rows do.
"""

import statistics
import time

import numba
import numpy as np

from parvmc import dispatch, randoms
from parvmc.vecmath import exp, inverse_root

LANES = 128
CHAIN = 16  # multiply-adds of a lane in one pass, in four chains: their latency is hidden, loads and stores are few

_kernel = numba.njit(**dispatch.KERNEL_OPTIONS)


@_kernel
def _exponentials(rows, words, times):
    for _ in range(times):
        for lane in range(rows.shape[1]):
            rows[1, lane] = exp(rows[0, lane])


@_kernel
def _uniforms(rows, words, times):
    for _ in range(times):
        randoms.uniform(words, rows[1])


@_kernel
def _quotients(rows, words, times):
    for _ in range(times):
        for lane in range(rows.shape[1]):
            rows[1, lane] = 1.0 / rows[0, lane]


@_kernel
def _inverse_roots(rows, words, times):
    for _ in range(times):
        for lane in range(rows.shape[1]):
            rows[1, lane] = inverse_root(rows[0, lane])


@_kernel
def _multiply_adds(rows, words, times):
    for _ in range(times):
        for lane in range(rows.shape[1]):
            x, a, b, c, d = rows[0, lane], rows[1, lane], rows[2, lane], rows[3, lane], rows[4, lane]
            for _ in range(CHAIN // 4):
                a, b, c, d = a * x + 0.5, b * x + 0.5, c * x + 0.5, d * x + 0.5
            rows[1, lane], rows[2, lane], rows[3, lane], rows[4, lane] = a, b, c, d


OPERATIONS = {
    "exponential": (_exponentials, 1),
    "random number": (_uniforms, 1),
    "division": (_quotients, 1),
    "inverse root": (_inverse_roots, 1),
    "multiply-add": (_multiply_adds, CHAIN),
}


def throughput(passes=20_000, repeats=7):
    """Return {operation: seconds of one on one lane}, medians."""
    rows = 0.3 + 0.1 * np.random.default_rng(1).random((5, LANES))
    words, found = np.ones((4, LANES), np.uint64), {}
    for name, (function, count) in OPERATIONS.items():
        function(rows, words, 1)  # compiles
        seconds = []
        for _ in range(repeats):
            start = time.process_time()
            function(rows, words, passes)
            seconds.append(time.process_time() - start)
        found[name] = statistics.median(seconds) / (passes * LANES * count)
    return found


def trap(particles, dimensions, hidden):
    """Return {work: {operation: count}} of one sweep, of one local energy, of both, and of the log-derivatives, for a
    walker of a trap with Coulomb repulsion.

    A move takes D + 1 random numbers, an exponential for each hidden unit and one for the Gaussian, a division, and
    D + 2 multiply-adds for each hidden unit (theta, u, the product). A local energy takes a division for each hidden
    unit, a multiply-add for each of its couplings, and one over a root and D multiply-adds for each pair.
    Log-derivatives take a division for each hidden unit, and two multiply-adds for each coupling: by the weight, and
    what it adds to those by the widths. What is stored is not counted.
    """
    units, pairs = particles * dimensions, particles * (particles - 1) // 2
    moves = {
        "exponential": particles * (hidden + 1),
        "random number": particles * (dimensions + 1),
        "division": particles,
        "multiply-add": particles * hidden * (dimensions + 2),
    }
    energy = {
        "division": hidden,
        "inverse root": pairs,
        "multiply-add": units * hidden + 2 * hidden + 3 * units + pairs * dimensions,
    }
    derivatives = {"division": hidden, "multiply-add": 2 * units * hidden + 4 * units + hidden}
    both = {name: moves.get(name, 0) + energy.get(name, 0) for name in OPERATIONS}
    return {"moves": moves, "energies": energy, "moves and energies": both, "derivatives": derivatives}


def spins(sites, hidden, changes, is_complex, unequal=1.0, accepted=1.0):
    """Return {work: {operation: count}} of one proposal, one local energy and one vector of log-derivatives of spins.

    changes: off-diagonal terms of the local energy; unequal: share of the moves that change anything, less than 1 for
    exchanges; accepted: share of the proposals that are.

    What changes nothing takes nothing but its random number. Any other proposal takes u' = u t and the product of
    (1 + u') for each hidden unit, two multiply-adds, of complex numbers seven (four for u', two for |1 + u'|^2, one for
    the product); where it is accepted u' is kept, one multiplication more, of complex numbers four. A local energy
    takes one such product for each term, a complex one (eight multiply-adds), and one division. A log-derivative takes
    a multiply-add for each site and hidden unit, whether they are summed over translations or not, of complex numbers
    two, and a division for each hidden unit. What is stored is not counted.
    """
    square, product, kept = (7, 8, 4) if is_complex else (2, 2, 1)
    return {
        "proposals": {
            "random number": 1,
            "multiply-add": hidden * (square * unequal + kept * accepted),
            "division": unequal,
        },
        "local energies": {"multiply-add": changes * unequal * product * hidden, "division": 1},
        "derivatives": {"multiply-add": (2 if is_complex else 1) * sites * hidden, "division": hidden},
    }


def seconds(counts, costs):
    """Return the time of so many operations at these costs."""
    return sum(count * costs[name] for name, count in counts.items())
