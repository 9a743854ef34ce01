"""What Pyramid Attention Broadcast costs and saves on the demo model, beside the other ways to save: tuned schedules, and fewer
steps.

usage: broadcast_table.py PYRACAST WORKDIR [--repeats N] [--ranks N …] [--teams N]      (numpy and h5py are needed, and mpirun)

Makes the 64 held-out prompts with everything computed, with the presets and the tuned schedules of configs/broadcast, and with
as many fewer steps as cost the same as these, on one rank and on two ranks a video, in turns; prints the table in Markdown
and writes it with all figures to WORKDIR. Seconds are those of denoising, a sample: medians over the repeats, and the least and
largest. The cost is counted: what each evaluation computed, at the median seconds of its kind over all cases and repeats, as a
share of computing everything. The errors are against everything computed.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess

import h5py
import numpy

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
    def __init__(self, program, folder, teams):
        self.program, self.folder, self.prompts, self.teams = program, folder, folder / "prompts.jsonl", teams
        rows = map(json.loads, open(clips.HELD_OUT_FILE))
        self.prompts.write_text("".join(json.dumps({"id": row["id"], "prompt": row["prompt"]}) + "\n" for row in rows))

    def make(self, name, ranks, options):
        output = self.folder / name
        shutil.rmtree(output, ignore_errors=True)
        launcher = ["mpirun", "-n", str(ranks * self.teams)] if ranks * self.teams > 1 else []
        subprocess.run([*launcher, self.program, "generate", "--config", CONFIGS / "demo.cfg", "--prompts", self.prompts,
                        "--output", output, "--save", "frames,latents", "--ranks-per-video", str(ranks), *options],
                       check=True, stderr=subprocess.DEVNULL)
        return output

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


class CountedCost:
    """Seconds of denoising by what was computed, so that other work on the machine falls out."""

    BRANCHES = ("spatial_attention", "temporal_attention", "cross_attention", "mlp")

    def __init__(self):
        self.seconds = {kind: [] for kind in (*self.BRANCHES, "other")}

    def counts(self, output):
        """Blocks that were computed of each branch, and evaluations, of all samples; their seconds are remembered."""
        counts = dict.fromkeys(self.seconds, 0)
        for shard in sorted(output.glob("shards/*/*.h5")):
            with h5py.File(shard) as file:
                seconds, computed = file["provenance/step_seconds"][:], file["provenance/step_counts"][:]
            kinds = [computed[:, 0], computed[:, 1], computed[:, 2] + computed[:, 3], computed[:, 4] + computed[:, 5]]
            for column, (kind, blocks) in enumerate(zip(self.BRANCHES, kinds)):
                self.seconds[kind].append(seconds[blocks > 0, column] / blocks[blocks > 0])
                counts[kind] += int(blocks.sum())
            self.seconds["other"].append(seconds[:, 4] + seconds[:, 5])
            counts["other"] += len(seconds)
        return counts

    def of(self, counts):
        return sum(number * float(numpy.median(numpy.concatenate(self.seconds[kind]))) for kind, number in counts.items())


def spread(values):
    return f"{statistics.median(values):.3f} ({min(values):.3f}–{max(values):.3f})"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("workdir", type=pathlib.Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2], help="ranks a video; the cost is counted on the first")
    parser.add_argument("--teams", type=int, default=1, help="videos made at once; more than one blurs the seconds, and nothing else")
    options = parser.parse_args()
    options.workdir.mkdir(parents=True, exist_ok=True)
    runs = Runs(options.program.resolve(), options.workdir, options.teams)

    def preset(name):
        file = CONFIGS / "broadcast" / f"{name}.json"
        steps = json.loads(file.read_text()).get("steps", STEPS)   # a table fits one number of steps
        return ["--broadcast", file, "--steps", str(steps)]

    cases = {"everything computed": [], "PAB 2/4/6": preset("demo-246"), "PAB 5/7/9": preset("demo-579")}
    baseline = runs.make("baseline", 1, [])
    cost = CountedCost()
    whole = cost.counts(baseline)
    for name in ["PAB 2/4/6", "PAB 5/7/9"]:   # as many steps as cost the same
        counts = cost.counts(runs.make("sizing", 1, cases[name]))
        steps = round(STEPS * cost.of(counts) / cost.of(whole))
        cases[f"{steps} steps"] = ["--steps", str(steps)]
    for file in sorted((CONFIGS / "broadcast").glob("demo-tuned-*.json")):
        cases[file.stem.removeprefix("demo-")] = preset(file.stem)
        steps = round(STEPS * json.loads(file.read_text())["provenance"]["cost"])
        cases[f"{steps} steps"] = ["--steps", str(steps)]

    figures = {name: {ranks: [] for ranks in options.ranks} for name in cases}
    for _ in range(options.repeats):
        for name, more in cases.items():
            for ranks in options.ranks:
                result = runs.against(baseline, output := runs.make("run", ranks, more))
                ran = result["runs"][1]
                figures[name][ranks].append(ran["denoising_seconds"] / len(result["samples"]))
                figures[name]["mean"], figures[name]["right"] = result["mean"], accuracy(output)
                figures[name]["latents"] = statistics.fmean(sample["latents_drift"] ** 2 for sample in result["samples"])
                if ranks == options.ranks[0]:
                    figures[name]["counts"] = cost.counts(output)
                if ranks > 1:
                    figures[name]["bytes"] = ran["all_to_all_bytes"] / len(result["samples"])
    for f in figures.values():
        f["cost"] = cost.of(f["counts"]) / cost.of(whole)

    several = any(ranks > 1 for ranks in options.ranks)
    columns = ["", "steps", "cost", *(f"s a clip, {ranks} rank{'s' * (ranks > 1)}" for ranks in options.ranks), "latents, relative MSE",
               "1 - SSIM", "PSNR", "checker", *(["all-to-all, KiB a rank"] if several else [])]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for name, f in figures.items():
        errors = ["–"] * 3 if name == "everything computed" else [
            f"{f['latents']:.2e}", f"{1 - f['mean']['ssim']:.5f}", f"{f['mean']['psnr']:.2f} dB"]
        steps = f["counts"]["other"] // len(wanted_of())
        lines.append("| " + " | ".join([name, str(steps), f"{100 * f['cost']:.1f} %", *(spread(f[ranks]) for ranks in options.ranks), *errors,
                                        f["right"], *([f"{f['bytes'] / 1024:.0f}"] if several else [])]) + " |")
    table = "\n".join(lines) + "\n"
    print(table)
    (options.workdir / "table.md").write_text(table)
    (options.workdir / "figures.json").write_text(json.dumps(figures, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()
