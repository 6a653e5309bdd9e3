"""`--warm` compiles what runs of a deck will need, keeps it, and runs nothing."""

import re

import kernel_counts
import pytest
from conftest import ROOT, SMALL

from parvmc import kernel_cache, warm
from parvmc.__main__ import main

SETTINGS = [f"--set={key}={value}" for key, value in SMALL.items()]
MEASURES = ["--set=optimizer.iterations=0", '--set=production.observables=["density", "radius"]']
KINDS = {
    "trap": ("two_electrons", []),
    "observables": ("two_electrons_exact", []),
    "langevin": ("samplers", ['--set=sampler.kind="langevin"', "--set=optimizer.iterations=3"]),
    "gibbs and pretraining": ("pretrained", ["--set=pretrain.iterations=3"]),
    "real spins": ("ising_chain_20", []),
    "complex spins": ("ising_chain_20", ['--set=state.0.parameters="complex"', '--set=optimizer.method="minsr"']),
    "derivatives computed again": (
        "heisenberg_chain_20",
        ['--set=optimizer.method="cg"', "--set=optimizer.memory=1e-6"],
    ),
    "enumeration": ("ising_small", ["--set=optimizer.iterations=3"]),
}
LINE = r"^{deck}: (\d+) kernels, (\d+) compiled, (\d+) there already, [\d.]+ s$"


def deck(name):
    """Return the path of a deck in inputs/."""
    return ROOT / "inputs" / f"{name}.toml"


def told(process, path):
    """Return (kernels, compiled, there already) from the one line on a deck."""
    (found,) = re.findall(LINE.format(deck=path), process.stdout, re.MULTILINE)
    return tuple(map(int, found))


def test_after_warm_a_run_compiles_nothing(parvmc, tmp_path):
    """All kernels come from the folder, with observables; the control is the same run with an empty one."""
    options = [deck("one_particle"), *SETTINGS, *MEASURES]
    places = {"PARVMC_CACHE_DIR": str(tmp_path / "cache")}
    process = parvmc("--warm", *options, **places)
    assert process.returncode == 0, process.stderr
    assert told(process, options[0]) == (2, 2, 0)
    assert re.search(r"^compilation +2 of 2", process.stdout, re.MULTILINE)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    assert told(parvmc("--warm", *options, **places), options[0]) == (2, 0, 2)
    warm, control = (
        kernel_counts.run(tmp_path, *options, "-o", f"{name}.h5", PARVMC_CACHE_DIR=str(tmp_path / name))
        for name in ("cache", "empty")
    )
    assert warm[0].returncode == control[0].returncode == 0
    assert warm[1] == (0, 2, 0)
    assert control[1] == (2, 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_after_warm_runs_of_all_kinds_compile_nothing(parvmc, tmp_path, kind):
    """The run needs as many kernels as `--warm` has told, and finds them all."""
    name, more = KINDS[kind]
    small = [] if name == "ising_small" else SETTINGS
    places = {"PARVMC_CACHE_DIR": str(tmp_path / "cache")}
    process = parvmc("--warm", deck(name), *small, *more, **places)
    assert process.returncode == 0, process.stderr
    kernels, compiled, _ = told(process, deck(name))
    done, counts = kernel_counts.run(tmp_path, deck(name), *small, *more, **places)
    assert done.returncode == 0, done.stderr
    assert counts == (0, compiled, 0)
    assert kernels >= compiled > 0


def test_a_wrong_deck_is_refused_before_anything_is_compiled(parvmc, tmp_path):
    """Status 2, and which deck; the sound one before it is not begun. No deck at all is an error too."""
    (tmp_path / "wrong.toml").write_text(
        'system = {kind = "ising", lattice = [4]}\nstate = [{kind = "spin_rbm"}]\nx = 1'
    )
    process = parvmc("--warm", deck("one_particle"), "wrong.toml", PARVMC_CACHE_DIR=str(tmp_path / "cache"))
    assert process.returncode == 2
    assert "wrong.toml" in process.stderr
    assert "x: " in process.stderr
    assert process.stdout == ""
    assert list(tmp_path.rglob("*.nbc")) == []
    assert parvmc("--warm").returncode == 2


def test_a_run_may_go_on_meanwhile(parvmc, tmp_path):
    """A lock and files of a run are neither looked at nor touched."""
    for name in ("one_particle.lock", "one_particle.h5"):
        (tmp_path / name).write_text("of another run")
    process = parvmc("--warm", deck("one_particle"), *SETTINGS, *MEASURES)
    assert process.returncode == 0, process.stderr
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        ("one_particle.lock", "one_particle.h5"), "of another run"
    )


@pytest.mark.parametrize(("folder", "lost", "status"), [(None, 0, 1), ("there", 1, 1), ("there", 0, 0)])
def test_kernels_that_cannot_be_kept_are_an_error(monkeypatch, capsys, folder, lost, status):
    """There is no folder, or a file could not be written: status 1, and the reason; 0 where all is well."""
    monkeypatch.setattr(warm, "compile_kernels", lambda simulation: [{"phase": "compilation", "sweep": 2, "of": 2}])
    monkeypatch.setattr(kernel_cache, "folder", lambda: folder)
    monkeypatch.setattr(kernel_cache, "problems", ["why not"] if status else [])
    monkeypatch.setitem(kernel_cache.counts, "lost", lost)
    assert main(["--warm", str(deck("one_particle"))]) == status
    assert ("why not" in capsys.readouterr().err) == bool(status)
