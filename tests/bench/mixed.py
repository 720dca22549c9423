"""What mixing adapters costs a server, and what a transducer does.

Serves copies of one bundle, each a transducer and an adapter of its own, and asks the same requests of it in turns: all of one
adapter, and spread over all of them. The answers are the same, and so is the work. See README.md.
"""

import argparse
import gzip
import itertools
import json
import os
import pathlib
import shutil
import statistics
import sys
import tempfile

from served import Program, ask_all

ROOT = pathlib.Path(__file__).resolve().parents[2]

# What an adapter adds to an answer of the LLM alone: sandbox, graph, GVE and ABFL, by the names of the answer's own times.
ADDED = ("prepare_ms", "cpg_ms", "transducer_ms", "finish_ms")


def copies(bundle, folder, count):
    """So many adapters, alike but for their names."""
    manifest = (bundle / "adapter.toml").read_text()
    names = [f"copy-{number:02}" for number in range(count)]
    for name in names:
        shutil.copytree(bundle, folder / name)
        renamed = manifest.replace(f'name = "{bundle.name}"', f'name = "{name}"')
        assert renamed != manifest, "the manifest has no such name"
        (folder / name / "adapter.toml").write_text(renamed)
    return names


def sources(data, count):
    with gzip.open(data, "rt") as lines:
        return [json.loads(line)["source"] for line in itertools.islice(lines, 20 * count)]


def within(answer, prompt, completion):
    """Whether it is of the size that is asked for."""
    usage = answer.get("usage", {})
    return (
        prompt[0] <= usage.get("prompt_tokens", 0) <= prompt[1]
        and completion[0] <= usage.get("completion_tokens", 0) <= completion[1]
    )


def price(answers):
    """The share that each stage has of the time of an answer that nothing runs beside, in percent."""
    times = [answer["timings"] for answer in answers]
    total = sum(time["total_ms"] for time in times)
    names = [name for name in times[0] if name != "total_ms"]
    return {name: round(100 * sum(time[name] for time in times) / total, 3) for name in names}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "target/debug/transducer-host")
    parser.add_argument("--frontends", type=pathlib.Path, help="where the program does not find them by itself")
    parser.add_argument("--model", type=pathlib.Path, default=os.environ.get("TRANSDUCER_MODEL"))
    parser.add_argument("--bundle", type=pathlib.Path, default=ROOT / "adapters/translate-java-csharp")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="the bundle's test.jsonl.gz, for requests")
    parser.add_argument("--adapters", type=int, default=64, help="in the mix")
    parser.add_argument("--requests", type=int, default=64, help="of one round")
    parser.add_argument("--at-once", type=int, default=16, help="requests that are asked at once")
    parser.add_argument("--prompt", type=int, nargs=2, default=(96, 160), help="tokens of a prompt, from and to")
    parser.add_argument("--answer", type=int, nargs=2, default=(48, 80), help="tokens of an answer, from and to")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--port", type=int, default=8110)
    parser.add_argument("--out", type=pathlib.Path, help="where the figures go as JSON, else to standard output")
    arguments = parser.parse_args()
    limit = 600

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        adapters = folder / "adapters"
        adapters.mkdir()
        names = copies(arguments.bundle, adapters, arguments.adapters)
        command = [arguments.program, "serve", "--model", arguments.model, "--adapters", adapters]
        command += ["--listen", f"127.0.0.1:{arguments.port}", "--time-limit", limit]
        command += ["--frontends", arguments.frontends] if arguments.frontends else []
        server = Program(command, folder / "log").answers(f"http://127.0.0.1:{arguments.port}/health", 300)
        try:
            # One at a time, which is also how the stages are timed.
            asked, alone = [], []
            for source in sources(arguments.data, arguments.requests):
                [answer], _ = ask_all(arguments.port, [(names[0], {"code": source})], 1, limit)
                if "error" in answer:
                    sys.exit(f"a request failed: {answer['error']}")
                if within(answer, arguments.prompt, arguments.answer):
                    asked.append(source)
                    alone.append(answer)
                    print(f"{len(asked)} of {arguments.requests} requests of the wanted size", file=sys.stderr)
                if len(asked) == arguments.requests:
                    break
            if not asked:
                sys.exit("no row has a prompt and an answer of the wanted size: see --prompt and --answer")
            speeds = {"one adapter": [], "all adapters": []}
            for turn in range(arguments.rounds):
                # Whoever is first in a round is second in the next.
                for kind in sorted(speeds, reverse=bool(turn % 2)):
                    mix = names[:1] if kind == "one adapter" else names
                    turns = [(name, {"code": source}) for name, source in zip(itertools.cycle(mix), asked)]
                    answers, seconds = ask_all(arguments.port, turns, arguments.at_once, limit)
                    failed = [answer["error"] for answer in answers if "error" in answer]
                    if failed:
                        sys.exit(f"{len(failed)} failed: {failed[0]}")
                    made = sum(answer["usage"]["completion_tokens"] for answer in answers)
                    speeds[kind].append(made / seconds)
                    print(f"round {turn}, {kind}: {made} tokens in {seconds:.1f} s", file=sys.stderr)
        finally:
            server.end()

    medians = {kind: statistics.median(values) for kind, values in speeds.items()}
    usage = [answer["usage"] for answer in alone]
    shares = price(alone)
    figures = {
        "adapters": arguments.adapters,
        "requests": len(asked),
        "at_once": arguments.at_once,
        "prompt_tokens": round(statistics.mean(one["prompt_tokens"] for one in usage), 1),
        "completion_tokens": round(statistics.mean(one["completion_tokens"] for one in usage), 1),
        "tokens_per_second": {kind: round(value, 1) for kind, value in medians.items()},
        "all_over_one": round(medians["all adapters"] / medians["one adapter"], 4),
        "ratio_by_round": [round(all_ / one, 4) for one, all_ in zip(speeds["one adapter"], speeds["all adapters"])],
        "percent_of_an_answer_alone": shares,
        "percent_of_what_an_adapter_adds": round(sum(shares[name] for name in ADDED), 3),
    }
    text = json.dumps(figures, indent=2)
    if arguments.out:
        arguments.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
