"""What schedules of `pyracast tune` cost and save on the demo model, beside Pyramid Attention Broadcast and fewer steps.

usage: tuned_table.py PYRACAST WORKDIR [--repeats N] [--prompts N] [--teams N]      (numpy and h5py are needed, and mpirun)

Makes the held-out prompts with everything computed, with the presets and the tuned schedules of configs/broadcast, and with as many
fewer steps as cost the same as each of these, in turns; prints the table in Markdown and writes it with all figures to WORKDIR.
The cost is counted: what each evaluation computed, at the median seconds of its kind over all cases and repeats, as a share of
computing everything. Errors are against everything computed in all steps: mean squared difference of the final latents over
their mean square, mean over clips, and the likeness of the clips.
"""

import argparse
import json
import pathlib
import statistics

import h5py
import numpy

import broadcast_table


class CountedCost:
    """Seconds of denoising by what was computed, so that other work on the machine falls out."""

    BRANCHES = ("spatial_attention", "temporal_attention", "cross_attention", "mlp")

    def __init__(self):
        self.seconds = {kind: [] for kind in (*self.BRANCHES, "other")}

    def counts(self, output, options):
        """How often each branch of the network, and what an evaluation takes besides, was computed in all samples, and their evaluations;
        the seconds are remembered. Shares are of a first evaluation, which computes everything: its halves of guidance are counted
        as one or, where they are evaluated one after the other, as two."""
        counts = dict.fromkeys((*self.seconds, "evaluations"), 0)
        for shard in sorted(output.glob("shards/*/*.h5")):
            with h5py.File(shard) as file:
                seconds, computed = file["provenance/step_seconds"][:], file["provenance/step_counts"][:]
                steps = int(file["provenance/step_offsets"][1])
            kinds = [computed[:, 0], computed[:, 1], computed[:, 2] + computed[:, 3], computed[:, 4] + computed[:, 5]]
            for column, (kind, blocks) in enumerate(zip(self.BRANCHES, kinds)):
                share = blocks / blocks[0]
                self.seconds[kind].append(seconds[blocks > 0, column] / share[blocks > 0])
                counts[kind] += float(share.sum())
            halves = numpy.where(numpy.isin(numpy.arange(len(seconds)) % steps, without_a_half(options)), 0.5, 1)
            self.seconds["other"].append((seconds[:, 4] + seconds[:, 5]) / halves)
            counts["other"] += float(halves.sum())
            counts["evaluations"] += len(seconds)
        return counts

    def of(self, counts):
        return sum(counts[kind] * float(numpy.median(numpy.concatenate(seconds))) for kind, seconds in self.seconds.items())


def without_a_half(options):
    """The evaluations that leave out the unconditional half of guidance, as the table in the options says."""
    if "--broadcast" not in options:
        return []
    table = json.loads(pathlib.Path(options[options.index("--broadcast") + 1]).read_text())
    return [e for entry in table.get("reuse", []) if entry["branch"] == "unconditional_half" for e in entry["evaluations"]]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("workdir", type=pathlib.Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--teams", type=int, default=1, help="videos made at once")
    options = parser.parse_args()
    options.workdir.mkdir(parents=True, exist_ok=True)
    runs = broadcast_table.Runs(options.program.resolve(), options.workdir, options.prompts, options.teams)

    cost = CountedCost()
    baseline = runs.make("baseline", 1, [])
    whole = cost.counts(baseline, [])
    cases = {"everything computed": [], **broadcast_table.PRESETS}
    for file in sorted((broadcast_table.CONFIGS / "broadcast").glob("demo-tuned-*.json")):
        steps = json.loads(file.read_text())["steps"]   # a table fits one number of steps
        cases[file.stem.removeprefix("demo-")] = ["--broadcast", file, "--steps", str(steps)]
    for name, more in list(cases.items())[1:]:
        share = cost.of(cost.counts(runs.make("sizing", 1, more), more)) / cost.of(whole)
        steps = round(broadcast_table.STEPS * share)
        cases[f"{steps} steps"] = ["--steps", str(steps)]

    figures = {}
    for _ in range(options.repeats):
        for name, more in cases.items():
            output = runs.make("run", 1, more)
            result = runs.against(baseline, output)
            figures[name] = {"counts": cost.counts(output, more), "mean": result["mean"], "right": broadcast_table.accuracy(output),
                             "latents": statistics.fmean(sample["latents_drift"] ** 2 for sample in result["samples"]),
                             "clips": len(result["samples"])}

    lines = ["| | steps | cost | latents, relative MSE | 1 - SSIM | PSNR | checker |", "|---|---|---|---|---|---|---|"]
    for name, f in figures.items():
        f["cost"] = cost.of(f["counts"]) / cost.of(whole)
        errors = "– | – | –" if name == "everything computed" else (
            f"{f['latents']:.2e} | {1 - f['mean']['ssim']:.5f} | {f['mean']['psnr']:.2f} dB")
        lines.append(f"| {name} | {f['counts']['evaluations'] // f['clips']} | {100 * f['cost']:.1f} % | {errors} | {f['right']} |")
    broadcast_table.write(options.workdir, lines, figures)


if __name__ == "__main__":
    main()
