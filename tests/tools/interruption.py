#!/usr/bin/env python3
"""How long `pyracast generate` takes to stop, and whether anything is lost: INT and TERM at random moments of demo runs on
1, 2 and 4 ranks, to mpirun or to the program; then the same command again, held against an undisturbed run.
usage: interruption.py PYRACAST CONFIG [REPEATS [SETTINGS...]]     (CONFIG: configs/demo.cfg; SETTINGS: of generate, e.g. --checkpoint-every 1)
Counted are the seconds until the last rank writes into its log that the job ends: all is durable then. (mpirun itself
always takes 2 s, for it serves no rank's MPI_Finalize once it was told to end, and kills what is left.)"""
import filecmp
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time

program, config, repeats = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 5
settings = sys.argv[4:]
random.seed(1)


def command(ranks, output):
    launcher = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    return [*launcher, program, "generate", "--config", config, "--output", output, *settings]


def differing(a, b):
    """Files under a or b that are not alike in both."""
    names = {str(path.relative_to(root)) for root in (a, b) for path in root.rglob("*.mp4")}
    return sorted(names - set(filecmp.cmpfiles(a, b, names, shallow=False)[0]))


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    subprocess.run(command(1, folder / "undisturbed"), check=True, stderr=subprocess.DEVNULL)
    for ranks in (1, 2, 4):
        start = time.monotonic()
        subprocess.run(command(ranks, folder / f"whole-{ranks}"), check=True, stderr=subprocess.DEVNULL)
        whole = time.monotonic() - start
        for sign in (signal.SIGINT, signal.SIGTERM):
            seconds, lost, clean = [], 0, 0
            for repeat in range(repeats):
                output = folder / f"run-{ranks}-{sign.name}-{repeat}"
                process = subprocess.Popen(command(ranks, output), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
                while not (output / "videos").is_dir() and process.poll() is None:
                    time.sleep(0.005)
                time.sleep(random.uniform(0, 0.7 * whole))
                sent = time.time()
                process.send_signal(sign)
                process.wait()
                logs = list((output / "logs").glob("rank-*.log"))
                seconds.append(max(log.stat().st_mtime for log in logs) - sent)
                clean += len(logs) == ranks and all("the job ends" in log.read_text() for log in logs)
                subprocess.run(command(ranks, output), check=True, stderr=subprocess.DEVNULL)
                lost += bool(differing(folder / "undisturbed" / "videos", output / "videos"))
            print(f"{ranks} ranks, {sign.name}: median {statistics.median(seconds):.2f} s, most {max(seconds):.2f} s, "
                  f"ended by themselves: {clean} of {repeats}, differ after going on: {lost} of {repeats}", flush=True)
