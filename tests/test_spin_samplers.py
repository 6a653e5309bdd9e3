"""Samplers of spins draw from |psi|^2: chi-square over all configurations, with controls that must fail.

Every test of a distribution has a false alarm of 1e-5; the harness is in spin_walks.py.
"""

from typing import NamedTuple

import numpy as np
import pytest
import spin_tables
from scipy.stats import chi2
from spin_walks import BATCHES, LANES, State, equilibrate, misfit, numbers, probabilities, walked

from parvmc import declarations, operations, spaces
from parvmc.dispatch import implements
from parvmc.hamiltonians import heisenberg, ising, j1j2
from parvmc.lattice import Lattice
from parvmc.placement import place
from parvmc.randoms import Purpose, streams, uniform
from parvmc.samplers import common, exact, gibbs, metropolis, spin_moves

SPACES = {
    "ising ring": declarations.space(ising.Settings(lattice=(6,))),
    "ising square": declarations.space(ising.Settings(lattice=(2, 3), periodic=False)),
    "ring of zero magnetisation": declarations.space(heisenberg.Settings(lattice=(8,))),
    "magnetised ring": declarations.space(heisenberg.Settings(lattice=(8,), magnetisation=2)),
    "square of zero magnetisation": declarations.space(j1j2.Settings(lattice=(2, 4), periodic=False)),
    "ring of any magnetisation": declarations.space(heisenberg.Settings(lattice=(6,), magnetisation="any")),
    "one odd site": declarations.space(heisenberg.Settings(lattice=(7,), magnetisation=-1)),
}


@pytest.mark.parametrize("case", SPACES)
@pytest.mark.parametrize("complex_valued", [False, True])
@pytest.mark.parametrize("global_flip", [False, True])
def test_metropolis_draws_from_the_squared_amplitude(case, complex_valued, global_flip):
    """Flips or exchanges, with and without flips of all spins, whatever the phase: chi-square over all
    configurations."""
    space = SPACES[case]
    pack = spin_tables.table(space, spread=0.6, complex_valued=complex_valued)
    sampler = declarations.sampler_pack(metropolis.Settings(global_flip=global_flip), State(space), (), 0.0)
    assert misfit(sampler, pack, spin_tables.amplitudes(pack), space) < 1.0


def test_flips_of_all_spins_alone_draw_from_both():
    """Two configurations, each other's mirror image, between which no single flip leads: a psi of nothing else."""
    space = SPACES["ising ring"]
    pack = spin_tables.table(space, spread=0.0)
    pack.logarithms[0] = -400.0
    pack.logarithms[0, [0, 63]] = 0.0, -0.7
    sampler = declarations.sampler_pack(metropolis.Settings(), State(space), (), 0.0)
    found = np.concatenate([numbers(positions) for positions in walked(sampler, pack, space, apart=20)])
    share = 1.0 / (1.0 + np.exp(-1.4))
    assert set(found) == {0, 63}
    assert abs((found == 0).mean() - share) < 4.5 * np.sqrt(share * (1.0 - share) / found.size)
    alone = declarations.sampler_pack(metropolis.Settings(global_flip=False), State(space), (), 0.0)
    still = np.concatenate([numbers(positions) for positions in walked(alone, pack, space, looks=1)])
    assert abs((still == 0).mean() - share) > 0.1


def test_walkers_are_only_flipped_all_at_once_where_their_sum_may_change_sign():
    """Not at a magnetisation other than zero, which it would leave."""
    for case, space in SPACES.items():
        pack = declarations.sampler_pack(metropolis.Settings(), State(space), (), 0.0)
        assert pack.mirrors == (case not in ("magnetised ring", "one odd site"))
        assert not declarations.sampler_pack(metropolis.Settings(global_flip=False), State(space), (), 0.0).mirrors


@pytest.mark.parametrize("magnetisation", [-6, -2, 0, 4, 8])
def test_exchanges_keep_the_magnetisation(magnetisation):
    """Of every walker, from its placement on; also where no exchange is possible."""
    space = declarations.space(heisenberg.Settings(lattice=(8,), magnetisation=magnetisation))
    sampler = declarations.sampler_pack(metropolis.Settings(), State(space), (), 0.0)
    for positions in walked(sampler, spin_tables.table(space), space, looks=2):
        assert (positions.sum(axis=1) == magnetisation).all()
        assert (np.abs(positions) == 1.0).all()


