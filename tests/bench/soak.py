"""A server under everything at once, for a while: does every answer belong to its question, is any lost, does memory stay flat?

    python soak.py --data test.jsonl.gz [--minutes 20] [--clients 32] [--out FILE]

Serves copies of a bundle whose weights are scaled, each differently, so that each copy says something else of the same code: that is
its mark. One more copy is replaced each second by its other version. What each says is asked for beforehand, with nothing beside it; the
weights are in f32, where an answer does not depend on its neighbours. Then so many clients ask, give up at random, and send what no
server should be sent. Prints a report as JSON, and ends with 1 if an answer was wrong or lost, or memory grew. See README.md.
"""

import argparse
import array
import collections
import gzip
import http.client
import itertools
import json
import os
import pathlib
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from served import Program, ask

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "adapters/summarize-java"

# Of a client's requests, how many of a hundred are given up, and hostile.
GIVEN_UP, HOSTILE = 12, 12

# An answer that takes longer is lost.
LIMIT = 120


def scaled(bundle, folder, name, version, factor):
    """A copy whose weights are so many times those of the bundle."""
    shutil.copytree(bundle, folder)
    # What is recorded is of the bundle's own weights, and stands at the end.
    manifest = (folder / "adapter.toml").read_text().split("\n[provenance]")[0]
    lines = [
        {"name": f'name = "{name}"', "version": f'version = "{version}"'}.get(line.split(" = ")[0], line)
        for line in manifest.splitlines()
    ]
    (folder / "adapter.toml").write_text("\n".join(lines) + "\n")
    path = folder / "transducer.safetensors"
    data = path.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    numbers = array.array("f", data[begin:])
    path.write_bytes(data[:begin] + array.array("f", (number * factor for number in numbers)).tobytes())
    return folder


def memory(program):
    """MB that the server and its children have in memory."""
    total = 0
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rsplit(")", 1)[1].split()
            if int(fields[2]) == program.process.pid:
                total += int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            continue
    return total / 1e6


