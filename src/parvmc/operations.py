"""The vocabulary of the kernels: every operation that a pack may implement, documented and empty. Read this first.

Arrays are `[unit, lane]`: a batch holds L walkers, its lanes, which lie side by side in memory. Unit m of a particle
system is axis k of particle i, m = i * dimensions + k; unit i of a lattice is the spin of site i, 1.0 or -1.0.
Everything is in the units hbar = m = e = 1. What the settings of a component declare outside kernels is in
declarations.py.

A move of a particle is a displacement (`ratio`), a move of a lattice is a row of `Spins.moves`, sites that are flipped
(`flip_ratio`); `accept` ends either. Where psi is complex, its trained coordinates are real and imaginary parts by
turns, re_0, im_0, re_1, im_1, ..., and d ln psi / d re_k = O_k, a holomorphic derivative.

Arrays are allocated by `workspace`; what else may allocate or return them is an `allocating_operation` here.
"""

from parvmc.dispatch import allocating_operation, operation, otherwise


@allocating_operation
def workspace(state, lanes):
    """Return the pack of arrays that the state derives from the positions of one batch, not yet filled."""


@operation
def rebuild(state, work, positions):
    """Fill `work` from the positions float64[units, lanes]."""


@operation
def ratio(state, work, positions, particle, displacement, ratios):
    """Multiply ratios float64[lanes] by |psi(x')|^2 / |psi(x)|^2, x' with one particle displaced.

    displacement: float64[3, lanes], rows past the dimensions are zero. `work` keeps what `accept` will need.
    """


@operation
def accept(state, work, mask):
    """Make the last move of `ratio` or `flip_ratio` final in the lanes where mask float64[lanes] is 1; elsewhere it is
    0."""


@operation
def is_complex(state):
    """Return whether psi has a phase; real states are positive everywhere."""


@otherwise(is_complex)
def _is_real(state):
    return False


@operation
def flip_ratio(state, work, positions, move, ratios):
    """Multiply ratios float64[lanes] by |psi(s')|^2 / |psi(s)|^2, s' with the sites of row `move` of `Spins.moves`
    flipped.

    Where the two spins of an exchange are equal the ratio may be anything. `work` keeps what `accept` will need.
    """


@operation
def mirror_ratio(state, work, positions, ratios):
    """Multiply ratios float64[lanes] by |psi(-s)|^2 / |psi(s)|^2, all spins flipped."""


@operation
def mirror(state, work, mask):
    """Flip all spins in the lanes where mask float64[lanes] is 1, after `mirror_ratio`; elsewhere it is 0."""


@operation
def begin_amplitudes(state, work, positions):
    """Prepare `work` for calls of `amplitude_ratio` from these positions, those of the last move or `rebuild`."""


@operation
def amplitude_ratio(state, work, positions, move, real, imaginary):
    """Multiply real + i imaginary, rows float64[lanes], by psi(s') / psi(s), s' as in `flip_ratio`.

    `begin_amplitudes` was called before; a real state leaves the row `imaginary` alone. Where the two spins of an
    exchange are equal the product may be anything finite.
    """


@allocating_operation
def phase(state, work, positions, phases):
    """Add arg psi (radian, modulo 2 pi) to phases float64[lanes]."""


@otherwise(phase)
def _no_phase(state, work, positions, phases):
    pass


@operation
def drift(state, work, positions, particle, gradients):
    """Add d ln psi / dx of one particle's coordinates to gradients float64[3, lanes]."""


@operation
def trial_drift(state, work, positions, particle, displacement, gradients):
    """Add the same at the place to which `ratio` was last asked to displace that particle; nothing is accepted yet."""


@allocating_operation
def hidden_layer(state, work):
    """Return float64[hidden, lanes], where `draw_hidden` puts, and `draw_visible` looks for, how many copies are on."""


@operation
def draw_hidden(state, work, randoms):
    """Draw the hidden layer from P(h|x), x the positions of the last `rebuild`."""


@allocating_operation
def draw_visible(state, work, positions, randoms, scratch):
    """Draw the positions from P(x|h), a Gaussian for every coordinate, and rebuild; scratch: float64[2, lanes]."""


@operation
def gradient(state, work, positions, gradients, laplacian):
    """Add d ln psi / dx_m to gradients float64[units, lanes] and the sum of d2 ln psi / dx_m^2 to laplacian
    float64[lanes]."""


@operation
def log_derivatives(state, work, positions, derivatives):
    """Fill derivatives float64[trained, lanes] with d ln psi / d coordinate, where psi is complex with Re O_0, Im O_0,
    Re O_1, ... of the holomorphic O_k."""


@operation
def log_amplitude(state, work, positions, logarithms):
    """Add ln |psi| to logarithms float64[lanes], up to a constant that does not depend on positions or parameters."""


@operation
def pair_ratio(factor, first, second, distance, proposed, exponent, ratios):
    """Multiply ratios float64[lanes] by e^(2 f(r') - 2 f(r)), f = ln psi of the pair, or add its logarithm to exponent.

    distance, proposed: the rows of r and r'; first, second: the particles' numbers.
    """


@operation
def pair_slopes(factor, first, second, distance, slope, curvature):
    """Fill the rows slope with f'(r) / r and curvature with f''(r)."""


@operation
def pair_logarithm(factor, first, second, distance, logarithms):
    """Add f(r) to the row logarithms."""


@operation
def pair_derivatives(factor, first, second, distance, derivatives):
    """Add d f(r) / d coordinate to derivatives float64[trained, lanes]."""


@operation
def pair_energy(interaction, squared_distance, energy):
    """Add v(r) to the row energy float64[lanes], given the row of r^2."""


@operation
def interacts(interaction):
    """Return whether v(r) is anything but zero."""


@operation
def local_energy(hamiltonian, state, work, positions, scratch, table):
    """Fill table float64[2 + components, lanes]: the estimator, the local energy, and each component of the estimator.

    The local energy is H psi / psi; the estimator has the same mean and its poles at coalescence taken off. Where psi
    is complex these are real parts, and one more row is filled with the local energy's imaginary part.
    scratch: float64[units + 16, lanes].
    """


@allocating_operation
def measure(observable, state, work, positions, randoms, scratch, row):
    """Add to row float64[size] what the observable finds in one batch, a mean over its lanes.

    It may propose moves by `ratio` and draw from `randoms`, never `accept`. scratch: float64[units + 16, lanes].
    """


@allocating_operation
def sweep(sampler, state, work, positions, randoms, scratch):
    """Propose one move for every particle, or as many as there are sites, in every lane and return how many were
    accepted.

    randoms: uint64[4, lanes], the lanes' streams; scratch: float64[units + 16, lanes].
    """
