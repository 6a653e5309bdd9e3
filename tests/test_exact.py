"""The deterministic energies of exact.py against closed forms, brute-force quadrature and tabulated numbers."""

import itertools
import math

import exact
import numpy as np
import pytest

CONVENTIONS = [(2, 2, (0, 1)), (1, 0, (-1, 1)), (2, 2, (-1, 1)), (1, 0, (0, 1)), (2, 1, (0, 1))]  # k, c, hidden values


def random_state(units, hidden, seed, k=2):
    """Parameters a, b, w, sigma of a lopsided state about as wide as psi = exp(-x^2 / 2), every sigma different."""
    rng = np.random.default_rng(seed)
    a, b = 0.3 * rng.normal(size=units), 0.5 * rng.normal(size=hidden)
    w = 0.5 * rng.normal(size=(units, hidden))
    return a, b, w, np.sqrt(2 / k) * rng.uniform(0.65, 0.9, size=units)


def naive_f(x, a, b, w, sigma, k, c, hidden_values):
    """F(x) at one point, by loops."""
    total = 0.0
    for h in itertools.product(hidden_values, repeat=len(b)):
        exponent = 0.0
        for i in range(len(x)):
            exponent -= (x[i] - a[i]) ** 2 / (k * sigma[i] ** 2)
            for j in range(len(h)):
                exponent += x[i] * w[i, j] * h[j] / sigma[i] ** c
        for j in range(len(h)):
            exponent += b[j] * h[j]
        total += math.exp(exponent)
    return total


def log_f(x, a, b, w, sigma, k, c, hidden_values):
    """ln F at positions x[M, points]: the product form, for the quadrature."""
    theta = b[:, None] + (w / sigma[:, None] ** c).T @ x
    gaussian = ((x - a[:, None]) ** 2 / (k * sigma[:, None] ** 2)).sum(axis=0)
    return np.logaddexp(hidden_values[0] * theta, hidden_values[1] * theta).sum(axis=0) - gaussian


# ---------------------------------------------------------------------------------------------------------- the mixture


@pytest.mark.parametrize(("k", "c", "hidden_values"), CONVENTIONS)
@pytest.mark.parametrize("p", [0.5, 1])
@pytest.mark.parametrize(("units", "hidden"), [(1, 1), (1, 3), (4, 2), (6, 3)])
def test_mixture_is_proportional_to_a_naive_sum(k, c, hidden_values, p, units, hidden):
    state = random_state(units, hidden, seed=1, k=k)
    mix = exact.mixture(*state, k, c, hidden_values, p)
    assert mix.weights.shape == (2 ** round(2 * p * hidden),)
    assert mix.weights.sum() == pytest.approx(1, abs=1e-14)
    ratios = []
    for x in np.random.default_rng(2).normal(size=(10, units)):
        density = mix.weights @ np.exp(-((x - mix.means) ** 2 / (2 * mix.variances)).sum(axis=1))
        ratios.append(density / naive_f(x, *state, k, c, hidden_values) ** (2 * p))
    assert np.ptp(ratios) < 1e-11 * np.mean(ratios)


@pytest.mark.parametrize("p", [0.5, 1])
def test_moments_of_one_unit_equal_a_sum_over_a_grid(p):
    state = random_state(1, 2, seed=3)
    x = np.linspace(-9, 9, 2001)
    density = np.exp(2 * p * log_f(x[None], *state, 2, 2, (0, 1)))
    first, second = exact.moments(exact.mixture(*state, 2, 2, (0, 1), p))
    assert first[0] == pytest.approx(density @ x / density.sum(), abs=1e-12)
    assert second[0, 0] == pytest.approx(density @ x**2 / density.sum(), abs=1e-12)


