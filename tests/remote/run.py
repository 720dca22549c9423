"""Answers of a host that runs the model itself, beside those of hosts whose model runs in vLLM. See README.md."""

import argparse
import collections
import gzip
import itertools
import json
import os
import pathlib
import signal
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/bench"))
from served import Program, ask_all

# vLLM's name of each.
DTYPES = {"bf16": "bfloat16", "f32": "float32"}


def prompts(data, count):
    """(adapter, request) of every adapter in turn."""
    rows = {}
    for folder in sorted(path for path in data.iterdir() if (ROOT / "adapters" / path.name).is_dir()):
        with gzip.open(folder / "test.jsonl.gz", "rt") as lines:
            rows[folder.name] = [json.loads(line)["source"] for line in itertools.islice(lines, count)]
    turns = itertools.chain.from_iterable(zip(*rows.values()))
    names = itertools.cycle(rows)
    return [(name, {"code": source}) for name, source in itertools.islice(zip(names, turns), count)]


def compared(asked, local, remote, seconds):
    by_adapter = collections.defaultdict(lambda: [0, 0])
    for (adapter, _), one, other in zip(asked, local, remote):
        by_adapter[adapter][0] += "text" in one and one.get("text") == other.get("text")
        by_adapter[adapter][1] += 1
    equal = sum(equal for equal, _ in by_adapter.values())
    refused = [
        one["error"].get("code") == other["error"].get("code")
        for one, other in zip(local, remote)
        if "error" in one and "error" in other
    ]
    stages = collections.defaultdict(list)
    for answer in remote:
        for stage, ms in answer.get("timings", {}).items():
            stages[stage].append(ms)
    return {
        "asked": len(asked),
        "answered": sum("text" in answer for answer in remote),
        "refused_by_both_alike": sum(refused),
        "lost": [answer["error"] for one, answer in zip(local, remote) if "error" in answer and "error" not in one],
        "equal": equal,
        "share": round(equal / max(1, len(asked) - sum(refused)), 4),
        "by_adapter": {name: f"{equal} of {count}" for name, (equal, count) in sorted(by_adapter.items())},
        "seconds": round(seconds, 1),
        "median_ms": {stage: round(sorted(ms)[len(ms) // 2], 2) for stage, ms in stages.items()},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "target/release/transducer-host")
    parser.add_argument("--frontends", type=pathlib.Path, help="where the program does not find them by itself")
    parser.add_argument("--vllm", type=pathlib.Path, required=True, help="vLLM's program")
    parser.add_argument("--model", type=pathlib.Path, default=os.environ.get("TRANSDUCER_MODEL"), help="of the hosts")
    parser.add_argument("--served", type=pathlib.Path, required=True, help="the same as a Hugging Face folder, for vLLM")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="a folder of test.jsonl.gz for each adapter")
    parser.add_argument("--out", type=pathlib.Path, help="where the figures go as JSON, else to standard output")
    parser.add_argument("--precision", choices=DTYPES, default="bf16", help="of every host, of the wire and of vLLM")
    parser.add_argument("--count", type=int, default=200, help="prompts")
    parser.add_argument("--at-once", type=int, default=8, help="requests that are asked at once")
    parser.add_argument("--limit", type=float, default=600, help="seconds for one answer")
    parser.add_argument("--context", type=int, default=8192, help="longest prompt and answer together, for vLLM")
    parser.add_argument("--logs", type=pathlib.Path, default=pathlib.Path("."), help="where programs' logs go, and all answers")
    parser.add_argument("--resume", action="store_true", help="answers of an earlier run are taken from its logs; those that failed are asked again")
    parser.add_argument("--port", type=int, default=8100, help="the first of five that are used")
    arguments = parser.parse_args()
    asked = prompts(arguments.data, arguments.count)
    running = []

    def vllm(number):
        port = arguments.port + number
        command = [arguments.vllm, "serve", arguments.served, "--dtype", DTYPES[arguments.precision], "--enforce-eager"]
        command += ["--max-model-len", str(arguments.context), "--enable-prompt-embeds"]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        environment = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        environment["VLLM_CPU_OMP_THREADS_BIND"] = str(number % os.cpu_count())
        program = Program(command, arguments.logs / f"vllm-{number}.log", environment)
        running.append(program)
        return program

    def host(number, *flags):
        port = arguments.port + 2 + number
        command = [arguments.program, "serve", "--model", arguments.model, "--adapters", ROOT / "adapters"]
        command += ["--listen", f"127.0.0.1:{port}", "--precision", arguments.precision, "--time-limit", str(int(arguments.limit))]
        command += [*(["--frontends", arguments.frontends] if arguments.frontends else []), *flags]
        program = Program(command, arguments.logs / f"host-{number}.log")
        running.append(program)
        program.answers(f"http://127.0.0.1:{port}/health", 300)
        return program, port

    def asked_of(number, *flags, half=None):
        kept = arguments.logs / f"answers-{number}.json"
        answers, seconds = [{"error": "not asked yet"}] * len(asked), 0.0
        if arguments.resume and kept.exists():
            answers, seconds = json.loads(kept.read_text())
        # Those that failed are asked again.
        places = [place for place, answer in enumerate(answers) if "error" in answer]
        if not places:
            return answers, seconds
        program, port = host(number, *flags)
        again, took = ask_all(port, [asked[place] for place in places], arguments.at_once, arguments.limit, half)
        for place, answer in zip(places, again):
            answers[place] = answer
        seconds += took
        program.end()
        kept.write_text(json.dumps([answers, seconds]))
        print(f"host {number}: {len(answers)} answers in {seconds:.0f} s", file=sys.stderr)
        return answers, seconds

    try:
        local, seconds = asked_of(0, "--weights", "full")
        figures = {"precision": arguments.precision, "local": {"answered": sum("text" in answer for answer in local), "seconds": round(seconds, 1)}}
        first = vllm(0).answers(f"http://127.0.0.1:{arguments.port}/health", 600)
        one = f"vllm+http://127.0.0.1:{arguments.port}"
        figures["one vLLM"] = compared(asked, local, *asked_of(1, "--backbone", one))
        # Each beside the other from here on.
        vllm(1).answers(f"http://127.0.0.1:{arguments.port + 1}/health", 600)
        two = f"{one},vllm+http://127.0.0.1:{arguments.port + 1}"
        killed = asked_of(2, "--backbone", two, half=lambda: first.end(signal.SIGKILL))
        figures["two vLLMs, one killed when half of the answers were there"] = compared(asked, local, *killed)
    finally:
        for program in running:
            program.end()
    text = json.dumps(figures, indent=2)
    if arguments.out:
        arguments.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
