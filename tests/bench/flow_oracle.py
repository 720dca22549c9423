"""How soon the frozen LLM hears what is said at one token: flow.py's questions, with the answer itself told at the marked use.

    python flow_oracle.py WORK MODEL [--rate 1.0] [--steps 100]
    python flow_oracle.py WORK MODEL --probe

Each answer has a free vector, which is added to the embedding of the marked use, in units of its size, from zero on; the task has vectors at
the first 16 and the last 8 tokens of the prompt, as a transducer has. So no graph has to be read: what is measured is the way from a token
of the code to the answer. AdamW at 1e-2, five times as much for the task's vectors and `--rate` times for the answers'; steps of 8 in bf16.
WORK is flow.py's, MODEL the folder of peft/prepare_model.py.

`--probe` trains nothing: it adds twice the embedding of one of the answers' words to the marked use, in f32, and says by how much the word's
log-likelihood as the reply's first token grows, where the reply begins with the mark and where it does not.
"""

import argparse
import json
import random
from pathlib import Path

import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer

from flow import MARK, QUESTION

BATCH, RATE, TASK_RATE, WARM_UP = 8, 1e-2, 5.0, 20
FIRST, LAST = 16, 8
PROBED = 24


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rate", type=float, default=1.0)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--probe", action="store_true")
    args = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    if args.probe:
        return probe(args, tokenizer)
    llm = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.bfloat16, attn_implementation="eager").requires_grad_(False)
    with open(args.work / "train.jsonl") as lines:
        rows = [json.loads(line) for line in lines]
    random.Random(1).shuffle(rows)
    answers = sorted({row["target"] for row in rows})
    hidden = llm.config.hidden_size
    task, said = (torch.zeros(count, hidden, requires_grad=True) for count in (FIRST + LAST, len(answers)))
    optimizer = torch.optim.AdamW([{"params": [task], "rate": TASK_RATE}, {"params": [said], "rate": args.rate}], weight_decay=0)
    recent = []
    for step in range(args.steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * group["rate"] * min(1, (step + 1) / WARM_UP)
        batch = [example(tokenizer, rows[(BATCH * step + place) % len(rows)]) for place in range(BATCH)]
        loss = loss_of(llm, batch, task, [said[answers.index(answer)] for _, _, _, answer in batch])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([task, said], 1.0)
        optimizer.step()
        recent.append(loss.item())
        if len(recent) == 20:
            print(f"steps {step - 18} to {step + 1}: loss {sum(recent) / 20:.3f}", flush=True)
            recent = []


def probe(args, tokenizer):
    llm = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    with open(args.work / "test.jsonl") as lines:
        rows = [json.loads(line) for line in lines][:PROBED]
    words = ["parameter", "declaration", "assignment", "update", "loop"]
    for start in [MARK, ""]:
        grown = []
        for row, word in zip(rows, words * PROBED):
            prompt, _, place, _ = example(tokenizer, row, start)
            first = tokenizer(word, add_special_tokens=False)["input_ids"][0]
            plain = llm.model.embed_tokens.weight[torch.tensor([prompt])]
            told = plain.index_add(1, torch.tensor([place]), 2 * llm.model.embed_tokens.weight[None, first, None])
            with torch.inference_mode():
                without, heard = (llm(inputs_embeds=each).logits[0, -1].log_softmax(-1)[first] for each in (plain, told))
            grown.append(float(heard - without))
        print(f"the reply begins with {start or 'nothing'}: {sum(grown) / len(grown):+.2f} nats, mean of {len(grown)}", flush=True)


def example(tokenizer, row, start=MARK):
    """The prompt's ids with the start of the reply, those of the answer, where the marked use stands, and the answer."""
    content = f"```java\n{row['source']}\n```\n\n{QUESTION}"
    text = tokenizer.apply_chat_template([{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True) + start
    prompt = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    use = text.index(MARK) + len(MARK)
    place = next(place for place, (_, end) in enumerate(prompt["offset_mapping"]) if end > use)
    answer = tokenizer(row["target"], add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    return prompt["input_ids"], answer, place, row["target"]


def loss_of(llm, batch, task, said):
    """The mean over all answer tokens."""
    width = max(len(prompt) + len(answer) for prompt, answer, _, _ in batch)
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    rows, places, targets, steps = [], [], [], []
    for row, ((prompt, answer, place, _), told) in enumerate(zip(batch, said)):
        length, end = len(prompt), len(prompt) + len(answer)
        ids[row, :end], mask[row, :end] = torch.tensor(prompt + answer), 1
        rows += [row] * len(answer)
        places += range(length - 1, end - 1)
        targets += answer
        # The first token of a prompt is left alone.
        changed = torch.tensor([*range(1, FIRST + 1), *range(length - LAST, length), place])
        steps.append(torch.zeros(width, task.shape[1]).index_add(0, changed, torch.cat([task, told[None]])))
    embeddings = llm.model.embed_tokens(ids).float()
    size = embeddings.pow(2).mean(-1, keepdim=True).sqrt()
    enriched = (embeddings + size * torch.stack(steps)).to(llm.dtype)
    hidden = llm.model(inputs_embeds=enriched, attention_mask=mask).last_hidden_state[rows, places]
    return F.cross_entropy(llm.lm_head(hidden).float(), torch.tensor(targets))


if __name__ == "__main__":
    main()
