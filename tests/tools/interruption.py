#!/usr/bin/env python3
"""How long `pyracast generate` takes to stop, and whether anything is lost: INT and TERM at random moments of demo runs on
1, 2 and 4 ranks, to mpirun or to the program; then the same command again, held against an undisturbed run.
usage: interruption.py PYRACAST CONFIG [REPEATS]     (CONFIG: configs/demo.cfg)
The wish: the end comes within 1.5 s, for mpirun kills its ranks 2 s after TERM."""
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
random.seed(1)


def command(ranks, output):
    launcher = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    return [*launcher, program, "generate", "--config", config, "--output", output]


def differing(a, b):
    """Files under a or b that are not alike in both."""
    names = {str(path.relative_to(root)) for root in (a, b) for path in root.rglob("*.mp4")}
    return sorted(names - set(filecmp.cmpfiles(a, b, names, shallow=False)[0]))


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    start = time.monotonic()
    subprocess.run(command(1, folder / "undisturbed"), check=True, stderr=subprocess.DEVNULL)
    for ranks in (1, 2, 4):
        start = time.monotonic()
        subprocess.run(command(ranks, folder / f"whole-{ranks}"), check=True, stderr=subprocess.DEVNULL)
        whole = time.monotonic() - start
        for sign in (signal.SIGINT, signal.SIGTERM):
            seconds, codes, lost = [], [], 0
            for repeat in range(repeats):
                output = folder / f"run-{ranks}-{sign.name}-{repeat}"
                process = subprocess.Popen(command(ranks, output), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
                while not (output / "videos").is_dir() and process.poll() is None:
                    time.sleep(0.005)
                time.sleep(random.uniform(0, 0.7 * whole))
                sent = time.monotonic()
                process.send_signal(sign)
                codes.append(process.wait())
                seconds.append(time.monotonic() - sent)
                subprocess.run(command(ranks, output), check=True, stderr=subprocess.DEVNULL)
                lost += bool(differing(folder / "undisturbed" / "videos", output / "videos"))
            print(f"{ranks} ranks, {sign.name}: median {statistics.median(seconds):.2f} s, most {max(seconds):.2f} s, "
                  f"exit codes {sorted(set(codes))}, runs that differ after going on: {lost} of {repeats}", flush=True)
