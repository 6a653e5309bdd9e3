"""HDF5 files, and results in them. This is the only module that imports h5py, and only rank 0 comes to that.

No HDF5 file is ever open for writing under its final name: `files.written_aside` says why. What else a run writes is in
files.py and checkpoint_file.py.
"""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from parvmc import checksum
from parvmc.files import written_aside
from parvmc.sink import Sink

# The format of HDF5 1.10 (2016): HDF5 has a checksum of all but values and text of variable length, so that damage
# raises an exception, where it can lead the C library astray. Checkpoints have no such text, results one of the whole.
FORMAT = ("v110", "v110")


def open_file(path):
    """An HDF5 file, open for reading."""
    import h5py

    checksum.require_file(path)
    return h5py.File(path, "r", locking=False)


@contextlib.contextmanager
def new_file(path, previous=None, sealed=False):
    """An HDF5 file to fill, which replaces the one of that name when all is well; sealed: with a checksum after it."""
    import h5py

    with written_aside(path, previous) as name, Sink(name) as sink:
        with h5py.File(sink, "w", libver=FORMAT) as file:
            yield file
        sink.check()
        if sealed:
            checksum.append(name)


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
    with new_file(Path(path), sealed=True) as file:
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


def plain(value):
    """Text, numbers and lists of text as Python has them; arrays stay arrays."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray) and value.dtype.kind in "OS":
        return [plain(item) for item in value.tolist()]
    return value.item() if isinstance(value, np.generic) else value


class Reader:
    """One result file, open for reading: what it held when opened, also if a run replaces it meanwhile.

    Whatever goes wrong inside HDF5 is an OSError.
    """

    def __init__(self, path):
        with self._reading():
            self._file = open_file(path)

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
            return {name: plain(value) for name, value in self._file[path].attrs.items()}

    def layout(self, path):
        """Shape, type and, for each axis, the path of the coordinates that `Dataset.axes` named, "" for none."""
        with self._reading():
            node = self._file[path]
            axes = (axis[0].name.lstrip("/") if len(axis) else "" for axis in node.dims)
            return node.shape, node.dtype, tuple(axes)

    def value(self, path, rows=()):
        """Array, number or text of a dataset, or what an index, such as a slice of its rows, selects."""
        with self._reading():
            return plain(self._file[path][rows])
