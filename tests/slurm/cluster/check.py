#!/usr/bin/env python3
"""The private cluster itself: it comes up twice as once, nodes differ, and whatever ends it nothing of it is left. Ends with 77
where there can be none."""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import daemons
from cluster import Cluster, Skip, check_machine, only_child, start_time


def check(condition, message):
    if not condition:
        raise AssertionError(message)


def ask(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=daemons.environment()).stdout


def processes_of(cluster):
    """All that live in the cluster's or its nodes' namespaces, as numbers outside."""
    found, todo = [], [cluster.process()]
    while todo:
        process = todo.pop()
        found.append(process)
        for thread in pathlib.Path(f"/proc/{process}/task").iterdir():
            todo += [int(child) for child in (thread / "children").read_text().split()]
    return found


def gone(processes):
    deadline = time.monotonic() + 20
    while left := [process for process in processes if start_time(process)]:
        check(time.monotonic() < deadline, f"processes {left} are left")
        time.sleep(0.05)


def links():
    return ask("ip", "-brief", "link")


try:
    check_machine()
except Skip as reason:
    print("skipped:", reason)
    sys.exit(77)

with tempfile.TemporaryDirectory() as folder:
    before, cluster = links(), Cluster(folder)
    cluster.down()   # of nothing
    print(cluster.up(os.getpid()))
    first = cluster.process()
    check(cluster.up(os.getpid()) == "is up already" and cluster.process() == first, "brought up again, it is another one")
    check(ask(*cluster.login("srun", "-N2", "hostname")).split() in (["node1", "node2"], ["node2", "node1"]), "the nodes have names of their own")
    check(links() == before, "the machine's own network has changed")

    ask(*cluster.inside("crash", "node2"))
    check(cluster.idle_nodes() == ["node1"], f"after the crash of node2 {cluster.idle_nodes()} are idle")
    print(cluster.up(os.getpid()))
    check(cluster.process() != first and len(cluster.idle_nodes()) == 2, "half up, it is begun anew")

    mates = processes_of(cluster)
    check(len(mates) > 6, f"only {mates}")
    os.kill(cluster.process(), signal.SIGKILL)
    gone(mates)
    cluster.down()

    holder = subprocess.Popen(["sleep", "60"])
    print(cluster.up(holder.pid))
    mates = processes_of(cluster)
    holder.kill()
    holder.wait()
    gone(mates)
    cluster.down()

    print(cluster.up(os.getpid()))
    mates = processes_of(cluster)
    check(only_child(cluster.process()) in mates, "the first process is one of them")
    cluster.down()
    gone(mates)
    check(cluster.process() is None and links() == before, "something of it is left")
