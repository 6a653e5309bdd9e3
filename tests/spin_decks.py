"""Decks of spins for whole runs, and what their trial states and energies are by formulas, for all configurations.

Of the program they use its reader of result files alone.
"""

import contextlib
import functools
import io
import subprocess

import exact_spins
import numpy as np
from naive_spins import copied

from parvmc import __main__ as program
from parvmc import results
from parvmc.parallel import World
from parvmc.stopping import Signals


def deck(system, state, sampler="", optimizer="iterations = 0", production="", seed=5):
    """Return the text of a deck from the lines of its tables; state: one text for each factor."""
    factors = "".join(f"[[state]]\n{factor}\n" for factor in ([state] if isinstance(state, str) else state))
    tables = {"system": system, "sampler": sampler, "optimizer": optimizer, "production": production}
    return f"seed = {seed}\n{factors}" + "".join(f"[{name}]\n{text}\n" for name, text in tables.items())


def written(path, *arguments, **more):
    """Write a deck to a file and return its path."""
    path.write_text(deck(*arguments, **more))
    return path


def hamiltonian(system):
    """The dense matrix of a deck's system, as it says; turned where the rotation of one sublattice is on."""
    shape, periodic = tuple(system["lattice"]), system["periodic"]
    sites = int(np.prod(shape))
    if system["kind"] == "ising":
        return exact_spins.ising(shape, periodic, system["coupling"], system["field"]).toarray()
    nearest = exact_spins.bonds(shape, periodic)
    if system["kind"] == "heisenberg":
        total = exact_spins.exchange(sites, nearest, system["coupling"], system["anisotropy"])
    else:
        total = exact_spins.exchange(sites, nearest, system["j1"])
        total = total + exact_spins.exchange(sites, exact_spins.bonds(shape, periodic, True), system["j2"])
    even = all(side % 2 == 0 for side in shape)
    return (exact_spins.turned(shape, total) if even and system["marshall"] == "auto" else total).toarray()


def amplitudes(shape, factors, parameters):
    """psi of all configurations up to a factor, complex128[2^sites]; factors: tables of a deck, all defaults filled
    in; parameters: {name: array} of each."""
    spins = exact_spins.configurations(int(np.prod(shape)))
    logarithm = np.zeros(len(spins), complex)
    for factor, own in zip(factors, parameters, strict=True):
        if factor["kind"] == "neighbor_jastrow":
            pairs = np.array(exact_spins.bonds(shape, True))
            logarithm += own["strength"][0] * (spins[:, pairs[:, 0]] * spins[:, pairs[:, 1]]).sum(axis=1)
            continue
        a, b, w = (own[name] for name in ("a", "b", "w"))
        if factor["symmetry"] == "translation":
            a, b, w = copied(shape, a, b, w)
        theta = b + spins @ w
        hidden = [np.exp(value * theta) for value in factor["hidden_values"]]
        logarithm += spins @ a + np.log((hidden[0] + hidden[1]).astype(complex)).sum(axis=1)
    return np.exp(logarithm - logarithm.real.max())


def in_sector(psi, magnetisation):
    """psi with the amplitudes of all other magnetisations set to zero; None or "any": as it is."""
    if magnetisation in (None, "any"):
        return psi
    return np.where(exact_spins.configurations(psi.size.bit_length() - 1).sum(axis=1) == magnetisation, psi, 0.0)


def expectation(psi, matrix):
    """<psi|H|psi> / <psi|psi>."""
    return (psi.conj() @ matrix @ psi).real / (psi.conj() @ psi).real


class Outcome:
    """A finished run's file, what was warned of, and the trained state as amplitudes of all configurations."""

    def __init__(self, path, warnings=""):
        self.path, self.warnings = path, warnings
        with results.open(path) as file:
            assert file.status == "finished"
            self.system, self.factors = file.deck["system"], file.deck["state"]
            self.scalars = {name: file.scalar(name) for name in file.scalar_names}
            self.observables = {name: file.observable(name) for name in file.observable_names}
            self.parameters, self.optimization = file.parameters, file.optimization
        self.shape = tuple(self.system["lattice"])

    @functools.cached_property
    def psi(self):
        """The trained state."""
        own = [self.parameters[f"{number}_{factor['kind']}"] for number, factor in enumerate(self.factors)]
        return in_sector(amplitudes(self.shape, self.factors, own), self.system.get("magnetisation"))

    @property
    def energy(self):
        """The energy that the run found."""
        return self.scalars["energy"]

    @property
    def error(self):
        """Its error."""
        return self.scalars["energy_error"]

    @property
    def exact(self):
        """The expectation value of the energy in the trained state."""
        return expectation(self.psi, hamiltonian(self.system))

    def mean(self, values):
        """The expectation value of values [2^sites, ...], functions of the configuration."""
        weights = np.abs(self.psi) ** 2
        return np.tensordot(weights / weights.sum(), values, 1)


def run_here(*arguments):
    """Run the program in this process, where kernels are compiled already, and return the completed process; it stands
    for one rank."""
    out, err = io.StringIO(), io.StringIO()
    streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    with streams[0], streams[1], contextlib.ExitStack() as held, Signals() as signals:
        status = program._execute(World(), [str(argument) for argument in arguments], signals, held)
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


def finished(path, *arguments):
    """Run a deck in this process into the file beside it and return the `Outcome`."""
    target = path.with_suffix(".h5")
    run = run_here(path, "-o", target, "--overwrite", *arguments)
    assert run.returncode == 0, run.stderr
    return Outcome(target, run.stderr)


def assert_refused(run, *words):
    """Assert that a deck was refused with status 2 and one line that has these words."""
    assert run.returncode == 2, run.stdout
    assert run.stderr.startswith("parvmc: ")
    assert len(run.stderr.splitlines()) == 1, run.stderr
    for word in words:
        assert word in run.stderr
