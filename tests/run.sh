#!/usr/bin/env bash
# Installs what is missing, builds and runs the tests. usage: run.sh [ctest arguments, e.g. -L golden or -LE mpi]
set -eu
cd "$(dirname "$0")/.."
# What tests look at results with, and the batch system that some bring up.
./jobs/install.sh chromium python3-h5py slurm-wlm munge iproute2 procps shellcheck
./jobs/set-up.sh cpu
. jobs/mpi-environment.sh
ctest --preset cpu -LE long "$@"
