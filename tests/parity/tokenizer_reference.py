"""References for the tokenizer and the chat template, by Hugging Face transformers from the very same GGUF file.

    python tokenizer_reference.py MODEL.gguf --out tests/fixtures/parity/tokenizer.json
    python tokenizer_reference.py MODEL.gguf --data DIR/summarize-java/test.jsonl.gz ... --count 2000 --out FULL.json

transformers builds the tokenizer from the file's vocabulary, merges and token types, but leaves out what the file
says in `tokenizer.ggml.pre`: it always cuts words as GPT-2 did. A model whose pre-tokenizer is another one was never
trained on the ids that come out. So this script puts the named pre-tokenizer in, as the model's published
tokenizer.json has it, and prints for how many texts that changes the ids.
"""

import argparse
import gzip
import json
import os
import random

import transformers
from gguf import GGUFReader
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer
from transformers.utils.chat_template_utils import render_jinja_template

import tokenizer_snippets as own

PRE_TOKENIZERS = {
    "smollm": lambda: pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    ),
    "gpt-2": lambda: pre_tokenizers.ByteLevel(add_prefix_space=False),
}


def encode(tokenizer, text, special):
    """Ids, and offsets as one flat list of bytes (Hugging Face counts characters)."""
    out = tokenizer(
        text, add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=not special
    )
    at = [0]
    for character in text:
        at.append(at[-1] + len(character.encode("utf-8", "surrogatepass")))
    return out["input_ids"], [at[i] for pair in out["offset_mapping"] for i in pair]


def with_comment(source, rng, python):
    """Real code with a comment of ours, on a line of its own or at the end of one."""
    lines = source.split("\n")
    comment = ("# " if python else "// ") + rng.choice(own.COMMENTS)
    line = rng.randrange(len(lines))
    if rng.random() < 0.5:
        lines[line] += "  " + comment
    else:
        indent = lines[line][: len(lines[line]) - len(lines[line].lstrip())]
        lines.insert(line, indent + comment)
    return ("\r\n" if rng.random() < 0.1 else "\n").join(lines)


def real_snippets(paths, count, seed):
    rng = random.Random(seed)
    rows = []
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows += [("python" in path, json.loads(line)["source"]) for line in lines]
    rng.shuffle(rows)
    # Every row that has a character beyond ASCII, then others.
    rows.sort(key=lambda row: row[1].isascii())
    rows = rows[:count]
    natural = sum(not source.isascii() for _, source in rows)
    texts = [
        with_comment(source, rng, python) if source.isascii() and index % 2 else source
        for index, (python, source) in enumerate(rows)
    ]
    changed = sum(not text.isascii() for text in texts) - natural
    print(f"{len(texts)} snippets: {natural} with non-ASCII of their own, {changed} with a non-ASCII comment added")
    return texts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf")
    parser.add_argument("--data", nargs="*", default=[], help="JSON lines, gzip, with a `source`; none: our own texts")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", required=True)
    parser.add_argument("--folder", help="also save the tokenizer there, as a Hugging Face folder")
    args = parser.parse_args()

    folder, name = os.path.split(os.path.abspath(args.gguf))
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    texts = real_snippets(args.data, args.count, args.seed) if args.data else own.SNIPPETS

    as_built = [encode(tokenizer, text, special=False)[0] for text in texts]
    pre = GGUFReader(args.gguf).fields["tokenizer.ggml.pre"].contents()
    tokenizer.backend_tokenizer.pre_tokenizer = PRE_TOKENIZERS[pre]()

    cases = []
    for text in texts:
        ids, offsets = encode(tokenizer, text, special=False)
        case = {"text": text, "ids": ids, "offsets": offsets}
        if not args.data:
            case["template_ids"] = encode(tokenizer, text, special=True)[0]
            case["decoded"] = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        cases.append(case)
    differ = sum(case["ids"] != ids for case, ids in zip(cases, as_built))
    print(f"pre-tokenizer {pre}: {differ} of {len(texts)} texts have other ids than under GPT-2's cut")

    reference = {"transformers": transformers.__version__, "cases": cases}
    if not args.data:
        chats = []
        for template in [tokenizer.chat_template, own.TEMPLATE]:
            for messages in own.CONVERSATIONS:
                for prompt in [True, False]:
                    rendered, _ = render_jinja_template(
                        conversations=[messages],
                        chat_template=template,
                        add_generation_prompt=prompt,
                        **{key: str(value) for key, value in tokenizer.special_tokens_map.items()},
                    )
                    chat = {"own": template is own.TEMPLATE, "messages": messages, "prompt": prompt, "text": rendered[0]}
                    if template is tokenizer.chat_template:
                        # What transformers itself would feed the model; it parses special tokens everywhere.
                        chat["ids"] = tokenizer(rendered[0], add_special_tokens=False)["input_ids"]
                    chats.append(chat)
        reference |= {"template": own.TEMPLATE, "chats": chats}
    with open(args.out, "w", encoding="utf-8") as out:
        json.dump(reference, out, ensure_ascii=True, separators=(",", ":"))
        out.write("\n")
    if args.folder:
        tokenizer.save_pretrained(args.folder)


if __name__ == "__main__":
    main()
