"""Seconds a step, tokens a second and peak memory of training, on the same batches, each method in a fresh process, in turns.

The fastest round of a method is printed: other work on the machine only ever makes a round slower.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

RUN = pathlib.Path(__file__).with_name("run.py")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path, help="the folder of prepare_model.py")
    parser.add_argument("train", type=pathlib.Path, help="training export")
    parser.add_argument("--methods", nargs="+", default=["lora", "prompt", "full"])
    parser.add_argument("--steps", type=int, default=10, help="after one that is not counted (%(default)s)")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()

    rounds = {}
    for _ in range(arguments.rounds):
        for method in arguments.methods:
            with tempfile.TemporaryDirectory() as out:
                options = {
                    "model": arguments.model, "method": method, "train": arguments.train, "batch": arguments.batch,
                    "examples": (arguments.steps + 1) * arguments.batch, "threads": arguments.threads,
                }
                words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
                subprocess.run([sys.executable, RUN, out, *words], check=True, capture_output=True)
                summary = json.loads((pathlib.Path(out) / "summary.json").read_text())
                with open(pathlib.Path(out) / "log.jsonl") as lines:
                    log = [json.loads(line) for line in lines][1:]
            speed = sum(step["tokens"] for step in log) / sum(step["seconds"] for step in log)
            rounds.setdefault(method, []).append((speed, statistics.median(step["seconds"] for step in log), summary))

    print("| method | trainable | s a step, median | tokens/s | peak RSS, MB | loaded, MB |\n|---|---:|---:|---:|---:|---:|")
    for method, results in rounds.items():
        speed, seconds, summary = max(results, key=lambda result: result[0])
        print(
            f"| {method} | {summary['parameters']:,} | {seconds:.2f} | {speed:.0f} | {summary['peak_rss_mb']} | {summary['loaded_rss_mb']} |"
        )


if __name__ == "__main__":
    main()
