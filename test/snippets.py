#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Compiles and runs the code blocks of the README and the guides, each guide's in a folder of its own, one after the other.

A whole C program (it has a main) is built with what pkg-config says, and run. A block of `resattn` commands is run by the
shell. Everything else has a line before it that no reader sees and that says what becomes of it:

  <!-- run: FILE -->          the block takes the place of the line "block" in test/snippets/FILE (.c, .sh or .py), which is
                              then compiled and run; a line "block of OTHER" is the block that was run by OTHER before
  <!-- file: NAME -->         the block is a file for the blocks after it
  <!-- output of: WHAT -->    what the command WHAT prints, or what WHAT.c printed just before
  <!-- options only: WHY -->  too long to run: programs, subcommands and options are looked up in their --help
  <!-- not run: WHY -->

usage: snippets.py BUILD_FOLDER [--cc COMPILER] [--files FILE...]
"""
import argparse
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import textwrap
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
SNIPPETS = ROOT / "test/snippets"
MARK = re.compile(r"<!-- (run|file|output of|options only|not run): (.+?) -->\s*$", flags=re.S)
PLACE = re.compile(r"^([ \t]*)(?:/\*|#) block(?: of (\S+?))?(?: \*/)?[ \t]*$", flags=re.M)
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Wpedantic", "-Wshadow", "-Werror", "-D_POSIX_C_SOURCE=200809L"]


class Failure(Exception):
    pass


class Block:
    def __init__(self, path, line, language, text, mark):
        self.where = f"{path.relative_to(ROOT)}:{line}"
        self.language, self.text = language, text
        self.mark, self.argument = mark.groups() if mark else (None, None)


def blocks(path):
    """Fenced blocks, and indented ones after an empty line (not in lists, where such lines go on with an entry)."""
    lines = path.read_text().split("\n")
    i, text_before, in_list = 0, "", False
    while i < len(lines):
        line = lines[i]
        begin = i
        if line.lstrip().startswith("```"):
            indent = len(line) - len(line.lstrip())
            i += 1
            while not lines[i].lstrip().startswith("```"):
                i += 1
            text = "\n".join(inside[indent:] for inside in lines[begin + 1 : i]) + "\n"
            yield Block(path, begin + 1, line.strip()[3:], text, MARK.search(text_before))
            text_before = ""
        elif line.startswith("    ") and not in_list and lines[i - 1] == "":
            while i + 1 < len(lines) and (lines[i + 1].startswith("    ") or lines[i + 1] == ""):
                i += 1
            text = "\n".join(inside[4:] for inside in lines[begin : i + 1]).strip("\n") + "\n"
            yield Block(path, begin + 1, "", text, MARK.search(text_before))
            text_before = ""
        else:
            in_list = bool(re.match(r"([-*]|\d+\.) ", line)) or (in_list and (line == "" or line.startswith(" ")))
            text_before += line + "\n"
        i += 1


class Guide:
    """What the blocks of one guide have in common: a folder, and the blocks that came before."""

    def __init__(self, folder, build, compiler):
        self.folder, self.build, self.compiler = folder, build, compiler
        self.before, self.printed = {}, {}
        for name, target in [("examples", ROOT / "examples"), ("test", ROOT / "test"), ("docs", ROOT / "docs"),
                             ("README.md", ROOT / "README.md"), ("build", build)]:
            (folder / name).symlink_to(target)
        self.environment = dict(os.environ, PATH=f"{build / 'examples'}:{os.environ['PATH']}", LC_ALL="C",
                                LD_LIBRARY_PATH=f"{build}:{os.environ.get('LD_LIBRARY_PATH', '')}",
                                PKG_CONFIG_PATH=str(build / "meson-uninstalled"), CC=" ".join(compiler))

    def run(self, command, what):
        result = subprocess.run(command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=300,
                                check=False)
        if result.returncode != 0:
            raise Failure(f"{what}: exit code {result.returncode}\n{result.stdout}{result.stderr}")
        return result.stdout

    def run_c(self, text, flags, name):
        source, program = self.folder / f"{name}.c", self.folder / f"{name}_binary"
        source.write_text(text)
        libraries = shlex.split(self.run(["pkg-config", "--cflags", "--libs", "resattn"], "pkg-config"))
        self.run(self.compiler + STRICT + flags + ["-I", str(SNIPPETS)] + [source.name] + libraries + ["-lm", "-lpthread", "-o", program.name],
                 "the compiler")
        return self.run([str(program)], "the program")

    def run_in(self, block):
        """Runs a block inside its wrapper."""
        name = block.argument
        wrapper = SNIPPETS / name
        if not wrapper.is_file():
            raise Failure(f"there is no {wrapper.relative_to(ROOT)}")
        self.before[name] = block.text

        def fill(match):
            wanted = match.group(2) or name
            if wanted not in self.before:
                raise Failure(f"{name} wants the block of {wanted}, which is not before it")
            return textwrap.indent(self.before[wanted], match.group(1)).rstrip("\n")

        text, places = PLACE.subn(fill, wrapper.read_text())
        if not places:
            raise Failure(f"{name} has no place for the block")
        if wrapper.suffix == ".c":
            output = self.run_c(text, ["-Wno-unused-function", "-Wno-unused-variable", "-Wno-unused-but-set-variable"],
                                wrapper.stem)
        elif wrapper.suffix == ".sh":
            output = self.run_shell(text)
        else:
            output = self.run([sys.executable, "-c", text], "python")
        self.printed[name] = output

    def run_shell(self, text):
        drawing = "command -v dot > /dev/null || dot() { cat > /dev/null; }\n"  # without Graphviz
        return self.run(["sh", "-eu", "-c", drawing + text], "the shell")

    def check_options(self, block):
        text = re.sub(r"(^|\s)#.*", "", block.text.replace("\\\n", " "), flags=re.M)
        for command in filter(str.strip, re.split(r"\n|&&|\|", text)):
            words = shlex.split(command)
            if words[0] in ("dot", "meson"):  # other people's
                continue
            program = "resattn" if words[0] == "resattn" else str(self.folder / words[0])
            help_text = self.run([program] + (words[1:2] if program == "resattn" else []) + ["--help"], words[0])
            for option in (word for word in words if word.startswith("--")):
                if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", help_text):
                    raise Failure(f"{option} is not in the help of: {' '.join(words[:2])}")

    def compare(self, block):
        what = block.argument
        if what.endswith(".c") and what not in self.printed:
            raise Failure(f"{what} has not run before")
        output = self.printed[what] if what.endswith(".c") else self.run_shell(what)
        if output.rstrip() != block.text.rstrip():
            raise Failure(f"this is printed now:\n{output}")

    def take(self, block):
        if block.mark == "run":
            self.run_in(block)
        elif block.mark == "file":
            (self.folder / block.argument).write_text(block.text)
        elif block.mark == "output of":
            self.compare(block)
        elif block.mark == "options only":
            self.check_options(block)
        elif block.mark is None and block.language == "c" and re.search(r"\bint main\(", block.text):
            self.run_c(block.text, [], "program")
        elif block.mark is None and block.language in ("", "sh") and re.match(r"resattn ", block.text):
            self.run_shell(block.text)
        elif block.mark is None:
            raise Failure("nothing says how this block is run; test/snippets.py lists what there is")


def first_program_is_short():
    program = next((b for b in blocks(ROOT / "README.md") if b.language == "c"), None)
    if program is None or "int main(" not in program.text or program.text.count("\n") > 40:
        raise Failure("the README's first C block is to be a whole program of at most 40 lines")


def check(guide, path, slowest):
    failures = 0
    for block in blocks(path):
        begin = time.monotonic()
        try:
            guide.take(block)
        except (Failure, subprocess.TimeoutExpired) as failure:
            failures += 1
            print(f"FAIL: {block.where}: {failure}")
        slowest.append((time.monotonic() - begin, block.where, block.mark))
    return failures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--files", nargs="*", type=pathlib.Path)
    options = parser.parse_args()
    failures, slowest = 0, []
    try:
        first_program_is_short()
    except Failure as failure:
        failures = 1
        print(f"FAIL: {failure}")
    paths = options.files or [ROOT / "README.md", ROOT / "examples/models/README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for path in paths:
        with tempfile.TemporaryDirectory() as folder:
            guide = Guide(pathlib.Path(folder), options.build.resolve(), options.cc.split())
            failures += check(guide, path.resolve(), slowest)
    skipped = sum(1 for _, _, mark in slowest if mark == "not run")
    print(f"{len(slowest)} blocks, {skipped} of them not run, {failures} failures; the slowest:")
    for seconds, where, _ in sorted(slowest, reverse=True)[:5]:
        print(f"  {seconds:5.1f} s  {where}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
