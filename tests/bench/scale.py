#!/usr/bin/env python3
"""What a large dataset costs beside its videos, as a table for docs/performance.md.

    scale.py BUILD SAMPLES... [--made 10000] [--shard-samples 1000]
(BUILD: build/cpu; docs/performance.md has 0 200000 1000000, and 0 --made 1000000)

For each number: so many finished samples are put into a folder (finished_bench prints what it takes to check and index their
prompts, to find them again and to make the index), then `generate --model null` goes on there on 8 ranks and makes some more. All in
/dev/shm, so that the program is measured and not a disk; CPU seconds, because others may use the machine."""
import argparse
import json
import os
import pathlib
import resource
import shutil
import subprocess
import tempfile
import time

RANKS = 8
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("build", type=pathlib.Path)
parser.add_argument("samples", type=int, nargs="+")
parser.add_argument("--made", type=int, default=10000, help="samples that are made")
parser.add_argument("--shard-samples", type=int, default=1000, help="finished samples of a shard")
options = parser.parse_args()
build, numbers, made = options.build, options.samples, options.made


def generate(output, prompts):
    """(seconds, CPU seconds, largest memory of a process in MB)"""
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    words = ["mpirun", "-n", RANKS, build / "pyracast", "generate", "--model", "null", "--prompts", prompts, "--output", output, "--threads", 1]
    subprocess.run([str(word) for word in words], check=True, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (time.monotonic() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, after.ru_maxrss >> 10)


def most_entries(output):
    return max((len(folders) + len(files), os.path.relpath(path, output)) for path, folders, files in os.walk(output))


with tempfile.TemporaryDirectory(prefix="pyracast-scale-", dir="/dev/shm") as name:
    folder = pathlib.Path(name)
    (folder / "one.txt").write_text("a prompt\n")
    generate(folder / "one", folder / "one.txt")   # only to learn the fingerprint and a sample's settings
    fingerprint = json.loads((folder / "one" / "run.json").read_text())["fingerprint"]
    settings = json.loads((folder / "one" / "metadata.jsonl").read_text())["settings"]
    for samples in numbers:
        output = folder / "out"
        print(f"{samples} finished samples:", flush=True)
        if samples:
            words = [build / "tests" / "finished_bench", samples, output, options.shard_samples, fingerprint, settings]
            subprocess.run([str(word) for word in words], check=True)
        else:
            output.mkdir()
        with open(output / "prompts.jsonl", "a") as prompts:
            for n in range(made):
                prompts.write(json.dumps({"id": f"more-{n}", "prompt": f"a red circle, {n}"}) + "\n")
        more = generate(output, output / "prompts.jsonl")
        again = generate(output, output / "prompts.jsonl")   # what beginning and ending take
        counts = json.loads((output / "run.json").read_text())["samples"]
        assert counts["done"] == samples + made, counts
        print(f"{'a run that makes ' + str(made):40} {more[0]:8.2f} s, CPU {more[1]:8.2f} s, {more[2]:6} MB a rank at most")
        print(f"{'a run that finds all finished':40} {again[0]:8.2f} s, CPU {again[1]:8.2f} s, {again[2]:6} MB a rank at most")
        print(f"{'so each of those made':40} {'':11} CPU {(more[1] - again[1]) / made * 1e6:8.0f} us")
        print(f"{'most entries of a folder':40} {most_entries(output)}", flush=True)
        shutil.rmtree(output)
