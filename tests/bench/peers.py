#!/usr/bin/env python3
"""Our stages and the same ones in PyTorch, diffusers and oneDNN, in turns, in one run, on one thread each.

    tests/bench/peers.py [--program build/cpu/pyracast] [--environment build/peers] [--repeats 7] [STAGE...]
    tests/bench/peers.py --scaling 2 [STAGE...]
    tests/bench/peers.py --fast [STAGE...]
    tests/bench/peers.py --gpu [--size 480p] [--dtype fp8] [STAGE...]

Makes a virtual environment outside of git (PyPI's torch brings its CUDA libraries on x86, some 5 GB; no GPU is used), runs
each stage in turns, and prints a markdown table: CPU seconds of ours (median), our share of the peak measured beside it, and
the peers' seconds over ours, median (least - most) of the turns. CPU time, so that other work on the machine counts little.
Stages a peer does not have are left out of its column; "-compiled" behind a stage has PyTorch compile it (torch.compile). oneDNN: where libdnnl-dev is and `cmake --build --preset cpu --target onednn_bench` was done.

With --scaling each stage runs on one thread and on several in turns, ours and PyTorch's, by the wall clock: how many times
faster several are, beside what the peak loop gains from as many threads at the same time.

With --gpu both run on a GPU, PyTorch in bfloat16, eager and compiled, by this python's PyTorch (a GPU machine may have no network), by the wall
clock from an idle device to an idle device. Without diffusers Latte's pair and the decoding have no peer.

With --fast ours runs in its fast mode (--dtype auto) beside ours in float32 and PyTorch in each of its own: float32 and bfloat16, eager
and compiled, one thread each. The last column is the turns' best of these four over ours.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

here = Path(__file__).resolve()
root = here.parents[2]
thread_settings = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
default_stages = """gemm-1500x1152x3456 gemm-1500x1152x1152 gemm-1500x4608x1152 conv-3x3-512-512-at-1x32x32
    conv-3x3-256-256-at-1x128x128 conv-3x3-128-128-at-1x256x256 conv-3x3-128-3-at-1x256x256 conv-3x3x3-512-512-at-5x16x16
    conv-3x3x3-128-128-at-9x64x64 conv-3x1x1-256-256-at-9x32x32 spatial-attention temporal-attention cross-attention
    norm-modulate gate-residual projection projection-gated gelu mlp stdit3-pair stdit3-pair-compiled latte-pair latte-pair-compiled vae-decode
    vae-decode-channels-last""".split()
fast_stages = "gemm-1500x1152x3456 gemm-1500x4608x1152 mlp stdit3-pair latte-pair vae-decode-channels-last".split()
scaling_stages = "gemm-1500x1152x3456 stdit3-pair latte-pair".split()
gpu_stages = """spatial-attention temporal-attention cross-attention norm-modulate gate-residual projection-gated gelu mlp stdit3-pair latte-pair
    vae-decode""".split()


class Peer:
    """A program that runs the stages named on its standard input and answers with lines of JSON."""

    def __init__(self, command, threads=1, **more):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**environment, "OMP_WAIT_POLICY": "passive",
                                             **{name: str(threads) for name in thread_settings}, **more})

    def ask(self, name):
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args[0]} ended while it ran {name}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def make_environment(folder):
    python = folder / "bin" / "python"
    wanted = here.parent / "requirements.txt"
    done = folder / "installed.txt"
    if not done.exists() or done.read_text() != wanted.read_text():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(wanted)], check=True)
        done.write_text(wanted.read_text())
    return python


def name_of(stage, program):
    """Our `vae-decode` is channels last as it is, and compiled; PyTorch has both."""
    return stage.removesuffix("-channels-last").removesuffix("-compiled") if program == "ours" else stage


def ratios(above, below):
    """Of the turns, one by one."""
    return [a / b for a, b in zip(above, below)]


def shown(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f} - {max(values):.2f})"


def print_scaling(options, ours, theirs):
    """`ours` and `theirs` make a peer for a number of threads."""
    threads = options.scaling
    programs = {(name, n): make(n) for name, make in (("ours", ours), ("torch", theirs)) for n in (1, threads)}
    print(f"| stage | ours, s on 1 thread | {threads} threads: faster by | the peak loop | ours / peak loop | PyTorch faster by |\n|---|---|---|---|---|---|")
    for stage in options.stages or scaling_stages:
        seconds, peaks = {key: [] for key in programs}, {1: [], threads: []}
        for turn in range(options.repeats):
            for (name, n), program in programs.items() if turn % 2 == 0 else reversed(programs.items()):
                answer = program.ask(name_of(stage, name))
                seconds[name, n].append(answer["latest_wall" if name == "ours" else "wall_seconds"])
                if name == "ours":
                    peaks[n].append(answer["gflop_per_second_of_all_threads"])
        gain, peak_gain = ratios(seconds["ours", 1], seconds["ours", threads]), ratios(peaks[threads], peaks[1])
        print(f"| {stage} | {statistics.median(seconds['ours', 1]):.4g} | {shown(gain)} | {shown(peak_gain)} "
              f"| {shown(ratios(gain, peak_gain))} | {shown(ratios(seconds['torch', 1], seconds['torch', threads]))} |", flush=True)
    for program in programs.values():
        program.close()


def print_fast(options, fast, exact, torch):
    modes = ["", "-bfloat16", "-compiled", "-bfloat16-compiled"]
    programs = {"fast": (fast, "ours", ""), "float32": (exact, "ours", ""), **{mode: (peer, "torch", mode) for mode, peer in zip(modes, torch)}}
    print("| stage | ours fast, CPU s | of the peak of such products | ours float32 / fast | PyTorch float32 / fast | bfloat16 | compiled float32 "
          "| compiled bfloat16 | best of the four |\n|---|---|---|---|---|---|---|---|---|")
    everything = []
    for stage in options.stages or fast_stages:
        seconds, shares = {name: [] for name in programs}, []
        for turn in range(options.repeats):
            for name, (program, kind, mode) in list(programs.items())[::1 if turn % 2 == 0 else -1]:
                answer = program.ask(name_of(stage, "ours") if kind == "ours" else stage + mode)
                seconds[name].append(answer["latest" if kind == "ours" else "cpu_seconds"])
                if name == "fast":
                    shares.append(answer["share_of_peak"])
        best = [min(turn) for turn in zip(*(seconds[mode] for mode in modes))]
        columns = [shown(ratios(above, seconds["fast"])) for above in [seconds["float32"], *(seconds[mode] for mode in modes), best]]
        print(f"| {stage} | {statistics.median(seconds['fast']):.4g} | {100 * shares[-1]:.0f} % | {' | '.join(columns)} |", flush=True)
        everything.append({"stage": stage, **seconds})
    for program in {fast, exact, *torch}:
        program.close()
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1))


def print_gpu(options, ours, torch):
    """`torch`: eager, and compiled."""
    print(f"{options.size}, ours {options.dtype}, PyTorch bfloat16\n\n| stage | ours, s | TFLOP/s | PyTorch / ours | compiled / ours |\n|---|---|---|---|---|",
          flush=True)
    everything = []
    for stage in options.stages or gpu_stages:
        names = {"eager": f"{stage}-bfloat16", "compiled": f"{stage}-bfloat16-compiled"}
        programs = {"ours": (ours, stage), **{way: (peer, names[way]) for way, peer in zip(names, torch)}}
        answers = {way: [] for way in programs}
        for turn in range(options.repeats):
            for way, (program, name) in list(programs.items())[::1 if turn % 2 == 0 else -1]:
                answers[way].append(program.ask(name))
        seconds = {way: [answer["wall_seconds"] for answer in of_way if "missing" not in answer] for way, of_way in answers.items()}
        peer = lambda way: shown(ratios(seconds[way], seconds["ours"])) if seconds[way] else answers[way][0]["missing"]
        row = sorted(answers["ours"], key=lambda answer: answer["wall_seconds"])[options.repeats // 2]
        print(f"| {stage} | {row['wall_seconds']:.4g} | {row['tflop_per_second']:.1f} | {peer('eager')} | {peer('compiled')} |", flush=True)
        everything.append({"stage": stage, **seconds, "tflop_per_second": row["tflop_per_second"]})
        if options.json:   # behind each stage: the time may end
            options.json.write_text(json.dumps({"size": options.size, "dtype": options.dtype, "stages": everything}, indent=1))
    for program in (ours, *torch):
        program.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*")
    parser.add_argument("--program", type=Path, help="default: build/cpu/pyracast, with --gpu build/gpu/pyracast")
    parser.add_argument("--onednn", type=Path, default=root / "build/cpu/tests/onednn_bench")
    parser.add_argument("--environment", type=Path, default=root / "build/peers")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--scaling", type=int, metavar="THREADS")
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--size", default="480p", choices=("published", "480p"), help="with --gpu")
    parser.add_argument("--dtype", default="bfloat16", help="with --gpu: ours")
    parser.add_argument("--library-path", default=os.environ.get("LD_LIBRARY_PATH", ""), help="with --gpu: LD_LIBRARY_PATH of ours alone")
    parser.add_argument("--cpu-isa", default="auto")
    parser.add_argument("--json", type=Path, help="where to write all seconds")
    options = parser.parse_args()
    options.program = options.program or root / ("build/gpu/pyracast" if options.gpu else "build/cpu/pyracast")
    if options.gpu:
        bench = Peer([str(options.program), "bench", "--device", "cuda", "--dtype", options.dtype, "--size", options.size, "--on-request"],
                     LD_LIBRARY_PATH=options.library_path)
        return print_gpu(options, bench, [Peer([sys.executable, str(here.parent / "torch_stages.py"), "1", "cuda", options.size]) for _ in range(2)])
    python = make_environment(options.environment)
    def our_peer(threads, dtype="float32"):
        return Peer([str(options.program), "bench", "--threads", str(threads), "--cpu-isa", options.cpu_isa, "--dtype", dtype, "--on-request"], threads)

    def torch_peer(threads):
        return Peer([str(python), str(here.parent / "torch_stages.py"), str(threads)], threads)

    if options.scaling:
        return print_scaling(options, our_peer, torch_peer)
    if options.fast:   # a PyTorch for each mode: it keeps a stage's weights and what it compiled
        return print_fast(options, our_peer(1, "auto"), our_peer(1), [torch_peer(1) for _ in range(4)])
    ours, torch = our_peer(1), torch_peer(1)
    onednn = Peer([str(options.onednn)]) if options.onednn.exists() else None

    everything = []
    print("| stage | ours, CPU s | GFLOP/s | of peak | PyTorch / ours | oneDNN 2.6 / ours |\n|---|---|---|---|---|---|", flush=True)
    for stage in options.stages or default_stages:
        library = onednn if stage.startswith(("gemm", "conv")) else None
        programs = [("ours", ours), ("torch", torch)] + ([("onednn", library)] if library else [])
        seconds, rows = {name: [] for name, _ in programs}, []
        for turn in range(options.repeats):
            for name, program in programs if turn % 2 == 0 else reversed(programs):
                answer = program.ask(name_of(stage, name))
                if name == "ours":
                    rows.append(answer)
                seconds[name].append(answer["latest"] if name == "ours" else answer["cpu_seconds"])
        last = rows[-1]
        everything.append({"stage": stage, **seconds, "peak": last["peak_gflop_per_second"]})
        peer = lambda name: shown(ratios(seconds[name], seconds["ours"])) if name in seconds else "-"
        print(f"| {stage} | {last['cpu_seconds']:.4g} | {last['gflop_per_second']:.1f} | {100 * last['share_of_peak']:.1f} % "
              f"| {peer('torch')} | {peer('onednn')} |", flush=True)
    if onednn:
        changed = onednn.ask("rows")
        print(f"\noneDNN: {len(changed)} of 45 combinations of rows, threads and matrix change bits of a row"
              + (f", the first {changed[0]}" if changed else ""))
        everything.append({"onednn_changed_rows": changed})
    for program in (ours, torch, onednn):
        if program:
            program.close()
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1))


main()
