"""The model of an iteration's time on many ranks: its limiting cases, its fit, and the advice that it gives.

tests/test_traffic.py compares what it takes to be sent with what is sent.
"""

import math
from dataclasses import replace

import pytest

from parvmc.scaling_model import (
    Call,
    Costs,
    Fabric,
    Run,
    Work,
    advice,
    calls,
    efficiency,
    fitted,
    most_ranks,
    perfect,
    predicted,
    units,
)

DENSE = Work("dense", 48, 1, batches=16_384, measurements=2, lanes=128)
CG = replace(DENSE, method="cg", coordinates=10_000, products=50)
MINSR = replace(DENSE, method="minsr", coordinates=10_000, batches=64)
PARALLEL = Costs(sampling=1e-4, sums=(0.0, 5e-5), step=(0.0, 0.0))
SERIAL = replace(PARALLEL, step=(0.01, 0.0))
RANKS = (1, 2, 64, 1024, 16_384)


def total(work, costs, ranks, fabric):
    """Return the seconds of an iteration."""
    return math.fsum(predicted(work, costs, ranks, fabric).values())


@pytest.mark.parametrize("ranks", RANKS)
def test_what_is_shared_scales_perfectly_where_nothing_takes_time(ranks):
    """No latency, unlimited bandwidth and nothing serial: efficiency 1; with the usual fabric it is below (control)."""
    assert efficiency(DENSE, PARALLEL, ranks, perfect()) == pytest.approx(1.0, rel=1e-12)
    assert (efficiency(DENSE, PARALLEL, ranks, Fabric()) < 1.0) == (ranks > 1)


def test_amdahls_limit():
    """With a step of 10 ms on rank 0 the speed-up is that of Amdahl's law and stays below (parallel + serial) / serial;
    that the others only wait costs efficiency."""
    parallel, serial = 1.5e-4 * DENSE.blocks, 0.01
    for ranks in RANKS:
        speedup = total(DENSE, SERIAL, 1, perfect()) / total(DENSE, SERIAL, ranks, perfect())
        assert speedup == pytest.approx((parallel + serial) / (parallel / ranks + serial), rel=1e-9)
        assert speedup < (parallel + serial) / serial


def test_uneven_shares_cost_what_the_largest_takes():
    """Three batches on two ranks take as long as two batches on one."""
    three, two = replace(DENSE, batches=3), replace(DENSE, batches=2)
    assert total(three, PARALLEL, 2, perfect()) == total(two, PARALLEL, 1, perfect())


def test_latency_and_bandwidth_enter_as_stated():
    """A reduction: two rounds of the tree, each byte twice; ranks of one node pass nothing between nodes."""
    only_latency = replace(perfect(cores=4), latency=1.0, latency_in_node=0.01)
    assert only_latency.seconds(Call("reduction", 3, 800), 32) == pytest.approx(3 * 2 * (3 * 1.0 + 2 * 0.01))
    assert only_latency.seconds(Call("broadcast", 1, 800), 4) == pytest.approx(2 * 0.01)
    assert replace(only_latency, radix=4).seconds(Call("broadcast", 1, 800), 64) == pytest.approx(2 * 1.0 + 0.01)
    only_bandwidth = replace(perfect(cores=4), bandwidth=100.0)
    assert only_bandwidth.seconds(Call("reduction", 1, 800), 32) == pytest.approx(16.0)
    assert only_bandwidth.seconds(Call("reduction", 1, 800), 4) == 0.0
    assert only_bandwidth.seconds(Call("gathering", 1, 10), 32) == pytest.approx(3.2)


def test_what_is_sent_grows_as_the_routes_promise():
    """Dense: with the square of the parameters, cg: with parameters and iterations, neither with samples or ranks;
    minsr: with parameters times samples."""

    def sent(work, ranks=64):
        return sum(call.bytes for call in calls(work, ranks))

    assert sent(replace(DENSE, coordinates=2000)) / sent(replace(DENSE, coordinates=1000)) == pytest.approx(
        4.0, rel=0.01
    )
    assert sent(replace(CG, products=100)) / sent(CG) == pytest.approx(2.0, rel=0.1)
    for work in (DENSE, CG):
        assert sent(replace(work, batches=64)) == sent(work) == sent(work, 16_384)
    assert sent(replace(MINSR, coordinates=20_000, batches=128)) / sent(MINSR) == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize("work", [DENSE, CG, replace(MINSR, batches=1024)], ids=lambda work: work.method)
def test_costs_are_found_again_from_runs(work):
    """From exact times on two numbers of ranks; from one run alone, what is predicted for it is what it took."""
    costs = Costs(1e-4, (2e-4, 5e-5), (3e-13 if work.by_samples else 1e-3, 0.0 if work.method == "dense" else 1e-6))

    def run(ranks):
        own = len(work.share(ranks))
        sums, step = units(work, own, ranks)
        times = [
            sum(a * b for a, b in zip(pair, x, strict=True)) for pair, x in ((costs.sums, sums), (costs.step, step))
        ]
        return Run(work, ranks, costs.sampling * own, *times)

    found = fitted([run(1), run(1024)])
    assert found.sampling == pytest.approx(costs.sampling)
    assert found.sums == pytest.approx(costs.sums)
    assert found.step == pytest.approx(costs.step)
    one = run(2)
    again = predicted(work, fitted([one]), 2, perfect())
    assert again["own sums"] == pytest.approx(one.sums)
    assert again["solve"] == pytest.approx(one.solve)


def test_times_that_fit_nothing_give_no_negative_costs():
    """Sums that take longer on more ranks, by noise: none of the costs is below zero."""
    for first, second in ((0.1, 0.4), (0.4, 0.01)):
        found = fitted([Run(DENSE, 1, 1.0, first, 0.0), Run(DENSE, 16, 1.0, second, 0.0)])
        assert min(found.sums) >= 0.0
        assert max(found.sums) > 0.0
        assert found.step == (0.0, 0.0)


def test_advice_names_the_last_efficient_number_and_warns_far_beyond():
    """80 % there and less on the next; the warning tells what is lost, and comes below half."""
    work = replace(DENSE, batches=1024)
    best = most_ranks(work, SERIAL, Fabric())
    assert 4 < best < 64
    assert efficiency(work, SERIAL, best, Fabric()) >= 0.8
    assert efficiency(work, SERIAL, 2 * best, Fabric()) < 0.8
    few, many = advice(work, SERIAL, best, Fabric()), advice(work, SERIAL, 512, Fabric())
    assert few == many[:1]
    assert f"80 % efficient up to {best} ranks" in few[0]
    assert "on 512 ranks the efficiency of an iteration is" in many[1]
    assert "the step found on rank 0" in many[1]
    assert most_ranks(work, PARALLEL, perfect()) == 1024
