"""Decks to begin with: a few values for each kind of problem, and every key with its meaning and default beside them.

The comments come from the classes that check a deck. A key that is left at its default is commented out.
"""

import json
import textwrap

from parvmc.deck import Deck
from parvmc.explain import Unknown
from parvmc.keys import Entry, entries, quoted
from parvmc.schema import nearest, shown

WIDTH = 110
ALL = "walkers and samples are totals over all ranks; units are hbar = m = e = 1, of spins those of the couplings"
MACHINE = {"kind": "gaussian_rbm", "hidden": 4}
COULOMB = {"kind": "coulomb"}
DOT = {"kind": "trap", "particles": 2, "dimensions": 2, "interaction": COULOMB}
SPHERES = {"kind": "hard_sphere", "diameter": 0.0043}
SPIN_MACHINE = {"kind": "spin_rbm", "density": 2, "symmetry": "translation", "biases": []}
CORRELATIONS = {"samples": 524_288, "observables": ["spin_correlation", "structure_factor"]}
RING = {"sampler": {"kind": "metropolis", "walkers": 1024}, "production": CORRELATIONS}

STARTERS = {
    "trap": {
        "title": "Two electrons in a circular quantum dot",
        "system": DOT,
        "state": [MACHINE],
        "production": {"observables": ["density", "pair_correlation"]},
    },
    "jastrow": {
        "title": "Two electrons in a circular quantum dot, machine and cusp",
        "system": DOT,
        "state": [MACHINE, {"kind": "pade_jastrow"}],
        "production": {"observables": ["density", "pair_correlation", "squared_radius", "pair_distance"]},
    },
    "hard_spheres": {
        "title": "Hard-sphere bosons in a trap",
        "system": {"kind": "trap", "particles": 10, "dimensions": 3, "interaction": SPHERES},
        "state": [{"kind": "gaussian"}, {"kind": "hard_core_jastrow"}],
        "optimizer": {"kind": "reconfiguration", "iterations": 100},
        "production": {"observables": ["density", "squared_radius"]},
    },
    "ising": {
        "title": "Ising ring in a transverse field",
        "system": {"kind": "ising", "lattice": [20], "field": 1.0},
        "state": [SPIN_MACHINE],
        **RING | {"production": {"samples": 524_288, "observables": ["magnetisation", "spin_correlation", "renyi"]}},
    },
    "heisenberg": {
        "title": "Antiferromagnetic Heisenberg ring",
        "system": {"kind": "heisenberg", "lattice": [20]},
        "state": [SPIN_MACHINE],
        **RING,
    },
    "j1j2": {
        "title": "Frustrated J1-J2 model on a square",
        "system": {"kind": "j1j2", "lattice": [4, 4], "j2": 0.5},
        "state": [SPIN_MACHINE | {"density": 8, "initial_spread": 0.03}],
        "sampler": {"kind": "enumerate"},
        "optimizer": {"kind": "reconfiguration", "average": 0.0},
    },
}
"""For each kind of starter deck what it gives; the rest stays at its defaults."""


def starter(kind, name="deck.toml"):
    """Return the text of a starter deck; name: of the file that it will be in. Raises Unknown."""
    if kind not in STARTERS:
        near = nearest(kind, STARTERS)
        hint = f"did you mean {near}? Known" if near else "known"
        raise Unknown(f"{shown(kind)} is no kind of starter deck; {hint}: {', '.join(STARTERS)}")
    given = STARTERS[kind]
    head = [
        f"{given['title']}: a deck to begin with, as made by `python -m parvmc --new {kind}`.",
        f"Check it: python -m parvmc {name} --check",
        f"Run it:   mpirun -n 2 python -m parvmc {name}",
        f"Every key is here. A line such as `#seed = 0` is a key at its default; {ALL}.",
        "python -m parvmc --list tells what each kind is, and whether it is for particles in a trap or for spins.",
    ]
    top = [entry for entry in entries(Deck) if len(entry.path) == 1]
    lines = [*(line for text in head for line in _comment(text)), ""]
    lines += [line for entry in top if not _is_table(entry) for line in _key(entry, given)]
    for entry in filter(_is_table, top):
        lines += _tables(entry, given.get(entry.name))
    return "\n".join(lines).rstrip("\n") + "\n"


def _is_table(entry):
    return bool(entry.kinds or entry.settings)


def _tables(entry, given):
    """Return the lines of a table, one for each factor of the trial state, each factor with its keys."""
    if isinstance(given, list):
        return [line for one in given for line in _table(entry, one, f"[[{entry.key}]]")]
    return _table(entry, given or {}, f"[{entry.key}]")


def _table(entry, given, header):
    """Return the lines of one table: all its keys, and the tables in it."""
    kind = given.get("kind") or getattr(entry.default, "kind", None)
    path = (*entry.path, kind) if entry.kinds else entry.path
    keys = [other for other in entries(Deck) if other.path[:-1] == path and not other.is_component]
    lines = [header, *_comment(entry.meaning), ""]
    if entry.kinds:
        lines += [*_comment(f"one of {', '.join(quoted(entry.kinds))}"), f"kind = {json.dumps(kind)}", ""]
    inner = [key for key in keys if key.kinds and not isinstance(key.default, tuple)]
    lines += [line for key in keys if key.name != "kind" and key not in inner for line in _key(key, given)]
    for key in inner:
        lines += _tables(key, given.get(key.name))
    return lines


def _key(entry: Entry, given):
    """Return the lines of one key: what it means and allows, and its value, commented out where it is the default."""
    default, unit = entry.default_text, f"; unit: {entry.unit}" if entry.unit else ""
    told = f"{entry.meaning}{unit}. Give {entry.allowed}"
    if entry.name in given:
        told += f"; default: {default}" if default is not None else ""
        line = f"{entry.name} = {json.dumps(given[entry.name])}"
    elif default is None:
        told, line = f"{entry.name}: {told}; left out here", None
    else:
        line = f"#{entry.name} = {default}"
    return [*_comment(told), *([line] if line else []), ""]


def _comment(text):
    return textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)
