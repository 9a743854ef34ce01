"""Trains the video autoencoder: pictures, then time, then both against pixels; and at last the decoders alone.

usage: train_autoencoder.py FOLDER --stage spatial|temporal|joint|decoder [--steps N] [--minutes M]
"""

import numpy
import torch
from torch.nn import functional

import autoencoder
import clips
import training

CHOICES = clips.training_combinations()


def choose(random, count):
    return [CHOICES[i] for i in random.numpy.integers(0, len(CHOICES), count)]


def size_of_step(random, other=0.2):
    return clips.SIZES[int(random.shared.random() < other)]


def pixel_weights(coverage):
    """What makes a shape is a few pixels at its edge: they weigh most, then the object's inside.
    coverage [n, h, w] -> [n, 1, h, w]."""
    c = coverage[:, None]
    edge = functional.max_pool2d(c, 3, 1, 1) + functional.max_pool2d(-c, 3, 1, 1)
    return 1 + 2 * c + 5 * edge


def pixel_loss(difference, weights):
    return (weights * (difference.abs() + 2 * difference.square())).mean()


def decibels(difference):
    """PSNR of values that span 2."""
    return float(10 * torch.log10(4 / difference.detach().square().mean()))


def quiet_posterior(convolution, log_variance):
    """Starts with little posterior noise: from 1, the noise drowns the picture for hundreds of steps."""
    half = convolution.weight.shape[0] // 2
    with torch.no_grad():
        convolution.weight[half:] *= 0.1
        convolution.bias[half:] = log_variance


class Spatial:
    """Pictures through the spatial autoencoder."""

    name, steps, batch, divergence_weight = "spatial", 1300, 8, 1e-4

    def __init__(self, folder):
        self.vae = autoencoder.SpatialAutoencoder().to(memory_format=torch.channels_last)
        quiet_posterior(self.vae.quant_conv, -5)
        self.networks = {"vae": self.vae}
        self.optimizer = training.Muon(self.vae.named_parameters(), 3e-3, 1.5e-3)
        self.factor = training.cosine

    def loss(self, random):
        scenes = clips.Scenes(choose(random, self.batch), *size_of_step(random), random.numpy)
        pixels, coverage = map(torch.from_numpy, scenes.draw(random.numpy.random(self.batch)))
        z, divergence = autoencoder.draw(self.vae.encode(pixels), random.torch)
        difference = self.vae.decode(z) - pixels
        loss = pixel_loss(difference, pixel_weights(coverage)) + self.divergence_weight * divergence
        return loss, {"dB": decibels(difference), "divergence": float(divergence.detach())}


class Clips:
    """What the stages on clips share: clips of one or 17 frames, their frames' latents by the spatial encoder, which
    has learned all it will."""

    batch, shown_frames, divergence_weight = 4, 4, 2e-4

    def __init__(self, folder, stage_before):
        self.vae = autoencoder.VideoAutoencoder()
        quiet_posterior(self.vae.temporal_vae.quant_conv.conv, -4)
        networks = training.load_result(folder, stage_before)
        for name, network in self.parts().items():
            if name in networks:
                network.load_state_dict(networks[name])
        if "vae" in networks:
            self.vae.spatial.load_state_dict(networks["vae"])
        self.vae.spatial.to(memory_format=torch.channels_last)
        self.networks = self.parts()
        self.factor = training.cosine

    def parts(self):
        return {"spatial": self.vae.spatial, "temporal": self.vae.temporal_vae}

    def draw(self, random):
        """Pixels, coverage, the frames' latents and their mean."""
        picture = random.shared.random() < 0.12
        count = self.batch * 4 if picture else self.batch
        scenes = clips.Scenes(choose(random, count), *size_of_step(random), random.numpy)
        if picture:
            pixels, coverage = scenes.draw(random.numpy.random(count))
            pixels, coverage = pixels[:, :, None], coverage[:, None]
        else:
            pixels, coverage = scenes.clips()
        pixels, coverage = torch.from_numpy(pixels), torch.from_numpy(coverage)
        with torch.no_grad():
            mean, _ = self.vae.frame_moments(pixels).chunk(2, 1)
        return pixels, coverage, autoencoder.to_video(mean * autoencoder.SPATIAL_SCALING, count)

    def pixel_terms(self, decoded, pixels, coverage, random):
        """Pixel loss of a few frames of each clip; the others cost too much."""
        batch, frames = pixels.shape[0], pixels.shape[2]
        count = min(self.shown_frames, frames)
        kept = torch.from_numpy(numpy.stack([random.numpy.permutation(frames)[:count] for _ in range(batch)]))
        rows = torch.arange(batch)[:, None].expand(-1, count).flatten()
        kept = kept.flatten()
        shown = self.vae.spatial.decode(decoded[rows, :, kept] / autoencoder.SPATIAL_SCALING)
        difference = shown - pixels[rows, :, kept]
        return pixel_loss(difference, pixel_weights(coverage[rows, kept])), decibels(difference)


