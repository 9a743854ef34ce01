#!/usr/bin/env bash
# Installs what is missing, builds, and makes 16 videos with the demo model on two MPI ranks.
# usage: demo.sh [OUTPUT [RANKS]]
set -eu
cd "$(dirname "$0")/.."
output=${1:-build/demo} ranks=${2:-2}
./jobs/set-up.sh cpu pyracast
. jobs/mpi-environment.sh
mpirun -n "$ranks" build/cpu/pyracast generate --config configs/demo.cfg --output "$output"
./jobs/contact-sheet.sh "$output" "$output/contact-sheet.png"
echo
echo "videos         $(find "$output/videos" -name '*.mp4' | wc -l) under $output/videos, e.g. $(find "$output/videos" -name 'demo-02*.mp4')"
echo "shards         $(ls "$output"/shards/*/*.h5 | tr '\n' ' ')"
echo "index          $output/index.h5 and $output/metadata.jsonl"
echo "contact sheet  $output/contact-sheet.png"
