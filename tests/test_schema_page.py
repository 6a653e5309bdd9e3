"""docs/schema.md is what is in the files: compared with real runs, and its example is run."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import ROOT, TWO_ELECTRONS, command, environment

from parvmc import checksum

PAGE = (ROOT / "docs" / "schema.md").read_text()
FIRST = Path(__file__).parent / "data" / "first_version.h5"
# The kinds of things in these decks are those of other tests, so that the kernels are compiled once.
TRAP = f"""
title = "all observables"
seed = 5
{TWO_ELECTRONS}hidden = 1
[sampler]
walkers = 256
lanes = 32
equilibration = 40
[optimizer]
iterations = 2
[production]
samples = 25_600
observables = ["density", {{kind = "cartesian_density", bins = 6}},
    {{kind = "pair_correlation", bins = 30, range = 4.0}},
    "radius", "squared_radius", "pair_distance", {{kind = "density_matrix", bins = 4}}]
"""
PRETRAINED = """
system = {kind = "trap", particles = 2, dimensions = 2}
state = [{kind = "gaussian_rbm", hidden = 2, sigma = 1.5, initial_spread = 0.5}]
sampler = {kind = "gibbs", walkers = 1024, lanes = 64, equilibration = 20}
optimizer = {iterations = 2}
pretrain = {iterations = 3}
production = {samples = 16_384}
"""
SPINS = """
system = {kind = "ising", lattice = [10]}
state = [{kind = "spin_rbm", density = 1.0, symmetry = "translation", initial_spread = 0.1}]
sampler = {walkers = 512, lanes = 64, equilibration = 100}
optimizer = {samples = 1024, memory = 1e-6, iterations = 3, method = "spring"}
production = {samples = 16_384}
"""
DECKS = {"trap": TRAP, "pretrained": PRETRAINED, "spins": SPINS}
COMPONENT = "(?:kinetic|trap|interaction|diagonal|off_diagonal)"
PLACES = {
    "<component>": COMPONENT,
    "<quantity>": f"(?:energy|virial|{COMPONENT})",
    "<factor>": r"\d+_[a-z_]+",
    "<parameter>": "[a-z_]+",
    "<observable>": "[a-z0-9_]+",
    "<axis>": "(?!values$|errors$)[a-z_]+",
}
ENERGIES = ("hartree (hbar = m = e = 1)", "J, the unit of the couplings (Pauli matrices)")
UNITS = {"E": ENERGIES, "E²": tuple(f"{unit} squared" for unit in ENERGIES)}
OF_HDF5 = {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"}


def table(heading):
    """Rows of the table below a heading, each a list of its cells."""
    lines = [
        line for line in PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0].splitlines() if line[:1] == "|"
    ]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def names(text):
    """What stands between backticks."""
    return re.findall("`([^`]+)`", text)


def pattern(path):
    """A regular expression for a path with places such as <axis>."""
    parts = re.split("(<[a-z]+>)", path.strip("/"))
    return re.compile("".join(PLACES.get(part) or re.escape(part) for part in parts))


DATASETS = [(pattern(*names(path)), kind, unit) for path, kind, unit, _ in table("Datasets")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the files of three real runs."""
    where = tmp_path_factory.mktemp("runs")
    for name, text in DECKS.items():
        (where / f"{name}.toml").write_text(text)
        subprocess.run(command(f"{name}.toml", "--quiet"), cwd=where, env=environment(), check=True, timeout=600)
    return where


@pytest.fixture
def files(folder):
    """The result files, open with h5py."""
    opened = [h5py.File(folder / f"{name}.h5") for name in DECKS]
    yield opened
    for file in opened:
        file.close()


def nodes(file):
    """Return {path: group or dataset} of all but the root."""
    found = {}
    file.visititems(found.__setitem__)
    return found


def undocumented(path, node):
    """What is wrong with a dataset by the page, "" if nothing."""
    fitting = [(kind, unit) for known, kind, unit in DATASETS if known.fullmatch(path)]
    if len(fitting) != 1:
        return f"{path} is in {len(fitting)} rows"
    ((kind, unit),) = fitting
    axes = kind.partition("[")[2]
    stored = "text" if h5py.check_string_dtype(node.dtype) else node.dtype.name
    if re.match("text|int64|float64", kind) and stored != re.match("[a-z0-9]+", kind)[0]:
        return f"{path} has the type {stored}, not {kind}"
    if axes:
        scales = [axis[0].name for axis in node.dims] if not node.is_scale else [path]
        fits = ", ".join(scale.rpartition("/")[2] for scale in scales) == axes.rstrip("]")
    else:
        fits = bool(re.search("any shape|for each|as the values", kind)) or node.ndim == len(re.findall("one ", kind))
    if not fits:
        return f"{path} has the shape {node.shape}, not {kind}"
    if unit and node.attrs["units"] not in UNITS.get(unit, (unit,)):
        return f"{path} has the unit {node.attrs['units']}, not {unit}"
    return "" if node.attrs["description"] else f"{path} has no description"


