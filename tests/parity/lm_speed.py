"""Single-stream speed of transformers' `generate` and of the backbone, in turns on one machine.

Prefill of 512 tokens with the first new token, then 64 more greedy ones; medians over the rounds, in tokens a second.
Build the backbone's side with `cargo build --example generate_speed -p transducer-backbone`.
"""

import argparse
import pathlib
import statistics
import subprocess
import time

import torch
from transformers import AutoModelForCausalLM

PREFILL, DECODE = 512, 64


def seconds(model, ids, new_tokens):
    started = time.perf_counter()
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=new_tokens, eos_token_id=None,
        pad_token_id=0,
    )
    assert out.shape[1] == ids.shape[1] + new_tokens
    return time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path, help="the GGUF file")
    parser.add_argument("binary", type=pathlib.Path, help="the built example generate_speed")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    ids = torch.tensor([[1000 + place * 7 % 10000 for place in range(PREFILL)]])
    times, models = {}, {}
    for name, dtype in {"Float": torch.float32, "BFloat16": torch.bfloat16}.items():
        model = AutoModelForCausalLM.from_pretrained(
            arguments.model.parent, gguf_file=arguments.model.name, dtype=dtype,
        ).eval()
        model.generation_config.eos_token_id = None
        seconds(model, ids, 2)  # warm up
        models[name] = model

    for _ in range(arguments.rounds):
        for name, model in models.items():
            prefill = seconds(model, ids, 1)
            decode = seconds(model, ids, 1 + DECODE) - prefill
            times.setdefault(("transformers", name), []).append((prefill, decode))
        out = subprocess.run([arguments.binary, "1", arguments.model], check=True, capture_output=True, text=True)
        for line in out.stdout.splitlines():
            words = line.split()
            if len(words) == 5:
                times.setdefault(("backbone", words[0]), []).append((float(words[2]), float(words[4])))

    for (who, name), rounds in sorted(times.items()):
        prefill, decode = (statistics.median(values) for values in zip(*rounds))
        print(f"{who:13} {name:9} prefill {PREFILL / prefill:7.0f} tokens/s   decode {DECODE / decode:6.1f} tokens/s")


if __name__ == "__main__":
    main()
