"""Settings classes as a schema: a parsed table -> settings, and all that is wrong with it in words.

What the annotations of a field say is in keys.py. Tables are walked here, so that every message names its key; pydantic
checks one value at a time.
"""

import difflib
import functools
import json
import re
import reprlib
from dataclasses import MISSING

from annotated_types import Lt

from parvmc.dispatch import Kinds
from parvmc.keys import entries, fields_of, find, meaning, one_of, quoted, table_of, words

LISTED = 20  # problems that one message shows


class DeckError(Exception):
    """What is wrong with a deck; `problems` is the list of (key, message)."""

    def __init__(self, problems):
        """Keep the problems, in the order in which they are to be read."""
        super().__init__(problems)
        self.problems = problems

    def __str__(self):
        """Return one line for one problem, else a count and a line for each."""
        lines = [f"{key}: {message}" for key, message in self.problems[:LISTED]]
        if len(self.problems) == 1:
            return lines[0]
        rest = len(self.problems) - len(lines)
        more = [f"and {rest} more"] if rest else []
        return "\n  ".join([f"{len(self.problems)} things are wrong:", *lines, *more])


# --- words -----------------------------------------------------------------------------------------------------------


class _Shortened(reprlib.Repr):
    """Short texts for values of a deck, as TOML writes them."""

    def repr_bool(self, value, level):
        return str(value).lower()

    def repr_date(self, value, level):
        return str(value)

    repr_time = repr_datetime = repr_date


def shown(value):
    """Return a value as a short text, whatever it is; integers of thousands of digits cannot even be printed."""
    shortened = _Shortened()
    shortened.maxstring = 60
    try:
        return shortened.repr(value)
    except ValueError:
        return "a huge number"


def dotted(path, name):
    """Return path.name, the name in quotes where TOML wants them and cut where it would fill the screen."""
    name = name if re.fullmatch(r"[A-Za-z0-9_-]{1,40}", name) else shown(name)
    return f"{path}.{name}" if path else name


def nearest(name, known, cutoff=0.6):
    """Return the known name that is most like this one, or None; long names are cut, they would take for ever."""
    return next(iter(difflib.get_close_matches(name[:40].lower().replace("-", "_"), known, 1, cutoff)), None)


def _allowed(annotation, path):
    """Return what the field at this path takes and what it means."""
    kinds, told, section = find(annotation, Kinds), meaning(annotation), re.sub(r"\.\d+", "", path)
    text = f"a table [{section}]" if kinds or table_of(annotation) else words(annotation)
    if kinds and kinds.many:
        text = f"a table [[{section}]], in double brackets,"
    if kinds and kinds.many and "." in section:
        text = f"a list of kinds, or of tables with their kind, in one table [[{section}]] each,"
    text += f" with kind = {one_of(quoted(kinds.known))}" if kinds else ""
    return f"{text} ({told})" if told else text


def _missing(annotation, path):
    return f"is missing; give {_allowed(annotation, path)}"


# --- the schema ------------------------------------------------------------------------------------------------------


@functools.cache
def _catalogue(root):
    """Return (key, section, kind) for every key below a settings class; section: dotted path without indices."""
    keys = [entry for entry in entries(root) if not entry.is_component and entry.name != "kind"]
    return [(entry.name, entry.key.rpartition(".")[0], entry.owner) for entry in keys]


@functools.cache
def _adapter(annotation):
    # pydantic takes a quarter of a second to import, and only rank 0 reads a deck
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(annotation, config=ConfigDict(strict=True, allow_inf_nan=False))


def _faithful(value, result, largest):
    """Return whether nothing but an integer has become a number, and whether integers fit into 64 bits."""
    if isinstance(result, tuple):
        return all(_faithful(*pair, largest) for pair in zip(value, result, strict=True))
    same = type(value) is type(result) or (type(value), type(result)) == (int, float)
    return same and not (type(result) is int and abs(result) >= largest)


