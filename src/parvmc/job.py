"""One job: a deck and the files it writes, prepared on rank 0 before anything is compiled."""

import math
import os
import shlex
from dataclasses import dataclass, field, replace

from parvmc import checkpoint_file, config, results
from parvmc.deck import Deck
from parvmc.estimate import plan
from parvmc.files import Files, Metrics
from parvmc.lock import Lock
from parvmc.pace import Pace, done
from parvmc.starting import starting_parameters


class Refused(Exception):
    """The command line asks for what must not be done; the text says why and what to do instead."""


@dataclass
class Job:
    """What all ranks know of a job, and on rank 0 its open files.

    deck: resolved settings; deck_text: the same as TOML; original: the deck as it was given; parameters: a dict of
    arrays for each factor to start from; resumes: whether the run goes on from a checkpoint; checkpoint, metrics, lock:
    on rank 0 the checkpoint, the JSON-lines file and the lock, elsewhere None; has_lost_lines: whether the second could
    not be written to; provenance: this start's row.
    """

    deck: Deck
    deck_text: str
    original: str
    files: Files
    parameters: list
    resumes: bool
    checkpoint: checkpoint_file.Checkpoint | None = None
    metrics: Metrics | None = None
    lock: Lock | None = None
    has_lost_lines: bool = False
    provenance: dict = field(default_factory=dict)
    pace: Pace = field(default_factory=Pace)

    def for_all_ranks(self):
        """Return the job as the other ranks get it."""
        return replace(self, checkpoint=None, metrics=None, lock=None)

    def log(self, report, progress):
        """Append the report of an iteration or of a stretch of production to the JSON-lines file, if it can be."""
        if self.metrics is None or "energy" not in report:
            return
        try:
            self.metrics.append({name: value for name, value in report.items() if name != "keep"})
        except OSError as error:
            if not self.has_lost_lines:
                progress.warn(f"lines of {self.files.metrics} are lost: {error}")
            self.has_lost_lines = True

    def beat(self, report):
        """Tell those who watch that the run goes on, and where it is, by the content of the lock."""
        if self.lock is None:
            return
        told = {"phase": report["phase"], "ranks": int(self.provenance["ranks"])}
        if "of" in report:
            left = self.pace.left(report)
            told |= {"done": done(report), "of": report["of"]}
            told |= {"seconds_left": left.part, "seconds_left_of_run": left.run}
        told |= {name: report[name] for name in ("energy", "energy_error") if name in report}
        self.lock.beat(told)

    @property
    def resume_command(self):
        """What to type to go on."""
        return f"python -m parvmc -o {shlex.quote(str(self.files.result))} --resume"


def read_deck(options):
    """Return (resolved deck, original text) from the deck file, or with --resume alone from the files of the output."""
    overrides = list(options.set or ())
    if options.seed is not None:
        overrides.append(f"seed={options.seed}")
    if options.deck is not None:
        # a run that is resumed does not look at the file that it once started from
        text = config.read(options.deck)
        deck = config.loads(text, overrides, options.deck.parent, strict=not options.resume)
        return config.resolved(deck), text
    if not (options.resume and options.output):
        raise Refused("a deck is needed, or --resume with -o FILE to take the deck from that run; see --help")
    files = _files(options.output)
    checkpoint = checkpoint_file.read(files, warn=_ignore)
    saved = _saved_texts(files, checkpoint)
    if saved is None:
        raise Refused(f"there is no checkpoint of {files.result} to take the deck from; name the deck")
    return config.resolved(config.loads(saved[0], overrides, strict=False)), saved[1]


