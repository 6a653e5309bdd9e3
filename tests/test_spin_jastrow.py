"""Spin Jastrow factors keep the contract of operations.py: moves, logarithms and derivatives agree with each other."""

import itertools
import math

import numba
import numpy as np
import pytest

from parvmc import declarations, operations, spaces
from parvmc.lattice import Lattice
from parvmc.states import neighbor_jastrow, spin_jastrow
from parvmc.states.product import TrialState

LANES = 16
KINDS = {"spin_jastrow": spin_jastrow.Settings, "neighbor_jastrow": neighbor_jastrow.Settings}
LATTICES = [
    Lattice((2,)),
    Lattice((7,)),
    Lattice((8,), False),
    Lattice((4, 4)),
    Lattice((2, 3)),
    Lattice((3, 4), False),
]
CASES = list(itertools.product(KINDS, ("real", "complex"), LATTICES))


def space_of(lattice):
    """Return the space of a lattice with exchanges of its nearest neighbours and of its first and last site."""
    exchanges = [tuple(map(int, bond)) for bond in lattice.nearest]
    return spaces.Spins(lattice, None, tuple(dict.fromkeys([*exchanges, (0, lattice.sites - 1)])))


def random_state(kind, parameters, lattice, seed=1, spread=0.3, **more):
    """Return (TrialState, parameters) of one factor with random couplings."""
    state = TrialState((KINDS[kind](parameters=parameters, **more),), space_of(lattice))
    own = state.initial(np.random.default_rng(0))
    generator = np.random.default_rng(seed)
    own[0]["strength"][:] = spread * generator.standard_normal(own[0]["strength"].size)
    if parameters == "complex":
        own[0]["strength"].imag = generator.standard_normal(own[0]["strength"].size)
    return state, own


def walkers(lattice, lanes=LANES, seed=2):
    """Return random spins float64[sites, lanes]."""
    return np.random.default_rng(seed).choice([-1.0, 1.0], (lattice.sites, lanes))


def side_distance(lattice, i, k):
    """The separations of two sites along each axis, without sign, by trying all ways round."""
    places = [np.unravel_index(site, lattice.shape) for site in (i, k)]
    images = (-1, 0, 1) if lattice.periodic else (0,)
    sides = zip(*places, lattice.shape, strict=True)
    return tuple(int(min(abs(b - a + n * side) for n in images)) for a, b, side in sides)


def naive_logarithm(kind, strength, lattice, spins):
    """ln psi = sum_{i<k} J s_i s_k with the class of each pair looked up by its distance, as the docstrings say."""
    pairs = {(i, k): side_distance(lattice, i, k) for k in range(lattice.sites) for i in range(k)}
    if kind == "neighbor_jastrow":
        return sum(strength[0] * spins[i] * spins[k] for (i, k), apart in pairs.items() if sum(apart) == 1)
    square = len(set(lattice.shape)) == 1
    key = {pair: sum(d * d for d in apart) if square else apart for pair, apart in pairs.items()}
    numbers = {value: number for number, value in enumerate(sorted(set(key.values())))}
    assert len(numbers) == len(strength)
    return sum(strength[numbers[key[i, k]]] * spins[i] * spins[k] for i, k in pairs)


@numba.njit
def _evaluate(state, positions, logarithms, phases, derivatives):
    work = operations.workspace(state, positions.shape[1])
    operations.rebuild(state, work, positions)
    operations.log_amplitude(state, work, positions, logarithms)
    operations.phase(state, work, positions, phases)
    operations.log_derivatives(state, work, positions, derivatives)


def evaluate(pack, positions):
    """Return (complex128[lanes] ln psi, derivatives float64[count, lanes])."""
    lanes = positions.shape[1]
    logarithms, phases, derivatives = np.zeros(lanes), np.zeros(lanes), np.full((pack.count, lanes), np.nan)
    _evaluate(pack, positions, logarithms, phases, derivatives)
    return logarithms + 1j * phases, derivatives


