"""The tokenizer of the captions and a small T5 encoder. Attributes carry the checkpoint's names."""

import io
import math

import sentencepiece
import torch
from torch import nn
from torch.nn import functional

import clips

CONFIG = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4,
          "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "layer_norm_epsilon": 1e-6}
MAX_LENGTH = 300
PAD, END = 0, 1


def train_tokenizer():
    """A SentencePiece unigram model in which each word of the captions is one piece.

    The trainer takes its first pieces from substrings that repeat over distinct words, so with few words it cuts "red"
    into "re" and "d"; words with endings in the corpus cure that. Letters and digits are pieces, so any prompt can be
    tokenized.
    """
    captions = [clips.caption(*c) for c in clips.combinations()] + [clips.caption(*c[:3]) for c in clips.combinations()]
    corpus = [c + suffix for c in captions for suffix in ("", clips.SUFFIX)]
    words = sorted({word.strip(':') for c in corpus for word in c.split()})
    corpus += [word + ending for word in words for ending in ("s", "x", "ing", "ed") for _ in range(3)]
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,:;!?'\"-()"
    corpus += [" ".join(letters)] * 5
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_writer=model, model_type="unigram", vocab_size=186, pad_id=PAD, eos_id=END,
        unk_id=2, bos_id=-1, character_coverage=1.0, hard_vocab_limit=False, num_threads=1, minloglevel=2)
    return model.getvalue()


class Tokenizer:
    def __init__(self, model):
        self.processor = sentencepiece.SentencePieceProcessor(model_proto=model)

    def __call__(self, captions):
        """Ids [n, length] and mask; padded to the longest, which gives what padding to 300 gives."""
        rows = [self.processor.encode(c)[:MAX_LENGTH - 1] + [END] for c in captions]
        length = max(map(len, rows))
        ids = torch.tensor([r + [PAD] * (length - len(r)) for r in rows])
        return ids, torch.tensor([[i < len(r) for i in range(length)] for r in rows])


class Norm(nn.Module):
    def __init__(self, size, epsilon):
        super().__init__()
        self.weight, self.epsilon = nn.Parameter(torch.ones(size)), epsilon

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon) * self.weight


class Attention(nn.Module):
    def __init__(self, config, has_bias):
        super().__init__()
        self.heads = config["num_heads"]
        inner = config["num_heads"] * config["d_kv"]
        self.q, self.k, self.v = (nn.Linear(config["d_model"], inner, bias=False) for _ in range(3))
        self.o = nn.Linear(inner, config["d_model"], bias=False)
        if has_bias:
            self.relative_attention_bias = nn.Embedding(config["relative_attention_num_buckets"], config["num_heads"])

    def forward(self, x, bias):
        q, k, v = (f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))
        h = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)  # T5's own way: not scaled
        return self.o(h.transpose(1, 2).flatten(2))


class GatedDense(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.wi_0 = nn.Linear(config["d_model"], config["d_ff"], bias=False)
        self.wi_1 = nn.Linear(config["d_model"], config["d_ff"], bias=False)
        self.wo = nn.Linear(config["d_ff"], config["d_model"], bias=False)

    def forward(self, x):
        return self.wo(functional.gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x))


class Layer(nn.Module):
    def __init__(self, config, name, part):
        super().__init__()
        self.layer_norm = Norm(config["d_model"], config["layer_norm_epsilon"])
        setattr(self, name, part)


class Block(nn.Module):
    def __init__(self, config, has_bias):
        super().__init__()
        self.layer = nn.ModuleList([Layer(config, "SelfAttention", Attention(config, has_bias)),
                                    Layer(config, "DenseReluDense", GatedDense(config))])

    def forward(self, x, bias):
        x = x + self.layer[0].SelfAttention(self.layer[0].layer_norm(x), bias)
        return x + self.layer[1].DenseReluDense(self.layer[1].layer_norm(x))


class Encoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.block = nn.ModuleList([Block(config, i == 0) for i in range(config["num_layers"])])
        self.final_layer_norm = Norm(config["d_model"], config["layer_norm_epsilon"])


class TextEncoder(nn.Module):
    def __init__(self, vocabulary, config=CONFIG):
        super().__init__()
        self.config = config
        self.shared = nn.Embedding(vocabulary, config["d_model"])
        self.encoder = Encoder(config)

    def forward(self, ids, mask):
        """ids and mask [batch, length] -> [batch, length, d_model]."""
        places = torch.arange(ids.shape[1])
        buckets = self.buckets(places[None, :] - places[:, None])
        bias = self.encoder.block[0].layer[0].SelfAttention.relative_attention_bias(buckets).permute(2, 0, 1)[None]
        bias = bias.masked_fill(~mask[:, None, None, :], torch.finfo(torch.float32).min)
        x = self.shared(ids)
        for block in self.encoder.block:
            x = block(x, bias)
        return self.encoder.final_layer_norm(x)

    def buckets(self, relative):
        half = self.config["relative_attention_num_buckets"] // 2
        exact, far = half // 2, self.config["relative_attention_max_distance"]
        distance = relative.abs()
        scaled = torch.log(distance.clamp(min=1) / exact) / math.log(far / exact) * (half - exact)
        large = (exact + scaled.long()).clamp(max=half - 1)
        return torch.where(distance < exact, distance, large) + half * (relative > 0)
