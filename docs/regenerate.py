"""The commands of a page, what they print, and the page with it: `python docs/regenerate.py [PAGE...]`.

In the pages below every block ```sh is a command that is run, one after the other in one folder; a block ```text that
follows is what it printed, and a picture in docs/figures/ is a file that it left. tests/test_docs.py runs the same.
Commands that are only shown, those of a queue for example, are in blocks ```console.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
PAGES = ("tutorial.md", "trap.md", "restart.md", "scan.md", "results.md")
COLORS = 64

COMMAND = re.compile(r"^```sh\n(?P<command>.*?)^```$(?:\n\n```text\n(?P<output>.*?)^```$)?", re.MULTILINE | re.DOTALL)
FIGURE = re.compile(r"!\[[^\]]*\]\(figures/([^)]+)\)")
WRITTEN_ON = re.compile(r"<!-- output on (.*) -->")
TIMES = (
    r"[\d.]+ [kM]? ?moves/core-s",
    r"[\d.e-]+ core-h",
    r"speed +[\d,.]+",
    r"[\d,.]+ effective samples per core-second",
)


class Step(NamedTuple):
    """A command of a page and the output that the page quotes, None where it quotes none."""

    command: str
    quoted: str | None


def steps(text):
    """Return the commands of a page, in order."""
    return [Step(found["command"], found["output"]) for found in COMMAND.finditer(text)]


def prepare(folder):
    """Give a folder what a checkout has, as far as commands name it."""
    for name in ("inputs", "analysis"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "docs").mkdir()
    for path in DOCS.glob("*.py"):
        (folder / "docs" / path.name).symlink_to(path)


def run(step, folder, environment, timeout=600):
    """Run a command in a folder and return what it prints; raises CalledProcessError where it fails."""
    words = ["bash", "-euo", "pipefail", "-c", step.command]
    process = subprocess.run(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout
    )
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, step.command, process.stdout)
    return re.sub(r" +$", "", process.stdout, flags=re.MULTILINE)


def without_times(text):
    """Return an output without the numbers that are others in each run."""
    for pattern in TIMES:
        text = re.sub(pattern, "<time>", text)
    return text


def machine(folder):
    """Return what the digits of the runs in a folder depend on: type of processor and versions."""
    from parvmc import results

    first = min(path for path in folder.glob("*.h5") if ".ckpt" not in path.name)
    with results.open(first) as result:
        found = result.provenance
    names = ("numba", "numpy")
    return ", ".join([found["processors"][-1], *(f"{name} {found[name][-1]}" for name in names)])


def rewritten(text, outputs, where):
    """Return a page with the outputs of its commands, in order, in the place of those that it quotes."""
    left = iter(outputs)

    def replace(found):
        output = next(left)
        if found["output"] is None:
            return found[0]
        return f"```sh\n{found['command']}```\n\n```text\n{output}```"

    return WRITTEN_ON.sub(lambda _: f"<!-- output on {where} -->", COMMAND.sub(replace, text))


def keep_picture(source, target):
    """Copy a figure with few colours, so that the checkout stays small."""
    from PIL import Image

    with Image.open(source) as image:
        image.convert("RGB").quantize(COLORS).save(target, optimize=True)


def regenerate(page):
    """Run the commands of a page and write their output and figures into docs/."""
    path = DOCS / page
    text = path.read_text()
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        outputs = [run(step, folder, environment) for step in steps(text)]
        path.write_text(rewritten(text, outputs, machine(folder)))
        for figure in FIGURE.findall(text):
            (DOCS / "figures").mkdir(exist_ok=True)
            keep_picture(folder / figure, DOCS / "figures" / figure)


def main():
    """Regenerate the pages that are named, or all."""
    parser = argparse.ArgumentParser(description="Run the commands of pages and quote what they print.")
    parser.add_argument("pages", nargs="*", metavar="PAGE", default=PAGES, help=f"default: {' '.join(PAGES)}")
    for page in parser.parse_args().pages:
        try:
            regenerate(Path(page).name)
        except subprocess.CalledProcessError as error:
            print(f"{page}: status {error.returncode} of\n{error.cmd}{error.output}", file=sys.stderr)
            return 1
        print(f"wrote {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
