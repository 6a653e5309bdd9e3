"""What decks can say, told from the classes that check them: all components by name, and what a key means."""

import inspect
import itertools
import re
import textwrap

from parvmc.deck import Deck
from parvmc.declarations import spaces
from parvmc.keys import entries, first_sentence, one_of, quoted
from parvmc.schema import nearest, shown
from parvmc.spaces import Space, Spins

WIDTH = 100
SPACES = {(Space,): "trap", (Spins,): "lattice", (Space, Spins): "both"}
MEANT = {"trap": "for particles in a trap", "lattice": "for spins on a lattice", "both": "for both"}


class Unknown(Exception):
    """There is no such name; the text says so and what is like it."""


# --- all components


def listing():
    """Return all components by name, a line each: kind, for which space it is, what it is."""
    groups = [f"{header(entry)}: {entry.meaning}\n{kinds_of(entry)}" for entry in entries(Deck) if entry.kinds]
    legend = "; ".join(f"{name}: {text}" for name, text in MEANT.items())
    return "\n\n".join([*groups, f"{legend}. --explain NAME tells more of each."])


def header(entry):
    """Return how a table is written in a deck."""
    is_list = entry.path == ("state",)
    return f"[[{entry.key}]]" if is_list else f"[{entry.key}]"


def kinds_of(entry):
    """Return a line for each kind that a key may hold."""
    width = max(map(len, entry.kinds))
    below = (component(cls, kind.ljust(width)) for kind, cls in entry.kinds.items())
    return "\n".join(f"  {line}" for line in below)


def component(cls, name):
    """Return a component's line."""
    return f"{name}  {space_of(cls):<7}  {first_sentence(cls)}"


def space_of(cls):
    """Return for which space the component with this settings class is: trap, lattice or both."""
    return SPACES[spaces.dispatch(cls)(None)]


# --- keys


def explained(name):
    """Return what is known of a key, a section or a component; of several with this name, of all.

    name: dotted names, with or without the kinds of components and the numbers of list entries, such as
    `optimizer.learning_rate`, `state.gaussian_rbm.sigma`, `sampler.metropolis`, `output` or `learning_rate`. Raises
    Unknown.
    """
    parts = [part for part in re.sub("-", "_", name.strip().lower()).split(".") if not part.isdigit()]
    if parts[-1:] == ["kind"]:
        parts.pop()  # what it may be is told with the table that it is in
    found = matches(parts)
    if not found:
        raise Unknown(f"{shown(name)} is no key of a deck and no kind; {suggestion(parts)}")
    return "\n\n".join(texts(found))


def documented():
    """Return the entries that are told of: all but `kind`, which is told of with its table."""
    return [entry for entry in entries(Deck) if entry.name != "kind"]


def matches(parts):
    """Return the entries with just this name, else those whose paths end in it, with other names between."""
    name = ".".join(parts)
    known = documented()
    exact = [entry for entry in known if name in (".".join(entry.path), "" if entry.is_component else entry.key)]
    return exact or [entry for entry in known if parts[-1:] == [entry.name] and _holds(entry.path, parts)]


def _holds(path, parts):
    """Return whether the parts are in the path, in their order."""
    left = iter(path)
    return all(part in left for part in parts)


def suggestion(parts):
    """Return the nearest known name as a question, or where to look."""
    known = documented()
    places = dict.fromkeys(itertools.chain(*((entry.key, ".".join(entry.path)) for entry in known)))
    names = dict.fromkeys(entry.name for entry in known)
    looked_in = (places, names) if len(parts) > 1 else (names, places)
    near = nearest(".".join(parts), looked_in[0]) or nearest("".join(parts[-1:]), looked_in[1])
    return f"did you mean {near}?" if near else "see --list"


def texts(found):
    """Return a text for each entry; keys that say the same for several kinds are told once."""
    told = {}
    for entry in found:
        told.setdefault(entry.key + text_of(entry), []).append(entry)
    for same in told.values():
        owners = [entry.owner for entry in same if entry.owner]
        suits = f"   (with kind = {one_of(quoted(owners))})" if owners and not same[0].is_component else ""
        yield f"{title(same[0])}{suits}\n{text_of(same[0])}"


def title(entry):
    """Return what an entry's text is headed with."""
    if entry.is_component:
        return f'{entry.key}, kind = "{entry.name}"   ({MEANT[space_of(entry.settings)]})'
    return header(entry) if entry.settings or entry.kinds else entry.key


def text_of(entry):
    """Return an entry's text, indented."""
    if entry.is_component:
        return f"{textwrap.indent(inspect.cleandoc(entry.settings.__doc__), '    ')}{below(entry)}"
    if entry.kinds:
        default = "it must be given" if entry.is_required else f"default: {entry.default_text}"
        more = f"--explain {entry.key}.KIND tells the keys of each"
        return "\n".join(
            [_wrapped(f"{entry.meaning}; {default}"), textwrap.indent(kinds_of(entry), "    "), f"    {more}"]
        )
    if entry.settings:
        return f"{_wrapped(entry.meaning)}{below(entry)}"
    return "\n".join(map(_wrapped, [entry.meaning, *facts(entry)]))


def facts(entry):
    """Return unit, default and range of a value, a line each."""
    default = entry.default_text
    if default is None:
        default = "none, it must be given" if entry.is_required else "left out"
    has_unit = entry.unit or "number" in entry.allowed
    unit = [f"unit: {entry.unit or 'none'}"] if has_unit else []
    return [*unit, f"default: {default}", f"allowed: {entry.allowed}"]


def below(entry):
    """Return the texts of the keys of a component or a table."""
    depth = len(entry.path) + 1
    own = [other for other in documented() if other.path[:-1] == entry.path and len(other.path) == depth]
    told = (f"{title(other)}\n{text_of(other)}" for other in own)
    return "".join("\n\n" + textwrap.indent(text, "    ") for text in told)


def _wrapped(text):
    return textwrap.fill(text, WIDTH, initial_indent="    ", subsequent_indent="      ", break_on_hyphens=False)
