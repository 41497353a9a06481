"""llama.cpp's OpenAI server in a process of its own: `python -P -m models.engines.llama_child --model FILE …`.

Prints one JSON line with its URL on stdout when it serves. The API key comes in LLAMA_CHILD_KEY, so that no other user
of the machine finds an open engine. Ends with its parent.
"""

import argparse
import json
import os
import signal
import sys
from typing import Any

from models.engines.lifeline import die_with_parent, hold
from models.wire.chat_template import SMOLLM2

# One step of prompt reading. The engine notices a closed socket between steps: 32 tokens are 0.2 s on one core, 0.5 s
# on a busy one, for 14% less speed; 2048 (the default) would be 10 s.
_BATCH_TOKENS = 32
_PROMPT_CACHE_MIB = 64


def main() -> None:
    options = _options()
    die_with_parent()
    hold(lambda: os._exit(0))
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    server = _serve(options)
    sys.stdout.write(json.dumps({"url": server.listening_address}) + "\n")
    sys.stdout.flush()
    signal.sigwait(signals)
    os._exit(0)  # nothing to save; a graceful end would wait for the answers in progress


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--context", type=int, required=True, help="tokens of each slot")
    parser.add_argument("--threads", type=int, required=True)
    return parser.parse_args()


def _serve(options: argparse.Namespace) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.model_alias = {options.name}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [os.environ.pop("LLAMA_CHILD_KEY")]
    params.n_parallel = options.slots
    params.n_ctx = options.context * options.slots
    params.n_batch = params.n_ubatch = _BATCH_TOKENS
    params.n_gpu_layers = 0
    for threads in (params.cpuparams, params.cpuparams_batch):
        threads.n_threads = options.threads
        threads.poll = 0  # wait passively: a spinning thread beside another busy process is 10 times slower
    params.cache_prompt = True
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    params.endpoint_metrics = True
    params.chat_template = SMOLLM2
    params.ui = False
    params.verbosity = 0
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
