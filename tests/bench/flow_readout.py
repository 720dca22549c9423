"""What the GVE makes of flow.py's questions when no LLM stands between: a linear map reads the answer off a node vector.

    python flow_readout.py WORK MODEL [--edges real|shuffled|none] [--read use|pool|max] [--softmax across|within]
                                          [--reads 64] [--layers 2] [--width 16] [--steps 450] [--seed 1] [--program transducer-host]

WORK is flow.py's, MODEL the folder of peft/prepare_model.py, whose embeddings and tokenizer are read. The GVE is written from its formulas
(host/transducer/src/gve.rs) in PyTorch, and trained as a transducer is: steps of 8, AdamW at 1e-2, warm-up and cosine. `use` reads the
vector of the marked use, `pool` what one task token pools from all nodes by attention, `max` what one pools by the largest of each
component. `across`, as in the product, shares a node's attention between all edges into it; `within` between those of each relation,
and adds up what the relations say (Busbridge et al., arXiv 1904.05811). `--reads` is how many numbers a matrix reads before its rate
falls: as many as an embedding has for one rate for all. Seconds, on one thread.
"""

import argparse
import json
import math
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import nn

from flow import MARK

EDGES = ["AST", "CFG", "CDG", "REACHING_DEF", "REF", "NEXT_TOKEN"]
RELATIONS = 2 * len(EDGES)
HEADS, BATCH, RATE = 2, 8, 1e-2


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--edges", choices=["real", "shuffled", "none"], default="real")
    parser.add_argument("--read", choices=["use", "pool", "max"], default="use")
    parser.add_argument("--softmax", choices=["across", "within"], default="across")
    parser.add_argument("--reads", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--steps", type=int, default=450)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--program", default="transducer-host")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_file(str(args.model / "tokenizer.json"))
    weights = [load_file(file) for file in args.model.glob("*.safetensors")]
    embeddings = next(part["model.embed_tokens.weight"] for part in weights if "model.embed_tokens.weight" in part).float()
    rows = {part: read(args, part, tokenizer) for part in ["train", "test"]}
    kinds, answers = ({name: at for at, name in enumerate(sorted(names))} for names in (
        {kind for row in rows["train"] for kind in row["kinds"]}, {row["answer"] for row in rows["train"]}))
    train, test = ([tensors(row, args.edges, kinds, answers, embeddings) for row in rows[part] if row["answer"] in answers]
                   for part in ["train", "test"])
    gve = Gve(embeddings.shape[1], len(kinds), len(answers), args)
    # Matrices that read embeddings have a rate that falls with what they read.
    reads = {gve.down: min(1, args.reads / embeddings.shape[1])}
    groups = [{"params": [parameter], "share": reads.get(parameter, 1)} for parameter in gve.parameters()]
    optimizer = torch.optim.AdamW(groups, lr=RATE, weight_decay=0)
    order = random.Random(args.seed)
    warm_up = max(1, args.steps // 20)
    waiting = []
    for step in range(args.steps):
        rate = (step + 1) / warm_up if step < warm_up else 0.5 + 0.5 * math.cos(math.pi * (step - warm_up) / (args.steps - warm_up))
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, rate) * group["share"]
        if len(waiting) < BATCH:
            waiting = order.sample(train, len(train))
        batch, waiting = waiting[:BATCH], waiting[BATCH:]
        loss = sum(F.cross_entropy(gve(*inputs), answer) for *inputs, answer in batch) / BATCH
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(gve.parameters(), 1.0)
        optimizer.step()
    with torch.no_grad():
        scored = [(gve(*inputs), answer) for *inputs, answer in test]
    right = sum(int(scores.argmax() == answer) for scores, answer in scored)
    loss = sum(float(F.cross_entropy(scores, answer)) for scores, answer in scored) / len(scored)
    print(f"{args.edges} edges, softmax {args.softmax} relations, {args.layers} layers, width {args.width}, read from {args.read}, {args.steps} steps, seed {args.seed}: {100 * right / len(scored):.1f}% of {len(scored)}, loss {loss:.3f}")


def read(args, part, tokenizer):
    """Graphs and tokens of one part of the questions."""
    with open(args.work / f"{part}.jsonl") as lines:
        asked = [json.loads(line) for line in lines]
    with ThreadPoolExecutor() as pool:
        # Offsets of tokens are of characters, those of nodes of bytes.
        graphs = list(pool.map(lambda row: graph(args.program, row, tokenizer), [row for row in asked if row["source"].isascii()]))
    # Code that is no whole method can be read otherwise with a mark in it.
    return [row for row in graphs if row["use"] is not None]


