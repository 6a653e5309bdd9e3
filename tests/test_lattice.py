"""Bonds, translations and distances of lattices against what measuring all pairs of sites finds."""

import itertools

import exact_spins
import numpy as np
import pytest

from parvmc.lattice import Lattice

SHAPES = [(2,), (3,), (4,), (5,), (8,), (9,), (2, 2), (2, 5), (3, 3), (3, 4), (4, 4), (5, 6)]
LATTICES = [Lattice(shape, periodic) for shape in SHAPES for periodic in (True, False)]
EACH = pytest.mark.parametrize("lattice", LATTICES, ids=str)


@EACH
def test_bonds_are_all_pairs_at_their_distance(lattice):
    """Every pair once, the smaller site first; rings of fewer than four sites have no next-nearest neighbours."""
    assert list(map(tuple, lattice.nearest.tolist())) == exact_spins.bonds(lattice.shape, lattice.periodic)
    if lattice.sites > 3 or not lattice.periodic:
        expected = exact_spins.bonds(lattice.shape, lattice.periodic, next_nearest=True)
        assert list(map(tuple, lattice.next_nearest.tolist())) == expected


@pytest.mark.parametrize(
    ("shape", "periodic", "near", "far"),
    [
        ((80,), True, 80, 80),
        ((80,), False, 79, 78),
        ((10, 10), True, 200, 200),
        ((10, 10), False, 180, 162),
        ((3, 5), True, 30, 30),
        ((3, 5), False, 22, 16),
    ],
)
def test_numbers_of_bonds(shape, periodic, near, far):
    """As many for each site as neighbours, half of them its own; less at open ends."""
    lattice = Lattice(shape, periodic)
    assert (len(lattice.nearest), len(lattice.next_nearest)) == (near, far)


@EACH
def test_translations_are_a_group_that_keeps_the_bonds(lattice):
    """As many as sites on a periodic lattice, the identity first, one alone where it is open; each takes bonds to
    bonds, and one after another is a third."""
    translations = lattice.translations
    assert len(translations) == (lattice.sites if lattice.periodic else 1)
    assert translations[0].tolist() == list(range(lattice.sites))
    assert sorted(set(translations[:, 0])) == (list(range(lattice.sites)) if lattice.periodic else [0])
    for translation, inverse in zip(translations, lattice.inverses, strict=True):
        assert translations[inverse][translation].tolist() == list(range(lattice.sites))
    np.testing.assert_array_equal(lattice.places, translations.T)
    every = {tuple(translation) for translation in translations.tolist()}
    assert len(every) == len(translations)
    for first, second in itertools.product(translations, repeat=2):
        assert tuple(first[second].tolist()) in every
    for bonds in (lattice.nearest, lattice.next_nearest):
        pairs = {frozenset(pair) for pair in bonds.tolist()}
        for translation in translations:
            assert {frozenset(pair) for pair in translation[bonds].tolist()} == pairs


@EACH
def test_neighbours_lie_on_different_sublattices_where_there_are_two(lattice):
    """Next-nearest neighbours then lie on the same one; a periodic side of odd length mixes them."""
    signs = lattice.sublattices
    crossing = [signs[i] != signs[k] for i, k in lattice.nearest]
    assert lattice.bipartite == all(crossing)
    assert lattice.bipartite == (not lattice.periodic or all(side % 2 == 0 for side in lattice.shape))
    if lattice.bipartite:
        assert all(signs[i] == signs[k] for i, k in lattice.next_nearest)


@EACH
def test_separations_are_the_shortest_ways(lattice):
    """r_k = r_i + separation, modulo the sides of a periodic lattice, and no image of the site is nearer."""
    places, shape = lattice.coordinates, np.array(lattice.shape)
    assert [np.ravel_multi_index(place, lattice.shape) for place in places] == list(range(lattice.sites))
    images = [np.array(turns) * shape for turns in itertools.product([-1, 0, 1], repeat=len(shape))]
    for i, k in itertools.product(range(lattice.sites), repeat=2):
        way, straight = lattice.separations[i, k], places[k] - places[i]
        squares = [np.square(straight + image).sum() for image in images] if lattice.periodic else [straight @ straight]
        assert lattice.squared_distances[i, k] == way @ way == min(squares)
        assert np.array_equal((places[i] + way) % shape if lattice.periodic else places[i] + way, places[k])
