"""GGUF files of Llama models, written from the folders that `thresher bench --make-model` makes.

The vocabulary is one rare character a token, so a text gives exactly the ids that it was made from: token i is
character(i), and no two characters merge. The head is written as a tensor of its own even where it is the embedding:
ik_llama.cpp repacks weights at load, but never an embedding.
"""
import json
import pathlib
import struct

import numpy

F32, Q8_0, BF16 = 0, 8, 30  # tensor types
ALIGNMENT = 32
BLOCK = 32  # numbers that share a scale in Q8_0
ROWS = 4096  # converted at a time
SPECIAL = 259  # ids below: unknown, begin, end, then a token for each byte
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # kinds of tokens
TEXT, UINT32, INT32, FLOAT32, BOOL, ARRAY = 8, 4, 5, 6, 7, 9  # types of values


def character(token):
    """The character that is token `token` (from SPECIAL on): planes 2 and 3, none of which splits or joins."""
    return chr(0x20000 + token)


def packed_text(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def packed_value(kind, value):
    if kind == TEXT:
        return packed_text(value)
    return struct.pack({UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?"}[kind], value)


def packed_field(name, kind, value):
    head = packed_text(name)
    if not isinstance(value, list):
        return head + struct.pack("<I", kind) + packed_value(kind, value)
    items = b"".join(packed_value(kind, item) for item in value)
    return head + struct.pack("<IIQ", ARRAY, kind, len(value)) + items


def tokenizer_fields(vocabulary):
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokens += [character(token) for token in range(SPECIAL, vocabulary)]
    kinds = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256, *[NORMAL] * (vocabulary - SPECIAL)]
    return [("tokenizer.ggml.model", TEXT, "llama"), ("tokenizer.ggml.tokens", TEXT, tokens),
            ("tokenizer.ggml.scores", FLOAT32, [0.0] * vocabulary), ("tokenizer.ggml.token_type", INT32, kinds),
            ("tokenizer.ggml.unknown_token_id", UINT32, 0), ("tokenizer.ggml.bos_token_id", UINT32, 1),
            ("tokenizer.ggml.eos_token_id", UINT32, 2), ("tokenizer.ggml.add_bos_token", BOOL, False),
            ("tokenizer.ggml.add_eos_token", BOOL, False), ("tokenizer.ggml.add_space_prefix", BOOL, False)]


def model_fields(config):
    heads = config["num_attention_heads"]
    size = config.get("head_dim") or config["hidden_size"] // heads
    numbers = {"context_length": config["max_position_embeddings"], "embedding_length": config["hidden_size"],
               "block_count": config["num_hidden_layers"], "feed_forward_length": config["intermediate_size"],
               "attention.head_count": heads, "attention.head_count_kv": config["num_key_value_heads"],
               "attention.key_length": size, "attention.value_length": size, "rope.dimension_count": size,
               "vocab_size": config["vocab_size"]}
    return [("general.architecture", TEXT, "llama"), ("general.name", TEXT, "random weights"),
            *((f"llama.{name}", UINT32, number) for name, number in numbers.items()),
            ("llama.rope.freq_base", FLOAT32, config["rope_theta"]),
            ("llama.attention.layer_norm_rms_epsilon", FLOAT32, config["rms_norm_eps"])]


def open_safetensors(model):
    """Name -> matrix or vector, mapped: bf16 as its words (uint16), or f32."""
    types = {"BF16": numpy.uint16, "F32": numpy.float32}
    tensors = {}
    for path in sorted(model.glob("*.safetensors")):
        with open(path, "rb") as file:
            size = struct.unpack("<Q", file.read(8))[0]
            header = json.loads(file.read(size))
        for name, entry in header.items():
            if name != "__metadata__":
                tensors[name] = numpy.memmap(path, types[entry["dtype"]], "r", 8 + size + entry["data_offsets"][0],
                                             tuple(entry["shape"]))
    return tensors


def as_f32(rows):
    if rows.dtype == numpy.float32:
        return rows
    return (rows.astype(numpy.uint32) << 16).view(numpy.float32)


def as_bf16(rows):
    if rows.dtype == numpy.uint16:
        return rows
    words = numpy.ascontiguousarray(rows).view(numpy.uint32).astype(numpy.uint64)
    return ((words + 0x7fff + (words >> 16 & 1)) >> 16).astype(numpy.uint16)  # to nearest, ties to even


def as_q8_0(rows):
    """Blocks of a half-precision scale and 32 signed bytes."""
    blocks = as_f32(rows).reshape(-1, BLOCK)
    scales = numpy.abs(blocks).max(axis=1, keepdims=True) / 127
    inverse = numpy.divide(1, scales, out=numpy.zeros_like(scales), where=scales > 0)
    out = numpy.empty(len(blocks), [("scale", "<f2"), ("numbers", "i1", BLOCK)])
    out["scale"] = scales[:, 0]
    out["numbers"] = numpy.rint(blocks * inverse)
    return out


CONVERSIONS = {F32: (as_f32, lambda n: 4 * n), BF16: (as_bf16, lambda n: 2 * n), Q8_0: (as_q8_0, lambda n: n // 32 * 34)}


def adjacent_pairs(tensor, heads):
    """Rows of a query or key projection in GGUF's order: the two numbers that rotate together are neighbours."""
    rows, width = tensor.shape
    return tensor.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width)


def plan_tensors(config, stored):
    """(name in GGUF, tensor) in the file's order."""
    named = [("token_embd.weight", stored["model.embed_tokens.weight"])]
    parts = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
             "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
             "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    for layer in range(config["num_hidden_layers"]):
        for part, name in parts.items():
            tensor = stored[f"model.layers.{layer}.{name}.weight"]
            named.append((f"blk.{layer}.{part}.weight",
                          adjacent_pairs(tensor, heads[part]) if part in heads else tensor))
    named.append(("output_norm.weight", stored["model.norm.weight"]))
    named.append(("output.weight", stored.get("lm_head.weight", stored["model.embed_tokens.weight"])))
    return named


def write_gguf(model, path, kind):
    """The Llama model in folder `model` as GGUF: matrices as F32, BF16 or Q8_0, vectors as F32."""
    config = json.loads((model / "config.json").read_text())
    tensors = [(name, tensor, kind if tensor.ndim == 2 else F32)
               for name, tensor in plan_tensors(config, open_safetensors(model))]
    fields = model_fields(config) + tokenizer_fields(config["vocab_size"])
    infos, offset, sizes = b"", 0, []
    for name, tensor, how in tensors:
        extents = tensor.shape[::-1]
        infos += packed_text(name) + struct.pack(f"<I{len(extents)}QIQ", len(extents), *extents, how, offset)
        sizes.append(CONVERSIONS[how][1](tensor.size))
        offset += -(-sizes[-1] // ALIGNMENT) * ALIGNMENT
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(fields))
    head += b"".join(packed_field(*field) for field in fields) + infos
    unfinished = pathlib.Path(f"{path}.part")
    with open(unfinished, "wb") as file:
        file.write(head + bytes(-len(head) % ALIGNMENT))
        for (_, tensor, how), size in zip(tensors, sizes):
            for row in range(0, len(tensor), ROWS):
                file.write(numpy.ascontiguousarray(CONVERSIONS[how][0](tensor[row:row + ROWS])).data)
            file.write(bytes(-size % ALIGNMENT))
    unfinished.rename(path)
