"""What runs inside the cluster's namespaces: the first process of the cluster, and that of each node. See cluster.py."""
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import time

NODES = ["node1", "node2"]
MOST_HOURS = 2
HERE = pathlib.Path("/run/slurm-cluster")     # in the cluster's own /run
NODE_LOCAL = pathlib.Path("/run/slurm-node")  # scratch of each node: one path, other contents on each
PATH = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
GPUS = 2                                      # a node, make-believe

SLURM_CONF = """\
ClusterName=pyracast
SlurmctldHost=login(10.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job may start again when its old credential has expired: 121 s with the default of 120.
AuthInfo=socket={here}/munge/socket,cred_expire=5
StateSaveLocation={here}/state
SlurmdSpoolDir={here}/spool-%n
# Not /tmp, which the nodes share: the PMIx plugin names its folder there after user, job and step alone.
TmpFS={local}
SlurmctldPidFile={here}/slurmctld.pid
SlurmdPidFile={here}/slurmd-%n.pid
SlurmctldLogFile={log}/slurmctld.log
SlurmdLogFile={log}/slurmd-%n.log
SlurmctldDebug=verbose
SlurmdDebug=verbose
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=pmix
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={log}/finished-jobs.txt
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=5,batch_sched_delay=0,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
# Short, so that tests need not wait for what takes a production cluster minutes.
SlurmdTimeout=10
SlurmctldTimeout=30
MessageTimeout=10
KillWait=5
InactiveLimit=0
MinJobAge=3600
PropagateResourceLimitsExcept=MEMLOCK,NPROC
GresTypes=gpu
PartitionName=batch Nodes=ALL Default=YES PriorityTier=10 MaxTime=INFINITE State=UP
PartitionName=low Nodes=ALL PriorityTier=1 MaxTime=INFINITE State=UP
PartitionName=high Nodes=ALL PriorityTier=100 PreemptMode=OFF MaxTime=INFINITE State=UP
"""


def environment():
    """Of every process in the cluster, jobs included: Open MPI as root, with more ranks than cores."""
    return {**os.environ, "PATH": PATH, "SLURM_CONF": str(HERE / "slurm.conf"),
            "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "OMPI_MCA_hwloc_base_binding_policy": "none", "OMPI_MCA_mpi_yield_when_idle": "1",
            "OMPI_MCA_btl_vader_single_copy_mechanism": "none", "OMPI_MCA_orte_tmpdir_base": str(NODE_LOCAL)}


def run(*command):
    subprocess.run([str(word) for word in command], check=True, timeout=30)


def address(node):
    return f"10.0.0.{11 + NODES.index(node)}"


def make_gpus(log):
    """Devices that Slurm can count and hand out; none where the machine refuses to make device files."""
    try:
        for index in range(GPUS):
            os.mknod(HERE / f"gpu{index}", 0o666 | 0o020000, os.makedev(1, 3))   # twins of /dev/null
    except PermissionError as refused:
        (log / "no-gpus").write_text(f"device files cannot be made: {refused}\n")
        return ""
    (HERE / "gres.conf").write_text(f"Name=gpu File={HERE}/gpu[0-{GPUS - 1}]\n")
    return f" Gres=gpu:{GPUS}"


def configure(folder):
    """Own /run, network and configuration; to be called in namespaces of its own."""
    run("mount", "-t", "tmpfs", "-o", "mode=755", "cluster", "/run")
    for path in (HERE, HERE / "munge", HERE / "state", HERE / "nodes", NODE_LOCAL, *(HERE / f"spool-{node}" for node in NODES)):
        path.mkdir()
    hosts = pathlib.Path(HERE / "hosts")
    hosts.write_text("127.0.0.1 localhost\n10.0.0.1 login\n" + "".join(f"{address(node)} {node}\n" for node in NODES))
    run("mount", "--bind", hosts, "/etc/hosts")
    socket.sethostname("login")
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "cluster", "type", "bridge")
    run("ip", "address", "add", "10.0.0.1/24", "dev", "cluster")
    run("ip", "link", "set", "cluster", "up")
    gres = make_gpus(folder / "log")
    nodes = "".join(f"NodeName={node} NodeAddr={address(node)} CPUs=4 RealMemory=4096{gres} State=UNKNOWN\n" for node in NODES)
    text = SLURM_CONF.format(here=HERE, local=NODE_LOCAL, log=folder / "log").replace("PartitionName", nodes + "PartitionName", 1)
    (HERE / "slurm.conf").write_text(text)
    (folder / "slurm.conf").write_text(text)   # for the reader
    (HERE / "munge" / "key").write_bytes(os.urandom(1024))
    (HERE / "munge" / "key").chmod(0o400)


def daemon(folder, name, *command):
    with open(folder / "log" / f"{name}.out", "a") as out:
        return subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)


def until(what, process, *command):
    """Waits until `command` succeeds, at most 20 s and not after `process` has ended."""
    deadline = time.monotonic() + 20
    while subprocess.run([str(word) for word in command], capture_output=True, timeout=20).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"{what} does not start")
        time.sleep(0.05)


def idle_nodes():
    shown = subprocess.run(["sinfo", "-h", "-N", "-p", "batch", "-o", "%N %t"], capture_output=True, text=True, timeout=20).stdout
    return [node for node, state in (line.split() for line in shown.splitlines()) if state == "idle" and node_process(node)[1]]


