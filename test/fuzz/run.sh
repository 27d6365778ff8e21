#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Fuzzes the library with libFuzzer, the targets one after the other in a process each.
#   test/fuzz/run.sh MINUTES_PER_TARGET [TARGET...]
# Builds with clang in build-fuzz/. Inputs that reached something new are kept in build-fuzz/corpus/TARGET, from where the
# next run goes on, findings (crash-*, leak-*, timeout-*, oom-*) and logs in build-fuzz/findings/TARGET. Ends with a table, and with a code
# other than 0 if anything was found. At a finding the target goes on with the rest of its time. Leaks of the library's memory end an
# input; those of what else takes memory (Jansson, libjpeg) are looked for when a process ends, as that takes as long as hundreds of inputs.
#   FUZZ_BUILD: another folder than build-fuzz.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
build=${FUZZ_BUILD:-$root/build-fuzz}
all="blob probe checkpoint safetensors round_trip calls convolution pictures"
if [ $# -lt 1 ] || ! [ "$1" -gt 0 ] 2>/dev/null; then
    echo "Usage: test/fuzz/run.sh MINUTES_PER_TARGET [TARGET...] (targets: $all)" >&2
    exit 2
fi
seconds=$(($1 * 60))
shift
[ $# -gt 0 ] || {
    # shellcheck disable=SC2086
    set -- $all
}

[ -f "$build/build.ninja" ] || CC=clang meson setup -Dfuzz=true -Dtests=auto -Ddocs=false --buildtype=debugoptimized \
    -Doptimization=1 -Db_sanitize=address,undefined -Db_lundef=false "$build" "$root"
for target in "$@"; do
    ninja -j1 -C "$build" "test/fuzz/fuzz_$target"
done

export ASAN_OPTIONS="allocator_may_return_null=1:detect_leaks=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export UBSAN_OPTIONS="print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}"

# run TARGET: libFuzzer until the time is over; a process ends at its first finding, then the next one goes on.
run()
{
    corpus=$build/corpus/$1 found=$build/findings/$1 end=$(($(date +%s) + seconds)) executions=0 edges=- inputs=- findings=0
    mkdir -p "$corpus" "$found"
    dictionary=$root/test/fuzz/$1.dict
    while left=$((end - $(date +%s))) && [ "$left" -gt 0 ]; do
        log=$found/$(date +%Y%m%d-%H%M%S).log
        "$build/test/fuzz/fuzz_$1" -max_total_time="$left" -rss_limit_mb=2048 -malloc_limit_mb=1024 -timeout=10 -max_len=16384 -detect_leaks=0 \
            -artifact_prefix="$found/" -print_final_stats=1 ${dictionary:+$([ ! -f "$dictionary" ] || echo "-dict=$dictionary")} \
            "$corpus" "$root/test/fuzz/corpus/$1" >"$log" 2>&1 && ended=0 || ended=$?
        more=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        executions=$((executions + ${more:-0}))
        edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
        inputs=$(sed -n 's/.* corp: \([0-9]*\)\/.*/\1/p' "$log" | tail -n 1)
        if [ "$ended" -eq 0 ]; then
            break
        fi
        findings=$((findings + 1))
        echo "$1: ended with $ended, see $log"
        # What cannot even start, or fails all the time, needs no more tries.
        if [ "${more:-0}" -eq 0 ] || [ "$findings" -ge 20 ]; then
            break
        fi
        sleep 1 # logs have names of their own
    done
    all_findings=$((all_findings + findings))
    table="$table$(printf '%-12s %12s %8s %8s %9s' "$1" "$executions" "${edges:--}" "${inputs:--}" "$findings")
"
}

table=""
all_findings=0
for target in "$@"; do
    run "$target"
done
printf '%-12s %12s %8s %8s %9s\n' target executions edges corpus findings
printf '%s' "$table"
[ "$all_findings" -eq 0 ]
