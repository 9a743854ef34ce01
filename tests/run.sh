#!/usr/bin/env bash
# Installs what is missing, builds and runs the tests. usage: run.sh [ctest arguments, e.g. -L golden or -LE mpi]
set -eu
cd "$(dirname "$0")/.."
./jobs/install.sh chromium python3-h5py   # two tests look at results with them
./jobs/set-up.sh cpu
. jobs/mpi-environment.sh
ctest --preset cpu -LE long "$@"
