"""References for host/codebleu, by the PyPI package of that name, for pairs of our own code and perturbed code.

    pip install codebleu==0.7.0 && pip install --no-deps tree-sitter==0.26.1 tree-sitter-java==0.23.5 \\
        tree-sitter-python==0.25.0 tree-sitter-c-sharp==0.23.5
    python codebleu_reference.py --out tests/fixtures/metrics/codebleu.json
    python codebleu_reference.py --data DIR --count 600 --out FULL.json

Python 3.11: what counts as a comment is what its module `tokenize` says. The package asks for an older tree-sitter,
which cannot load these grammars; it works with this one.

The package takes names out of sets of text, so the order of the sources of a value, and with it the data-flow score,
depends on PYTHONHASHSEED. Here `set` keeps the order of insertion in those two modules; the scores of the package as
it is are taken too, under several seeds, and pairs of which they differ are told.
"""

import argparse
import gzip
import json
import logging
import os
import random
import re
import subprocess
import sys

import codebleu.dataflow_match
import codebleu.parser.DFG
from codebleu import calc_codebleu

import codebleu_snippets as own

PARTS = ["codebleu", "ngram_match_score", "weighted_ngram_match_score", "syntax_match_score", "dataflow_match_score"]
NAMES = {"java": "java", "csharp": "c_sharp", "python": "python"}
SEEDS = ["0", "1", "2", "3"]
# Broken texts that tree-sitter 0.27, the host's, mends into other trees than 0.26, the newest for Python. As pairs
# they score alike, but they have other numbers of subtrees, so they stay out of the corpus.
MENDED_OTHERWISE = {"csharp": ["a b"]}


class FirstSeen(dict):
    """A set that keeps the order in which it was filled."""

    def __init__(self, items=()):
        super().__init__(dict.fromkeys(items))

    def add(self, item):
        self[item] = None


def in_order():
    for module in [codebleu.dataflow_match, codebleu.parser.DFG]:
        module.set = FirstSeen


def rename(text, rng):
    words = sorted({word for word in re.findall(r"\b[A-Za-z_]\w*\b", text)})
    word = rng.choice(words) if words else "x"
    return re.sub(rf"\b{word}\b", rng.choice(["value", "tmp", "i", "größe", "self"]), text)


def drop_line(text, rng):
    lines = text.split("\n")
    del lines[rng.randrange(len(lines))]
    return "\n".join(lines)


def swap_lines(text, rng):
    lines = text.split("\n")
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[i], lines[j] = lines[j], lines[i]
    return "\n".join(lines)


def truncate(text, rng):
    return text[: rng.randrange(len(text) + 1)]


def drop_words(text, rng):
    return "".join(part for part in re.split(r"(\s+)", text) if rng.random() > 0.1)


def drop_characters(text, rng):
    return "".join(c for c in text if rng.random() > 0.03)


def add_noise(text, rng):
    at = rng.randrange(len(text) + 1)
    noise = ["'", '"', "\\", "/*", "//", "#", "{", ")", '"""', "\r\n", "\t", "é", "$", ";", "\u2003", "if x:", "\x1c", "else"]
    return text[:at] + rng.choice(noise) + text[at:]


def one_line(text, rng):
    return " ".join(text.split())


def twice(text, rng):
    return text + "\n" + text


CHANGES = [rename, drop_line, swap_lines, truncate, drop_words, drop_characters, add_noise, one_line, twice]


def perturbed(text, rng):
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        text = rng.choice(CHANGES)(text, rng)
    return text


def own_pairs(count, seed):
    pairs = {}
    for language, snippets in [("java", own.JAVA), ("csharp", own.CSHARP), ("python", own.PYTHON)]:
        rng = random.Random(f"{seed} {language}")
        rows = pairs[language] = [("", ""), ("", snippets[0]), (snippets[0], ""), ("a", "b"), ("a b", "a b")]
        rows += [(text, text) for text in snippets]
        # Deeper than the package's recursion goes, and not so deep.
        rows += [("x = " + "(" * n + "x" + ")" * n, "x = " + "(" * n + "x" + ")" * n) for n in (300, 1200)]
        while len(rows) < count:
            reference = rng.choice(snippets)
            answer = rng.choice(snippets) if rng.random() < 0.1 else perturbed(reference, rng)
            if rng.random() < 0.2:
                reference = perturbed(reference, rng)
            rows.append((answer, reference))
    return pairs


