#!/usr/bin/env bash
# Kills, starves and stops jobs of the built `cpu` preset (run.sh builds it): the tests labelled `drill`, which look at seconds, so one at a time.
# usage: drills.sh [ctest arguments, e.g. -L long for those run by hand, which take hours]
set -eu
cd "$(dirname "$0")/.."
. jobs/mpi-environment.sh
[ $# -gt 0 ] || set -- -LE long
ctest --preset cpu -L drill "$@"
