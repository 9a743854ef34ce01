#!/usr/bin/env bash
# Builds, tests and measures on a GPU machine that may lack a network, MPI and HDF5. What says most comes first, each part ends at a limit of
# its own, and what is known is written down behind each: whoever has little time loses nothing when it is over.
# usage: run.sh [PART...]
#   build       kernels, models, parity and bench, with nvcc, without MPI, HDF5 and libav; nothing where programs were brought along
#   tests       the kernels' tests on the GPU
#   parity      all golden cases on the GPU, float32 at 4 times the tolerance; those of networks also in bfloat16 and fp8, within
#               10 % of each tensor's norm, with cuDNN's attention and without
#   bench       a denoising step in bfloat16 and fp8, and a decoding, at 480p and 240p; stages of the networks in bfloat16, with cuDNN and
#               without, and in float32
#   peers       blocks, attentions and a decoding beside PyTorch's in bfloat16, eager and compiled, in one run (tests/bench/peers.py --gpu);
#               takes a python3 with PyTorch
#   sanitizer   the kernels' tests under compute-sanitizer: memcheck, racecheck, synccheck, initcheck
#   cpu         the kernels' tests through the emulation of a GPU; by name only
# Without a part: all but the last, to the end, whatever fails. Results: build/gpu/report (or $REPORT), a JSON file a part, all of them in
# report.json, and in one file where $BUNDLE names it; the exit status is the number of parts that failed.
#
# Programs: tests/gpu/carry.sh makes build/gpu-carry.tar.gz on a machine with nvcc. Where that was not brought along, or does not start, they are
# built, for which it takes CUDA 12.9 or newer, CMake 3.25, ninja and g++, and packages: tests/gpu/packages.sh fetches them into
# build/gpu-packages. cuBLASLt and cuDNN may be CUDA's or those of python3's packages.
set -uo pipefail
cd "$(dirname "$0")/../.."
self=$PWD/tests/gpu/run.sh
report=${REPORT:-$PWD/build/gpu/report}
mkdir -p "$report"
for tool in nvcc compute-sanitizer; do   # where CUDA is installed and not on the way
    command -v $tool >/dev/null || [ ! -x /usr/local/cuda/bin/$tool ] || export PATH=$PATH:/usr/local/cuda/bin
done
jobs=$(nproc)
declare -A limits=([build]=300 [tests]=120 [parity]=200 [bench]=240 [peers]=200 [sanitizer]=240 [cpu]=300)   # seconds

