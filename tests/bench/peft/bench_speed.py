"""Seconds a step, tokens a second and peak memory of training, on the same batches, each method in a fresh process, in turns.

With --program the transducer is trained, too, by that program: TRAIN is what its `train --export` made of --bundle and --data. The fastest round of a method is printed: other work on the machine only ever makes a round slower.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

RUN = pathlib.Path(__file__).with_name("run.py")


KEPT = ["parameters", "peak_mib", "loaded_mib"]


def peft(arguments, method, out):
    """The steps of a run but for the first, and its summary."""
    options = {
        "model": arguments.model, "method": method, "train": arguments.train, "batch": arguments.batch,
        "examples": (arguments.steps + 1) * arguments.batch, "threads": arguments.threads,
    }
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    subprocess.run([sys.executable, RUN, out, *words], check=True, capture_output=True)
    with open(pathlib.Path(out) / "log.jsonl") as lines:
        steps = [json.loads(line) for line in lines]
    return steps[1:], json.loads((pathlib.Path(out) / "summary.json").read_text())


def ours(arguments, out):
    """Likewise of the transducer. The program is started for one step more than is counted, as the others are."""
    command = [
        arguments.program, "train", arguments.bundle, "--data", arguments.data, "--model", arguments.gguf, "--out", out,
        "--examples", (arguments.steps + 1) * arguments.batch, "--batch", arguments.batch, "--threads", arguments.threads,
        *(["--frontends", arguments.frontends] if arguments.frontends else []),
    ]
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    with open(pathlib.Path(out) / arguments.bundle.name / ".train/log.jsonl") as lines:
        events = [json.loads(line) for line in lines]
    steps = [event for event in events if event["event"] == "step"]
    peak = next(event["peak_mib"] for event in events if event["event"] == "ended")
    parameters = next(event["parameters"] for event in events if event["event"] == "started")
    return steps[1:], {"parameters": parameters, "peak_mib": peak, "loaded_mib": None}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path, help="the folder of prepare_model.py")
    parser.add_argument("train", type=pathlib.Path, help="training export")
    parser.add_argument("--methods", nargs="+", default=["lora", "prompt", "full"])
    parser.add_argument("--steps", type=int, default=10, help="after one that is not counted (%(default)s)")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--program", type=pathlib.Path, help="transducer-host, for the transducer beside them")
    parser.add_argument("--bundle", type=pathlib.Path, help="what TRAIN is the export of")
    parser.add_argument("--data", type=pathlib.Path, help="likewise")
    parser.add_argument("--gguf", type=pathlib.Path, help="the model that the program reads")
    parser.add_argument("--frontends", type=pathlib.Path, help="where the program does not find them by itself")
    parser.add_argument("--json", type=pathlib.Path, help="where the figures go, too")
    arguments = parser.parse_args()
    methods = [*arguments.methods, "transducer"] if arguments.program else arguments.methods

    rounds = {}
    for _ in range(arguments.rounds):
        for method in methods:
            print(f"{method}", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory() as out:
                log, summary = ours(arguments, out) if method == "transducer" else peft(arguments, method, out)
            speed = sum(step["tokens"] for step in log) / sum(step["seconds"] for step in log)
            rounds.setdefault(method, []).append((speed, statistics.median(step["seconds"] for step in log), summary))

    if arguments.json:
        kept = {name: [(speed, seconds, *(result[key] for key in KEPT)) for speed, seconds, result in results] for name, results in rounds.items()}
        names = ["tokens_per_second", "seconds_per_step", *KEPT]
        arguments.json.write_text(json.dumps({name: [dict(zip(names, one)) for one in results] for name, results in kept.items()}, indent=1) + "\n")
    print("| method | trainable | s a step, median | tokens/s | peak RSS, MiB | loaded, MiB |\n|---|---:|---:|---:|---:|---:|")
    for method, results in rounds.items():
        speed, seconds, summary = max(results, key=lambda result: result[0])
        print(
            f"| {method} | {summary['parameters']:,} | {seconds:.2f} | {speed:.0f} | {summary['peak_mib']} | {summary['loaded_mib']} |"
        )


if __name__ == "__main__":
    main()
