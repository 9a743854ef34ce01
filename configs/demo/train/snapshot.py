"""A snapshot's networks, as stored (bf16 widened to float32), and clips from prompts."""

import json

import torch
from safetensors.torch import load_file

import autoencoder
import clips
import text
import video_transformer


class Snapshot:
    def __init__(self, folder):
        def load(part, network_of):
            config = json.loads((folder / part / "config.json").read_text())
            network = network_of(config)
            network.load_state_dict({k: v.float() for k, v in load_file(folder / part / "model.safetensors").items()})
            return network.eval().requires_grad_(False)

        self.settings = json.loads((folder / "model_index.json").read_text())
        self.transformer = load("transformer", video_transformer.VideoTransformer)
        self.encoder = load("text_encoder", lambda c: text.TextEncoder(c["vocab_size"], c))
        self.vae = load("vae", lambda c: autoencoder.VideoAutoencoder(c["vae_2d"]["config"],
                                                                      c["vae_temporal"]["config"]))
        self.tokenizer = text.Tokenizer((folder / "text_encoder" / "spiece.model").read_bytes())

    def generate(self, prompts, frames, height, width, seed, steps=None, guidance=None, observe=None):
        """Clips [n, frames, height, width, 3] uint8, with the suffix that the pipeline appends by default."""
        ids, mask = self.tokenizer([p + clips.SUFFIX for p in prompts])
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(len(prompts), 4, -(-frames // 4), height // 8, width // 8, generator=generator)
        with torch.no_grad():
            encoded = self.encoder(ids, mask)
        fps = video_transformer.IMAGE_FPS if frames == 1 else video_transformer.VIDEO_FPS
        z = video_transformer.sample(
            self.transformer, noise, encoded, mask, fps, height, width, steps or self.settings["num_sampling_steps"],
            self.settings["cfg_scale"] if guidance is None else guidance, observe)
        return self.decode(z, frames)

    def decode(self, z, frames):
        with torch.no_grad():
            return to_bytes(torch.cat([self.vae.decode(part, frames) for part in z.split(8)]))

    def reconstruct(self, pixels):
        """Clips [n, 3, frames, height, width] in -1..1 through the autoencoder, without its noise."""
        with torch.no_grad():
            return to_bytes(torch.cat([
                self.vae.decode_unscaled(self.vae.encode_moments(part).chunk(2, 1)[0], part.shape[2])
                for part in pixels.split(8)]))


def to_bytes(video):
    """[n, 3, t, h, w] in -1..1 -> [n, t, h, w, 3] uint8, rounded as the pipeline does."""
    return ((video.clamp(-1, 1) + 1) * 127.5 + 0.5).clamp(0, 255).byte().permute(0, 2, 3, 4, 1).numpy()
