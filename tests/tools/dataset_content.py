"""What must be equal between datasets of the same samples: the bytes of every MP4, and every value of the shards' content."""
import hashlib
import os
import pathlib
import sys

try:
    import h5py
except ImportError:
    system = "/usr/bin/python3"   # Debian's package belongs to this one, whichever comes first in PATH
    if sys.executable != system and pathlib.Path(system).exists():
        os.execv(system, [system, *sys.argv])
    print("skipped: h5py is not installed (package python3-h5py)")
    sys.exit(77)


def rows_of(shard):
    """(id, sample) and all content of each row of a shard."""
    content = shard["content"]
    names = sorted(name for name in content if not name.endswith(("_offsets", "_shapes", "_rows")))
    columns = {name: content[name][:] for name in names if name + "_offsets" not in content and not name.startswith("frames_")}
    arrays = {name: (content[name][:], content[name + "_offsets"][:], content[name + "_shapes"][:])
              for name in names if name + "_offsets" in content}
    clips = {name: (content[name][:], list(content[name + "_rows"][:])) for name in names if name.startswith("frames_")}
    for row in range(len(columns["id"])):
        values = {name: repr(column[row]) for name, column in columns.items()}
        for name, (array, offsets, shapes) in arrays.items():
            values[name] = (tuple(shapes[row]), array[offsets[row]:offsets[row + 1]].tobytes())
        for name, (array, rows) in clips.items():
            values[name] = array[rows.index(row)].tobytes() if row in rows else None
        yield (columns["id"][row].decode(), int(columns["sample"][row])), values


def content_of(output):
    """A value for each (id, sample) and each MP4. Raises where a sample stands twice or an index says something else."""
    output, content = pathlib.Path(output), {}
    for path in sorted(output.glob("shards/*/*.h5")):
        with h5py.File(path) as shard:
            for key, values in rows_of(shard):
                if key in content:
                    raise ValueError(f"{key} stands twice, also in {path}")
                content[key] = values
    with h5py.File(output / "index.h5") as index:
        listed = list(zip((name.decode() for name in index["content/id"]), (int(n) for n in index["content/sample"])))
    if sorted(listed) != sorted(content):
        raise ValueError(f"{output}/index.h5 lists {len(listed)} samples, the shards hold {len(content)}, and they differ")
    if len((output / "metadata.jsonl").read_text().splitlines()) != sum(1 for values in content.values() if "status" in values and values["status"] == "0"):
        raise ValueError(f"{output}/metadata.jsonl has not a line a finished video")
    for path in sorted(output.glob("videos/**/*")):
        if path.is_file():
            content[str(path.relative_to(output))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return content
