"""Writes stem.json: what a convolutional stem and the patch embedding make of pictures, and gradients, from PyTorch in f64.

The weights are values of the formula of nano.py. The loss is the sum of the output times a wave.

    python test/goldens/stem.py 2026-11-23 > test/goldens/stem.json
"""
import json
import math
import sys

import torch
import torch.nn.functional as F

B, S, PATCH, STEM, C = 2, 24, 8, [6, 8], 16
CELLS = PATCH // 2 ** len(STEM)


def wave(seed, count):
    """The formula: a number in [-1, 1] for each index."""
    return torch.tensor([math.sin(1.7 * i + 0.31 * seed + 0.013 * i * seed) for i in range(count)], dtype=torch.float64)


EMBED = "model.vision_tower.vision_tower.vision_model.embeddings."
shapes = {}
for i, width in enumerate(STEM):
    shapes |= {f"{EMBED}stem.{i}.weight": (width, ([3] + STEM)[i], 3, 3), f"{EMBED}stem.{i}.bias": (width,)}
shapes |= {f"{EMBED}patch_embedding.weight": (C, STEM[-1], CELLS, CELLS), f"{EMBED}patch_embedding.bias": (C,)}
shapes |= {f"{EMBED}position_embedding.weight": ((S // PATCH) ** 2, C)}

p = {}
for name, shape in shapes.items():
    values = wave(len(name), math.prod(shape)).reshape(shape)
    p[name] = (values / math.sqrt(math.prod(shape[1:]) or 1)).requires_grad_()

x = wave(1, B * 3 * S * S).reshape(B, 3, S, S)
for i in range(len(STEM)):
    x = F.gelu(F.conv2d(x, p[f"{EMBED}stem.{i}.weight"], p[f"{EMBED}stem.{i}.bias"], stride=2, padding=1), approximate="tanh")
x = F.conv2d(x, p[f"{EMBED}patch_embedding.weight"], p[f"{EMBED}patch_embedding.bias"], stride=CELLS).flatten(2).transpose(1, 2)
x = x + p[f"{EMBED}position_embedding.weight"]
(x.flatten() * wave(7, x.numel())).sum().backward()

print(
    json.dumps(
        {
            "made": f"python test/goldens/stem.py, torch {torch.__version__}, {sys.argv[1]}",
            "features": x.flatten().tolist(),
            # Norm, and projection on a wave of another seed, of every gradient.
            "gradients": {name: [v.grad.norm().item(), (v.grad.flatten() * wave(99, v.numel())).sum().item()] for name, v in p.items()},
        },
        indent=1,
    )
)