def test_second_moments_carry_the_correlation_between_units():
    state = random_state(2, 2, seed=4)
    axis = np.linspace(-8, 8, 161)
    x = np.array([g.ravel() for g in np.meshgrid(axis, axis)])
    density = np.exp(log_f(x, *state, 2, 2, (-1, 1)))
    _, second = exact.moments(exact.mixture(*state, 2, 2, (-1, 1), 0.5))
    assert second == pytest.approx((density * x) @ x.T / density.sum(), abs=1e-10)


def test_mixture_refuses_a_power_that_is_not_a_finite_sum():
    with pytest.raises(ValueError, match="2p"):
        exact.mixture(*random_state(2, 1, seed=0), 2, 2, (0, 1), 0.3)


# -------------------------------------------------------------------------------------------------------- the integrals


@pytest.mark.parametrize("d", [0, 1e-3, 0.7, 3, 10, 60])
def test_inverse_distance_equals_its_closed_form_for_equal_variances(d):
    s = 0.9
    plane = exact.Mixture(np.ones(1), np.array([[d, 0, 0, 0]], dtype=float), np.full(4, s**2 / 2))
    space = exact.Mixture(np.ones(1), np.array([[d, 0, 0, 0, 0, 0]], dtype=float), np.full(6, s**2 / 2))
    in_space = math.erf(d / (math.sqrt(2) * s)) / d if d else math.sqrt(2 / math.pi) / s
    assert exact.inverse_distance(plane, 2) == pytest.approx(exact.inverse_distance_2d(d, s), rel=1e-12)
    assert exact.inverse_distance(space, 3) == pytest.approx(in_space, rel=1e-12)


def test_closed_form_does_not_overflow_and_is_continuous_where_the_series_takes_over():
    assert exact.inverse_distance_2d(1e6, 1.0) == pytest.approx(1e-6, rel=1e-11)
    z = np.array([500 * (1 - 1e-12), 500 * (1 + 1e-12)])
    below, above = exact.inverse_distance_2d(np.sqrt(4 * z), 1.0)
    assert above == pytest.approx(below, rel=3e-12)


def test_inverse_distance_for_unequal_variances_equals_a_polar_sum():
    s2, d = np.array([0.3, 1.7]), np.array([0.8, -0.5])
    mix = exact.Mixture(np.ones(1), np.array([[*d, 0, 0]]), np.array([*(0.4 * s2), *(0.6 * s2)]))
    nodes, weights = np.polynomial.legendre.leggauss(200)
    r, phi = np.meshgrid(7 * (nodes + 1), np.linspace(0, 2 * np.pi, 400, endpoint=False), indexing="ij")
    exponent = (r * np.cos(phi) - d[0]) ** 2 / s2[0] + (r * np.sin(phi) - d[1]) ** 2 / s2[1]
    value = 7 * weights @ np.exp(-exponent / 2).mean(axis=1) / np.sqrt(s2.prod())
    assert exact.inverse_distance(mix, 2) == pytest.approx(value, rel=1e-10)


def test_inverse_distance_refuses_one_dimension():
    with pytest.raises(ValueError, match="one dimension"):
        exact.energy_full(*random_state(2, 1, seed=0), 2, 2, (0, 1), 1.0, 1, 1.0)


# --------------------------------------------------------------------------------------------------------- the energies


@pytest.mark.parametrize(("k", "c", "hidden_values"), CONVENTIONS)
@pytest.mark.parametrize(("particles", "dimensions"), [(1, 1), (2, 2), (3, 3)])
@pytest.mark.parametrize(("energy", "p"), [(exact.energy_full, 1), (exact.energy_sqrt, 0.5)])
def test_free_particles_have_half_omega_per_axis(k, c, hidden_values, particles, dimensions, energy, p):
    units, omega = particles * dimensions, 0.7
    sigma = math.sqrt(2 * p / (k * omega))
    result = energy(np.zeros(units), [0.4, -1], np.zeros((units, 2)), sigma, k, c, hidden_values, omega, dimensions, 0)
    assert result["energy"] == pytest.approx(units * omega / 2, rel=1e-14)
    assert result["kinetic"] == pytest.approx(result["trap"], rel=1e-14)
    assert result["interaction"] == 0


