#!/usr/bin/env bash
# Installs what is missing, builds, brings up a Slurm cluster of two nodes on this machine and runs the program there as a batch job.
# usage: slurm.sh [ctest arguments]
set -eu
cd "$(dirname "$0")/.."
./jobs/install.sh python3-h5py slurm-wlm munge iproute2 procps
./jobs/set-up.sh cpu
. jobs/mpi-environment.sh
ctest --preset cpu -L slurm -LE long "$@"
