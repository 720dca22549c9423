"""transformers' `generate` on the same work as `transducer-engine`'s example batch_speed: new tokens a second, one batch of requests.

    python transformers_speed.py MODEL_FOLDER [--concurrent 1,4,16] [--prompt 128] [--new 64] [--rounds 5] [--threads 2] [--dtype float32]
                                 [--lora]

MODEL_FOLDER is that of ../peft/prepare_model.py. With --lora each request of a batch has a LoRA adapter of its own (PEFT, r = 8 on q and
v, random weights: what is in them takes no time). Prints one JSON object, medians over the rounds.
"""

import argparse
import json
import statistics
import time

import torch
from transformers import AutoModelForCausalLM

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model")
parser.add_argument("--concurrent", default="1,4,16")
for name, value in {"prompt": 128, "new": 64, "rounds": 5, "threads": 2, "prefill": 512}.items():
    parser.add_argument(f"--{name}", type=int, default=value)
parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
parser.add_argument("--lora", action="store_true")
args = parser.parse_args()
concurrent = [int(number) for number in args.concurrent.split(",")]

torch.set_num_threads(args.threads)
model = AutoModelForCausalLM.from_pretrained(args.model, dtype=getattr(torch, args.dtype))
adapters = [f"request-{number}" for number in range(max(concurrent))] if args.lora else []
if adapters:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    model = get_peft_model(model, config, adapter_name=adapters[0])
    for name in adapters[1:]:
        model.add_adapter(name, config)
model.eval()


def seconds(requests, prompt, new):
    """Of one batch of greedy answers, none of which ends early."""
    ids = torch.tensor([[300 + (place * 7 + request * 131) % 2000 for place in range(prompt)] for request in range(requests)])
    chosen = {"adapter_names": adapters[:requests]} if adapters else {}
    begun = time.perf_counter()
    with torch.inference_mode():
        made = model.generate(input_ids=ids, **chosen, attention_mask=torch.ones_like(ids), max_new_tokens=new, min_new_tokens=new, do_sample=False)
    assert made.shape[1] == prompt + new, made.shape
    return time.perf_counter() - begun


def speed(tokens, *work):
    times = [seconds(*work) for _ in range(args.rounds + 1)][1:]
    return statistics.median(tokens / time for time in times)


print(json.dumps({
    "new_tokens_per_second": {str(number): speed(number * args.new, number, args.prompt, args.new) for number in concurrent},
    "prefill_tokens_per_second": speed(args.prefill, 1, args.prefill, 1),
}))
