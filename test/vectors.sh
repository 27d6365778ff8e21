#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# vectors.sh REFERENCE_VECTORS COMPARE MODEL: compares what the program REFERENCE_VECTORS computes with all the reference
# vectors of a model in the folder that the environment variable RESATTN_VECTORS names. Skipped (77) where there are none.
set -eu
program=$1 compare=$2 model=$3
[ -n "${RESATTN_VECTORS:-}" ] || exit 77
ours=$(mktemp)
trap 'rm -f "$ours"' EXIT
found=77
for file in "$RESATTN_VECTORS/$model".*.json; do
    [ -e "$file" ] || continue
    found=0
    arguments=$(python3 - "$file" <<'PYTHON'
import json, shlex, sys
vectors = json.load(open(sys.argv[1], encoding='utf-8'))
batch, _, size, _ = vectors['input']
print(f"--batch {batch} --size {size} --seed {shlex.quote(vectors['seed'])}",
      '--train' if vectors['mode'] == 'training' else '')
PYTHON
    )
    # inference with all, without Winograd, with BLIS
    case $arguments in
    *--train*) kinds= ;;
    *) kinds='1 2 3' ;;
    esac
    for kind in ${kinds:-none}; do
        echo "$file${kinds:+, convolution $kind}"
        eval "set -- $arguments"
        "$program" "$model" "$@" ${kinds:+--convolution "$kind"} >"$ours"
        python3 "$compare" "$file" "$ours"
    done
done
exit $found
