#!/usr/bin/env python3
"""SIGKILL inside `pyracast join` at each call that touches the joined folder, in turn; the same command again must give the dataset
that one run makes, and nothing of a part may have changed.
usage: join_drill.py [--step N] PYRACAST LIBRARY
LIBRARY is libfail_calls.so. --step: only every N-th call. Once into an empty folder, then of a part more into one that holds two."""
import argparse
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import dataset_content   # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("--step", type=int, default=1)
parser.add_argument("program")
parser.add_argument("library")
options = parser.parse_args()


def generate(output, *more):
    subprocess.run([options.program, "generate", "--model", "null", "--prompts", str(folder / "prompts.jsonl"), "--output", str(output),
                    "--shard-samples", "3", "--threads", "1", *more], check=True, capture_output=True)


def join(output, parts, killed_at=None):
    environment = dict(os.environ)
    if killed_at is not None:
        environment.update(LD_PRELOAD=options.library, FAIL_FOLDER=str(output), FAIL_AT=str(killed_at), FAIL_ON="kill", FAIL_LOG=str(output) + ".log")
    return subprocess.run([options.program, "join", "--output", str(output), *map(str, parts)], env=environment, capture_output=True, text=True)


def bytes_of(root):
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*")
            if path.is_file() and path.name != "lock"}


def drill(start, parts, at):
    """(the call at which the join was killed, or None, what is wrong)."""
    output = folder / f"joined-{at}"
    shutil.copytree(start, output)
    killed = join(output, parts, at)
    call = pathlib.Path(f"{output}.log").read_text().splitlines()[0] if killed.returncode < 0 else None
    wrong = [] if killed.returncode in (-9, 0) else [f"ended with {killed.returncode}: {killed.stderr}"]
    again = join(output, parts)
    if again.returncode != 0:
        wrong.append(f"the next join ended with {again.returncode}: {again.stderr}")
    else:
        try:
            if dataset_content.content_of(output) != expected:
                wrong.append("the dataset differs")
        except (ValueError, OSError, KeyError) as error:
            wrong.append(f"the dataset is not sound: {error}")
        verified = subprocess.run([options.program, "verify", "--output", str(output), "--prompts", str(folder / "prompts.jsonl")],
                                  capture_output=True, text=True)
        if verified.returncode != 0:
            wrong.append(f"verify ended with {verified.returncode}: {verified.stdout}{verified.stderr}")
    shutil.rmtree(output)
    return call, wrong


def sweep(start, parts, what):
    kills, mistakes, at = 0, 0, 1
    while True:   # one at a time: a join holds the parts' locks
        call, wrong = drill(start, parts, at)
        kills += call is not None
        mistakes += bool(wrong)
        if wrong:
            print(f"{what}, killed at call {at}, {call}:\n    " + "\n    ".join(wrong), flush=True)
        if call is None:
            break
        at += options.step
    print(f"{what}: killed at {kills} calls in turn, {mistakes} went wrong", flush=True)
    return mistakes if kills else 1


with tempfile.TemporaryDirectory(prefix="pyracast-joins-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:
    folder = pathlib.Path(name)
    (folder / "prompts.jsonl").write_text("".join(
        f'{{"id": "{n}", "prompt": "a red circle {n}", "samples": {1 + n % 2}}}\n' for n in range(12)))
    generate(folder / "whole")
    parts = [folder / f"part-{n}" for n in range(3)]
    for n, part in enumerate(parts):
        generate(part, "--part", f"{n}/3")
    expected, before = dataset_content.content_of(folder / "whole"), [bytes_of(part) for part in parts]
    (folder / "empty").mkdir()
    mistakes = sweep(folder / "empty", parts, "into an empty folder")
    (folder / "two").mkdir()
    assert join(folder / "two", parts[:2]).returncode in (0, 75)
    mistakes += sweep(folder / "two", parts[2:], "a part more")
    if [bytes_of(part) for part in parts] != before:
        mistakes += 1
        print("a part has changed")
    sys.exit(1 if mistakes else 0)
