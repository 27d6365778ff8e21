#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Builds for 64-bit ARM and runs the tests of kernels and loops in an emulator, on Debian for another architecture.
#   test/arm64.sh [FOLDER]  in FOLDER, build-arm64/ if not given
# The ARM packages that the build needs go into a folder there that stands for an ARM system's root; those of this system stay
# as they are. Exits with 77 where something is not installed.
set -eu

tests="kernels loops forms conv"
packages="libc6 libc6-dev linux-libc-dev libgcc-s1 libblis4-serial libblis-serial-dev zlib1g zlib1g-dev check libsubunit0 libsubunit-dev"
triplet=aarch64-linux-gnu

skip()
{
    echo "arm64: $1" >&2
    exit 77
}

missing=
need() { # command, its package
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need $triplet-gcc gcc-$triplet
need qemu-aarch64 qemu-user
need meson meson
need ninja ninja-build
need pkg-config pkg-config
need apt-get apt
need dpkg-deb dpkg
[ -z "$missing" ] || skip "not installed; please run: sudo apt-get install --no-install-recommends$missing"

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
mkdir -p "${1-$root/build-arm64}"
folder=$(CDPATH='' cd -- "${1-$root/build-arm64}" && pwd)
system=$folder/root
build=$folder/build

# Lists of packages of our own, as those of this system do not name ARM's.
fetch_packages()
{
    mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial" "$folder/packages" || return 1
    apt() {
        apt-get -q -o APT::Architectures::=arm64 -o "Dir::State::lists=$folder/apt/lists" \
            -o "Dir::Cache=$folder/apt/cache" -o APT::Sandbox::User="$(id -un)" "$@"
    }
    named=
    for package in $packages; do
        named="$named $package:arm64"
    done
    # One word a package: no quotes.
    # shellcheck disable=SC2086
    apt update && (cd "$folder/packages" && apt download $named)
}

# Links to absolute names would lead out of the new root.
unpack_packages()
{
    for package in "$folder"/packages/*.deb; do
        dpkg-deb -x "$package" "$system.new" || return 1
    done
    find "$system.new" -type l -lname '/*' | while read -r link; do
        ln -sfn "$system$(readlink "$link")" "$link"
    done
    # BLIS in a standard place, where installing its package would have put links to a variant.
    ln -sfn blis-serial/blis.h "$system.new/usr/include/$triplet/blis.h"
    for library in libblis.so libblis.so.4; do
        ln -sfn "blis-serial/$library" "$system.new/usr/lib/$triplet/$library"
    done
    mv "$system.new" "$system"
}

if [ ! -d "$system" ]; then
    rm -rf "$folder/packages" "$system.new"
    fetch_packages >&2 || skip "cannot fetch packages for arm64 from this system's sources:$(printf ' %s' "$packages")"
    unpack_packages
fi

cat >"$folder/cross.ini" <<END
[binaries]
c = '$triplet-gcc'
ar = '$triplet-ar'
strip = '$triplet-strip'
pkgconfig = 'pkg-config'
exe_wrapper = ['qemu-aarch64', '-L', '$system']

[built-in options]
c_args = ['--sysroot=$system']
c_link_args = ['--sysroot=$system']

[properties]
sys_root = '$system'
pkg_config_libdir = ['$system/usr/lib/$triplet/pkgconfig', '$system/usr/share/pkgconfig']

[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
END

programs=
for test in $tests; do
    programs="$programs test/test_$test"
done
[ -f "$build/build.ninja" ] ||
    meson setup --cross-file "$folder/cross.ini" -Dwerror=true -Dtests=enabled -Dexamples=false -Ddocs=false \
        -Djson=disabled "$build" "$root"
# shellcheck disable=SC2086
ninja -C "$build" $programs
# Check's own time limits, too, are made for a CPU and not for an emulator.
export CK_TIMEOUT_MULTIPLIER=20
# shellcheck disable=SC2086
exec meson test -C "$build" --no-rebuild --print-errorlogs --timeout-multiplier 20 $tests