def test_every_dataset_is_documented_with_its_type_axes_and_unit(files):
    for file in files:
        datasets = {path: node for path, node in nodes(file).items() if isinstance(node, h5py.Dataset)}
        assert len(datasets) > 40
        assert [fault for path, node in datasets.items() if (fault := undocumented(path, node))] == []
    assert undocumented("result/energies", files[0]["result/energy"])
    assert undocumented("result/samples", files[0]["result/energy"])
    assert undocumented("optimization/energy", files[0]["production/energy"])
    assert undocumented("result/variance", files[0]["result/energy"])


def test_every_documented_dataset_is_in_a_real_file(files):
    paths = [path for file in files for path, node in nodes(file).items() if isinstance(node, h5py.Dataset)]
    assert [known.pattern for known, *_ in DATASETS if not any(map(known.fullmatch, paths))] == []


def test_attributes_are_documented_and_there(files):
    found = set()
    for file in files:
        for path, node in {"": file, **nodes(file)}.items():
            for name, value in node.attrs.items():
                if name in OF_HDF5 or (isinstance(node, h5py.Dataset) and name in ("units", "description")):
                    continue
                place = re.sub("^production/.*", "production/…", path)
                found.add((place, name, value.dtype.name if isinstance(value, np.number) else "text"))
    documented = [
        (pattern(names(where)[0]), name, kind.partition("[")[0])
        for where, attributes, kind, _ in table("Attributes")
        for name in names(attributes)
    ]

    def fits(known, one):
        return known[0].fullmatch(one[0]) and known[1:] == one[1:]

    assert [one for one in found if not any(fits(known, one) for known in documented)] == []
    assert [known for known in documented if not any(fits(known, one) for one in found)] == []


def test_checksum_log_and_checkpoint_are_as_the_page_says(folder):
    said = PAGE.partition("## The checksum\n")[2]
    assert f"stand {checksum.TRAILER.size} bytes: `{checksum.MAGIC.decode()}`" in said
    phases, keys = set(), set()
    for name in DECKS:
        for line in (folder / f"{name}.jsonl").read_text().splitlines():
            record = json.loads(line)
            phases.add(record.pop("phase"))
            keys |= record.keys()
        with h5py.File(folder / f"{name}.ckpt.h5") as file:
            assert set(file) == {"attributes", "small", "batched"}
            assert set(file.attrs) == {"schema", "checksum"}
            assert json.loads(file["attributes"][()]).keys() == {"deck", "original", "counters"}
            assert len({len(node) for node in file["batched"].values()}) == 1
    assert phases == {"optimization", "production"}
    known = {known.removeprefix("/optimization/") for line in PAGE.splitlines() for known in names(line)}
    assert keys - known == set()


@pytest.mark.parametrize("where", ["trap", "pretrained", "spins", "first_version", "running"])
def test_the_example_reads_a_real_file_with_h5py_alone(request, tmp_path, where):
    """Also a file of the first version, and one of a run that is in production."""
    path = tmp_path / "two_electrons.h5"
    shutil.copy(
        FIRST if where in ("first_version", "running") else request.getfixturevalue("folder") / f"{where}.h5", path
    )
    with h5py.File(path, "r+") as file:
        if where == "running":
            del file["result"], file["blocking"]
            file.attrs["status"] = where
        first, last = file["optimization/energy"][[0, -1]]
        batches = file["production/energy"].shape[1]
        expected = [f"energy by iteration: {first:.4f} at first, {last:.4f} at last", f"{batches} batches in "]
        if where != "running":
            expected.append(f"E = {file['result/energy'][()]} +- {file['result/energy_error'][()]}, in blocks of ")
    code = re.search("```python\n(.*?)```", PAGE, re.DOTALL)[1]
    alone = "import sys\nsys.modules['parvmc'] = None\n" + code
    done = subprocess.run([sys.executable, "-c", alone], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    for text in expected:
        assert text in done.stdout
    assert "production/step /production/batch" in done.stdout
