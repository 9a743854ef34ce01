#!/usr/bin/env bash
# Builds, tests and measures on a GPU machine that may lack a network, MPI and HDF5; each part takes under ten minutes.
# It needs CUDA 12.9 or newer, CMake 3.25, ninja, g++ and python3.
# usage: run.sh [PART...]
#   build       kernels, models, parity and bench, with nvcc, without MPI, HDF5 and libav
#   cpu         the kernels' tests on the CPU, and through the emulation of a GPU
#   tests       the kernels' tests on the GPU
#   parity      all golden cases on the GPU, float32 at 4 times the tolerance; those of networks also in bfloat16 and fp8, within
#               10 % of each tensor's norm, with cuDNN's attention and without
#   sanitizer   the kernels' tests under compute-sanitizer: memcheck, synccheck, racecheck, initcheck
#   bench       stages of the networks in float32 and bfloat16, in bfloat16 also without cuDNN; a denoising step in bfloat16 and fp8, and a decoding, at 240p and 480p
# Without a part: all of them, to the end, whatever fails. Results: build/gpu/report (or $REPORT), a JSON file a part, all of
# them in report.json; the exit status is the number of parts that failed.
# Where packages are missing, run tests/gpu/packages.sh on a machine with a network and bring build/gpu-packages along.
set -uo pipefail
cd "$(dirname "$0")/../.."
report=${REPORT:-$PWD/build/gpu/report}
mkdir -p "$report"
for tool in nvcc compute-sanitizer; do   # where CUDA is installed and not on the way
    command -v $tool >/dev/null || [ ! -x /usr/local/cuda/bin/$tool ] || export PATH=$PATH:/usr/local/cuda/bin
done
jobs=$(nproc)

without_a_gpu() {   # says why no GPU can be used, or nothing
    local why
    why=$(build/gpu/pyracast parity --device cuda tests/golden/noise/* 2>&1) || true
    printf '%s\n' "$why" | grep -E 'no GPU can be used|was built without CUDA' | head -1
}

need_the_gpu() {
    [ -x build/gpu/pyracast ] || { echo "build/gpu/pyracast is not there: run the part \"build\" first"; return 1; }
    local why
    why=$(without_a_gpu)
    [ -z "$why" ] || { echo "$why"; return 1; }
}

unpack_packages() {   # those that were brought along go into a folder of their own
    [ -d build/gpu-packages ] || return 0
    local package
    for package in build/gpu-packages/*.deb; do dpkg-deb -x "$package" build/gpu-prefix || return 1; done
    prefix=$PWD/build/gpu-prefix
    local libraries=$prefix/usr/lib/x86_64-linux-gnu
    # Some links of development packages begin at the system's root.
    find "$prefix" -type l -lname '/*' | while read -r link; do ln -sf "$prefix$(readlink "$link")" "$link"; done
    command -v pkg-config >/dev/null || { ln -sf pkgconf "$prefix/usr/bin/pkg-config"; export PATH=$prefix/usr/bin:$PATH; }
    export CMAKE_PREFIX_PATH=$prefix/usr
    export PKG_CONFIG_SYSROOT_DIR=$prefix PKG_CONFIG_LIBDIR=$libraries/pkgconfig:$prefix/usr/share/pkgconfig
    export LD_LIBRARY_PATH=$libraries:$prefix/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
}

part_build() {
    local capability architectures
    capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -1 | tr -d .)
    case $capability in 90) architectures=90a-real ;; "") architectures=90a-real ;; *) architectures=$capability-real ;; esac
    cmake --preset gpu -DCMAKE_CUDA_ARCHITECTURES="$architectures" ${prefix:+-DCMAKE_PREFIX_PATH="$prefix/usr"} &&
        cmake --build --preset gpu -j"$jobs" --target pyracast kernels_tests gpu_tests cudnn_tests emulated_kernels_tests
}

part_cpu() {
    build/gpu/tests/emulated_cuda/emulated_kernels_tests --gtest_brief=1 --gtest_output=json:"$report/cpu-tests.json"
}

part_tests() {
    need_the_gpu && build/gpu/tests/kernels_tests --gtest_brief=1 --gtest_output=json:"$report/kernels-tests.json"
}

part_parity() {
    need_the_gpu || return 1
    local cases networks failed=0
    cases=$(ls -d tests/golden/*/*/ ../shared/goldens/*/*/ shared/goldens/*/*/ 2>/dev/null)
    networks=$(printf '%s\n' "$cases" | grep -v '/pipeline_')
    build/gpu/pyracast parity --device cuda --tolerance-factor 4 --json "$report/parity-float32.jsonl" $cases || failed=1
    build/gpu/pyracast parity --device cuda --dtype bfloat16 --relative-error 0.1 --json "$report/parity-bfloat16.jsonl" $networks || failed=1
    build/gpu/pyracast parity --device cuda --dtype bfloat16 --gpu-attention own --relative-error 0.1 --json "$report/parity-own-attention.jsonl" $networks ||
        failed=1
    build/gpu/pyracast parity --device cuda --dtype fp8 --relative-error 0.1 --json "$report/parity-fp8.jsonl" $networks || failed=1
    return $failed
}

