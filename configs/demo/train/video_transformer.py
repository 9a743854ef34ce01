"""STDiT3 of Open-Sora v1.2 with small widths, and its rectified flow. Attributes carry the checkpoint's names."""

import math

import torch
from torch import nn
from torch.nn import functional

CONFIG = {"input_size": [None, None, None], "input_sq_size": 512, "in_channels": 4, "patch_size": [1, 2, 2],
          "hidden_size": 128, "depth": 4, "num_heads": 4, "mlp_ratio": 4.0, "class_dropout_prob": 0.1,
          "pred_sigma": True, "drop_path": 0.0, "caption_channels": 64, "model_max_length": 300, "qk_norm": True}

VIDEO_FPS, IMAGE_FPS = 24.0, 120.0  # what the pipeline tells the network


class RootMeanSquareNorm(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.weight


class SelfAttention(nn.Module):
    def __init__(self, hidden, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.q_norm, self.k_norm = RootMeanSquareNorm(hidden // heads), RootMeanSquareNorm(hidden // heads)
        self.proj = nn.Linear(hidden, hidden)

    def forward(self, x, rotate=None):
        """x [n, length, hidden]; `rotate` turns queries and keys by their place."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = self.q_norm(q), self.k_norm(k)
        if rotate:
            q, k = rotate(q), rotate(k)
        h = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(h.transpose(1, 2).flatten(2))


class CrossAttention(nn.Module):
    def __init__(self, hidden, heads):
        super().__init__()
        self.heads = heads
        self.q_linear = nn.Linear(hidden, hidden)
        self.kv_linear = nn.Linear(hidden, 2 * hidden)
        self.proj = nn.Linear(hidden, hidden)

    def forward(self, x, caption, mask):
        """x [batch, n, hidden]; caption [batch, length, hidden]; mask [batch, length], true where there is a token."""
        q = self.q_linear(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.kv_linear(caption).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        h = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        return self.proj(h.transpose(1, 2).flatten(2))


class Perceptron(nn.Module):
    def __init__(self, inputs, inner, outputs):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(inputs, inner), nn.Linear(inner, outputs)

    def forward(self, x):
        return self.fc2(functional.gelu(self.fc1(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, hidden, heads, ratio, along_time):
        super().__init__()
        self.along_time = along_time
        self.scale_shift_table = nn.Parameter(torch.randn(6, hidden) / hidden ** 0.5)
        self.attn = SelfAttention(hidden, heads)
        self.cross_attn = CrossAttention(hidden, heads)
        self.mlp = Perceptron(hidden, int(hidden * ratio), hidden)

    def forward(self, x, time, caption, mask, rotate, observe=None):
        """x [batch, frames, places, hidden]; time [batch, 6, 1, 1, hidden]. `observe(kind, output)` sees what the
        attentions add to x."""
        batch, frames, places, hidden = x.shape
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = (self.scale_shift_table[:, None, None] + time).unbind(1)
        h = norm(x) * (1 + scale_a) + shift_a
        if self.along_time:
            h = self.attn(h.transpose(1, 2).flatten(0, 1), rotate).unflatten(0, (batch, places)).transpose(1, 2)
        else:
            h = self.attn(h.flatten(0, 1)).unflatten(0, (batch, frames))
        h = gate_a * h
        if observe:
            observe("temporal" if self.along_time else "spatial", h)
        x = x + h
        h = self.cross_attn(x.flatten(1, 2), caption, mask).unflatten(1, (frames, places))
        if observe:
            observe("cross", h)
        x = x + h
        return x + gate_m * self.mlp(norm(x) * (1 + scale_m) + shift_m)


def norm(x):
    return functional.layer_norm(x, x.shape[-1:], eps=1e-6)


class ScalarEmbedder(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(256, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        self.register_buffer("frequencies", torch.exp(-math.log(10000) * torch.arange(128) / 128), persistent=False)

    def forward(self, value):
        angle = value[:, None] * self.frequencies
        return self.mlp(torch.cat([angle.cos(), angle.sin()], -1))


class Named(nn.Module):
    """A module that holds others under the checkpoint's names."""

    def __init__(self, **modules):
        super().__init__()
        for name, module in modules.items():
            setattr(self, name, module)


class VideoTransformer(nn.Module):
    def __init__(self, config=CONFIG):
        super().__init__()
        self.config = config
        hidden, heads = config["hidden_size"], config["num_heads"]
        patch, channels = tuple(config["patch_size"]), config["in_channels"]
        self.rope = nn.Module()
        size = hidden // heads
        # As a bf16 snapshot stores them, so that training sees what generation uses.
        self.rope.register_buffer("freqs", (10000 ** (-torch.arange(0, size, 2) / size)).bfloat16().float())
        self.x_embedder = Named(proj=nn.Conv3d(channels, hidden, patch, stride=patch))
        self.t_embedder, self.fps_embedder = ScalarEmbedder(hidden), ScalarEmbedder(hidden)
        self.t_block = nn.Sequential(nn.SiLU(), nn.Linear(hidden, 6 * hidden))
        self.y_embedder = Named(y_proj=Perceptron(config["caption_channels"], hidden, hidden))
        self.y_embedder.y_embedding = nn.Parameter(
            torch.randn(config["model_max_length"], config["caption_channels"]) / config["caption_channels"] ** 0.5)
        self.spatial_blocks = nn.ModuleList(
            [Block(hidden, heads, config["mlp_ratio"], False) for _ in range(config["depth"])])
        self.temporal_blocks = nn.ModuleList(
            [Block(hidden, heads, config["mlp_ratio"], True) for _ in range(config["depth"])])
        self.final_layer = Named(linear=nn.Linear(hidden, math.prod(patch) * 2 * channels))
        self.final_layer.scale_shift_table = nn.Parameter(torch.randn(2, hidden) / hidden ** 0.5)
        self.start()

    def start(self):
        """The published start: branches add nothing at first, the output is 0."""
        for linear in (self.t_embedder.mlp[0], self.t_embedder.mlp[2], self.fps_embedder.mlp[0],
                       self.fps_embedder.mlp[2], self.t_block[1], self.y_embedder.y_proj.fc1, self.y_embedder.y_proj.fc2):
            nn.init.normal_(linear.weight, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        for block in self.temporal_blocks:
            for linear in (block.attn.proj, block.cross_attn.proj, block.mlp.fc2):
                nn.init.zeros_(linear.weight)
        nn.init.zeros_(self.final_layer.linear.weight)

    def forward(self, x, timestep, fps, text, mask, height, width, observe=None):
        """x [batch, 4, frames, h, w] -> velocity of the same shape. timestep and fps [batch]; text [batch, length, 64]
        with mask [batch, length]; height and width in pixels."""
        batch, channels, frames, rows, columns = x.shape
        tokens = self.x_embedder.proj(x)
        _, hidden, _, h, w = tokens.shape
        tokens = tokens.flatten(3).permute(0, 2, 3, 1) + self.places(h, w, height, width)
        t = self.t_embedder(timestep) + self.fps_embedder(fps)
        time = self.t_block(t).reshape(batch, 6, 1, 1, hidden)
        caption = self.y_embedder.y_proj(text)
        rotate = self.rotation(frames)
        for spatial, temporal in zip(self.spatial_blocks, self.temporal_blocks):
            tokens = spatial(tokens, time, caption, mask, None, observe)
            tokens = temporal(tokens, time, caption, mask, rotate, observe)
        shift, scale = (self.final_layer.scale_shift_table[None] + t[:, None])[:, :, None, None].unbind(1)
        out = self.final_layer.linear(norm(tokens) * (1 + scale) + shift)
        out = out.reshape(batch, frames, h, w, 1, 2, 2, 2 * channels).permute(0, 7, 1, 4, 2, 5, 3, 6)
        return out.reshape(batch, 2 * channels, frames, rows, columns)[:, :channels]

    def places(self, rows, columns, height, width):
        """Sine and cosine of column and row, scaled by the picture's size."""
        base = round(math.sqrt(rows * columns))
        scale = math.sqrt(height * width) / self.config["input_sq_size"]
        quarter = self.config["hidden_size"] // 4
        inverse = 10000 ** (-torch.arange(quarter) / quarter)

        def embed(count):
            angle = (torch.arange(count) / scale * base / count)[:, None] * inverse
            return torch.cat([angle.sin(), angle.cos()], -1)

        column = embed(columns)[None].expand(rows, -1, -1)
        row = embed(rows)[:, None].expand(-1, columns, -1)
        return torch.cat([column, row], -1).flatten(0, 1)

    def rotation(self, frames):
        angle = torch.arange(frames)[:, None] * self.rope.freqs
        cosine, sine = angle.cos(), angle.sin()

        def rotate(x):
            a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
            return torch.stack([a * cosine - b * sine, b * cosine + a * sine], -1).flatten(-2)

        return rotate

    def null_text(self, length):
        return self.y_embedder.y_embedding[:length]


@torch.no_grad()
def sample(network, noise, text, mask, fps, height, width, steps=30, guidance=3.0, observe=None):
    """Rectified flow with guidance from `noise` [batch, 4, frames, h, w]; no timestep transform."""
    z, batch = noise, noise.shape[0]
    text = torch.cat([text, network.null_text(text.shape[1])[None].expand(batch, -1, -1)])
    mask = torch.cat([mask, mask])
    fps = torch.full((2 * batch,), fps)
    for i in range(steps):
        t = (1 - i / steps) * 1000
        if observe:
            observe.begin(i, t)
        v = network(torch.cat([z, z]), torch.full((2 * batch,), t), fps, text, mask, height, width,
                    observe.see if observe else None)
        conditional, unconditional = v.chunk(2)
        z = z + (unconditional + guidance * (conditional - unconditional)) / steps
    return z
