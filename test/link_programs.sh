#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Builds test/consumer.c and examples/embed/*.c as somebody does who has the installed library only: by pkg-config alone,
# as C, as C++, linked dynamically and statically. Runs them all.
#   test/link_programs.sh [--dynamic|--static]...   (default: both)
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
strict="-Wall -Wextra -Wpedantic -Werror"
failed=0

# build_and_run NAME COMMAND...: the command lacks only where the program goes; programs write into a folder of their own.
build_and_run()
{
    name=$1
    shift
    mkdir -p "$work/run"
    if "$@" -o "$work/program" >"$work/log" 2>&1 && (cd "$work/run" && "$work/program") >"$work/log" 2>&1; then
        echo "ok: $name"
    else
        echo "FAILED: $name: $*"
        cat "$work/log"
        failed=1
    fi
}

# each_program KIND FLAGS...: every C program so.
each_program()
{
    kind=$1
    shift
    for source in "$root"/test/consumer.c "$root"/examples/embed/*.c; do
        # shellcheck disable=SC2086
        [ ! -f "$source" ] || build_and_run "${source##*/}, $kind" ${CC:-cc} $strict "$source" "$@"
    done
}

dynamic()
{
    # shellcheck disable=SC2046
    each_program dynamic $(pkg-config --cflags --libs resattn)
    if command -v "${CXX:-c++}" >/dev/null 2>&1; then
        # shellcheck disable=SC2046,SC2086
        build_and_run "consumer.c, C++" ${CXX:-c++} -std=c++17 $strict -x c++ "$root/test/consumer.c" -x none \
            $(pkg-config --cflags --libs resattn)
    fi
}

static()
{
    echo 'int main(void) { return 0; }' >"$work/empty.c"
    if ${CC:-cc} -static "$work/empty.c" -o "$work/empty" -lz -lm 2>/dev/null; then
        # shellcheck disable=SC2046
        each_program static -static $(pkg-config --static --cflags --libs resattn)
    else
        echo "no static C library or zlib: nothing is linked statically"
    fi
}

echo "libresattn $(pkg-config --modversion resattn)"
[ $# -gt 0 ] || set -- --dynamic --static
for kind in "$@"; do
    case $kind in
    --dynamic) dynamic ;;
    --static) static ;;
    *) echo "Usage: test/link_programs.sh [--dynamic|--static]..." >&2 && exit 2 ;;
    esac
done
exit $failed
