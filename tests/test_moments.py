"""Moments: the gradient of the energy against a closed form, the covariance against plain numpy."""

import exact
import lanes
import numpy as np
import pytest

from parvmc import declarations, sums, walk
from parvmc.moments import moments
from parvmc.parallel import World
from parvmc.randoms import Purpose, generator, streams
from parvmc.samplers import metropolis
from parvmc.samples import Samples
from parvmc.values import Control

BATCHES, LANES = 256, 128


def sampled(system, state, parameters, measurements=4):
    """Return samples float64[batches, measurements, 1 + trained, lanes] of equilibrated walkers."""
    pack, space = state.pack(parameters), state.space
    sampler = declarations.sampler_pack(metropolis.Settings(), state, parameters, 1.2)
    hamiltonian = declarations.hamiltonian_pack(system, Control())
    positions = generator(3, Purpose.WALKERS).standard_normal((BATCHES, space.units, LANES))
    randoms = streams(3, Purpose.OPTIMIZATION, range(BATCHES), LANES)
    walk.equilibrate(sampler, pack, positions, randoms, 300)
    samples = np.empty((BATCHES, measurements, 1 + pack.count, LANES))
    walk.sample(sampler, hamiltonian, pack, positions, randoms, 10, 3, samples)
    return samples


@pytest.mark.parametrize("dimensions", [2, 3])
def test_gradient_is_that_of_the_closed_form_energy(dimensions):
    """2 [<E O> - <E><O>] for psi = F, all parameters, within 4.5 standard errors (38 numbers, false alarm below 1e-3).

    Errors are from the spread over 256 independent batches. Half the gradient is rejected (control).
    """
    system = lanes.system(2, dimensions)
    state, parameters = lanes.machine(system, hidden=2, amplitude="full", spread=0.4)
    factor, own = state.factors[0], parameters[0]
    values = [own[name] for name in ("a", "b", "w", "sigma")]
    slopes = exact.gradient_full(*values, *factor.exponents, factor.hidden_values, 1.0, dimensions, 1.0)
    expected = np.concatenate([slopes["a"], slopes["b"], slopes["w"].ravel(), slopes["sigma"] * own["sigma"]])
    samples = sampled(system, state, parameters)
    world = World()
    center = samples.mean(axis=(0, 1, 3))
    each = np.array([moments(world, batch[np.newaxis].copy(), center, 1, False).gradient for batch in samples])
    errors = each.std(axis=0, ddof=1) / np.sqrt(BATCHES)
    gradient = moments(world, samples, center, BATCHES, False).gradient
    assert np.abs((gradient - expected) / errors).max() < 4.5
    assert np.abs((0.5 * gradient - expected) / errors).max() > 20.0


def test_moments_are_plain_covariances():
    """Energy, its error, variance, gradient and covariance, about any centre, equal numpy's on all samples at once."""
    data = np.random.default_rng(1).standard_normal((6, 3, 5, 8)) * [[[[3.0]], [[1.0]], [[2.0]]]] + 7.0
    flat = data.transpose(2, 0, 1, 3).reshape(5, -1)
    covariance = np.cov(flat, bias=True)
    walker_means = data[:, :, 0].mean(axis=1).ravel()
    for center in (np.zeros(5), flat.mean(axis=1), np.full(5, 6.5)):
        found = moments(World(), data.copy(), center, 6, True)
        np.testing.assert_allclose(found.mean, flat.mean(axis=1), rtol=1e-13)
        np.testing.assert_allclose(found.covariance, covariance[1:, 1:], rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(found.gradient, 2.0 * covariance[0, 1:], rtol=1e-11, atol=1e-12)
        assert found.variance == pytest.approx(covariance[0, 0], rel=1e-11)
        assert found.energy_error == pytest.approx(walker_means.std(ddof=1) / np.sqrt(48), rel=1e-10)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("energies", [1, 2])
@pytest.mark.parametrize("with_covariance", [False, True])
def test_how_many_blocks_are_summed_at_a_time_changes_no_bit(monkeypatch, energies, with_covariance, weighted):
    """One, a few and all of them; of real and of complex numbers."""
    generator = np.random.default_rng(1)
    data = generator.standard_normal((6, 3, 6, 40)) + 7.0
    weights = generator.random((6, 40)) if weighted else None
    found = []
    for cached in (1, 10_000, 2**30):
        monkeypatch.setattr(sums, "CACHED", cached)
        samples = Samples.of(data.copy(), energies, weights)
        found.append(vars(moments(World(), samples, np.full(6, 6.5), 6, with_covariance)))
    for name, value in found[0].items():
        for other in found[1:]:
            np.testing.assert_array_equal(other[name], value, err_msg=name)


def test_a_walker_that_is_not_finite_shows():
    """One local energy that is not a number makes the mean energy not a number, on every rank alike."""
    data = np.random.default_rng(1).standard_normal((2, 1, 3, 4))
    data[1, 0, 0, 2] = np.nan
    assert np.isnan(moments(World(), data, np.zeros(3), 2, True).energy)
