#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Builds the library with warnings as errors and runs its tests.
#   test/run.sh             release build in build-test/, all tests
#   test/run.sh --sanitize  with the address and undefined-behaviour sanitizers in build-asan/, without the slow tests
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/.ci/packages.sh"

case "$#,${1-}" in
0,)
    build=$root/build-test
    settings="--buildtype=release"
    choice=
    ;;
1,--sanitize)
    build=$root/build-asan
    settings="--buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false"
    choice="--no-suite slow --timeout-multiplier 5"
    export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    export CK_TIMEOUT_MULTIPLIER=5 # Check's own time limits
    ;;
*)
    echo "Usage: test/run.sh [--sanitize]" >&2
    exit 2
    ;;
esac

# shellcheck disable=SC2086
need_packages $build_packages check
# BLIS's threading variants, which must not make a difference
try_packages libblis4-openmp libblis4-pthread libblis4-serial
# the recorded interface, the manual pages, completion
try_packages abigail-tools mandoc zsh
# Languages with bindings
try_packages python3-cffi python3-numpy
try_packages luajit
command -v npm >/dev/null || try_packages nodejs npm
rm -f "$build/meson-logs/testlog.json"
# shellcheck disable=SC2086
[ -f "$build/build.ninja" ] || CC=gcc meson setup -Dwerror=true -Dtests=enabled $settings "$build" "$root"
meson compile -C "$build"
if [ -z "$choice" ] && command -v npm >/dev/null && [ ! -d "$build/npm/node_modules/koffi" ]; then
    npm install --ignore-scripts --no-audit --no-fund --silent --prefix "$build/npm" "$(sed -n 's/.*"koffi": "\(.*\)".*/koffi@\1/p' "$root/examples/ffi/node/package.json")" ||
        echo "Going on without koffi, which npm does not get here" >&2
fi
# shellcheck disable=SC2086
exec meson test -C "$build" --no-rebuild --print-errorlogs $choice
