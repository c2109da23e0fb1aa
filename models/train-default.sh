#!/bin/sh
# Trains models/default.json: on generated normal traffic, and on the captures of category `normal` of a corpus.
# The same sensor, seeds and captures write the same bytes.
#
#   sh models/train-default.sh PATH/TO/CORPUS
#
# The corpus is a folder with MANIFEST.tsv (columns `category` and `file`; a leading `handover/` of the file is cut).
set -eu

cd "$(dirname "$0")/.."
corpus=${1:?usage: models/train-default.sh PATH/TO/CORPUS}
sensor=target/release/phantomnet
work=target/default-model
mkdir -p "$work"

# Three offices, each half an hour of a Monday morning; nothing but normal traffic.
for seed in 101 102 103; do
    "$sensor" dataset generate --out "$work/$seed" --packets 200000 --seed "$seed" --attacks none
    mv "$work/$seed/traffic.pcap" "$work/generated-$seed.pcap"
done

set -- "$work"/generated-*.pcap
while read -r file; do
    set -- "$@" "$corpus/$file"
done <<LIST
$(awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
    $at["category"] == "normal" { sub(/^handover\//, "", $at["file"]); print $at["file"] }' "$corpus/MANIFEST.tsv")
LIST

"$sensor" train --out models/default.json --name default --created-at 2026-11-22T00:00:00Z \
    --rows-per-file 50000 --from "$@"
