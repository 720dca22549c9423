"""Do answers in the making stall while a bundle is loaded beside them?

    python stall.py --data test.jsonl.gz [--answers 2] [--rounds 5] [--out FILE]

Streams some answers, one after the other, and looks at the time from each piece of text to the next, in turns: with nothing beside them,
and while bundles are put into the adapters directory, one after the other. Each of these has a component that was never compiled before: that
is the most that a load can cost. Prints the times as JSON. See README.md.
"""

import argparse
import gzip
import http.client
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request

from served import Program, tell
from soak import scaled

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "adapters/summarize-java"


def different(bundle, folder, name):
    """A copy whose component has one more section: its name, and nothing in it."""
    scaled(bundle, folder, name, "1.0.0", 1)
    with open(folder / "task.wasm", "ab") as component:
        component.write(bytes([0, len(name) + 1, len(name)]) + name.encode())
    return folder


class Stream:
    """Answers one after the other, and when each piece of them came."""

    def __init__(self, port, codes):
        self.port, self.codes, self.gaps, self.stop = port, codes, [], threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        for code in itertools.cycle(self.codes):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
            connection.request("POST", f"/v1/tasks/{BUNDLE.name}?stream=true", json.dumps({"code": code}))
            before = None
            for line in connection.getresponse():
                if line.startswith(b"data:") and b'"text"' in line:
                    now = time.monotonic()
                    if before is not None:
                        self.gaps.append((before, now))
                    before = now
            connection.close()
            if self.stop.is_set():
                return

    def end(self):
        self.stop.set()
        self.thread.join()
        return self.gaps


def ready(port, name):
    adapters = json.loads(urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/adapters", timeout=60).read())
    return any(adapter["name"] == name for adapter in adapters["data"])


def load(port, archive, adapters):
    """When it was there to be loaded, and when it could be asked."""
    begun = time.monotonic()
    os.rename(archive, adapters / archive.name)
    while not ready(port, archive.stem):
        time.sleep(0.05)
    return begun, time.monotonic()


def times(gaps):
    milliseconds = sorted(1e3 * (end - begin) for begin, end in gaps)
    at = lambda part: round(milliseconds[min(len(milliseconds) - 1, int(part * len(milliseconds)))], 1)
    return {"pieces": len(gaps), "median_ms": at(0.5), "p99_ms": at(0.99), "longest_ms": at(1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "target/debug/transducer-host")
    parser.add_argument("--frontends", type=pathlib.Path, help="where the program does not find them by itself")
    parser.add_argument("--model", type=pathlib.Path, default=os.environ.get("TRANSDUCER_MODEL"))
    parser.add_argument("--data", type=pathlib.Path, required=True, help="summarize-java's test.jsonl.gz, for code")
    parser.add_argument("--answers", type=int, default=2, help="in the making at once")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loads", type=int, default=10, help="in each round")
    parser.add_argument("--port", type=int, default=8130)
    parser.add_argument("--out", type=pathlib.Path, help="where the figures go, too")
    arguments = parser.parse_args()

    with gzip.open(arguments.data, "rt") as lines:
        codes = [json.loads(line)["source"] for line in itertools.islice(lines, 50)]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        adapters = folder / "adapters"
        scaled(BUNDLE, adapters / BUNDLE.name, BUNDLE.name, "1.0.0", 1)
        archives = []
        for number in range(arguments.rounds * arguments.loads):
            source = different(BUNDLE, folder / f"load-{number}", f"load-{number}")
            archives.append(folder / f"load-{number}.tadapter")
            subprocess.run([arguments.program, "pack", source, "-o", archives[-1]], check=True, stdout=subprocess.DEVNULL)
        command = [arguments.program, "serve", "--model", arguments.model, "--adapters", adapters]
        command += ["--listen", f"127.0.0.1:{arguments.port}"]
        command += ["--frontends", arguments.frontends] if arguments.frontends else []
        # A cache of its own, in which nothing is compiled.
        environment = {"XDG_CACHE_HOME": str(folder / "cache")}
        server = Program(command, folder / "log", environment).answers(f"http://127.0.0.1:{arguments.port}/health", 300)
        quiet, loads = [], []
        try:
            streams = [Stream(arguments.port, codes[number:]) for number in range(arguments.answers)]
            time.sleep(3)
            for turn in range(arguments.rounds):
                begun = time.monotonic()
                time.sleep(5)
                quiet.append((begun, time.monotonic()))
                for archive in archives[turn * arguments.loads : (turn + 1) * arguments.loads]:
                    loads.append(load(arguments.port, archive, adapters))
                print(f"round {turn + 1} of {arguments.rounds}", flush=True)
            gaps = [gap for stream in streams for gap in stream.end()]
        finally:
            server.end()
    meet = lambda gap, spans: any(gap[0] < end and begin < gap[1] for begin, end in spans)
    report = {
        "answers": arguments.answers,
        "nothing_beside": times([gap for gap in gaps if meet(gap, quiet)]),
        "beside_loads": times([gap for gap in gaps if meet(gap, loads)]),
        "loads": len(loads),
        "load_ms": round(1e3 * statistics.median(end - begin for begin, end in loads), 1),
    }
    tell(report, arguments.out)


if __name__ == "__main__":
    main()
