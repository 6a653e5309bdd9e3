"""The static structure factor of the spins along z."""

import math
from typing import Literal

import numpy as np

from parvmc.declarations import observable_pack, observed, problems, spaces
from parvmc.dispatch import implements, settings
from parvmc.observables.spins import Displacements, correlations, errors, size_problems
from parvmc.spaces import Spins
from parvmc.values import Quantity


@settings
class Settings:
    """S(q) = (1 / N) <|sum_i s_i e^(i q . r_i)|^2> at the N wave vectors of the periodic lattice, s = 1 or -1.

    q = 2 pi n / side along each axis, -pi < q <= pi. Their mean is (1 / N) sum_q S(q) = 1. An open lattice gets
    the same q, which are not those of its normal modes; the mean is 1 all the same.
    """

    kind: Literal["structure_factor"] = "structure_factor"


@implements(spaces, Settings)
def _spaces(observable):
    return (Spins,)


@implements(problems, Settings)
def _problems(observable, space):
    return size_problems(space)


@implements(observable_pack, Settings)
def _pack(observable, space, extent):
    return correlations(space.lattice)


def _waves(sides):
    """Return [float64[side] for each side], the wave numbers along each axis, rising."""
    return [2.0 * math.pi * np.arange(-((side - 1) // 2), side // 2 + 1) / side for side in sides]


def _transform(found, waves):
    """Return float64[classes, N], S(q) = (1 / N) sum_d pairs(d) C(d) cos(q . d), d over all displacements."""
    q = np.stack(np.meshgrid(*waves, indexing="ij"), axis=-1).reshape(-1, 2)
    weights = np.bincount(found.number) * found.pairs / len(q)  # d and -d have the same cosine
    return weights[:, np.newaxis] * np.cos(found.first @ q.T)


@implements(observed, Settings)
def _observed(observable, space, extent, rows):
    found = Displacements(space.lattice)
    waves = _waves(found.sides)
    measured = rows @ _transform(found, waves)
    shape = [wave.size for wave in waves]
    means, spread = (values.reshape(shape) for values in (measured.mean(axis=(0, 1)), errors(measured)))
    axes = {
        f"q_{name}": (wave, "1", f"wave number along {name}, times the lattice spacing")
        for name, wave in zip(("x", "y"), waves, strict=True)
    }
    if len(space.lattice.shape) == 1:
        means, spread = means[0], spread[0]
        axes = {"q": (waves[1], "1", "wave number, times the lattice spacing")}
    text = "structure factor of spins 1 or -1 along z; its mean over all q is 1"
    return {observable.kind: Quantity(means, spread, "1", text, axes)}
