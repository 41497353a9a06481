"""BGE-M3's forward pass on torch: token ids in, dense vector, lexical weights and token vectors out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.base import FloatArray
from models.errors import Unavailable
from models.torch.checkpoint import load_encoder, load_linear
from models.torch.torch_device import choose_device, choose_dtype, import_torch, in_halves

COLBERT, SPARSE = "colbert_linear.pt", "sparse_linear.pt"
IdArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Text:
    """ids: (t,) with the special tokens, cut to what the model can read. tokens: whether token vectors are wanted."""

    ids: IdArray
    tokens: bool = False


@dataclass(frozen=True, slots=True)
class Vectors:
    """Of one text. dense: (dim,) unit. sparse: token id -> weight > 0. tokens: (t - 1, dim) unit rows, without <s>."""

    dense: FloatArray
    sparse: dict[int, float]
    tokens: FloatArray | None


class BgeM3Encoder:
    """With h the last hidden states: dense is norm(h[0]), a token's weight relu(sparse_linear(h)), the largest of those
    of one id, and its vector norm(colbert_linear(h)).

    max_tokens: of a text, the special ones included.
    """

    def __init__(self, network: Any, colbert: Any, sparse: Any, device: Any) -> None:
        self._torch = import_torch()
        self._network, self._colbert, self._sparse = network, colbert, sparse
        self._pad = getattr(network.config, "pad_token_id", None) or 0
        self.device = device
        self.dim = int(network.config.hidden_size)
        self.vocabulary = int(network.config.vocab_size)
        self.max_tokens = positions(network)

    @classmethod
    def load(cls, folder: Path, device: str, dtype: str) -> Self:
        """Blocking. Raises Unavailable: no such device, a file missing or wrong, no memory left on the device."""
        torch, place = import_torch(), choose_device(device)
        number = choose_dtype(dtype, place)
        network = load_encoder(folder, number)
        hidden = int(network.config.hidden_size)
        colbert = load_linear(folder / COLBERT, hidden, hidden)
        sparse = load_linear(folder / SPARSE, hidden, 1)
        try:
            return cls(network.to(place), colbert.to(place, number), sparse.to(place, number), place)
        except torch.OutOfMemoryError as error:
            raise Unavailable(f"{place} has no memory left for {folder}: {error}") from error

    def encode(self, texts: Sequence[Text], unweighted: IdArray) -> list[Vectors]:
        """One forward pass; where the device has too little memory for it, two of half as many texts, and so on.

        unweighted: ids that get no lexical weight. Raises Overloaded where one text alone is too much.
        """
        return in_halves(lambda part: self._forward(part, unweighted), texts)

    def _forward(self, texts: Sequence[Text], unweighted: IdArray) -> list[Vectors]:
        torch, unit = self._torch, self._torch.nn.functional.normalize
        width = max(len(text.ids) for text in texts)
        places = [np.arange(len(text.ids)) + i * width for i, text in enumerate(texts)]
        late = [place[1:] for place, text in zip(places, texts, strict=True) if text.tokens]
        with torch.inference_mode():
            states = self._states(texts, width).flatten(0, 1)
            dense = unit(states[::width].float(), dim=-1)
            weights = torch.relu(self._sparse(states[self._index(places)])).float()[:, 0]
            rows = unit(self._colbert(states[self._index(late)]).float(), dim=-1) if late else states[:0].float()
            results = [tensor.cpu().numpy() for tensor in (dense, weights, rows)]
        weights, rows = (_split(whole, parts) for whole, parts in zip(results[1:], (places, late), strict=True))
        return [
            Vectors(results[0][i], _lexical(text.ids, next(weights), unweighted), next(rows) if text.tokens else None)
            for i, text in enumerate(texts)
        ]

    def _states(self, texts: Sequence[Text], width: int) -> Any:
        """(len(texts), width, dim) on the device; rows past a text's end are undefined."""
        ids = np.full((len(texts), width), self._pad, np.int64)
        mask = np.zeros((len(texts), width), np.int64)
        for i, text in enumerate(texts):
            ids[i, : len(text.ids)] = text.ids
            mask[i, : len(text.ids)] = 1
        # Without a mask the fastest attention kernels apply, and the device need not be asked whether it is all ones.
        attended = None if mask.all() else self._torch.from_numpy(mask).to(self.device)
        given = self._torch.from_numpy(ids).to(self.device)
        return self._network(input_ids=given, attention_mask=attended).last_hidden_state

    def _index(self, places: Sequence[IdArray]) -> Any:
        return self._torch.from_numpy(np.concatenate(places)).to(self.device)


def _split(whole: FloatArray, parts: Sequence[IdArray]) -> Any:
    """Views of `whole`, one of each part's length."""
    return iter(np.split(whole, np.cumsum([len(part) for part in parts])[:-1]))


def _lexical(ids: IdArray, weights: FloatArray, unweighted: IdArray) -> dict[int, float]:
    """The largest weight of every id: in rising order, so that it is the last to be written."""
    kept = np.flatnonzero((weights > 0) & ~np.isin(ids, unweighted))
    order = kept[np.argsort(weights[kept], kind="stable")]
    return dict(zip(ids[order].tolist(), weights[order].tolist(), strict=True))


def positions(network: Any) -> int:
    """Tokens that the position table has room for: the RoBERTa family numbers them from pad_token_id + 1."""
    limit = int(getattr(network.config, "max_position_embeddings", 0) or 1 << 30)
    table = getattr(getattr(network, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    return limit if padding is None else limit - padding - 1
