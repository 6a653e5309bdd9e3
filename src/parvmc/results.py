"""Reading a result file: `parvmc.results.open("run.h5")`. Imports neither MPI nor kernels.

    with results.open("two_electrons.h5") as result:
        print(result.status, results.with_error(result.scalar("energy"), result.scalar("energy_error")))
        kinetic = result.series("kinetic")  # float64[step, batch]
        for first, rows in result.lazy_series("energy").pieces():  # the same by pieces, for files larger than memory
            print(first, rows.mean())

A file of a run that is still going on can be opened too; what it does not hold yet is empty, None or a KeyError. What
goes wrong in reading is a NotAResult, whose message is one line that names the file. docs/schema.md has the layout.
"""

import os
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from parvmc import conversion, references
from parvmc.quoting import reference_label, with_error
from parvmc.stored import LazyArray, NotAResult, StoredFile, one_line

if TYPE_CHECKING:
    import arviz
    import xarray

__all__ = [
    "SCALAR_OBSERVABLES",
    "SCHEMA",
    "SCHEMA_VERSION",
    "Blocking",
    "LazyArray",
    "NotAResult",
    "Observable",
    "Result",
    "open",
    "reference_label",
    "with_error",
]

SCHEMA, SCHEMA_VERSION = "parvmc", 1
USUAL_COMPONENTS = ("kinetic", "trap", "interaction")
SCALAR_OBSERVABLES = ("radius", "squared_radius", "pair_distance")
COLUMNS = ("block_size", "blocks", "error", "error_of_error")
NOT_COMPONENTS = {"step", "batch", "energy", "local_energy", "local_energy_squared", "energy_squared"}
NOT_COMPONENTS |= {"virial", "imaginary"}


@dataclass(frozen=True, eq=False)
class Blocking:
    """Error of a mean against block size: block_size, blocks: int64[levels]; error, error_of_error: float64[levels].

    level: the row that is quoted; plateau: whether the correlation was found to have died out there.
    """

    block_size: NDArray[np.int64]
    blocks: NDArray[np.int64]
    error: NDArray[np.float64]
    error_of_error: NDArray[np.float64]
    level: int
    plateau: bool


@dataclass(frozen=True, eq=False)
class Observable:
    """One quantity that was measured besides the energy: a number or an array, with its standard errors.

    errors: of the same shape, or None; axes: {name: float64[n]}, one for each dimension of values, in order; unit,
    description: what the values are.
    """

    values: NDArray[Any] | float
    errors: NDArray[Any] | float | None
    axes: dict[str, NDArray[np.float64]]
    unit: str
    description: str


def open(path: str | os.PathLike[str]) -> "Result":
    """Open a result file; raises NotAResult if it is missing, damaged, foreign, or of a newer version."""
    return Result(path)


