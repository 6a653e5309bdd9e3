"""The reading API gives back what a result file holds, and says in one line why it cannot."""

import math

import fake_result
import numpy as np
import pytest

from parvmc import archive, checksum, references, results
from parvmc.results import with_error

ESTIMATES = ("energy", "energy_squared", "local_energy", "local_energy_squared")


def test_a_finished_run_is_read_back(tmp_path):
    with results.open(fake_result.write(tmp_path / "run.h5")) as result:
        assert result.status == "finished"
        assert result.title == "Two electrons, made up"
        assert result.attributes["schema_version"] == 1
        assert result.deck["system"]["interaction"] == {"kind": "coulomb", "strength": 1.0}
        assert result.original_deck.startswith("# mine\n")
        assert result.provenance["ranks"] == ["4", "2"]
        assert result.optimization["energy"].shape == (5,)
        assert {name: values.shape for name, values in result.parameters["0_gaussian_rbm"].items()} == {
            "a": (4,),
            "b": (3,),
            "w": (4, 3),
            "sigma": (4,),
        }
        assert result.components == ("kinetic", "trap", "interaction")
        assert np.array_equal(result.series("kinetic"), fake_result.series("kinetic"))
        assert result.measurements_per_row == 1
        assert set(result.blocking_names) == {"energy", "virial", "kinetic", "trap", "interaction"}
        table = result.blocking("energy")
        assert (table.level, table.plateau) == (1, True)
        assert list(table.block_size) == [1, 2, 4]
        assert result.scalar("energy") == 3.0004
        assert isinstance(result.scalar("samples"), int)
        assert result.reference == (3.0, "Taut 1994")
        assert result.exact_components["kinetic"] == 0.886199497
        assert result.exact_observables == {"squared_radius": 1.29539983, "pair_distance": 1.63680134}
        assert result.observable_names == ("density", "pair_distance")
        density, distance = result.observable("density"), result.observable("pair_distance")
        assert (density.unit, density.description) == ("bohr^-2", "density values")
        assert density.values.tolist() == [0.3, 0.1]
        assert density.errors.tolist() == [0.002, 0.001]
        assert {name: axis.tolist() for name, axis in density.axes.items()} == {"r": [0.5, 1.5]}
        assert (distance.values, distance.errors, distance.axes) == (1.6371, 0.0004, {})


def test_a_run_in_progress_is_read_as_far_as_it_got(tmp_path):
    with results.open(fake_result.write(tmp_path / "run.h5", "running", "optimization")) as result:
        assert result.status == "running"
        assert len(result.optimization["energy"]) == 5
        assert result.components == ()
        assert result.scalar_names == ()
        assert result.blocking_names == ()
        assert result.reference is None
        assert result.observable_names == ()
        assert result.measurements_per_row == 0
        for ask in (result.series, result.scalar, result.blocking, result.observable):
            with pytest.raises(KeyError, match="status: running"):
                ask("energy")


def test_a_result_stays_as_it_was_when_opened(tmp_path):
    path = fake_result.write(tmp_path / "run.h5", "running", "production")
    with results.open(path) as result:
        fake_result.write(path)
        assert result.status == "running"
        assert result.scalar_names == ()


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path):
    with results.open(fake_result.write(tmp_path / "run.h5")) as result:
        with pytest.raises(KeyError, match=r"no 'spin' in production; there is: .*kinetic"):
            result.series("spin")
        with pytest.raises(KeyError, match=r"no blocking table 'spin'; there is: .*kinetic"):
            result.blocking("spin")
        with pytest.raises(KeyError, match=r"no observable 'spin'; there is: density, pair_distance"):
            result.observable("spin")


