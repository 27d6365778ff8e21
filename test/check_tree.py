#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Checks of the source tree: exported symbols, the layering of lib/, licence lines, headers that stand alone.

usage: check_tree.py SOURCE_FOLDER [SHARED_LIBRARY] --version VERSION [--cc C_COMPILER] [--cxx CXX_COMPILER]
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

FOLDERS = ["core", "tensor", "gemm", "kernels", "layers", "graph", "network", "train", "models", "format"]

# The library never prints, ends the process, changes the locale or installs handlers.
FORBIDDEN = {
    "abort", "exit", "_exit", "_Exit", "quick_exit", "__assert_fail", "atexit", "setlocale", "signal", "sigaction",
    "printf", "puts", "putchar", "perror", "fprintf", "vprintf", "vfprintf", "stdout", "stderr", "__printf_chk",
    "__fprintf_chk", "__vfprintf_chk", "rand", "srand", "strtok", "system",
}

failures = 0


def fail(message):
    global failures
    failures += 1
    print("FAIL: " + message)


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)


def declared(root):
    names = set()
    for header in sorted((root / "include/resattn").glob("*.h")):
        text = without_comments(header.read_text())
        names.update(re.findall(r"\bRESATTN_API\b[^;{]*?\b(resattn_\w+)\s*\(", text))
    return names


def check_symbols(root, library, names):
    text = without_comments((root / "lib/resattn.map").read_text())
    node = re.search(r"global:(.*?)local:\s*\*;", text, flags=re.S)
    mapped = re.findall(r"[\w*]+", node.group(1)) if node else []
    if mapped != sorted(set(mapped)):
        fail("lib/resattn.map: not sorted, or a name twice")
    for name in sorted(names ^ set(mapped)):
        fail(f"{name}: in {'the headers' if name in names else 'lib/resattn.map'} only")
    nm = shutil.which("nm")
    if nm is None or library is None:
        print("no nm or no shared library: symbols are not checked")
        return
    exported = {line.split()[-1].split("@")[0] for line in run([nm, "-D", "--defined-only", library]).splitlines()
                if not re.search(r" A RESATTN_", line)}
    for name in sorted(names ^ exported):
        fail(f"{name}: in {'the headers' if name in names else library} only")
    used = {line.split()[-1].split("@")[0] for line in run([nm, "-D", "--undefined-only", library]).splitlines()}
    for name in sorted(used & FORBIDDEN):
        fail(f"{library} uses {name}")


def check_version(root, version, library):
    """meson.build, the header, the map's node and the library say one version."""
    header = (root / "include/resattn/common.h").read_text()
    parts = [int(part) for part in version.split(".")]
    for name, part in zip(["MAJOR", "MINOR", "PATCH"], parts):
        if f"#define RESATTN_VERSION_{name} {part}\n" not in header:
            fail(f"include/resattn/common.h: RESATTN_VERSION_{name} is not that of meson.build, {version}")
    if f"RESATTN_VERSION = {parts[0] * 10000 + parts[1] * 100 + parts[2]}," not in header:
        fail(f"include/resattn/common.h: RESATTN_VERSION for parsers of declarations is not that of meson.build, {version}")
    major, minor = parts[:2]
    nodes = re.findall(r"^RESATTN_(\S+) \{$", (root / "lib/resattn.map").read_text(), flags=re.M)
    if not nodes or nodes[-1] != f"{major}.{minor}":
        fail(f"lib/resattn.map: the last node is {nodes[-1:]}, expected RESATTN_{major}.{minor}")
    if library is not None and shutil.which("nm"):
        for line in run(["nm", "-D", "--defined-only", library]).splitlines():
            node = line.split()[-1].partition("@@")[2]
            if " A " not in line and node not in [f"RESATTN_{name}" for name in nodes]:
                fail(f"{library}: {line.split()[-1]} is of none of the map's nodes")


