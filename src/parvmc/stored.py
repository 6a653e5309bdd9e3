"""A file of parvmc open for reading, and arrays in it of which only what is asked for is read."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parvmc import checksum
from parvmc.archive import Reader

BYTES_PER_PIECE = 1 << 24
OF_HDF5 = {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"}  # attributes that link axes with their coordinates


class NotAResult(Exception):
    """The file is not a result file that can be read; the message is one line that names it."""


def one_line(error: Exception) -> str:
    """What an exception says, in one line."""
    code = getattr(error, "errno", None)
    return os.strerror(code) if code else " ".join(str(error).split())


def pieces(rows: int, bytes_per_row: int, most_bytes: int = BYTES_PER_PIECE) -> list[slice]:
    """Slices that cover so many rows, each of a size that is read at once: one row, or as many as fit."""
    step = max(1, most_bytes // max(1, bytes_per_row))
    return [slice(first, min(first + step, rows)) for first in range(0, rows, step)]


class StoredFile:
    """An open HDF5 file whose checksum was found right; every failure to read it is a NotAResult."""

    def __init__(self, path: str | os.PathLike[str]):
        """Open a file, whose checksum is compared before HDF5 sees it: damage can lead HDF5 astray."""
        self.path = path
        self._is_open = True
        try:
            checksum.check(path)
            self._reader = Reader(path)
        except FileNotFoundError:
            raise NotAResult(f"{path}: there is no such file") from None
        except checksum.Wrong as error:
            raise NotAResult(f"{path}: damaged ({error})") from None
        except OSError as error:
            raise NotAResult(f"{path}: not a readable HDF5 file ({one_line(error)})") from None

    def close(self) -> None:
        """Close the file; what is not read by then cannot be read any more."""
        self._is_open = False
        self._reader.close()

    def _read(self, method: Callable[..., Any], *arguments: Any) -> Any:
        if not self._is_open:
            raise ValueError(f"{self.path} is closed: read what is needed before that")
        try:
            return method(*arguments)
        except OSError as error:
            raise NotAResult(f"{self.path}: damaged ({one_line(error)})") from None

    def __contains__(self, path: str) -> bool:
        """Whether there is a group or dataset of this name."""
        return self._read(self._reader.__contains__, path)

    def is_group(self, path: str) -> bool:
        """Whether a name that is there is that of a group."""
        return self._read(self._reader.is_group, path)

    def names(self, group: str = "/") -> tuple[str, ...]:
        """Names in a group; none if there is no such group."""
        return self._read(self._reader.names, group)

    def attributes(self, path: str) -> dict[str, Any]:
        """Attributes of a group or dataset but those that are HDF5's own; none if it is not there."""
        found = self._read(self._reader.attributes, path) if path in self else {}
        return {name: value for name, value in found.items() if name not in OF_HDF5}

    def value(self, path: str, rows: Any = ()) -> Any:
        """Array, number or text of a dataset, or the part of it that an index selects."""
        return self._read(self._reader.value, path, rows)

    def layout(self, path: str) -> tuple[tuple[int, ...], np.dtype, tuple[str, ...]]:
        """Shape, type and, for each axis, the path of its coordinates ("" where it has none)."""
        return self._read(self._reader.layout, path)

    def array(self, path: str) -> "LazyArray":
        """A dataset that is not read yet."""
        return LazyArray(self, path)


class LazyArray:
    """An array in a file: `shape`, `dtype`, slices as of a numpy array, and `pieces()` to go through all of it.

        energy = result.lazy_series("energy")  # nothing of it has been read
        energy[1000:2000, 0]  # float64[1000], the only values in memory
        total = sum(rows.sum() for _, rows in energy.pieces())

    Every slice is read from the file again; `numpy.asarray` reads all.
    """

    def __init__(self, file: StoredFile, path: str):
        self._file, self._path = file, path
        self.shape, self.dtype, _ = file.layout(path)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the whole of it takes in memory."""
        return self.dtype.itemsize * int(np.prod(self.shape))

    def __len__(self) -> int:
        """Number of rows."""
        return self.shape[0]

    def __repr__(self) -> str:
        return f"LazyArray({self._path!r}, {self.dtype}{list(self.shape)})"

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read what slices and whole numbers select; IndexError for anything else, and for slices that go backwards."""
        for part in index if isinstance(index, tuple) else (index,):
            forwards = isinstance(part, slice) and (part.step or 1) > 0
            if not (forwards or part is Ellipsis or isinstance(part, int | np.integer)):
                raise IndexError(f"{self!r} takes whole numbers and slices that go forwards, not {part!r}")
        return np.asarray(self._file.value(self._path, index))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read all of it."""
        if copy is False:
            raise ValueError(f"{self!r} is not in memory: to have it there is to copy it")
        return np.asarray(self[()], dtype)

    def pieces(self, most_bytes: int = BYTES_PER_PIECE) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (first row, rows) through the whole array, each piece of at most so many bytes, of one row at least."""
        for rows in pieces(len(self), self.nbytes // max(1, len(self)), most_bytes):
            yield rows.start, self[rows]
