#!/usr/bin/env python3
"""One scenario of `pyracast generate` as a Slurm job, on the cluster of two nodes that cluster/cluster.py has brought up.

usage: scenarios.py CLUSTER_DIR PYRACAST SCENARIO...       (without a scenario: their list)
Ends with 0 where all hold, 77 where they cannot be tried here (the reason is printed), else 1 with what was seen."""
import ctypes
import hashlib
import os
import pathlib
import shutil
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

import datasets
from datasets import check
from jobs import REPOSITORY, Job, attempts_of, eventually, node, run, tidy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "cluster"))
import cluster  # noqa: E402
import daemons  # noqa: E402

DEMO = REPOSITORY / "configs" / "demo.cfg"
BROADCAST = REPOSITORY / "configs" / "broadcast" / "demo-246.json"
SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


class Here:
    """The folder of one scenario, and the program under test."""

    def __init__(self, base, program, name):
        self.base, self.program = base, program
        self.folder = base / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def manifest(self, prompts, **more):
        """A manifest of that many of the demo's prompts."""
        lines = (REPOSITORY / "configs" / "demo" / "prompts.jsonl").read_text().splitlines()
        return self.file("prompts.jsonl", "\n".join(lines[:prompts]) + "\n")

    def file(self, name, text, mode=0o644):
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def wrapper(self, text):
        """A program that does `text` (a shell script; $@ are its words) before or instead of pyracast, which it knows as $pyracast."""
        return self.file("wrapper", f"#!/bin/bash\npyracast={self.program}\nfolder={self.folder}\n{text}\n", 0o755)

    def log(self, name):
        return self.folder / f"{name}.log"

    def submit(self, name, settings, script="generate.sbatch", program=None, **more):
        return Job.submit(script, self.log(name), program or self.program, *settings, "--output", self.folder / name, **more)

    def reference(self, settings):
        """The dataset of one rank without Slurm; made once for all scenarios."""
        key = hashlib.sha256("\n".join(pathlib.Path(word).read_text() if str(word).endswith(".jsonl") else str(word)
                                       for word in settings).encode()).hexdigest()[:16]
        folder = self.base / "reference" / key
        if not (folder / "run.json").exists():
            run(self.program, "generate", *settings, "--output", folder)
        return folder

    def made(self, name):
        return len(list((self.folder / name / "videos").glob("**/*.mp4")))

    def is_at_work(self, name, videos=1):
        eventually(f"{name} has made {videos} videos", 60, lambda: self.made(name) >= videos)


def work(prompts, steps):
    """Settings of a job: that many demo clips of so many steps."""
    return ["--config", str(DEMO), "--prompts", str(prompts), "--steps", str(steps)]


def check_both_nodes(folder):
    hosts = {row["host"] for row in datasets.rows(folder, "provenance").values()}
    check(hosts == set(daemons.NODES), f"samples were made on {sorted(hosts)}")


@scenario
def submit(here):
    """Under both launchers a job completes, all ranks of both nodes work, and the dataset is that of one rank."""
    settings = work(here.manifest(16), 12)
    for launcher in ("srun", "mpirun"):
        job = here.submit(launcher, settings, LAUNCHER=launcher)
        job.completes()
        datasets.check_equal(here.folder / launcher, here.reference(settings), 16)
        check_both_nodes(here.folder / launcher)
        ranks = {row["rank"] for row in datasets.rows(here.folder / launcher, "provenance").values()}
        check(ranks == {0, 1, 2, 3}, f"{launcher}: ranks {ranks} have made samples")
        check(attempts_of(here.folder / launcher)[0]["slurm"]["SLURM_JOB_ID"] == job.number, "the job's number is recorded")


@scenario
def submit_command(here):
    """`pyracast submit --submit` hands in a job that completes, and what it prints is what it submits."""
    settings = work(here.manifest(8), 12)
    words = [here.program, "submit", "--nodes", "2", "--tasks-per-node", "2", "--time", "20", "--logs", here.folder, "--partition", "batch"]
    output = here.folder / "out of a submit"
    number = run(*words, "--submit", "--", *settings, "--output", output).strip()
    Job(number, here.folder / f"pyracast-{number}.log").completes()
    datasets.check_equal(output, here.reference(settings), 8)
    check_both_nodes(output)
    script = here.file("script.sbatch", run(*words, "--", *settings, "--output", here.folder / "printed"))
    printed = Job(run("sbatch", "--parsable", script).strip())
    printed.completes()
    datasets.check_equal(here.folder / "printed", here.reference(settings), 8)


