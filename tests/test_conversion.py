"""Result files in xarray and ArviZ: the same numbers, with names, units and coordinates; read when they are needed."""

import subprocess
import sys
from pathlib import Path

import fake_result
import numpy as np
import pytest

from parvmc import archive, results

FIRST = Path(__file__).parent / "data" / "first_version.h5"


@pytest.fixture
def xarray():
    """The module, where it is installed."""
    return pytest.importorskip("xarray", reason="no xarray: pip install '.[xarray]'")


@pytest.fixture
def arviz():
    """The module, where it is installed."""
    return pytest.importorskip("arviz", reason="no ArviZ: pip install '.[arviz]'")


@pytest.mark.usefixtures("xarray")
def test_the_tree_has_the_files_groups_with_dimensions_units_and_descriptions(tmp_path):
    with results.open(fake_result.write(tmp_path / "run.h5")) as result:
        tree = result.to_xarray()
        assert set(tree.children) == set(result._file.names()) - {"input"}
        assert tree.attrs["status"] == "finished"
        assert tree.attrs["input"] == fake_result.DECK
        assert tree["provenance"].attrs["ranks"] == ["4", "2"]
        production = tree["production"]
        assert set(production.data_vars) == set(result.series_names)
        kinetic = production["kinetic"]
        assert kinetic.dims == ("step", "batch")
        assert kinetic.coords["step"].values.tolist() == list(range(1, 17))
        assert kinetic.attrs == {"units": "1", "description": "kinetic", "measurements_per_row": 1}
        assert np.array_equal(kinetic.values, fake_result.series("kinetic"))
        assert tree["optimization/energy"].dims == ("iteration",)
        assert np.array_equal(tree["optimization/energy"], result.optimization["energy"])
        density = tree["observables/density/values"]
        assert (density.dims, density.coords["r"].values.tolist()) == (("r",), [0.5, 1.5])
        assert density.attrs["units"] == "bohr^-2"
        assert tree["observables/pair_distance/values"].item() == 1.6371
        assert tree["parameters/0_gaussian_rbm/w"].dims == ("w_0", "w_1")
        assert tree["blocking/energy/error"].dims == ("level",)
        assert tree["blocking/energy"].attrs == {"level": 1, "plateau": 1}
        assert {name: value.item() for name, value in tree["result"].data_vars.items()} == {
            name: result.scalar(name) for name in result.scalar_names
        }


@pytest.mark.usefixtures("xarray")
def test_a_run_in_progress_has_the_groups_that_are_there(tmp_path):
    with results.open(fake_result.write(tmp_path / "run.h5", "running", "optimization")) as result:
        assert set(result.to_xarray().children) == {"optimization", "parameters", "provenance"}


@pytest.mark.usefixtures("xarray")
def test_xarray_reads_only_the_rows_that_it_needs(tmp_path, monkeypatch):
    read = []
    value = archive.Reader.value
    monkeypatch.setattr(archive.Reader, "value", lambda self, *given: read.append(value(self, *given)) or read[-1])
    with results.open(fake_result.write(tmp_path / "run.h5")) as result:
        energy = result.to_xarray()["production/energy"]
        before = len(read)
        assert not any(np.shape(values) == (16, 2) for values in read)
        part = energy.isel(step=slice(12, 4, -2), batch=[1, 0]).values
        assert np.array_equal(part, fake_result.series("energy")[12:4:-2, [1, 0]])
        assert [values.shape for values in read[before:]] == [(4, 2)]
        late = result.to_xarray()["production/trap"]
        loaded = result.to_xarray()["production/trap"].load()
    assert np.array_equal(loaded, fake_result.series("trap"))
    with pytest.raises(ValueError, match="is closed"):
        late.load()


def test_arviz_takes_batches_for_chains_and_rows_for_draws(arviz):
    """Its mean and its R-hat of a real run are those that the run has printed."""
    with results.open(FIRST) as result:
        data = result.to_arviz()
        posterior = data["posterior"]
        assert set(posterior.data_vars) == {"energy", "kinetic", "trap", "interaction"}
        assert (posterior["energy"].dims, posterior["energy"].shape) == (("chain", "draw"), (2, 256))
        assert np.array_equal(posterior["trap"].values.T, result.series("trap"))
        assert posterior["energy"].attrs["units"].startswith("hartree")
        assert posterior["step"].values.tolist() == list(range(1, 257))
        assert data["sample_stats"]["acceptance_rate"].item() == result.scalar("acceptance")
        assert float(posterior["energy"].mean()) == pytest.approx(result.scalar("energy"), rel=1e-13)
        assert float(arviz.rhat(data)["energy"]) == pytest.approx(result.scalar("r_hat"), rel=1e-10)
        assert set(arviz.summary(data).index) == set(posterior.data_vars)


@pytest.mark.usefixtures("arviz")
def test_arviz_of_a_run_before_production_is_refused_and_one_in_production_has_no_acceptance(tmp_path):
    path = fake_result.write(tmp_path / "run.h5", "running", "optimization")
    with results.open(path) as result, pytest.raises(ValueError, match=r"run\.h5: production has not begun"):
        result.to_arviz()
    with results.open(fake_result.write(tmp_path / "run.h5", "running", "production")) as result:
        data = result.to_arviz()
        assert "posterior" in data.children if hasattr(data, "children") else "posterior" in data.groups()
        assert not hasattr(data, "sample_stats")


@pytest.mark.parametrize("library", ["xarray", "arviz"])
def test_without_the_library_the_message_names_the_extra(tmp_path, library):
    """And reading itself asks for neither of them."""
    source = (
        f"import sys\nsys.modules[{library!r}] = None\nfrom parvmc import results\n"
        "with results.open(sys.argv[1]) as result:\n"
        "    assert not {'xarray', 'arviz', 'pandas'} & {k for k, v in sys.modules.items() if v is not None}\n"
        f"    result.to_{library}()\n"
    )
    path = fake_result.write(tmp_path / "run.h5")
    done = subprocess.run([sys.executable, "-c", source, str(path)], capture_output=True, text=True, timeout=60)
    assert done.stderr.splitlines()[-1] == f"ImportError: {library} is not installed: pip install 'parvmc[{library}]'"
