#!/bin/sh
# wire.sh up [QUEUES] | down: a veth pair from namespace perf-sender (sender0) to namespace perf-sensor (mirror0), as the tests make it.
set -eu
down() {
    for namespace in perf-sender perf-sensor; do
        if ip netns list | grep -q "^$namespace\b"; then ip netns delete "$namespace"; fi
    done
}
case ${1:-} in
down) down ;;
up)
    down
    queues=${2:-1}
    ip netns add perf-sender
    ip netns add perf-sensor
    ip link add name mirror0 netns perf-sensor numrxqueues "$queues" numtxqueues "$queues" \
        type veth peer name sender0 netns perf-sender numrxqueues "$queues" numtxqueues "$queues"
    for end in "perf-sensor mirror0" "perf-sender sender0"; do
        # shellcheck disable=SC2086  # two words
        set -- $end
        ip -n "$1" link set lo up
        ip netns exec "$1" sysctl -qw "net.ipv6.conf.$2.disable_ipv6=1"
        ip netns exec "$1" ethtool -K "$2" gro off
        ip -n "$1" link set "$2" arp off multicast off up
    done
    ;;
*)
    echo "usage: wire.sh up [QUEUES] | down" >&2
    exit 2
    ;;
esac
