"""Compares the clips of the C++ program with those of this folder's networks, from one snapshot and the same noise.

usage: compare_program.py SNAPSHOT PYRACAST FOLDER [--frames 17] [--height 48] [--width 48]

FOLDER is where the program writes. Prints the greatest difference of a byte and how many bytes differ.
"""

import argparse
import json
import pathlib
import subprocess

import h5py
import numpy
import torch

from snapshot import Snapshot

PROMPTS = ("a red circle moving left on a blue background", "a yellow star bouncing on a pink background",
           "a green triangle growing on a white background", "a purple square moving down on a black background")


def program_frames(options):
    options.folder.mkdir(parents=True, exist_ok=True)
    manifest = options.folder / "prompts.jsonl"
    rows = [{"id": f"compare-{i}", "prompt": p, "seed": i} for i, p in enumerate(PROMPTS)]
    manifest.write_text("".join(json.dumps(r) + "\n" for r in rows))
    subprocess.run([options.pyracast, "generate", "--model", "opensora-1.2", "--dtype", "float32",
                    "--snapshot", options.snapshot, "--prompts", manifest, "--output", options.folder / "clips",
                    "--noise", "torch", "--save", "frames", "--frames", str(options.frames),
                    "--height", str(options.height), "--width", str(options.width)], check=True)
    found = {}
    for path in (options.folder / "clips" / "shards").glob("*/*.h5"):
        with h5py.File(path) as shard:
            content = shard["content"]
            name = f"frames_{options.frames}x{options.height}x{options.width}"
            for row, frames in zip(content[f"{name}_rows"], content[name]):
                found[content["id"][row].decode()] = frames
    return [found[f"compare-{i}"] for i in range(len(PROMPTS))]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("snapshot", type=pathlib.Path)
    parser.add_argument("pyracast", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    for name, value in (("frames", 17), ("height", 48), ("width", 48)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    snapshot = Snapshot(options.snapshot)
    for seed, (prompt, theirs) in enumerate(zip(PROMPTS, program_frames(options))):
        own = snapshot.generate([prompt], options.frames, options.height, options.width, seed)[0]
        difference = numpy.abs(own.astype(int) - theirs)
        print(f"{prompt}: greatest difference {difference.max()}, {(difference > 0).mean():.2%} of the bytes differ")
