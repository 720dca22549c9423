"""Writes the answers that Hugging Face transformers' `generate` gives, in f32 on the CPU, to decode.json.

    python decode_reference.py MODEL.gguf TINY_LLAMA_FOLDER OUT.json

Each case: the model (`default` or `tiny`), the prompt's ids, how to decode, the ids that follow (end token left out), why
they end, and their text up to a stop string. The default model answers prompts of code (lm_prompts) and short
conversations, which it ends by itself; the tiny one starts from random ids. Greedy answers to every prompt of code are
in the output of lm_reference.py.
"""

import argparse
import json
import pathlib

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from lm_prompts import PROMPTS

NEW_TOKENS = 64
# Both tokens that end an answer: <|endoftext|> and <|im_end|>.
ENDS = [0, 2]
QUESTIONS = [
    "Answer with one word: what is the capital of France?",
    "Summarize in one short sentence: int add(int a, int b) { return a + b; }",
    "Name a Java collection that keeps no duplicates. One word.",
]


def generate(model, tokenizer, ids, beams, new_tokens, stop):
    prompt = torch.tensor([ids])
    with torch.no_grad():
        out = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            num_beams=beams,
            max_new_tokens=new_tokens,
            eos_token_id=ENDS,
            pad_token_id=0,
            stop_strings=stop or None,
            tokenizer=tokenizer,
        )
    new = out[0, len(ids):].tolist()
    ended = bool(new) and new[-1] in ENDS
    if ended:
        new.pop()
    text = tokenizer.decode(new, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    cuts = [text.find(string) for string in stop if string in text]
    reason = "end" if ended else "stop" if cuts else "length"
    return {
        "ids": ids, "beams": beams, "max_new_tokens": new_tokens, "stop": stop,
        "new_ids": new, "text": text[: min(cuts)] if cuts else text, "reason": reason,
    }


def default_cases(path):
    place = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name}
    tokenizer = AutoTokenizer.from_pretrained(**place)
    model = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32, attn_implementation="eager").eval()
    code = [tokenizer(text, add_special_tokens=False).input_ids for text in PROMPTS]
    chats = [
        tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True)["input_ids"]
        for text in QUESTIONS
    ]
    plan = [(ids, 2, []) for ids in chats + code[::2]]
    plan += [(code[0], 2, ["```"]), (code[4], 2, ["method adds", "."]), (code[0], 1, ["x", "comprehension to"])]
    plan += [(ids, 1, []) for ids in chats] + [(chats[1], 4, [])]
    for ids, beams, stop in plan:
        case = generate(model, tokenizer, ids, beams, NEW_TOKENS, stop)
        print(f"default, {beams} beams: {case['reason']} after {len(case['new_ids'])} tokens", flush=True)
        yield {"model": "default"} | case


def tiny_cases(path):
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
    torch.manual_seed(5)
    for beams in [1, 2, 3, 5]:
        for _ in range(4):
            ids = torch.randint(3, model.config.vocab_size, (12,)).tolist()
            yield {"model": "tiny"} | generate(model, tokenizer, ids, beams, 24, [])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=pathlib.Path)
    parser.add_argument("tiny", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    arguments = parser.parse_args()
    cases = [*tiny_cases(arguments.tiny), *default_cases(arguments.gguf)]
    lines = ",\n".join(json.dumps(case, ensure_ascii=True) for case in cases)
    arguments.out.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
