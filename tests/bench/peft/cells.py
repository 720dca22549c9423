"""Runs cells one after the other, each in a process of its own: python cells.py RESULTS CELLS [common arguments of run.py]

A line of CELLS is a cell's name and its own arguments of run.py (`java/lora --method lora --train …`); `#` begins a comment.
A finished cell is skipped, so that a list that was stopped goes on where it was; one that fails does not stop the rest.
"""

import pathlib
import shlex
import subprocess
import sys

RUN = pathlib.Path(__file__).with_name("run.py")


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    results, cells, common = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
    failed = []
    for line in cells.read_text().splitlines():
        if words := shlex.split(line, comments=True):
            name, *own = words
            if subprocess.run([sys.executable, RUN, results / name, *common, *own]).returncode:
                failed.append(name)
    if failed:
        sys.exit(f"failed: {' '.join(failed)}")


if __name__ == "__main__":
    main()
