#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Measures how much of lib/ the tests reach: builds with gcov in build-coverage/, runs the tests (of the slow ones only those that
# build models), and prints the lines that none of them reached, then lines and branches in percent. Fails below 92 % of the
# lines or 80 % of the branches, and where a file has such lines and test/unreached.txt does not say why.
#   test/coverage.sh        writes build-coverage/coverage/index.html, too
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/.ci/packages.sh"

if [ $# -gt 0 ]; then
    echo "Usage: test/coverage.sh" >&2
    exit 2
fi

# shellcheck disable=SC2086
need_packages $build_packages check lcov
build=$root/build-coverage
[ -f "$build/build.ninja" ] ||
    CC=gcc meson setup -Db_coverage=true --buildtype=debug -Doptimization=1 -Dtests=enabled -Ddocs=false "$build" "$root"
meson compile -C "$build"
find "$build" -name '*.gcda' -delete
export CK_TIMEOUT_MULTIPLIER=5 # Check's own time limits
meson test -C "$build" --no-rebuild --print-errorlogs --no-suite slow --timeout-multiplier 5
meson test -C "$build" --no-rebuild --print-errorlogs --timeout-multiplier 5 models models_config

branches="--rc lcov_branch_coverage=1"
# shellcheck disable=SC2086
{
    lcov -q $branches --capture --directory "$build" -o "$build/all.info"
    lcov -q $branches --extract "$build/all.info" "$root/lib/*" -o "$build/lib.info"
    genhtml -q $branches --prefix "$root" -o "$build/coverage" "$build/lib.info"
}
awk -v root="$root/" '
    NR == FNR { if (/^lib/) known[$1] = 1; next }
    /^SF:/ { file = substr($0, 4); sub(root, "", file) }
    /^DA:/ {
        split(substr($0, 4), line, ",")
        lines++
        if (line[2] > 0)
            reached++
        else {
            print "not reached: " file ":" line[1] (file in known ? "" : ", and not in test/unreached.txt")
            unknown += !(file in known)
        }
    }
    /^BRDA:/ { split(substr($0, 6), branch, ","); branches++; if (branch[4] != "-" && branch[4] > 0) taken++ }
    END {
        printf "lines %.1f %% (%d of %d), branches %.1f %% (%d of %d)\n", 100 * reached / lines, reached, lines,
            100 * taken / branches, taken, branches
        exit unknown || reached / lines < 0.92 || taken / branches < 0.80
    }' "$root/test/unreached.txt" "$build/lib.info"
