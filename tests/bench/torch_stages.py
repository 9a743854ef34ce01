"""The stages of `pyracast bench` in PyTorch, for peers.py: names on standard input, a line of JSON each. In float32 and eager, or
compiled by torch.compile where "-compiled" ends the name, all in bfloat16 where "-bfloat16" ends it (before "-compiled").

usage: torch_stages.py THREADS [DEVICE [SIZE]]   DEVICE: cpu or cuda; SIZE: published or 480p, as bench's

STDiT3's blocks are written as the published ones run them (modules and views as they have them), with torch's fused attention
in place of their explicit one, and with only the text's valid tokens as keys, both in PyTorch's favour. Latte's blocks and the
autoencoder are diffusers' own classes.
"""
import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

threads, device, sizes = (*sys.argv[1:], *("1", "cpu", "published")[len(sys.argv) - 1:])
hidden, heads, frames = 1152, 16, 15
batch, space, picture = {"published": (1, 300, 256), "480p": (2, 30 * 54, 512)}[sizes]
keys, size = 200, hidden // heads   # keys: of a batch entry


class RmsNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(size))

    def forward(self, x):
        wide = x.to(torch.float32)
        return self.weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)).to(x.dtype)


def rotated(x, angles):   # x [batch, heads, tokens, size]; adjacent pairs
    first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack((-second, first), -1).flatten(-2)
    return x * angles.cos() + turned * angles.sin()


class Attention(nn.Module):
    def __init__(self, turns):
        super().__init__()
        self.qkv, self.proj = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.q_norm, self.k_norm = RmsNorm(), RmsNorm()
        self.angles = (torch.arange(frames)[:, None] * torch.full((size,), 0.3)) if turns else None

    def mix(self, qkv):   # [n, length, 3 * hidden] -> [n, length, hidden]
        n, length, _ = qkv.shape
        q, k, v = qkv.view(n, length, 3, heads, size).permute(2, 0, 3, 1, 4).unbind(0)
        q, k = self.q_norm(q), self.k_norm(k)
        if self.angles is not None:
            q, k = rotated(q, self.angles), rotated(k, self.angles)
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, length, hidden)

    def forward(self, x):
        return self.proj(self.mix(self.qkv(x)))


class CrossAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.kv, self.proj = nn.Linear(hidden, hidden), nn.Linear(hidden, 2 * hidden), nn.Linear(hidden, hidden)

    def mix(self, q, kv):
        q = q.view(batch, -1, heads, size).transpose(1, 2)
        k, v = kv.view(batch, -1, 2, heads, size).permute(2, 0, 3, 1, 4).unbind(0)
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, -1, hidden)

    def forward(self, x, y):
        return self.proj(self.mix(self.q(x), self.kv(y)))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(hidden, 4 * hidden), nn.Linear(4 * hidden, hidden)

    def forward(self, x):
        return self.second(F.gelu(self.first(x), approximate="tanh"))


def modulated(norm, x, shift, scale):
    return norm(x) * (1 + scale) + shift


class Block(nn.Module):
    def __init__(self, temporal):
        super().__init__()
        self.temporal = temporal
        self.norm1, self.norm2 = (nn.LayerNorm(hidden, eps=1e-6, elementwise_affine=False) for _ in range(2))
        self.attention, self.cross, self.mlp = Attention(temporal), CrossAttention(), Mlp()
        self.table = nn.Parameter(torch.randn(6, hidden))

    def forward(self, x, y, time):   # x [batch, frames * space, hidden]
        shift1, scale1, gate1, shift2, scale2, gate2 = (self.table[None] + time.reshape(batch, 6, -1)).chunk(6, dim=1)
        h = modulated(self.norm1, x, shift1, scale1)
        if self.temporal:
            h = h.view(batch, frames, space, hidden).transpose(1, 2).reshape(-1, frames, hidden)
            h = self.attention(h).view(batch, space, frames, hidden).transpose(1, 2).reshape(batch, -1, hidden)
        else:
            h = self.attention(h.view(-1, space, hidden)).view(batch, -1, hidden)
        x = x + gate1 * h
        x = x + self.cross(x, y)
        return x + gate2 * self.mlp(modulated(self.norm2, x, shift2, scale2))


def matrix_product(name):
    rows, depth, columns = map(int, name.split("-")[1].split("x"))
    linear, x = nn.Linear(depth, columns), torch.rand(rows, depth)
    return lambda: linear(x)


