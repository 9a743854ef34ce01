#!/usr/bin/env bash
# Installs what is missing (Debian/Ubuntu packages only) and builds a preset. usage: set-up.sh PRESET [TARGET...]
set -eu
cd "$(dirname "$0")/.."
preset=$1; shift

packages=(g++ cmake ninja-build pkg-config git python3 libopenmpi-dev openmpi-bin libhdf5-dev hdf5-tools
          libboost-program-options-dev libgtest-dev libgmock-dev nlohmann-json3-dev libspdlog-dev libicu-dev libpcre2-dev
          libsentencepiece-dev libavcodec-dev libavformat-dev libavutil-dev libswscale-dev zlib1g-dev libssl-dev ffmpeg
          libpugixml-dev gnuplot-nox)
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "installing ${missing[*]}"
    as_root=(); [ "$(id -u)" = 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get -q update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${missing[@]}"
fi

cmake --preset "$preset"
if [ $# -gt 0 ]; then cmake --build --preset "$preset" --target "$@"; else cmake --build --preset "$preset"; fi
