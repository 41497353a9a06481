"""The pod's engine: vLLM as a process of its own environment, with sizes that fit the card beside the retrieval models.

Loopback only, with a key of its own; thinking off unless a request asks for it.
"""

import json
import secrets
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.base import Prompt, Sampling
from models.engines.cards import Card, cards
from models.engines.engine_process import EngineSpec
from models.engines.vllm_plan import CHECKPOINTS, CardPlan, plan
from models.engines.vllm_progress import progress
from models.errors import Unavailable
from models.wire.engine_traits import EngineTraits
from models.wire.thinking import plain_sampling, qwen3_sampling, thinking_of

NAME = "Qwen3-32B"
_PLACES = ("/opt/vllm/bin/vllm", "/usr/local/bin/vllm")
_CONTEXT = 8192  # of a model whose size is not known here
_REQUESTS = 256
_STOP_SECONDS = 20.0
_SHUTDOWN_SECONDS = 5
_OURS = ("--host", "--port", "--uds", "--api-key", "--served-model-name", "--model")
_ENVIRONMENT = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_COLOR": "0", "VLLM_LOGGING_STREAM": "ext://sys.stderr"}
# What vLLM, torch, NCCL, Ray and a download read of the server's environment; HF_TOKEN too, for a gated model.
_NEEDS = (
    *("CUDA", "NVIDIA_", "TORCH", "PYTORCH_", "TRITON_", "FLASHINFER_", "NCCL_", "GLOO_", "UCX_", "RAY_", "VLLM_"),
    *("HF_", "HUGGING_FACE_", "TRANSFORMERS_", "XDG_", "SSL_CERT_", "REQUESTS_CA_BUNDLE", "CC", "CXX"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
_QWEN3 = (
    *("--reasoning-parser", "qwen3"),
    *("--tool-call-parser", "hermes", "--enable-auto-tool-choice"),
    *("--default-chat-template-kwargs", json.dumps({"enable_thinking": False})),
    *("--override-generation-config", json.dumps(plain_sampling())),
)


@dataclass(frozen=True, slots=True)
class VllmOptions:
    """None, () and 1 leave the choice to the card.

    model: a hub name or a folder. executable: vLLM's `vllm`, or the Python that has it; None: on PATH, or where the
    image has it. reserved: GiB of each card for the retrieval models. arguments: added to vLLM's own, the last wins.
    ray: workers on Ray, also beyond this machine. requests: held at once, running and waiting; more get Overloaded.
    """

    model: str | None = None
    executable: str | None = None
    tensor_parallel: int | None = None
    data_parallel: int = 1
    context_tokens: int | None = None
    reserved: float | None = None
    arguments: tuple[str, ...] = ()
    ray: bool = False
    requests: int | None = None
    start_seconds: float = 900.0


def vllm(options: VllmOptions, found: Sequence[Card] | None = None) -> EngineSpec:
    """found: the cards; None asks the driver. Raises Unavailable where vLLM or a card that holds a model is missing."""
    command = _command(options.executable)
    sizes = _sizes(options, cards() if found is None else found)
    key = secrets.token_urlsafe(32)
    qwen3 = thinking_of(sizes.model) == "switch"
    started = (*command, sizes.model) if command[-1] == "serve" else (*command, "--model", sizes.model)
    return EngineSpec(
        served_name(sizes.model),
        # -P: a folder named `models` where the server was started must not be taken for this package.
        (sys.executable, "-P", "-m", "models.engines.vllm_child", *started, *arguments(sizes, options)),
        env={**_ENVIRONMENT, "VLLM_API_KEY": key},
        needs=_NEEDS,
        api_key=key,
        start_seconds=options.start_seconds,
        stop_seconds=_STOP_SECONDS,
        progress=progress,
        traits=EngineTraits("vllm", _qwen3_fields if qwen3 else _priority),
        capacity=_capacity(sizes, options),
        context_tokens=sizes.context_tokens or _CONTEXT,
    )


def describe(options: VllmOptions) -> str:
    """What would run, in words for `ragpod doctor`. Raises as `vllm`."""
    sizes = _sizes(options, cards())
    spread = f" on {sizes.tensor_parallel} cards" if sizes.tensor_parallel > 1 else ""
    spread += f", {options.data_parallel} times" if options.data_parallel > 1 else ""
    command = " ".join(_command(options.executable)[:1])
    cached = f", {sizes.cached_tokens:,} cached" if sizes.cached_tokens else ""
    return f"{sizes.model} on vLLM{spread}: {sizes.context_tokens or _CONTEXT:,} tokens{cached} ({command})"


def served_name(model: str) -> str:
    """The id that callers use: the same whichever checkpoint the card allows."""
    if any(checkpoint.model == model for checkpoint in CHECKPOINTS):
        return NAME
    return model.rstrip("/").rpartition("/")[2]


def arguments(sizes: CardPlan, options: VllmOptions) -> tuple[str, ...]:
    """vLLM's command line but for the model and the address. Raises Unavailable for an option that is ours."""
    for argument in options.arguments:
        if argument.partition("=")[0] in _OURS:
            raise Unavailable(f"engine.arguments: {argument.partition('=')[0]} is chosen by the server")
    values: dict[str, object] = {
        "--served-model-name": served_name(sizes.model),
        "--max-model-len": sizes.context_tokens or _CONTEXT,
        "--tensor-parallel-size": sizes.tensor_parallel if sizes.tensor_parallel > 1 else None,
        "--data-parallel-size": options.data_parallel if options.data_parallel > 1 else None,
        "--distributed-executor-backend": "ray" if options.ray else None,
        # Both: the first is only checked at the start, against memory that is free then; the second is what it takes.
        "--gpu-memory-utilization": sizes.utilization,
        "--kv-cache-memory-bytes": sizes.kv_bytes,
        "--kv-cache-dtype": sizes.kv_dtype if sizes.kv_dtype != "auto" else None,
        "--max-num-seqs": sizes.max_seqs,
        "--max-num-batched-tokens": sizes.batched_tokens,
        # A backstop: EngineSpec.capacity refuses earlier, and with a status.
        "--max-num-queued-reqs": 2 * _capacity(sizes, options),
        "--scheduling-policy": "priority",
        "--shutdown-timeout": _SHUTDOWN_SECONDS,
    }
    named = (part for name, value in values.items() if value is not None for part in (name, str(value)))
    switches = ("--enable-prompt-tokens-details", "--disable-uvicorn-access-log")
    return (*named, *switches, *(_QWEN3 if thinking_of(sizes.model) == "switch" else ()), *options.arguments)


def _sizes(options: VllmOptions, found: Sequence[Card]) -> CardPlan:
    width, copies = options.tensor_parallel, options.data_parallel
    if options.ray and found and width:
        mine = [found[0]] * width  # the others are elsewhere, and like this one
    else:
        mine = list(found[: len(found) // copies])
        if found and (width or 1) > len(mine):
            wanted = f"tensor_parallel {width or 1} x data_parallel {copies}"
            raise Unavailable(f"{wanted} needs {(width or 1) * copies} cards (here: {len(found)})")
    return plan(
        mine,
        model=options.model,
        context_tokens=options.context_tokens,
        tensor_parallel=width,
        reserved=options.reserved,
    )


def _capacity(sizes: CardPlan, options: VllmOptions) -> int:
    """As many waiting as running."""
    if options.requests is not None:
        return options.requests
    return 2 * sizes.max_seqs * options.data_parallel if sizes.max_seqs else _REQUESTS


def _command(executable: str | None) -> tuple[str, ...]:
    found = shutil.which(executable) if executable else shutil.which("vllm") or _first_there()
    if found is None and executable:
        raise Unavailable(f"engine.vllm: no such program: {executable}")
    if found is None:
        raise Unavailable(
            "vLLM is not installed: no `vllm` on PATH; name its executable, or its Python, in engine.vllm"
        )
    if Path(found).name.startswith("python"):
        return (found, "-m", "vllm.entrypoints.openai.api_server")
    return (found, "serve")


def _first_there() -> str | None:
    return next((place for place in _PLACES if Path(place).is_file()), None)


def _priority(prompt: Prompt, sampling: Sampling) -> Mapping[str, Any]:
    """vLLM takes the lower number first; 0 is everyone's."""
    return {"priority": 1} if sampling.auxiliary else {}


def _qwen3_fields(prompt: Prompt, sampling: Sampling) -> Mapping[str, Any]:
    return {**qwen3_sampling(sampling), **_priority(prompt, sampling)}
