"""A checkpoint in Qwen3-32B's shape without weights, for vLLM's `--load-format dummy`, and a tokenizer of its size.

The tokenizer is a stand-in: one token a word, w0 to w151642, and Qwen3's special tokens, so that a prompt of so many
words has as many tokens. `fp8` gives the layout of Qwen3-32B-FP8 (blocks of 128 x 128, activations scaled when used).
"""

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VOCABULARY = 151_936
_SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<tool_call>",
    "</tool_call>",
    "<think>",
    "</think>",
    "<unk>",
)
_WORDS = 151_643
_TEMPLATE = (
    "{% for message in messages %}<|im_start|> {{ message.content }} <|im_end|> {% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>"
    "{% if not enable_thinking %} <think> </think>{% endif %}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Shape:
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    feed_forward: int

    @property
    def parameters(self) -> int:
        """Input and output embeddings are two matrices; norms are left out."""
        attention = self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        return 2 * VOCABULARY * self.hidden + self.layers * (attention + 3 * self.hidden * self.feed_forward)


QWEN3_32B = Shape(layers=64, hidden=5120, heads=64, kv_heads=8, head_dim=128, feed_forward=25600)
TINY = Shape(layers=2, hidden=128, heads=4, kv_heads=2, head_dim=32, feed_forward=256)


def checkpoint(folder: Path, shape: Shape, *, fp8: bool) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("config.json", _config(shape, fp8)),
        ("generation_config.json", {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "eos_token_id": [_WORDS + 2]}),
        ("tokenizer.json", _tokenizer()),
        (
            "tokenizer_config.json",
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "model_max_length": 131_072,
                "eos_token": "<|im_end|>",
                "pad_token": "<|endoftext|>",
                "unk_token": "<unk>",
                "chat_template": _TEMPLATE,
            },
        ),
    ):
        (folder / name).write_text(json.dumps(content), "utf-8")
    return folder


def prompt(tokens: int, rng: random.Random) -> str:
    """Random words, so that no two prompts share a prefix in the engine's cache."""
    return " ".join(f"w{rng.randrange(_WORDS)}" for _ in range(tokens))


def _config(shape: Shape, fp8: bool) -> dict[str, Any]:
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "vocab_size": VOCABULARY,
        "num_hidden_layers": shape.layers,
        "hidden_size": shape.hidden,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "intermediate_size": shape.feed_forward,
        "max_position_embeddings": 40_960,
        "rope_theta": 1_000_000,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "bos_token_id": _WORDS,
        "eos_token_id": _WORDS + 2,
    }
    blocks = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
    return config | ({"quantization_config": blocks} if fp8 else {})


def _tokenizer() -> dict[str, Any]:
    words = {f"w{i}": i for i in range(_WORDS)} | {token: _WORDS + i for i, token in enumerate(_SPECIAL)}
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "added_tokens": [{"id": words[token], "content": token, **added} for token in _SPECIAL],
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "<unk>"},
    }
