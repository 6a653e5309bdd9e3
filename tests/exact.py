"""Energies and moments of restricted-Boltzmann-machine states without Monte Carlo, for the tests to compare with.

The state is psi(x) = F(x)^p with

    F(x) = sum_h exp[ -sum_i (x_i - a_i)^2 / (k sigma_i^2) + sum_j b_j h_j + sum_ij x_i w_ij h_j / sigma_i^c ],

each h_j one of two values: {0, 1} or {-1, 1}. Course texts have k = 2, c = 2; the lecture has k = 1, c = 0. Everything
here follows from completing the square: with mu_i(h) = sum_j w_ij h_j / sigma_i^c,

    F(x) = sum_h q_h exp[ -sum_i (x_i - C_i)^2 / (k sigma_i^2) ],   C_i(h) = a_i + k sigma_i^2 mu_i / 2,
    ln q_h = sum_j b_j h_j + sum_i (a_i mu_i + k sigma_i^2 mu_i^2 / 4),

so F is a sum of 2^H Gaussians of the same widths, and F^n is one too (n copies of every hidden unit, k -> k / n).

The Hamiltonian is H = sum_i (-1/2 del_i^2 + 1/2 omega^2 r_i^2) + sum_{i<j} strength / r_ij, in units hbar = m = e = 1.
Shapes: a[M], b[H], w[M, H], sigma[M] (or one number), M = particles * dimensions, unit m = particle * dimensions +
axis.
Cost grows as 2^H (psi = sqrt(F)) or 4^H (psi = F): meant for H up to 8. Only numpy is needed.
"""

from typing import NamedTuple

import numpy as np

# -------------------------------------------------------------------------------------------- the density, as Gaussians


class Mixture(NamedTuple):
    """A normalised sum of Gaussians, sum_t weights[t] Normal(means[t], diag(variances))."""

    weights: np.ndarray  # float64[terms], sums to 1
    means: np.ndarray  # float64[terms, M]
    variances: np.ndarray  # float64[M], the same for every term


def hidden_states(hidden_values, count):
    """Every configuration of `count` hidden units: float64[2^count, count], the last unit changing fastest."""
    values = np.asarray(hidden_values, dtype=float)
    if values.shape != (2,):
        raise ValueError(f"a hidden unit has two values, such as (0, 1) or (-1, 1); got {hidden_values!r}")
    bits = (np.arange(2**count)[:, None] >> np.arange(count)[::-1]) & 1
    return values[bits]


def mixture(a, b, w, sigma, k, c, hidden_values, p):
    """The density |psi|^2 = F^(2p), normalised, as a Mixture of 2^(2pH) Gaussians of variance k sigma^2 / (4p).

    p = 1/2: one term for every h. p = 1: one for every pair (h, h'), the pair being `hidden_states(values, 2H)` with h
    in the first H columns. 2p has to be a positive integer.
    """
    a, b, w, sigma = _parameters(a, b, w, sigma)
    copies = round(2 * p)
    if copies < 1 or copies != 2 * p:
        raise ValueError(f"F^(2p) is a finite mixture only if 2p is a positive integer; got p = {p}")
    k = k / copies
    h = hidden_states(hidden_values, copies * b.size)
    mu = h @ np.tile(w / sigma[:, None] ** c, copies).T
    log_weights = h @ np.tile(b, copies) + mu @ a + mu**2 @ (k * sigma**2 / 4)
    weights = np.exp(log_weights - log_weights.max())
    return Mixture(weights / weights.sum(), a + mu * (k * sigma**2 / 2), k * sigma**2 / 2)


def moments(mix):
    """<x_i> (float64[M]) and <x_i x_j> (float64[M, M]) of a Mixture."""
    second = (mix.weights[:, None] * mix.means).T @ mix.means + np.diag(mix.variances)
    return mix.weights @ mix.means, second


_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(96)
_ANGLES, _ANGLE_WEIGHTS = np.pi / 4 * (_NODES + 1), np.pi / 4 * _NODE_WEIGHTS