part_sanitizer() {
    need_the_gpu || return 1
    command -v compute-sanitizer >/dev/null || { echo "compute-sanitizer is not there"; return 1; }
    local tool tests failed=0
    for tool in memcheck synccheck racecheck initcheck; do
        case $tool in   # the slow ones: what shares memory in a block
            racecheck | initcheck) tests='TensorCore*:GroupNorm*:Bfloat16*:Float8*:Attention*:PackedAttention*' ;;
            *) tests='-Linear.GivesARowTheSameBits*:CopyPlan.*:MemoryPool.*' ;;
        esac
        compute-sanitizer --tool "$tool" --error-exitcode 1 build/gpu/tests/kernels_tests --gtest_brief=1 --gtest_filter="$tests" || failed=1
    done
    return $failed
}

part_bench() {
    need_the_gpu || return 1
    local failed=0 dtype size
    for dtype in float32 bfloat16; do
        build/gpu/pyracast bench --device cuda --dtype $dtype --phases stages --json >"$report/bench-$dtype.json" || failed=1
        build/gpu/pyracast bench --device cuda --dtype $dtype --phases stages || failed=1
    done
    build/gpu/pyracast bench --device cuda --dtype bfloat16 --gpu-attention own --stages 'spatial-attention,stdit3-pair,latte-pair' || failed=1
    for size in "240 426" "480 854"; do
        set -- $size
        build/gpu/pyracast bench --device cuda --dtype bfloat16 --phases step,decode --steps 4 --height "$1" --width "$2" |
            tee "$report/bench-$1p.txt" || failed=1
        build/gpu/pyracast bench --device cuda --dtype fp8 --phases step --steps 4 --height "$1" --width "$2" | tee "$report/bench-fp8-$1p.txt" || failed=1
    done
    return $failed
}

run_part() {
    local start end code
    echo "== $1"
    start=$(date +%s)
    "part_$1" 2>&1 | tee "$report/$1.log"
    code=${PIPESTATUS[0]}
    end=$(date +%s)
    printf '{"part": "%s", "passed": %s, "seconds": %d}\n' "$1" "$([ "$code" = 0 ] && echo true || echo false)" $((end - start)) >"$report/$1.json"
    [ "$code" = 0 ] || echo "== $1 failed"
    return "$code"
}

prefix=
unpack_packages || exit 1
known="build cpu tests parity sanitizer bench"
failed=0
for part in ${*:-$known}; do
    case " $known " in *" $part "*) run_part "$part" || failed=$((failed + 1)) ;; *) echo "there is no part \"$part\"; known are: $known"; exit 64 ;; esac
done

python3 - "$report" <<'PYTHON'
import json, pathlib, subprocess, sys
folder = pathlib.Path(sys.argv[1])
def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
report = {"gpu": output("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"),
          "nvcc": (output("nvcc", "--version") or "").splitlines()[-1:], "revision": output("git", "describe", "--always", "--dirty"),
          "parts": [json.loads((folder / f"{part}.json").read_text()) for part in ("build", "cpu", "tests", "parity", "sanitizer", "bench")
                    if (folder / f"{part}.json").exists()]}
for path in sorted(folder.glob("*.jsonl")):
    report[path.stem] = [json.loads(line) for line in path.read_text().splitlines()]
for path in sorted(folder.glob("bench-*.json")):
    try:
        report[path.stem] = json.loads(path.read_text())
    except json.JSONDecodeError:
        report[path.stem] = None
(folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
PYTHON
echo "$failed parts failed; $report/report.json"
exit "$failed"
