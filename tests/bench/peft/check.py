"""Self-check, in f32: python check.py MODEL TRAIN TEST

1. Loss and gradients of micro-batches without a mask are those of transformers' own loss, over labels and with a mask.
2. Batched generation with left padding is transformers' (PEFT's) `generate`, prompt by prompt, for every method, after a
   step of training, so that the adapter does something.
"""

import argparse
import pathlib

import run  # sets the environment that torch reads

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import data
from generation import END_TOKENS, answer
from methods import LEARNING_RATES, Adapted

ROWS = 4
NEW_TOKENS = 16


def adapted_model(method, folder):
    torch.manual_seed(0)
    return Adapted(method, folder, torch.float32, run.INIT_TEXT)


def close(what, got, wanted, tolerance):
    error = abs(got - wanted) / max(abs(wanted), 1e-9)
    assert error < tolerance, f"{what}: {got}, and transformers has {wanted}"
    print(f"{what}: {got:.6f}, off by {error:.1e}")


def check_loss(folder, rows):
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    plain.model.embed_tokens.padding_idx = None
    lines = [row["prompt"] + row["answer"] for row in rows]
    width = max(map(len, lines))
    ids, mask, labels = [
        torch.tensor([make(row, line) + [fill] * (width - len(line)) for row, line in zip(rows, lines)])
        for fill, make in [
            (0, lambda _, line: line), (0, lambda _, line: [1] * len(line)),
            (-100, lambda row, _: [-100] * len(row["prompt"]) + row["answer"]),
        ]
    ]
    theirs = plain(input_ids=ids, attention_mask=mask, labels=labels).loss
    theirs.backward()

    for method in ["none", "full"]:
        ours = adapted_model(method, folder)
        answers, loss = sum(len(row["answer"]) for row in rows), 0.0
        parts = data.micro_batches(rows, 400, 0)
        assert len(parts) > 1
        for part in parts:
            part_loss = ours.loss_sum(*data.collate(part)) / answers
            if method == "full":
                part_loss.backward()
            loss += part_loss.item()
        close(f"loss, {method}", loss, theirs.item(), 1e-5)
    for name, parameter in plain.named_parameters():
        if any(part in name for part in ["embed_tokens", "layers.0.self_attn.q_proj", "layers.29.mlp.down_proj"]):
            difference = (ours.llama.get_parameter(name).grad - parameter.grad).norm() / parameter.grad.norm()
            assert difference < 1e-4, name
            print(f"gradient, full, {name}: off by {difference:.1e}")


def check_generation(method, folder, tokenizer, train, test):
    adapted = adapted_model(method, folder)
    optimizer = torch.optim.AdamW(adapted.parameters, lr=LEARNING_RATES[method]) if adapted.parameters else None
    for _ in range(1 if optimizer else 0):
        adapted.loss_sum(*data.collate(train)).backward()
        optimizer.step()
        optimizer.zero_grad()
    adapted.model.eval()
    ends = tokenizer.convert_tokens_to_ids(END_TOKENS)
    rows = [row | {"stop": [], "max_new_tokens": NEW_TOKENS} for row in test]
    with torch.inference_mode():
        ours = answer(rows, adapted, tokenizer, ends)

    adapted.llama.lm_head = torch.nn.Linear(1, 1, bias=False)
    adapted.llama.lm_head.weight = adapted.head_weight
    for row, text in zip(rows, ours):
        ids = torch.tensor([row["prompt"]])
        out = adapted.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=NEW_TOKENS, eos_token_id=ends,
            pad_token_id=0,
        )
        theirs = tokenizer.decode(out[0, ids.shape[1]:], skip_special_tokens=True)
        assert text == theirs, f"{method}, {row['id']}: {text!r}, and generate has {theirs!r}"
    print(f"generation, {method}: {len(rows)} of {len(rows)} as generate, lengths {[len(row['prompt']) for row in rows]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path, help="the folder of prepare_model.py")
    parser.add_argument("train", type=pathlib.Path, help="training export")
    parser.add_argument("test", type=pathlib.Path, help="test export")
    parser.add_argument("--methods", nargs="+", choices=LEARNING_RATES, default=list(LEARNING_RATES), help="of the second part")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    train, test = data.read(arguments.train)[:ROWS], data.read(arguments.test)[:ROWS]
    check_loss(arguments.model, train)
    for method in arguments.methods:
        check_generation(method, arguments.model, AutoTokenizer.from_pretrained(arguments.model), train, test)


if __name__ == "__main__":
    main()
