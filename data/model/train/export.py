"""Write a training state as a Hugging Face directory, weights rounded to bfloat16.

    python export.py --work WORK --state WORK/state-4000.pt --output data/model
"""

import argparse
import json
import pathlib
import shutil

import torch
from safetensors.torch import save_file

from train import SHAPE


def config():
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "attention_bias": False,
        "mlp_bias": False, "attention_dropout": 0.0, "rope_theta": 10000.0, "rope_scaling": None,
        "torch_dtype": "bfloat16", **{key: value for key, value in SHAPE.items() if key != "pad_token_id"}}


def tokenizer_config():
    token = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
        "model_max_length": SHAPE["max_position_embeddings"], "clean_up_tokenization_spaces": False,
        "added_tokens_decoder": {"0": {"content": "<s>", **token}, "1": {"content": "</s>", **token}}}


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--work", type=pathlib.Path, required=True)
    arguments.add_argument("--state", type=pathlib.Path, required=True)
    arguments.add_argument("--output", type=pathlib.Path, required=True)
    options = arguments.parse_args()

    weights = torch.load(options.state, weights_only=True)["model"]
    weights.pop("lm_head.weight", None)  # tied to the embedding
    weights = {name: weight.to(torch.bfloat16).contiguous() for name, weight in weights.items()}
    options.output.mkdir(parents=True, exist_ok=True)
    save_file(weights, options.output / "model.safetensors", metadata={"format": "pt"})
    write_json(options.output / "config.json", config())
    write_json(options.output / "generation_config.json", {"bos_token_id": 0, "eos_token_id": 1})
    write_json(options.output / "tokenizer_config.json", tokenizer_config())
    shutil.copyfile(options.work / "tokenizer.json", options.output / "tokenizer.json")


if __name__ == "__main__":
    main()