@pytest.mark.parametrize("kept", [None, 0, -3])
def test_walkers_start_anywhere(kept):
    """Each configuration that the space allows is as likely as any other, in batches of their own."""
    space = spaces.Spins(Lattice((7,) if kept else (6,)), kept)
    positions = place(5, range(BATCHES), LANES, space, 0.0)
    assert np.array_equal(positions[3], place(5, [3], LANES, space, 0.0)[0])
    assert place(5, [], LANES, space, 0.0).shape == (0, space.units, LANES)
    expected = probabilities(np.ones(2**space.units), space)
    found = np.bincount(numbers(positions), minlength=expected.size)
    assert found[expected == 0.0].sum() == 0
    wanted = expected[expected > 0.0] * found.sum()
    assert (np.square(found[expected > 0.0] - wanted) / wanted).sum() < chi2.isf(1e-5, wanted.size - 1)


# --- flat psi, where every move is accepted --------------------------------------------------------------------------


def correlation(sampler, space, function):
    """Return <f f'> of a function of positions before and after two sweeps under a flat psi."""
    pack = spin_tables.table(space, spread=0.0)
    first, second = (function(positions.copy()) for positions in walked(sampler, pack, space, looks=2, apart=2))
    return (first * second).mean() - first.mean() * second.mean()


class InTurn(NamedTuple):
    """Pack of flips of one site after another: the control."""

    particles: int


@implements(operations.sweep, InTurn)
def _sweep(sampler, state, work, positions, randoms, scratch):
    ratios, threshold, mask = scratch[0], scratch[1], scratch[2]
    accepted = 0
    for site in range(sampler.particles):
        ratios[:] = 1.0
        operations.flip_ratio(state, work, positions, site, ratios)
        uniform(randoms, threshold)
        accepted += common.decide(ratios, threshold, mask)
        spin_moves.flip(mask, positions[site])
        operations.accept(state, work, mask)
    return accepted


def test_a_flat_psi_does_not_keep_walkers_from_mixing():
    """After two sweeps the parity of the number of spins that are up is forgotten, to 5 / sqrt(8192); flips in turn
    leave every walker where it was."""
    space = SPACES["ising ring"]
    for global_flip in (False, True):
        sampler = declarations.sampler_pack(metropolis.Settings(global_flip=global_flip), State(space), (), 0.0)
        assert abs(correlation(sampler, space, lambda positions: positions.prod(axis=1).ravel())) < 5.0 / 90.5
    assert correlation(InTurn(6), space, lambda positions: positions.prod(axis=1).ravel()) > 0.9
    assert correlation(InTurn(6), space, lambda positions: positions[:, 0].ravel()) > 0.9


def test_a_flat_psi_lets_two_spins_change_places():
    """One bond alone: were it exchanged in every proposal, two in a sweep would lead back."""
    space = declarations.space(heisenberg.Settings(lattice=(2,), periodic=False))
    sampler = declarations.sampler_pack(metropolis.Settings(global_flip=False), State(space), (), 0.0)
    assert abs(correlation(sampler, space, lambda positions: positions[:, 0].ravel())) < 5.0 / 90.5


def test_acceptance_counts_what_has_changed():
    """Under a flat psi every flip counts but those not proposed in the last place of a sweep; exchanges of equal spins
    never do: of two spins drawn without return from n / 2 up and n / 2 down, n / (2 n - 2) are unequal."""
    sweeps = 400
    for case, share in (("ising ring", 1.0), ("ring of zero magnetisation", 8.0 / 14.0)):
        space = SPACES[case]
        pack = spin_tables.table(space, spread=0.0)
        sampler = declarations.sampler_pack(metropolis.Settings(), State(space), (), 0.0)
        positions = place(1, range(BATCHES), LANES, space, 0.0)
        randoms = streams(1, Purpose.PRODUCTION, range(BATCHES), LANES)
        accepted = equilibrate(sampler, pack, positions, randoms, sweeps)
        expected = share * (space.units - 0.5) * sweeps * positions.shape[0] * LANES
        assert accepted == pytest.approx(expected, rel=2e-3)


# --- the controls ----------------------------------------------------------------------------------------------------


class AcceptAll(NamedTuple):
    """Pack of flips at random that are all accepted."""

    particles: int


@implements(operations.sweep, AcceptAll)
def _sweep_all(sampler, state, work, positions, randoms, scratch):
    mask = scratch[0]
    for _ in range(sampler.particles):
        uniform(randoms, mask)
        site = int(mask[0] * sampler.particles)
        for lane in range(mask.size):
            mask[lane] = 1.0 if mask[lane] < 0.5 else 0.0
        operations.flip_ratio(state, work, positions, site, scratch[1])
        spin_moves.flip(mask, positions[site])
        operations.accept(state, work, mask)
    return 0


class NoRecord(NamedTuple):
    """Pack of flips whose acceptance the state is not told."""

    particles: int


