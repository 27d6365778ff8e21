# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# Read by the scripts that build: sees to it that Debian packages are installed.

# need_packages NAME...: installs what is missing when run as root; otherwise says what to install, and fails.
need_packages()
{
    # Elsewhere than on Debian the build tells what it lacks.
    command -v dpkg >/dev/null 2>&1 || return 0
    missing=
    for package in "$@"; do
        case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
        installed*) ;;
        *) missing="$missing $package" ;;
        esac
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        echo "Packages are missing. Please run: sudo apt-get install --no-install-recommends$missing" >&2
        return 1
    fi
    echo "Installing$missing" >&2
    # One word a package: no quotes.
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get -q update >&2 &&
        DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $missing >&2
}

# try_packages NAME...: the same for what only makes more tests possible; never fails.
try_packages()
{
    if [ "$(id -u)" -eq 0 ]; then
        need_packages "$@" || echo "Going on without: $*" >&2
    fi
    return 0
}

# What every build needs.
# shellcheck disable=SC2034
build_packages="gcc libc6-dev meson ninja-build pkg-config libblis-dev zlib1g-dev libjansson-dev libpng-dev libjpeg-dev libcairo2-dev"
