"""A task whose answer is in the edges: which definitions of a variable reach a use of it.

    python flow.py DATA WORK [--longest 600] [--program transducer-host]

Makes questions of the Java methods of DATA/{train,valid,test}.jsonl.gz: a use of a variable is marked by a comment, and the answer says
which kinds of definition reach it: `parameter`, `declaration`, `assignment`, `update` (`+=`, `++`), `loop`, or several of them. WORK
gets {train,valid,test}.jsonl and the bundle `flow`, whose task is that of `transducer-host new task` with another question. Then, as for
any other task:

    transducer-host train WORK/flow --data WORK/train.jsonl --valid WORK/valid.jsonl --out WORK/full [--ablate shuffled-edges]
    transducer-host eval --adapter WORK/full/flow --data WORK/test.jsonl --out full.jsonl

It is a control, not a product: the answers come from the edges that the transducer reads. One that can carry what edges say answers nearly
all of them; with other edges it should do no better than without a graph.
"""

import argparse
import collections
import gzip
import json
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

MARK = "/*?*/"
QUESTION = f"How did the variable after {MARK} get its value: parameter, declaration, assignment, update or loop?"
# What the template asks for, and how. The reply begins with the mark: what stood after it before is what an LLM is inclined to write next.
TEMPLATE_QUESTION = "Say in one short sentence what this does."
TEMPLATE_PREPARED = "Prepared::new(prompt, ())"
# No answer makes up more of the questions than this.
SHARE = 0.25
SEED = 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--longest", type=int, default=600, help="characters; longer methods cost time and say nothing else")
    parser.add_argument("--program", default="transducer-host")
    args = parser.parse_args()
    if (args.work / "flow").exists():
        parser.error(f"{args.work / 'flow'} is there already: name another folder")
    args.work.mkdir(parents=True, exist_ok=True)
    for part in ["train", "valid", "test"]:
        with gzip.open(args.data / f"{part}.jsonl.gz", "rt") as lines:
            rows = [json.loads(line) for line in lines]
        rows = [row for row in rows if len(row["source"]) <= args.longest and MARK not in row["source"]]
        with ThreadPoolExecutor() as pool:
            asked = [asked for of_row in pool.map(lambda row: questions(args.program, row), rows) for asked in of_row]
        asked = balanced(asked)
        with open(args.work / f"{part}.jsonl", "w") as out:
            out.writelines(json.dumps(row) + "\n" for row in asked)
        counts = collections.Counter(row["target"] for row in asked).most_common()
        print(f"{part}: {len(asked)} questions on {len(rows)} methods: {counts}", file=sys.stderr)
    bundle(args)


def questions(program, row):
    """Uses of variables in the method of the row, each marked, and which kinds of definition reach it: one for each answer, of methods that
    have several."""
    text = row["source"].encode()
    command = [program, "cpg", "-", "--language", "java", "--format", "json"]
    graph = json.loads(subprocess.run(command, input=text, capture_output=True, check=True).stdout)
    nodes, parents, reaching = graph["nodes"], {}, collections.defaultdict(list)
    for edge in graph["edges"]:
        if edge["kind"] == "AST":
            parents[edge["target"]] = edge["source"]
        if edge["kind"] == "REACHING_DEF":
            reaching[edge["target"]].append(edge)
    uses = collections.defaultdict(list)
    for target, edges in reaching.items():
        kinds = {kind(nodes, parents, edge["source"]) for edge in edges}
        # Not fields, nor what is read and updated at once.
        is_plain = nodes[target]["kind"] == "IDENTIFIER" and kind(nodes, parents, target) is None
        if is_plain and {edge["label"] for edge in edges} == {nodes[target]["code"]} and None not in kinds:
            uses[" and ".join(sorted(kinds))].append(nodes[target]["start"])
    chosen = random.Random(f"{SEED} {row['id']}")
    asked = []
    for answer in sorted(uses) if len(uses) > 1 else []:
        start = chosen.choice(uses[answer])
        marked = text[:start] + MARK.encode() + text[start:]
        asked.append({"id": f"{row['id']}-{start}", "source": marked.decode(), "target": answer})
    return asked


def balanced(asked):
    """Some of the questions, in another order: of each answer at most [`SHARE`] of what is asked."""
    random.Random(SEED).shuffle(asked)
    by_answer = collections.Counter(row["target"] for row in asked)
    most = len(asked)
    while sum(min(count, most) for count in by_answer.values()) * SHARE < most:
        most -= 1
    kept, seen = [], collections.Counter()
    for row in asked:
        seen[row["target"]] += 1
        if seen[row["target"]] <= most:
            kept.append(row)
    return kept


def kind(nodes, parents, definition):
    """How the node defines a variable; `None` where it does not, or in a handler or a pattern."""
    node = nodes[definition]
    if node["kind"] == "METHOD_PARAMETER_IN":
        return "parameter"
    if node["kind"] == "LOCAL" and nodes[parents[definition]]["name"] == "FOREACH":
        return "loop"
    parent = nodes[parents[definition]]
    if parent["kind"] != "CALL":
        return None
    match parent["name"]:
        case "<operator>.assignment":
            return "declaration" if is_declared(nodes, node) else "assignment"
        case name if "crement" in name or name.startswith("<operator>.assignment"):
            return "update"
    return None


def is_declared(nodes, node):
    return any(other["kind"] == "LOCAL" and other["start"] <= node["start"] < other["end"] for other in nodes)


def bundle(args):
    folder = args.work / "flow"
    subprocess.run([args.program, "new", "task", "flow", "--into", args.work], check=True)
    source = folder / "src/lib.rs"
    template = source.read_text()
    assert TEMPLATE_QUESTION in template, "the template asks for something else"
    template = template.replace(TEMPLATE_QUESTION, QUESTION)
    assert TEMPLATE_PREPARED in template, "the template prepares otherwise"
    source.write_text(template.replace(TEMPLATE_PREPARED, f'{TEMPLATE_PREPARED}.reply_start("{MARK}")'))
    subprocess.run([args.program, "build", folder], check=True)


if __name__ == "__main__":
    main()
