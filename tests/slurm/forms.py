"""Jobs that nothing happens to, in all their forms, and how they end."""
import sys
import time

import datasets
from datasets import check
from jobs import REPOSITORY, Job, attempts_of, daemons, eventually, run
from scenario import check_both_nodes, scenario, work


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
    """`pyracast submit --submit` hands in jobs of every form that complete, and what it prints is what it submits."""
    settings = work(here.manifest(8), 12)

    def words(output, *more):
        return [here.program, "submit", "--nodes", "2", "--tasks-per-node", "2", "--time", "20", "--logs", here.folder, "--partition", "batch",
                *more, "--", *settings, "--output", here.folder / output]

    job = Job(run(*words("out of a submit", "--submit")).strip())
    printed = Job(run("sbatch", "--parsable", here.file("script.sbatch", run(*words("printed")))).strip())
    array = run(*words("array", "--submit", "--form", "array", "--parts", "2", "--at-once", "1")).strip()
    links = [Job(number) for number in run(*words("chain", "--submit", "--form", "chain", "--links", "3", "--launcher", "mpirun")).split()]
    for each in (job, printed, Job(f"{array}_0"), Job(f"{array}_1"), links[0]):
        each.completes()
    for link in links[1:]:
        link.waits_for("CANCELLED")
    for output in ("out of a submit", "printed", "chain"):
        datasets.check_equal(here.folder / output, here.reference(settings), 8)
    check_both_nodes(here.folder / "out of a submit")
    parts = [datasets.videos(here.folder / "array" / f"part-{part}") for part in range(2)]
    check({**parts[0], **parts[1]} == datasets.videos(here.reference(settings)) and not {*parts[0]} & {*parts[1]}, "the parts are not the whole")
    check((here.folder / f"pyracast-{job.number}.log").exists(), "the log lies where it was wanted")


@scenario
def array(here):
    """Each job of an array makes its part; one that is warned is requeued alone, though it has the whole array's number; parts must be all."""
    settings = work(here.manifest(16), here.steps(seconds=1))
    first = Job.submit("generate-array.sbatch", here.folder / "%a.log", here.program, here.folder / "array", *settings,
                       options=["-N2", "--ntasks-per-node=1", "--array=0-2%2"])
    jobs = [Job(f"{first.number}_{task}", here.folder / f"{task}.log") for task in range(3)]
    from_one = Job.submit("generate-array.sbatch", here.folder / "one-%a.log", here.program, here.folder / "from-one", *settings,
                          options=["-N1", "--ntasks-per-node=1", "--array=1-1"])
    eventually("the last part is at work", 90, lambda: list((here.folder / "array" / "part-2" / "videos").glob("**/*.mp4")))
    check(jobs[2].show()["JobId"] == first.number, "the last task has the array's number")
    jobs[2].signal()
    for job in jobs:
        job.completes()
    refused = Job(f"{from_one.number}_1", here.folder / "one-1.log")
    refused.waits_for("FAILED")
    check("give PARTS=N" in refused.text() and not (here.folder / "from-one").exists(), "an array from 1 on has no part 0: it is refused")
    check([job.restarts() for job in jobs] == [0, 0, 1], f"restarts {[job.restarts() for job in jobs]}")
    parts = [here.folder / "array" / f"part-{part}" for part in range(3)]
    made, wanted = {}, datasets.rows(here.reference(settings), "content")
    for part in parts:
        for name, row in datasets.rows(part, "content").items():
            check(name not in made, f"{name} was made twice")
            made[name] = row
    check(made == wanted, "the parts together are not the whole")
    files = {name: content for part in parts for name, content in datasets.videos(part).items()}
    check(files == datasets.videos(here.reference(settings)), "MP4 files differ")