@numba.njit
def _try_all(state, positions, moves, ratios, mirrored, real, imaginary):
    """Ratios of all moves, by |psi|^2 and by psi, from one and the same positions; times what the rows hold."""
    work = operations.workspace(state, positions.shape[1])
    operations.rebuild(state, work, positions)
    operations.begin_amplitudes(state, work, positions)
    for move in range(moves):
        operations.flip_ratio(state, work, positions, move, ratios[move])
        operations.amplitude_ratio(state, work, positions, move, real[move], imaginary[move])
    operations.mirror_ratio(state, work, positions, mirrored)


@numba.njit
def _walk(state, positions, moves, chosen, masks, logarithms, phases, work):
    """Make moves final where masks is 1, flip all where the chosen move is -1, and evaluate without a rebuild."""
    operations.rebuild(state, work, positions)
    ratios = np.ones(positions.shape[1])
    for step in range(chosen.size):
        mask = masks[step]
        if chosen[step] < 0:
            operations.mirror_ratio(state, work, positions, ratios)
            operations.mirror(state, work, mask)
            for site in range(positions.shape[0]):
                positions[site] *= 1.0 - 2.0 * mask
        else:
            operations.flip_ratio(state, work, positions, chosen[step], ratios)
            operations.accept(state, work, mask)
            for end in range(2):
                site = moves[chosen[step], end]
                if site >= 0:
                    positions[site] *= 1.0 - 2.0 * mask
    operations.log_amplitude(state, work, positions, logarithms)
    operations.phase(state, work, positions, phases)


@numba.njit
def _rebuild(state, work, positions):
    operations.rebuild(state, work, positions)


def walked(pack, positions, moves, chosen, masks):
    """Return (ln psi after the walk, the workspace, one that is rebuilt there); positions are moved."""
    lanes = positions.shape[1]
    work, fresh = operations.workspace(pack, lanes), operations.workspace(pack, lanes)
    logarithms, phases = np.zeros(lanes), np.zeros(lanes)
    _walk(pack, positions, moves, chosen, masks, logarithms, phases, work)
    _rebuild(pack, fresh, positions)
    return logarithms + 1j * phases, work, fresh


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]},{case[1]},{case[2].shape},{case[2].periodic}")
def case(request):
    """Return (kind, parameters, lattice)."""
    return request.param


def test_logarithm_is_the_sum_over_pairs(case):
    """ln psi, phase included, against loops over pairs whose distance is found by trying all ways round."""
    kind, _, lattice = case
    state, own = random_state(*case)
    positions = walkers(lattice)
    found = evaluate(state.pack(own), positions)[0]
    expected = [naive_logarithm(kind, own[0]["strength"], lattice, spins) for spins in positions.T]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_ratios_are_differences_of_logarithms(case):
    """|psi'/psi|^2 and psi'/psi of every flip, exchange and of the mirror, to 1e-11; equal spins included."""
    state, own = random_state(*case)
    pack, positions, moves = state.pack(own), walkers(case[2]), state.space.moves
    before = evaluate(pack, positions)[0]
    start = np.random.default_rng(3).standard_normal((2, len(moves), LANES))
    complex_valued = case[1] == "complex"
    ratios, mirrored, (real, imaginary) = np.full((len(moves), LANES), 0.5), np.full(LANES, 0.5), start.copy()
    _try_all(pack, positions, len(moves), ratios, mirrored, real, imaginary)
    assert operations.is_complex(pack) == complex_valued == state.is_holomorphic
    for move, sites in enumerate(moves):
        flipped = positions.copy()
        flipped[[site for site in sites if site >= 0]] *= -1.0
        change = np.exp(evaluate(pack, flipped)[0] - before)
        np.testing.assert_allclose(ratios[move], 0.5 * np.abs(change) ** 2, rtol=1e-11)
        if complex_valued:
            found, expected = real[move] + 1j * imaginary[move], (start[0, move] + 1j * start[1, move]) * change
            np.testing.assert_allclose(found, expected, rtol=1e-11)
        else:
            np.testing.assert_allclose(real[move], start[0, move] * change.real, rtol=1e-11)
            np.testing.assert_array_equal(imaginary[move], start[1, move])
    np.testing.assert_array_equal(mirrored, 0.5)
    np.testing.assert_allclose(evaluate(pack, -positions)[0], before, rtol=0, atol=1e-12)


