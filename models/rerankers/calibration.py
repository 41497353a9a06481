"""A reranker's logits as probabilities (Platt scaling: sigmoid of a line), and back."""

from dataclasses import dataclass

import numpy as np

from models.base import FloatArray

# Beyond it a float64 sigmoid says nothing new, and exp would overflow.
_LARGEST = 500.0
# Of a float32 probability: 1 - 2**-24 is the last one before 1, and 0 has no finite logit either.
_LEAST, _MOST = 1e-12, 1 - 2.0**-24


@dataclass(frozen=True, slots=True)
class Calibration:
    """probability = sigmoid(slope * logit + bias). 1 and 0 are what BGE's and Qwen3's rerankers publish.

    Raises ValueError where the slope does not keep the order.
    """

    slope: float = 1.0
    bias: float = 0.0

    def __post_init__(self) -> None:
        if not self.slope > 0:
            raise ValueError(f"slope {self.slope}: must be above 0, or the order of the texts is lost")

    def probability(self, logits: FloatArray) -> FloatArray:
        """Elementwise, float32."""
        line = np.clip(self.slope * np.asarray(logits, np.float64) + self.bias, -_LARGEST, _LARGEST)
        probability: FloatArray = (1 / (1 + np.exp(-line))).astype(np.float32)
        return probability


PUBLISHED = Calibration()


def logits(probabilities: FloatArray) -> FloatArray:
    """The inverse of the sigmoid, elementwise, float32; finite, so 1 is taken for the last number before it."""
    clipped = np.clip(np.asarray(probabilities, np.float64), _LEAST, _MOST)
    inverse: FloatArray = np.log(clipped / (1 - clipped)).astype(np.float32)
    return inverse
