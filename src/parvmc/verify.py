"""Are files of parvmc sound? `python -m parvmc.verify FILE...` reads results, checkpoints and logs, a piece at a time.

Checked are checksums, the schema, shapes against the deck in the file, and that parameters, energies and series are
finite. Needs neither MPI nor kernels.
"""

import argparse
import math
import multiprocessing
import os
import sys
from pathlib import Path

from parvmc import archive, checkpoint_file, checksum, results, soundness
from parvmc.printing import end_when_unread
from parvmc.soundness import Fault, damaged

SOUND, NOT_SOUND = 0, 1
SLOWEST = 1e7  # bytes in a second, read by the slowest disk that is waited for
PATIENCE = 60.0  # seconds besides
EPILOG = """\
example:
  python -m parvmc.verify two_electrons.h5 two_electrons.ckpt.h5 two_electrons.ckpt.1.h5 two_electrons.jsonl

One line is printed for each file. Files of a run that goes on can be checked too. Exit status: 0 all files are sound;
1 some are not; 2 the command line is wrong.
"""


def _by_schema(path):
    reader = archive.Reader(path)
    try:
        schema = reader.attributes().get("schema")
    finally:
        reader.close()
    if schema == results.SCHEMA:
        return soundness.result(path)
    if schema == checkpoint_file.SCHEMA:
        return soundness.checkpoint(path)
    raise Fault("not a file of parvmc: an HDF5 file with another schema, or with none")


def _judged(function, path):
    """Return (whether a file is sound, what is said of it) from a function that returns the latter."""
    try:
        return True, function(path)
    except checkpoint_file.Replaced:
        return _judged(function, path)  # the run goes on
    except Fault as fault:
        return False, str(fault)
    except FileNotFoundError:
        return False, "there is no such file"
    except checksum.Wrong as error:
        return False, f"damaged: {error}"
    except results.NotAResult as error:
        return False, str(error).removeprefix(f"{path}: ")
    except OSError as error:  # with a number from the system, without one from HDF5
        return False, f"cannot be read: {error.strerror}" if error.errno else str(damaged(error))
    except Exception as error:  # in a file without a checksum anything can be found anywhere
        return False, str(damaged(f"{type(error).__name__}: {error}"))


def _apart(path, seconds):
    """Judge a file that may lead the HDF5 library astray in a process of its own, which may crash or hang."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=lambda: theirs.send(_judged(_by_schema, path)))
    child.start()
    theirs.close()
    try:
        if ours.poll(seconds):
            return ours.recv()
        return False, f"damaged: HDF5 did not get through it in {seconds:.0f} seconds"
    except EOFError:
        child.join()
        return False, f"damaged: HDF5 crashed on it (exit code {child.exitcode})"
    finally:
        child.kill()
        child.join()


def _hdf5(path):
    """Check a result file or a checkpoint and return what can be said of it."""
    with open(path, "rb") as file:
        head, size = file.read(len(checksum.SIGNATURE)), file.seek(0, os.SEEK_END)
    if not size:
        raise damaged("it is empty")
    if head != checksum.SIGNATURE:
        raise Fault("not a file of parvmc: it does not begin as an HDF5 file does")
    if checksum.check(path, math.inf):
        return _by_schema(path)
    is_sound, said = _apart(path, PATIENCE + size / SLOWEST)
    if not is_sound:
        raise Fault(said)
    return said + ("; it has no checksum of the whole: older, or written to since" if "result" in said else "")


def _any(path):
    if path.exists() and not path.is_file():
        raise Fault("not a file of parvmc: it is a folder, a pipe or a device")
    return soundness.log(path) if path.suffix == ".jsonl" else _hdf5(path)


def check(path):
    """Return (whether a file is sound, one line about it)."""
    is_sound, said = _judged(_any, Path(path))
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(path))
    return is_sound, f"{shown}: {said}"


def main(arguments=None):
    """Check the files of a command line and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m parvmc.verify",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a result file, a checkpoint or a .jsonl file")
    parser.add_argument("--quiet", action="store_true", help="print the files alone that are not sound")
    options = parser.parse_args(arguments)
    status = SOUND
    for path in options.files:
        is_sound, line = check(path)
        status = status if is_sound else NOT_SOUND
        if not (is_sound and options.quiet):
            print(line, flush=True)
    return status


if __name__ == "__main__":
    end_when_unread()
    sys.exit(main())
