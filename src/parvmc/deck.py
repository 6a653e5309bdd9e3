"""The deck: its sections as settings classes, and what values that are right by themselves cannot show.

Each table of the deck is a settings class: its annotations say what is allowed and what it means, its defaults fill in
what is left out. What they mean for a table is in schema.py; the ways between text and settings are in config.py.
"""

import re
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt, Unit, doc

from parvmc import hamiltonians, observables, optimizers, samplers, states
from parvmc.declarations import (
    confines,
    conflicts,
    filled,
    hidden_copies,
    is_holomorphic,
    listed,
    problems,
    replicas,
    space,
    spaces,
)
from parvmc.dispatch import Kinds, discover, settings
from parvmc.schema import DeckError, shown
from parvmc.spaces import Space, Spins

SYSTEMS, STATES, SAMPLERS, OPTIMIZERS = map(discover, (hamiltonians, states, samplers, optimizers))
OBSERVABLES = discover(observables)
SAMPLES = 1_048_576  # of production, where the deck asks for nothing else
LEAST_STEPS = 16  # measurements of all walkers, fewer leave blocking nothing to work on


@settings
class Production:
    """[production]: what is measured once the parameters are frozen. A step measures all walkers once."""

    samples: Annotated[
        Annotated[int, Ge(1)] | None, doc(f"samples over all ranks, rounded up to whole steps; default: {SAMPLES}")
    ] = None
    target_error: Annotated[
        Annotated[float, Gt(0)] | None,
        Unit("energy"),
        doc("measure until the energy's error is this small, instead of samples"),
    ] = None
    max_samples: Annotated[
        Annotated[int, Ge(1)] | None, doc(f"bound on the samples with target_error; default: {64 * SAMPLES}")
    ] = None
    control_variate: Annotated[
        Literal["auto", "off"], doc('"auto": on where a part of the energy has a pole at r = 0')
    ] = "auto"
    equilibration: Annotated[
        Annotated[int, Ge(0)] | None, doc("sweeps before the first measurement; default: the sampler's")
    ] = None
    observables: Annotated[tuple, Kinds(OBSERVABLES, many=True), doc("what is measured besides the energy")] = ()


@settings
class Pretrain:
    """[pretrain]: the first gaussian_rbm factor is fitted to samples before the energy is minimised."""

    iterations: Annotated[int, Ge(0), doc("steps that raise the likelihood of the samples; 0: no pretraining")] = 0
    reference: Annotated[
        str, doc('what is fitted: "ideal", the ideal gas of the trap, or an HDF5 file with a dataset positions')
    ] = "ideal"
    samples: Annotated[
        Annotated[int, Ge(1)] | None,
        doc("samples per iteration over all ranks, a multiple of walkers; default: walkers"),
    ] = None
    sweeps: Annotated[int, Ge(1), doc("Gibbs sweeps of all chains before each measurement")] = 1
    optimizer: Annotated[Literal[tuple(OPTIMIZERS)], doc("kind of the optimiser, its other keys at their defaults")] = (
        "reconfiguration"
    )
    learning_rate: Annotated[
        float,
        Gt(0),
        doc("of the optimiser at first, shrinks to 0 over the iterations; for reconfiguration 0.5 is Newton's step"),
    ] = 0.2


@settings
class Output:
    """[output]: what is written when."""

    checkpoint_interval: Annotated[
        str, doc('time between checkpoints: "30 s", "10 min", "1 h 30 min", "1:30:00"; a bare "90" is in seconds')
    ] = "10 min"
    on_write_error: Annotated[
        Literal["continue", "stop"],
        doc("what becomes of a run whose checkpoint cannot be written, for want of space or of the folder"),
    ] = "continue"


@settings
class Deck:
    """The whole deck; each component is the settings class of its kind."""

    title: Annotated[str, doc("title of the run")] = ""
    seed: Annotated[int, Ge(0), Lt(2**64), doc("seed of all random streams")] = 0
    system: Annotated[object, Kinds(SYSTEMS), doc("the Hamiltonian")]
    state: Annotated[tuple, Kinds(STATES, many=True), doc("the factors of the trial state")]
    sampler: Annotated[object, Kinds(SAMPLERS), doc("how walkers move")] = SAMPLERS["metropolis"]()
    optimizer: Annotated[object, Kinds(OPTIMIZERS), doc("how parameters change")] = OPTIMIZERS["reconfiguration"]()
    pretrain: Annotated[Pretrain, doc("what the state is fitted to before the energy is minimised")] = Pretrain()
    production: Annotated[Production, doc("what is measured at the end")] = Production()
    output: Annotated[Output, doc("what is written when")] = Output()


