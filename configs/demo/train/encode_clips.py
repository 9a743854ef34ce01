"""Encodes the clips and pictures that the video transformer learns from, once: it sees each many times, every time with
another draw of the posterior and of the noise.

usage: encode_clips.py FOLDER [--clips N]
"""

import torch
import torch.multiprocessing as processes

import autoencoder
import clips
import training

CLIPS = 5600
BATCH = 8
# Of each (frames, height, width): how many for each clip of the first.
KINDS = {(17, 48, 48): 1.0, (17, 48, 64): 0.3, (1, 48, 48): 0.4, (1, 48, 64): 0.15}


def load_autoencoder(folder, stages):
    """The networks of the last of `stages` that has them."""
    vae = autoencoder.VideoAutoencoder()
    for stage in stages:
        networks = training.load_result(folder, stage)
        vae.spatial.load_state_dict(networks["spatial"])
        vae.temporal_vae.load_state_dict(networks["temporal"])
    vae.spatial.to(memory_format=torch.channels_last)
    return vae.eval().requires_grad_(False)


def part_path(folder, kind, part):
    return folder / ("latents-" + "x".join(map(str, kind)) + f"-{part}.pt")


def encode_part(part, folder, count):
    torch.set_num_threads(1)
    vae = load_autoencoder(folder, ["joint"])
    combinations = clips.training_combinations()
    for kind, share in KINDS.items():
        path = part_path(folder, kind, part)
        if path.exists():
            continue
        frames, height, width = kind
        moments, chosen = [], []
        for batch in range(round(count * share / BATCH / training.WORKERS)):
            random = training.Random(training.SEED, "encode", kind, part, batch)
            picked = random.numpy.integers(0, len(combinations), BATCH)
            scenes = clips.Scenes([combinations[i] for i in picked], height, width, random.numpy)
            if frames == 1:
                pixels = torch.from_numpy(scenes.draw(random.numpy.random(BATCH))[0])[:, :, None]
            else:
                pixels = torch.from_numpy(scenes.clips(frames)[0])
            moments.append(vae.encode_moments(pixels))
            chosen.append(torch.from_numpy(picked))
        training.save(path, {"moments": torch.cat(moments), "chosen": torch.cat(chosen)})
        print(f"encoded {kind} part {part}", flush=True)


def load(folder):
    """For each kind the moments [n, 8, frames, h, w] and indices into training_combinations(); and the scale and
    shift of each channel over the first kind, by posterior mean and variance."""
    found = {}
    for kind in KINDS:
        parts = [torch.load(part_path(folder, kind, p), weights_only=True) for p in range(training.WORKERS)]
        found[kind] = tuple(torch.cat([p[name] for p in parts]) for name in ("moments", "chosen"))
    mean, log_variance = found[next(iter(KINDS))][0].chunk(2, 1)
    shift = mean.mean((0, 2, 3, 4))
    scale = (mean.var((0, 2, 3, 4)) + log_variance.exp().mean((0, 2, 3, 4))).sqrt()
    return found, scale, shift


if __name__ == "__main__":
    parser = training.arguments()
    parser.add_argument("--clips", type=int, default=CLIPS)
    options = parser.parse_args()
    processes.spawn(encode_part, (options.folder, options.clips), training.WORKERS)
