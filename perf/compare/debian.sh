#!/bin/bash
# debian.sh ROOT: makes ROOT a small Debian that holds the peers which are Debian packages, or completes the one that is there.
#
# Debian 12 has Suricata 6 and Debian 13 has 7, so the root is a Debian 13 with Suricata from its backports, where 8 is. Nothing is
# installed on the machine itself. What could not be had stands in ROOT/missing: "package: why", one a line. Root, and debootstrap.
#
# SUITE, BACKPORTS and MIRROR can be set. The mirror is otherwise the one that apt uses on this machine, so what reaches packages here
# (a local mirror, a proxy) reaches these too.
set -euo pipefail
root=${1:?usage: debian.sh ROOT}
suite=${SUITE:-trixie}
backports=${BACKPORTS:-$suite-backports}

if ! command -v debootstrap >/dev/null; then
    echo "debian.sh: debootstrap is missing; run: apt-get install debootstrap" >&2
    exit 1
fi
# The archive of packages, not that of security fixes, which has another address and only some packages.
# shellcheck disable=SC2016  # what apt fills in
mirror=${MIRROR:-$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
    awk '$1 == "Debian" && $2 == "Debian" { print $3; exit }')}
if [ -z "$mirror" ]; then
    echo "debian.sh: apt knows no mirror of Debian here; run: apt-get update, or name one with MIRROR=" >&2
    exit 1
fi

# debootstrap would take a root that it left half done for an old one; the stamp says that it was done.
if [ ! -e "$root/made-from" ]; then
    rm -rf "$root"
    debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$mirror"
    apt-config dump | grep -E '^Acquire::https?::Proxy ' >"$root/etc/apt/apt.conf.d/90proxy" || true
    echo "deb $mirror $backports main" >"$root/etc/apt/sources.list.d/backports.list"
    # Packages start their services when they are installed; here nothing shall run but what is measured.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"
    echo "$suite and $backports" >"$root/made-from"
fi

mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
inside() { chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"; }
inside apt-get update -qq
: >"$root/missing"
for package in tcpdump softflowd libndpi-bin "suricata/$backports"; do
    name=${package%/*}
    # shellcheck disable=SC2016  # what dpkg-query fills in
    if inside dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q ' installed$'; then continue; fi
    if ! inside apt-get install -y -qq --no-install-recommends "$package" >"$root/install.log" 2>&1; then
        echo "$name: apt-get: $(grep -m 1 '^E: ' "$root/install.log" || tail -n 1 "$root/install.log")" >>"$root/missing"
    fi
done
inside apt-get clean