def refused(path):
    """The message with which a file is refused."""
    with pytest.raises(results.NotAResult) as caught:
        results.open(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_what_is_no_result_is_refused_in_one_line(tmp_path):
    path = tmp_path / "run.h5"
    assert "no such file" in refused(path)
    assert "directory" in refused(tmp_path)
    path.write_text("energy,error\n")
    assert "not a readable HDF5 file" in refused(path)
    fake_result.write(path)
    path.write_bytes(path.read_bytes()[:5000])
    assert "not a readable HDF5 file" in refused(path)
    archive.write_result(path, {"title": "other"}, {})
    assert "not a result of parvmc" in refused(path)
    archive.write_result(path, {"schema": "parvmc", "schema_version": 2}, {})
    assert "schema version 2 is newer" in refused(path)
    archive.write_result(path, {"schema": "parvmc", "schema_version": "one"}, {})
    assert "where a whole number belongs" in refused(path)


def test_a_file_damaged_inside_is_reported_when_opened_or_when_read(tmp_path):
    """An older file, without a checksum after its end, can be opened, and what is damaged in it is found out later."""
    path = fake_result.write(tmp_path / "run.h5")
    path.write_bytes(path.read_bytes().replace(b'title = "Two', b'title ] "Two'))
    assert "damaged (its checksum is wrong" in refused(path)
    path.write_bytes(path.read_bytes()[: -checksum.TRAILER.size])
    with results.open(path) as result, pytest.raises(results.NotAResult, match="not a deck"):
        _ = result.deck


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (3.000041, 3.1e-5, "3.00004(3)"),
        (3.1, 0.00014, "3.10000(14)"),
        (3.1, 0.00096, "3.1000(10)"),
        (-0.5, 0.02, "-0.50(2)"),
        (3.0, 0.99, "3.0(1.0)"),
        (1234.56, 1.4, "1234.6(1.4)"),
        (1234.5, 2.3, "1234(2)"),
        (1234.5, 345.0, "1200(300)"),
        (1.0, 1e-17, "1.000000000000(1)"),
        (1.0, 0.0, "1(0)"),
        (1.0, float("nan"), "1(?)"),
        (float("nan"), 1.0, "nan(?)"),
    ],
)
def test_digits_are_cut_at_the_error(value, error, text):
    assert with_error(value, error) == text


# --------------------------------------------------------------------------------------------------------- references


def test_exact_energies_of_exactly_this_system():
    exact = references.exact_energy
    assert exact(2, 2, (1.0, 1.0), "coulomb", 1.0) == (3.0, "Taut 1994")
    assert exact(2, 3, (0.5,) * 3, "coulomb", 1.0) == (2.0, "Taut 1993")
    assert exact(2, 2, (0.5, 0.5), "coulomb", 1.0) == (1.659772149994, "exact")
    assert exact(10, 3, (1.0, 1.0, 2.0), "none", 0.0) == (20.0, "exact")
    assert exact(3, 2, (1.0, 1.0), "coulomb", 0.0) == (3.0, "exact")
    assert exact(1, 1, (0.7,), "coulomb", 1.0) == (0.35, "exact")
    assert exact(2, 1, (1.0,), "soft_coulomb", 1.0, 0.25) == (2.3830862362, "exact")
    assert exact(2, 1, (1.0,), "soft_coulomb", 1.0, 0.3) is None
    assert exact(2, 2, (1.0, 1.0), "soft_coulomb", 1.0, 0.25) is None
    for other in (
        (3, 2, (1.0, 1.0), "coulomb", 1.0),
        (2, 2, (1.0, 1.1), "coulomb", 1.0),
        (2, 2, (1.0001, 1.0001), "coulomb", 1.0),
        (2, 2, (1.0, 1.0), "coulomb", 1.1),
        (2, 2, (1.0, 1.0), "yukawa", 1.0),
    ):
        assert exact(*other) is None


