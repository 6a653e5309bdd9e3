"""Observables of spins: kernels against loops, exact numbers of small systems, and limits known in closed form."""

import itertools
import math

import exact_spins
import numba
import numpy as np
import pytest
import spin_tables
from spin_samples import BATCHES, LANES, drawn, mean, observed, within

from parvmc import declarations, operations, spaces
from parvmc.deck import OBSERVABLES
from parvmc.lattice import Lattice
from parvmc.observables import magnetisation, renyi, spins
from parvmc.observables.several import Observables
from parvmc.states import spin_jastrow
from parvmc.states.product import TrialState

LATTICES = [Lattice((8,)), Lattice((7,), False), Lattice((3, 3)), Lattice((2, 4)), Lattice((3, 2), False)]


def separation(lattice, i, k):
    """The separation along each axis, the shorter way round; of two equal ways the positive one."""
    places = [np.unravel_index(site, lattice.shape) for site in (i, k)]
    apart = []
    for a, b, side in zip(*places, lattice.shape, strict=True):
        steps = [int(b - a + n * side) for n in ((-1, 0, 1) if lattice.periodic else (0,))]
        apart.append(min(steps, key=lambda step: (abs(step), -step)))
    return tuple(apart)


def naive_correlations(lattice, pair_means):
    """{separation: mean of <s_i s_k> over the pairs with it or its opposite}, by loops over all ordered pairs."""
    found = {}
    for i, k in itertools.product(range(lattice.sites), repeat=2):
        found.setdefault(separation(lattice, i, k), []).append(pair_means[i, k])
        found.setdefault(separation(lattice, k, i), []).append(pair_means[i, k])
    return {apart: np.mean(values) for apart, values in found.items()}


def listed(lattice, quantity):
    """{separation: value} of a reported correlation."""
    axes = [axis[0] for axis in quantity.axes.values()]
    return {
        tuple(map(int, d)): quantity.values[at]
        for at, d in zip(np.ndindex(quantity.values.shape), itertools.product(*axes), strict=True)
    }