def graph(program, row, tokenizer):
    command = [program, "cpg", "-", "--language", "java", "--format", "json"]
    made = json.loads(subprocess.run(command, input=row["source"].encode(), capture_output=True, check=True).stdout)
    nodes = made["nodes"]
    # The smallest node over each byte comes last; of equal ones the deepest, whose number is the largest.
    over = [0] * (len(row["source"]) + 1)
    for node in sorted(nodes, key=lambda node: (node["start"] - node["end"], node["id"])):
        over[node["start"]:node["end"]] = [node["id"]] * (node["end"] - node["start"])
    tokens = tokenizer.encode(row["source"], add_special_tokens=False)
    mark = row["source"].index(MARK) + len(MARK)
    return {
        "kinds": [node["kind"] for node in nodes],
        "edges": [(edge["kind"], edge["source"], edge["target"]) for edge in made["edges"] if edge["kind"] in EDGES],
        "ids": tokens.ids,
        "leaves": [over[(start + end) // 2] for start, end in tokens.offsets],
        "use": next((node["id"] for node in nodes if node["start"] == mark and node["kind"] == "IDENTIFIER"), None),
        "answer": row["target"],
        "id": row["id"],
    }


def tensors(row, which, kinds, answers, embeddings):
    """Kinds `[N]`, mean embeddings of the nodes' own tokens `[N, D]`, source and relation, and target, of each edge, the use, the answer."""
    edges = row["edges"] if which != "none" else []
    if which == "shuffled":
        chosen = random.Random(row["id"])
        by_kind = [[edge for edge in edges if edge[0] == kind] for kind in EDGES]
        targets = [[target for _, _, target in of_kind] for of_kind in by_kind]
        for of_kind in targets:
            chosen.shuffle(of_kind)
        edges = [(kind, source, target) for of_kind, ends in zip(by_kind, targets) for (kind, source, _), target in zip(of_kind, ends)]
    along = [((source, 2 * EDGES.index(kind)), target) for kind, source, target in edges]
    against = [((target, 2 * EDGES.index(kind) + 1), source) for kind, source, target in edges]
    leaves, count = torch.tensor(row["leaves"]), len(row["kinds"])
    texts = torch.zeros(count, embeddings.shape[1]).index_add(0, leaves, embeddings[torch.tensor(row["ids"])])
    texts /= torch.bincount(leaves, minlength=count).clamp(min=1)[:, None]
    return (
        torch.tensor([kinds.get(kind, 0) for kind in row["kinds"]]), texts,
        torch.tensor([says for says, _ in along + against], dtype=torch.long).reshape(-1, 2),
        torch.tensor([target for _, target in along + against], dtype=torch.long), row["use"], torch.tensor(answers[row["answer"]]),
    )


def uniform(*shape, deviation=None):
    """First values: uniform, of this standard deviation, or what keeps the size of the inputs."""
    bound = math.sqrt(3) * (deviation or shape[-1] ** -0.5)
    return nn.Parameter((2 * torch.rand(*shape) - 1) * bound)


def rms_norm(x):
    return x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()


class Gve(nn.Module):
    def __init__(self, hidden, kinds, answers, args):
        super().__init__()
        self.down, self.kind = uniform(args.width, hidden), uniform(kinds, args.width, deviation=1.0)
        self.layers = nn.ModuleList(Layer(args.width, args.softmax == "within") for _ in range(args.layers))
        self.query = uniform(args.width, deviation=1.0) if args.read == "pool" else None
        self.takes_largest = args.read == "max"
        self.answer = nn.Linear(args.width, answers)

    def forward(self, kinds, texts, says, targets, use):
        nodes = rms_norm(texts) @ self.down.T + self.kind[kinds]
        for layer in self.layers:
            nodes = nodes + layer(rms_norm(nodes), says, targets)
        nodes = rms_norm(nodes)
        if self.takes_largest:
            return self.answer(nodes.max(0).values)
        if self.query is None:
            return self.answer(nodes[use])
        return self.answer(torch.softmax(nodes @ self.query / math.sqrt(nodes.shape[1]), 0) @ nodes)


class Layer(nn.Module):
    def __init__(self, width, within):
        super().__init__()
        self.source, self.target, self.output = (uniform(width, width) for _ in range(3))
        self.scale, self.shift = nn.Parameter(torch.ones(RELATIONS, width)), uniform(RELATIONS, width, deviation=1.0)
        self.attention = uniform(HEADS, width // HEADS)
        self.within = within

    def forward(self, nodes, says, targets):
        relations = says[:, 1]
        messages = self.shift[relations] + (nodes @ self.source.T)[says[:, 0]] * self.scale[relations]
        by_head = (-1, *self.attention.shape)
        scores = (F.leaky_relu(messages + (nodes @ self.target.T)[targets], 0.2).view(by_head) * self.attention).sum(-1)
        # Which edges share attention. No score is so large that its exponential is not.
        groups = targets * RELATIONS + relations if self.within else targets
        weights = scores.exp()
        totals = torch.zeros(len(nodes) * RELATIONS, HEADS).index_add(0, groups, weights)
        shares = (weights / totals[groups])[:, :, None] * messages.view(by_head)
        heard = torch.zeros_like(nodes).index_add(0, targets, shares.flatten(1))
        return F.gelu(heard) @ self.output.T


if __name__ == "__main__":
    sys.exit(main())
