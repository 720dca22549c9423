"""Makes four tiny random models with Hugging Face transformers, and what transformers computes with them.

- FIXTURES/tiny-llama: grouped-query attention, an untied head, bf16, two shards with an index, a chat template.
- FIXTURES/tiny-qwen2: biases, a tied head, f32, one file, and a `config.json` in the form of transformers 4.
- FIXTURES/tiny-starcoder2: biases and norms of mean and variance, a tied head, f32, one file.
- FIXTURES/tiny-gemma: scaled embeddings, a GELU gate, heads wider than hidden size / heads of which all share one key, f32, one file.
- FIXTURES/tiny-qwen2/model.gguf: the same model as llama.cpp's converter would name and describe it.
- FIXTURES/parity/lm_NAME.safetensors for each: `ids` [batch, tokens] i32, `logits` [batch, tokens, vocab] f32, and
  `greedy` [batch, new tokens] i32, which greedy decoding appends.
- FIXTURES/parity/lm_rope.json and .safetensors: tiny-llama under every RoPE scaling; a `config.json` each, and the logits
  after the last of `ids`.
"""

import argparse
import json
import pathlib
import shutil

import gguf
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, GemmaConfig, GemmaForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers import Qwen2Config, Qwen2ForCausalLM, Starcoder2Config, Starcoder2ForCausalLM

from lm_prompts import PROMPTS

VOCAB = 384
BATCH, TOKENS, NEW_TOKENS = 2, 24, 32
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SIZES = {
    "vocab_size": VOCAB, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 48, "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "bos_token_id": 0, "eos_token_id": 2,
}
# Small original contexts, so that 48 tokens reach every part of every formula.
SCALINGS = {
    "linear": {"rope_type": "linear", "factor": 4.0},
    "dynamic": {"rope_type": "dynamic", "factor": 4.0},
    "llama3": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    },
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32},
    "yarn-all": {
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "beta_fast": 8.0, "beta_slow": 2.0,
        "attention_factor": 0.9, "truncate": False,
    },
}
ROPE_TOKENS = 48
# The context that dynamic scaling stretches: what `max_position_embeddings` says.
DYNAMIC_CONTEXT = 16


def tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False,
    )
    tokenizer.train_from_iterator(PROMPTS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=SPECIAL[0], eos_token=SPECIAL[2], chat_template=CHAT_TEMPLATE,
    )


def randomize(model):
    """Weights large enough for logits that differ, and no norm or bias at its neutral value."""
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            parameter.data.normal_(1.0, 0.2)
        else:
            parameter.data.normal_(0.0, 0.2)
    return model.eval()


def reference(folder, out):
    """Logits and greedy continuation, computed in f32 from the folder as it was saved."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    ids = torch.randint(len(SPECIAL), VOCAB, (BATCH, TOKENS))
    with torch.no_grad():
        logits = model(ids).logits
    greedy = ids
    for _ in range(NEW_TOKENS):
        with torch.no_grad():
            greedy = torch.cat([greedy, model(greedy).logits[:, -1:].argmax(-1)], dim=1)
    save_file({"ids": ids.int(), "logits": logits, "greedy": greedy[:, TOKENS:].int().contiguous()}, out)


def rope_references(llama, out):
    """Logits of tiny-llama under each scaling."""
    ids = torch.randint(len(SPECIAL), VOCAB, (1, ROPE_TOKENS))
    configs, tensors = {}, {"ids": ids.int()}
    for name, scaling in SCALINGS.items():
        config = json.loads((llama / "config.json").read_text())
        config["rope_parameters"] = scaling | {"rope_theta": 10000.0}
        if name == "dynamic":
            config["max_position_embeddings"] = DYNAMIC_CONTEXT
        configs[name] = config
        model = AutoModelForCausalLM.from_pretrained(
            llama, config=LlamaConfig(**config), dtype=torch.float32, attn_implementation="eager",
        ).eval()
        with torch.no_grad():
            tensors[name] = model(ids).logits[0, -1].clone()
    out.with_suffix(".json").write_text(json.dumps(configs, indent=1) + "\n")
    save_file(tensors, out.with_suffix(".safetensors"))


def starcoder2(fixtures):
    """StarCoder 2's configuration but for its sizes."""
    torch.manual_seed(2)
    folder = fixtures / "tiny-starcoder2"
    shutil.rmtree(folder, ignore_errors=True)
    sizes = {key: value for key, value in SIZES.items() if key != "rms_norm_eps"}
    config = Starcoder2Config(**sizes, norm_epsilon=1e-5, sliding_window=96)
    randomize(Starcoder2ForCausalLM(config)).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    reference(folder, fixtures / "parity" / "lm_tiny_starcoder2.safetensors")


def gemma(fixtures):
    """CodeGemma 2B's configuration but for its sizes."""
    torch.manual_seed(3)
    folder = fixtures / "tiny-gemma"
    shutil.rmtree(folder, ignore_errors=True)
    model = randomize(GemmaForCausalLM(GemmaConfig(**(SIZES | {"num_key_value_heads": 1}), head_dim=16)))
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            # What is added to 1.
            parameter.data -= 1.0
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    reference(folder, fixtures / "parity" / "lm_tiny_gemma.safetensors")


def write_gguf(folder, path):
    """The Qwen 2 model in `folder` as one GGUF file."""
    config = json.loads((folder / "config.json").read_text())
    bpe = json.loads((folder / "tokenizer.json").read_text())["model"]
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    tokens = sorted(bpe["vocab"], key=bpe["vocab"].get)
    kinds = [gguf.TokenType.CONTROL if token in SPECIAL else gguf.TokenType.NORMAL for token in tokens]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(merge) for merge in bpe["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, config["num_hidden_layers"])
    for name, tensor in load_file(folder / "model.safetensors").items():
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def as_transformers_4(path):
    """Rewrites a config.json into the form that most published models have."""
    config = json.loads(path.read_text())
    config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
    config["rope_scaling"] = None
    config["torch_dtype"] = config.pop("dtype")
    path.write_text(json.dumps(config, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fixtures", type=pathlib.Path)
    fixtures = parser.parse_args().fixtures
    torch.manual_seed(1)

    llama, qwen2 = fixtures / "tiny-llama", fixtures / "tiny-qwen2"
    models = {
        llama: (LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=False)).bfloat16(), "60KB"),
        qwen2: (Qwen2ForCausalLM(Qwen2Config(**SIZES, tie_word_embeddings=True)), "1GB"),
    }
    for folder, (model, shard) in models.items():
        shutil.rmtree(folder, ignore_errors=True)
        randomize(model).save_pretrained(folder, max_shard_size=shard)
        tokenizer().save_pretrained(folder)
        reference(folder, fixtures / "parity" / f"lm_{folder.name.replace('-', '_')}.safetensors")
    rope_references(llama, fixtures / "parity" / "lm_rope")
    as_transformers_4(qwen2 / "config.json")
    write_gguf(qwen2, qwen2 / "model.gguf")
    starcoder2(fixtures)
    gemma(fixtures)


if __name__ == "__main__":
    main()
