"""Exported examples, and how a step's examples become tensors."""

import json

import torch


def read(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def micro_batches(rows, budget, virtual):
    """`rows` sorted by length and cut so that no part has more than `budget` positions, padding and virtual tokens included."""
    parts, width = [[]], 0
    for row in sorted(rows, key=lambda row: len(row["prompt"]) + len(row["answer"])):
        width = len(row["prompt"]) + len(row["answer"]) - 1 + virtual
        if parts[-1] and (len(parts[-1]) + 1) * width > budget:
            parts.append([])
        parts[-1].append(row)
    return parts


def collate(rows):
    """Inputs `[rows, width]`, padded on the right, and of each answer token: its row, the position that predicts it, its id.

    There is no mask: behind the causal one, padding on the right is seen by nothing but itself (`check.py` holds that a mask
    changes nothing).
    """
    inputs = [row["prompt"] + row["answer"][:-1] for row in rows]
    width = max(map(len, inputs))
    ids = torch.tensor([line + [0] * (width - len(line)) for line in inputs])
    places = [
        (index, len(row["prompt"]) - 1 + at, token) for index, row in enumerate(rows) for at, token in enumerate(row["answer"])
    ]
    return ids, *torch.tensor(places).T
