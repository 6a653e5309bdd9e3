"""Result files: what they hold, and whole at every moment."""

import subprocess
import sys

import h5py
import numpy as np
import pytest
from children import ENVIRONMENT

from parvmc import archive, files
from parvmc.archive import Dataset
from parvmc.files import Files


def example():
    """Datasets of a small result file."""
    return {
        "production/step": Dataset(np.arange(1, 5), "1", "step"),
        "production/batch": Dataset(np.arange(2), "1", "batch"),
        "production/energy": Dataset(
            np.ones((4, 2)), "hartree", "energy", ("production/step", "production/batch"), {"measurements_per_row": 2}
        ),
        "input": Dataset("title = 'ħ'", "", "deck", attributes={"original": "# ä\n" * 40_000}),
        "result/samples": Dataset(10, "1", "samples"),
    }


def test_a_result_file_has_units_descriptions_scales_and_text(tmp_path):
    path = tmp_path / "run.h5"
    groups = {"provenance": {"hosts": ["a", "ö"], "none": [], "ranks": [4, 2]}, "blocking/energy": {"plateau": True}}
    archive.write_result(path, {"schema": "parvmc", "schema_version": 1, "title": ""}, example(), groups)
    with h5py.File(path) as file:
        assert dict(file.attrs) == {"schema": "parvmc", "schema_version": 1, "title": ""}
        energy = file["production/energy"]
        assert energy.attrs["units"] == "hartree"
        assert energy.attrs["measurements_per_row"] == 2
        assert [energy.dims[axis][0].name for axis in (0, 1)] == ["/production/step", "/production/batch"]
        assert file["input"].asstr()[()] == "title = 'ħ'"
        assert len(file["input"].attrs["original"]) == 160_000
        assert list(file["provenance"].attrs["hosts"]) == ["a", "ö"]
        assert not len(file["provenance"].attrs["none"])
        assert h5py.check_string_dtype(file["input"].dtype).length is None
        assert all({"units", "description"} <= set(file[name].attrs) for name in example())
    assert [name.name for name in tmp_path.iterdir()] == ["run.h5"]


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_the_series_open_in_xarray(tmp_path, engine):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip({"netcdf4": "netCDF4"}.get(engine, engine))
    archive.write_result(tmp_path / "run.h5", {}, example())
    with xarray.open_dataset(tmp_path / "run.h5", group="production", engine=engine) as found:
        assert dict(found.sizes) == {"step": 4, "batch": 2}
        assert found.energy.dims == ("step", "batch")
        assert list(found.step) == [1, 2, 3, 4]
        assert found.energy.attrs["units"] == "hartree"


def test_axes_that_do_not_fit_are_refused_and_the_old_file_stays(tmp_path):
    path = tmp_path / "run.h5"
    archive.write_result(path, {"title": "old"}, example())
    for axes in (("production/step",), ("production/batch", "production/step")):
        with pytest.raises(ValueError, match=r"axes|differ in length"):
            archive.write_result(path, {}, example() | {"production/x": Dataset(np.ones((4, 2)), "1", "x", axes)})
    with h5py.File(path) as file:
        assert file.attrs["title"] == "old"
    assert [name.name for name in tmp_path.iterdir()] == ["run.h5"]


def test_archive_imports_neither_mpi_nor_kernels():
    source = "import sys, parvmc.archive; sys.exit(bool({'mpi4py', 'numba'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", source], env=ENVIRONMENT).returncode == 0
    assert files.Files is Files
