#!/usr/bin/env python3
"""One scenario of `pyracast generate` as a Slurm job, on the cluster of two nodes that cluster/cluster.py has brought up.

usage: scenarios.py CLUSTER_DIR PYRACAST SCENARIO...       (without a scenario: their list)
Ends with 0 where all hold, 77 where they cannot be tried here (the reason is printed), else 1 with what was seen."""
import ctypes
import os
import pathlib
import signal
import subprocess
import sys
import time
import traceback

try:
    import h5py  # noqa: F401
except ImportError:
    system = "/usr/bin/python3"   # Debian's package belongs to this one, whichever comes first in PATH
    if sys.executable != system and pathlib.Path(system).exists():
        os.execv(system, [system, *sys.argv])
    print("skipped: h5py is not installed (package python3-h5py)")
    sys.exit(77)

import forms  # noqa: F401
import interruptions  # noqa: F401
from jobs import Job, daemons, run, tidy
from scenario import SCENARIOS, Here

import cluster


def report(seen):
    """What a failure leaves behind, for the reader of a CI log."""
    for job in Job.submitted:
        print(f"--- job {job.number}: {run('scontrol', '-o', 'show', 'job', job.number, check=False)[:600]}")
        print("".join(job.text().splitlines(keepends=True)[-40:]))
    for name in ("slurmctld.log", "slurmd-node1.log", "slurmd-node2.log"):
        path = Job.cluster / "log" / name
        print(f"--- {name}\n" + "".join(path.open(errors="replace").readlines()[-15:]) if path.exists() else "")
    print("".join(traceback.format_exception(seen)))


def inside(folder, program, names):
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)   # ends with the process that waits for it outside
    os.environ.update(daemons.environment())
    Job.cluster = folder
    failed = 0
    for name in names:
        Job.submitted.clear()
        began = time.monotonic()
        try:
            tidy()
            SCENARIOS[name](Here(folder / "jobs", program, name))
            print(f"{name}: {' '.join(SCENARIOS[name].__doc__.split())} ({time.monotonic() - began:.0f} s)", flush=True)
        except Exception as seen:
            failed += 1
            print(f"FAILED: {name}: {' '.join(SCENARIOS[name].__doc__.split())}")
            report(seen)
    tidy()
    return 1 if failed else 0


def main(words):
    if len(words) < 3:
        print(__doc__, *(f"{name}: {' '.join(function.__doc__.split())}" for name, function in SCENARIOS.items()), sep="\n")
        return 64
    here = cluster.Cluster(words[0])
    if words[-1] == "--inside":
        return inside(here.folder, pathlib.Path(words[1]), words[2:-1])
    if not here.process():
        try:
            cluster.check_machine()
        except cluster.Skip as reason:
            print("skipped:", reason)
            return 77
        print(f"no cluster is up in {here.folder}: cluster.py up {here.folder}")
        return 1
    again = [sys.executable, pathlib.Path(__file__).resolve(), here.folder, pathlib.Path(words[1]).resolve(), *words[2:], "--inside"]
    return subprocess.call(here.login(*again), env=daemons.environment())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
