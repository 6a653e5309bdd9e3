"""Hook of MkDocs: files of the checkout that pages link to become part of the site, and the links lead there."""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

DOCS = Path(__file__).resolve().parents[1]
OUTSIDE = re.compile(r"\]\(\.\./([^)#]+)")
INSIDE = re.compile(r"\]\(([\w.-]+\.(?:py|sh|def|yaml))\)")


def _linked(text):
    """Return the paths in the checkout of the files, not pages, that a text links to."""
    return {*OUTSIDE.findall(text), *(f"docs/{name}" for name in INSIDE.findall(text))}


def on_files(files, config):
    """Add the linked files, under `checkout/`, and the settings of MathJax."""
    found = set().union(*(_linked(path.read_text()) for path in DOCS.glob("*.md")))
    for name in sorted(found):
        path = DOCS.parent / name
        if path.is_file():
            files.append(File.generated(config, f"checkout/{name}.txt", abs_src_path=str(path)))
    files.append(File.generated(config, "formulas.js", abs_src_path=str(Path(__file__).with_name("formulas.js"))))
    return files


def on_page_markdown(markdown, page, config, files):
    """Lead links to files of the checkout to their copies."""
    up = posixpath.relpath(".", posixpath.dirname(page.file.src_uri) or ".")
    markdown = OUTSIDE.sub(lambda found: f"]({posixpath.normpath(f'{up}/checkout/{found[1]}.txt')}", markdown)
    return INSIDE.sub(lambda found: f"]({posixpath.normpath(f'{up}/checkout/docs/{found[1]}.txt')})", markdown)