without_a_gpu() {   # says why no GPU can be used, or nothing
    local why
    why=$(build/gpu/pyracast parity --device cuda tests/golden/noise/* 2>&1) || true
    printf '%s\n' "$why" | grep -E 'no GPU can be used|was built without CUDA|error while loading' | head -1
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
    prefix=$PWD/build/gpu-prefix
    [ -d "$prefix" ] || for package in build/gpu-packages/*.deb; do dpkg-deb -x "$package" "$prefix" || return 1; done
    local libraries=$prefix/usr/lib/x86_64-linux-gnu
    # Some links of development packages begin at the system's root.
    find "$prefix" -type l -lname '/*' | while read -r link; do
        case $(readlink "$link") in "$prefix"/*) ;; *) ln -sf "$prefix$(readlink "$link")" "$link" ;; esac
    done
    command -v pkg-config >/dev/null || { ln -sf pkgconf "$prefix/usr/bin/pkg-config"; export PATH=$prefix/usr/bin:$PATH; }
    export CMAKE_PREFIX_PATH=$prefix/usr
    export PKG_CONFIG_SYSROOT_DIR=$prefix PKG_CONFIG_LIBDIR=$libraries/pkgconfig:$prefix/usr/share/pkgconfig
    export LD_LIBRARY_PATH=$libraries:$prefix/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
}

# The first file of this name in CUDA's folders, then in those of python3's packages; or nothing.
cuda_file() { find $cuda_folders -name "$1" 2>/dev/null | head -1; }

find_cuda_libraries() {   # for programs as they start, and what cuDNN looks for then
    local library found
    cuda_folders="$(readlink -f /usr/local/cuda 2>/dev/null) $(python3 -c 'import nvidia; print(*nvidia.__path__)' 2>/dev/null)"
    for library in libcublasLt.so.1? libcudnn.so.9 libnvrtc.so.1?; do
        found=$(cuda_file "$library")
        [ -z "$found" ] || export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$(dirname "$found")
    done
}

unpack_carried() {   # their own libraries they find beside themselves
    [ -f build/gpu-carry.tar.gz ] && [ ! -e build/gpu/CMakeCache.txt ] || return 0
    mkdir -p build/gpu
    [ -d build/gpu/lib ] || tar xzf build/gpu-carry.tar.gz -C build/gpu || return 0
    if build/gpu/pyracast parity --help >/dev/null 2>&1 && build/gpu/tests/kernels_tests --gtest_list_tests >/dev/null 2>&1; then
        carried=yes
    else
        echo "what was brought along does not start: $(build/gpu/pyracast parity --help 2>&1 | head -1)"
        rm -f build/gpu/pyracast build/gpu/tests/kernels_tests
    fi
}

part_build() {
    [ -z "$carried" ] || { echo "brought along: build/gpu-carry.tar.gz"; return 0; }
    local capability architectures options=() cudnn cublas
    capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -1 | tr -d .)
    case $capability in 90) architectures=90a-real ;; "") architectures=90a-real ;; *) architectures=$capability-real ;; esac
    [ -z "$prefix" ] || options+=("-DCMAKE_PREFIX_PATH=$prefix/usr")
    cudnn=$(cuda_file cudnn_version.h)   # python3's package has no libcudnn.so
    [ -z "$cudnn" ] || options+=("-DCUDNN_INCLUDE_DIR=$(dirname "$cudnn")" "-DCUDNN_LIBRARY=$(cuda_file libcudnn.so.9)")
    cublas=$(cuda_file cublasLt.h)
    case $cublas in
    "" | "$(readlink -f /usr/local/cuda)"/*) ;;
    *) options+=("-DCUDA_cublasLt_LIBRARY=$(cuda_file 'libcublasLt.so.1?')") && export CPATH=$(dirname "$cublas")${CPATH:+:$CPATH} ;;
    esac
    cmake --preset gpu -DCMAKE_CUDA_ARCHITECTURES="$architectures" "${options[@]}" &&
        cmake --build --preset gpu -j"$jobs" --target pyracast kernels_tests
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
    build/gpu/pyracast parity --device cuda --dtype fp8 --relative-error 0.1 --json "$report/parity-fp8.jsonl" $networks || failed=1
    build/gpu/pyracast parity --device cuda --dtype bfloat16 --gpu-attention own --relative-error 0.1 --json "$report/parity-own-attention.jsonl" \
        $networks || failed=1
    return $failed
}

part_bench() {
    need_the_gpu || return 1
    local failed=0
    measure() {   # what is printed goes to a file of this name as well
        local name=$1
        shift
        build/gpu/pyracast bench --device cuda "$@" | tee "$report/bench-$name.txt" || failed=1
    }
    measure step-480p --dtype bfloat16 --phases step --steps 4 --height 480 --width 854
    measure step-480p-fp8 --dtype fp8 --phases step --steps 4 --height 480 --width 854
    measure decode-480p --dtype bfloat16 --phases decode --height 480 --width 854
    measure stages-bfloat16 --dtype bfloat16 --phases stages
    measure stages-own-attention --dtype bfloat16 --phases stages --gpu-attention own --stages 'spatial-attention,stdit3-pair,latte-pair'
    measure step-240p --dtype bfloat16 --phases step,decode --steps 4 --height 240 --width 426
    measure step-240p-fp8 --dtype fp8 --phases step --steps 4 --height 240 --width 426
    measure stages-float32 --dtype float32 --phases stages
    return $failed
}

part_peers() {
    need_the_gpu || return 1
    local failed=0
    if compgen -G 'build/gpu/wheels/*.whl' >/dev/null; then   # diffusers
        python3 -m pip install -q --no-index --no-deps --upgrade --target build/gpu/python build/gpu/wheels/*.whl &&
            export PYTHONPATH=$PWD/build/gpu/python${PYTHONPATH:+:$PYTHONPATH}
    fi
    compare() {   # PyTorch finds its own libraries
        LD_LIBRARY_PATH=$plain_library_path python3 tests/bench/peers.py --gpu --library-path "${LD_LIBRARY_PATH-}" --repeats 5 \
            --json "$report/peers-$1.json" "${@:2}" || failed=1
    }
    compare bfloat16 stdit3-pair vae-decode latte-pair spatial-attention temporal-attention cross-attention mlp
    compare fp8 --dtype fp8 stdit3-pair latte-pair mlp
    return $failed
}

part_sanitizer() {
    need_the_gpu || return 1
    command -v compute-sanitizer >/dev/null || { echo "compute-sanitizer is not there"; return 1; }
    local tool tests options failed=0
    for tool in memcheck racecheck synccheck initcheck; do
        options=()
        case $tool in   # the slow ones: what shares memory in a block
            racecheck | initcheck) tests='TensorCore*:GroupNorm*:Bfloat16*:Float8*:Attention*:PackedAttention*' ;;
            *) tests='-Linear.GivesARowTheSameBits*:CopyPlan.*:MemoryPool.*' ;;
        esac
        [ "$tool" != memcheck ] || options=(--track-stream-ordered-races all)   # blocks that another stream uses too early or too late
        timeout 100 compute-sanitizer --tool "$tool" "${options[@]}" --error-exitcode 1 \
            build/gpu/tests/kernels_tests --gtest_brief=1 --gtest_filter="$tests" || failed=1
    done
    return $failed
}

part_cpu() {
    [ -z "$carried" ] && cmake --build --preset gpu -j"$jobs" --target emulated_kernels_tests &&
        build/gpu/tests/emulated_cuda/emulated_kernels_tests --gtest_brief=1 --gtest_output=json:"$report/cpu-tests.json"
}

write_report() {
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
          "parts": [json.loads((folder / f"{part}.json").read_text()) for part in ("build", "tests", "parity", "bench", "peers", "sanitizer", "cpu")
                    if (folder / f"{part}.json").exists()]}
for path in sorted(folder.glob("*.jsonl")):
    report[path.stem] = [json.loads(line) for line in path.read_text().splitlines()]
for path in sorted(folder.glob("peers-*.json")):
    report[path.stem] = json.loads(path.read_text())
for path in sorted(folder.glob("bench-*.txt")):
    report[path.stem] = path.read_text().splitlines()
(folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
PYTHON
    [ -z "${BUNDLE-}" ] || { tar czf "$BUNDLE.new" -C "$report" . && mv "$BUNDLE.new" "$BUNDLE"; }
}

run_part() {   # in a shell of its own, which the limit ends
    local start end code
    echo "== $1"
    start=$(date +%s)
    INSIDE=$1 carried=$carried plain_library_path=$plain_library_path timeout -k 5 "${limits[$1]}" bash "$self" 2>&1 | tee "$report/$1.log"
    code=${PIPESTATUS[0]}
    end=$(date +%s)
    [ "$code" != 124 ] || echo "== $1 was ended after ${limits[$1]} s"
    printf '{"part": "%s", "passed": %s, "seconds": %d}\n' "$1" "$([ "$code" = 0 ] && echo true || echo false)" $((end - start)) >"$report/$1.json"
    [ "$code" = 0 ] || echo "== $1 failed"
    write_report
    return "$code"
}

plain_library_path=${plain_library_path-${LD_LIBRARY_PATH-}}
prefix= cuda_folders= carried=${carried-}
unpack_packages || exit 1
find_cuda_libraries
[ -z "${INSIDE-}" ] || { "part_$INSIDE"; exit; }
unpack_carried

failed=0
for part in ${*:-build tests parity bench peers sanitizer}; do
    [ -n "${limits[$part]-}" ] || { echo "there is no part \"$part\"; known are: ${!limits[*]}"; exit 64; }
    run_part "$part" || failed=$((failed + 1))
done
echo "$failed parts failed; $report/report.json"
exit "$failed"
