"""Writes adamW.json: ten steps of torch.optim.AdamW with clip_grad_norm_ on two small parameters, in f32 and in f64.

    python test/goldens/adamW.py 2026-11-23 > test/goldens/adamW.json
"""
import json
import sys

import torch

options = dict(lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05)
max_norm = 1.0
shapes = {"weight": (3, 5), "bias": (5,)}
torch.manual_seed(1)
start = {name: torch.randn(shape) for name, shape in shapes.items()}
gradients = [{name: torch.randn(shape) * 3 ** (step % 3 - 1) for name, shape in shapes.items()} for step in range(10)]


def train(dtype):
    parameters = {name: value.to(dtype).clone().requires_grad_() for name, value in start.items()}
    optimizer = torch.optim.AdamW(parameters.values(), **options)
    norms = []
    for step in gradients:
        for name, parameter in parameters.items():
            parameter.grad = step[name].to(dtype).clone()
        norms.append(torch.nn.utils.clip_grad_norm_(parameters.values(), max_norm).item())
        optimizer.step()
    return {"norms": norms, **{name: value.flatten().tolist() for name, value in parameters.items()}}


flat = lambda values: {name: value.flatten().tolist() for name, value in values.items()}
json.dump(
    {
        "source": "python test/goldens/adamW.py",
        "torch": torch.__version__,
        "date": sys.argv[1],
        "options": {**options, "max_norm": max_norm},
        "shapes": shapes,
        "start": flat(start),
        "gradients": [flat(step) for step in gradients],
        "f32": train(torch.float32),
        "f64": train(torch.float64),
    },
    sys.stdout,
    indent=1,
)
