#!/usr/bin/env python3
"""Programs that are not ours read all that `pyracast generate` writes, on 1, 2 and 4 ranks: ffprobe every MP4, h5dump and h5py
every shard and the index. usage: outside_readers.py PYRACAST SNAPSHOT
What docs/dataset-format.md says a reader should do is done as well, also where HDF5 may open too few files.
Ends with 77 (skipped) where ffprobe, h5dump or h5py is missing."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

try:
    import h5py
except ImportError:
    system = "/usr/bin/python3"   # Debian's package belongs to this one, whichever comes first in PATH
    if sys.executable != system and pathlib.Path(system).exists():
        os.execv(system, [system, *sys.argv])
    print("skipped: h5py is not installed (package python3-h5py)")
    sys.exit(77)
for tool, package in [("ffprobe", "ffmpeg"), ("h5dump", "hdf5-tools")]:
    if not shutil.which(tool):
        print(f"skipped: {tool} is not installed (package {package})")
        sys.exit(77)
program, snapshot = sys.argv[1:]
PROMPTS = [{"id": "a", "prompt": "a red circle"}, {"id": "b", "prompt": "a blue star", "samples": 2}, {"id": "c", "prompt": "a square", "frames": 1}]


def run(*command):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


def check_videos(folder, rows):
    videos = sorted(folder.glob("videos/**/*.mp4"))
    assert sorted(str(v.relative_to(folder)) for v in videos) == sorted(row["file_name"] for row in rows)
    for row in rows:
        stream = json.loads(run("ffprobe", "-v", "error", "-count_frames", "-show_streams", "-of", "json", folder / row["file_name"]))["streams"]
        assert len(stream) == 1 and stream[0]["codec_name"] == "h264" and stream[0]["pix_fmt"] == "yuv420p", stream
        assert (stream[0]["width"], stream[0]["height"], int(stream[0]["nb_read_frames"])) == (row["width"], row["height"], row["frames"]), stream


def check_hdf5(folder, rows):
    seen = []
    for path in [*sorted(folder.glob("shards/*/*.h5")), folder / "index.h5"]:
        run("h5dump", path)   # every value, checksums and all
        with h5py.File(path) as file:
            file.visititems(lambda name, item: item[()] if isinstance(item, h5py.Dataset) else None)
            if path.name != "index.h5":
                seen += zip(file["content/id"].asstr()[:], file["content/sample"][:].tolist())
            else:
                assert len(file["content/id"]) == len(rows)
    assert sorted(seen) == sorted((row["id"], row["sample"]) for row in rows), seen


READING = """
import h5py, json, resource, sys, types
try:
    import pandas
except ImportError:   # the rest is looked at without it
    def read_json(path, lines, dtype): return [json.loads(line) for line in open(path)]
    sys.modules["pandas"] = types.SimpleNamespace(read_json=read_json)
code, folder, most_files = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_NOFILE, (int(most_files), int(most_files)))
exec(code.replace('"DIR"', repr(folder)))
assert latents.shape[0] == 4 and embedding.size and done.all(), (latents.shape, embedding.size, done)
"""


def check_documented_reading(folder):
    """The lines of docs/dataset-format.md do as they say, also where a process can open fewer files than there are shards."""
    text = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "dataset-format.md").read_text()
    code = text.split("```python\n")[1].split("```")[0]
    def read(most_files): return subprocess.run([sys.executable, "-c", READING, code, str(folder), str(most_files)], capture_output=True, text=True)
    for most_files in (1000, 6):   # 6: the streams, and three more
        done = read(most_files)
        assert done.returncode == 0, (most_files, done.stderr)


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PROMPTS))
    for ranks in (1, 2, 4):
        output = folder / f"on-{ranks}"
        run("mpirun", "-n", ranks, program, "generate", "--snapshot", snapshot, "--prompts", folder / "prompts.jsonl", "--steps", "4",
            "--output", output, "--save", "frames,latents,step-latents,embeddings", "--shard-samples", "1" if ranks == 4 else "1000")
        rows = [json.loads(line) for line in (output / "metadata.jsonl").read_text().splitlines()]
        assert len(rows) == 4, rows
        check_videos(output, rows)
        check_hdf5(output, rows)
        if ranks == 4:   # a sample a shard
            check_documented_reading(output)
        print(f"{ranks} ranks: {len(rows)} videos, {len(list(output.glob('shards/*/*.h5')))} shards read")
