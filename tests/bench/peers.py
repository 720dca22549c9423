"""This engine and those that people would use instead, on the same model, work and threads, in turns: who is how much faster.

    python peers.py GGUF [--llama FOLDER] [--transformers PYTHON [--lora] --folder HF] [--vllm PYTHON --folder HF] [--turns 3] [--out FILE]

GGUF is the default model; HF the same as a folder of peft/prepare_model.py, in the number format of --dtype. FOLDER has llama.cpp
(`npm install node-llama-cpp @node-llama-cpp/linux-x64`), the PYTHONs have what they are named after. A peer that is not named is left
out. With --lora transformers is asked once more, each request with a LoRA adapter of its own by PEFT: requests for as many adapters,
which cost this engine nothing (see mixed.py). Each turn asks all of them once, one after the other (every program warms up by itself); what counts is the median over the turns.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--llama", type=Path, help="the folder with its node_modules")
    parser.add_argument("--transformers", help="a Python that has it")
    parser.add_argument("--lora", action="store_true", help="transformers with PEFT's adapters, too")
    parser.add_argument("--vllm", help="a Python that has it")
    parser.add_argument("--folder", type=Path, help="the model as a Hugging Face folder")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"], help="of the two that read the folder")
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/examples/batch_speed")
    parser.add_argument("--concurrent", default="1,4,16")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1, help="in each turn")
    parser.add_argument("--out", type=Path, help="where the figures go as JSON")
    args = parser.parse_args()
    if (args.transformers or args.vllm) and not args.folder:
        parser.error("--transformers and --vllm read a Hugging Face folder: name it with --folder")
    if not args.program.exists():
        parser.error(f"{args.program} is not there: cargo build --release --workspace --example batch_speed")
    measured = {name: [] for name in programs(args)}
    for turn in range(args.turns):
        for name, command in programs(args).items():
            print(f"turn {turn + 1} of {args.turns}: {name}", file=sys.stderr, flush=True)
            measured[name].append(once(command, args))
    figures = {
        "machine": {"cpu": cpu(), "threads": args.threads, "system": platform.platform()},
        "work": {"tokens_in": 128, "tokens_out": 64, "prefill": 512, "turns": args.turns, "rounds": args.rounds},
        "medians": {name: medians(runs) for name, runs in measured.items()},
        "runs": measured,
    }
    print(table(figures["medians"], args.concurrent.split(",")))
    if args.out:
        args.out.write_text(json.dumps(figures, indent=1) + "\n")


def programs(args):
    found = {"transducer-host": [args.program, args.model, "--json"]}
    if args.llama:
        # A script finds its packages beside itself.
        script = args.llama / "llama.mjs"
        shutil.copyfile(HERE / "peers/llama.mjs", script)
        found["llama.cpp"] = ["node", script, args.model]
    for name in ("transformers", "vllm"):
        if python := getattr(args, name):
            found[f"{name}, {args.dtype}"] = [python, HERE / f"peers/{name}_speed.py", args.folder, "--dtype", args.dtype]
    if args.transformers and args.lora:
        found[f"transformers + PEFT, {args.dtype}"] = [*found[f"transformers, {args.dtype}"], "--lora"]
    return found


def once(command, args):
    flags = ["--concurrent", args.concurrent, "--threads", args.threads, "--rounds", args.rounds]
    ran = subprocess.run([str(word) for word in [*command, *flags]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if ran.returncode:
        sys.exit(f"{command[0]} ended with {ran.returncode}:\n{ran.stderr[-2000:]}")
    # Some print other things before.
    return json.loads(ran.stdout.strip().splitlines()[-1])


def medians(runs):
    speeds = [run["new_tokens_per_second"] for run in runs]
    return {number: statistics.median([speed[number] for speed in speeds]) for number in speeds[0]} | {
        "prefill": statistics.median([run["prefill_tokens_per_second"] for run in runs])
    }


def table(found, concurrent):
    """Tokens a second, and how many times those of each peer ours are."""
    columns = [*concurrent, "prefill"]
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    ours = found["transducer-host"]
    for name, speeds in found.items():
        beside = [f"{speeds[column]:.1f}" + (f" ({ours[column] / speeds[column]:.2f} x)" if speeds is not ours else "") for column in columns]
        lines.append(f"| {name} | " + " | ".join(beside) + " |")
    return "\n".join(lines)


def cpu():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    main()