class Soak:
    def __init__(self, port, marks, expected):
        self.port, self.marks, self.expected = port, marks, expected
        self.counts, self.wrong, self.lock = collections.Counter(), [], threading.Lock()
        self.stop = threading.Event()

    def count(self, what, detail=None):
        with self.lock:
            self.counts[what] += 1
            if detail is not None and len(self.wrong) < 20:
                self.wrong.append(detail)

    def client(self, seed):
        chance = random.Random(seed)
        while not self.stop.is_set():
            kind = chance.randrange(100)
            adapter, (number, code) = chance.choice(self.marks), chance.choice(list(enumerate(self.expected)))
            if kind < GIVEN_UP:
                self.give_up(adapter, code, chance.uniform(0, 0.6))
            elif kind < GIVEN_UP + HOSTILE:
                self.hostile(chance)
            else:
                self.ask(adapter, number, code)

    def ask(self, adapter, number, code):
        answer = ask(self.port, adapter, {"code": code}, LIMIT)
        if "error" in answer:
            # A full queue is said at once, and whoever asked can come again: nothing is lost.
            busy = answer["error"].get("code") in ("queue_full", "overloaded")
            self.count("refused" if busy else "lost", None if busy else [adapter, number, answer["error"]])
            time.sleep(0.2 if busy else 0)
            return
        known = self.expected[code][adapter]
        if answer["generation"] not in known:
            self.count("wrong adapter", [adapter, number, "an unknown generation", answer["generation"]])
        elif answer["text"] != known[answer["generation"]]:
            self.count("wrong answer", [adapter, number, answer["text"], known[answer["generation"]]])
        else:
            self.count("right")

    def give_up(self, adapter, code, after):
        """A streamed answer whose reader leaves."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        try:
            connection.request("POST", f"/v1/tasks/{adapter}?stream=true", json.dumps({"code": code}))
            time.sleep(after)
            self.count("given up")
        except OSError as error:
            self.count("lost", [adapter, "to be given up", str(error)])
        finally:
            connection.close()

    def hostile(self, chance):
        """What is not a request, and what the server may say to it."""
        adapter = self.marks[0]
        path = f"/v1/tasks/{adapter}"
        attempts = {
            "half a JSON": (path, b'{"code": "int f(', {400}),
            "invalid UTF-8": (path, b'{"code": "\xff\xfe"}', {400}),
            "another form": (path, b'{"text": [1, 2]}', {400, 422}),
            "no such adapter": ("/v1/tasks/no-such-adapter", b'{"code": "int f() { return 1; }"}', {404}),
            "no such route": ("/v1/nothing", b"{}", {404}),
            "a path out of it": ("/v1/tasks/..%2f..%2fetc%2fpasswd", b"{}", {400, 404}),
            "10 MB": (path, b'{"code": "' + b"x" * 10_000_000 + b'"}', {400, 413}),
            "deep brackets": (path, json.dumps({"code": "(" * 50_000}).encode(), {200, 400, 413, 422}),
            "half a request": None,
        }
        name = chance.choice(list(attempts))
        if attempts[name] is None:
            with socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT) as connection:
                connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{{".encode())
                time.sleep(0.2)
            self.count("hostile")
            return
        path, body, allowed = attempts[name]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            status = connection.getresponse().status
        except (BrokenPipeError, ConnectionResetError):
            # It hung up on a body that is too large, before all of it was sent.
            status = 413
        except OSError as error:
            self.count("lost", [name, str(error)])
            return
        finally:
            connection.close()
        self.count("hostile", None if status in allowed | {429, 503} else [name, status])
        if status not in allowed | {429, 503}:
            self.count("hostile, answered otherwise")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "target/debug/transducer-host")
    parser.add_argument("--frontends", type=pathlib.Path, help="where the program does not find them by itself")
    parser.add_argument("--model", type=pathlib.Path, default=os.environ.get("TRANSDUCER_MODEL"))
    parser.add_argument("--data", type=pathlib.Path, required=True, help="summarize-java's test.jsonl.gz, for code")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--adapters", type=int, default=4, help="beside the one that changes")
    parser.add_argument("--codes", type=int, default=6, help="different requests of each adapter")
    parser.add_argument("--port", type=int, default=8120)
    parser.add_argument("--out", type=pathlib.Path, help="where the report goes, too")
    arguments = parser.parse_args()

    with gzip.open(arguments.data, "rt") as lines:
        codes = [json.loads(line)["source"] for line in itertools.islice(lines, 200)]
    codes = sorted(codes, key=len)[20 : 20 + 4 * arguments.codes]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        adapters, versions = folder / "adapters", []
        adapters.mkdir()
        marks = [f"mark-{number}" for number in range(arguments.adapters)]
        for number, name in enumerate(marks):
            scaled(BUNDLE, adapters / name, name, "1.0.0", 1 - 0.18 * number)
        for version, factor in (("1.0.0", 0.91), ("2.0.0", 0.2)):
            source = scaled(BUNDLE, folder / version / "changing", "changing", version, factor)
            versions.append(folder / f"{version}.tadapter")
            subprocess.run([arguments.program, "pack", source, "-o", versions[-1]], check=True, stdout=subprocess.DEVNULL)
        command = [arguments.program, "serve", "--model", arguments.model, "--adapters", adapters, "--precision", "f32"]
        command += ["--listen", f"127.0.0.1:{arguments.port}"]
        command += ["--frontends", arguments.frontends] if arguments.frontends else []
        server = Program(command, folder / "log").answers(f"http://127.0.0.1:{arguments.port}/health", 300)
        try:
            report = soak(arguments, server, adapters, versions, marks, codes)
        finally:
            server.end()
    text = json.dumps(report, indent=1, ensure_ascii=False)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")
    sys.exit(0 if report["passed"] else 1)


def put(archive, adapters):
    """Replaces the bundle that changes, in one go."""
    shutil.copy(archive, adapters.parent / "next")
    os.replace(adapters.parent / "next", adapters / "changing.tadapter")


def alone(port, adapter, code):
    answer = ask(port, adapter, {"code": code}, LIMIT)
    if "error" in answer:
        sys.exit(f"{adapter}: {answer['error']}")
    return answer


def soak(arguments, server, adapters, versions, marks, codes):
    port = arguments.port
    # What each adapter says alone: text by generation, by adapter, by code.
    expected = {code: {name: {} for name in [*marks, "changing"]} for code in codes}
    for version in versions:
        put(version, adapters)
        time.sleep(3)
        for code in codes:
            answer = alone(port, "changing", code)
            expected[code]["changing"][answer["generation"]] = answer["text"]
    for code, name in itertools.product(codes, marks):
        answer = alone(port, name, code)
        expected[code][name][answer["generation"]] = answer["text"]
    # Only code of which all say something else shows whose an answer is.
    texts = {code: [text for known in said.values() for text in known.values()] for code, said in expected.items()}
    tells = [code for code in codes if len(set(texts[code])) == len(marks) + len(versions)][: arguments.codes]
    if not tells:
        most = max(texts.values(), key=lambda said: len(set(said)))
        sys.exit(f"no code of which all adapters say something else, at most {len(set(most))}: {most}")
    expected = {code: expected[code] for code in tells}
    print(f"{len(tells)} codes, {len(marks) + 1} adapters: {len(texts[tells[0]])} answers each", file=sys.stderr)

    run = Soak(port, [*marks, "changing"], expected)
    clients = [threading.Thread(target=run.client, args=(seed,)) for seed in range(arguments.clients)]
    begun, samples, reloads = time.monotonic(), [], 0
    for client in clients:
        client.start()
    while (seconds := time.monotonic() - begun) < 60 * arguments.minutes:
        put(versions[reloads % 2], adapters)
        reloads += 1
        samples.append(memory(server))
        if server.process.poll() is not None:
            run.count("lost", ["the server ended"])
            break
        if reloads % 30 == 0:
            print(f"{seconds:.0f} s: {dict(run.counts)}, {samples[-1]:.0f} MB", file=sys.stderr, flush=True)
        time.sleep(1)
    run.stop.set()
    for client in clients:
        client.join()
    # What is left when all have gone.
    time.sleep(2)
    for code, name in itertools.product(tells[:1], marks):
        run.ask(name, "afterwards", code)
    quarters = [statistics.median(samples[len(samples) * n // 4 : len(samples) * (n + 1) // 4]) for n in range(4)]
    counts = run.counts
    return {
        "minutes": round((time.monotonic() - begun) / 60, 1),
        "clients": arguments.clients,
        "reloads": reloads,
        "requests": dict(counts),
        "details": run.wrong,
        "memory_mb_by_quarter": [round(quarter) for quarter in quarters],
        "passed": not any(counts[name] for name in ("wrong adapter", "wrong answer", "lost", "hostile, answered otherwise"))
        and quarters[3] < 1.03 * quarters[1],
    }


if __name__ == "__main__":
    main()
