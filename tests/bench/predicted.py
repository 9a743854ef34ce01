"""What `pyracast plan` predicts against what `pyracast generate` takes: three mixes of the demo model on 1, 2 and 4 ranks of this machine.

usage: . jobs/mpi-environment.sh; python3 tests/bench/predicted.py build/cpu/pyracast [--ranks 1,2,4] [--teams 0,2] [--rounds 3] [--scale 0.5]

A round measures the machine with each number of ranks, without reuse (`plan --measure`), on sizes of all mixes together; then each mix is
planned, and made by teams of each size of --teams that the ranks can form (0: by those that the plan finds best). Wall time is that of the
whole command, mpirun included. Prints two tables, as Markdown: seconds, medians over the rounds with the least and the most that a prediction
was off; and bytes of videos, bytes of shards and files, of the last round."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

root = pathlib.Path(__file__).resolve().parents[2]
image = {"frames": 1, "height": 48, "width": 48}
clip = {"frames": 17, "height": 48, "width": 48}
wide = {"frames": 17, "height": 48, "width": 64}
mixes = {   # what each is made of, and its schedule
    "images and clips": ([(image, 120), (clip, 60)], None),
    "clips of two sizes": ([(clip, 48), (wide, 48)], None),
    "all three, PAB 2/4/6": ([(image, 48), (clip, 48), (wide, 48)], "configs/broadcast/demo-246.json"),
}


def write_manifest(path, parts, scale):
    prompts = [json.loads(line)["prompt"] for line in open(root / "configs/demo/prompts.jsonl")]
    with open(path, "w") as out:
        for number, (size, count) in enumerate(parts):
            for i in range(max(1, round(count * scale))):
                out.write(json.dumps({"id": f"{number}-{i}", "prompt": prompts[i % len(prompts)], **size}) + "\n")


def run(command):
    began = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\nended with {done.returncode}:\n{done.stderr}")
    return time.monotonic() - began, done.stdout


def on_disk(dataset):
    """Bytes of videos and of shards, and all files."""
    files = [path for path in dataset.rglob("*") if path.is_file()]
    size = lambda folder: sum(path.stat().st_size for path in files if path.is_relative_to(dataset / folder))
    return {"videos": size("videos"), "shards": size("shards"), "files": len(files)}


def off(predicted, real):
    return 100 * (predicted / real - 1)


class Bench:
    def __init__(self, given, folder):
        self.given, self.folder = given, folder
        self.base = ["--config", str(root / "configs/demo.cfg")]
        write_manifest(folder / "sizes.jsonl", [(image, 16), (clip, 16), (wide, 16)], 1)

    def machine(self, ranks):
        file = self.folder / f"machine-{ranks}.json"
        run(["mpirun", "-n", str(ranks), self.given.pyracast, "plan", *self.base, "--prompts", str(self.folder / "sizes.jsonl"),
             "--measure", str(file), "--samples", str(self.given.samples)])
        return file

    def made(self, ranks, machine, mix, size):
        """The plan, the seconds and what was left on disk."""
        parts, schedule = mixes[mix]
        prompts = self.folder / "prompts.jsonl"
        write_manifest(prompts, parts, self.given.scale)
        settings = [*self.base, "--prompts", str(prompts)] + (["--broadcast", str(root / schedule)] if schedule else [])
        wish = ["--ranks-per-video", str(size)] if size else []
        plan = json.loads(run([self.given.pyracast, "plan", *settings, *wish, "--machine", str(machine), "--json", "true"])[1])
        team = ["--ranks-per-video", str(plan["ranks_per_video"]), "--cfg-parallel", str(plan["cfg_parallel"]).lower()]
        with tempfile.TemporaryDirectory() as output:
            dataset = pathlib.Path(output) / "dataset"
            seconds, _ = run(["mpirun", "-n", str(ranks), self.given.pyracast, "generate", *settings, *team, "--output", str(dataset)])
            return plan, seconds, on_disk(dataset)


def print_seconds(found):
    print("| ranks | mix of the demo model | videos | teams | predicted, s | real, s | off by | least, most |\n|---|---|---|---|---|---|---|---|")
    for (ranks, mix, _), rounds in found.items():
        offs = [off(plan["wall_seconds"], seconds) for plan, seconds, _ in rounds]
        teams = ", ".join(sorted({f"of {plan['ranks_per_video']}" + (" in halves" if plan["cfg_parallel"] else "") for plan, _, _ in rounds}))
        print(f"| {ranks} | {mix} | {rounds[0][0]['videos']} | {teams} | {statistics.median(plan['wall_seconds'] for plan, _, _ in rounds):.2f} "
              f"(±{100 * statistics.median(plan['relative_error'] for plan, _, _ in rounds):.0f} %) | {statistics.median(seconds for _, seconds, _ in rounds):.2f} "
              f"| {statistics.median(offs):+.1f} % | {min(offs):+.1f}, {max(offs):+.1f} % |")


def print_disk(found):
    print("\n| ranks | mix | videos planned, MB | real | shards planned, kB | real | files planned | real |\n|---|---|---|---|---|---|---|---|")
    for (ranks, mix, size), rounds in found.items():
        plan, _, disk = rounds[-1]
        of = plan["bytes"]
        print(f"| {ranks} | {mix}{f', teams of {size}' if size else ''} | {of['videos'] / 1e6:.2f} (±{100 * of['relative_error']:.0f} %) | {disk['videos'] / 1e6:.2f} "
              f"| {(of['shards'] + of['arrays']) / 1e3:.0f} (±{100 * of['shards_relative_error']:.0f} %) | {disk['shards'] / 1e3:.0f} "
              f"| {plan['files']} (up to {plan['files_fewer']} fewer) | {disk['files']} |")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("pyracast")
    arguments.add_argument("--ranks", default="1,2,4")
    arguments.add_argument("--teams", default="0", help="ranks a video; 0: as the plan chooses")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--scale", type=float, default=0.5, help="of the number of videos")
    arguments.add_argument("--samples", type=int, default=12, help="of each size a team that are measured")
    arguments.add_argument("--keep", type=pathlib.Path, help="folder for the machine files")
    given = arguments.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = given.keep or pathlib.Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(given, folder)
        for _ in range(given.rounds):
            for ranks in map(int, given.ranks.split(",")):
                machine = bench.machine(ranks)
                for mix in mixes:
                    for size in map(int, given.teams.split(",")):
                        if size <= ranks and ranks % max(size, 1) == 0:
                            found.setdefault((ranks, mix, size), []).append(bench.made(ranks, machine, mix, size))
    print_seconds(found)
    print_disk(found)


if __name__ == "__main__":
    main()
