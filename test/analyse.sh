#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Static analysis of lib/ and the public headers by gcc -fanalyzer, clang-tidy and cppcheck, and of all shell scripts by shellcheck.
#   test/analyse.sh [gcc|clang-tidy|cppcheck|shellcheck]...   without names all of them, on all CPUs
# Nothing is compiled: a build folder, build-analyse/, is set up for the compiler's arguments. What is not looked for stands, with
# reasons, in .clang-tidy and beside the lines that are excepted. Ends with "N passed, N failed", an analyser each.
set -u -o pipefail

usage()
{
    echo "Usage: test/analyse.sh [gcc|clang-tidy|cppcheck|shellcheck]..." >&2
    exit 2
}

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
[ $# -gt 0 ] || set -- gcc clang-tidy cppcheck shellcheck
for analyser in "$@"; do
    case $analyser in
    gcc | clang-tidy | cppcheck | shellcheck) ;;
    *) usage ;;
    esac
done

. "$root/.ci/packages.sh"
# shellcheck disable=SC2086
need_packages $build_packages python3 "$@" || exit 1
cd "$root" || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. test/check.sh
build=$root/build-analyse
jobs=$(nproc)

# each COMMAND...: runs it for every argument on standard input, so many at a time; fails if one of them did.
each()
{
    xargs -d '\n' -n 1 -P "$jobs" "$@"
}

# The commands that compile lib/, a file once: of those for each CPU level the first.
database()
{
    if [ -f "$build/build.ninja" ]; then
        ninja -C "$build" build.ninja # only if the list of sources is another
    else
        CC=gcc meson setup -Dtests=disabled -Dexamples=false -Ddocs=false "$build"
    fi >"$work/log" || { cat "$work/log"; return 1; }
    python3 - "$build" "$work/compile_commands.json" <<'END'
import json, os, sys
build, target = sys.argv[1:]
entries = {}
for entry in json.load(open(os.path.join(build, 'compile_commands.json'))):
    entry['file'] = os.path.normpath(os.path.join(build, entry['file']))
    if os.path.relpath(entry['file'], os.path.dirname(build)).startswith('lib/'):
        entries.setdefault(entry['file'], entry)
if not entries:
    sys.exit('no commands that compile lib/')
json.dump(list(entries.values()), open(target, 'w'), indent=1)
END
}

# field NAME: of every entry of the database.
field()
{
    python3 -c 'import json, sys; print(*(entry[sys.argv[2]] for entry in json.load(open(sys.argv[1]))), sep="\n")' \
        "$work/compile_commands.json" "$1"
}

run_gcc()
{
    # Without what Ninja wants to be written. Each object is forgotten.
    local options="-fanalyzer -Werror -fdiagnostics-path-format=separate-events -fdiagnostics-color=never -o $work/\$\$.o"
    field command | sed "s|^ccache ||; s| -MD .* -c | $options -c |" | (cd "$build" && each sh -c)
}

run_clang_tidy()
{
    field file | each clang-tidy --quiet -p "$work"
}

run_cppcheck()
{
    cppcheck -q -j "$jobs" --project="$work/compile_commands.json" --enable=warning,performance,portability --error-exitcode=1 \
        --inline-suppr --template=gcc
}

# Scripts are known by their first line or by shellcheck's own; those of test/snippets/ are lines around other lines.
scripts()
{
    find . \( -name .git -o -path './build*' -o -path ./test/snippets \) -prune -o -type f -exec \
        awk 'FNR == 1 && /^#!.*[\/ ](ba|da)?sh( |$)/ || FNR <= 3 && /^# shellcheck shell=/ { print FILENAME; nextfile } FNR > 3 { nextfile }' {} +
}

run_shellcheck()
{
    scripts | each shellcheck -x
}

# summed_up COMMAND...: what it printed, without the numbers of findings in other people's headers, and at the end the findings
# once more, a line each: most lines may say how one of them comes about.
summed_up()
{
    local result=0
    "$@" >"$work/found" 2>&1 || result=$?
    grep -vE '^[0-9]+ warnings? (generated|treated)' "$work/found"
    grep -E ': (error|warning|performance|portability): ' "$work/found" | sort -u
    return "$result"
}

if [ "$*" != shellcheck ]; then
    database || exit 1
fi
for analyser in "$@"; do
    if [ "$analyser" = shellcheck ]; then
        count="$(scripts | wc -l) scripts"
    else
        count="$(field file | wc -l) files of lib/"
    fi
    check "$analyser, $count" summed_up "run_${analyser//-/_}"
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
