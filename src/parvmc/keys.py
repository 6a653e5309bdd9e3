"""The keys of decks, as the annotations of settings classes tell of them: what is allowed, what it means, its default.

Annotations say what is allowed (annotated_types), what it means (`doc`), in which unit it is (`Unit`) and which
components a field may hold (`Kinds`).
"""

import functools
import inspect
import json
import re
from dataclasses import MISSING, dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import DocInfo, Ge, Gt, Le, Lt, Unit

from parvmc.dispatch import Kinds

BOUNDS = {Ge: ("of at least", "ge"), Gt: ("above", "gt"), Le: ("at most", "le"), Lt: ("below", "lt")}
PLAIN = {int: "a whole number", float: "a number", str: "a text in quotes", bool: "true or false"}


# --- annotations -----------------------------------------------------------------------------------------------------


def find(annotation, kind):
    """Return the metadata of this type in an annotation, or None."""
    return next((found for found in getattr(annotation, "__metadata__", ()) if isinstance(found, kind)), None)


def table_of(annotation):
    """Return the settings class of a field that is a table of one sort, or None."""
    inner = next(iter(get_args(annotation)), None)
    return inner if is_dataclass(inner) else None


def one_of(words):
    """Return words as "a, b or c"."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def quoted(names):
    """Return the texts among names in quotes."""
    return [f'"{name}"' if isinstance(name, str) else str(name) for name in names]


def words(annotation):
    """Return what values an annotation allows."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        known = [(*BOUNDS[type(bound)], bound) for bound in arguments[1:] if type(bound) in BOUNDS]
        bounds = " and ".join(f"{text} {getattr(bound, attribute)}" for text, attribute, bound in known)
        return f"{words(arguments[0])} {bounds}".rstrip()
    if origin in (Union, UnionType):
        return one_of([words(argument) for argument in arguments if argument is not NoneType])
    if origin is Literal:
        return one_of(quoted(arguments))
    if origin is tuple and arguments[-1] is Ellipsis:
        return f"a list, each entry {words(arguments[0])}"
    if origin is tuple:
        return f"a list of {', then '.join(map(words, arguments))}"
    return PLAIN.get(annotation, "something else")


def meaning(annotation):
    """Return what a field means, its unit last; "" where it is not documented."""
    told, unit = find(annotation, DocInfo), find(annotation, Unit)
    text = told.documentation if told else ""
    return f"{text}; unit: {unit.unit}" if unit else text


def first_sentence(cls):
    """Return the first sentence of a class' documentation, on one line."""
    paragraph = " ".join(inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].split())
    return re.split(r"(?<=[^\s.]\.)\s+(?=[A-Z])", paragraph)[0]


# --- all keys --------------------------------------------------------------------------------------------------------


class Kind(str):
    """A part of a path that is no name in the deck but the kind of the component that has the next."""


@dataclass(frozen=True)
class Entry:
    """A key of a deck, or a component that one may hold.

    path: names from the top of the deck, after each that holds a component its `Kind`; settings: the class of the
    component or of the table, None for a value; annotation, default: of the field, None and MISSING of a component.
    """

    path: tuple
    settings: type | None
    annotation: object
    default: object

    @property
    def name(self):
        """The last part of the path."""
        return self.path[-1]

    @property
    def is_component(self):
        """Whether this is a component and no key."""
        return isinstance(self.name, Kind)

    @property
    def kinds(self):
        """{kind: settings class} of what the key may hold, empty for a value or a table of one sort."""
        found = find(self.annotation, Kinds)
        return found.known if found else {}

    @property
    def key(self):
        """The dotted names in the deck, without kinds and without the numbers of list entries."""
        return ".".join(part for part in self.path if not isinstance(part, Kind))

    @property
    def owner(self):
        """The kind of the component whose key this is, or None."""
        before = self.path[-2] if len(self.path) > 1 else None
        return before if isinstance(before, Kind) else None

    @property
    def meaning(self):
        """What the key or the component means."""
        if self.is_component:
            return first_sentence(self.settings)
        if self.name == "kind":
            return f"{self.owner}: {first_sentence(self.settings)}"
        told = find(self.annotation, DocInfo)
        return told.documentation if told else ""

    @property
    def unit(self):
        """The unit of a value that has one, else None."""
        found = find(self.annotation, Unit)
        return found.unit if found else None

    @property
    def allowed(self):
        """What may be given."""
        if self.kinds:
            many = find(self.annotation, Kinds).many
            return f"{'tables' if many else 'a table'} with kind = {one_of(quoted(self.kinds))}"
        return "a table" if self.settings else words(self.annotation)

    @property
    def default_text(self):
        """The default as TOML, a component as its kind; "" for a table; None where the key is left out by default."""
        if self.kinds and self.default not in (MISSING, ()):
            return json.dumps(self.default.kind)
        if self.settings and self.name != "kind":
            return ""
        return None if self.default in (None, MISSING) else json.dumps(self.default)

    @property
    def is_required(self):
        """Whether a deck must give it."""
        return not self.is_component and self.default is MISSING


@functools.cache
def fields_of(cls):
    """Return {name: (annotation, default)} of a settings class."""
    hints = get_type_hints(cls, include_extras=True)
    return {field.name: (hints[field.name], field.default) for field in fields(cls)}


@functools.cache
def entries(cls, path=()):
    """Return the `Entry` of every key and component below a settings class, each before those below it."""
    found = []
    for name, (annotation, default) in fields_of(cls).items():
        here, table = (*path, name), table_of(annotation)
        entry = Entry(here, cls if name == "kind" else table, annotation, default)
        found += [entry, *(entries(table, here) if table else [])]
        for kind, part in entry.kinds.items():
            found += [Entry((*here, Kind(kind)), part, None, MISSING), *entries(part, (*here, Kind(kind)))]
    return found
