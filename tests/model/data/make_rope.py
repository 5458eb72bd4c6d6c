"""Expected inverse frequencies and magnitudes of every kind of rotation: rope.json, next to this file.

    python make_rope.py          (needs transformers 5 and torch)

They come from transformers' own modeling_rope_utils, in its float32.
"""

import json
import pathlib

import torch
import transformers
from transformers import LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

CLASSES = {"llama": LlamaConfig, "mistral": MistralConfig, "qwen2": Qwen2Config, "qwen3": Qwen3Config}
SIZES = {"num_hidden_layers": 1, "hidden_size": 512, "intermediate_size": 64, "num_attention_heads": 8,
         "num_key_value_heads": 8, "vocab_size": 300}

CASES = [
    ("llama", {}, [None]),
    ("llama", {"rope_theta": 500000.0, "head_dim": 128, "rope_scaling": None}, [None]),
    ("mistral", {"rope_theta": 1000000.0, "max_position_embeddings": 32768}, [None]),
    ("qwen3", {"rope_parameters": {"rope_type": "default", "rope_theta": 5000000.0}}, [None]),
    ("llama", {"rope_scaling": {"type": "linear", "factor": 4.0}}, [None]),
    ("qwen2", {"rope_parameters": {"rope_type": "linear", "factor": 2.5, "rope_theta": 1e6}}, [None]),
    ("llama", {"rope_scaling": {"type": "dynamic", "factor": 2.0}, "max_position_embeddings": 64}, [10, 64, 65, 100, 1000]),
    ("mistral", {"rope_scaling": {"rope_type": "dynamic", "factor": 8.0}, "max_position_embeddings": 4096}, [4096, 5000, 60000]),
    ("llama", {"rope_theta": 500000.0, "head_dim": 128, "max_position_embeddings": 131072,
               "rope_scaling": {"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                                "original_max_position_embeddings": 8192, "rope_type": "llama3"}}, [None]),
    ("llama", {"rope_theta": 500000.0, "head_dim": 64, "max_position_embeddings": 131072,
               "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                                "original_max_position_embeddings": 8192, "rope_type": "llama3"}}, [None]),
    ("llama", {"max_position_embeddings": 4096,
               "rope_scaling": {"factor": 3.0, "high_freq_factor": 5.5, "low_freq_factor": 0.5, "rope_type": "llama3"}},
     [None]),
    ("qwen2", {"rope_theta": 1000000.0, "max_position_embeddings": 32768,
               "rope_scaling": {"factor": 4.0, "original_max_position_embeddings": 32768, "type": "yarn"}}, [None]),
    ("qwen3", {"max_position_embeddings": 131072,
               "rope_parameters": {"rope_type": "yarn", "rope_theta": 1000000.0, "factor": 4.0,
                                   "original_max_position_embeddings": 32768}}, [None]),
    ("llama", {"max_position_embeddings": 16384,
               "rope_scaling": {"rope_type": "yarn", "factor": 16.0, "original_max_position_embeddings": 1024,
                                "beta_fast": 48, "beta_slow": 2, "attention_factor": 1.25}}, [None]),
    ("llama", {"max_position_embeddings": 16384,
               "rope_scaling": {"rope_type": "yarn", "factor": 40.0, "original_max_position_embeddings": 4096,
                                "mscale": 0.707, "mscale_all_dim": 1.0}}, [None]),
    ("llama", {"max_position_embeddings": 16384,
               "rope_scaling": {"rope_type": "yarn", "factor": 40.0, "original_max_position_embeddings": 4096,
                                "mscale": 1.4, "mscale_all_dim": 0, "truncate": False}}, [None]),
    ("llama", {"max_position_embeddings": 16384,
               "rope_scaling": {"rope_type": "yarn", "factor": None, "original_max_position_embeddings": 2048}}, [None]),
    ("llama", {"max_position_embeddings": 64, "rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, [None]),
    ("llama", {"max_position_embeddings": 16384, "rope_theta": 20000.0,
               "rope_parameters": {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 2048,
                                   "rope_theta": 30000.0}}, [None]),
]


def frequencies(config, length):
    kind = config.rope_parameters["rope_type"]
    if kind != "default":
        return ROPE_INIT_FUNCTIONS[kind](config, "cpu", seq_len=length)
    modeling = __import__(f"transformers.models.{config.model_type}.modeling_{config.model_type}", fromlist=["x"])
    rotary = getattr(modeling, type(config).__name__.replace("Config", "RotaryEmbedding"))
    return rotary.compute_default_rope_parameters(config)


def main():
    cases = []
    for family, options, lengths in CASES:
        document = {"model_type": family, **SIZES, **options}
        for length in lengths:
            config = CLASSES[family](**json.loads(json.dumps({k: v for k, v in document.items() if k != "model_type"})))
            inverse, magnitude = frequencies(config, length)
            cases.append({"config": document, "length": length or 1, "magnitude": float(magnitude),
                          "inverse": [float(f"{value:.9g}") for value in inverse.tolist()]})
    text = ",\n".join(json.dumps(case) for case in cases)
    path = pathlib.Path(__file__).with_name("rope.json")
    path.write_text(f'{{"transformers": "{transformers.__version__}", "torch": "{torch.__version__}", "cases": [\n{text}\n]}}\n')


main()