def inverse_distance(mix, dimensions):
    """sum_{i<j} <1 / r_ij> over a Mixture, in two or more dimensions; axes may have different variances.

    With 1/r = (2 / sqrt(pi)) int_0^inf exp(-t^2 r^2) dt, r_ij Gaussian with mean d_n and variance s_n^2 along axis n,
    and t = tan(phi) / (sqrt(2) s), s any length (here the geometric mean of the s_n):

        <1/r> = sqrt(2 / pi) / s int_0^{pi/2} cos(phi)^(D-2) prod_n q_n^(-1/2) exp[ -S ] dphi,
        S = sin(phi)^2 sum_n d_n^2 / (2 s^2 q_n),   q_n = cos(phi)^2 + (s_n / s)^2 sin(phi)^2.

    The integrand is smooth, so Gauss-Legendre converges exponentially. For equal variances it is `inverse_distance_2d`.
    """
    if dimensions < 2:
        raise ValueError("<1/r> diverges in one dimension: use two or three")
    sin2, cos2 = np.sin(_ANGLES) ** 2, np.cos(_ANGLES) ** 2
    means = mix.means.reshape(len(mix.weights), -1, dimensions)
    variances = mix.variances.reshape(-1, dimensions)
    total = 0.0
    for i in range(len(variances)):
        for j in range(i):
            s2 = variances[i] + variances[j]
            scale2 = np.exp(np.log(s2).mean())
            q = cos2 + (s2 / scale2)[:, None] * sin2
            measure = _ANGLE_WEIGHTS * cos2 ** ((dimensions - 2) / 2) / np.sqrt(q.prod(axis=0))
            decay = np.exp(-((means[:, i] - means[:, j]) ** 2) @ (sin2 / (2 * scale2 * q)))
            total += np.sqrt(2 / (np.pi * scale2)) * (mix.weights @ (decay @ measure))
    return float(total)


def inverse_distance_2d(d, s):
    """<1/r> of a two-dimensional Gaussian of mean distance d and variance s^2 per axis, in closed form:

    sqrt(pi / 2) / s exp(-z) I0(z), z = d^2 / (4 s^2); for z > 500, where I0 is about to overflow, by its asymptotic
    series (Abramowitz and Stegun, 9.7.1).
    """
    z = np.asarray(d, dtype=float) ** 2 / (4 * s**2)
    small, large = np.minimum(z, 500.0), np.maximum(z, 500.0)
    x = 1 / (8 * large)
    series = (1 + x * (1 + x * (9 / 2 + x * (225 / 6 + x * 11025 / 24)))) / np.sqrt(2 * np.pi * large)
    return np.sqrt(np.pi / 2) / s * np.where(z <= 500.0, np.exp(-small) * np.i0(small), series)


# --------------------------------------------------------------------------------------------------------- the energies


def energy_full(a, b, w, sigma, k, c, hidden_values, omega, dimensions, strength):
    """<H> for psi = F, in closed form but for the one-dimensional integral of `inverse_distance`.

    The pair (h, h') of |psi|^2 is a product of two Gaussians exp[-alpha_i (x_i - C_i)^2], alpha_i = 1 / (k sigma_i^2),
    and 1/2 int del phi_h . del phi_h' = overlap(h, h') 1/2 sum_i [alpha_i - alpha_i^2 (C_i - C'_i)^2].

    Returns a dict of energy, kinetic, trap, interaction. Any number of particles.
    """
    a, b, w, sigma = _parameters(a, b, w, sigma)
    mix = mixture(a, b, w, sigma, k, c, hidden_values, 1)
    h = hidden_states(hidden_values, 2 * b.size)
    shift = (h[:, : b.size] - h[:, b.size :]) @ (w * (k / 2 * sigma ** (2 - c))[:, None]).T
    alpha = 1 / (k * sigma**2)
    kinetic = (alpha.sum() - mix.weights @ (shift**2 @ alpha**2)) / 2
    return _energy(kinetic, mix, omega, dimensions, strength)


def energy_sqrt(a, b, w, sigma, k, c, hidden_values, omega, dimensions, strength, spacing=1.0):
    """<H> for psi = sqrt(F): |psi|^2 = F is a mixture; only the kinetic energy needs a quadrature, a smooth one.

    With y_i = (x_i - a_i) / sqrt(v_i), v_i = k sigma_i^2 / 2, and u_ij = sqrt(k / 2) sigma_i^(1-c) w_ij,

        F = exp(-|y|^2 / 2) sum_h exp[ sum_j (beta_j + y . u_j) h_j ],  beta_j = b_j + sum_i a_i w_ij / sigma_i^c,
        1/2 <|del ln psi|^2> = 1/8 sum_i < (-y_i + sum_j u_ij g_j)^2 > / v_i,
        g_j = d/dtheta ln sum_{h_j} exp(theta h_j) at theta = beta_j + y . u_j.

    The g_j depend on y only within the span of the u_j. Along every other direction y is a standard normal, independent
    of the rest. That leaves an integral over min(M, H) directions, done by the trapezoidal rule, which converges
    exponentially for an analytic integrand. The step is `spacing` times one at which the error is about 1e-12. For two
    electrons in two dimensions H = 2 takes milliseconds, H = 8 about a second.

    Returns a dict of energy, kinetic, trap, interaction. Any number of particles.
    """
    a, b, w, sigma = _parameters(a, b, w, sigma)
    low, high = hidden_values
    v = k * sigma**2 / 2
    u = np.sqrt(k / 2) * sigma[:, None] ** (1 - c) * w
    beta = b + a @ (w / sigma[:, None] ** c)
    axes = _span(u)
    grid = _grid(axes.T @ u, hidden_values, spacing)
    h = hidden_states(hidden_values, b.size)
    largest = (h @ beta + ((h @ u.T) ** 2).sum(axis=1) / 2).max()
    norm, inside = 0.0, np.zeros(a.size)
    for start in range(0, grid.shape[1], 65536):  # bounds the memory: four directions can need millions of points
        z = grid[:, start : start + 65536]
        theta = beta + z.T @ (axes.T @ u)
        half, middle = (high - low) / 2 * theta, (high + low) / 2
        log_f = -(z**2).sum(axis=0) / 2 + (middle * theta + np.logaddexp(half, -half)).sum(axis=1)
        density = np.exp(log_f - largest)
        slope = (middle + (high - low) / 2 * np.tanh(half)) @ u.T - (axes @ z).T
        norm += density.sum()
        inside += density @ slope**2
    outside = 1 - (axes**2).sum(axis=1)
    kinetic = ((inside / norm + outside) / v).sum() / 8
    mix = mixture(a, b, w, sigma, k, c, hidden_values, 0.5)
    return _energy(kinetic, mix, omega, dimensions, strength)


