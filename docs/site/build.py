#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Builds the documentation site with Doxygen: the public headers and the guides. Fails for a public symbol that nothing
documents, for any other warning, and for a link or a picture that leads nowhere.

usage: build.py OUTPUT_FOLDER [--source FOLDER] [--doxygen PROGRAM] [--version VERSION]
"""
import argparse
import html.parser
import os
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
LINK = re.compile(r"\]\(([^)\s#]+)\)")


def pages(root):
    """The README first, then the guides in the order in which it lists them, then what is written beside examples,
    benchmarks and tests."""
    listed = (root / "README.md").read_text().partition("\n## Guides\n")[2]

    def place(guide):
        position = listed.find(f"](docs/{guide.name})")
        return (position < 0, position, guide.name)

    more = [path for folder in ("examples", "test/bench", "test/fuzz", "test/golden") for path in sorted((root / folder).rglob("*.md"))
            if "node_modules" not in path.parts]
    return [root / "README.md"] + sorted((root / "docs").glob("*.md"), key=place) + more


def linked_files(root, guides):
    """Files that guides link to and that are no pages: they lie beside the pages, under their paths with dashes."""
    for guide in guides:
        for link in LINK.findall(guide.read_text()):
            path = (guide.parent / link).resolve()
            if re.match(r"[a-z]+:", link) or path in guides or path.is_dir():
                continue
            if not path.is_file() or root not in path.parents:
                sys.exit(f"{guide.relative_to(root)}: {link} is no file of the project")
            yield path


def run_doxygen(root, output, arguments):
    guides = pages(root)
    relative = [str(guide.relative_to(root)) for guide in guides]
    settings = (HERE / "Doxyfile").read_text() + "\n".join([
        "INPUT = " + " ".join(["include/resattn"] + relative),
        f'OUTPUT_DIRECTORY = "{output}"',
        f'STRIP_FROM_PATH = "{root}/include" "{root}"',
        "IMAGE_PATH = docs",
        f'LAYOUT_FILE = "{HERE}/layout.xml"',
        f'HTML_EXTRA_STYLESHEET = "{HERE}/style.css"',
        f'INPUT_FILTER = "{sys.executable} {HERE}/filter.py"',
        f"PROJECT_NUMBER = {arguments.version}"])
    environment = dict(os.environ, RESATTN_PAGES=":".join(relative))
    status = subprocess.run([arguments.doxygen, "-"], input=settings.encode(), cwd=root, env=environment,
                            check=False).returncode
    if status == 0:
        for path in linked_files(root, guides):
            shutil.copyfile(path, output / str(path.relative_to(root)).replace("/", "-"))
    return status


class Page(html.parser.HTMLParser):
    """The targets of a page's links and pictures, and the anchors that it has."""

    def __init__(self, path):
        super().__init__()
        self.targets, self.anchors = [], set()
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("href", "src", "data") and value:
                self.targets.append(value)
            elif name in ("id", "name") and value:
                self.anchors.add(value)


def broken_links(output):
    found = {path.name: Page(path) for path in output.glob("*.html")}
    for name, page in sorted(found.items()):
        for target in page.targets:
            parts = urllib.parse.urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            file = urllib.parse.unquote(parts.path) or name
            if not (output / file).is_file():
                yield f"{name}: {target} leads nowhere"
            elif parts.fragment and file in found and parts.fragment not in found[file].anchors:
                yield f"{name}: {target}: no such place on that page"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--source", type=pathlib.Path, default=HERE.parents[1])
    parser.add_argument("--doxygen", default="doxygen")
    parser.add_argument("--version", default="")
    arguments = parser.parse_args()
    output = arguments.output.resolve()
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    status = run_doxygen(arguments.source.resolve(), output, arguments)
    broken = [] if status else list(broken_links(output))
    for line in broken:
        print(line, file=sys.stderr)
    return 1 if status or broken else 0


if __name__ == "__main__":
    sys.exit(main())
