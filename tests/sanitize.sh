#!/usr/bin/env bash
# The unit tests under AddressSanitizer and UndefinedBehaviorSanitizer, then each fuzzer for a bounded number of runs.
# usage: sanitize.sh [RUNS_A_FUZZER]      build in its place: builds them, and runs none
set -eu
cd "$(dirname "$0")/.."
runs=${1:-20000}
. jobs/mpi-environment.sh

./jobs/install.sh clang libclang-rt-14-dev
./jobs/set-up.sh asan sanitized_tests
cmake --preset fuzz
cmake --build --preset fuzz
[ "$runs" != build ] || exit 0

# Open MPI and its helpers keep memory until the process ends; the MPI programs run in the plain build.
# Whole pipelines on teams of threads, whole pages and the emulated GPU are too slow here; SequencesOn holds the teams'
# communication. What memory a test may take is not the sanitizer's to say, which keeps what was given back;
# and it looks at objects through pipes, which it cannot open where a test leaves too few files.
ASAN_OPTIONS=detect_leaks=0 ctest --preset asan -j "$(nproc)" -LE "mpi|long|slurm|drill|browser" -E "OnATeam|TakesEverySampler|EmulatedCuda|MemoryThatDoesNotGrow|TooFewOpenFiles|NOT_BUILT"

seeds_of_all=$(mktemp -d)
python3 tests/tools/make_fuzz_corpora.py "$seeds_of_all"
fuzz() {   # a fuzzer for that many runs
    local name corpus seeds
    name=$(basename "$1")
    corpus=$(mktemp -d)
    seeds=$seeds_of_all/${name#fuzz_}
    [ -d "$seeds" ] || seeds=
    "$1" -runs="$runs" -max_len=65536 -timeout=20 -rss_limit_mb=3000 "$corpus" ${seeds:+"$seeds"} 2>"$corpus.log" ||
        { tail -40 "$corpus.log"; exit 1; }
    echo "$name: $runs runs, nothing found"
    rm -rf "$corpus" "$corpus.log"
}
export -f fuzz
export runs seeds_of_all
find build/fuzz/tests -maxdepth 1 -name 'fuzz_*' -type f -executable -print0 | sort -z | xargs -0 -n 1 -P "$(nproc)" bash -c 'fuzz "$1"' fuzz
