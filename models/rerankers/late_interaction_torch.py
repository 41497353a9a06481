"""MaxSim on a GPU, over the same codes and with the same numbers as models/rerankers/late_interaction.py."""

from collections.abc import Callable, Sequence

import numpy as np

from models.base import FloatArray
from models.errors import Overloaded
from models.rerankers.late_interaction import Packed, halves
from models.torch.torch_device import choose_device, import_torch


def maxsim_on(device: str) -> Callable[[FloatArray, Sequence[bytes]], FloatArray]:
    """`maxsim` that moves the packed codes to `device` and unpacks them there, float32 throughout.

    Raises Unavailable where there is no such device; what it returns raises Overloaded where memory runs out there.
    """
    torch, place = import_torch(), choose_device(device)

    def maxsim(query_tokens: FloatArray, codes: Sequence[bytes]) -> FloatArray:
        scores = np.zeros(len(codes), np.float32)
        packed = Packed.of(codes, query_tokens.shape[1])
        if not len(packed.filled) or not len(query_tokens):
            return scores
        columns, surplus = halves(query_tokens)
        try:
            with torch.inference_mode():
                codes_there, lengths, query, extra = (
                    torch.from_numpy(array).to(place) for array in (packed.rows, packed.lengths, columns, surplus)
                )
                nibbles, factors = codes_there[:, :-2], codes_there[:, -2:].contiguous().view(torch.float16).float()
                rows = torch.cat([nibbles & 15, nibbles >> 4], dim=1).float()
                cosines = (rows @ query - extra) * factors
                chunk = torch.repeat_interleave(lengths, output_size=len(rows))
                best = cosines.new_full((len(packed.filled), len(query_tokens)), -torch.inf)
                best.scatter_reduce_(0, chunk[:, None].expand_as(cosines), cosines, "amax")
                scores[packed.filled] = best.mean(dim=1).cpu().numpy()
        except torch.OutOfMemoryError as error:
            raise Overloaded(f"{place} has no memory left for the token vectors of {len(codes)} candidates") from error
        return scores

    return maxsim
