#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Compares the public interface with the recorded one in test/abi, or records it.

usage: check_abi.py binary BUILD_FOLDER   what programs were linked against still works, says abidiff (skipped without it)
       check_abi.py source BUILD_FOLDER   every declaration, enumerator and constant is recorded, and none has gone
       check_abi.py record BUILD_FOLDER   records the present interface: ninja -C build record-abi

Taking away or changing anything public fails the first two until the interface is recorded anew, which a release with another
soname does. An addition is binary compatible, so only `source` fails until it has been recorded.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEADERS = ROOT / "include/resattn"
DECLARATIONS = ROOT / "test/abi/declarations.txt"
BINARY = ROOT / "test/abi/libresattn.abi"
SKIPPED = 77


def run(command, **options):
    return subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, check=False, **options)


def interface_library(build, folder):
    """
    A shared library with debug information and every public function, empty.

    The library's own debug information would show what handles hide, and take a second build. Nor would it tell more: names
    are hidden unless the definition has seen the header's declaration, with which the compiler then compares it, and
    check_tree.py compares the names.
    """
    source, library = folder / "interface.c", folder / "libresattn.so"
    functions = [statement for statement in statements((build / "resattn.ffi.h").read_text())
                 if re.match(r"(?!typedef).*\bresattn_\w+\(.*\)$", statement)]
    source.write_text("#include <resattn/resattn.h>\n" + "".join(f"{function} {{ __builtin_trap(); }}\n" for function in functions))
    result = run([*os.environ.get("CC", "cc").split(), "-std=c11", "-g", "-O0", "-fPIC", "-shared", "-I", HEADERS.parent, "-o", library, source,
                  "-Wl,-soname,libresattn.so.0", f"-Wl,--version-script={ROOT / 'lib/resattn.map'}"])
    if result.returncode != 0:
        sys.exit(f"the interface does not compile: {result.stdout}")
    return library


def abidw(library, output):
    """Public types and functions of the library. Neither the processor nor the places of declarations are part of it."""
    result = run(["abidw", "--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--no-architecture", "--no-elf-needed",
                  "--no-parameter-names", "--no-write-default-sizes", "--type-id-style", "hash", "--out-file", output, library])
    if result.returncode != 0:
        sys.exit(f"abidw {library}: {result.stdout}")


def parameter(text):
    """A parameter without its name."""
    text = text.strip()
    return text if text == "void" else re.sub(r"(?<=[\s*])\w+$", "", text).strip()


def statements(text):
    """The top-level statements of preprocessed headers."""
    depth, start = 0, 0
    for i, letter in enumerate(text):
        depth += (letter == "{") - (letter == "}")
        if letter == ";" and depth == 0:
            yield re.sub(r"\s+", " ", text[start:i]).strip()
            start = i + 1


def declarations(build):
    """A line for each public thing. Names of parameters are left out: changing one breaks nothing."""
    lines = set()
    for statement in statements((build / "resattn.ffi.h").read_text()):
        enum = re.match(r"(?:typedef )?enum (\w*) ?\{(.*)\}", statement)
        function = re.match(r"(?!typedef)(.*?\bresattn_\w+)\((.*)\)$", statement)
        if enum:
            lines.update(f"enum {enum.group(1) or 'constants'}: {value.strip()}" for value in enum.group(2).split(","))
        elif function:
            lines.add(f"{function.group(1)}({', '.join(parameter(part) for part in function.group(2).split(','))})")
        else:
            lines.add(statement)
    return sorted(line for line in lines if "RESATTN_VERSION" not in line)


def check_source(build):
    recorded = set(DECLARATIONS.read_text().splitlines())
    present = set(declarations(build))
    for line in sorted(recorded - present):
        print(f"gone or changed: {line}")
    for line in sorted(present - recorded):
        print(f"not recorded: {line}")
    if recorded - present:
        print("programs that use these break: a release that wants it has another soname (docs/packaging.md)")
    elif recorded != present:
        print("additions are recorded by: ninja -C BUILD_FOLDER record-abi")
    return 0 if recorded == present else 1


def check_binary(build):
    if shutil.which("abidiff") is None:
        print("no abidiff (Debian: abigail-tools): binary compatibility is not checked")
        return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        library = interface_library(build, pathlib.Path(folder))
        result = run(["abidiff", "--no-added-syms", "--no-architecture", "--no-show-locs", BINARY, library])
    print(result.stdout)
    return 0 if result.returncode == 0 else 1


def record(build):
    if DECLARATIONS.exists():
        check_source(build)
    DECLARATIONS.write_text("\n".join(declarations(build)) + "\n")
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder, "abi.xml")
        abidw(interface_library(build, pathlib.Path(folder)), output)
        # without the compiler's name and the temporary folder
        BINARY.write_text(re.sub(r" (producer|path)='[^']*'", "", output.read_text()))
    print(f"recorded: {DECLARATIONS}, {BINARY} ({os.path.getsize(BINARY)} bytes)")
    return 0


def main():
    command, build = sys.argv[1:]
    return {"source": check_source, "binary": check_binary, "record": record}[command](pathlib.Path(build).resolve())


if __name__ == "__main__":
    sys.exit(main())
