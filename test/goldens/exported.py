"""Writes exported.json: what PyTorch and Python's safetensors find in folders that we export, and what they compute from them.

The logits are those of examples/load_in_pytorch.py, in f32, from the inputs in logits.safetensors, for the same weights in either
layout. Sums of all files say whether they are still the ones that Python has read.

    npx tsx test/goldens/exported.ts FOLDER
    python test/goldens/exported.py FOLDER DATE > test/goldens/exported.json
"""
import json
import pathlib
import sys
import zlib

ROOT = pathlib.Path(__file__).parents[2]
sys.path.append(str(ROOT / "examples"))
import safetensors
import torch
from formulas import sketch
from load_in_pytorch import Rediff
from safetensors import safe_open
from safetensors.torch import load_file

FOLDER, DATE = pathlib.Path(sys.argv[1]), sys.argv[2]
given = load_file(FOLDER / "command" / "logits.safetensors")
inputs = {name: [*sketch(given[name])] for name in ("pixels", "size", "before", "after", "canvas")}


@torch.no_grad()
def found(name):
    folder = FOLDER / name
    tensors = {}
    for path in sorted(folder.glob("model*.safetensors")):
        with safe_open(path, "pt") as file:
            for key in file.keys():
                tensor = file.get_tensor(key)
                tensors[key] = [path.name, str(tensor.dtype), list(tensor.shape), *sketch(tensor)]
    index = folder / "model.safetensors.index.json"
    if index.exists():
        assert json.loads(index.read_text())["weight_map"] == {key: file for key, (file, *_) in tensors.items()}
    image, logits = Rediff(folder).sample(given)
    return {
        "files": {path.name: zlib.crc32(path.read_bytes()) for path in sorted(folder.glob("model*"))},
        "tensors": tensors, "image": [len(image), *sketch(image)], "logits": sketch(logits), "last": logits[-1, :6].tolist(),
    }


made = f"python test/goldens/exported.py, torch {torch.__version__}, safetensors {safetensors.__version__}, {DATE}"
print(json.dumps({"made": made, "inputs": inputs, **{name: found(name) for name in ("command", "shards")}}))
