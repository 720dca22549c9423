"""References for the metrics of `host/metrics`, by the packages that others report with: sacrebleu, rouge-score, NLTK.

    python metrics_reference.py --out tests/fixtures/metrics/text.json

The pairs are ours: small sentences and snippets, and what a model might make of them. BLEU and chrF of one item are
those of a corpus of that item. CodeXGLUE's smoothed BLEU is not a package; its reference here is built on NLTK's
`sentence_bleu` with `method2`, the same add-one smoothing above the first order, from which it differs in two ways
that `smoothed` corrects: NLTK has another length penalty, and counts one n-gram where an answer is too short for any.
"""

import argparse
import json
import math
import random
import re
from importlib.metadata import version

import sacrebleu
from nltk.stem.porter import PorterStemmer
from nltk.translate.bleu_score import SmoothingFunction, brevity_penalty, sentence_bleu
from nltk.translate.meteor_score import meteor_score
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

SENTENCES = [
    "Returns the number of elements that are stored in this list.",
    "Writes all pending bytes to the underlying stream, then closes it.",
    "Checks whether the given name is a valid identifier; throws if it isn't.",
    "Parse a date of the form 2019-04-01 (or 1,234.5 seconds since the epoch).",
    "Removes the connection's listeners & notifies its owner -- unless it was closed already.",
    "Compute the relational difference of two sorted sequences, lazily.",
    "Converts a temperature from Fahrenheit to Celsius, e.g. 98.6 to 37.0",
    "The key is hashed twice: once for the bucket, once for the fingerprint.",
    "Normalizes user_name, strips trailing slashes and replaces \"//\" by \"/\".",
    "Lädt die Größe der Datei und prüft, ob der Schlüssel gültig ist.",
    "Возвращает ключ или значение по умолчанию.",
    "Σίσυφος is pushed onto the ΣΤΑΚΟΣ; İstanbul stays where it is.",
    "键不存在时返回默认值 ✓ naïve café — déjà vu…",
    "हिन्दी शब्द गिनता है, then prints Ⓐ and ½ of x².",
    "Dying processes are retried; flies, skies and spied ponies are not.",
    "Generalization of the analogously hopeful operators' sensitivities and controlling formalities.",
    "An enjoyable geology of technological differently radically replacements, adopted happily.",
    "Agreed feeds proceed, exceed and succeed; hopping, falling, hissing, fizzed, filing, sizing, conflated, troubled.",
    "Strip &lt;b&gt; and &amp;lt; but keep <skipped> tags and &quot;quotes&quot;.",
    "Reads at most n-1 bytes; 3-way merges need 2 -- no, 3.- passes.",
    "ok",
    "Get it.",
]

SNIPPETS = [
    "assertEquals ( 0 , list . size ( ) )",
    "org.junit.Assert.assertTrue(result.isPresent());",
    "def mean(values):\n    total = sum(values)\n    return total / len(values) if values else 0.0\n",
    "public int max(int a, int b) {\n    return a > b ? a : b;\n}",
    "for (Map.Entry<String, List<Integer>> e : map.entrySet()) {\n\tcount += e.getValue().size();\n}",
    "if x is not None and x[\"key\"] != 'value':\n    raise ValueError(f\"bad {x!r}\")",
    "static final double EPS = 1e-9; // tolerance",
    "return [n ** 2 for n in range(10) if n % 2 == 0 and n - 1 > 3]",
    "String s = \"a-\\n\" + prefix_ + '~' + (x & 0xFF) + \"^\";",
    "while (!queue.isEmpty()) { Node node = queue.poll(); visit(node); visit(node.left); visit(node.right); }",
    "x = y",
    "assertThat ( response . getStatus ( ) , is ( 200 ) )",
]

# Words that nothing else above would bring to every rule of the stemmer.
WORDS = (
    "caresses ponies ties caress cats feed agreed plastered bled motoring sing conflating troubles sized hopping tanned "
    "falling hissing fizzing failing filing happy sky enjoy spy relational conditional rational valency hesitancy "
    "digitizer conformably radically differently vilely analogously vietnamization predication operator feudalism "
    "decisiveness hopefulness callousness formality sensitivity sensibility hopefully archaeology geology triplicate "
    "formative formalize electricity electrical hopeful goodness revival allowance inference airliner gyroscopic "
    "adjustable defensible irritant replacement adjustment dependent adoption homologous communism activate angularity "
    "effective bowdlerize probate rate cease controlling rolling controller die dies died tying innings news outings "
    "cannings howe skies yyyes syzygy ion lion ünïons naïvely as is bed string thing using used add adding edding "
    "mapping mappings mapped maps classes class keys keyed indices indexes indexing queries query tries tried try "
    "initialization initialized initializer validity validation validate generously generator generation"
).split()

EMPTY = ["", " ", "\n", ".", "a", "<skipped>", "é", "The", "x y z", "\u001c\u2003"]


