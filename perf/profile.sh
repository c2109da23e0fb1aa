#!/bin/sh
# profile.sh [SECONDS [FRAMES_PER_SECOND]]: what the worker of a sensor does while frames come over the wire of wire.sh.
#
# Leaves perf.data, report.txt and flame.svg in perf/build/profile. A build of the release profile has line tables, so functions have
# names.
set -eu
cd "$(dirname "$0")"
seconds=${1:-10}
frames=${2:-0}
sensor=${PHANTOMNET:-../target/release/phantomnet}
out=build/profile
mkdir -p "$out"
folder=$(mktemp -d /tmp/phantomnet-profile-XXXXXX)
clean_up() {
    for process in ${running:-} ${sender:-}; do kill "$process" 2>/dev/null || true; done
    wait
    sh wire.sh down
    rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

sh build.sh
sh wire.sh up 1
printf '%s\n' 'sensor.folder = "data"' 'http.listen = ""' 'workers.count = 1' >"$folder/sensor.toml"
ip netns exec perf-sensor "$sensor" run --config "$folder/sensor.toml" --interface mirror0 2>"$folder/log" &
running=$!
sleep 2
ip netns exec perf-sender ./build/send_frames sender0 $((seconds + 2)) 0 "$frames" &
sender=$!
sleep 1
worker=$(grep -l '^worker-0$' /proc/"$running"/task/*/comm | head -n 1 | cut -d / -f 5)
# A clock where the machine counts no cycles; frame pointers are not kept, so call chains need the line tables.
perf record -q -o "$out/perf.data" -e cycles:P -t "$worker" --call-graph dwarf,16384 -F 499 -- sleep "$seconds" 2>/dev/null ||
    perf record -q -o "$out/perf.data" -e cpu-clock -t "$worker" --call-graph dwarf,16384 -F 499 -- sleep "$seconds"
wait "$sender"
sender=
kill -TERM "$running"
wait "$running" || true
running=
perf report -i "$out/perf.data" --no-children --stdio -g none 2>/dev/null | grep -v '^ *$' >"$out/report.txt"
sed -n '1,40p' "$out/report.txt"
perf script -i "$out/perf.data" --no-inline -F comm,ip,sym 2>/dev/null | python3 flame.py worker-0 "A worker on a wire" >"$out/flame.svg"
echo "flame graph: perf/$out/flame.svg"
