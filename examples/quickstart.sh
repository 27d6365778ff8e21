#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Builds the library in build/ and runs the quickstart; arguments go to it (--help lists them).
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/.ci/packages.sh"

# shellcheck disable=SC2086
need_packages $build_packages
[ -f "$root/build/build.ninja" ] || meson setup --buildtype release "$root/build" "$root" >&2
meson compile -C "$root/build" quickstart >&2
exec "$root/build/examples/quickstart" "$@"