@pytest.mark.parametrize(("k", "c", "hidden_values"), CONVENTIONS)
@pytest.mark.parametrize(("energy", "p"), [(exact.energy_full, 1), (exact.energy_sqrt, 0.5)])
def test_energies_equal_brute_force_quadrature(k, c, hidden_values, energy, p):
    a, b, w, sigma = random_state(4, 2, seed=5, k=k)
    sigma = sigma * math.sqrt(2 * p)
    state = (0.5 * a, b, 0.6 * w, sigma, k, c, hidden_values)
    brute = exact.energy_quadrature(lambda x: p * log_f(x, *state), omega=1.0, strength=0.8)
    direct = energy(*state, 1.0, 2, 0.8)
    for name, value in brute.items():
        assert direct[name] == pytest.approx(value, abs=1e-7), name


def test_quadrature_gives_the_exact_two_electron_ground_state():
    """(1 + r) exp[-(r_1^2 + r_2^2) / 2], E = 3: Taut, Phys. Rev. A 48, 3561 (1993)."""

    def log_psi(x):
        return np.log1p(np.hypot(x[0] - x[2], x[1] - x[3])) - (x**2).sum(axis=0) / 2

    known = {"energy": 3.0, "kinetic": 0.886199497, "trap": 1.295399832, "interaction": 0.818400671}
    assert exact.energy_quadrature(log_psi, omega=1.0, strength=1.0) == pytest.approx(known, abs=1e-8)


@pytest.mark.parametrize(("particles", "dimensions"), [(1, 3), (2, 2), (2, 3), (3, 2)])
def test_psi_f_is_the_square_root_of_an_rbm_with_every_hidden_unit_twice(particles, dimensions):
    a, b, w, sigma = random_state(particles * dimensions, 1, seed=6)
    full = exact.energy_full(a, b, w, sigma, 2, 2, (0, 1), 0.9, dimensions, 1.3)
    root = exact.energy_sqrt(a, [*b, *b], np.hstack([w, w]), sigma, 1, 2, (0, 1), 0.9, dimensions, 1.3)
    assert root == pytest.approx(full, abs=1e-10)


@pytest.mark.parametrize(("k", "c"), [(2, 2), (1, 0), (2, 1)])
@pytest.mark.parametrize("energy", [exact.energy_full, exact.energy_sqrt])
def test_both_kinds_of_hidden_values_are_one_family(k, c, energy):
    """{0, 1} to {-1, 1}: w' = w / 2, b' = b / 2, a' = a + k/4 sigma^(2-c) sum_j w_j. Without a' it is another state."""
    a, b, w, sigma = random_state(4, 3, seed=7, k=k)
    moved = a + k / 4 * sigma ** (2 - c) * w.sum(axis=1)
    binary = energy(a, b, w, sigma, k, c, (0, 1), 1.0, 2, 1.0)
    assert energy(moved, b / 2, w / 2, sigma, k, c, (-1, 1), 1.0, 2, 1.0) == pytest.approx(binary, abs=1e-10)
    assert abs(energy(a, b / 2, w / 2, sigma, k, c, (-1, 1), 1.0, 2, 1.0)["energy"] - binary["energy"]) > 1e-3


@pytest.mark.parametrize("hidden", [1, 2, 4])
def test_kinetic_quadrature_has_converged(hidden):
    state = random_state(4, hidden, seed=8)
    usual = exact.energy_sqrt(*state, 2, 2, (0, 1), 1.0, 2, 1.0)["kinetic"]
    finer = exact.energy_sqrt(*state, 2, 2, (0, 1), 1.0, 2, 1.0, spacing=0.75)["kinetic"]
    assert usual == pytest.approx(finer, abs=1e-11)


