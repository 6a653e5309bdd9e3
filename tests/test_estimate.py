"""`--check` names the method of the steps and states memory that follows from the sizes, for all methods and spins."""

import re

import pytest

from parvmc import config
from parvmc.estimate import estimate
from parvmc.memory import require_memory
from parvmc.samples import Samples
from parvmc.schema import DeckError
from parvmc.values import DENSE_ARRAYS, SAMPLE_ARRAYS

SITES, HIDDEN, LANES, WALKERS, SAMPLES = 12, 24, 64, 1024, 2048
PARAMETERS = SITES * HIDDEN + HIDDEN
UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9}


def checked(optimizer="", parameters="complex", sampler="metropolis", hidden=HIDDEN, ranks=1, pace="iterations = 50"):
    """Return what is estimated of a ring of spins."""
    walking = f"walkers = {WALKERS}" if sampler == "metropolis" else ""
    steps = f"samples = {SAMPLES}" if sampler == "metropolis" else ""
    text = f"""
        system = {{kind = "ising", lattice = [{SITES}]}}
        state = [{{kind = "spin_rbm", hidden = {hidden}, parameters = "{parameters}"}}]
        [sampler]
        kind = "{sampler}"
        lanes = {LANES}
        {walking}
        [optimizer]
        {pace}
        {steps}
        {optimizer}
    """
    return estimate(config.resolved(config.loads(text)), ranks)


def size(text, what):
    """Return the bytes that are stated before or after a word."""
    value, unit = re.search(what.replace("SIZE", r"([0-9.]+) ([kMG]B)"), text).groups()
    return float(value) * UNITS[unit]


def number(text, pattern):
    """Return the number that a pattern finds."""
    return float(re.search(pattern, text).group(1))


@pytest.mark.parametrize("parameters", ["real", "complex"])
@pytest.mark.parametrize("memory", [4.0, 1e-3])
def test_samples_take_what_is_stated(parameters, memory):
    """The array of an iteration's samples is as large as stated, log-derivatives kept or not, here without matrices."""
    energies = 2 if parameters == "complex" else 1
    count, kept = energies * PARAMETERS, memory > 1.0
    text = checked(f'method = "cg"\nmemory = {memory}', parameters)
    samples = Samples((WALKERS // LANES, SAMPLES // WALKERS, LANES), energies, count, SITES, kept)
    block = 0 if kept else 8 * count * LANES
    assert size(text, "SIZE for samples") == pytest.approx(samples.values.nbytes + block, rel=0.02)
    assert ("log-derivatives kept" in text) == kept
    assert "computed again" not in text or not kept
    assert "matrices" not in text


@pytest.mark.parametrize(("parameters", "bytes_of"), [("real", 8), ("complex", 16)])
def test_matrices_follow_from_parameters_or_from_samples(parameters, bytes_of):
    """Nine of P x P on every rank for dense, two of samples x samples on rank 0 for minsr and spring."""
    dense = checked(parameters=parameters)
    assert "steps by dense" in dense
    assert size(dense, "SIZE for matrices") == pytest.approx(DENSE_ARRAYS * bytes_of * PARAMETERS**2, rel=0.02)
    for method in ("minsr", "spring"):
        text = checked(f'method = "{method}"', parameters)
        assert f"steps by {method}" in text
        assert size(text, "SIZE for those of rank 0") == pytest.approx(SAMPLE_ARRAYS * bytes_of * SAMPLES**2, rel=0.02)
        assert size(text, "rank 0 SIZE more") == pytest.approx(SAMPLE_ARRAYS * bytes_of * SAMPLES**2, rel=0.02)


def test_a_gradient_needs_no_matrix():
    """Without reconfiguration no matrix is stated, and without iterations no method."""
    text = checked('kind = "gradient"')
    assert "steps by gradient" in text
    assert "matrices" not in text
    assert "steps by" not in checked(pace="iterations = 0")


def test_complex_parameters_count_once():
    """A complex parameter is one parameter."""
    assert f"of which {PARAMETERS} are trained" in checked()
    assert "complex ones" not in checked(parameters="real")


def test_more_ranks_hold_less_each():
    """Sixteen ranks hold a sixteenth of the samples each."""
    one, many = (size(checked('method = "cg"', ranks=ranks), "SIZE for samples") for ranks in (1, 16))
    assert many == pytest.approx(one / 16, rel=0.02)


def test_listing_all_configurations_proposes_no_moves():
    """enumerate walks nowhere, so that there are no moves; metropolis proposes as many as there are sites."""
    assert number(checked(sampler="enumerate"), "moves: ([0-9.e+]+)") == 0.0
    sweeps = 50 * SAMPLES * 2 + 1_048_576 * 2 + WALKERS * (500 + 500)
    assert number(checked(), "moves: ([0-9.e+]+)") == pytest.approx(sweeps * SITES, rel=0.05)


def test_time_grows_with_the_machine():
    """Where nearly all time goes to moves and amplitudes of a large machine, twice the hidden units take twice as
    long."""
    times = [
        number(checked(pace="iterations = 0", hidden=hidden), "about ([0-9.e+-]+) core-minutes")
        for hidden in (400, 800)
    ]
    assert times[1] / times[0] == pytest.approx(2.0, rel=0.15)


def test_ranks_are_advised_on():
    """Up to which number an iteration is efficient, fewer for a step by a matrix that rank 0 alone solves; far beyond
    it a warning; nothing where nothing is optimised."""
    best = {}
    for method in ("cg", "dense"):
        text = checked(f'method = "{method}"', hidden=100)
        best[method] = number(text, "80 % efficient up to ([0-9]+) ranks")
        assert "warning" not in text
    assert best["dense"] < best["cg"] <= WALKERS // LANES
    assert "# warning: on 16 ranks" in checked('method = "dense"', hidden=100, ranks=16)
    assert "efficient" not in checked(pace="iterations = 0", ranks=16)


def test_more_memory_than_the_machine_has_is_refused(monkeypatch):
    """Before anything is allocated, naming what takes most of it; on enough ranks, or where it fits, it is not."""
    text = """
        system = {kind = "trap", particles = 2, dimensions = 2}
        state = [{kind = "gaussian_rbm", hidden = 2}]
    """
    for walkers, samples, part in ((128 * 10**10, 128 * 10**10, "walkers"), (2**20, 2**40, "samples")):
        deck = config.resolved(config.loads(text, [f"sampler.walkers={walkers}", f"optimizer.samples={samples}"]))
        with pytest.raises(
            DeckError, match=rf"deck: needs .* on rank 0 of 1, most of it for {part}, and this machine has"
        ):
            require_memory(deck, 1)
        estimate(deck, 1)
    deck = config.resolved(config.loads(text))
    require_memory(deck, 1)
    monkeypatch.setattr("os.sysconf", lambda name: 1000)  # pages of 1 kB, so many
    with pytest.raises(DeckError, match=r"this machine has 1\.0 MB"):
        require_memory(deck, 1)
    open_ended = config.resolved(config.loads(text, ["production.target_error=1e-9", "optimizer.iterations=0"]))
    monkeypatch.setattr("os.sysconf", lambda name: 5000)
    require_memory(open_ended, 8)  # 25 MB are enough, should it stop early
