"""Lines for a terminal, a log or a pipe, any of which may be gone before the program ends."""

import os
import signal
import sys


def end_when_unread():
    """Let this process end without a word when what reads its output stops early, as `head` does."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def print_or_drop(text, stream=None):
    """Print a line on stdout or another stream, or drop it and all that follow where they cannot be written.

    A run outlives its terminal, the pipe of its launcher, and space for its log.
    """
    stream = stream or sys.stdout
    try:
        print(text, file=stream, flush=True)
    except OSError:
        drop(stream)


def drop(stream):
    """Drop what is printed from here on, and what waits to be."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
