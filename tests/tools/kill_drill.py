#!/usr/bin/env python3
"""SIGKILL to one rank, or to all and mpirun, at random moments; the same command again with other numbers of ranks and samples a
shard, until the dataset is complete; then it must be an undisturbed run's: the same MP4 bytes and content, each sample once.
usage: kill_drill.py [--kills N] [--seed N] [--samples N] PYRACAST MODEL SETTINGS...
Signals go only to processes that this program has started."""
import argparse
import collections
import concurrent.futures
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import dataset_content   # noqa: E402

WORKERS = 6   # datasets at a time: a job waits more than it computes, most of all when it begins and ends

parser = argparse.ArgumentParser()
parser.add_argument("--kills", type=int, default=50)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--samples", type=int, default=240)
parser.add_argument("program")
parser.add_argument("model", nargs=argparse.REMAINDER)
options = parser.parse_args()


def command(ranks, shard_samples, output):
    return ["mpirun", "-n", str(ranks), options.program, "generate", *options.model, "--prompts", str(folder / "prompts.jsonl"),
            "--output", str(output), "--threads", "1", "--shard-samples", str(shard_samples), "--checkpoint-every", "2"]


def ranks_of(job):
    """The processes of the job's ranks, by rank; mpirun's children."""
    found = {}
    try:
        children = pathlib.Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
        for child in children:
            for entry in pathlib.Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
                if entry.startswith(b"OMPI_COMM_WORLD_RANK="):
                    found[int(entry.split(b"=")[1])] = int(child)
    except OSError:
        pass   # they come and go
    return found


def kill(process):
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        pass


def durable(output):
    return sum(1 for path in (output / "videos").glob("*/*/*.mp4"))


def one_run(dice, ranks, shard_samples, output):
    """Runs until a random moment, kills, and says what was killed; None: it ended before. A third of the moments are seconds after
    the last rank has begun, the others numbers of videos: most of a short run is its beginning and its end."""
    with open(f"{output}.log", "w") as log:
        job = subprocess.Popen(command(ranks, shard_samples, output), stdout=log, stderr=log)
    start = time.monotonic()
    while len(ranks_of(job)) < ranks and job.poll() is None and time.monotonic() < start + 60:
        time.sleep(0.01)
    if dice.random() < 1 / 3:
        time.sleep(dice.uniform(0, whole))
    else:
        videos = dice.randint(durable(output), options.samples)
        while durable(output) < videos and job.poll() is None and time.monotonic() < start + 120:
            time.sleep(0.002)
        time.sleep(dice.uniform(0, 0.01))
    running = ranks_of(job)
    if job.poll() is not None or not running:
        job.wait()
        if job.returncode != 0:
            raise RuntimeError(f"a run that was not killed ended with {job.returncode}: {pathlib.Path(f'{output}.log').read_text()}")
        return None
    if dice.random() < 0.5:
        rank = dice.choice(sorted(running))
        kill(running[rank])
        what = "the first rank" if rank == 0 else "another rank"
    else:
        for process in [job.pid, *running.values()]:
            kill(process)
        what = "all"
    try:
        job.wait(60)
    except subprocess.TimeoutExpired:
        for process in [*running.values(), job.pid]:
            kill(process)
        raise RuntimeError(f"the job lives on after {what} was killed: {pathlib.Path(f'{output}.log').read_text()}") from None
    return what


def drill(number):
    """Up to four kills of one dataset: (what was killed, how often while samples were made, what is wrong, whether something
    was put aside)."""
    dice, output = random.Random(options.seed * 1000003 + number), folder / f"round-{number}"
    kills, while_making, history, faults = [], 0, [], []
    try:
        while len(kills) < 4:
            ranks, shard_samples, before = dice.randint(1, 4), dice.choice([1, 7, 50, 1000]), durable(output)
            what = one_run(dice, ranks, shard_samples, output)
            history.append(f"{ranks} ranks, {shard_samples} samples a shard: {what or 'complete'}, {durable(output)} videos")
            if what is None:
                break
            kills.append(what)
            while_making += before < durable(output) < options.samples
        subprocess.run(command(dice.randint(1, 4), 1000, output), check=True, capture_output=True, text=True)
        if dataset_content.content_of(output) != expected:
            faults = ["the dataset differs"]
    except subprocess.CalledProcessError as error:
        faults = [f"the last run ended with {error.returncode}: {error.stderr}"]
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        faults = [str(error)]
    aside = (output / "quarantine").exists()
    shutil.rmtree(output, ignore_errors=True)
    return kills, while_making, [*history, *faults] if faults else [], aside


with tempfile.TemporaryDirectory(prefix="pyracast-kills-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:
    folder = pathlib.Path(name)
    options.samples = options.samples // 3 * 3
    (folder / "prompts.jsonl").write_text("".join(
        f'{{"id": "prompt {n}", "prompt": "a red circle {n}", "samples": {1 + n % 2}}}\n' for n in range(options.samples * 2 // 3)))
    begun = time.monotonic()
    subprocess.run(command(2, 1000, folder / "undisturbed"), check=True, capture_output=True)
    whole = time.monotonic() - begun
    expected = dataset_content.content_of(folder / "undisturbed")
    kills, rounds, while_making, wrong, aside = collections.Counter(), 0, 0, 0, 0
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        while sum(kills.values()) < options.kills:
            for killed, making, faults, put_aside in pool.map(drill, range(rounds, rounds + WORKERS)):
                kills.update(killed)
                while_making += making
                aside += put_aside
                wrong += bool(faults)
                if faults:
                    print(f"a round of seed {options.seed}:", *faults, sep="\n    ", flush=True)
            rounds += WORKERS
    print(f"{sum(kills.values())} kills ({', '.join(f'{n} of {what}' for what, n in sorted(kills.items()))}; {while_making} while samples were "
          f"being made) of {rounds} datasets of {options.samples} samples: {wrong} differ from the undisturbed one; "
          f"of {aside} a journal that the kill had torn was put aside")
    sys.exit(1 if wrong else 0)
