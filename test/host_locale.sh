#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A locale with decimal commas changes nothing: for a program that uses the library (test_host_locale), and for the tool.
# Makes the locale if the system does not have it; skipped (77) where that cannot be done.
# usage: host_locale.sh test_host_locale [resattn]
set -eu

name=de_DE.UTF-8
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
if ! locale -a 2>/dev/null | grep -qi '^de_DE\.utf-\{0,1\}8$'; then
    if ! localedef -i de_DE -f UTF-8 "$folder/$name" 2>/dev/null; then
        echo "there is no locale $name, and localedef makes none" >&2
        exit 77
    fi
    LOCPATH=$folder
    export LOCPATH
fi

"$1" "$name"
[ $# -gt 1 ] || exit 0

# The tool: options and configuration with decimal points, and what it prints and writes.
tool=$(realpath "$2")
cat >"$folder/run.cfg" <<END
model = quickstart
data = shapes
optimizer = adamw
rate = 0.0025
weight-decay = 0.05
average = 0.75
stop-after-steps = 3
threads = 1
END
for locale in C "$name"; do
    mkdir "$folder/tool-$locale"
    cd "$folder/tool-$locale"
    LC_ALL=$locale
    export LC_ALL
    "$tool" train --config ../run.cfg --batch 10 --log-steps 1 --log log.csv --checkpoint state --out net >out 2>&1 ||
        { cat out; exit 1; }
    "$tool" info state | grep -v seconds >texts # with what training keeps as text, such as its rate
    "$tool" models >>texts
    if "$tool" train --config ../run.cfg --rate 0,5 >wrong 2>&1; then
        exit 1
    fi
    sed 's/,[^,]*$//' log.csv >steps # all but the seconds
done
cd "$folder"
for file in texts wrong steps; do
    cmp "tool-C/$file" "tool-$name/$file"
done
[ "$(wc -l <tool-C/steps)" -gt 2 ]
grep -q "^rate = 0\.0001" tool-C/texts
grep -q "rate is '0,5'" tool-C/wrong
echo "the tool: the same in $name"
