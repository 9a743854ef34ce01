"""Measures a snapshot on the held-out prompts and draws a contact sheet.

usage: evaluate.py SNAPSHOT REPORT_FOLDER [--seed N] [--quick]

Writes REPORT_FOLDER/figures.json and contact_sheet.png, prints the figures. For each size and length: how many of the 64
prompts show the right background, colour, motion and shape; the same of true clips after the autoencoder, which is the
ceiling of what generation can reach; and how much the attention outputs change from step to step.
"""

import argparse
import json
import pathlib
import statistics

import numpy
import torch
from PIL import Image, ImageDraw

import checker
import clips
from snapshot import Snapshot

QUALITIES = ("background", "colour", "motion", "shape")
CASES = [(frames, *size) for size in clips.SIZES for frames in (clips.FRAMES, 1)]


def score(videos, combinations):
    """Right answers of all, for each quality; and the shapes that were taken for another one."""
    found = [checker.check(v) for v in videos]
    wanted = [dict(zip(("shape", "colour", "background", "motion"), c)) for c in combinations]
    qualities = [q for q in QUALITIES if found[0][q] is not None]
    right = {q: sum(f[q] == w[q] for f, w in zip(found, wanted)) for q in qualities}
    by_shape = {s: sum(f["shape"] == s for f, w in zip(found, wanted) if w["shape"] == s) for s in clips.SHAPES}
    return {**right, "of": len(found), "right by shape": by_shape}


def reconstruction(snapshot, frames, height, width):
    """The ceiling: true clips of the held-out combinations through the autoencoder."""
    scenes = clips.Scenes(clips.held_out(), height, width, numpy.random.default_rng(9))
    if frames == 1:
        pixels = scenes.draw(numpy.random.default_rng(10).random(len(scenes.chosen)))[0][:, :, None]
    else:
        pixels = scenes.clips(frames)[0]
    videos = snapshot.reconstruct(torch.from_numpy(pixels))
    truth = (pixels.transpose(0, 2, 3, 4, 1) + 1) * 127.5
    error = numpy.square(videos - truth).mean((1, 2, 3, 4))
    quality = 10 * numpy.log10(255 ** 2 / error)
    return {**score(videos, scenes.chosen), "psnr median": float(numpy.median(quality)), "psnr least": float(quality.min())}


class AttentionChange:
    """The relative mean squared change of what attention adds to the tokens, from one step to the next."""

    def __init__(self):
        self.before, self.changes, self.times = {}, {}, []

    def begin(self, step, time):
        self.calls = {}
        self.times.append(time)

    def see(self, kind, output):
        index = self.calls[kind] = self.calls.get(kind, -1) + 1
        before = self.before.get((kind, index))
        if before is not None:
            change = float((output - before).square().mean() / before.square().mean())
            self.changes.setdefault(kind, {}).setdefault(len(self.times) - 1, []).append(change)
        self.before[kind, index] = output

    def summary(self):
        """The curve of each kind; its ends (the greatest of the first five and of the last two changes) over its
        middle (the mean where t is in 200..600)."""
        summary = {}
        for kind, by_step in self.changes.items():
            curve = [statistics.mean(by_step[s]) for s in sorted(by_step)]
            middle = statistics.mean(c for c, t in zip(curve, self.times[1:]) if 200 <= t <= 600)
            summary[kind] = {"curve": curve, "middle": middle, "first steps over middle": max(curve[:5]) / middle,
                             "last steps over middle": max(curve[-2:]) / middle}
        return summary


def contact_sheet(videos, rows, path, shown=5):
    """Each clip as a strip of frames over its prompt, four clips a row."""
    zoom, margin, columns = 2, 14, 4
    _, frames, height, width, _ = videos.shape
    picked = numpy.linspace(0, frames - 1, min(shown, frames)).round().astype(int)
    cell_width, cell_height = width * len(picked) * zoom + 8, height * zoom + margin + 4
    sheet = Image.new("RGB", (columns * cell_width, -(-len(videos) // columns) * cell_height), "white")
    pen = ImageDraw.Draw(sheet)
    for i, (video, row) in enumerate(zip(videos, rows)):
        x, y = i % columns * cell_width, i // columns * cell_height
        strip = Image.fromarray(numpy.concatenate([video[k] for k in picked], 1))
        sheet.paste(strip.resize((strip.width * zoom, strip.height * zoom), Image.NEAREST), (x, y + margin))
        pen.text((x + 2, y + 1), row["prompt"], fill="black")
    sheet.save(path)


def evaluate(folder, report, seed, quick):
    report.mkdir(parents=True, exist_ok=True)
    snapshot = Snapshot(folder)
    rows = [json.loads(line) for line in open(clips.HELD_OUT_FILE)]
    combinations, prompts = clips.held_out(), [r["prompt"] for r in rows]
    figures = {}
    for case in CASES[:1] if quick else CASES:
        name = "{0} frames {1}x{2}".format(*case)
        figures[f"reconstructed, {name}"] = reconstruction(snapshot, *case)
        print(f"reconstructed, {name}: {figures[f'reconstructed, {name}']}", flush=True)
        change = AttentionChange()
        videos = snapshot.generate(prompts, *case, seed, observe=change if case == CASES[0] else None)
        figures[f"generated, {name}"] = score(videos, combinations)
        print(f"generated, {name}: {figures[f'generated, {name}']}", flush=True)
        if case == CASES[0]:
            contact_sheet(videos, rows, report / "contact_sheet.png")
            figures["attention change"] = change.summary()
            for kind, values in change.summary().items():
                print(kind, {k: round(v, 4) for k, v in values.items() if k != "curve"}, flush=True)
    (report / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("snapshot", type=pathlib.Path)
    parser.add_argument("report", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="only 17 frames of 48x48")
    options = parser.parse_args()
    torch.set_num_threads(2)
    evaluate(options.snapshot, options.report, options.seed, options.quick)