@pytest.mark.parametrize(
    ("energy", "gradient"), [(exact.energy_full, exact.gradient_full), (exact.energy_sqrt, exact.gradient_sqrt)]
)
def test_gradient_predicts_a_step_in_a_random_direction(energy, gradient):
    state = random_state(4, 2, seed=9)
    settings = (2, 2, (0, 1), 1.0, 2, 1.0)
    slopes = gradient(*state, *settings)
    rng = np.random.default_rng(10)
    direction = [rng.normal(size=np.shape(value)) for value in state]
    forward, back = (
        energy(*(x + t * d for x, d in zip(state, direction, strict=True)), *settings)["energy"] for t in (1e-5, -1e-5)
    )
    predicted = sum((slopes[name] * d).sum() for name, d in zip(("a", "b", "w", "sigma"), direction, strict=True))
    assert predicted == pytest.approx((forward - back) / 2e-5, abs=1e-7)


# -------------------------------------------------------------------------------------- what the trial states can reach


@pytest.mark.parametrize(
    ("energy", "dimensions", "omega", "hidden", "trained", "known", "accuracy"),
    [
        (exact.energy_full, 2, 1.0, 1, False, 3.14192630, 1e-8),
        (exact.energy_full, 2, 1.0, 2, False, 3.07861376, 1e-8),
        (exact.energy_full, 2, 1.0, 2, True, 3.07440694, 1e-8),
        (exact.energy_full, 2, 1.0, 4, True, 3.05183061, 1e-8),
        (exact.energy_full, 2, 0.5, 2, False, 1.72164468, 1e-8),
        (exact.energy_full, 2, 0.5, 2, True, 1.71651923, 1e-8),
        (exact.energy_full, 3, 0.5, 2, False, 2.02826556, 1e-8),
        (exact.energy_full, 3, 0.5, 2, True, 2.02659488, 1e-8),
        (exact.energy_sqrt, 2, 1.0, 2, False, 3.0649317, 1e-7),
        (exact.energy_sqrt, 2, 1.0, 2, True, 3.0600914, 1e-7),
    ],
)
def test_minimum_over_all_parameters(energy, dimensions, omega, hidden, trained, known, accuracy):
    """Course convention, {0, 1}; sigma frozen at the non-interacting optimum, 2p / (k sigma^2) = omega, or shared."""
    optimize = pytest.importorskip("scipy.optimize")
    units = 2 * dimensions
    sizes = np.cumsum([units, hidden, units * hidden])
    sigma = math.sqrt((1 if energy is exact.energy_full else 0.5) / omega)

    def objective(vector):
        a, b, w, log_scale = np.split(vector, sizes)
        width = sigma * math.exp(log_scale[0]) if trained else sigma
        return energy(a, b, w.reshape(units, hidden), width, 2, 2, (0, 1), omega, dimensions, 1.0)["energy"]

    start = 0.7 * np.random.default_rng(1).normal(size=sizes[-1] + trained)
    start[sizes[-1] :] = 0
    found = optimize.minimize(objective, start, method="BFGS", options={"gtol": 1e-6}).fun
    assert found == pytest.approx(known, abs=accuracy)


def test_stored_optimum_has_its_energy_no_slope_and_obeys_the_virial_theorem():
    state = [exact.OPTIMUM_SQRT_H2[name] for name in ("a", "b", "w", "sigma")]
    settings = (2, 2, (0, 1), 1.0, 2, 1.0)
    result = exact.energy_sqrt(*state, *settings)
    for name in result:
        assert result[name] == pytest.approx(exact.OPTIMUM_SQRT_H2[name], abs=1e-9), name
    assert result["energy"] == pytest.approx(3.0600914, abs=1e-7)
    assert 2 * result["kinetic"] == pytest.approx(2 * result["trap"] - result["interaction"], abs=1e-8)
    slopes = exact.gradient_sqrt(*state, *settings)
    assert all(np.abs(slopes[name]).max() < 1e-8 for name in ("a", "b", "w"))
    assert abs(slopes["sigma"].sum()) < 1e-8
