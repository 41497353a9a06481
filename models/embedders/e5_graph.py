"""multilingual-e5-small's encoder as an ONNX graph, built in memory from the 4-bit weights.

Built at every start: it takes 0.1 s, so there is no cache to go stale. Most matrices are int8 per output column, in 7
bits: the unsigned-by-signed product saturates its 16-bit sum on CPUs without VNNI, and the eighth bit was worth nothing
(cosine .9962 / .9966). The feed-forward output keeps its 4-bit blocks: GELU's outliers ruin a scale that is shared by a
whole tensor (worst cosine to the 4-bit engine .978, so .998; all in blocks .9999 at half the speed).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.embedders.quantized import BLOCK, QuantizedWeights

_MICROSOFT = "com.microsoft"
_WEIGHT_RANGE = 63


def build_encoder(weights: QuantizedWeights) -> bytes:
    """A serialised ModelProto.

    Inputs: x (batch, time, hidden) float32, the summed embeddings; lengths (batch,) int32, valid positions.
    Output: y (batch, time, hidden) float32, last hidden states; rows past a length are undefined.
    """
    graph = _Graph(weights)
    state = graph.node("LayerNormalization", ["x", *graph.norm("emb.ln")], domain="", axis=-1, epsilon=graph.epsilon)
    for layer in range(weights.shape.layers):
        state = graph.layer(f"l{layer}.", state)
    graph.node("Identity", [state], output="y", domain="")
    return graph.serialise()


class _Graph:
    def __init__(self, weights: QuantizedWeights) -> None:
        self.weights = weights
        self.epsilon = weights.shape.epsilon
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op: str, inputs: list[str], output: str = "", domain: str = _MICROSOFT, **attributes: Any) -> str:
        name = output or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], domain=domain, **attributes))
        return name

    def norm(self, name: str) -> list[str]:
        return [self.constant(f"{name}.{part}", self.weights.vector(f"{name}.{part}")) for part in "wb"]

    def linear(self, x: str, name: str, columns: int) -> str:
        matrix = self.weights.matrix(f"{name}.w", columns).T
        scale = np.abs(matrix).max(axis=0) / _WEIGHT_RANGE
        return self.node(
            "DynamicQuantizeMatMul",
            [
                x,
                self.constant(f"{name}.w", np.rint(matrix / scale).astype(np.int8)),
                self.constant(f"{name}.s", scale.astype(np.float32)),
                self.constant(f"{name}.z", np.zeros(scale.shape, np.int8)),
                self.constant(f"{name}.b", self.weights.vector(f"{name}.b")),
            ],
        )

    def blocked_linear(self, x: str, name: str, columns: int) -> str:
        scales, nibbles = self.weights.blocks(f"{name}.w", columns)
        order = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1)
        return self.node(
            "MatMulNBits",
            [
                x,
                self.constant(f"{name}.q", order[..., 0::2] | (order[..., 1::2] << 4)),
                self.constant(f"{name}.s", scales.reshape(-1)),
                "",
                "",
                self.constant(f"{name}.b", self.weights.vector(f"{name}.b")),
            ],
            K=columns,
            N=len(scales),
            bits=4,
            block_size=BLOCK,
            accuracy_level=4,
        )

    def layer(self, prefix: str, x: str) -> str:
        shape = self.weights.shape
        query, key, value = (self.linear(x, prefix + part, shape.hidden) for part in "qkv")
        attended = self.node("MultiHeadAttention", [query, key, value, "", "lengths"], num_heads=shape.heads)
        projected = self.linear(attended, prefix + "ao", shape.hidden)
        x = self.node("SkipLayerNormalization", [x, projected, *self.norm(prefix + "aln")], epsilon=self.epsilon)
        inner = self.node("Gelu", [self.linear(x, prefix + "fi", shape.hidden)])
        outer = self.blocked_linear(inner, prefix + "fo", shape.feed_forward)
        return self.node("SkipLayerNormalization", [x, outer, *self.norm(prefix + "oln")], epsilon=self.epsilon)

    def serialise(self) -> bytes:
        hidden = self.weights.shape.hidden
        graph = helper.make_graph(
            self.nodes,
            "multilingual-e5-small",
            [
                helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "time", hidden]),
                helper.make_tensor_value_info("lengths", TensorProto.INT32, ["batch"]),
            ],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "time", hidden])],
            self.initializers,
        )
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid(_MICROSOFT, 1)]
        model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
        return model
