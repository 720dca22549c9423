#!/usr/bin/env python3
"""Writes the cases here: a snippet, then the edges that Joern 2.0.25 draws for its method, one a line.

usage: facts.py SNIPPETS FACTS.jsonl OUT

SNIPPETS holds NAME.java or NAME.py as they are in the cases; FACTS.jsonl is what tests/bench/joern/run.sh writes for the
same files (the Java ones each within a class).
"""
import collections
import json
import pathlib
import sys


def names(nodes):
    seen = collections.Counter()
    for node in nodes:
        code = " ".join(node["code"].split())
        name = {
            "METHOD": "ENTRY",
            "METHOD_RETURN": "EXIT",
            "METHOD_PARAMETER_IN": f"PARAM:{node['name']}",
        }.get(node["label"], f"{node['label']}:{code}")
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name}#{seen[name]}"


def main(snippets, facts, out):
    methods = [json.loads(line) for line in open(facts, encoding="utf-8")]
    # The case is about the first method of its snippet, not about what is declared in it.
    methods.sort(key=lambda method: method["nodes"][0]["line"], reverse=True)
    for method in methods:
        snippet = next(pathlib.Path(snippets).glob(pathlib.Path(method["file"]).stem + ".*"), None)
        if snippet is None or method["method"].startswith("<"):
            continue
        ends = list(names(method["nodes"]))
        lines = [snippet.read_text(encoding="utf-8").rstrip("\n"), "---"]
        for word in ("cfg", "cdg", "ddg"):
            edges = {
                f"{word} {ends[source]} -> {ends[target]}" + (f" [{' '.join(variable.split())}]" if variable else "")
                for kind, source, target, variable in method["edges"]
                if kind.lower() == word
            }
            lines += sorted(edges) or [f"{word} none"]
        case = pathlib.Path(out) / (snippet.stem + ".txt")
        case.write_text("\n".join(lines) + "\n", encoding="utf-8")


main(*sys.argv[1:])