def energy_quadrature(log_psi, omega, strength, com_points=24, radial_points=48, angles=32):
    """<H> of any real state of two particles in two dimensions, by brute force: the slow, independent route.

    log_psi takes positions float64[4, points] and returns float64[points]. Coordinates are the centre of mass
    R = (r_1 + r_2) / 2 (trapezoidal rule within 4.5 / sqrt(omega)), and r = r_1 - r_2 in polar form, with r dr dphi
    cancelling 1/r (Gauss-Legendre in r up to 9 / sqrt(omega), trapezoidal in phi). The kinetic energy is
    1/2 <|del ln psi|^2>, positive and of first derivatives only, by central differences: a cusp at r = 0 does no harm.
    Accurate for a state about as wide as the trap's ground state. Returns a dict of energy, kinetic, trap, interaction.
    """
    length = 1 / np.sqrt(omega)
    com = np.linspace(-4.5, 4.5, com_points) * length
    nodes, node_weights = np.polynomial.legendre.leggauss(radial_points)
    radius = 4.5 * length * (nodes + 1)
    angle = 2 * np.pi * np.arange(angles) / angles
    sums = np.zeros(4)
    reference = None
    for r, r_weight in zip(radius, node_weights, strict=True):
        big_x, big_y, phi = (g.ravel() for g in np.meshgrid(com, com, angle, indexing="ij"))
        x, y = r / 2 * np.cos(phi), r / 2 * np.sin(phi)
        positions = np.array([big_x + x, big_y + y, big_x - x, big_y - y])
        log_density = 2 * log_psi(positions)
        if reference is None:
            reference = log_density.max()
        density = np.exp(log_density - reference) * r * r_weight
        squared_slope = np.zeros(density.shape)
        step = 1e-5 * length
        for unit in range(4):
            moved = np.zeros((4, 1))
            moved[unit] = step
            squared_slope += ((log_psi(positions + moved) - log_psi(positions - moved)) / (2 * step)) ** 2
        trap = omega**2 / 2 * (positions**2).sum(axis=0)
        sums += density.sum(), density @ squared_slope / 2, density @ trap, density.sum() * strength / r
    kinetic, trap, interaction = (float(value) for value in sums[1:] / sums[0])
    return {"energy": kinetic + trap + interaction, "kinetic": kinetic, "trap": trap, "interaction": interaction}


# -------------------------------------------------------------------------------------------------------- the gradients


def gradient_full(a, b, w, sigma, k, c, hidden_values, omega, dimensions, strength, step=1e-3):
    """d<H>/d(a, b, w, sigma) for psi = F, as a dict of arrays shaped like the parameters; see `_gradient`."""
    return _gradient(energy_full, (a, b, w, sigma), (k, c, hidden_values, omega, dimensions, strength), step)


def gradient_sqrt(a, b, w, sigma, k, c, hidden_values, omega, dimensions, strength, step=1e-3):
    """d<H>/d(a, b, w, sigma) for psi = sqrt(F), as a dict of arrays shaped like the parameters; see `_gradient`."""
    return _gradient(energy_sqrt, (a, b, w, sigma), (k, c, hidden_values, omega, dimensions, strength), step)


