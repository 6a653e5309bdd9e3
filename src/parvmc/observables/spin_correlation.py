"""The correlation of two spins as a function of their separation."""

from typing import Literal

from parvmc.declarations import observable_pack, observed, problems, spaces
from parvmc.dispatch import implements, settings
from parvmc.observables.spins import Displacements, correlations, errors, size_problems
from parvmc.spaces import Spins
from parvmc.values import Quantity


@settings
class Settings:
    """C(d) = <s_i s_k>, the mean over all pairs of sites with r_k - r_i = d or -d; s is sigma^z, 1 or -1.

    A chain: d = 0, 1, ..., N/2 where it is periodic, to N - 1 where it is open; a rectangle: an array over (dx, dy),
    where it is periodic the shorter way round along each axis. C(0) = 1, and C(-d) = C(d) is given too. Nothing is
    subtracted: the connected correlation is C(d) - <m>^2.
    """

    kind: Literal["spin_correlation"] = "spin_correlation"


@implements(spaces, Settings)
def _spaces(observable):
    return (Spins,)


@implements(problems, Settings)
def _problems(observable, space):
    return size_problems(space)


@implements(observable_pack, Settings)
def _pack(observable, space, extent):
    return correlations(space.lattice)


@implements(observed, Settings)
def _observed(observable, space, extent, rows):
    found = Displacements(space.lattice)
    shape = [steps.size for steps in found.steps]
    means, spread = (values[found.number].reshape(shape) for values in (rows.mean(axis=(0, 1)), errors(rows)))
    names = ("x", "y")
    axes = {
        name: (steps, "1", f"displacement along {name}, in units of the lattice spacing")
        for name, steps in zip(names, found.steps, strict=True)
    }
    if len(space.lattice.shape) == 1:
        start = -found.steps[1][0]
        means, spread = means[0, start:], spread[0, start:]
        axes = {"d": (found.steps[1][start:], "1", "distance along the chain, in units of the lattice spacing")}
    text = "<s_i s_k> of spins 1 or -1 along z, the mean over all pairs this far apart; <m>^2 is not subtracted"
    return {observable.kind: Quantity(means, spread, "1", text, axes)}
