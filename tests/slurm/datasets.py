"""What two datasets must have in common, and what one must hold. Needs h5py and ffprobe."""
import json
import pathlib
import subprocess

import h5py
import numpy


def check(condition, message):
    if not condition:
        raise AssertionError(message)


def videos(folder):
    """The bytes of each finished MP4, by its path in the dataset."""
    folder = pathlib.Path(folder)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("videos/**/*.mp4")}


NO_COLUMNS = ("step_phases", "step_counters")   # names of what others hold


def rows(folder, group):
    """The columns and arrays of a group of all shards, a dictionary for each (id, sample)."""
    found = {}
    for path in sorted(pathlib.Path(folder).glob("shards/*/*.h5")):
        with h5py.File(path) as file:
            names = list(zip(file["content/id"].asstr()[:], file["content/sample"][:].tolist()))
            data = {name: item.asstr()[:] if h5py.check_string_dtype(item.dtype) else item[:] for name, item in file[group].items()}
            for index, name in enumerate(names):
                check(name not in found, f"{name} stands in two shards")
                found[name] = {column: row_of(data, column, index) for column in data
                               if not column.endswith("_offsets") and column not in NO_COLUMNS}
            counters = file["provenance/step_counters"].asstr()[:]
        if group == "provenance":
            for name in names:
                found[name]["step_counts"] = dict(zip(counters, found[name]["step_counts"].T))
    return found


def row_of(data, column, index):
    """One sample's value in a column; of an array, the part between the sample's offsets."""
    offsets = data.get("step_offsets" if column in ("step_seconds", "step_counts") else column + "_offsets")
    return data[column][index] if offsets is None else data[column][offsets[index] : offsets[index + 1]]


def check_equal(folder, reference, samples):
    """Both hold the same `samples` samples: MP4 bytes, every column of the shards' content, and metadata.jsonl but for order."""
    made, wanted = videos(folder), videos(reference)
    check(made == wanted, f"MP4 files differ: {sorted(name for name in {*made, *wanted} if made.get(name) != wanted.get(name))}")
    made, wanted = rows(folder, "content"), rows(reference, "content")
    check(len(wanted) == samples, f"the reference has {len(wanted)} samples, expected {samples}")
    differing = [(name, column) for name in {*made, *wanted} for column in {*made.get(name, {}), *wanted.get(name, {})}
                 if not numpy.array_equal(made.get(name, {}).get(column), wanted.get(name, {}).get(column))]
    check(not differing, f"content differs: {sorted(differing)}")
    lines = [sorted(pathlib.Path(each, "metadata.jsonl").read_text().splitlines()) for each in (folder, reference)]
    check(lines[0] == lines[1], "metadata.jsonl differs")


def check_decodes(folder):
    """Every MP4 decodes to the frames and size that its row names."""
    for line in pathlib.Path(folder, "metadata.jsonl").read_text().splitlines():
        row = json.loads(line)
        probe = subprocess.run(["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-of", "json", str(pathlib.Path(folder, row["file_name"]))],
                               check=True, capture_output=True, text=True)
        check(not probe.stderr, f"{row['file_name']}: {probe.stderr}")
        stream = json.loads(probe.stdout)["streams"][0]
        found = (int(stream["height"]), int(stream["width"]), int(stream["nb_read_frames"]))
        check(found == (row["height"], row["width"], row["frames"]), f"{row['file_name']}: {found}")


def check_steps(folder, teams_share):
    """Every evaluation of every sample has its seconds; a team that shares videos has sent bytes in it, and broadcasting has avoided some."""
    sent = avoided = 0
    for name, row in rows(folder, "provenance").items():
        seconds, counts = row["step_seconds"], row["step_counts"]
        check(len(seconds) > 0 and numpy.isfinite(seconds).all() and (seconds.sum(axis=1) > 0).all(), f"{name}: seconds {seconds}")
        check(len(counts["all_to_all_bytes"]) == len(seconds), f"{name}: counts of {len(counts['all_to_all_bytes'])} of {len(seconds)} evaluations")
        sent, avoided = sent + counts["all_to_all_bytes"].sum(), avoided + counts["all_to_all_bytes_avoided"].sum()
        check((counts["all_to_all_bytes"] + counts["all_to_all_bytes_avoided"] > 0).all() or not teams_share or row_is_image(folder, name),
              f"{name}: an evaluation in which nothing was sent or avoided")
    check(not teams_share or (sent > 0 and avoided > 0), f"{sent} bytes sent, {avoided} avoided")
    return int(sent), int(avoided)


def row_is_image(folder, name):
    return rows(folder, "content")[name]["frames"] == 1
