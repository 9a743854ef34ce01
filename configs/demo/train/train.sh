#!/usr/bin/env bash
# Trains the demo model from nothing and evaluates it. Goes on where it was stopped.
#
# usage: train.sh WORKDIR [SNAPSHOT]
#   WORKDIR    keeps the Python environment, the stages' states and the log
#   SNAPSHOT   where the snapshot is written (default: WORKDIR/snapshot); its evaluation goes to WORKDIR/report
# QUICK=1 takes a few steps of each stage and a few clips: to see that every stage does its work, not for a model.
# PYTHON names another interpreter that has the packages of requirements.txt; then no environment is made.
set -euo pipefail

recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
workdir=$(mkdir -p "${1:?usage: train.sh WORKDIR [SNAPSHOT]}" && cd "$1" && pwd)
snapshot=${2:-$workdir/snapshot}

if [[ -z ${PYTHON:-} ]]; then
  PYTHON=$workdir/venv/bin/python
  if [[ ! -e $workdir/venv/complete ]]; then
    python3 -m venv "$workdir/venv"
    "$PYTHON" -m pip install --quiet --requirement "$recipe/requirements.txt"
    touch "$workdir/venv/complete"
  fi
fi

run() { nice -n 19 "$PYTHON" -B "$recipe/$1" "${@:2}" 2>&1 | tee -a "$workdir/log"; }

few() { [[ -z ${QUICK:-} ]] || echo "$@"; }

for stage in spatial temporal joint; do run train_autoencoder.py "$workdir" --stage "$stage" $(few --steps 4); done
run encode_clips.py "$workdir" $(few --clips 128)
run train_transformer.py "$workdir" $(few --steps 4)
run train_autoencoder.py "$workdir" --stage decoder $(few --steps 4)
run export.py "$workdir" "$snapshot"
run evaluate.py "$snapshot" "$workdir/report" $(few --quick)
