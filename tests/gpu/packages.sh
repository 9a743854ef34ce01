#!/usr/bin/env bash
# Fetches, on a Debian 12 machine with a network, the packages that the minimal build needs on a GPU machine without one,
# into build/gpu-packages; tests/gpu/run.sh unpacks them there, outside the system's folders. usage: packages.sh
set -eu
cd "$(dirname "$0")/../.."
mkdir -p build/gpu-packages
cd build/gpu-packages
apt-get download -q \
    nlohmann-json3-dev libspdlog-dev libspdlog1.10 libfmt-dev libfmt9 libboost1.74-dev libboost-program-options1.74-dev \
    libboost-program-options1.74.0 libgtest-dev libgmock-dev zlib1g-dev zlib1g libssl-dev libssl3 libicu-dev libicu72 \
    libpcre2-dev libpcre2-8-0 libpcre2-16-0 libpcre2-32-0 libpcre2-posix3 libsentencepiece-dev libsentencepiece0 \
    pkgconf pkgconf-bin libpkgconf3
du -sh .
