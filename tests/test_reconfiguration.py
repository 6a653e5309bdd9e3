"""The routes of stochastic reconfiguration: one equation, the same step, the same bits on any number of ranks."""

from dataclasses import replace

import lanes
import numpy as np
import pytest
from ranks import on_ranks

from parvmc import declarations, walk
from parvmc.moments import moments
from parvmc.optimizers.reconfiguration import Settings
from parvmc.parallel import World
from parvmc.randoms import Purpose, streams
from parvmc.sample_matrix import SampleMatrix
from parvmc.samplers import metropolis
from parvmc.samples import Samples, keeps_derivatives
from parvmc.values import Control, Sizes

BATCHES, MEASUREMENTS, LANES = 6, 2, 16
SAMPLES = BATCHES * MEASUREMENTS * LANES
METHODS = ("dense", "cg", "minsr", "spring")
SETTINGS = Settings(learning_rate=0.05, shift=0.02, floor=0.01, max_step=1e9, momentum=0.0, tolerance=1e-13)


class Made:
    """Samples of one iteration that any world can take its share of.

    values: float64[batches, measurements, energies + coordinates, lanes]; kept: the same with configurations in place
    of log-derivatives, and differentiate, their function; weights: float64[batches, lanes] or None.
    """

    def __init__(self, values, energies=1, weights=None, kept=None, differentiate=None):
        self.values, self.energies, self.weights = values, energies, weights
        self.kept, self.differentiate = kept, differentiate

    def samples(self, world, recomputes=False):
        """Return the Samples of a rank."""
        own = slice(world.share(BATCHES).start, world.share(BATCHES).stop)
        weights = None if self.weights is None else self.weights[own]
        if not recomputes:
            return Samples.of(self.values[own].copy(), self.energies, weights)
        units, count = self.kept.shape[2] - self.energies, self.values.shape[2] - self.energies
        found = Samples((len(self.values[own]), MEASUREMENTS, LANES), self.energies, count, units, keeps=False)
        found.values[:] = self.kept[own]
        found.begin(weights, self.differentiate)
        return found

    def plain(self):
        """Return (O [parameters, samples], E [samples], weights [samples] whose sum is 1), complex where they are."""
        flat = self.values.transpose(2, 0, 1, 3).reshape(self.values.shape[2], -1)
        flat = flat if self.energies == 1 else flat[0::2] + 1j * flat[1::2]
        weights = np.ones((BATCHES, LANES)) if self.weights is None else self.weights
        return flat[1:], flat[0], np.repeat(weights[:, np.newaxis], MEASUREMENTS, axis=1).ravel() / SAMPLES


def synthetic(energies, count, weighted, seed=1):
    """Return made-up samples: derivatives of very different scales with means, one that never varies, and energies
    correlated with them."""
    generator = np.random.default_rng(seed)
    values = generator.standard_normal((BATCHES, MEASUREMENTS, energies * (1 + count), LANES))
    scales = np.repeat(10.0 ** generator.uniform(-2, 1, count), energies)
    values[:, :, energies:] = (values[:, :, energies:] + 0.5) * scales[:, np.newaxis]
    values[:, :, -energies:] = 0.7
    values[:, :, :energies] += 3.0 + 0.3 * values[:, :, energies : 2 * energies]
    weights = None
    if weighted:
        weights = generator.exponential(size=(BATCHES, LANES)) * (generator.random((BATCHES, LANES)) < 0.8)
        weights *= BATCHES * LANES / weights.sum()
        values[:, :, 0][np.broadcast_to(weights[:, np.newaxis] == 0.0, values[:, :, 0].shape)] = np.nan
    return Made(values, energies, weights)


def machine(hidden):
    """Return samples of two electrons in a Gaussian machine, and their configurations."""
    system = lanes.system(2, 2)
    state, parameters = lanes.machine(system, hidden=hidden)
    pack, space = state.pack(parameters), state.space
    sampler = declarations.sampler_pack(metropolis.Settings(), state, parameters, 1.2)
    hamiltonian = declarations.hamiltonian_pack(system, Control())
    start = np.stack([lanes.walkers(space, LANES, seed) for seed in range(BATCHES)])
    found = []
    for rows in (pack.count, space.units):
        positions, randoms = start.copy(), streams(3, Purpose.OPTIMIZATION, range(BATCHES), LANES)
        walk.equilibrate(sampler, pack, positions, randoms, 20)
        found.append(np.empty((BATCHES, MEASUREMENTS, 1 + rows, LANES)))
        walk.sample(sampler, hamiltonian, pack, positions, randoms, 3, 3, found[-1])
    return Made(found[0], kept=found[1], differentiate=lambda *arrays: walk.differentiate(pack, *arrays))