@scenario
def requeue_by_signal(here):
    """Warned inside a video, under both launchers, the job requeues itself once, appends to its log, and loses nothing."""
    settings = work(here.manifest(8), 120)
    for launcher in ("srun", "mpirun"):
        job = here.submit(launcher, settings, LAUNCHER=launcher)
        here.is_at_work(launcher)
        job.signal()
        eventually("the job is requeued", 60, lambda: job.restarts() == 1)
        check(here.made(launcher) < 8, "the warning came too late to prove anything")
        job.completes()
        check(job.restarts() == 1, f"{job.restarts()} restarts")
        datasets.check_equal(here.folder / launcher, here.reference(settings), 8)
        attempts = attempts_of(here.folder / launcher)
        check([attempt["slurm"]["SLURM_RESTART_COUNT"] for attempt in attempts] == [0, 1], f"attempts {attempts}")
        check("ended with 75" in job.text() and "ended with 0" in job.text(), "the log holds both runs")


@scenario
def preemption(here):
    """A job that is preempted is begun anew by Slurm alone, and loses nothing."""
    settings = work(here.manifest(8), 120)
    for launcher in ("srun", "mpirun"):
        job = here.submit(launcher, settings, options=["-N2", "--ntasks-per-node=2", "--partition=low"], LAUNCHER=launcher)
        here.is_at_work(launcher)
        above = Job(run("sbatch", "--parsable", "--partition=high", "-N2", "--ntasks-per-node=4", f"--output={here.log('above')}", "--wrap", "sleep 1").strip())
        above.completes(60)
        job.completes()
        check(job.restarts() == 1, f"{job.restarts()} restarts")
        check("requeued: restart" not in job.text(), "the job has requeued itself as well")
        datasets.check_equal(here.folder / launcher, here.reference(settings), 8)


@scenario
def node_crash(here):
    """A node that loses power inside a video, under both launchers: the job begins anew and loses nothing."""
    settings = work(here.manifest(8), 240)
    for launcher in ("mpirun", "srun"):
        crash_and_go_on(here, launcher, settings, "node2")
        datasets.check_equal(here.folder / launcher, here.reference(settings), 8)
        check_both_nodes(here.folder / launcher)


def crash_and_go_on(here, name, settings, lost, **more):
    job = here.submit(name, settings, LAUNCHER="mpirun" if name == "mpirun" else "srun", **more)
    here.is_at_work(name)
    time.sleep(0.3)   # the teams are inside of their next videos
    node("crash", lost)
    before = here.made(name)
    eventually("the job is begun anew", 90, lambda: job.restarts() == 1)
    node("start", lost)
    job.completes()
    check(job.restarts() == 1, f"{job.restarts()} restarts")
    provenance = datasets.rows(here.folder / name, "provenance").values()
    check({row["attempt"] for row in provenance} == {0, 1}, "videos were made before the crash and after it")
    return before


@scenario
def batch_host_crash(here):
    """The node that runs the batch script loses power: Slurm begins the job anew."""
    settings = work(here.manifest(8), 240)
    for launcher in ("srun", "mpirun"):
        crash_and_go_on(here, launcher, settings, "node1")
        datasets.check_equal(here.folder / launcher, here.reference(settings), 8)


@scenario
def network_cut(here):
    """A node whose cable is pulled inside a video: the job is begun anew, and what lives on behind the cut does no harm."""
    settings = work(here.manifest(8), 240)
    job = here.submit("srun", settings)
    here.is_at_work("srun")
    node("cut", "node2")
    eventually("the job is begun anew", 120, lambda: job.restarts() == 1)
    node("mend", "node2")
    job.completes()
    datasets.check_equal(here.folder / "srun", here.reference(settings), 8)


