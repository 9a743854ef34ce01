#!/usr/bin/env bash
# Installs what is missing (Debian/Ubuntu packages only) and builds a preset. usage: set-up.sh PRESET [TARGET...]
set -eu
cd "$(dirname "$0")/.."
preset=$1; shift

./jobs/install.sh g++ cmake ninja-build pkg-config git python3 libopenmpi-dev openmpi-bin libhdf5-dev hdf5-tools \
    libboost-program-options-dev libgtest-dev libgmock-dev nlohmann-json3-dev libspdlog-dev libicu-dev libpcre2-dev \
    libsentencepiece-dev libavcodec-dev libavformat-dev libavutil-dev libswscale-dev zlib1g-dev libssl-dev ffmpeg \
    libpugixml-dev libarchive-dev gnuplot-nox

cmake --preset "$preset" -DPYRACAST_UNITY=ON
if [ $# -gt 0 ]; then cmake --build --preset "$preset" --target "$@"; else cmake --build --preset "$preset"; fi
