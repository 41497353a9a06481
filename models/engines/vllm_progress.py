"""vLLM's log lines as a few words on how far its start is; pure. Of vLLM 0.32 and 0.33."""

import re

_PERCENT = r"\s*(\d{1,3})%"
_STEPS = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"non-default args:", "reading the configuration"),
        (rf"(?:Fetching \d+ files|Downloading[^:]*):{_PERCENT}", "downloading the model"),
        (r"Initializing a V1 LLM engine", "starting the engine"),
        (r"Starting to load model", "loading weights"),
        (rf"Loading (?:\w+ )?(?:checkpoint )?shards:{_PERCENT}", "loading weights"),
        (rf"Loading safetensors using [^:]*:{_PERCENT}", "loading weights"),
        (r"Loading weights took", "weights loaded, measuring memory"),
        (r"(?:Dynamo bytecode|Compiling a graph|torch\.compile took|Directly load the compiled)", "compiling"),
        (r"KV cache size: [\d,]+ tokens", "cache made, warming up"),
        (rf"Capturing CUDA graphs[^:]*:{_PERCENT}", "capturing CUDA graphs"),
        (r"Graph capturing finished|init engine \(profile", "warming up"),
        (r"Starting vLLM (?:API )?server|Application startup complete", "opening its port"),
    )
)


def progress(line: str) -> str | None:
    """None where the line says nothing of the start."""
    for pattern, words in _STEPS:
        if found := pattern.search(line):
            percent = found[1] if found.re.groups else None
            return f"{words} {percent}%" if percent is not None else words
    return None