@scenario
def network_cut_mpirun(here):
    """The same under mpirun."""
    settings = work(here.manifest(8), 240)
    job = here.submit("mpirun", settings, LAUNCHER="mpirun")
    here.is_at_work("mpirun")
    node("cut", "node2")
    eventually("the job is begun anew", 120, lambda: job.restarts() >= 1)
    node("mend", "node2")
    job.completes()
    datasets.check_equal(here.folder / "mpirun", here.reference(settings), 8)


@scenario
def one_rank_killed(here):
    """One rank dies without a word, under both launchers: the job goes on with all ranks, and loses nothing."""
    settings = work(here.manifest(8), 120)
    for launcher in ("srun", "mpirun"):
        job = here.submit(launcher, settings, LAUNCHER=launcher)
        here.is_at_work(launcher)
        ranks = node("exec", "node2", "pgrep", "-f", "^[^ ]*pyracast generate").split()
        check(len(ranks) == 2, f"node2 runs {len(ranks)} ranks")
        node("exec", "node2", "kill", "-KILL", ranks[-1])
        job.completes()
        datasets.check_equal(here.folder / launcher, here.reference(settings), 8)
        check(len(attempts_of(here.folder / launcher)) == 2, "there were two runs")
        check("ended with 137" in job.text(), "the launcher's status is told")


@scenario
def time_limit(here):
    """The time limit itself: the job stops before it, requeues itself and loses nothing."""
    settings = work(here.manifest(8), 240)
    # The first run comes to its work when 10 s are left until Slurm's warning, which may be some seconds early.
    waiting = here.wrapper('[ -n "${SLURM_RESTART_COUNT:-}" ] || sleep 18; exec "$pyracast" "$@"')
    job = here.submit("limited", settings, program=waiting, WARNING="30",
                      options=["-N2", "--ntasks-per-node=2", "--time=1", "--signal=B:USR1@30"])
    job.completes(240)
    check(job.restarts() >= 1, "there was time enough to make everything at once")
    check("ended with 75" in job.text(), "the job has not stopped by itself")
    datasets.check_equal(here.folder / "limited", here.reference(settings), 8)


@scenario
def array(here):
    """Each job of an array makes its part; one that is warned is requeued alone, though it has the whole array's number."""
    settings = work(here.manifest(16), 60)
    first = Job.submit("generate-array.sbatch", here.folder / "%a.log", here.program, here.folder / "array", *settings,
                       options=["-N2", "--ntasks-per-node=1", "--array=0-2%2"])
    jobs = [Job(f"{first.number}_{task}", here.folder / f"{task}.log") for task in range(3)]
    eventually("the last part is at work", 90, lambda: list((here.folder / "array" / "part-2" / "videos").glob("**/*.mp4")))
    check(jobs[2].show()["JobId"] == first.number, "the last task has the array's number")
    jobs[2].signal()
    for job in jobs:
        job.completes()
    check([job.restarts() for job in jobs] == [0, 0, 1], f"restarts {[job.restarts() for job in jobs]}")
    parts = [here.folder / "array" / f"part-{part}" for part in range(3)]
    made, wanted = {}, datasets.rows(here.reference(settings), "content")
    for part in parts:
        for name, row in datasets.rows(part, "content").items():
            check(name not in made, f"{name} was made twice")
            made[name] = row
    check(made == wanted, "the parts together are not the whole")
    check({name: content for part in parts for name, content in datasets.videos(part).items()} == datasets.videos(here.reference(settings)), "MP4 files differ")


@scenario
def chain(here):
    """The links of a chain go on where the one before stopped; those that are not needed are taken back."""
    settings = work(here.manifest(8), 120)
    numbers = run(REPOSITORY / "slurm" / "chain.sh", "4", "-N2", "--ntasks-per-node=2", f"--output={here.folder}/%j.log",
                  REPOSITORY / "slurm" / "generate-chain.sbatch", here.program, *settings, "--output", here.folder / "out").split()
    links = [Job(number, here.folder / f"{number}.log") for number in numbers]
    here.is_at_work("out")
    links[0].signal()
    links[0].waits_for("FAILED")
    check(links[0].show()["ExitCode"] == "75:0", f"the first link ended with {links[0].show()['ExitCode']}")
    links[1].completes()
    for link in links[2:]:
        link.waits_for("CANCELLED")
    datasets.check_equal(here.folder / "out", here.reference(settings), 8)
    check(all(link.restarts() == 0 for link in links), "a link was requeued")


