#!/usr/bin/env bash
# Draws a picture of a dataset: a row a video with five of its frames, two videos side by side.
# usage: contact-sheet.sh DATASET PICTURE.png [VIDEOS]
set -eu
dataset=$1 picture=$2 videos=${3:-16}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0
while read -r video; do
    count=$((count + 1))
    frames=$(ffprobe -v error -count_frames -select_streams v -show_entries stream=nb_read_frames -of csv=p=0 "$dataset/$video")
    step=$(( frames > 5 ? (frames - 1) / 4 : 1 ))
    ffmpeg -nostdin -v error -y -i "$dataset/$video" -vsync 0 -frames:v 1 \
        -vf "select='not(mod(n,$step))',scale=96:96:force_original_aspect_ratio=decrease:flags=neighbor,pad=96:96:-1:-1,tile=5x1" \
        "$work/$(printf %04d "$count").png"
done < <(python3 -c 'import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
print(*[r["file_name"] for r in sorted(rows, key=lambda r: r["id"])][:int(sys.argv[2])], sep="\n")' "$dataset/metadata.jsonl" "$videos")
ffmpeg -nostdin -v error -y -framerate 1 -i "$work/%04d.png" -vf "tile=2x$(( (count + 1) / 2 )):padding=4" -frames:v 1 "$picture"
