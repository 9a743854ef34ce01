#!/usr/bin/env bash
# The unit tests under AddressSanitizer and UndefinedBehaviorSanitizer, then each fuzzer for a bounded number of runs.
# usage: sanitize.sh [RUNS_A_FUZZER]
set -eu
cd "$(dirname "$0")/.."
runs=${1:-20000}
. jobs/mpi-environment.sh

./jobs/set-up.sh asan sanitized_tests
# Open MPI and its helpers keep memory until the process ends; the MPI programs run in the plain build.
# Whole pipelines on teams of threads, whole pages and the emulated GPU are too slow here; SequencesOn holds the teams'
# communication.
ASAN_OPTIONS=detect_leaks=0 ctest --preset asan -LE "mpi|long|slurm|drill|browser" -E "OnATeam|TakesEverySampler|EmulatedCuda|NOT_BUILT"

./jobs/install.sh clang libclang-rt-14-dev
cmake --preset fuzz
cmake --build --preset fuzz
seeds_of_all=$(mktemp -d)
python3 tests/tools/make_fuzz_corpora.py "$seeds_of_all"
for fuzzer in build/fuzz/tests/fuzz_*; do
    [ -x "$fuzzer" ] || continue
    name=$(basename "$fuzzer")
    corpus=$(mktemp -d)
    seeds=$seeds_of_all/${name#fuzz_}
    "$fuzzer" -runs="$runs" -max_len=65536 -timeout=20 -rss_limit_mb=3000 "$corpus" $([ -d "$seeds" ] && echo "$seeds") 2>"$corpus.log" ||
        { tail -40 "$corpus.log"; exit 1; }
    echo "$name: $runs runs, nothing found"
    rm -rf "$corpus" "$corpus.log"
done