@scenario
def decided_ends(here):
    """What running again cannot mend ends the job at once with the program's code, under both launchers, and is not requeued."""
    settings = work(here.manifest(4), 6)
    for launcher in ("srun", "mpirun"):
        here.submit(launcher, settings, LAUNCHER=launcher).completes()
        for name, code, changed in (("bad input", 64, [*settings, "--guidance", "none"]), ("other settings", 65, [*settings, "--guidance", "5"])):
            job = Job.submit("generate.sbatch", here.log(f"{launcher}-{code}"), here.program, *changed, "--output", here.folder / launcher, LAUNCHER=launcher)
            expect_end(job, code, f"{launcher}: {name}")
        in_the_way = here.file(f"{launcher}-file", "")
        job = Job.submit("generate.sbatch", here.log(f"{launcher}-69"), here.program, *settings, "--output", in_the_way, LAUNCHER=launcher)
        expect_end(job, 69, f"{launcher}: no folder")
        failures = here.wrapper('[ "${OMPI_COMM_WORLD_RANK:-$SLURM_PROCID}" != 0 ] || echo 3 >"$PYRACAST_EXIT_FILE"; exit 3')
        job = Job.submit("generate.sbatch", here.log(f"{launcher}-3"), failures, LAUNCHER=launcher)
        expect_end(job, 3, f"{launcher}: complete with failures")


def expect_end(job, code, what):
    job.waits_for("FAILED", seconds=60)
    check(job.show()["ExitCode"] == f"{code}:0" and job.restarts() == 0, f"{what}: ended with {job.show()['ExitCode']} after {job.restarts()} restarts")


@scenario
def launch_failures(here):
    """A launch that fails in its first seconds is tried again in the same job; one that always fails is requeued so often and no more."""
    settings = work(here.manifest(4), 6)
    flaky = here.wrapper('[ "${SLURM_PROCID:-0}" != 0 ] || echo launch >>"$folder/launches"; sleep 1\n'
                         '[ "$(wc -l <"$folder/launches")" -gt 2 ] || kill -KILL $$\nexec "$pyracast" "$@"')
    job = here.submit("flaky", settings, program=flaky)
    job.completes()
    check(job.restarts() == 0, f"{job.restarts()} restarts")
    datasets.check_equal(here.folder / "flaky", here.reference(settings), 4)
    for launcher, code in (("srun", 0), ("mpirun", 205)):   # a program that has said nothing is not complete, whatever the launcher says
        broken = here.wrapper(f"exit {code}")
        job = Job.submit("generate.sbatch", here.log(f"broken-{launcher}"), broken, LAUNCHER=launcher, LAUNCH_TRIES="1", MAX_RESTARTS="1")
        job.waits_for("FAILED", seconds=60)
        check(job.restarts() == 1, f"{job.restarts()} restarts")
        check("not requeued: 1 restarts" in job.text(), "the log does not say why it ends")


@scenario
def cancelled(here):
    """A job that its user cancels is not requeued."""
    for launcher in ("srun", "mpirun"):
        settings = work(here.manifest(8), 240)
        job = here.submit(launcher, settings, LAUNCHER=launcher)
        here.is_at_work(launcher)
        run("scancel", job.number)
        job.waits_for("CANCELLED", seconds=60)
        time.sleep(8)   # longer than a requeued job waits
        check(job.state() == "CANCELLED" and job.restarts() == 0, f"the job is {job.state()} after {job.restarts()} restarts")


