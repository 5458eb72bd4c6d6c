"""Random tiny models and expected scores for the tests: tests/fixtures/models, tests/fixtures/scores.

    python make_fixtures.py [--shared DIR] [--only NAME ...]

Every option of the Llama-shaped families is on in one of the models. Weights are drawn wide enough that attention and
next-token distributions are far from uniform. Expected scores come from reference.py (float64). --shared adds the
models of DIR/data (they are not part of the project: their fixtures hold numbers alone).

scores/NAME.json: {"model": folder, "cases": [{"window", "stride", "documents": [{"prefix", "tokens", "logprob",
"rank", "entropy", "gap"}]}]}. A folder is relative to the project, or begins with "shared/". `tokens` hold the prefix;
the other arrays have one entry per scored token, in order. `gap` is the distance from the token's logit to the nearest
other one: where it is smaller than the error of a computation in lower precision, the rank may differ.
"""

import argparse
import json
import pathlib

import numpy
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

import reference

PROJECT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = PROJECT / "tests/fixtures"
VOCABULARY = 384
SHARD_BYTES = 60_000

COMMON = {"vocab_size": VOCABULARY, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "bos_token_id": 0,
          "eos_token_id": 1}

# name: (storage, with BOS, config)
MODELS = {
    "qwen3": ("BF16", False, {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_act": "silu", "hidden_size": 48,
        "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2,
        "head_dim": 16, "attention_bias": True, "tie_word_embeddings": True, "max_position_embeddings": 256,
        "use_sliding_window": False, "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "yarn", "rope_theta": 1000000.0, "factor": 4.0,
                            "original_max_position_embeddings": 64}}),
    "qwen3_layers": ("F32", False, {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_act": "gelu_new", "hidden_size": 32,
        "intermediate_size": 40, "num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 2,
        "head_dim": 12, "attention_bias": False, "tie_word_embeddings": False, "max_position_embeddings": 128,
        "use_sliding_window": True, "sliding_window": 7, "max_window_layers": 3,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        "rope_scaling": {"type": "yarn", "factor": 2.0, "original_max_position_embeddings": 64, "beta_fast": 16,
                         "beta_slow": 2, "mscale": 1.2, "mscale_all_dim": 0.7, "truncate": False}}),
    "qwen2": ("BF16", False, {
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_act": "silu", "hidden_size": 48,
        "intermediate_size": 80, "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 3,
        "tie_word_embeddings": True, "max_position_embeddings": 160, "use_sliding_window": True,
        "sliding_window": 16, "max_window_layers": 1, "rope_theta": 1000000.0, "rope_scaling": None}),
    "mistral": ("BF16", True, {
        "architectures": ["MistralForCausalLM"], "model_type": "mistral", "hidden_act": "silu", "hidden_size": 64,
        "intermediate_size": 112, "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 2,
        "tie_word_embeddings": False, "max_position_embeddings": 192, "sliding_window": 24,
        "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 64}}),
    "llama_geglu": ("F32", True, {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "gelu_pytorch_tanh",
        "hidden_size": 32, "intermediate_size": 72, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 1, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True,
        "max_position_embeddings": 128, "rope_scaling": {"type": "linear", "factor": 2.5}}),
    "llama_dynamic": ("F16", True, {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "gelu", "hidden_size": 40,
        "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 5, "num_key_value_heads": 5,
        "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": False, "max_position_embeddings": 64,
        "rope_scaling": {"type": "dynamic", "factor": 2.0}}),
}

# (window, stride) of the cases; None is the default
CASES = {"qwen3": [(None, None), (48, 16), (32, 31)], "qwen3_layers": [(None, None), (40, 1)],
         "qwen2": [(None, None), (33, 8)], "mistral": [(None, None), (64, 63), (17, 5)],
         "llama_geglu": [(None, None), (48, 24)], "llama_dynamic": [(None, None), (160, 40), (300, None)],
         "model": [(None, None), (128, 32)], "tinystories656K": [(None, None), (128, 127)],
         "stories260K-hf": [(None, None), (128, 32)]}

SENTENCE = ("Once upon a time there was a small ship. It sailed far, far away; "
            "its crew of 12 sang \u201cAhoy!\u201d all day.")


def make_tokenizer(path, with_bos):
    """Byte-level BPE learnt from the project's licence text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator([(PROJECT / "LICENSE").read_text()], trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=["<s>", "</s>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    if with_bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 0)])
    tokenizer.save(str(path))


def random_weights(config, generator):
    """Tensors by name. Products keep unit variance; queries and keys are wider, so that attention has favourites."""
    hidden, inner, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    width = config.get("head_dim", hidden // heads)
    shared = config["num_key_value_heads"] * width
    family, weights = config["model_type"], {}

    def matrix(name, rows, columns, scale, bias):
        weights[name + ".weight"] = generator.normal(0, scale / columns**0.5, (rows, columns))
        if bias:
            weights[name + ".bias"] = generator.normal(0, 0.3, rows)

    def norm(name, size):
        weights[name + ".weight"] = 1 + generator.normal(0, 0.2, size)

    attention_bias = config.get("attention_bias", False)
    weights["model.embed_tokens.weight"] = generator.normal(0, 1.8 / hidden**0.5, (config["vocab_size"], hidden))
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        norm(at + "input_layernorm", hidden)
        norm(at + "post_attention_layernorm", hidden)
        for part, rows, scale in (("q", heads * width, 1.5), ("k", shared, 1.5), ("v", shared, 1.0)):
            matrix(at + f"self_attn.{part}_proj", rows, hidden, scale, attention_bias or family == "qwen2")
        matrix(at + "self_attn.o_proj", hidden, heads * width, 0.7, attention_bias)
        if family == "qwen3":
            norm(at + "self_attn.q_norm", width)
            norm(at + "self_attn.k_norm", width)
        for part, rows, columns in (("gate", inner, hidden), ("up", inner, hidden), ("down", hidden, inner)):
            matrix(at + f"mlp.{part}_proj", rows, columns, 1.0, config.get("mlp_bias", False))
    norm("model.norm", hidden)
    if not config["tie_word_embeddings"]:
        matrix("lm_head", config["vocab_size"], hidden, 1.8, False)
    return weights


def stored(values, dtype):
    """Little-endian bytes, rounded to nearest even."""
    if dtype != "BF16":
        return values.astype({"F32": "<f4", "F16": "<f2"}[dtype]).tobytes()
    bits = values.astype("<f4").view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()


def write_safetensors(path, weights, dtype):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name in sorted(weights):
        raw = stored(weights[name], dtype)
        header[name] = {"dtype": dtype, "shape": list(weights[name].shape), "data_offsets": [len(data),
                                                                                            len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def write_shards(folder, weights, dtype):
    shards, size = [{}], 0
    for name in sorted(weights):
        bytes_here = len(stored(weights[name], dtype))
        if shards[-1] and size + bytes_here > SHARD_BYTES:
            shards.append({})
            size = 0
        shards[-1][name] = weights[name]
        size += bytes_here
    files = [f"model-{k + 1:05}-of-{len(shards):05}.safetensors" for k in range(len(shards))]
    for file, shard in zip(files, shards):
        write_safetensors(folder / file, shard, dtype)
    total = sum(len(stored(values, dtype)) for values in weights.values())
    write_json(folder / "model.safetensors.index.json", {
        "metadata": {"total_size": total},
        "weight_map": {name: file for file, shard in zip(files, shards) for name in sorted(shard)}})


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def make_model(name):
    dtype, with_bos, own = MODELS[name]
    config = {**COMMON, "torch_dtype": {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}[dtype], **own}
    if "rope_parameters" in config:  # the newer spelling holds rope_theta inside
        del config["rope_theta"]
    if not with_bos:
        config["bos_token_id"] = None
    folder = FIXTURES / "models" / name
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    make_tokenizer(folder / "tokenizer.json", with_bos)
    weights = random_weights(config, numpy.random.default_rng([7, *name.encode()]))
    if name == "mistral":
        write_shards(folder, weights, dtype)
    else:
        write_safetensors(folder / "model.safetensors", weights, dtype)


def documents(folder, window):
    """(prefix, tokens) of texts and of random ids: 1, 2, 17 and more content tokens, and longer than the window."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    licence = (PROJECT / "LICENSE").read_text()
    begin = tokenizer.encode("a").ids[:-len(tokenizer.encode("a", add_special_tokens=False).ids)]
    content = [tokenizer.encode(text, add_special_tokens=False).ids for text in (SENTENCE, licence)]
    generator = numpy.random.default_rng(11)
    noise = generator.integers(2, tokenizer.get_vocab_size(), 230).tolist()
    chosen = [noise[:1], noise[1:3], noise[3:20], content[0], content[1][300:300 + window - len(begin)],
              noise if window < 200 else noise[:60], content[1][40:40 + window + window // 4]]
    return [(len(begin), begin + ids) for ids in chosen]


def nearest_gap(logits, targets):
    rows = numpy.arange(len(targets))
    distance = abs(logits - logits[rows, targets][:, None])
    distance[rows, targets] = numpy.inf
    return distance.min(-1)


def numbers(values, digits):
    return [float(f"{value:.{digits}g}") for value in values]


def expected(model, prefix, tokens, window, stride):
    scores = model.scores(tokens, prefix, window, stride)
    gaps = [numpy.zeros(0)]
    for begin, first, end in reference.passes(len(tokens) - prefix, prefix, window or model.positions, stride):
        content = tokens[:prefix] + tokens[prefix + begin:prefix + end]
        at = numpy.arange(first - begin + prefix, end - begin + prefix)
        gaps.append(nearest_gap(model.logits(content)[at - 1], numpy.array(content)[at]))
    return {"prefix": prefix, "tokens": tokens, "logprob": numbers(scores.logprob, 9),
            "rank": scores.rank.tolist(), "entropy": numbers(scores.entropy, 9),
            "gap": numbers(numpy.concatenate(gaps), 2)}


def make_scores(name, folder, label):
    model = reference.Model(folder)
    cases = []
    for window, stride in CASES[name]:
        rows = [expected(model, prefix, tokens, window, stride)
                for prefix, tokens in documents(folder, window or model.positions)]
        cases.append({"window": window or model.positions,
                      "stride": stride or max(1, (window or model.positions) // 2), "documents": rows})
    path = FIXTURES / "scores" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"model": label, "cases": cases}, separators=(",", ":")) + "\n")
    mean = numpy.concatenate([row["logprob"] for case in cases for row in case["documents"]])
    print(f"{name}: {len(mean)} scored tokens, mean logprob {mean.mean():.3f}, {path.stat().st_size} bytes", flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--shared", type=pathlib.Path)
    arguments.add_argument("--only", nargs="*")
    options = arguments.parse_args()
    for name in MODELS:
        if not options.only or name in options.only:
            make_model(name)
            make_scores(name, FIXTURES / "models" / name, f"tests/fixtures/models/{name}")
    others = {"model": (PROJECT / "data/model", "data/model")}
    if options.shared:
        for name in ("tinystories656K", "stories260K-hf"):
            others[name] = (options.shared / "data" / name, f"shared/data/{name}")
    for name, (folder, label) in others.items():
        if not options.only or name in options.only:
            make_scores(name, folder, label)


if __name__ == "__main__":
    main()
