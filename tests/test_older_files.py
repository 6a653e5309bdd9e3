"""A result file of parvmc's first version, before the checksum and several columns, stays readable by everything."""

import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import ROOT

from parvmc import checksum, results, status, verify

FIRST = Path(__file__).parent / "data" / "first_version.h5"
COMPONENTS = ("kinetic", "trap", "interaction")


def test_it_is_as_old_as_is_claimed():
    """No checksum after its end, no `shrunk`, nothing that spins have brought."""
    assert checksum.check(FIRST) is False
    assert FIRST.stat().st_size < 100_000
    with h5py.File(FIRST) as file:
        assert file.attrs["schema_version"] == 1
        assert "optimization/shrunk" not in file
        assert "production/imaginary" not in file
        assert not {"observables", "pretraining"} & set(file)


def test_all_of_it_can_be_read():
    """Every name of the reading API, against h5py."""
    with results.open(FIRST) as result, h5py.File(FIRST, locking=False) as file:
        assert (result.status, result.attributes["schema_version"]) == ("finished", 1)
        assert result.title == "Two electrons in a circular quantum dot, small"
        assert result.deck["state"][0]["hidden"] == 2
        assert result.deck_text != result.original_deck
        assert result.original_deck.startswith("title")
        assert result.provenance["git_commit"] == ["02ab6ea38983bd64bab2ab0f5b58ec5ef1b64b85"]
        assert set(result.optimization) == set(file["optimization"])
        assert result.pretraining == {}
        assert {name: values.shape for name, values in result.parameters["0_gaussian_rbm"].items()} == {
            "a": (4,),
            "b": (2,),
            "w": (4, 2),
            "sigma": (4,),
        }
        assert result.components == COMPONENTS
        assert set(result.series_names) == set(file["production"]) - {"step", "batch"}
        for name in result.series_names:
            assert np.array_equal(result.series(name), file[f"production/{name}"][:])
            assert result.lazy_series(name).shape == (256, 2)
        assert result.measurements_per_row == 1
        assert set(result.blocking_names) == {"energy", "virial", *COMPONENTS}
        table = result.blocking("energy")
        assert result.scalar("energy_error") == table.error[table.level]
        assert result.observable_names == ()
        assert {name: result.scalar(name) for name in result.scalar_names} == {
            name: value[()] for name, value in file["result"].items()
        }
        assert result.reference == (3.0, "Taut 1994")
        assert set(result.exact_components) == set(COMPONENTS)


def test_summary_verify_and_status_take_it(tmp_path, capsys):
    path = shutil.copy(FIRST, tmp_path / "old.h5")
    command = [sys.executable, str(ROOT / "analysis" / "summary.py"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "energy        3.087(8)" in done.stdout
    assert verify.main([str(path)]) == 0
    assert status.main([str(path)]) == 0
    said = capsys.readouterr().out
    assert "sound result of parvmc, schema 1, finished, E = 3.087(8); it has no checksum" in said
    assert "finished   E = 3.087(8)" in said


def test_it_goes_to_xarray():
    pytest.importorskip("xarray", reason="no xarray: pip install '.[xarray]'")
    with results.open(FIRST) as result:
        tree = result.to_xarray()
        assert float(tree["production/energy"].mean()) == pytest.approx(result.scalar("energy"), rel=1e-13)
