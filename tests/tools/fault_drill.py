#!/usr/bin/env python3
"""Each call that touches the dataset fails once, in turn: the program must end with 69 and say which file and why, and the same
command again must give an undisturbed run's dataset. Where the program goes on by itself, its dataset must be that at once.
usage: fault_drill.py [--step N] [--on once|always] [--errno N] PYRACAST LIBRARY MODEL SETTINGS...
LIBRARY is libfail_calls.so. --step: only every N-th call. Once from an empty folder; then from one that a failure has left, with a
sealed shard one of whose videos is gone, and a journal."""
import argparse
import collections
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import dataset_content   # noqa: E402

WORKERS = 8   # a run waits more than it computes

parser = argparse.ArgumentParser()
parser.add_argument("--step", type=int, default=1)
parser.add_argument("--on", choices=["once", "always"], default="once")
parser.add_argument("--errno", type=int, default=0)
parser.add_argument("program")
parser.add_argument("library")
parser.add_argument("model", nargs=argparse.REMAINDER)
options = parser.parse_args()
causes = [os.strerror(options.errno)] if options.errno else ["No space left on device", "Input/output error"]


def run(output, at=None, log=None):
    # The program goes on where a checkpoint's call fails; where all calls behind it fail too, it ends at another file's.
    command = [options.program, "generate", *options.model, "--prompts", str(folder / "prompts.jsonl"), "--output", str(output),
               "--shard-samples", "2", "--threads", "1", "--checkpoint-every", "1" if options.on == "once" else "never"]
    environment = dict(os.environ)
    if at is not None:
        environment.update(LD_PRELOAD=options.library, FAIL_FOLDER=str(output), FAIL_AT=str(at), FAIL_ON=options.on,
                           FAIL_LOG=str(log), FAIL_ERRNO=str(options.errno))
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def faults_of(output):
    """What is wrong with a dataset that should be the undisturbed one."""
    try:
        found = [] if dataset_content.content_of(output) == expected else ["the dataset differs"]
    except (ValueError, OSError, KeyError) as error:
        found = [f"the dataset is not sound: {error}"]
    if (output / "quarantine").exists():
        found.append("something sound was put aside: " + ", ".join(path.name for path in (output / "quarantine").iterdir()))
    return found


def drill(start, at, keep=None):
    """(the call number `at` of a run that goes on from `start`, whether the run went on, what was wrong); the call is None
    where the run ends before it."""
    output, log = folder / f"out-{at}", folder / f"log-{at}"
    shutil.copytree(start, output)
    failed = run(output, at, log)
    calls = [line for line in log.read_text().splitlines() if not line.endswith(" calls")] if log.exists() else []
    log.unlink(missing_ok=True)
    if keep:
        shutil.copytree(output, keep)
    wrong, call = [], None
    if calls:
        failing = [str(pathlib.Path(line.split(" ", 1)[1]).relative_to(output)) for line in calls]
        call, where = calls[0].split(" ", 1)[0], failing[0]
        if failed.returncode == 0:
            wrong += faults_of(output)
        else:
            if failed.returncode != 69:
                wrong.append(f"ended with {failed.returncode}")
            if not any(cause in failed.stderr for cause in causes):
                wrong.append("the message does not say why")
            # Of the first calls that fail, some may do without: a temporary file that stays, an index that is made anew.
            names = {name for path in failing for name in (path.removesuffix(".tmp"), str(pathlib.Path(path).parent)) if name != "."}
            if not any(name in failed.stderr for name in names):
                wrong.append("the message does not name the file")
            again = run(output)
            wrong += faults_of(output) if again.returncode == 0 else [f"the next run ended with {again.returncode}: {again.stderr}"]
        if wrong:
            wrong.append(failed.stderr.strip())
        call = f"{call} {where}"
    shutil.rmtree(output)
    return call, failed.returncode == 0, wrong


def sweep(start, what):
    """Every call in turn; gives the calls by number and how many went wrong."""
    calls, went_on, mistakes, at = {}, 0, 0, 1
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        while True:
            numbers = range(at, at + 32 * options.step, options.step)
            results = list(zip(numbers, pool.map(lambda n: drill(start, n), numbers)))
            for number, (call, alone, wrong) in results:
                if call is None:
                    continue
                calls[number] = call
                went_on += alone
                if wrong:
                    mistakes += 1
                    print(f"{what}, call {number}, {call}:\n    " + "\n    ".join(wrong), flush=True)
            if results[-1][1][0] is None:
                break
            at += 32 * options.step
    kinds = collections.Counter(call.split(" ")[0] for call in calls.values())
    print(f"{what}: {len(calls)} calls failed in turn ({', '.join(f'{n} {kind}' for kind, n in sorted(kinds.items()))}); "
          f"after {went_on} the program went on; {mistakes} went wrong", flush=True)
    return calls, mistakes


def leave_something(calls):
    """A folder that a failure has left behind: a sealed shard, a journal of more samples, and a video missing."""
    renames = [number for number, call in calls.items() if call.startswith("rename shards/")]
    if len(renames) < 2:   # with --step they may have been passed over
        return None
    drill(folder / "empty", renames[1], keep=folder / "left")
    shard = next((folder / "left" / "shards").glob("*/*.h5"))
    with dataset_content.h5py.File(shard) as opened:
        (folder / "left" / opened["content/video"][0].decode()).unlink()
    assert any((folder / "left" / "journal").iterdir())
    return folder / "left"


with tempfile.TemporaryDirectory(prefix="pyracast-faults-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:
    folder = pathlib.Path(name)
    (folder / "empty").mkdir()
    (folder / "prompts.jsonl").write_text("".join(
        f'{{"id": "{n}", "prompt": "a red circle {n}", "samples": {1 + n % 2}}}\n' for n in range(3)))
    undisturbed = run(folder / "undisturbed")
    assert undisturbed.returncode == 0, undisturbed.stderr
    expected = dataset_content.content_of(folder / "undisturbed")
    calls, mistakes = sweep(folder / "empty", "from nothing")
    left = leave_something(calls)
    if left:
        more, more_mistakes = sweep(left, "going on")
        mistakes += more_mistakes
    sys.exit(1 if mistakes or not calls else 0)
