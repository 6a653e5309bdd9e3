"""Sums that do not depend on the order and grouping of their terms, and worlds of one."""

import math

import numpy as np
import pytest

from parvmc import sums
from parvmc.parallel import LaunchError, World
from parvmc.sums import folds


def sum_over(groups, bounds, count):
    """Return the sum that ranks with these groups of terms would agree on, their folds added in the given order."""
    total = None
    for group in groups:
        own = folds([group], bounds, count)
        total = own if total is None else total + own
    return total[0] + total[1]


def test_any_order_and_grouping_gives_the_same_bits():
    """200 terms of very different size, in 40 random orders and groupings; a plain sum gives other bits."""
    generator = np.random.default_rng(1)
    terms = generator.standard_normal((200, 3)) * 10.0 ** generator.integers(-12, 12, (200, 1))
    terms[:, 1] = np.abs(terms[:, 1])
    bounds = np.abs(terms).max(axis=0)
    expected = World().sum(terms, 200)
    plain = set()
    for _ in range(40):
        order = generator.permutation(200)
        cuts = np.sort(generator.integers(0, 201, generator.integers(0, 8)))
        groups = np.split(terms[order], cuts)
        np.testing.assert_array_equal(sum_over(groups, bounds, 200), expected)
        plain.add(sum(group.sum(axis=0) for group in groups).tobytes())
    assert len(plain) > 1


def test_how_many_terms_are_added_at_a_time_changes_no_bit(monkeypatch):
    """One and three, besides all 200."""
    terms = np.random.default_rng(1).standard_normal((200, 3))
    expected = World().sum(terms, 200)
    for cached in (1, 3 * terms[:1].nbytes):
        monkeypatch.setattr(sums, "CACHED", cached)
        assert len(list(sums.in_groups(terms))) > 60
        np.testing.assert_array_equal(World().sum(terms, 200), expected)


def test_sum_is_exact_to_the_last_bits():
    """Off by at most 2^-52 of the sum of magnitudes, against math.fsum; cancellation included."""
    generator = np.random.default_rng(2)
    for count in (1, 2, 7, 256, 5000):
        terms = generator.standard_normal(count) * 10.0 ** generator.integers(-6, 6, count)
        total = World().sum(terms[:, np.newaxis], count)[0]
        assert abs(total - math.fsum(terms)) <= 2.0**-52 * np.abs(terms).sum()
    assert World().sum(np.array([[1e16], [1.0], [-1e16]]), 3)[0] == 1.0


def test_sum_of_nothing_zeros_and_the_smallest():
    """Zeros stay zero, denormal terms do no harm, and a rank without terms takes part."""
    assert World().sum(np.zeros((5, 2)), 5).tolist() == [0.0, 0.0]
    assert World().sum(np.empty((0, 2)), 4).tolist() == [0.0, 0.0]
    assert World().sum(np.full((3, 1), 5e-324), 3)[0] == pytest.approx(0.0, abs=1e-290)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_term_that_is_not_finite_shows_in_the_sum(bad):
    """Where one term is not finite the sum is not a number, and the other sums are unharmed."""
    terms = np.ones((4, 2))
    terms[2, 0] = bad
    total = World().sum(terms, 4)
    assert math.isnan(total[0])
    assert total[1] == 4.0


def test_shares_cover_all_batches_once():
    """Contiguous, in order, none empty, sizes differing by one at most."""
    world = World()
    for count, size in ((64, 1), (64, 3), (64, 64), (10, 7)):
        world.size = size
        shares = [world.range_of(rank, count) for rank in range(size)]
        assert [batch for share in shares for batch in share] == list(range(count))
        assert {len(share) for share in shares} <= {count // size, count // size + 1}


def test_a_launcher_that_does_not_belong_is_noticed(monkeypatch):
    """One rank although the launcher says that there are four: n copies would write the same files."""
    monkeypatch.setattr(World, "_communicator", staticmethod(lambda: None))
    monkeypatch.setenv("PMI_SIZE", "4")
    with pytest.raises(LaunchError, match="PMI_SIZE says that 4 processes were started"):
        World.start()
    monkeypatch.setenv("PMI_SIZE", "1")
    assert World.start().size == 1
