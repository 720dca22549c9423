"""The frozen model as a Hugging Face folder from the GGUF file that the host runs.

transformers dequantizes the weights. It takes GPT-2's cut of digits for every GGUF tokenizer, so the pre-tokenizer that the
file names is put in its place.
"""

import argparse
import os
import pathlib

import torch
from gguf import GGUFReader
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

PRE_TOKENIZERS = {
    "smollm": lambda: pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    ),
    "gpt-2": lambda: pre_tokenizers.ByteLevel(add_prefix_space=False),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path, help="the folder to write")
    parser.add_argument("--model", type=pathlib.Path, help="the GGUF file; default: $TRANSDUCER_MODEL")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16", help="of the weights in it")
    arguments = parser.parse_args()
    gguf = arguments.model or pathlib.Path(os.environ["TRANSDUCER_MODEL"])

    place = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(**place)
    pre = GGUFReader(gguf).fields["tokenizer.ggml.pre"].contents()
    tokenizer.backend_tokenizer.pre_tokenizer = PRE_TOKENIZERS[pre]()
    tokenizer.save_pretrained(arguments.out)

    # By default transformers keeps the weights packed, and cannot save them.
    model = AutoModelForCausalLM.from_pretrained(
        **place, dtype=getattr(torch, arguments.dtype), quantization_config=GgufConfig(dequantize=True)
    )
    model.save_pretrained(arguments.out)
    # Read back as `run.py` reads it: nothing may be lost on the way.
    again = AutoModelForCausalLM.from_pretrained(arguments.out, dtype=model.dtype)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())
    again = AutoTokenizer.from_pretrained(arguments.out)
    text = "<|im_start|>user\nint x = 12345;\n\tÜ<|im_end|>"
    assert again(text).input_ids == tokenizer(text, add_special_tokens=False).input_ids
    print(f"{arguments.out}: {sum(p.numel() for p in model.parameters()):,} parameters, end token {tokenizer.eos_token!r}")


if __name__ == "__main__":
    main()
