#!/bin/sh
# Installs what the tests need on a bare Debian with Rust: a C compiler (for the allocator), a C++ compiler (for the
# fuzzer), Python with venv (scikit-learn parity), capinfos and tcpdump (second opinions on captures). Says what it does.
set -eu

missing=""
need() { # command or test, package
    if ! sh -c "$1" >/dev/null 2>&1; then missing="$missing $2"; fi
}
need "command -v cc" gcc
need "command -v c++" g++
need "command -v python3" python3
need "python3 -c 'import venv, ensurepip'" python3-venv
need "command -v capinfos" wireshark-common
need "command -v tcpdump" tcpdump

if [ -z "$missing" ]; then
    echo "needs: everything that the tests need is here"
    exit 0
fi
echo "needs: installing$missing"
if [ "$(id -u)" -ne 0 ]; then
    echo "needs: not root; run: sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086  # a list of package names
apt-get install -y -qq --no-install-recommends $missing
