"""The deck: TOML text -> frozen settings, all that is wrong with it told at once, before anything is compiled.

Each table of the deck is a settings class: its annotations say what is allowed and what it means, its defaults fill in
what is left out. What they mean for a table is in schema.py; here are the deck as a whole, what single values cannot
show, and the ways between text and settings.
"""

import glob
import os
import re
import tomllib
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt, doc

from parvmc import hamiltonians, optimizers, samplers, states
from parvmc.dispatch import Kinds, discover, settings
from parvmc.operations import problems, space
from parvmc.schema import DeckError, Reader, dotted, nearest, shown

SYSTEMS, STATES, SAMPLERS, OPTIMIZERS = map(discover, (hamiltonians, states, samplers, optimizers))
SAMPLES = 1_048_576  # of production, where the deck asks for nothing else
LEAST_STEPS = 16  # measurements of all walkers, fewer leave blocking nothing to work on
FREE = {"title", "output.checkpoint_interval", "production.target_error"}  # a resumed run may change them
GROWING = {"optimizer.iterations", "production.samples", "production.max_samples"}  # a resumed run may raise them


@settings
class Production:
    """[production]: what is measured once the parameters are frozen. A step measures all walkers once."""

    samples: Annotated[
        Annotated[int, Ge(1)] | None, doc(f"samples over all ranks, rounded up to whole steps; default: {SAMPLES}")
    ] = None
    target_error: Annotated[
        Annotated[float, Gt(0)] | None, doc("measure until the energy's error is this small, instead of samples")
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


@settings
class Output:
    """[output]: what is written when."""

    checkpoint_interval: Annotated[
        str, doc('time between checkpoints: "30 s", "10 min", "1 h 30 min", "1:30:00"; a bare "90" is in seconds')
    ] = "10 min"


@settings
class Deck:
    """The whole deck; each component is the settings class of its kind."""

    title: Annotated[str, doc("title of the run")] = ""
    seed: Annotated[int, Ge(0), Lt(2**64), doc("seed of all random streams")] = 0
    system: Annotated[object, Kinds(SYSTEMS), doc("the Hamiltonian")]
    state: Annotated[tuple, Kinds(STATES, many=True), doc("the factors of the trial state")]
    sampler: Annotated[object, Kinds(SAMPLERS), doc("how walkers move")] = SAMPLERS["metropolis"]()
    optimizer: Annotated[object, Kinds(OPTIMIZERS), doc("how parameters change")] = OPTIMIZERS["reconfiguration"]()
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


def _problems(deck):
    """Return the components' own reasons why they cannot work, and the counts and keys that do not go together."""
    parts = {"system": deck.system, "sampler": deck.sampler, "optimizer": deck.optimizer}
    parts |= {f"state.{index}": factor for index, factor in enumerate(deck.state)}
    region, production = space(deck.system), deck.production
    found = [
        (f"{path}.{key}" if key else path, text) for path, part in parts.items() for key, text in problems(part, region)
    ]
    walkers, lanes, samples = deck.sampler.walkers, deck.sampler.lanes, deck.optimizer.samples
    if walkers % lanes:
        found.append(("sampler.walkers", _multiple(walkers, lanes, "sampler.lanes")))
    if samples is not None and samples % walkers:
        found.append(("optimizer.samples", _multiple(samples, walkers, "sampler.walkers")))
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


def _located(deck, folder, strict):
    """Return the deck with the full paths of the result files that factors start from, and which were not found."""
    state, found = [], []
    for index, factor in enumerate(deck.state):
        name = getattr(factor, "initial", "random")
        places = [os.path.abspath(os.path.join(place, name)) for place in ("", folder)] if name != "random" else []
        path = next(filter(os.path.isfile, places), None)
        if places and not path and strict:
            reason = f'no file {shown(name)} here or beside the deck; give "random" or a result file'
            found.append((f"state.{index}.initial", reason))
        state.append(replace(factor, initial=path) if path else factor)
    return replace(deck, state=tuple(state)), found


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


# --- from text to settings and back ----------------------------------------------------------------------------------


def _override(table, text):
    """Set one entry of a parsed deck from `KEY=VALUE`."""
    key, _, value = text.partition("=")
    *path, last = (part.strip() for part in key.split("."))
    try:
        parsed = tomllib.loads(f"x = {value}")
    except (ValueError, RecursionError):
        parsed = {}
    if not all([*path, last]) or list(parsed) != ["x"]:
        word = re.fullmatch(r"\s*[A-Za-z][\w./ -]*", value) and re.fullmatch(r"[\w.-]+", key)
        hint = f"; text needs quotes inside the shell's: --set '{key}=\"{value.strip()}\"'" if word else ""
        raise DeckError([(f"--set {shown(text)}", f"is not KEY=VALUE, a dotted key and a TOML value{hint}")])
    seen = ""
    for part in path:
        at = _slot(table, part, seen)
        table = table.setdefault(at, {}) if isinstance(table, dict) else table[at]
        seen = dotted(seen, part)
    table[_slot(table, last, seen)] = parsed["x"]


def _slot(table, part, seen):
    """Return the key or index that a part of a dotted path means in this table or list."""
    number = re.fullmatch(r"[0-9]{1,9}", part)
    if isinstance(table, dict) and not number:
        return part
    if isinstance(table, list) and number and int(part) < len(table):
        return int(part)
    known = f"has {len(table)} entries, counted from 0" if isinstance(table, list) else "has no such entry"
    raise DeckError([(seen or "deck", f"{known}; --set cannot reach {dotted(seen, part)}")])


def loads(text, overrides=(), folder="", strict=True):
    """Return the `Deck` of a TOML text, or raise DeckError with all that is wrong.

    overrides: texts `KEY=VALUE` that replace entries; folder: where files named by the deck are looked for after the
    current directory; strict: a missing file is an error (not so for a deck that has already run).
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DeckError([("deck", f"is not TOML: {error}")]) from None
    except (ValueError, RecursionError):
        raise DeckError([("deck", "has a number of thousands of digits or is nested far too deeply")]) from None
    for override in overrides:
        _override(table, override)
    deck, missing = _located(Reader(Deck).read(table), folder, strict)
    if found := _problems(deck) + missing:
        raise DeckError(found)
    return deck


def load(path, overrides=(), strict=True):
    """Return the `Deck` in a file, as `loads` does."""
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is not UTF-8 text; a deck is a TOML file such as those in inputs/"
        raise DeckError([(str(path), f"cannot be read: {reason}")]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        decks = glob.glob("*.toml", root_dir=path.parent)
        near = nearest(path.name, decks) if not os.path.lexists(path) else None
        hint = f"; did you mean {path.parent / near}?" if near else ""
        raise DeckError([(str(path), f"cannot be read: {reason}{hint}")]) from None
    return loads(text, overrides, path.parent, strict)


def resolved(deck):
    """Return the deck with every default that depends on other keys filled in."""
    walkers, production = deck.sampler.walkers, deck.production
    amount = "samples" if production.target_error is None else "max_samples"
    default = max(SAMPLES if amount == "samples" else 64 * SAMPLES, LEAST_STEPS * walkers)
    equilibration = deck.sampler.equilibration if production.equilibration is None else production.equilibration
    filled = {amount: getattr(production, amount) or default, "equilibration": equilibration}
    state = []
    for factor in deck.state:
        k, c = getattr(factor, "exponents", (None, None))
        state.append(replace(factor, gaussian_factor=k, coupling_power=c) if k is not None else factor)
    return replace(
        deck,
        state=tuple(state),
        optimizer=replace(deck.optimizer, samples=deck.optimizer.samples or walkers),
        production=replace(production, **filled),
    )


def _plain(value):
    """Return settings as tables and lists, `kind` first; None is left out, TOML has none."""
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if not is_dataclass(value):
        return value
    names = sorted((field.name for field in fields(value)), key=lambda name: name != "kind")
    return {name: _plain(getattr(value, name)) for name in names if getattr(value, name) is not None}


def dumps(deck):
    """Return the resolved deck as TOML text; `loads` of it is the resolved deck again."""
    import tomli_w

    return tomli_w.dumps(_plain(resolved(deck)))


def _parts(value):
    """Return {name: part} of settings, or of a tuple of settings by index; nothing for a plain value."""
    if isinstance(value, tuple):
        return {str(index): part for index, part in enumerate(value) if is_dataclass(part)}
    return {field.name: getattr(value, field.name) for field in fields(value)} if is_dataclass(value) else {}


def _differences(old, new, path=""):
    """Return {key: (old value, new value)} where two decks differ; of different kinds only `kind` is named."""
    if is_dataclass(old) and type(old) is not type(new):
        return {dotted(path, "kind"): (old.kind, new.kind)}
    before, after = _parts(old), _parts(new)
    if before and before.keys() == after.keys():
        changes = [_differences(part, after[name], dotted(path, name)) for name, part in before.items()]
        return {key: change for some in changes for key, change in some.items()}
    return {} if old == new else {path: (old, new)}


def extended(old, new):
    """Return the keys in which `new` differs from `old` by more than a run that is resumed may be extended."""
    changes = _differences(resolved(old), resolved(new)).items()
    return [
        key
        for key, (a, b) in changes
        if key not in FREE and not (key in GROWING and (a is None or b is None or b >= a))
    ]
