#!/usr/bin/env python3
"""Makes two held-out clips of the demo model with each of its broadcast files, in float32 and in block floating point (--dtype bfp16), and holds
latents and pixels against hashes that were recorded on another machine: equal bit for bit wherever there is AVX2.

    tests/tools/same_bytes.py PYRACAST [--record]      --record: writes same_bytes.json anew

Exit 77 where the processor has no AVX2: its results are others, as docs/operations.md says.
"""
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

from dataset_content import h5py, rows_of

here = pathlib.Path(__file__).resolve()
root = here.parents[2]
recorded_file = here.with_suffix(".json")


def hashes_of(output):
    found = {}
    for path in sorted(output.glob("shards/*/*.h5")):
        with h5py.File(path) as shard:
            for (name, _), values in rows_of(shard):
                pixels = next(values[key] for key in values if key.startswith("frames_"))
                latents = values["latents"][1]
                assert len(pixels) and len(latents), f"{path} holds no frames or latents of {name}"
                found[name] = hashlib.sha256(latents + pixels).hexdigest()
    return found


def made(program, folder, name, more):
    output = folder / name
    ended = subprocess.run([program, "generate", "--config", root / "configs/demo.cfg", "--prompts", folder / "prompts.jsonl", "--output", output,
                            "--save", "frames,latents", *more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if ended.returncode:
        sys.exit(f"{name}: generate ended with {ended.returncode}\n{ended.stdout}")
    return hashes_of(output)


def main():
    if " avx2 " not in pathlib.Path("/proc/cpuinfo").read_text():
        print("skipped: this processor has no AVX2")
        sys.exit(77)
    program, found = sys.argv[1], {}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        lines = (root / "configs/demo/train/held_out_prompts.jsonl").read_text().splitlines()[:2]
        folder.joinpath("prompts.jsonl").write_text("\n".join(json.dumps({key: json.loads(line)[key] for key in ("id", "prompt")}) for line in lines) + "\n")
        files = sorted((root / "configs/broadcast").glob("demo-*.json"))
        for dtype in ("float32", "bfp16"):
            for file in [None, *files]:
                name = f"{dtype}, {file.name if file else 'everything computed'}"
                steps = json.loads(file.read_text()).get("steps", 30) if file else 30
                more = ["--dtype", dtype, "--steps", str(steps), *(["--broadcast", file] if file else [])]
                found[name] = made(program, folder, name, more)
    if "--record" in sys.argv:
        recorded_file.write_text(json.dumps(found, indent=1) + "\n")
    recorded = json.loads(recorded_file.read_text())
    different = [name for name in sorted(recorded | found) if recorded.get(name) != found.get(name)]
    for name in different:
        print(f"{name}: found {found.get(name)}, recorded {recorded.get(name)}")
    print(f"{len(found)} runs, {len(different)} differ from {recorded_file.name}")
    sys.exit(bool(different))


main()
