"""Programs that serve, and requests to them: what the scripts that measure over HTTP share."""

import concurrent.futures
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request


class Program:
    """A program with its log; in a session of its own, so that it ends with its children."""

    def __init__(self, command, log, environment=None):
        self.log = open(log, "w+")
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdout=self.log,
            stderr=self.log,
            env=os.environ | (environment or {}),
            start_new_session=True,
        )

    def answers(self, url, seconds):
        """Waits until it is ready."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                sys.exit(f"{self.process.args[0]} ended: see {self.log.name}")
            try:
                urllib.request.urlopen(url, timeout=5).read()
                return self
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        sys.exit(f"{url} does not answer: see {self.log.name}")

    def end(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            os.killpg(self.process.pid, how)
            self.process.wait()


def tell(figures, file):
    """Prints them as JSON, and writes them to the file if there is one."""
    text = json.dumps(figures, indent=1)
    print(text)
    if file:
        file.write_text(text + "\n")


def ask(port, adapter, request, limit):
    """An answer's text, tokens and times, or what went wrong."""
    url = f"http://127.0.0.1:{port}/v1/tasks/{adapter}"
    asked = urllib.request.Request(url, json.dumps(request).encode(), {"Content-Type": "application/json"})
    try:
        answer = json.loads(urllib.request.urlopen(asked, timeout=limit).read())
        return {"text": answer["text"], "generation": answer["generation"], "usage": answer["usage"], "timings": answer["timings"]}
    except urllib.error.HTTPError as error:
        return {"error": json.loads(error.read())["error"]}
    except OSError as error:
        return {"error": {"message": str(error)}}


def ask_all(port, asked, at_once, limit, half=None):
    """Every answer in order, and the seconds they took; `half` is called when half of them are there."""
    done, lock = itertools.count(1), threading.Lock()

    def one(prompt):
        answer = ask(port, *prompt, limit)
        with lock:
            if next(done) == len(asked) // 2 and half:
                half()
        return answer

    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(one, asked)), time.monotonic() - begun
