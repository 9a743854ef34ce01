#!/usr/bin/env python3
"""Writes first inputs for the fuzzers tests/fuzz/safetensors.cpp, unpickler.cpp and progress.cpp.

usage: make_fuzz_corpora.py FOLDER      (fills FOLDER/safetensors and FOLDER/unpickler from tests/data and tests/golden, and FOLDER/progress)
"""
import io
import json
import pathlib
import struct
import sys
import zipfile

tests = pathlib.Path(__file__).parent.parent
out = pathlib.Path(sys.argv[1])


def safetensors(header, data):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


made = {
    "one": safetensors({"w": entry("F32", [2], 0, 8)}, bytes(8)),
    "several": safetensors({"__metadata__": {"format": "pt"}, "a": entry("BF16", [2, 2], 0, 8),
                            "b": entry("I64", [], 8, 16), "c": entry("BOOL", [0, 3], 16, 16),
                            "d": entry("U8", [1], 16, 17)}, bytes(17)),
    "none": safetensors({}, b""),
}
folder = out / "safetensors"
folder.mkdir(parents=True, exist_ok=True)
for name, content in made.items():
    (folder / name).write_bytes(content)
for path in (tests / "golden" / "noise").glob("*/*.safetensors"):
    (folder / path.parent.name).write_bytes(path.read_bytes())

folder = out / "unpickler"
folder.mkdir(parents=True, exist_ok=True)
for path in (tests / "data" / "torch").glob("*.pt"):
    content = path.read_bytes()
    (folder / path.name).write_bytes(b"\0" + content)          # a whole file
    if zipfile.is_zipfile(io.BytesIO(content)):                # its pickle alone
        archive = zipfile.ZipFile(io.BytesIO(content))
        pickle = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
        (folder / f"{path.name}.pkl").write_bytes(b"\1" + archive.read(pickle))

folder = out / "progress"
folder.mkdir(parents=True, exist_ok=True)
cost = [[0.5] * 6, 0.1, 0.2, [1] * 6, 2, 64, 0, 0, [0] * 6, [0] * 6]
about = {"format": 3, "fingerprint": "f" * 64, "id": "a", "sample": 0, "clip": 0, "evaluations": 1, "sampler_step": 1, "sampler_history": 1,
         "frames": 0, "height": 8, "width": 8, "fps": 24.0, "latent_shape": [4, 1, 1, 1], "encoded_prompt": "a", "embedding_shape": [1, 1],
         "text_seconds": 0.1, "decode_seconds": 0.0, "continuations": 1, "continued_after": 1,
         "outputs": [[0, 3, 0], [0, 3, 1]], "costs": [cost]}
(folder / "about").write_bytes(b"\1" + json.dumps(about).encode())
