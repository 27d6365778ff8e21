#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Builds Debian packages from docs/packaging/debian in a temporary folder, asks lintian about them, installs them below a root
# of their own and runs their tests there; nothing is installed on this machine. Ends with "N passed, N failed".
#   test/package.sh [--test] [FOLDER]   --test: with the library's own tests; FOLDER: where the packages are left
set -u -o pipefail

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/.ci/packages.sh"
# shellcheck disable=SC2086
try_packages $build_packages g++ dpkg-dev debhelper lintian
for program in dpkg-buildpackage dh lintian meson; do
    command -v $program >/dev/null || { echo "no $program: no packages are built"; exit 77; }
done

options="parallel=2 nocheck"
[ "${1-}" != --test ] || { options="parallel=2"; shift; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(sed -n "s/^  version: '\(.*\)',$/\1/p" "$root/meson.build" | sed -n 1p)
source=$work/resattn-$version
below=$work/root
maintainer="${DEBFULLNAME:-Local build} <${DEBEMAIL:-packager@localhost.localdomain}>"
. "$root/test/check.sh"

unpack()
{
    mkdir -p "$source" && tar -C "$root" --exclude='./build*' --exclude=./.git -cf - . | tar -C "$source" -xf - &&
        tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner -cJf "$work/resattn_$version.orig.tar.xz" "resattn-$version" &&
        cp -R "$source/docs/packaging/debian" "$source/debian" &&
        sed -i "s/@MAINTAINER@/$maintainer/" "$source/debian/control" "$source/debian/changelog"
}

package()
{
    (cd "$source" && DEB_BUILD_OPTIONS=$options dpkg-buildpackage -us -uc)
}

# The maintainer's address is of whoever builds; the first upload's bug is the distribution's.
ask_lintian()
{
    lintian --allow-root --fail-on error,warning --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog,initial-upload-closes-no-bugs "$work"/*.changes
}

# Unpacked and set up as packages are, but without what they depend on, which is on this machine.
install_packages()
{
    mkdir -p "$below/var/lib/dpkg/updates" "$below/var/lib/dpkg/info" && touch "$below/var/lib/dpkg/status" &&
        dpkg --root="$below" --force-not-root --force-depends --force-script-chrootless --log="$work/dpkg.log" -i "$work"/*.deb
}

# Whether everything they depend on exists, as apt sees it.
satisfied()
{
    apt-get --simulate install --no-install-recommends "$work"/*[0-9]_*.deb
}

# use_packages COMMAND...: runs it where the packages below the root are found.
use_packages()
{
    local libraries
    libraries=$(dirname "$(find "$below" -name libresattn.so)")
    mkdir -p "$work/pc" && sed "s|^prefix=.*|prefix=$below/usr|" "$libraries/pkgconfig/resattn.pc" >"$work/pc/resattn.pc" &&
        (cd "$source" && PKG_CONFIG_PATH=$work/pc LD_LIBRARY_PATH=$libraries PATH=$below/usr/bin:$PATH \
            RESATTN_DATA=$below/usr/share/resattn "$@")
}

purge()
{
    local file names=()
    for file in "$work"/*.deb; do
        names+=("$(dpkg-deb -f "$file" Package)")
    done
    dpkg --root="$below" --force-not-root --force-script-chrootless --log="$work/dpkg.log" --purge "${names[@]}" &&
        [ -z "$(find "$below" -path "$below/var" -prune -o ! -type d -print)" ]
}

if check "the tree, with debian/" unpack && check "dpkg-buildpackage" package; then
    check "lintian: no error, no warning" ask_lintian
    check "dependencies are satisfied" satisfied
    check "packages install" install_packages
    for name in "$source"/debian/tests/*; do
        [ "${name##*/}" = control ] || check "autopkgtest ${name##*/}" use_packages "$name"
    done
    check "packages go away again" purge
    [ -z "${1-}" ] || { mkdir -p "$1" && cp "$work"/*.deb "$work"/*.dsc "$work"/*.changes "$work"/*.tar.* "$1"; }
fi
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