@scenario
def chain(here):
    """The links of a chain go on where the one before stopped; those that are not needed are taken back."""
    settings = work(here.manifest(8), here.steps(seconds=1))
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
        for name, code, guidance in (("bad input", 64, "none"), ("other settings", 65, "5")):
            job = Job.submit("generate.sbatch", here.log(f"{launcher}-{code}"), here.program, *settings, "--guidance", guidance,
                             "--output", here.folder / launcher, LAUNCHER=launcher)
            expect_end(job, code, f"{launcher}: {name}")
        in_the_way = here.file(f"{launcher}-file", "")
        job = Job.submit("generate.sbatch", here.log(f"{launcher}-69"), here.program, *settings, "--output", in_the_way, LAUNCHER=launcher)
        expect_end(job, 69, f"{launcher}: no folder")
        failures = here.wrapper('[ "${OMPI_COMM_WORLD_RANK:-$SLURM_PROCID}" != 0 ] || echo 3 >"$PYRACAST_EXIT_FILE"; exit 3')
        job = Job.submit("generate.sbatch", here.log(f"{launcher}-3"), failures, LAUNCHER=launcher)
        expect_end(job, 3, f"{launcher}: complete with failures")


def expect_end(job, code, what):
    job.waits_for("FAILED", seconds=60)
    ended, restarts = job.show()["ExitCode"], job.restarts()
    check(ended == f"{code}:0" and restarts == 0, f"{what}: ended with {ended} after {restarts} restarts")


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
def nodes_not_free(here):
    """Nodes that stay busy under a job's hands, as after a failure that Slurm half noticed: it does not wait for ever, but begins anew."""
    settings = work(here.manifest(4), 6)
    held = here.file("hold.sh", '[ -n "${SLURM_RESTART_COUNT:-}" ] || { BASH_ENV= srun --ntasks-per-node=2 sleep 600 & sleep 3; }\n')
    job = here.submit("held", settings, BASH_ENV=str(held), STEP_SECONDS="8")
    job.completes()
    check(job.restarts() == 1, f"{job.restarts()} restarts")
    datasets.check_equal(here.folder / "held", here.reference(settings), 4)


@scenario
def cancelled(here):
    """A job that its user cancels is not requeued."""
    for launcher in ("srun", "mpirun"):
        settings = work(here.manifest(8), here.steps(seconds=2))
        job = here.submit(launcher, settings, LAUNCHER=launcher)
        here.is_at_work(launcher)
        run("scancel", job.number)
        job.waits_for("CANCELLED", seconds=60)
        time.sleep(8)   # longer than a requeued job waits
        check(job.state() == "CANCELLED" and job.restarts() == 0, f"the job is {job.state()} after {job.restarts()} restarts")


@scenario
def gpus(here):
    """The GPU script with make-believe GPUs: each rank sees all of its node; without CUDA in the program the job is refused, not requeued."""
    if (Job.cluster / "log" / "no-gpus").exists():
        print("skipped:", (Job.cluster / "log" / "no-gpus").read_text())
        sys.exit(77)
    settings = work(here.manifest(8), 12)
    for launcher in ("srun", "mpirun"):
        listing = here.wrapper('echo "$(hostname) ${OMPI_COMM_WORLD_RANK:-$SLURM_PROCID} $CUDA_VISIBLE_DEVICES" >>"$folder/gpus-$LAUNCHER"\n'
                               'exec "$pyracast" "$@"')
        job = here.submit(launcher, settings, script="generate-gpu.sbatch", program=listing, DEVICE="cpu", LAUNCHER=launcher)
        job.completes()
        datasets.check_equal(here.folder / launcher, here.reference(settings), 8)
        check_both_nodes(here.folder / launcher)
        # A rank that dies while it starts (as Open MPI's may, rarely) has all of them launched again: the same lines once more.
        given = sorted(line.split() for line in set((here.folder / f"gpus-{launcher}").read_text().splitlines()))
        check(len(given) == 4 and all(len(line) == 3 for line in given), f"{launcher}: {given}")
        check({devices for _, _, devices in given} == {"0,1"}, f"{launcher}: ranks do not see all GPUs of their nodes: {given}")
    if "not built in" in run(here.program, "--version"):
        job = here.submit("cuda", settings, script="generate-gpu.sbatch")
        expect_end(job, 64, "CUDA that is not built in")
        check("cuda" in job.text().lower(), "the log says what is missing")
