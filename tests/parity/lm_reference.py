"""Writes what Hugging Face transformers computes from a GGUF model, in f32 on the CPU, for the prompts of lm_prompts.

Two files, `OUT.json` and `OUT.safetensors`:

- JSON, a prompt each: its text and token ids, the 64 ids that greedy decoding appends (end-of-text does not stop it) and
  their text, and the smallest lead of the best token over the second best on the way.
- safetensors, for prompt `i` and some of its positions, the last among them: `positions.i` [n], `logits.i` [n, columns]
  at every 48th token id, and `logsumexp.i` [n], to which every logit contributes. `full` [vocab]: all logits at the last
  position of prompt 0.

With `--full FILE`, every logit of every position of every prompt goes to that file as well (hundreds of megabytes).
"""

import argparse
import json
import pathlib

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from lm_prompts import PROMPTS

NEW_TOKENS = 64
COLUMN_STEP = 48
POSITIONS = 4


def greedy(model, ids):
    """The ids that greedy decoding appends, and the smallest lead of a chosen token."""
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=NEW_TOKENS,
        eos_token_id=None,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    best = torch.stack(out.logits).squeeze(1).topk(2, dim=-1).values
    return out.sequences[0, ids.shape[1]:], (best[:, 0] - best[:, 1]).min().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path, help="the GGUF file")
    parser.add_argument("out", type=pathlib.Path, help="the two files' path without extension")
    parser.add_argument("--full", type=pathlib.Path, help="file for every logit")
    arguments = parser.parse_args()

    place = {"pretrained_model_name_or_path": arguments.model.parent, "gguf_file": arguments.model.name}
    tokenizer = AutoTokenizer.from_pretrained(**place)
    model = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32, attn_implementation="eager").eval()
    model.generation_config.eos_token_id = None

    prompts, tensors, full = [], {}, {}
    for index, text in enumerate(PROMPTS):
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids
        with torch.no_grad():
            logits = model(ids).logits[0]
        count = ids.shape[1]
        positions = torch.linspace(0, count - 1, POSITIONS).round().long().unique()
        tensors[f"positions.{index}"] = positions.int()
        tensors[f"logits.{index}"] = logits[positions][:, ::COLUMN_STEP].contiguous()
        tensors[f"logsumexp.{index}"] = logits[positions].logsumexp(-1)
        if index == 0:
            tensors["full"] = logits[-1].clone()
        full[f"logits.{index}"] = logits
        new, lead = greedy(model, ids)
        prompts.append({
            "text": text,
            "ids": ids[0].tolist(),
            "greedy_ids": new.tolist(),
            "greedy_text": tokenizer.decode(new),
            "smallest_lead": round(lead, 6),
        })
        print(f"prompt {index}: {count} tokens, smallest lead {lead:.4f}", flush=True)

    arguments.out.with_suffix(".json").write_text(json.dumps(prompts, indent=1, ensure_ascii=False) + "\n")
    save_file(tensors, arguments.out.with_suffix(".safetensors"))
    if arguments.full:
        save_file(full, arguments.full)


if __name__ == "__main__":
    main()
