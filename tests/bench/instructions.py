#!/usr/bin/env python3
"""Instructions that callgrind counts in hot stages of `pyracast bench` at the demo's size, against those recorded in
instructions.json: a regression shows here whatever else the machine does.

    tests/bench/instructions.py [--program build/cpu/pyracast] [--record]

Valgrind knows AVX2 but not AVX-512, so that counts are of the AVX2 path; both are one source. A count is the mean of four
runs of the stage after a first one; weights and inputs are not counted. Exit code 1 where a stage takes 3 % more than recorded.
"""
import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

here = Path(__file__).resolve().parent
stages = ["gemm-120x128x384", "conv-3x3-64-64-at-1x6x6", "spatial-attention", "temporal-attention", "cross-attention",
          "norm-modulate", "gate-residual", "gelu", "mlp", "stdit3-pair"]
fast_stages = ["gemm-120x128x384", "conv-3x3-64-64-at-1x6x6", "mlp", "stdit3-pair"]   # with --dtype bfp16


def instructions(program, stage, dtype, repeats):
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", "--collect-atstart=no",
                   "--toggle-collect=pyracast::run_stage*", str(program), "bench", "--size", "demo", "--cpu-isa", "avx2", "--threads", "1",
                   "--dtype", dtype, "--stages", stage, "--without-peaks", "--repeats", str(repeats)]
        done = subprocess.run(command, capture_output=True, text=True,
                              env={"PATH": "/usr/bin:/bin", "OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "1"})
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    if int(found[1]) == 0:
        sys.exit(f"{' '.join(command)}\nnothing was counted: no function of the program is called pyracast::run_stage")
    return int(found[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=here.parents[1] / "build/cpu/pyracast")
    parser.add_argument("--record", action="store_true", help="write what is counted as the new record")
    options = parser.parse_args()
    record = here / "instructions.json"
    known = json.loads(record.read_text()) if record.exists() else {}
    counted, worse = {}, False
    for stage, dtype in [*((stage, "float32") for stage in stages), *((stage, "bfp16") for stage in fast_stages)]:
        name = stage if dtype == "float32" else f"{stage}, {dtype}"
        counted[name] = instructions(options.program, stage, dtype, 4) // 4
        before = known.get(name)
        change = f"{100 * (counted[name] / before - 1):+.2f} %" if before else "not recorded"
        worse |= bool(before) and counted[name] > 1.03 * before
        print(f"{name:32} {counted[name]:12} instructions a run, {change}", flush=True)
    if options.record:
        record.write_text(json.dumps(counted, indent=1) + "\n")
        return 0
    return 1 if worse else 0


sys.exit(main())
