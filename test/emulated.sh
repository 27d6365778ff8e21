#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Builds for another architecture and runs tests there in an emulator, on Debian. Models written here load there with the same
# bytes, and the other way round.
#   test/emulated.sh [ARCHITECTURE [FOLDER]]  arm64 (the default) or s390x (big endian); in FOLDER,
#                                             build-ARCHITECTURE/ if not given
# The packages of that architecture that the build needs go into a folder there that stands for its system's root; those of
# this system stay as they are. Exits with 77 where something is not installed. Takes some ten minutes.
set -eu

architecture=${1-arm64}
endian=little
case $architecture in
arm64) triplet=aarch64-linux-gnu family=aarch64 emulator=qemu-aarch64 ;;
s390x) triplet=s390x-linux-gnu family=s390x emulator=qemu-s390x endian=big ;;
*)
    echo "Usage: test/emulated.sh [arm64|s390x [FOLDER]]" >&2
    exit 2
    ;;
esac

tests="core tensor numbers loops leaf_ops session bits blob blob_half blob_files checkpoint train"
[ "$architecture" != arm64 ] || tests="$tests kernels forms conv" # it has vectors of its own, the others plain C
packages="libc6 libc6-dev linux-libc-dev libgcc-s1 libblis4-serial libblis-serial-dev zlib1g zlib1g-dev check libsubunit0 libsubunit-dev"

skip()
{
    echo "$architecture: $1" >&2
    exit 77
}

missing=
need() { # command, its package
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need $triplet-gcc gcc-$triplet
need $emulator qemu-user
need meson meson
need ninja ninja-build
need pkg-config pkg-config
need apt-get apt
need dpkg-deb dpkg
[ -z "$missing" ] || skip "not installed; please run: sudo apt-get install --no-install-recommends$missing"

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
mkdir -p "${2-$root/build-$architecture}"
folder=$(CDPATH='' cd -- "${2-$root/build-$architecture}" && pwd)
system=$folder/root
build=$folder/build

# Lists of packages of our own, as those of this system do not name that architecture's.
fetch_packages()
{
    mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial" "$folder/packages" || return 1
    apt() {
        apt-get -q -o APT::Architectures::="$architecture" -o "Dir::State::lists=$folder/apt/lists" \
            -o "Dir::Cache=$folder/apt/cache" -o APT::Sandbox::User="$(id -un)" "$@"
    }
    named=
    for package in $packages; do
        named="$named $package:$architecture"
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
    fetch_packages >&2 || skip "cannot fetch packages for $architecture from this system's sources:$(printf ' %s' "$packages")"
    unpack_packages
fi

cat >"$folder/cross.ini" <<END
[binaries]
c = '$triplet-gcc'
ar = '$triplet-ar'
strip = '$triplet-strip'
pkgconfig = 'pkg-config'
exe_wrapper = ['$emulator', '-L', '$system']

[built-in options]
c_args = ['--sysroot=$system']
c_link_args = ['--sysroot=$system']

[properties]
sys_root = '$system'
pkg_config_libdir = ['$system/usr/lib/$triplet/pkgconfig', '$system/usr/share/pkgconfig']

[host_machine]
system = 'linux'
cpu_family = '$family'
cpu = '$family'
endian = '$endian'
END

programs=examples/resattn
for test in $tests; do
    programs="$programs test/test_$test"
done
options="-Dwerror=true -Ddocs=false -Djson=disabled -Dpng=disabled -Djpeg=disabled -Dcairo=disabled"
# shellcheck disable=SC2086
[ -f "$build/build.ninja" ] || meson setup --cross-file "$folder/cross.ini" -Dtests=enabled $options "$build" "$root"
# shellcheck disable=SC2086
ninja -C "$build" $programs
# shellcheck disable=SC2086
[ -f "$folder/native/build.ninja" ] || meson setup -Dtests=disabled $options "$folder/native" "$root"
ninja -C "$folder/native" examples/resattn

# A network with numbers of all types, made on both, and read by the other.
exchange()
{
    there="$emulator -L $system $build/examples/resattn"
    here="$folder/native/examples/resattn"
    for type in f32 f16 bf16; do
        $here convert resnet-20-cifar "$folder/here.resattn" --type $type >&2 || return 1
        $there convert resnet-20-cifar "$folder/there.resattn" --type $type >&2 || return 1
        cmp "$folder/here.resattn" "$folder/there.resattn" >&2 || return 1
        $there convert "$folder/here.resattn" "$folder/again.resattn" >&2 || return 1
        cmp "$folder/here.resattn" "$folder/again.resattn" >&2 || return 1
    done
    echo "$architecture: the same bytes written here and there, and read by both"
}
exchange || { echo "$architecture: FAILED: models do not go from one to the other" >&2; exit 1; }

# Check's own time limits, too, are made for a CPU and not for an emulator.
export CK_TIMEOUT_MULTIPLIER=40
# shellcheck disable=SC2086
exec meson test -C "$build" --no-rebuild --print-errorlogs --timeout-multiplier 40 $tests
