"""Writes random blocks of every quantization and what the `gguf` package dequantizes them to.

One safetensors file: `NAME.bytes` [blocks * block bytes] u8 and `NAME.values` [blocks * block values] f32. The bytes are
random but for the scales, which are finite and of a size that models have.
"""

import argparse
import pathlib

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Type
from gguf.quants import dequantize
from safetensors.numpy import save_file

BLOCKS = 12
SEED = 1

# Byte offsets of the half-precision numbers in a block.
SCALES = {
    Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q8_0: [0],
    Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    arguments = parser.parse_args()

    random = np.random.default_rng(SEED)
    tensors = {}
    for kind, offsets in SCALES.items():
        _, size = GGML_QUANT_SIZES[kind]
        blocks = random.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
        for offset in offsets:
            scales = random.normal(0, 0.05, (BLOCKS, 1)).astype(np.float16)
            blocks[:, offset:offset + 2] = scales.view(np.uint8)
        tensors[f"{kind.name}.bytes"] = blocks.reshape(-1)
        tensors[f"{kind.name}.values"] = dequantize(blocks, kind).reshape(-1).astype(np.float32)
    floats = random.normal(0, 1, 64).astype(np.float32)
    for kind, raw in {
        Type.F32: floats.view(np.uint8),
        Type.F16: floats.astype(np.float16).view(np.uint8),
        Type.BF16: (floats.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8),
    }.items():
        tensors[f"{kind.name}.bytes"] = raw
        tensors[f"{kind.name}.values"] = dequantize(raw, kind).reshape(-1).astype(np.float32)
    save_file(tensors, arguments.out)


if __name__ == "__main__":
    main()
