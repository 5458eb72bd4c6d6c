"""Scores of Llama-shaped decoders in double precision, written for checking and for nothing else.

    python reference.py MODEL_DIR "some text" [--window W] [--stride S]

Reads a Hugging Face directory with its own code (config.json, model.safetensors or its shards in f32, f16, bf16) and
computes every step in float64 with numpy alone: no torch, no transformers. Supported: model_type llama, mistral,
qwen2, qwen3; everything else is refused.

Windows. W is the window in tokens, b (0 or 1) the prefix tokens that every pass starts with, t[0..n) the content
tokens of a document, C = W - b the capacity. The first pass covers content [0, min(n, C)) and scores all of its tokens
that have something before them. Every later pass scores the next up to `stride` content tokens [s, e), e = min(n, s +
stride), and its content is [max(0, e - C), e): the window ends at e and is as long as C allows. Every pass restarts
the positions at 0 and repeats the prefix. 1 <= stride <= C - 1 + b: without a prefix the first token of a pass has
nothing before it, so C tokens per pass is one too many. The default stride is W // 2. Without a prefix the document's
first token is not scored.
"""

import argparse
import json
import math
import pathlib
from dataclasses import dataclass

import numpy

FAMILIES = {"llama": False, "mistral": False, "qwen2": False, "qwen3": True}  # name: per-head norm of queries and keys


def read_safetensors(path):
    """Tensors of one file as float64, by name. Layout: u64 header size, JSON header, raw little-endian data."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        raw = data[8 + size + begin:8 + size + end]
        if entry["dtype"] == "BF16":  # the upper half of a float32
            values = (numpy.frombuffer(raw, "<u2").astype(numpy.uint32) << 16).view(numpy.float32)
        else:
            values = numpy.frombuffer(raw, {"F32": "<f4", "F16": "<f2"}[entry["dtype"]])
        tensors[name] = values.astype(numpy.float64).reshape(entry["shape"])
    return tensors


def read_weights(folder):
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return read_safetensors(folder / "model.safetensors")
    weight_map = json.loads(index.read_text())["weight_map"]
    tensors = {}
    for file in sorted(set(weight_map.values())):
        tensors |= read_safetensors(folder / file)
    if tensors.keys() != weight_map.keys():
        raise ValueError(f"{index}: the index and the shards name different tensors")
    return tensors


def rope_settings(config):
    """One dict with rope_type, rope_theta and the scaling's own fields, from either spelling."""
    settings = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    settings["rope_type"] = settings.get("rope_type", settings.get("type", "default"))
    settings.setdefault("rope_theta", config.get("rope_theta", 10000.0))
    original = config.get("original_max_position_embeddings")
    if original is not None:
        settings["original_max_position_embeddings"] = original
    settings.setdefault("original_max_position_embeddings", config["max_position_embeddings"])
    return settings


