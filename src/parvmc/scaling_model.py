"""What an optimisation iteration sends, and how long it takes on any number of ranks. Neither MPI nor kernels.

The time is that of rank 0, which finds the step while the others wait: its share of the sampling and of the sums over
samples, what every rank does alike, the solution, and the calls of MPI. A call takes

    rounds depth latency + factor bytes / bandwidth,    depth = ceil(log_radix(ranks)),

within nodes and between them. Left out: waiting for ranks that are slower by chance, and other jobs on the network.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from parvmc.samples import panel

MEMORIES = {"gradient": 0, "momentum": 1, "adam": 2, "dense": 0}  # vectors that are sent with the step
STATUS = 16  # bytes: whether to stop, and whether to save
PATTERNS = {"reduction": (2.0, 2.0), "broadcast": (1.0, 1.0), "gathering": (1.0, 1.0), "message": (1.0, 1.0)}
"""(rounds, factor) of each kind of call: a reduction goes up and down the tree, and sends each byte twice."""
FAR_TOO_FEW = 0.5  # efficiency that is warned of
ONCE = 4.0  # what is done once for the sums, bounds and covariances, in units of what is done for a block


@dataclass(frozen=True)
class Work:
    """Sizes of an iteration, over all ranks.

    method: gradient, momentum, adam, or dense, cg, minsr, spring; coordinates: trained real numbers; parts: 1, or 2
    where psi is complex; measurements: of each batch; products: iterations of "cg"; keeps: whether log-derivatives are
    kept; memory: gigabytes for them; weighted: whether all configurations are listed.
    """

    method: str
    coordinates: int
    parts: int
    batches: int
    measurements: int
    lanes: int
    products: int = 0
    keeps: bool = True
    memory: float = 4.0
    weighted: bool = False

    @property
    def blocks(self):
        """Measurements of a batch, the unit of all work."""
        return self.batches * self.measurements

    @property
    def samples(self):
        """Samples of an iteration."""
        return self.blocks * self.lanes

    @property
    def by_samples(self):
        """Whether a matrix of samples by samples is made."""
        return self.method in ("minsr", "spring")

    def share(self, ranks, rank=0):
        """Return the numbers of the blocks of a rank."""
        first, last = (number * self.batches // ranks * self.measurements for number in (rank, rank + 1))
        return range(first, last)

    def largest_share(self, ranks):
        """Return how many blocks the rank with most has."""
        return -(-self.batches // ranks) * self.measurements

    def tiles(self, own):
        """Return how many of the tiles [lanes, lanes] of Z^+ Z come from a rank with these blocks."""
        whole, half = self.blocks, self.blocks // 2
        beyond = len(range(max(own.start, half), own.stop)) if whole % 2 == 0 else len(own)
        return len(own) * half + beyond


class Call(NamedTuple):
    """Calls of MPI of one kind, a key of PATTERNS: how many, and the bytes in all their buffers on this rank."""

    kind: str
    count: int
    bytes: int


def calls(work, ranks, rank=0):
    """Return the list of `Call`s of a rank in an iteration whose last step did no harm, the look at orders included."""
    if ranks == 1:
        return []
    rows, whole = 1 + work.coordinates // work.parts, work.method == "dense"
    products = work.parts * rows
    if whole:
        products = rows * (rows + 1) // 2 if work.parts == 1 else rows**2
    numbers = work.parts * rows + 1 + rows + products  # sums, spread, squares
    found = [Call("reduction", 3, 8 + 8 + 16)] if work.weighted else []  # the weights: largest, and their exact sum
    found += [Call("reduction", 1, 8 * (rows + work.weighted + 1)), Call("reduction", 1, 8 * (2 * numbers + 1))]
    if work.method in MEMORIES:
        found.append(Call("broadcast", 1, 8 * ((1 + MEMORIES[work.method]) * work.coordinates + 1)))
    elif work.method == "cg":
        found.append(Call("reduction", work.products, 16 * work.coordinates * work.products))
    else:
        found += _by_samples(work, ranks, rank)
    return [*found, Call("reduction", 1, STATUS)]


def _by_samples(work, ranks, rank):
    """Return the calls for a step by way of Z^+ Z: blocks to all, tiles to rank 0, the solution to all, and a sum."""
    size, held = 8 * work.parts, panel(work.coordinates, work.lanes, work.keeps, work.memory, ranks)
    starts = {work.share(ranks, owner).start for owner in range(ranks)} | set(range(0, work.blocks, held))
    others = [rank] if rank else range(1, ranks)
    tiles = sum(work.tiles(work.share(ranks, other)) for other in others)
    vectors = 2 if work.method == "spring" else 1
    return [
        Call("broadcast", len(starts), 8 * work.coordinates * work.samples),
        Call("message", len(others), size * tiles * work.lanes**2),
        Call("gathering", 1, size * vectors * len(work.share(ranks, rank)) * work.lanes),
        Call("broadcast", 1, size * work.samples + 8),
        Call("reduction", 1, 16 * work.coordinates),
    ]


# --- time


@dataclass(frozen=True)
class Fabric:
    """What connects the ranks: by default HDR InfiniBand between nodes of two sockets.

    latency: seconds of a hop between nodes; bandwidth: bytes per second of a node; cores: ranks on a node; the same of
    a rank within its node; radix: of the tree along which calls go.
    """

    latency: float = 1.5e-6
    bandwidth: float = 10e9
    cores: int = 128
    latency_in_node: float = 1e-6
    bandwidth_in_node: float = 4e9
    radix: int = 2

    def depth(self, count):
        """Return the depth of the tree over so many."""
        depth, reached = 0, 1
        while reached < count:
            depth, reached = depth + 1, reached * self.radix
        return depth

    def seconds(self, call, ranks):
        """Return the time of a `Call` on rank 0."""
        rounds, factor = PATTERNS[call.kind]
        inside, nodes = min(ranks, self.cores), -(-ranks // self.cores)
        hops = self.depth(inside) * self.latency_in_node + self.depth(nodes) * self.latency
        size = factor * call.bytes * (ranks if call.kind == "gathering" else 1)
        if call.kind == "message":  # to rank 0 alone, one after the other
            hops = self.latency if nodes > 1 else self.latency_in_node
        passing = (1.0 / self.bandwidth_in_node if inside > 1 else 0.0) + (1.0 / self.bandwidth if nodes > 1 else 0.0)
        return rounds * call.count * hops + size * passing


def perfect(cores=128):
    """Return the `Fabric` on which nothing takes time."""
    return Fabric(latency=0.0, bandwidth=math.inf, cores=cores, latency_in_node=0.0, bandwidth_in_node=math.inf)


class Run(NamedTuple):
    """Measured seconds of an iteration on rank 0, the calls of MPI apart."""

    work: Work
    ranks: int
    sampling: float
    sums: float
    solve: float


@dataclass(frozen=True)
class Costs:
    """Seconds of sampling a block, and of (what is done once, what ranks share) in the sums and in the step, each of a
    unit of `units`."""

    sampling: float
    sums: tuple[float, float]
    step: tuple[float, float]


def units(work, own, ranks):
    """Return ((once, shared) of the sums, (once, shared) of the step) on a rank with so many blocks: the units in which
    their time grows."""
    sums = 1.0, float(own)
    if work.method in MEMORIES:
        return sums, (1.0, 0.0)
    if work.method == "cg":
        return sums, (float(work.products), float(work.products * own))
    return sums, (float(work.samples) ** 3, float(work.tiles(work.share(ranks))))


def _thought(work, own, ranks):
    """Return how the time of sums and step divides where it cannot be measured apart: by the multiplications."""
    sums, (once, shared) = (ONCE, float(own)), units(work, own, ranks)[1]
    if work.method == "cg":
        return sums, (10.0 * once, 2.0 * work.parts * work.lanes * shared)
    if work.by_samples:
        return sums, (work.parts**2 * once / 3.0, work.parts * work.coordinates * work.lanes**2 * shared)
    return sums, (1.0, 0.0)


def fitted(runs):
    """Return the `Costs` of `Run`s of one deck on several numbers of ranks, or with several numbers of walkers."""
    owns = [len(run.work.share(run.ranks)) for run in runs]
    found = [units(run.work, own, run.ranks) for run, own in zip(runs, owns, strict=True)]
    guess = _thought(runs[0].work, owns[0], runs[0].ranks)
    return Costs(
        sampling=math.fsum(run.sampling for run in runs) / sum(owns),
        sums=_two([run.sums for run in runs], [columns for columns, _ in found], guess[0]),
        step=_two([run.solve for run in runs], [columns for _, columns in found], guess[1]),
    )


def _two(seconds, columns, guess):
    """Return (a, b) >= 0 with a x + b y close to the seconds, columns: (x, y) for each.

    The sum of squares of relative errors is least; where all are in proportion, a x : b y of the first are as guessed.
    """
    rows = [(x / t, y / t) for (x, y), t in zip(columns, seconds, strict=True) if t > 0.0]
    if not rows:
        return 0.0, 0.0
    xx, xy, yy = (math.fsum(row[i] * row[j] for row in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    x1, y1 = math.fsum(x for x, _ in rows), math.fsum(y for _, y in rows)
    determinant = xx * yy - xy * xy
    if determinant <= 1e-6 * xx * yy:  # nothing tells them apart
        (x, y), part = rows[0], guess[0] / math.fsum(guess)
        size = x1 / xx * x if xx else y1 / yy * y  # of the first, as all of them have it
        return size * part / x if x else 0.0, size * (1.0 - part) / y if y else 0.0
    a, b = (x1 * yy - y1 * xy) / determinant, (y1 * xx - x1 * xy) / determinant
    if a < 0.0:
        return 0.0, y1 / yy
    return (x1 / xx, 0.0) if b < 0.0 else (a, b)


def predicted(work, costs, ranks, fabric):
    """Return {part: seconds} of an iteration, of the rank with the largest share, in the order in which they come."""
    own = work.largest_share(ranks)
    sums, step = units(work, own, ranks)
    return {
        "sampling": costs.sampling * own,
        "own sums": costs.sums[0] * sums[0] + costs.sums[1] * sums[1],
        "solve": costs.step[0] * step[0] + costs.step[1] * step[1],
        "communication": math.fsum(fabric.seconds(call, ranks) for call in calls(work, ranks)),
    }


def efficiency(work, costs, ranks, fabric):
    """Return the iterations per core-second relative to those of one rank, the same work on all of them."""
    alone, now = (math.fsum(predicted(work, costs, count, fabric).values()) for count in (1, ranks))
    return alone / (ranks * now)


def most_ranks(work, costs, fabric, least=0.8):
    """Return the largest number of ranks at which the efficiency is still `least`."""
    tried = {round(work.batches ** (step / 80.0)) for step in range(81)}
    even = {-(-work.batches // -(-work.batches // count)) for count in tried}  # the fewest with their largest share
    return max(count for count in even if efficiency(work, costs, count, fabric) >= least)


def advice(work, costs, ranks, fabric):
    """Return lines on the number of ranks, the second a warning where they are too many."""
    best = most_ranks(work, costs, fabric)
    seconds = math.fsum(predicted(work, costs, best, fabric).values())
    lines = [
        f"ranks: by the model an iteration is at least 80 % efficient up to {best} ranks, {seconds:.2g} s each there; "
        f"production up to {work.batches}"
    ]
    now = efficiency(work, costs, ranks, fabric)
    if now < FAR_TOO_FEW:
        serial = max(("solve", "own sums", "communication"), key=predicted(work, costs, ranks, fabric).get)
        reason = {"solve": "the step found on rank 0", "own sums": "sums over few samples each"}.get(serial, serial)
        lines.append(
            f"warning: on {ranks} ranks the efficiency of an iteration is {now:.0%}, most is lost to {reason}; start "
            "fewer ranks, or raise sampler.walkers and optimizer.samples"
        )
    return lines
