"""Writes the snapshot from a training folder, finished or not: bf16 weights under the published names.

usage: export.py FOLDER SNAPSHOT
"""

import argparse
import json
import pathlib

import torch
from safetensors.torch import save_file

import autoencoder
import encode_clips
import text
import training
import video_transformer


def export(folder, snapshot):
    decoders = ["joint"] + ["decoder"] * (folder / "decoder.pt").exists()
    vae = encode_clips.load_autoencoder(folder, decoders)
    _, scale, shift = encode_clips.load(folder)
    networks = training.load_result(folder, "transformer")
    tokenizer = (folder / "spiece.model").read_bytes()

    weights = {k: v for k, v in vae.state_dict().items() if k not in ("scale", "shift")}
    factors = {"scale": scale.view(1, 4, 1, 1, 1), "shift": shift.view(1, 4, 1, 1, 1)}
    write(snapshot / "vae", vae_config(scale, shift), weights, factors)
    write(snapshot / "transformer", transformer_config(), networks["average_transformer"])
    encoder = networks["average_text_encoder"]
    write(snapshot / "text_encoder", text_config(len(encoder["shared.weight"])), encoder)
    (snapshot / "text_encoder" / "spiece.model").write_bytes(tokenizer)
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    write_json(snapshot / "text_encoder" / "special_tokens_map.json", special)
    write_json(snapshot / "text_encoder" / "tokenizer_config.json",
               {"tokenizer_class": "T5Tokenizer", **special, "extra_ids": 0, "model_max_length": text.MAX_LENGTH})
    write_json(snapshot / "model_index.json", model_index())


def write(folder, config, weights, float32=None):
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", {**config, "torch_dtype": "bfloat16"})
    stored = {k: v.detach().bfloat16().contiguous() for k, v in weights.items()}
    stored.update({k: v.float().contiguous() for k, v in (float32 or {}).items()})
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def vae_config(scale, shift):
    levels = len(autoencoder.SPATIAL["block_out_channels"])
    spatial = {"_class_name": "AutoencoderKL", "scaling_factor": autoencoder.SPATIAL_SCALING, "act_fn": "silu",
               "in_channels": 3, "out_channels": 3, "down_block_types": ["DownEncoderBlock2D"] * levels,
               "up_block_types": ["UpDecoderBlock2D"] * levels, **autoencoder.SPATIAL, "sample_size": 48}
    return {
        "architectures": ["VideoAutoencoderPipeline"], "model_type": "VideoAutoencoderPipeline", "cal_loss": False,
        "freeze_vae_2d": False, "from_pretrained": None, "micro_frame_size": 17,
        "scale": scale.tolist(), "shift": shift.tolist(),
        "vae_2d": {"type": "VideoAutoencoderKL", "from_pretrained": None, "subfolder": "vae", "micro_batch_size": 4,
                   "config": spatial},
        "vae_temporal": {"type": "VAE_Temporal_SD", "from_pretrained": None, "config": autoencoder.TEMPORAL},
    }


def transformer_config():
    return {"architectures": ["STDiT3"], "model_type": "STDiT3", **video_transformer.CONFIG,
            "enable_flash_attn": False, "only_train_temporal": False, "freeze_y_embedder": False,
            "skip_y_embedder": False}


def text_config(vocabulary):
    return {"architectures": ["T5EncoderModel"], "model_type": "t5", "vocab_size": vocabulary, **text.CONFIG,
            "dropout_rate": 0.0, "feed_forward_proj": "gated-gelu", "is_encoder_decoder": False, "use_cache": False,
            "pad_token_id": text.PAD, "eos_token_id": text.END, "tie_word_embeddings": True,
            "dense_act_fn": "gelu_new", "is_gated_act": True}


def model_index():
    return {
        "pipeline": "opensora_v1_2", "transformer": "transformer", "vae": "vae", "text_encoder": "text_encoder",
        "tokenizer": "text_encoder", "height": 48, "width": 48, "num_frames": 17, "fps": 24,
        "num_sampling_steps": 30, "cfg_scale": 3.0, "use_timestep_transform": False, "num_timesteps": 1000,
        "training": {"use_timestep_transform": False, "sample_method": "uniform"},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("snapshot", type=pathlib.Path)
    options = parser.parse_args()
    export(options.folder, options.snapshot)
    size = sum(p.stat().st_size for p in options.snapshot.rglob("*.safetensors"))
    print(f"{options.snapshot}: {size / 1e6:.2f} MB of weights")