def yarn(settings, frequency, width, positions):
    """Frequencies and the factor on cos and sin: Peng et al. 2023, arXiv:2309.00071, section 3.2-3.4."""
    base, original = settings["rope_theta"], settings["original_max_position_embeddings"]
    factor = settings.get("factor") or positions / original

    def magnitude(scale):
        return 0.1 * scale * math.log(factor) + 1.0 if factor > 1 else 1.0

    def dimension_of(rotations):
        return width * math.log(original / (rotations * 2 * math.pi)) / (2 * math.log(base))

    low = dimension_of(settings.get("beta_fast") or 32)
    high = dimension_of(settings.get("beta_slow") or 1)
    if settings.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, width - 1)
    if low == high:
        high += 0.001
    ramp = numpy.clip((numpy.arange(width // 2) - low) / (high - low), 0, 1)
    attention = settings.get("attention_factor")
    if attention is None:
        over, under = settings.get("mscale"), settings.get("mscale_all_dim")
        attention = magnitude(over) / magnitude(under) if over and under else magnitude(1)
    return frequency / factor * ramp + frequency * (1 - ramp), attention


def rope_frequencies(settings, width, length, positions):
    """(frequencies [width / 2], factor on cos and sin) for a pass of `length` tokens."""
    kind, base = settings["rope_type"], settings["rope_theta"]
    exponent = numpy.arange(0, width, 2) / width
    frequency = base ** -exponent
    if kind == "default":
        return frequency, 1.0
    if kind == "linear":
        return frequency / settings["factor"], 1.0
    if kind == "dynamic":  # NTK: the base grows once a pass is longer than the model's positions
        ratio = settings["factor"] * max(length, positions) / positions - (settings["factor"] - 1)
        return (base * ratio ** (width / (width - 2))) ** -exponent, 1.0
    if kind == "llama3":
        turns = settings["original_max_position_embeddings"] * frequency / (2 * math.pi)
        low, high = settings["low_freq_factor"], settings["high_freq_factor"]
        smooth = numpy.clip((turns - low) / (high - low), 0, 1)
        return (1 - smooth) * frequency / settings["factor"] + smooth * frequency, 1.0
    if kind == "yarn":
        return yarn(settings, frequency, width, positions)
    raise ValueError(f"rope_type {kind!r} is not supported")


def sliding_windows(config, layers):
    """The attention window of every layer, None where a token sees all before it."""
    family = config["model_type"]
    if family == "llama":
        return [None] * layers
    if family == "mistral":
        return [config.get("sliding_window", 4096)] * layers
    if not config.get("use_sliding_window", False):
        return [None] * layers
    first = config.get("max_window_layers", 28)
    kinds = config.get("layer_types") or [
        "sliding_attention" if layer >= first else "full_attention" for layer in range(layers)]
    return [config.get("sliding_window", 4096) if kind == "sliding_attention" else None for kind in kinds]


def gelu(x):
    return x * 0.5 * (1 + numpy.vectorize(math.erf)(x / math.sqrt(2)))


def gelu_tanh(x):
    return 0.5 * x * (1 + numpy.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def silu(x):
    return x / (1 + numpy.exp(-x))


ACTIVATIONS = {"silu": silu, "swish": silu, "gelu": gelu, "gelu_new": gelu_tanh, "gelu_pytorch_tanh": gelu_tanh}


def norm(x, weight, epsilon):
    return x / numpy.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * weight


def rotate(x, cos, sin):
    """x [heads, length, width], dimension k paired with k + width / 2."""
    half = x.shape[-1] // 2
    first, second = x[..., :half], x[..., half:]
    return numpy.concatenate([first * cos - second * sin, second * cos + first * sin], -1)


@dataclass
class Scores:
    """One row per scored token."""
    logprob: numpy.ndarray  # natural log of the token's probability
    rank: numpy.ndarray  # tokens with a greater logit, plus those of equal logit and lower id
    entropy: numpy.ndarray  # of the distribution the token was drawn from, in nats


class Model:
    def __init__(self, folder):
        folder = pathlib.Path(folder)
        config = json.loads((folder / "config.json").read_text())
        if config["model_type"] not in FAMILIES:
            raise ValueError(f"{folder}: model_type {config['model_type']!r} is not supported")
        self.config = config
        self.positions = config["max_position_embeddings"]
        self.layers = config["num_hidden_layers"]
        self.heads = config["num_attention_heads"]
        self.shared_heads = config.get("num_key_value_heads") or self.heads
        self.width = config.get("head_dim") or config["hidden_size"] // self.heads
        self.epsilon = config["rms_norm_eps"]
        self.activation = ACTIVATIONS[config.get("hidden_act", "silu")]
        self.rope = rope_settings(config)
        self.sliding = sliding_windows(config, self.layers)
        self.weights = read_weights(folder)
        self.tied = config.get("tie_word_embeddings", False)
        if self.tied and "lm_head.weight" in self.weights:  # a tied matrix may be stored under either name
            self.weights.setdefault("model.embed_tokens.weight", self.weights.pop("lm_head.weight"))
        self.check_names()

    def check_names(self):
        """The tensors of the files are the ones that the computation uses, none more and none less."""
        config, family = self.config, self.config["model_type"]
        expected = {"model.embed_tokens.weight", "model.norm.weight"} | (set() if self.tied else {"lm_head.weight"})
        attention_bias = config.get("attention_bias", False) and family in ("llama", "qwen3")
        biased = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"] if attention_bias or family == "qwen2" \
            else []
        biased += ["self_attn.o_proj"] if attention_bias else []
        biased += ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"] \
            if config.get("mlp_bias", False) and family == "llama" else []
        weighted = ["input_layernorm", "post_attention_layernorm", "self_attn.q_proj", "self_attn.k_proj",
                    "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
        weighted += ["self_attn.q_norm", "self_attn.k_norm"] if FAMILIES[family] else []
        for layer in range(self.layers):
            expected |= {f"model.layers.{layer}.{part}.weight" for part in weighted}
            expected |= {f"model.layers.{layer}.{part}.bias" for part in biased}
        if self.weights.keys() != expected:
            raise ValueError(f"tensors that differ from the config: {sorted(self.weights.keys() ^ expected)}")

    def linear(self, x, name):
        y = x @ self.weights[name + ".weight"].T
        bias = self.weights.get(name + ".bias")
        return y if bias is None else y + bias

    def split_heads(self, x, heads, norm_name):
        """[length, heads * width] -> [heads, length, width]"""
        x = x.reshape(len(x), heads, self.width)
        if norm_name + ".weight" in self.weights:
            x = norm(x, self.weights[norm_name + ".weight"], self.epsilon)
        return x.transpose(1, 0, 2)

    def attention(self, x, layer, cos, sin):
        at = f"model.layers.{layer}.self_attn."
        q = self.split_heads(self.linear(x, at + "q_proj"), self.heads, at + "q_norm")
        k = self.split_heads(self.linear(x, at + "k_proj"), self.shared_heads, at + "k_norm")
        v = self.linear(x, at + "v_proj").reshape(len(x), self.shared_heads, self.width).transpose(1, 0, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        group = self.heads // self.shared_heads
        k, v = numpy.repeat(k, group, 0), numpy.repeat(v, group, 0)
        weights = q @ k.transpose(0, 2, 1) / math.sqrt(self.width)
        distance = numpy.arange(len(x))[:, None] - numpy.arange(len(x))[None, :]
        hidden = distance < 0
        if self.sliding[layer] is not None:  # a window of w tokens, the token itself among them
            hidden |= distance >= self.sliding[layer]
        weights[:, hidden] = -numpy.inf
        weights = numpy.exp(weights - weights.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        return self.linear((weights @ v).transpose(1, 0, 2).reshape(len(x), -1), at + "o_proj")

    def logits(self, tokens):
        """[length, vocabulary]: row k predicts what follows tokens[k]."""
        frequency, scale = rope_frequencies(self.rope, self.width, len(tokens), self.positions)
        angle = numpy.arange(len(tokens))[:, None] * frequency[None, :]
        cos, sin = numpy.cos(angle) * scale, numpy.sin(angle) * scale
        x = self.weights["model.embed_tokens.weight"][tokens]
        for layer in range(self.layers):
            at = f"model.layers.{layer}."
            x = x + self.attention(
                norm(x, self.weights[at + "input_layernorm.weight"], self.epsilon), layer, cos, sin)
            y = norm(x, self.weights[at + "post_attention_layernorm.weight"], self.epsilon)
            gated = self.activation(self.linear(y, at + "mlp.gate_proj")) * self.linear(y, at + "mlp.up_proj")
            x = x + self.linear(gated, at + "mlp.down_proj")
        x = norm(x, self.weights["model.norm.weight"], self.epsilon)
        return x @ self.weights["model.embed_tokens.weight" if self.tied else "lm_head.weight"].T

    def scores(self, tokens, prefix, window=None, stride=None):
        """Scores of a document; the first `prefix` (0 or 1) of its tokens are the prefix, not content."""
        window = self.positions if window is None else window
        rows = []
        for begin, first, end in passes(len(tokens) - prefix, prefix, window, stride):
            content = [*tokens[:prefix], *tokens[prefix + begin:prefix + end]]
            table = self.logits(content)
            at = numpy.arange(first - begin + prefix, end - begin + prefix)
            rows.append(score_rows(table[at - 1], numpy.array(content)[at]))
        if not rows:
            return Scores(*(numpy.zeros(0, kind) for kind in (float, int, float)))
        return Scores(*(numpy.concatenate([getattr(row, name) for row in rows])
                        for name in ("logprob", "rank", "entropy")))


def score_rows(logits, targets):
    shifted = logits - logits.max(-1, keepdims=True)
    weight = numpy.exp(shifted)
    total = weight.sum(-1)
    rows = numpy.arange(len(targets))
    hit = logits[rows, targets][:, None]
    before = numpy.arange(logits.shape[1])[None, :] < targets[:, None]
    rank = ((logits > hit) | ((logits == hit) & before)).sum(-1)
    return Scores(shifted[rows, targets] - numpy.log(total), rank,
                  numpy.log(total) - (weight * shifted).sum(-1) / total)


def passes(n, prefix, window, stride=None):
    """(begin, first scored, end) in content tokens of every pass; the rule is in this file's docstring."""
    capacity, most = window - prefix, window - 1
    stride = max(1, window // 2) if stride is None else stride
    if not 1 <= stride <= most:
        raise ValueError(f"stride {stride} is not within 1..{most} (window {window}, prefix {prefix})")
    end = min(n, capacity)
    first = 0 if prefix else 1
    if first < end:
        yield 0, first, end
    while end < n:
        start, end = end, min(n, end + stride)
        yield max(0, end - capacity), start, end


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model")
    arguments.add_argument("text")
    arguments.add_argument("--window", type=int)
    arguments.add_argument("--stride", type=int)
    options = arguments.parse_args()
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(pathlib.Path(options.model) / "tokenizer.json"))
    tokens = tokenizer.encode(options.text).ids
    prefix = len(tokens) - len(tokenizer.encode(options.text, add_special_tokens=False).ids)
    scores = Model(options.model).scores(tokens, prefix, options.window, options.stride)
    for token, *row in zip(tokens[len(tokens) - len(scores.rank):], scores.logprob, scores.rank, scores.entropy):
        print(f"{tokenizer.id_to_token(token)!r:20} {row[0]:12.6f} {row[1]:6} {row[2]:10.6f}")
    print(f"{len(scores.rank)} tokens, logprob {scores.logprob.sum():.9f}")


if __name__ == "__main__":
    main()
