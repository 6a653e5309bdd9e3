"""What docs/containers.md promises: the script of the container's %post in an empty environment, and its files."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

DOCS = ROOT / "docs"
TO_THE_INDEX = ("PIP_", "SSL_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
"""How variables begin that a machine may need to reach a package index; nothing else is passed on."""


def section(name):
    """Return the lines of a section of the Apptainer definition."""
    text = (DOCS / "parvmc.def").read_text()
    body = re.search(rf"^%{name}\n(.*?)(?=^%|\Z)", text, re.MULTILINE | re.DOTALL).group(1)
    return [line.strip() for line in body.splitlines() if line.strip()]


def test_the_definition_copies_what_its_script_needs():
    """Every file is there, the script is called with the folder that they are copied to, and takes no others."""
    copied = dict(line.split() for line in section("files"))
    for name, target in copied.items():
        assert (ROOT / name).exists()
        assert target == f"/opt/source/{Path(name).name}"
    assert section("post")[-1] == f"bash {copied['docs/container-post.sh']} /opt/source /opt/parvmc"
    script = (DOCS / "container-post.sh").read_text()
    taken = re.search(r'"\$source"/\{(.*?)\}', script).group(1).split(",")
    assert {*taken, re.search(r'"\$source/(inputs)/', script).group(1)} < set(copied)
    for line in section("runscript") + section("test"):
        assert "/opt/parvmc/bin/python -m parvmc" in line


def test_the_page_names_files_that_exist():
    """And no others; the definition is found as the page says, from the folder of the checkout."""
    page = (DOCS / "containers.md").read_text()
    named = set(re.findall(r"\b(?:docs|jobs|inputs|tests)/[\w./-]+\.\w+", page))
    assert {"docs/parvmc.def", "docs/spack.yaml"} < named
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.slow
def test_the_script_installs_and_runs_in_an_empty_environment(tmp_path):
    """No variable but PATH, HOME and the way to the package index; a run on two ranks at the end, nothing left
    behind, the source untouched."""
    python = tmp_path / "bin"
    python.mkdir()
    (python / "python3").symlink_to(os.path.realpath(Path(sys.base_prefix) / "bin" / "python3"))
    home, temporary, prefix = (tmp_path / name for name in ("home", "tmp", "prefix"))
    home.mkdir()
    temporary.mkdir()
    before = {path: path.stat().st_mtime_ns for path in ROOT.glob("src/**/*") if "__pycache__" not in path.parts}
    variables = {name: value for name, value in os.environ.items() if name.startswith(TO_THE_INDEX)}
    variables |= {"HOME": str(home), "TMPDIR": str(temporary), "PATH": f"{python}:/usr/bin:/bin"}
    done = subprocess.run(
        [DOCS / "container-post.sh", ROOT, prefix],
        env=variables,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    assert "launch: 2 ranks on 1 node" in done.stdout
    assert done.stdout.splitlines()[-1] == "status: finished"
    assert list(home.rglob("*.nbc")) == list(temporary.iterdir()) == []
    after = {path: path.stat().st_mtime_ns for path in ROOT.glob("src/**/*") if "__pycache__" not in path.parts}
    assert after == before
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    version = [prefix / "bin" / "python", "-m", "parvmc", "--version"]
    found = subprocess.run(version, env=variables, cwd=outside, capture_output=True, text=True, check=True)
    assert found.stdout.startswith("parvmc ")
