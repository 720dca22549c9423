"""Reference of the transducer in PyTorch and PyTorch Geometric: makes the fixture that host/transducer is tested against.

usage: python transducer_reference.py OUTPUT_FOLDER    (needs torch, torch_geometric, safetensors)

It writes
  transducer.json                   the configuration, and prompts with their graphs and token offsets
  transducer_weights.safetensors    random weights, in the product's own file format
  transducer_expected.safetensors   embeddings, the expected result, and the expected gradient of every parameter
  transducer_max_*.safetensors      the same with task tokens that pool the nodes by their maximum

Written from the description of the method and not from the product's code: one graph at a time, no padding and no
disjoint union; the node of a token is found by looking at every node; messages, softmax and means are PyTorch
Geometric's. Everything is computed in 64-bit floats, so that a difference is the product's own rounding.
"""

import json
import math
import random
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import scatter, softmax

EPSILON = 1e-6
NODE_KINDS, CPG_SCHEMA = 24, 1
CONFIG = {
    "hidden": 64,
    "width": 16,
    "layers": 2,
    "heads": 4,
    "task_tokens": 5,
    "edge_kinds": ["AST", "CFG", "REACHING_DEF", "NEXT_TOKEN"],
    "node_kinds": NODE_KINDS,
    "cpg_schema": CPG_SCHEMA,
    "parts": "full",
    "fusion_scale": 0.5,
    "task_scale": 2.0,
}
# One kind that the configuration does not read: its edges must not matter.
EXTRA_EDGES = ["CFG", "REACHING_DEF", "NEXT_TOKEN", "REF"]


# --- the method -------------------------------------------------------------------------------------------------------


def rms(x):
    return (x.pow(2).mean(-1, keepdim=True) + EPSILON).sqrt()


class RelationalGATv2(MessagePassing):
    """GATv2 whose messages are scaled and shifted by their relation; one softmax over all edges into a node."""

    def __init__(self, weights, layer, heads):
        super().__init__(aggr="add", node_dim=0)
        self.w = {name: weights[f"gve.layers.{layer}.{name}"] for name in LAYER_TENSORS}
        self.heads = heads

    def forward(self, x, edge_index, relation):
        says, hears = x @ self.w["source.weight"].T, x @ self.w["target.weight"].T
        heard = self.propagate(edge_index, says=says, hears=hears, relation=relation, size=(len(x), len(x)))
        return F.gelu(heard.flatten(1)) @ self.w["output.weight"].T

    def message(self, says_j, hears_i, relation, index, size_i):
        message = says_j * self.w["relation.scale"][relation] + self.w["relation.shift"][relation]
        score = F.leaky_relu(message + hears_i, 0.2).unflatten(1, (self.heads, -1)) * self.w["attention"]
        share = softmax(score.sum(-1), index, num_nodes=size_i)
        return share.unsqueeze(-1) * message.unflatten(1, (self.heads, -1))


LAYER_TENSORS = ["source.weight", "target.weight", "relation.scale", "relation.shift", "attention", "output.weight"]


def depth(graph, node):
    parent = graph["nodes"][node]["parent"]
    return 0 if parent is None else 1 + depth(graph, parent)


def leaf(graph, start, end):
    """The smallest node over the middle byte, of equal ones the deepest."""
    middle = (start + end) // 2
    nodes = graph["nodes"]
    over = [i for i, node in enumerate(nodes) if node["start"] <= middle < node["end"]]
    return min(over, key=lambda i: (nodes[i]["end"] - nodes[i]["start"], -depth(graph, i)))


def node_vectors(w, graph, leaves, codes):
    nodes = graph["nodes"]
    text = scatter(codes, leaves, dim=0, dim_size=len(nodes), reduce="mean")
    x = (text / rms(text)) @ w["gve.down.weight"].T + w["gve.kind.weight"][torch.tensor([n["kind"] for n in nodes])]
    ends, relations = [], []
    tree = [["AST", node["parent"], i] for i, node in enumerate(nodes) if node["parent"] is not None]
    for kind, source, target in tree + graph["edges"]:
        if kind in CONFIG["edge_kinds"]:
            along = 2 * CONFIG["edge_kinds"].index(kind)
            ends += [(source, target), (target, source)]
            relations += [along, along + 1]
    edge_index = torch.tensor(ends, dtype=torch.long).reshape(-1, 2).T
    relation = torch.tensor(relations, dtype=torch.long)
    for layer in range(CONFIG["layers"]):
        x = x + RelationalGATv2(w, layer, CONFIG["heads"])(x / rms(x), edge_index, relation)
    return x / rms(x)


