"""What `pyracast plan` predicts against what `pyracast generate` takes: three mixes of the demo model on 1, 2 and 4 ranks of this machine.

usage: . jobs/mpi-environment.sh; python3 tests/bench/predicted.py build/cpu/pyracast [--ranks 1,2,4] [--scale 1]

Each number of ranks is measured once, without reuse (`plan --measure`), on sizes of all mixes together; then each mix is planned, and made
by the teams of the plan. Wall time is that of the whole command, mpirun included. Prints the table, as Markdown."""
import argparse
import json
import os
import pathlib
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


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("pyracast")
    arguments.add_argument("--ranks", default="1,2,4")
    arguments.add_argument("--scale", type=float, default=1)
    arguments.add_argument("--samples", type=int, default=12, help="of each size a team that are measured")
    arguments.add_argument("--keep", type=pathlib.Path, help="folder for the machine files and plans")
    given = arguments.parse_args()
    worst = 0
    with tempfile.TemporaryDirectory() as name:
        folder = given.keep or pathlib.Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        write_manifest(folder / "sizes.jsonl", [(image, 16), (clip, 16), (wide, 16)], 1)
        base = ["--config", str(root / "configs/demo.cfg")]
        print("| ranks | mix | videos | teams | predicted, s | real, s | off by |\n|---|---|---|---|---|---|---|", flush=True)
        for ranks in map(int, given.ranks.split(",")):
            mpirun = ["mpirun", "-n", str(ranks), given.pyracast]
            machine = folder / f"machine-{ranks}.json"
            run([*mpirun, "plan", *base, "--prompts", str(folder / "sizes.jsonl"), "--measure", str(machine), "--samples", str(given.samples)])
            for mix, (parts, schedule) in mixes.items():
                prompts = folder / "prompts.jsonl"
                write_manifest(prompts, parts, given.scale)
                settings = [*base, "--prompts", str(prompts)] + (["--broadcast", str(root / schedule)] if schedule else [])
                plan = json.loads(run([given.pyracast, "plan", *settings, "--machine", str(machine), "--json", "true"])[1])
                team = ["--ranks-per-video", str(plan["ranks_per_video"]), "--cfg-parallel", str(plan["cfg_parallel"]).lower()]
                with tempfile.TemporaryDirectory() as output:
                    real, _ = run([*mpirun, "generate", *settings, *team, "--output", os.path.join(output, "dataset")])
                off = plan["wall_seconds"] / real - 1
                worst = max(worst, abs(off))
                halves = " in halves" if plan["cfg_parallel"] else ""
                print(f"| {ranks} | {mix} | {plan['videos']} | of {plan['ranks_per_video']}{halves} | {plan['wall_seconds']:.2f} "
                      f"(±{100 * plan['relative_error']:.0f} %) | {real:.2f} | {100 * off:+.1f} % |", flush=True)
    print(f"\nat most {100 * worst:.1f} % off")


if __name__ == "__main__":
    main()
