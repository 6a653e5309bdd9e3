"""Results and checkpoints in HDF5. This is the only module that imports h5py, and only rank 0 comes to that.

No HDF5 file is ever open for writing under its final name: `files.written_aside` says why. What else a run writes is in
files.py; its names can be had from here as well.
"""

import contextlib
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from parvmc import checksum
from parvmc.files import Files, Metrics, written_aside  # noqa: F401  names of archive too
from parvmc.lock import Lock, Locked  # noqa: F401  names of archive too
from parvmc.sink import Sink

CHECKPOINT_SCHEMA = "parvmc-checkpoint 1"
# The format of HDF5 1.10 (2016): HDF5 has a checksum of all but values and text of variable length, so that damage
# raises an exception, where it can lead the C library astray. Checkpoints have no such text, results one of the whole.
FORMAT = ("v110", "v110")


class Damaged(Exception):
    """There are checkpoints, but none of them is sound."""


class Replaced(Damaged):
    """A run has written a new checkpoint while this one was being read."""


def _open(path):
    import h5py

    checksum.require_file(path)
    return h5py.File(path, "r", locking=False)


@contextlib.contextmanager
def _new_file(path, previous=None, sealed=False):
    """An HDF5 file to fill, which replaces the one of that name when all is well; sealed: with a checksum after it."""
    import h5py

    with written_aside(path, previous) as name, Sink(name) as sink:
        with h5py.File(sink, "w", libver=FORMAT) as file:
            yield file
        sink.check()
        if sealed:
            checksum.append(name)


# ------------------------------------------------------------------------------------------------------------- results


@dataclass(frozen=True, eq=False)
class Dataset:
    """What lies under one path of a result file.

    values: array, number or text; axes: for each axis of values the path of its one-dimensional coordinate dataset, or
    nothing; attributes: further ones, beside units and description.
    """

    values: object
    units: str
    description: str
    axes: tuple[str, ...] = ()
    attributes: dict = field(default_factory=dict)


def _text_type(value):
    """h5py's type of what is a text or a list of texts, None for all else."""
    import h5py  # here and below: where no file is read or written, on all ranks but one, it is not needed

    values = value if isinstance(value, list | tuple) else [value]
    return h5py.string_dtype() if all(isinstance(item, str) for item in values) else None


def _write_attributes(node, attributes):
    for name, value in attributes.items():
        if isinstance(value, bool | np.bool_):
            value = int(value)  # netCDF readers pass over HDF5's boolean attributes
        node.attrs.create(name, value, dtype=_text_type(value))


def write_result(path, attributes, datasets, groups=None):
    """Replace the result file by a new one, whole at every moment.

    attributes: of the root; datasets: {path: Dataset}; groups: {path: attributes}. An attribute is a number, a text,
    or a list of either; true and false become 1 and 0.
    """
    with _new_file(Path(path), sealed=True) as file:
        _write_attributes(file, attributes)
        for name, dataset in datasets.items():
            node = file.create_dataset(name, data=dataset.values, dtype=_text_type(dataset.values))
            _write_attributes(node, {"units": dataset.units, "description": dataset.description, **dataset.attributes})
        for axis in {axis for dataset in datasets.values() for axis in dataset.axes}:
            file[axis].make_scale(axis.rsplit("/", 1)[-1])
        for name, dataset in datasets.items():
            if dataset.axes and len(dataset.axes) != file[name].ndim:
                raise ValueError(f"{name} has {file[name].ndim} axes, but names are given for {len(dataset.axes)}")
            for number, axis in enumerate(dataset.axes):
                if file[axis].shape != file[name].shape[number : number + 1]:
                    raise ValueError(f"axis {number} of {name} and its coordinate {axis} differ in length")
                file[name].dims[number].attach_scale(file[axis])
        for name, values in (groups or {}).items():
            _write_attributes(file.require_group(name), values)