def run(command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout


def includes(path):
    text = without_comments(path.read_text())
    return re.findall(r"^[ \t]*#[ \t]*include[ \t]*([<\"])([^>\"]+)[>\"]", text, flags=re.M)


def check_layering(root):
    for path in sorted((root / "lib").rglob("*.[ch]")):
        folder = path.relative_to(root / "lib").parts[0]
        where = path.relative_to(root)
        if folder not in FOLDERS:
            fail(f"{where}: lib/{folder} is not one of the layers")
            continue
        allowed = FOLDERS[: FOLDERS.index(folder) + 1] if folder != "models" else ["models"]
        for bracket, name in includes(path):
            if re.search(r"(^|/)blis\.h$", name):
                if folder != "gemm":
                    fail(f"{where}: only lib/gemm may include {name}")
            elif bracket == '"' and name.startswith("resattn/"):
                continue
            elif bracket == '"' and "/" not in name:
                if not (path.parent / name).exists():
                    fail(f"{where}: no {name} beside it")
            elif bracket == '"' and name.split("/")[0] not in allowed:
                fail(f"{where}: lib/{folder} may not include {name}")
    for path in sorted((root / "include/resattn").glob("*.h")):
        for bracket, name in includes(path):
            if not name.startswith("resattn/") and name not in ("stddef.h", "stdint.h"):
                fail(f"{path.relative_to(root)}: includes {name}")


def check_licence_lines(root):
    patterns = ["*.c", "*.h", "*.py", "*.sh", "*.map", "meson.build"]
    for top in ["include", "lib", "examples", "docs", "test"]:
        for pattern in patterns:
            for path in sorted((root / top).rglob(pattern)):
                lines = path.read_text(errors="replace").splitlines()[:2]
                if lines and lines[0].startswith("#!"):
                    lines = lines[1:]
                if not lines or "SPDX-License-Identifier: BSD-3-Clause" not in lines[0]:
                    fail(f"{path.relative_to(root)}: the first line is not the licence's")


def compiles(command, text, suffix):
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "alone" + suffix)
        source.write_text(text)
        result = subprocess.run(command + ["-o", str(pathlib.Path(folder, "alone.o")), "-c", str(source)],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    return result.stdout if result.returncode != 0 else None


def check_headers(root, compiler, cxx, names):
    strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", str(root / "include")]
    for header in sorted((root / "include/resattn").glob("*.h")):
        text = f'#include "resattn/{header.name}"\nextern int alone;\n'
        for program, standard, suffix in [(compiler, "-std=c11", ".c"), (compiler, "-std=c17", ".c"), (cxx, "-std=c++17", ".cpp")]:
            if program:
                errors = compiles(program + [standard] + strict, text, suffix)
                if errors is not None:
                    fail(f"{header.name} does not compile alone with {standard}:\n{errors}")
    if not compiler:
        return
    # without the system's folders, an include of a system header would fail
    header = root / "include/resattn/resattn.h"
    result = subprocess.run(compiler + ["-E", "-P", "-nostdinc", "-DRESATTN_FFI", "-I", str(root / "include"), str(header)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    if result.returncode != 0:
        fail("resattn.h with -DRESATTN_FFI: " + result.stderr)
    for word in ["#", "__attribute__", "extern", "inline", "..."]:
        if word in result.stdout:
            fail(f"resattn.h with -DRESATTN_FFI gives {word}")
    found = set(re.findall(r"\b(resattn_\w+)\s*\(", result.stdout))
    for name in sorted(names - found):
        fail(f"{name}: not in resattn.h")
    try:
        import cffi
    except ImportError:
        return
    try:
        cffi.FFI().cdef(result.stdout)
    except Exception as error:  # pylint: disable=broad-except
        fail(f"cffi cannot read resattn.h: {error}")


def check_wrong_use(root, names):
    text = without_comments((root / "test/test_wrong_use.c").read_text())
    for name in sorted(names - set(re.findall(r"\b(resattn_\w+)\s*\(", text))):
        fail(f"{name}: no wrong use of it in test/test_wrong_use.c")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("library", nargs="?")
    parser.add_argument("--version", required=True)
    parser.add_argument("--cc", default="")
    parser.add_argument("--cxx", default="")
    arguments = parser.parse_args()
    names = declared(arguments.source)
    check_symbols(arguments.source, arguments.library, names)
    check_version(arguments.source, arguments.version, arguments.library)
    check_layering(arguments.source)
    check_licence_lines(arguments.source)
    check_headers(arguments.source, arguments.cc.split(), arguments.cxx.split(), names)
    check_wrong_use(arguments.source, names)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
