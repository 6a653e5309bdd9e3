"""Reading a deck: TOML text -> frozen settings, all that is wrong with it told at once, before anything is compiled.

The sections of a deck and what goes together are in deck.py; here are the ways between text and settings.
"""

import contextlib
import glob
import os
import re
import tomllib
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np

from parvmc import archive
from parvmc.deck import LEAST_STEPS, SAMPLES, Deck, deck_problems
from parvmc.declarations import filled, listed, space
from parvmc.schema import DeckError, Reader, dotted, nearest, shown

# What a resumed run may change, and what it may raise
FREE = {"title", "output.checkpoint_interval", "output.on_write_error", "production.target_error"}
GROWING = {"optimizer.iterations", "production.samples", "production.max_samples"}
LARGEST = 1 << 20  # bytes of a deck: ten thousand particles, each with a width of its own, have half of it
TOO_DEEP = "is nested far too deeply, or has a number of thousands of digits"
# A key of a hundred parts. tomllib's memory grows with their square: twenty thousand took gigabytes.
DEEP_KEY = re.compile(r"""(?:\.[ \t]*(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*){100}""")


def _located(deck, folder, strict):
    """Return the deck with the full paths of the files that it names, and what is wrong with them if it is strict."""
    state, found = [], []

    def full(key, name, known, kind):
        if name == known:
            return name
        places = [os.path.abspath(os.path.join(place, name)) for place in ("", folder)]
        path = next(filter(os.path.isfile, places), None)
        if not path and strict:
            found.append((key, f'no file {shown(name)} here or beside the deck; give "{known}" or {kind}'))
        return path or name

    for index, factor in enumerate(deck.state):
        name = getattr(factor, "initial", None) or "random"
        path = full(f"state.{index}.initial", name, "random", "a result file")
        state.append(replace(factor, initial=path) if path != name else factor)
    settings = deck.pretrain
    path = full("pretrain.reference", settings.reference, "ideal", "an HDF5 file with configurations")
    if strict and path != "ideal" and not found:
        try:
            configurations(path, space(deck.system))
        except DeckError as error:
            found += error.problems
    return replace(deck, state=tuple(state), pretrain=replace(settings, reference=path)), found


def configurations(path, space):
    """Return float64[samples, units], the dataset `positions` [samples, particles, dimensions] of an HDF5 file.

    Raises DeckError where it is not there or is not such numbers.
    """
    shape, found = f"[samples, {space.particles}, {space.dimensions}]", None
    try:
        with contextlib.closing(archive.Reader(path)) as file:
            found = file.value("positions") if "positions" in file.names() else None
    except OSError as error:
        reason = " ".join(str(error).split())
    else:
        reason = f"it has no dataset positions of numbers {shape}"
        if isinstance(found, np.ndarray) and found.dtype.kind in "fiu":
            if found.ndim == 3 and len(found) and found.shape[1:] == (space.particles, space.dimensions):
                if np.isfinite(found).all():
                    return found.reshape(len(found), -1).astype(np.float64)
                reason = "not all of its positions are finite"
            else:
                reason = f"its positions have the shape {list(found.shape)}, and this deck needs {shape}"
    raise DeckError([("pretrain.reference", f"{path}: {reason}")])


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
    if DEEP_KEY.search(text):
        raise DeckError([("deck", TOO_DEEP)])
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DeckError([("deck", f"is not TOML: {error}")]) from None
    except (ValueError, RecursionError):
        raise DeckError([("deck", TOO_DEEP)]) from None
    for override in overrides:
        _override(table, override)
    deck, missing = _located(Reader(Deck).read(table), folder, strict)
    deck = replace(deck, sampler=filled(deck.sampler, space(deck.system)))
    if found := deck_problems(deck) + missing:
        raise DeckError(found)
    return deck


def read(path):
    """Return the text of a deck's file, which is read once: it may be a pipe."""
    path = Path(path)
    try:
        with open(path, "rb") as file:
            contents = file.read(LARGEST + 1)
        reason = f"it has more than {LARGEST >> 20} MB" if len(contents) > LARGEST else None
        text = "" if reason else contents.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is not UTF-8 text"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        decks = glob.glob("*.toml", root_dir=path.parent)
        near = nearest(path.name, decks) if not os.path.lexists(path) else None
        hint = f"; did you mean {path.parent / near}?" if near else ""
        raise DeckError([(str(path), f"cannot be read: {reason}{hint}")]) from None
    if reason:
        raise DeckError([(str(path), f"cannot be read: {reason}; a deck is a TOML file such as those in inputs/")])
    return text


def load(path, overrides=(), strict=True):
    """Return the `Deck` in a file, as `loads` does."""
    return loads(read(path), overrides, Path(path).parent, strict)


def resolved(deck):
    """Return the deck with every default that depends on other keys filled in."""
    walkers, production, region = deck.sampler.walkers, deck.production, space(deck.system)
    amount = "samples" if production.target_error is None else "max_samples"
    default = max(SAMPLES if amount == "samples" else 64 * SAMPLES, LEAST_STEPS * walkers)
    if listed(deck.sampler, region) is not None:
        default = LEAST_STEPS * walkers  # all steps are the same
    equilibration = deck.sampler.equilibration if production.equilibration is None else production.equilibration
    settled = {amount: getattr(production, amount) or default, "equilibration": equilibration}
    observables = tuple(filled(observable, region) for observable in production.observables)
    return replace(
        deck,
        state=tuple(filled(factor, region) for factor in deck.state),
        optimizer=replace(deck.optimizer, samples=deck.optimizer.samples or walkers),
        pretrain=replace(deck.pretrain, samples=deck.pretrain.samples or walkers),
        production=replace(production, observables=observables, **settled),
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