def be_cluster(folder, watched):
    """The first process of the cluster: starts everything, and takes in what its parents have left. `watched`: a pidfd
    with whose process the cluster ends."""
    configure(folder)
    munged = daemon(folder, "munged", "munged", "-F", "--force", f"--key-file={HERE}/munge/key", f"--socket={HERE}/munge/socket",
                    f"--pid-file={HERE}/munge/pid", f"--log-file={folder}/log/munged.log", f"--seed-file={HERE}/munge/seed")
    until("munged", munged, "munge", "-n", "-S", HERE / "munge" / "socket")
    slurmctld = daemon(folder, "slurmctld", "slurmctld", "-D", "-c", "-f", HERE / "slurm.conf")
    until("slurmctld", slurmctld, "scontrol", "ping")
    for node in NODES:
        start(folder, node)
    deadline = time.monotonic() + 40
    while len(idle_nodes()) < len(NODES):
        if time.monotonic() > deadline:
            sys.exit("the nodes do not become idle")
        time.sleep(0.1)
    (folder / "ready").touch()

    ends = time.monotonic() + MOST_HOURS * 3600
    while time.monotonic() < ends and not (watched >= 0 and select.select([watched], [], [], 0)[0]):
        for child in (munged, slurmctld):
            if child.poll() is not None:
                sys.exit(f"{child.args[0]} has ended")
        reap({munged.pid, slurmctld.pid})
        time.sleep(0.2)


def reap(spared=frozenset()):
    """Takes in the children that have ended, but for those that others ask for."""
    for process in (int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
        if process != 1 and process not in spared:
            try:
                os.waitpid(process, os.WNOHANG)
            except ChildProcessError:
                pass


def be_node(folder, node):
    """The first process of a node."""
    socket.sethostname(node)
    run("mount", "-t", "tmpfs", "-o", "mode=1777", "local", NODE_LOCAL)
    run("mount", "-t", "tmpfs", "-o", "mode=1777", "shm", "/dev/shm")
    run("ip", "link", "set", "lo", "up")
    deadline = time.monotonic() + 20
    while subprocess.run(["ip", "link", "show", "eth0"], capture_output=True).returncode:
        if time.monotonic() > deadline:
            sys.exit("no network cable")
        time.sleep(0.05)
    run("ip", "address", "add", f"{address(node)}/24", "dev", "eth0")
    run("ip", "link", "set", "eth0", "up")
    daemon(folder, node, "slurmd", "-D", "-N", node, "-f", HERE / "slurm.conf")
    while True:
        reap()
        time.sleep(0.2)


def node_process(node):
    """The first process of a node that is up, seen from the cluster."""
    try:
        outer = int((HERE / "nodes" / node).read_text())
        return outer, int(pathlib.Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None, None


def cable(node):
    return f"cable-{node}"


def start(folder, node):
    if node_process(node)[1]:
        return
    subprocess.run(["ip", "link", "del", cable(node)], capture_output=True)
    with open(folder / "log" / f"{node}.out", "a") as out:
        outer = subprocess.Popen(["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child=KILL", "--mount-proc",
                                  sys.executable, __file__, "node", str(folder), node],
                                 stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    (HERE / "nodes" / node).write_text(str(outer.pid))
    deadline = time.monotonic() + 20
    own = os.readlink("/proc/self/ns/net")
    while (inner := node_process(node)[1]) is None or os.readlink(f"/proc/{inner}/ns/net") == own:
        if time.monotonic() > deadline or outer.poll() is not None:
            sys.exit(f"{node} does not start")
        time.sleep(0.02)
    run("ip", "link", "add", cable(node), "type", "veth", "peer", "name", "eth0", "netns", inner)
    run("ip", "link", "set", cable(node), "master", "cluster", "up")


def crash(node):
    outer, inner = node_process(node)
    if not inner:
        return
    os.kill(outer, signal.SIGKILL)   # the kernel kills the node's first process for it, and with that all others
    deadline = time.monotonic() + 20
    while os.path.exists(f"/proc/{inner}"):
        if time.monotonic() > deadline:
            sys.exit(f"{node} does not end")
        time.sleep(0.02)


def main(action, folder, *rest):
    folder = pathlib.Path(folder)
    os.environ.update(environment())
    if action == "cluster":
        be_cluster(folder, int(rest[0]))
    elif action == "idle":
        print("\n".join(idle_nodes()))
    elif rest[0] not in NODES:
        sys.exit(f"there is no {rest[0]}; the nodes are {', '.join(NODES)}")
    elif action == "node":
        be_node(folder, rest[0])
    elif action == "start":
        start(folder, rest[0])
    elif action == "crash":
        crash(rest[0])
    elif action in ("cut", "mend"):
        run("ip", "link", "set", cable(rest[0]), "down" if action == "cut" else "up")
    elif action == "exec":
        inner = node_process(rest[0])[1] or sys.exit(f"{rest[0]} is not up")
        os.execvp("nsenter", ["nsenter", "--target", str(inner), "--mount", "--uts", "--ipc", "--net", "--pid",
                               f"--wdns={os.getcwd()}", *rest[1:]])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
