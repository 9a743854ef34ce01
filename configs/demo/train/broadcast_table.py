"""What Pyramid Attention Broadcast costs and saves on the demo model, beside the other way to save: fewer steps.

usage: broadcast_table.py PYRACAST WORKDIR [--repeats N] [--prompts N] [--steps 10,20,50]     (numpy and h5py are needed, and mpirun)

Makes the 64 held-out prompts with everything computed, with the presets of configs/broadcast, and with as many fewer steps
as cost the same, on one rank and on two ranks a video, in turns; prints the table in Markdown and writes it with all
figures to WORKDIR. Seconds are those of denoising, a sample: medians over the repeats, and the least and largest.

With --steps instead: for each number of steps both presets against everything computed in as many steps, on one rank with one
thread. The speed-up is of CPU seconds of whole runs, less those of a run of one step (loading, text, decoding and files), so that
other work on the machine does not count; what is compared is run in turns.
"""

import argparse
import json
import pathlib
import resource
import shutil
import statistics
import subprocess

import h5py

import checker
import clips

HERE = pathlib.Path(__file__).resolve().parent
CONFIGS = HERE.parent.parent
STEPS = 30
QUALITIES = ("background", "colour", "motion", "shape")


def wanted_of():
    """The words that the checker looks for, by id."""
    return {row["id"]: {quality: row[quality] for quality in QUALITIES} for row in map(json.loads, open(clips.HELD_OUT_FILE))}


class Runs:
    def __init__(self, program, folder, prompts, teams=1):
        self.program, self.folder, self.prompts, self.teams = program, folder, folder / "prompts.jsonl", teams
        rows = list(map(json.loads, open(clips.HELD_OUT_FILE)))[:prompts]
        self.prompts.write_text("".join(json.dumps({"id": row["id"], "prompt": row["prompt"]}) + "\n" for row in rows))

    def make(self, name, ranks, options):
        output = self.folder / name
        shutil.rmtree(output, ignore_errors=True)
        launcher = ["mpirun", "-n", str(ranks * self.teams)] if ranks * self.teams > 1 else []
        subprocess.run([*launcher, self.program, "generate", "--config", CONFIGS / "demo.cfg", "--prompts", self.prompts,
                        "--output", output, "--save", "frames,latents", "--ranks-per-video", str(ranks), *options],
                       check=True, stderr=subprocess.DEVNULL)
        return output

    def cpu_seconds(self, name, options):
        """Of a whole run on one rank with one thread."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.make(name, 1, ["--threads", "1", *options])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def against(self, baseline, output):
        """What `pyracast compare` says; its second run is `output`."""
        subprocess.run([self.program, "compare", baseline, output, "--output", self.folder / "comparison", "--clips", "0"],
                       check=True, stdout=subprocess.DEVNULL)
        return json.loads((self.folder / "comparison" / "compare.json").read_text())


def accuracy(output):
    """Right answers of the checker, of all; the four qualities together."""
    right = total = 0
    for shard in sorted(output.glob("shards/*/*.h5")):
        with h5py.File(shard) as file:
            content = file["content"]
            for name in [n for n in content if n.startswith("frames_") and not n.endswith("_rows")]:
                for clip, row in enumerate(content[name + "_rows"][:]):
                    found, wanted = checker.check(content[name][clip]), wanted_of()[content["id"][row].decode()]
                    right += sum(found[quality] == word for quality, word in wanted.items())
                    total += len(wanted)
    return f"{right} of {total}"


def spread(values):
    return f"{statistics.median(values):.3f} ({min(values):.3f}–{max(values):.3f})"


def preset(name):
    return ["--broadcast", CONFIGS / "broadcast" / f"{name}.json"]


PRESETS = {"PAB 2/4/6": preset("demo-246"), "PAB 5/7/9": preset("demo-579")}


def write(folder, lines, figures):
    table = "\n".join(lines) + "\n"
    print(table)
    (folder / "table.md").write_text(table)
    (folder / "figures.json").write_text(json.dumps(figures, indent=1, default=float) + "\n")


def over_steps(runs, numbers, repeats):
    lines = ["| steps | | reused | speed-up | PSNR | SSIM | checker |", "|---|---|---|---|---|---|---|"]
    figures = {}
    for steps in numbers:
        as_many = ["--steps", str(steps)]
        ratios = {name: [] for name in PRESETS}
        for repeat in range(repeats):
            fixed = runs.cpu_seconds("one-step", ["--steps", "1"])
            whole = runs.cpu_seconds("baseline", as_many) - fixed
            for name, broadcast in PRESETS.items():
                ratios[name].append(whole / (runs.cpu_seconds(name.replace("/", ""), [*as_many, *broadcast]) - fixed))
        baseline = runs.folder / "baseline"
        lines.append(f"| {steps} | everything computed | 0.0 % | – | – | – | {accuracy(baseline)} |")
        for name in PRESETS:
            output = runs.folder / name.replace("/", "")
            result = runs.against(baseline, output)
            ran = result["runs"][1]
            row = {"ratios": ratios[name], "reused": ran["attentions_reused"] / ran["attentions"], "mean": result["mean"], "right": accuracy(output)}
            figures[f"{steps} steps, {name}"] = row
            lines.append(f"| {steps} | {name} | {100 * row['reused']:.1f} % | {spread(ratios[name])} | {row['mean']['psnr']:.2f} dB | "
                         f"{row['mean']['ssim']:.4f} | {row['right']} |")
    write(runs.folder, lines, figures)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("workdir", type=pathlib.Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--steps", type=lambda text: [int(word) for word in text.split(",")])
    options = parser.parse_args()
    options.workdir.mkdir(parents=True, exist_ok=True)
    runs = Runs(options.program.resolve(), options.workdir, options.prompts)
    if options.steps:
        over_steps(runs, options.steps, options.repeats)
        return

    cases = {"everything computed": [], **PRESETS}
    baseline = runs.make("baseline", 1, [])
    for name in PRESETS:   # as many steps as cost the same
        measured = runs.against(baseline, runs.make("sizing", 1, cases[name]))
        steps = round(STEPS / measured["speed_up"]["denoising"])
        cases[f"{steps} steps"] = ["--steps", str(steps)]

    figures = {name: {1: [], 2: []} for name in cases}
    for _ in range(options.repeats):
        for name, more in cases.items():
            for ranks in (1, 2):
                result = runs.against(baseline, output := runs.make("run", ranks, more))
                ran = result["runs"][1]
                figures[name][ranks].append(ran["denoising_seconds"] / len(result["samples"]))
                figures[name]["mean"], figures[name]["right"] = result["mean"], accuracy(output)
                figures[name]["reused"] = ran["attentions_reused"] / ran["attentions"]
                if ranks == 2:
                    figures[name]["bytes"] = ran["all_to_all_bytes"] / len(result["samples"])

    lines = ["| | s a clip, 1 rank | s a clip, 2 ranks | reused | PSNR | SSIM | checker | all-to-all, KiB a rank |",
             "|---|---|---|---|---|---|---|---|"]
    for name, f in figures.items():
        alike = name == "everything computed"
        lines.append(f"| {name} | {spread(f[1])} | {spread(f[2])} | {100 * f['reused']:.1f} % | "
                     f"{'–' if alike else format(f['mean']['psnr'], '.2f') + ' dB'} | {'–' if alike else format(f['mean']['ssim'], '.4f')} | "
                     f"{f['right']} | {f['bytes'] / 1024:.0f} |")
    write(options.workdir, lines, figures)


if __name__ == "__main__":
    main()
