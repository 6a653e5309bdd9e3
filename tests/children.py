"""Python processes that a test starts from a text and kills."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import parvmc

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(parvmc.__file__).parents[1])}


def child(source, *arguments):
    """Start a Python process that prints a line when it is ready, and wait for that line."""
    command = [sys.executable, "-c", source, *map(str, arguments)]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline()
    return process


def kill(process):
    """Kill -9."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
