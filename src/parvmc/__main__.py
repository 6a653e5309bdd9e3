"""The command line: `python -m parvmc DECK`, on one rank or under mpirun and srun."""

import argparse
import contextlib
import math
import os
import sys
import time
import traceback
from pathlib import Path

STARTED = time.monotonic()

# One thread per rank unless asked otherwise; the libraries read this when they are imported.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import parvmc  # noqa: E402
from parvmc import guide  # noqa: E402
from parvmc.parallel import LaunchError, World, launched  # noqa: E402
from parvmc.printing import print_or_drop  # noqa: E402
from parvmc.stopping import Signals  # noqa: E402

OK, FAILED, WRONG = 0, 1, 2


def command_line():
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m parvmc",
        allow_abbrev=False,  # --alone is looked for before the rest is understood
        description="Variational Monte Carlo with restricted-Boltzmann-machine trial states.",
        epilog="Exit status: 0 finished; 2 the deck or the command line is wrong; 75 stopped early, the checkpoint is "
        "saved, resubmit with --resume; 1 anything else.",
    )
    parser.add_argument("deck", nargs="?", type=Path, help="the input deck (TOML)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="result file; default: the deck's stem + .h5")
    parser.add_argument(
        "--set",
        action="append",
        metavar="KEY=VALUE",
        help="override a deck entry, such as state.0.hidden=8; repeatable",
    )
    parser.add_argument("--resume", action="store_true", help="go on from the newest sound checkpoint of this output")
    parser.add_argument("--overwrite", action="store_true", help="replace the files of an earlier run")
    parser.add_argument("--check", action="store_true", help="print the resolved deck and what it costs; run nothing")
    text = "compile what runs of these decks will need, keep it, and run nothing"
    parser.add_argument("--warm", nargs="*", type=Path, metavar="DECK", help=text)
    parser.add_argument("--time-limit", metavar="1:30:00", help="stop cleanly before this much wall time has passed")
    parser.add_argument("--seed", metavar="N", help="override the deck's seed")
    parser.add_argument("--quiet", action="store_true", help="print the final line and warnings alone")
    parser.add_argument("--log-format", choices=("text", "json"), default="text", help="json: print lines of JSON")
    parser.add_argument("--alone", action="store_true", help="run in this process by itself, whatever has started it")
    guide.add_to(parser)
    parser.add_argument("--version", action="version", version=f"parvmc {parvmc.__version__}")
    return parser


def main(arguments=None):
    """Run the program on this rank and return its exit status; an exception on one rank ends the job on all."""
    arguments = sys.argv[1:] if arguments is None else arguments
    with Signals() as signals:  # before MPI starts: some would end this process
        return _on_this_rank(arguments, signals)


def _on_this_rank(arguments, signals):
    is_run = "--warm" not in arguments and not guide.is_asked(arguments)
    alone = "--alone" in arguments or not (is_run or launched())
    try:
        world = World.start(alone)
    except LaunchError as error:
        print(f"parvmc: {error}", file=sys.stderr)
        return FAILED
    signals.listen()
    try:
        with contextlib.ExitStack() as held:
            return _execute(world, arguments, signals, held)
    except BaseException as error:
        text = world.lost(error) or "\n" + traceback.format_exc().rstrip()
        print_or_drop(f"parvmc: rank {world.rank}: {text}", sys.stderr)
        world.abort(FAILED)


def _execute(world, arguments, signals, held):
    """Prepare on rank 0 alone, tell the others what came of it, and run."""
    job, clock, progress = None, None, None
    status = OK
    if world.is_root:
        try:
            job, clock, progress = _prepare(world, arguments, held)
        except SystemExit as leaving:  # argparse has printed what there is to say
            status = leaving.code
    status, job_for_all = world.broadcast((status, job and job.for_all_ranks()) if world.is_root else None)
    if job_for_all is None:
        return status

    # Kernels, and all that imports them, come after the deck has been found right
    from parvmc import provenance, run
    from parvmc.clock import Clock
    from parvmc.progress import Progress
    from parvmc.simulation import NotFinite
    from parvmc.stopping import Orders

    job = job or job_for_all
    clock = clock or Clock(limit=None, interval=math.inf)  # rank 0's counts
    progress = progress or Progress(speaks=False, quiet=True)
    job.provenance = provenance.describe(world)
    signals.speaks = world.is_root
    try:
        return run.run(job, world, Orders(signals, clock, job.files.stops if world.is_root else ()), progress)
    except (NotFinite, run.NotWritten) as error:
        progress.fail(str(error))
        return FAILED


def _prepare(world, arguments, held):
    """Return (job, clock, progress), job None where nothing is left to run; raise SystemExit with the status
    otherwise."""
    parser = command_line()
    options = parser.parse_args(arguments)
    if guide.is_asked(arguments):
        raise SystemExit(guide.answer(options, parser))

    from parvmc import checkpoint_file, config, scheduler
    from parvmc import job as jobs
    from parvmc.clock import Clock
    from parvmc.deck import check_ranks, duration
    from parvmc.lock import Locked
    from parvmc.progress import Progress
    from parvmc.schema import DeckError

    progress = Progress(speaks=True, quiet=options.quiet, form=options.log_format)
    held.callback(progress.clear)
    try:
        if options.warm is not None:
            from parvmc.warm import warm

            raise SystemExit(warm(options, progress))
        limit = None if options.time_limit is None else _time_limit(options.time_limit)
        deck, original = jobs.read_deck(options)
        check_ranks(deck, world.size)
        from parvmc.estimate import estimate
        from parvmc.memory import require_memory

        if options.check:
            print(config.dumps(deck), estimate(deck, world.size), sep="\n")
            return None, None, progress
        require_memory(deck, world.size)
        if options.output is None:
            options.output = Path(options.deck.stem + ".h5")
        job = jobs.prepare(deck, original, options, held, progress)
        clock = Clock(limit, duration(deck.output.checkpoint_interval), STARTED, scheduler.seconds_left)
    except (DeckError, jobs.Refused, Locked) as error:
        print(f"parvmc: {error}", file=sys.stderr)
        raise SystemExit(WRONG) from None
    except (checkpoint_file.Damaged, OSError) as error:
        print(f"parvmc: {error}", file=sys.stderr)
        raise SystemExit(FAILED) from None
    if job is None:
        progress.conclude(f"{options.output} is finished already; nothing to do", "finished")
    return job, clock, progress


def _time_limit(text):
    from parvmc.deck import duration
    from parvmc.job import Refused

    try:
        return duration(text)
    except ValueError as error:
        raise Refused(f"--time-limit {text}: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
