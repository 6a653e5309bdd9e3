"""The spin machine in Hamiltonians and samplers: its local energies, and samples of its |psi|^2 by every sampler."""

import functools
import itertools

import exact_spins
import numpy as np
import pytest
import spin_tables
from spin_walks import misfit

from parvmc import declarations
from parvmc.hamiltonians import heisenberg, ising, j1j2
from parvmc.samplers import exact, gibbs, metropolis
from parvmc.states import spin_rbm
from parvmc.states.product import TrialState

MACHINES = {
    "real": {"hidden": 3, "parameters": "real"},
    "real, {0, 1}": {"hidden": 3, "parameters": "real", "hidden_values": (0, 1)},
    "real, symmetric": {"density": 1.0, "parameters": "real", "symmetry": "translation"},
    "complex": {"hidden": 4},
    "complex, {0, 1}": {"hidden": 4, "hidden_values": (0, 1)},
    "complex, symmetric": {"density": 2.0, "symmetry": "translation"},
}


def machine(space, name, spread=0.3, seed=5):
    """Return (TrialState, parameters) of a machine with both biases; its parameters are random."""
    more = {"biases": ("visible", "hidden"), "initial_spread": spread}
    factor = declarations.filled(spin_rbm.Settings(**MACHINES[name] | more), space)
    state = TrialState((factor,), space)
    return state, state.initial(np.random.default_rng(seed))


def amplitudes(state, parameters):
    """Return complex128[2^sites], psi of all configurations in the order of exact_spins, by the formula."""
    (factor,), (own,), lattice = state.factors, parameters, state.space.lattice
    a, b, w = own["a"], own["b"], own["w"]
    if factor.symmetry == "translation":
        translations = lattice.translations
        full = np.zeros((lattice.sites, w.shape[1] * len(translations)), w.dtype)
        for f, (t, places) in itertools.product(range(w.shape[1]), enumerate(translations)):
            full[places, f * len(translations) + t] = w[:, f]
        a, b, w = np.full(lattice.sites, a[0]), np.repeat(b, len(translations)), full
    spins = exact_spins.configurations(lattice.sites)
    theta = b + spins @ w
    units = 2.0 * np.cosh(theta) if factor.hidden_values[0] == -1 else 1.0 + np.exp(theta)
    return (np.exp(spins @ a) * units.prod(axis=1)).astype(complex)


SYSTEMS = {
    "ising ring": ising.Settings(lattice=(10,), field=1.4),
    "ising square": ising.Settings(lattice=(3, 3), coupling=-0.7),
    "open ising": ising.Settings(lattice=(2, 3), periodic=False),
    "heisenberg ring": heisenberg.Settings(lattice=(10,), anisotropy=0.6),
    "odd ring": heisenberg.Settings(lattice=(7,), magnetisation=1),
    "open heisenberg": heisenberg.Settings(lattice=(9,), periodic=False, magnetisation=1, marshall=True),
    "heisenberg square": heisenberg.Settings(lattice=(3, 3), magnetisation="any"),
    "j1j2 ring": j1j2.Settings(lattice=(8,), marshall=False),
    "j1j2 square": j1j2.Settings(lattice=(2, 4), periodic=False),
}


@functools.cache
def matrix(system):
    """Return H of a system as a matrix, by Kronecker products."""
    shape, periodic = system.lattice, system.periodic
    near, far = (exact_spins.bonds(shape, periodic, further) for further in (False, True))
    sites = int(np.prod(shape))
    if system.kind == "ising":
        return exact_spins.ising(shape, periodic, system.coupling, system.field)
    if system.kind == "heisenberg":
        found = exact_spins.exchange(sites, near, system.coupling, system.anisotropy)
    else:
        found = exact_spins.exchange(sites, near, system.j1) + exact_spins.exchange(sites, far, system.j2)
    two = not periodic or all(side % 2 == 0 for side in shape)
    on = two if system.marshall == "auto" else system.marshall
    return exact_spins.turned(shape, found) if on else found


