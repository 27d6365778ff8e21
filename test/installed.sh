#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What `meson install` leaves: which files, that programs build against them, that nothing tells where it was built.
# Builds the library several times in a temporary folder, from a copy of the tree. Ends with "N passed, N failed".
set -u -o pipefail

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/.ci/packages.sh"
# shellcheck disable=SC2086
need_packages $build_packages g++ binutils || exit 1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
size_limit=700000
. "$root/test/check.sh"

# copy_tree FOLDER: the sources, as a release has them.
copy_tree()
{
    mkdir -p "$1" && tar -C "$root" --exclude='./build*' --exclude=./.git -cf - . | tar -C "$1" -xf -
}

# build SOURCE DESTDIR OPTION...: builds in SOURCE/build without looking into a cache, installs below DESTDIR.
build()
{
    local source=$1 destination=$2
    shift 2
    (cd "$source" && export CCACHE_DISABLE=1 && meson setup build -Dtests=disabled "$@" && meson compile -C build &&
        DESTDIR=$destination meson install -C build --no-rebuild --quiet)
}

# use PREFIX LIBDIR: pkg-config and the loader find the copy below PREFIX, which was installed with another prefix.
use()
{
    rm -rf "$work/pc"
    mkdir "$work/pc" && sed "s|^prefix=.*|prefix=$1|" "$1/$2/pkgconfig/resattn.pc" >"$work/pc/resattn.pc"
    export PKG_CONFIG_PATH=$work/pc LD_LIBRARY_PATH=$1/$2
}

# Everything but the guides, whose list docs/meson.build is.
expected_files()
{
    (cd "$root/include/resattn" && printf 'include/resattn/%s\n' *.h resattn.ffi.h)
    printf '%s\n' bin/resattn \
        lib/x/libresattn.a lib/x/libresattn.so lib/x/libresattn.so.0 "lib/x/libresattn.so.$version" lib/x/pkgconfig/resattn.pc \
        share/bash-completion/completions/resattn share/zsh/site-functions/_resattn \
        share/man/man1/resattn.1 share/man/man3/libresattn.3 \
        share/resattn/models/README.md share/resattn/models/heart.png share/resattn/models/quickstart.resattn \
        share/resattn/models/star.png
}

same_list()
{
    diff <(expected_files | sort) <(cd "$1" && find . ! -type d | sed 's|^\./||' | grep -v ^share/doc/ | sort) &&
        [ -f "$1/share/doc/resattn/format.md" ]
}

no_rpath()
{
    ! readelf -d "$@" | grep -E 'RPATH|RUNPATH'
}

# Beside itself only BLIS, zlib, Jansson, the C library, and what BLIS needs.
needs_only()
{
    ! ldd "$1" | grep -vE 'linux-vdso|ld-linux|lib(resattn|blis|z|jansson|m|c|pthread|gomp)[.]so'
}

small_enough()
{
    strip -o "$work/stripped" "$1" && stat -c "%s bytes" "$work/stripped" && [ "$(stat -c %s "$work/stripped")" -lt $size_limit ]
}

# same_bytes FILE: in both builds.
same_bytes()
{
    cmp "$work/one$prefix/$1" "$work/two$prefix/$1"
}

nothing_of_here()
{
    ! grep -rlaF "$work" "$work/one$prefix"
}

# The quickstart is more than one file; beside the library it needs libpng.
quickstart()
{
    # shellcheck disable=SC2046
    (cd "$root/examples" && cc -D_POSIX_C_SOURCE=200809L -DEXAMPLES_PNG -Icommon -o "$work/quickstart" quickstart.c \
        $(find common -name '*.c' ! -name bitmap_jpeg.c) $(pkg-config --cflags --libs resattn libpng) -lm) &&
        "$work/quickstart" --samples "$work" && [ -s "$work/star.png" ]
}

tool()
{
    local bin=$1/bin/resattn models=$1/share/resattn/models
    [ "$("$bin" --version)" = "resattn $version" ] &&
        "$bin" classify "$models/quickstart.resattn" "$models/star.png" --top 1 | grep star
}

ffi_header()
{
    printf '#include <stddef.h>\n#include <stdint.h>\n' | cat - "$(pkg-config --variable=ffi_header resattn)" >"$work/ffi.c" &&
        cc -std=c11 -Wall -Werror -fsyntax-only "$work/ffi.c"
}

version=$(sed -n "s/^  version: '\(.*\)',$/\1/p" "$root/meson.build" | sed -n 1p)
prefix=/opt/resattn
at=$work/one$prefix

# Two folders, of different depth and length.
copy_tree "$work/a"
copy_tree "$work/another/place of it"
check "builds and installs" build "$work/a" "$work/one" --prefix=$prefix --libdir=lib/x
check "so it does in another folder" build "$work/another/place of it" "$work/two" --prefix=$prefix --libdir=lib/x
check "the files" same_list "$at"
for file in "lib/x/libresattn.so.$version" lib/x/libresattn.a lib/x/pkgconfig/resattn.pc include/resattn/resattn.ffi.h bin/resattn; do
    check "the same bytes: $file" same_bytes "$file"
done
check "no file names the folder it was built in" nothing_of_here
check "no rpath" no_rpath "$at/lib/x/libresattn.so" "$at/bin/resattn"
use "$at" lib/x
check "what the library needs" needs_only "$at/lib/x/libresattn.so"
check "under $size_limit bytes, stripped" small_enough "$at/lib/x/libresattn.so"
check "the tool" tool "$at"
check "the header for FFI parsers" ffi_header
check "programs, dynamic and static" "$root/test/link_programs.sh"
check "the quickstart" quickstart

# A distribution's flags and one kind of library only.
rm -rf "$work/a/build"
if command -v dpkg-buildflags >/dev/null; then
    CFLAGS=$(dpkg-buildflags --get CFLAGS) CPPFLAGS=$(dpkg-buildflags --get CPPFLAGS) LDFLAGS=$(dpkg-buildflags --get LDFLAGS)
    export CFLAGS CPPFLAGS LDFLAGS
fi
check "static only, a distribution's flags" build "$work/a" "$work/static" --buildtype=plain -Ddefault_library=static -Ddocs=false \
    --prefix=/usr --libdir=lib64
unset CFLAGS CPPFLAGS LDFLAGS
check "no shared library" test ! -e "$work/static/usr/lib64/libresattn.so"
use "$work/static/usr" lib64
check "programs" "$root/test/link_programs.sh"
rm -rf "$work/a/build"
check "shared only" build "$work/a" "$work/shared" -Ddefault_library=shared -Dexamples=false --prefix=/usr --libdir=lib
check "no static library" test ! -e "$work/shared/usr/lib/libresattn.a"
use "$work/shared/usr" lib
check "programs" "$root/test/link_programs.sh" --dynamic

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
