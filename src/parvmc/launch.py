"""Where the ranks of a run are: nodes, cores, threads; and what is wrong with that."""

import ctypes
import functools
import itertools
import os
import platform
from pathlib import Path
from typing import NamedTuple

import numpy as np

from parvmc import kernel_cache

THREADS = (
    "scipy_openblas_get_num_threads64_",  # numpy's wheels
    "scipy_openblas_get_num_threads",
    "openblas_get_num_threads64_",
    "openblas_get_num_threads",
    "MKL_Get_Max_Threads",
    "bli_thread_get_num_threads",
)
"""Functions with which linear algebra libraries tell how many threads they use."""


# ------------------------------------------------------------------------------------------------------ where ranks run


class Place(NamedTuple):
    """Where a rank runs. cores: a bit for each core that it may use, at the number of the core's first hardware thread;
    machine: how many cores its node has; threads: of its linear algebra."""

    host: str
    cores: int
    machine: int
    threads: int


def survey(world):
    """Return the place of every rank, on every rank."""
    first = {}  # hardware thread of each core
    core_of = {}
    for processor in cpuinfo():
        thread = int(processor.get("processor", 0))
        core = processor.get("physical id"), processor.get("core id", thread)
        core_of[thread] = first.setdefault(core, thread)
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count())
    cores = {core_of.get(thread, thread) for thread in allowed}
    machine = max(len(first), len(cores))
    return world.gather(Place(platform.node(), sum(1 << core for core in cores), machine, _threads()))


@functools.cache
def cpuinfo():
    """Return what Linux tells of each hardware thread, dicts of texts; nothing elsewhere."""
    try:
        paragraphs = Path("/proc/cpuinfo").read_text().strip().split("\n\n")
    except OSError:
        return []
    fields = [[line.partition(":") for line in paragraph.splitlines()] for paragraph in paragraphs]
    return [{name.strip(): value.strip() for name, _, value in lines} for lines in fields]


def _threads():
    """Return how many threads numpy's linear algebra uses; where it cannot be asked, what the environment says."""
    library = ctypes.CDLL(np._core._multiarray_umath.__file__)  # its symbols include those of what it is linked with
    for name in THREADS:
        if hasattr(library, name):
            return int(getattr(library, name)())
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdigit() else 1


# ------------------------------------------------------------------------------------------------------ what is printed


def header(places):
    """Return a line about ranks, nodes, threads and binding."""
    ranks, nodes = _count([len(places)], "rank"), _count([len(_by_host(places))], "node")
    threads = _count([place.threads for place in places], "thread")
    return f"launch: {ranks} on {nodes}, {threads} each, {_binding(places)}"


def warnings(places):
    """Return what is wrong with the cores of the ranks, a text for each kind of mistake."""
    return _told(_by_host(places), _crowding)


def cache_warnings(world):
    """Return what went wrong with the disk cache of kernels, on all ranks alike; to be asked after compiling."""
    found = world.gather((platform.node(), tuple(kernel_cache.problems)))
    notes = {host: dict.fromkeys(itertools.chain(*(mine for name, mine in found if name == host))) for host, _ in found}
    return _told(notes, "; ".join)


def _told(by_host, tell):
    """Return the texts of tell(what is known of a host), each once, with the hosts that it is about."""
    hosts = {}
    for host, known in by_host.items():
        hosts.setdefault(tell(known), []).append(host)
    most = 3
    more = {text: f" and {len(names) - most} more" if len(names) > most else "" for text, names in hosts.items()}
    return [f"{', '.join(names[:most])}{more[text]}: {text}" for text, names in hosts.items() if text]


def _by_host(places):
    return {host: [place for place in places if place.host == host] for host in dict.fromkeys(p.host for p in places)}


def _count(numbers, noun):
    """Return "1 core", "4 cores" or "1 to 4 cores"."""
    low, high = min(numbers), max(numbers)
    return f"{low} {noun}{'s' * (low != 1)}" if low == high else f"{low} to {high} {noun}s"


def _union(places):
    return functools.reduce(int.__or__, (place.cores for place in places))


def _distinct(places):
    return dict.fromkeys(place.cores for place in places)


def _is_bound(place, there):
    """Return whether a rank is kept to some cores, fewer than its machine has and than the ranks there use."""
    if place.cores.bit_count() == 1:
        return place.machine > 1
    return place.cores.bit_count() < place.machine and (len(there) == 1 or place.cores != _union(there))


def _binding(places):
    bound, free, shared = [], [], False
    for there in _by_host(places).values():
        kept = [place.cores for place in there if _is_bound(place, there)]
        bound += kept
        free += [place.cores for place in there if not _is_bound(place, there)]
        shared |= sum(cores.bit_count() for cores in kept) > functools.reduce(int.__or__, kept, 0).bit_count()
    to = _count([cores.bit_count() for cores in bound], "core") if bound else ""
    also = ", which others share" if shared else ""
    at = _count([cores.bit_count() for cores in free], "core") if free else ""
    if bound and free:
        return f"{len(bound)} bound to {to}{also}, {len(free)} not bound: {at}"
    return f"bound to {to}{also}" if bound else f"not bound: {at}"


def _crowding(there):
    """Return what is wrong with the cores of the ranks on one node, "" where each can have a core of its own.

    Ranks that may use no cores but those of a set must be no more than it has; it is enough to look at sets that some
    rank is bound to, and at all together, since launchers bind to cores, sockets or nodes, one within the other.
    """
    union = _union(there)
    sets = {cores: [place for place in there if place.cores | cores == cores] for cores in (union, *_distinct(there))}
    for cores, inside in sets.items():
        ranks, size = _count([len(inside)], "rank"), cores.bit_count()
        if len(inside) > size and cores == union:
            of = f" of the machine's {there[0].machine}" if size < there[0].machine else ""
            return (
                f"{ranks} on {_count([size], 'core')}{of}; start one rank per core, or let the launcher use more cores"
            )
        if len(inside) > size:
            same = "the same core" if size == 1 else f"the same {size} cores"
            return f"{ranks} bound to {same} while others are free; look at the launcher's options for binding"
    for cores, inside in sets.items():
        if sum(place.threads for place in inside) > cores.bit_count():
            threads = _count([place.threads for place in inside], "thread")
            return (
                f"{_count([len(inside)], 'rank')} of {threads} on {_count([cores.bit_count()], 'core')}; set "
                "OMP_NUM_THREADS=1, the ranks are the parallelism"
            )
    return ""
