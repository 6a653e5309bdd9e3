"""Reading a result file: `parvmc.results.open("run.h5")`. Imports neither MPI nor kernels.

    with results.open("two_electrons.h5") as result:
        print(result.status, results.with_error(result.scalar("energy"), result.scalar("energy_error")))
        kinetic = result.series("kinetic")  # float64[step, batch]

A file of a run that is still going on can be opened too; what it does not hold yet is empty, None or a KeyError.
"""

import math
import os
import tomllib
from dataclasses import dataclass

import numpy as np

from parvmc import checksum, references
from parvmc.archive import Reader

SCHEMA, SCHEMA_VERSION = "parvmc", 1
USUAL_COMPONENTS = ("kinetic", "trap", "interaction")
SCALAR_OBSERVABLES = ("radius", "squared_radius", "pair_distance")
NOT_COMPONENTS = {"step", "batch", "energy", "local_energy", "local_energy_squared", "energy_squared"}
NOT_COMPONENTS |= {"virial", "imaginary"}


class NotAResult(Exception):
    """The file is not a result file that can be read; the message is one line that names it."""


@dataclass(frozen=True, eq=False)
class Blocking:
    """Error of a mean against block size: block_size, blocks: int64[levels]; error, error_of_error: float64[levels].

    level: the row that is quoted; plateau: whether the correlation was found to have died out there.
    """

    block_size: np.ndarray
    blocks: np.ndarray
    error: np.ndarray
    error_of_error: np.ndarray
    level: int
    plateau: bool


@dataclass(frozen=True, eq=False)
class Observable:
    """One quantity that was measured besides the energy: a number or an array, with its standard errors.

    errors: of the same shape, or None; axes: {name: float64[n]}, one for each dimension of values, in order; unit,
    description: what the values are.
    """

    values: np.ndarray
    errors: np.ndarray | None
    axes: dict
    unit: str
    description: str


def open(path):
    """Open a result file; raises NotAResult if it is missing, damaged, foreign, or of a newer version."""
    return Result(path)