def _gradient(energy, parameters, settings, step):
    """Central differences of fourth order, [8 (E(+s) - E(-s)) - (E(+2s) - E(-2s))] / (12 s): error about 1e-10.

    sigma counts as one parameter per unit; the derivative by a shared sigma is the sum over the units.
    """
    parameters = _parameters(*parameters)
    result = {}
    for name, values in zip(("a", "b", "w", "sigma"), parameters, strict=True):
        slopes = np.zeros(values.size)
        flat = values.reshape(-1)
        for n, value in enumerate(flat.copy()):
            for distance, weight in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
                flat[n] = value + distance * step
                slopes[n] += weight * energy(*parameters, *settings)["energy"] / (12 * step)
            flat[n] = value
        result[name] = slopes.reshape(values.shape)
    return result


# --------------------------------------------------------------------------------------------------------------- pieces


def _parameters(a, b, w, sigma):
    """Fresh float64 arrays a[M], b[H], w[M, H], sigma[M]; a single sigma is repeated for all units."""
    a, b, w = (np.array(x, dtype=float) for x in (a, b, w))
    sigma = np.array(np.broadcast_to(np.asarray(sigma, dtype=float), a.shape))
    if a.ndim != 1 or b.ndim != 1 or w.shape != (a.size, b.size):
        raise ValueError(f"expected a[M], b[H], w[M, H]; got shapes {a.shape}, {b.shape}, {w.shape}")
    if not (sigma > 0).all():
        raise ValueError(f"sigma has to be positive; got {sigma}")
    return a, b, w, sigma


def _energy(kinetic, mix, omega, dimensions, strength):
    """Adds the trap, 1/2 omega^2 sum_i <x_i^2>, and the interaction, strength sum_{i<j} <1/r_ij>."""
    trap = omega**2 / 2 * np.trace(moments(mix)[1])
    interaction = strength * inverse_distance(mix, dimensions) if strength else 0.0
    energy = kinetic + trap + interaction
    return {"energy": float(energy), "kinetic": float(kinetic), "trap": float(trap), "interaction": float(interaction)}


def _span(u):
    """An orthonormal basis of the columns of u[M, H]: float64[M, rank]."""
    axes, sizes, _ = np.linalg.svd(u, full_matrices=False)
    return axes[:, sizes > 1e-14 * max(1.0, sizes.max(initial=0.0))]


def _grid(u, hidden_values, spacing):
    """Trapezoidal grid for the density exp(-|z|^2 / 2) prod_j sum_{h_j} exp[(beta_j + z . u_j) h_j]: [axes, points].

    A step t integrates a Gaussian of variance one to 2 exp(-2 pi^2 / t^2). A function with its nearest pole at a
    distance y from the real axis has an error exp(-2 pi y / t); tanh(theta (high - low) / 2) has y = pi / ((high - low)
    |u_j|). Here both exponents are at least 30. The box reaches 7.5 standard deviations beyond the outermost mean.
    """
    low, high = hidden_values
    axes = []
    for row in u:
        width = np.abs((high - low) * row).max()
        step = spacing * min(0.75, 2 * np.pi**2 / (30 * width) if width > 0 else np.inf)
        left = np.minimum(low * row, high * row).sum() - 7.5
        right = np.maximum(low * row, high * row).sum() + 7.5
        axes.append(np.linspace(left, right, int(np.ceil((right - left) / step)) + 1))
    if not axes:
        return np.zeros((0, 1))
    return np.array([g.ravel() for g in np.meshgrid(*axes, indexing="ij")])


# ------------------------------------------------------------------------------------------------------ a known optimum

# The least energy of psi = sqrt(F) for two electrons in two dimensions, omega = 1, strength 1, two hidden units in
# {0, 1}, one sigma for all units, course convention k = 2, c = 2. BFGS on `energy_sqrt` over a, b, w and sigma, from
# four random starts, always ended at b = 0, a = -(1/2) sum_j w_j, and w_1, w_2 orthogonal, of one length and opposite
# for the two electrons. The frame is free (rotations cost nothing): here w_1 lies along x. Newton's method over the two
# numbers that remain, that length and sigma, took the slope below 1e-12. As for every state whose length scale is
# optimal, 2 <T> = 2 <V_trap> - <V_Coulomb>.
_LENGTH = 0.8851857643760407
OPTIMUM_SQRT_H2 = {
    "a": np.array([-_LENGTH / 2, -_LENGTH / 2, _LENGTH / 2, _LENGTH / 2]),
    "b": np.zeros(2),
    "w": np.array([[_LENGTH, 0], [0, _LENGTH], [-_LENGTH, 0], [0, -_LENGTH]]),
    "sigma": 0.6763498378724813,
    "energy": 3.060091480075,
    "kinetic": 0.859933895527,
    "trap": 1.306675125107,
    "interaction": 0.893482459440,
}
