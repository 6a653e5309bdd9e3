"""What the command line tells of decks and of itself, in the place of a run: --list, --explain, --new and completion.

None of it needs MPI. The components are imported, and with them numba, but no kernel is compiled.
"""

import sys
from pathlib import Path

from parvmc.printing import end_when_unread

OPTIONS = ("--list", "--explain", "--new", "--print-completion")
SHELLS = ("bash", "zsh", "tcsh")
COMMAND = "parvmc"  # what shells complete: the script that is installed beside `python -m parvmc`


def add_to(parser):
    """Add the options to the parser of the command line."""
    group = parser.add_argument_group("about decks, in the place of a run")
    one = group.add_mutually_exclusive_group()
    one.add_argument("--list", action="store_true", help="name all systems, factors, samplers, optimizers, observables")
    one.add_argument(
        "--explain",
        metavar="KEY",
        help="tell meaning, unit, default and range of a key (optimizer.learning_rate), or of a section, kind or name",
    )
    one.add_argument("--new", metavar="KIND", help="print a commented deck to begin with, or write it to -o FILE")
    one.add_argument("--print-completion", choices=SHELLS, help="print a script with which a shell completes `parvmc`")


def is_asked(arguments):
    """Return whether the command line asks for one of these; known before it is parsed, to do without MPI."""
    return any(argument.partition("=")[0] in OPTIONS for argument in arguments)


def answer(options, parser):
    """Print what is asked for and return the exit status."""
    end_when_unread()
    if options.print_completion:
        return _print_completion(options.print_completion, parser)

    from parvmc.explain import Unknown, explained, listing
    from parvmc.starter import starter

    try:
        if options.list:
            print(listing())
        elif options.explain is not None:
            print(explained(options.explain))
        elif options.output is None:
            print(starter(options.new), end="")
        else:
            text = starter(options.new, options.output)
            with open(options.output, "x", encoding="utf-8") as file:
                file.write(text)
            print(f"wrote {options.output}; next: python -m parvmc {options.output} --check")
    except Unknown as error:
        return _refuse(str(error))
    except FileExistsError:
        return _refuse(f"{options.output} exists already; name another with -o FILE")
    except OSError as error:
        return _refuse(f"{options.output} cannot be written: {error.strerror}")
    return 0


def _refuse(text):
    print(f"parvmc: {text}", file=sys.stderr)
    return 2


def _print_completion(shell, parser):
    try:
        import shtab
    except ImportError:
        return _refuse("--print-completion needs shtab: pip install shtab, or parvmc's extra completion")

    from parvmc.explain import documented
    from parvmc.starter import STARTERS

    keys = dict.fromkeys(name for entry in documented() for name in (entry.name, entry.key, ".".join(entry.path)))
    words = {"explain": list(map(str, keys)), "new": list(STARTERS)}
    parser.prog = COMMAND
    for action in parser._actions:
        action.choices = words.get(action.dest, action.choices)
        if action.type is Path:
            action.complete = shtab.FILE
    print(shtab.complete(parser, shell))
    return 0
