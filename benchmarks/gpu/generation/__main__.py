"""Qwen3-32B on vLLM with dummy weights: time to the first token, decoding and prefill rates at 1, 8 and 32 users.

    python -m benchmarks.gpu.generation [--vllm PROGRAM] [--variant FP8|bf16] [--users 1,8,32] [--small]

The flags are the server's own for this card (models/engines/vllm*.py), so the run also shows that the memory split
holds: before vLLM starts, this process loads BGE-M3, the reranker (random weights) and a matrix of a million vectors on
the same card, and embeds passages during one of the measurements. Weights are random, prompts are random words, answers
have a fixed length. --vllm (or RAGPOD_VLLM): `vllm`, or a Python that has it. Last line: JSON.
"""

import argparse
import asyncio
import os
import random
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from benchmarks.gpu.device import Device
from benchmarks.gpu.generation import qwen3
from benchmarks.gpu.generation.neighbours import Neighbours
from benchmarks.gpu.generation.vllm_process import serving
from benchmarks.gpu.load import Answer, Load
from benchmarks.harness import note, options, quantile, report, skip

GIB = 1 << 30
SHOWN = {
    "kv_tokens": r"KV cache size: ([\d,]+) tokens",
    "weights_gib": r"Model loading took ([\d.]+) GiB",
    "start_s": r"init engine .* took ([\d.]+) s",
}


@dataclass(frozen=True, slots=True)
class Row:
    """decode: tokens a second, of one user (median) and of all together. prefill: prompt tokens a second."""

    what: str
    users: int
    prompt_tokens: int
    answer_tokens: int
    ttft_p50_ms: float
    ttft_p95_ms: float
    decode_user: float | None
    decode_all: float | None
    prefill: float


@dataclass(frozen=True, slots=True)
class Sizes:
    prompt: int
    answer: int
    rounds: int
    users: tuple[int, ...]


def program(given: str | None) -> list[str] | None:
    """How vLLM's server is started here; None where there is none."""
    found = shutil.which(given) if given else shutil.which("vllm") or (sys.executable if find_spec("vllm") else None)
    if found is None:
        return None
    if Path(found).name.startswith("python"):
        return [found, "-m", "vllm.entrypoints.openai.api_server", "--model"]
    return [found, "serve"]


def arguments(given: argparse.Namespace, model: Path) -> list[str]:
    """The server's own for this card; on a CPU its own for an unknown model, and what starts soonest."""
    from models.engines import vllm
    from models.engines.cards import cards
    from models.engines.vllm_plan import CardPlan, plan

    if given.small:
        soon = vllm.VllmOptions(arguments=("--max-num-seqs", "8", "--enforce-eager"))
        return list(vllm.arguments(CardPlan(str(model), context_tokens=1024), soon))
    sizes = plan(cards(), model="Qwen/Qwen3-32B-FP8" if given.variant == "FP8" else "Qwen/Qwen3-32B")
    return list(vllm.arguments(replace(sizes, model=str(model)), vllm.VllmOptions()))


async def measure(url: str, model: str, sizes: Sizes, rng: random.Random, neighbours: Neighbours) -> list[Row]:
    extra = {"ignore_eos": True, "temperature": 0.7, "stream_options": {"include_usage": True}}
    load = Load(url, model, sizes.answer, extra)
    await _row("warm-up", load, sizes.users[-1], sizes.users[-1], sizes, rng)
    rows = [await _row("answers", load, users, users * sizes.rounds, sizes, rng) for users in sizes.users]
    users = sizes.users[len(sizes.users) // 2]
    with neighbours.embedding():
        rows.append(await _row("answers, beside an ingest", load, users, users * sizes.rounds, sizes, rng))
    one, short = replace(load, max_tokens=1), replace(sizes, answer=1)
    rows.append(await _row("prefill alone", one, users, users * sizes.rounds, short, rng))
    return rows


async def _row(what: str, load: Load, users: int, asked: int, sizes: Sizes, rng: random.Random) -> Row:
    answers, seconds = await load.run(users, [qwen3.prompt(sizes.prompt, rng) for _ in range(asked)])
    if wrong := [answer.wrong for answer in answers if answer.wrong]:
        raise RuntimeError(f"{what}: {len(wrong)} of {len(answers)} answers failed: {wrong[0]}")
    if {answer.usage["completion_tokens"] for answer in answers} != {sizes.answer}:
        raise RuntimeError(f"{what}: answers are not of {sizes.answer} tokens: {answers[0].usage}")
    first = [answer.first_s for answer in answers]
    read = sum(answer.usage["prompt_tokens"] for answer in answers)
    several = sizes.answer > 1
    row = Row(
        what,
        users,
        read // asked,
        sizes.answer,
        *(round(quantile(first, q) * 1000, 1) for q in (0.5, 0.95)),
        round(median(_decoding(answer, sizes.answer) for answer in answers), 2) if several else None,
        round(asked * sizes.answer / seconds, 1) if several else None,
        round(read / seconds, 1),
    )
    note(row)
    return row


def _decoding(answer: Answer, tokens: int) -> float:
    return (tokens - 1) / max(answer.total_s - answer.first_s, 1e-9)


def said(log: Sequence[str]) -> dict[str, float]:
    """What vLLM's log tells of its memory and its start."""
    found = {name: re.search(pattern, "\n".join(log)) for name, pattern in SHOWN.items()}
    return {name: float(match[1].replace(",", "")) for name, match in found.items() if match}


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--vllm", default=os.environ.get("RAGPOD_VLLM"))
    parser.add_argument("--variant", choices=["FP8", "bf16"], default="FP8")
    parser.add_argument("--users", default=None, help="1,8,32")
    parser.add_argument("--prompt", type=int, default=None, help="tokens")
    parser.add_argument("--answer", type=int, default=None, help="tokens")
    parser.add_argument("--checkpoints", type=Path, default=Path(".bench/checkpoints"))
    given, device = parser.parse_args(), Device.find()
    command = program(given.vllm)
    if command is None:
        skip("gpu.generation", f"no vLLM here{f': {given.vllm}' if given.vllm else '; --vllm names one elsewhere'}")
        return
    if not device.cuda and not given.small:
        skip("gpu.generation", "no GPU here; --small runs a tiny shape on the CPU")
        return
    users = tuple(int(count) for count in (given.users or ("1,2" if given.small else "1,8,32")).split(","))
    sizes = Sizes(given.prompt or (64 if given.small else 3000), given.answer or (8 if given.small else 128), 2, users)
    shape, fp8 = (qwen3.TINY, False) if given.small else (qwen3.QWEN3_32B, given.variant == "FP8")
    model = qwen3.checkpoint(given.checkpoints / ("Qwen3-tiny" if given.small else "Qwen3-32B"), shape, fp8=fp8)
    given.command = [*command, str(model.resolve()), "--load-format", "dummy", *arguments(given, model.resolve())]
    with Neighbours.load(given.checkpoints, given.seed, device) as neighbours, serving(given.command) as engine:
        rows = asyncio.run(measure(engine.url, model.name, sizes, random.Random(given.seed), neighbours))
        memory, start = device.memory_gib(), round(engine.seconds, 1)
    more = {"parameters": shape.parameters, "ready_s": start, "log": said(engine.log), "memory_gib": memory}
    report("gpu.generation", given, rows, device=device.name, embedded_texts=neighbours.embedded, **more)


if __name__ == "__main__":
    main()
