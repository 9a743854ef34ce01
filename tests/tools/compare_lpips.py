#!/usr/bin/env python3
"""Holds `pyracast compare`'s LPIPS against the package lpips (PyPI: lpips, torch, torchvision, h5py), with random weights
of both backbones. usage: compare_lpips.py PYRACAST A B
A, B: two runs of one manifest made with --save frames, of pictures of 64 x 64 pixels at least."""
import json
import pathlib
import subprocess
import sys
import tempfile

import h5py
import lpips
import torch

program, *runs = sys.argv[1:]


def clips(run):
    found = {}
    for shard in sorted(pathlib.Path(run).glob("shards/*/*.h5")):
        with h5py.File(shard) as file:
            content = file["content"]
            for name in [n for n in content if n.startswith("frames_") and not n.endswith("_rows")]:
                for clip, row in enumerate(content[name + "_rows"][:]):
                    found[content["id"][row].decode(), int(content["sample"][row])] = content[name][clip]
    return found


def pictures(clip):
    return torch.from_numpy(clip).permute(0, 3, 1, 2).float() / 255 * 2 - 1


first, second = map(clips, runs)
worst = 0
for net in ["alex", "vgg"]:
    torch.manual_seed(7)
    metric = lpips.LPIPS(net=net, spatial=True, pretrained=False, pnet_rand=True, verbose=False).eval()
    for layer in metric.lins:
        torch.nn.init.uniform_(layer.model[1].weight, 0, 1)
    backbone = {f"features.{key.split('.', 1)[1]}": value for key, value in metric.net.state_dict().items()}
    heads = {key: value for key, value in metric.state_dict().items() if key.startswith("lin") and not key.startswith("lins")}
    with tempfile.TemporaryDirectory() as folder:
        torch.save(backbone, f"{folder}/backbone.pth")
        torch.save(heads, f"{folder}/heads.pth")
        subprocess.run([program, "compare", *runs, "--output", folder, "--clips", "0", "--lpips-backbone", f"{folder}/backbone.pth",
                        "--lpips-heads", f"{folder}/heads.pth"], check=True, stdout=subprocess.DEVNULL)
        ours = json.loads(pathlib.Path(folder, "compare.json").read_text())
    with torch.no_grad():
        for sample in ours["samples"]:
            key = sample["id"], sample["sample"]
            theirs = float(metric(pictures(first[key]), pictures(second[key])).mean())
            difference = abs(sample["lpips"] - theirs) / theirs
            worst = max(worst, difference)
    print(f"{ours['lpips_backbone']}: {len(ours['samples'])} samples, largest relative difference so far {worst:.2e}")
sys.exit(worst > 1e-4)
