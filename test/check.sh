# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Read by scripts that check one thing after the other and end with "N passed, N failed". They set `work`, a temporary folder.
passed=0
failed=0

# check NAME COMMAND...: prints what the command printed, its end, if it failed; then this fails too.
check()
{
    local name=$1
    shift
    # shellcheck disable=SC2154
    if "$@" >"$work/log" 2>&1; then
        echo "ok: $name"
        passed=$((passed + 1))
        return 0
    fi
    echo "FAILED: $name"
    tail -n 60 "$work/log"
    failed=$((failed + 1))
    return 1
}
