"""The checkpoint's file: any numbers and arrays, under one checksum, beside the checkpoint before."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from parvmc import archive, checksum

SCHEMA = "parvmc-checkpoint 1"


class Damaged(Exception):
    """There are checkpoints, but none of them is sound."""


class Replaced(Damaged):
    """A run has written a new checkpoint while this one was being read."""


def _checksum(text, entries):
    """One checksum of the attributes' text and of each dataset's (name, shape, dtype, checksum of its values)."""
    return hashlib.blake2b(json.dumps([SCHEMA, text, sorted(entries)]).encode()).hexdigest()


def _store(file, name, shape, dtype, blocks):
    """Write a dataset in blocks along its first axis (a number is one block); return its entry for the checksum."""
    shape, dtype = tuple(shape), np.dtype(dtype)
    if dtype.kind not in "biufc":
        raise TypeError(f"checkpoint: {name} has type {dtype}; only numbers can be stored")
    dataset = file.create_dataset(name, shape=shape, dtype=dtype)
    values, rows = hashlib.blake2b(), 0
    for block in map(np.asarray, blocks):
        more = len(block) if shape else 1
        if block.dtype != dtype or block.shape[1:] != shape[1:] or rows + more > (shape or (1,))[0]:
            raise ValueError(
                f"checkpoint: {name} is to be {dtype}{list(shape)}, but a block of {block.dtype}{list(block.shape)} "
                f"came for row {rows}"
            )
        dataset[slice(rows, rows + more) if shape else ()] = block
        values.update(block.tobytes())
        rows += more
    if rows != (shape or (1,))[0]:
        raise ValueError(f"checkpoint: {name} is to have {shape[0]} rows, but {rows} came")
    return [name, list(shape), dtype.str, values.hexdigest()]


def write(files, attributes, small, batched):
    """Write a checkpoint and keep the one before.

    attributes: whatever JSON can hold; small: {name: array or number}; batched: {name: (shape, dtype, blocks)}, the
    blocks being arrays of consecutive rows of axis 0, iterated once, in the order of the dict, and never all in memory.
    """
    text = json.dumps(attributes, default=lambda value: value.tolist())
    with archive.new_file(files.checkpoint, files.previous) as file:
        entries = []
        for name, values in small.items():
            values = np.asarray(values)
            entries.append(_store(file, f"small/{name}", values.shape, values.dtype, [values]))
        for name, (shape, dtype, blocks) in batched.items():
            entries.append(_store(file, f"batched/{name}", shape, dtype, blocks))
        file.create_dataset("attributes", data=np.bytes_(text.encode()))
        file.attrs["schema"] = np.bytes_(SCHEMA)
        file.attrs["checksum"] = np.bytes_(_checksum(text, entries))


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint whose checksum was found right. Batched datasets stay in the file until their rows are asked for."""

    path: Path
    attributes: dict
    small: dict[str, np.ndarray]
    batched: dict[str, tuple]  # shape and dtype
    checksum: str

    def blocks(self, name, first, last):
        """Rows first to last - 1 of a batched dataset."""
        rows = self.batched[name][0][0]
        if not 0 <= first <= last <= rows:
            raise IndexError(f"checkpoint: {name} has {rows} rows; {first} to {last} were asked for")
        with archive.open_file(self.path) as file:
            if archive.plain(file.attrs.get("checksum")) != self.checksum:
                raise Replaced(f"{self.path} was replaced while it was being read")
            return file["batched"][name][first:last]


def _datasets(group):
    """Every dataset below a group, by its path from there."""
    found = {}
    for name in group:
        node = group[name]  # items() would hide an error
        if hasattr(node, "shape"):
            found[name] = node
        else:
            found |= {f"{name}/{below}": dataset for below, dataset in _datasets(node).items()}
    return found


def _stored(name, dataset):
    """Entry of a dataset for the checksum, from the file, a few rows at a time."""
    values = hashlib.blake2b()
    if dataset.ndim == 0:
        values.update(dataset[()].tobytes())
    elif dataset.size:
        step = max(1, checksum.BYTES_PER_READ * len(dataset) // dataset.nbytes)
        for first in range(0, len(dataset), step):
            values.update(dataset[first : first + step].tobytes())
    return [name, list(dataset.shape), dataset.dtype.str, values.hexdigest()]


def verified(path):
    """The checkpoint in a file, its checksum compared; raises whatever h5py does if it cannot be read."""
    with archive.open_file(path) as file:
        if archive.plain(file.attrs.get("schema")) != SCHEMA:
            raise ValueError(f"it is not a {SCHEMA}")
        text = archive.plain(file["attributes"][()])
        datasets = {name: node for name, node in _datasets(file).items() if name != "attributes"}
        checksum = _checksum(text, [_stored(name, dataset) for name, dataset in datasets.items()])
        if archive.plain(file.attrs["checksum"]) != checksum:
            raise ValueError("its checksum is wrong")
        small, batched = {}, {}
        for name, dataset in datasets.items():
            group, _, below = name.partition("/")
            if group == "small":
                small[below] = np.asarray(dataset[()])
            else:
                batched[below] = (dataset.shape, dataset.dtype)
    return Checkpoint(path, json.loads(text), small, batched, checksum)


def read(files, warn):
    """The newest sound checkpoint, or None if there is none at all; warn(message) if the newest had to be passed over.

    Raises Damaged if there are checkpoints, but none of them is sound.
    """
    faults = []
    for path in (files.checkpoint, files.previous):
        try:
            checkpoint = verified(path)
        except FileNotFoundError:
            continue
        except Exception as error:  # h5py has an exception of another type for every way in which a file can be damaged
            faults.append(f"{path} is damaged ({' '.join(str(error).split())})")
        else:
            if faults:
                warn(f"checkpoint {faults[0]}; going on from the one before, {path}")
            return checkpoint
    if faults:
        raise Damaged(f"no sound checkpoint: {'; '.join(faults)}")
    return None
