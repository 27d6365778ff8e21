#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Runs the test of a binding under examples/ffi with a library that is not installed.
#   test/ffi.sh python|lua|node HEADER LIBRARY [FOLDER]   FOLDER: where npm has installed koffi
# Exits with 77 where the language, or what the binding needs, is not there.
set -eu

language=$1
export RESATTN_HEADER="$2" RESATTN_LIBRARY="$3"
export NODE_PATH="${4-}/node_modules"
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
folder=$root/examples/ffi/$language
model=$root/examples/models/quickstart.resattn

skip()
{
    echo "$language: $1"
    exit 77
}

case $language in
python)
    # Debian's modules are for Debian's interpreter.
    for python in python3 /usr/bin/python3; do
        if "$python" -c 'import cffi, numpy' 2>/dev/null; then
            exec "$python" -B "$folder/test.py" "$model"
        fi
    done
    skip "needs python3 with cffi and numpy"
    ;;
lua)
    command -v luajit >/dev/null || skip "needs luajit"
    exec luajit "$folder/test.lua" "$model"
    ;;
node)
    command -v node >/dev/null || skip "needs node"
    node -e 'require("koffi")' 2>/dev/null || skip "needs koffi: npm install --prefix '${4-FOLDER}' koffi"
    exec node --expose-gc "$folder/test.js" "$model"
    ;;
esac
