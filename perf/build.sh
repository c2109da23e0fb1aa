#!/bin/sh
# Compiles the senders and the yardsticks into perf/build. They are no part of the sensor: nothing that it does depends on them.
set -eu
cd "$(dirname "$0")"
for package in gcc clang-14 libbpf-dev libxdp-dev; do
    if ! dpkg-query -W "$package" >/dev/null 2>&1; then
        echo "perf: missing; install: sudo apt-get install --no-install-recommends gcc clang-14 libbpf-dev libxdp-dev" >&2
        exit 1
    fi
done
mkdir -p build
bpf() { clang-14 -O2 -g -Wall -Wextra -Werror -target bpf -I"/usr/include/$(uname -m)-linux-gnu" -c "$1.bpf.c" -o "build/$1.bpf.o"; }
program() { gcc -O2 -g -Wall -Wextra -Werror "$1.c" -o "build/$1" -lxdp -lbpf; }
bpf make_frames
bpf drop_frames
program send_frames
program receive_and_drop
program receive_packets
