#!/usr/bin/env bash
# Installs what is missing, builds and runs the tests; those of the batch system are slurm.sh's, the drills drills.sh's.
# usage: run.sh [ctest arguments, e.g. -L golden or -LE mpi]
set -eu
cd "$(dirname "$0")/.."
# What tests look at results with.
./jobs/install.sh chromium python3-h5py procps shellcheck
./jobs/set-up.sh cpu
. jobs/mpi-environment.sh
# One more than cores: jobs wait, for mpirun takes two seconds to end one that was refused.
ctest --preset cpu -LE "long|slurm|drill" -j "$(($(nproc) + 1))" "$@"
