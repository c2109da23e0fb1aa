#!/bin/sh
# The machine card: what has to be known of a machine, and of the program, beside a figure.
set -eu
cd "$(dirname "$0")/.."
line() { printf '%-14s %s\n' "$1" "$2"; }
field() { sed -n "s/^$1[[:space:]]*: //p" /proc/cpuinfo | head -n 1; }
line processor "$(field 'model name'), $(nproc) cores, $(field 'cpu MHz') MHz just now"
line cache "$(field 'cache size')"
line hypervisor "$(systemd-detect-virt 2>/dev/null || echo none)"
line governor "$(cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor 2>/dev/null || echo 'not known')"
line memory "$(sed -n 's/^MemTotal: *//p' /proc/meminfo), huge pages $(sed -n 's/^HugePages_Total: *//p' /proc/meminfo)"
line kernel "$(uname -r) $(grep -oE "(isolcpus|nohz_full|mitigations)=[^ ]*" /proc/cmdline | tr "\n" " ")"
line mitigations "$(grep -l Mitigation /sys/devices/system/cpu/vulnerabilities/* 2>/dev/null | xargs -r -n 1 basename | tr '\n' ' ')"
line load "$(cut -d ' ' -f 1-3 /proc/loadavg)"
line commit "$(git rev-parse --short=12 HEAD 2>/dev/null || echo 'not known')$(git diff --quiet HEAD 2>/dev/null || echo ', changed')"
line compiler "$(rustc --version 2>/dev/null || echo 'not known')"