def test_another_strength_is_the_same_system_on_another_scale():
    energy, source = references.exact_energy(2, 2, (4.0, 4.0), "coulomb", 2.0)
    assert energy == pytest.approx(12.0, rel=1e-14)
    assert source == "Taut 1994"
    weak = references.exact(2, 2, (0.1 * 0.3**2,) * 2, "coulomb", 0.3)
    assert weak.energy == pytest.approx(0.3**2 * 0.440791888014, rel=1e-14)
    assert weak.pair_distance == pytest.approx(6.74403467 / 0.3, rel=1e-14)
    assert weak.squared_radius == pytest.approx(17.70965508 / 0.3**2, rel=1e-14)


def test_lengths_of_the_ideal_gas():
    """In one dimension <r> = 1 / sqrt(pi omega), in three 2 / sqrt(pi omega); an anisotropic trap has <r^2> alone."""
    line, ball = references.exact(1, 1, (0.5,), "none", 0.0), references.exact(2, 3, (2.0,) * 3, "none", 0.0)
    assert (line.squared_radius, line.pair_distance) == (1.0, None)
    assert line.radius == pytest.approx(1.0 / math.sqrt(math.pi * 0.5), rel=1e-14)
    assert ball.radius == pytest.approx(2.0 / math.sqrt(math.pi * 2.0), rel=1e-14)
    assert ball.pair_distance == pytest.approx(math.sqrt(2.0) * ball.radius, rel=1e-14)
    flat = references.exact(2, 2, (1.0, 2.0), "none", 0.0)
    assert (flat.squared_radius, flat.pair_distance, flat.radius) == (0.75, None, None)


@pytest.mark.parametrize(("system", "row"), references.TWO_ELECTRONS.items())
def test_the_parts_of_the_table_add_up_and_obey_the_virial_identity(system, row):
    assert row.kinetic + row.trap + row.interaction == pytest.approx(row.energy, abs=2e-9)
    assert 2 * row.kinetic == pytest.approx(2 * row.trap - row.interaction, abs=4e-9)
    assert row.trap == pytest.approx(system[1] ** 2 * row.squared_radius, abs=4e-9 + 5e-9 * system[1] ** 2)
    if row.source != "exact":
        omega = system[1]
        assert row.energy / omega == pytest.approx(round(row.energy / omega), abs=1e-12)


# --------------------------------------------------------------------------------------------------------------- lazily


def test_a_series_is_read_by_pieces(tmp_path, monkeypatch):
    """Only the rows that are asked for are read, and all pieces together are the series."""
    read = []
    value = archive.Reader.value
    monkeypatch.setattr(archive.Reader, "value", lambda self, *given: read.append(value(self, *given)) or read[-1])
    with results.open(fake_result.write(tmp_path / "run.h5")) as result:
        assert result.series_names == tuple(sorted([*fake_result.PARTS, *ESTIMATES]))
        whole, energy = fake_result.series("energy"), result.lazy_series("energy")
        assert (energy.shape, energy.dtype, energy.ndim, len(energy), energy.nbytes) == ((16, 2), float, 2, 16, 256)
        assert read == []
        assert np.array_equal(energy[3:5, 1], whole[3:5, 1])
        assert energy[-1].tolist() == whole[-1].tolist()
        read.clear()
        pieces = list(energy.pieces(most_bytes=5 * 16))
        assert [first for first, _ in pieces] == [0, 5, 10, 15]
        assert [len(rows) for rows in read] == [5, 5, 5, 1]
        assert np.array_equal(np.concatenate([rows for _, rows in pieces]), whole)
        assert [len(rows) for _, rows in energy.pieces(most_bytes=1)] == [1] * 16
        assert np.array_equal(np.asarray(energy), whole)
        with pytest.raises(KeyError, match=r"no 'spin' in production; there is: .*kinetic"):
            result.lazy_series("spin")


def test_what_was_not_read_before_the_file_is_closed_says_so(tmp_path):
    with results.open(fake_result.write(tmp_path / "run.h5")) as result:
        energy = result.lazy_series("energy")
    for ask in (lambda: energy[0], lambda: result.status):
        with pytest.raises(ValueError, match=r"run\.h5 is closed"):
            ask()
