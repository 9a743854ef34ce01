"""What the scenarios share: their list, and the folder of each."""
import hashlib
import pathlib
import shutil

import datasets
from datasets import check
from jobs import REPOSITORY, Job, daemons, eventually, run

DEMO = REPOSITORY / "configs" / "demo.cfg"
BROADCAST = REPOSITORY / "configs" / "broadcast" / "demo-246.json"
SCENARIOS = {}


def scenario(function):
    """Lists a scenario by its name; its description is what holds when it passes."""
    SCENARIOS[function.__name__] = function
    return function


class Here:
    """The folder of one scenario, and the program under test."""

    def __init__(self, base, program, name):
        self.base, self.program = base, program
        self.folder = base / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def manifest(self, prompts, name="prompts.jsonl"):
        """A manifest of that many of the demo's prompts."""
        lines = (REPOSITORY / "configs" / "demo" / "prompts.jsonl").read_text().splitlines()
        return self.file(name, "\n".join(lines[:prompts]) + "\n")

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

    def steps(self, seconds):
        """How many steps of a demo clip take so many seconds of one core here, by the fastest of three clips: what is to be interrupted
        must take long enough on any machine. What acts when the first clip is there has at least these seconds for it."""
        clips = datasets.rows(self.reference([*work(self.manifest(3, "pace.jsonl"), 60), "--threads", "1"]), "provenance").values()
        return max(24, round(seconds / min(clip["step_seconds"].sum() / len(clip["step_seconds"]) for clip in clips)))

    def made(self, name):
        return len(list((self.folder / name / "videos").glob("**/*.mp4")))

    def is_at_work(self, name, videos=1):
        eventually(f"{name} has made {videos} videos", 60, lambda: self.made(name) >= videos)

    def has_made_one(self, name, rank):
        """Whether that rank has made a video, as its log says."""
        log = self.folder / name / "logs" / f"rank-{rank}.log"
        return log.exists() and " made in " in log.read_text()

    def is_at_work_on_both_nodes(self, name):
        """A node that is lost is missed after many seconds, in which the other goes on: who makes what is left is not certain, so
        what both must have done is waited for before."""
        halves = ((0, 1), (2, 3))   # the ranks of each node
        eventually(f"each node has made a video of {name}", 90,
                   lambda: all(any(self.has_made_one(name, rank) for rank in half) for half in halves))


def work(prompts, steps):
    """Settings of a job: that many demo clips of so many steps."""
    return ["--config", str(DEMO), "--prompts", str(prompts), "--steps", str(steps)]


def check_both_nodes(folder):
    hosts = {row["host"] for row in datasets.rows(folder, "provenance").values()}
    check(hosts == set(daemons.NODES), f"samples were made on {sorted(hosts)}")
