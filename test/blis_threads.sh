#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The results do not depend on BLIS's own threads: neither on BLIS_NUM_THREADS nor on which of Debian's variants of BLIS is loaded.
# usage: blis_threads.sh test_bits
set -eu

unset BLIS_NUM_THREADS OMP_NUM_THREADS
expected=$("$1" --hash 2>/dev/null)
echo "default: $expected"

failed=0
compare() { # description, result
    echo "$1: $2"
    if [ "$2" != "$expected" ]; then
        echo "$1: expected $expected" >&2
        failed=1
    fi
}

compare 'BLIS_NUM_THREADS=4' "$(BLIS_NUM_THREADS=4 "$1" --hash)"
compare 'BLIS_JC_NT=2 BLIS_IC_NT=2' "$(BLIS_JC_NT=2 BLIS_IC_NT=2 "$1" --hash)"
for folder in /usr/lib/*/blis-openmp /usr/lib/*/blis-pthread /usr/lib/*/blis-serial; do
    [ -e "$folder/libblis.so.4" ] || continue
    path=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    compare "$folder" "$(LD_LIBRARY_PATH=$path "$1" --hash)"
    compare "$folder with BLIS_NUM_THREADS=4" "$(LD_LIBRARY_PATH=$path BLIS_NUM_THREADS=4 "$1" --hash)"
done
exit $failed
