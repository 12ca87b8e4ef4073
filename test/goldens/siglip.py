"""Writes siglip.json: hidden states of every layer, projected tokens and gradients of a small SigLIP, from transformers.

The configuration is SigLIP2-so400m's in small: heads of its width, 72, and a picture that is no multiple of the patch. As in LLaDA-V the last layer is deleted, the head is the identity, and the last hidden state goes through mlp2x_gelu
without post_layernorm. Weights and pixels are values of a formula that both sides know. In f64.

    python test/goldens/siglip.py 2026-11-23 > test/goldens/siglip.json
"""
import json
import math
import sys

import numpy as np
import torch
import transformers
from torch import nn
from transformers import SiglipVisionConfig, SiglipVisionModel

B, OUT = 2, 40


def noise(seed, count):
    """The formula: a number in [-1, 1) for each index, without a pattern, so that no gradient is small by accident."""
    h = np.arange(count, dtype=np.uint32) * np.uint32(2654435761) + np.uint32(seed * 40503)
    for shift, factor in ((15, 2246822519), (13, 3266489917)):
        h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
    return torch.from_numpy((h ^ (h >> np.uint32(16))).astype(np.float64) / 2**31 - 1)


config = SiglipVisionConfig(
    hidden_size=144, intermediate_size=100, num_hidden_layers=4, num_attention_heads=2, image_size=30, patch_size=7,
    hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-6, attention_dropout=0.0,
)
config._attn_implementation = "eager"
torch.set_default_dtype(torch.float64)
tower = SiglipVisionModel(config)
del tower.vision_model.encoder.layers[-1:]
tower.vision_model.head = nn.Identity()
projector = nn.Sequential(nn.Linear(144, OUT), nn.GELU(), nn.Linear(OUT, OUT))
named = {f"model.vision_tower.vision_tower.{name}": p for name, p in tower.named_parameters()}
named |= {f"model.mm_projector.{name}": p for name, p in projector.named_parameters()}

# The seed is the number of letters of the name; gains lie around 1, everything else is scaled by its fan-in.
with torch.no_grad():
    for name, p in named.items():
        values = noise(len(name), p.numel()).reshape(p.shape)
        gain = p.ndim == 1 and name.endswith("weight")
        p.copy_(1 + 0.2 * values if gain else values / math.sqrt(math.prod(p.shape[1:])))

pixels = noise(1, B * 3 * 30 * 30).reshape(B, 3, 30, 30)
# By hooks: the last of this version's `hidden_states` has been through post_layernorm, that of LLaDA-V's own copy has not.
states = []
for module in (tower.vision_model.embeddings, *tower.vision_model.encoder.layers):
    module.register_forward_hook(lambda _module, _input, output: states.append(output[0] if isinstance(output, tuple) else output))
tower(pixels)
tokens = projector(states[-1])
(tokens * noise(7, tokens.numel()).reshape(tokens.shape)).sum().backward()


def digest(x):
    return [x.norm().item(), (x.flatten() * noise(99, x.numel())).sum().item()]


print(
    json.dumps(
        {
            "made": f"python test/goldens/siglip.py, torch {torch.__version__}, transformers {transformers.__version__}, {sys.argv[1]}",
            # Norm, and projection on noise of another seed.
            "states": [digest(x) for x in states],
            "tokens": digest(tokens),
            "some": tokens[1, 15, :8].tolist(),
            "gradients": {name: digest(p.grad) for name, p in named.items() if p.grad is not None},
        },
        indent=1,
    )
)
