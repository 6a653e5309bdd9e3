"""Damage to decks and to files, drawn at random from a `random.Random` that the test seeds."""

import contextlib
import copy
import tomllib

import tomli_w

JUNK = [
    0, 1, -1, 2**31, 2**63, 2**64, -(2**70), 10**400, 0.5, -0.0, 1e300, 1e-320, float("nan"), float("inf"),
    True, False, "", "auto", "trap", "random", "ħ\u0000\u202e😀", "x" * 10_000, "1:30:00", [], {}, [[]], [{}],
    [1, "a"], [True, 1], [0, 1], [1.0] * 4, {"kind": "adam"}, {"kind": {}}, {"": {"": [{}]}},
    [[[[[[[[1]]]]]]]], tomllib.loads("x = 1979-05-27")["x"], tomllib.loads("x = 07:32:00")["x"],
]  # fmt: skip


def places(table, found):
    """Return every (container, key) of a parsed deck."""
    for key in list(table) if isinstance(table, dict) else range(len(table)):
        found.append((table, key))
        if isinstance(table[key], dict | list):
            places(table[key], found)
    return found


def mutate(table, chance):
    """Drop, rename, replace or move one entry."""
    place, key = chance.choice(places(table, []))
    action = chance.choice(["drop", "rename", "replace", "replace", "move"])
    if action == "replace" or isinstance(place, list):
        place[key] = copy.deepcopy(chance.choice(JUNK))
    else:
        value = place.pop(key)
        tables = [table, *(place[key] for place, key in places(table, []) if isinstance(place[key], dict))]
        if action == "rename":
            place["".join(chance.sample(key, len(key))) + chance.choice(["", "_", "ß", " ", "."])] = value
        elif action == "move":
            chance.choice(tables)[key] = value


# --------------------------------------------------------------------------------------------------------- whole decks

SCALES = [-1, 0, 2, 3, 7, 1000, 10**6, 10**12, 10**17, 10**30, 1e-3, 0.1, 0.5, 1.5, 1e-12, 1e300, -1e300]
BITS = ["\0", "\ufeff", "\u202e", "😀", "ß", '"', "'", "\\", "\r", "\x1b[2J", "[", "]", "[[", "{", "}", "=", ",", "#"]
BITS += [".", "e9", "inf", "nan", "0x", "_", "1979-05-27", '"""', "\n", "\n[system]\n", "\n[[state]]\n", "\nseed = 1\n"]


def scale(table, chance):
    """Multiply one number by a large, small or negative one."""
    numbers = [(place, key) for place, key in places(table, []) if type(place[key]) in (int, float)]
    if numbers:
        place, key = chance.choice(numbers)
        with contextlib.suppress(OverflowError):
            place[key] = place[key] * chance.choice(SCALES) + chance.choice([0, 0, 0, 1, -1, 0.5])


def nest(table, chance):
    """Replace one entry by deeply nested lists or tables."""
    place, key = chance.choice(places(table, []))
    value = chance.choice([1, "x", [], {}])
    for _ in range(chance.choice([3, 30, 90])):
        value = chance.choice([[value], {"a": value}, {"kind": value}])
    place[key] = value


def spoil(text, chance):
    """Return the bytes of a text with bytes changed, lines doubled, dropped or moved, its end lost, or deep nesting."""
    action = chance.choice(["bits", "bytes", "double", "drop", "move", "truncate", "nest", "long", "binary"])
    lines = text.split("\n")
    at = chance.randrange(len(lines))
    if action == "bits":
        where = chance.randrange(len(text))
        text = text[:where] + chance.choice(BITS) + text[where + chance.randint(0, 3) :]
    elif action in ("double", "drop", "move"):
        line = lines[at] if action == "double" else lines.pop(at)
        if action != "drop":
            lines.insert(chance.randrange(len(lines) + 1), line)
        text = "\n".join(lines)
    elif action == "nest":
        depth = chance.choice([10, 100, 1000, 20_000])
        opening, closing = chance.choice([("[", "]"), ("{a=", "}"), ("[[", "]]")])
        inner = chance.choice(["x = " + opening * depth + "1" + closing * depth, "x" + ".a" * depth + " = 1"])
        lines.insert(at, inner)
        text = "\n".join(lines)
    elif action == "long":
        lines.insert(at, chance.choice(["x", lines[at] or "y"]) * chance.choice([10, 1000, 50_000]))
        text = "\n".join(lines)
    contents = text.encode()
    if action == "truncate":
        return contents[: chance.randrange(len(contents))]
    if action == "bytes":
        contents = bytearray(contents)
        for _ in range(chance.randint(1, 4)):
            contents[chance.randrange(len(contents))] = chance.randrange(256)
    return chance.randbytes(chance.choice([1, 100, 5000])) if action == "binary" else bytes(contents)


def deck(texts, chance):
    """Return the bytes of one of the decks, changed in one to four values, or in its text, or in both."""
    text = chance.choice(texts)
    if chance.random() < 0.65:
        table = tomllib.loads(text)
        for _ in range(chance.randint(1, 4)):
            chance.choice([mutate, mutate, scale, scale, scale, nest])(table, chance)
        with contextlib.suppress(ValueError, RecursionError):  # a number of thousands of digits cannot be written
            text = tomli_w.dumps(table)
        if chance.random() < 0.8:
            return text.encode(errors="surrogatepass")
    return spoil(text, chance)


# --------------------------------------------------------------------------------------------------------------- bytes


def damaged(contents, chance):
    """Return a file's bytes with some of them flipped, overwritten, zeroed, swapped, lost or added to."""
    action = chance.choice(["flip", "flip", "flip", "overwrite", "zero", "swap", "truncate", "append", "drop"])
    found, at = bytearray(contents), chance.randrange(len(contents))
    size = min(chance.choice([1, 8, 64, 512, 4096]), len(contents) - at)
    if action == "flip":
        for _ in range(chance.choice([1, 1, 1, 8])):
            found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    elif action == "overwrite":
        found[at : at + size] = chance.randbytes(size)
    elif action == "zero":
        found[at : at + size] = bytes(size)
    elif action == "swap":
        other = chance.randrange(len(contents) - size + 1)
        found[at : at + size], found[other : other + size] = found[other : other + size], found[at : at + size]
    elif action == "truncate":
        del found[chance.choice([at, 0, 1, 8, 100, len(found) - 1, len(found) - chance.randrange(1, 100)]) :]
    elif action == "append":
        found += chance.choice([b"\0", b"\0" * 4096, chance.randbytes(88), bytes(contents)])
    else:
        del found[at : at + size]
    return bytes(found)


FOREIGN = [
    b"",
    b"\0" * 5000,
    b"energy,error\n3.0,0.1\n",
    b"\x89HDF\r\n\x1a\n",
    b"\x89HDF\r\n\x1a\n" * 700,
    b"\xff" * 3000,
]