class Result:
    """An open result file. It is read when asked, and stays as it was when opened while the run goes on.

    Every property is read from the file each time; after `close` (the end of a `with`) nothing can be read any more.
    """

    def __init__(self, path: str | os.PathLike[str]):
        """Open the file and look whether it is one of parvmc, of a version that is known here."""
        self.path = path
        self._file = StoredFile(path)
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        found = self.attributes
        if found.get("schema") != SCHEMA:
            raise NotAResult(f"{self.path}: an HDF5 file, but not a result of parvmc (it has no schema = {SCHEMA!r})")
        version = found.get("schema_version")
        if not isinstance(version, int):
            raise NotAResult(f"{self.path}: its schema_version is {version!r}, where a whole number belongs")
        if version > SCHEMA_VERSION:
            raise NotAResult(
                f"{self.path}: schema version {version} is newer than {SCHEMA_VERSION}, which is what can be read here"
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _there(self, names: tuple[str, ...]) -> str:
        return ", ".join(names) or f"nothing yet (status: {self.status})"

    def _path(self, group: str, name: str) -> str:
        if name not in self._file.names(group):
            raise KeyError(f"{self.path}: no {name!r} in {group}; there is: {self._there(self._file.names(group))}")
        return f"{group}/{name}"

    def _value(self, group: str, name: str) -> Any:
        return self._file.value(self._path(group, name))

    def _arrays(self, group: str) -> dict[str, Any]:
        return {name: self._value(group, name) for name in self._file.names(group)}

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the root."""
        return self._file.attributes("/")

    @property
    def title(self) -> str:
        """The deck's title."""
        return self.attributes.get("title", "")

    @property
    def status(self) -> str:
        """running, stopped, finished or failed. A run that was killed still says running."""
        return self.attributes.get("status", "unknown")

    @property
    def deck_text(self) -> str:
        """Text of the deck with every default filled in."""
        return self._value("/", "input")

    @property
    def deck(self) -> dict[str, Any]:
        """The same as nested dicts."""
        try:
            return tomllib.loads(self.deck_text)
        except (tomllib.TOMLDecodeError, TypeError, AttributeError) as error:
            raise NotAResult(f"{self.path}: its /input is not a deck ({one_line(error)})") from None

    @property
    def original_deck(self) -> str:
        """Text of the deck as it was given."""
        return self._file.attributes("input").get("original", "")

    @property
    def provenance(self) -> dict[str, list[str]]:
        """Versions, hosts, command lines...: {name: one text per start of the run}."""
        found = self._file.attributes("provenance")
        return {name: [str(item) for item in np.ravel(value)] for name, value in found.items()}

    @property
    def optimization(self) -> dict[str, NDArray[Any]]:
        """{name: one value per iteration}, empty before the first."""
        return self._arrays("optimization")

    @property
    def pretraining(self) -> dict[str, NDArray[Any]]:
        """{name: one value per iteration} of the fit that came before the optimisation, empty where there was none."""
        return self._arrays("pretraining")

    @property
    def parameters(self) -> dict[str, dict[str, NDArray[Any]]]:
        """{factor: {name: array}}, the newest parameters of the trial state."""
        return {factor: self._arrays(f"parameters/{factor}") for factor in self._file.names("parameters")}

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the energy's components that were measured, none before production."""
        found = [name for name in self._file.names("production") if name not in NOT_COMPONENTS]
        known = [name for name in USUAL_COMPONENTS if name in found]
        return tuple(known + sorted(set(found) - set(known)))

    @property
    def series_names(self) -> tuple[str, ...]:
        """Names of the production series, components and `energy` among them, none before production."""
        return tuple(name for name in self._file.names("production") if name not in ("step", "batch"))

    def series(self, name: str) -> NDArray[np.float64]:
        """A production series, all of it: float64[step, batch]; with "step" the step at the end of each row."""
        return self._value("production", name)

    def lazy_series(self, name: str) -> LazyArray:
        """A production series of which nothing is read yet: it has a shape, slices of it are read when asked."""
        return self._file.array(self._path("production", name))

    @property
    def measurements_per_row(self) -> int:
        """How many successive steps are averaged in one row of a series; 0 before production."""
        return int(self._file.attributes("production/energy").get("measurements_per_row", 0))

    @property
    def blocking_names(self) -> tuple[str, ...]:
        """Names of the quantities that have a blocking table."""
        return self._file.names("blocking")

    def blocking(self, name: str) -> Blocking:
        """The blocking table of a quantity."""
        if name not in self.blocking_names:
            raise KeyError(f"{self.path}: no blocking table {name!r}; there is: {self._there(self.blocking_names)}")
        path = f"blocking/{name}"
        size, blocks, error, uncertainty = (self._value(path, name) for name in COLUMNS)
        found = self._file.attributes(path)
        return Blocking(size, blocks, error, uncertainty, int(found.get("level", -1)), bool(found.get("plateau")))

    @property
    def observable_names(self) -> tuple[str, ...]:
        """Names of the quantities measured besides the energy, none while the run goes on."""
        return self._file.names("observables")

    def observable(self, name: str) -> Observable:
        """A quantity measured besides the energy: density, pair_correlation, radius, ..."""
        if name not in self.observable_names:
            raise KeyError(f"{self.path}: no observable {name!r}; there is: {self._there(self.observable_names)}")
        path = f"observables/{name}"
        columns, attributes = self._arrays(path), self._file.attributes(f"{path}/values")
        axes = {axis: columns[axis] for axis in self._file.attributes(path).get("axes", ())}
        unit, description = attributes.get("units", ""), attributes.get("description", "")
        return Observable(columns["values"], columns.get("errors"), axes, unit, description)

    @property
    def scalar_names(self) -> tuple[str, ...]:
        """Names of the final values, none while the run goes on."""
        return self._file.names("result")

    def scalar(self, name: str) -> float:
        """A final value: energy, energy_error, variance, r_hat, ..."""
        return self._value("result", name)

    @property
    def reference(self) -> tuple[float, str] | None:
        """(energy, source), the exact energy of this system, or None where it is not known."""
        found = self._file.attributes("result/reference")
        return (self.scalar("reference"), found.get("source", "")) if "result/reference" in self._file else None

    @property
    def exact_components(self) -> dict[str, float]:
        """{name: exact value} of the energy's components where they are known for exactly this system, else empty."""
        found = references.of_deck(self.deck)
        return {name: getattr(found, name) for name in USUAL_COMPONENTS} if found else {}

    @property
    def exact_observables(self) -> dict[str, float]:
        """{name: exact value} of scalar observables where they are known for exactly this system, else empty."""
        found = references.of_deck(self.deck)
        known = {name: getattr(found, name) for name in SCALAR_OBSERVABLES} if found else {}
        return {name: value for name, value in known.items() if value is not None}

    def to_xarray(self) -> "xarray.DataTree":
        """The file as a tree of xarray datasets, a group for each group of the file, with units and descriptions.

        Series stay in the file until their values are needed: call `.load()` on what is used after `close`. Raises
        ImportError where xarray is not installed.
        """
        return conversion.to_xarray(self._file)

    def to_arviz(self) -> "arviz.InferenceData | xarray.DataTree":
        """The production series of energy and components as ArviZ's `posterior`: chains are batches, draws are rows.

        A row averages `measurements_per_row` measurements of all walkers of a batch. All is in memory. Raises
        ImportError where ArviZ is not installed, ValueError before production.
        """
        names = ("energy", *self.components)
        return conversion.to_arviz(self._file, names if "energy" in self.series_names else ())