def test_accepting_equals_rebuilding(case):
    """After 40 moves of all sorts, each made final in half of the lanes; control: a field that missed a move is off."""
    state, own = random_state(*case)
    pack, positions, moves = state.pack(own), walkers(case[2]), state.space.moves
    generator = np.random.default_rng(4)
    chosen, masks = generator.integers(-1, len(moves), 40), generator.integers(0, 2, (40, LANES)).astype(float)
    logarithms, work, fresh = walked(pack, positions, moves, chosen, masks)
    np.testing.assert_allclose(logarithms, evaluate(pack, positions)[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(work.real, fresh.real, rtol=0, atol=1e-13)
    np.testing.assert_allclose(work.imaginary, fresh.imaginary, rtol=0, atol=1e-13)
    assert set(np.unique(positions)) == {-1.0, 1.0}
    positions[0] *= -1.0
    _rebuild(pack, fresh, positions)
    assert np.abs(work.real - fresh.real).max() > 1e-3


def test_log_derivatives_are_finite_differences(case):
    """Of ln psi by every real coordinate, where it is complex by the real and imaginary part of each parameter."""
    state, own = random_state(*case)
    positions, vector = walkers(case[2]), state.coordinates(own)
    derivatives = evaluate(state.pack(own), positions)[1]
    assert derivatives.shape == (vector.size, LANES)
    differences = []
    for index in range(vector.size):
        step = 1e-4 * np.eye(vector.size)[index]
        ahead, behind = (evaluate(state.pack(state.moved(own, vector + s * step)), positions)[0] for s in (1, -1))
        differences.append((ahead - behind) / 2e-4)
    if case[1] == "real":
        np.testing.assert_allclose(derivatives, differences, rtol=0, atol=1e-9)
    else:  # d ln psi / d re_k = O_k, d ln psi / d im_k = i O_k
        holomorphic = derivatives[::2] + 1j * derivatives[1::2]
        np.testing.assert_allclose(differences[::2], holomorphic, rtol=0, atol=1e-9)
        np.testing.assert_allclose(differences[1::2], 1j * holomorphic, rtol=0, atol=1e-9)
        assert (derivatives[1::2] == 0.0).all()


def test_coordinates_and_parameters_are_inverse(case):
    """A vector put into the parameters comes out again; what is frozen has no coordinates and no derivatives."""
    state, own = random_state(*case)
    vector = state.coordinates(own) + 0.1
    changed = state.moved(own, vector)
    np.testing.assert_array_equal(state.coordinates(changed), vector)
    assert changed[0]["strength"].dtype == own[0]["strength"].dtype
    assert changed[0]["strength"].shape == own[0]["strength"].shape
    frozen, own = random_state(*case, train=())
    assert frozen.coordinates(own).size == frozen.pack(own).count == 0
    assert frozen.moved(own, np.empty(0))[0] is own[0]
    assert evaluate(frozen.pack(own), walkers(case[2]))[1].shape == (0, LANES)


def test_classes_are_what_symmetry_relates():
    """How many parameters there are, that translations, inversion and (on a square) the diagonal keep classes."""
    sizes = {((80,), True): 40, ((80,), False): 79, ((10, 10), True): 19, ((4, 6), True): 11, ((2, 3), False): 5}
    for (shape, periodic), size in sizes.items():
        lattice = Lattice(shape, periodic)
        (own,) = TrialState((spin_jastrow.Settings(strength=0.25),), space_of(lattice)).initial(None)
        assert own["strength"].tolist() == [0.25] * size
        (own,) = TrialState((neighbor_jastrow.Settings(),), space_of(lattice)).initial(None)
        assert own["strength"].tolist() == [0.0]
    for lattice in (Lattice((8,)), Lattice((4, 4)), Lattice((2, 4))):
        state, own = random_state("spin_jastrow", "complex", lattice)
        positions = walkers(lattice)
        before = evaluate(state.pack(own), positions)[0]
        grid = positions.reshape(*lattice.shape, LANES)
        images = [positions[translation] for translation in lattice.translations]
        images += [np.flip(grid, axis).reshape(positions.shape) for axis in range(len(lattice.shape))]
        diagonal = np.ascontiguousarray(np.swapaxes(grid, 0, -2).reshape(positions.shape))
        for image in [*images, *([diagonal] if lattice.shape == (4, 4) else [])]:
            np.testing.assert_allclose(
                evaluate(state.pack(own), np.ascontiguousarray(image))[0], before, rtol=0, atol=1e-12
            )
        if lattice.shape == (2, 4):  # the control: sites in another order are another state
            shuffled = np.ascontiguousarray(positions[np.random.default_rng(0).permutation(8)])
            assert np.abs(evaluate(state.pack(own), shuffled)[0] - before).max() > 0.1


@pytest.mark.parametrize("parameters", ["real", "complex"])
@pytest.mark.parametrize("kind", KINDS)
def test_fields_stay_right_for_ten_thousand_sweeps(kind, parameters):
    """20 sites, 2 x 10^5 moves accepted in half of the lanes and never rebuilt: fields and ln psi within 1e-10."""
    lattice = Lattice((20,))
    state, own = random_state(kind, parameters, lattice)
    pack, positions, moves = state.pack(own), walkers(lattice), state.space.moves
    generator = np.random.default_rng(6)
    steps = 10_000 * lattice.sites
    chosen, masks = generator.integers(-1, len(moves), steps), generator.integers(0, 2, (steps, LANES)).astype(float)
    logarithms, work, fresh = walked(pack, positions, moves, chosen, masks)
    for kept, right in ((work.real, fresh.real), (work.imaginary, fresh.imaginary)):
        assert kept.size == 0 or np.abs(kept - right).max() < 1e-10
    np.testing.assert_allclose(logarithms, evaluate(pack, positions)[0], rtol=0, atol=1e-10)


def test_the_ising_ring_has_the_energy_of_its_transfer_matrix():
    """|psi|^2 = e^(2 J sum s s) on a ring: <s s'> of neighbours is (t + t^(N-1)) / (1 + t^N), t = tanh 2 J, exactly."""
    lattice, strength = Lattice((10,)), 0.3
    state = TrialState((neighbor_jastrow.Settings(strength=strength),), space_of(lattice))
    positions = np.array(list(itertools.product((-1.0, 1.0), repeat=10))).T.copy()
    logarithms = evaluate(state.pack(state.initial(None)), positions)[0].real
    weights = np.exp(2.0 * logarithms)
    found = (weights * positions[0] * positions[1]).sum() / weights.sum()
    t = math.tanh(2.0 * strength)
    assert found == pytest.approx((t + t**9) / (1.0 + t**10), rel=1e-12)
    assert abs(found - math.tanh(strength)) > 0.1  # psi is no square root


def test_what_cannot_be_is_refused():
    """One site has no pair, a table of sites squared has a limit; factors of spins do not go into a trap."""
    for made in KINDS.values():
        assert declarations.spaces(made()) == (spaces.Spins,)
        assert declarations.problems(made(), spaces.Spins(Lattice((8,)))) == []
        assert "one site" in declarations.problems(made(), spaces.Spins(Lattice((1,))))[0][1]
        assert "at most 4096" in declarations.problems(made(), spaces.Spins(Lattice((100, 100))))[0][1]
