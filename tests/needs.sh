#!/bin/sh
# Installs what the tests need on a bare Debian with Rust: a C compiler (for the allocator), a C++ compiler (for the
# fuzzer), clang 14 with libbpf's headers (the XDP program, compiled again), Python with venv (scikit-learn parity, schemathesis),
# capinfos and tcpdump (second opinions on captures), PostgreSQL's server (the tests start one of their own), openssl (its
# certificates), curl (the manual's lines), ip and ethtool (network namespaces and the devices in them), strace (what the sensor
# asks the kernel for), valgrind (it counts instructions), systemd's programs (their opinion of the units), Chromium (the
# dashboard is looked at), Prometheus (it scrapes the sensor),
# groff (manual pages), rsyslog (it reads incidents). `needs.sh build` installs what a build needs alone: the compiler, and Node, which makes the dashboard.
# Says what it does.
set -eu

missing=""
need() { # command or test, package
    if ! sh -c "$1" >/dev/null 2>&1; then missing="$missing $2"; fi
}
need "command -v cc" gcc
need "command -v node" nodejs
need "command -v npm" npm
if [ "${1:-}" != build ]; then
need "command -v c++" g++
need "command -v clang-14" clang-14
need "command -v llvm-strip-14" llvm-14
need "test -e /usr/include/bpf/bpf_helpers.h" libbpf-dev
need "command -v python3" python3
need "python3 -c 'import venv, ensurepip'" python3-venv
need "command -v capinfos" wireshark-common
need "command -v tcpdump" tcpdump
need "command -v openssl" openssl
need "command -v curl" curl
need "command -v systemd-analyze" systemd
need "test -x /bin/kill" procps
need "command -v ip" iproute2
need "command -v ethtool" ethtool
need "command -v strace" strace
need "command -v valgrind" valgrind
need "ls /usr/lib/postgresql/*/bin/initdb || command -v initdb" postgresql
need "command -v chromium" chromium
need "command -v promtool" prometheus
need "command -v groff" groff-base
need "command -v rsyslogd" rsyslog
fi

if [ -z "$missing" ]; then
    [ "${1:-}" = build ] || echo "needs: everything that the tests need is here"
    exit 0
fi
echo "needs: installing$missing"
if [ "$(id -u)" -ne 0 ]; then
    echo "needs: not root; run: sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
case "$missing" in *postgresql*)
    # Debian would make and start a cluster for everybody; the tests need the programs alone.
    apt-get install -y -qq --no-install-recommends postgresql-common
    conf=/etc/postgresql-common/createcluster.conf
    grep -q '^ *create_main_cluster' "$conf" || echo 'create_main_cluster = false' >>"$conf"
    ;;
esac
# shellcheck disable=SC2086  # a list of package names
apt-get install -y -qq --no-install-recommends $missing