def prepare(deck, original, options, held, progress):
    """Return the job, or None where the run has finished already; called on rank 0.

    held: an ExitStack that keeps the lock and the JSON-lines file. Nothing of an earlier run is touched before all is
    found right. Raises Refused, DeckError, checkpoint_file.Damaged, Locked.
    """
    files = _files(options.output)
    if options.deck is not None and files.result.exists() and files.result.samefile(options.deck):
        raise Refused(f"{files.result} is the deck itself; name another output with -o FILE")
    lock = held.enter_context(Lock(files.lock))
    job = Job(deck, config.dumps(deck), original, files, [], resumes=False, lock=lock)
    for path in files.stops:
        if path.exists():
            raise Refused(f"{path} exists, the file that stops this run; remove it first")
    earlier = (files.result, files.checkpoint, files.previous, files.metrics)
    if options.resume:
        job.checkpoint = checkpoint_file.read(files, progress.warn)
        if _is_finished(job):
            return None
        _check_resumable(job)
        if job.checkpoint is None:
            progress.say(f"no checkpoint of {files.result} yet: starting afresh")
    elif not options.overwrite and (taken := [str(path) for path in earlier if path.exists()]):
        raise Refused(f"{taken[0]} exists already; use --resume to go on, --overwrite to lose it, or -o FILE")
    job.resumes = job.checkpoint is not None
    job.parameters = starting_parameters(deck, warm=not job.resumes)
    job.pace = progress.pace
    job.pace.plan = plan(deck, job.parameters)
    if options.overwrite and not options.resume:
        for path in earlier:
            path.unlink(missing_ok=True)
    job.metrics = held.enter_context(Metrics(files.metrics))
    job.metrics.keep(_was_before(job))
    return job


def _files(output):
    """Return the names beside an output, or refuse one that cannot be written."""
    folder = output.parent
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise Refused(f"{output}: {folder} is not a folder that can be written; name another with -o FILE")
    if output.is_dir():
        raise Refused(f"{output} is a folder; name a file with -o FILE")
    try:
        return Files(output)
    except ValueError as error:
        raise Refused(str(error)) from None


def _saved_texts(files, checkpoint):
    """Return (resolved deck, original) as the checkpoint has them, else the result file, else None."""
    if checkpoint is not None:
        return checkpoint.attributes["deck"], checkpoint.attributes["original"]
    try:
        with results.open(files.result) as result:
            return result.deck_text, result.original_deck
    except (results.NotAResult, OSError, KeyError):
        return None


def _check_resumable(job):
    """Refuse to go on with another deck, or to start afresh over what is no unfinished run's."""
    if job.checkpoint is None:
        status = _status(job)
        if job.files.result.exists() and status not in ("running", "stopped", "failed"):
            what = "is finished and its checkpoint is gone" if status else "exists and is no result of parvmc"
            raise Refused(f"{job.files.result} {what}; use --overwrite to lose it, or -o FILE")
        return
    changed = config.extended(_saved_deck(job), job.deck)
    if changed:
        raise Refused(
            f"the deck differs from that of the run to resume in {', '.join(changed)}; it may only extend "
            "optimizer.iterations, production.samples or production.target_error; use -o FILE for a new run"
        )


def _saved_deck(job):
    return config.loads(_saved_texts(job.files, job.checkpoint)[0], strict=False)


def _status(job):
    """Return the status in the result file, "" where there is none that can be read."""
    try:
        with results.open(job.files.result) as result:
            return result.status
    except (results.NotAResult, OSError):
        return ""


def _is_finished(job):
    """Return whether the run is finished and the deck asks for just what it did."""
    if _status(job) != "finished":
        return False
    old = config.resolved(_saved_deck(job))
    asked = [(deck.optimizer.iterations, deck.production) for deck in (old, job.deck)]
    return asked[0] == asked[1] and not config.extended(old, job.deck)


def _was_before(job):
    """Return the test whether a line of the JSON-lines file tells of what lies before the place the run goes on
    from."""
    if not job.resumes:
        return lambda line: False
    counters = job.checkpoint.attributes["counters"]
    reached = {"pretraining": counters["pretrained"], "optimization": counters["iteration"]}
    more_iterations = counters["frozen"] and counters["iteration"] < job.deck.optimizer.iterations
    steps = 0 if more_iterations else counters["steps"]

    def was_before(line):
        iterations = reached.get(str(line.get("phase")), 0)
        iteration, step = (line.get(name) for name in ("iteration", "step"))  # whatever is in a damaged file
        return _number(iteration) <= iterations or _number(step) < steps

    return was_before


def _number(value):
    return value if isinstance(value, int | float) else math.inf


def _ignore(message):
    """Take no notice: `prepare` reads the same checkpoint and says so."""
