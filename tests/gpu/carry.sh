#!/usr/bin/env bash
# Builds what tests/gpu/run.sh runs, for Hopper and without a GPU, into build/gpu-carry.tar.gz, with the libraries it needs that are not
# CUDA's: brought along to a GPU machine of this or a newer system it takes no packages there and no time to build. It needs nvcc.
# usage: carry.sh
set -eu
cd "$(dirname "$0")/../.."
command -v nvcc >/dev/null || export PATH=$PATH:/usr/local/cuda/bin
export CUDACXX=${CUDACXX:-$(command -v nvcc)}
# RPATH, not RUNPATH: libraries find each other there, too.
cmake --preset gpu -DCMAKE_CUDA_ARCHITECTURES=90a-real -DPYRACAST_UNITY=ON '-DCMAKE_BUILD_RPATH=$ORIGIN/lib;$ORIGIN/../lib' \
    -DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags
cmake --build --preset gpu --target pyracast kernels_tests
carried=build/gpu-carry
rm -rf $carried
mkdir -p $carried/tests $carried/lib
for program in pyracast tests/kernels_tests; do strip -o $carried/$program build/gpu/$program; done
ldd build/gpu/pyracast build/gpu/tests/kernels_tests | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
    grep -vE '/lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+|cublasLt|cudnn)\.so' | xargs cp -L -t $carried/lib
python3 -m pip download -q --no-deps --only-binary=:all: -d $carried/wheels "$(grep '^diffusers' tests/bench/requirements.txt)"   # for peers
tar czf $carried.tar.gz -C $carried .
du -h $carried.tar.gz
