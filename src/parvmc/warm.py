"""`--warm DECK...`: compile what the runs of some decks will need and put it into the kernel cache; run nothing."""

import argparse
import signal
import time

from parvmc import job, kernel_cache
from parvmc.deck import check_ranks
from parvmc.parallel import World
from parvmc.schema import DeckError
from parvmc.simulation import Simulation
from parvmc.stages import compile_kernels
from parvmc.starting import starting_parameters
from parvmc.stopping import STOPPING

KEPT, NOT_KEPT = 0, 1


class OneBatch(World):
    """A world of one that has the first batch alone: no kernel depends on how many there are."""

    def share(self, count):
        """Return the range of batches that are placed."""
        return range(1)


def warm(options, progress):
    """Compile the kernels of all decks and return the exit status; raise DeckError or Refused before, where one is
    wrong."""
    for number in STOPPING:  # there is nothing to save: a kernel is kept whole or not at all
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    paths = [*([options.deck] if options.deck else []), *options.warm]
    if not paths:
        raise job.Refused("--warm needs at least one deck; see --help")
    prepared = [(path, *_prepared(path, options)) for path in paths]
    for path, deck, parameters in prepared:
        _compile(path, Simulation(deck, OneBatch(), parameters), progress)
    for text in kernel_cache.problems:
        progress.warn(text)
    return NOT_KEPT if kernel_cache.folder() is None or kernel_cache.counts["lost"] else KEPT


def _prepared(path, options):
    """Return (resolved deck, parameters to start from), refused where a run on one rank would refuse them."""
    try:
        deck, _ = job.read_deck(argparse.Namespace(**vars(options) | {"deck": path, "resume": False}))
        check_ranks(deck, 1)
        return deck, starting_parameters(deck)
    except DeckError as error:
        raise DeckError([(f"{path}: {key}", reason) for key, reason in error.problems]) from None


def _compile(path, simulation, progress):
    before, started = kernel_cache.counts["compiled"], time.monotonic()
    for report in compile_kernels(simulation):
        progress.report(report)
    compiled, seconds = kernel_cache.counts["compiled"] - before, time.monotonic() - started
    told = f"{compiled} compiled, {report['of'] - compiled} there already, {seconds:.1f} s"
    fields = {"deck": str(path), "kernels": report["of"], "compiled": compiled, "seconds": seconds}
    progress.conclude(f"{path}: {report['of']} kernels, {told}", "warm", **fields)