def fusion(w, leaves, codes, nodes):
    query = (codes / rms(codes)) @ w["fusion.query.weight"].T
    key, value = nodes @ w["fusion.key.weight"].T, nodes @ w["fusion.value.weight"].T
    size = CONFIG["width"] // CONFIG["heads"]
    found = []
    for q, k, v in zip(query.split(size, 1), key.split(size, 1), value.split(size, 1)):
        found.append(torch.softmax(q @ k.T / math.sqrt(size), -1) @ v)
    own = nodes[leaves] @ w["fusion.leaf.weight"].T
    return (torch.cat(found, 1) + own) @ w["fusion.output.weight"].T


def task_vectors(w, nodes):
    """For all M task tokens; `nodes` are those of all graphs of the prompt."""
    if len(nodes) == 0:
        return w["task.vectors"]
    if "task.gain" in w:
        return w["task.vectors"] + w["task.gain"] * nodes.max(0).values @ w["task.output.weight"].T
    attention = torch.softmax(w["task.query"] @ nodes.T / math.sqrt(CONFIG["width"]), -1)
    return w["task.vectors"] + attention @ nodes @ w["task.output.weight"].T


def enrich(w, prompts, embeddings):
    result = embeddings.clone()
    for prompt in prompts:
        all_nodes = [torch.zeros(0, CONFIG["width"], dtype=torch.float64)]
        for code in prompt["codes"]:
            first, last = code["rows"]
            codes = embeddings[first:last]
            leaves = torch.tensor([leaf(code["graph"], s, e) for s, e in code["offsets"]], dtype=torch.long)
            nodes = node_vectors(w, code["graph"], leaves, codes)
            all_nodes.append(nodes)
            result[first:last] += rms(codes) * CONFIG["fusion_scale"] * fusion(w, leaves, codes, nodes)
        first, last = prompt["instruction"]
        vectors = task_vectors(w, torch.cat(all_nodes))
        for row, vector in zip(range(first, last), vectors):
            result[row] += rms(embeddings[row]).squeeze(0) * CONFIG["task_scale"] * vector
    return result


# --- random inputs ----------------------------------------------------------------------------------------------------


