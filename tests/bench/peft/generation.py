"""Free greedy generation, in batches, from the prompt alone."""

import torch
import torch.nn.functional as F

END_TOKENS = ["<|im_end|>", "<|endoftext|>"]


def cut(text, stops):
    """`text` up to the first of the stop strings, and whether there is one."""
    end = min((at for at in map(text.find, stops) if at >= 0), default=len(text))
    return text[:end], end < len(text)


@torch.inference_mode()
def generate(adapted, tokenizer, rows, batch):
    """The text that each of `rows` is answered with. Rows of like length go together; one that is done leaves its batch."""
    ends = tokenizer.convert_tokens_to_ids(END_TOKENS)
    texts = [None] * len(rows)
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]["prompt"]))
    for start in range(0, len(order), batch):
        part = order[start:start + batch]
        for index, text in zip(part, answer([rows[index] for index in part], adapted, tokenizer, ends)):
            texts[index] = text
    return texts


def answer(rows, adapted, tokenizer, ends):
    texts, tokens = [""] * len(rows), [[] for _ in rows]
    live = list(range(len(rows)))
    hidden, cache, mask = adapted.prefill([row["prompt"] for row in rows])
    while True:
        chosen = adapted.head(hidden).argmax(-1)
        stay = []
        for place, (index, token) in enumerate(zip(live, chosen.tolist())):
            row, done = rows[index], token in ends
            if not done:
                tokens[index].append(token)
                texts[index], stopped = cut(tokenizer.decode(tokens[index], skip_special_tokens=True), row["stop"])
                done = stopped or len(tokens[index]) >= row["max_new_tokens"]
            if not done:
                stay.append(place)
        if not stay:
            return texts
        if len(stay) < len(live):
            live, stay = [live[place] for place in stay], torch.tensor(stay)
            cache.batch_select_indices(stay)
            mask, chosen = mask[stay], chosen[stay]
        mask = F.pad(mask, (0, 1), value=1)
        hidden = adapted.decode(chosen, cache, mask)
