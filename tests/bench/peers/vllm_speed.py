"""vLLM on the same work as `transducer-engine`'s example batch_speed: new tokens a second, requests submitted at once.

    python vllm_speed.py MODEL_FOLDER [--concurrent 1,4,16] [--prompt 128] [--new 64] [--rounds 5] [--threads 2] [--dtype bfloat16]

MODEL_FOLDER is that of ../peft/prepare_model.py; how vLLM's build for CPUs is installed: ../../remote/install.sh. Prints one JSON
object, medians over the rounds.
"""

import argparse
import json
import os
import statistics
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model")
parser.add_argument("--concurrent", default="1,4,16")
for name, value in {"prompt": 128, "new": 64, "rounds": 5, "threads": 2, "prefill": 512}.items():
    parser.add_argument(f"--{name}", type=int, default=value)
parser.add_argument("--dtype", default="bfloat16", choices=["float32", "bfloat16"])
args = parser.parse_args()

# By itself it leaves a core to its own server.
os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
os.environ |= {"VLLM_CPU_OMP_THREADS_BIND": f"0-{args.threads - 1}", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}

from vllm import LLM, SamplingParams  # noqa: E402  It reads the environment.

model = LLM(args.model, dtype=args.dtype, max_model_len=1024, enforce_eager=True, enable_prefix_caching=False)


def seconds(requests, prompt, new):
    """Of greedy answers, none of which ends early."""
    prompts = [
        {"prompt_token_ids": [300 + (place * 7 + request * 131) % 2000 for place in range(prompt)]} for request in range(requests)
    ]
    sampling = SamplingParams(temperature=0, max_tokens=new, ignore_eos=True, detokenize=False)
    begun = time.perf_counter()
    answers = model.generate(prompts, sampling, use_tqdm=False)
    assert all(len(answer.outputs[0].token_ids) == new for answer in answers)
    return time.perf_counter() - begun


def speed(tokens, *work):
    times = [seconds(*work) for _ in range(args.rounds + 1)][1:]
    return statistics.median(tokens / time for time in times)


concurrent = [int(number) for number in args.concurrent.split(",")]
print(json.dumps({
    "new_tokens_per_second": {str(number): speed(number * args.new, number, args.prompt, args.new) for number in concurrent},
    "prefill_tokens_per_second": speed(args.prefill, 1, args.prefill, 1),
}))