class Result:
    """An open result file. It is read when asked, and stays as it was when opened while the run goes on."""

    def __init__(self, path):
        self.path = path
        try:
            checksum.check(path)  # before HDF5 sees the file, which damage can lead astray
            self._reader = Reader(path)
        except FileNotFoundError:
            raise NotAResult(f"{path}: there is no such file") from None
        except checksum.Wrong as error:
            raise NotAResult(f"{path}: damaged ({error})") from None
        except OSError as error:
            raise NotAResult(f"{path}: not a readable HDF5 file ({_one_line(error)})") from None
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    def _check(self):
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

    def close(self):
        """Close the file."""
        self._reader.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def _read(self, method, *arguments):
        try:
            return method(*arguments)
        except OSError as error:
            raise NotAResult(f"{self.path}: damaged ({_one_line(error)})") from None

    def _has(self, path):
        return self._read(self._reader.__contains__, path)

    def _names(self, group):
        return self._read(self._reader.names, group)

    def _attributes(self, path):
        return self._read(self._reader.attributes, path) if self._has(path) else {}

    def _there(self, names):
        return ", ".join(names) or f"nothing yet (status: {self.status})"

    def _value(self, group, name):
        if name not in self._names(group):
            raise KeyError(f"{self.path}: no {name!r} in {group}; there is: {self._there(self._names(group))}")
        return self._read(self._reader.value, f"{group}/{name}")

    def _arrays(self, group):
        return {name: self._value(group, name) for name in self._names(group)}

    @property
    def attributes(self):
        """Attributes of the root."""
        return self._attributes("/")

    @property
    def title(self):
        """The deck's title."""
        return self.attributes.get("title", "")

    @property
    def status(self):
        """running, stopped, finished or failed. A run that was killed still says running."""
        return self.attributes.get("status", "unknown")

    @property
    def deck_text(self):
        """Text of the deck with every default filled in."""
        return self._value("/", "input")

    @property
    def deck(self):
        """The same as nested dicts."""
        try:
            return tomllib.loads(self.deck_text)
        except (tomllib.TOMLDecodeError, TypeError, AttributeError) as error:
            raise NotAResult(f"{self.path}: its /input is not a deck ({_one_line(error)})") from None

    @property
    def original_deck(self):
        """Text of the deck as it was given."""
        return self._attributes("input").get("original", "")

    @property
    def provenance(self):
        """Versions, hosts, command lines...: {name: one text per start of the run}."""
        return {name: [str(item) for item in np.ravel(value)] for name, value in self._attributes("provenance").items()}

    @property
    def optimization(self):
        """{name: one value per iteration}, empty before the first."""
        return self._arrays("optimization")

    @property
    def pretraining(self):
        """{name: one value per iteration} of the fit that came before the optimisation, empty where there was none."""
        return self._arrays("pretraining")

    @property
    def parameters(self):
        """{factor: {name: array}}, the newest parameters of the trial state."""
        return {factor: self._arrays(f"parameters/{factor}") for factor in self._names("parameters")}

    @property
    def components(self):
        """Names of the energy's components that were measured, none before production."""
        found = [name for name in self._names("production") if name not in NOT_COMPONENTS]
        known = [name for name in USUAL_COMPONENTS if name in found]
        return tuple(known + sorted(set(found) - set(known)))

    def series(self, name):
        """A production series: float64[step, batch]."""
        return self._value("production", name)

    @property
    def measurements_per_row(self):
        """How many successive steps are averaged in one row of a series; 0 before production."""
        return int(self._attributes("production/energy").get("measurements_per_row", 0))

    @property
    def blocking_names(self):
        """Names of the quantities that have a blocking table."""
        return self._names("blocking")

    def blocking(self, name):
        """The blocking table of a quantity."""
        if name not in self.blocking_names:
            raise KeyError(f"{self.path}: no blocking table {name!r}; there is: {self._there(self.blocking_names)}")
        path = f"blocking/{name}"
        columns = (self._value(path, column) for column in ("block_size", "blocks", "error", "error_of_error"))
        found = self._attributes(path)
        return Blocking(*columns, int(found.get("level", -1)), bool(found.get("plateau", False)))

    @property
    def observable_names(self):
        """Names of the quantities measured besides the energy, none while the run goes on."""
        return self._names("observables")

    def observable(self, name):
        """A quantity measured besides the energy: density, pair_correlation, radius, ..."""
        if name not in self.observable_names:
            raise KeyError(f"{self.path}: no observable {name!r}; there is: {self._there(self.observable_names)}")
        path = f"observables/{name}"
        columns, attributes = self._arrays(path), self._attributes(f"{path}/values")
        axes = {axis: columns[axis] for axis in self._attributes(path).get("axes", ())}
        unit, description = attributes.get("units", ""), attributes.get("description", "")
        return Observable(columns["values"], columns.get("errors"), axes, unit, description)

    @property
    def scalar_names(self):
        """Names of the final values, none while the run goes on."""
        return self._names("result")

    def scalar(self, name):
        """A final value: energy, energy_error, variance, r_hat, ..."""
        return self._value("result", name)

    @property
    def reference(self):
        """(energy, source), the exact energy of this system, or None where it is not known."""
        found = self._attributes("result/reference")
        return (self.scalar("reference"), found.get("source", "")) if self._has("result/reference") else None

    @property
    def exact_components(self):
        """{name: exact value} of the energy's components where they are known for exactly this system, else empty."""
        found = self._exact()
        return {name: getattr(found, name) for name in USUAL_COMPONENTS} if found else {}

    @property
    def exact_observables(self):
        """{name: exact value} of scalar observables where they are known for exactly this system, else empty."""
        found = self._exact()
        known = {name: getattr(found, name) for name in SCALAR_OBSERVABLES} if found else {}
        return {name: value for name, value in known.items() if value is not None}

    def _exact(self):
        system = self.deck.get("system", {})
        if system.get("kind") != "trap":
            return None
        dimensions, omega = system["dimensions"], system.get("omega", 1.0)
        interaction = system.get("interaction", {"kind": "none"})
        return references.exact(
            system["particles"],
            dimensions,
            omega if isinstance(omega, list) else [omega] * dimensions,
            interaction["kind"],
            interaction.get("strength", 1.0),
        )


def reference_label(source):
    """What to call a reference energy: not all that is known is exact."""
    return "best known" if "Monte Carlo" in source else "exact"


def with_error(value, error):
    """A value cut at its error: 3.00004(3) is 3.00004 +- 0.00003. Two digits of the error where the first is a 1.

    At most twelve decimals are shown, and then the error is one in the last at least, if it is not zero.
    """
    if error is None or not math.isfinite(error) or not math.isfinite(value):
        return f"{value:.6g}(?)"
    if error == 0:
        return f"{value:.12g}(0)"
    digits, exponent = f"{abs(error):.1e}".split("e")
    decimals = min((1 if digits.startswith("1") else 0) - int(exponent), 12)
    value, error = round(value, decimals), round(abs(error), decimals)
    places = max(decimals, 0)
    if error >= 1:
        return f"{value:.{places}f}({error:.{places}f})"
    return f"{value:.{places}f}({max(1, round(error * 10**places))})"


def _one_line(error):
    return os.strerror(error.errno) if getattr(error, "errno", None) else " ".join(str(error).split())
