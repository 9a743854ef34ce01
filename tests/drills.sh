#!/usr/bin/env bash
# Kills, starves and stops jobs of the built `cpu` preset (run.sh builds it): the tests labelled `drill`, which look at seconds, so one at a time.
# usage: drills.sh [long]   long: those run by hand, which take hours
set -eu
cd "$(dirname "$0")/.."
. jobs/mpi-environment.sh
case ${1-} in
  "") ctest --preset cpu -L drill -LE long ;;
  long) ctest --preset cpu -L drill -L long ;;   # with both labels
  *) echo "drills.sh: found '$1', expected nothing or long" >&2; exit 2 ;;
esac
