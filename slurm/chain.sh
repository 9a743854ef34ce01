#!/usr/bin/env bash
# Submits a chain of jobs, each to begin when the one before has ended, and prints their numbers.
# usage: chain.sh LINKS [sbatch options] slurm/generate-chain.sbatch PROGRAM SETTINGS...
set -eu
[[ ${1:-} =~ ^[1-9][0-9]*$ && $# -gt 1 ]] || {
    echo "usage: $0 LINKS [sbatch options] slurm/generate-chain.sbatch PROGRAM SETTINGS... (LINKS: how many jobs)" >&2
    exit 64
}
links=$1; shift
name=pyracast-chain-$(date +%s)-$$   # of this chain alone: the link that completes the dataset takes back the others by it
before=()
for ((link = 1; link <= links; ++link)); do
    number=$(sbatch --parsable --job-name="$name" ${before[@]+"${before[@]}"} "$@")
    echo "$number"
    before=(--dependency="afterany:${number%%;*}")
done
