"""The video autoencoder of Open-Sora v1.2 with small widths. Attributes carry the checkpoint's names, so that a state
dict is the snapshot's file."""

import torch
from torch import nn
from torch.nn import functional

SPATIAL_SCALING = 0.18215

SPATIAL = {"block_out_channels": [16, 32, 48, 64], "layers_per_block": 1, "latent_channels": 4, "norm_num_groups": 8}
TEMPORAL = {"in_out_channels": 4, "latent_embed_dim": 4, "embed_dim": 4, "filters": 16, "num_res_blocks": 1,
            "channel_multipliers": [1, 2, 2, 4], "temporal_downsample": [False, True, True], "num_groups": 4}


class Resnet(nn.Module):
    def __init__(self, groups, inputs, outputs):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs, eps=1e-6)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, outputs, eps=1e-6)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.conv_shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x):
        h = self.conv1(functional.silu(self.norm1(x)))
        h = self.conv2(functional.silu(self.norm2(h)))
        return h + (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x)


class PixelAttention(nn.Module):
    """One head over all channels, between all places of a picture."""

    def __init__(self, groups, channels):
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, channels) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x):
        h = self.group_norm(x).flatten(2).transpose(1, 2)
        h = functional.scaled_dot_product_attention(self.to_q(h), self.to_k(h), self.to_v(h))
        return x + self.to_out[0](h).transpose(1, 2).reshape(x.shape)


class Middle(nn.Module):
    def __init__(self, groups, channels):
        super().__init__()
        self.resnets = nn.ModuleList([Resnet(groups, channels, channels) for _ in range(2)])
        self.attentions = nn.ModuleList([PixelAttention(groups, channels)])

    def forward(self, x):
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class Resampler(nn.Module):
    def __init__(self, channels, stride):
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(channels, channels, 3, stride=stride, padding=1 if stride == 1 else 0)

    def forward(self, x):
        if self.stride == 2:
            return self.conv(functional.pad(x, (0, 1, 0, 1)))
        return self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    def __init__(self, groups, layers, inputs, outputs, resampler, stride):
        super().__init__()
        self.resnets = nn.ModuleList([Resnet(groups, outputs if i else inputs, outputs) for i in range(layers)])
        if resampler:
            setattr(self, resampler, nn.ModuleList([Resampler(outputs, stride)]))
        self.resampler = resampler

    def forward(self, x):
        for resnet in self.resnets:
            x = resnet(x)
        return getattr(self, self.resampler)[0](x) if self.resampler else x


class SpatialEncoder(nn.Module):
    def __init__(self, widths, layers, latent, groups):
        super().__init__()
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList([
            Level(groups, layers, widths[max(i - 1, 0)], width, "downsamplers" if i + 1 < len(widths) else None, 2)
            for i, width in enumerate(widths)])
        self.mid_block = Middle(groups, widths[-1])
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[-1], 2 * latent, 3, padding=1)

    def forward(self, x):
        h = self.conv_in(x)
        for level in self.down_blocks:
            h = level(h)
        return self.conv_out(functional.silu(self.conv_norm_out(self.mid_block(h))))


class SpatialDecoder(nn.Module):
    def __init__(self, widths, layers, latent, groups):
        super().__init__()
        widths = widths[::-1]
        self.conv_in = nn.Conv2d(latent, widths[0], 3, padding=1)
        self.mid_block = Middle(groups, widths[0])
        self.up_blocks = nn.ModuleList([
            Level(groups, layers + 1, widths[max(i - 1, 0)], width, "upsamplers" if i + 1 < len(widths) else None, 1)
            for i, width in enumerate(widths)])
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, z):
        h = self.mid_block(self.conv_in(z))
        for level in self.up_blocks:
            h = level(h)
        return self.conv_out(functional.silu(self.conv_norm_out(h)))