def _plain(value):
    """Text, numbers and lists of text as Python has them; arrays stay arrays."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray) and value.dtype.kind in "OS":
        return [_plain(item) for item in value.tolist()]
    return value.item() if isinstance(value, np.generic) else value


class Reader:
    """One result file, open for reading: what it held when opened, also if a run replaces it meanwhile.

    Whatever goes wrong inside HDF5 is an OSError.
    """

    def __init__(self, path):
        with self._reading():
            self._file = _open(path)

    def close(self):
        """Close the file."""
        self._file.close()

    @contextlib.contextmanager
    def _reading(self):
        try:
            yield
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise OSError(str(error)) from error

    def __contains__(self, path):
        with self._reading():
            return path in self._file

    def is_group(self, path):
        """Whether a name that is there is a group's, and not a dataset's."""
        with self._reading():
            return not hasattr(self._file[path], "shape")

    def names(self, group="/"):
        """Names in a group; none if there is no such group."""
        with self._reading():
            return tuple(self._file[group]) if group in self._file else ()

    def attributes(self, path="/"):
        """Attributes of a group or dataset, as a dict."""
        with self._reading():
            return {name: _plain(value) for name, value in self._file[path].attrs.items()}

    def layout(self, path):
        """Shape, type and, for each axis, the path of the coordinates that `Dataset.axes` named, "" for none."""
        with self._reading():
            node = self._file[path]
            axes = (axis[0].name.lstrip("/") if len(axis) else "" for axis in node.dims)
            return node.shape, node.dtype, tuple(axes)

    def value(self, path, rows=()):
        """Array, number or text of a dataset, or what an index, such as a slice of its rows, selects."""
        with self._reading():
            return _plain(self._file[path][rows])


# --------------------------------------------------------------------------------------------------------- checkpoints


def _checksum(text, entries):
    """One checksum of the attributes' text and of each dataset's (name, shape, dtype, checksum of its values)."""
    return hashlib.blake2b(json.dumps([CHECKPOINT_SCHEMA, text, sorted(entries)]).encode()).hexdigest()


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


def write_checkpoint(files, attributes, small, batched):
    """Write a checkpoint and keep the one before.

    attributes: whatever JSON can hold; small: {name: array or number}; batched: {name: (shape, dtype, blocks)}, the
    blocks being arrays of consecutive rows of axis 0, iterated once, in the order of the dict, and never all in memory.
    """
    text = json.dumps(attributes, default=lambda value: value.tolist())
    with _new_file(files.checkpoint, files.previous) as file:
        entries = []
        for name, values in small.items():
            values = np.asarray(values)
            entries.append(_store(file, f"small/{name}", values.shape, values.dtype, [values]))
        for name, (shape, dtype, blocks) in batched.items():
            entries.append(_store(file, f"batched/{name}", shape, dtype, blocks))
        file.create_dataset("attributes", data=np.bytes_(text.encode()))
        file.attrs["schema"] = np.bytes_(CHECKPOINT_SCHEMA)
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
        with _open(self.path) as file:
            if _plain(file.attrs.get("checksum")) != self.checksum:
                raise Replaced(f"{self.path} was replaced while it was being read")
            return file["batched"][name][first:last]


def _datasets(group):
    """Every dataset below a group, by its path from there."""
    import h5py

    found = {}
    for name in group:
        node = group[name]  # items() would hide an error
        if isinstance(node, h5py.Dataset):
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
    with _open(path) as file:
        if _plain(file.attrs.get("schema")) != CHECKPOINT_SCHEMA:
            raise ValueError(f"it is not a {CHECKPOINT_SCHEMA}")
        text = _plain(file["attributes"][()])
        datasets = {name: node for name, node in _datasets(file).items() if name != "attributes"}
        checksum = _checksum(text, [_stored(name, dataset) for name, dataset in datasets.items()])
        if _plain(file.attrs["checksum"]) != checksum:
            raise ValueError("its checksum is wrong")
        small, batched = {}, {}
        for name, dataset in datasets.items():
            group, _, below = name.partition("/")
            if group == "small":
                small[below] = np.asarray(dataset[()])
            else:
                batched[below] = (dataset.shape, dataset.dtype)
    return Checkpoint(path, json.loads(text), small, batched, checksum)


def read_checkpoint(files, warn):
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