def stepped(world, made, settings, memory=None, iteration=0, recomputes=False, panel=1):
    """Return (change, memory, norm) of one step, as the stage that optimises takes it."""
    samples = made.samples(world, recomputes)
    covers = declarations.needs_covariance(settings)
    sums = moments(world, samples, np.zeros(made.values.shape[2]), BATCHES, covers)
    memory = declarations.start(settings, made.values.shape[2] - made.energies) if memory is None else memory
    if covers:
        change, memory = declarations.step(settings, memory, sums, iteration)
        own = change.view(sums.covariance.dtype)
        return change, memory, np.sqrt((own.conj() @ sums.covariance @ own).real)
    make = lambda scale: SampleMatrix(world, samples, sums, scale, BATCHES, panel)  # noqa: E731
    return declarations.solve(settings, memory, sums, make, iteration)


def expected(made, settings, shift=None, conjugates=True):
    """Return (d, S) with (S + shift diag S + floor) d = -learning_rate f, from all samples at once."""
    shift = settings.shift if shift is None else shift
    derivatives, energies, weights = made.plain()
    derivatives, energies = derivatives[:, weights > 0.0], energies[weights > 0.0]
    weights = weights[weights > 0.0]
    derivatives = derivatives - (derivatives @ weights)[:, np.newaxis]
    energies = energies - energies @ weights
    bra = (derivatives.conj() if conjugates else derivatives) * weights
    matrix = bra @ derivatives.T
    shifted = matrix + np.diag(shift * np.diag(matrix) + settings.floor)
    return np.linalg.solve(shifted, -settings.learning_rate * (bra @ energies)), matrix


def off(change, reference):
    """Return how far a step is from another, relative to it."""
    return np.linalg.norm(change - reference) / np.linalg.norm(reference)


CASES = {
    "few real": lambda: synthetic(1, 30, False),
    "many real": lambda: synthetic(1, 300, False),
    "few real, weighted": lambda: synthetic(1, 30, True),
    "few complex": lambda: synthetic(2, 30, False),
    "many complex": lambda: synthetic(2, 300, False),
    "few complex, weighted": lambda: synthetic(2, 30, True),
    "many complex, weighted": lambda: synthetic(2, 300, True),
    "small machine": lambda: machine(3),
    "large machine": lambda: machine(40),
}


@pytest.mark.parametrize("case", CASES)
def test_all_routes_take_the_same_step(case):
    """Dense, conjugate gradients, minSR and SPRING without memory solve one equation, to 1e-8 of the step.

    More or fewer parameters than samples, kept or computed again. Another shift, and for complex parameters a force
    without its complex conjugate, give other steps (control).
    """
    made = CASES[case]()
    reference, matrix = expected(made, SETTINGS)
    norm = np.sqrt((reference.conj() @ matrix @ reference).real)
    for method in METHODS:
        for recomputes in (False, True) if made.kept is not None else (False,):
            change, _, found = stepped(World(), made, replace(SETTINGS, method=method), recomputes=recomputes)
            assert off(change.view(reference.dtype), reference) < 1e-8, method
            assert found == pytest.approx(norm, rel=1e-8)
            assert off(change.view(reference.dtype), expected(made, SETTINGS, shift=0.025)[0]) > 1e-3
            if np.iscomplexobj(reference):
                assert off(change.view(complex), expected(made, SETTINGS, conjugates=False)[0]) > 0.1


