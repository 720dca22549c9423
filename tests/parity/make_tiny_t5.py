"""Makes two tiny random T5 models with Hugging Face transformers, and what transformers computes with them.

- FIXTURES/tiny-t5: CodeT5+'s configuration but for its sizes: plain ReLU layers, a tied and scaled head, start token 0, end
  token 2, f32, a `config.json` in the form of transformers 4, and a tokenizer that frames texts as RoBERTa's does.
- FIXTURES/tiny-t5-gated: T5 1.1's: gated GELU layers, a head of its own, more encoder than decoder layers, bf16, and a
  `config.json` in the form of transformers 5.
- FIXTURES/parity/t5_NAME.safetensors for each, of prompts of different lengths padded on the right: `ids` [batch, tokens] i32,
  `lengths` [batch] i32, `answers` [batch, new tokens] i32, and `logits` [batch, new tokens, vocab] f32 that predict each token of
  the answers.
- FIXTURES/parity/decode_t5.json: answers of `generate`, as decode_reference.py writes them.
"""

import argparse
import json
import pathlib
import shutil

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from lm_prompts import PROMPTS

VOCAB = 384
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<mask>"]
END = 2
# Beyond the distance from which on all are alike, in both directions.
LENGTHS = [150, 23, 1]
ANSWER = 140
# CodeT5+ 220M's keys; a head's width is not hidden size / heads, so that a mix-up would show.
CODET5P = {
    "vocab_size": VOCAB, "d_model": 32, "d_kv": 12, "d_ff": 64, "num_heads": 4, "num_layers": 2, "num_decoder_layers": 2,
    "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "feed_forward_proj": "relu",
    "layer_norm_epsilon": 1e-6, "n_positions": 512, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": END,
    "decoder_start_token_id": 0,
}
GATED = CODET5P | {"feed_forward_proj": "gated-gelu", "num_layers": 3, "n_positions": 256}


def tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False,
    )
    tokenizer.train_from_iterator(PROMPTS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", END), ("<s>", 1), trim_offsets=True, add_prefix_space=False,
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")


def randomize(model, tied):
    """Weights large enough for logits that differ, and no norm at its neutral value."""
    for name, parameter in model.named_parameters():
        if name == "decoder.final_layer_norm.weight":
            # A scaled head makes small logits of small embeddings.
            parameter.data.normal_(*((30.0, 6.0) if tied else (3.0, 0.6)))
        elif name.endswith("norm.weight"):
            parameter.data.normal_(1.0, 0.2)
        elif "relative_attention_bias" in name:
            parameter.data.normal_(0.0, 1.0)
        elif name == "shared.weight":
            # Smaller than what the layers add: a tied head would only repeat the last token.
            parameter.data.normal_(0.0, 0.1)
        else:
            parameter.data.normal_(0.0, 0.3)
    return model.eval()


def reference(model, out):
    """Logits of answers that are not the model's own, computed in f32."""
    ids = [torch.randint(len(SPECIAL), VOCAB, (length,)) for length in LENGTHS]
    ids = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
    mask = (torch.arange(ids.shape[1])[None] < torch.tensor(LENGTHS)[:, None]).long()
    answers = torch.randint(len(SPECIAL), VOCAB, (len(LENGTHS), ANSWER))
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask, labels=answers).logits
    save_file({
        "ids": ids.int(), "lengths": torch.tensor(LENGTHS).int(), "answers": answers[:, :8].int().contiguous(),
        "long_answer": answers[:1].int().contiguous(), "logits": logits[:, :8].contiguous(),
        "last_logits": logits[0, -1].clone(),
    }, out)


def generate(name, model, tokenizer, ids, beams, new_tokens):
    prompt = torch.tensor([ids])
    with torch.no_grad():
        out = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), do_sample=False, num_beams=beams, max_new_tokens=new_tokens,
        )
    new = out[0, 1:].tolist()
    ended = END in new
    if ended:
        new = new[: new.index(END)]
    text = tokenizer.decode(new, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return {
        "model": name, "ids": ids, "beams": beams, "max_new_tokens": new_tokens, "stop": [],
        "new_ids": new, "text": text, "reason": "end" if ended else "length",
    }


def as_transformers_4(path):
    """Rewrites a config.json into the form that published models have."""
    config = json.loads(path.read_text())
    config.pop("scale_decoder_outputs", None)
    config["torch_dtype"] = config.pop("dtype")
    path.write_text(json.dumps(config, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fixtures", type=pathlib.Path)
    fixtures = parser.parse_args().fixtures
    torch.manual_seed(6)

    cases = []
    for name, config, tied, kind in [
        ("tiny-t5", CODET5P, True, torch.float32), ("tiny-t5-gated", GATED, False, torch.bfloat16),
    ]:
        folder = fixtures / name
        shutil.rmtree(folder, ignore_errors=True)
        model = T5ForConditionalGeneration(T5Config(**config, tie_word_embeddings=tied))
        if not tied:
            model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.shared.weight))
        randomize(model, tied).to(kind).save_pretrained(folder)
        tokenizer().save_pretrained(folder)
        if tied:
            as_transformers_4(folder / "config.json")
        # As it was saved.
        model = T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        assert torch.equal(model.lm_head.weight, model.shared.weight) == tied
        assert model.config.scale_decoder_outputs == tied
        reference(model, fixtures / "parity" / f"{name.replace('-', '_')}.safetensors")
        text = tokenizer()
        for beams, tokens in [(1, 40), (2, 24), (4, 24)]:
            for length in [40, 12, 3]:
                ids = torch.randint(len(SPECIAL), VOCAB, (length,)).tolist()
                cases.append(generate(name, model, text, ids, beams, tokens))
    lines = ",\n".join(json.dumps(case, ensure_ascii=True) for case in cases)
    (fixtures / "parity" / "decode_t5.json").write_text(f"[\n{lines}\n]\n")
    for case in cases:
        print(case["model"], case["beams"], case["reason"], len(set(case["new_ids"])), len(case["new_ids"]))


if __name__ == "__main__":
    main()