def naive_factors(lattice, configurations):
    """S(q) of each configuration, float64[configurations, N], with q in rising order along each axis."""
    places = np.array([np.unravel_index(site, lattice.shape) for site in range(lattice.sites)])
    numbers = [sorted(n if n <= side // 2 else n - side for n in range(side)) for side in lattice.shape]
    found = []
    for n in itertools.product(*numbers):
        waves = np.exp(2j * math.pi * (places / np.array(lattice.shape)) @ np.array(n))
        found.append(np.abs(configurations @ waves) ** 2 / lattice.sites)
    return np.array(found).T


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
def test_correlations_are_exact_within_errors(lattice):
    """C(d) and S(q) of a random psi: exact sums over all configurations; errors of a mean, controls 5 % off fail."""
    space = spaces.Spins(lattice)
    pack = spin_tables.table(space, spread=1.0)
    weights, every = spin_tables.amplitudes(pack) ** 2, exact_spins.configurations(lattice.sites)
    weights = weights.real
    positions = drawn(weights)
    found = observed("spin_correlation", space, pack, positions)["spin_correlation"]
    exact = naive_correlations(lattice, mean(weights, every[:, :, np.newaxis] * every[:, np.newaxis]))
    reported = listed(lattice, found)
    assert set(reported) <= set(exact)
    assert set(exact) <= set(reported) | {tuple(-x for x in d) for d in reported}
    expected = np.array([exact[d] for d in reported]).reshape(found.values.shape)
    assert within(found, expected)
    assert not within(found, expected + 0.05)
    assert reported[(0,) * len(lattice.shape)] == 1.0
    factor = observed("structure_factor", space, pack, positions)["structure_factor"]
    exact = mean(weights, naive_factors(lattice, every)).reshape(lattice.shape)
    assert within(factor, exact)
    assert not within(factor, 1.05 * exact)
    assert factor.values.mean() == pytest.approx(1.0, abs=1e-12)
    assert list(factor.axes) == (["q"] if len(lattice.shape) == 1 else ["q_x", "q_y"])
    assert [axis[0].size for axis in factor.axes.values()] == list(lattice.shape)
    # errors are those of independent samples: the spread of single configurations over the root of their number
    single = mean(weights, naive_factors(lattice, every) ** 2).reshape(lattice.shape) - exact**2
    np.testing.assert_allclose(factor.errors, np.sqrt(single / (BATCHES * LANES)), rtol=0.2, atol=1e-9)


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
def test_kernels_are_what_loops_find_walker_by_walker(lattice):
    """C(d), S(q) and moments of a few walkers, to 1e-12: no statistics."""
    space = spaces.Spins(lattice)
    pack = spin_tables.table(space)
    positions = drawn(np.ones(2**lattice.sites), 2, 5)
    walkers = positions.transpose(0, 2, 1).reshape(10, -1)
    found = listed(lattice, observed("spin_correlation", space, pack, positions)["spin_correlation"])
    expected = naive_correlations(lattice, walkers.T @ walkers / 10)
    assert found == pytest.approx({d: expected[d] for d in found}, abs=1e-13)
    factor = observed("structure_factor", space, pack, positions)["structure_factor"]
    np.testing.assert_allclose(factor.values.ravel(), naive_factors(lattice, walkers).mean(axis=0), atol=1e-12)
    numbers, m = observed("magnetisation", space, pack, positions), walkers.mean(axis=1)
    for name, values in (("", m), ("_absolute", abs(m)), ("_squared", m**2)):
        assert numbers[f"magnetisation{name}"].values == pytest.approx(values.mean(), abs=1e-14)
    cumulant = 1.0 - np.mean(m**4) / (3.0 * np.mean(m**2) ** 2)
    assert numbers["magnetisation_binder"].values == pytest.approx(cumulant, abs=1e-12)


def test_translations_make_correlations_simple():
    """A long-range Jastrow on a ring and a square: C(d) is <s_0 s_d> from any site, S(q) its sum over all d; control:
    of a random psi it is not."""
    for lattice in (Lattice((8,)), Lattice((3, 3))):
        space = spaces.Spins(lattice)
        state = TrialState((spin_jastrow.Settings(),), space)
        own = state.initial(None)
        own[0]["strength"][:] = np.random.default_rng(3).normal(0.0, 0.2, own[0]["strength"].size)
        every = exact_spins.configurations(lattice.sites)
        first, second = np.triu_indices(lattice.sites, 1)
        classes = np.unique(lattice.squared_distances[first, second], return_inverse=True)[1]
        weights = np.exp(2.0 * (every[:, first] * every[:, second]) @ own[0]["strength"][classes])
        table = spin_tables.amplitudes(spin_tables.table(space, spread=1.0)) ** 2
        for chance, alike in ((weights, True), (table.real, False)):
            pairs = mean(chance, every[:, :, np.newaxis] * every[:, np.newaxis])
            averaged = naive_correlations(lattice, pairs)
            from_first = {separation(lattice, 0, k): pairs[0, k] for k in range(lattice.sites)}
            gaps = [abs(averaged[d] - from_first[d]) for d in from_first]
            assert (max(gaps) < 1e-12) == alike
        positions = drawn(weights)
        found = listed(lattice, observed("spin_correlation", space, state.pack(own), positions)["spin_correlation"])
        for i in range(1, lattice.sites):
            rows = np.array([positions[:, i].ravel() * positions[:, k].ravel() for k in range(lattice.sites)])
            spread = rows.std(axis=1) / math.sqrt(rows.shape[1])
            for k in range(lattice.sites):
                apart = separation(lattice, i, k)
                value = found.get(apart, found.get(tuple(-x for x in apart)))
                assert abs(value - rows[k].mean()) < 4.5 * spread[k] + 1e-12


def test_magnetisation_is_exact_within_errors():
    """<m>, <|m|>, <m^2> and Binder's cumulant of a random psi that favours up; controls 25 % off fail."""
    space = spaces.Spins(Lattice((8,)))
    every = exact_spins.configurations(8)
    pack = spin_tables.table(space, spread=0.8)
    pack.logarithms[0] += 0.15 * every.sum(axis=1)
    weights, m = (spin_tables.amplitudes(pack) ** 2).real, every.mean(axis=1)
    found = observed("magnetisation", space, pack, drawn(weights))
    moment = {power: mean(weights, m**power) for power in (1, 2, 4)}
    exact = {
        "magnetisation": moment[1],
        "magnetisation_absolute": mean(weights, abs(m)),
        "magnetisation_squared": moment[2],
        "magnetisation_binder": 1.0 - moment[4] / (3.0 * moment[2] ** 2),
    }
    assert found.keys() == exact.keys()
    for name, value in exact.items():
        assert within(found[name], value), name
        assert not within(found[name], 1.25 * value), name
        assert 0.0 < found[name].errors < 0.02


def test_binder_cumulant_has_its_limits_and_its_error():
    """2/3 of parallel spins; 2 / (3 N) of independent ones; its error is the spread of 200 repetitions."""
    space, pack = spaces.Spins(Lattice((6,))), spin_tables.table(spaces.Spins(Lattice((6,))))
    parallel = np.zeros(64)
    parallel[[0, -1]] = 1.0
    found = observed("magnetisation", space, pack, drawn(parallel))
    assert found["magnetisation_binder"].values == pytest.approx(2.0 / 3.0, abs=1e-12)
    assert found["magnetisation_absolute"].values == 1.0
    assert within(found["magnetisation"], 0.0)
    free = observed("magnetisation", space, pack, drawn(np.ones(64)))["magnetisation_binder"]
    assert within(free, 2.0 / 18.0)
    # and the error is right where there are few batches: the spread of 200 repetitions is known to 5 %
    values = np.random.default_rng(5).standard_normal((200, 64, 4, 50)) ** 2 + 0.2
    found = [magnetisation._cumulant(np.stack([x, x, x, x**2], axis=-1).mean(axis=2)) for x in values]
    spread = np.std([value for value, _ in found])
    assert np.mean([error for _, error in found]) == pytest.approx(spread, rel=0.15)
    assert np.isnan(magnetisation._cumulant(np.zeros((5, 2, 4)))).all()


def test_measuring_leaves_walkers_and_workspace_as_they_are():
    """To the bit, for every observable of spins; what the Jastrow's fields would be elsewhere is other bits."""
    space = spaces.Spins(Lattice((6,)))
    state = TrialState((spin_jastrow.Settings(parameters="complex", strength=0.3),), space)
    pack = state.pack(state.initial(None))
    positions = drawn(np.ones(64), 1, 8)[0]
    work = operations.workspace(pack, 8)
    several = Observables(
        tuple(made() for made in OBSERVABLES.values() if spaces.Spins in declarations.spaces(made())), space
    )
    assert len(several.settings) == 4
    _call(several.pack(np.ones(1)), pack, work, before := positions.copy(), True, np.zeros(several.size))
    fields = work.real.copy(), work.imaginary.copy()
    row = np.zeros(several.size)
    _call(several.pack(np.ones(1)), pack, work, before, False, row)
    np.testing.assert_array_equal(before, positions)
    np.testing.assert_array_equal(work.real, fields[0])
    np.testing.assert_array_equal(work.imaginary, fields[1])
    assert np.isfinite(row).all()
    _call(several.pack(np.ones(1)), pack, work, -before, True, np.zeros(several.size))
    assert np.abs(work.real - fields[0]).max() > 0.1


@numba.njit
def _call(observable, state, work, positions, fresh, row):
    if fresh:
        operations.rebuild(state, work, positions)
    randoms, scratch = np.zeros((4, positions.shape[1]), np.uint64), np.full((positions.shape[0] + 16, 8), np.nan)
    operations.measure(observable, state, work, positions, randoms, scratch, row)


def test_what_cannot_be_measured_is_refused():
    """Particles, blocks that are none, a magnetisation that never changes, too many pairs; an odd batch gives no
    number."""
    ring, kept = spaces.Spins(Lattice((8,))), spaces.Spins(Lattice((8,)), magnetisation=2)
    for kind in ("magnetisation", "spin_correlation", "structure_factor", "renyi"):
        assert declarations.spaces(OBSERVABLES[kind]()) == (spaces.Spins,)
        assert declarations.problems(OBSERVABLES[kind](), ring) == []
    for kind in ("spin_correlation", "structure_factor"):
        large = spaces.Spins(Lattice((spins.MOST_SITES + 1,)))
        assert "at most 4096" in declarations.problems(OBSERVABLES[kind](), large)[0][1]
    assert "all configurations have 2" in declarations.problems(OBSERVABLES["magnetisation"](), kept)[0][1]
    for sites, reason in ((8, "no other side"), ((), "no other side"), ((1, 8), "names site 8"), ((1, 1), "twice")):
        ((key, text),) = declarations.problems(renyi.Settings(sites=sites), ring)
        assert key == "sites"
        assert reason in text
    assert declarations.filled(renyi.Settings(), ring).sites == 4
    odd = observed("renyi", ring, spin_tables.table(ring), drawn(np.ones(256), 2, 5))
    assert math.isnan(odd["renyi"].values)


def test_a_sum_that_is_always_zero_is_known():
    """The magnetisation of alternating spins has no error, where an empty bin of particles would have none known."""
    rows = np.zeros((16, 4, 2))
    rows[:, :, 1] = np.random.default_rng(1).standard_normal((16, 4))
    found = spins.errors(rows)
    assert found[0] == 0.0
    assert found[1] > 0.0
