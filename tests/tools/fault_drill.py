#!/usr/bin/env python3
"""Every call that touches the dataset fails once, in turn: the program must end with 69 and name file and cause, and the same
command again must give an undisturbed run's dataset.
usage: fault_drill.py [--step N] [--on once|always] [--errno N] PYRACAST LIBRARY MODEL SETTINGS...
LIBRARY is libfail_calls.so. --step: only every N-th call."""
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
from dataset_content import content_of   # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("program")
parser.add_argument("library")
parser.add_argument("--step", type=int, default=1)
parser.add_argument("--on", choices=["once", "always"], default="once")
parser.add_argument("--errno", type=int, default=0)
parser.add_argument("model", nargs=argparse.REMAINDER)
options = parser.parse_args()
causes = [os.strerror(options.errno)] if options.errno else ["No space left on device", "Input/output error"]


def run(output, at=0, log=None):
    command = [options.program, "generate", *options.model, "--prompts", str(folder / "prompts.jsonl"), "--output", str(output),
               "--shard-samples", "2", "--threads", "1"]
    environment = dict(os.environ)
    if log:
        environment.update(LD_PRELOAD=options.library, FAIL_FOLDER=str(output), FAIL_AT=str(at), FAIL_ON=options.on,
                           FAIL_LOG=str(log), FAIL_ERRNO=str(options.errno))
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def drill(at):
    """What call number `at` was, and what went wrong; no call where the run ends before it."""
    output, log = folder / f"out-{at}", folder / f"log-{at}"
    shutil.copytree(folder / "begun", output)
    failed = run(output, at, log)
    lines = log.read_text().splitlines() if log.exists() else []
    calls = [line for line in lines if not line.endswith(" calls")]
    if not calls:
        shutil.rmtree(output)
        return None, []
    call, path = calls[0].split(" ", 1)
    wrong = []
    # A temporary file that cannot be removed is in nobody's way: the next run does it.
    if call in ("remove", "unlink") and path.endswith(".tmp") and failed.returncode == 0:
        failed.returncode, failed.stderr = 69, f"{path} {causes[-1]}"
    if failed.returncode != 69:
        wrong.append(f"ended with {failed.returncode}")
    name = pathlib.Path(path).name
    if not any(cause in failed.stderr for cause in causes):
        wrong.append("the message does not say why")
    if name not in failed.stderr and str(pathlib.Path(path).parent) not in failed.stderr:
        wrong.append("the message does not name the file")
    again = run(output)
    if again.returncode != 0:
        wrong.append(f"the next run ended with {again.returncode}: {again.stderr}")
    else:
        try:
            if content_of(output) != expected:
                wrong.append("the dataset differs")
        except (ValueError, OSError, KeyError) as error:
            wrong.append(f"the dataset is not sound: {error}")
        if (output / "quarantine").exists():
            wrong.append("something sound was put aside: " + ", ".join(p.name for p in (output / "quarantine").iterdir()))
    shutil.rmtree(output)
    if wrong:
        wrong.append(failed.stderr.strip())
    return f"{call} {pathlib.Path(path).relative_to(output)}", wrong


with tempfile.TemporaryDirectory(prefix="pyracast-faults-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:
    folder = pathlib.Path(name)
    (folder / "prompts.jsonl").write_text("".join(
        f'{{"id": "{n}", "prompt": "a red circle {n}", "samples": {1 + n % 2}}}\n' for n in range(3)))
    undisturbed = run(folder / "undisturbed")
    assert undisturbed.returncode == 0, undisturbed.stderr
    expected = content_of(folder / "undisturbed")
    # A folder in which there is something to recover: a journal with samples that no shard holds.
    assert run(folder / "begun").returncode == 0
    shutil.rmtree(folder / "begun")
    (folder / "begun").mkdir()

    kinds, mistakes, at, ended = collections.Counter(), 0, 1, False
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        while not ended:
            for number, (call, wrong) in zip(range(at, at + 16 * options.step, options.step), pool.map(drill, range(at, at + 16 * options.step, options.step))):
                if call is None:
                    ended = True
                    continue
                kinds[call.split(" ")[0]] += 1
                if wrong:
                    mistakes += 1
                    print(f"call {number}, {call}:\n    " + "\n    ".join(wrong), flush=True)
            at += 16 * options.step
    print(f"{sum(kinds.values())} calls failed in turn ({', '.join(f'{n} {kind}' for kind, n in sorted(kinds.items()))}), {mistakes} went wrong")
    sys.exit(1 if mistakes or not kinds else 0)
