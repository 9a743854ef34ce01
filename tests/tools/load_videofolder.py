#!/usr/bin/env python3
"""Loads a run's folder as Hugging Face datasets and pandas do (PyPI: datasets, pandas). usage: load_videofolder.py DIR"""
import pathlib
import sys

import datasets
import pandas

folder = pathlib.Path(sys.argv[1])
rows = pandas.read_json(folder / "metadata.jsonl", lines=True, dtype=False)
loaded = datasets.load_dataset("videofolder", data_dir=str(folder), data_files=["metadata.jsonl", "videos/**"],
                               split="train").cast_column("video", datasets.Video(decode=False))
assert len(loaded) == len(rows), (len(loaded), len(rows))
by_id = {(row["id"], row["sample"]): row for row in rows.to_dict("records")}
for row in loaded:
    known = by_id[row["id"], row["sample"]]
    assert row["prompt"] == known["prompt"] and row["video"]["path"].endswith(known["file_name"]), row
print(f"{len(rows)} videos, columns {loaded.column_names}")
