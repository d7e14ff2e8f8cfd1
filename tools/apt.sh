# Sourced by the set-ups: packages are asked for one purpose at a time, said, and installed in one go.
# shellcheck shell=sh

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# a version is at least another one: at_least 1.10.2 1.9
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

version_of() { "$@" 2>/dev/null | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1; }

# what apt would install
candidate() { apt-cache policy "$1" 2>/dev/null | sed -nE 's/^  Candidate: ([0-9]+:)?([0-9].*)$/\2/p'; }

# the Debian mirror configured here
mirror() {
    # shellcheck disable=SC2016  # apt expands it
    apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' 'Created-By: Packages' | head -n 1 | grep . ||
        die "apt has no Debian mirror configured"
}

# Not tools/as-root: what is installed here may be the Python that it needs.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; return; fi
    command -v sudo >/dev/null || die "this needs root, and there is no sudo; as root, run: $*"
    sudo -n true 2>/dev/null || { : > /dev/tty; } 2>/dev/null ||
        die "this needs root, and sudo cannot ask for a password without a terminal; as root, run: $*"
    sudo "$@"
}

# need "why" package…: remember those of the packages that are not installed
wanted=
need() {
    why=$1
    shift
    missing=
    for package; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    [ -z "$missing" ] || { say "packages for $why:$missing"; wanted="$wanted$missing"; }
}

install_wanted() {
    [ -n "$wanted" ] || return 0
    # shellcheck disable=SC2086  # one word per package
    as_root env DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes APT_LISTCHANGES_FRONTEND=none \
        apt-get install -qq --no-install-recommends -o Dpkg::Use-Pty=0 $wanted >/dev/null
    wanted=
}
