"""Random weights in the shapes of the models that are served, made on the spot from a seed: nothing is downloaded.

BGE-M3 and bge-reranker-v2-m3 are both XLM-RoBERTa large with 8194 positions: 24 layers of 1024, 16 heads, 250,002
pieces; their tokenizer is XLM-R's own. A random model does the same arithmetic as the real one; only its scores mean
nothing.
"""

import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.harness import options
from tests import checkpoints


@dataclass(frozen=True, slots=True)
class Shape:
    """Of an XLM-R encoder. tokens: the longest text, specials included. spread: of the random weights."""

    hidden: int
    layers: int
    heads: int
    tokens: int
    spread: float

    def flops(self, tokens: int, length: int) -> float:
        """Of a forward pass over `tokens` tokens in texts of `length`: two for each weight used, and the attention."""
        weights = 12 * self.hidden**2  # four projections and a feed-forward of four times the width
        return tokens * self.layers * (2 * weights + 4 * length * self.hidden)


LARGE = Shape(hidden=1024, layers=24, heads=16, tokens=8192, spread=0.05)
SMALL = Shape(hidden=64, layers=2, heads=4, tokens=512, spread=0.2)


def embedder(folder: Path, shape: Shape, seed: int) -> Path:
    """A checkpoint in BGE-M3's layout, both heads included; made once in `folder`, then found there."""
    return _made(folder / f"bge-m3-{shape.layers}x{shape.hidden}-{seed}", _bge_m3, shape, seed)


def reranker(folder: Path, shape: Shape, seed: int) -> Path:
    """A sequence classifier with one label, as bge-reranker-v2-m3."""
    return _made(folder / f"reranker-{shape.layers}x{shape.hidden}-{seed}", checkpoints.reranker, shape, seed)


def real_embedder(folder: Path) -> Path:
    """multilingual-e5-small's weights with random heads, in the same layout."""

    def make(target: Path) -> Path:
        checkpoints.e5(target)
        return _for_sentence_transformers(target, hidden=384, max_tokens=512)

    return _moved(folder / "multilingual-e5-small", make)


def texts(checkpoint: Path, tokens: Sequence[int], seed: int) -> list[str]:
    """A text of each length, specials included: random words that are one piece each for the checkpoint's tokenizer."""
    pieces = json.loads((checkpoint / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    words = [word for piece, _ in pieces if piece.startswith("▁") and _plain(word := piece[1:])]
    rng = random.Random(seed)
    return [" ".join(rng.choices(words, k=max(length - 2, 1))) for length in tokens]


def _plain(word: str) -> bool:
    return word.isascii() and word.isalpha() and word.islower() and len(word) > 3


def _bge_m3(folder: Path, *, hidden: int, max_tokens: int, **shape: Any) -> Path:
    """The bias of the lexical head is raised: every token gets a weight, where a random head gives all or none."""
    import torch

    checkpoints.bge_m3(folder, hidden=hidden, max_tokens=max_tokens, **shape)
    head = torch.load(folder / "sparse_linear.pt", weights_only=True)
    torch.save({**head, "bias": head["bias"] + 2.0}, folder / "sparse_linear.pt")
    return _for_sentence_transformers(folder, hidden, max_tokens)


def _for_sentence_transformers(folder: Path, hidden: int, max_tokens: int) -> Path:
    """Adds the files by which that library knows that the dense vector is the first token's, normalised."""
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds.items())
    ]
    pooling = {"word_embedding_dimension": hidden, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    for name, content in (
        ("modules.json", modules),
        ("sentence_bert_config.json", {"max_seq_length": max_tokens, "do_lower_case": False}),
        ("1_Pooling/config.json", pooling),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content), "utf-8")
    (folder / "2_Normalize").mkdir()
    return folder


def _made(target: Path, make: Callable[..., Path], shape: Shape, seed: int) -> Path:
    sizes = {"hidden": shape.hidden, "layers": shape.layers, "attention_heads": shape.heads}
    kind = {"seed": seed, "max_tokens": shape.tokens, "spread": shape.spread}
    return _moved(target, lambda folder: make(folder, **sizes, **kind))


def _moved(target: Path, make: Callable[[Path], Path]) -> Path:
    """Renamed to its name once it is whole, so that a broken attempt is not taken for a checkpoint."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=target.parent) as scratch:
            os.replace(make(Path(scratch) / target.name), target)
    return target


def main() -> None:
    """Both, so that what is measured need not wait for them."""
    parser = options(__doc__)
    parser.add_argument("--checkpoints", type=Path, default=Path(".bench/checkpoints"))
    given = parser.parse_args()
    shape = SMALL if given.small else LARGE
    for make in (embedder, reranker):
        print(make(given.checkpoints, shape, given.seed), flush=True)


if __name__ == "__main__":
    main()
