"""Independent samples of |psi|^2: it is a sum over all states of the hidden layer, of Gaussians or of free spins."""

import math
from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, doc

from parvmc.declarations import conflicts, hidden_copies, mixture, problems, sampler_pack, spaces
from parvmc.dispatch import implements, row_function, settings
from parvmc.operations import draw_visible, hidden_layer, sweep
from parvmc.randoms import uniform
from parvmc.samplers.common import Walkers, block_conflicts, block_problems
from parvmc.spaces import Space, Spins

MOST_HIDDEN = {1: 16, 2: 10}  # by copies in |psi|^2: tables of 2^16 and 3^10 weights, made anew for every iteration


@settings
class Settings(Walkers):
    """Draw a state of the hidden layer by its weight, then x from P(x|h), for states that are one small machine.

    No walker remembers where it was: one sweep equilibrates, and every measurement is independent of the one before.
    """

    kind: Literal["exact"] = "exact"
    equilibration: Annotated[int, Ge(0), doc("sweeps before the first measurement; one is enough")] = 1
    thinning: Annotated[int, Ge(1), doc("sweeps between measurements; each draws all walkers anew")] = 1


class Exact(NamedTuple):
    """Pack of exact sampling; cumulative float64[states]: the probability of a state of the hidden layer or one before.

    State number sum_j n_j (copies + 1)^j has n_j copies of hidden unit j on.
    """

    particles: int
    hidden: int
    copies: int
    cumulative: np.ndarray


@implements(sampler_pack, Settings)
def _pack(sampler, state, parameters, step):
    (factor,), (own,) = state.factors, parameters
    logarithms = mixture(factor, state.space, own)
    cumulative = np.exp(logarithms - logarithms.max()).cumsum()
    cumulative /= cumulative[-1]
    _, copies = hidden_copies(factor)
    return Exact(state.space.particles, round(math.log(cumulative.size, copies + 1)), copies, cumulative)


@implements(spaces, Settings)
def _spaces(sampler):
    return (Space, Spins)


@implements(problems, Settings)
def _problems(sampler, space):
    return block_problems(sampler.kind, space)


@implements(conflicts, Settings)
def _conflicts(sampler, factors):
    found = block_conflicts(sampler.kind, factors)
    if not found:
        hidden, copies = hidden_copies(factors[0])
        if hidden > MOST_HIDDEN[copies]:
            states = f"{copies + 1}^{hidden} states of the {hidden} hidden units"
            reason = f"exact lists all {states}, and can list those of at most {MOST_HIDDEN[copies]}"
            found.append(("kind", f'{reason} for this amplitude; use "gibbs"'))
    return found


@row_function
def _search(cumulative, row):
    """Replace each uniform number by the number of the state it falls into; by halves, as the rows are sorted."""
    for lane in range(row.size):
        first, last = 0, cumulative.size - 1
        while first < last:
            middle = (first + last) // 2
            if cumulative[middle] > row[lane]:
                last = middle
            else:
                first = middle + 1
        row[lane] = first


@row_function
def _take_digit(base, number, digit):
    """Move the last digit of the number, a row of whole float64, into digit."""
    for lane in range(digit.size):
        rest = np.floor((number[lane] + 0.5) / base)
        digit[lane] = number[lane] - base * rest
        number[lane] = rest


@implements(sweep, Exact)
def _sweep(sampler, state, work, positions, randoms, scratch):
    hidden, number = hidden_layer(state, work), scratch[0]
    uniform(randoms, number)
    _search(sampler.cumulative, number)
    for j in range(sampler.hidden):
        _take_digit(sampler.copies + 1.0, number, hidden[j])
    draw_visible(state, work, positions, randoms, scratch[:2])
    return sampler.particles * positions.shape[1]
