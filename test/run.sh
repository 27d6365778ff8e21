#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Builds the library with warnings as errors and runs its tests.
#   test/run.sh             release build in build-test/, all tests
#   test/run.sh --sanitize  with the address and undefined-behaviour sanitizers in build-asan/, without the slow tests
#   test/run.sh --threads   tests of threads, with the thread sanitizer in build-tsan/
#   test/run.sh --memcheck  a small suite of the release build under valgrind, which sees values that were never set
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/.ci/packages.sh"

mode=${1-}
log=testlog
case "$#,$mode" in
0,)
    build=$root/build-test
    settings="--buildtype=release"
    set --
    ;;
1,--sanitize)
    build=$root/build-asan
    settings="--buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false"
    set -- --no-suite slow --timeout-multiplier 5
    export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    export CK_TIMEOUT_MULTIPLIER=5 # Check's own time limits
    ;;
1,--threads)
    build=$root/build-tsan
    settings="--buildtype=debugoptimized -Db_sanitize=thread -Db_lundef=false"
    set -- --timeout-multiplier 5 threads session sealed inference_threads fault_threads fault_storm
    export CK_FORK=no # a fork leaves the sanitizer without its thread
    ;;
1,--memcheck)
    build=$root/build-test
    settings="--buildtype=release"
    try_packages valgrind
    # Its CPU knows neither AVX-512 nor exceptions of floating point. What blobs and files are read with, mostly.
    log=memcheck-memcheck.sh
    set -- --timeout-multiplier 5 --logbase memcheck --wrap "$root/test/memcheck.sh" tensor pixels getters blob_damage weights_damage \
        "replay blob" "replay probe" "replay checkpoint" "replay safetensors"
    export CK_FORK=no
    ;;
*)
    echo "Usage: test/run.sh [--sanitize | --threads | --memcheck]" >&2
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
rm -f "$build/meson-logs/$log.json"
# shellcheck disable=SC2086
[ -f "$build/build.ninja" ] || CC=gcc meson setup -Dwerror=true -Dtests=enabled $settings "$build" "$root"
# A few tests build no more than they need.
[ "$mode" = --threads ] || {
    meson compile -C "$build"
    set -- --no-rebuild "$@"
}
if [ -z "$mode" ] && command -v npm >/dev/null && [ ! -d "$build/npm/node_modules/koffi" ]; then
    npm install --ignore-scripts --no-audit --no-fund --silent --prefix "$build/npm" "$(sed -n 's/.*"koffi": "\(.*\)".*/koffi@\1/p' "$root/examples/ffi/node/package.json")" ||
        echo "Going on without koffi, which npm does not get here" >&2
fi
exec meson test -C "$build" --print-errorlogs "$@"