@pytest.mark.mpi
@pytest.mark.parametrize("case", ["few complex", "many complex, weighted", "large machine"])
def test_any_number_of_ranks_gives_the_same_bits(case):
    """Every route, its memory and its norm on 1, 2, 3 and 4 ranks, kept and computed again; all ranks agree."""
    made = CASES[case]()
    settings = replace(SETTINGS, momentum=0.8, tolerance=1e-6, max_step=0.05)
    for method in METHODS:
        own = replace(settings, method=method)

        def twice(world, recomputes, own=own):
            covers = declarations.needs_covariance(own)
            if covers:
                sums = moments(world, made.samples(world, recomputes), np.zeros(made.values.shape[2]), BATCHES, True)
                return [sums.gradient, sums.covariance, sums.diagonal]
            change, memory, _ = stepped(world, made, own, recomputes=recomputes)
            again, memory, norm = stepped(world, made, own, memory, recomputes=recomputes, panel=1 + world.size)
            return [change, again, norm, *memory.values()]

        for recomputes in (False, True) if made.kept is not None else (False,):
            alone = twice(World(), recomputes)
            for size in (2, 3, 4):
                for found in on_ranks(size, lambda world, r=recomputes, twice=twice: twice(world, r)):
                    for value, reference in zip(found, alone, strict=True):
                        np.testing.assert_array_equal(value, reference)


def test_computing_log_derivatives_again_gives_what_was_kept():
    """From the configurations of the same walk: equal to 1e-11 of the largest, energies to the bit."""
    made = machine(5)
    kept, again = made.samples(World()), made.samples(World(), recomputes=True)
    for number in range(kept.blocks):
        rows, others = kept.block(number), again.block(number)
        np.testing.assert_array_equal(rows[0], others[0])
        np.testing.assert_allclose(rows, others, rtol=0.0, atol=1e-11 * np.abs(rows).max())


