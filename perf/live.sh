#!/bin/sh
# live.sh [ROUNDS [SECONDS]]: how many frames a second each receiver takes from the same sender over the same pair of devices:
#   XDP_DROP in the driver, a bare AF_XDP loop, a bare TPACKET_V3 loop, and the sensor with AF_XDP (native, generic) and AF_PACKET.
#
# One queue; the sender (and with it the kernel's half of every receiver) on one core, the receiver on the other. Rounds go through all
# of them in turn; what is printed is each figure and the medians. Root; two cores that are not shared with other work.
#
# FRAMES_PER_SECOND=N holds the sender to a rate (latency at half load). PLACES=N are those for frames
# (capture.frames). SENDER_CORE, RECEIVER_CORE and PHANTOMNET (the program) can be set too.
set -eu
cd "$(dirname "$0")"
rounds=${1:-3}
seconds=${2:-5}
# The sensor pins its one worker to the last core.
sender_core=${SENDER_CORE:-0}
receiver_core=${RECEIVER_CORE:-1}
sensor=${PHANTOMNET:-../target/release/phantomnet}
frames=${FRAMES_PER_SECOND:-0}
places=${PLACES:-32768}
folder=$(mktemp -d /tmp/phantomnet-perf-XXXXXX)
clean_up() {
    for process in ${running:-} ${receiver:-} ${recorder:-} ${sender:-}; do kill "$process" 2>/dev/null || true; done
    wait
    sh wire.sh down
    rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

in_sensor() { ip netns exec perf-sensor "$@"; }
send() { ip netns exec perf-sender ./build/send_frames sender0 "$1" "$sender_core" "$2" | sed 's/^/    /'; }

rate() { awk -v before="$1" -v after="$2" -v begun="$3" -v ended="$4" 'BEGIN { printf "%.0f", (after - before) / (ended - begun) }'; }

# Prints the figure of the round, and keeps it.
note() { # receiver, frames a second
    printf '%-22s %9.0f\n' "$1" "$2"
    echo "$2" >>"$folder/$1"
}

xdp_drop() {
    in_sensor ip link set dev mirror0 xdpdrv obj build/drop_frames.bpf.o sec xdp
    seen() { in_sensor ethtool -S mirror0 | sed -n 's/^ *rx_queue_0_xdp_drops: //p'; }
    send "$seconds" "$frames" >"$folder/sent" &
    sleep 1
    before=$(seen) begun=$(date +%s.%N)
    sleep $((seconds - 2))
    after=$(seen) ended=$(date +%s.%N)
    wait
    cat "$folder/sent"
    note xdp_drop "$(rate "$before" "$after" "$begun" "$ended")"
    in_sensor ip link set dev mirror0 xdpdrv off
}

bare() { # receiver, program and arguments
    name=$1
    shift
    ip netns exec perf-sensor "$@" >"$folder/said" 2>/dev/null &
    receiver=$!
    sleep 1
    send $((seconds + 2)) "$frames"
    wait "$receiver"
    receiver=
    sed 's/^/    /' "$folder/said"
    note "$name" "$(cut -d ' ' -f 1 "$folder/said")"
}

metric() { sed -n "s/^$1 //p" "$2"; }
scrape() { in_sensor curl -s http://127.0.0.1:9180/metrics >"$1"; }

# The upper bound of the bucket that the quantile of the latency lies in, between the two scrapes.
quantile() {
    sed -n 's/^phantomnet_frame_to_verdict_seconds_bucket{le="\(.*\)"}/\1/p' "$folder/before" "$folder/after" |
        awk -v quantile="$1" '!($1 in before) { before[$1] = $2; order[++count] = $1; next } { after[$1] = $2 - before[$1] }
            END { for (nth = 1; nth <= count; nth++) if (after[order[nth]] >= quantile * after["+Inf"]) { print order[nth]; exit } }'
}

sensor() { # name, lines of [capture]
    name=$1
    mkdir "$folder/data"
    printf '%s\n' 'sensor.folder = "data"' 'http.listen = "127.0.0.1:9180"' 'workers.count = 1' '[capture]' "frames = $places" "$2" >"$folder/sensor.toml"
    ip netns exec perf-sensor "$sensor" run --config "$folder/sensor.toml" --interface mirror0 2>"$folder/log" &
    running=$!
    for _ in $(seq 100); do
        if scrape "$folder/before" && grep -q '^phantomnet_capture_running 1' "$folder/before"; then break; fi
        sleep 0.1
    done
    send $((seconds + 2)) "$frames" >"$folder/sent" &
    sender=$!
    sleep 1
    scrape "$folder/before"
    begun=$(date +%s.%N)
    sleep "$seconds"
    scrape "$folder/after"
    ended=$(date +%s.%N)
    wait "$sender"
    sender=
    cat "$folder/sent"
    kill -TERM "$running"
    wait "$running" || true
    running=
    taken='phantomnet_frames_total{stage="capture",outcome="taken"}'
    note "$name" "$(rate "$(metric "$taken" "$folder/before")" "$(metric "$taken" "$folder/after")" "$begun" "$ended")"
    printf '    frame to verdict: p50 %s s, p99 %s s or less; unaccounted at the last look: ' "$(quantile 0.5)" "$(quantile 0.99)"
    metric 'phantomnet_unaccounted{stage="marker"}' "$folder/after"
    grep -v '^ *$' "$folder/log" | tail -n 2 | sed 's/^/    /'
    rm -rf "$folder/data"
}

# The same frames from a file: what a worker can judge when nobody has to receive anything.
replay() {
    note replay "$("$sensor" replay --summary json --workers 1 "$folder/frames.pcap" |
        awk -F '[:,]' '/"packets_per_second"/ { print $2; exit }')"
}

record() {
    in_sensor ethtool -K mirror0 gro on
    in_sensor tcpdump -q -i mirror0 -B 131072 -c 1000000 -w "$folder/frames.pcap" 2>/dev/null &
    recorder=$!
    sleep 1
    send 15 100000 >/dev/null
    wait "$recorder"
    recorder=
}

sh build.sh
sh machine.sh
sh wire.sh up 1
record
sh wire.sh down
for round in $(seq "$rounds"); do
    echo "-- round $round"
    sh wire.sh up 1
    xdp_drop
    bare af_xdp_bare ./build/receive_and_drop mirror0 0 "$seconds" "$receiver_core"
    # Without an XDP program the device takes such frames only while it polls, which it does with GRO; it joins none of these.
    in_sensor ethtool -K mirror0 gro on
    bare tpacket_v3_bare ./build/receive_packets mirror0 "$seconds" "$receiver_core"
    sensor sensor_af_packet 'backend = "af_packet"'
    in_sensor ethtool -K mirror0 gro off
    sensor sensor_native 'modes = ["native"]'
    in_sensor ethtool -K mirror0 gro on
    sensor sensor_generic 'modes = ["generic"]'
    sh wire.sh down
    replay
done
echo "-- medians"
for each in "$folder"/xdp_drop "$folder"/*_bare "$folder"/sensor_* "$folder"/replay; do
    case $each in *.toml) continue ;; esac
    sort -n "$each" | awk -v name="$(basename "$each")" '{ all[NR] = $1 }
        END { printf "%-22s %9.0f  (%.0f to %.0f)\n", name, all[int((NR + 1) / 2)], all[1], all[NR] }'
done
