#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The documentation site is built without a complaint, and is refused when a public symbol loses its comment or a link
of a guide leads nowhere.

usage: site.py [DOXYGEN]
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOXYGEN = sys.argv[1] if len(sys.argv) > 1 else "doxygen"

# file, what is in it, what it becomes, and what the complaint names
CASES = [
    ("include/resattn/common.h", "int32_t resattn_version(void);",
     "int32_t resattn_version(void);\n\nRESATTN_API int32_t resattn_uncommented(void);", "resattn_uncommented"),
    ("include/resattn/tensor.h", "RESATTN_API void resattn_tensor_unref", "\nRESATTN_API void resattn_tensor_unref",
     "resattn_tensor_unref"),
    ("include/resattn/session.h", "/* What a session is for. */\n", "", "resattn_purpose"),
    ("include/resattn/common.h", "/* Marks the functions that the library exports. */\n", "", "RESATTN_API"),
    ("include/resattn/train.h", "resattn_optimizer_step()", "resattn_optimizer_leap", "resattn_optimizer_leap"),
    ("docs/embedding.md", "`resattn_last_error()`", "`resattn_latest_error()`", "resattn_latest_error"),
    ("docs/start.md", "(training.md)", "(trainings.md)", "trainings.md"),
    ("docs/start.md", "(embedding.md)", "(embedding.md#nowhere)", "embedding-md-nowhere"),
    ("docs/modules.md", "(module.svg)", "(modul.svg)", "modul.svg"),
    ("docs/start.md", "(../README.md)", "(../lib/nothing.c)", "lib/nothing.c"),
]


def copy_of_the_tree(folder):
    for name in ("include", "lib", "docs", "README.md", "COPYING", "examples", "test"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("build", "__pycache__", "node_modules"))
        else:
            shutil.copyfile(source, folder / name)


def build(tree):
    result = subprocess.run([sys.executable, str(tree / "docs/site/build.py"), str(tree / "site"), "--doxygen", DOXYGEN],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, check=False)
    return result.returncode, result.stdout


def main():
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder).resolve()
        copy_of_the_tree(tree)
        status, output = build(tree)
        if status != 0 or output:
            failures += 1
            print(f"FAIL: the site itself: exit code {status}\n{output}")
        for file, was, becomes, named in CASES:
            path = tree / file
            text = path.read_text()
            if was not in text:
                failures += 1
                print(f"FAIL: {file} has no {was!r} to change")
                continue
            path.write_text(text.replace(was, becomes, 1))
            status, output = build(tree)
            path.write_text(text)
            complaint = next((line for line in output.splitlines() if named in line), "")
            print(f"{file}: {was.strip()!r} changed: exit code {status}: {complaint.replace(folder + '/', '')}")
            if status == 0 or not complaint:
                failures += 1
                print(f"FAIL: it should have been refused with a complaint that names {named!r}\n{output}")
    print(f"{len(CASES) + 1} sites, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
