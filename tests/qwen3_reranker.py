"""A Qwen3-Reranker in small: random weights, SmolLM2's tokenizer. Runs in vLLM's environment.

    python tests/qwen3_reranker.py TOKENIZER_FOLDER TEMPLATE FOLDER < {"query": …, "documents": […]}

Writes the checkpoint into FOLDER and prints what transformers makes of every pair: logit(yes) - logit(no) after the
prompt, as JSON.
"""

import json
import sys
from pathlib import Path


def main(tokenizer_folder: str, template: str, folder: str) -> None:
    import torch
    from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "max_position_embeddings": 2048}
    # vLLM's attention for the CPU knows no smaller head.
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 64}
    config = Qwen3Config(vocab_size=len(tokenizer), tie_word_embeddings=True, initializer_range=0.3, **shape, **heads)
    network = Qwen3ForCausalLM(config).eval()
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    given, prompt = json.load(sys.stdin), Path(template).read_text()
    no, yes = tokenizer.convert_tokens_to_ids(["no", "yes"])
    logits = []
    for document in given["documents"]:
        pair = [{"role": "query", "content": given["query"]}, {"role": "document", "content": document}]
        text = tokenizer.apply_chat_template(pair, chat_template=prompt, tokenize=False)
        with torch.inference_mode():
            last = network(**tokenizer(text, return_tensors="pt")).logits[0, -1]
        logits.append(float(last[yes] - last[no]))
    print(json.dumps(logits))


if __name__ == "__main__":
    main(*sys.argv[1:])
