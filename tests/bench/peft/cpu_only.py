"""Lets torch's Linux wheel be imported without NVIDIA's libraries (2.5 GB), on a machine that has no GPU.

The wheel's own libraries name cuBLAS, cuDNN, NCCL and so on, and the loader wants each to be there. This puts in the place of
each that is missing an empty library whose functions abort. Without a driver torch never calls one. Needs gcc and nm.
"""

import importlib.util
import pathlib
import re
import subprocess
import tempfile

SYSTEM = re.compile(r"lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s|util)\.so|ld-linux")


def output(*command):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


def main():
    torch = pathlib.Path(importlib.util.find_spec("torch").origin).parent
    libraries = sorted((torch / "lib").glob("*.so*"))
    there = {path.name for path in libraries} | {path.name for path in (torch.parent / "nvidia").glob("*/lib/*.so*")}
    needed, wanted, defined = set(), set(), set()
    for path in libraries:
        needed |= set(re.findall(r"\(NEEDED\).*\[(.+)\]", output("readelf", "-d", path)))
        for line in output("nm", "-D", path).splitlines():
            *_, kind, symbol = line.split()
            (wanted if kind == "U" else defined).add(symbol.split("@")[0])
    missing = sorted(name for name in needed - there if not SYSTEM.match(name))
    foreign = re.compile(r"(cublas|cudnn|cufft|cufile|cuFile|curand|cusolver|cusparse|nccl|pnccl|nvrtc|nvshmem)\w*$")
    symbols = sorted(symbol for symbol in wanted - defined if foreign.match(symbol))
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "stub.c"
        source.write_text("void abort(void);\n" + "".join(f"void {symbol}(void) {{ abort(); }}\n" for symbol in symbols))
        for index, name in enumerate(missing):
            # One of them has the functions; the others need only be there.
            body = source if index == 0 else "/dev/null"
            output("gcc", "-w", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", torch / "lib" / name, "-x", "c", body)
    print(f"{len(missing)} stand-ins, {len(symbols)} functions: {' '.join(missing)}")


if __name__ == "__main__":
    main()