@scenario
def gpus(here):
    """The GPU script with make-believe GPUs: each rank is given one of its own; without CUDA in the program the job is refused, not requeued."""
    if (Job.cluster / "log" / "no-gpus").exists():
        print("skipped:", (Job.cluster / "log" / "no-gpus").read_text())
        sys.exit(77)
    settings = work(here.manifest(8), 12)
    for launcher in ("srun", "mpirun"):
        listing = here.wrapper('echo "$(hostname) ${OMPI_COMM_WORLD_RANK:-$SLURM_PROCID} $CUDA_VISIBLE_DEVICES" >>"$folder/gpus-$LAUNCHER"\nexec "$pyracast" "$@"')
        job = here.submit(launcher, settings, script="generate-gpu.sbatch", program=listing, DEVICE="cpu", LAUNCHER=launcher)
        job.completes()
        datasets.check_equal(here.folder / launcher, here.reference(settings), 8)
        check_both_nodes(here.folder / launcher)
        given = sorted(line.split() for line in (here.folder / f"gpus-{launcher}").read_text().splitlines())
        check(len(given) == 4 and all(len(line) == 3 for line in given), f"{launcher}: {given}")
        for name in daemons.NODES:
            seen = {gpu for host, _, devices in given if host == name for gpu in devices.split(",")}
            check(seen == {"0", "1"}, f"{launcher}: the ranks of {name} see the GPUs {seen}")
    if "not built in" in run(here.program, "--version"):
        job = here.submit("cuda", settings, script="generate-gpu.sbatch")
        expect_end(job, 64, "CUDA that is not built in")
        check("cuda" in job.text().lower(), "the log says what is missing")


@scenario
def everything_at_once(here):
    """Two nodes, two teams of two ranks, broadcasting, a mixed manifest, a node that crashes inside a video, a requeue: the dataset is
    that of one rank."""
    prompts = [{"id": "clip-a", "prompt": "a red circle moving left on a blue background", "samples": 2},
               {"id": "clip-b", "prompt": "a yellow star moving right on a blue background", "height": 48, "width": 64},
               {"id": "image", "prompt": "a green square on a white background", "frames": 1},
               {"id": "wide image", "prompt": "a blue triangle on a pink background", "frames": 1, "height": 48, "width": 64, "samples": 2},
               {"id": "clip-c", "prompt": "a purple circle bouncing on a gray background", "seed": 7, "steps": 160},
               {"id": "clip-d", "prompt": "a cyan star shrinking on a black background", "guidance": 5.0},
               {"id": "clip-e", "prompt": "a white triangle moving left on a green background", "samples": 2}]
    import json
    manifest = here.file("prompts.jsonl", "".join(json.dumps(prompt) + "\n" for prompt in prompts))
    settings = ["--config", str(DEMO), "--prompts", str(manifest), "--steps", "200", "--broadcast", str(BROADCAST), "--save", "latents"]
    team = ["--ranks-per-video", "2"]
    job = here.submit("all", [*settings, *team], LAUNCHER="srun")
    output = here.folder / "all"
    log = output / "logs" / "rank-2.log"   # of the team on node2
    eventually("the team on node2 has made a video", 90, lambda: log.exists() and " made in " in log.read_text())
    time.sleep(0.5)
    node("crash", "node2")
    crashed = time.time()
    check(here.made("all") < 10, "all videos were made before the crash")
    check(crashed - log.stat().st_mtime > 0.4, "the team on node2 was not inside a video")
    eventually("the job is begun anew", 90, lambda: job.restarts() == 1)
    node("start", "node2")
    job.completes()
    check(job.restarts() == 1, f"{job.restarts()} restarts")

    datasets.check_equal(output, here.reference(settings), 10)
    datasets.check_decodes(output)
    sent, avoided = datasets.check_steps(output, teams_share=True)
    check_both_nodes(output)
    provenance = datasets.rows(output, "provenance")
    for attempt in (0, 1):
        teams = {row["team"] for row in provenance.values() if row["attempt"] == attempt}
        check(teams == {0, 1}, f"run {attempt}: teams {teams} have made videos")
    print(f"10 samples equal to one rank's; {sent / 2**20:.1f} MiB sent, {avoided / 2**20:.1f} MiB avoided")


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
    return subprocess.call(here.login(sys.executable, pathlib.Path(__file__).resolve(), here.folder, pathlib.Path(words[1]).resolve(), *words[2:], "--inside"),
                           env=daemons.environment())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