def convolution(name):
    _, kernel, channels, out, _, extent = name.split("-")
    kernel, extent = [int(n) for n in kernel.split("x")], [int(n) for n in extent.split("x")]
    if len(kernel) == 2:
        layer = nn.Conv2d(int(channels), int(out), kernel, padding="same").to(memory_format=torch.channels_last)
        x = torch.rand(1, int(channels), *extent[1:]).to(memory_format=torch.channels_last)
        return lambda: layer(x)
    layer = nn.Conv3d(int(channels), int(out), kernel, padding=(0, kernel[1] // 2, kernel[2] // 2)).to(memory_format=torch.channels_last_3d)
    x = torch.rand(1, int(channels), extent[0] + kernel[0] - 1, *extent[1:]).to(memory_format=torch.channels_last_3d)   # padded beforehand
    return lambda: layer(x)


def latte_pair():
    from diffusers.models.attention import BasicTransformerBlock
    frames, space, keys = 16, 256, 120
    common = dict(dropout=0.0, activation_fn="gelu-approximate", attention_bias=True, norm_type="ada_norm_single",
                  norm_elementwise_affine=False, norm_eps=1e-6)
    spatial = BasicTransformerBlock(hidden, heads, size, cross_attention_dim=hidden, **common).eval()
    temporal = BasicTransformerBlock(hidden, heads, size, cross_attention_dim=None, **common).eval()
    x, y, time = torch.rand(frames, space, hidden), torch.rand(1, keys, hidden), torch.rand(1, 6 * hidden)

    def run():   # as LatteTransformer3DModel goes from the one to the other
        h = spatial(x, None, y.repeat_interleave(frames, dim=0), None, time.repeat_interleave(frames, dim=0), None, None)
        h = h.reshape(1, frames, space, hidden).permute(0, 2, 1, 3).reshape(space, frames, hidden)
        h = temporal(h, None, None, None, time.repeat_interleave(space, dim=0), None, None)
        return h.reshape(1, space, frames, hidden).permute(0, 2, 1, 3).reshape(frames, space, hidden)
    return run


def vae_decode(channels_last):
    from diffusers import AutoencoderKL
    vae = AutoencoderKL(down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
                        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4, norm_num_groups=32).eval()
    z = torch.rand(1, 4, picture // 8, picture // 8)
    if channels_last:
        vae, z = vae.to(memory_format=torch.channels_last), z.to(memory_format=torch.channels_last)
    return lambda: vae.decode(z).sample


def stage(name):
    x = torch.rand(batch, frames * space, hidden)
    factor = torch.rand(batch, 1, hidden)
    if name.startswith("gemm"):
        return matrix_product(name)
    if name.startswith("conv"):
        return convolution(name)
    if name == "spatial-attention":
        attention, qkv = Attention(False), torch.rand(batch * frames, space, 3 * hidden)
        return lambda: attention.mix(qkv)
    if name == "temporal-attention":
        attention, qkv = Attention(True), torch.rand(batch * space, frames, 3 * hidden)
        return lambda: attention.mix(qkv)
    if name == "cross-attention":
        cross, kv = CrossAttention(), torch.rand(batch, keys, 2 * hidden)
        return lambda: cross.mix(x, kv)
    if name == "norm-modulate":
        norm = nn.LayerNorm(hidden, eps=1e-6, elementwise_affine=False)
        return lambda: modulated(norm, x, factor, factor)
    if name == "gate-residual":
        return lambda: x + factor * x
    if name.startswith("projection"):
        projection, h = nn.Linear(hidden, hidden), torch.rand(batch, frames * space, hidden)
        return lambda: x + factor * projection(h) if name.endswith("gated") else projection(h)
    if name == "gelu":
        inner = torch.rand(batch, frames * space, 4 * hidden)
        return lambda: F.gelu(inner, approximate="tanh")
    if name == "mlp":
        mlp = Mlp()
        return lambda: mlp(x)
    if name == "stdit3-pair":
        blocks, y, time = (Block(False), Block(True)), torch.rand(batch, keys, hidden), torch.rand(batch, 6 * hidden)
        return lambda: blocks[1](blocks[0](x, y, time), y, time)
    if name == "latte-pair":
        return latte_pair()
    if name in ("vae-decode", "vae-decode-channels-last"):
        return vae_decode(name.endswith("last"))
    sys.exit(f"there is no stage {name}")


def run(name):
    plain = name.removesuffix("-compiled")
    torch.set_default_dtype(torch.bfloat16 if plain.endswith("-bfloat16") else torch.float32)
    eager = stage(plain.removesuffix("-bfloat16"))
    return torch.compile(eager) if name.endswith("-compiled") else eager


def seconds_on_gpu(run, runs):
    """Of a run, from an idle device to an idle device."""
    torch.cuda.synchronize()
    start = time.monotonic()
    for _ in range(runs):
        run()
    torch.cuda.synchronize()
    return (time.monotonic() - start) / runs


def measured(run):
    if device == "cuda":
        return {"wall_seconds": seconds_on_gpu(run, max(1, min(1000, int(0.05 / seconds_on_gpu(run, 1)))))}
    start, wall_start = time.process_time(), time.monotonic()
    run()
    return {"cpu_seconds": time.process_time() - start, "wall_seconds": time.monotonic() - wall_start}


torch.set_num_threads(int(threads))
torch.set_default_device(device)
torch.manual_seed(1)
kept = None
with torch.inference_mode():
    for line in sys.stdin:
        name = line.strip()
        try:
            if kept is None or kept[0] != name:
                kept = None   # the memory of one stage at a time
                kept = (name, run(name))
                for _ in range(3 if device == "cuda" else 2):
                    kept[1]()
            answer = measured(kept[1])
        except (ImportError, RuntimeError) as missing:   # no diffusers, or not as much memory
            kept, answer = None, {"missing": str(missing).splitlines()[0][:80]}
        print(json.dumps({"stage": name, **answer}), flush=True)