@implements(operations.sweep, NoRecord)
def _sweep_unrecorded(sampler, state, work, positions, randoms, scratch):
    ratios, threshold, mask = scratch[0], scratch[1], scratch[2]
    for _ in range(sampler.particles):
        uniform(randoms, threshold)
        site = int(threshold[0] * sampler.particles)
        ratios[:] = 1.0
        operations.flip_ratio(state, work, positions, site, ratios)
        uniform(randoms, threshold)
        common.decide(ratios, threshold, mask)
        spin_moves.flip(mask, positions[site])
    return 0


class MirrorAll(NamedTuple):
    """Pack that flips all spins of every second walker whatever psi is there, after a right sweep."""

    particles: int
    sampler: spin_moves.SpinMoves


@implements(operations.sweep, MirrorAll)
def _sweep_mirrored(sampler, state, work, positions, randoms, scratch):
    accepted = operations.sweep(sampler.sampler, state, work, positions, randoms, scratch)
    mask = scratch[0]
    uniform(randoms, mask)
    for lane in range(mask.size):
        mask[lane] = 1.0 if mask[lane] < 0.5 else 0.0
    operations.mirror_ratio(state, work, positions, scratch[1])
    for site in range(sampler.particles):
        spin_moves.flip(mask, positions[site])
    operations.mirror(state, work, mask)
    return accepted


def test_wrong_moves_fail():
    """No rejection, no record of acceptance, or mirror images taken without a look at psi: each is far off."""
    space = SPACES["ising ring"]
    pack = spin_tables.table(space, spread=0.6)
    right = declarations.sampler_pack(metropolis.Settings(), State(space), (), 0.0)
    for wrong in (AcceptAll(6), NoRecord(6), MirrorAll(6, right)):
        assert misfit(wrong, pack, spin_tables.amplitudes(pack), space) > 10.0


def test_the_harness_holds_for_independent_walkers():
    """One look at each walker, with another seed, passes as well as eight do: they are as good as independent."""
    space = SPACES["ising ring"]
    pack = spin_tables.table(space, spread=0.4)
    sampler = declarations.sampler_pack(metropolis.Settings(), State(space), (), 0.0)
    assert misfit(sampler, pack, spin_tables.amplitudes(pack), space, looks=1, seed=4) < 1.0


# --- what a deck may ask for -----------------------------------------------------------------------------------------


FREE, KEPT = SPACES["ring of any magnetisation"], SPACES["ring of zero magnetisation"]
TRAP = spaces.Space(2, 2, (1.0, 1.0))


@pytest.mark.parametrize(
    ("sampler", "space", "key", "words"),
    [
        (metropolis.Settings(step=0.5), FREE, "step", ["spins are flipped", "leave it out"]),
        (metropolis.Settings(acceptance=0.4), KEPT, "acceptance", ["leave it out"]),
        (metropolis.Settings(moves="flip"), TRAP, "moves", ["is for spins", "leave it out"]),
        (metropolis.Settings(global_flip=False), TRAP, "global_flip", ["is for spins"]),
        (metropolis.Settings(moves="exchange"), FREE, "moves", ["never changes the magnetisation", '"flip"']),
        (metropolis.Settings(moves="flip"), KEPT, "moves", ["keeps it at 0", '"exchange"', '"any"']),
        (gibbs.Settings(), KEPT, "kind", ["keeps their sum at 0", '"metropolis"', '"any"']),
        (exact.Settings(), KEPT, "kind", ["keeps their sum at 0"]),
    ],
)
def test_what_belongs_to_the_other_world_is_refused(sampler, space, key, words):
    """One key is named, with the reason and what to give instead."""
    ((found, message),) = declarations.problems(sampler, space)
    assert found == key
    assert all(word in message for word in words)


def test_what_fits_is_not_refused():
    """Defaults work in both worlds; each kind of move where it belongs."""
    for space in (FREE, KEPT, TRAP):
        assert declarations.problems(metropolis.Settings(), space) == []
        assert {type(space)} <= set(declarations.spaces(metropolis.Settings()))
    assert declarations.problems(metropolis.Settings(moves="flip", global_flip=False), FREE) == []
    assert declarations.problems(metropolis.Settings(moves="exchange"), KEPT) == []
    assert declarations.problems(metropolis.Settings(step=0.5, acceptance=0.4), TRAP) == []
    assert declarations.problems(gibbs.Settings(), FREE) == declarations.problems(exact.Settings(), FREE) == []


def test_there_is_no_step_to_tune_for_spins():
    """The step stays zero, and no acceptance is aimed at."""
    for space in (FREE, KEPT):
        assert declarations.first_step(metropolis.Settings(), space) == 0.0
        assert declarations.target_acceptance(metropolis.Settings(), space) is None
    assert declarations.target_acceptance(metropolis.Settings(), TRAP) == 0.5
