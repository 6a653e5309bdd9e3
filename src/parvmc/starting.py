"""The parameters a run starts from: drawn at random, or taken from the result file of another run."""

import contextlib

import numpy as np

from parvmc import declarations, results, spaces
from parvmc.config import configurations
from parvmc.randoms import Purpose, generator
from parvmc.schema import DeckError
from parvmc.states.product import TrialState


def starting_parameters(deck, warm=True):
    """Return a dict of arrays for each factor; they depend on the seed and the trial state alone.

    A factor with `initial = "FILE"` takes its parameters from the factor of that kind in the file; the deck's second of
    a kind from the file's second, and so on, else from the last. Where the file has fewer hidden units, the others keep
    their random values; warm = False looks at no file. Raises DeckError where the two do not fit.
    """
    space = declarations.space(deck.system)
    state = TrialState(deck.state, space)
    with _overflow_told("state"):
        parameters = state.initial(generator(deck.seed, Purpose.PARAMETERS))
    if warm and deck.pretrain.iterations and deck.pretrain.reference != "ideal":
        configurations(deck.pretrain.reference, space)  # it is read again when it is needed, and must be found now
    for index, factor in enumerate(deck.state):
        if warm and getattr(factor, "initial", None) not in (None, "random"):
            before = sum(other.kind == factor.kind for other in deck.state[:index])
            _take_over(f"state.{index}", factor, before, space, parameters[index])
    _require_finite(deck, space, parameters)
    return parameters


def _require_finite(deck, space, parameters):
    for index, (factor, own) in enumerate(zip(deck.state, parameters, strict=True)):
        with _overflow_told(f"state.{index}"):
            if not _is_finite((declarations.state_pack(factor, space, own), own)):
                raise FloatingPointError


@contextlib.contextmanager
def _overflow_told(key):
    """Raise DeckError where numbers that are right by themselves overflow together."""
    try:
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            yield
    except ArithmeticError:
        reason = "has numbers so large or so small that what is computed from them overflows"
        raise DeckError([(key, f"{reason}; give less extreme ones")]) from None


def _is_finite(value):
    """Return whether all numbers in a pack, or in any other nest of tuples and dicts, are finite."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple):
        return all(map(_is_finite, value))
    return bool(np.isfinite(value).all())


def _take_over(key, factor, before, space, own):
    try:
        with results.open(factor.initial) as file:
            saved, system, decks = file.parameters, file.deck["system"], file.deck["state"]
    except (results.NotAResult, OSError, KeyError) as error:
        raise DeckError([(f"{key}.initial", str(error))]) from None
    if isinstance(space, spaces.Spins):
        theirs, ours = (f"a lattice {shape}" for shape in (system.get("lattice"), list(space.lattice.shape)))
    else:
        sizes = (system.get("particles"), system.get("dimensions")), (space.particles, space.dimensions)
        theirs, ours = (f"{size[0]} particles in {size[1]} dimensions" for size in sizes)
    if theirs != ours:
        raise DeckError([(f"{key}.initial", f"{factor.initial} has {theirs}, this deck {ours}")])
    labels = [f"{number}_{table['kind']}" for number, table in enumerate(decks)]
    matching = [number for number, label in enumerate(labels) if label.endswith(f"_{factor.kind}") and label in saved]
    if not matching:
        raise DeckError([(f"{key}.initial", f"{factor.initial} has no parameters of a {factor.kind}")])
    chosen = matching[min(before, len(matching) - 1)]
    for name in declarations.same_meaning(factor):
        theirs = decks[chosen].get(name)
        ours = getattr(factor, name)
        ours = list(ours) if isinstance(ours, tuple) else ours
        if theirs != ours:
            text = f"{factor.initial} was made with {name} = {theirs!r}, this deck has {ours!r}; they must agree"
            raise DeckError([(f"{key}.initial", text)])
    for name, values in saved[labels[chosen]].items():
        values = np.asarray(values)
        if values.ndim != own[name].ndim or any(n > m for n, m in zip(values.shape, own[name].shape, strict=True)):
            text = f"{factor.initial} has {name} of shape {values.shape}, this deck {own[name].shape}"
            raise DeckError([(f"{key}.initial", text)])
        own[name][tuple(slice(0, size) for size in values.shape)] = values