@pytest.mark.parametrize("case", ["few real", "many complex", "few complex, weighted"])
def test_spring_goes_on_from_its_last_step(case):
    """Its second step is the d of least |Z^+ d - e|^2 + shift |d - mu d_1|^2, d_1 the first one unbounded, solved as
    least squares; with mu = 0 it is another (control). A bound shortens the step that is taken and no memory."""
    made = CASES[case]()
    settings = replace(SETTINGS, method="spring", momentum=0.8, max_step=1e-3)
    first, memory, _ = stepped(World(), made, settings)
    second, memory, norm = stepped(World(), made, settings, memory)
    derivatives, energies, weights = (part[..., made.plain()[2] > 0.0] for part in made.plain())
    centred = derivatives - (derivatives @ weights)[:, np.newaxis]
    scale = np.sqrt(np.square(np.abs(centred)) @ weights + settings.floor / settings.shift)
    rows = centred.T / scale * np.sqrt(weights)[:, np.newaxis]
    right = -settings.learning_rate * (energies - energies @ weights) * np.sqrt(weights)
    root = np.sqrt(settings.shift)

    def least(previous):
        stacked = np.concatenate([rows, root * np.eye(len(scale))])
        return np.linalg.lstsq(stacked, np.concatenate([right, root * 0.8 * previous]))[0]

    reference = least(least(np.zeros(len(scale)))) / scale
    assert off(memory["previous"].view(reference.dtype), reference) < 1e-8
    assert off(memory["previous"].view(reference.dtype), least(np.zeros(len(scale))) / scale) > 1e-2
    for step in (first, second):
        length = step.view(reference.dtype) * scale
        bound = np.sqrt(np.linalg.norm(rows @ length) ** 2 + settings.shift * np.linalg.norm(length) ** 2)
        assert bound == pytest.approx(1e-3, rel=1e-8)
    assert norm == pytest.approx(np.linalg.norm(rows @ (second.view(reference.dtype) * scale)), rel=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_the_shift_follows_its_schedule(method):
    """start decay^p, and the final shift once it is larger."""
    made = CASES["few real"]()
    settings = replace(SETTINGS, method=method, shift_schedule=(100.0, 0.5))
    for iteration, shift in ((0, 100.0), (3, 12.5), (60, 0.02)):
        change, _, _ = stepped(World(), made, settings, iteration=iteration)
        assert off(change, expected(made, settings, shift)[0]) < 1e-8


def test_auto_goes_by_parameters_samples_and_memory():
    """Dense up to as many parameters as samples, minSR beyond, conjugate gradients where a matrix has no room."""
    auto = Settings(memory=4.0)
    chosen = {
        (100, 1000): "dense",
        (1000, 1000): "dense",
        (1001, 1000): "minsr",
        (100_000, 8192): "minsr",
        (100_000, 65_536): "cg",
        (20_000, 65_536): "cg",
    }
    for (parameters, samples), method in chosen.items():
        assert declarations.chosen(auto, Sizes(parameters, samples)).method == method
    assert declarations.chosen(auto, Sizes(8000, 10_000)).method == "dense"
    assert declarations.chosen(auto, Sizes(8000, 10_000, is_complex=True)).method == "cg"
    assert declarations.chosen(replace(auto, memory=0.01), Sizes(600, 1000)).method == "cg"
    assert declarations.chosen(replace(auto, method="spring"), Sizes(10, 1000)).method == "spring"


def test_memory_decides_what_is_kept():
    """All log-derivatives of all ranks within the deck's gigabytes, or configurations that would take as much."""
    assert keeps_derivatives(count=1000, units=10, samples=1_000_000, memory=8.0)
    assert not keeps_derivatives(count=1000, units=10, samples=1_000_000, memory=7.9)
    assert keeps_derivatives(count=1000, units=1000, samples=1_000_000, memory=0.1)


def test_gradient_and_natural_gradient_of_a_complex_state_are_exact():
    """Over all configurations of four spins with weights |psi|^2: moments against finite differences of <H> with
    complex parameters, 1e-7, and S against the metric d<psi|psi>/..., by a machine written out here.

    Without the weights both are off (control).
    """
    generator = np.random.default_rng(8)
    spins = 1.0 - 2.0 * (np.arange(16)[:, np.newaxis] >> np.arange(4) & 1)
    hamiltonian = generator.standard_normal((16, 16)) + 1j * generator.standard_normal((16, 16))
    hamiltonian = hamiltonian + hamiltonian.conj().T
    theta = 0.3 * (generator.standard_normal(15) + 1j * generator.standard_normal(15))

    def amplitudes(theta):
        return np.prod(2.0 * np.cosh(theta[:3] + spins @ theta[3:].reshape(4, 3)), axis=1)

    def energy(theta):
        psi = amplitudes(theta)
        return ((psi.conj() @ hamiltonian @ psi) / (psi.conj() @ psi)).real

    psi, step = amplitudes(theta), 1e-5
    basis = np.eye(15)
    slopes = [(energy(theta + step * e) - energy(theta - step * e)) / (2 * step) for e in (*basis, *(1j * basis))]
    derivatives = np.array([(amplitudes(theta + step * e) - amplitudes(theta - step * e)) / (2 * step) for e in basis])
    values = np.concatenate([(hamiltonian @ psi / psi)[np.newaxis], derivatives / psi])
    values = np.stack([values.real, values.imag], axis=1).reshape(32, 2, 8).transpose(1, 0, 2)[:, np.newaxis]
    weights = (16 * np.square(np.abs(psi)) / np.square(np.abs(psi)).sum()).reshape(2, 8)
    sums = moments(World(), Samples.of(values.copy(), 2, weights), np.zeros(32), 2, True)
    assert sums.energy == pytest.approx(energy(theta), rel=1e-12)
    assert sums.energy_error == 0.0
    expectation = (psi.conj() @ hamiltonian @ hamiltonian @ psi / (psi.conj() @ psi)).real
    assert sums.variance == pytest.approx(expectation - energy(theta) ** 2, rel=1e-10)
    np.testing.assert_allclose(sums.gradient, np.array(slopes).reshape(2, 15).T.ravel(), atol=1e-7)
    unit = psi / np.linalg.norm(psi)
    along = derivatives / np.linalg.norm(psi)
    metric = along.conj() @ along.T - np.outer(along.conj() @ unit, unit.conj() @ along.T)
    np.testing.assert_allclose(sums.covariance, metric, atol=1e-8)
    np.testing.assert_allclose(sums.diagonal, np.diag(metric).real, atol=1e-8)
    plain = moments(World(), Samples.of(values.copy(), 2), np.zeros(32), 2, True)
    assert np.abs(plain.gradient - sums.gradient).max() > 1e-2
