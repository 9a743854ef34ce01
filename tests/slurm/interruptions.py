"""Jobs that are interrupted, by Slurm and by accidents."""
import json
import time

import datasets
from datasets import check
from jobs import Job, attempts_of, eventually, node, run
from scenario import BROADCAST, DEMO, check_both_nodes, scenario, work


@scenario
def requeue_by_signal(here):
    """Warned inside a video, under both launchers, the job requeues itself once, appends to its log, and loses nothing."""
    settings = work(here.manifest(8), here.steps(seconds=1))
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
def time_limit(here):
    """The time limit itself: the job stops before it, requeues itself and loses nothing."""
    settings = work(here.manifest(16), here.steps(seconds=2))   # more than four cores make in what the first run has
    # The first run comes to its work when 6 s are left until Slurm's warning. That may be half a minute early: a shell that
    # still waits does not die of it, and the program then stops by its own clock.
    waiting = here.wrapper('trap "" USR1; [ -n "${SLURM_RESTART_COUNT:-}" ] || sleep 24; exec "$pyracast" "$@"')
    job = here.submit("limited", settings, program=waiting, WARNING="30",
                      options=["-N2", "--ntasks-per-node=2", "--time=1", "--signal=B:USR1@30"])
    job.completes(240)
    check(job.restarts() >= 1, "there was time enough to make everything at once")
    check("ended with 75" in job.text(), "the job has not stopped by itself")
    datasets.check_equal(here.folder / "limited", here.reference(settings), 16)


@scenario
def preemption(here):
    """A job that is preempted is begun anew by Slurm alone, and loses nothing."""
    settings = work(here.manifest(8), here.steps(seconds=1))
    for launcher in ("srun", "mpirun"):
        job = here.submit(launcher, settings, options=["-N2", "--ntasks-per-node=2", "--partition=low"], LAUNCHER=launcher)
        here.is_at_work(launcher)
        above = Job(run("sbatch", "--parsable", "--partition=high", "-N2", "--ntasks-per-node=4", f"--output={here.log('above')}",
                        "--wrap", "sleep 1").strip())
        above.completes(60)
        job.completes()
        check(job.restarts() == 1, f"{job.restarts()} restarts")
        check("requeued: restart" not in job.text(), "the job has requeued itself as well")
        datasets.check_equal(here.folder / launcher, here.reference(settings), 8)


@scenario
def node_crash(here):
    """A node that loses power inside a video, under both launchers: the job begins anew and loses nothing."""
    settings = work(here.manifest(8), here.steps(seconds=2))
    for launcher in ("mpirun", "srun"):
        crash_and_go_on(here, launcher, settings, "node2")
        datasets.check_equal(here.folder / launcher, here.reference(settings), 8)
        check_both_nodes(here.folder / launcher)


def crash_and_go_on(here, name, settings, lost, **more):
    job = here.submit(name, settings, LAUNCHER="mpirun" if name == "mpirun" else "srun", **more)
    here.is_at_work_on_both_nodes(name)
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
    settings = work(here.manifest(8), here.steps(seconds=2))
    for launcher in ("srun", "mpirun"):
        crash_and_go_on(here, launcher, settings, "node1")
        datasets.check_equal(here.folder / launcher, here.reference(settings), 8)


@scenario
def network_cut(here):
    """A node whose cable is pulled inside a video: the job is begun anew, and what lives on behind the cut does no harm."""
    settings = work(here.manifest(8), here.steps(seconds=2))
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
    settings = work(here.manifest(8), here.steps(seconds=2))
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
    settings = work(here.manifest(8), here.steps(seconds=1))
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
def everything_at_once(here):
    """Two nodes, two teams of two ranks, broadcasting, a mixed manifest, a node that crashes inside a video, a requeue: the dataset is
    that of one rank."""
    steps = here.steps(seconds=2)
    prompts = [{"id": "clip-a", "prompt": "a red circle moving left on a blue background", "samples": 2},
               {"id": "clip-b", "prompt": "a yellow star moving right on a blue background", "height": 48, "width": 64},
               {"id": "image", "prompt": "a green square on a white background", "frames": 1},
               {"id": "wide image", "prompt": "a blue triangle on a pink background", "frames": 1, "height": 48, "width": 64, "samples": 2},
               {"id": "clip-c", "prompt": "a purple circle bouncing on a gray background", "seed": 7, "steps": steps * 4 // 5},
               {"id": "clip-d", "prompt": "a cyan star shrinking on a black background", "guidance": 5.0},
               {"id": "clip-e", "prompt": "a white triangle moving left on a green background", "samples": 2}]
    manifest = here.file("prompts.jsonl", "".join(json.dumps(prompt) + "\n" for prompt in prompts))
    settings = ["--config", str(DEMO), "--prompts", str(manifest), "--steps", str(steps), "--broadcast", str(BROADCAST), "--save", "latents"]
    team = ["--ranks-per-video", "2"]
    job = here.submit("all", [*settings, *team], LAUNCHER="srun")
    output = here.folder / "all"
    log = output / "logs" / "rank-2.log"   # of the team on node2
    here.is_at_work_on_both_nodes("all")
    eventually("the team on node2 is inside a video", 30, lambda: time.time() - log.stat().st_mtime > 0.4)
    node("crash", "node2")
    check(here.made("all") < 10, "all videos were made before the crash")
    eventually("the job is begun anew", 90, lambda: job.restarts() == 1)
    node("start", "node2")
    job.completes()
    check(job.restarts() == 1, f"{job.restarts()} restarts")

    datasets.check_equal(output, here.reference(settings), 10)
    datasets.check_decodes(output)
    sent, avoided = datasets.check_steps(output, teams_share=True)
    check_both_nodes(output)
    made_by = {(row["attempt"], row["team"]) for row in datasets.rows(output, "provenance").values()}
    check(made_by >= {(0, 0), (0, 1)}, f"first run: videos of {made_by} (attempt, team)")
    check({attempt for attempt, _ in made_by} == {0, 1}, "no video was left for the second run")
    print(f"10 samples equal to one rank's; {sent / 2**20:.1f} MiB sent, {avoided / 2**20:.1f} MiB avoided")
