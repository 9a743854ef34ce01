#!/usr/bin/env python3
"""A private Slurm cluster on one machine, for tests.

usage: cluster.py up DIR [--with-parent]      brings two nodes up, or says that they are up; 77: not possible here, and why
       cluster.py down DIR                    ends all of it; fine where nothing is up
       cluster.py login DIR COMMAND...        runs a command where sbatch, squeue ... speak to the cluster
       cluster.py exec DIR NODE COMMAND...    runs a command on node1 or node2
       cluster.py crash | start DIR NODE      power loss: every process of the node is gone at once; and power again
       cluster.py cut | mend DIR NODE         pulls the network cable, and puts it back

The whole cluster lives in namespaces of its own (processes, network, mounts, host name, memory shared between processes),
and each node in further ones inside of these, so that two nodes differ to MPI as machines do. All of it hangs on one
process: when that is killed, the kernel ends every daemon, job and network link with it. With --with-parent it also ends
when the caller of `up` does, else after MOST_HOURS. Sockets, state and keys lie in the cluster's own /run, which goes
with it; DIR keeps the logs and the configuration. Nothing of the machine's own /etc, /run or network is touched.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import time

import daemons

NAMESPACES = ["--mount", "--uts", "--ipc", "--net", "--pid"]
SECONDS_TO_START = 60


class Skip(Exception):
    """Why there can be no cluster on this machine."""


def check_machine():
    """Raises Skip where programs are missing or the kernel refuses namespaces."""
    for program, package in {"sbatch": "slurm-wlm", "slurmctld": "slurm-wlm", "slurmd": "slurm-wlm", "munged": "munge",
                             "ip": "iproute2", "unshare": "util-linux", "nsenter": "util-linux"}.items():
        if not shutil.which(program, path=daemons.PATH):
            raise Skip(f"{program} is not installed (Debian package {package})")
    tried = subprocess.run(["unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc", "sh", "-c",
                            "ip link add probe type bridge && ip link add probe1 type veth peer name probe2"],
                           capture_output=True, text=True, timeout=20, env=daemons.environment())
    if tried.returncode:
        raise Skip("namespaces or virtual networks are refused (they need root): " + tried.stderr.strip())


def start_time(process):
    """When a process started, in clock ticks; nothing for one that is gone: a number alone may be another's by now."""
    try:
        state, *fields = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return None if state in "ZX" else fields[18]
    except OSError:
        return None


def only_child(process):
    """The process within the namespaces that `unshare`, which is `process`, made."""
    children = pathlib.Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return int(children[0]) if children else None


def wait_for(what, seconds, condition):
    """Waits until `condition()` is true and gives what it gave; TimeoutError names `what`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} within {seconds} s")
        time.sleep(0.05)
    return found


class Cluster:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder).resolve()
        self.log = self.folder / "log"

    def process(self):
        """The process that all hangs on; nothing where the cluster is not up."""
        try:
            process, started = (self.folder / "process").read_text().split()
        except (OSError, ValueError):
            return None
        return int(process) if start_time(process) == started else None

    def up(self, lives_with=None):
        """Brings the cluster up; whole already, it stays as it is, and half up it is begun anew. `lives_with`: a process
        with which it ends."""
        if self.process() and (self.folder / "ready").exists() and len(self.idle_nodes()) == len(daemons.NODES):
            return "is up already"
        check_machine()
        self.down()
        shutil.rmtree(self.log, ignore_errors=True)
        self.log.mkdir(parents=True)
        watched = os.pidfd_open(lives_with) if lives_with else -1
        with open(self.log / "cluster.log", "w") as log:
            supervisor = subprocess.Popen(
                ["unshare", *NAMESPACES, "--fork", "--kill-child=KILL", "--mount-proc", sys.executable,
                 daemons.__file__, "cluster", self.folder, str(watched)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                pass_fds=[watched] if lives_with else [], env=daemons.environment())
        (self.folder / "process").write_text(f"{supervisor.pid} {start_time(supervisor.pid)}\n")
        began = time.monotonic()
        try:
            wait_for("ready cluster", SECONDS_TO_START, lambda: (self.folder / "ready").exists() or supervisor.poll() is not None)
            if supervisor.poll() is not None:
                raise RuntimeError("the cluster ended while it started")
        except BaseException:
            for log in sorted(self.log.iterdir()):
                sys.stderr.write(f"--- {log.name}\n" + "".join(log.open(errors="replace").readlines()[-15:]))
            self.down()
            raise
        return f"{len(daemons.NODES)} nodes are idle after {time.monotonic() - began:.1f} s"

    def down(self):
        """Ends every process of the cluster."""
        if process := self.process():
            init = only_child(process)
            os.kill(process, 9)
            # The kernel ends the first process of the namespaces only after all others.
            wait_for("end of the cluster", 30, lambda: start_time(process) is None and start_time(init or process) is None)
        for name in ("process", "ready"):
            (self.folder / name).unlink(missing_ok=True)

    def login(self, *command):
        """The command line that runs `command` inside the cluster, in the same working directory."""
        process = self.process()
        if not process:
            raise RuntimeError(f"no cluster is up in {self.folder}")
        return ["nsenter", "--target", str(only_child(process)), "--mount", "--uts", "--ipc", "--net", "--pid",
                f"--wdns={os.getcwd()}", *map(str, command)]

    def inside(self, action, node, *command):
        return self.login(sys.executable, daemons.__file__, action, self.folder, node, *command)

    def idle_nodes(self):
        asked = subprocess.run(self.login(sys.executable, daemons.__file__, "idle", self.folder), capture_output=True, text=True, timeout=20)
        return asked.stdout.split()


def main(action, folder, *rest):
    cluster = Cluster(folder)
    if action == "up":
        try:
            print("cluster:", cluster.up(os.getppid() if "--with-parent" in rest else None))
        except Skip as reason:
            print("skipped:", reason)
            return 77
        return 0
    if action == "down":
        return cluster.down()
    if action == "login":
        return subprocess.call(cluster.login(*rest), env=daemons.environment())
    if action in ("exec", "crash", "start", "cut", "mend"):
        return subprocess.call(cluster.inside(action, *rest), env=daemons.environment())
    sys.exit(__doc__)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