class Reader:
    """Reads parsed decks into the settings class `root`."""

    def __init__(self, root):
        """Prepare to read one deck."""
        self.root = root
        self.found = []

    def read(self, table):
        """Return the settings that a whole parsed deck stands for, or raise DeckError with all that is wrong."""
        result = self._build(self.root, table, "")
        if self.found:
            raise DeckError(self.found)
        return result

    def _note(self, key, words):
        """Add a problem; words: a function that returns the message, asked only where it will be shown."""
        self.found.append((key, words() if len(self.found) < LISTED else "is wrong too"))

    def _build(self, cls, table, path):
        before, values = len(self.found), {}
        for key in table:
            if key not in fields_of(cls):
                self._note(dotted(path, key), functools.partial(self._unknown, cls, key, path))
        for name, (annotation, default) in fields_of(cls).items():
            here = dotted(path, name)
            if name in table:
                values[name] = self._field(annotation, default, table[name], here)
            elif default is MISSING:
                self._note(here, functools.partial(_missing, annotation, here))
        return cls(**values) if len(self.found) == before else None

    def _field(self, annotation, default, value, path):
        kinds, table = find(annotation, Kinds), table_of(annotation)
        if kinds and kinds.many:
            return self._list(annotation, kinds, default, value, path)
        if kinds:
            return self._component(annotation, kinds, default, value, path)
        if table and isinstance(value, dict):
            return self._build(table, value, path)
        return self._reject(annotation, value, path) if table else self._leaf(annotation, value, path)

    def _list(self, annotation, kinds, default, value, path):
        if isinstance(value, list) and (value or default is not MISSING):
            return tuple(
                self._component(annotation, kinds, MISSING, part, f"{path}.{index}") for index, part in enumerate(value)
            )
        return self._reject(annotation, value, path)

    def _component(self, annotation, kinds, default, value, path):
        if isinstance(value, str):  # short for a table with nothing but its kind
            value = {"kind": value}
        if not isinstance(value, dict):
            return self._reject(annotation, value, path)
        kind = value.get("kind", getattr(default, "kind", None))
        if isinstance(kind, str) and kind in kinds.known:
            return self._build(kinds.known[kind], value, path)
        self._note(f"{path}.kind", lambda: self._unknown_kind(kind, kinds.known))
        return None

    def _unknown_kind(self, kind, known):
        near = nearest(kind, known) if isinstance(kind, str) else None
        reason = "is missing" if kind is None else f"cannot be {shown(kind)}"
        hint = f'did you mean "{near}"? Known kinds:' if near else "give one of"
        return f"{reason}; {hint} {', '.join(quoted(known))}"

    def _leaf(self, annotation, value, path):
        """Check one value; in JSON pydantic is strict about types and still takes a list for a tuple."""
        largest = getattr(find(annotation, Lt), "lt", 2**63)
        try:
            result = _adapter(annotation).validate_json(json.dumps(value, default=lambda date: {}))
            if _faithful(value, result, largest):
                return result
        except (ValueError, RecursionError):
            pass
        return self._reject(annotation, value, path)

    def _reject(self, annotation, value, path):
        limit = " that fits into 64 bits" if type(value) is int and abs(value) >= 2**63 else ""
        self._note(path, lambda: f"cannot be {shown(value)}; give {_allowed(annotation, path)}{limit}")

    def _unknown(self, cls, key, path):
        """Return where an unknown key belongs, else the nearest known name; then the names that are known here."""
        catalogue, known = _catalogue(self.root), list(fields_of(cls))
        section, text = re.sub(r"\.\d+", "", path), key.lower().replace("-", "_")
        homes = dict.fromkeys(home for name, home, _ in catalogue if name == text)
        near = nearest(key, known) or nearest(key, sorted({name for name, _, _ in catalogue}), 0.75)
        if section in homes and text not in known:
            kinds = [kind for name, home, kind in catalogue if (name, home) == (text, section)]
            hint = f"it goes with kind = {one_of(quoted(kinds))}."
        elif homes and text not in known:
            names = {"": "the top of the deck, before the first table", "state": "[[state]]"}
            hint = f"it belongs to {one_of([names.get(home, f'[{home}]') for home in homes])}."
        else:
            hint = f"did you mean {near}?" if near else "no known key is like it."
        return f"is not a known key; {hint} Known here: {', '.join(known)}"