def random_graph(rng, length, most_nodes, extra_edges):
    """A tree of nested spans over `length` bytes, in pre-order, with random further edges."""
    nodes = []

    def grow(start, end, parent):
        if len(nodes) >= most_nodes:
            return
        node = len(nodes)
        nodes.append({"kind": 0 if parent is None else rng.randrange(1, NODE_KINDS), "start": start, "end": end, "parent": parent})
        if end - start < 2:
            return
        if rng.random() < 0.15:  # a child with the very same text
            return grow(start, end, node)
        cuts = sorted(rng.sample(range(start, end + 1), min(rng.choice([2, 4, 6]), (end - start + 1) // 2 * 2)))
        for left, right in zip(cuts[::2], cuts[1::2]):
            grow(left, right, node)

    while len(nodes) < most_nodes and length >= most_nodes:  # until a tree is large enough
        nodes.clear()
        grow(0, length, None)
    if not nodes:
        grow(0, length, None)
    edges = set()
    for _ in range(extra_edges):
        edges.add((rng.choice(EXTRA_EDGES), rng.randrange(len(nodes)), rng.randrange(len(nodes))))
    return {"length": length, "nodes": nodes, "edges": [list(edge) for edge in sorted(edges)]}


def random_offsets(rng, length):
    offsets, at = [], 0
    while at < length:
        at += rng.random() < 0.1  # a byte that no token covers
        end = min(length, at + rng.randint(1, 5))
        if at < end:
            offsets.append([at, end])
        at = end
    return offsets


def random_prompts(rng):
    """Bytes, most nodes and further edges of each graph of each prompt, and the length of its instruction."""
    shapes = [
        ([(90, 40, 60), (25, 6, 5)], 9),  # two graphs, an instruction longer than M
        ([(12, 1, 0)], 3),  # a single node, an instruction shorter than M
        ([], 6),  # no code
        ([(40, 12, 0)], 0),  # no edges but the tree's, no instruction
        ([(0, 1, 0), (60, 25, 30)], 5),  # one graph without text
    ]
    prompts, row = [], 0
    for graphs, instruction in shapes:
        prompt = {"instruction": [row, row + instruction], "codes": []}
        row += instruction
        for length, nodes, edges in graphs:
            row += 2  # text between
            offsets = random_offsets(rng, length)
            graph = random_graph(rng, length, nodes, edges)
            prompt["codes"].append({"rows": [row, row + len(offsets)], "offsets": offsets, "graph": graph})
            row += len(offsets)
        row += 3
        prompts.append(prompt)
    return prompts, row


def random_weights(generator):
    c = CONFIG
    h, relations = c["width"], 2 * len(c["edge_kinds"])
    shapes = {"gve.down.weight": (h, c["hidden"]), "gve.kind.weight": (c["node_kinds"], h)}
    per_layer = [(h, h), (h, h), (relations, h), (relations, h), (c["heads"], h // c["heads"]), (h, h)]
    for layer in range(c["layers"]):
        shapes |= {f"gve.layers.{layer}.{name}": shape for name, shape in zip(LAYER_TENSORS, per_layer)}
    shapes |= {"fusion.query.weight": (h, c["hidden"]), "fusion.output.weight": (c["hidden"], h)}
    shapes |= {f"fusion.{name}.weight": (h, h) for name in ["key", "value", "leaf"]}
    shapes |= {"task.vectors": (c["task_tokens"], c["hidden"]), "task.query": (c["task_tokens"], h)}
    shapes |= {"task.output.weight": (c["hidden"], h)}
    return {n: torch.randn(s, generator=generator) / math.sqrt(s[1]) for n, s in sorted(shapes.items())}


def main():
    folder = Path(sys.argv[1])
    rng, generator = random.Random(7), torch.Generator().manual_seed(7)
    prompts, rows = random_prompts(rng)
    weights = random_weights(generator)
    # Tokens of very different sizes, as an LLM has them.
    embeddings = torch.randn(rows, CONFIG["hidden"], generator=generator)
    embeddings *= torch.exp(torch.randn(rows, 1, generator=generator) - 1)
    # The loss is the result weighted by this, at a size that keeps the gradients near 1.
    probe = torch.randn(rows, CONFIG["hidden"], generator=generator) / math.sqrt(rows)

    document = {"config": CONFIG, "prompts": prompts}
    (folder / "transducer.json").write_text(json.dumps(document, separators=(",", ":")) + "\n")
    print(f"{rows} rows, graphs of", [len(c["graph"]["nodes"]) for p in prompts for c in p["codes"]], "nodes")
    inputs = {"embeddings": embeddings, "probe": probe}
    gains = {"task.gain" if name == "task.query" else name: tensor for name, tensor in weights.items()}
    for stem, config, weights, given in [
        ("transducer", CONFIG, weights, inputs), ("transducer_max", CONFIG | {"pooling": "max"}, gains, {}),
    ]:
        w = {name: tensor.double().requires_grad_() for name, tensor in weights.items()}
        enriched = enrich(w, prompts, embeddings.double())
        (enriched * probe.double()).sum().backward()
        expected = given | {"enriched": enriched.detach().float()}
        expected |= {f"gradient.{name}": tensor.grad.float() for name, tensor in w.items()}
        metadata = {"transducer": json.dumps({"format": 1, "config": config})}
        save_file(weights, folder / f"{stem}_weights.safetensors", metadata=metadata)
        save_file({name: tensor.contiguous() for name, tensor in expected.items()}, folder / f"{stem}_expected.safetensors")
        print(stem, {name: round(tensor.abs().max().item(), 3) for name, tensor in expected.items()})


if __name__ == "__main__":
    main()
