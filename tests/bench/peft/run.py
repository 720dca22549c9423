"""One cell: trains a method on an export, answers the test export, and writes `OUT/{log,predictions}.jsonl` and `summary.json`.

`summary.json` comes last, and a cell that has it is not run again. The examples are seen once, in the file's order, `--batch`
to a step; the loss is the mean over the answer tokens of the step. AdamW without weight decay, a warm-up over the first
twentieth of the steps, then a cosine to zero.
"""

import argparse
import ctypes
import json
import math
import os
import pathlib
import platform
import resource
import statistics
import time

# Two threads that spin for each other stand still as soon as anything else runs on the machine (read when torch is loaded).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# glibc gives every large tensor back to the kernel and pages it in again; keep the memory instead.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
libc = ctypes.CDLL(None)
for option in [M_TRIM_THRESHOLD, M_MMAP_THRESHOLD]:
    libc.mallopt(option, 1 << 30)

import peft
import torch
import transformers
from transformers import AutoTokenizer

import data
from generation import generate
from methods import LEARNING_RATES, Adapted

# What prompt and prefix tuning start from: its first tokens, repeated where more are wanted.
INIT_TEXT = "Read the code below with care, then do what the request asks for, shortly and correctly, and nothing else. "


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def rate(step, steps, warmup):
    """What the learning rate is multiplied by at `step`, from 0."""
    first = max(1, round(steps * warmup))
    if step < first:
        return (step + 1) / first
    return 0.5 * (1 + math.cos(math.pi * (step - first) / max(1, steps - first)))


def masters(parameters):
    """The f32 tensors to optimize: `parameters` themselves, or f32 copies of those that are computed with in bf16.

    A gradient of the latter is added up in f32, and freed as soon as it is there.
    """
    def own(parameter):
        if parameter.dtype == torch.float32:
            return parameter
        master = parameter.detach().float()

        def collect(_):
            if master.grad is None:
                master.grad = parameter.grad.float()
            else:
                master.grad += parameter.grad
            parameter.grad = None

        parameter.register_post_accumulate_grad_hook(collect)
        return master

    return [own(parameter) for parameter in parameters]


def train(adapted, rows, arguments, log):
    """The seconds of every step."""
    steps = math.ceil(len(rows) / arguments.batch)
    tuned = masters(adapted.parameters)
    optimizer = torch.optim.AdamW(tuned, lr=arguments.lr, weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, steps, arguments.warmup))
    adapted.model.train()
    seconds = []
    for step in range(steps):
        started = time.perf_counter()
        batch = rows[step * arguments.batch:(step + 1) * arguments.batch]
        answers = sum(len(row["answer"]) for row in batch)
        loss = 0.0
        for part in data.micro_batches(batch, arguments.budget, adapted.computed):
            part_loss = adapted.loss_sum(*data.collate(part)) / answers
            part_loss.backward()
            loss += part_loss.item()
        norm = torch.nn.utils.clip_grad_norm_(tuned, arguments.clip)
        optimizer.step()
        optimizer.zero_grad()
        for parameter, master in zip(adapted.parameters, tuned):
            if parameter is not master:
                parameter.data.copy_(master)
        seconds.append(time.perf_counter() - started)
        tokens = sum(len(row["prompt"]) + len(row["answer"]) - 1 for row in batch)
        print(json.dumps({
            "step": step, "loss": loss, "lr": schedule.get_last_lr()[0], "norm": norm.item(), "seconds": seconds[-1], "tokens": tokens,
        }), file=log, flush=True)
        schedule.step()
    return seconds


@torch.inference_mode()
def likelihood(adapted, row):
    """The negative log-likelihood of the reference, in nats, and how many tokens it has."""
    return {"loss": adapted.loss_sum(*data.collate([row])).item(), "tokens": len(row["answer"])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path, help="the cell's folder")
    parser.add_argument("--model", type=pathlib.Path, required=True, help="the folder of prepare_model.py")
    parser.add_argument("--method", choices=LEARNING_RATES, required=True)
    parser.add_argument("--train", type=pathlib.Path, help="training export")
    parser.add_argument("--test", type=pathlib.Path, help="test export; without it nothing is generated")
    parser.add_argument("--examples", type=int, help="train on the first so many only")
    parser.add_argument("--lr", type=float, help="default: the method's own")
    parser.add_argument("--warmup", type=float, default=0.05, help="share of the steps (%(default)s)")
    parser.add_argument("--clip", type=float, default=1.0, help="of the gradient's norm (%(default)s)")
    parser.add_argument("--batch", type=int, default=16, help="examples a step (%(default)s)")
    parser.add_argument("--budget", type=int, default=1024, help="padded positions computed at a time (%(default)s)")
    parser.add_argument("--generate-batch", type=int, default=32, help="rows generated at a time (%(default)s)")
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16", help="of the backbone (%(default)s)")
    parser.add_argument("--init-text", default=INIT_TEXT, help="what prompt and prefix tuning start from")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if (arguments.out / "summary.json").exists():
        print(f"{arguments.out}: done before")
        return
    arguments.lr = LEARNING_RATES[arguments.method] if arguments.lr is None else arguments.lr
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)

    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    adapted = Adapted(arguments.method, arguments.model, getattr(torch, arguments.dtype), arguments.init_text)
    rows = data.read(arguments.train)[:arguments.examples] if arguments.train and arguments.method != "none" else []
    loaded = peak_mib()
    with open(arguments.out / "log.jsonl", "w") as log:
        seconds = train(adapted, rows, arguments, log) if rows else []
    trained = peak_mib()

    generated_in = None
    if arguments.test:
        test = data.read(arguments.test)
        adapted.model.eval()
        started = time.perf_counter()
        texts = generate(adapted, tokenizer, test, arguments.generate_batch)
        generated_in = time.perf_counter() - started
        with open(arguments.out / "predictions.jsonl", "w", encoding="utf-8") as out:
            for row, text in zip(test, texts):
                kept = {key: row[key] for key in ["id", "source", "reference"]} | {"generated": text, "likelihood": likelihood(adapted, row)}
                print(json.dumps(kept, ensure_ascii=False), file=out)

    summary = {key: str(value) if isinstance(value, pathlib.Path) else value for key, value in vars(arguments).items()} | {
        "parameters": sum(parameter.numel() for parameter in adapted.parameters),
        "steps": len(seconds),
        "examples": len(rows),
        "seconds_per_step": statistics.median(seconds) if seconds else None,
        "train_seconds": sum(seconds),
        "generate_seconds": generated_in,
        "loaded_mib": round(loaded),
        "peak_mib": round(trained),
        "versions": {
            "python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__,
            "peft": peft.__version__,
        },
    }
    (arguments.out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(json.dumps({key: summary[key] for key in ["out", "parameters", "seconds_per_step", "generate_seconds", "peak_mib"]}))


if __name__ == "__main__":
    main()
