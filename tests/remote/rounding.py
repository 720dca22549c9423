"""How far two engines of the field agree when both compute in bf16, or one with itself: greedy tokens of the frozen model, prompt by prompt.

    transducer-host eval --adapter adapters/summarize-java --data test.jsonl.gz --limit 50 --export prompts.jsonl   # of each adapter
    PEFT_PYTHON rounding.py transformers HF prompts.jsonl … > transformers.json
    VLLM_PYTHON rounding.py vllm HF prompts.jsonl … > vllm.json                # 16 at once
    VLLM_PYTHON rounding.py vllm_alone HF prompts.jsonl … > alone.json         # one after the other
    python rounding.py compare transformers.json vllm.json

HF is the folder of tests/bench/peft/prepare_model.py. No code of this project computes anything here.
"""

import json
import os
import sys

NEW_TOKENS = 33  # What answers have on average in run.py.


def transformers(folder, prompts):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, attn_implementation="eager")
    for prompt in prompts:
        ids = torch.tensor([prompt])
        made = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS, do_sample=False)
        yield made[0, len(prompt):].tolist()


def vllm(folder, prompts, at_once=16):
    os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    from vllm import LLM, SamplingParams  # It reads the environment.

    model = LLM(folder, dtype="bfloat16", max_model_len=2048, enforce_eager=True, enable_prefix_caching=False, max_num_seqs=at_once)
    sampling = SamplingParams(temperature=0, max_tokens=NEW_TOKENS, detokenize=False)
    answers = model.generate([{"prompt_token_ids": prompt} for prompt in prompts], sampling, use_tqdm=False)
    return [list(answer.outputs[0].token_ids) for answer in answers]


def vllm_alone(folder, prompts):
    return vllm(folder, prompts, at_once=1)


def compare(*files):
    one, other = (json.load(open(file)) for file in files)
    equal = sum(mine == its for mine, its in zip(one, other, strict=True))
    print(f"{equal} of {len(one)} answers equal")


def main():
    match sys.argv[1:]:
        case ["compare", one, other]:
            compare(one, other)
        case [("transformers" | "vllm" | "vllm_alone") as engine, folder, *files] if files:
            prompts = [json.loads(line)["prompt"] for file in files for line in open(file)]
            print(json.dumps(list(globals()[engine](folder, prompts))))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
