#!/usr/bin/env bash
# Compiles and links the CUDA back end where nvcc is, and runs its tests: without a GPU they skip and say why. Where nvcc is
# not it says so. usage: cuda.sh [build]      build: and runs none
set -eu
cd "$(dirname "$0")/.."
nvcc=$(command -v nvcc || command -v /usr/local/cuda/bin/nvcc || true)
if [ -z "$nvcc" ]; then
    echo "nvcc is not on this machine: the CUDA back end was not compiled"
    exit 0
fi
export CUDACXX=$nvcc
./jobs/set-up.sh cuda pyracast kernels_tests gpu_tests cudnn_tests mpi_tests
[ "${1:-}" != build ] || exit 0
build/cuda/pyracast --version | grep "^cuda:"
build/cuda/tests/kernels_tests --gtest_brief=1 --gtest_filter='-Linear.GivesARowTheSameBits*'
build/cuda/tests/gpu_tests --gtest_brief=1
LD_LIBRARY_PATH=$PWD/build/cuda/tests/cudnn/driver build/cuda/tests/cudnn/cudnn_tests --gtest_brief=1