class SpatialAutoencoder(nn.Module):
    """Pictures [n, 3, h, w] in -1..1 <-> moments [n, 2 * 4, h / 8, w / 8] of latents."""

    def __init__(self, config=SPATIAL):
        super().__init__()
        widths, layers = config["block_out_channels"], config["layers_per_block"]
        latent, groups = config["latent_channels"], config["norm_num_groups"]
        self.encoder = SpatialEncoder(widths, layers, latent, groups)
        self.decoder = SpatialDecoder(widths, layers, latent, groups)
        self.quant_conv = nn.Conv2d(2 * latent, 2 * latent, 1)
        self.post_quant_conv = nn.Conv2d(latent, latent, 1)

    def encode(self, x):
        return self.quant_conv(self.encoder(x.contiguous(memory_format=torch.channels_last)))

    def decode(self, z):
        return self.decoder(self.post_quant_conv(z.contiguous(memory_format=torch.channels_last)))


class CausalConvolution(nn.Module):
    """Sees the present and the past only."""

    def __init__(self, inputs, outputs, kernel, stride=1, bias=True):
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride=(stride, 1, 1), bias=bias)
        half = kernel // 2
        self.padding = (half, half, half, half, kernel - stride, 0)

    def forward(self, x):
        return self.conv(functional.pad(x, self.padding))


class TemporalResBlock(nn.Module):
    def __init__(self, groups, inputs, outputs):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs, eps=1e-5)
        self.conv1 = CausalConvolution(inputs, outputs, 3, bias=False)
        self.norm2 = nn.GroupNorm(groups, outputs, eps=1e-5)
        self.conv2 = CausalConvolution(outputs, outputs, 3, bias=False)
        if inputs != outputs:
            self.conv3 = CausalConvolution(inputs, outputs, 1, bias=False)

    def forward(self, x):
        h = self.conv1(functional.silu(self.norm1(x)))
        h = self.conv2(functional.silu(self.norm2(h)))
        return h + (self.conv3(x) if hasattr(self, "conv3") else x)


def temporal_row(config, inputs, outputs):
    return nn.ModuleList([TemporalResBlock(config["num_groups"], outputs if i else inputs, outputs)
                          for i in range(config["num_res_blocks"])])


class TemporalEncoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        widths = [config["filters"] * m for m in config["channel_multipliers"]]
        self.conv_in = CausalConvolution(config["in_out_channels"], config["filters"], 3, bias=False)
        self.block_res_blocks = nn.ModuleList(
            [temporal_row(config, widths[i - 1] if i else config["filters"], width) for i, width in enumerate(widths)])
        self.conv_blocks = nn.ModuleList([CausalConvolution(w, w, 3, stride=2) if halves else nn.Identity()
                                          for w, halves in zip(widths, config["temporal_downsample"])])
        self.res_blocks = temporal_row(config, widths[-1], widths[-1])
        self.norm1 = nn.GroupNorm(config["num_groups"], widths[-1], eps=1e-5)
        self.conv2 = CausalConvolution(widths[-1], 2 * config["latent_embed_dim"], 1)

    def forward(self, x):
        h = self.conv_in(x)
        for i, row in enumerate(self.block_res_blocks):
            for block in row:
                h = block(h)
            if i < len(self.conv_blocks):
                h = self.conv_blocks[i](h)
        for block in self.res_blocks:
            h = block(h)
        return self.conv2(functional.silu(self.norm1(h)))


class TemporalDecoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        widths = [config["filters"] * m for m in config["channel_multipliers"]]
        self.conv1 = CausalConvolution(config["latent_embed_dim"], widths[-1], 3)
        self.res_blocks = temporal_row(config, widths[-1], widths[-1])
        self.block_res_blocks = nn.ModuleList(
            [temporal_row(config, widths[min(i + 1, len(widths) - 1)], width) for i, width in enumerate(widths)])
        self.conv_blocks = nn.ModuleList([CausalConvolution(w, 2 * w, 3) if halves else nn.Identity()
                                          for w, halves in zip(widths[1:], config["temporal_downsample"])])
        self.norm1 = nn.GroupNorm(config["num_groups"], widths[0], eps=1e-5)
        self.conv_out = CausalConvolution(widths[0], config["in_out_channels"], 3)

    def forward(self, z):
        h = self.conv1(z)
        for block in self.res_blocks:
            h = block(h)
        for i in reversed(range(len(self.block_res_blocks))):
            for block in self.block_res_blocks[i]:
                h = block(h)
            if i > 0 and not isinstance(self.conv_blocks[i - 1], nn.Identity):
                h = depth_to_time(self.conv_blocks[i - 1](h))
        return self.conv_out(functional.silu(self.norm1(h)))


def depth_to_time(x):
    """Channel 2 c + s of frame t becomes channel c of frame 2 t + s."""
    b, c, t, h, w = x.shape
    return x.reshape(b, c // 2, 2, t, h, w).permute(0, 1, 3, 2, 4, 5).reshape(b, c // 2, 2 * t, h, w)


class TemporalAutoencoder(nn.Module):
    """Frame latents [b, 4, t, h, w] <-> moments [b, 2 * 4, ceil(t / 4), h, w]."""

    def __init__(self, config=TEMPORAL):
        super().__init__()
        self.factor = 2 ** sum(config["temporal_downsample"])
        self.encoder = TemporalEncoder(config)
        self.decoder = TemporalDecoder(config)
        self.quant_conv = CausalConvolution(2 * config["latent_embed_dim"], 2 * config["embed_dim"], 1)
        self.post_quant_conv = CausalConvolution(config["embed_dim"], config["latent_embed_dim"], 1)

    def encode(self, x):
        missing = -x.shape[2] % self.factor
        return self.quant_conv(self.encoder(functional.pad(x, (0, 0, 0, 0, missing, 0))))

    def decode(self, z, frames):
        return self.decoder(self.post_quant_conv(z))[:, :, -frames:]


class VideoAutoencoder(nn.Module):
    """Videos [b, 3, t, h, w] in -1..1 <-> latents [b, 4, t', h / 8, w / 8]; t at most 17 (one chunk)."""

    def __init__(self, spatial=SPATIAL, temporal=TEMPORAL):
        super().__init__()
        self.spatial_vae = nn.ModuleDict({"module": SpatialAutoencoder(spatial)})
        self.temporal_vae = TemporalAutoencoder(temporal)
        self.register_buffer("scale", torch.ones(1, 4, 1, 1, 1))
        self.register_buffer("shift", torch.zeros(1, 4, 1, 1, 1))

    @property
    def spatial(self):
        return self.spatial_vae["module"]

    def frame_moments(self, video):
        return self.spatial.encode(to_frames(video))

    def temporal_moments(self, frame_latents):
        return self.temporal_vae.encode(frame_latents)

    def encode_moments(self, video):
        """Mean and log variance of the temporal latents (unscaled), by the means of the frames' latents."""
        mean, _ = self.frame_moments(video).chunk(2, 1)
        return self.temporal_moments(to_video(mean * SPATIAL_SCALING, video.shape[0]))

    def decode(self, z, frames):
        return self.decode_unscaled(z * self.scale + self.shift, frames)

    def decode_unscaled(self, z, frames):
        h = self.temporal_vae.decode(z, frames)
        return to_video(self.spatial.decode(to_frames(h) / SPATIAL_SCALING), z.shape[0])


def to_frames(video):
    return video.transpose(1, 2).flatten(0, 1)


def to_video(frames, batch):
    return frames.unflatten(0, (batch, -1)).transpose(1, 2)


def draw(moments, generator=None):
    """A sample of the posterior, and its divergence from N(0, 1), mean per element."""
    mean, log_variance = moments.chunk(2, 1)
    log_variance = log_variance.clamp(-30, 20)
    noise = torch.randn(mean.shape, generator=generator)
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
    return mean + torch.exp(0.5 * log_variance) * noise, divergence
