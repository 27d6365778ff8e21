#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The manual page and the shells' completion know every command and option that the tool's help names, and no others.

usage: check_manual.py TOOL SOURCE_FOLDER
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

failures = 0


def expect(found, expected, what):
    global failures
    if sorted(set(found)) != sorted(set(expected)):
        failures += 1
        missing, more = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
        print(f"FAIL: {what}: lacks {missing}, has besides {more}")


def output(*command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, check=False,
                          **options).stdout


def options(text):
    """Each option with what it takes."""
    return re.findall(r"^  (--[a-z-]+(?: [A-Z][^ ]*)?)(?=  |$)", text, flags=re.M)


class Help:
    def __init__(self, tool):
        text = output(tool, "--help")
        self.commands = re.findall(r"^  ([a-z]+)  ", text, flags=re.M)
        self.networks = re.findall(r"^  ([a-z0-9-]+)$", text, flags=re.M)
        self.options = {command: options(output(tool, command, "--help")) for command in self.commands}


def check_page(page, known):
    text = page.read_text().replace("\\-", "-")
    sections = re.split(r"^\.Ss resattn (\w+)$", text.split(".Sh ENVIRONMENT")[0], flags=re.M)[1:]
    sections = dict(zip(sections[::2], sections[1::2]))
    expect(sections, known.commands, f"commands of {page.name}")
    for command in known.commands:
        items = re.findall(r"^\.It Fl -(\S+)(?: Ar (\S+))?$", sections.get(command, ""), flags=re.M)
        expect([f"--{name} {value}".strip() for name, value in items], known.options[command], f"{page.name}, resattn {command}")


def check_lint(pages):
    """No warnings of the programs that format pages, whichever are here."""
    global failures
    for page in pages:
        for command in [["mandoc", "-Tlint", "-Wwarning", page], ["groff", "-mandoc", "-ww", "-Tutf8", "-z", page]]:
            text = output(*command) if shutil.which(command[0]) else ""
            if text:
                failures += 1
                print(f"FAIL: {' '.join(map(str, command))}:\n{text}")


BASH = """
. "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_resattn
printf '%s\\n' "${COMPREPLY[@]}"
"""
# The builtins that only work while a line is edited are replaced by what prints the words.
ZSH = """
compadd() { while [[ $1 == -* && $1 != -- ]]; do shift; done; [[ $1 == -- ]] && shift; print -l -- "$@"; }
_describe() { local name=$@[-1]; print -l -- ${${(P)name}%%:*}; }
_files() { print -l -- *(N); }
file=$1; shift
words=("$@"); CURRENT=$#
complete() { source $file; }
complete
"""


def completed(shell, file, words):
    command = [shutil.which("bash"), "--norc", "-c", BASH] if shell == "bash" else [shutil.which("zsh"), "-f", "-c", ZSH]
    lines = output(*command, shell, str(file), *words, cwd="/", env=dict(os.environ, LC_ALL="C")).splitlines()
    # files are not looked at
    return [line for line in lines if line not in os.listdir("/") and line]


def check_completion(shell, file, tool, known):
    if shutil.which(shell) is None:
        print(f"no {shell}: its completion is not checked")
        return
    expect(completed(shell, file, [tool, ""]), known.commands + ["--help", "--version"], f"{shell}, commands")
    for command in known.commands:
        names = [option.split()[0] for option in known.options[command]]
        expect(completed(shell, file, [tool, command, "--"]), names, f"{shell}, resattn {command}")
    for words in [["train", "--model"], ["bench", "--model"], ["convert", "a", "b", "--model"], ["models"], ["info"], ["classify"]]:
        expect(completed(shell, file, [tool, *words, ""]), known.networks, f"{shell}, networks after {words}")
    expect(completed(shell, file, [tool, "train", "--data", ""]), ["shapes"], f"{shell}, --data")
    expect(completed(shell, file, [tool, "train", "--epochs", ""]), [], f"{shell}, a number")


def main():
    tool, root = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
    known = Help(tool)
    if len(known.commands) < 8 or len(known.networks) < 20:
        sys.exit(f"the help of {tool} is not understood: commands {known.commands}, networks {known.networks}")
    check_page(root / "docs/man/resattn.1", known)
    check_lint(sorted((root / "docs/man").glob("*.[13]")))
    check_completion("bash", root / "examples/completion/resattn", tool, known)
    check_completion("zsh", root / "examples/completion/_resattn", tool, known)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
