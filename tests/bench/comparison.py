"""The table of tasks and methods: trains and judges every cell, one after the other, and goes on where it was stopped.

    python comparison.py DATA WORK [--tasks summarize-java …] [--methods transducer lora …] [--model-folder MODEL]

DATA has a folder a task with {train,valid,test}.jsonl.gz; WORK is a folder for bundles, exports and checkpoints. Every method sees
the same examples in the same order (`train --export`), in steps of the same size, and is judged by `transducer-host eval` on the same rows. A finished cell
leaves two small files in results/TASK/: METHOD.json (scores with intervals, parameters, seconds a step, peak memory, settings) and
METHOD.jsonl (id and generated text of each row, and how likely the method finds the reference, which `eval --predictions` judges again). A cell that has its JSON is not run again.

The transducer and its ablations (`transducer`, `no-gve`, `shuffled-edges`, …) and `untuned` need the program alone; the other methods
are those of peft/, whose README says what to install: run this script with that Python, and name the folder of
peft/prepare_model.py with --model-folder.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TASKS = ["summarize-java", "assert-java", "translate-java-csharp", "summarize-python"]
PEFT = ["prompt", "prefix", "linear", "lora", "full"]
CODE = {"assert-java": "java", "translate-java-csharp": "csharp"}
ABLATIONS = ["no-gve", "no-abfl", "no-task-tokens", "no-edges", "shuffled-edges", "random-edges"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--methods", nargs="+", choices=["untuned", "transducer", *ABLATIONS, *PEFT],
                        default=["untuned", "transducer", *PEFT, *ABLATIONS])
    parser.add_argument("--examples", type=int, default=2400, help="training examples seen")
    parser.add_argument("--rows", type=int, default=300, help="test rows")
    parser.add_argument("--program", default=str(ROOT / "target/debug/transducer-host"))
    parser.add_argument("--model-folder", help="the folder of peft/prepare_model.py")
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16",
                        help="of the frozen model in the methods of peft/ (%(default)s); the program chooses its own by the CPU")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--results", type=Path, default=HERE / "results")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    # The cheap methods of all tasks first: a table that is stopped halfway then says something of every task.
    for method in args.methods:
        for task in args.tasks:
            cell = args.results / task / f"{method}.json"
            if cell.exists():
                continue
            print(f"{task}: {method}", flush=True)
            cell.parent.mkdir(parents=True, exist_ok=True)
            facts, generated = run(args, task, method)
            with open(cell.with_suffix(".jsonl"), "w") as out:
                for row in generated:
                    out.write(json.dumps({key: row[key] for key in ["id", "generated", "likelihood"]}, ensure_ascii=False) + "\n")
            cell.write_text(json.dumps(facts, indent=1) + "\n")
    print(table(args.results, args.tasks))


def run(args, task, method):
    if method in PEFT:
        return peft(args, task, method)
    predictions = args.work / f"{task}.{method}.jsonl"
    bundle = ROOT / "adapters" / task
    facts = {"task": task, "method": method, "threads": args.threads}
    more = ["--untuned"]
    if method != "untuned":
        into = args.work / method
        ablate = [] if method == "transducer" else ["--ablate", method]
        host(args, "train", bundle, "--data", data(args, task, "train"), "--valid", data(args, task, "valid"), "--out", into,
             "--examples", args.examples, *ablate)
        bundle, more = into / task, []
        facts |= log_facts(bundle / ".train/log.jsonl")
        facts["settings"] = (bundle / "adapter.toml").read_text().split("[transducer]", 1)[1]
    facts |= score(args, task, bundle, "--out", predictions, "--likelihood", *more)
    return facts, read(predictions)


def peft(args, task, method):
    train, test = args.work / f"{task}.train.jsonl", args.work / f"{task}.test.jsonl"
    bundle = ROOT / "adapters" / task
    if not train.exists():
        host(args, "train", bundle, "--data", data(args, task, "train"), "--out", args.work / "export", "--examples",
             args.examples, "--export", train)
    if not test.exists():
        host(args, "eval", "--adapter", bundle, "--data", data(args, task, "test"), "--limit", args.rows, "--export", test)
    out = args.work / f"{task}.{method}"
    recipe = tomllib.loads((bundle / "adapter.toml").read_text())["train"]
    subprocess.run([sys.executable, "run.py", out, "--model", args.model_folder, "--method", method, "--train", train, "--test",
                    test, "--batch", str(recipe.get("batch", 16)), "--dtype", args.dtype, "--threads", str(args.threads)],
                   cwd=HERE / "peft", check=True)
    summary = json.loads((out / "summary.json").read_text())
    # Where things lay on the machine that made the cell is of no use to anybody else.
    facts = {"task": task, "method": method} | {key: summary[key] for key in summary if key not in ["out", "model", "train", "test"]}
    predictions = out / "predictions.jsonl"
    facts |= score(args, task, bundle, "--predictions", predictions)
    return facts, read(predictions)


def score(args, task, bundle, *more):
    code = ["--code", CODE[task]] if task in CODE else []
    printed = host(args, "eval", "--adapter", bundle, "--data", data(args, task, "test"), "--limit", args.rows, "--json", *code,
                   *more)
    judged = json.loads(printed)
    return {"rows": judged["rows"], "metrics": judged["metrics"]}


def log_facts(log):
    events = read(log)
    steps = [event for event in events if event["event"] == "step"]
    return {
        "parameters": next(event["parameters"] for event in events if event["event"] == "started"),
        "steps": len(steps),
        "seconds_per_step": statistics.median(event["seconds"] for event in steps),
        # A run that is asked for again ends again, without having done anything.
        "peak_mib": max(event["peak_mib"] for event in events if event["event"] == "ended"),
        "validation_loss": min(event["loss"] for event in events if event["event"] == "validated"),
    }


def table(results, tasks):
    shown = ["bleu", "bleu_tokens", "chrf", "exact_match", "likelihood"]
    lines = ["| task | method | parameters | " + " | ".join(shown) + " |", "|---|---|---:|" + "---:|" * len(shown)]
    for task in tasks:
        for cell in sorted((results / task).glob("*.json")):
            facts = json.loads(cell.read_text())
            scores = [facts["metrics"].get(name) for name in shown]
            cells = [f"{score['value']:.1f} ({score['low']:.1f}–{score['high']:.1f})" if score else "" for score in scores]
            lines.append(f"| {task} | {facts['method']} | {facts.get('parameters', 0):,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def host(args, command, *rest):
    threads = ["--threads", str(args.threads)]
    return subprocess.run([args.program, command, *map(str, rest), *threads], check=True, stdout=subprocess.PIPE, text=True).stdout


def data(args, task, part):
    return args.data / task / f"{part}.jsonl.gz"


def read(path):
    with open(path) as lines:
        return [json.loads(line) for line in lines]


if __name__ == "__main__":
    main()