# --- what single values cannot show ----------------------------------------------------------------------------------


def duration(text):
    """Return the seconds in a text, "30 s", "1.5 h" or "1 d 2 h 30 min"; a bare number is in seconds.

    With colons it is read as SLURM does: "10:00" (minutes), "1:30:00", "2-12:00:00", "2-12" (days and hours).
    """
    text = text.strip().lower()
    units = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]*)?", text):
        return float(text)
    clock = re.fullmatch(r"(?:([0-9]{1,5})-)?([0-9]{1,9})(?::([0-5]?[0-9]))?(?::([0-5]?[0-9]))?", text)
    if clock:
        days, *parts = clock.groups()
        parts = [float(part) for part in parts if part is not None]
        if days is None:
            parts = [0.0] * (3 - len(parts)) + parts
        scale = (3600.0, 60.0, 1.0)
        return 86400.0 * float(days or 0) + sum(a * b for a, b in zip(parts, scale, strict=False))
    unit = "d|days?|h|hours?|m|min|minutes?|s|sec|seconds?"
    if re.fullmatch(rf"([0-9]{{1,9}}(\.[0-9]*)?\s*({unit})(\s+|(?=[0-9])|$))+", text):
        return sum(float(n) * units[u] for n, u in re.findall(r"([0-9.]+)\s*([a-z])", text))
    raise ValueError(
        f'{shown(text)} is no duration; write "30 s", "10 min", "1 h 30 min", "1:30:00" or a number of seconds'
    )


def _multiple(value, unit, name):
    """Return why a count is wrong that is no multiple of another, with its neighbours that are."""
    below = value // unit * unit
    neighbours = f"the nearest are {below} and {below + unit}" if below else f"the nearest is {unit}"
    return f"{value} is not a multiple of {name} = {unit}; {neighbours}"


def fitted(deck):
    """Return the number of the factor that pretraining fits, the first whose |psi|^2 can be sampled in blocks, or
    None."""
    return next((number for number, factor in enumerate(deck.state) if hidden_copies(factor) is not None), None)


def _strangers(parts, region):
    """Return what lives in another space than the system, particles in a trap or spins on a lattice, as problems."""
    words = {Space: "particles in a trap", Spins: "spins on a lattice"}
    return [
        (f"{path}.kind", f'"{part.kind}" is for {words[spaces(part)[0]]}, and the system is {words[type(region)]}')
        for path, part in parts.items()
        if type(region) not in spaces(part)
    ]


def _component_problems(deck):
    """Return the components' own reasons why they cannot work, and why they cannot work with each other."""
    region = space(deck.system)
    parts = {"sampler": deck.sampler} | {f"state.{index}": factor for index, factor in enumerate(deck.state)}
    parts |= {f"production.observables.{index}": part for index, part in enumerate(deck.production.observables)}
    found = _strangers(parts, region)
    if found:
        return found
    if found := [(f"system.{key}" if key else "system", text) for key, text in problems(deck.system, region)]:
        return found  # what follows counts on a space that there can be
    parts = {"optimizer": deck.optimizer} | parts
    found = [
        (f"{path}.{key}" if key else path, text) for path, part in parts.items() for key, text in problems(part, region)
    ]
    for index, factor in enumerate(deck.state):
        train = getattr(factor, "train", ())
        if len(set(train)) < len(train):
            found.append((f"state.{index}.train", "names a group twice"))
    if len(own := [factor.kind for factor in deck.state if hasattr(factor, "spin_up")]) > 1:
        reason = f"{' and '.join(own)} would each cancel the interaction's 1/r, together they double it"
        found.append(("state", f"{reason}; keep one of them"))
    if isinstance(region, Space) and not any(confines(factor) for factor in deck.state):
        reason = "has no factor that falls off with the distance from the trap, and so no norm"
        found.append(("state", f"{reason}; add one of kind gaussian or gaussian_rbm"))
    if len({is_holomorphic(factor) for factor in deck.state}) > 1:
        reason = "multiplies factors of real and of complex parameters"
        found.append(("state", f'{reason}; give all of them parameters = "complex", or all of them "real"'))
    if not found:  # what follows asks components that are sound by themselves
        pairs = {"system": deck.system, "sampler": deck.sampler}
        factors = tuple(filled(factor, region) for factor in deck.state)
        found += [(f"{path}.{key}", text) for path, part in pairs.items() for key, text in conflicts(part, factors)]
    return found


