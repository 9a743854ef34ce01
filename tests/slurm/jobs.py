"""Jobs on the cluster, as a scenario sees them. Everything waits with an end."""
import json
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
sys.path.insert(0, str(HERE / "cluster"))
import daemons  # noqa: E402


def run(*command, check=True, **more):
    ended = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, **more)
    if check and ended.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: {ended.returncode}\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def eventually(what, seconds, condition):
    """Waits until `condition()` is true and gives what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.1)
    return found


def node(action, name, *command):
    return run(sys.executable, daemons.__file__, action, Job.cluster, name, *command)


class Job:
    """A job of Slurm's, or one of an array ("12_0")."""
    cluster = None   # its folder
    submitted = []   # all of this scenario, for the report of a failure

    def __init__(self, number, log=None):
        self.number, self.log = number, pathlib.Path(log) if log else None
        Job.submitted.append(self)

    @classmethod
    def submit(cls, script, log, *words, options=("-N2", "--ntasks-per-node=2"), **environment):
        """`sbatch script words...`, its output in the file `log`."""
        number = run("sbatch", "--parsable", *options, f"--output={log}", REPOSITORY / "slurm" / script, *words,
                     env={**daemons.environment(), **environment}).strip()
        return cls(number, log)

    def show(self):
        text = run("scontrol", "-o", "show", "job", self.number)
        return dict(re.findall(r"(\w+)=(\S*)", text))

    def state(self):
        return self.show()["JobState"]

    def restarts(self):
        return int(self.show()["Restarts"])

    def text(self):
        return self.log.read_text(errors="replace") if self.log and self.log.exists() else ""

    def waits_for(self, *states, seconds=120):
        """Waits until the job is in one of these states; any other end than these is a failure."""
        def reached():
            state = self.state()
            if state in ("FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "COMPLETED") and state not in states:
                raise AssertionError(f"job {self.number} is {state}, expected {' or '.join(states)}")
            return state if state in states else None
        return eventually(f"job {self.number} is {' or '.join(states)}, not {self.state()}", seconds, reached)

    def completes(self, seconds=180):
        self.waits_for("COMPLETED", seconds=seconds)

    def signal(self, name="USR1"):
        """To the batch script, as the early warning of a time limit comes."""
        run("scancel", "-b", "-s", name, self.number)


def tidy():
    """The cluster as it was when it came up: no job, both nodes up and idle, all cables in place."""
    run("scancel", "--user=root", check=False)
    for name in daemons.NODES:
        node("start", name)
        node("mend", name)
    eventually("no job is left", 60, lambda: not run("squeue", "-h", check=False).strip())
    # A node that crashed with jobs on it may have to be told that it is well.
    def all_idle():
        if len(daemons.idle_nodes()) == len(daemons.NODES):
            return True
        for name in daemons.NODES:
            run("scontrol", "update", f"nodename={name}", "state=resume", check=False)
        return False
    eventually("both nodes are idle", 60, all_idle)


def attempts_of(output):
    """The runs of a dataset, as it records them."""
    return json.loads(pathlib.Path(output, "run.json").read_text())["attempts"]
