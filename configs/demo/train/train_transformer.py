"""Trains the video transformer and the text encoder together, from scratch, by rectified flow.

usage: train_transformer.py FOLDER [--steps N] [--minutes M]
"""

import copy

import torch

import autoencoder
import clips
import encode_clips
import text
import training
import video_transformer

# How often a step takes each kind of clips, and how many a worker.
SHARES = {(17, 48, 48): (0.68, 16), (17, 48, 64): (0.17, 12), (1, 48, 48): (0.1, 48), (1, 48, 64): (0.05, 36)}
WITHOUT_TEXT = 0.1   # of the samples: the unconditional half of guidance
WITH_SUFFIX = 0.6


class Transformer:
    name, steps = "transformer", 6500

    def __init__(self, folder):
        self.clips, self.scale, self.shift = encode_clips.load(folder)
        self.combinations = clips.training_combinations()
        self.tokenizer = text.Tokenizer(tokenizer_model(folder))
        network = video_transformer.VideoTransformer()
        encoder = text.TextEncoder(self.tokenizer.processor.get_piece_size())
        self.networks = {"transformer": network, "text_encoder": encoder}
        for name in list(self.networks):
            self.networks[f"average_{name}"] = copy.deepcopy(self.networks[name]).requires_grad_(False)
        named = [*network.named_parameters(), *((f"text.{n}", p) for n, p in encoder.named_parameters())]
        self.optimizer = training.Muon(named, 5e-3, 2e-3, is_matrix)
        self.factor = training.linear

    def loss(self, random):
        kinds = list(SHARES)
        frames, height, width = kind = kinds[random.shared.choice(len(kinds), p=[SHARES[k][0] for k in kinds])]
        moments, chosen = self.clips[kind]
        batch = SHARES[kind][1]
        rows = torch.from_numpy(random.numpy.integers(0, len(chosen), batch))
        z, _ = autoencoder.draw(moments[rows], random.torch)
        z = (z - self.shift.view(1, 4, 1, 1, 1)) / self.scale.view(1, 4, 1, 1, 1)

        ids, mask = self.tokenizer([self.caption(int(i), frames, random.numpy) for i in chosen[rows]])
        network, encoder = self.networks["transformer"], self.networks["text_encoder"]
        encoded = encoder(ids, mask)
        dropped = torch.from_numpy(random.numpy.random(batch) < WITHOUT_TEXT)[:, None, None]
        encoded = torch.where(dropped, network.null_text(encoded.shape[1]), encoded)

        noise = torch.randn(z.shape, generator=random.torch)
        u = (torch.arange(batch) + torch.rand(batch, generator=random.torch)) / batch  # one in each part of 0..1
        part = u.view(-1, 1, 1, 1, 1)
        fps = video_transformer.IMAGE_FPS if frames == 1 else video_transformer.VIDEO_FPS
        velocity = network((1 - part) * z + part * noise, 1000 * u, torch.full((batch,), fps), encoded, mask,
                           height, width)
        loss = (velocity - (z - noise)).square().mean()
        return loss, {"picture" if frames == 1 else "video": float(loss.detach())}

    def caption(self, index, frames, random):
        shape, colour, background, motion = self.combinations[index]
        if frames == 1 and random.random() < 0.5:
            motion = None
        return clips.caption(shape, colour, background, motion) + clips.SUFFIX * (random.random() < WITH_SUFFIX)

    @torch.no_grad()
    def after_step(self):
        for name in ("transformer", "text_encoder"):
            for own, p in zip(self.networks[f"average_{name}"].parameters(), self.networks[name].parameters()):
                own.lerp_(p, 0.002)


def is_matrix(name, p):
    """Embedders and tables are no maps between features: Adam trains them."""
    embedder = any(part in name for part in ("embedder", "y_embedding", "table", "shared", "relative", "final_layer"))
    return p.dim() == 2 and not embedder


def tokenizer_model(folder):
    path = folder / "spiece.model"
    if not path.exists():
        path.write_bytes(text.train_tokenizer())
    return path.read_bytes()


if __name__ == "__main__":
    options = training.arguments().parse_args()
    tokenizer_model(options.folder)
    training.run(Transformer, options.folder, options.steps, options.minutes)