def _replica_problems(deck):
    """Return the observables that need several walkers of a batch at a time and cannot have them."""
    found, sampler = [], deck.sampler
    for index, part in enumerate(deck.production.observables):
        needed = replicas(part)
        if needed > 1 and listed(sampler, space(deck.system)) is not None:
            text = f'"{part.kind}" compares walkers with each other, and "{sampler.kind}" has none'
            found.append((f"production.observables.{index}.kind", f"{text}; leave it out, or sample"))
        elif sampler.lanes % needed:
            found.append(("sampler.lanes", _multiple(sampler.lanes, needed, f'the replicas of "{part.kind}"')))
    return found


def _pretraining_problems(deck):
    """Return why there can be no pretraining, or not with so many samples."""
    settings, walkers, found = deck.pretrain, deck.sampler.walkers, []
    if settings.samples is not None and settings.samples % walkers:
        found.append(("pretrain.samples", _multiple(settings.samples, walkers, "sampler.walkers")))
    if settings.iterations and not isinstance(space(deck.system), Space):
        reason = "cannot be above 0 for spins: pretraining fits particles in a trap"
        found.append(("pretrain.iterations", f"{reason}; leave [pretrain] out"))
    elif settings.iterations and fitted(deck) is None:
        reason = "cannot be above 0 for a state without a gaussian_rbm, which is what pretraining fits"
        found.append(("pretrain.iterations", f"{reason}; add such a factor or give 0"))
    elif settings.iterations and not deck.state[fitted(deck)].train:
        reason = "cannot be above 0 where the gaussian_rbm trains nothing"
        found.append(("pretrain.iterations", f"{reason}; name groups in state.{fitted(deck)}.train or give 0"))
    return found


def deck_problems(deck):
    """Return the reasons of components why they cannot work, and the counts and keys that do not go together."""
    found, production = _component_problems(deck), deck.production
    found += [] if found else _replica_problems(deck)
    walkers, lanes, samples = deck.sampler.walkers, deck.sampler.lanes, deck.optimizer.samples
    if walkers % lanes:
        found.append(("sampler.walkers", _multiple(walkers, lanes, "sampler.lanes")))
    if samples is not None and samples % walkers:
        found.append(("optimizer.samples", _multiple(samples, walkers, "sampler.walkers")))
    found += _pretraining_problems(deck)
    if production.samples and production.target_error:
        found.append(("production.samples", "cannot go with target_error; bound such a run with max_samples"))
    if production.max_samples and not production.target_error:
        found.append(("production.max_samples", "goes with target_error only; a fixed number is production.samples"))
    least = LEAST_STEPS * walkers
    for name in ("samples", "max_samples"):
        if (getattr(production, name) or least) < least:
            reason = (
                f"is too few: {LEAST_STEPS} steps of {walkers} walkers are {least}; give that or more, or fewer walkers"
            )
            found.append((f"production.{name}", f"{getattr(production, name)} {reason}"))
    try:
        duration(deck.output.checkpoint_interval)
    except ValueError as error:
        found.append(("output.checkpoint_interval", str(error)))
    return found


def check_ranks(deck, ranks):
    """Raise DeckError if there are more ranks than batches of walkers to share out."""
    walkers, lanes = deck.sampler.walkers, deck.sampler.lanes
    batches = walkers // lanes
    if ranks > batches:
        narrow = [lanes >> k for k in range(64) if lanes % (1 << k) == 0 and lanes >> k >= 8 and batches << k >= ranks]
        change = f"start at most {batches}, or raise sampler.walkers to {ranks * lanes}"
        change += f", or lower sampler.lanes to {narrow[0]}" if narrow else ""
        reason = f"{ranks} ranks for {batches} batches ({walkers} walkers in batches of {lanes} lanes)"
        raise DeckError([("sampler.walkers", f"{reason}, but each rank needs one; {change}")])
