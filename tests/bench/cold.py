"""What the first request to an adapter costs that is not in memory.

    python cold.py --data test.jsonl.gz [--adapters 1000] [--adapter-memory 64] [--asked 50] [--out FILE]

Serves so many copies of a bundle, of which only some fit into memory, and asks some of them twice, one after the other: the first time an adapter
is brought back, the second time it is there. Prints the times of both as JSON, and of the start. See README.md.
"""

import argparse
import gzip
import json
import os
import pathlib
import random
import statistics
import sys
import tempfile
import time
import urllib.request

from mixed import copies
from served import Program, ask, tell

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "target/debug/transducer-host")
    parser.add_argument("--frontends", type=pathlib.Path, help="where the program does not find them by itself")
    parser.add_argument("--model", type=pathlib.Path, default=os.environ.get("TRANSDUCER_MODEL"))
    parser.add_argument("--bundle", type=pathlib.Path, default=ROOT / "adapters/assert-java")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="the bundle's test.jsonl.gz, for a request")
    parser.add_argument("--adapters", type=int, default=1000)
    parser.add_argument("--adapter-memory", type=int, default=64, help="MiB")
    parser.add_argument("--asked", type=int, default=50)
    parser.add_argument("--port", type=int, default=8140)
    parser.add_argument("--out", type=pathlib.Path, help="where the figures go, too")
    arguments = parser.parse_args()

    with gzip.open(arguments.data, "rt") as lines:
        code = json.loads(next(lines))["source"]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        adapters = folder / "adapters"
        adapters.mkdir()
        names = copies(arguments.bundle, adapters, arguments.adapters)
        command = [arguments.program, "serve", "--model", arguments.model, "--adapters", adapters]
        command += ["--listen", f"127.0.0.1:{arguments.port}", "--adapter-memory", arguments.adapter_memory]
        command += ["--frontends", arguments.frontends] if arguments.frontends else []
        server = Program(command, folder / "log").answers(f"http://127.0.0.1:{arguments.port}/health", 300)
        try:
            listed = json.loads(urllib.request.urlopen(f"http://127.0.0.1:{arguments.port}/v1/adapters", timeout=60).read())
            away = [adapter["name"] for adapter in listed["data"] if not adapter["resident"]]
            # The first answer of all warms up what is not an adapter.
            ask(arguments.port, next(name for name in names if name not in away), {"code": code}, 60)
            times = []
            for name in random.Random(0).sample(away, arguments.asked):
                pair = []
                for _ in range(2):
                    begun = time.monotonic()
                    answer = ask(arguments.port, name, {"code": code}, 60)
                    if "error" in answer:
                        sys.exit(f"{name}: {answer['error']}")
                    pair.append(1e3 * (time.monotonic() - begun))
                times.append(pair)
        finally:
            server.end()
    slower = sorted(first - second for first, second in times)
    report = {
        "adapters": len(names),
        "not_in_memory": len(away),
        "asked": len(times),
        "first_ms": round(statistics.median(first for first, _ in times), 1),
        "second_ms": round(statistics.median(second for _, second in times), 1),
        "slower_ms": {"median": round(statistics.median(slower), 1), "p90": round(slower[len(slower) * 9 // 10], 1)},
    }
    tell(report, arguments.out)


if __name__ == "__main__":
    main()