def perturbed(text, rng):
    """The text after one to three small accidents."""
    for _ in range(rng.randint(1, 3)):
        words = re.split(r"(\s+)", text)
        at = rng.randrange(len(words))
        kind = rng.randrange(10)
        if kind == 0:
            del words[at]
        elif kind == 1:
            other = rng.randrange(len(words))
            words[at], words[other] = words[other], words[at]
        elif kind == 2:
            words = words[: at + 1]
        elif kind == 3:
            words[at:at] = [rng.choice(WORDS), " "]
        elif kind == 4:
            words[at] = words[at].upper()
        elif kind == 5:
            words[at:at] = [words[at], " "]
        elif kind == 6:
            words[at] = words[at] + rng.choice(["s", "ed", "ing", "ly", ".", ",", "-1", "é", "_x", "\r\n"])
        elif kind == 7:
            words = words[at:]
        elif kind == 8:
            words[at] = words[at].rstrip(".,;:)")
        else:
            words = [word if word.strip() else rng.choice([" ", "  ", "\t", "\n", "\u00a0"]) for word in words]
        text = "".join(words)
    return text


def pairs(count, rng):
    made = [[text, text] for text in SENTENCES + SNIPPETS]
    made += [[a, b] for a in EMPTY for b in ["", "a", "Get it.", SENTENCES[0]]]
    made += [[SENTENCES[1], b] for b in EMPTY]
    # Inflections side by side: the same words, cut and shuffled.
    for _ in range(60):
        words = rng.sample(WORDS, rng.randint(2, 12))
        stemmed = [PorterStemmer().stem(word) if rng.random() < 0.5 else rng.choice(WORDS) for word in words]
        made.append([" ".join(words), " ".join(stemmed)])
    while len(made) < count:
        texts = SENTENCES if rng.random() < 0.6 else SNIPPETS
        reference = rng.choice(texts)
        answer = rng.choice(texts) if rng.random() < 0.1 else reference
        made.append([perturbed(answer, rng), reference])
    return made


class NoSynonyms:
    """A WordNet without a word."""

    def synsets(self, _):
        return []


def tokens(text):
    """What METEOR compares: NLTK leaves the choice to its caller."""
    return Tokenizer13a()(text.rstrip()).split()


def smoothed(answer, reference):
    """CodeXGLUE's smoothed BLEU of a sentence, see above. Their tokens, in one expression."""
    answer, reference = (re.findall(r"[^\W_]+|[^\w\s]|_", text.strip().lower()) for text in [answer, reference])
    penalty = math.exp(min(0.0, 1.0 - (len(reference) + 1) / (len(answer) + 1)))
    if not answer:
        # Nothing is left of the formula but the penalty; NLTK has no such case.
        return penalty
    theirs = sentence_bleu([reference], answer, smoothing_function=SmoothingFunction().method2)
    # (0 + 1) / (1 + 1) for every order above the first that the answer is too short for, where CodeXGLUE has 1 / 1.
    missing = max(0, 4 - len(answer))
    return theirs / brevity_penalty(len(reference), len(answer)) * 2.0 ** (missing / 4) * penalty


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=640)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()

    made = pairs(args.count, random.Random(args.seed))
    answers, references = [a for a, _ in made], [b for _, b in made]
    corpus_metrics = {
        "bleu": sacrebleu.BLEU(),
        "bleu_tokens": sacrebleu.BLEU(tokenize="none"),
        "chrf": sacrebleu.CHRF(),
    }
    items, corpus = {}, {}
    for name, metric in corpus_metrics.items():
        items[name] = [metric.corpus_score([a], [[b]]).score for a, b in made]
        corpus[name] = metric.corpus_score(answers, [references]).score
    rouge = RougeScorer(["rougeL"], use_stemmer=False)
    items |= {
        "bleu_smoothed": [100 * smoothed(a, b) for a, b in made],
        "rouge_l": [100 * rouge.score(b, a)["rougeL"].fmeasure for a, b in made],
        "meteor": [100 * meteor_score([tokens(b)], tokens(a), wordnet=NoSynonyms()) for a, b in made],
        "exact_match": [100.0 * (a.split() == b.split()) for a, b in made],
    }
    for name in ["bleu_smoothed", "rouge_l", "meteor", "exact_match"]:
        corpus[name] = sum(items[name]) / len(made)
    reference = {
        "versions": {package: version(package) for package in ["sacrebleu", "rouge-score", "nltk"]},
        "corpus": corpus,
        "stems": {word: PorterStemmer().stem(word) for word in WORDS},
        "items": [
            {"answer": a, "reference": b, "scores": {name: round(items[name][at], 9) for name in sorted(items)}}
            for at, (a, b) in enumerate(made)
        ],
    }
    with open(args.out, "w", encoding="utf-8") as out:
        json.dump(reference, out, ensure_ascii=True, separators=(",", ":"))
        out.write("\n")
    print(f"{len(made)} pairs: " + ", ".join(f"{name} {score:.3f}" for name, score in corpus.items()))


if __name__ == "__main__":
    main()
