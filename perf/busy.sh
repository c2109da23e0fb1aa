#!/bin/sh
# busy.sh [WRITERS [SECONDS]]: a machine that has other things to do. So many programs write a file of 1 GB each and wait for the disk,
# again and again, and one more spins.
set -eu
writers=${1:-6}
seconds=${2:-60}
folder=$(mktemp -d /tmp/phantomnet-busy-XXXXXX)
trap 'rm -rf "$folder"' EXIT
for number in $(seq "$writers"); do
    timeout "$seconds" sh -c "while :; do dd if=/dev/zero of=$folder/$number bs=1M count=1000 2>/dev/null; sync; done" &
done
timeout "$seconds" sh -c 'while :; do :; done' &
wait