@pytest.mark.parametrize("case", SYSTEMS)
@pytest.mark.parametrize("name", MACHINES)
def test_local_energies_are_those_of_the_matrix(case, name):
    """(H psi)(s) / psi(s) of all 2^n configurations to 1e-10, real and complex, symmetric and not."""
    system = SYSTEMS[case]
    state, parameters = machine(declarations.space(system), name)
    psi = amplitudes(state, parameters)
    expected = matrix(system) @ psi / psi
    found = spin_tables.local_energy(system, state.pack(parameters), state.is_holomorphic)
    assert found[1] == pytest.approx(expected.real, rel=1e-10, abs=1e-10)
    if state.is_holomorphic:
        assert found[4] == pytest.approx(expected.imag, rel=1e-10, abs=1e-10)
        assert np.abs(found[4]).max() > 1e-3


@pytest.mark.parametrize("parameters", ["real", "complex"])
def test_exchanges_of_equal_spins_poison_no_local_energy(parameters):
    """Eight units whose theta is 40 at the most, but past 88 where the tables take equal spins for unequal ones."""
    system = heisenberg.Settings(lattice=(6,))
    state = TrialState((spin_rbm.Settings(hidden=8, parameters=parameters),), declarations.space(system))
    own = state.initial(np.random.default_rng(1))
    own[0]["b"][:] = 0.0
    own[0]["w"][:] = 10.0 * np.array([0.5, -0.5, 1.0, -1.0, 0.5, -0.5])[:, np.newaxis]
    spins = exact_spins.configurations(6)
    inside = spins.sum(axis=1) == 0
    assert np.abs(spins[inside] @ own[0]["w"]).max() <= 40.0
    found = spin_tables.local_energy(system, state.pack(own), state.is_holomorphic)
    assert np.isfinite(found[1][inside]).all()


WALKS = {
    "ising ring": ising.Settings(lattice=(6,)),
    "ising square": ising.Settings(lattice=(2, 3), periodic=False),
    "ring of zero magnetisation": heisenberg.Settings(lattice=(8,)),
    "magnetised ring": heisenberg.Settings(lattice=(7,), magnetisation=1),
}
SAMPLERS = {"metropolis": metropolis.Settings(), "gibbs": gibbs.Settings(), "exact": exact.Settings()}


@pytest.mark.parametrize("case", WALKS)
@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("kind", SAMPLERS)
def test_samplers_draw_from_the_squared_amplitude(kind, name, case):
    """Chi-square over all configurations, false alarm 1e-5 each; what a sampler cannot do it refuses."""
    sampler, space = SAMPLERS[kind], declarations.space(WALKS[case])
    state, parameters = machine(space, name, spread=0.2)
    refusals = declarations.problems(sampler, space) + declarations.conflicts(sampler, state.factors)
    possible = kind == "metropolis" or (space.magnetisation is None and not state.is_holomorphic)
    assert (refusals == []) == possible
    if possible:
        pack = declarations.sampler_pack(sampler, state, parameters, 0.0)
        assert misfit(pack, state.pack(parameters), amplitudes(state, parameters), space) < 1.0


@pytest.mark.parametrize("kind", SAMPLERS)
def test_another_machine_is_found_out(kind):
    """The control: against |psi|^2 of weights that are a fifth larger every sampler fails."""
    state, parameters = machine(declarations.space(WALKS["ising ring"]), "real", spread=0.3)
    other = [{"a": parameters[0]["a"], "b": parameters[0]["b"], "w": 1.2 * parameters[0]["w"]}]
    pack = declarations.sampler_pack(SAMPLERS[kind], state, parameters, 0.0)
    assert misfit(pack, state.pack(parameters), amplitudes(state, other), state.space) > 2.0


@pytest.mark.parametrize("kind", ["gibbs", "exact"])
def test_complex_machines_are_refused_with_the_reason(kind):
    """Their |psi|^2 is no marginal: what is needed, what is there, and what to do."""
    state, _ = machine(declarations.space(WALKS["ising ring"]), "complex")
    ((key, message),) = declarations.conflicts(SAMPLERS[kind], state.factors)
    assert key == "kind"
    assert all(words in message for words in ("real parameters", "spin_rbm with complex parameters", '"metropolis"'))
    assert "langevin" not in message