class Temporal(Clips):
    """The frames' latents through the temporal autoencoder."""

    name, steps, batch = "temporal", 600, 6

    def __init__(self, folder):
        super().__init__(folder, "spatial")
        self.vae.spatial.requires_grad_(False)
        self.optimizer = training.Muon(self.vae.temporal_vae.named_parameters(), 3e-3, 1.5e-3)

    def loss(self, random):
        pixels, coverage, frames = self.draw(random)
        z, divergence = autoencoder.draw(self.vae.temporal_moments(frames), random.torch)
        error = self.vae.temporal_vae.decode(z, frames.shape[2]) - frames
        size = frames.std((0, 2, 3, 4), keepdim=True)
        error = error / size
        mask = functional.adaptive_max_pool2d(coverage, frames.shape[-2:])[:, None]
        loss = ((1 + 2 * mask) * (error.square() + 0.3 * error.abs())).mean()
        return loss + self.divergence_weight * divergence, {
            "error": float(error.detach().square().mean().sqrt()), "divergence": float(divergence.detach())}


class Joint(Clips):
    """Pixels to pixels: temporal autoencoder and spatial decoder."""

    name, steps = "joint", 700

    def __init__(self, folder):
        super().__init__(folder, "temporal")
        self.vae.spatial.requires_grad_(False)
        self.vae.spatial.decoder.requires_grad_(True)
        self.vae.spatial.post_quant_conv.requires_grad_(True)
        # A rate above this loses for a while what the stages before have learned.
        self.optimizer = training.Muon(self.vae.named_parameters(), 1e-3, 5e-4)

    def loss(self, random):
        pixels, coverage, frames = self.draw(random)
        z, divergence = autoencoder.draw(self.vae.temporal_moments(frames), random.torch)
        decoded = self.vae.temporal_vae.decode(z, frames.shape[2])
        loss, quality = self.pixel_terms(decoded, pixels, coverage, random)
        return loss + self.divergence_weight * divergence, {"dB": quality, "divergence": float(divergence.detach())}


class Decoder(Joint):
    """The decoders alone: the latents stay those that the video transformer has learned."""

    name, steps = "decoder", 600

    def __init__(self, folder):
        Clips.__init__(self, folder, "joint")
        self.vae.requires_grad_(False)
        for part in (self.vae.spatial, self.vae.temporal_vae):
            part.decoder.requires_grad_(True)
            part.post_quant_conv.requires_grad_(True)
        self.optimizer = training.Muon(self.vae.named_parameters(), 1e-3, 5e-4)

    def loss(self, random):
        pixels, coverage, frames = self.draw(random)
        with torch.no_grad():
            z, _ = autoencoder.draw(self.vae.temporal_moments(frames), random.torch)
        decoded = self.vae.temporal_vae.decode(z, frames.shape[2])
        loss, quality = self.pixel_terms(decoded, pixels, coverage, random)
        return loss, {"dB": quality}


STAGES = {stage.name: stage for stage in (Spatial, Temporal, Joint, Decoder)}

if __name__ == "__main__":
    parser = training.arguments()
    parser.add_argument("--stage", required=True, choices=STAGES)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    training.run(STAGES[options.stage], options.folder, options.steps, options.minutes)