def real_pairs(folder, count, seed):
    pairs = {}
    sources = [("csharp", "translate-java-csharp", "target"), ("java", "summarize-java", "source")]
    for language, name, key in sources + [("python", "summarize-python", "source")]:
        rng = random.Random(f"{seed} {language}")
        with gzip.open(os.path.join(folder, name, "test.jsonl.gz"), "rt", encoding="utf-8") as lines:
            texts = [json.loads(line)[key] for line in lines]
        rng.shuffle(texts)
        rows = pairs[language] = []
        for i, text in enumerate(texts[:count]):
            other = texts[(i + 1) % len(texts)]
            rows.append(([text, other, perturbed(text, rng), perturbed(text, rng), perturbed(other, rng)][i % 5], text))
    return pairs


def scored(pairs):
    logging.disable()
    out = {}
    for language, rows in pairs.items():
        def score(rows):
            answers, references = [row[0] for row in rows], [row[1] for row in rows]
            scores = calc_codebleu(references, answers, NAMES[language])
            return [round(scores[part], 9) for part in PARTS]

        mended = MENDED_OTHERWISE.get(language, [])
        corpus = [row for row in rows if row[1] not in mended]
        out[language] = {"items": [score([row]) for row in rows], "corpus": score(corpus)}
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="a folder of data sets; none: our own pairs")
    parser.add_argument("--count", type=int, default=200, help="pairs of each language")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--as-it-is", action="store_true", help="print the scores of the package as it is")
    parser.add_argument("--out")
    args = parser.parse_args()

    assert sys.version_info[:2] == (3, 11), "see above"
    pairs = real_pairs(args.data, args.count, args.seed) if args.data else own_pairs(args.count, args.seed)
    if args.as_it_is:
        return print(json.dumps(scored(pairs)))

    seeded = []
    for seed in SEEDS:
        command = [sys.executable, __file__, *sys.argv[1:], "--as-it-is"]
        run = subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, stdout=subprocess.PIPE)
        seeded.append(json.loads(run.stdout))
    in_order()
    reference = {"codebleu": "0.7.0", "languages": {}}
    for language, scores in scored(pairs).items():
        texts = sorted({text for row in pairs[language] for text in row})
        index = {text: i for i, text in enumerate(texts)}
        items = [
            {"answer": index[answer], "reference": index[wanted], "scores": score}
            for (answer, wanted), score in zip(pairs[language], scores["items"])
        ]
        # Which pairs have one score whatever the seed, and which of these have another in order.
        runs = [run[language]["items"] for run in seeded]
        stable = [all(run[i] == runs[0][i] for run in runs) for i in range(len(items))]
        for i, item in enumerate(items):
            item["stable"] = stable[i]
            item["in_corpus"] = pairs[language][i][1] not in MENDED_OTHERWISE.get(language, [])
        differ = sum(stable[i] and runs[0][i] != items[i]["scores"] for i in range(len(items)))
        corpora = [run[language]["corpus"] for run in seeded]
        widest = max((max(r[i][4] for r in runs) - min(r[i][4] for r in runs) for i in range(len(items))))
        print(
            f"{language}: {len(items)} pairs, {len(items) - sum(stable)} depend on the seed (data flow, at most by"
            f" {widest:.4f}), {differ} others differ in order; corpus data flow by seed"
            f" {[round(c[4], 6) for c in corpora]}, in order {scores['corpus'][4]:.6f}"
        )
        reference["languages"][language] = {
            "texts": texts, "items": items, "corpus": scores["corpus"], "seeded": corpora,
        }
    os.makedirs(os.path.dirname(os.path.abspath(args.out)), exist_ok=True)
    with open(args.out, "w", encoding="utf-8") as out:
        json.dump(reference, out, ensure_ascii=True, separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    main()
